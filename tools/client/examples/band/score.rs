//! What is played: which note is which, and when it is due. Known to players and listeners alike, so that a listener can
//! tell of each note that comes whether it is the right one, and how late.

use std::time::Duration;

use bytes::Bytes;
use hdrhistogram::Histogram;
use pianorhythm_client::protocol::midi::{ChannelMessage, MidiWriter};

/// A piece for so many rooms of so many players.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Rooms.
    pub rooms: usize,
    /// Players in each.
    pub players: usize,
    /// Notes a second of each player: presses and releases by turns.
    pub rate: f64,
    /// Notes of each player.
    pub notes: usize,
}

impl Score {
    /// All players.
    pub fn musicians(&self) -> usize {
        self.rooms * self.players
    }

    /// When a player's note is due, from the beginning on. The players' notes are spread evenly over the time between two
    /// notes of one, and neighbours in time play in different rooms.
    pub fn due(&self, room: usize, player: usize, note: usize) -> Duration {
        let place = (player * self.rooms + room) as f64 / self.musicians() as f64;
        Duration::from_secs_f64((note as f64 + place) / self.rate)
    }

    /// The players in the order in which each round of notes is due: room and player.
    pub fn round(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self { rooms, players, .. } = *self;
        (0..players).flat_map(move |player| (0..rooms).map(move |room| (room, player)))
    }

    /// A note as it travels: a press where its number is even, then the release of the same key.
    pub fn note(note: usize) -> Bytes {
        let key = 21 + (note / 2 % 88) as u8;
        let message = match note % 2 {
            0 => ChannelMessage::note_on(0, key, 1 + (note / 2 % 127) as u8),
            _ => ChannelMessage::note_off(0, key, 64),
        };
        let mut midi = MidiWriter::with_capacity(4);
        midi.push(0, message).expect("one event fits");
        midi.into_bytes()
    }

    /// How many notes arrive altogether where none is lost.
    pub fn deliveries(&self) -> u64 {
        (self.musicians() * self.players.saturating_sub(1) * self.notes) as u64
    }
}

/// For microseconds up to a minute, to three digits; what is longer counts as a minute.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}
