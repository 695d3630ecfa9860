//! The rooms of a shard: letting them decide, and performing what they decided, in order.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use bytes::Bytes;

use crate::{
    actor::{envelope::ActorId, handling, life, sending},
    domain::{
        defect::{Defect, is_planted},
        room::{Departed, Effect, Room, RoomChange},
    },
    net::{
        frame,
        outbox::{Class, Pushed},
    },
    protocol::{
        codec::Format,
        error::{ErrorCode, Rejection},
        ids::Participant,
        time::Timestamp,
        wire::{ClientMessage, client_message::Message, user_left_room::Reason},
    },
    server::{
        library::{self, Library, LibraryMessage},
        message::RoomMessage,
        room_actor::{Commit, RoomActor, RoomCell, Seat},
        spill::line::Framed,
        stage::Stage,
    },
    store::StoreError,
};

/// How often a leaving is tried where the room fails at it. After that the room ends, with all who are in it: a member that has
/// gone must not be left behind in it, with what it holds.
const LEAVE_TRIES: usize = 3;

impl RoomCell {
    /// Lets the room decide something. Where it fails half way the room is as it was before: what is not on the note path pays
    /// a snapshot for that.
    ///
    /// # Panics
    /// As the decision did.
    pub fn attempt<T>(&mut self, decide: impl FnOnce(&mut Room) -> T) -> T {
        let before = self.room.clone();
        let result = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "faults")]
            crate::domain::fault::point();
            let decided = decide(&mut self.room);
            #[cfg(feature = "faults")]
            crate::domain::fault::point();
            decided
        }));
        result.unwrap_or_else(|cause| {
            self.room = before;
            resume_unwind(cause)
        })
    }
}

impl Stage {
    /// Lets a room decide, and performs what it decided. None where it failed, and nothing has happened.
    pub(super) fn in_room<T>(
        &mut self,
        seat: Seat,
        decide: impl FnOnce(&mut Room, Timestamp, &mut Vec<Effect>) -> T,
    ) -> Option<T> {
        self.enter_room(seat.room, |cell, now, effects| cell.attempt(|room| decide(room, now, effects)))
    }

    /// The same for decisions that change nothing before they are made, as on the note path: without a snapshot.
    pub(super) fn in_room_at_once<T>(
        &mut self,
        seat: Seat,
        decide: impl FnOnce(&mut Room, Timestamp, &mut Vec<Effect>) -> T,
    ) -> Option<T> {
        self.enter_room(seat.room, |cell, now, effects| decide(&mut cell.room, now, effects))
    }

    pub(super) fn enter_room<T>(
        &mut self,
        room: ActorId,
        decide: impl FnOnce(&mut RoomCell, Timestamp, &mut Vec<Effect>) -> T,
    ) -> Option<T> {
        let now = self.now;
        let mut effects = std::mem::take(&mut self.effects);
        let result = handling::call::<RoomActor, _>(self, room, |actor, cx| {
            let cell = actor.cell_mut()?;
            let result = decide(cell, now, &mut effects);
            cx.world.perform(room, cell, &mut effects);
            Some(result)
        });
        effects.clear();
        self.effects = effects;
        match result {
            Ok(result) => result,
            Err(error) => {
                if error == handling::CallError::Died {
                    self.figures.panics.add(1);
                }
                None
            }
        }
    }

    /// The room that a connection is in, where it is there to be asked.
    pub(super) fn room_of(&self, seat: Seat) -> Option<&RoomCell> {
        self.rooms.get(seat.room)?.cell()
    }

    /// What a client is told whose request its room failed at.
    pub(super) fn room_failed() -> Rejection {
        let message = "the room failed at this, and nothing of it was done: try again; if it happens again, report it";
        Rejection::new(ErrorCode::Server, message)
    }

    /// Takes a connection out of the room it is in, if any.
    pub(super) fn leave_room(&mut self, key: usize, reason: Reason) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(seat) = peer.branch.take() {
            return self.leave_branch(key, seat, reason);
        }
        let Some(seat) = peer.seat.take() else { return };
        let departed = self.leave_as(seat, reason, None);
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(departed) = departed {
            peer.state.quota = departed.quota;
        }
        peer.state.last_active = self.now;
        peer.wire.leave_room();
        // The room's frames that wait for its gathering go without it: it flushes its members, and this is none any more.
        self.mark_dirty(key);
    }

    /// Takes a member out of its room. One of a branch, of this life, may wait to be told: it is before the others are, and
    /// hears no more of them.
    pub(super) fn leave_as(&mut self, seat: Seat, reason: Reason, waits_at: Option<u64>) -> Option<Departed> {
        let leave = |cell: &mut RoomCell, now: Timestamp, effects: &mut Vec<Effect>| {
            cell.remove(seat.participant);
            let departed = cell.attempt(|room| room.leave(seat.participant, reason, now, effects));
            if let Some(departed) = &departed
                && let Some(line) = waits_at.and_then(|life| cell.away.line(life))
            {
                line.left(seat.participant, departed.quota, now);
            }
            departed
        };
        let mut departed = None;
        for _ in 0..LEAVE_TRIES {
            departed = self.enter_room(seat.room, leave);
            if departed.is_some() {
                break;
            }
        }
        if departed.is_none() && self.rooms.get(seat.room).is_some() {
            life::fail::<RoomActor>(self, seat.room, "it failed at letting a member go".into());
        }
        departed.flatten()
    }

    /// Performs a room's effects, in order. Leaves the vector empty, with its allocation.
    pub(super) fn perform(&mut self, id: ActorId, cell: &mut RoomCell, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.perform_one(id, cell, effect);
        }
    }

    fn perform_one(&mut self, id: ActorId, cell: &mut RoomCell, effect: Effect) {
        match effect {
            Effect::Relay { from, midi } => {
                self.figures.midi_relayed.add(1);
                self.fan_out(id, cell, Some(from), Message::MidiMessage(midi));
            }
            Effect::Broadcast { except, message } => self.fan_out(id, cell, except, message),
            Effect::Send { to, request_id, message } => match cell.member(to) {
                Some(key) => self.answer(key, request_id, message),
                None => {
                    let message = ClientMessage::answer(request_id, message);
                    cell.away.push_one(to, &message, false, self.now, &self.settings.outbox);
                }
            },
            Effect::Ping { to } => match cell.member(to) {
                Some(key) => self.ping(key),
                None => {
                    cell.away.ping(to, self.now);
                }
            },
            Effect::Close { participant, connection, code } => {
                if cell.away.close(participant, connection, code, self.now) {
                    return;
                }
                cell.remove(participant);
                if let Some(key) = self.socket_of(connection) {
                    self.peers[key].seat = None;
                    self.close(key, code);
                }
            }
            Effect::Commit { change, then, request } => self.commit(id, cell, change, then, request),
            Effect::Listed => cell.is_unlisted = true,
            // It goes with one of the next beats, where nobody comes meanwhile.
            Effect::Retire => cell.is_retiring = cell.is_empty(),
        }
    }

    /// Queues one message for all members but one. It is encoded and framed once a format, and shared.
    fn fan_out(&mut self, id: ActorId, cell: &mut RoomCell, except: Option<Participant>, message: Message) {
        let class = Self::class_of(&message);
        let message = ClientMessage::event(message);
        let (mut protobuf, mut json) = (None, None);
        let mut deliveries = 0;
        let now = self.now;
        let bounds = self.settings.outbox;
        for &(participant, key) in &cell.members {
            if Some(participant) == except {
                continue;
            }
            let peer = &mut self.peers[key];
            if peer.closing.is_some() || peer.is_too_slow {
                continue;
            }
            let shared = match peer.format() {
                Format::Protobuf => &mut protobuf,
                Format::Json => &mut json,
            };
            let frame = shared.get_or_insert_with(|| frame::message(peer.format(), &message)).clone();
            deliveries += 1;
            if peer.wire.push(frame, class, now, &bounds) == Pushed::Overflow {
                peer.is_too_slow = true;
                self.too_slow.push(key);
            }
        }
        if cell.away.has_branches() {
            let (needs_protobuf, needs_json) = cell.away.formats();
            let frame = |shared: Option<Bytes>, is_needed: bool, format| {
                shared.or_else(|| is_needed.then(|| frame::message(format, &message)))
            };
            let framed = Framed {
                protobuf: frame(protobuf, needs_protobuf, Format::Protobuf),
                json: frame(json, needs_json, Format::Json),
            };
            deliveries += cell.away.push_all(&framed, class, except, now, (&self.settings.spill_pending, &bounds));
        }
        if class == Class::Cursor {
            if !cell.has_cursors {
                cell.has_cursors = true;
                self.gather.add_cursors(id.slot as usize, now);
            }
        } else {
            if !cell.is_gathering {
                cell.is_gathering = true;
                self.gather.add(id.slot as usize, cell.spoke_at, now);
            }
            cell.spoke_at = now;
        }
        self.figures.deliveries.add(deliveries);
    }

    /// Sends a change to the store; what follows waits for it.
    fn commit(
        &mut self,
        id: ActorId,
        cell: &mut RoomCell,
        change: RoomChange,
        then: Vec<Effect>,
        request: Option<(Participant, Option<u32>)>,
    ) {
        let request = request.and_then(|(participant, request_id)| {
            Some((participant, self.reply_to_member(cell, participant, request_id)?))
        });
        cell.last_commit += 1;
        let commit = cell.last_commit;
        cell.commits.insert(commit, Commit { then, request });
        if is_planted(Defect::AnswerBeforeCommit) {
            self.committed(id, cell, commit, Ok(()));
        }
        let message = LibraryMessage::Commit(Box::new(change));
        let timeout = self.settings.commit_timeout;
        sending::ask_as::<Library, RoomActor>(self, id, &(), message, timeout, move |answer| RoomMessage::Committed {
            commit,
            result: library::kept(answer),
        });
    }

    /// The store has answered: perform what waited, or tell who asked that it failed.
    pub(super) fn committed(&mut self, id: ActorId, cell: &mut RoomCell, commit: u64, result: Result<(), StoreError>) {
        let Some(Commit { then, request }) = cell.commits.remove(&commit) else { return };
        match result {
            Ok(()) => {
                for effect in then {
                    match (effect, &request) {
                        // Who asked may have moved on meanwhile, and is answered where it is.
                        (Effect::Send { to, request_id, message }, Some((participant, reply)))
                            if to == *participant && cell.whereabouts(to).is_none() =>
                        {
                            self.reply(reply.clone(), ClientMessage::answer(request_id, message));
                        }
                        (effect, _) => self.perform_one(id, cell, effect),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(room = %cell.key, %error, "a change was not saved");
                if let Some((_, reply)) = request {
                    let rejection = Self::store_unavailable();
                    self.reply(reply.clone(), ClientMessage::rejection(reply.request_id, rejection));
                }
            }
        }
    }

    /// The error for a store that is away.
    pub(super) fn store_unavailable() -> Rejection {
        let message = "saved rooms are out of reach just now; playing goes on: try again later";
        Rejection::new(ErrorCode::StoreUnavailable, message).with("retry_after_ms", 5000)
    }

    /// Frames of one class go to a room's members; see [`Class`].
    pub(super) fn class_of(message: &Message) -> Class {
        use crate::protocol::wire::avatar_command::Action;
        match message {
            Message::AvatarCommand(avatar) if avatar.action() == Action::Position => Class::Cursor,
            Message::MidiMessage(_) if is_planted(Defect::TellNoGap) => Class::Cursor,
            Message::MidiMessage(midi) => Class::Midi { participant: midi.participant, sequence: midi.sequence },
            _ => Class::Essential,
        }
    }
}
