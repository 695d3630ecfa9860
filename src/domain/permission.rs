//! Who may do what: the one table of roles and permissions. Each route of the front desk and each message of a socket names
//! the row that it needs.
//!
//! A row is what the server as a whole allows. What one room allows beside it (its owner's word, its settings, who is banned
//! from it) is the room's to decide.

use crate::{domain::identity::Role, protocol::wire::server_message::Message};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])+ $variant:ident = $words:literal: $($role:ident)+;)*) => {
        /// Something that one is allowed or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Permission { $($(#[doc = $doc])+ $variant,)* }

        impl Permission {
            /// Every permission, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The roles that have it.
            pub const fn roles(self) -> &'static [Role] {
                match self { $(Self::$variant => &[$(Role::$role,)+],)* }
            }

            /// In words, for people: "you may not …".
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }
        }
    };
}

permissions! {
    /// To see what there is: rooms, members, the time.
    Look = "look around": Guest Member Pro Moderator Admin;
    /// To enter and leave rooms, and to make public ones by entering them.
    Enter = "enter rooms": Guest Member Pro Moderator Admin;
    /// To play, and to be seen playing.
    Play = "play": Guest Member Pro Moderator Admin;
    /// To chat in a room, with its commands.
    Chat = "chat": Guest Member Pro Moderator Admin;
    /// To make rooms that are kept.
    CreateRooms = "make rooms": Guest Member Pro Moderator Admin;
    /// To change and moderate a room, where the room takes one for its owner.
    RunRooms = "run rooms": Guest Member Pro Moderator Admin;
    /// To choose one's name, colour and status.
    ChangeAppearance = "change your profile": Guest Member Pro Moderator Admin;
    /// To make an account.
    Register = "make an account": Guest Member Pro Moderator Admin;
    /// To prove who one is, with a password or a refresh token, and to take that back.
    LogIn = "log in": Guest Member Pro Moderator Admin;
    /// To ask about one's own account.
    SeeOwnAccount = "see an account": Member Pro Moderator Admin;
    /// To have friends.
    HaveFriends = "have friends": Member Pro Moderator Admin;
    /// To write to somebody alone.
    WritePrivately = "write private messages": Member Pro Moderator Admin;
    /// To enter rooms of members who have subscribed.
    EnterProRooms = "enter pro rooms": Pro Moderator Admin;
    /// To do in every room what its owner may, and not to be moderated by those who are not staff.
    ModerateRooms = "moderate every room": Moderator Admin;
    /// To give roles and take them.
    GrantRoles = "grant roles": Admin;
}

impl Permission {
    /// Whether somebody with these roles has it. Who has no role is a guest.
    pub fn is_granted(self, roles: &[Role]) -> bool {
        let granted = self.roles();
        if roles.is_empty() { granted.contains(&Role::Guest) } else { roles.iter().any(|role| granted.contains(role)) }
    }

    /// What a message from a client needs.
    pub const fn of(message: &Message) -> Self {
        match message {
            Message::MidiMessage(_) | Message::AvatarCommand(_) => Self::Play,
            Message::RoomChatMessage(_) | Message::RoomChatServerCommand(_) => Self::Chat,
            Message::CreateRoomCommand(_) => Self::CreateRooms,
            Message::UpdateRoomCommand(_) | Message::RoomModeration(_) => Self::RunRooms,
            // A `ServerCommand` is looked at again as what it stands for.
            Message::JoinRoomByName(_)
            | Message::JoinNextAvailableLobby(_)
            | Message::LeaveRoom(_)
            | Message::ServerCommand(_)
            | Message::Resume(_) => Self::Enter,
            Message::GetRoomInfo(_)
            | Message::ListRooms(_)
            | Message::GetMembers(_)
            | Message::HeartbeatMessage(_)
            | Message::TimeSync(_) => Self::Look,
            Message::SetProfile(_) | Message::UserStatusUpdate(_) => Self::ChangeAppearance,
            Message::PrivateMessage(_) => Self::WritePrivately,
            Message::FriendRequest(_) => Self::HaveFriends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{FriendRequest, MidiMessage};

    #[test]
    fn every_role_has_all_that_the_role_below_it_has_and_an_admin_has_everything() {
        for permission in Permission::ALL {
            let has = |role| permission.is_granted(&[role]);
            assert!(has(Role::Admin), "{permission:?}");
            for (lower, higher) in [
                (Role::Guest, Role::Member),
                (Role::Member, Role::Pro),
                (Role::Member, Role::Moderator),
                (Role::Moderator, Role::Admin),
            ] {
                assert!(!has(lower) || has(higher), "{permission:?}: {lower:?} and not {higher:?}");
            }
        }
    }

    #[test]
    fn who_has_no_role_is_a_guest_and_who_has_several_has_the_best_of_them() {
        for permission in Permission::ALL {
            assert_eq!(permission.is_granted(&[]), permission.is_granted(&[Role::Guest]), "{permission:?}");
        }
        assert!(Permission::ModerateRooms.is_granted(&[Role::Member, Role::Moderator]));
        assert!(!Permission::EnterProRooms.is_granted(&[Role::Member]));
        assert!(!Permission::GrantRoles.is_granted(&[Role::Member, Role::Pro, Role::Moderator]));
    }

    #[test]
    fn messages_name_what_they_need() {
        assert_eq!(Permission::of(&Message::MidiMessage(MidiMessage::default())), Permission::Play);
        assert_eq!(Permission::of(&Message::FriendRequest(FriendRequest::default())), Permission::HaveFriends);
    }
}
