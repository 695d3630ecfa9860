//! The data folder: owned by one server at a time, with the secrets that the server makes for itself.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The longest secret that is read, in bytes.
pub const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The file that is locked; it holds the process id of the last owner.
const LOCK_FILE: &str = "lock";
/// What only the server's own account may read and write.
const PRIVATE: u32 = 0o600;

/// A data folder that this process owns. Dropping it, or the end of the process however it comes, gives it up.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data folder or a secret in it cannot be used. The message says what to do.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Another process owns the folder.
    #[error(
        "the data folder {} is in use by another server{}: stop that one, or give this one a folder of its own \
         (DATA_DIR or --data-dir)", path.display(), by_process(.owner)
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The owner's process id, where it can be read.
        owner: Option<u32>,
    },
    /// The folder or a file in it cannot be made, read or written.
    #[error("cannot {action} {}: {source}; the server must be able to write to its data folder", path.display())]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A secret that other accounts of this machine can read, or could have read.
    #[error(
        "the secret {path} can be read by others (mode {mode:04o}): if nobody has, run `chmod 600 {path}`, \
         else replace it", path = path.display()
    )]
    ExposedSecret {
        /// The secret's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file in a secret's place that cannot be one.
    #[error("{} is longer than a secret can be ({MAX_SECRET_BYTES} bytes)", path.display())]
    NotASecret {
        /// The file.
        path: PathBuf,
    },
}

fn by_process(owner: &Option<u32>) -> String {
    owner.map(|id| format!(" (process {id})")).unwrap_or_default()
}

impl DataDir {
    /// Makes the folder where there is none (mode 0700) and takes ownership of it.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] where another process owns it, [`DataDirError::Unusable`] where it cannot be made
    /// or written to.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataDirError> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable("make the data folder", &path))?;

        let lock_path = path.join(LOCK_FILE);
        let mut lock = (OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(PRIVATE))
            .open(&lock_path)
            .map_err(unusable("write", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let owner = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(DataDirError::InUse { path, owner });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("lock", &lock_path)(error)),
        }
        (lock.set_len(0))
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(unusable("write", &lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where the folder is, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A secret that is made once: reads it, or makes it and keeps it under this name with mode 0600.
    ///
    /// It appears whole or not at all, whenever the machine stops.
    ///
    /// # Errors
    /// A secret that others can read is refused, not repaired: it may have been read.
    pub fn secret_file(&self, name: &str, make: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Vec<u8>, DataDirError> {
        if let Some(secret) = read_secret(&self.file(name))? {
            return Ok(secret);
        }
        let secret = make().map_err(unusable("make the secret", &self.file(name)))?;
        self.write_secret(name, &secret)?;
        Ok(secret)
    }

    /// Puts a secret under this name, mode 0600, in the place of what was there.
    pub fn write_secret(&self, name: &str, secret: &[u8]) -> Result<(), DataDirError> {
        self.write_file(name, secret, PRIVATE)
    }

    /// Puts a file that others may read under this name, mode 0644, in the place of what was there.
    pub fn write_public(&self, name: &str, content: &[u8]) -> Result<(), DataDirError> {
        self.write_file(name, content, 0o644)
    }

    fn write_file(&self, name: &str, content: &[u8], mode: u32) -> Result<(), DataDirError> {
        let path = self.file(name);
        let unfinished = self.file(&format!(".{name}.unfinished"));
        let write = || {
            // One left by a process that was killed here; nobody else writes, the folder is ours.
            if let Err(error) = fs::remove_file(&unfinished)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
            // The process's umask may have taken more away than was meant.
            file.set_permissions(Permissions::from_mode(mode))?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            // The rename itself is durable only with the folder.
            File::open(&self.path)?.sync_all()
        };
        write().map_err(unusable("write", &path))
    }
}

/// Reads a secret; `None` where there is no such file. Needs no ownership of the folder it is in.
///
/// # Errors
/// [`DataDirError::ExposedSecret`] where others than its owner can read or write it.
pub fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable("read", path)(error)),
    };
    // Of the open file, not of the path: it cannot be exchanged in between.
    let metadata = file.metadata().map_err(unusable("read", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::ExposedSecret { path: path.to_owned(), mode });
    }
    if metadata.len() > MAX_SECRET_BYTES {
        return Err(DataDirError::NotASecret { path: path.to_owned() });
    }
    let mut secret = Vec::new();
    file.take(MAX_SECRET_BYTES).read_to_end(&mut secret).map_err(unusable("read", path))?;
    Ok(Some(secret))
}

fn unusable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Unusable { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_that_is_absent_is_made_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = DataDir::open(&path).unwrap();
        assert_eq!(mode_of(folder.path()), 0o700);
    }

    #[test]
    fn a_second_owner_is_refused_and_told_which_folder_and_whose_it_is() {
        let parent = tempfile::tempdir().unwrap();
        let first = DataDir::open(parent.path()).unwrap();
        let error = DataDir::open(parent.path()).unwrap_err();
        assert!(matches!(error, DataDirError::InUse { .. }));
        let message = error.to_string();
        assert!(message.contains(&parent.path().display().to_string()), "{message}");
        assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
        drop(first);
        DataDir::open(parent.path()).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_a_folder_is_named_with_the_reason() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.join("below"), file.clone(), PathBuf::from("/proc/no-folder-can-be-made-here")] {
            let error = DataDir::open(&path).unwrap_err();
            assert!(matches!(error, DataDirError::Unusable { .. }), "{error:?}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn a_secret_is_made_once_and_is_its_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataDir::open(parent.path()).unwrap();
        let made = folder.secret_file("key", || Ok(b"first".to_vec())).unwrap();
        let found = folder.secret_file("key", || panic!("there is one")).unwrap();
        assert_eq!((made, found), (b"first".to_vec(), b"first".to_vec()));
        assert_eq!(mode_of(&folder.file("key")), 0o600);
        folder.write_secret("key", b"second").unwrap();
        assert_eq!(read_secret(&folder.file("key")).unwrap(), Some(b"second".to_vec()));
        folder.write_public("key.pub", b"public").unwrap();
        assert_eq!(mode_of(&folder.file("key.pub")), 0o644);
    }

    #[test]
    fn a_secret_left_unfinished_by_a_crash_is_made_anew() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataDir::open(parent.path()).unwrap();
        fs::write(folder.file(".key.unfinished"), "hal").unwrap();
        assert_eq!(folder.secret_file("key", || Ok(b"whole".to_vec())).unwrap(), b"whole");
        assert!(!folder.file(".key.unfinished").exists());
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataDir::open(parent.path()).unwrap();
        folder.write_secret("key", b"secret").unwrap();
        fs::set_permissions(folder.file("key"), Permissions::from_mode(0o640)).unwrap();
        let error = folder.secret_file("key", || panic!("there is one")).unwrap_err();
        assert!(matches!(error, DataDirError::ExposedSecret { mode: 0o640, .. }));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_secret_that_cannot_be_made_leaves_nothing_behind() {
        let parent = tempfile::tempdir().unwrap();
        let folder = DataDir::open(parent.path()).unwrap();
        let error = folder.secret_file("key", || Err(io::Error::other("no randomness"))).unwrap_err();
        assert!(error.to_string().contains("no randomness"), "{error}");
        assert_eq!(read_secret(&folder.file("key")).unwrap(), None);
    }
}
