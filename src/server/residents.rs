//! Connections as they come to a shard: from the front desk, and from other shards; and what they are told to do.

use std::net::TcpStream;

use crate::{
    actor::life,
    http::stage::Admission,
    net::{connection::Wire, frame, outbox::Class, socket::Socket},
    protocol::{
        PROTOCOL_VERSION,
        close::CloseCode,
        error::{ErrorCode, Rejection},
        midi,
        wire::{Limits, Welcome, client_message::Message},
    },
    server::{
        connection_actor::Connection,
        message::{Action, UserMessage},
        peer::{Destination, Moving, Peer, PeerState},
        spill::batch::InwardItem,
        stage::Stage,
    },
};

impl Stage {
    /// A fresh socket from the front desk.
    pub(super) fn admit(&mut self, admission: Admission) {
        let Admission { socket, leftover, session, room, guest_token, session_token, place } = admission;
        let connection = session.connection;
        let user = session.profile.user_id.clone();
        let Some(wire) = self.wire(socket, &leftover, session.format) else { return };
        let welcome = Welcome {
            socket_id: connection.to_string(),
            user: Some(session.profile.to_wire()),
            server_time_us: self.now.as_us() as i64,
            session_token,
            guest_token: guest_token.unwrap_or_default(),
            resume_window_ms: 0,
            limits: Some(self.limits()),
            protocol_version: PROTOCOL_VERSION,
        };
        let state = PeerState {
            session,
            epoch: 0,
            rates: Default::default(),
            input: Default::default(),
            strikes: Default::default(),
            quota: Default::default(),
            last_heard: self.now,
            last_pinged: self.now,
            last_active: self.now,
            joining: None,
        };
        let Some(key) = self.install(Peer::new(state, wire, place)) else { return };
        let shard = self.number;
        self.tell_user(&user, UserMessage::Located { connection, shard, epoch: 0, from: None });
        self.answer(key, None, Message::Welcome(welcome));
        if self.is_draining {
            return self.close(key, CloseCode::Restarting);
        }
        if let Some(name) = room
            && let Err(rejection) = self.begin_join_by_name(key, None, &name, String::new())
        {
            self.refuse(key, None, rejection);
        }
    }

    fn wire(&self, socket: TcpStream, leftover: &[u8], format: crate::protocol::codec::Format) -> Option<Wire> {
        match Socket::new(socket, &self.settings.socket) {
            Ok(socket) => Some(Wire::new(socket, format, leftover)),
            Err(error) => {
                // Only a socket that is closed already refuses its options.
                tracing::debug!(shard = self.number, %error, "an admitted socket was gone");
                None
            }
        }
    }

    /// What this server takes, for `Welcome`.
    fn limits(&self) -> Limits {
        Limits {
            max_message_bytes: self.settings.max_message_bytes as u32,
            max_midi_events: midi::MAX_EVENTS as u32,
            max_midi_span_ms: midi::MAX_SPAN_MS,
            max_chat_characters: crate::domain::chat::MAX_CHARACTERS as u32,
            max_room_capacity: self.settings.rooms.max_capacity,
            heartbeat_interval_ms: self.settings.heartbeat_interval.as_millis() as u32,
        }
    }

    /// Puts a connection in the table. None where the readiness set takes no more; the connection is then gone.
    pub(super) fn install(&mut self, peer: Peer) -> Option<usize> {
        let connection = peer.id();
        let key = self.peers.insert(peer);
        if let Err(error) = self.readiness.add(&self.peers[key].wire, key) {
            tracing::warn!(shard = self.number, %connection, %error, "a socket could not be watched");
            let user = self.peers.remove(key).state.session.profile.user_id;
            self.tell_user(&user, UserMessage::Ended { connection });
            return None;
        }
        if let Err(error) = life::spawn_here::<Connection>(self, connection, Connection { key }) {
            self.turn_away(key, &error);
            return None;
        }
        self.ids.insert(connection, key);
        self.queue_read(key);
        self.mark_dirty(key);
        Some(key)
    }

    /// A connection that gets no actor: connections have ended, in a shutdown, while it was on its way. It is told when to
    /// come back, as far as its socket takes that at once.
    fn turn_away(&mut self, key: usize, error: &life::SpawnError) {
        let mut peer = self.peers.remove(key);
        let _ = self.readiness.remove(&peer.wire);
        tracing::debug!(shard = self.number, connection = %peer.id(), %error, "a connection came too late");
        let chance = self.chance.draw();
        peer.wire.push_last(frame::close(CloseCode::Restarting, chance), self.now);
        peer.wire.note_ready(false, true);
        peer.wire.flush(self.now, &self.settings.outbox);
        peer.wire.finish();
    }

    /// A connection from another shard: it takes the seat that is held for it, or that it has already.
    pub(super) fn adopt(&mut self, moving: Moving) {
        let Moving { mut state, socket, place } = moving;
        state.peer.epoch += 1;
        let epoch = state.peer.epoch;
        let connection = state.peer.session.connection;
        let user = state.peer.session.profile.user_id.clone();
        let wire = Wire::from_parts(socket, state.wire);
        self.forwarding.remove(connection);
        self.figures.moves_in.add(1);
        let Some(key) = self.install(Peer::new(state.peer, wire, place)) else {
            return match &state.to {
                Destination::Room(room) => self.release_seat(room, connection),
                Destination::Branch { branch, participant } => self.arrive_at_branch(None, branch, *participant),
                Destination::Home { branch, participant } => self.gone_on_the_way_home(branch, *participant),
            };
        };
        let shard = self.number;
        self.tell_user(&user, UserMessage::Located { connection, shard, epoch, from: Some(state.from) });
        let mut has_arrived = false;
        self.guarded(key, |stage| {
            match &state.to {
                Destination::Room(room) => stage.sit_down(key, room),
                Destination::Branch { branch, participant } => stage.arrive_at_branch(Some(key), branch, *participant),
                Destination::Home { branch, participant } => stage.come_home(key, branch, *participant),
            }
            has_arrived = true;
        });
        if !has_arrived {
            // It failed at arriving, and is being closed. A seat that is held expires; where it has one, nobody else says so.
            match &state.to {
                Destination::Room(_) => {}
                Destination::Branch { branch, participant } => self.arrive_at_branch(None, branch, *participant),
                Destination::Home { branch, participant } => self.gone_on_the_way_home(branch, *participant),
            }
        }
        if self.is_draining {
            self.close(key, CloseCode::Restarting);
        }
    }

    /// A connection of this shard does what it is told.
    pub(super) fn act(&mut self, key: usize, action: Action) {
        match action {
            Action::Close(code) => self.close(key, code),
            Action::CloseIf(which, code) => {
                if which.is_of(&self.peers[key].state.session) {
                    self.close(key, code);
                }
            }
            Action::Deliver(message) if self.peers[key].closing.is_some() => {
                tracing::trace!(shard = self.number, ?message, "an answer after the close");
                self.figures.answers_lost.add(1);
            }
            Action::Deliver(message) => self.send(key, &message),
            Action::Change(change) => {
                let state = &mut self.peers[key].state;
                change.apply(&mut state.session.profile);
                if let Some(joining) = &mut state.joining {
                    joining.is_profile_changed = true;
                }
                if let Some(seat) = self.peers[key].branch {
                    let profile = self.peers[key].state.session.profile.clone();
                    self.say_home(seat, InwardItem::Profile(Box::new(profile)));
                } else if let Some(seat) = self.peers[key].seat {
                    let profile = self.peers[key].state.session.profile.clone();
                    // Where the room fails at it, the next change tells all of the profile.
                    let _ = self.in_room(seat, |room, _, effects| room.set_profile(&profile, effects));
                }
            }
        }
    }

    /// Sends a frame that costs a slow consumer nothing it would miss.
    pub(super) fn ping(&mut self, key: usize) {
        self.peers[key].state.last_pinged = self.now;
        let payload = self.now.as_us().to_be_bytes();
        self.send_frame(key, frame::ping(&payload), Class::Essential);
    }

    /// The error for what this server does not have yet.
    pub(super) fn not_supported(what: &str) -> Rejection {
        Rejection::new(ErrorCode::NotSupported, format!("this server has no {what} yet"))
    }
}
