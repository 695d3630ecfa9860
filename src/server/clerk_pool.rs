//! The documents by way of their clerks: what everybody else holds of them.
//!
//! Who asks goes to the clerk with the fewest requests. Where each has as many as may wait, the answer is
//! [`StoreError::Busy`] at once: how much waits is the back-pressure.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    actor::{
        breaker::{Breaker, BreakerSettings, BreakerState},
        envelope::AskError,
        moment::ActorClock,
        pool::{self, Route},
        remote::Remote,
        system::System,
    },
    server::clerk::{Clerk, ClerkMessage, ClerkReply, ClerkRequest, SharedBreaker},
    store::{
        Collection, Collections, StoreError,
        collection::{Draft, Expected, Found, Query, Record},
        state::StoreFuture,
    },
};

/// What a call may take beyond the store's own time: that tells more when it is out.
const BEYOND_THE_STORES: Duration = Duration::from_millis(500);

/// How many clerks there are, and what may wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClerkSettings {
    /// How many, which is how many calls run at once.
    pub clerks: usize,
    /// How many requests may wait for all of them together; past it, [`StoreError::Busy`].
    pub queue: usize,
    /// How long the store may take for a call.
    pub timeout: Duration,
}

impl Default for ClerkSettings {
    fn default() -> Self {
        Self { clerks: 16, queue: 1024, timeout: Duration::from_secs(5) }
    }
}

/// A count.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What has become of requests.
#[derive(Debug, Default)]
pub struct ClerkFigures {
    /// Calls made to the store.
    pub calls: Count,
    /// Requests refused because too many waited.
    pub refused: Count,
    /// Requests dropped unhandled because their deadline had passed.
    pub expired: Count,
    /// Requests answered without the store, because it had failed before.
    pub unasked: Count,
}

/// A request's place with its clerk: given up when the request has been answered, or is lost on its way.
#[derive(Debug)]
pub struct Place {
    loads: Arc<[AtomicUsize]>,
    clerk: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.loads[self.clerk].fetch_sub(1, Relaxed);
    }
}

/// What clerks are made of: what they share.
#[derive(Clone)]
pub struct ClerkParts {
    store: Arc<dyn Collections>,
    breaker: Arc<SharedBreaker>,
    figures: Arc<ClerkFigures>,
    settings: ClerkSettings,
}

impl ClerkParts {
    /// For clerks of this store.
    pub fn new(store: Arc<dyn Collections>, settings: ClerkSettings) -> Self {
        let breaker = Arc::new(SharedBreaker::new(Breaker::new(BreakerSettings::default())));
        let settings = ClerkSettings { clerks: settings.clerks.max(1), ..settings };
        Self { store, breaker, figures: Arc::default(), settings }
    }

    /// Has the clerks begin on their host.
    pub fn start(&self, office: &mut System) {
        for _ in 0..self.settings.clerks {
            let Self { store, breaker, figures, .. } = self.clone();
            pool::grow(office, Clerk::new(store, breaker, figures));
        }
    }
}

/// The documents by way of their clerks. A [`Collections`], and so has all that is done with people's documents.
pub struct ClerkPool {
    remote: Remote,
    clock: ActorClock,
    breaker: Arc<SharedBreaker>,
    figures: Arc<ClerkFigures>,
    /// Requests that each clerk has.
    loads: Arc<[AtomicUsize]>,
    /// How many each may have.
    most: usize,
    within: Duration,
}

impl ClerkPool {
    /// The pool of clerks that these parts have started.
    pub fn new(parts: &ClerkParts, remote: Remote, clock: ActorClock) -> Self {
        let ClerkSettings { clerks, queue, timeout } = parts.settings;
        Self {
            remote,
            clock,
            breaker: parts.breaker.clone(),
            figures: parts.figures.clone(),
            loads: (0..clerks).map(|_| AtomicUsize::new(0)).collect(),
            // Besides the one that it is at.
            most: queue.div_ceil(clerks) + 1,
            within: timeout + BEYOND_THE_STORES,
        }
    }

    /// What has become of requests so far.
    pub fn figures(&self) -> &ClerkFigures {
        &self.figures
    }

    /// How many requests wait or are carried out.
    pub fn depth(&self) -> usize {
        self.loads.iter().map(|load| load.load(Relaxed)).sum()
    }

    /// What the breaker before the store lets through.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(self.clock.now())
    }

    /// Writes what has become of requests in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        use std::fmt::Write as _;
        const METRIC: &str = "pianorhythm_documents_requests_total";
        let _ = write!(
            out,
            "# HELP {METRIC} Requests for people's documents, by what became of them.\n# TYPE {METRIC} counter\n"
        );
        let ClerkFigures { calls, refused, expired, unasked } = &*self.figures;
        for (outcome, count) in [("called", calls), ("refused", refused), ("expired", expired), ("unasked", unasked)] {
            let _ = writeln!(out, "{METRIC}{{outcome=\"{outcome}\"}} {}", count.get());
        }
        const DEPTH: &str = "pianorhythm_documents_requests";
        let _ =
            write!(out, "# HELP {DEPTH} Requests for people's documents under way or waiting.\n# TYPE {DEPTH} gauge\n");
        let _ = writeln!(out, "{DEPTH} {}", self.depth());
    }

    /// A place with the clerk that has the fewest requests.
    fn place(&self) -> Result<Place, StoreError> {
        let loads = self.loads.iter().map(|load| load.load(Relaxed)).enumerate();
        let clerk = loads.min_by_key(|(_, load)| *load).map_or(0, |(clerk, _)| clerk);
        // Taken first: who comes at the same time sees it.
        self.loads[clerk].fetch_add(1, Relaxed);
        let place = Place { loads: self.loads.clone(), clerk };
        if self.loads[clerk].load(Relaxed) > self.most {
            self.figures.refused.add(1);
            return Err(StoreError::Busy);
        }
        Ok(place)
    }

    fn ask<T: 'static>(&self, request: ClerkRequest, read: fn(ClerkReply) -> Option<T>) -> StoreFuture<'_, T> {
        let place = self.place();
        Box::pin(async move {
            let place = place?;
            let route = Route::Member(place.clerk);
            let message = ClerkMessage::Ask(request, place);
            match self.remote.ask_pool::<Clerk>(route, message, self.within).await {
                Ok(reply) => read(reply).ok_or_else(|| StoreError::Unavailable("a clerk answered another".to_owned())),
                Err(AskError::Handler(error)) => Err(error),
                Err(AskError::MailboxFull) => Err(StoreError::Busy),
                Err(AskError::TimedOut) => Err(StoreError::TimedOut),
                Err(error) => Err(StoreError::Unavailable(error.to_string())),
            }
        })
    }
}

impl Collections for ClerkPool {
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>> {
        self.ask(ClerkRequest::Get(collection, id.to_owned()), |reply| match reply {
            ClerkReply::Got(record) => Some(record),
            _ => None,
        })
    }

    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64> {
        self.ask(ClerkRequest::Write(collection, draft, expected), |reply| match reply {
            ClerkReply::Written(revision) => Some(revision),
            _ => None,
        })
    }

    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool> {
        self.ask(ClerkRequest::Delete(collection, id.to_owned(), revision), |reply| match reply {
            ClerkReply::Deleted(was_there) => Some(was_there),
            _ => None,
        })
    }

    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found> {
        self.ask(ClerkRequest::List(collection, query), |reply| match reply {
            ClerkReply::Listed(found) => Some(found),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
