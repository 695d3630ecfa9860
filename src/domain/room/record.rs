//! What rooms are made of and come back from: the wish to make one, and the record a saved one leaves.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        lobby::{lobby_key, lobby_name},
        name::{is_reserved, room_display_name, room_key, room_password},
        room::limits::RoomLimits,
        room_settings::{RoomKind, Settings},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{RoomKey, UserId},
        time::Timestamp,
        wire,
    },
};

/// A room to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRoom {
    /// Its key.
    pub key: RoomKey,
    /// The name shown.
    pub display_name: String,
    /// What kind it is.
    pub kind: RoomKind,
    /// Checked settings.
    pub settings: Settings,
    /// The hash of its password, made off the shard.
    pub password_hash: Option<String>,
    /// Whether it outlives its members and the process.
    pub saved: bool,
}

impl NewRoom {
    /// What `createRoomCommand` asks for, without its password: the shell hashes that elsewhere and sets
    /// `password_hash` before it makes the room. The room is saved.
    pub fn by_command(command: &wire::CreateRoomCommand, limits: &RoomLimits) -> Result<Self, Rejection> {
        let kind = RoomKind::from_wire(command.room_type)?;
        let key = unreserved(&command.room_name)?;
        if !command.password.is_empty() {
            room_password(&command.password)?;
        }
        let settings = Settings { max_users: limits.capacity(kind), ..Settings::default() };
        let settings = match &command.settings {
            Some(change) => settings.updated(change, limits.max_capacity)?,
            None => settings,
        };
        let display_name = room_display_name(&command.room_name)?;
        Ok(Self { key, display_name, kind, settings, password_hash: None, saved: true })
    }

    /// What `joinRoomByName` makes where there is no room of that name: a public room, not saved, whose first member
    /// becomes its owner.
    pub fn by_joining(name: &str, limits: &RoomLimits) -> Result<Self, Rejection> {
        let key = unreserved(name)?;
        let settings = Settings { max_users: limits.capacity(RoomKind::Public), ..Settings::default() };
        let display_name = room_display_name(name)?;
        Ok(Self { key, display_name, kind: RoomKind::Public, settings, password_hash: None, saved: false })
    }

    /// The lobby of this number.
    pub fn lobby(number: u32, limits: &RoomLimits) -> Self {
        Self {
            key: lobby_key(number),
            display_name: lobby_name(number),
            kind: RoomKind::Lobby,
            settings: Settings { max_users: limits.capacity(RoomKind::Lobby), ..Settings::default() },
            password_hash: None,
            saved: false,
        }
    }
}

fn unreserved(name: &str) -> Result<RoomKey, Rejection> {
    let key = room_key(name)?;
    if is_reserved(&key) {
        let message = "that name belongs to the server's lobbies: choose another, or join the next lobby";
        return Err(Rejection::new(ErrorCode::RoomNameReserved, message));
    }
    Ok(key)
}

/// Somebody kept out of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who.
    pub user_id: UserId,
    /// The name it had when it was banned; empty where it was not there.
    pub username: String,
    /// Networks it was banned with, where that was asked for: an IPv4 address, or the first half of an IPv6 address.
    pub networks: Vec<IpAddr>,
    /// When it ends; `None` until it is lifted.
    pub until: Option<Timestamp>,
    /// Why; may be empty.
    pub reason: String,
}

/// Somebody whose notes or chat are not relayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Who.
    pub user_id: UserId,
    /// Its notes.
    pub notes: bool,
    /// Its chat.
    pub chat: bool,
    /// When it ends; `None` until it is lifted.
    pub until: Option<Timestamp>,
}

/// Everything a saved room comes back with, but its chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomRecord {
    /// Its key.
    pub key: RoomKey,
    /// The name shown.
    pub display_name: String,
    /// What kind it is.
    pub kind: RoomKind,
    /// Its settings.
    pub settings: Settings,
    /// The hash of its password.
    pub password_hash: Option<String>,
    /// Who owns it.
    pub owner: Option<UserId>,
    /// Who is kept out.
    #[serde(default)]
    pub bans: Vec<Ban>,
    /// Who is muted.
    #[serde(default)]
    pub mutes: Vec<Mute>,
    /// A guest made it: the store forgets it seven days after it was last used.
    pub by_guest: bool,
    /// When somebody was last in it, to a day.
    pub last_used: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str) -> wire::CreateRoomCommand {
        wire::CreateRoomCommand { room_name: name.into(), ..Default::default() }
    }

    #[test]
    fn a_room_is_made_with_the_servers_defaults_and_the_creators_wishes() {
        let limits = RoomLimits { default_capacity: 12, max_capacity: 40, ..RoomLimits::default() };
        let mut wish = command(" Jazz  Club ");
        wish.settings = Some(wire::RoomSettings { only_owner_plays: Some(true), ..Default::default() });
        let room = NewRoom::by_command(&wish, &limits).unwrap();
        assert_eq!((room.key.as_str(), room.display_name.as_str()), ("jazz club", "Jazz Club"));
        assert_eq!((room.settings.max_users, room.settings.only_owner_plays, room.saved), (12, true, true));
        wish.settings = Some(wire::RoomSettings { max_users: Some(41), ..Default::default() });
        assert_eq!(NewRoom::by_command(&wish, &limits).unwrap_err().code, ErrorCode::Validation);
    }

    #[test]
    fn nobody_makes_a_lobby() {
        let limits = RoomLimits::default();
        let code = |result: Result<NewRoom, Rejection>| result.unwrap_err().code;
        assert_eq!(code(NewRoom::by_command(&command("Lobby7"), &limits)), ErrorCode::RoomNameReserved);
        assert_eq!(code(NewRoom::by_joining("LOBBY", &limits)), ErrorCode::RoomNameReserved);
        assert_eq!(NewRoom::lobby(2, &limits).settings.max_users, 30);
    }

    #[test]
    fn a_room_made_by_joining_is_public_and_not_saved() {
        let room = NewRoom::by_joining("Jam", &RoomLimits::default()).unwrap();
        assert_eq!((room.kind, room.saved, room.settings.max_users), (RoomKind::Public, false, 20));
    }
}
