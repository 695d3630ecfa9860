//! Sending: to rooms, users and connections, wherever they are, and to the back office.

use std::time::Duration;

use crate::{
    actor::{
        envelope::{ActorId, TellError},
        handling::{self, CallError},
        mesh::Lane,
        parcel::Parcel,
        placement::shard_of,
        sending,
    },
    domain::defect::{Defect, is_planted},
    protocol::{
        error::Rejection,
        ids::{ConnectionId, RoomKey, UserId},
        wire::ClientMessage,
    },
    server::{
        connection_actor::Connection,
        directory_keeper::{DirectoryKeeper, DirectoryMessage},
        message::{Action, Asker, ConnectionMessage, ReplyTo, RoomMessage, SeatAnswer, SeatAsk, UserMessage, Waiting},
        password_desk::{self, PasswordDesk, PasswordMessage},
        room_actor::RoomActor,
        stage::Stage,
        user::User,
    },
};

/// How long a password may take to be hashed or checked; joins wait no longer either.
const PASSWORD_TIMEOUT: Duration = Duration::from_secs(10);

impl Stage {
    /// The shard on which a room or a user lives.
    pub(super) fn home_of(&self, key: &str) -> usize {
        shard_of(key, self.shards)
    }

    /// Counts what could not be sent: the inbox of its host is full, and so is what may wait for that.
    fn sent<M>(&self, result: Result<(), TellError<M>>) -> bool {
        if let Err(TellError::Full(_)) = result {
            self.figures.inbox_full.add(1);
        }
        result.is_ok()
    }

    /// Asks a room for a seat. It answers in any case, except where its host is out of reach.
    pub(super) fn ask_for_a_seat(&mut self, ask: SeatAsk) -> bool {
        let room = ask.asker.room.clone();
        let result = sending::tell::<RoomActor, _>(self, &room, RoomMessage::Seat(Box::new(ask)));
        self.sent(result)
    }

    /// Sends to a room.
    pub(super) fn tell_room(&mut self, room: &RoomKey, message: RoomMessage) {
        let result = sending::tell::<RoomActor, _>(self, room, message);
        self.sent(result);
    }

    /// A connection that was given a seat will not take it.
    pub(super) fn release_seat(&mut self, room: &RoomKey, connection: ConnectionId) {
        self.tell_room(room, RoomMessage::ReleaseSeat(connection));
    }

    /// Tells a connection no.
    pub(super) fn refuse_seat(&mut self, asker: &Asker, rejection: Rejection) {
        self.answer_seat(asker, Err(rejection));
    }

    /// Answers a connection that has asked for a seat.
    pub(super) fn answer_seat(&mut self, asker: &Asker, result: Result<(), Rejection>) {
        let answer = SeatAnswer { ticket: asker.ticket, room: asker.room.clone(), result };
        let message = ConnectionMessage::Seat(Box::new(answer));
        let result = sending::tell_at::<Connection, _>(self, asker.shard, &asker.connection, message);
        self.sent(result);
    }

    /// Sends to a user's actor.
    pub(super) fn tell_user(&mut self, user: &UserId, message: UserMessage) {
        let result = sending::tell::<User, _>(self, user, message);
        self.sent(result);
    }

    /// Has a connection do something, on the shard where it was last.
    pub(super) fn send_action(&mut self, shard: usize, connection: ConnectionId, user: UserId, action: Action) {
        let message = ConnectionMessage::Act { user, action };
        let result = sending::tell_at::<Connection, _>(self, shard, &connection, message);
        self.sent(result);
    }

    /// An action for a connection that has left, and may have come back: on to where it went, or to its user's actor, which
    /// will know.
    pub(super) fn pursue(&mut self, connection: ConnectionId, user: UserId, action: Action) {
        let is_here = self.connections.find(&connection).is_some().then_some(self.number);
        if is_here.is_none() && is_planted(Defect::LoseForwarded) {
            return;
        }
        match is_here.or_else(|| self.forwarding.find(connection)) {
            Some(shard) => self.send_action(shard, connection, user, action),
            None => {
                let tried = self.number;
                self.tell_user(&user, UserMessage::Undelivered { connection, tried, action });
            }
        }
    }

    /// Tells the shard that a connection has left that its user's actor knows where it is.
    pub(super) fn acknowledge_move(&mut self, from: usize, connection: ConnectionId, epoch: u32) {
        if from == self.number {
            return self.forwarding.acknowledge(connection, epoch);
        }
        let parcel = Parcel::new::<Self>(move |stage| stage.forwarding.acknowledge(connection, epoch));
        self.core.send_to(from, Lane::Control, parcel);
    }

    /// Answers a request of a connection that may have moved since.
    pub(super) fn reply(&mut self, reply: ReplyTo, message: ClientMessage) {
        let action = Action::Deliver(Box::new(message));
        self.send_action(reply.shard, reply.connection, reply.user, action);
    }

    /// Where an answer to this connection's request goes.
    pub(super) fn reply_to(&self, key: usize, request_id: Option<u32>) -> ReplyTo {
        let session = &self.peers[key].state.session;
        ReplyTo {
            shard: self.number,
            connection: session.connection,
            user: session.profile.user_id.clone(),
            request_id,
        }
    }

    /// Has a password hashed, in the name of the room that waits for it.
    pub(super) fn hash_password(&mut self, room: ActorId, waiting: Waiting, password: String) {
        self.ask_password(room, waiting, PasswordMessage::Hash(password));
    }

    /// Has a password hashed or checked, in the name of the room that waits for it.
    pub(super) fn ask_password(&mut self, room: ActorId, waiting: Waiting, message: PasswordMessage) {
        let answered = |answer| RoomMessage::Password { waiting, outcome: password_desk::outcome(answer) };
        sending::ask_as::<PasswordDesk, RoomActor>(self, room, &(), message, PASSWORD_TIMEOUT, answered);
    }

    /// Tells the directory something. Where it can not be told the entry lags: it expires, and rooms that live are told again.
    pub(super) fn tell_directory(&mut self, message: DirectoryMessage) -> bool {
        let is_sent = sending::tell::<DirectoryKeeper, _>(self, &(), message).is_ok();
        if !is_sent {
            self.figures.back_office_full.add(1);
        }
        is_sent
    }

    /// Takes a room out of the directory.
    pub(super) fn unlist(&mut self, room: &RoomKey) {
        self.tell_directory(DirectoryMessage::Unlist(room.clone()));
    }

    /// The actor of a connection in the table of sockets.
    pub(super) fn connection_actor(&self, key: usize) -> Option<ActorId> {
        self.connections.find(&self.peers.get(key)?.id())
    }

    /// Runs a handler for one connection, as its actor: a panic closes that connection and goes no further.
    pub(super) fn guarded(&mut self, key: usize, handler: impl FnOnce(&mut Self)) {
        let Some(id) = self.connection_actor(key) else { return };
        let mut handler = Some(handler);
        let result = handling::call::<Connection, _>(self, id, |_, cx| {
            if let Some(handler) = handler.take() {
                #[cfg(feature = "faults")]
                crate::domain::fault::seldom();
                handler(cx.world);
                #[cfg(feature = "faults")]
                crate::domain::fault::seldom();
            }
        });
        if result == Err(CallError::Busy)
            && let Some(handler) = handler
        {
            // In the middle of it already: whoever catches that catches this.
            handler(self);
        }
    }
}
