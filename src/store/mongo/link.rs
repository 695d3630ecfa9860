//! The way to the database: the client, what bounds its use, and its errors in our terms.

use std::{
    future::Future,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use mongodb::{
    Client, Database,
    bson::doc,
    error::{Error, ErrorKind, WriteFailure},
    options::{Acknowledgment, ClientOptions, ReadPreference, SelectionCriteria, WriteConcern},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, MutexGuard, OnceCell, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::store::{
    StoreError,
    mongo::{MongoCounts, MongoSettings, migrations},
    state::StoreFuture,
};

/// MongoDB's code of a write that a unique index refuses.
const DUPLICATE_KEY: i32 = 11000;
/// MongoDB's codes of an operation that took too long there.
const TOOK_TOO_LONG: [i32; 2] = [50, 64];

/// The most characters of an error that are told.
const MAX_ERROR: usize = 160;
/// Locks of documents; each is that of many.
const LOCKS: usize = 64;

/// The database, and what has become of calls to it.
pub struct Link {
    client: Client,
    database: Database,
    /// Where the client lives; calls may come from threads of other runtimes.
    runtime: Handle,
    /// Places of calls that run or wait.
    places: Arc<Semaphore>,
    all_places: u32,
    /// Places of calls that run: as many as there are connections.
    running: Arc<Semaphore>,
    /// Held while a document is written, by its id: see [`lock`](Self::lock).
    locks: Vec<Mutex<()>>,
    /// The database is as this server needs it: looked at once, with the first call that gets through.
    ready: OnceCell<()>,
    timeout: Duration,
    is_closed: AtomicBool,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    failed: AtomicU64,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A unique index has the key already.
    Duplicate,
    /// The server has refused the command, in words of its own.
    Refused(String),
    /// Anything else.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &*error.kind {
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
            ErrorKind::Command(error) => Some(error.code),
            // The write is there, but not yet as safe as it was asked for.
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => return Self::Store(StoreError::TimedOut),
            _ => None,
        };
        match code {
            Some(DUPLICATE_KEY) => Self::Duplicate,
            Some(code) if TOOK_TOO_LONG.contains(&code) => Self::Store(StoreError::TimedOut),
            Some(_) => Self::Refused(shortened(&error)),
            None => Self::Store(StoreError::Unavailable(shortened(&error))),
        }
    }
}

/// What the driver said, without the labels and the server's whole answer, which the error itself would print, and no longer
/// than a line: some servers give the document back that they refuse.
fn shortened(error: &Error) -> String {
    let text = error.kind.to_string();
    let end = text.char_indices().nth(MAX_ERROR).map_or(text.len(), |(end, _)| end);
    text[..end].to_owned()
}

impl Failure {
    /// What a caller is told, where a duplicate is nothing that it could have known of.
    pub fn into_store(self) -> StoreError {
        match self {
            Self::Duplicate => StoreError::Conflict,
            Self::Refused(detail) => StoreError::Unavailable(detail),
            Self::Store(error) => error,
        }
    }
}

impl Link {
    /// Makes the client, which connects when it is first asked. It lives on the runtime that this is awaited on.
    ///
    /// # Errors
    /// Where the URL is none.
    pub async fn new(settings: &MongoSettings) -> Result<Self, StoreError> {
        let unusable = |error: Error| StoreError::Unavailable(format!("the URL cannot be used: {}", error.kind));
        let mut options = ClientOptions::parse(settings.url.as_str()).await.map_err(unusable)?;
        let pool = settings.pool.max(1);
        options.app_name.get_or_insert_with(|| "pianorhythm-server".to_owned());
        options.max_pool_size = Some(u32::try_from(pool).unwrap_or(u32::MAX));
        options.max_idle_time.get_or_insert(Duration::from_secs(5 * 60));
        // Sooner than a call gives up, so that it is told why.
        options.server_selection_timeout = Some(settings.timeout * 3 / 4);
        options.connect_timeout = Some((settings.timeout / 2).max(Duration::from_millis(100)));
        // The driver looks itself whether the server can.
        options.retry_writes = Some(true);
        options.retry_reads = Some(true);
        // Journalled too, which a server without others would leave for later.
        let majority = WriteConcern::builder().w(Acknowledgment::Majority).journal(true);
        options.write_concern = Some(majority.w_timeout(settings.timeout).build());
        // A write that relies on what was read relies on its being the newest.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        let client = Client::with_options(options).map_err(unusable)?;
        let database = client.database(&settings.database);
        let all_places = u32::try_from(pool.saturating_add(settings.queue)).unwrap_or(u32::MAX).min(1 << 24);
        Ok(Self {
            client,
            database,
            runtime: Handle::current(),
            places: Arc::new(Semaphore::new(all_places as usize)),
            all_places,
            running: Arc::new(Semaphore::new(pool)),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
            ready: OnceCell::new(),
            timeout: settings.timeout,
            is_closed: AtomicBool::new(false),
            counters: Counters::default(),
        })
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Where the client lives.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// What has become of calls so far.
    pub fn counts(&self) -> MongoCounts {
        let Counters { calls, refused, expired, failed } = &self.counters;
        MongoCounts {
            calls: calls.load(Relaxed),
            refused: refused.load(Relaxed),
            expired: expired.load(Relaxed),
            failed: failed.load(Relaxed),
        }
    }

    /// When a call that begins now has to have ended.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Makes a call: it waits for a connection, and is carried out, within its time. It takes its place when this is
    /// called; that there is none is told at once.
    pub fn call<T: Send + 'static, F: Future<Output = Result<T, Failure>> + Send + 'static>(
        self: &Arc<Self>,
        operation: impl FnOnce(Arc<Self>) -> F,
    ) -> StoreFuture<'static, T> {
        let place = self.place();
        let (link, deadline, operation) = (self.clone(), self.deadline(), operation(self.clone()));
        Box::pin(async move {
            let place = place?;
            let runtime = link.runtime.clone();
            let task = runtime.spawn(async move {
                let _place = place;
                link.within(deadline, operation).await
            });
            task.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the call was given up".to_owned())))
        })
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        if self.is_closed.load(Relaxed) {
            return Err(closed());
        }
        self.places.clone().try_acquire_owned().map_err(|_| self.refuse())
    }

    /// Counts a refusal.
    pub fn refuse(&self) -> StoreError {
        self.counters.refused.fetch_add(1, Relaxed);
        StoreError::Busy
    }

    /// Counts what waited past its deadline, and was not begun.
    pub fn expire(&self) -> StoreError {
        self.counters.expired.fetch_add(1, Relaxed);
        StoreError::Busy
    }

    /// Carries something out on a connection before a deadline. On the client's runtime.
    pub async fn within<T>(
        &self,
        deadline: Instant,
        operation: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        let _running = match timeout_at(deadline, self.running.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(self.expire()),
        };
        // The place may have come free at the very end.
        if Instant::now() >= deadline {
            return Err(self.expire());
        }
        self.counters.calls.fetch_add(1, Relaxed);
        let whole = async {
            self.ready.get_or_try_init(|| migrations::run(&self.database)).await?;
            operation.await
        };
        let outcome = match timeout_at(deadline, whole).await {
            Ok(outcome) => outcome.map_err(Failure::into_store),
            Err(_) => Err(StoreError::TimedOut),
        };
        if matches!(outcome, Err(StoreError::TimedOut | StoreError::Unavailable(_))) {
            self.counters.failed.fetch_add(1, Relaxed);
        }
        outcome
    }

    /// Lets writers of one document at it one after the other: they do not cross, and find each other's revisions.
    ///
    /// MongoDB looks at a revision and replaces the document in one step, which keeps writers of other servers apart. Not
    /// every server that speaks its protocol does; with those, this keeps the writers of one server apart.
    pub async fn lock(&self, collection: &str, id: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        (collection, id).hash(&mut hasher);
        self.locks[(hasher.finish() % LOCKS as u64) as usize].lock().await
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<(), Failure> {
        self.database.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    /// Takes no calls any more.
    pub fn refuse_calls(&self) {
        self.is_closed.store(true, Relaxed);
    }

    /// Gives the connections up, after the calls under way.
    pub async fn close(&self) {
        self.refuse_calls();
        // All places: nobody runs or waits.
        let _idle = timeout_at(self.deadline(), self.places.acquire_many(self.all_places)).await;
        self.running.close();
        let shutdown = self.client.clone().shutdown();
        let _ = timeout_at(self.deadline(), self.runtime.spawn(async move { shutdown.await })).await;
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the documents are closed".to_owned())
}
