//! What a room's own shard does for members that are away: hands them on, takes in what they say, calls them back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    actor::{
        envelope::{ActorId, TellError},
        mesh::Lane,
        parcel::Parcel,
        sending,
    },
    domain::{
        defect::{Defect, is_planted},
        room::Room,
    },
    net::outbox::{Bounds, Outbox},
    protocol::{
        close::CloseCode,
        error::Rejection,
        ids::Participant,
        wire::{ClientMessage, ServerMessage, client_message, server_message::Message, user_left_room::Reason},
    },
    server::{
        connection_actor::Connection,
        message::ReplyTo,
        peer::Destination,
        room_actor::{RoomActor, RoomCell, Seat, Whereabouts},
        spill::{
            batch::{BranchKey, Inward, InwardItem},
            branch::{BranchActor, BranchMessage},
        },
        stage::Stage,
    },
};

/// Members handed on, or called back, by one room in one turn: hand-offs must not stall those who play.
const MOVES_PER_TURN: usize = 16;
/// Members that a turn looks at to find those.
const LOOKS_PER_TURN: usize = 64;
/// What of inward batches one turn handles; the rest waits for the next, and its senders with it.
const INWARD_PER_TURN: usize = 1024;
/// Members of a branch that is no more that leave in one turn.
const DEPARTURES_PER_TURN: usize = 64;

/// An inward batch that is not, or not quite, handled.
pub struct Arrival {
    key: BranchKey,
    number: u64,
    items: std::vec::IntoIter<(Participant, InwardItem)>,
    is_over: bool,
}

/// A branch that is to be told that it is over.
pub struct BranchEnd {
    /// Its shard.
    pub shard: usize,
    /// Which.
    pub key: BranchKey,
    /// What its members are closed with.
    pub code: CloseCode,
}

impl Stage {
    /// What may be pending for one branch.
    fn pending_bounds(&self) -> Bounds {
        self.settings.spill_pending
    }

    /// A room may have more members than its shard is to have.
    pub(in crate::server) fn watch_crowd(&mut self, room: ActorId) {
        let Some(cell) = self.rooms.get(room).and_then(RoomActor::cell) else { return };
        if self.shards > 1 && cell.members.len() > self.settings.spill_after && !self.spilled.contains(&room) {
            self.spilled.push(room);
        }
    }

    /// Hands members on where a room has too many here, and calls them back where it has few.
    pub(in crate::server) fn serve_spills(&mut self) {
        for _ in 0..DEPARTURES_PER_TURN {
            let Some((seat, reason)) = self.departing.pop_front() else { break };
            self.leave_as(seat, reason, None);
        }
        for at in (0..self.spilled.len()).rev() {
            let room = self.spilled[at];
            if self.rooms.phase(room).is_none() {
                self.spilled.swap_remove(at);
            } else if self.rooms.is_running(room) {
                self.serve_spill(room);
            }
        }
    }

    fn serve_spill(&mut self, room: ActorId) {
        let (now, after, bounds) = (self.now, self.settings.spill_after, self.pending_bounds());
        let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut) else { return };
        if cell.room.len() * 2 < after {
            cell.away.recall(MOVES_PER_TURN, now);
        } else if cell.members.len() > after && !self.is_draining {
            self.hand_on(room);
        }
        let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut) else { return };
        if let Some((participant, connection)) = cell.away.lost_on_the_way() {
            let code = CloseCode::TooSlow;
            cell.away.close(participant, connection, code, now);
            self.leave_as(Seat { room, participant }, Reason::TooSlow, None);
        }
        let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut) else { return };
        if let Some(life) = cell.away.overdue(now, &bounds) {
            tracing::warn!(room = %cell.key, "a branch of a room takes nothing in; its members are closed");
            self.give_up_branch(room, life, Some(CloseCode::Restarting));
        }
    }

    /// Hands on the newest members beyond those that may be here; the owner stays.
    fn hand_on(&mut self, room: ActorId) {
        let mut handed = vec![0; self.shards];
        let Some(cell) = self.rooms.get(room).and_then(RoomActor::cell) else { return };
        let surplus = (cell.members.len() - self.settings.spill_after).min(MOVES_PER_TURN);
        let may_go = |&&(participant, key): &&(Participant, usize)| {
            let peer = &self.peers[key];
            !peer.is_parked() && !peer.is_too_slow && !cell.room.is_owned_by(participant)
        };
        let newest = cell.members.iter().rev().take(LOOKS_PER_TURN);
        let going: Vec<_> = newest.filter(may_go).take(surplus).copied().collect();
        for (participant, key) in going {
            let Some(shard) = self.least_loaded(&handed) else { return };
            if !self.relocate(Seat { room, participant }, key, shard) {
                // No place there just now; the next turn tries again.
                self.figures.spill_waits.add(1);
                return;
            }
            handed[shard] += 1;
        }
    }

    /// The other shard with the fewest connections, those counted that are on their way there.
    fn least_loaded(&self, handed: &[u64]) -> Option<usize> {
        let hosts = self.core.hosts();
        let load = |shard: &usize| {
            let kinds = &hosts[*shard].kinds;
            let connections = kinds.iter().find(|(kind, _)| *kind == <Connection as crate::actor::actor::Actor>::KIND);
            connections.map_or(0, |(_, figures)| figures.actors.get()) + handed[*shard]
        };
        (0..self.shards).filter(|shard| *shard != self.number).min_by_key(load)
    }

    /// Hands a member on with its seat. False where the other shard has no place for it now.
    fn relocate(&mut self, seat: Seat, key: usize, shard: usize) -> bool {
        let Some(slot) = self.core.reserve(shard) else { return false };
        self.next_ticket += 1;
        let life = self.next_ticket * self.shards as u64 + self.number as u64;
        let (now, format) = (self.now, self.peers[key].format());
        let participant = seat.participant;
        let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) else { return true };
        let branch = cell.away.line_to(&cell.room.key().clone(), shard, || life).key.clone();
        cell.remove(participant);
        self.peers[key].seat = None;
        let life = branch.life;
        if !self.send_off(key, slot, shard, Destination::Branch { branch, participant }) {
            // Shards end only at shutdown.
            self.leave_as(seat, Reason::Disconnected, None);
            return true;
        }
        self.figures.spilled_out.add(1);
        if let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) {
            cell.away.enter(participant, life, format, now);
        }
        true
    }

    /// A member has come back from a branch, or was closed on its way.
    pub(in crate::server) fn come_home(&mut self, key: usize, branch: &BranchKey, participant: Participant) {
        let connection = self.peers[key].id();
        let room = self.rooms.find(&branch.room);
        let cell = room.and_then(|room| self.rooms.get_mut(room)).and_then(RoomActor::cell_mut);
        let (Some(room), Some(cell)) = (room, cell) else { return self.close(key, CloseCode::Internal) };
        match cell.away.arrive(participant, connection) {
            Ok(mut kept) => {
                if is_planted(Defect::LoseKeptAtReturn) {
                    kept = Outbox::default();
                }
                cell.insert(participant, key);
                self.peers[key].seat = Some(Seat { room, participant });
                let bounds = self.settings.outbox;
                let peer = &mut self.peers[key];
                peer.wire.absorb(kept, self.now, &bounds);
                // Nobody has listened to it on its way.
                peer.state.last_heard = self.now;
                self.figures.spilled_back.add(1);
                self.mark_dirty(key);
                self.queue_read(key);
            }
            Err(code) => self.close(key, code),
        }
    }

    /// One that was to come back has gone where it should have arrived.
    pub(in crate::server) fn gone_on_the_way_home(&mut self, branch: &BranchKey, participant: Participant) {
        let Some(room) = self.rooms.find(&branch.room) else { return };
        let Some(cell) = self.rooms.get(room).and_then(RoomActor::cell) else { return };
        if cell.away.is_of(participant, branch.life) {
            self.leave_as(Seat { room, participant }, Reason::Disconnected, None);
        }
    }

    /// A branch is no more: its members leave, a few a turn. Where it does not know yet it is told to close them.
    fn give_up_branch(&mut self, room: ActorId, life: u64, code: Option<CloseCode>) {
        let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut) else { return };
        let Some((shard, members)) = cell.away.give_up(life) else { return };
        let key = BranchKey { room: cell.key.clone(), life };
        self.departing.extend(members.into_iter().map(|participant| (Seat { room, participant }, Reason::ServerError)));
        if let Some(code) = code {
            self.figures.branches_given_up.add(1);
            self.branch_ends.push(BranchEnd { shard, key, code });
        }
    }

    /// A room ends: its branches close their members.
    pub(in crate::server) fn end_branches(&mut self, cell: &mut RoomCell, code: CloseCode) {
        for line in cell.away.lines() {
            self.branch_ends.push(BranchEnd { shard: line.shard, key: line.key.clone(), code });
        }
        cell.away = Default::default();
    }

    /// A batch from a branch. Where its room does not know it, it is told so.
    pub(in crate::server) fn take_inward(&mut self, shard: usize, key: BranchKey, batch: Inward) {
        let room = self.rooms.find(&key.room);
        let cell = room.and_then(|room| self.rooms.get_mut(room)).and_then(RoomActor::cell_mut);
        let Some(line) = cell.and_then(|cell| cell.away.line(key.life)) else {
            let requests = batch.items.iter().filter(|(_, item)| matches!(item, InwardItem::Request(_)));
            self.figures.spill_gone.add(requests.count() as u64);
            if !batch.is_over {
                self.branch_ends.push(BranchEnd { shard, key, code: CloseCode::Internal });
            }
            return;
        };
        line.acknowledge(batch.heard);
        line.come += 1;
        if batch.number != line.come {
            // One is lost, with what its members said.
            if let Some(room) = room {
                self.give_up_branch(room, key.life, Some(CloseCode::Internal));
            }
            return;
        }
        let Inward { number, items, is_over, .. } = batch;
        self.figures.spill_items_in.add(items.len() as u64);
        self.inwards.push_back(Arrival { key, number, items: items.into_iter(), is_over });
    }

    /// Handles what branches have sent, those of one branch in order. What a room that rests is sent waits.
    pub(in crate::server) fn serve_inward(&mut self) {
        let mut budget = INWARD_PER_TURN;
        let mut waits: Vec<u64> = Vec::new();
        for _ in 0..self.inwards.len() {
            let Some(mut arrival) = self.inwards.pop_front() else { break };
            if waits.contains(&arrival.key.life) || !self.serve_arrival(&mut arrival, &mut budget) {
                waits.push(arrival.key.life);
                self.inwards.push_back(arrival);
            }
        }
        self.has_inward_left = budget == 0 && !self.inwards.is_empty();
    }

    /// False where it is not through.
    fn serve_arrival(&mut self, arrival: &mut Arrival, budget: &mut usize) -> bool {
        let Some(room) = self.rooms.find(&arrival.key.room) else { return true };
        let life = arrival.key.life;
        loop {
            let cell = self.rooms.get_mut(room).and_then(RoomActor::cell_mut);
            if cell.is_some_and(|cell| cell.away.line(life).is_none()) || self.rooms.phase(room).is_none() {
                // Given up meanwhile.
                return true;
            }
            if !self.rooms.is_running(room) || *budget == 0 {
                return false;
            }
            let Some((participant, item)) = arrival.items.next() else { break };
            *budget -= 1;
            let seat = Seat { room, participant };
            let served = catch_unwind(AssertUnwindSafe(|| self.take_inward_item(seat, life, item)));
            if served.is_err() {
                self.restore_buffers();
                self.figures.panics.add(1);
                self.close_member(seat, CloseCode::Internal);
            }
        }
        if arrival.is_over {
            self.give_up_branch(room, life, None);
        } else if let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut)
            && let Some(line) = cell.away.line(life)
        {
            line.window.heard = arrival.number;
        }
        true
    }

    fn take_inward_item(&mut self, seat: Seat, life: u64, item: InwardItem) {
        let (now, participant) = (self.now, seat.participant);
        let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) else { return };
        if !cell.away.is_of(participant, life) {
            // It is out of the room, and its branch will hear so.
            return self.figures.spill_gone.add(u64::from(matches!(item, InwardItem::Request(_))));
        }
        cell.room.heard(participant, now);
        match item {
            InwardItem::Heard => {}
            InwardItem::Request(message) => self.serve_member(seat, *message),
            InwardItem::Release(midi) => {
                if !self.release_in(seat, &midi, Room::release_only) {
                    self.close_member(seat, CloseCode::Internal);
                }
            }
            InwardItem::Profile(profile) => {
                // Where the room fails at it, the next change tells all of the profile.
                let _ = self.in_room(seat, |room, _, effects| room.set_profile(&profile, effects));
            }
            InwardItem::Leave { reason, waits } => {
                self.leave_as(seat, reason, waits.then_some(life));
            }
            InwardItem::Ready => {
                if let Some(connection) = cell.room.connection(participant) {
                    cell.away.ready(participant, connection, now);
                }
            }
        }
    }

    /// Handles a request of a member that is away.
    fn serve_member(&mut self, seat: Seat, message: ServerMessage) {
        let ServerMessage { message, request_id, .. } = message;
        let result = match message {
            Some(Message::MidiMessage(midi)) => match self.play_in(seat, request_id.is_some(), midi) {
                Ok(()) => {
                    self.acknowledge_member(seat, request_id);
                    Ok(())
                }
                Err(refused) => refused.map_or(Ok(()), Err),
            },
            Some(message) => self.ask_room(seat, request_id, message),
            None => Ok(()),
        };
        if let Err(rejection) = result {
            self.refuse_member(seat, request_id, rejection);
        }
    }

    fn refuse_member(&mut self, seat: Seat, request_id: Option<u32>, rejection: Rejection) {
        self.figures.rejections.add(1);
        let (now, bounds) = (self.now, self.settings.outbox);
        let is_strike = Self::is_strike(&rejection);
        let message = ClientMessage::rejection(request_id, rejection);
        if let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) {
            cell.away.push_one(seat.participant, &message, is_strike, now, &bounds);
        }
    }

    /// Answers a member's request, wherever it is.
    pub(in crate::server) fn answer_member(
        &mut self,
        seat: Seat,
        request_id: Option<u32>,
        message: client_message::Message,
    ) {
        let (now, bounds) = (self.now, self.settings.outbox);
        let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) else { return };
        match cell.whereabouts(seat.participant) {
            Some(Whereabouts::Here(key)) => self.answer(key, request_id, message),
            Some(Whereabouts::Away) => {
                cell.away.push_one(seat.participant, &ClientMessage::answer(request_id, message), false, now, &bounds);
            }
            None => {}
        }
    }

    /// Acknowledges a member's request, wherever it is.
    pub(in crate::server) fn acknowledge_member(&mut self, seat: Seat, request_id: Option<u32>) {
        if request_id.is_some() {
            self.answer_member(seat, request_id, client_message::Message::Ack(Default::default()));
        }
    }

    /// Where an answer to a member's request goes that is not given at once.
    pub(in crate::server) fn reply_to_member(
        &self,
        cell: &RoomCell,
        participant: Participant,
        request_id: Option<u32>,
    ) -> Option<ReplyTo> {
        match cell.whereabouts(participant)? {
            Whereabouts::Here(key) => Some(self.reply_to(key, request_id)),
            Whereabouts::Away => Some(ReplyTo {
                shard: cell.away.shard_of(participant)?,
                connection: cell.room.connection(participant)?,
                user: cell.room.profile(participant)?.user_id.clone(),
                request_id,
            }),
        }
    }

    /// Closes a member, wherever it is.
    pub(in crate::server) fn close_member(&mut self, seat: Seat, code: CloseCode) {
        let now = self.now;
        let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) else { return };
        match cell.whereabouts(seat.participant) {
            Some(Whereabouts::Here(key)) => self.close(key, code),
            Some(Whereabouts::Away) => {
                if let Some(connection) = cell.room.connection(seat.participant) {
                    cell.away.close(seat.participant, connection, code, now);
                }
                self.leave_as(seat, Self::reason_of(code), None);
            }
            None => {}
        }
    }

    /// Last of a turn: what its rooms have for branches elsewhere, and its branches for their rooms.
    pub(in crate::server) fn send_batches(&mut self) {
        for at in 0..self.spilled.len() {
            self.send_outward(self.spilled[at]);
        }
        for end in std::mem::take(&mut self.branch_ends) {
            let message = BranchMessage::Over(end.code);
            if let Err(TellError::Full(_)) = sending::tell_at::<BranchActor, _>(self, end.shard, &end.key, message) {
                // It must hear of it: again in the next turn.
                self.branch_ends.push(end);
            }
        }
        self.send_inward();
        self.core.send_out();
    }

    fn send_outward(&mut self, room: ActorId) {
        let now = self.now;
        let mut at = 0;
        while let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut)
            && let Some(line) = cell.away.lines().get_mut(at)
        {
            at += 1;
            let Some(batch) = line.seal(now) else { continue };
            let (shard, key, life) = (line.shard, line.key.clone(), line.key.life);
            self.figures.spill_batches_out.add(1);
            self.figures.spill_bytes_out.add(batch.frames.len() as u64);
            let message = BranchMessage::Outward(Box::new(batch));
            let result = sending::tell_at::<BranchActor, _>(self, shard, &key, message);
            if let Err(TellError::Full(BranchMessage::Outward(batch))) = result
                && let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut)
                && let Some(line) = cell.away.line(life)
            {
                self.figures.spill_refused.add(1);
                line.keep(*batch, now);
            }
        }
        if let Some(cell) = self.rooms.get_mut(room).and_then(RoomActor::cell_mut) {
            let (unsent, of_gone) = cell.away.take_shed();
            self.figures.shed_spill_midi.add(unsent.midi);
            self.figures.shed_spill_cursors.add(unsent.cursors);
            self.figures.gaps_spill.add(unsent.gaps);
            self.count_shed(of_gone);
        }
    }

    fn send_inward(&mut self) {
        let mut by_home: Vec<Vec<(BranchKey, Inward)>> = Vec::new();
        for (_, branch) in &mut self.branches {
            let Some(batch) = branch.seal() else { continue };
            self.figures.spill_batches_in.add(1);
            by_home.resize_with(by_home.len().max(branch.home + 1), Vec::new);
            by_home[branch.home].push((branch.key.clone(), batch));
        }
        for (home, batches) in by_home.into_iter().enumerate() {
            if !batches.is_empty() {
                self.send_home(home, batches);
            }
        }
    }

    /// One parcel carries what all branches here have for rooms of that shard.
    pub(in crate::server) fn send_home(&mut self, home: usize, batches: Vec<(BranchKey, Inward)>) {
        let from = self.number;
        let parcel = Parcel::new::<Self>(move |stage| {
            for (key, batch) in batches {
                stage.take_inward(from, key, batch);
            }
        });
        self.core.send_to(home, Lane::Data, parcel);
    }
}
