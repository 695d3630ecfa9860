//! Who of a room is away, and where; and what is kept for those on their way back. Pure.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use crate::{
    net::{
        frame,
        outbox::{Bounds, Class, Outbox, Pushed, Shed},
    },
    protocol::{
        close::CloseCode,
        codec::Format,
        ids::{ConnectionId, Participant, RoomKey},
        time::Timestamp,
        wire::ClientMessage,
    },
    server::spill::{
        batch::{BranchKey, OutwardItem},
        line::{Framed, Line, Standing},
    },
};

/// How long one whom the room has closed on its way back is remembered, should it still arrive.
const DOOMED_FOR: Duration = Duration::from_secs(60);
/// One that was called back and could not come is called again after this.
const RECALL_AGAIN: Duration = Duration::from_secs(5);

/// A member at a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The branch's life.
    pub life: u64,
    /// Its shard.
    pub shard: usize,
    format: Format,
    recalled_at: Option<Timestamp>,
}

/// A member on its way back.
#[derive(Debug)]
pub struct Coming {
    /// Its socket's connection.
    pub connection: ConnectionId,
    /// What it is to get when it has arrived.
    pub kept: Outbox,
    /// The branch it comes from.
    guest: Guest,
    /// More is kept for it than may be.
    is_lost: bool,
}

/// One whom the room has closed while it was on its way back.
#[derive(Clone, Copy, Debug)]
struct Doomed {
    connection: ConnectionId,
    code: CloseCode,
    since: Timestamp,
}

/// A room's members that are not on its own shard. Without any it takes no memory to speak of.
#[derive(Debug, Default)]
pub struct Away {
    lines: Vec<Line>,
    guests: BTreeMap<Participant, Guest>,
    coming: BTreeMap<Participant, Coming>,
    doomed: Vec<Doomed>,
    /// Of those that were out of the room before they had come back.
    shed: Shed,
    /// Of branches that were given up.
    unsent: Shed,
}

impl Away {
    /// The room has branches, or had, and nobody has taken them away.
    pub fn has_branches(&self) -> bool {
        !self.lines.is_empty() || !self.coming.is_empty()
    }

    /// The ways to its branches.
    pub fn lines(&mut self) -> &mut [Line] {
        &mut self.lines
    }

    /// Members at branches, and on their way back.
    pub fn len(&self) -> usize {
        self.guests.len() + self.coming.len()
    }

    /// Everybody is at home.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a member is away.
    pub fn has(&self, participant: Participant) -> bool {
        self.guests.contains_key(&participant) || self.coming.contains_key(&participant)
    }

    /// The shard where a member is or comes from.
    pub fn shard_of(&self, participant: Participant) -> Option<usize> {
        let guest = self.guests.get(&participant);
        guest.or_else(|| Some(&self.coming.get(&participant)?.guest)).map(|guest| guest.shard)
    }

    /// Whether a member is, or comes, from this branch.
    pub fn is_of(&self, participant: Participant, life: u64) -> bool {
        let guest = self.guests.get(&participant);
        guest.or_else(|| Some(&self.coming.get(&participant)?.guest)).is_some_and(|guest| guest.life == life)
    }

    /// The way to a shard's branch; a new one, of this life, where there is none.
    pub fn line_to(&mut self, room: &RoomKey, shard: usize, life: impl FnOnce() -> u64) -> &mut Line {
        let at = self.lines.iter().position(|line| line.shard == shard).unwrap_or_else(|| {
            self.lines.push(Line::new(BranchKey { room: room.clone(), life: life() }, shard));
            self.lines.len() - 1
        });
        &mut self.lines[at]
    }

    /// The way to a branch.
    pub fn line(&mut self, life: u64) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| line.key.life == life)
    }

    /// A member has been handed on to a branch.
    pub fn enter(&mut self, participant: Participant, life: u64, format: Format, now: Timestamp) {
        let Some(line) = self.line(life) else { return };
        line.enter(participant, format, now);
        let guest = Guest { life, shard: line.shard, format, recalled_at: None };
        self.guests.insert(participant, guest);
    }

    /// A message for all that are away but one needs these formats: protobuf, and JSON.
    pub fn formats(&self) -> (bool, bool) {
        let speaks = |format| {
            let comes = self.coming.values().any(|coming| coming.guest.format == format);
            comes || self.lines.iter().any(|line| line.speaks(format))
        };
        (speaks(Format::Protobuf), speaks(Format::Json))
    }

    /// A message for all that are away but one. To how many on their way back it is delivered; branches count theirs.
    pub fn push_all(
        &mut self,
        framed: &Framed,
        class: Class,
        except: Option<Participant>,
        now: Timestamp,
        (pending, outbox): (&Bounds, &Bounds),
    ) -> u64 {
        let mut deliveries = 0;
        for line in &mut self.lines {
            let except = except.filter(|out| self.guests.get(out).is_some_and(|guest| guest.life == line.key.life));
            line.push_all(framed, class, except, now, pending);
        }
        for (participant, coming) in &mut self.coming {
            let frame = match coming.guest.format {
                Format::Protobuf => &framed.protobuf,
                Format::Json => &framed.json,
            };
            if Some(*participant) != except
                && let Some(frame) = frame
            {
                deliveries += 1;
                coming.keep(frame.clone(), class, now, outbox);
            }
        }
        deliveries
    }

    /// A message for one that is away; false where it is not.
    pub fn push_one(
        &mut self,
        to: Participant,
        message: &ClientMessage,
        is_strike: bool,
        now: Timestamp,
        outbox: &Bounds,
    ) -> bool {
        if let Some(&Guest { life, format, .. }) = self.guests.get(&to) {
            let frame = frame::message(format, message);
            if let Some(line) = self.line(life) {
                line.push_one(to, &frame, is_strike, now);
            }
            return true;
        }
        let Some(coming) = self.coming.get_mut(&to) else { return false };
        let frame = frame::message(coming.guest.format, message);
        coming.keep(frame, Class::Essential, now, outbox);
        true
    }

    /// A ping for one that is away; false where it is not.
    pub fn ping(&mut self, to: Participant, now: Timestamp) -> bool {
        let Some(&Guest { life, .. }) = self.guests.get(&to) else { return self.coming.contains_key(&to) };
        if let Some(line) = self.line(life) {
            line.push(OutwardItem::Ping(to), now);
        }
        true
    }

    /// Takes a member out. The way to where it was, to say so.
    pub fn remove(&mut self, participant: Participant) -> Option<&mut Line> {
        if let Some(guest) = self.guests.remove(&participant) {
            let line = self.line(guest.life)?;
            line.leave(guest.format);
            return Some(line);
        }
        let mut coming = self.coming.remove(&participant)?;
        self.shed += coming.kept.take_shed();
        self.line(coming.guest.life)
    }

    /// Takes a member out and closes it, wherever it is or arrives; false where it is not away.
    pub fn close(
        &mut self,
        participant: Participant,
        connection: ConnectionId,
        code: CloseCode,
        now: Timestamp,
    ) -> bool {
        if self.coming.contains_key(&participant) {
            self.doomed.push(Doomed { connection, code, since: now });
        } else if !self.guests.contains_key(&participant) {
            return false;
        }
        if let Some(line) = self.remove(participant) {
            line.close(participant, code, now);
        }
        true
    }

    /// Calls members back, at most so many. They come when they have nothing else to do.
    pub fn recall(&mut self, most: usize, now: Timestamp) {
        let is_due = |guest: &Guest| guest.recalled_at.is_none_or(|at| now.since(at) >= RECALL_AGAIN);
        let due: Vec<_> = self.guests.iter().filter(|(_, guest)| is_due(guest)).take(most).map(|(&of, _)| of).collect();
        for participant in due {
            self.recall_one(participant, now);
        }
    }

    /// Calls one member back, where it was not called just now.
    pub fn recall_one(&mut self, participant: Participant, now: Timestamp) {
        let Some(guest) = self.guests.get_mut(&participant) else { return };
        if guest.recalled_at.is_some_and(|at| now.since(at) < RECALL_AGAIN) {
            return;
        }
        guest.recalled_at = Some(now);
        let life = guest.life;
        if let Some(line) = self.line(life) {
            line.push(OutwardItem::Recall(participant), now);
        }
    }

    /// A member that was called back is ready: from here on what is for it is kept here.
    pub fn ready(&mut self, participant: Participant, connection: ConnectionId, now: Timestamp) {
        let Some(guest) = self.guests.remove(&participant) else { return };
        let coming = Coming { connection, kept: Outbox::default(), guest, is_lost: false };
        self.coming.insert(participant, coming);
        if let Some(line) = self.line(guest.life) {
            line.come(participant, guest.format, now);
        }
    }

    /// A connection has come back: what was kept for it; or why it is to be closed.
    pub fn arrive(&mut self, participant: Participant, connection: ConnectionId) -> Result<Outbox, CloseCode> {
        if self.coming.get(&participant).is_some_and(|coming| coming.connection == connection)
            && let Some(coming) = self.coming.remove(&participant)
        {
            return Ok(coming.kept);
        }
        let at = self.doomed.iter().position(|doomed| doomed.connection == connection);
        Err(at.map_or(CloseCode::Internal, |at| self.doomed.swap_remove(at).code))
    }

    /// One that fell too far behind while it was on its way back.
    pub fn lost_on_the_way(&self) -> Option<(Participant, ConnectionId)> {
        self.coming.iter().find(|(_, coming)| coming.is_lost).map(|(&of, coming)| (of, coming.connection))
    }

    /// A branch is no more. Returns its members, and its shard.
    pub fn give_up(&mut self, life: u64) -> Option<(usize, Vec<Participant>)> {
        let at = self.lines.iter().position(|line| line.key.life == life)?;
        let mut line = self.lines.swap_remove(at);
        self.unsent += line.take_shed();
        let guests = self.guests.iter().filter(|(_, guest)| guest.life == life).map(|(&of, _)| of);
        let coming = self.coming.iter().filter(|(_, coming)| coming.guest.life == life).map(|(&of, _)| of);
        Some((line.shard, guests.chain(coming).collect()))
    }

    /// Branches whose members are to be closed.
    pub fn overdue(&mut self, now: Timestamp, bounds: &Bounds) -> Option<u64> {
        self.lines.iter_mut().find_map(|line| (line.look(now, bounds) == Standing::Overdue).then_some(line.key.life))
    }

    /// Members at branches that say nothing at all: their silence says nothing of them.
    pub fn unheard(&self, now: Timestamp, patience: Duration) -> Vec<Participant> {
        let lives: Vec<u64> =
            self.lines.iter().filter(|line| line.stands_still(now, patience)).map(|line| line.key.life).collect();
        let guests = self.guests.iter().filter(|(_, guest)| lives.contains(&guest.life)).map(|(&of, _)| of);
        // And those on their way, whom nobody listens to.
        guests.chain(self.coming.keys().copied()).collect()
    }

    /// The room's shard stood still for so long, which nobody else is to blame for.
    pub fn stood_still(&mut self, stall: Duration) {
        self.lines.iter_mut().for_each(|line| line.stood_still(stall));
        self.coming.values_mut().for_each(|coming| coming.kept.stood_still(stall));
        self.doomed.iter_mut().for_each(|doomed| doomed.since = doomed.since + stall);
    }

    /// Batches that branches have not been through, and bytes that are pending for them.
    pub fn pending(&self) -> (u64, usize) {
        self.lines.iter().fold((0, 0), |(batches, bytes), line| (batches + line.window.ahead(), bytes + line.bytes()))
    }

    /// The most bytes that are pending for a branch, and that are kept for one on its way back.
    #[cfg(feature = "simulation")]
    pub fn most_kept(&self) -> (usize, usize) {
        let pending = self.lines.iter().map(Line::bytes).max();
        let kept = self.coming.values().map(|coming| coming.kept.bytes()).max();
        (pending.unwrap_or(0), kept.unwrap_or(0))
    }

    /// Forgets those that were closed on their way and never arrived.
    pub fn sweep(&mut self, now: Timestamp) {
        self.doomed.retain(|doomed| now.since(doomed.since) < DOOMED_FOR);
    }

    /// What branches were not sent since this was last asked; and what was shed for those that were on their way back and did not
    /// arrive.
    pub fn take_shed(&mut self) -> (Shed, Shed) {
        let mut unsent = std::mem::take(&mut self.unsent);
        self.lines.iter_mut().for_each(|line| unsent += line.take_shed());
        (unsent, std::mem::take(&mut self.shed))
    }
}

impl Coming {
    fn keep(&mut self, frame: Bytes, class: Class, now: Timestamp, bounds: &Bounds) {
        self.is_lost |= self.kept.keep(frame, class, now, bounds) == Pushed::Overflow;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_000);
    const ONE: Participant = Participant(1);
    const SOCKET: ConnectionId = ConnectionId(11);

    fn coming() -> Away {
        let mut away = Away::default();
        away.line_to(&RoomKey::from_normalised("concert"), 1, || 5);
        away.enter(ONE, 5, Format::Protobuf, NOW);
        away.recall(10, NOW);
        away.ready(ONE, SOCKET, NOW);
        away
    }

    fn frame(away: &mut Away, byte: u8) {
        let framed = Framed { protobuf: Some(vec![byte; 4].into()), json: None };
        let bounds = Bounds::default();
        away.push_all(&framed, Class::Essential, None, NOW, (&bounds, &bounds));
    }

    #[test]
    fn what_comes_while_a_member_is_on_its_way_back_is_kept_for_it_and_not_sent_to_its_branch() {
        let mut away = coming();
        frame(&mut away, 1);
        frame(&mut away, 2);
        let batch = away.lines()[0].seal(NOW).unwrap();
        let wanted = [OutwardItem::Enter(ONE), OutwardItem::Recall(ONE), OutwardItem::Come(ONE)];
        assert_eq!((&batch.items[..], batch.frames.len()), (&wanted[..], 0));
        assert_eq!(away.arrive(ONE, SOCKET).unwrap().bytes(), 8);
        assert!(away.is_empty());
    }

    #[test]
    fn who_is_closed_on_its_way_back_is_closed_where_it_is_or_arrives() {
        let mut away = coming();
        away.lines()[0].seal(NOW).unwrap();
        assert!(away.close(ONE, SOCKET, CloseCode::Kicked, NOW));
        assert!(!away.close(ONE, SOCKET, CloseCode::Kicked, NOW), "once");
        let items = away.lines()[0].seal(NOW).unwrap().items;
        assert_eq!(items, [OutwardItem::Close(ONE, CloseCode::Kicked)], "it may not have left yet");
        assert_eq!(away.arrive(ONE, SOCKET).unwrap_err(), CloseCode::Kicked);
        assert_eq!(away.arrive(ONE, SOCKET).unwrap_err(), CloseCode::Internal, "nobody is expected");
    }

    #[test]
    fn what_a_branch_was_not_sent_is_counted_as_that_also_where_it_is_given_up() {
        let mut away = Away::default();
        away.line_to(&RoomKey::from_normalised("concert"), 1, || 5);
        away.enter(ONE, 5, Format::Protobuf, NOW);
        let bounds = Bounds { shed_bytes: 100, ..Bounds::default() };
        let framed = Framed { protobuf: Some(vec![1; 200].into()), json: None };
        for sequence in 0..=crate::server::spill::line::WINDOW as u32 + 1 {
            let class = Class::Midi { participant: 2, sequence };
            away.push_all(&framed, class, None, NOW, (&bounds, &Bounds::default()));
            let _ = away.lines()[0].seal(NOW);
        }
        assert_eq!(away.give_up(5), Some((1, vec![ONE])));
        let (unsent, of_gone) = away.take_shed();
        assert_eq!((unsent.midi, of_gone.midi), (1, 0));
    }

    #[test]
    fn who_cannot_come_when_it_is_called_is_called_again_later() {
        let mut away = Away::default();
        away.line_to(&RoomKey::from_normalised("concert"), 1, || 5);
        away.enter(ONE, 5, Format::Json, NOW);
        let recalls = |away: &mut Away, now| {
            away.recall(10, now);
            let batch = away.lines()[0].seal(now);
            batch.is_some_and(|batch| batch.items.contains(&OutwardItem::Recall(ONE)))
        };
        assert!(recalls(&mut away, NOW));
        assert!(!recalls(&mut away, NOW + RECALL_AGAIN / 2));
        assert!(recalls(&mut away, NOW + RECALL_AGAIN));
    }
}
