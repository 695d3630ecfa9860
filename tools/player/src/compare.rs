//! A recording against the piece that was played; pure.

use std::{collections::HashMap, fmt};

use pianorhythm_client::protocol::midi::ChannelMessage;
use serde::Serialize;

use crate::{
    part::{Held, Part, PartEvent, display_name},
    percentiles::Percentiles,
};

/// How far a recording is from its piece.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The parts that have notes, in order.
    pub parts: Vec<PartComparison>,
    /// What is subtracted from every recorded time: the median of all note-ons' differences.
    pub offset_ms: f64,
    /// How far the note-ons are off, after that.
    pub onset_error: Percentiles,
    /// How far the note-offs are off, after that.
    pub release_error: Percentiles,
    /// Parts with notes that the piece has and the recording has not, by name.
    pub missing_parts: Vec<String>,
    /// Parts with notes that the recording has beyond those of the piece, by name.
    pub extra_parts: Vec<String>,
}

/// How far one recorded part is from the piece's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartComparison {
    /// Its name in the piece, as a room shows it.
    pub name: String,
    /// Its name in the recording.
    pub recorded_name: String,
    /// Note-ons and note-offs of the piece.
    pub notes: usize,
    /// Those of them that the recording has not.
    pub missing: usize,
    /// Those of the recording that the piece has not; releases at the end of keys that the piece leaves down do not count.
    pub extra: usize,
    /// Where the two first differ, in words.
    pub first_difference: Option<String>,
}

impl Comparison {
    /// Every note on its track, in order, and nothing else. Says nothing about times.
    pub fn is_complete(&self) -> bool {
        self.missing_parts.is_empty()
            && self.extra_parts.is_empty()
            && self.parts.iter().all(PartComparison::is_complete)
    }
}

impl PartComparison {
    fn is_complete(&self) -> bool {
        self.first_difference.is_none() && self.name == self.recorded_name
    }
}

/// Compares note for note: the piece's parts that have notes with the recording's, first with first. `speed` is what
/// it was played at. A note-on of velocity 0 is a note-off; velocities count.
pub fn compare(piece: &[Part], recorded: &[Part], speed: f64) -> Comparison {
    let with_notes = |parts: &[Part]| -> Vec<(String, Vec<PartEvent>)> {
        let notes = parts.iter().map(|part| (display_name(&part.name), part.notes().collect::<Vec<_>>()));
        notes.filter(|(_, notes)| !notes.is_empty()).collect()
    };
    let (piece, recorded) = (with_notes(piece), with_notes(recorded));
    let mut differences = Differences { onsets_us: Vec::new(), releases_us: Vec::new(), speed };
    let pairs = piece.iter().zip(&recorded);
    let parts = pairs.map(|((name, due), (recorded_name, heard))| PartComparison {
        name: name.clone(),
        recorded_name: recorded_name.clone(),
        ..compare_notes(due, heard, &mut differences)
    });
    let parts = parts.collect();
    let names = |parts: &[(String, Vec<PartEvent>)], from: usize| -> Vec<String> {
        parts.iter().skip(from).map(|(name, _)| name.clone()).collect()
    };
    let offset_us = median(&differences.onsets_us);
    let errors = |us: Vec<i64>| Percentiles::of_us(us.into_iter().map(|us| (us - offset_us).abs()).collect());
    Comparison {
        parts,
        offset_ms: offset_us as f64 / 1000.0,
        onset_error: errors(differences.onsets_us),
        release_error: errors(differences.releases_us),
        missing_parts: names(&piece, recorded.len()),
        extra_parts: names(&recorded, piece.len()),
    }
}

/// Recorded minus due, for each note that both have.
struct Differences {
    onsets_us: Vec<i64>,
    releases_us: Vec<i64>,
    speed: f64,
}

fn compare_notes(due: &[PartEvent], heard: &[PartEvent], differences: &mut Differences) -> PartComparison {
    let same = |(a, b): &(&PartEvent, &PartEvent)| sounding(a.message) == sounding(b.message);
    let matching = due.iter().zip(heard).take_while(same).count();
    let mut held = Held::default();
    for (due, heard) in due.iter().zip(heard).take(matching) {
        let difference = heard.at_us as i64 - (due.at_us as f64 / differences.speed) as i64;
        let kind = if due.message.is_note_on() { &mut differences.onsets_us } else { &mut differences.releases_us };
        kind.push(difference);
        held.follow(due.message);
    }
    let mut rest = &heard[matching..];
    if matching == due.len() {
        // The room releases what a player holds when it leaves.
        while let Some((first, others)) = rest.split_first()
            && first.message.is_note_off()
            && held.follow(first.message)
        {
            rest = others;
        }
    }
    let (missing, extra) = surplus(&due[matching..], rest);
    let first_difference = (matching < due.len() || !rest.is_empty()).then(|| {
        let word = |event: Option<&PartEvent>| event.map_or("nothing".into(), describe);
        format!("note {}: due {}, heard {}", matching + 1, word(due.get(matching)), word(rest.first()))
    });
    PartComparison {
        name: String::new(),
        recorded_name: String::new(),
        notes: due.len(),
        missing,
        extra,
        first_difference,
    }
}

/// How many of the first are not in the second, and the reverse, whatever their order.
fn surplus(due: &[PartEvent], heard: &[PartEvent]) -> (usize, usize) {
    let mut balance: HashMap<_, i64> = HashMap::new();
    for event in due {
        *balance.entry(sounding(event.message)).or_default() += 1;
    }
    for event in heard {
        *balance.entry(sounding(event.message)).or_default() -= 1;
    }
    let sum = |sign: i64| balance.values().map(|count| (count * sign).max(0) as usize).sum();
    (sum(1), sum(-1))
}

/// The two ways to write a note-off are one.
fn sounding(message: ChannelMessage) -> ChannelMessage {
    if message.is_note_on() || message.status() >> 4 == 0x8 {
        return message;
    }
    ChannelMessage::note_off(message.channel(), message.data()[0], 0)
}

fn describe(event: &PartEvent) -> String {
    let [key, velocity] = event.message.data();
    let kind = if event.message.is_note_on() { "on" } else { "off" };
    format!("{kind} key {key} velocity {velocity} channel {} at {} ms", event.message.channel() + 1, event.at_us / 1000)
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            write!(f, "{}: {} notes on and off", part.name, part.notes)?;
            match &part.first_difference {
                None => write!(f, ", all there, in order")?,
                Some(first) => write!(f, ", {} missing, {} extra; first at {first}", part.missing, part.extra)?,
            }
            if part.name != part.recorded_name {
                write!(f, "; recorded as \"{}\"", part.recorded_name)?;
            }
            writeln!(f)?;
        }
        for name in &self.missing_parts {
            writeln!(f, "{name}: not in the recording")?;
        }
        for name in &self.extra_parts {
            writeln!(f, "{name}: in the recording only")?;
        }
        writeln!(f, "onset errors after removing {:.2} ms: {}", self.offset_ms, self.onset_error)?;
        write!(f, "release errors: {}", self.release_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, events: &[(u64, ChannelMessage)]) -> Part {
        let events = events.iter().map(|&(ms, message)| PartEvent { at_us: ms * 1000, message });
        Part { name: name.into(), events: events.collect() }
    }

    fn on(key: u8) -> ChannelMessage {
        ChannelMessage::note_on(0, key, 90)
    }

    fn off(key: u8) -> ChannelMessage {
        ChannelMessage::note_off(0, key, 0)
    }

    #[test]
    fn the_constant_offset_is_removed_and_the_speed_applied() {
        let piece =
            [part("Piano", &[(1000, on(60)), (2000, off(60)), (3000, on(62)), (4000, on(64)), (5000, off(62))])];
        let recorded = [part("Piano", &[(7, on(60)), (507, off(60)), (1010, on(62)), (1507, on(64)), (2017, off(62))])];
        let result = compare(&piece, &recorded, 2.0);
        assert!(result.is_complete());
        assert_eq!(result.offset_ms, -493.0);
        assert_eq!(result.onset_error.max_ms, 3.0);
        assert_eq!(result.release_error.max_ms, 10.0);
    }

    #[test]
    fn missing_extra_and_swapped_notes_are_found_where_they_begin() {
        let piece = [part("Piano", &[(0, on(60)), (1, off(60)), (2, on(62)), (3, off(62))])];
        let lost = compare(&piece, &[part("Piano", &[(0, on(60)), (1, off(60)), (3, off(62))])], 1.0);
        assert_eq!((lost.parts[0].missing, lost.parts[0].extra, lost.is_complete()), (1, 0, false));
        assert!(lost.parts[0].first_difference.as_ref().unwrap().starts_with("note 3: due on key 62"));
        let swapped = compare(&piece, &[part("Piano", &[(0, on(60)), (2, on(62)), (2, off(60)), (3, off(62))])], 1.0);
        assert_eq!((swapped.parts[0].missing, swapped.parts[0].extra, swapped.is_complete()), (0, 0, false));
        let more = compare(
            &piece,
            &[part("Piano", &[(0, on(60)), (1, off(60)), (2, on(62)), (3, off(62)), (4, off(62))])],
            1.0,
        );
        assert_eq!((more.parts[0].missing, more.parts[0].extra, more.is_complete()), (0, 1, false));
    }

    #[test]
    fn the_rooms_releases_of_what_the_piece_leaves_down_are_no_difference() {
        let piece = [part("Piano", &[(0, on(60)), (1, on(64))])];
        assert!(
            compare(&piece, &[part("Piano", &[(0, on(60)), (1, on(64)), (9, off(60)), (9, off(64))])], 1.0)
                .is_complete()
        );
        assert!(!compare(&piece, &[part("Piano", &[(0, on(60)), (1, on(64)), (9, off(61))])], 1.0).is_complete());
    }

    #[test]
    fn parts_are_compared_in_order_and_by_name() {
        let piece = [part("Tempo", &[]), part("Violin", &[(0, on(60))]), part("Viola", &[(0, on(50))])];
        let swapped = compare(&piece, &[part("Viola", &[(0, on(50))]), part("Violin", &[(0, on(60))])], 1.0);
        assert!(!swapped.is_complete());
        let renamed = compare(&piece, &[part("Violin", &[(0, on(60))]), part("Cello", &[(0, on(50))])], 1.0);
        assert!(!renamed.is_complete());
        let fewer = compare(&piece, &[part("Violin", &[(0, on(60))])], 1.0);
        assert_eq!(fewer.missing_parts, ["Viola"]);
        let more = compare(&piece[..2], &[part("Violin", &[(0, on(60))]), part("Viola", &[(0, on(50))])], 1.0);
        assert_eq!(more.extra_parts, ["Viola"]);
    }

    #[test]
    fn a_note_on_of_no_velocity_is_a_note_off() {
        let piece = [part("Piano", &[(0, on(60)), (1, ChannelMessage::note_on(0, 60, 0))])];
        assert!(compare(&piece, &[part("Piano", &[(0, on(60)), (1, off(60))])], 1.0).is_complete());
    }
}
