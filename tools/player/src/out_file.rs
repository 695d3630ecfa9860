//! A file that is there whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

/// A file being made. It takes its name when it is whole; dropped before, it is gone.
#[derive(Debug)]
pub struct OutFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl OutFile {
    /// Begins a file beside where it is to be, so that what forbids writing there shows at once and not after an
    /// hour's recording. A file of that name stays as it is until [`OutFile::commit`].
    pub fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("that is not the name of a file"))?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", process::id()));
        let temporary = path.with_file_name(hidden);
        let file = File::create(&temporary)?;
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// Writes the content and gives the file its name, in place of one that had it.
    pub fn commit(mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        // After a commit there is none.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_content_stays_until_the_new_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.mid");
        fs::write(&path, "old").unwrap();
        drop(OutFile::create(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        OutFile::create(&path).unwrap().commit(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_shows_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(OutFile::create(&folder.path().join("none").join("out.mid")).is_err());
        assert!(OutFile::create(Path::new("/")).is_err());
    }
}
