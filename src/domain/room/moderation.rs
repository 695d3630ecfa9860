//! Moderation: kick, ban, mute, and handing over the crown. It acts on users, whatever number of tabs they have open.

use std::time::Duration;

use crate::{
    domain::room::{Ban, Effect, Mute, Request, Room, RoomChange, network, talk::checked},
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
        wire::{self, Ack, room_moderation::Action, user_left_room::Reason},
    },
};

/// The most bans a room keeps, and the most mutes.
pub const MAX_BANS: usize = 1000;
/// The longest user id that a ban takes, in bytes.
const MAX_USER_ID: usize = 128;

/// What is done to a user.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Kick { reason: String },
    Ban { until: Option<Timestamp>, address: bool, reason: String },
    Unban,
    Mute { notes: bool, chat: bool, on: bool, until: Option<Timestamp> },
    Transfer,
}

impl Act {
    pub(super) fn in_words(&self, name: &str) -> String {
        match self {
            Self::Kick { .. } => format!("{name} is kicked"),
            Self::Ban { until: Some(_), .. } => format!("{name} is banned for a while"),
            Self::Ban { .. } => format!("{name} is banned"),
            Self::Unban => format!("{name} is not banned any more"),
            Self::Mute { on: true, .. } => format!("{name} is muted"),
            Self::Mute { .. } => format!("{name} is not muted any more"),
            Self::Transfer => format!("{name} owns the room now"),
        }
    }
}

impl Room {
    /// Acts on a user, for the owner or a moderator. Everybody sees what comes of it, then the request is answered; after
    /// the commit where the room is saved and remembers it. `duration_s` bounds bans and mutes.
    pub fn moderate(
        &mut self,
        request: Request,
        command: &wire::RoomModeration,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let index = self.at(request.0)?;
        let reason = checked(command.reason.clone())?;
        let until = (command.duration_s > 0).then(|| now + Duration::from_secs(u64::from(command.duration_s)));
        let both = !command.notes && !command.chat;
        let (notes, chat) = (command.notes || both, command.chat || both);
        let act = match Action::try_from(command.action) {
            Ok(Action::Kick) => Act::Kick { reason },
            Ok(Action::Ban) => Act::Ban { until, address: command.ban_address, reason },
            Ok(Action::Unban) => Act::Unban,
            Ok(Action::Mute) => Act::Mute { notes, chat, on: true, until },
            Ok(Action::Unmute) => Act::Mute { notes, chat, on: false, until: None },
            Ok(Action::TransferOwnership) => Act::Transfer,
            Err(_) => {
                let message = format!("{} is not a moderation action", command.action);
                return Err(Rejection::new(ErrorCode::Validation, message));
            }
        };
        let target = UserId::from(command.target_user_id.as_str());
        self.refuse_act(index, &target, &act)?;
        let change = self.act(&target, act, now, fx);
        self.acknowledge(request, Ack::default(), change, Vec::new(), fx);
        Ok(())
    }

    /// Whether a member may do what owners may.
    pub(super) fn has_power(&self, index: usize) -> bool {
        let profile = &self.members[index].profile;
        self.is_owner(&profile.user_id) || profile.is_staff()
    }

    pub(super) fn refuse_powerless(&self, index: usize) -> Result<(), Rejection> {
        if self.has_power(index) {
            return Ok(());
        }
        let message = if self.kind.has_owner() {
            "only the room's owner may do that"
        } else {
            "a lobby has no owner: only the server's moderators may do that"
        };
        Err(Rejection::new(ErrorCode::NotOwner, message))
    }

    /// Everything that can speak against an act, so that [`Room::act`] cannot fail.
    pub(super) fn refuse_act(&self, index: usize, target: &UserId, act: &Act) -> Result<(), Rejection> {
        self.refuse_powerless(index)?;
        let actor = &self.members[index].profile;
        let refused = |code, message: &'static str| Err(Rejection::new(code, message));
        if target.as_str().is_empty() || target.as_str().len() > MAX_USER_ID {
            return refused(ErrorCode::Validation, "target_user_id is empty or too long");
        }
        let hostile = matches!(act, Act::Kick { .. } | Act::Ban { .. } | Act::Mute { on: true, .. });
        if hostile && *target == actor.user_id {
            return refused(ErrorCode::Validation, "you cannot do that to yourself");
        }
        let mut here = self.members.iter().filter(|member| member.profile.user_id == *target).map(|m| &m.profile);
        let seats = self.seats.iter().filter(|seat| seat.profile.user_id == *target).map(|seat| &seat.profile);
        let is_member = here.clone().next().is_some();
        let is_here = is_member || seats.clone().next().is_some();
        if hostile && !actor.is_staff() && (here.any(|p| p.is_staff()) || seats.clone().any(|p| p.is_staff())) {
            return refused(ErrorCode::Authorization, "the server's moderators cannot be kicked, banned or muted");
        }
        match act {
            Act::Kick { .. } | Act::Mute { on: true, .. } if !is_here => {
                refused(ErrorCode::UserNotFound, "there is no such user in this room")
            }
            Act::Ban { address: true, .. } if !is_here => {
                refused(ErrorCode::UserNotFound, "who is not in this room is banned without its address")
            }
            Act::Ban { .. } if self.bans.len() >= MAX_BANS && !self.bans.iter().any(|ban| ban.user_id == *target) => {
                refused(ErrorCode::Validation, "this room has as many bans as it keeps: lift some first")
            }
            Act::Mute { on: true, .. }
                if self.mutes.len() >= MAX_BANS && !self.mutes.iter().any(|mute| mute.user_id == *target) =>
            {
                refused(ErrorCode::Validation, "this room has as many mutes as it keeps: lift some first")
            }
            Act::Unban if !self.bans.iter().any(|ban| ban.user_id == *target) => {
                refused(ErrorCode::UserNotFound, "that user is not banned here")
            }
            Act::Transfer if !self.kind.has_owner() => refused(ErrorCode::Validation, "a lobby has no owner"),
            Act::Transfer if !is_member => refused(ErrorCode::UserNotFound, "there is no such user in this room"),
            Act::Transfer if self.is_owner(target) => refused(ErrorCode::Validation, "that user owns the room already"),
            _ => Ok(()),
        }
    }

    /// Does what [`Room::refuse_act`] let pass; returns what is to be kept.
    pub(super) fn act(
        &mut self,
        target: &UserId,
        act: Act,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Option<RoomChange> {
        match act {
            Act::Kick { reason } => {
                self.expel(target, (Reason::Kicked, CloseCode::Kicked), &reason, now, fx);
                return None;
            }
            Act::Ban { until, address, reason } => {
                self.ban(target, until, address, &reason);
                self.wake(until);
                self.expel(target, (Reason::Banned, CloseCode::Banned), &reason, now, fx);
                if self.is_owner(target) {
                    // Who is kept out does not keep the crown.
                    let next = self.members.first().map(|member| member.profile.user_id.clone());
                    self.crown(next, now, fx);
                }
            }
            Act::Unban => self.bans.retain(|ban| ban.user_id != *target),
            Act::Mute { notes, chat, on, until } => {
                self.set_mute(target, notes, chat, on, until);
                self.wake(until);
                self.apply_mute(target, now, fx);
            }
            Act::Transfer => self.crown(Some(target.clone()), now, fx),
        }
        self.saving(now)
    }

    fn ban(&mut self, target: &UserId, until: Option<Timestamp>, address: bool, reason: &str) {
        let mut networks: Vec<_> = if address {
            let members = self.members.iter().filter(|m| m.profile.user_id == *target).map(|m| m.address);
            let seats = self.seats.iter().filter(|s| s.profile.user_id == *target).map(|s| s.address);
            members.chain(seats).map(network).collect()
        } else {
            Vec::new()
        };
        networks.sort_unstable();
        networks.dedup();
        let username = self.known_name(target).unwrap_or_default();
        self.bans.retain(|ban| ban.user_id != *target);
        self.bans.push(Ban { user_id: target.clone(), username, networks, until, reason: reason.to_owned() });
    }

    fn set_mute(&mut self, target: &UserId, notes: bool, chat: bool, on: bool, until: Option<Timestamp>) {
        let at = self.mutes.iter().position(|mute| mute.user_id == *target);
        let mut mute = match at {
            Some(at) => self.mutes.swap_remove(at),
            None => Mute { user_id: target.clone(), notes: false, chat: false, until: None },
        };
        mute.notes = if notes { on } else { mute.notes };
        mute.chat = if chat { on } else { mute.chat };
        // A mute has one end: the newest.
        mute.until = if on { until } else { mute.until };
        if mute.notes || mute.chat {
            self.mutes.push(mute);
        }
    }

    /// Brings a user's members in line with its mute, and tells everybody where that changes something.
    fn apply_mute(&mut self, target: &UserId, now: Timestamp, fx: &mut Vec<Effect>) {
        let mute = self.mutes.iter().find(|mute| mute.user_id == *target);
        let (notes, chat) = mute.map_or((false, false), |mute| (mute.notes, mute.chat));
        let Some(at) = self.users.position(|user| user.members > 0 && user.user_id == *target) else { return };
        if (self.users[at].notes_muted, self.users[at].chat_muted) == (notes, chat) {
            return;
        }
        let user = &mut self.users[at];
        (user.notes_muted, user.chat_muted) = (notes, chat);
        if notes {
            for index in 0..self.members.len() {
                if self.members[index].profile.user_id == *target {
                    self.silence(index, now, fx);
                }
            }
        }
        self.announce_updates_of(target, fx);
    }

    pub(super) fn expire_mutes(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        while let Some(at) = self.mutes.iter().position(|mute| mute.until.is_some_and(|until| until <= now)) {
            let mute = self.mutes.swap_remove(at);
            self.apply_mute(&mute.user_id, now, fx);
        }
    }

    /// A user's name, its id where that is all that is known.
    pub(super) fn name_of(&self, user: &UserId) -> String {
        let banned = || self.bans.iter().find(|ban| ban.user_id == *user && !ban.username.is_empty());
        self.known_name(user).or_else(|| banned().map(|ban| ban.username.clone())).unwrap_or_else(|| user.to_string())
    }

    fn known_name(&self, user: &UserId) -> Option<String> {
        let members = self.members.iter().map(|member| &member.profile);
        let mut profiles = members.chain(self.seats.iter().map(|seat| &seat.profile));
        profiles.find(|profile| profile.user_id == *user).map(|profile| profile.username.clone())
    }
}
