//! `ServerCommand`: another way to say some messages. Pure: it becomes the message of the same meaning.

use std::collections::HashMap;

use crate::protocol::{
    error::{ErrorCode, Rejection},
    wire::{
        JoinNextAvailableLobby, JoinRoomByName, LeaveRoom, NoteQuota, RoomSettings, ServerCommand, UpdateRoomCommand,
        server_command::CommandType, server_message::Message,
    },
};

/// The message that says the same.
pub fn translate(command: ServerCommand) -> Result<Message, Rejection> {
    let kind = command.command_type();
    let mut parameters = Parameters(command.parameters);
    let message = match kind {
        CommandType::Join | CommandType::CreateOrJoinRoom => Message::JoinRoomByName(JoinRoomByName {
            room_name: parameters.take("room_name").unwrap_or_default(),
            password: parameters.take("password").unwrap_or_default(),
        }),
        CommandType::Leave => Message::LeaveRoom(LeaveRoom {}),
        CommandType::EnterLobby => Message::JoinNextAvailableLobby(JoinNextAvailableLobby {}),
        CommandType::UpdateSettings => Message::UpdateRoomCommand(UpdateRoomCommand {
            settings: Some(settings(&mut parameters)?),
            ..UpdateRoomCommand::default()
        }),
        CommandType::Unknown => {
            let message = "no such command: use JOIN, LEAVE, CREATE_OR_JOIN_ROOM, ENTER_LOBBY or UPDATE_SETTINGS";
            return Err(Rejection::new(ErrorCode::UnknownCommand, message));
        }
    };
    parameters.finish()?;
    Ok(message)
}

fn settings(parameters: &mut Parameters) -> Result<RoomSettings, Rejection> {
    Ok(RoomSettings {
        max_users: parameters.parse("max_users", "a whole number")?,
        allow_chat: parameters.parse("allow_chat", "true or false")?,
        allow_guests: parameters.parse("allow_guests", "true or false")?,
        auto_moderation: parameters.parse("auto_moderation", "true or false")?,
        require_pro: parameters.parse("require_pro", "true or false")?,
        welcome_message: parameters.take("welcome_message"),
        only_owner_plays: parameters.parse("only_owner_plays", "true or false")?,
        only_owner_chats: parameters.parse("only_owner_chats", "true or false")?,
        allow_bots: parameters.parse("allow_bots", "true or false")?,
        stage: parameters.take("stage"),
        colour: parameters.take("colour"),
        note_quota: match parameters.take("note_quota") {
            None => None,
            Some(name) => match NoteQuota::from_str_name(&name) {
                Some(quota) => Some(quota as i32),
                None => return Err(invalid("note_quota", "STANDARD or DENSE")),
            },
        },
        latency_mode: parameters.parse("latency_mode", "true or false")?,
    })
}

/// The parameters that no handler has taken yet.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn parse<T: std::str::FromStr>(&mut self, name: &'static str, wanted: &str) -> Result<Option<T>, Rejection> {
        self.take(name).map(|text| text.parse().map_err(|_| invalid(name, wanted))).transpose()
    }

    fn finish(self) -> Result<(), Rejection> {
        match self.0.into_keys().min() {
            None => Ok(()),
            Some(name) => {
                let message = format!("this command has no parameter `{}`", name.escape_debug());
                Err(Rejection::new(ErrorCode::Validation, message))
            }
        }
    }
}

fn invalid(name: &'static str, wanted: &str) -> Rejection {
    Rejection::new(ErrorCode::Validation, format!("`{name}` must be {wanted}")).with("field", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(kind: CommandType, parameters: &[(&str, &str)]) -> ServerCommand {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        ServerCommand { command_type: kind as i32, parameters }
    }

    #[test]
    fn settings_are_read_by_their_names_and_types() {
        let wish = command(
            CommandType::UpdateSettings,
            &[("max_users", "7"), ("allow_chat", "false"), ("note_quota", "DENSE"), ("stage", "hall")],
        );
        let Ok(Message::UpdateRoomCommand(update)) = translate(wish) else { panic!("an update") };
        let settings = update.settings.unwrap();
        assert_eq!((settings.max_users, settings.allow_chat), (Some(7), Some(false)));
        assert_eq!((settings.note_quota(), settings.stage.as_deref()), (NoteQuota::Dense, Some("hall")));
        assert_eq!(settings.only_owner_plays, None);
    }

    #[test]
    fn what_a_command_does_not_know_is_refused_by_name() {
        let wish = command(CommandType::Join, &[("room_name", "jam"), ("colour", "red")]);
        assert!(translate(wish).unwrap_err().message.contains("`colour`"));
        let wish = command(CommandType::UpdateSettings, &[("max_users", "many")]);
        assert!(translate(wish).unwrap_err().message.contains("`max_users`"));
        assert_eq!(translate(ServerCommand::default()).unwrap_err().code, ErrorCode::UnknownCommand);
    }
}
