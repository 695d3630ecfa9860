//! Live state: what can be rebuilt and may be lost. Presence, the room directory, revocations, rate counts, caches.
//!
//! The trait says what every implementation does; `contract::state` holds the tests that each must pass.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use tokio::sync::broadcast;

use crate::store::StoreError;

/// What a store's methods return: boxed, so that a store can be `Arc<dyn …>`.
///
/// To be awaited on tokio. Dropping it before its end leaves open whether the request is carried out.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The longest key, set member, prefix or channel name, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// The longest value or published message, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// The most entries that one [`State::scan`] returns, whatever limit it is given.
pub const MAX_PAGE: usize = 1000;

/// Keys with values, counts and sets that may expire, and channels to publish on.
///
/// A key holds one kind (value, count, set); an operation for another kind on it fails with
/// [`StoreError::WrongKind`], [`State::set`] and [`State::delete`] excepted. A time to live has millisecond
/// resolution; a key whose time is up is gone for every operation from then on.
pub trait State: Send + Sync {
    /// The value of a key, if it has one.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Sets a key to a value, whatever was there; its time to live starts anew, and without one it stays.
    fn set<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, ()>;

    /// Sets a key only where there is nothing; tells whether it did. Of many at once, exactly one does.
    fn set_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, bool>;

    /// Removes a key of any kind; tells whether there was something.
    fn delete<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool>;

    /// Gives a key of any kind a new time to live from now; tells whether the key is there.
    fn expire<'a>(&'a self, key: &'a str, ttl: Duration) -> StoreFuture<'a, bool>;

    /// Adds to a count, saturating. The first addition makes the count and starts its time to live; later ones
    /// leave the time as it is, which makes it a fixed window.
    fn increment<'a>(&'a self, key: &'a str, by: u64, ttl: Duration) -> StoreFuture<'a, Count>;

    /// Adds a member to a set, made where there is none; tells whether it is new. A set lives until it is empty,
    /// unless [`State::expire`] gave it a time.
    fn add_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool>;

    /// Removes a member from a set; tells whether it was there. A set without members is gone.
    fn remove_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool>;

    /// The members of a set, in no particular order; none where there is no such set.
    fn members<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Vec<String>>;

    /// The keys of a prefix with their values, a page at a time; counts and sets are left out.
    ///
    /// Starts without a cursor and goes on with the one of the page before, until a page has none. A page may be
    /// short or empty and still not be the last. What is there from the first page to the last comes at least
    /// once; what comes or goes meanwhile may or may not. No particular order.
    fn scan<'a>(&'a self, prefix: &'a str, cursor: Option<Cursor>, limit: usize) -> StoreFuture<'a, Page>;

    /// Sends a message to the present subscribers of a channel, without waiting for them.
    fn publish<'a>(&'a self, channel: &'a str, message: Bytes) -> StoreFuture<'a, ()>;

    /// Takes part in a channel: what is published after this returns arrives, in order for each publisher.
    /// Dropping the subscription ends it.
    fn subscribe<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, Subscription>;

    /// Whether the store answers now, for the health report.
    fn check(&self) -> StoreFuture<'_, ()>;
}

/// A count after an addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The sum of what was added in this window.
    pub value: u64,
    /// How long until the count starts anew.
    pub resets_in: Duration,
}

/// Where a scan goes on. Opaque: an implementation reads only its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Some of the keys of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and their values.
    pub entries: Vec<(String, Bytes)>,
    /// Where to go on; none when the scan is complete.
    pub next: Option<Cursor>,
}

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message, as it was published.
    Message(Bytes),
    /// Messages were lost here: the subscriber fell behind its queue, or the store was away.
    Lagged {
        /// How many, where that is known.
        lost: Option<u64>,
    },
}

/// One subscriber's end of a channel.
///
/// Its queue is bounded: when it is full the oldest messages go, and the next [`Subscription::recv`] says how many.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Delivery>,
}

impl Subscription {
    /// A subscription fed by this receiver; for implementations of [`State`].
    pub fn new(receiver: broadcast::Receiver<Delivery>) -> Self {
        Self { receiver }
    }

    /// Waits for the next delivery; `None` when the store has ended. Cancelling it loses nothing.
    pub async fn recv(&mut self) -> Option<Delivery> {
        match self.receiver.recv().await {
            Ok(delivery) => Some(delivery),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Delivery::Lagged { lost: Some(lost) }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Refuses what is longer than the store takes.
pub(crate) fn check_length(what: &'static str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes > limit { Err(StoreError::TooLarge { what, bytes, limit }) } else { Ok(()) }
}
