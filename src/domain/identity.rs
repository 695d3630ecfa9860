//! Who somebody is to the others: the profile of a user, and the session a connection came with.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    domain::permission::Permission,
    protocol::{
        codec::Format,
        ids::{ConnectionId, UserId},
        wire,
    },
};

/// What a user is entitled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Came without an account.
    Guest,
    /// Has an account.
    Member,
    /// Has subscribed.
    Pro,
    /// May do in every room what its owner may.
    Moderator,
    /// As a moderator.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: &[Self] = &[Self::Guest, Self::Member, Self::Pro, Self::Moderator, Self::Admin];

    /// Its name in tokens, documents and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Pro => "pro",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == name)
    }

    fn to_wire(self) -> wire::user::Role {
        match self {
            Self::Guest => wire::user::Role::Guest,
            Self::Member => wire::user::Role::Member,
            Self::Pro => wire::user::Role::Pro,
            Self::Moderator => wire::user::Role::Moderator,
            Self::Admin => wire::user::Role::Admin,
        }
    }
}

/// How a user wants to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Here.
    #[default]
    Online,
    /// Not at the keyboard.
    Away,
    /// Here, but not to be disturbed.
    Busy,
    /// Online, but hidden from friends. Who is in a room is seen and heard there, and shown as online.
    Invisible,
}

impl Status {
    /// The status that a client sent; `None` for a number this server does not know.
    pub fn from_wire(status: i32) -> Option<Self> {
        Some(match wire::UserStatus::try_from(status).ok()? {
            wire::UserStatus::Online => Self::Online,
            wire::UserStatus::Away => Self::Away,
            wire::UserStatus::Busy => Self::Busy,
            wire::UserStatus::Invisible => Self::Invisible,
        })
    }

    /// What others are shown.
    fn to_wire(self) -> wire::UserStatus {
        match self {
            Self::Online | Self::Invisible => wire::UserStatus::Online,
            Self::Away => wire::UserStatus::Away,
            Self::Busy => wire::UserStatus::Busy,
        }
    }
}

/// What others see of a user. Its texts have passed `domain::name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Who it is; names are not unique.
    pub user_id: UserId,
    /// The name shown.
    pub username: String,
    /// What tells users of one name apart; empty for guests.
    pub usertag: String,
    /// What it is entitled to.
    pub roles: Vec<Role>,
    /// `#rrggbb`.
    pub colour: String,
    /// How it wants to be seen.
    pub status: Status,
}

impl Profile {
    /// As others are shown it.
    pub fn to_wire(&self) -> wire::User {
        wire::User {
            user_id: self.user_id.as_str().into(),
            username: self.username.clone(),
            usertag: self.usertag.clone(),
            roles: self.roles.iter().map(|role| role.to_wire() as i32).collect(),
            colour: self.colour.clone(),
            status: self.status.to_wire() as i32,
        }
    }

    /// Whether it came without an account.
    pub fn is_guest(&self) -> bool {
        self.roles.is_empty() || self.roles.contains(&Role::Guest)
    }

    /// Whether it may do something, as far as the server as a whole has a say.
    pub fn may(&self, permission: Permission) -> bool {
        permission.is_granted(&self.roles)
    }

    /// Whether it moderates the whole server.
    pub fn is_staff(&self) -> bool {
        self.may(Permission::ModerateRooms)
    }
}

/// An authenticated connection, as the front desk hands it to a shard; it travels with the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Which socket.
    pub connection: ConnectionId,
    /// Whose.
    pub profile: Profile,
    /// Which log-in: logout and revocation act on it.
    pub session_id: String,
    /// Where it came from, proxies taken into account.
    pub address: IpAddr,
    /// What it speaks.
    pub format: Format,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(roles: &[Role], status: Status) -> Profile {
        Profile {
            user_id: "u1".into(),
            username: "Anna".into(),
            usertag: String::new(),
            roles: roles.to_vec(),
            colour: "#aabbcc".into(),
            status,
        }
    }

    #[test]
    fn in_a_room_the_invisible_are_shown_as_online() {
        assert_eq!(profile(&[Role::Member], Status::Invisible).to_wire().status, wire::UserStatus::Online as i32);
        assert_eq!(profile(&[Role::Member], Status::Busy).to_wire().status, wire::UserStatus::Busy as i32);
    }

    #[test]
    fn a_user_without_roles_is_a_guest() {
        assert!(profile(&[], Status::Online).is_guest());
        assert!(profile(&[Role::Guest], Status::Online).is_guest());
        assert!(!profile(&[Role::Member, Role::Moderator], Status::Online).is_guest());
        assert!(profile(&[Role::Member, Role::Moderator], Status::Online).is_staff());
    }

    #[test]
    fn a_role_has_one_name_everywhere() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(role).unwrap(), format!("\"{}\"", role.as_str()));
            assert_eq!(Role::parse(role.as_str()), Some(*role));
        }
        assert_eq!(Role::parse("Admin"), None);
    }

    #[test]
    fn a_session_survives_its_journey() {
        let session = Session {
            connection: ConnectionId(7),
            profile: profile(&[Role::Guest], Status::Away),
            session_id: "s1".into(),
            address: [127, 0, 0, 1].into(),
            format: Format::Json,
        };
        let text = serde_json::to_string(&session).unwrap();
        assert_eq!(serde_json::from_str::<Session>(&text).unwrap(), session);
    }
}
