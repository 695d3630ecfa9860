//! One player's part: a name and channel messages at their times. Files are read to parts and parts are written to files.

use std::collections::BTreeSet;

use pianorhythm_client::protocol::midi::ChannelMessage;
use unicode_normalization::UnicodeNormalization as _;

/// The server takes names of so many characters.
pub const MAX_NAME_CHARACTERS: usize = 32;

/// A channel message and when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartEvent {
    /// Microseconds from the beginning.
    pub at_us: u64,
    /// What happens then.
    pub message: ChannelMessage,
}

/// What one player plays, in order; times never go back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The track's or the participant's name.
    pub name: String,
    /// Its channel messages. Events at the same time keep their order.
    pub events: Vec<PartEvent>,
}

impl Part {
    /// All parts as one. Events at the same time come in the order of their parts.
    pub fn merged(name: impl Into<String>, parts: &[Self]) -> Self {
        let mut events: Vec<_> = parts.iter().flat_map(|part| part.events.iter().copied()).collect();
        // Stable, so that each part keeps its own order.
        events.sort_by_key(|event| event.at_us);
        Self { name: name.into(), events }
    }

    /// Note-ons and note-offs alone.
    pub fn notes(&self) -> impl Iterator<Item = PartEvent> + '_ {
        self.events.iter().copied().filter(|event| is_note(event.message))
    }

    /// How many keys are pressed.
    pub fn note_ons(&self) -> usize {
        self.events.iter().filter(|event| event.message.is_note_on()).count()
    }

    /// When its last event happens.
    pub fn end_us(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at_us)
    }
}

/// Whether a key is pressed or released by it.
pub fn is_note(message: ChannelMessage) -> bool {
    message.is_note_on() || message.is_note_off()
}

/// A track's name as the server takes it: composed, without what cannot be seen, white space collapsed, cut to
/// its limit.
pub fn display_name(name: &str) -> String {
    let shown: String =
        name.nfc().map(|c| if c.is_control() { ' ' } else { c }).filter(|&c| !is_invisible(c)).collect();
    let name = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = name.chars().take(MAX_NAME_CHARACTERS).collect();
    cut.trim_end().to_owned()
}

/// Soft hyphens, zero widths, marks of direction: the server refuses names that have them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The keys that are down, by channel and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(BTreeSet<(u8, u8)>);

impl Held {
    /// Follows a message. `false` where it releases a key that is not down.
    pub fn follow(&mut self, message: ChannelMessage) -> bool {
        if message.is_all_notes_off() {
            self.0.retain(|&(channel, _)| channel != message.channel());
        }
        let Some(key) = message.key() else { return true };
        let note = (message.channel(), key);
        if message.is_note_on() {
            self.0.insert(note);
        } else if message.is_note_off() {
            return self.0.remove(&note);
        }
        true
    }

    /// How many keys are down.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no key is down.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Releases all keys: the note-offs that do it.
    pub fn release(&mut self) -> impl Iterator<Item = ChannelMessage> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(channel, key)| ChannelMessage::note_off(channel, key, 0))
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_client::protocol::midi::ALL_NOTES_OFF;

    use super::*;

    fn event(at_us: u64, key: u8) -> PartEvent {
        PartEvent { at_us, message: ChannelMessage::note_on(0, key, 1) }
    }

    #[test]
    fn merging_keeps_the_order_of_parts_and_the_order_within_each() {
        let first = Part { name: "a".into(), events: vec![event(0, 1), event(5, 2), event(5, 3)] };
        let second = Part { name: "b".into(), events: vec![event(0, 4), event(4, 5), event(5, 6)] };
        let keys: Vec<_> = Part::merged("both", &[first, second]).events.iter().map(|e| e.message.data()[0]).collect();
        assert_eq!(keys, [1, 4, 5, 2, 3, 6]);
    }

    #[test]
    fn names_are_collapsed_and_cut_to_what_the_server_takes() {
        assert_eq!(display_name("  Violin\t I\n\0"), "Violin I");
        assert_eq!(display_name("\u{feff}Ce\u{301}lesta\u{200b}"), "C\u{e9}lesta");
        assert_eq!(display_name(&"é".repeat(40)).chars().count(), 32);
        assert_eq!(display_name(&format!("{} tail", "x".repeat(31))), "x".repeat(31));
    }

    #[test]
    fn a_key_is_held_from_its_note_on_to_a_note_off_of_either_kind() {
        let mut held = Held::default();
        assert!(held.follow(ChannelMessage::note_on(0, 60, 90)));
        assert!(held.follow(ChannelMessage::note_on(1, 60, 90)));
        assert!(held.follow(ChannelMessage::note_on(0, 60, 0)));
        assert!(!held.follow(ChannelMessage::note_off(0, 60, 0)));
        assert_eq!(held.len(), 1);
        assert_eq!(held.release().collect::<Vec<_>>(), [ChannelMessage::note_off(1, 60, 0)]);
        assert!(held.is_empty());
    }

    #[test]
    fn all_notes_off_releases_its_channel() {
        let mut held = Held::default();
        held.follow(ChannelMessage::note_on(0, 60, 90));
        held.follow(ChannelMessage::note_on(1, 60, 90));
        held.follow(ChannelMessage::control(0, ALL_NOTES_OFF, 0));
        assert_eq!(held.release().collect::<Vec<_>>(), [ChannelMessage::note_off(1, 60, 0)]);
    }
}
