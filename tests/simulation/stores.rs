//! The stores of a simulation: they keep what they say they keep, answer late, hang and fail as they are told.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use pianorhythm_server::{
    actor::{
        moment::{ActorClock, Moment},
        rng::Rng,
        sleep::sleep,
    },
    domain::{chat::MAX_LINES, room::RoomChange},
    protocol::{ids::RoomKey, time::Timestamp},
    store::{
        Documents, RoomsPage, SavedRoom, State, StoreError,
        expiring_map::{Bounds, ExpiringMap},
        state::{Count, Cursor, Delivery, Page, StoreFuture, Subscription},
    },
};
use tokio::sync::broadcast;

use crate::plan::Mood;

/// How long a store takes at most while it does well.
const LATE_MS: u64 = 30;

/// Documents that are durable some time after they were given, in order, and not before.
pub struct Shelf(Mutex<Shelved>);

struct Shelved {
    kept: BTreeMap<RoomKey, SavedRoom>,
    meta: HashMap<String, Bytes>,
    waiting: VecDeque<Waiting>,
    mood: Mood,
    rng: Rng,
    clock: ActorClock,
}

struct Waiting {
    change: Job,
    due: Moment,
    answer: flume::Sender<Vec<RoomKey>>,
}

enum Job {
    Room(RoomChange),
    Meta(String, Bytes),
    Forget(Timestamp),
    Nothing,
}

impl Shelf {
    pub fn new(clock: ActorClock, seed: u64) -> Arc<Self> {
        let (kept, meta, waiting) = (BTreeMap::new(), HashMap::new(), VecDeque::new());
        Arc::new(Self(Mutex::new(Shelved { kept, meta, waiting, mood: Mood::Well, rng: Rng::new(seed), clock })))
    }

    fn lock(&self) -> MutexGuard<'_, Shelved> {
        self.0.lock().unwrap()
    }

    pub fn set_mood(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// What was given and is not durable is gone.
    pub fn crash(&self) {
        self.lock().waiting.clear();
    }

    /// What would be there after a crash.
    pub fn kept(&self, key: &RoomKey) -> Option<SavedRoom> {
        self.lock().kept.get(key).cloned()
    }

    /// Makes durable what is due.
    pub fn work(&self, now: Moment) {
        let mut shelved = self.lock();
        while shelved.mood != Mood::Hangs && shelved.waiting.front().is_some_and(|waiting| waiting.due <= now) {
            let Some(Waiting { change, answer, .. }) = shelved.waiting.pop_front() else { return };
            let done = shelved.apply(change);
            let _ = answer.try_send(done);
        }
    }

    /// A hanging store still takes what it is given; a failing one refuses it.
    fn give(&self, change: Job) -> StoreFuture<'static, Vec<RoomKey>> {
        let mut shelved = self.lock();
        if shelved.mood == Mood::Fails {
            return Box::pin(async { Err(away()) });
        }
        let (answer, told) = flume::bounded(1);
        let due = shelved.clock.now() + Duration::from_micros(shelved.rng.below(LATE_MS * 1000));
        shelved.waiting.push_back(Waiting { change, due, answer });
        Box::pin(async move { told.recv_async().await.map_err(|_| away()) })
    }

    fn late(&self) -> StoreFuture<'static, ()> {
        let mut shelved = self.lock();
        let delay = Duration::from_micros(shelved.rng.below(LATE_MS * 1000));
        late(&shelved.clock, shelved.mood, delay)
    }
}

impl Shelved {
    fn apply(&mut self, change: Job) -> Vec<RoomKey> {
        match change {
            Job::Room(RoomChange::Save(record)) => {
                let chat = self.kept.remove(&record.key).map(|saved| saved.chat).unwrap_or_default();
                self.kept.insert(record.key.clone(), SavedRoom { record: *record, chat });
            }
            Job::Room(RoomChange::Chat { key, line }) => {
                if let Some(saved) = self.kept.get_mut(&key) {
                    saved.chat.push(line);
                    let over = saved.chat.len().saturating_sub(MAX_LINES);
                    saved.chat.drain(..over);
                }
            }
            Job::Room(RoomChange::Delete(key)) => {
                self.kept.remove(&key);
            }
            Job::Meta(key, document) => {
                self.meta.insert(key, document);
            }
            Job::Forget(unused_since) => {
                let old = |saved: &SavedRoom| saved.record.by_guest && saved.record.last_used < unused_since;
                let keys: Vec<_> =
                    self.kept.iter().filter(|(_, saved)| old(saved)).map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| drop(self.kept.remove(key)));
                return keys;
            }
            Job::Nothing => {}
        }
        Vec::new()
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("it fails on purpose".into())
}

fn late(clock: &ActorClock, mood: Mood, delay: Duration) -> StoreFuture<'static, ()> {
    let clock = clock.clone();
    Box::pin(async move {
        match mood {
            Mood::Well => {
                sleep(&clock, delay).await;
                Ok(())
            }
            // As the real ones: they give up by themselves.
            Mood::Hangs => {
                sleep(&clock, Duration::from_secs(2)).await;
                Err(StoreError::TimedOut)
            }
            Mood::Fails => Err(away()),
        }
    })
}

impl Documents for Shelf {
    fn load_room<'a>(&'a self, key: &'a RoomKey) -> StoreFuture<'a, Option<SavedRoom>> {
        Box::pin(async move {
            self.late().await?;
            Ok(self.kept(key))
        })
    }

    fn save(&self, change: RoomChange) -> StoreFuture<'static, ()> {
        let given = self.give(Job::Room(change));
        Box::pin(async { given.await.map(drop) })
    }

    fn list_rooms<'a>(&'a self, after: Option<&'a RoomKey>, limit: usize) -> StoreFuture<'a, RoomsPage> {
        Box::pin(async move {
            self.late().await?;
            let shelved = self.lock();
            let rest = shelved.kept.values().filter(|saved| after.is_none_or(|after| saved.record.key > *after));
            let mut rooms: Vec<_> = rest.map(|saved| saved.record.clone()).collect();
            let is_more = rooms.len() > limit;
            rooms.truncate(limit);
            let next = rooms.last().filter(|_| is_more).map(|record| record.key.clone());
            Ok(RoomsPage { rooms, next })
        })
    }

    fn forget_guest_rooms(&self, unused_since: Timestamp) -> StoreFuture<'_, Vec<RoomKey>> {
        self.give(Job::Forget(unused_since))
    }

    fn load_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.late().await?;
            Ok(self.lock().meta.get(key).cloned())
        })
    }

    fn list_meta<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>> {
        Box::pin(async move {
            self.late().await?;
            let mut keys: Vec<_> = self.lock().meta.keys().cloned().collect();
            keys.retain(|key| after.is_none_or(|after| key.as_str() > after));
            keys.sort_unstable();
            keys.truncate(limit);
            Ok(keys)
        })
    }

    fn save_meta<'a>(&'a self, key: &'a str, document: Bytes) -> StoreFuture<'a, ()> {
        let given = self.give(Job::Meta(key.to_owned(), document));
        Box::pin(async { given.await.map(drop) })
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        let given = self.give(Job::Nothing);
        Box::pin(async { given.await.map(drop) })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.check()
    }
}

/// Live state: the real map, over the simulation's clock.
pub struct Slate {
    map: Mutex<ExpiringMap>,
    channels: Mutex<HashMap<String, broadcast::Sender<Delivery>>>,
    mood: Mutex<(Mood, Rng)>,
    clock: ActorClock,
}

impl Slate {
    pub fn new(clock: ActorClock, seed: u64) -> Arc<Self> {
        let map = Mutex::new(ExpiringMap::new(Bounds { max_entries: 10_000, max_bytes: 1024 * 1024 }));
        Arc::new(Self { map, channels: Mutex::default(), mood: Mutex::new((Mood::Well, Rng::new(seed))), clock })
    }

    pub fn set_mood(&self, mood: Mood) {
        self.mood.lock().unwrap().0 = mood;
    }

    /// Does something with the map, after a while.
    fn on<'a, T: 'a>(
        &'a self,
        act: impl FnOnce(&mut ExpiringMap, Timestamp) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let (mood, delay) = {
            let mut mood = self.mood.lock().unwrap();
            (mood.0, Duration::from_micros(mood.1.below(LATE_MS * 1000)))
        };
        Box::pin(async move {
            late(&self.clock, mood, delay).await?;
            let now = Timestamp::from_us(self.clock.now().as_ns() / 1000);
            act(&mut self.map.lock().unwrap(), now)
        })
    }

    fn channel(&self, name: &str) -> broadcast::Sender<Delivery> {
        let mut channels = self.channels.lock().unwrap();
        channels.entry(name.to_owned()).or_insert_with(|| broadcast::channel(16).0).clone()
    }
}

impl State for Slate {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.on(move |map, now| map.get(key, now))
    }

    fn set<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, ()> {
        self.on(move |map, now| map.set(key, value, ttl, now))
    }

    fn set_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Option<Duration>) -> StoreFuture<'a, bool> {
        self.on(move |map, now| map.set_if_absent(key, value, ttl, now))
    }

    fn delete<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        self.on(move |map, now| Ok(map.delete(key, now)))
    }

    fn expire<'a>(&'a self, key: &'a str, ttl: Duration) -> StoreFuture<'a, bool> {
        self.on(move |map, now| Ok(map.expire(key, ttl, now)))
    }

    fn increment<'a>(&'a self, key: &'a str, by: u64, ttl: Duration) -> StoreFuture<'a, Count> {
        self.on(move |map, now| map.increment(key, by, ttl, now))
    }

    fn add_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool> {
        self.on(move |map, now| map.add_member(key, member, now))
    }

    fn remove_member<'a>(&'a self, key: &'a str, member: &'a str) -> StoreFuture<'a, bool> {
        self.on(move |map, now| map.remove_member(key, member, now))
    }

    fn members<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Vec<String>> {
        self.on(move |map, now| map.members(key, now))
    }

    fn scan<'a>(&'a self, prefix: &'a str, cursor: Option<Cursor>, limit: usize) -> StoreFuture<'a, Page> {
        self.on(move |map, now| Ok(map.scan(prefix, cursor.as_ref(), limit, now)))
    }

    fn publish<'a>(&'a self, channel: &'a str, message: Bytes) -> StoreFuture<'a, ()> {
        let channel = self.channel(channel);
        self.on(move |_, _| {
            let _ = channel.send(Delivery::Message(message));
            Ok(())
        })
    }

    fn subscribe<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, Subscription> {
        let channel = self.channel(channel);
        self.on(move |_, _| Ok(Subscription::new(channel.subscribe())))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.on(|_, _| Ok(()))
    }
}
