//! A room's way to one branch: what is pending for it, bounded, and how much it may be sent. Pure.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    domain::{
        defect::{Defect, is_planted},
        quota::CarriedQuota,
    },
    net::{
        frame,
        outbox::{Bounds, Class, Shed},
    },
    protocol::{
        close::CloseCode,
        codec::Format,
        ids::Participant,
        time::Timestamp,
        wire::{ClientMessage, Gap, client_message::Message},
    },
    server::spill::batch::{BranchKey, Outward, OutwardItem},
};

/// Batches that either side may be ahead of the other.
pub const WINDOW: u64 = 32;
/// A side that has nothing else to say says how far it is when it has been through so many batches.
const TELL_EVERY: u64 = WINDOW / 4;

/// A message for all, in the formats that somebody speaks.
#[derive(Clone, Debug, Default)]
pub struct Framed {
    /// In protobuf, where anybody needs it.
    pub protobuf: Option<Bytes>,
    /// In JSON, where anybody needs it.
    pub json: Option<Bytes>,
}

/// One side's count of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    sent: u64,
    /// The other has been through these.
    acknowledged: u64,
    /// Of the other's this side has been through these.
    pub heard: u64,
    told: u64,
}

impl Window {
    /// Another batch may be sent.
    pub fn is_open(&self) -> bool {
        self.ahead() < WINDOW
    }

    /// Batches that the other side has not been through, as far as it has said.
    pub fn ahead(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged)
    }

    /// So much of the other side's has been heard that it is to be told.
    pub fn is_due(&self) -> bool {
        self.heard - self.told >= TELL_EVERY
    }

    /// The number of the next batch, and what it says was heard.
    pub fn advance(&mut self) -> (u64, u64) {
        self.sent += 1;
        self.told = self.heard;
        (self.sent, self.heard)
    }

    /// The other side has been through these.
    pub fn acknowledge(&mut self, heard: u64) {
        self.acknowledged = self.acknowledged.max(heard);
    }
}

/// What is pending for a branch past its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It keeps up, or is helped by what is shed.
    Well,
    /// Past the hard bounds: it is to be given up.
    Overdue,
}

/// A room's way to one branch.
#[derive(Debug)]
pub struct Line {
    /// The branch.
    pub key: BranchKey,
    /// Its shard.
    pub shard: usize,
    /// Its members that speak protobuf, and those that speak JSON.
    members: [usize; 2],
    /// Batches sent and heard.
    pub window: Window,
    /// Batches of the branch that have come, whether they have been gone through or not.
    pub come: u64,
    items: Vec<OutwardItem>,
    frames: Vec<u8>,
    /// Since when something has been pending.
    since: Option<Timestamp>,
    sheds_cursors: bool,
    sheds_midi: bool,
    /// Participants of whom something was shed, and the sequence number that follows it.
    gaps: Vec<(Participant, u32)>,
    shed: Shed,
    /// A batch that its host's inbox had no room for.
    refused: Option<Outward>,
    /// Since when it owes a word: it was asked whether a member is there.
    asked_at: Option<Timestamp>,
}

fn of(format: Format) -> usize {
    match format {
        Format::Protobuf => 0,
        Format::Json => 1,
    }
}

impl Line {
    /// A line to a branch without members.
    pub fn new(key: BranchKey, shard: usize) -> Self {
        Self {
            key,
            shard,
            members: [0; 2],
            window: Window::default(),
            come: 0,
            items: Vec::new(),
            frames: Vec::new(),
            since: None,
            sheds_cursors: false,
            sheds_midi: false,
            gaps: Vec::new(),
            shed: Shed::default(),
            refused: None,
            asked_at: None,
        }
    }

    /// How many members are there.
    pub fn len(&self) -> usize {
        self.members[0] + self.members[1]
    }

    /// Nobody is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Somebody there speaks this.
    pub fn speaks(&self, format: Format) -> bool {
        self.members[of(format)] > 0
    }

    /// A member has been handed on to it.
    pub fn enter(&mut self, participant: Participant, format: Format, now: Timestamp) {
        // It has heard what the others here have missed.
        self.tell_gaps(now);
        self.members[of(format)] += 1;
        self.push(OutwardItem::Enter(participant), now);
    }

    /// A member goes home: what is for it from here on is kept there. What it has missed here it is told here.
    pub fn come(&mut self, participant: Participant, format: Format, now: Timestamp) {
        self.tell_gaps(now);
        self.push(OutwardItem::Come(participant), now);
        self.leave(format);
    }

    /// A member is there no more.
    pub fn leave(&mut self, format: Format) {
        self.members[of(format)] -= 1;
    }

    /// Something for one member.
    pub fn push(&mut self, item: OutwardItem, now: Timestamp) {
        self.since.get_or_insert(now);
        self.items.push(item);
    }

    /// A frame for one member.
    pub fn push_one(&mut self, to: Participant, frame: &[u8], is_strike: bool, now: Timestamp) {
        self.frames.extend_from_slice(frame);
        self.push(OutwardItem::One { to, length: frame.len() as u32, is_strike }, now);
    }

    /// A message for all its members but one. Where too much is pending already it may be shed.
    pub fn push_all(
        &mut self,
        framed: &Framed,
        class: Class,
        except: Option<Participant>,
        now: Timestamp,
        bounds: &Bounds,
    ) {
        if self.is_empty() {
            return;
        }
        self.look(now, bounds);
        // Once for each who misses it.
        let misses = self.len().saturating_sub(usize::from(except.is_some())) as u64;
        match class {
            Class::Cursor if self.sheds_cursors => return self.shed.cursors += misses,
            Class::Midi { participant, sequence } if self.sheds_midi => {
                self.shed.midi += misses;
                return self.note_gap(Participant(participant), sequence.wrapping_add(1));
            }
            _ => {}
        }
        let mut add = |format: Format, frame: Option<&Bytes>| {
            let frame = frame.filter(|_| self.members[of(format)] > 0).map_or(&[][..], |frame| &frame[..]);
            self.frames.extend_from_slice(frame);
            frame.len() as u32
        };
        let protobuf = add(Format::Protobuf, framed.protobuf.as_ref());
        let json = add(Format::Json, framed.json.as_ref());
        self.push(OutwardItem::All { except, class, protobuf, json }, now);
    }

    /// Looks at how much is pending, and for how long.
    pub fn look(&mut self, now: Timestamp, bounds: &Bounds) -> Standing {
        let Some(since) = self.since.filter(|_| self.is_held_up()) else { return Standing::Well };
        let (bytes, age) = (self.bytes(), now.since(since));
        self.sheds_cursors |= bytes > bounds.shed_bytes / 2 || age > bounds.shed_age / 2;
        self.sheds_midi |= bytes > bounds.shed_bytes || age > bounds.shed_age;
        let is_overdue = bytes > bounds.close_bytes || age > bounds.close_age;
        if is_overdue { Standing::Overdue } else { Standing::Well }
    }

    /// Nothing more may be sent for now.
    fn is_held_up(&self) -> bool {
        !self.window.is_open() || self.refused.is_some()
    }

    /// The next batch, where there is something to say and the branch keeps up.
    pub fn seal(&mut self, now: Timestamp) -> Option<Outward> {
        if let Some(batch) = self.refused.take() {
            return Some(batch);
        }
        if !self.window.is_open() || (self.items.is_empty() && self.gaps.is_empty() && !self.window.is_due()) {
            return None;
        }
        (self.sheds_cursors, self.sheds_midi) = (false, false);
        // Behind what was pending when shedding began, before the next notes.
        self.tell_gaps(now);
        self.since = None;
        if self.items.iter().any(|item| matches!(item, OutwardItem::Ping(_))) {
            self.asked_at.get_or_insert(now);
        }
        let (number, heard) = self.window.advance();
        let frames = Bytes::from(std::mem::take(&mut self.frames));
        Some(Outward { number, heard, items: std::mem::take(&mut self.items), frames })
    }

    /// A sealed batch could not be sent: it is the next again.
    pub fn keep(&mut self, batch: Outward, now: Timestamp) {
        self.since.get_or_insert(now);
        self.refused = Some(batch);
    }

    /// The branch has been through the batches up to this one.
    pub fn acknowledge(&mut self, heard: u64) {
        self.window.acknowledge(heard);
        self.asked_at = None;
    }

    /// The branch was asked and has said nothing since: its members cannot be heard, so their silence says nothing of them.
    pub fn stands_still(&self, now: Timestamp, patience: Duration) -> bool {
        self.asked_at.is_some_and(|at| now.since(at) >= patience)
    }

    /// This side stood still for so long: no branch is to blame for what waited meanwhile.
    pub fn stood_still(&mut self, stall: Duration) {
        for at in [&mut self.since, &mut self.asked_at].into_iter().flatten() {
            *at = *at + stall;
        }
    }

    /// What was shed since this was last asked.
    pub fn take_shed(&mut self) -> Shed {
        std::mem::take(&mut self.shed)
    }

    /// Bytes that are pending; each item counts as some.
    pub fn bytes(&self) -> usize {
        let weigh = |frames: &[u8], items: &[OutwardItem]| frames.len() + size_of_val(items);
        let refused = self.refused.as_ref().map_or(0, |batch| weigh(&batch.frames, &batch.items));
        refused + weigh(&self.frames, &self.items)
    }

    fn tell_gaps(&mut self, now: Timestamp) {
        for (participant, next_sequence) in std::mem::take(&mut self.gaps) {
            if is_planted(Defect::TellNoGapAway) {
                continue;
            }
            self.push_gap(participant, next_sequence, now);
        }
    }

    fn push_gap(&mut self, participant: Participant, next_sequence: u32, now: Timestamp) {
        let gap = ClientMessage::event(Message::Gap(Gap { participant: participant.0, next_sequence }));
        let mut add = |format| {
            let frame = if self.speaks(format) { frame::message(format, &gap) } else { Bytes::new() };
            self.frames.extend_from_slice(&frame);
            frame.len() as u32
        };
        let (protobuf, json) = (add(Format::Protobuf), add(Format::Json));
        self.shed.gaps += 1;
        let class = Class::Gap { participant: participant.0, next: next_sequence };
        self.push(OutwardItem::All { except: Some(participant), class, protobuf, json }, now);
    }

    fn note_gap(&mut self, participant: Participant, next: u32) {
        match self.gaps.iter_mut().find(|(of, _)| *of == participant) {
            Some((_, after)) => *after = next,
            None => self.gaps.push((participant, next)),
        }
    }
}

/// Shorthands for what one member is told.
impl Line {
    /// It is to be closed; it is out of the room already.
    pub fn close(&mut self, participant: Participant, code: CloseCode, now: Timestamp) {
        self.push(OutwardItem::Close(participant, code), now);
    }

    /// It has left, as it asked.
    pub fn left(&mut self, participant: Participant, quota: CarriedQuota, now: Timestamp) {
        self.push(OutwardItem::Left(participant, quota), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::RoomKey;

    const START: Timestamp = Timestamp::from_ms(1_000_000);
    const PLAYER: Participant = Participant(1);
    const BOUNDS: Bounds = Bounds {
        shed_bytes: 1000,
        shed_age: Duration::from_secs(2),
        close_bytes: 4000,
        close_age: Duration::from_secs(10),
    };

    fn line() -> Line {
        let mut line = Line::new(BranchKey { room: RoomKey::from_normalised("concert"), life: 1 }, 1);
        line.enter(Participant(9), Format::Protobuf, START);
        line
    }

    fn note(line: &mut Line, sequence: u32, now: Timestamp) {
        let framed = Framed { protobuf: Some(vec![7; 40].into()), json: None };
        // Who plays it is at home.
        line.push_all(&framed, Class::Midi { participant: PLAYER.0, sequence }, None, now, &BOUNDS);
    }

    fn notes(batch: &Outward) -> usize {
        let is_midi = |item: &&OutwardItem| matches!(item, OutwardItem::All { class: Class::Midi { .. }, .. });
        batch.items.iter().filter(is_midi).count()
    }

    /// A line whose branch has not been through anything for a while.
    fn stuck() -> Line {
        let mut line = line();
        for sequence in 1..=WINDOW as u32 {
            note(&mut line, sequence, START);
            assert!(line.seal(START).is_some());
        }
        line
    }

    #[test]
    fn a_branch_that_keeps_up_is_sent_what_there_is_in_one_batch() {
        let mut line = line();
        (1..=100).for_each(|sequence| note(&mut line, sequence, START));
        let batch = line.seal(START).unwrap();
        assert_eq!((batch.number, notes(&batch), batch.frames.len()), (1, 100, 4000), "within a turn nothing is shed");
        assert!(line.seal(START).is_none(), "nothing is left");
    }

    #[test]
    fn past_the_window_it_waits_and_past_the_bound_notes_are_shed_and_told_as_a_gap_behind_what_waited() {
        let mut line = stuck();
        for sequence in 1..=100 {
            note(&mut line, WINDOW as u32 + sequence, START);
            assert!(line.seal(START).is_none());
        }
        let shed = line.take_shed();
        assert!(shed.midi > 50, "{shed:?}");
        line.window.acknowledge(1);
        let batch = line.seal(START).unwrap();
        assert_eq!(notes(&batch) as u64 + shed.midi, 100, "each is there or shed");
        let Some(OutwardItem::All { except, class: Class::Gap { .. }, .. }) = batch.items.last() else {
            panic!("no gap: {:?}", batch.items.last());
        };
        assert_eq!(*except, Some(PLAYER), "who has played it misses nothing");
        note(&mut line, WINDOW as u32 + 101, START);
        line.window.acknowledge(2);
        assert_eq!(notes(&line.seal(START).unwrap()), 1, "and then they go on");
    }

    #[test]
    fn age_sheds_as_bytes_do_and_cursors_first() {
        let mut line = stuck();
        note(&mut line, 40, START);
        let cursor = |line: &mut Line, now| {
            let framed = Framed { protobuf: Some(vec![7; 4].into()), json: None };
            line.push_all(&framed, Class::Cursor, None, now, &BOUNDS);
            line.take_shed()
        };
        assert_eq!(cursor(&mut line, START + Duration::from_millis(1001)).cursors, 1);
        note(&mut line, 41, START + Duration::from_millis(1999));
        assert_eq!(line.take_shed().midi, 0);
        note(&mut line, 42, START + Duration::from_millis(2001));
        assert_eq!(line.take_shed().midi, 1);
        assert_eq!(line.look(START + Duration::from_millis(9_999), &BOUNDS), Standing::Well);
        assert_eq!(line.look(START + Duration::from_millis(10_001), &BOUNDS), Standing::Overdue);
    }

    #[test]
    fn what_may_not_be_shed_is_kept_until_the_hard_bound() {
        let mut line = stuck();
        let mut kept = 0;
        while line.look(START, &BOUNDS) == Standing::Well {
            line.push_one(Participant(9), &[0; 100], false, START);
            kept += 1;
        }
        assert!(line.bytes() > BOUNDS.close_bytes);
        line.window.acknowledge(1);
        assert_eq!(line.seal(START).unwrap().items.len(), kept, "none is lost");
    }

    #[test]
    fn a_branch_whose_inbox_is_full_is_bounded_as_one_that_is_not_through() {
        let mut line = line();
        note(&mut line, 1, START);
        let batch = line.seal(START).unwrap();
        line.keep(batch, START);
        for sequence in 2..=100 {
            note(&mut line, sequence, START);
        }
        assert!(line.take_shed().midi > 50);
        assert_eq!(line.look(START + Duration::from_millis(10_001), &BOUNDS), Standing::Overdue);
        assert_eq!(line.seal(START).unwrap().number, 1, "the same again");
        let batch = line.seal(START).unwrap();
        assert_eq!(batch.number, 2);
        assert!(matches!(batch.items.last(), Some(OutwardItem::All { class: Class::Gap { next: 101, .. }, .. })));
    }

    #[test]
    fn who_goes_home_is_told_there_of_what_it_has_missed_and_who_comes_is_not() {
        let mut line = stuck();
        for sequence in 1..=100 {
            note(&mut line, WINDOW as u32 + sequence, START);
        }
        line.come(Participant(9), Format::Protobuf, START);
        line.enter(Participant(10), Format::Protobuf, START);
        line.window.acknowledge(1);
        let items = line.seal(START).unwrap().items;
        let place = |wanted: fn(&OutwardItem) -> bool| items.iter().position(wanted).unwrap();
        let gap = place(|item| matches!(item, OutwardItem::All { class: Class::Gap { .. }, .. }));
        assert!(gap < place(|item| matches!(item, OutwardItem::Come(_))));
        assert!(gap < place(|item| matches!(item, OutwardItem::Enter(_))));
    }

    #[test]
    fn a_branch_that_was_asked_stands_still_until_it_says_something() {
        const PATIENCE: Duration = Duration::from_millis(250);
        let mut line = line();
        line.push(OutwardItem::Ping(Participant(9)), START);
        assert!(line.seal(START).is_some());
        assert!(!line.stands_still(START + Duration::from_millis(249), PATIENCE));
        assert!(line.stands_still(START + PATIENCE, PATIENCE));
        line.stood_still(PATIENCE);
        assert!(!line.stands_still(START + PATIENCE, PATIENCE), "this side did");
        line.acknowledge(1);
        assert!(!line.stands_still(START + 9 * PATIENCE, PATIENCE));
    }

    #[test]
    fn a_side_that_only_listens_says_now_and_then_how_far_it_is() {
        let mut line = line();
        line.seal(START).unwrap();
        for heard in 1..TELL_EVERY {
            line.window.heard = heard;
            assert!(line.seal(START).is_none());
        }
        line.window.heard = TELL_EVERY;
        let batch = line.seal(START).unwrap();
        assert_eq!((batch.items.len(), batch.heard), (0, TELL_EVERY));
    }

    #[test]
    fn formats_that_nobody_there_speaks_are_not_sent() {
        let mut line = line();
        let framed = Framed { protobuf: Some(vec![1; 3].into()), json: Some(vec![2; 9].into()) };
        line.push_all(&framed, Class::Essential, None, START, &BOUNDS);
        assert_eq!(&line.seal(START).unwrap().frames[..], [1; 3]);
        line.enter(Participant(10), Format::Json, START);
        line.push_all(&framed, Class::Essential, None, START, &BOUNDS);
        assert_eq!(line.seal(START).unwrap().frames.len(), 12);
        line.leave(Format::Protobuf);
        line.leave(Format::Json);
        line.push_all(&framed, Class::Essential, None, START, &BOUNDS);
        assert!(line.seal(START).is_none(), "nobody is left");
    }
}
