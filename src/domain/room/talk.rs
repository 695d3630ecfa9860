//! Chat in a room: lines to all, and commands answered to their sender.

use crate::{
    domain::{
        chat::{ChatLine, MAX_CHARACTERS, normalised_line},
        command::{Command, HELP},
        room::{Effect, Request, Room, RoomChange, moderation::Act},
        text::folded,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{Participant, UserId},
        time::Timestamp,
        wire::{Ack, RoomChatServerCommand, client_message::Message},
    },
};

/// The most members `/users` names.
const MAX_NAMED: usize = 100;

impl Room {
    /// Tells everybody a line, its sender included, then answers the sender with the line's id; after the commit where the
    /// room is saved. A line that begins with a slash is a command. `message_id` is unique on this server.
    pub fn chat(
        &mut self,
        (participant, request_id): Request,
        text: &str,
        message_id: String,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.at(participant)?;
        let line = normalised_line(text)?;
        if line.starts_with('/') {
            return self.obey((participant, request_id), Command::parse(&line)?, message_id, now, fx);
        }
        self.say((participant, request_id), line, message_id, now, fx)
    }

    /// As [`Room::chat`] with a command in a message of its own.
    pub fn command(
        &mut self,
        (participant, request_id): Request,
        command: &RoomChatServerCommand,
        message_id: String,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        self.at(participant)?;
        self.obey((participant, request_id), Command::from_wire(command)?, message_id, now, fx)
    }

    fn say(
        &mut self,
        request: Request,
        text: String,
        message_id: String,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let index = self.at(request.0)?;
        self.refuse_silenced(index)?;
        let line = ChatLine::of(&self.members[index].profile, request.0, text, message_id.clone(), now.as_ms());
        self.broadcast(None, Message::RoomChatMessage(line.to_wire()), fx);
        let change = self.saved.then(|| RoomChange::Chat { key: self.key.clone(), line: line.clone() });
        self.history.push(line);
        self.acknowledge(request, Ack { message_id }, change, Vec::new(), fx);
        Ok(())
    }

    fn obey(
        &mut self,
        request: Request,
        command: Command,
        message_id: String,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Rejection> {
        let index = self.at(request.0)?;
        let (target, act) = match command {
            Command::Help => {
                self.tell(request.0, HELP, now, fx);
                self.acknowledge(request, Ack::default(), None, Vec::new(), fx);
                return Ok(());
            }
            Command::Users => {
                self.tell(request.0, self.users_in_words(), now, fx);
                self.acknowledge(request, Ack::default(), None, Vec::new(), fx);
                return Ok(());
            }
            Command::Me { text } => {
                let line = normalised_line(&format!("* {} {text}", self.members[index].profile.username))?;
                return self.say(request, line, message_id, now, fx);
            }
            Command::Kick { target, reason } => (self.find_user(&target)?, Act::Kick { reason: checked(reason)? }),
            Command::Ban { target, lasts, reason } => {
                let act = Act::Ban { until: lasts.map(|lasts| now + lasts), address: false, reason: checked(reason)? };
                (self.find_user(&target)?, act)
            }
            Command::Unban { target } => (self.find_banned(&target)?, Act::Unban),
            Command::Mute { target, notes, chat, on } => {
                (self.find_user(&target)?, Act::Mute { notes, chat, on, until: None })
            }
        };
        let done = act.in_words(&self.name_of(&target));
        self.refuse_act(index, &target, &act)?;
        let change = self.act(&target, act, now, fx);
        let line = ChatLine::system(done, now.as_ms()).to_wire();
        let also = vec![Effect::Send { to: request.0, request_id: None, message: Message::RoomChatMessage(line) }];
        self.acknowledge(request, Ack::default(), change, also, fx);
        Ok(())
    }

    fn refuse_silenced(&self, index: usize) -> Result<(), Rejection> {
        let member = &self.members[index];
        if !self.settings.allow_chat {
            return Err(Rejection::new(ErrorCode::ChatDisabled, "chat is switched off in this room"));
        }
        if self.settings.only_owner_chats && !self.has_power(index) {
            return Err(Rejection::new(ErrorCode::OnlyOwnerChats, "only the room's owner chats here"));
        }
        if self.users[member.user].chat_muted {
            return Err(Rejection::new(ErrorCode::Muted, "your chat is muted in this room"));
        }
        Ok(())
    }

    fn users_in_words(&self) -> String {
        let named = self.members.iter().take(MAX_NAMED);
        let names: Vec<_> =
            named.map(|member| format!("#{} {}", member.participant, member.profile.username)).collect();
        let more = self.members.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} here: {}{more}", self.members.len(), names.join(", "))
    }

    /// The user that a command means: `#number`, a user id, or a name, in any case, that only one user here bears.
    fn find_user(&self, target: &str) -> Result<UserId, Rejection> {
        let by_number = target.strip_prefix('#').and_then(|number| number.parse().ok()).map(Participant);
        if let Some(index) = by_number.and_then(|participant| self.index(participant)) {
            return Ok(self.members[index].profile.user_id.clone());
        }
        if let Some(member) = self.members.iter().find(|member| member.profile.user_id.as_str() == target) {
            return Ok(member.profile.user_id.clone());
        }
        let name = folded(target);
        let namesakes = self.members.iter().filter(|member| folded(&member.profile.username) == name);
        one_user(target, namesakes.map(|member| &member.profile.user_id))
    }

    fn find_banned(&self, target: &str) -> Result<UserId, Rejection> {
        if let Some(ban) = self.bans.iter().find(|ban| ban.user_id.as_str() == target) {
            return Ok(ban.user_id.clone());
        }
        let name = folded(target);
        let namesakes = self.bans.iter().filter(|ban| folded(&ban.username) == name);
        one_user(target, namesakes.map(|ban| &ban.user_id))
    }
}

fn one_user<'a>(target: &str, mut found: impl Iterator<Item = &'a UserId>) -> Result<UserId, Rejection> {
    let shown: String = target.chars().take(64).collect();
    let Some(first) = found.next() else {
        return Err(Rejection::new(ErrorCode::UserNotFound, format!("there is no {shown} here: /users lists who is")));
    };
    if found.any(|other| other != first) {
        let message = format!("several are called {shown}: say #number, which /users tells, or the user id");
        return Err(Rejection::new(ErrorCode::Validation, message));
    }
    Ok(first.clone())
}

/// A reason in one line; it may be empty.
pub(super) fn checked(reason: String) -> Result<String, Rejection> {
    if reason.trim().is_empty() {
        return Ok(String::new());
    }
    normalised_line(&reason).map_err(|_| {
        let message = format!("a reason is one line of at most {MAX_CHARACTERS} characters");
        Rejection::new(ErrorCode::Validation, message)
    })
}
