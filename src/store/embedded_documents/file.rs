//! The redb file: opening it, its schema version, and opening it again after an I/O error.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use redb::{
    Builder, CommitError, Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, StorageError,
    TableError, TransactionError, WriteTransaction,
};

use crate::store::{StoreError, embedded_documents::tables};

/// Memory that redb may use for pages of the file.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// How the file is opened: at start, and again after an I/O error.
pub type Open = Box<dyn Fn() -> Result<Database, StoreFailure> + Send + Sync>;

/// Opens the file at a path, made where there is none.
pub fn open(path: &Path) -> Result<Database, StoreFailure> {
    let told = |error: io::Error| StoreFailure::new(format!("cannot open {}: {error}", path.display()));
    // An empty one holds nothing either.
    let is_there = match path.metadata() {
        Ok(metadata) => metadata.len() > 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(told(error)),
    };
    if !is_there {
        make(path)?;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(told)?;
    builder().create_file(file).map_err(|error| StoreFailure::of_file(&path.display().to_string(), error))
}

/// Makes an empty file with mode 0600: beside its place, and moved there when it is whole. Who is killed half way leaves nothing that
/// has to be cleared up by hand.
fn make(path: &Path) -> Result<(), StoreFailure> {
    let unfinished = unfinished(path);
    let told = |error: io::Error| StoreFailure::new(format!("cannot make {}: {error}", path.display()));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let file = file.map_err(told)?;
    let database = builder().create_file(file.try_clone().map_err(told)?);
    drop(database.map_err(|error| StoreFailure::of_file(&unfinished.display().to_string(), error))?);
    file.sync_all().map_err(told)?;
    fs::rename(&unfinished, path).map_err(told)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)
}

/// Where a file is while it is made.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// redb with our bounds.
pub fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The open file. Between an I/O error and the next opening there is none.
pub struct DocumentFile {
    open: Open,
    // Held only to take a copy or to exchange it, never over I/O.
    database: RwLock<Option<Arc<Database>>>,
}

impl DocumentFile {
    /// Opens the file and checks its schema version, or makes its tables.
    pub fn open(open: Open) -> Result<Self, StoreError> {
        let database = opened(&open).map_err(|failure| failure.error)?;
        Ok(Self { open, database: RwLock::new(Some(Arc::new(database))) })
    }

    /// Reads from a snapshot.
    pub fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreFailure>) -> Result<T, StoreError> {
        let read = || read(&self.database()?.begin_read()?);
        read().map_err(|failure| failure.error)
    }

    /// Writes in one transaction: durable when this returns `Ok`, and whole or not at all.
    pub fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, StoreFailure>,
    ) -> Result<T, StoreFailure> {
        let mut transaction = self.database()?.begin_write()?;
        durable(&mut transaction);
        let written = write(&transaction)?;
        transaction.commit()?;
        Ok(written)
    }

    /// Closes the file and opens it again, as redb asks for after an I/O error.
    ///
    /// # Errors
    /// Also where a read still holds the file; the next try finds it free.
    pub fn reopen(&self) -> Result<(), StoreFailure> {
        self.close();
        let database = opened(&self.open)?;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
        Ok(())
    }

    /// Gives up the file, as soon as the reads under way have ended.
    pub fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // Closing is I/O: not under the lock.
        drop(database);
    }

    fn database(&self) -> Result<Arc<Database>, StoreFailure> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        database.ok_or_else(|| StoreFailure::new("the file is closed".into()))
    }
}

impl fmt::Debug for DocumentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentFile").finish_non_exhaustive()
    }
}

fn opened(open: &Open) -> Result<Database, StoreFailure> {
    let database = open()?;
    let mut transaction = database.begin_write()?;
    durable(&mut transaction);
    if tables::prepare(&transaction)? {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(database)
}

fn durable(transaction: &mut WriteTransaction) {
    // Only refuses to be lowered where savepoints are used.
    let set = transaction.set_durability(Durability::Immediate);
    debug_assert!(set.is_ok());
    // In two phases, for what is kept is written by strangers; and after a crash the file opens at once, without
    // walking through it.
    transaction.set_quick_repair(true);
}

/// Why the file did not do what it was asked, in the caller's terms.
#[derive(Debug)]
pub struct StoreFailure {
    /// What the caller is told.
    pub error: StoreError,
}

impl StoreFailure {
    /// The store is away.
    pub fn new(detail: String) -> Self {
        Self { error: StoreError::Unavailable(detail) }
    }

    /// A document does not decode; the others can be read.
    pub fn corrupt(key: &str, error: &serde_json::Error) -> Self {
        Self { error: StoreError::Corrupt { key: key.into(), detail: error.to_string() } }
    }

    fn of_file(path: &str, error: DatabaseError) -> Self {
        let remedy = "restore it from a copy, or move it away to start without what it holds";
        match error {
            DatabaseError::Storage(StorageError::Corrupted(detail)) => {
                Self { error: StoreError::Corrupt { key: path.into(), detail: format!("{detail}; {remedy}") } }
            }
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Self { error: StoreError::Corrupt { key: path.into(), detail: format!("{error}; {remedy}") } }
            }
            other => Self::new(format!("cannot open {path}: {other}")),
        }
    }
}

macro_rules! unavailable {
    ($($error:ty)*) => {
        $(impl From<$error> for StoreFailure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}

unavailable!(StorageError TransactionError TableError CommitError);
