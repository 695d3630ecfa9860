//! The pure machine behind the embedded state: a bounded map of values, counts and sets whose keys may expire.
//!
//! Time is an argument and must not go back. A key whose time is up is gone for every call from then on, whether
//! it has been removed yet (lazy expiry); [`ExpiringMap::expire_due`] removes what nobody asks for (active expiry).

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    protocol::time::Timestamp,
    store::{
        StoreError,
        state::{Count, Cursor, MAX_PAGE, Page},
    },
};

/// How much a map may hold. What is expired is removed before anything is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most entries: each key counts one, and so does each member of a set.
    pub max_entries: usize,
    /// The most bytes of keys, members and values together, not counting the map's own.
    pub max_bytes: usize,
}

/// The map. See the module.
#[derive(Debug)]
pub struct ExpiringMap {
    bounds: Bounds,
    held: Held,
    entries: BTreeMap<Arc<str>, Entry>,
    /// Every key that expires, by when. Agrees with the entries at all times.
    deadlines: BTreeSet<(Timestamp, Arc<str>)>,
}

/// What is held, in the units of [`Bounds`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Keys and members.
    pub entries: usize,
    /// Bytes of keys, members and values.
    pub bytes: usize,
}

#[derive(Debug)]
struct Entry {
    value: Value,
    expires_at: Option<Timestamp>,
}

#[derive(Debug)]
enum Value {
    Plain(Bytes),
    Count(u64),
    Set(BTreeSet<Arc<str>>),
}

/// What a count is reckoned at, in bytes.
const COUNT_BYTES: usize = size_of::<u64>();
/// How many keys a scan looks at for each entry it may return, before it hands back a short page.
const SCAN_EFFORT: usize = 4;

impl ExpiringMap {
    /// An empty map.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, held: Held::default(), entries: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// What is held now, expired keys that were not removed yet included.
    pub fn held(&self) -> Held {
        self.held
    }

    /// See [`State::get`](crate::store::State::get).
    pub fn get(&mut self, key: &str, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
        match self.live(key, now) {
            None => Ok(None),
            Some(Entry { value: Value::Plain(value), .. }) => Ok(Some(value.clone())),
            Some(_) => Err(StoreError::WrongKind(key.to_owned())),
        }
    }

    /// See [`State::set`](crate::store::State::set). On refusal the key is as it was.
    pub fn set(&mut self, key: &str, value: Bytes, ttl: Option<Duration>, now: Timestamp) -> Result<(), StoreError> {
        let old = self.live(key, now).map(|entry| held_by(key, entry)).unwrap_or_default();
        let new = Held { entries: 1, bytes: key.len() + value.len() };
        self.reserve(old, new, now)?;
        self.remove(key);
        self.insert(key, Value::Plain(value), ttl, now);
        Ok(())
    }

    /// See [`State::set_if_absent`](crate::store::State::set_if_absent).
    pub fn set_if_absent(
        &mut self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if self.live(key, now).is_some() {
            return Ok(false);
        }
        self.set(key, value, ttl, now)?;
        Ok(true)
    }

    /// See [`State::delete`](crate::store::State::delete).
    pub fn delete(&mut self, key: &str, now: Timestamp) -> bool {
        self.live(key, now).is_some() && self.remove(key)
    }

    /// See [`State::expire`](crate::store::State::expire).
    pub fn expire(&mut self, key: &str, ttl: Duration, now: Timestamp) -> bool {
        if self.live(key, now).is_none() {
            return false;
        }
        let Some((key, entry)) = self.entries.remove_entry(key) else { return false };
        if let Some(at) = entry.expires_at {
            self.deadlines.remove(&(at, key.clone()));
        }
        let at = now + ttl;
        self.deadlines.insert((at, key.clone()));
        self.entries.insert(key, Entry { value: entry.value, expires_at: Some(at) });
        true
    }

    /// See [`State::increment`](crate::store::State::increment).
    pub fn increment(&mut self, key: &str, by: u64, ttl: Duration, now: Timestamp) -> Result<Count, StoreError> {
        match self.live(key, now) {
            Some(Entry { value: Value::Count(count), expires_at }) => {
                *count = count.saturating_add(by);
                let resets_in = expires_at.map_or(Duration::MAX, |at| at.since(now));
                Ok(Count { value: *count, resets_in })
            }
            Some(_) => Err(StoreError::WrongKind(key.to_owned())),
            None => {
                self.reserve(Held::default(), Held { entries: 1, bytes: key.len() + COUNT_BYTES }, now)?;
                self.insert(key, Value::Count(by), Some(ttl), now);
                Ok(Count { value: by, resets_in: ttl })
            }
        }
    }

    /// See [`State::add_member`](crate::store::State::add_member).
    pub fn add_member(&mut self, key: &str, member: &str, now: Timestamp) -> Result<bool, StoreError> {
        let more = match self.live(key, now) {
            Some(Entry { value: Value::Set(members), .. }) if members.contains(member) => return Ok(false),
            Some(Entry { value: Value::Set(_), .. }) => Held { entries: 1, bytes: member.len() },
            Some(_) => return Err(StoreError::WrongKind(key.to_owned())),
            None => Held { entries: 2, bytes: key.len() + member.len() },
        };
        self.reserve(Held::default(), more, now)?;
        if let Some(Entry { value: Value::Set(members), .. }) = self.entries.get_mut(key) {
            members.insert(member.into());
            self.held.entries += more.entries;
            self.held.bytes += more.bytes;
        } else {
            self.insert(key, Value::Set(BTreeSet::from([member.into()])), None, now);
        }
        Ok(true)
    }

    /// See [`State::remove_member`](crate::store::State::remove_member).
    pub fn remove_member(&mut self, key: &str, member: &str, now: Timestamp) -> Result<bool, StoreError> {
        let members = match self.live(key, now) {
            None => return Ok(false),
            Some(Entry { value: Value::Set(members), .. }) => members,
            Some(_) => return Err(StoreError::WrongKind(key.to_owned())),
        };
        if !members.remove(member) {
            return Ok(false);
        }
        let empty = members.is_empty();
        self.held.entries -= 1;
        self.held.bytes -= member.len();
        if empty {
            self.remove(key);
        }
        Ok(true)
    }

    /// See [`State::members`](crate::store::State::members); here they are in order.
    pub fn members(&mut self, key: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
        match self.live(key, now) {
            None => Ok(Vec::new()),
            Some(Entry { value: Value::Set(members), .. }) => Ok(members.iter().map(|m| m.to_string()).collect()),
            Some(_) => Err(StoreError::WrongKind(key.to_owned())),
        }
    }

    /// See [`State::scan`](crate::store::State::scan); here in order of the keys, the cursor being the last key
    /// that was looked at. The work of one call is bounded, also where most keys are expired or of other kinds.
    pub fn scan(&self, prefix: &str, cursor: Option<&Cursor>, limit: usize, now: Timestamp) -> Page {
        let limit = limit.clamp(1, MAX_PAGE);
        let from = match cursor {
            Some(Cursor(last)) if last.as_str() >= prefix => Bound::Excluded(last.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut page = Page::default();
        let mut last: Option<&Arc<str>> = None;
        let keys =
            self.entries.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        for (looked_at, (key, entry)) in keys.enumerate() {
            if page.entries.len() == limit || looked_at == limit * SCAN_EFFORT {
                page.next = last.map(|last| Cursor(last.to_string()));
                break;
            }
            if let (Value::Plain(value), false) = (&entry.value, is_due(entry, now)) {
                page.entries.push((key.to_string(), value.clone()));
            }
            last = Some(key);
        }
        page
    }

    /// Removes keys whose time is up, the longest overdue first and at most `budget`; tells how many.
    pub fn expire_due(&mut self, now: Timestamp, budget: usize) -> usize {
        let mut removed = 0;
        while removed < budget && self.remove_one_due(now) {
            removed += 1;
        }
        removed
    }

    /// The entry, unless it is absent or its time is up; in the latter case it is removed.
    fn live(&mut self, key: &str, now: Timestamp) -> Option<&mut Entry> {
        if is_due(self.entries.get(key)?, now) {
            self.remove(key);
            return None;
        }
        self.entries.get_mut(key)
    }

    /// Makes sure that `new` fits in the place of `old`, by removing what is expired; changes nothing else.
    fn reserve(&mut self, old: Held, new: Held, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let entries = self.held.entries - old.entries + new.entries;
            let bytes = self.held.bytes - old.bytes + new.bytes;
            // What shrinks always fits: a full store must not refuse to be made smaller.
            let entries_fit = entries <= self.bounds.max_entries || new.entries <= old.entries;
            let bytes_fit = bytes <= self.bounds.max_bytes || new.bytes <= old.bytes;
            if entries_fit && bytes_fit {
                return Ok(());
            }
            if self.remove_one_due(now) {
                continue;
            }
            return Err(if entries_fit {
                StoreError::Full { held: self.held.bytes, limit: self.bounds.max_bytes, unit: "bytes" }
            } else {
                StoreError::Full { held: self.held.entries, limit: self.bounds.max_entries, unit: "entries" }
            });
        }
    }

    fn remove_one_due(&mut self, now: Timestamp) -> bool {
        match self.deadlines.first() {
            Some((at, key)) if *at <= now => {
                let key = key.clone();
                self.remove(&key)
            }
            _ => false,
        }
    }

    /// Inserts under a key that is free; room has been reserved.
    fn insert(&mut self, key: &str, value: Value, ttl: Option<Duration>, now: Timestamp) {
        let key: Arc<str> = key.into();
        let expires_at = ttl.map(|ttl| now + ttl);
        if let Some(at) = expires_at {
            self.deadlines.insert((at, key.clone()));
        }
        let entry = Entry { value, expires_at };
        let held = held_by(&key, &entry);
        self.held.entries += held.entries;
        self.held.bytes += held.bytes;
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &str) -> bool {
        let Some((key, entry)) = self.entries.remove_entry(key) else { return false };
        let held = held_by(&key, &entry);
        self.held.entries -= held.entries;
        self.held.bytes -= held.bytes;
        if let Some(at) = entry.expires_at {
            self.deadlines.remove(&(at, key));
        }
        true
    }
}

fn is_due(entry: &Entry, now: Timestamp) -> bool {
    entry.expires_at.is_some_and(|at| at <= now)
}

fn held_by(key: &str, entry: &Entry) -> Held {
    let (members, bytes) = match &entry.value {
        Value::Plain(value) => (0, value.len()),
        Value::Count(_) => (0, COUNT_BYTES),
        Value::Set(members) => (members.len(), members.iter().map(|member| member.len()).sum()),
    };
    Held { entries: 1 + members, bytes: key.len() + bytes }
}

#[cfg(test)]
mod tests;
