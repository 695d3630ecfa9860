//! What a bad client sends, and what a good server makes of it.

use clap::ValueEnum;
use pianorhythm_server::protocol::wire::{
    AvatarCommand, CreateRoomCommand, JoinRoomByName, LeaveRoom, ListRooms, MidiMessage, RoomChatMessage,
    ServerMessage, server_message::Message,
};
use prost::Message as _;

use crate::{chance::Chance, frame};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Random bytes after the handshake
    Random,
    /// The beginning of a frame, and then the end of the connection
    Truncated,
    /// A frame that claims ten megabytes
    Oversized,
    /// A frame without a mask
    Unmasked,
    /// A continuation of nothing, and control frames in fragments
    OutOfOrder,
    /// A frame that is no message
    Undecodable,
    /// Text where binary is due
    Text,
    /// Notes that are none
    BadMidi,
    /// Lines of chat
    ChatFlood,
    /// Positions of a cursor
    CursorFlood,
    /// Messages of 512 note-offs
    NoteOffFlood,
    /// Pings
    PingFlood,
    /// Frames that carry nothing, a hundred at a time
    EmptyFrames,
    /// Joins, creations and lists of rooms
    RequestFlood,
    /// Handshakes of a byte a second
    SlowHandshakes,
    /// Connections that say nothing
    HalfOpen,
    /// Connections from one address
    ConnectionFlood,
    /// Heads of requests beyond what a server takes
    LongHeads,
}

/// What is to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The first frame ends the connection, with one of these codes.
    Closed(&'static [u16]),
    /// Some frame ends the connection, with one of these codes.
    ClosedInTime(&'static [u16]),
    /// We end it ourselves.
    Cut,
    /// It is answered, or nothing need come of it; what is too much ends the connection with one of these codes.
    Answered(&'static [u16]),
}

impl Kind {
    /// What is to come of it.
    pub fn fate(self) -> Fate {
        match self {
            Self::Random => Fate::ClosedInTime(&[1002, 1003, 1007, 1009, 3504]),
            Self::Truncated | Self::SlowHandshakes | Self::HalfOpen | Self::ConnectionFlood | Self::LongHeads => {
                Fate::Cut
            }
            Self::Oversized => Fate::Closed(&[1009]),
            Self::Unmasked | Self::OutOfOrder => Fate::Closed(&[1002]),
            Self::Undecodable => Fate::Closed(&[3504]),
            Self::Text => Fate::Closed(&[1003]),
            Self::BadMidi => Fate::ClosedInTime(&[3506]),
            Self::ChatFlood | Self::CursorFlood | Self::NoteOffFlood => Fate::Answered(&[3506, 3008]),
            Self::PingFlood | Self::RequestFlood => Fate::Answered(&[3506]),
            Self::EmptyFrames => Fate::Answered(&[]),
        }
    }

    /// Whether what is bad is the connections, not what is sent on them.
    pub fn is_of_connections(self) -> bool {
        matches!(self, Self::SlowHandshakes | Self::HalfOpen | Self::ConnectionFlood | Self::LongHeads)
    }

    /// Whether it is done from within a room.
    pub fn is_in_room(self) -> bool {
        matches!(self, Self::BadMidi | Self::ChatFlood | Self::CursorFlood | Self::NoteOffFlood)
    }

    /// The bytes of its n-th frame.
    pub fn bytes(self, number: u64, chance: &mut Chance) -> Vec<u8> {
        match self {
            Self::Random => {
                let length = 1 + chance.below(200);
                chance.bytes(length)
            }
            Self::Truncated => {
                let whole = frame::binary(&chance.bytes(100));
                whole[..1 + chance.below(whole.len() - 1)].to_vec()
            }
            Self::Oversized => {
                // The head says it all; what follows is only its beginning.
                let mut head = vec![0x82, 0x80 | 127];
                head.extend_from_slice(&(10u64 << 20).to_be_bytes());
                head.extend_from_slice(&chance.bytes(100));
                head
            }
            Self::Unmasked => {
                let mut plain = vec![0x82, 10];
                plain.extend_from_slice(&chance.bytes(10));
                plain
            }
            Self::OutOfOrder => match number % 3 {
                0 => frame::masked(0x80, b"a continuation of nothing"),
                1 => frame::masked(0x09, b"a ping in fragments"),
                _ => [frame::masked(0x02, b"a message"), frame::masked(0x82, b"and another inside it")].concat(),
            },
            // Wire type 7 does not exist.
            Self::Undecodable => frame::binary(&[0xFF, 0xFF, 0xFF]),
            Self::Text => frame::masked(0x81, b"{}"),
            Self::BadMidi => midi(vec![0, 0xF0, 1, 2]),
            Self::ChatFlood => frame::message(Message::RoomChatMessage(RoomChatMessage {
                message: format!("buy pianos, offer {number}"),
                ..RoomChatMessage::default()
            })),
            Self::CursorFlood => frame::message(Message::AvatarCommand(AvatarCommand {
                avatar_data: chance.bytes(16).into(),
                ..AvatarCommand::default()
            })),
            Self::NoteOffFlood => midi((0..512u32).flat_map(|event| [0, 0x80, (event % 128) as u8, 64]).collect()),
            Self::PingFlood => frame::masked(0x89, &number.to_be_bytes()),
            Self::EmptyFrames => frame::pong(&[]).repeat(100),
            Self::RequestFlood => frame::message(match number % 4 {
                0 => Message::JoinRoomByName(JoinRoomByName {
                    room_name: format!("den {}", number % 64),
                    ..JoinRoomByName::default()
                }),
                1 => Message::CreateRoomCommand(CreateRoomCommand {
                    room_name: format!("made {number}"),
                    ..CreateRoomCommand::default()
                }),
                2 => Message::ListRooms(ListRooms::default()),
                _ => Message::LeaveRoom(LeaveRoom {}),
            }),
            Self::SlowHandshakes | Self::HalfOpen | Self::ConnectionFlood | Self::LongHeads => Vec::new(),
        }
    }
}

fn midi(events: Vec<u8>) -> Vec<u8> {
    let midi = MidiMessage { midi_data: events.into(), timestamp: 0, ..MidiMessage::default() };
    frame::binary(&ServerMessage::event(Message::MidiMessage(midi)).encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_frame_is_never_whole_and_an_oversized_one_claims_too_much() {
        let mut chance = Chance::new(1);
        for number in 0..200 {
            let bytes = Kind::Truncated.bytes(number, &mut chance);
            // The mask's four bytes are missing from what a server would send, so that a whole frame is longer.
            assert!(!bytes.is_empty() && bytes.len() < 106);
            assert_eq!(frame::first(&Kind::Oversized.bytes(number, &mut chance)), None);
        }
    }

    #[test]
    fn a_note_off_flood_is_as_long_as_a_message_may_be() {
        use pianorhythm_server::protocol::midi::MAX_EVENTS;
        let frame = Kind::NoteOffFlood.bytes(0, &mut Chance::new(1));
        assert!(frame.len() > MAX_EVENTS * 4 && frame.len() < MAX_EVENTS * 4 + 64);
    }
}
