//! What one participant holds down: keys and pedals by channel, and the message that lets go of them.

use bytes::Bytes;

use crate::protocol::midi::{ALL_NOTES_OFF, ChannelMessage, MidiWriter, SOSTENUTO, SUSTAIN};

/// Keys and pedals held by one participant. 264 bytes, no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    keys: [u128; 16],
    /// How many bits of `keys` are set.
    held_keys: u16,
    /// By channel: sustain (CC64) and sostenuto (CC66) at 64 or above.
    sustain: u16,
    sostenuto: u16,
    /// Channels on which something was struck or a pedal pressed since the last silence.
    used: u16,
}

impl Held {
    /// Takes in an event that was relayed.
    pub fn apply(&mut self, message: ChannelMessage) {
        let channel = usize::from(message.channel());
        let bit = 1 << channel;
        let [first, second] = message.data();
        if message.is_note_on() {
            let key = 1u128 << (first & 127);
            self.held_keys += u16::from(self.keys[channel] & key == 0);
            self.keys[channel] |= key;
            self.used |= bit;
        } else if message.is_note_off() {
            let key = 1u128 << (first & 127);
            self.held_keys -= u16::from(self.keys[channel] & key != 0);
            self.keys[channel] &= !key;
        } else if message.is_control(SUSTAIN) {
            press(&mut self.sustain, &mut self.used, bit, second);
        } else if message.is_control(SOSTENUTO) {
            press(&mut self.sostenuto, &mut self.used, bit, second);
        } else if message.is_all_notes_off() {
            self.held_keys -= self.keys[channel].count_ones() as u16;
            self.keys[channel] = 0;
        }
    }

    /// Whether this key is down on this channel.
    pub fn holds(&self, channel: u8, key: u8) -> bool {
        self.keys[usize::from(channel & 15)] & (1 << (key & 127)) != 0
    }

    /// Whether a key or a pedal is down.
    pub fn is_holding(&self) -> bool {
        self.held_keys > 0 || self.sustain | self.sostenuto != 0
    }

    /// Lets go of everything: note-offs for what is held, CC64 and CC66 at 0 where they are down, then CC123 on each
    /// channel used; as `midi_data` of one message or, with hundreds of keys held, several. Empty where no channel
    /// was used since the last silence.
    pub fn silence(&mut self) -> Vec<Bytes> {
        let mut runs = Vec::new();
        let mut writer = MidiWriter::new();
        let mut push = |message| {
            if writer.push(0, message).is_err() {
                runs.push(std::mem::take(&mut writer).into_bytes());
                // A writer that was just emptied takes one event.
                let _ = writer.push(0, message);
            }
        };
        for channel in 0..16u8 {
            let mut keys = self.keys[usize::from(channel)];
            while keys != 0 {
                push(ChannelMessage::note_off(channel, keys.trailing_zeros() as u8, 0));
                keys &= keys - 1;
            }
        }
        for (pedal, controller) in [(self.sustain, SUSTAIN), (self.sostenuto, SOSTENUTO)] {
            channels(pedal).for_each(|channel| push(ChannelMessage::control(channel, controller, 0)));
        }
        channels(self.used).for_each(|channel| push(ChannelMessage::control(channel, ALL_NOTES_OFF, 0)));
        if !writer.is_empty() {
            runs.push(writer.into_bytes());
        }
        *self = Self::default();
        runs
    }
}

fn press(pedals: &mut u16, used: &mut u16, bit: u16, value: u8) {
    if value >= 64 {
        *pedals |= bit;
        *used |= bit;
    } else {
        *pedals &= !bit;
    }
}

fn channels(set: u16) -> impl Iterator<Item = u8> {
    (0..16).filter(move |channel| set & 1 << channel != 0)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::protocol::midi::{ALL_SOUND_OFF, Events, MAX_EVENTS};

    fn held(messages: &[ChannelMessage]) -> Held {
        let mut held = Held::default();
        messages.iter().for_each(|&message| held.apply(message));
        held
    }

    fn events(runs: &[Bytes]) -> Vec<ChannelMessage> {
        runs.iter().flat_map(|run| Events::parse(run).unwrap().map(|event| event.message)).collect()
    }

    #[test]
    fn silence_lets_go_of_keys_then_pedals_then_channels() {
        let mut held = held(&[
            ChannelMessage::control(1, SOSTENUTO, 127),
            ChannelMessage::note_on(1, 60, 90),
            ChannelMessage::note_on(0, 64, 90),
            ChannelMessage::control(0, SUSTAIN, 64),
            ChannelMessage::note_on(3, 10, 90),
            ChannelMessage::note_off(3, 10, 0),
        ]);
        let expected = [
            ChannelMessage::note_off(0, 64, 0),
            ChannelMessage::note_off(1, 60, 0),
            ChannelMessage::control(0, SUSTAIN, 0),
            ChannelMessage::control(1, SOSTENUTO, 0),
            ChannelMessage::control(0, ALL_NOTES_OFF, 0),
            ChannelMessage::control(1, ALL_NOTES_OFF, 0),
            ChannelMessage::control(3, ALL_NOTES_OFF, 0),
        ];
        assert_eq!(events(&held.silence()), expected);
        assert_eq!(held, Held::default());
        assert!(held.silence().is_empty());
    }

    #[test]
    fn a_channel_that_only_changed_its_program_needs_no_silence() {
        assert!(held(&[ChannelMessage::program(0, 5), ChannelMessage::control(0, 7, 90)]).silence().is_empty());
    }

    #[test]
    fn a_second_note_on_re_triggers_and_one_note_off_ends_it() {
        let mut held = held(&[ChannelMessage::note_on(0, 60, 90), ChannelMessage::note_on(0, 60, 50)]);
        held.apply(ChannelMessage::note_on(0, 60, 0));
        assert!(!held.is_holding());
    }

    #[test]
    fn a_pedal_is_held_from_64_on() {
        assert!(!held(&[ChannelMessage::control(0, SUSTAIN, 63)]).is_holding());
        assert!(held(&[ChannelMessage::control(0, SUSTAIN, 64)]).is_holding());
        assert!(!held(&[ChannelMessage::control(0, SUSTAIN, 64), ChannelMessage::control(0, SUSTAIN, 0)]).is_holding());
    }

    #[test]
    fn all_notes_off_lets_go_of_its_channel_alone() {
        for mode in [ALL_NOTES_OFF, ALL_SOUND_OFF] {
            let held = held(&[
                ChannelMessage::note_on(0, 60, 90),
                ChannelMessage::note_on(1, 60, 90),
                ChannelMessage::control(0, mode, 0),
            ]);
            assert!(!held.holds(0, 60) && held.holds(1, 60));
        }
    }

    #[test]
    fn every_key_of_every_channel_can_be_let_go_of_in_messages_of_the_allowed_length() {
        let mut held = Held::default();
        for channel in 0..16 {
            (0..128).for_each(|key| held.apply(ChannelMessage::note_on(channel, key, 1)));
            held.apply(ChannelMessage::control(channel, SUSTAIN, 127));
            held.apply(ChannelMessage::control(channel, SOSTENUTO, 127));
        }
        let runs = held.silence();
        assert!(runs.iter().all(|run| Events::parse(run).unwrap().len() <= MAX_EVENTS));
        assert_eq!(events(&runs).len(), 16 * 128 + 3 * 16);
    }

    proptest! {
        #[test]
        fn after_its_silence_nothing_is_held(bytes in vec((0x80u8..0xF0, 0u8..128, 0u8..128), 0..300)) {
            let messages: Vec<_> = bytes.into_iter().map(|(s, a, b)| ChannelMessage::new(s, a, b).unwrap()).collect();
            let mut player = held(&messages);
            // A listener who heard everything, the silence included, holds nothing either.
            let mut listener = player.clone();
            events(&player.silence()).into_iter().for_each(|message| listener.apply(message));
            prop_assert!(!player.is_holding() && !listener.is_holding());
            prop_assert_eq!(listener.held_keys, 0);
            prop_assert_eq!(listener.keys, [0; 16]);
        }
    }
}
