//! The embedded [`State`]: an actor in this process that owns an [`ExpiringMap`] and the channels.
//!
//! One tokio task, one bounded queue, no lock. What it holds is lost when the process ends, as live state may be.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{
    protocol::time::Timestamp,
    store::{
        StoreError,
        expiring_map::{Bounds, ExpiringMap},
        state::{
            Count, Cursor, Delivery, MAX_KEY_BYTES, MAX_VALUE_BYTES, Page, State, StoreFuture, Subscription,
            check_length,
        },
    },
};

/// The bounds of an embedded state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedStateSettings {
    /// How much it may hold; past it, what grows is refused with [`StoreError::Full`].
    pub bounds: Bounds,
    /// How many requests may wait; past it, callers wait for a place, up to the timeout.
    pub queue: usize,
    /// How long a call may take in all. Without a place in the queue by then it fails as [`StoreError::Busy`],
    /// without an answer as [`StoreError::TimedOut`].
    pub timeout: Duration,
    /// How many messages wait for one subscriber; past it the oldest go and it is told.
    pub subscriber_queue: usize,
    /// How many channels may have subscribers at once; past it, [`StoreError::Full`].
    pub max_channels: usize,
}

impl Default for EmbeddedStateSettings {
    fn default() -> Self {
        Self {
            bounds: Bounds { max_entries: 1_000_000, max_bytes: 256 * 1024 * 1024 },
            queue: 1024,
            timeout: Duration::from_secs(2),
            subscriber_queue: 256,
            max_channels: 10_000,
        }
    }
}

/// How often expired keys that nobody asks for are removed.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);
/// How many of them at a time; when there are more, requests come first and the rest right after.
const SWEEP_BUDGET: usize = 1000;

/// A handle of the actor. It ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct EmbeddedState {
    requests: mpsc::Sender<Request>,
    timeout: Duration,
}

impl EmbeddedState {
    /// Starts the actor on the present tokio runtime.
    pub fn start(settings: EmbeddedStateSettings) -> Arc<Self> {
        let (requests, inbox) = mpsc::channel(settings.queue.max(1));
        let timeout = settings.timeout;
        let actor = StateActor {
            map: ExpiringMap::new(settings.bounds),
            channels: HashMap::new(),
            started_at: Instant::now(),
            settings,
        };
        tokio::spawn(actor.run(inbox));
        Arc::new(Self { requests, timeout })
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the embedded state has ended".into());
        let place = timeout_at(deadline, self.requests.reserve()).await;
        place.map_err(|_| StoreError::Busy)?.map_err(|_| gone())?.send(request(reply));
        timeout_at(deadline, answer).await.map_err(|_| StoreError::TimedOut)?.map_err(|_| gone())?
    }
}

impl State for EmbeddedState {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(self.ask(move |reply| Request::Get { key: key.into(), reply }))
    }

    fn set<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_key(key)?;
            check_value(&value)?;
            self.ask(|reply| Request::Set { key: key.into(), value, ttl, reply }).await
        })
    }

    fn set_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_key(key)?;
            check_value(&value)?;
            self.ask(|reply| Request::SetIfAbsent { key: key.into(), value, ttl, reply }).await
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(self.ask(move |reply| Request::Delete { key: key.into(), reply }))
    }

    fn expire<'a>(&'a self, key: &'a str, ttl: Duration) -> StoreFuture<'a, bool> {
        Box::pin(self.ask(move |reply| Request::Expire { key: key.into(), ttl, reply }))
    }

    fn increment<'a>(&'a self, key: &'a str, by: u64, ttl: Duration) -> StoreFuture<'a, Count> {
        Box::pin(async move {
            check_key(key)?;
            self.ask(|reply| Request::Increment { key: key.into(), by, ttl, reply }).await
        })
    }

    fn add_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_key(key)?;
            check_length("member", member.len(), MAX_KEY_BYTES)?;
            self.ask(|reply| Request::AddMember { key: key.into(), member: member.into(), reply }).await
        })
    }

    fn remove_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(self.ask(move |reply| Request::RemoveMember { key: key.into(), member: member.into(), reply }))
    }

    fn members<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Vec<String>> {
        Box::pin(self.ask(move |reply| Request::Members { key: key.into(), reply }))
    }

    fn scan<'a>(&'a self, prefix: &'a str, cursor: Option<Cursor>, limit: usize) -> StoreFuture<'a, Page> {
        Box::pin(self.ask(move |reply| Request::Scan { prefix: prefix.into(), cursor, limit, reply }))
    }

    fn publish<'a>(&'a self, channel: &'a str, message: Bytes) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_value(&message)?;
            self.ask(|reply| Request::Publish { channel: channel.into(), message, reply }).await
        })
    }

    fn subscribe<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, Subscription> {
        Box::pin(async move {
            check_length("channel name", channel.len(), MAX_KEY_BYTES)?;
            self.ask(|reply| Request::Subscribe { channel: channel.into(), reply }).await
        })
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.ask(|reply| Request::Check { reply }))
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    check_length("key", key.len(), MAX_KEY_BYTES)
}

fn check_value(value: &Bytes) -> Result<(), StoreError> {
    check_length("value", value.len(), MAX_VALUE_BYTES)
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the actor is asked; one kind a method of [`State`].
#[derive(Debug)]
enum Request {
    Get { key: String, reply: Reply<Option<Bytes>> },
    Set { key: String, value: Bytes, ttl: Option<Duration>, reply: Reply<()> },
    SetIfAbsent { key: String, value: Bytes, ttl: Option<Duration>, reply: Reply<bool> },
    Delete { key: String, reply: Reply<bool> },
    Expire { key: String, ttl: Duration, reply: Reply<bool> },
    Increment { key: String, by: u64, ttl: Duration, reply: Reply<Count> },
    AddMember { key: String, member: String, reply: Reply<bool> },
    RemoveMember { key: String, member: String, reply: Reply<bool> },
    Members { key: String, reply: Reply<Vec<String>> },
    Scan { prefix: String, cursor: Option<Cursor>, limit: usize, reply: Reply<Page> },
    Publish { channel: String, message: Bytes, reply: Reply<()> },
    Subscribe { channel: String, reply: Reply<Subscription> },
    Check { reply: Reply<()> },
}

struct StateActor {
    map: ExpiringMap,
    /// Channels that had a subscriber when last looked at.
    channels: HashMap<String, broadcast::Sender<Delivery>>,
    started_at: Instant,
    settings: EmbeddedStateSettings,
}

impl StateActor {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut sweep = interval(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => self.handle(request),
                    None => return,
                },
                _ = sweep.tick() => if self.map.expire_due(self.now(), SWEEP_BUDGET) == SWEEP_BUDGET {
                    sweep.reset_immediately();
                },
            }
        }
    }

    /// Handles one request. An answer that nobody waits for any more is dropped.
    fn handle(&mut self, request: Request) {
        let now = self.now();
        match request {
            Request::Get { key, reply } => _ = reply.send(self.map.get(&key, now)),
            Request::Set { key, value, ttl, reply } => _ = reply.send(self.map.set(&key, value, ttl, now)),
            Request::SetIfAbsent { key, value, ttl, reply } => {
                _ = reply.send(self.map.set_if_absent(&key, value, ttl, now));
            }
            Request::Delete { key, reply } => _ = reply.send(Ok(self.map.delete(&key, now))),
            Request::Expire { key, ttl, reply } => _ = reply.send(Ok(self.map.expire(&key, ttl, now))),
            Request::Increment { key, by, ttl, reply } => _ = reply.send(self.map.increment(&key, by, ttl, now)),
            Request::AddMember { key, member, reply } => _ = reply.send(self.map.add_member(&key, &member, now)),
            Request::RemoveMember { key, member, reply } => {
                _ = reply.send(self.map.remove_member(&key, &member, now));
            }
            Request::Members { key, reply } => _ = reply.send(self.map.members(&key, now)),
            Request::Scan { prefix, cursor, limit, reply } => {
                _ = reply.send(Ok(self.map.scan(&prefix, cursor.as_ref(), limit, now)));
            }
            Request::Publish { channel, message, reply } => {
                self.publish(&channel, message);
                _ = reply.send(Ok(()));
            }
            Request::Subscribe { channel, reply } => _ = reply.send(self.subscribe(channel)),
            Request::Check { reply } => _ = reply.send(Ok(())),
        }
    }

    fn publish(&mut self, channel: &str, message: Bytes) {
        let Some(sender) = self.channels.get(channel) else { return };
        if sender.send(Delivery::Message(message)).is_err() {
            self.channels.remove(channel);
        }
    }

    fn subscribe(&mut self, channel: String) -> Result<Subscription, StoreError> {
        if let Some(sender) = self.channels.get(&channel) {
            return Ok(Subscription::new(sender.subscribe()));
        }
        if self.channels.len() >= self.settings.max_channels {
            self.channels.retain(|_, sender| sender.receiver_count() > 0);
        }
        let held = self.channels.len();
        if held >= self.settings.max_channels {
            return Err(StoreError::Full { held, limit: self.settings.max_channels, unit: "channels" });
        }
        let (sender, receiver) = broadcast::channel(self.settings.subscriber_queue.max(1));
        self.channels.insert(channel, sender);
        Ok(Subscription::new(receiver))
    }

    fn now(&self) -> Timestamp {
        Timestamp::default() + self.started_at.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::state_contract;

    async fn embedded() -> (Arc<EmbeddedState>, ()) {
        (EmbeddedState::start(EmbeddedStateSettings::default()), ())
    }

    state_contract!(embedded);

    fn small() -> EmbeddedStateSettings {
        let bounds = Bounds { max_entries: 2, max_bytes: 1000 };
        EmbeddedStateSettings { bounds, subscriber_queue: 2, max_channels: 1, ..Default::default() }
    }

    #[tokio::test]
    async fn a_full_state_refuses_what_grows_and_serves_the_rest() {
        let state = EmbeddedState::start(small());
        for key in ["a", "b"] {
            state.set(key, Bytes::from_static(b"v"), None).await.unwrap();
        }
        let full = Err(StoreError::Full { held: 2, limit: 2, unit: "entries" });
        assert_eq!(state.set("c", Bytes::new(), None).await, full);
        assert_eq!(state.get("a").await, Ok(Some(Bytes::from_static(b"v"))));
        assert_eq!(state.delete("a").await, Ok(true));
        assert_eq!(state.set("c", Bytes::new(), None).await, Ok(()));
    }

    #[tokio::test]
    async fn keys_that_nobody_asks_for_make_room_when_their_time_is_up() {
        let state = EmbeddedState::start(small());
        for key in ["a", "b"] {
            state.set(key, Bytes::new(), Some(Duration::from_millis(1))).await.unwrap();
        }
        while state.set("c", Bytes::new(), None).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_is_told_how_much_it_lost() {
        let state = EmbeddedState::start(small());
        let mut subscription = state.subscribe("news").await.unwrap();
        for message in ["1", "2", "3", "4", "5"] {
            state.publish("news", Bytes::from_static(message.as_bytes())).await.unwrap();
        }
        assert_eq!(subscription.recv().await, Some(Delivery::Lagged { lost: Some(3) }));
        assert_eq!(subscription.recv().await, Some(Delivery::Message(Bytes::from_static(b"4"))));
    }

    #[tokio::test]
    async fn channels_are_bounded_and_those_without_subscribers_do_not_count() {
        let state = EmbeddedState::start(small());
        let first = state.subscribe("one").await.unwrap();
        let full = StoreError::Full { held: 1, limit: 1, unit: "channels" };
        assert_eq!(state.subscribe("two").await.unwrap_err(), full);
        drop(first);
        assert!(state.subscribe("two").await.is_ok());
    }

    #[tokio::test]
    async fn a_call_without_a_place_in_the_queue_is_busy_and_one_without_an_answer_times_out() {
        // No actor takes from this queue.
        let (requests, inbox) = mpsc::channel(1);
        let state = EmbeddedState { requests, timeout: Duration::from_millis(1) };
        assert_eq!(state.get("k").await, Err(StoreError::TimedOut));
        assert_eq!(state.get("k").await, Err(StoreError::Busy));
        drop(inbox);
        assert!(matches!(state.get("k").await, Err(StoreError::Unavailable(_))));
    }
}
