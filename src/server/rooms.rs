//! The rooms of a shard: letting them decide, and performing what they decided, in order.

use crate::{
    domain::room::{Effect, Room, RoomChange},
    net::{
        frame,
        outbox::{Class, Pushed},
    },
    protocol::{
        codec::Format,
        error::{ErrorCode, Rejection},
        ids::{Participant, RoomKey},
        time::Timestamp,
        wire::{ClientMessage, client_message::Message, user_left_room::Reason},
    },
    server::{
        back_office::Request,
        message::ReplyTo,
        peer::Seat,
        room_cell::{Commit, MAKING, RoomCell, RoomSlot},
        stage::Stage,
    },
    store::StoreError,
};

impl Stage {
    /// The place of an active room.
    pub(super) fn active(&self, room: &RoomKey) -> Option<usize> {
        match self.keys.get(room) {
            Some(RoomSlot::Active(place)) => Some(*place),
            _ => None,
        }
    }

    /// Puts a room in the table.
    pub(super) fn open(&mut self, room: Room) -> usize {
        let key = room.key().clone();
        let place = self.rooms.insert(RoomCell::new(key.clone(), room, self.now));
        self.keys.insert(key, RoomSlot::Active(place));
        place
    }

    /// Lets the room of a seat decide, and performs its effects.
    pub(super) fn in_room<T>(
        &mut self,
        seat: Seat,
        decide: impl FnOnce(&mut Room, Timestamp, &mut Vec<Effect>) -> T,
    ) -> T {
        let mut effects = std::mem::take(&mut self.effects);
        let result = decide(&mut self.rooms[seat.room].room, self.now, &mut effects);
        self.perform(seat.room, &mut effects);
        self.effects = effects;
        result
    }

    /// Lets time pass in a room.
    pub(super) fn tick_room(&mut self, place: usize) {
        self.in_room(Seat { room: place, participant: Participant(0) }, |room, now, effects| room.tick(now, effects));
    }

    /// Takes a connection out of the room it is in, if any.
    pub(super) fn leave_room(&mut self, key: usize, reason: Reason) {
        let Some(seat) = self.peers.get_mut(key).and_then(|peer| peer.seat.take()) else { return };
        self.rooms[seat.room].remove(seat.participant);
        let departed = self.in_room(seat, |room, now, effects| room.leave(seat.participant, reason, now, effects));
        let peer = &mut self.peers[key];
        if let Some(departed) = departed {
            peer.state.quota = departed.quota;
        }
        peer.state.last_active = self.now;
        peer.wire.leave_room();
        // The room's frames that wait for its gathering go without it: it flushes its members, and this is none any more.
        self.mark_dirty(key);
    }

    /// Performs a room's effects, in order. Leaves the vector empty, with its allocation.
    pub(super) fn perform(&mut self, place: usize, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.perform_one(place, effect);
        }
    }

    fn perform_one(&mut self, place: usize, effect: Effect) {
        match effect {
            Effect::Relay { from, midi } => {
                self.figures.midi_relayed.add(1);
                self.fan_out(place, Some(from), Message::MidiMessage(midi));
            }
            Effect::Broadcast { except, message } => self.fan_out(place, except, message),
            Effect::Send { to, request_id, message } => {
                if let Some(key) = self.rooms[place].member(to) {
                    self.answer(key, request_id, message);
                }
            }
            Effect::Ping { to } => {
                if let Some(key) = self.rooms[place].member(to) {
                    self.ping(key);
                }
            }
            Effect::Close { participant, connection, code } => {
                self.rooms[place].remove(participant);
                if let Some(&key) = self.ids.get(&connection) {
                    self.peers[key].seat = None;
                    self.close(key, code);
                }
            }
            Effect::Commit { change, then, request } => self.commit(place, change, then, request),
            Effect::Listed => self.rooms[place].is_unlisted = true,
            Effect::Retire => self.retire(place),
        }
    }

    /// Queues one message for all members but one. It is encoded and framed once a format, and shared.
    fn fan_out(&mut self, place: usize, except: Option<Participant>, message: Message) {
        let class = Self::class_of(&message);
        let message = ClientMessage::event(message);
        let (mut protobuf, mut json) = (None, None);
        let mut deliveries = 0;
        let now = self.now;
        let bounds = self.settings.outbox;
        let cell = &mut self.rooms[place];
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
        if !cell.is_gathering {
            cell.is_gathering = true;
            self.gather.add(place, cell.spoke_at, now);
        }
        cell.spoke_at = now;
        self.figures.deliveries.add(deliveries);
    }

    /// Sends a change to the store; what follows waits for it.
    pub(super) fn commit(
        &mut self,
        place: usize,
        change: RoomChange,
        then: Vec<Effect>,
        request: Option<(Participant, Option<u32>)>,
    ) {
        let request = request.and_then(|(participant, request_id)| {
            let key = self.rooms[place].member(participant)?;
            Some((participant, self.reply_to(key, request_id)))
        });
        // Unique over all rooms: an answer may come for a room that has retired and come back.
        self.next_commit += 1;
        let commit = self.next_commit;
        let now = self.now;
        let cell = &mut self.rooms[place];
        cell.commits.insert(commit, Commit { then, since: now, request });
        let room = cell.key.clone();
        let request = Request::Commit { room: room.clone(), commit, shard: self.number, change: Box::new(change) };
        if self.back_office.try_send(request).is_err() {
            self.figures.back_office_full.add(1);
            self.committed(&room, commit, Err(StoreError::Busy));
        }
    }

    /// The store has answered: perform what waited, or tell who asked that it failed.
    pub(super) fn committed(&mut self, room: &RoomKey, commit: u64, result: Result<(), StoreError>) {
        if commit == MAKING {
            return self.made(room, result);
        }
        let Some(place) = self.active(room) else { return };
        let Some(Commit { then, request, .. }) = self.rooms[place].commits.remove(&commit) else { return };
        match result {
            Ok(()) => {
                for effect in then {
                    match (effect, &request) {
                        // Who asked may have moved on meanwhile, and is answered where it is.
                        (Effect::Send { to, request_id, message }, Some((participant, reply)))
                            if to == *participant && self.rooms[place].member(to).is_none() =>
                        {
                            self.reply(reply.clone(), ClientMessage::answer(request_id, message));
                        }
                        (effect, _) => self.perform_one(place, effect),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%room, %error, "a change was not saved");
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

    /// Drops a room that is empty beyond its grace time, unless somebody came, may come, or waits for one of its commits.
    pub(super) fn retire(&mut self, place: usize) {
        let cell = &mut self.rooms[place];
        cell.is_retiring = cell.members.is_empty();
        // While it waited for a commit somebody may have been given a seat, and be on the way.
        let is_awaited = cell.held_until > self.now || cell.commits.values().any(Commit::is_awaited);
        if !cell.is_retiring || is_awaited {
            return;
        }
        let cell = self.rooms.remove(place);
        self.keys.remove(&cell.key);
        if self.back_office.try_send(Request::Unlist { room: cell.key }).is_err() {
            // The entry expires by itself.
            self.figures.back_office_full.add(1);
        }
    }

    /// Answers a question about a room of this shard.
    pub(super) fn tell_room_info(&mut self, room: RoomKey, reply: ReplyTo) {
        match self.keys.get_mut(&room) {
            Some(RoomSlot::Active(place)) => {
                let info = self.rooms[*place].room.info();
                let message = ClientMessage::answer(reply.request_id, Message::RoomInfo(info));
                self.reply(reply, message);
            }
            Some(RoomSlot::Waking(waking)) if waking.questions.len() < crate::server::room_cell::MAX_WAITING => {
                waking.questions.push(reply);
            }
            Some(RoomSlot::Waking(_)) => {
                let rejection = self.back_office_busy();
                let message = ClientMessage::rejection(reply.request_id, rejection);
                self.reply(reply, message);
            }
            None => self.wake_for_question(room, reply),
        }
    }

    /// Frames of one class go to a room's members; see [`Class`].
    pub(super) fn class_of(message: &Message) -> Class {
        use crate::protocol::wire::avatar_command::Action;
        match message {
            Message::AvatarCommand(avatar) if avatar.action() == Action::Position => Class::Cursor,
            Message::MidiMessage(midi) => Class::Midi { participant: midi.participant, sequence: midi.sequence },
            _ => Class::Essential,
        }
    }
}
