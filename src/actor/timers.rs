//! What is to happen at a moment. Pure.

use std::collections::BTreeMap;

use crate::actor::moment::Moment;

/// Names one timer, to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    at: Moment,
    number: u64,
}

/// Timers by moment; those of one moment in the order in which they were set.
///
/// A tree, not a heap: an ask whose answer has come takes its timer back at once, so that there are never more timers
/// than asks in flight, things scheduled and replies owed.
#[derive(Debug)]
pub struct Timers<T> {
    by_time: BTreeMap<TimerId, T>,
    next: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), next: 0 }
    }
}

impl<T> Timers<T> {
    /// Sets a timer.
    pub fn set(&mut self, at: Moment, what: T) -> TimerId {
        self.next += 1;
        let id = TimerId { at, number: self.next };
        self.by_time.insert(id, what);
        id
    }

    /// Takes a timer back; none where it has gone off already.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.by_time.remove(&id)
    }

    /// Whether a timer has yet to go off.
    pub fn contains(&self, id: TimerId) -> bool {
        self.by_time.contains_key(&id)
    }

    /// The next timer whose moment has come.
    pub fn pop_due(&mut self, now: Moment) -> Option<T> {
        let first = self.by_time.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// The moment of the next timer.
    pub fn next(&self) -> Option<Moment> {
        self.by_time.first_key_value().map(|(id, _)| id.at)
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// None is set.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_go_off_at_their_moment_in_order() {
        let mut timers = Timers::default();
        timers.set(Moment::from_ms(20), "late");
        timers.set(Moment::from_ms(10), "first");
        timers.set(Moment::from_ms(10), "second");
        assert_eq!(timers.next(), Some(Moment::from_ms(10)));
        assert_eq!(timers.pop_due(Moment::from_ns(9_999_999)), None);
        assert_eq!(timers.pop_due(Moment::from_ms(10)), Some("first"));
        assert_eq!(timers.pop_due(Moment::from_ms(15)), Some("second"));
        assert_eq!(timers.pop_due(Moment::from_ms(15)), None);
        assert_eq!((timers.len(), timers.is_empty()), (1, false));
    }

    #[test]
    fn a_timer_that_is_taken_back_leaves_nothing() {
        let mut timers = Timers::default();
        let id = timers.set(Moment::from_ms(10), 1);
        assert!(timers.contains(id));
        assert_eq!(timers.cancel(id), Some(1));
        assert!(!timers.contains(id));
        assert_eq!(timers.cancel(id), None);
        assert!(timers.is_empty());
        assert_eq!(timers.next(), None);
    }
}
