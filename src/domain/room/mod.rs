//! The room: who is in it, who may do what, what is relayed. One machine; its transitions lie in the files below.
//!
//! - `effect` what a transition wants done · `record` what rooms are made of · `limits` the server's figures
//! - `seats` reserving and taking a place · `departure` leaving it · `ownership` the crown
//! - `play` the note path · `silence` letting go of what a member holds
//! - `talk` chat and its commands · `moderation` kick, ban, mute, transfer · `change` settings, name, password
//! - `shared`, `roll` what snapshots share
//! - `presence` profiles and avatars · `roster` who is told what about the room · `upkeep` what time brings about
//!
//! Invariants:
//! - `members` is sorted by participant; numbers go up and are never used again.
//! - A participant's sequence goes up by one with each relayed message, those of its silence included.
//! - What is relayed has gone through the member's `held`: when it leaves, is muted or vanishes, `held` is let go of.
//! - A room that somebody is in and that can have an owner has exactly one, who may be away for a while.
//! - `wake_at` is never later than what `tick` has to do next; it may be earlier.
//!
//! Answers: `take_seat`, `chat`, `command`, `update` and `moderate` push the answer to their request themselves, since it
//! may have to wait for a commit. All others leave it to the shell: `Ack` where they return `Ok`. A rejection is always
//! the shell's to send. A message without a request id is not acknowledged.

use std::{net::IpAddr, sync::Arc};

pub use self::{
    change::PasswordChange,
    departure::Departed,
    effect::{Effect, RoomChange},
    limits::RoomLimits,
    play::{PlayRefused, Played},
    record::{Ban, Mute, NewRoom, RoomRecord},
    roster::RoomSummary,
    seats::{PasswordProof, SeatLost, SeatOutcome, SeatRequest},
};
use self::{
    departure::Crowd,
    members::{Member, UserState},
    roll::Roll,
    seats::Seat,
    shared::Shared,
};
use crate::{
    domain::{
        chat::{ChatLine, History},
        identity::Profile,
        room_settings::{RoomKind, Settings},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{ConnectionId, Participant, RoomKey, UserId},
        time::Timestamp,
        wire::client_message::Message,
    },
};

mod change;
mod departure;
mod effect;
mod limits;
mod members;
mod moderation;
mod ownership;
mod play;
mod presence;
mod record;
mod roll;
mod roster;
mod seats;
mod shared;
mod silence;
mod talk;
#[cfg(test)]
mod tests;
mod upkeep;

/// A room. A copy is a snapshot: what a transition that fails half way has changed is given up with it. It shares the members that
/// the transition does not change, so that it costs a crowd little.
#[derive(Clone)]
pub struct Room {
    key: RoomKey,
    display_name: String,
    kind: RoomKind,
    settings: Settings,
    password_hash: Option<String>,
    saved: bool,
    by_guest: bool,
    owner: Option<UserId>,
    /// Since when the owner's grace time runs.
    owner_away_since: Option<Timestamp>,
    /// Sorted by participant.
    members: Roll<Member>,
    /// What two tabs of one user share; a member knows its place here. Vacant entries are used again.
    users: Roll<UserState>,
    seats: Vec<Shared<Seat>>,
    last_participant: u32,
    bans: Vec<Ban>,
    mutes: Vec<Mute>,
    history: History,
    crowd: Crowd,
    empty_since: Option<Timestamp>,
    last_used: Timestamp,
    saved_at: Timestamp,
    /// When `tick` is next needed, or earlier.
    wake_at: Option<Timestamp>,
    clamped: u64,
    limits: Arc<RoomLimits>,
}

impl Room {
    /// The hash of its password, where it has one.
    pub fn password_hash(&self) -> Option<&str> {
        self.password_hash.as_deref()
    }

    /// A new room, empty, with its grace time running. `creator` owns it from now on; without one the first member will,
    /// where the kind has an owner at all.
    ///
    /// A saved room exists once its [`Room::record`] is committed: the shell does that before it seats the creator.
    pub fn create(new: NewRoom, creator: Option<&Profile>, limits: Arc<RoomLimits>, now: Timestamp) -> Self {
        let owner = creator.filter(|_| new.kind.has_owner());
        Self {
            key: new.key,
            display_name: new.display_name,
            kind: new.kind,
            settings: new.settings,
            password_hash: new.password_hash,
            saved: new.saved,
            by_guest: creator.is_some_and(Profile::is_guest),
            owner: owner.map(|profile| profile.user_id.clone()),
            owner_away_since: None,
            members: Roll::new(),
            users: Roll::new(),
            seats: Vec::new(),
            last_participant: 0,
            bans: Vec::new(),
            mutes: Vec::new(),
            history: History::default(),
            crowd: Crowd::default(),
            empty_since: Some(now),
            last_used: now,
            saved_at: now,
            wake_at: Some(now + limits.empty_grace),
            clamped: 0,
            limits,
        }
    }

    /// A saved room as it comes back, empty. A capacity above what the server now allows is cut to that.
    pub fn restore(record: RoomRecord, chat: Vec<ChatLine>, limits: Arc<RoomLimits>, now: Timestamp) -> Self {
        let mut settings = record.settings;
        settings.max_users = settings.max_users.clamp(1, limits.max_capacity.max(1));
        let new = NewRoom {
            key: record.key,
            display_name: record.display_name,
            kind: record.kind,
            settings,
            password_hash: record.password_hash,
            saved: true,
        };
        let mut room = Self::create(new, None, limits, now);
        room.owner = record.owner;
        room.by_guest = record.by_guest;
        room.bans = record.bans;
        room.mutes = record.mutes;
        room.history = History::restored(chat);
        room.last_used = record.last_used;
        room.wake(room.next_expiry());
        room
    }

    /// What the store keeps of a saved room.
    pub fn record(&self, now: Timestamp) -> RoomRecord {
        RoomRecord {
            key: self.key.clone(),
            display_name: self.display_name.clone(),
            kind: self.kind,
            settings: self.settings.clone(),
            password_hash: self.password_hash.clone(),
            owner: self.owner.clone(),
            bans: self.bans.clone(),
            mutes: self.mutes.clone(),
            by_guest: self.by_guest,
            last_used: if self.members.is_empty() { self.last_used } else { now },
        }
    }

    /// The room's key.
    pub fn key(&self) -> &RoomKey {
        &self.key
    }

    /// What kind it is.
    pub fn kind(&self) -> RoomKind {
        self.kind
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a store keeps it.
    pub fn is_saved(&self) -> bool {
        self.saved
    }

    /// Members, connections in the room: a user with two tabs counts twice.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Who is in it, in order of their numbers.
    pub fn connections(&self) -> impl Iterator<Item = (Participant, ConnectionId)> {
        self.members.iter().map(|member| (member.participant, member.connection))
    }

    /// The socket of a member.
    pub fn connection(&self, participant: Participant) -> Option<ConnectionId> {
        Some(self.members[self.index(participant)?].connection)
    }

    /// The profile of a member.
    pub fn profile(&self, participant: Participant) -> Option<&Profile> {
        Some(&self.members[self.index(participant)?].profile)
    }

    /// Whether a member is the room's owner, with this connection or another.
    pub fn is_owned_by(&self, participant: Participant) -> bool {
        self.index(participant).is_some_and(|index| self.is_owner(&self.members[index].profile.user_id))
    }

    /// The owner's lowest number in the room, where it is in.
    pub fn owner_in(&self) -> Option<Participant> {
        self.owner_participant()
    }

    /// The number of the member on this socket.
    pub fn participant_of(&self, connection: ConnectionId) -> Option<Participant> {
        self.members.iter().find(|member| member.connection == connection).map(|member| member.participant)
    }

    /// How many timestamps of notes lay outside what is taken and were moved to its edge.
    pub fn clamped(&self) -> u64 {
        self.clamped
    }

    /// When [`Room::tick`] is next needed; it does no harm earlier. A field read.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.wake_at
    }

    fn index(&self, participant: Participant) -> Option<usize> {
        let at = self.members.partition_point(|member| member.participant < participant);
        (at < self.members.len() && self.members[at].participant == participant).then_some(at)
    }

    fn at(&self, participant: Participant) -> Result<usize, Rejection> {
        self.index(participant)
            .ok_or_else(|| Rejection::new(ErrorCode::NotInRoom, "you are in no room: join one first"))
    }

    fn participants_of(&self, user: &UserId) -> Vec<Participant> {
        self.members.iter().filter(|m| m.profile.user_id == *user).map(|m| m.participant).collect()
    }

    fn wake(&mut self, at: Option<Timestamp>) {
        self.wake_at = match (self.wake_at, at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn broadcast(&self, except: Option<Participant>, message: Message, fx: &mut Vec<Effect>) {
        if self.members.iter().any(|member| Some(member.participant) != except) {
            fx.push(Effect::Broadcast { except, message });
        }
    }
}

/// Who asked, and the id its request carries.
pub type Request = (Participant, Option<u32>);

/// An address as bans compare it: IPv6 by the half that a customer is given, IPv4 in either notation as IPv4.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}
