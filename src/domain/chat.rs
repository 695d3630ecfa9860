//! Chat: the line that people type, the line that is kept, and the last hundred of them.

use std::collections::VecDeque;

use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        identity::Profile,
        text::{is_control, tidied},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{Participant, UserId},
        wire::{ChatHistory, RoomChatMessage, room_chat_message::MessageType},
    },
};

/// The most characters of a line, after normalising.
pub const MAX_CHARACTERS: usize = 512;
/// The lines a room remembers.
pub const MAX_LINES: usize = 100;

/// The history goes to a new member in messages of about this size, so that each stays below the protocol's limit in
/// either encoding.
const HISTORY_MESSAGE_BYTES: usize = 16 * 1024;

/// A line in the form in which it is kept: NFC, trimmed, inner white space collapsed, 1 to 512 characters, without
/// control characters. It stays plain text: whoever shows it as HTML escapes it.
pub fn normalised_line(text: &str) -> Result<String, Rejection> {
    let refused = |message: String| Err(Rejection::new(ErrorCode::Validation, message));
    if text.chars().any(is_control) {
        return refused("a chat line has control characters or line breaks in it".into());
    }
    let line = tidied(text);
    if line.is_empty() {
        return refused("a chat line is empty".into());
    }
    if line.chars().count() > MAX_CHARACTERS {
        return refused(format!("a chat line has more than {MAX_CHARACTERS} characters"));
    }
    Ok(line)
}

/// Who speaks in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineKind {
    /// A user.
    User,
    /// One of the server's moderators.
    Moderator,
    /// The server. Such lines are told to one member and not kept.
    System,
}

/// One line of chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatLine {
    /// Unique on this server; empty for lines of the system.
    pub message_id: String,
    /// Who speaks.
    pub kind: LineKind,
    /// The speaker; empty for the system.
    pub user_id: UserId,
    /// The speaker's name at the time.
    pub username: String,
    /// The speaker's colour at the time.
    pub colour: String,
    /// The speaker's number in the room at the time; 0 for the system.
    pub participant: u32,
    /// Server time in milliseconds.
    pub time_ms: i64,
    /// What is said.
    pub text: String,
}

impl ChatLine {
    /// A line of somebody in the room.
    pub fn of(profile: &Profile, participant: Participant, text: String, message_id: String, time_ms: i64) -> Self {
        Self {
            message_id,
            kind: if profile.is_staff() { LineKind::Moderator } else { LineKind::User },
            user_id: profile.user_id.clone(),
            username: profile.username.clone(),
            colour: profile.colour.clone(),
            participant: participant.0,
            time_ms,
            text,
        }
    }

    /// A line of the server's, which is not kept.
    pub fn system(text: impl Into<String>, time_ms: i64) -> Self {
        Self {
            message_id: String::new(),
            kind: LineKind::System,
            user_id: "".into(),
            username: String::new(),
            colour: String::new(),
            participant: 0,
            time_ms,
            text: text.into(),
        }
    }

    /// As clients are told it.
    pub fn to_wire(&self) -> RoomChatMessage {
        RoomChatMessage {
            message: self.text.clone(),
            message_type: match self.kind {
                LineKind::User => MessageType::User,
                LineKind::Moderator => MessageType::Moderator,
                LineKind::System => MessageType::System,
            } as i32,
            message_id: self.message_id.clone(),
            user_id: self.user_id.as_str().into(),
            username: self.username.clone(),
            colour: self.colour.clone(),
            participant: self.participant,
            time_ms: self.time_ms,
        }
    }
}

/// The last lines of a room, oldest first; the oldest of more than [`MAX_LINES`] is forgotten.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: VecDeque<ChatLine>,
}

impl History {
    /// A history with the lines a saved room comes back with.
    pub fn restored(lines: Vec<ChatLine>) -> Self {
        let mut history = Self::default();
        lines.into_iter().for_each(|line| history.push(line));
        history
    }

    /// Adds a line.
    pub fn push(&mut self, line: ChatLine) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &ChatLine> {
        self.lines.iter()
    }

    /// What a new member is sent, oldest first; none where nothing was said.
    pub fn to_wire(&self) -> Vec<ChatHistory> {
        let mut messages: Vec<ChatHistory> = Vec::new();
        let mut bytes = usize::MAX;
        for line in &self.lines {
            let line = line.to_wire();
            let size = line.encoded_len();
            if bytes.saturating_add(size) > HISTORY_MESSAGE_BYTES {
                messages.push(ChatHistory::default());
                bytes = 0;
            }
            bytes += size;
            if let Some(message) = messages.last_mut() {
                message.messages.push(line);
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::identity::Role, protocol::MAX_MESSAGE_BYTES};

    fn line(text: String) -> ChatLine {
        let profile = Profile {
            user_id: "u".repeat(36).as_str().into(),
            username: "\"".repeat(32),
            usertag: String::new(),
            roles: vec![Role::Guest],
            colour: "#aabbcc".into(),
            status: Default::default(),
        };
        ChatLine::of(&profile, Participant(u32::MAX), text, "m".repeat(26), i64::MAX)
    }

    #[test]
    fn a_line_is_tidied_and_stays_plain_text() {
        assert_eq!(normalised_line("  <b>hi</b>   Cafe\u{301} ").unwrap(), "<b>hi</b> Café");
        // A family of four is one emoji of seven characters.
        assert_eq!(normalised_line("👨‍👩‍👧‍👦").unwrap().chars().count(), 7);
    }

    #[test]
    fn empty_long_and_unprintable_lines_are_refused() {
        for text in ["", "   ", "a\nb", "a\u{0}b", "\u{1b}[31m", "a\u{2029}b", &"x".repeat(513)] {
            assert_eq!(normalised_line(text).unwrap_err().code, ErrorCode::Validation, "{text:?}");
        }
        assert!(normalised_line(&"é".repeat(512)).is_ok());
        // Two characters that become one count as one.
        assert!(normalised_line(&"e\u{301}".repeat(512)).is_ok());
    }

    #[test]
    fn a_room_remembers_its_last_hundred_lines() {
        let mut history = History::default();
        (0..250).for_each(|n| history.push(line(format!("line {n}"))));
        let texts: Vec<_> = history.lines().map(|line| line.text.clone()).collect();
        assert_eq!((texts.len(), texts[0].as_str(), texts[99].as_str()), (100, "line 150", "line 249"));
    }

    #[test]
    fn a_history_of_the_longest_lines_fits_the_message_size_in_both_encodings() {
        for text in ["𝄞".repeat(512), "\"".repeat(512), "x".into()] {
            let history = History::restored(vec![line(text); 100]);
            let messages = history.to_wire();
            assert_eq!(messages.iter().map(|m| m.messages.len()).sum::<usize>(), 100);
            for message in messages {
                assert!(message.encoded_len() < MAX_MESSAGE_BYTES / 2);
                assert!(serde_json::to_string(&message).unwrap().len() < MAX_MESSAGE_BYTES - 100);
            }
        }
        assert!(History::default().to_wire().is_empty());
    }

    #[test]
    fn a_moderators_line_says_so() {
        let mut moderator = line("x".into());
        moderator.kind = LineKind::Moderator;
        assert_eq!(moderator.to_wire().message_type, MessageType::Moderator as i32);
        assert_eq!(ChatLine::system("x", 0).to_wire().message_type, MessageType::System as i32);
    }
}
