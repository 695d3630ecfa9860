//! When to write a room's frames: at once under light load, gathered for some milliseconds when the shard is busy.
//!
//! A loopback `send` costs about the same whatever its size, so what moves capacity is how many messages each write
//! carries. The window follows the shard's use, steeply: nothing below a quarter, its most near saturation. Each room has its own
//! deadline (its oldest message and the window), so that the whole shard never flushes at once. Pure.

use std::{collections::VecDeque, time::Duration};

use crate::protocol::time::Timestamp;

/// Below this use of the core nothing waits.
const LIGHT: f64 = 0.25;
/// From this use on the window is at its widest.
const HEAVY: f64 = 0.80;
/// Over how long the use of the core is averaged.
const SAMPLE: Duration = Duration::from_millis(50);

/// How long positions of avatars wait for a note to go with: a picture's time on a screen. A write costs the same whatever it
/// carries, and nobody is to pay one for each position of everybody else's hand.
const CURSORS_WAIT: Duration = Duration::from_millis(15);

/// The rooms with something to write, by deadline, and the window that makes the deadlines.
#[derive(Debug)]
pub struct Gather {
    widest: Duration,
    window: Duration,
    /// Rooms by deadline, oldest first. The window may shrink meanwhile: a later room then waits for an earlier one.
    due: VecDeque<(Timestamp, usize)>,
    /// Rooms that had nothing to write but positions of avatars, by deadline.
    cursors: VecDeque<(Timestamp, usize)>,
    sample_start: Timestamp,
    /// The processor time that the shard had used then.
    used: Duration,
    usage: f64,
}

impl Gather {
    /// A gatherer whose window is at most `widest`; zero switches gathering off.
    pub fn new(widest: Duration, now: Timestamp) -> Self {
        Self {
            widest,
            window: Duration::ZERO,
            due: VecDeque::new(),
            cursors: VecDeque::new(),
            used: Duration::ZERO,
            sample_start: now,
            usage: 0.0,
        }
    }

    /// Adds a room that has something to write and is not in already. `last` is when it last had.
    ///
    /// A room whose messages come further apart than the window has nothing to gather: waiting would delay its notes and
    /// save no write.
    pub fn add(&mut self, room: usize, last: Timestamp, now: Timestamp) {
        if now.since(last) >= self.window {
            self.due.push_front((now, room));
        } else {
            self.due.push_back((now + self.window, room));
        }
    }

    /// Adds a room with positions of avatars to write that is not in already for such.
    pub fn add_cursors(&mut self, room: usize, now: Timestamp) {
        self.cursors.push_back((now + CURSORS_WAIT, room));
    }

    /// The next room whose positions have waited for long enough. They may have gone with something else.
    pub fn next_cursors_due(&mut self, now: Timestamp) -> Option<usize> {
        let &(deadline, room) = self.cursors.front()?;
        (deadline <= now).then(|| {
            self.cursors.pop_front();
            room
        })
    }

    /// The next room whose deadline has passed.
    pub fn next_due(&mut self, now: Timestamp) -> Option<usize> {
        let &(deadline, room) = self.due.front()?;
        (deadline <= now || self.window.is_zero()).then(|| {
            self.due.pop_front();
            room
        })
    }

    /// How long until a room is due; none where none waits.
    pub fn time_left(&self, now: Timestamp) -> Option<Duration> {
        let fronts = [self.due.front(), self.cursors.front()];
        fronts.into_iter().flatten().map(|&(deadline, _)| deadline.since(now)).min()
    }

    /// Whether it is time for another [`sample`](Self::sample).
    pub fn wants_sample(&self, now: Timestamp) -> bool {
        now.since(self.sample_start) >= SAMPLE
    }

    /// Takes in how much processor time the shard has used since it began. Not how long its turns took: on a core that it
    /// shares with others that would count their time, too, and a quiet room would wait for nothing.
    pub fn sample(&mut self, used: Duration, now: Timestamp) {
        let span = now.since(self.sample_start);
        if span.is_zero() {
            return;
        }
        let share = used.saturating_sub(self.used).as_secs_f64() / span.as_secs_f64();
        self.usage += (share.min(1.0) - self.usage) / 2.0;
        self.sample_start = now;
        self.used = used;
        let share = ((self.usage - LIGHT) / (HEAVY - LIGHT)).clamp(0.0, 1.0);
        // Steep near saturation, flat before: at half a core a note waits for a tenth of the window.
        self.window = self.widest.mul_f64(share.powi(3));
    }

    /// The share of the core in use, from 0 to 1, as averaged.
    pub fn usage(&self) -> f64 {
        self.usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(5_000);
    const WIDEST: Duration = Duration::from_millis(6);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A gatherer after half a second of this use.
    fn used(share: f64) -> (Gather, Timestamp) {
        let mut gather = Gather::new(WIDEST, START);
        let mut now = START;
        for n in 1..=10 {
            now = now + SAMPLE;
            gather.sample(SAMPLE.mul_f64(share) * n, now);
        }
        (gather, now)
    }

    #[test]
    fn a_quiet_shard_writes_at_once() {
        let (mut gather, now) = used(0.2);
        gather.add(7, now, now);
        assert_eq!(gather.next_due(now), Some(7));
    }

    #[test]
    fn a_busy_shard_waits_for_the_window_and_no_longer() {
        let (mut gather, now) = used(1.0);
        gather.add(7, now, now);
        assert_eq!(gather.next_due(now + ms(5)), None);
        assert_eq!(gather.time_left(now + ms(5)), Some(ms(1)));
        assert_eq!(gather.next_due(now + ms(6)), Some(7));
    }

    #[test]
    fn a_room_that_was_quiet_for_longer_than_the_window_waits_for_nobody() {
        let (mut gather, now) = used(1.0);
        gather.add(1, now, now);
        gather.add(2, now - ms(6), now);
        assert_eq!(gather.next_due(now), Some(2));
        assert_eq!(gather.next_due(now), None);
    }

    #[test]
    fn positions_wait_for_a_note_and_no_longer_than_a_picture() {
        let (mut gather, now) = used(0.0);
        gather.add_cursors(1, now);
        assert_eq!((gather.next_due(now), gather.next_cursors_due(now)), (None, None), "at light load too");
        assert_eq!(gather.time_left(now), Some(CURSORS_WAIT));
        // A note of the same room goes at once.
        gather.add(1, now, now);
        assert_eq!((gather.time_left(now), gather.next_due(now)), (Some(Duration::ZERO), Some(1)));
        assert_eq!(gather.next_cursors_due(now + CURSORS_WAIT), Some(1));
        assert_eq!(gather.time_left(now), None);
    }

    #[test]
    fn rooms_are_due_one_by_one() {
        let (mut gather, now) = used(1.0);
        gather.add(1, now, now);
        gather.add(2, now + ms(2), now + ms(2));
        assert_eq!(gather.next_due(now + ms(6)), Some(1));
        assert_eq!(gather.next_due(now + ms(6)), None);
        assert_eq!(gather.next_due(now + ms(8)), Some(2));
    }

    #[test]
    fn the_window_closes_when_the_load_ends() {
        let (mut gather, mut now) = used(1.0);
        let used = SAMPLE * 10;
        for _ in 0..10 {
            now = now + SAMPLE;
            gather.sample(used, now);
        }
        gather.add(3, now, now);
        assert_eq!(gather.next_due(now), Some(3));
    }
}
