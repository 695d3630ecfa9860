//! What tests of accounts stand on: documents and live state of their own, and passwords that cost nothing.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    http::{accounts::PasswordHashing, stage::BoxFuture},
    protocol::error::Rejection,
    store::{
        Collection, Collections, EmbeddedDocuments, EmbeddedDocumentsSettings, StoreError,
        collection::{Draft, Expected, Found, Query, Record},
        state::StoreFuture,
    },
};

/// Passwords whose hash is the password turned round. It counts what it is asked, as the layer above does what is real.
#[derive(Debug, Default)]
pub(crate) struct PlainPasswords {
    /// Hashes made, and passwords checked.
    pub(crate) asked: AtomicUsize,
}

impl PasswordHashing for PlainPasswords {
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, Rejection>> {
        self.asked.fetch_add(1, Relaxed);
        Box::pin(future::ready(Ok(password.chars().rev().collect())))
    }

    fn check(&self, password: String, hash: Option<String>) -> BoxFuture<'_, Result<bool, Rejection>> {
        self.asked.fetch_add(1, Relaxed);
        Box::pin(future::ready(Ok(hash.is_some_and(|hash| hash.chars().rev().eq(password.chars())))))
    }
}

/// Documents in a file that nothing outlives.
pub(crate) fn documents() -> Arc<EmbeddedDocuments> {
    // It is open when its folder goes, and goes with the last who has it open.
    let folder = tempfile::tempdir().unwrap();
    EmbeddedDocuments::open(&folder.path().join("documents"), EmbeddedDocumentsSettings::default()).unwrap()
}

/// Documents that count their calls, and may be away.
pub(crate) struct Watched {
    store: Arc<EmbeddedDocuments>,
    /// Calls made.
    pub(crate) calls: AtomicUsize,
    /// Whether calls fail.
    pub(crate) is_away: AtomicBool,
    /// Whether the next write is done and not answered.
    pub(crate) loses_an_answer: AtomicBool,
}

impl Watched {
    pub(crate) fn new() -> Arc<Self> {
        let [is_away, loses_an_answer] = Default::default();
        Arc::new(Self { store: documents(), calls: AtomicUsize::new(0), is_away, loses_an_answer })
    }

    fn call<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.calls.fetch_add(1, Relaxed);
        if self.is_away.load(Relaxed) {
            return Box::pin(future::ready(Err(StoreError::Unavailable("away".into()))));
        }
        call
    }
}

impl Collections for Watched {
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>> {
        self.call(self.store.get(collection, id))
    }

    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64> {
        let written = self.store.write(collection, draft, expected);
        if self.loses_an_answer.swap(false, Relaxed) {
            return self.call(Box::pin(async move { written.await.and(Err(StoreError::TimedOut)) }));
        }
        self.call(written)
    }

    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool> {
        self.call(self.store.delete(collection, id, revision))
    }

    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found> {
        self.call(self.store.list(collection, query))
    }
}
