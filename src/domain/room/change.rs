//! Changing a room: its name, its settings, its password.

use crate::{
    domain::{
        name::{is_reserved, room_display_name, room_key},
        room::{Effect, Request, Room, RoomChange},
        room_settings::RoomKind,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::Participant,
        time::Timestamp,
        wire::{self, Ack, client_message::Message},
    },
};

/// What becomes of a room's password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PasswordChange {
    /// It stays.
    #[default]
    Keep,
    /// There is none from now on.
    Remove,
    /// It is the one with this hash, made off the shard.
    Set {
        /// The hash.
        hash: String,
    },
}

impl Room {
    /// Whether [`Room::update`] would get as far as looking at the change: to be asked before a password is hashed.
    pub fn may_update(&self, participant: Participant) -> Result<(), Rejection> {
        self.refuse_powerless(self.at(participant)?)
    }

    /// Changes the room, for its owner or a moderator; an absent field stays. The command's own password is not looked at:
    /// the shell makes `password` of it. Everybody is told by `RoomUpdated`, then the request is answered, after the commit
    /// where the room is saved.
    pub fn update(
        &mut self,
        (participant, request_id): (Participant, Option<u32>),
        command: &wire::UpdateRoomCommand,
        password: PasswordChange,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.may_update(participant)?;
        let is_lobby = self.kind == RoomKind::Lobby;
        if is_lobby && (command.room_name.is_some() || password != PasswordChange::Keep) {
            return Err(Rejection::new(ErrorCode::Validation, "a lobby keeps its name and has no password"));
        }
        let display_name = match &command.room_name {
            Some(name) => {
                if is_reserved(&room_key(name)?) {
                    let message = "that name belongs to the server's lobbies: choose another";
                    return Err(Rejection::new(ErrorCode::RoomNameReserved, message));
                }
                Some(room_display_name(name)?)
            }
            None => None,
        };
        let settings = match &command.settings {
            Some(change) => Some(self.settings.updated(change, self.limits.max_capacity)?),
            None => None,
        };

        self.display_name = display_name.unwrap_or_else(|| std::mem::take(&mut self.display_name));
        match password {
            PasswordChange::Keep => {}
            PasswordChange::Remove => self.password_hash = None,
            PasswordChange::Set { hash } => self.password_hash = Some(hash),
        }
        if let Some(settings) = settings {
            let now_alone = settings.only_owner_plays && !self.settings.only_owner_plays;
            self.settings = settings;
            if now_alone {
                self.silence_all_but_owner(now, fx);
            }
        }
        let message = Message::RoomUpdated(wire::RoomUpdated { room_info: Some(self.info()) });
        self.broadcast(None, message, fx);
        fx.push(Effect::Listed);
        let change = self.saving(now);
        self.acknowledge((participant, request_id), Ack::default(), change, Vec::new(), fx);
        Ok(())
    }

    /// Answers a request with `also` and its `Ack`, once the change is committed where there is one.
    pub(super) fn acknowledge(
        &self,
        request: Request,
        ack: Ack,
        change: Option<RoomChange>,
        also: Vec<Effect>,
        fx: &mut Vec<Effect>,
    ) {
        let (to, request_id) = request;
        let mut then = also;
        if request_id.is_some() {
            then.push(Effect::Send { to, request_id, message: Message::Ack(ack) });
        }
        match change {
            Some(change) => fx.push(Effect::Commit { change, then, request: Some(request) }),
            None => fx.append(&mut then),
        }
    }
}
