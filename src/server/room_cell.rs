//! A room on its shard: the machine, and what its effects need.

use std::collections::{HashMap, VecDeque};

use crate::{
    domain::room::{Effect, Room},
    protocol::{
        ids::{Participant, RoomKey},
        time::Timestamp,
    },
    server::message::{ReplyTo, SeatAsk},
};

/// An active room.
pub struct RoomCell {
    /// Its key.
    pub key: RoomKey,
    /// The machine that decides.
    pub room: Room,
    /// Its members' places in the shard's table, by participant.
    pub members: Vec<(Participant, usize)>,
    /// When it last had a message for all its members.
    pub spoke_at: Timestamp,
    /// It has frames that wait for its gathering to end.
    pub is_gathering: bool,
    /// What follows its commits, by their number.
    pub commits: HashMap<u64, Commit>,
    /// Until when seats in it are held, at the latest: it does not go before.
    pub held_until: Timestamp,
    /// It has been empty beyond its grace time, and goes when no commit of it is waited for.
    pub is_retiring: bool,
    /// Its directory entry has changed.
    pub is_unlisted: bool,
    /// When its directory entry was last written.
    pub listed_at: Timestamp,
    /// Timestamps it had clamped when that was last counted.
    pub clamped: u64,
}

/// The number of the commit that makes a room; those of living rooms are above.
pub const MAKING: u64 = 0;

/// What follows a commit.
#[derive(Debug)]
pub struct Commit {
    /// What to do when it is durable.
    pub then: Vec<Effect>,
    /// When it was asked for.
    pub since: Timestamp,
    /// Who is told when it is not, and who may have moved on meanwhile.
    pub request: Option<(Participant, ReplyTo)>,
}

impl Commit {
    /// Somebody or something waits for it.
    pub fn is_awaited(&self) -> bool {
        self.request.is_some() || !self.then.is_empty()
    }
}

impl RoomCell {
    /// A room without members.
    pub fn new(key: RoomKey, room: Room, now: Timestamp) -> Self {
        Self {
            key,
            room,
            members: Vec::new(),
            spoke_at: Timestamp::default(),
            is_gathering: false,
            commits: HashMap::new(),
            held_until: now,
            is_retiring: false,
            is_unlisted: true,
            listed_at: now,
            clamped: 0,
        }
    }

    /// Where a member's connection is in the shard's table.
    pub fn member(&self, participant: Participant) -> Option<usize> {
        let index = self.members.binary_search_by_key(&participant, |&(participant, _)| participant).ok()?;
        Some(self.members[index].1)
    }

    /// Adds a member.
    pub fn insert(&mut self, participant: Participant, key: usize) {
        match self.members.binary_search_by_key(&participant, |&(participant, _)| participant) {
            Ok(index) => self.members[index].1 = key,
            Err(index) => self.members.insert(index, (participant, key)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, participant: Participant) {
        self.members.retain(|&(member, _)| member != participant);
    }
}

/// What is under a room's key.
pub enum RoomSlot {
    /// The room lives, at this place in the shard's table.
    Active(usize),
    /// It is being loaded or made; what asks for it waits, in order.
    Waking(Box<Waking>),
}

/// A room that is not there yet.
pub struct Waking {
    /// Since when it wakes.
    pub since: Timestamp,
    /// It is to be made, and waits for the hash of its password.
    pub is_hashing: bool,
    /// Connections that want a seat.
    pub asks: VecDeque<SeatAsk>,
    /// Questions about it.
    pub questions: Vec<ReplyTo>,
    /// The room, made and not committed yet, and the hash of its password: whoever made it need not prove it.
    pub made: Option<(Box<Room>, Option<String>)>,
}

impl Waking {
    /// A room that begins to wake.
    pub fn new(now: Timestamp) -> Self {
        Self { since: now, is_hashing: false, asks: VecDeque::new(), questions: Vec::new(), made: None }
    }
}

/// Seats that may be asked for while a room wakes.
pub const MAX_WAITING: usize = 1024;
