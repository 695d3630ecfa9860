//! The thread that writes: gathers what waits into one transaction, commits it, and answers.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::store::{
    StoreError,
    embedded_documents::{
        Counters,
        file::{DocumentFile, StoreFailure},
        tables::{Change, Outcome, Tables},
    },
};

/// The most requests of one commit: what waits longer than that is not served sooner by a longer commit.
const MAX_BATCH: usize = 256;
/// How long after an I/O error the file is opened again, and again while that fails.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Something to do, by when, and where the outcome is awaited.
#[derive(Debug)]
pub struct Request {
    pub work: Work,
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<Outcome, StoreError>>,
}

/// What there is to do.
#[derive(Debug)]
pub enum Work {
    /// A change, acknowledged when durable.
    Change(Change),
    /// An answer, where the file is open.
    Check,
    /// The end of the writer and of the file, after what came before.
    Close,
}

impl Work {
    /// What it holds in memory while it waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Change(change) => change.bytes(),
            Self::Check | Self::Close => 0,
        }
    }
}

/// The writer's thread.
pub struct Writer {
    file: Arc<DocumentFile>,
    inbox: Receiver<Request>,
    gather: Duration,
    counters: Arc<Counters>,
    queued_bytes: Arc<AtomicUsize>,
    /// When the last one began.
    last_commit: Option<Instant>,
    /// Since when the file has to be opened again, or when that was last tried.
    broken_since: Option<Instant>,
}

impl Writer {
    pub fn new(
        file: Arc<DocumentFile>,
        inbox: Receiver<Request>,
        gather: Duration,
        counters: Arc<Counters>,
        queued_bytes: Arc<AtomicUsize>,
    ) -> Self {
        Self { file, inbox, gather, counters, queued_bytes, last_commit: None, broken_since: None }
    }

    /// Works until it is closed, or until nobody is left to ask.
    pub fn run(mut self) {
        let closed = loop {
            match self.next_batch() {
                Some(batch) => {
                    if let Some(closed) = self.handle(batch) {
                        break Some(closed);
                    }
                }
                None => break None,
            }
        };
        self.file.close();
        // What came after the close finds the queue gone, and with it the place of its answer.
        drop(self.inbox);
        if let Some(closed) = closed {
            _ = closed.send(Ok(Outcome::Done));
        }
    }

    /// Waits for work and gathers what comes with it.
    fn next_batch(&mut self) -> Option<Vec<Request>> {
        let first = loop {
            if self.broken_since.is_none() {
                break self.inbox.recv().ok()?;
            }
            match self.inbox.recv_timeout(REOPEN_AFTER) {
                Ok(request) => break request,
                // Reads, too, wait for the file to be opened again.
                Err(RecvTimeoutError::Timeout) => self.mend(Instant::now()),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        };
        let until = gather_until(Instant::now(), self.last_commit, self.gather);
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH && !matches!(batch.last(), Some(Request { work: Work::Close, .. })) {
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(request) => batch.push(request),
                Err(_) => break,
            }
        }
        let bytes = batch.iter().map(|request| request.work.bytes()).sum();
        self.queued_bytes.fetch_sub(bytes, Relaxed);
        Some(batch)
    }

    /// Commits a batch and answers it. Gives back where the close is awaited, if it was asked for.
    fn handle(&mut self, batch: Vec<Request>) -> Option<oneshot::Sender<Result<Outcome, StoreError>>> {
        let now = Instant::now();
        self.mend(now);
        let (mut changes, mut replies, mut checks, mut close) = (Vec::new(), Vec::new(), Vec::new(), None);
        for Request { work, deadline, reply } in batch {
            match work {
                Work::Close => close = Some(reply),
                _ if deadline <= now => {
                    self.counters.expired.fetch_add(1, Relaxed);
                    _ = reply.send(Err(StoreError::Busy));
                }
                Work::Check => checks.push(reply),
                Work::Change(change) => {
                    changes.push(change);
                    replies.push(reply);
                }
            }
        }
        let outcome = if changes.is_empty() { Ok(Vec::new()) } else { self.commit(&changes) };
        let open = if self.broken_since.is_some() { Err(broken()) } else { Ok(Outcome::Done) };
        for check in checks {
            _ = check.send(open.as_ref().map(|_| Outcome::Done).map_err(Clone::clone));
        }
        match outcome {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    _ = reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                self.counters.failed.fetch_add(replies.len() as u64, Relaxed);
                for reply in replies {
                    _ = reply.send(Err(error.clone()));
                }
            }
        }
        close
    }

    /// Makes all changes durable, or none of them.
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Outcome>, StoreError> {
        if self.broken_since.is_some() {
            return Err(broken());
        }
        let write = || {
            self.file.write(|transaction| {
                let mut tables = Tables::open(transaction)?;
                changes.iter().map(|change| tables.apply(change)).collect::<Result<Vec<_>, _>>()
            })
        };
        // From start to start: on a disk slower than the window, what comes meanwhile gathers by itself.
        self.last_commit = Some(Instant::now());
        // A panic in here is a defect, of ours or of redb's; the file is opened afresh after it.
        let written = catch_unwind(AssertUnwindSafe(write))
            .unwrap_or_else(|_| Err(StoreFailure::new("the writer panicked".into())));
        match written {
            Ok(outcomes) => {
                self.counters.commits.fetch_add(1, Relaxed);
                self.counters.changes.fetch_add(changes.len() as u64, Relaxed);
                Ok(outcomes)
            }
            Err(StoreFailure { error }) => {
                warn!(%error, changes = changes.len(), "commit failed");
                self.broken_since = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// Opens the file again where that is due.
    fn mend(&mut self, now: Instant) {
        let Some(since) = self.broken_since else { return };
        if now.saturating_duration_since(since) < REOPEN_AFTER {
            return;
        }
        self.broken_since = match self.file.reopen() {
            Ok(()) => {
                info!("documents opened again");
                None
            }
            Err(_) => Some(now),
        };
    }
}

/// Until when to gather: work that comes alone is committed at once, and under load there is a commit a window.
fn gather_until(now: Instant, last_commit: Option<Instant>, window: Duration) -> Instant {
    last_commit.map_or(now, |last| (last + window).max(now))
}

fn broken() -> StoreError {
    StoreError::Unavailable("the file is being opened again after an error".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_comes_alone_is_committed_at_once_and_under_load_once_a_window() {
        let (start, window) = (Instant::now(), Duration::from_millis(20));
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(gather_until(start, None, window), start);
        assert_eq!(gather_until(after(5), Some(start), window), after(20));
        assert_eq!(gather_until(after(25), Some(start), window), after(25));
    }
}
