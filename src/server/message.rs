//! What travels to a shard.

use std::net::IpAddr;

use crate::{
    domain::identity::Profile,
    http::stage::Admission,
    protocol::{
        close::CloseCode,
        error::Rejection,
        ids::{ConnectionId, RoomKey, UserId},
        wire::{ClientMessage, CreateRoomCommand},
    },
    server::{peer::Moving, user::ProfileChange},
    store::{StoreError, documents::SavedRoom},
};

/// A message in a shard's inbox.
#[derive(Debug)]
pub enum ShardMessage {
    /// A fresh socket from the front desk. In a reserved slot.
    Admit(Box<Admission>),
    /// A connection from another shard. In a reserved slot.
    Adopt(Box<Moving>),
    /// A connection asks a room of this shard for a seat.
    Seat(Box<SeatAsk>),
    /// The room's answer to a connection of this shard.
    SeatAnswer(Box<SeatAnswer>),
    /// A connection that was given a seat will not take it.
    ReleaseSeat {
        /// The room.
        room: RoomKey,
        /// The connection.
        connection: ConnectionId,
    },
    /// A question about a room of this shard.
    RoomInfo {
        /// The room.
        room: RoomKey,
        /// Who asks.
        reply: ReplyTo,
    },
    /// To a user of this shard.
    User {
        /// The user.
        user: UserId,
        /// What for.
        message: UserMessage,
    },
    /// To a connection that is, or was, on this shard.
    Connection {
        /// The connection.
        connection: ConnectionId,
        /// Its user, whose actor knows where it went.
        user: UserId,
        /// What it is to do.
        action: Action,
    },
    /// The user's actor knows where a connection went: the forwarding entry may go.
    Acknowledged {
        /// The connection.
        connection: ConnectionId,
        /// The epoch that is known.
        epoch: u32,
    },
    /// The store has looked for a room.
    Loaded {
        /// The room.
        room: RoomKey,
        /// What it has; none where the room was never saved.
        result: Result<Option<Box<SavedRoom>>, StoreError>,
    },
    /// The store has committed a change of a room, or not.
    Committed {
        /// The room.
        room: RoomKey,
        /// Which of its commits.
        commit: u64,
        /// Whether it is durable.
        result: Result<(), StoreError>,
    },
    /// A password was hashed or checked.
    Password {
        /// The room it is for.
        room: RoomKey,
        /// What waited for it.
        waiting: Waiting,
        /// What came of it.
        outcome: PasswordOutcome,
    },
    /// The lobby that has room, as far as the directory knows.
    LobbyPicked {
        /// Who asked.
        connection: ConnectionId,
        /// Which of its joins.
        ticket: u64,
        /// The lobby's number, from 1.
        number: u32,
    },
    /// The server shuts down: close every connection with advice to come back.
    Drain,
}

/// A connection asks for a seat in a room.
#[derive(Debug)]
pub struct SeatAsk {
    /// The room.
    pub room: RoomKey,
    /// Who asks.
    pub connection: ConnectionId,
    /// Its user.
    pub profile: Profile,
    /// Where it comes from.
    pub address: IpAddr,
    /// Which of its joins this is.
    pub ticket: u64,
    /// The shard to answer to.
    pub shard: usize,
    /// What it wants.
    pub wish: Wish,
}

/// What a connection wants of a room.
#[derive(Debug)]
pub enum Wish {
    /// To join it, and to make a public one where there is none.
    Join {
        /// The name as typed, trimmed.
        name: String,
        /// The password, where one was given.
        password: Option<String>,
    },
    /// To make it, saved.
    Create(Box<CreateRoomCommand>),
    /// To join this lobby.
    Lobby(u32),
}

/// A room's answer to a [`SeatAsk`].
#[derive(Debug)]
pub struct SeatAnswer {
    /// Who asked.
    pub connection: ConnectionId,
    /// Which of its joins.
    pub ticket: u64,
    /// The room.
    pub room: RoomKey,
    /// A seat is held, or why not.
    pub result: Result<(), Rejection>,
}

/// Where an answer goes that is not given at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The shard the connection was on.
    pub shard: usize,
    /// The connection.
    pub connection: ConnectionId,
    /// Its user.
    pub user: UserId,
    /// The request it answers.
    pub request_id: Option<u32>,
}

/// To a user's actor.
#[derive(Debug)]
pub enum UserMessage {
    /// A connection is on a shard now.
    Located {
        /// The connection.
        connection: ConnectionId,
        /// Where it is.
        shard: usize,
        /// How often it has moved.
        epoch: u32,
        /// The shard it came from, which forwards until this is acknowledged.
        from: Option<usize>,
    },
    /// A connection has ended.
    Ended {
        /// The connection.
        connection: ConnectionId,
    },
    /// An action found no connection where it was sent.
    Undelivered {
        /// The connection.
        connection: ConnectionId,
        /// Where it was not.
        tried: usize,
        /// The action.
        action: Action,
    },
    /// The user changes how others see it.
    Change {
        /// What changes.
        change: ProfileChange,
        /// Who asked.
        reply: ReplyTo,
    },
    /// Close all its connections.
    Close {
        /// Why.
        code: CloseCode,
        /// Told how many there were.
        count: flume::Sender<usize>,
    },
}

/// What a connection is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Close.
    Close(CloseCode),
    /// Take on a changed profile, and tell its room.
    Change(ProfileChange),
    /// Send this.
    Deliver(Box<ClientMessage>),
}

/// What waits for a password.
#[derive(Debug)]
pub enum Waiting {
    /// A seat.
    Seat(Box<SeatAsk>),
    /// A change of the room's settings, by a member.
    Update {
        /// Who asked.
        reply: ReplyTo,
        /// The change.
        command: Box<crate::protocol::wire::UpdateRoomCommand>,
    },
}

/// What came of hashing or checking a password.
#[derive(Debug)]
pub enum PasswordOutcome {
    /// It was hashed.
    Hashed(String),
    /// It was checked against this hash.
    Checked {
        /// The hash.
        hash: String,
        /// Whether it is the one.
        right: bool,
    },
    /// The back office could not.
    Failed(Rejection),
}
