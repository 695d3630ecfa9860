//! What travels to the actors of a shard, and what is handed to the shard itself.

use std::{net::IpAddr, sync::Arc};

use crate::{
    domain::identity::{Profile, Role, Session},
    protocol::{
        close::CloseCode,
        error::Rejection,
        ids::{ConnectionId, RoomKey, UserId},
        wire::{ClientMessage, CreateRoomCommand, UpdateRoomCommand},
    },
    server::user::ProfileChange,
    store::StoreError,
};

/// To a room.
#[derive(Debug)]
pub enum RoomMessage {
    /// A connection asks for a seat.
    Seat(Box<SeatAsk>),
    /// A connection that was given a seat will not take it.
    ReleaseSeat(ConnectionId),
    /// A question about it.
    Info(ReplyTo),
    /// The store has committed a change, or not.
    Committed {
        /// Which of its commits.
        commit: u64,
        /// Whether it is durable.
        result: Result<(), StoreError>,
    },
    /// The store has committed the room itself, which was just made, or not.
    Made(Result<(), StoreError>),
    /// A guest has an account now: where the room is its own, it is a member's from now on.
    Adopt(UserId),
    /// A password was hashed or checked.
    Password {
        /// What waited for it.
        waiting: Waiting,
        /// What came of it.
        outcome: PasswordOutcome,
    },
}

/// A connection asks for a seat in a room.
#[derive(Debug)]
pub struct SeatAsk {
    /// Who asks.
    pub asker: Asker,
    /// Its user.
    pub profile: Profile,
    /// Where it comes from.
    pub address: IpAddr,
    /// What it wants.
    pub wish: Wish,
}

/// Whom a [`SeatAnswer`] is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The room it asks.
    pub room: RoomKey,
    /// The connection.
    pub connection: ConnectionId,
    /// Which of its joins this is.
    pub ticket: u64,
    /// The shard to answer to.
    pub shard: usize,
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

/// To a connection that is, or was, on the shard it is sent to.
#[derive(Debug)]
pub enum ConnectionMessage {
    /// It is to do something. Where it is not there, its user's actor knows where it went.
    Act {
        /// Its user.
        user: UserId,
        /// What it is to do.
        action: Action,
    },
    /// A room has answered its [`SeatAsk`].
    Seat(Box<SeatAnswer>),
    /// The lobby that has room, as far as the directory knows; the first where that can not be asked.
    LobbyPicked {
        /// Which of its joins.
        ticket: u64,
        /// The lobby's number, from 1.
        number: u32,
    },
    /// An answer that it has asked the back office for. Where it has moved meanwhile, the answer goes after it.
    Answered {
        /// Where it was when it asked.
        reply: ReplyTo,
        /// The answer.
        message: Box<ClientMessage>,
    },
}

/// A room's answer to a [`SeatAsk`].
#[derive(Debug)]
pub struct SeatAnswer {
    /// Which of the connection's joins.
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
    /// Close all its connections; the reply is how many there were.
    Close {
        /// Why.
        code: CloseCode,
    },
    /// Close some of its connections, and those of the kind that have not arrived yet.
    CloseSome {
        /// Which.
        which: Which,
        /// Why.
        code: CloseCode,
    },
    /// It has these roles from now on.
    SetRoles(Vec<Role>),
}

/// Some of a user's connections. A connection knows by itself whether it is one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that came by this log-in.
    OfSession(Arc<str>),
    /// Those that came as a guest.
    Guests,
}

impl Which {
    /// Whether this is one of them.
    pub fn is_of(&self, session: &Session) -> bool {
        match self {
            Self::OfSession(id) => session.session_id == **id,
            Self::Guests => session.profile.is_guest(),
        }
    }
}

/// What a connection is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Close.
    Close(CloseCode),
    /// Close, where it is one of those.
    CloseIf(Which, CloseCode),
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
        command: Box<UpdateRoomCommand>,
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
    /// It could not be.
    Failed(Rejection),
}
