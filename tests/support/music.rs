//! Notes, and reading them.

use bytes::Bytes;
use pianorhythm_server::protocol::{
    midi::{ChannelMessage, Events, MidiWriter},
    wire::MidiMessage,
};

/// A run of events without time between them.
pub fn run(events: &[ChannelMessage]) -> Bytes {
    let mut writer = MidiWriter::new();
    for &event in events {
        writer.push(0, event).unwrap();
    }
    writer.into_bytes()
}

/// The events of a message.
pub fn events(midi: &MidiMessage) -> Vec<ChannelMessage> {
    Events::parse(&midi.midi_data).unwrap().map(|event| event.message).collect()
}

pub fn on(key: u8) -> ChannelMessage {
    ChannelMessage::note_on(0, key, 90)
}

pub fn off(key: u8) -> ChannelMessage {
    ChannelMessage::note_off(0, key, 0)
}

/// A message that no other number below 16 000 makes: a note pressed and released.
pub fn numbered(number: usize) -> Vec<ChannelMessage> {
    let (key, velocity) = ((number % 127) as u8, (number / 127 % 127 + 1) as u8);
    vec![ChannelMessage::note_on(0, key, velocity), off(key)]
}

/// The number that [`numbered`] made this message of.
pub fn number(midi: &MidiMessage) -> Option<usize> {
    let first = *events(midi).first()?;
    let [key, velocity] = first.data();
    let number = usize::from(key) + (usize::from(velocity).checked_sub(1)?) * 127;
    (events(midi) == numbered(number)).then_some(number)
}
