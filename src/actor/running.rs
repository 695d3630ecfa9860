//! What a host handles just now, for others to read: how a stuck actor is found, for its host can not tell.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::actor::moment::Moment;

/// Words of text kept of a key.
const WORDS: usize = 8;

/// The actor that a host runs. Written by the host alone, read by anyone: what is read beside a write may be torn, which is
/// good enough for a report on something that has not moved for a second.
#[derive(Debug, Default)]
pub struct Running {
    /// The kind's place among those of the host in the registry, and one more; 0 where nothing runs.
    kind: AtomicU64,
    since: AtomicU64,
    limit_ns: AtomicU64,
    /// The slot and generation whose key the text is.
    of: AtomicU64,
    of_kind: AtomicU64,
    length: AtomicU64,
    text: [AtomicU64; WORDS],
}

/// What was noted of who runs.
pub(crate) struct Noted {
    words: [u64; 6],
    text: [u64; WORDS],
}

/// What a host was seen to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The kind's place among [those of the host](crate::actor::parcel::HostEntry::kinds).
    pub kind: u16,
    /// The beginning of its key, up to 64 bytes.
    pub key: String,
    /// Since when.
    pub since: Moment,
    /// It has taken longer than its kind may.
    pub is_stuck: bool,
}

impl Running {
    /// Notes that an actor begins to handle a message.
    #[inline]
    pub(crate) fn begin(&self, kind: u16, now: Moment, limit_ns: u64) {
        self.since.store(now.as_ns(), Ordering::Relaxed);
        self.limit_ns.store(limit_ns, Ordering::Relaxed);
        self.kind.store(u64::from(kind) + 1, Ordering::Release);
    }

    /// Notes whose key is spelled out; false where it is already.
    #[inline]
    pub(crate) fn is_other(&self, kind: u16, slot: u32, generation: u32) -> bool {
        let of = (u64::from(slot) << 32) | u64::from(generation);
        if self.of.load(Ordering::Relaxed) == of && self.of_kind.load(Ordering::Relaxed) == u64::from(kind) {
            return false;
        }
        self.of.store(of, Ordering::Relaxed);
        self.of_kind.store(u64::from(kind), Ordering::Relaxed);
        true
    }

    /// Spells the key out.
    #[inline]
    pub(crate) fn name(&self, key: &str) {
        let bytes = &key.as_bytes()[..key.len().min(WORDS * 8)];
        self.length.store(bytes.len() as u64, Ordering::Relaxed);
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, chunk) in self.text.iter().zip(whole) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        if !rest.is_empty() {
            // Put together in a register: bytes copied to a buffer would have to be waited for to be read as one word.
            let word = rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
            self.text[whole.len()].store(word, Ordering::Relaxed);
        }
    }

    /// What is noted, to note it again.
    #[inline]
    pub(crate) fn save(&self) -> Noted {
        let word = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Noted {
            words: [&self.kind, &self.since, &self.limit_ns, &self.of, &self.of_kind, &self.length].map(word),
            text: self.text.each_ref().map(word),
        }
    }

    /// Notes again what was noted before.
    #[inline]
    pub(crate) fn restore(&self, noted: &Noted) {
        let places = [&self.kind, &self.since, &self.limit_ns, &self.of, &self.of_kind, &self.length];
        // The kind last: it says that the rest is right.
        for (place, word) in self.text.iter().zip(noted.text).chain(places.into_iter().zip(noted.words).rev()) {
            place.store(word, Ordering::Release);
        }
    }

    /// Notes that nothing runs.
    #[inline]
    pub(crate) fn end(&self) {
        self.kind.store(0, Ordering::Release);
    }

    /// What runs at this moment.
    pub fn seen(&self, now: Moment) -> Option<Seen> {
        let kind = self.kind.load(Ordering::Acquire).checked_sub(1)?;
        let since = Moment::from_ns(self.since.load(Ordering::Relaxed));
        let length = (self.length.load(Ordering::Relaxed) as usize).min(WORDS * 8);
        let bytes: Vec<u8> = self.text.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        let key = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let is_stuck = now.since(since).as_nanos() > u128::from(self.limit_ns.load(Ordering::Relaxed));
        Some(Seen { kind: kind as u16, key, since, is_stuck })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_longer_than_it_may_is_seen_as_stuck() {
        let running = Running::default();
        assert_eq!(running.seen(Moment::from_ms(1)), None);
        running.begin(3, Moment::from_ms(1), 2_000_000);
        assert!(running.is_other(3, 7, 1));
        running.name("jazz-größe");
        assert!(!running.is_other(3, 7, 1));
        assert!(running.is_other(4, 7, 1));
        assert!(running.is_other(4, 7, 2));
        let seen = running.seen(Moment::from_ms(3)).unwrap();
        assert_eq!((seen.kind, seen.key.as_str(), seen.since), (3, "jazz-größe", Moment::from_ms(1)));
        assert!(!seen.is_stuck, "exactly its limit");
        assert!(running.seen(Moment::from_ns(3_000_001)).unwrap().is_stuck);
        running.end();
        assert_eq!(running.seen(Moment::from_ms(9)), None);
    }

    #[test]
    fn whose_key_is_spelled_out_is_known_by_kind_slot_and_generation() {
        let running = Running::default();
        for (kind, slot, generation) in [(3, 7, 1), (4, 7, 1), (4, 8, 1), (4, 8, 2)] {
            assert!(running.is_other(kind, slot, generation));
            assert!(!running.is_other(kind, slot, generation));
        }
    }

    #[test]
    fn what_was_noted_before_can_be_noted_again() {
        let running = Running::default();
        running.begin(3, Moment::from_ms(1), 2_000_000);
        running.is_other(3, 7, 1);
        running.name("outer");
        let (seen, noted) = (running.seen(Moment::from_ms(9)), running.save());
        running.begin(4, Moment::from_ms(5), 1_000_000_000);
        running.is_other(4, 8, 2);
        running.name("a longer name than the outer one has");
        assert_ne!(running.seen(Moment::from_ms(9)), seen);
        running.restore(&noted);
        assert_eq!(running.seen(Moment::from_ms(9)), seen);
        assert!(!running.is_other(3, 7, 1));
    }

    #[test]
    fn of_a_long_key_the_beginning_is_seen() {
        let running = Running::default();
        running.begin(0, Moment::from_ms(1), 0);
        running.name(&"x".repeat(100));
        assert_eq!(running.seen(Moment::from_ms(1)).unwrap().key, "x".repeat(64));
        running.name("short");
        assert_eq!(running.seen(Moment::from_ms(1)).unwrap().key, "short");
    }
}
