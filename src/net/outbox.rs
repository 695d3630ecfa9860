//! What waits to be written to one connection: shared frames, bounded in bytes and age.
//!
//! A connection that falls behind loses avatar positions first, then whole MIDI messages, for itself alone. Each participant
//! of whom it missed something is remembered, and told by `Gap` as soon as it keeps up again. Past the hard bound it is to be
//! closed. Pure: the time is passed in, and writing is the caller's.

use std::{collections::VecDeque, io::IoSlice, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::protocol::time::Timestamp;

/// What a frame is to a connection that falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Never shed: answers, members, chat, control frames.
    Essential,
    /// A participant's MIDI: shed whole, and told by a gap.
    Midi {
        /// Whose.
        participant: u32,
        /// Its sequence number.
        sequence: u32,
    },
    /// An avatar's position: the first to go, replaced by the next.
    Cursor,
    /// That notes are missing which never came here. It goes with what is shed around it: what is told then comes once, and last.
    Gap {
        /// Whose.
        participant: u32,
        /// The sequence number it goes on from.
        next: u32,
    },
}

/// When a connection counts as falling behind. Bytes count what the kernel holds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Beyond this, shed.
    pub shed_bytes: usize,
    /// An oldest frame older than this: shed.
    pub shed_age: Duration,
    /// Beyond this, close.
    pub close_bytes: usize,
    /// An oldest frame older than this: close.
    pub close_age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            shed_bytes: 256 * 1024,
            shed_age: Duration::from_secs(2),
            close_bytes: 1024 * 1024,
            close_age: Duration::from_secs(5),
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits to be written.
    Queued,
    /// The connection lags: this frame, and perhaps earlier ones, were shed.
    Shed,
    /// The hard bound is passed: close with 3008.
    Overflow,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    frame: Bytes,
    class: Class,
    at: Timestamp,
}

/// How many queued frames there are of the classes that may be shed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sheddable {
    midi: usize,
    cursors: usize,
}

impl Sheddable {
    fn add(&mut self, class: Class) {
        match class {
            Class::Midi { .. } => self.midi += 1,
            Class::Cursor => self.cursors += 1,
            Class::Essential | Class::Gap { .. } => {}
        }
    }

    fn remove(&mut self, class: Class) {
        match class {
            Class::Midi { .. } => self.midi -= 1,
            Class::Cursor => self.cursors -= 1,
            Class::Essential | Class::Gap { .. } => {}
        }
    }
}

/// For how long the kernel has held what was written: the peer's side takes it too slowly, or not at all, and the outbox does not
/// see it, for everything fits into the kernel's buffer.
///
/// Known by looking at it now and then: what had been written by one look, and has not all been taken by the next, has been held for
/// the time between. A peer that is only a round trip away never is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Held {
    /// Bytes that were written in all.
    written: u64,
    /// Of these, the first so many were taken, as of the last look.
    taken: u64,
    /// What is waited for: that so many are taken, and since when.
    mark: Option<(u64, Timestamp)>,
    /// For how long, as of the last look.
    age: Duration,
}

impl Held {
    fn look(&mut self, unsent: usize, now: Timestamp) {
        self.taken = self.written.saturating_sub(unsent as u64);
        match self.mark {
            Some((until, since)) if self.taken < until => self.age = now.since(since),
            _ => {
                self.mark = (self.taken < self.written).then_some((self.written, now));
                self.age = Duration::ZERO;
            }
        }
    }
}

/// What was shed of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// MIDI messages.
    pub midi: u64,
    /// Avatar positions.
    pub cursors: u64,
    /// Gaps that were told.
    pub gaps: u64,
}

impl std::ops::AddAssign for Shed {
    fn add_assign(&mut self, other: Self) {
        self.midi += other.midi;
        self.cursors += other.cursors;
        self.gaps += other.gaps;
    }
}

/// One connection's queue. Moves with its connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outbox {
    queue: VecDeque<Entry>,
    /// Frames in it that may be shed: without any, a full queue is not looked through at each push.
    sheddable: Sheddable,
    /// Bytes of the first frame that are written already.
    written: usize,
    /// Bytes queued and not written.
    bytes: usize,
    /// Bytes the kernel held when it last took no more.
    kernel: usize,
    /// For how long it has held what.
    #[serde(default)]
    held: Held,
    /// It lags: from the bound on until half of it.
    sheds_cursors: bool,
    /// It lags so much that shedding cursors was not enough.
    sheds_midi: bool,
    /// Participants of whom something was shed, and the sequence number that follows it.
    gaps: Vec<(u32, u32)>,
    shed: Shed,
}

impl Outbox {
    /// Queues a frame, or sheds what the bounds ask for.
    pub fn push(&mut self, frame: Bytes, class: Class, now: Timestamp, bounds: &Bounds) -> Pushed {
        if self.is_past(bounds.close_bytes, bounds.close_age, frame.len(), now) {
            return Pushed::Overflow;
        }
        if self.is_past(bounds.shed_bytes, bounds.shed_age, frame.len(), now) {
            self.sheds_cursors = true;
            self.shed_cursors();
            // Notes go only where that was not enough.
            if self.is_past(bounds.shed_bytes, bounds.shed_age, frame.len(), now) {
                self.sheds_midi = true;
                self.shed_midi();
            }
        } else if self.sheds_cursors && !self.is_past(bounds.shed_bytes / 2, bounds.shed_age / 2, frame.len(), now) {
            (self.sheds_cursors, self.sheds_midi) = (false, false);
        }
        match class {
            Class::Cursor if self.sheds_cursors => {
                self.shed.cursors += 1;
                Pushed::Shed
            }
            Class::Midi { participant, sequence } if self.sheds_midi => {
                self.note_gap(participant, sequence);
                Pushed::Shed
            }
            Class::Gap { participant, next } if self.gaps.iter().any(|(of, _)| *of == participant) => {
                // One that waits to be told is told of all of it.
                self.remember_gap(participant, next);
                Pushed::Queued
            }
            _ => {
                self.bytes += frame.len();
                self.sheddable.add(class);
                self.queue.push_back(Entry { frame, class, at: now });
                Pushed::Queued
            }
        }
    }

    /// Queues a frame after which there is none, whatever the bounds say: a close that is sent because they are passed must
    /// not be refused by them.
    pub fn push_last(&mut self, frame: Bytes, now: Timestamp) {
        // Nor are gaps told: they would go behind it.
        self.gaps.clear();
        self.bytes += frame.len();
        self.queue.push_back(Entry { frame, class: Class::Essential, at: now });
    }

    /// Keeps a frame for a connection that is elsewhere, for [`absorb`](Self::absorb). Nothing of it is written meanwhile, and no
    /// gap told: once notes were shed they are shed until then.
    pub fn keep(&mut self, frame: Bytes, class: Class, now: Timestamp, bounds: &Bounds) -> Pushed {
        match class {
            Class::Midi { participant, sequence } if self.has_gaps() => {
                self.note_gap(participant, sequence);
                Pushed::Shed
            }
            _ => self.push(frame, class, now, bounds),
        }
    }

    /// Takes in what was [kept](Self::keep) for it elsewhere, behind what waits; nothing of that is written yet, and what gaps waited to be
    /// told here have been.
    pub fn absorb(&mut self, kept: Self) {
        self.bytes += kept.bytes;
        self.sheddable.midi += kept.sheddable.midi;
        self.sheddable.cursors += kept.sheddable.cursors;
        self.queue.extend(kept.queue);
        self.sheds_cursors |= kept.sheds_cursors;
        self.sheds_midi |= kept.sheds_midi;
        for (participant, next) in kept.gaps {
            self.remember_gap(participant, next);
        }
        self.shed += kept.shed;
    }

    /// The connection leaves its room: participants' numbers mean others in the next. What waits of the old room is sent
    /// and not shed any more, and gaps in it are not told.
    pub fn leave_room(&mut self) {
        self.gaps.clear();
        for entry in &mut self.queue {
            if matches!(entry.class, Class::Midi { .. } | Class::Gap { .. }) {
                entry.class = Class::Essential;
            }
        }
        self.sheddable.midi = 0;
    }

    /// Looks at the age of what waits without a push: true where the connection is to be closed.
    pub fn is_overdue(&self, now: Timestamp, bounds: &Bounds) -> bool {
        self.is_past(bounds.close_bytes, bounds.close_age, 0, now)
    }

    /// The gaps to tell, where the connection keeps up again: participant and the sequence number it goes on from.
    ///
    /// They are due before that participant's next MIDI, and at once: a note-off may be among what was shed.
    pub fn take_gaps(&mut self, now: Timestamp, bounds: &Bounds) -> Vec<(u32, u32)> {
        if self.gaps.is_empty() || self.is_past(bounds.shed_bytes / 2, bounds.shed_age / 2, 0, now) {
            return Vec::new();
        }
        (self.sheds_cursors, self.sheds_midi) = (false, false);
        self.take_all_gaps()
    }

    /// All the gaps to tell, whether the connection keeps up or not.
    pub fn take_all_gaps(&mut self) -> Vec<(u32, u32)> {
        self.shed.gaps += self.gaps.len() as u64;
        std::mem::take(&mut self.gaps)
    }

    /// Participants wait to be told of gaps.
    pub fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Fills in what is to be written next; returns how many slices.
    pub fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, entry) in into.iter_mut().zip(&self.queue) {
            let start = if count == 0 { self.written } else { 0 };
            *slot = IoSlice::new(&entry.frame[start..]);
            count += 1;
        }
        count
    }

    /// Takes away what was written.
    pub fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        self.held.written += written as u64;
        while written > 0 {
            let Some(entry) = self.queue.front() else { return };
            let left = entry.frame.len() - self.written;
            if written < left {
                self.written += written;
                return;
            }
            written -= left;
            self.written = 0;
            self.sheddable.remove(entry.class);
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.kernel = 0;
            if self.queue.capacity() > 64 {
                self.queue = VecDeque::new();
            }
        }
    }

    /// Drops all that waits but a frame that is half written: before a close that cannot wait for it.
    pub fn drop_backlog(&mut self) {
        let begun = usize::from(self.written > 0);
        self.queue.truncate(begun);
        self.sheddable = Sheddable::default();
        self.queue.iter().for_each(|entry| self.sheddable.add(entry.class));
        self.bytes = self.queue.front().map_or(0, |entry| entry.frame.len() - self.written);
        self.kernel = 0;
        self.gaps.clear();
    }

    /// The kernel took no more; it holds this many bytes.
    pub fn note_kernel(&mut self, bytes: usize) {
        self.kernel = bytes;
    }

    /// The kernel may hold something: it is worth a look.
    pub fn may_be_held(&self) -> bool {
        self.held.taken < self.held.written
    }

    /// The kernel holds this many bytes now.
    pub fn look(&mut self, unsent: usize, now: Timestamp) {
        self.held.look(unsent, now);
    }

    /// The shard stood still for so long: nobody could be written to, so nobody's reading is to blame for the age of what waits.
    pub fn stood_still(&mut self, stall: Duration) {
        for entry in &mut self.queue {
            entry.at = entry.at + stall;
        }
        if let Some((_, since)) = &mut self.held.mark {
            *since = *since + stall;
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Frames that wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait, without the kernel's.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was shed since this was last asked.
    pub fn take_shed(&mut self) -> Shed {
        std::mem::take(&mut self.shed)
    }

    fn is_past(&self, bytes: usize, age: Duration, extra: usize, now: Timestamp) -> bool {
        let oldest = self.queue.front().map_or(now, |entry| entry.at);
        self.held.age > age
            || !self.queue.is_empty() && (self.bytes + self.kernel + extra > bytes || now.since(oldest) > age)
    }

    fn shed_cursors(&mut self) {
        if self.sheddable.cursors > 0 {
            self.shed_where(|class| class == Class::Cursor);
        }
    }

    fn shed_midi(&mut self) {
        if self.sheddable.midi > 0 {
            self.shed_where(|class| matches!(class, Class::Midi { .. } | Class::Gap { .. }));
        }
    }

    /// Sheds the queued frames of a class, but not one that is half written.
    fn shed_where(&mut self, doomed: impl Fn(Class) -> bool) {
        let begun = usize::from(self.written > 0);
        let mut index = 0;
        let mut gone = Vec::new();
        let mut freed = 0;
        self.queue.retain(|entry| {
            let keep = index < begun || !doomed(entry.class);
            index += 1;
            if !keep {
                freed += entry.frame.len();
                gone.push(entry.class);
            }
            keep
        });
        self.bytes -= freed;
        for class in gone {
            self.sheddable.remove(class);
            match class {
                Class::Midi { participant, sequence } => self.note_gap(participant, sequence),
                Class::Cursor => self.shed.cursors += 1,
                Class::Gap { participant, next } => self.remember_gap(participant, next),
                Class::Essential => {}
            }
        }
    }

    fn note_gap(&mut self, participant: u32, sequence: u32) {
        self.shed.midi += 1;
        self.remember_gap(participant, sequence.wrapping_add(1));
    }

    fn remember_gap(&mut self, participant: u32, next: u32) {
        match self.gaps.iter_mut().find(|(of, _)| *of == participant) {
            Some((_, after)) => *after = next,
            None => self.gaps.push((participant, next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_000_000);
    const BOUNDS: Bounds = Bounds {
        shed_bytes: 100,
        shed_age: Duration::from_secs(2),
        close_bytes: 300,
        close_age: Duration::from_secs(5),
    };

    fn frame(length: usize) -> Bytes {
        vec![0; length].into()
    }

    fn midi(sequence: u32) -> Class {
        Class::Midi { participant: 1, sequence }
    }

    #[test]
    fn a_connection_that_keeps_up_loses_nothing() {
        let mut outbox = Outbox::default();
        for sequence in 0..1000 {
            assert_eq!(outbox.push(frame(40), midi(sequence), START, &BOUNDS), Pushed::Queued);
            outbox.advance(40);
        }
        assert_eq!((outbox.len(), outbox.bytes(), outbox.take_shed()), (0, 0, Shed::default()));
    }

    #[test]
    fn a_single_frame_over_the_bound_is_still_sent_where_nothing_waits() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.push(frame(1000), Class::Essential, START, &BOUNDS), Pushed::Queued);
    }

    #[test]
    fn cursors_go_before_midi() {
        let mut outbox = Outbox::default();
        outbox.push(frame(40), Class::Cursor, START, &BOUNDS);
        outbox.push(frame(40), midi(1), START, &BOUNDS);
        assert_eq!(outbox.push(frame(40), Class::Essential, START, &BOUNDS), Pushed::Queued);
        assert_eq!(outbox.take_shed(), Shed { midi: 0, cursors: 1, gaps: 0 });
        assert_eq!(outbox.bytes(), 80);
    }

    #[test]
    fn midi_passes_where_shedding_cursors_has_made_room() {
        let mut outbox = Outbox::default();
        outbox.push(frame(50), Class::Cursor, START, &BOUNDS);
        outbox.push(frame(40), midi(1), START, &BOUNDS);
        assert_eq!(outbox.push(frame(40), midi(2), START, &BOUNDS), Pushed::Queued);
        assert_eq!(outbox.push(frame(10), Class::Cursor, START, &BOUNDS), Pushed::Shed, "not yet below the half");
        assert_eq!((outbox.take_shed(), outbox.has_gaps()), (Shed { midi: 0, cursors: 2, gaps: 0 }, false));
    }

    #[test]
    fn shed_midi_leaves_a_gap_that_is_told_when_the_connection_keeps_up_again() {
        let mut outbox = Outbox::default();
        for sequence in 1..=4 {
            outbox.push(frame(40), midi(sequence), START, &BOUNDS);
        }
        assert_eq!(outbox.take_shed().midi, 3, "the two that waited and the third; the fourth finds room again");
        outbox.push(frame(90), Class::Essential, START, &BOUNDS);
        assert!(outbox.take_gaps(START, &BOUNDS).is_empty(), "not while it lags");
        let bytes = outbox.bytes();
        outbox.advance(bytes);
        let gaps = outbox.take_gaps(START, &BOUNDS);
        assert_eq!(gaps, [(1, 5)], "the long frame shed the fourth too");
        assert!(outbox.take_gaps(START, &BOUNDS).is_empty(), "once");
    }

    #[test]
    fn nothing_goes_behind_the_last_frame() {
        let mut outbox = Outbox::default();
        for sequence in 1..=4 {
            outbox.push(frame(40), midi(sequence), START, &BOUNDS);
        }
        assert!(outbox.has_gaps());
        outbox.push_last(frame(7), START);
        let bytes = outbox.bytes();
        outbox.advance(bytes);
        assert!(outbox.take_gaps(START, &BOUNDS).is_empty(), "a gap would follow the close");
    }

    #[test]
    fn a_half_written_frame_is_finished() {
        let mut outbox = Outbox::default();
        outbox.push(frame(80), midi(1), START, &BOUNDS);
        outbox.advance(1);
        outbox.push(frame(80), Class::Essential, START, &BOUNDS);
        assert_eq!((outbox.len(), outbox.bytes()), (2, 159));
    }

    #[test]
    fn age_sheds_and_then_closes() {
        let mut outbox = Outbox::default();
        outbox.push(frame(10), Class::Essential, START, &BOUNDS);
        let late = START + Duration::from_millis(2001);
        assert_eq!(outbox.push(frame(10), midi(1), late, &BOUNDS), Pushed::Shed);
        assert_eq!(outbox.push(frame(10), Class::Essential, late, &BOUNDS), Pushed::Queued);
        let too_late = START + Duration::from_millis(5001);
        assert!(outbox.is_overdue(too_late, &BOUNDS));
        assert_eq!(outbox.push(frame(10), Class::Essential, too_late, &BOUNDS), Pushed::Overflow);
    }

    #[test]
    fn the_close_of_a_connection_past_its_bounds_is_queued_behind_a_half_written_frame() {
        let mut outbox = Outbox::default();
        outbox.push(frame(10), Class::Essential, START, &BOUNDS);
        outbox.push(frame(10), Class::Essential, START, &BOUNDS);
        outbox.advance(4);
        let too_late = START + Duration::from_secs(6);
        assert!(outbox.is_overdue(too_late, &BOUNDS));
        outbox.drop_backlog();
        outbox.push_last(frame(7), too_late);
        assert_eq!((outbox.len(), outbox.bytes()), (2, 13));
    }

    #[test]
    fn gaps_of_a_room_that_was_left_are_not_told_in_the_next() {
        let mut outbox = Outbox::default();
        outbox.push(frame(10), midi(1), START, &BOUNDS);
        outbox.push(frame(95), midi(2), START, &BOUNDS);
        assert!(outbox.has_gaps());
        outbox.push(frame(10), midi(3), START, &BOUNDS);
        outbox.leave_room();
        assert!(!outbox.has_gaps());
        // What waits of the old room is not shed into the new one's gaps.
        outbox.push(frame(95), Class::Essential, START, &BOUNDS);
        outbox.push(frame(10), midi(1), START, &BOUNDS);
        assert_eq!(outbox.gaps, [(1, 2)], "the new room's");
    }

    #[test]
    fn what_was_kept_elsewhere_goes_behind_what_waits_with_its_gaps() {
        let (mut outbox, mut kept) = (Outbox::default(), Outbox::default());
        outbox.push(frame(10), midi(1), START, &BOUNDS);
        kept.push(frame(95), midi(2), START, &BOUNDS);
        kept.push(frame(10), midi(3), START, &BOUNDS);
        kept.push(frame(20), Class::Essential, START, &BOUNDS);
        assert!(kept.has_gaps());
        let (gaps, shed) = (kept.gaps.clone(), kept.shed);
        let (bytes, frames) = (kept.bytes(), kept.len());
        outbox.absorb(kept);
        assert_eq!((outbox.bytes(), outbox.len()), (10 + bytes, 1 + frames));
        assert_eq!((outbox.gaps.clone(), outbox.shed), (gaps, shed));
        outbox.advance(10 + bytes);
        assert_eq!(outbox.sheddable, Sheddable::default());
    }

    #[test]
    fn what_is_kept_elsewhere_has_no_notes_behind_a_gap_that_nobody_tells() {
        let mut kept = Outbox::default();
        kept.keep(frame(90), midi(1), START, &BOUNDS);
        kept.keep(frame(20), midi(2), START, &BOUNDS);
        assert_eq!(kept.gaps, [(1, 3)], "the first goes, too");
        assert_eq!(kept.keep(frame(10), midi(3), START, &BOUNDS), Pushed::Shed, "though nothing waits any more");
        assert_eq!(kept.keep(frame(10), Class::Essential, START, &BOUNDS), Pushed::Queued);
        assert_eq!((kept.gaps, kept.shed.midi), (vec![(1, 4)], 3));
    }

    #[test]
    fn a_gap_that_came_from_elsewhere_is_told_once_with_what_is_shed_around_it() {
        let gap = |next| Class::Gap { participant: 1, next };
        // One waits to be told: the other goes into it.
        let mut outbox = Outbox::default();
        outbox.push(frame(95), Class::Essential, START, &BOUNDS);
        assert_eq!(outbox.push(frame(10), midi(4), START, &BOUNDS), Pushed::Shed);
        outbox.push(frame(10), gap(20), START, &BOUNDS);
        assert_eq!((outbox.len(), outbox.gaps.clone()), (1, vec![(1, 20)]));

        // It waits among notes that are shed.
        let mut outbox = Outbox::default();
        outbox.push(frame(40), midi(4), START, &BOUNDS);
        outbox.push(frame(40), gap(20), START, &BOUNDS);
        outbox.push(frame(10), midi(20), START, &BOUNDS);
        outbox.push(frame(95), Class::Essential, START, &BOUNDS);
        assert_eq!((outbox.len(), outbox.gaps.clone(), outbox.shed.midi), (1, vec![(1, 21)], 2));
        assert_eq!(outbox.bytes(), 95);

        // In the next room it says nothing.
        let mut outbox = Outbox::default();
        outbox.push(frame(40), gap(20), START, &BOUNDS);
        outbox.leave_room();
        outbox.push(frame(40), midi(1), START, &BOUNDS);
        outbox.push(frame(95), Class::Essential, START, &BOUNDS);
        assert_eq!(outbox.gaps, [(1, 2)]);
    }

    #[test]
    fn what_may_be_shed_is_counted_however_it_leaves() {
        let mut outbox = Outbox::default();
        outbox.push(frame(10), midi(1), START, &BOUNDS);
        outbox.push(frame(10), Class::Cursor, START, &BOUNDS);
        outbox.push(frame(10), midi(2), START, &BOUNDS);
        outbox.advance(15);
        assert_eq!(outbox.sheddable, Sheddable { midi: 1, cursors: 1 });
        outbox.push(frame(90), Class::Essential, START, &BOUNDS);
        assert_eq!(outbox.sheddable, Sheddable { midi: 0, cursors: 1 }, "a half written frame stays");
        outbox.drop_backlog();
        assert_eq!(outbox.sheddable, Sheddable { midi: 0, cursors: 1 });
        outbox.advance(5);
        assert_eq!(outbox.sheddable, Sheddable::default());
    }

    #[test]
    fn what_the_kernel_has_held_for_too_long_counts_though_nothing_waits() {
        let mut outbox = Outbox::default();
        let later = |ms| START + Duration::from_millis(ms);
        outbox.push(frame(40), midi(1), START, &BOUNDS);
        outbox.advance(40);
        assert!(outbox.may_be_held());
        outbox.look(40, START);
        // It is taken, and other bytes are on their way: nothing is late.
        outbox.push(frame(40), midi(2), later(1900), &BOUNDS);
        outbox.advance(40);
        outbox.look(40, later(1900));
        assert_eq!(outbox.push(frame(40), midi(3), later(2500), &BOUNDS), Pushed::Queued);
        outbox.advance(40);
        // From here on nothing is taken.
        outbox.look(80, later(3900));
        assert_eq!(outbox.push(frame(10), midi(4), later(3900), &BOUNDS), Pushed::Queued, "two seconds, and no more");
        outbox.advance(10);
        outbox.look(90, later(3901));
        assert_eq!(outbox.push(frame(40), midi(5), later(3901), &BOUNDS), Pushed::Shed);
        assert!(outbox.take_gaps(later(3901), &BOUNDS).is_empty(), "not while it lags");
        assert!(!outbox.is_overdue(later(3901), &BOUNDS));
        outbox.look(90, later(6901));
        assert!(outbox.is_overdue(later(6901), &BOUNDS));
        // It reads again.
        outbox.look(0, later(7000));
        assert!(!outbox.is_overdue(later(7000), &BOUNDS) && !outbox.may_be_held());
        assert_eq!(outbox.take_gaps(later(7000), &BOUNDS), [(1, 6)]);
    }

    #[test]
    fn what_the_kernel_holds_while_the_shard_stands_still_is_nobodys_delay() {
        let mut outbox = Outbox::default();
        outbox.push(frame(40), midi(1), START, &BOUNDS);
        outbox.advance(40);
        outbox.look(40, START);
        outbox.stood_still(Duration::from_secs(10));
        outbox.look(40, START + Duration::from_secs(11));
        assert_eq!(outbox.push(frame(40), midi(2), START + Duration::from_secs(11), &BOUNDS), Pushed::Queued);
    }

    #[test]
    fn what_the_kernel_holds_counts() {
        let mut outbox = Outbox::default();
        outbox.push(frame(10), Class::Essential, START, &BOUNDS);
        outbox.note_kernel(95);
        assert_eq!(outbox.push(frame(10), midi(1), START, &BOUNDS), Pushed::Shed);
        outbox.note_kernel(295);
        assert_eq!(outbox.push(frame(10), Class::Essential, START, &BOUNDS), Pushed::Overflow);
    }

    #[test]
    fn slices_and_advances_over_frame_borders_give_the_same_bytes() {
        let mut outbox = Outbox::default();
        for (index, length) in [3usize, 5, 2, 7].into_iter().enumerate() {
            outbox.push(vec![index as u8; length].into(), Class::Essential, START, &Bounds::default());
        }
        let mut got = Vec::new();
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let count = outbox.slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).take(4).collect();
            got.extend_from_slice(&bytes);
            outbox.advance(bytes.len());
        }
        assert_eq!(got, [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(outbox.bytes(), 0);
    }
}
