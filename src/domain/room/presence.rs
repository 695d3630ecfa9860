//! How members appear to each other: profiles and avatars.

use crate::{
    domain::{
        identity::Profile,
        room::{Effect, Room},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{Participant, UserId},
        wire::{self, client_message::Message},
    },
};

/// The most bytes of `avatar_data`.
pub const MAX_AVATAR_BYTES: usize = 1024;

impl Room {
    /// Relays an avatar's position, appearance or status to the others.
    pub fn avatar(
        &mut self,
        participant: Participant,
        command: wire::AvatarCommand,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.at(participant)?;
        if command.avatar_data.len() > MAX_AVATAR_BYTES {
            let message = format!("avatar_data has more than {MAX_AVATAR_BYTES} bytes");
            return Err(Rejection::new(ErrorCode::Validation, message));
        }
        if wire::avatar_command::Action::try_from(command.action).is_err() {
            return Err(Rejection::new(ErrorCode::Validation, format!("{} is not an avatar action", command.action)));
        }
        let message = Message::AvatarCommand(wire::AvatarCommand { participant: participant.0, ..command });
        self.broadcast(Some(participant), message, fx);
        Ok(())
    }

    /// Takes over a user's new name, colour, status or roles, for all its connections here and on their way, and tells
    /// everybody. Nothing happens where nothing changed or the user is not here.
    pub fn set_profile(&mut self, profile: &Profile, fx: &mut Vec<Effect>) {
        for seat in self.seats.iter_mut().filter(|seat| seat.profile.user_id == profile.user_id) {
            seat.profile = profile.clone();
        }
        for index in 0..self.members.len() {
            let member = &self.members[index];
            if member.profile.user_id == profile.user_id && member.profile != *profile {
                // Only those: a snapshot shares the others.
                let member = &mut self.members[index];
                member.profile = profile.clone();
                member.is_guest = profile.is_guest();
                self.announce_update(index, fx);
            }
        }
    }

    pub(super) fn announce_updates_of(&self, user: &UserId, fx: &mut Vec<Effect>) {
        for (index, member) in self.members.iter().enumerate() {
            if member.profile.user_id == *user {
                self.announce_update(index, fx);
            }
        }
    }

    fn announce_update(&self, index: usize, fx: &mut Vec<Effect>) {
        let member = &self.members[index];
        let member = Some(member.to_wire(&self.users[member.user]));
        self.broadcast(None, Message::UserUpdated(wire::UserUpdated { member }), fx);
    }
}
