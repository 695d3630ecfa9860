use std::{
    io,
    ops::Bound,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use redb::{BackendError, StorageBackend, TableDefinition, backends::FileBackend};

use super::*;
use crate::store::{
    collections_contract,
    contract::documents::{key, line, record},
    documents_contract, people_contract,
};

fn path_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join(DOCUMENTS_FILE)
}

/// A busy disk may keep a commit waiting for seconds.
fn patient() -> EmbeddedDocumentsSettings {
    EmbeddedDocumentsSettings { timeout: Duration::from_secs(60), ..Default::default() }
}

fn opened(folder: &tempfile::TempDir) -> Arc<EmbeddedDocuments> {
    EmbeddedDocuments::open(&path_in(folder), patient()).unwrap()
}

async fn embedded() -> (Arc<EmbeddedDocuments>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (opened(&folder), folder)
}

documents_contract!(embedded);
collections_contract!(embedded);
people_contract!(embedded);

fn save_room(name: &str) -> RoomChange {
    RoomChange::Save(Box::new(record(name)))
}

/// Asks until the answer is yes.
async fn until<F: Future<Output = bool>>(mut ask: impl FnMut() -> F) {
    while !ask().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_saved_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    store.save(save_room("jazz")).await.unwrap();
    store.save(RoomChange::Chat { key: key("jazz"), line: line("hello") }).await.unwrap();
    store.save_meta("motd", Bytes::from_static(b"hi")).await.unwrap();
    store.close().await.unwrap();
    let store = opened(&folder);
    let room = store.load_room(&key("jazz")).await.unwrap().unwrap();
    assert_eq!((room.record, room.chat), (record("jazz"), vec![line("hello")]));
    assert_eq!(store.load_meta("motd").await, Ok(Some(Bytes::from_static(b"hi"))));
}

#[tokio::test]
async fn a_file_that_was_never_finished_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    // The beginning of one, as a kill leaves it, and an empty one in its place.
    let unfinished = path_in(&folder).with_extension("redb.new");
    std::fs::write(&unfinished, [0; 4096]).unwrap();
    std::fs::write(path_in(&folder), []).unwrap();
    let store = opened(&folder);
    store.save(save_room("jazz")).await.unwrap();
    store.close().await.unwrap();
    assert!(opened(&folder).load_room(&key("jazz")).await.unwrap().is_some());
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let (_store, folder) = embedded().await;
    let mode = std::fs::metadata(path_in(&folder)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn changes_that_come_together_share_a_commit() {
    let (store, _folder) = embedded().await;
    store.save(save_room("first")).await.unwrap();
    let changes: Vec<_> = (0..100).map(|i| store.save(save_room(&format!("room {i}")))).collect();
    for change in changes {
        change.await.unwrap();
    }
    let counts = store.counts();
    assert_eq!((counts.changes, counts.failed), (101, 0));
    assert!(counts.commits < 20, "{counts:?}");
}

#[test]
fn a_file_of_a_newer_server_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(opened(&folder));
    let database = loop {
        // Until the writer of the handle that was just dropped has closed the file.
        if let Ok(database) = redb::Database::open(path_in(&folder)) {
            break database;
        }
    };
    let transaction = database.begin_write().unwrap();
    let schema: TableDefinition<&str, u64> = TableDefinition::new("schema");
    transaction.open_table(schema).unwrap().insert("version", 99).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = EmbeddedDocuments::open(&path_in(&folder), Default::default()).unwrap_err();
        assert_eq!(error, StoreError::Incompatible { found: 99, supported: tables::SCHEMA_VERSION });
        assert!(error.to_string().contains("run a newer server"), "{error}");
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_opens_with_its_rooms_and_takes_peoples_documents_and_is_migrated_once() {
    let folder = tempfile::tempdir().unwrap();
    // As the first version wrote it: its tables and its number.
    let database = redb::Database::create(path_in(&folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    let rooms: TableDefinition<&str, &[u8]> = TableDefinition::new("rooms");
    let chat: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("chat");
    let guest_rooms: TableDefinition<(u64, &str), ()> = TableDefinition::new("guest_rooms");
    let meta: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    let schema: TableDefinition<&str, u64> = TableDefinition::new("schema");
    let record_of_jazz = serde_json::to_vec(&record("jazz")).unwrap();
    transaction.open_table(rooms).unwrap().insert("jazz", &*record_of_jazz).unwrap();
    let line_of_jazz = serde_json::to_vec(&line("hello")).unwrap();
    transaction.open_table(chat).unwrap().insert(("jazz", 1), &*line_of_jazz).unwrap();
    transaction.open_table(guest_rooms).unwrap();
    transaction.open_table(meta).unwrap();
    transaction.open_table(schema).unwrap().insert("version", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);

    for opening in 0..2 {
        let store = opened(&folder);
        let room = store.load_room(&key("jazz")).await.unwrap().unwrap();
        assert_eq!((room.record, room.chat), (record("jazz"), vec![line("hello")]));
        let clara = crate::store::contract::people::user("clara");
        match opening {
            0 => drop(crate::store::document::insert(&*store, &clara).await.unwrap()),
            _ => assert!(crate::store::people::Users::user(&*store, &clara.id).await.unwrap().is_some()),
        }
        store.close().await.unwrap();
        let database = redb::Database::open(path_in(&folder)).unwrap();
        let version = redb::ReadableDatabase::begin_read(&database).unwrap().open_table(schema).unwrap();
        assert_eq!(version.get("version").unwrap().unwrap().value(), tables::SCHEMA_VERSION);
    }
}

#[tokio::test]
async fn a_document_that_does_not_decode_is_told_to_who_asks_for_it_and_to_nobody_else() {
    use crate::store::{
        contract::people::user,
        document::{self, Document as _},
        people::{User, Users as _},
    };
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    document::insert(&*store, &user("clara")).await.unwrap();
    store.close().await.unwrap();
    let database = redb::Database::open(path_in(&folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    let documents: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("documents");
    transaction.open_table(documents).unwrap().insert(("users", "broken"), &b"?"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let store = opened(&folder);
    let broken = User { id: "broken".into(), ..user("other") };
    let (insert, rename) = futures_util::join!(
        document::insert(&*store, &broken),
        store.change_user(&broken.id, |_| document::Verdict::Keep(()))
    );
    assert!(matches!(insert, Err(StoreError::Corrupt { ref key, .. }) if key == "users/broken"), "{insert:?}");
    assert!(matches!(rename, Err(StoreError::Corrupt { .. })), "{rename:?}");
    assert!(matches!(store.delete(User::COLLECTION, "broken", None).await, Err(StoreError::Corrupt { .. })));
    assert_eq!(store.counts().failed, 0, "the file is well");
    assert_eq!(store.user_by_name("clara").await.unwrap().unwrap().document, user("clara"));
}

#[test]
fn what_is_no_file_of_documents_is_refused_with_its_path_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(path_in(&folder), "not a database, but a file of some length\n".repeat(100)).unwrap();
    let error = EmbeddedDocuments::open(&path_in(&folder), Default::default()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains(DOCUMENTS_FILE) && error.to_string().contains("move it away"), "{error}");
    let error = EmbeddedDocuments::open(&folder.path().join("no/such"), Default::default()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_told_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder);
    for room in ["a", "b", "c"] {
        store.save(save_room(room)).await.unwrap();
        store.save(RoomChange::Chat { key: key(room), line: line("hello") }).await.unwrap();
    }
    store.close().await.unwrap();
    let database = redb::Database::open(path_in(&folder)).unwrap();
    let transaction = database.begin_write().unwrap();
    let rooms: TableDefinition<&str, &[u8]> = TableDefinition::new("rooms");
    transaction.open_table(rooms).unwrap().insert("b", &b"{"[..]).unwrap();
    let chat: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("chat");
    transaction.open_table(chat).unwrap().insert(("c", 5), &b"{"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);

    let store = opened(&folder);
    assert!(matches!(store.load_room(&key("b")).await, Err(StoreError::Corrupt { key, .. }) if key == "b"));
    let listed = store.list_rooms(None, 10).await.unwrap().rooms;
    assert_eq!(listed, [record("a"), record("c")]);
    assert_eq!(store.load_room(&key("c")).await.unwrap().unwrap().chat, [line("hello")]);
    store.save(save_room("b")).await.expect("it can be replaced");
    assert_eq!(store.load_room(&key("b")).await.unwrap().unwrap().record, record("b"));
}

/// A file whose writes wait for leave, and fail on demand.
#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    failing: AtomicBool,
    stalled: std::sync::Mutex<()>,
}

impl Faults {
    fn pass(&self) -> io::Result<()> {
        drop(self.stalled.lock());
        if self.failing.load(SeqCst) { Err(io::Error::other("no space left on this disk")) } else { Ok(()) }
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.pass()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.pass()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.pass()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn faulty(folder: &tempfile::TempDir, settings: EmbeddedDocumentsSettings) -> (Arc<EmbeddedDocuments>, Arc<Faults>) {
    let (path, faults) = (path_in(folder), Arc::new(Faults::default()));
    let shared = faults.clone();
    let open = move || {
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let file = FileBackend::new(file).map_err(|error| StoreFailure::new(error.to_string()))?;
        let backend = Faulty { file, faults: shared.clone() };
        file::builder().create_with_backend(backend).map_err(|error| StoreFailure::new(error.to_string()))
    };
    (EmbeddedDocuments::open_with(Box::new(open), settings).unwrap(), faults)
}

#[tokio::test]
async fn a_disk_that_fails_is_told_and_when_it_works_again_so_does_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(&folder, patient());
    store.save(save_room("before")).await.unwrap();

    faults.failing.store(true, SeqCst);
    let failed = store.save(save_room("during")).await;
    assert!(matches!(&failed, Err(StoreError::Unavailable(detail)) if detail.contains("no space")), "{failed:?}");
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.save(save_room("during")).await, Err(StoreError::Unavailable(_))));

    faults.failing.store(false, SeqCst);
    // Without a change to write: reads alone must come back too.
    until(|| async { store.load_room(&key("before")).await.is_ok() && store.check().await.is_ok() }).await;
    store.save(save_room("after")).await.unwrap();
    for room in ["before", "after"] {
        assert!(store.load_room(&key(room)).await.unwrap().is_some(), "{room}");
    }
    assert_eq!(store.counts().failed, 2);
}

#[tokio::test]
async fn what_waits_too_long_times_out_and_is_dropped_unhandled_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(&folder, patient());
    let hasty = EmbeddedDocuments {
        file: store.file.clone(),
        requests: store.requests.clone(),
        queued_bytes: store.queued_bytes.clone(),
        reads: store.reads.clone(),
        counters: store.counters.clone(),
        timeout: Duration::from_millis(1),
    };
    let stalled = faults.stalled.lock();
    // The first is under way at the stalled disk, the others wait behind it.
    let first = store.save(save_room("under way"));
    until(|| async { store.queued_bytes.load(Relaxed) == 0 }).await;
    let others: Vec<_> = (0..5).map(|i| hasty.save(save_room(&format!("late {i}")))).collect();
    for change in others {
        assert_eq!(change.await, Err(StoreError::TimedOut));
    }
    drop(stalled);
    first.await.unwrap();
    until(|| async { store.counts().expired == 5 }).await;
    assert_eq!(store.counts().changes, 1);
    assert_eq!(store.load_room(&key("late 0")).await, Ok(None));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(&folder, EmbeddedDocumentsSettings { queue: 2, ..patient() });
    let stalled = faults.stalled.lock();
    let mut accepted = vec![store.save(save_room("under way"))];
    until(|| async { store.queued_bytes.load(Relaxed) == 0 }).await;
    accepted.extend((0..2).map(|i| store.save(save_room(&format!("waits {i}")))));
    assert_eq!(store.save(save_room("too many")).await, Err(StoreError::Busy));
    assert_eq!(store.counts().refused, 1);
    drop(stalled);
    for change in accepted {
        change.await.unwrap();
    }
    assert_eq!(store.load_room(&key("too many")).await, Ok(None));
    assert_eq!(store.queued_bytes.load(Relaxed), 0);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let (store, faults) = faulty(&folder, patient());
    let stalled = faults.stalled.lock();
    let document = Bytes::from(vec![b'x'; MAX_DOCUMENT_BYTES]);
    let first = store.save_meta("under way", document.clone());
    until(|| async { store.queued_bytes.load(Relaxed) == 0 }).await;
    let waiting: Vec<_> =
        (0..MAX_QUEUED_BYTES / MAX_DOCUMENT_BYTES).map(|_| store.save_meta("waits", document.clone())).collect();
    assert_eq!(store.save_meta("too much", document).await, Err(StoreError::Busy));
    drop((first, waiting, stalled));
}
