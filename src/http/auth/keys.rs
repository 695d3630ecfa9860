//! The server's Ed25519 key: made on first start in the data folder, or given as PKCS#8 PEM.
//!
//! Whoever holds this key can be anyone. It is never logged, and on disk only its owner may read it.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
    spki::der::pem::LineEnding,
};

/// The key's file in the data folder.
pub const KEY_FILE: &str = "signing-key.pem";
/// The file there of the public halves of keys that were in its place before.
pub const RETIRED_FILE: &str = "retired-keys.pem";
/// The most of those that are kept; the oldest go first.
pub const MAX_RETIRED: usize = 8;
/// The most bytes of that file.
const MAX_RETIRED_BYTES: u64 = 64 * 1024;

/// A key that could not be made, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or its folder could not be read or written.
    #[error("signing key {}: {source}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner may read the file: the key may be known to them already.
    #[error("signing key {} has mode {mode:04o}: others can read it; run `chmod 600` on it, or remove it for a new one (which ends all sessions)", path.display())]
    Exposed {
        /// The file in question.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not an Ed25519 private key in PKCS#8 PEM.
    #[error("not an Ed25519 private key in PKCS#8 PEM (`-----BEGIN PRIVATE KEY-----`)")]
    Malformed,
    /// Not Ed25519 public keys in PEM, one after the other.
    #[error("not a list of Ed25519 public keys in PEM (`-----BEGIN PUBLIC KEY-----`)")]
    MalformedRetired,
    /// The system gave no randomness.
    #[error("no randomness for a new key: {0}")]
    Randomness(getrandom::Error),
}

/// The private key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    kid: String,
}

impl SigningKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Randomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of the data folder; made there, with the folder, where there is none.
    ///
    /// A new key appears under its name whole or not at all; of two processes that make one at once, both end up
    /// with the same. A file that others than its owner may read is refused.
    pub fn load_or_create(dir: &Path) -> Result<Self, KeyError> {
        let path = dir.join(KEY_FILE);
        if let Some(key) = Self::load(&path)? {
            return Ok(key);
        }
        let key = Self::generate()?;
        match key.create(dir, &path) {
            Ok(()) => Ok(key),
            // Another process was faster: its key is the key.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(&path)?.ok_or(KeyError::Io { path, source: io::ErrorKind::NotFound.into() })
            }
            Err(source) => Err(KeyError::Io { path, source }),
        }
    }

    /// Reads a PKCS#8 PEM, with or without the public key in it.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim()).map(Self::from_key).map_err(|_| KeyError::Malformed)
    }

    /// The key as PKCS#8 PEM, in the version that openssl reads too.
    pub fn to_pem(&self) -> String {
        // With the public key it would be version 2, which older openssl refuses.
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).expect("32 bytes encode");
        pem.to_string()
    }

    /// The public half as SubjectPublicKeyInfo PEM, for those who only verify.
    pub fn to_public_pem(&self) -> String {
        self.key.verifying_key().to_public_key_pem(LineEnding::LF).expect("32 bytes encode")
    }

    /// The key's name in the `kid` header: the first 9 bytes of the public key, in base64url.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn inner(&self) -> &ed25519_dalek::SigningKey {
        &self.key
    }

    fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_key(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    fn from_key(key: ed25519_dalek::SigningKey) -> Self {
        let kid = kid_of(&key.verifying_key());
        Self { key, kid }
    }

    fn load(path: &Path) -> Result<Option<Self>, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let mode = match fs::metadata(path) {
            Ok(metadata) => metadata.permissions().mode() & 0o7777,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        Self::from_pem(&fs::read_to_string(path).map_err(io)?).map(Some)
    }

    fn create(&self, dir: &Path, path: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        // The process id keeps two that start at once apart; `link` then lets only one of them win.
        let temporary = dir.join(format!("{KEY_FILE}.{}", std::process::id()));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file
            .write_all(self.to_pem().as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&temporary, path));
        fs::remove_file(&temporary)?;
        written?;
        File::open(dir)?.sync_all()
    }
}

/// The public half of a key that signed before this one, and whose tokens are still good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    key: ed25519_dalek::VerifyingKey,
    kid: String,
}

impl RetiredKey {
    /// Reads a list of keys in PEM, the newest first; what is beyond [`MAX_RETIRED`] is too old.
    pub fn list(pem: &str) -> Result<Vec<Self>, KeyError> {
        const END: &str = "-----END PUBLIC KEY-----";
        let keys = pem.split_inclusive(END).map(str::trim).filter(|block| !block.is_empty()).map(|block| {
            let key = ed25519_dalek::VerifyingKey::from_public_key_pem(block);
            key.map(|key| Self { kid: kid_of(&key), key }).map_err(|_| KeyError::MalformedRetired)
        });
        keys.take(MAX_RETIRED).collect()
    }

    /// Those of the data folder; none where nothing was retired.
    pub fn load(dir: &Path) -> Result<Vec<Self>, KeyError> {
        let path = dir.join(RETIRED_FILE);
        let io = |source| KeyError::Io { path: path.clone(), source };
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(error)),
            Ok(metadata) if metadata.len() > MAX_RETIRED_BYTES => return Err(KeyError::MalformedRetired),
            Ok(_) => {}
        }
        Self::list(&fs::read_to_string(&path).map_err(io)?)
    }

    /// The list that has a key before these, in PEM.
    pub fn list_with(retired: &SigningKey, before: &[Self]) -> String {
        let others = before.iter().filter(|key| key.kid != retired.kid).take(MAX_RETIRED - 1);
        let others = others.map(|key| key.key.to_public_key_pem(LineEnding::LF).expect("32 bytes encode"));
        std::iter::once(retired.to_public_pem()).chain(others).collect()
    }

    /// The key's name, as [`SigningKey::kid`].
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn inner(&self) -> &ed25519_dalek::VerifyingKey {
        &self.key
    }
}

fn kid_of(key: &ed25519_dalek::VerifyingKey) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&key.as_bytes()[..9])
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_later_starts_find() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let made = SigningKey::load_or_create(&dir).unwrap();
        let found = SigningKey::load_or_create(&dir).unwrap();
        assert_eq!(made.to_pem(), found.to_pem());
        assert_eq!(made.kid().len(), 12);

        let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [KEY_FILE], "no temporary file stays");
        let mode = fs::metadata(dir.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }

    #[test]
    fn a_key_made_meanwhile_by_another_process_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = SigningKey::load_or_create(folder.path()).unwrap();
        let ours = SigningKey::generate().unwrap();
        let error = ours.create(folder.path(), &folder.path().join(KEY_FILE)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(SigningKey::load_or_create(folder.path()).unwrap().kid(), theirs.kid());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::load_or_create(folder.path()).unwrap();
        fs::set_permissions(folder.path().join(KEY_FILE), fs::Permissions::from_mode(0o640)).unwrap();
        let error = SigningKey::load_or_create(folder.path()).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: 0o640, .. }), "{error}");
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::load_or_create(folder.path()).unwrap();
        fs::write(folder.path().join(KEY_FILE), "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(matches!(SigningKey::load_or_create(folder.path()), Err(KeyError::Malformed)));
        assert_eq!(fs::read(folder.path().join(KEY_FILE)).unwrap(), b"-----BEGIN PRIVATE KEY-----\n");
    }

    #[test]
    fn pem_of_openssl_is_read_and_gives_its_public_key() {
        // `openssl genpkey -algorithm ed25519`, RFC 8410's example key.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem).unwrap();
        assert_eq!(key.to_pem(), pem);
        assert_eq!(
            key.to_public_pem(),
            "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
             -----END PUBLIC KEY-----\n"
        );
    }

    #[test]
    fn retired_keys_are_kept_newest_first_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(RetiredKey::load(folder.path()).unwrap(), []);
        let mut kids = Vec::new();
        for _ in 0..MAX_RETIRED + 2 {
            let key = SigningKey::generate().unwrap();
            kids.insert(0, key.kid().to_owned());
            let before = RetiredKey::load(folder.path()).unwrap();
            fs::write(folder.path().join(RETIRED_FILE), RetiredKey::list_with(&key, &before)).unwrap();
        }
        let kept: Vec<_> = RetiredKey::load(folder.path()).unwrap().into_iter().map(|key| key.kid).collect();
        assert_eq!(kept, kids[..MAX_RETIRED]);
        fs::write(folder.path().join(RETIRED_FILE), "-----BEGIN PUBLIC KEY-----\n").unwrap();
        assert!(matches!(RetiredKey::load(folder.path()), Err(KeyError::MalformedRetired)));
    }

    #[test]
    fn a_key_that_is_retired_twice_stands_there_once() {
        let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let list = RetiredKey::list(&RetiredKey::list_with(&one, &[])).unwrap();
        let list = RetiredKey::list(&RetiredKey::list_with(&other, &list)).unwrap();
        let list = RetiredKey::list(&RetiredKey::list_with(&one, &list)).unwrap();
        assert_eq!(list.iter().map(RetiredKey::kid).collect::<Vec<_>>(), [one.kid(), other.kid()]);
    }

    #[test]
    fn the_private_key_is_not_in_the_debug_form() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: \"{}\", .. }}", key.kid()));
    }
}
