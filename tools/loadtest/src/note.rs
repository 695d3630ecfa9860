//! A note on the wire, written and read without allocating: at a million a second a general decoder would be most of the
//! load. What is not the plain form of a relayed note is left to that decoder.

/// The fields of a `MidiMessage`, in a `ClientMessage` or a `ServerMessage`: they have the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note<'a> {
    /// The events.
    pub midi: &'a [u8],
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// Who plays, by its number in the room.
    pub participant: u32,
    /// Which of its notes it is.
    pub sequence: u32,
}

/// `midiMessage = 6`, of wire type 2; and `messageType = 1`, of type 0, whose value is the same 6.
const MESSAGE: u8 = 6 << 3 | 2;
const TYPE: u8 = 1 << 3;
const MIDI_DATA: u8 = 1 << 3 | 2;
const TIMESTAMP: u8 = 2 << 3;
const USER_ID: u8 = 3 << 3 | 2;
const PARTICIPANT: u8 = 4 << 3;
const SEQUENCE: u8 = 5 << 3;

impl<'a> Note<'a> {
    /// Reads a message; `None` where it is not a note in the form that encoders make.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        let mut rest = payload;
        if rest.first() == Some(&TYPE) {
            rest = rest.get(2..)?;
            if payload[1] != 6 {
                return None;
            }
        }
        let (&MESSAGE, mut rest) = rest.split_first()? else { return None };
        let length = varint(&mut rest)?;
        if rest.len() as u64 != length {
            return None;
        }
        let mut note = Self::default();
        while let Some((&tag, after)) = rest.split_first() {
            rest = after;
            let value = varint(&mut rest)?;
            match tag {
                MIDI_DATA => note.midi = rest.split_off(..usize::try_from(value).ok()?)?,
                USER_ID => _ = rest.split_off(..usize::try_from(value).ok()?)?,
                TIMESTAMP => note.timestamp = value as i64,
                PARTICIPANT => note.participant = u32::try_from(value).ok()?,
                SEQUENCE => note.sequence = u32::try_from(value).ok()?,
                _ => return None,
            }
        }
        Some(note)
    }

    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        let fields = [
            (TIMESTAMP, self.timestamp as u64),
            (PARTICIPANT, self.participant.into()),
            (SEQUENCE, self.sequence.into()),
        ];
        let mut body = [0; 128];
        let mut at = 0;
        let mut put = |byte: u8| {
            body[at] = byte;
            at += 1;
        };
        assert!(self.midi.len() < 64, "a note is short");
        put(MIDI_DATA);
        put(self.midi.len() as u8);
        self.midi.iter().copied().for_each(&mut put);
        for (tag, mut value) in fields.into_iter().filter(|(_, value)| *value != 0) {
            put(tag);
            while value >= 0x80 {
                put(value as u8 | 0x80);
                value >>= 7;
            }
            put(value as u8);
        }
        out.extend_from_slice(&[TYPE, 6, MESSAGE, at as u8]);
        out.extend_from_slice(&body[..at]);
    }
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use pianorhythm_server::protocol::wire::{ClientMessage, MidiMessage, client_message::Message};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn general(payload: &[u8]) -> Option<MidiMessage> {
        match ClientMessage::decode(payload).ok()?.message? {
            Message::MidiMessage(midi) => Some(midi),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn what_the_general_encoder_writes_is_read(
            midi in proptest::collection::vec(any::<u8>(), 0..300), timestamp: i64, user_id in ".{0,3}", participant: u32, sequence: u32,
        ) {
            let message = MidiMessage { midi_data: midi.clone().into(), timestamp, user_id, participant, sequence };
            let bytes = ClientMessage::event(Message::MidiMessage(message)).encode_to_vec();
            prop_assert_eq!(Note::read(&bytes), Some(Note { midi: &midi, timestamp, participant, sequence }));
        }

        #[test]
        fn what_is_written_is_what_the_general_encoder_writes(
            midi in proptest::collection::vec(any::<u8>(), 1..64), timestamp: i64, participant: u32, sequence: u32,
        ) {
            let mut written = Vec::new();
            Note { midi: &midi, timestamp, participant, sequence }.write(&mut written);
            let message =
                MidiMessage { midi_data: midi.into(), timestamp, participant, sequence, ..MidiMessage::default() };
            prop_assert_eq!(written, ClientMessage::event(Message::MidiMessage(message)).encode_to_vec());
        }

        #[test]
        fn what_is_read_of_any_bytes_is_what_the_general_decoder_reads(bytes: Vec<u8>, changed: (u8, u8)) {
            let mut near = Vec::new();
            Note { midi: &[0, 0x90, 60, 64], timestamp: 1_700_000_000_000, participant: 3, sequence: 300 }.write(&mut near);
            let place = usize::from(changed.0) % near.len();
            near[place] = changed.1;
            for bytes in [bytes, near] {
                if let Some(note) = Note::read(&bytes)
                    && let Some(midi) = general(&bytes)
                {
                    let same = (&midi.midi_data[..], midi.timestamp, midi.participant, midi.sequence);
                    prop_assert_eq!((note.midi, note.timestamp, note.participant, note.sequence), same);
                }
            }
        }
    }
}
