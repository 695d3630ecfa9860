//! One connection as its shard knows it, and what of it moves to another.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{bucket::Bucket, identity::Session, quota::CarriedQuota, rate::RateState, strikes::Strikes},
    http::place::Place,
    net::{
        connection::{Wire, WireState},
        socket::Socket,
    },
    protocol::{
        codec::Format,
        ids::{ConnectionId, Participant, RoomKey},
        time::Timestamp,
    },
    server::{
        room_actor::Seat,
        spill::{batch::BranchKey, branch::BranchSeat},
    },
};

/// Everything of a connection but its wire: it travels as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerState {
    /// Who it is.
    pub session: Session,
    /// How often it has moved: the newest news of it have the highest.
    pub epoch: u32,
    /// Its rate limits.
    pub rates: RateState,
    /// The bytes it has sent.
    pub input: Bucket,
    /// Its invalid messages.
    pub strikes: Strikes,
    /// Its note quota between two rooms.
    pub quota: CarriedQuota,
    /// When its last frame came.
    pub last_heard: Timestamp,
    /// When it was last asked whether it is there.
    pub last_pinged: Timestamp,
    /// Since when it has been in no room without asking for anything.
    pub last_active: Timestamp,
    /// The join that parks its input.
    pub joining: Option<Joining>,
}

/// A join under way. From its command on the connection's input is parked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Joining {
    /// Tells its answers from those of earlier joins.
    pub ticket: u64,
    /// The request to answer.
    pub request_id: Option<u32>,
    /// When it was asked for.
    pub since: Timestamp,
    /// Where to.
    pub goal: Goal,
    /// Its profile has changed since the seat was asked for, and the seat may have the one before.
    #[serde(default)]
    pub is_profile_changed: bool,
    /// The room it was in has let it go for this one.
    #[serde(default)]
    pub has_left: bool,
}

/// Where a join goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Goal {
    /// The lowest lobby with room; none is picked yet.
    AnyLobby,
    /// This lobby, or the next one where it is full.
    Lobby {
        /// Its number, from 1.
        number: u32,
        /// How many were full.
        tried: u32,
    },
    /// This room.
    Room(RoomKey),
    /// A seat is held, and the hand-off waits for a place.
    Granted {
        /// The room.
        room: RoomKey,
        /// When the seat was given.
        since: Timestamp,
    },
    /// The room it is in, which is elsewhere, is to let it go first.
    Leaving {
        /// Where a seat is held for it, where it goes anywhere.
        to: Option<RoomKey>,
    },
}

/// A connection that is being closed: its close frame is queued.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// When the socket goes, whatever the peer does.
    pub until: Timestamp,
    /// The close frame has left, and our side is shut.
    pub finished: bool,
}

/// A connection on its shard.
#[derive(Debug)]
pub struct Peer {
    /// What travels.
    pub state: PeerState,
    /// Its socket and what waits on it.
    pub wire: Wire,
    /// Its place among the server's connections, given back with it.
    pub place: Place,
    /// Where it plays, in a room of this shard.
    pub seat: Option<Seat>,
    /// Where it plays, in a room of another shard.
    pub branch: Option<BranchSeat>,
    /// It is being closed.
    pub closing: Option<Closing>,
    /// It is in the list of those to be closed for reading too slowly.
    pub is_too_slow: bool,
    /// It is in the list of those with something to write.
    pub is_dirty: bool,
    /// It has sent more bytes than its share, and is read again when some have flowed back.
    pub is_throttled: bool,
    /// It is in the list of those with something to read.
    pub is_queued: bool,
}

impl Peer {
    /// A connection over a wire.
    pub fn new(state: PeerState, wire: Wire, place: Place) -> Self {
        Self {
            state,
            wire,
            place,
            seat: None,
            branch: None,
            closing: None,
            is_too_slow: false,
            is_dirty: false,
            is_throttled: false,
            is_queued: false,
        }
    }

    /// Its id.
    pub fn id(&self) -> ConnectionId {
        self.state.session.connection
    }

    /// What it speaks.
    pub fn format(&self) -> Format {
        self.wire.format()
    }

    /// It is in no room.
    pub fn is_roomless(&self) -> bool {
        self.seat.is_none() && self.branch.is_none()
    }

    /// Its input is not to be handled now.
    pub fn is_parked(&self) -> bool {
        self.state.joining.is_some() || self.closing.is_some() || self.branch.is_some_and(|seat| seat.is_recalled)
    }

    /// Takes it apart to move it.
    ///
    /// What is saved of a connection is one plain struct; the socket and the place go beside it, owned at every moment.
    pub fn into_moving(self, to: Destination, from: usize) -> Moving {
        let (socket, wire) = self.wire.into_parts();
        Moving { state: MovingState { peer: self.state, wire, to, from }, socket, place: self.place }
    }
}

/// What a connection is handed on for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// A room where a seat waits for it.
    Room(RoomKey),
    /// A branch of the room that it is in already.
    Branch {
        /// Which.
        branch: BranchKey,
        /// Its number in the room.
        participant: Participant,
    },
    /// The shard of the room that it is in already, from a branch.
    Home {
        /// Which.
        branch: BranchKey,
        /// Its number in the room.
        participant: Participant,
    },
}

/// What of a connection travels between shards, or one day between nodes: plain and serialisable.
#[derive(Debug, Serialize, Deserialize)]
pub struct MovingState {
    /// Who it is and what it is up to.
    pub peer: PeerState,
    /// What is half read and what is unwritten.
    pub wire: WireState,
    /// Where to.
    pub to: Destination,
    /// The shard it left.
    pub from: usize,
}

/// A connection on its way. Dropped, its socket closes and its place is free.
#[derive(Debug)]
pub struct Moving {
    /// What is plain.
    pub state: MovingState,
    /// The socket.
    pub socket: Socket,
    /// Its place among the server's connections.
    pub place: Place,
}
