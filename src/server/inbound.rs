//! What comes in on a socket: bytes, frames, messages.

use crate::{
    domain::{permission::Permission, rate::MessageClass},
    net::{
        connection::ReadOutcome,
        decoder::{Kind, Payload, Step},
        frame,
        outbox::Class,
    },
    protocol::{
        close::CloseCode,
        codec::{self, Format},
        error::{ErrorCode, Rejection},
        wire::{ClientMessage, ServerMessage, client_message, server_message::Message, user_left_room::Reason},
    },
    server::{room_actor::RoomActor, spill::batch::InwardItem, stage::Stage},
};

/// Reads of one closing socket in one turn.
const DISCARDS_PER_TURN: usize = 4;
/// What a frame counts beside its bytes, of those that a connection may send. The smallest frames are six bytes, and what they cost is
/// not their bytes: pongs and empty fragments are answered by nothing, and no other limit would bind them.
const FRAME_COST: u32 = 64;

impl Stage {
    /// Serves one connection that has something to read, or something read that was parked: one read. One that has more comes
    /// again behind those that have less.
    pub(super) fn read_peer(&mut self, key: usize) {
        self.now = self.clock.now();
        if self.peers[key].wire.decoder.has_tail() && !self.peers[key].is_parked() && self.is_room_up(key) {
            self.take_input(key, &mut []);
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        if !peer.wire.is_readable() {
            return;
        }
        if peer.closing.is_some() {
            return self.discard(key);
        }
        if peer.is_parked() || !self.is_room_up(key) {
            // The bytes wait in the kernel; the join's end, or the room's, brings us back.
            return;
        }
        let peer = &mut self.peers[key];
        if peer.state.input.available(&self.settings.input, self.now) == 0 {
            peer.is_throttled = true;
            self.figures.throttled.add(1);
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = peer.wire.read(&mut buffer);
        if let ReadOutcome::Bytes(read) = outcome {
            peer.state.input.take(read as u32);
            self.take_input(key, &mut buffer[..read]);
        }
        self.buffer = buffer;
        match outcome {
            ReadOutcome::Bytes(_) => self.queue_rest(key),
            ReadOutcome::Drained => {}
            ReadOutcome::Ended => self.lose(key),
        }
    }

    /// Whether the room that a connection is in takes messages, if it is in one. One that has failed rests for a moment, and
    /// what its members send waits, in order.
    fn is_room_up(&mut self, key: usize) -> bool {
        let Some(peer) = self.peers.get(key) else { return true };
        if let Some(branch) = peer.branch.and_then(|seat| self.branches.get_mut(seat.branch)) {
            // What its room has not heard yet bounds what more is read.
            branch.is_blocked |= !branch.takes_input();
            return branch.takes_input();
        }
        peer.seat.is_none_or(|seat| self.rooms.is_running(seat.room))
    }

    /// Reads what a closing peer still sends, to find its end.
    fn discard(&mut self, key: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut ended = false;
        for _ in 0..DISCARDS_PER_TURN {
            match self.peers[key].wire.read(&mut buffer) {
                ReadOutcome::Bytes(_) => {}
                ReadOutcome::Drained => break,
                ReadOutcome::Ended => {
                    ended = true;
                    break;
                }
            }
        }
        self.buffer = buffer;
        if ended {
            self.remove(key);
        } else {
            self.queue_rest(key);
        }
    }

    /// Takes the frames out of new bytes, behind what was kept of earlier ones. What is parked or unfinished is kept.
    fn take_input(&mut self, key: usize, new: &mut [u8]) {
        let mut tail = self.peers[key].wire.decoder.take_tail();
        if tail.is_empty() {
            let used = self.take_frames(key, new);
            tail.extend_from_slice(&new[used..]);
        } else {
            tail.extend_from_slice(new);
            let used = self.take_frames(key, &mut tail);
            if used == tail.len() {
                tail = Vec::new();
            } else {
                tail.drain(..used);
            }
        }
        if let Some(peer) = self.peers.get_mut(key)
            && peer.closing.is_none()
        {
            peer.wire.decoder.keep_tail(tail);
        }
    }

    /// Handles whole frames until the bytes end or the input is parked. Returns how many bytes were used up.
    fn take_frames(&mut self, key: usize, input: &mut [u8]) -> usize {
        let limit = self.settings.max_message_bytes;
        let (mut at, mut frames) = (0, 0u32);
        while self.peers.get(key).is_some_and(|peer| !peer.is_parked()) && self.is_room_up(key) {
            let peer = &mut self.peers[key];
            match peer.wire.decoder.step(&mut input[at..], limit) {
                Ok(Step::NeedMore) => break,
                Ok(Step::Fragment { used }) => {
                    frames += 1;
                    at += used;
                }
                Ok(Step::Event { used, event }) => {
                    frames += 1;
                    match &event.payload {
                        Payload::InPlace(range) => {
                            let range = at + range.start..at + range.end;
                            self.take_event(key, event.kind, &input[range]);
                        }
                        Payload::Assembled(bytes) => self.take_event(key, event.kind, bytes),
                    }
                    at += used;
                }
                Err(error) => {
                    tracing::debug!(connection = %peer.id(), %error, "a frame against the rules");
                    self.close(key, error.close_code());
                    break;
                }
            }
        }
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state.input.take(frames.saturating_mul(FRAME_COST));
        }
        at
    }

    fn take_event(&mut self, key: usize, kind: Kind, payload: &[u8]) {
        self.handle_event(key, kind, payload);
        // Behind what it may have said: that it is there goes without saying then.
        if let Some(seat) = self.peers.get(key).and_then(|peer| peer.branch) {
            self.say_home(seat, InwardItem::Heard);
        }
    }

    fn handle_event(&mut self, key: usize, kind: Kind, payload: &[u8]) {
        let peer = &mut self.peers[key];
        peer.state.last_heard = self.now;
        if let Some(seat) = peer.seat
            && let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut)
        {
            cell.room.heard(seat.participant, self.now);
        }
        let format = match kind {
            Kind::Text => Format::Json,
            Kind::Binary => Format::Protobuf,
            Kind::Pong => return,
            Kind::Ping => return self.answer_ping(key, payload),
            Kind::Close => return self.closed_by_peer(key, payload),
        };
        if format != self.peers[key].format() {
            return self.close(key, CloseCode::Unsupported);
        }
        self.figures.messages_in.add(1);
        match codec::decode_server(format, payload) {
            Ok(message) => self.take_message(key, message),
            Err(error) => {
                tracing::debug!(connection = %self.peers[key].id(), %error, "a payload that does not decode");
                self.close(key, CloseCode::Undecodable);
            }
        }
    }

    fn answer_ping(&mut self, key: usize, payload: &[u8]) {
        let peer = &mut self.peers[key];
        let rates = self.settings.rates.rates(&peer.state.session.profile);
        if peer.state.rates.try_take(rates, (MessageClass::Heartbeat, 1), self.now).is_err() {
            // Without a pong: that one is what a flood of them is after.
            self.figures.pings_ignored.add(1);
            return self.strike(key);
        }
        self.send_frame(key, frame::pong(payload), Class::Essential);
    }

    /// The peer says good-bye: echo its code and go.
    fn closed_by_peer(&mut self, key: usize, payload: &[u8]) {
        self.figures.good_byes.add(1);
        let code = payload.first_chunk::<2>().map_or(CloseCode::Normal.code(), |code| u16::from_be_bytes(*code));
        self.leave_room(key, Reason::Left);
        self.begin_closing(key, frame::close_raw(code, ""));
    }

    /// Handles one message, or refuses it with an answer.
    fn take_message(&mut self, key: usize, message: ServerMessage) {
        let ServerMessage { message, request_id, .. } = message;
        let Some(message) = message else {
            let text = "this server knows no such message; see `ServerMessage` in the protocol";
            return self.refuse(key, request_id, Rejection::new(ErrorCode::UnknownMessage, text));
        };
        let peer = &mut self.peers[key];
        let rates = self.settings.rates.rates(&peer.state.session.profile);
        if let Err(rejection) = peer.state.rates.try_take(rates, MessageClass::of(&message), self.now) {
            self.figures.rate_limited.add(1);
            if let Message::MidiMessage(midi) = message {
                // Notes that end are never refused.
                self.release(key, midi);
            }
            return self.refuse(key, request_id, rejection);
        }
        if let Err(rejection) = self.permit(key, &message) {
            return self.refuse(key, request_id, rejection);
        }
        if let Message::MidiMessage(midi) = message {
            // Notes for a room elsewhere are decided there.
            if let Some(Message::MidiMessage(midi)) = self.forwarded(key, request_id, Message::MidiMessage(midi)) {
                self.play(key, request_id, midi);
            }
            return;
        }
        if !matches!(message, Message::HeartbeatMessage(_) | Message::TimeSync(_)) {
            self.peers[key].state.last_active = self.now;
        }
        if let Err(rejection) = self.take_request(key, request_id, message) {
            self.refuse(key, request_id, rejection);
        }
    }

    /// Whether a connection may send this at all; the table of permissions says so.
    pub(super) fn permit(&self, key: usize, message: &Message) -> Result<(), Rejection> {
        let permission = Permission::of(message);
        if self.peers[key].state.session.profile.may(permission) {
            return Ok(());
        }
        let text = format!("you may not {} with the roles that you have", permission.words());
        Err(Rejection::new(ErrorCode::Authorization, text))
    }

    /// Answers with an error. Too many of the kind that honest clients do not make end the connection.
    pub(super) fn refuse(&mut self, key: usize, request_id: Option<u32>, rejection: Rejection) {
        self.figures.rejections.add(1);
        let is_strike = Self::is_strike(&rejection);
        self.send(key, &ClientMessage::rejection(request_id, rejection));
        if is_strike {
            self.strike(key);
        }
    }

    /// Whether an error is of the kind that honest clients do not make.
    pub(super) fn is_strike(rejection: &Rejection) -> bool {
        matches!(
            rejection.code,
            ErrorCode::Validation | ErrorCode::UnknownMessage | ErrorCode::UnknownCommand | ErrorCode::RateLimit
        )
    }

    /// Counts one of those; too many of them close.
    pub(super) fn strike(&mut self, key: usize) {
        let now = self.now;
        if self.peers.get_mut(key).is_some_and(|peer| peer.state.strikes.strike(now)) {
            self.close(key, CloseCode::RateLimit);
        }
    }

    /// Sends one message to one connection.
    pub(super) fn send(&mut self, key: usize, message: &ClientMessage) {
        let Some(peer) = self.peers.get(key) else { return };
        let frame = frame::message(peer.format(), message);
        self.send_frame(key, frame, Class::Essential);
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, key: usize, request_id: Option<u32>, message: client_message::Message) {
        self.send(key, &ClientMessage::answer(request_id, message));
    }
}
