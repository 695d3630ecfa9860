//! What is played: which note is which, and when it is due. Known to players and listeners alike, so that a listener can
//! tell of each note that comes whether it is the right one, and how late.

use std::time::Duration;

/// A piece for so many rooms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Rooms.
    pub rooms: usize,
    /// Those who play in each room.
    pub players: usize,
    /// Those who only listen, in each room.
    pub listeners: usize,
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

    /// Players and listeners of a room.
    pub fn members(&self) -> usize {
        self.players + self.listeners
    }

    /// Everybody.
    pub fn seats(&self) -> usize {
        self.rooms * self.members()
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

    /// A note as it travels, in `midi_data`: a press where its number is even, then the release of the same key.
    pub fn note(note: usize) -> [u8; 4] {
        let key = 21 + (note / 2 % 88) as u8;
        match note % 2 {
            0 => [0, 0x90, key, 1 + (note / 2 % 127) as u8],
            _ => [0, 0x80, key, 64],
        }
    }

    /// How many notes arrive altogether where none is lost.
    pub fn deliveries(&self) -> u64 {
        (self.musicians() * self.members().saturating_sub(1) * self.notes) as u64
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_server::protocol::midi::{ChannelMessage, MidiWriter};

    use super::*;

    const SCORE: Score = Score { rooms: 3, players: 2, listeners: 4, rate: 5.0, notes: 10 };

    #[test]
    fn the_notes_are_presses_and_releases_of_the_protocol() {
        for note in 0..1000 {
            let mut midi = MidiWriter::with_capacity(4);
            let key = 21 + (note / 2 % 88) as u8;
            let message = match note % 2 {
                0 => ChannelMessage::note_on(0, key, 1 + (note / 2 % 127) as u8),
                _ => ChannelMessage::note_off(0, key, 64),
            };
            midi.push(0, message).unwrap();
            assert_eq!(Score::note(note)[..], midi.into_bytes()[..]);
        }
    }

    #[test]
    fn a_round_is_in_the_order_of_what_is_due_and_evenly_spread() {
        let due: Vec<_> = (0..2)
            .flat_map(|note| SCORE.round().map(move |(room, player)| SCORE.due(room, player, note).as_micros()))
            .collect();
        assert_eq!(due.len(), 12);
        assert!(due.is_sorted(), "{due:?}");
        assert!(due.windows(2).all(|pair| (33_332..=33_334).contains(&(pair[1] - pair[0]))), "{due:?}");
    }

    #[test]
    fn everybody_else_in_the_room_hears_a_note() {
        assert_eq!(SCORE.deliveries(), 3 * 2 * 5 * 10);
        assert_eq!(Score { players: 1, listeners: 0, ..SCORE }.deliveries(), 0);
    }
}
