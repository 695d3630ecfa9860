//! A room's settings: checked, complete, and with the defaults filled in. What is not built is refused by name,
//! never accepted and ignored.

use serde::{Deserialize, Serialize};

use crate::{
    domain::text::{is_control, tidied},
    protocol::{
        error::{ErrorCode, Rejection},
        wire,
    },
};

/// The most characters of a room's welcome message.
pub const MAX_WELCOME: usize = 512;
/// The most characters of `stage` and of `colour`.
pub const MAX_OPAQUE: usize = 64;

/// What kind of room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Listed, open to all who know a password where it has one.
    Public,
    /// The server's own; nobody owns it, and it stays.
    Lobby,
    /// As a public room, but not listed.
    Private,
}

impl RoomKind {
    /// The kind that a client asks to create.
    pub fn from_wire(kind: i32) -> Result<Self, Rejection> {
        match wire::RoomType::try_from(kind) {
            Ok(wire::RoomType::Public) => Ok(Self::Public),
            Ok(wire::RoomType::Private) => Ok(Self::Private),
            Ok(wire::RoomType::Lobby) => Err(Rejection::new(
                ErrorCode::Validation,
                "lobbies are the server's own: create a PUBLIC or PRIVATE room, or join a lobby",
            )),
            Ok(wire::RoomType::Pro) => Err(Rejection::new(
                ErrorCode::NotSupported,
                "this server has no PRO rooms: create a PUBLIC or PRIVATE one",
            )),
            Err(_) => Err(Rejection::new(ErrorCode::Validation, format!("{kind} is not a room type"))),
        }
    }

    /// As clients are told it.
    pub fn to_wire(self) -> wire::RoomType {
        match self {
            Self::Public => wire::RoomType::Public,
            Self::Lobby => wire::RoomType::Lobby,
            Self::Private => wire::RoomType::Private,
        }
    }

    /// Whether it appears in the list of rooms.
    pub fn is_listed(self) -> bool {
        self != Self::Private
    }

    /// Whether somebody owns it.
    pub fn has_owner(self) -> bool {
        self != Self::Lobby
    }
}

/// How densely a room's members may play; the figures are the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteQuota {
    /// As everywhere.
    #[default]
    Standard,
    /// For rooms in which files of a million notes are played.
    Dense,
}

/// A room's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The most members at a time. It may be set below what there are: nobody is sent away.
    pub max_users: u32,
    /// Whether anybody chats.
    pub allow_chat: bool,
    /// Whether guests may enter.
    pub allow_guests: bool,
    /// Told to each member that joins; empty for none.
    pub welcome_message: String,
    /// Whether only the owner's notes are relayed.
    pub only_owner_plays: bool,
    /// Whether only the owner chats.
    pub only_owner_chats: bool,
    /// Opaque to the server.
    pub stage: String,
    /// Opaque to the server.
    pub colour: String,
    /// How densely members may play.
    pub note_quota: NoteQuota,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_users: 20,
            allow_chat: true,
            allow_guests: true,
            welcome_message: String::new(),
            only_owner_plays: false,
            only_owner_chats: false,
            stage: String::new(),
            colour: String::new(),
            note_quota: NoteQuota::Standard,
        }
    }
}

impl Settings {
    /// These settings with a client's changes; an absent field stays as it is. `max_capacity` is the server's.
    pub fn updated(&self, change: &wire::RoomSettings, max_capacity: u32) -> Result<Self, Rejection> {
        for (name, asked) in [
            ("auto_moderation", change.auto_moderation),
            ("require_pro", change.require_pro),
            ("latency_mode", change.latency_mode),
            ("allow_bots", change.allow_bots),
        ] {
            if asked == Some(true) {
                let message = format!("this server does not have {name}: leave it out or set it to false");
                return Err(Rejection::new(ErrorCode::NotSupported, message).with("setting", name));
            }
        }
        let mut next = self.clone();
        if let Some(max_users) = change.max_users {
            if !(1..=max_capacity).contains(&max_users) {
                return Err(invalid("max_users", format!("max_users is from 1 to {max_capacity} on this server")));
            }
            next.max_users = max_users;
        }
        if let Some(quota) = change.note_quota {
            next.note_quota = match wire::NoteQuota::try_from(quota) {
                Ok(wire::NoteQuota::Standard) => NoteQuota::Standard,
                Ok(wire::NoteQuota::Dense) => NoteQuota::Dense,
                Err(_) => return Err(invalid("note_quota", format!("{quota} is not a note quota"))),
            };
        }
        set(&mut next.allow_chat, change.allow_chat);
        set(&mut next.allow_guests, change.allow_guests);
        set(&mut next.only_owner_plays, change.only_owner_plays);
        set(&mut next.only_owner_chats, change.only_owner_chats);
        set_text(&mut next.welcome_message, "welcome_message", &change.welcome_message, MAX_WELCOME)?;
        set_text(&mut next.stage, "stage", &change.stage, MAX_OPAQUE)?;
        set_text(&mut next.colour, "colour", &change.colour, MAX_OPAQUE)?;
        Ok(next)
    }

    /// All of them, none absent, as clients are told them.
    pub fn to_wire(&self) -> wire::RoomSettings {
        wire::RoomSettings {
            max_users: Some(self.max_users),
            allow_chat: Some(self.allow_chat),
            allow_guests: Some(self.allow_guests),
            auto_moderation: Some(false),
            require_pro: Some(false),
            welcome_message: Some(self.welcome_message.clone()),
            only_owner_plays: Some(self.only_owner_plays),
            only_owner_chats: Some(self.only_owner_chats),
            allow_bots: Some(false),
            stage: Some(self.stage.clone()),
            colour: Some(self.colour.clone()),
            note_quota: Some(match self.note_quota {
                NoteQuota::Standard => wire::NoteQuota::Standard,
                NoteQuota::Dense => wire::NoteQuota::Dense,
            } as i32),
            latency_mode: Some(false),
        }
    }
}

fn invalid(setting: &'static str, message: String) -> Rejection {
    Rejection::new(ErrorCode::Validation, message).with("setting", setting)
}

fn set(field: &mut bool, change: Option<bool>) {
    *field = change.unwrap_or(*field);
}

fn set_text(field: &mut String, name: &'static str, change: &Option<String>, most: usize) -> Result<(), Rejection> {
    let Some(text) = change else { return Ok(()) };
    // No text of so many characters is longer, whatever white space it is padded with need not be read.
    if text.len() > most * 8 || text.chars().count() > most {
        return Err(invalid(name, format!("{name} has more than {most} characters")));
    }
    if text.chars().any(is_control) {
        return Err(invalid(name, format!("{name} has control characters or line breaks in it")));
    }
    *field = tidied(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(edit: impl FnOnce(&mut wire::RoomSettings)) -> Result<Settings, Rejection> {
        let mut change = wire::RoomSettings::default();
        edit(&mut change);
        Settings::default().updated(&change, 100)
    }

    #[test]
    fn an_absent_field_stays_as_it_is() {
        let first = change(|s| {
            s.max_users = Some(7);
            s.welcome_message = Some("  hello   there ".into());
        })
        .unwrap();
        let second =
            first.updated(&wire::RoomSettings { only_owner_plays: Some(true), ..Default::default() }, 100).unwrap();
        assert_eq!((second.max_users, second.only_owner_plays), (7, true));
        assert_eq!(second.welcome_message, "hello there");
    }

    #[test]
    fn what_is_told_and_sent_back_changes_nothing() {
        let settings = change(|s| {
            s.note_quota = Some(wire::NoteQuota::Dense as i32);
            s.stage = Some("beach".into());
            s.allow_guests = Some(false);
        })
        .unwrap();
        assert_eq!(settings.updated(&settings.to_wire(), 100).unwrap(), settings);
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let yes = Some(true);
        let asks = [
            ("auto_moderation", wire::RoomSettings { auto_moderation: yes, ..Default::default() }),
            ("require_pro", wire::RoomSettings { require_pro: yes, ..Default::default() }),
            ("latency_mode", wire::RoomSettings { latency_mode: yes, ..Default::default() }),
            ("allow_bots", wire::RoomSettings { allow_bots: yes, ..Default::default() }),
        ];
        for (name, ask) in asks {
            let refused = Settings::default().updated(&ask, 100).unwrap_err();
            assert_eq!(refused.code, ErrorCode::NotSupported);
            assert_eq!(refused.details, [("setting", name.to_owned())]);
        }
        assert!(change(|s| s.allow_bots = Some(false)).is_ok());
    }

    #[test]
    fn capacity_lies_within_the_servers() {
        assert!(change(|s| s.max_users = Some(1)).is_ok());
        assert!(change(|s| s.max_users = Some(100)).is_ok());
        assert_eq!(change(|s| s.max_users = Some(0)).unwrap_err().code, ErrorCode::Validation);
        assert_eq!(change(|s| s.max_users = Some(101)).unwrap_err().code, ErrorCode::Validation);
    }

    #[test]
    fn texts_are_bounded_and_of_one_line() {
        assert!(change(|s| s.stage = Some("é".repeat(64))).is_ok());
        assert!(change(|s| s.stage = Some("é".repeat(65))).is_err());
        assert!(change(|s| s.colour = Some("a\u{7}".into())).is_err());
        assert!(change(|s| s.welcome_message = Some("a\nb".into())).is_err());
        assert!(change(|s| s.note_quota = Some(9)).is_err());
    }

    #[test]
    fn only_rooms_that_people_may_make_can_be_asked_for() {
        assert_eq!(RoomKind::from_wire(wire::RoomType::Private as i32).unwrap(), RoomKind::Private);
        assert_eq!(RoomKind::from_wire(wire::RoomType::Lobby as i32).unwrap_err().code, ErrorCode::Validation);
        assert_eq!(RoomKind::from_wire(wire::RoomType::Pro as i32).unwrap_err().code, ErrorCode::NotSupported);
        assert_eq!(RoomKind::from_wire(17).unwrap_err().code, ErrorCode::Validation);
    }
}
