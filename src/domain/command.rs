//! Chat commands: what may follow a slash.

use std::time::Duration;

use crate::protocol::{
    error::{ErrorCode, Rejection},
    wire::RoomChatServerCommand,
};

/// What `/help` answers.
pub const HELP: &str = "/help: this; /users: who is here; /me TEXT: say what you do; for the room's owner: /kick WHO [REASON], \
/ban WHO [10m|2h|7d] [REASON], /unban WHO, /mute WHO [notes|chat], /unmute WHO [notes|chat]. WHO is a name (in quotes where it \
has spaces), #number or a user id";

/// A command of chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// What commands there are.
    Help,
    /// Who is here.
    Users,
    /// A line of what the speaker does.
    Me {
        /// What.
        text: String,
    },
    /// Sends somebody away.
    Kick {
        /// Whom: a name, `#number` or a user id.
        target: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Sends somebody away and keeps it out.
    Ban {
        /// Whom.
        target: String,
        /// How long; `None` until it is lifted.
        lasts: Option<Duration>,
        /// Why; may be empty.
        reason: String,
    },
    /// Lifts a ban.
    Unban {
        /// Whose: the name it was banned under, or its user id.
        target: String,
    },
    /// Takes notes, chat or both from somebody, or gives them back.
    Mute {
        /// Whom.
        target: String,
        /// Its notes are concerned.
        notes: bool,
        /// Its chat is concerned.
        chat: bool,
        /// True takes, false gives back.
        on: bool,
    },
}

impl Command {
    /// Reads a normalised line that begins with a slash.
    pub fn parse(line: &str) -> Result<Self, Rejection> {
        let line = line.strip_prefix('/').unwrap_or(line);
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        Self::build(name, rest.trim())
    }

    /// Reads `RoomChatServerCommand`; its `command` may have the slash or not.
    pub fn from_wire(command: &RoomChatServerCommand) -> Result<Self, Rejection> {
        let name = command.command.strip_prefix('/').unwrap_or(&command.command).trim();
        let (target, reason) = (command.target_user.trim(), command.reason.trim());
        match name {
            "me" => Self::build(name, if reason.is_empty() { target } else { reason }),
            // In its own field a name needs no quotes, and the reason is read for a duration or a switch as in a line.
            "kick" | "ban" | "unban" | "mute" | "unmute" => Self::about(name, target.to_owned(), reason),
            _ => Self::build(name, ""),
        }
    }

    fn build(name: &str, rest: &str) -> Result<Self, Rejection> {
        match name {
            "help" => Ok(Self::Help),
            "users" => Ok(Self::Users),
            "me" if rest.is_empty() => Err(invalid("say what you do: /me TEXT")),
            "me" => Ok(Self::Me { text: rest.to_owned() }),
            "kick" | "ban" | "unban" | "mute" | "unmute" => {
                let (target, rest) = split_target(rest)?;
                Self::about(name, target, rest)
            }
            _ => {
                let name: String = name.chars().take(32).collect();
                Err(Rejection::new(ErrorCode::UnknownCommand, format!("there is no command /{name}: /help lists them")))
            }
        }
    }

    fn about(name: &str, target: String, rest: &str) -> Result<Self, Rejection> {
        if target.is_empty() {
            return Err(invalid("say whom: a name, #number or a user id follows the command"));
        }
        Ok(match name {
            "kick" => Self::Kick { target, reason: rest.to_owned() },
            "ban" => {
                let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
                match duration(first) {
                    Some(lasts) => Self::Ban { target, lasts: Some(lasts), reason: after.trim().to_owned() },
                    None => Self::Ban { target, lasts: None, reason: rest.to_owned() },
                }
            }
            "unban" => Self::Unban { target },
            _ => {
                let switch = rest.split(' ').next().unwrap_or("");
                let (notes, chat) = match switch {
                    "notes" => (true, false),
                    "chat" => (false, true),
                    _ => (true, true),
                };
                Self::Mute { target, notes, chat, on: name == "mute" }
            }
        })
    }
}

fn invalid(message: &'static str) -> Rejection {
    Rejection::new(ErrorCode::Validation, message)
}

/// The first word, or what stands in quotes; a leading `@` is left out.
fn split_target(rest: &str) -> Result<(String, &str), Rejection> {
    let rest = rest.strip_prefix('@').unwrap_or(rest);
    if let Some(quoted) = rest.strip_prefix('"') {
        let (target, rest) = quoted.split_once('"').ok_or_else(|| invalid("a quote is not closed"))?;
        return Ok((target.trim().to_owned(), rest.trim()));
    }
    let (target, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((target.to_owned(), rest.trim()))
}

/// `30s`, `10m`, `2h` or `7d`.
fn duration(word: &str) -> Option<Duration> {
    let unit = match word.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return None,
    };
    let count: u32 = word[..word.len() - 1].parse().ok().filter(|&count| count > 0)?;
    Some(Duration::from_secs(u64::from(count) * unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mute(target: &str, notes: bool, chat: bool, on: bool) -> Command {
        Command::Mute { target: target.into(), notes, chat, on }
    }

    #[test]
    fn commands_are_read_with_their_arguments() {
        let read = |line| Command::parse(line).unwrap();
        assert_eq!(read("/help"), Command::Help);
        assert_eq!(read("/users now"), Command::Users);
        assert_eq!(read("/me waves"), Command::Me { text: "waves".into() });
        assert_eq!(read("/kick Bob too loud"), Command::Kick { target: "Bob".into(), reason: "too loud".into() });
        assert_eq!(
            read("/ban \"Bob the 2nd\" 2h loud"),
            Command::Ban {
                target: "Bob the 2nd".into(),
                lasts: Some(Duration::from_secs(7200)),
                reason: "loud".into()
            }
        );
        assert_eq!(read("/ban @Bob"), Command::Ban { target: "Bob".into(), lasts: None, reason: String::new() });
        assert_eq!(read("/ban #3 mad"), Command::Ban { target: "#3".into(), lasts: None, reason: "mad".into() });
        assert_eq!(read("/unban Bob"), Command::Unban { target: "Bob".into() });
        assert_eq!(read("/mute Bob"), mute("Bob", true, true, true));
        assert_eq!(read("/mute Bob notes"), mute("Bob", true, false, true));
        assert_eq!(read("/unmute Bob chat"), mute("Bob", false, true, false));
    }

    #[test]
    fn an_unknown_command_names_help() {
        for line in ["/", "/dance", "/Help", "/ kick Bob"] {
            let refused = Command::parse(line).unwrap_err();
            assert_eq!(refused.code, ErrorCode::UnknownCommand);
            assert!(refused.message.contains("/help"), "{}", refused.message);
        }
    }

    #[test]
    fn a_command_that_lacks_its_argument_says_which() {
        for line in ["/kick", "/ban", "/unban", "/mute", "/unmute", "/me", "/kick \"Bob", "/kick \"\""] {
            assert_eq!(Command::parse(line).unwrap_err().code, ErrorCode::Validation, "{line}");
        }
    }

    #[test]
    fn the_message_of_its_own_says_the_same() {
        let wire = |command: &str, target: &str, reason: &str| {
            let command =
                RoomChatServerCommand { command: command.into(), target_user: target.into(), reason: reason.into() };
            Command::from_wire(&command)
        };
        assert_eq!(
            wire("ban", "Bob the 2nd", "1d loud").unwrap(),
            Command::Ban {
                target: "Bob the 2nd".into(),
                lasts: Some(Duration::from_secs(86_400)),
                reason: "loud".into()
            }
        );
        assert_eq!(wire("/me", "", "waves").unwrap(), Command::Me { text: "waves".into() });
        assert_eq!(wire("mute", "u1", "notes").unwrap(), mute("u1", true, false, true));
        assert_eq!(wire("users", "", "").unwrap(), Command::Users);
        assert_eq!(wire("kick", "", "").unwrap_err().code, ErrorCode::Validation);
        assert_eq!(wire("", "", "").unwrap_err().code, ErrorCode::UnknownCommand);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in any::<String>()) {
            let _ = Command::parse(&line);
            let _ = Command::parse(&format!("/ban {line}"));
            let _ = Command::parse(&format!("/ban x {line}"));
        }
    }
}
