//! The embedded [`Documents`]: one redb file in the data folder.
//!
//! One thread writes, in group commits; reads are snapshots, on tokio's blocking threads. Nothing waits without
//! bound: the queue is bounded in requests and bytes, and every call has its deadline.

mod collections;
mod file;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use redb::ReadTransaction;
use serde::Serialize;
use tokio::{
    sync::{Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout_at,
};

use crate::{
    domain::room::RoomChange,
    protocol::{ids::RoomKey, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Draft, Expected, Found, Query, Record},
        documents::{Documents, MAX_DOCUMENT_BYTES, MAX_ROOMS_A_CALL, RoomsPage, SavedRoom},
        embedded_documents::{
            file::{DocumentFile, Open, StoreFailure},
            tables::{Change, Outcome},
            writer::{Request, Work, Writer},
        },
        state::{MAX_KEY_BYTES, StoreFuture, check_length},
    },
};

/// The file's name in the data folder.
pub const DOCUMENTS_FILE: &str = "documents.redb";
/// Bytes of changes that may wait for the writer, besides the bound on their number.
const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Reads at once; others wait, up to their deadline.
const MAX_READS: usize = 16;

/// The bounds of the embedded documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedDocumentsSettings {
    /// How many changes may wait for the writer; past it, [`StoreError::Busy`].
    pub queue: usize,
    /// How long changes are gathered at most into one commit when many come; a change that comes alone is
    /// committed at once.
    pub gather: Duration,
    /// How long a call may take. A change that waits longer in the queue is dropped unhandled, and counted.
    pub timeout: Duration,
}

impl Default for EmbeddedDocumentsSettings {
    fn default() -> Self {
        Self { queue: 1024, gather: Duration::from_millis(20), timeout: Duration::from_secs(5) }
    }
}

/// What the store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DocumentsCounts {
    /// Group commits.
    pub commits: u64,
    /// Changes made durable by them.
    pub changes: u64,
    /// Changes refused because the queue was full.
    pub refused: u64,
    /// Changes dropped unhandled because their deadline had passed.
    pub expired: u64,
    /// Changes answered as failed.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    changes: AtomicU64,
    refused: AtomicU64,
    expired: AtomicU64,
    failed: AtomicU64,
}

/// A handle of the store. The writer ends when the last is dropped, after what was asked before.
#[derive(Debug)]
pub struct EmbeddedDocuments {
    file: Arc<DocumentFile>,
    requests: SyncSender<Request>,
    queued_bytes: Arc<AtomicUsize>,
    reads: Arc<Semaphore>,
    counters: Arc<Counters>,
    timeout: Duration,
}

impl EmbeddedDocuments {
    /// Opens the file at this path, made where there is none, and starts its writer.
    ///
    /// Blocks for as long as that takes: call it at start, or on a blocking thread. After a crash there is nothing
    /// to repair by hand.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] for the file of a newer server, [`StoreError::Corrupt`] for one that is none,
    /// [`StoreError::Unavailable`] where it cannot be opened.
    pub fn open(path: &Path, settings: EmbeddedDocumentsSettings) -> Result<Arc<Self>, StoreError> {
        let path = path.to_owned();
        Self::open_with(Box::new(move || file::open(&path)), settings)
    }

    fn open_with(open: Open, settings: EmbeddedDocumentsSettings) -> Result<Arc<Self>, StoreError> {
        let file = Arc::new(DocumentFile::open(open)?);
        let (requests, inbox) = mpsc::sync_channel(settings.queue.max(1));
        let counters = Arc::new(Counters::default());
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let writer = Writer::new(file.clone(), inbox, settings.gather, counters.clone(), queued_bytes.clone());
        let spawned = thread::Builder::new().name("documents".into()).spawn(move || writer.run());
        spawned.map_err(|error| StoreError::Unavailable(format!("no thread to write with: {error}")))?;
        let reads = Arc::new(Semaphore::new(MAX_READS));
        Ok(Arc::new(Self { file, requests, queued_bytes, reads, counters, timeout: settings.timeout }))
    }

    /// What it has done so far.
    pub fn counts(&self) -> DocumentsCounts {
        let Counters { commits, changes, refused, expired, failed } = &*self.counters;
        DocumentsCounts {
            commits: commits.load(Relaxed),
            changes: changes.load(Relaxed),
            refused: refused.load(Relaxed),
            expired: expired.load(Relaxed),
            failed: failed.load(Relaxed),
        }
    }

    /// Puts work into the queue now; the future waits for its outcome.
    fn submit(&self, work: Result<Work, StoreError>) -> StoreFuture<'static, Outcome> {
        let deadline = Instant::now() + self.timeout;
        let answer = work.and_then(|work| self.enqueue(work, deadline));
        Box::pin(async move {
            let answered = timeout_at(deadline.into(), answer?).await.map_err(|_| StoreError::TimedOut)?;
            answered.map_err(|_| closed())?
        })
    }

    fn enqueue(
        &self,
        work: Work,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Outcome, StoreError>>, StoreError> {
        let bytes = work.bytes();
        let (reply, answer) = oneshot::channel();
        // Taken first and given back on refusal: never more than the bound is in the queue.
        let refused = self.queued_bytes.fetch_add(bytes, Relaxed) + bytes > MAX_QUEUED_BYTES;
        let sent = if refused {
            Err(StoreError::Busy)
        } else {
            self.requests.try_send(Request { work, deadline, reply }).map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => closed(),
            })
        };
        if let Err(error) = sent {
            self.queued_bytes.fetch_sub(bytes, Relaxed);
            if error == StoreError::Busy {
                self.counters.refused.fetch_add(1, Relaxed);
            }
            return Err(error);
        }
        Ok(answer)
    }

    /// Reads from a snapshot on a blocking thread.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreFailure> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        let deadline = tokio::time::Instant::now() + self.timeout;
        let (file, reads) = (self.file.clone(), self.reads.clone());
        async move {
            let place = timeout_at(deadline, reads.acquire_owned()).await.map_err(|_| StoreError::Busy)?;
            let reading = spawn_blocking(move || {
                // Given back when the read ends, not when its caller has stopped waiting.
                let _place = place.map_err(|_| closed())?;
                file.read(read)
            });
            let read = timeout_at(deadline, reading).await.map_err(|_| StoreError::TimedOut)?;
            read.map_err(|_| StoreError::Unavailable("the read panicked".into()))?
        }
    }
}

impl Documents for EmbeddedDocuments {
    fn load_room<'a>(&'a self, key: &'a RoomKey) -> StoreFuture<'a, Option<SavedRoom>> {
        let key = key.clone();
        Box::pin(self.read(move |snapshot| tables::load_room(snapshot, &key)))
    }

    fn save(&self, change: RoomChange) -> StoreFuture<'static, ()> {
        done(self.submit(encoded(change).map(Work::Change)))
    }

    fn list_rooms<'a>(&'a self, after: Option<&'a RoomKey>, limit: usize) -> StoreFuture<'a, RoomsPage> {
        let after = after.cloned();
        let limit = limit.clamp(1, MAX_ROOMS_A_CALL);
        Box::pin(self.read(move |snapshot| tables::list_rooms(snapshot, after.as_ref(), limit)))
    }

    fn forget_guest_rooms(&self, unused_since: Timestamp) -> StoreFuture<'_, Vec<RoomKey>> {
        let outcome = self.submit(Ok(Work::Change(Change::ForgetGuestRooms { unused_since })));
        Box::pin(async move {
            match outcome.await? {
                Outcome::Forgotten(keys) => Ok(keys),
                _ => Ok(Vec::new()),
            }
        })
    }

    fn load_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(self.read(move |snapshot| tables::load_meta(snapshot, &key)))
    }

    fn list_meta<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>> {
        let (after, limit) = (after.map(str::to_owned), limit.clamp(1, MAX_ROOMS_A_CALL));
        Box::pin(self.read(move |snapshot| tables::list_meta(snapshot, after.as_deref(), limit)))
    }

    fn save_meta<'a>(&'a self, key: &'a str, document: Bytes) -> StoreFuture<'a, ()> {
        let checked = check_length("key", key.len(), MAX_KEY_BYTES)
            .and_then(|()| check_length("document", document.len(), MAX_DOCUMENT_BYTES));
        done(self.submit(checked.map(|()| Work::Change(Change::SaveMeta { key: key.into(), document }))))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        done(self.submit(Ok(Work::Check)))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        done(self.submit(Ok(Work::Close)))
    }
}

impl Collections for EmbeddedDocuments {
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>> {
        let id = id.to_owned();
        Box::pin(self.read(move |snapshot| collections::get(snapshot, collection, &id)))
    }

    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64> {
        let work = draft.check().map(|()| Work::Change(Change::Write { collection, draft, expected }));
        let outcome = self.submit(work);
        Box::pin(async move {
            match outcome.await? {
                Outcome::Written(revision) => Ok(revision),
                Outcome::Refused(error) => Err(error),
                outcome => unreachable!("a write does not come to {outcome:?}"),
            }
        })
    }

    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool> {
        let outcome = self.submit(Ok(Work::Change(Change::Remove { collection, id: id.to_owned(), revision })));
        Box::pin(async move {
            match outcome.await? {
                Outcome::Removed(was_there) => Ok(was_there),
                Outcome::Refused(error) => Err(error),
                outcome => unreachable!("a deletion does not come to {outcome:?}"),
            }
        })
    }

    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found> {
        Box::pin(self.read(move |snapshot| collections::list(snapshot, collection, &query)))
    }
}

fn done(outcome: StoreFuture<'static, Outcome>) -> StoreFuture<'static, ()> {
    Box::pin(async move { outcome.await.map(drop) })
}

/// A change as it is kept: encoded here, by whoever asks, so that the writer only writes.
fn encoded(change: RoomChange) -> Result<Change, StoreError> {
    Ok(match change {
        RoomChange::Save(record) => Change::SaveRoom {
            guest_use: record.by_guest.then_some(record.last_used),
            document: document(&record)?,
            key: record.key,
        },
        RoomChange::Chat { key, line } => Change::AddLine { key, document: document(&line)? },
        RoomChange::Delete(key) => Change::DeleteRoom { key },
    })
}

fn document(value: &impl Serialize) -> Result<Bytes, StoreError> {
    let document = serde_json::to_vec(value).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    check_length("document", document.len(), MAX_DOCUMENT_BYTES)?;
    Ok(document.into())
}

fn closed() -> StoreError {
    StoreError::Unavailable("the documents are closed".into())
}
