//! Messages to this shard: to its users, its connections, its rooms.

use std::net::TcpStream;

use crate::{
    http::stage::Admission,
    net::{connection::Wire, outbox::Class, socket::Socket},
    protocol::{
        PROTOCOL_VERSION,
        error::{ErrorCode, Rejection},
        midi,
        wire::{ClientMessage, Limits, Welcome, client_message::Message},
    },
    server::{
        message::{Action, ShardMessage, UserMessage},
        peer::{Moving, Peer, PeerState},
        stage::Stage,
        user::Delivery,
    },
};

impl Stage {
    /// Handles one message, of the inbox or local.
    pub(super) fn handle_message(&mut self, message: ShardMessage) {
        match message {
            ShardMessage::Admit(admission) => self.admit(*admission),
            ShardMessage::Adopt(moving) => self.adopt(*moving),
            ShardMessage::Seat(ask) => self.take_ask(*ask),
            ShardMessage::SeatAnswer(answer) => self.take_seat_answer(*answer),
            ShardMessage::ReleaseSeat { room, connection } => self.release_seat(&room, connection),
            ShardMessage::RoomInfo { room, reply } => self.tell_room_info(room, reply),
            ShardMessage::User { user, message } => self.tell_user(user, message),
            ShardMessage::Connection { connection, user, action } => self.deliver(connection, user, action),
            ShardMessage::Acknowledged { connection, epoch } => self.forwarding.acknowledge(connection, epoch),
            ShardMessage::Loaded { room, result } => self.loaded(room, result),
            ShardMessage::Committed { room, commit, result } => self.committed(&room, commit, result),
            ShardMessage::Password { room, waiting, outcome } => self.password_done(room, waiting, outcome),
            ShardMessage::LobbyPicked { connection, ticket, number } => self.lobby_picked(connection, ticket, number),
            ShardMessage::Drain => self.drain(),
        }
    }

    /// A fresh socket from the front desk.
    fn admit(&mut self, admission: Admission) {
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
        self.post_user(&user, UserMessage::Located { connection, shard, epoch: 0, from: None });
        self.answer(key, None, Message::Welcome(welcome));
        if self.draining.is_some() {
            return self.close(key, crate::protocol::close::CloseCode::Restarting);
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
            self.post_user(&user, UserMessage::Ended { connection });
            return None;
        }
        self.ids.insert(connection, key);
        self.queue_read(key);
        self.mark_dirty(key);
        Some(key)
    }

    /// A connection from another shard: it takes the seat that is held for it.
    fn adopt(&mut self, moving: Moving) {
        let Moving { mut state, socket, place } = moving;
        state.peer.epoch += 1;
        let epoch = state.peer.epoch;
        let connection = state.peer.session.connection;
        let user = state.peer.session.profile.user_id.clone();
        let wire = Wire::from_parts(socket, state.wire);
        self.forwarding.remove(connection);
        self.figures.moves_in.add(1);
        let Some(key) = self.install(Peer::new(state.peer, wire, place)) else {
            self.release_seat(&state.room, connection);
            return;
        };
        let shard = self.number;
        self.post_user(&user, UserMessage::Located { connection, shard, epoch, from: Some(state.from) });
        self.guarded(key, |stage| stage.sit_down(key, &state.room));
        if self.draining.is_some() {
            self.close(key, crate::protocol::close::CloseCode::Restarting);
        }
    }

    /// A message to a user's actor.
    fn tell_user(&mut self, user: crate::protocol::ids::UserId, message: UserMessage) {
        let actor = self.users.entry(user.clone()).or_default();
        let deliveries = match message {
            UserMessage::Located { connection, shard, epoch, from } => {
                let due = actor.locate(connection, shard, epoch);
                if let Some(from) = from {
                    self.post(from, ShardMessage::Acknowledged { connection, epoch });
                }
                due
            }
            UserMessage::Ended { connection } => {
                actor.end(connection, self.now);
                Vec::new()
            }
            UserMessage::Undelivered { connection, tried, action } => {
                let is_answer = matches!(action, Action::Deliver(_));
                let known = actor.knows(connection);
                let delivery = actor.undelivered(connection, tried, action, self.now);
                if !known && is_answer {
                    self.figures.answers_lost.add(1);
                }
                delivery.into_iter().collect()
            }
            UserMessage::Change { change, reply } => {
                let mut due = actor.each(&Action::Change(change));
                if reply.request_id.is_some() {
                    due.push(Delivery {
                        shard: actor.shard_of(reply.connection).unwrap_or(reply.shard),
                        connection: reply.connection,
                        action: Action::Deliver(Box::new(ClientMessage::ack(reply.request_id))),
                    });
                }
                due
            }
            UserMessage::Close { code, count } => {
                let due = actor.each(&Action::Close(code));
                let _ = count.try_send(due.len());
                due
            }
        };
        for delivery in deliveries {
            let message = ShardMessage::Connection {
                connection: delivery.connection,
                user: user.clone(),
                action: delivery.action,
            };
            self.post(delivery.shard, message);
        }
    }

    /// A connection of this shard does what it is told.
    pub(super) fn act(&mut self, key: usize, action: Action) {
        match action {
            Action::Close(code) => self.close(key, code),
            Action::Deliver(message) => self.send(key, &message),
            Action::Change(change) => {
                let state = &mut self.peers[key].state;
                change.apply(&mut state.session.profile);
                if let Some(joining) = &mut state.joining {
                    joining.is_profile_changed = true;
                }
                if let Some(seat) = self.peers[key].seat {
                    let profile = self.peers[key].state.session.profile.clone();
                    self.in_room(seat, |room, _, effects| room.set_profile(&profile, effects));
                }
            }
        }
    }

    /// Sends a frame that costs a slow consumer nothing it would miss.
    pub(super) fn ping(&mut self, key: usize) {
        self.peers[key].state.last_pinged = self.now;
        let payload = self.now.as_us().to_be_bytes();
        self.send_frame(key, crate::net::frame::ping(&payload), Class::Essential);
    }

    /// The error for what this server does not have yet.
    pub(super) fn not_supported(what: &str) -> Rejection {
        Rejection::new(ErrorCode::NotSupported, format!("this server has no {what} yet"))
    }
}
