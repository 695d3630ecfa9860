//! What was heard in a room, to parts and figures; pure.

use std::collections::BTreeMap;

use pianorhythm_client::protocol::{
    midi::{ChannelMessage, Events},
    time::Timestamp,
    wire::{Gap, MidiMessage},
};
use serde::Serialize;

use crate::{
    part::{Held, Part, PartEvent, is_note},
    percentiles::Percentiles,
};

/// A recording takes no more events than this, about 160 MB of memory; hours of the densest playing.
pub const MAX_EVENTS: usize = 5_000_000;

/// What the participants of a room have played so far.
#[derive(Debug, Default)]
pub struct Recording {
    players: BTreeMap<u32, Player>,
    events: usize,
    /// For each message, its arrival minus its timestamp, in microseconds.
    after_timestamp_us: Vec<i64>,
    /// For each event, its arrival minus the moment it is due.
    after_due_us: Vec<i64>,
    unreadable: u64,
}

#[derive(Debug, Default)]
struct Player {
    name: String,
    /// Server time in milliseconds; never goes back.
    events: Vec<(i64, ChannelMessage)>,
    held: Held,
    next_sequence: Option<u32>,
    messages: u64,
    gaps: u64,
    sequence_errors: u64,
    turned_back: u64,
    left_sounding: usize,
}

/// What a message brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Keys pressed.
    pub note_ons: usize,
    /// Keys pressed or released.
    pub notes: usize,
}

/// The figures of a recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Those who played, in order of their numbers.
    pub participants: Vec<ParticipantSummary>,
    /// From the first note to the last event.
    pub duration_ms: u64,
    /// Messages received.
    pub messages: u64,
    /// Keys pressed.
    pub note_ons: u64,
    /// How long after a message's timestamp it arrived.
    pub arrival_after_timestamp: Percentiles,
    /// How long after an event was due it arrived; below 0 for those sent ahead.
    pub arrival_after_due: Percentiles,
    /// How often the server said that messages were lost on the way to this recorder.
    pub gaps: u64,
    /// Messages whose sequence number was not one above that of the message before, where no gap was announced.
    pub sequence_errors: u64,
    /// Events whose time lay before that of the event before; they were written at that one's time.
    pub turned_back: u64,
    /// Messages that were not MIDI.
    pub unreadable: u64,
    /// Keys that nobody had released when their player left, or when the recording ended.
    pub still_sounding: usize,
}

/// The figures of one player.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParticipantSummary {
    /// Its number in the room.
    pub participant: u32,
    /// Its name, the newest.
    pub name: String,
    /// Messages received.
    pub messages: u64,
    /// Keys pressed.
    pub note_ons: u64,
    /// Keys released.
    pub note_offs: u64,
    /// Controllers, programs, pressure and the like.
    pub others: u64,
}

impl Recording {
    /// A recording of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a participant's name; the newest holds.
    pub fn name(&mut self, participant: u32, name: &str) {
        name.clone_into(&mut self.players.entry(participant).or_default().name);
    }

    /// Takes a message. `received_at` is when it came, in server time.
    pub fn hear(&mut self, midi: &MidiMessage, received_at: Timestamp) -> Heard {
        let player = self.players.entry(midi.participant).or_default();
        player.messages += 1;
        player.sequence_errors += u64::from(player.next_sequence.is_some_and(|due| due != midi.sequence));
        player.next_sequence = Some(midi.sequence.wrapping_add(1));
        let mut heard = Heard { note_ons: 0, notes: 0 };
        let Ok(events) = Events::parse(&midi.midi_data) else {
            self.unreadable += 1;
            return heard;
        };
        let late_us = |due_ms: i64| (received_at.as_us() as i64).saturating_sub(due_ms.saturating_mul(1000));
        self.after_timestamp_us.push(late_us(midi.timestamp));
        let mut due_ms = midi.timestamp;
        for event in events {
            due_ms = due_ms.saturating_add(event.delta_ms.into());
            self.after_due_us.push(late_us(due_ms));
            self.events += 1;
            player.push(due_ms, event.message);
            heard.note_ons += usize::from(event.message.is_note_on());
            heard.notes += usize::from(is_note(event.message));
        }
        heard
    }

    /// Messages of a participant were lost on the way here: what it holds is released, since its releases may be among them.
    pub fn gap(&mut self, gap: &Gap, at: Timestamp) {
        let player = self.players.entry(gap.participant).or_default();
        player.gaps += 1;
        player.next_sequence = Some(gap.next_sequence);
        player.release(at);
    }

    /// A participant has left. The room has released what it held; where not, that is counted and done here.
    pub fn left(&mut self, participant: u32, at: Timestamp) {
        if let Some(player) = self.players.get_mut(&participant) {
            player.left_sounding += player.release(at);
        }
    }

    /// Whether no more is taken.
    pub fn is_full(&self) -> bool {
        self.events >= MAX_EVENTS
    }

    /// The parts of those who played, in order of their numbers, and the figures. Times count from the first note; what
    /// came before it stands at 0. What still sounds is released at `ended_at`.
    pub fn finish(mut self, ended_at: Timestamp) -> (Vec<Part>, Summary) {
        for player in self.players.values_mut() {
            player.left_sounding += player.release(ended_at);
        }
        self.players.retain(|_, player| !player.events.is_empty());
        let events = || self.players.values().flat_map(|player| &player.events);
        let first_note = events().filter(|(_, message)| message.is_note_on()).map(|(ms, _)| *ms).min();
        let origin = first_note.or_else(|| events().map(|(ms, _)| *ms).min()).unwrap_or(0);
        let end = events().map(|(ms, _)| *ms).max().unwrap_or(origin);
        let mut summary = Summary {
            duration_ms: end.saturating_sub(origin).max(0) as u64,
            arrival_after_timestamp: Percentiles::of_us(self.after_timestamp_us),
            arrival_after_due: Percentiles::of_us(self.after_due_us),
            unreadable: self.unreadable,
            ..Summary::default()
        };
        for (&participant, player) in &self.players {
            summary.messages += player.messages;
            summary.gaps += player.gaps;
            summary.sequence_errors += player.sequence_errors;
            summary.turned_back += player.turned_back;
            summary.still_sounding += player.left_sounding;
            let count = |of: fn(ChannelMessage) -> bool| player.events.iter().filter(|(_, m)| of(*m)).count() as u64;
            let figures = ParticipantSummary {
                participant,
                name: player.shown_name(participant),
                messages: player.messages,
                note_ons: count(ChannelMessage::is_note_on),
                note_offs: count(ChannelMessage::is_note_off),
                others: count(|message| !is_note(message)),
            };
            summary.note_ons += figures.note_ons;
            summary.participants.push(figures);
        }
        let parts = self.players.iter().map(|(&participant, player)| Part {
            name: player.shown_name(participant),
            events: player.events.iter().map(|&(ms, message)| event_at(ms.saturating_sub(origin), message)).collect(),
        });
        (parts.collect(), summary)
    }
}

fn event_at(ms: i64, message: ChannelMessage) -> PartEvent {
    PartEvent { at_us: u64::try_from(ms).unwrap_or(0).saturating_mul(1000), message }
}

impl Player {
    fn shown_name(&self, participant: u32) -> String {
        if self.name.is_empty() { format!("Participant {participant}") } else { self.name.clone() }
    }

    fn push(&mut self, ms: i64, message: ChannelMessage) {
        let last = self.events.last().map_or(ms, |(last, _)| *last);
        self.turned_back += u64::from(ms < last);
        self.held.follow(message);
        self.events.push((ms.max(last), message));
    }

    /// Releases what is held and returns how many keys that were.
    fn release(&mut self, at: Timestamp) -> usize {
        let held = self.held.len();
        let last = self.events.last().map_or(i64::MIN, |(last, _)| *last);
        let ms = at.as_ms().max(last);
        self.events.extend(self.held.release().map(|message| (ms, message)));
        held
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_client::protocol::midi::MidiWriter;

    use super::*;

    const START_MS: i64 = 1_700_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms((START_MS + ms) as u64)
    }

    fn message(participant: u32, sequence: u32, ms: i64, events: &[(u32, ChannelMessage)]) -> MidiMessage {
        let mut notes = MidiWriter::new();
        for &(delta_ms, event) in events {
            notes.push(delta_ms, event).unwrap();
        }
        let midi_data = notes.into_bytes();
        MidiMessage { midi_data, timestamp: START_MS + ms, participant, sequence, ..MidiMessage::default() }
    }

    fn on(key: u8) -> ChannelMessage {
        ChannelMessage::note_on(0, key, 90)
    }

    fn off(key: u8) -> ChannelMessage {
        ChannelMessage::note_off(0, key, 0)
    }

    fn times(part: &Part) -> Vec<u64> {
        part.events.iter().map(|event| event.at_us / 1000).collect()
    }

    #[test]
    fn parts_come_in_order_of_numbers_with_times_from_the_first_note() {
        let mut recording = Recording::new();
        recording.name(1, "recorder");
        recording.name(3, "Viola");
        recording.name(2, "Violin");
        recording.hear(&message(3, 9, 0, &[(0, ChannelMessage::program(0, 41))]), at(1));
        recording.hear(&message(3, 10, 30, &[(0, on(50)), (20, off(50))]), at(34));
        assert_eq!(
            recording.hear(&message(2, 1, 20, &[(0, on(60)), (5, off(60))]), at(22)),
            Heard { note_ons: 1, notes: 2 }
        );
        let (parts, summary) = recording.finish(at(99));
        assert_eq!(parts.iter().map(|part| &part.name[..]).collect::<Vec<_>>(), ["Violin", "Viola"]);
        assert_eq!(times(&parts[0]), [0, 5]);
        assert_eq!(times(&parts[1]), [0, 10, 30]);
        assert_eq!((summary.messages, summary.note_ons, summary.duration_ms), (3, 2, 30));
        assert_eq!((summary.still_sounding, summary.sequence_errors, summary.gaps), (0, 0, 0));
        assert_eq!(summary.arrival_after_timestamp, Percentiles { p50_ms: 2.0, p99_ms: 4.0, max_ms: 4.0 });
        assert_eq!(summary.arrival_after_due.max_ms, 4.0);
        assert_eq!(summary.participants[1].others, 1);
    }

    #[test]
    fn what_sounds_at_the_end_is_counted_and_released_then() {
        let mut recording = Recording::new();
        recording.hear(&message(1, 1, 0, &[(0, on(60)), (0, on(64))]), at(0));
        recording.hear(&message(2, 1, 10, &[(0, on(67))]), at(10));
        recording.left(2, at(500));
        let (parts, summary) = recording.finish(at(2000));
        assert_eq!(summary.still_sounding, 3);
        assert_eq!(times(&parts[0]), [0, 0, 2000, 2000]);
        assert_eq!(times(&parts[1]), [10, 500]);
        assert_eq!(parts[1].name, "Participant 2");
    }

    #[test]
    fn a_gap_releases_and_the_sequence_goes_on_from_where_it_says() {
        let mut recording = Recording::new();
        recording.hear(&message(1, 1, 0, &[(0, on(60))]), at(0));
        recording.gap(&Gap { participant: 1, next_sequence: 7 }, at(40));
        recording.hear(&message(1, 7, 50, &[(0, on(62))]), at(50));
        recording.hear(&message(1, 9, 60, &[(0, off(62))]), at(60));
        let (parts, summary) = recording.finish(at(70));
        assert_eq!((summary.gaps, summary.sequence_errors, summary.still_sounding), (1, 1, 0));
        assert_eq!(times(&parts[0]), [0, 40, 50, 60]);
    }

    #[test]
    fn order_is_kept_where_a_clock_turns_back() {
        let mut recording = Recording::new();
        recording.hear(&message(1, 1, 20, &[(0, on(60))]), at(20));
        recording.hear(&message(1, 2, 10, &[(0, off(60)), (15, on(60))]), at(21));
        let (parts, summary) = recording.finish(at(30));
        assert_eq!(summary.turned_back, 1);
        assert_eq!(times(&parts[0]), [0, 0, 5, 10]);
    }

    #[test]
    fn what_is_not_midi_is_counted() {
        let mut recording = Recording::new();
        let broken = MidiMessage { midi_data: vec![0x00, 0xF0].into(), participant: 1, ..MidiMessage::default() };
        assert_eq!(recording.hear(&broken, at(0)).notes, 0);
        let (parts, summary) = recording.finish(at(0));
        assert!(parts.is_empty());
        assert_eq!(summary.unreadable, 1);
    }
}
