//! Standard MIDI Files to parts and back; pure.

use std::borrow::Cow;

use midly::{
    Format, Fps, Header, MetaMessage, MidiMessage, PitchBend, Smf, Timing, Track, TrackEvent, TrackEventKind,
    num::{u14, u15, u24, u28},
};
use pianorhythm_client::protocol::midi::{ChannelMessage, MessageKind};

use crate::part::{Part, PartEvent, display_name};

/// 120 quarters a minute: what a file without a tempo has, and what is written.
const DEFAULT_TEMPO_US: u32 = 500_000;
/// With the tempo above a tick is one millisecond, the unit of the protocol, so that no time is rounded.
const TICKS_A_QUARTER: u16 = 500;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SmfError {
    /// Not a Standard MIDI File, or a broken one.
    #[error("not a Standard MIDI File: {0}")]
    Broken(#[from] midly::Error),
    /// Format 2: its tracks are pieces of their own.
    #[error("a file of format 2 holds several pieces, not several parts of one: split it into files of format 0 or 1")]
    Sequential,
    /// Its header says that a quarter note or a frame has no ticks, or gives no frame rate there is.
    #[error("the file's header gives no valid unit of time")]
    NoTicks,
}

/// Reads a file: one part a track that has channel messages, in the order of the tracks, named after them
/// (`Track N`, counted from 1, where the track has no name). System exclusive and meta events are left out.
pub fn read(bytes: &[u8]) -> Result<Vec<Part>, SmfError> {
    // A frame rate of -128: where overflow is checked, the parser panics over it.
    if bytes.windows(13).any(|window| window.starts_with(b"MThd") && window[12] == 0x80) {
        return Err(SmfError::NoTicks);
    }
    let smf = Smf::parse(bytes)?;
    if smf.header.format == Format::Sequential {
        return Err(SmfError::Sequential);
    }
    let tempo = TempoMap::new(&smf)?;
    let parts = smf.tracks.iter().enumerate().map(|(index, track)| read_track(index, track, &tempo));
    Ok(parts.filter(|part| !part.events.is_empty()).collect())
}

fn read_track(index: usize, track: &Track, tempo: &TempoMap) -> Part {
    let mut name = String::new();
    let mut events = Vec::new();
    let mut cursor = tempo.cursor();
    let mut tick = 0;
    for event in track {
        tick += u64::from(event.delta.as_int());
        match event.kind {
            TrackEventKind::Midi { channel, message } => {
                events.push(PartEvent { at_us: cursor.at_us(tick), message: from_midly(channel.as_int(), message) });
            }
            TrackEventKind::Meta(MetaMessage::TrackName(text)) if name.is_empty() => {
                name = display_name(&decode_text(text));
            }
            _ => {}
        }
    }
    if name.is_empty() {
        name = format!("Track {}", index + 1);
    }
    Part { name, events }
}

/// Text in files has no stated encoding: UTF-8 where it is that, Latin-1 where not.
fn decode_text(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into(),
    }
}

/// From ticks to time. Exact: what is summed up are ticks times microseconds, divided once.
struct TempoMap {
    /// Where a tempo begins, the ticks times microseconds before it, and the tempo; the first is at tick 0.
    segments: Vec<(u64, u128, u128)>,
    divisor: u128,
}

impl TempoMap {
    fn new(smf: &Smf) -> Result<Self, SmfError> {
        let (tempo, divisor, changes) = match smf.header.timing {
            Timing::Metrical(ticks) => (DEFAULT_TEMPO_US.into(), u128::from(ticks.as_int()), tempo_changes(smf)),
            // A tick is a fixed part of a second; tempo events mean nothing then.
            Timing::Timecode(fps, ticks) => {
                let (seconds, frames) = if fps == Fps::Fps29 { (1001, 30_000) } else { (1, u128::from(fps.as_int())) };
                (seconds * 1_000_000, frames * u128::from(ticks), Vec::new())
            }
        };
        if divisor == 0 {
            return Err(SmfError::NoTicks);
        }
        let mut segments = vec![(0, 0, tempo)];
        for (tick, tempo) in changes {
            let (since, before, previous) = *segments.last().expect("never empty");
            segments.push((tick, before + u128::from(tick - since) * previous, tempo));
        }
        Ok(Self { segments, divisor })
    }

    fn cursor(&self) -> TempoCursor<'_> {
        TempoCursor { map: self, segment: 0 }
    }
}

/// All tempo events in order of time. They belong into the first track, but some files have them elsewhere.
fn tempo_changes(smf: &Smf) -> Vec<(u64, u128)> {
    let mut changes = Vec::new();
    for track in &smf.tracks {
        let mut tick = 0;
        for event in track {
            tick += u64::from(event.delta.as_int());
            if let TrackEventKind::Meta(MetaMessage::Tempo(tempo)) = event.kind {
                changes.push((tick, u128::from(tempo.as_int())));
            }
        }
    }
    changes.sort_by_key(|&(tick, _)| tick);
    changes
}

/// Walks along the tempo map as a track's ticks go up.
struct TempoCursor<'a> {
    map: &'a TempoMap,
    segment: usize,
}

impl TempoCursor<'_> {
    fn at_us(&mut self, tick: u64) -> u64 {
        while self.map.segments.get(self.segment + 1).is_some_and(|next| next.0 <= tick) {
            self.segment += 1;
        }
        let (since, before, tempo) = self.map.segments[self.segment];
        u64::try_from((before + u128::from(tick - since) * tempo) / self.map.divisor).unwrap_or(u64::MAX)
    }
}

/// Writes a file of format 1: the tempo, then one track a part. A tick is a millisecond; times are rounded to it.
pub fn write(parts: &[Part]) -> Vec<u8> {
    let mut smf = Smf::new(Header::new(Format::Parallel, Timing::Metrical(u15::new(TICKS_A_QUARTER))));
    let meta = |message| TrackEvent { delta: u28::new(0), kind: TrackEventKind::Meta(message) };
    smf.tracks.push(vec![meta(MetaMessage::Tempo(u24::new(DEFAULT_TEMPO_US))), meta(MetaMessage::EndOfTrack)]);
    for part in parts {
        let mut track = vec![meta(MetaMessage::TrackName(part.name.as_bytes()))];
        let mut now = 0;
        for event in &part.events {
            let tick = event.at_us.saturating_add(500) / 1000;
            // A pause of more than three days is cut to the longest that a file can hold.
            let delta = tick.saturating_sub(now).min(u28::max_value().as_int().into());
            now = now.max(tick);
            track.push(TrackEvent { delta: u28::new(delta as u32), kind: to_midly(event.message) });
        }
        track.push(meta(MetaMessage::EndOfTrack));
        smf.tracks.push(track);
    }
    let mut out = Vec::new();
    smf.write_std(&mut out).expect("a Vec takes any length");
    out
}

fn from_midly(channel: u8, message: MidiMessage) -> ChannelMessage {
    match message {
        MidiMessage::NoteOff { key, vel } => ChannelMessage::note_off(channel, key.as_int(), vel.as_int()),
        MidiMessage::NoteOn { key, vel } => ChannelMessage::note_on(channel, key.as_int(), vel.as_int()),
        MidiMessage::Aftertouch { key, vel } => ChannelMessage::poly_pressure(channel, key.as_int(), vel.as_int()),
        MidiMessage::Controller { controller, value } => {
            ChannelMessage::control(channel, controller.as_int(), value.as_int())
        }
        MidiMessage::ProgramChange { program } => ChannelMessage::program(channel, program.as_int()),
        MidiMessage::ChannelAftertouch { vel } => ChannelMessage::channel_pressure(channel, vel.as_int()),
        MidiMessage::PitchBend { bend } => ChannelMessage::pitch_bend(channel, bend.0.as_int()),
    }
}

fn to_midly(message: ChannelMessage) -> TrackEventKind<'static> {
    let [first, second] = message.data();
    let (key, value) = (first.into(), second.into());
    let channel = message.channel().into();
    let message = match message.kind() {
        MessageKind::NoteOff => MidiMessage::NoteOff { key, vel: value },
        MessageKind::NoteOn => MidiMessage::NoteOn { key, vel: value },
        MessageKind::PolyPressure => MidiMessage::Aftertouch { key, vel: value },
        MessageKind::Control => MidiMessage::Controller { controller: key, value },
        MessageKind::Program => MidiMessage::ProgramChange { program: key },
        MessageKind::ChannelPressure => MidiMessage::ChannelAftertouch { vel: key },
        MessageKind::PitchBend => {
            MidiMessage::PitchBend { bend: PitchBend(u14::new(u16::from(second) << 7 | u16::from(first))) }
        }
    };
    TrackEventKind::Midi { channel, message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&name[..], &(body.len() as u32).to_be_bytes(), body].concat()
    }

    /// A file from its header's three numbers and its tracks' bytes.
    fn file(format: u16, division: u16, tracks: &[&[u8]]) -> Vec<u8> {
        let header = [format, tracks.len() as u16, division].map(u16::to_be_bytes).concat();
        let mut bytes = chunk(b"MThd", &header);
        for track in tracks {
            bytes.extend(chunk(b"MTrk", track));
        }
        bytes
    }

    fn times(part: &Part) -> Vec<u64> {
        part.events.iter().map(|event| event.at_us).collect()
    }

    #[test]
    fn a_file_of_one_track_is_one_part_with_running_status_read() {
        let track = [0x00, 0x90, 60, 90, 0x60, 62, 90, 0x60, 60, 0, 0x00, 0xC1, 5, 0x00, 0xFF, 0x2F, 0x00];
        let parts = read(&file(0, 96, &[&track])).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].name, "Track 1");
        assert_eq!(times(&parts[0]), [0, 500_000, 1_000_000, 1_000_000]);
        assert_eq!(parts[0].events[1].message, ChannelMessage::note_on(0, 62, 90));
        assert_eq!(parts[0].events[2].message, ChannelMessage::note_on(0, 60, 0));
        assert_eq!(parts[0].events[3].message, ChannelMessage::program(1, 5));
    }

    #[test]
    fn the_tempo_of_any_track_holds_for_all() {
        // 120 to the minute for one quarter, then 60, and in the other track 240 from the third quarter on.
        let tempo = [0x60, 0xFF, 0x51, 0x03, 0x0F, 0x42, 0x40, 0x00, 0xFF, 0x2F, 0x00];
        let notes = [
            0x00, 0xFF, 0x03, 0x05, b'C', 0xE9, b'l', b'l', b'o', 0x60, 0x90, 60, 1, 0x60, 0x80, 60, 0, 0x00, 0xFF,
            0x51, 0x03, 0x03, 0xD0, 0x90, 0x60, 0x90, 61, 1, 0x00, 0xFF, 0x2F, 0x00,
        ];
        let parts = read(&file(1, 96, &[&tempo, &notes])).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].name, "Céllo");
        assert_eq!(times(&parts[0]), [500_000, 1_500_000, 1_750_000]);
    }

    #[test]
    fn frames_of_a_second_are_read_and_tempo_means_nothing_then() {
        let track = [0x00, 0xFF, 0x51, 0x03, 0x00, 0x00, 0x01, 0x64, 0x90, 60, 1, 0x00, 0xFF, 0x2F, 0x00];
        // 25 frames of 40 ticks: a tick is a millisecond.
        assert_eq!(times(&read(&file(0, 0xE728, &[&track])).unwrap()[0]), [100_000]);
        // 29.97 frames of 100 ticks, one frame long.
        assert_eq!(times(&read(&file(0, 0xE364, &[&track])).unwrap()[0]), [33_366]);
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_its_reason() {
        assert!(matches!(read(b"MP3"), Err(SmfError::Broken(_))));
        assert!(matches!(read(&file(2, 96, &[])), Err(SmfError::Sequential)));
        assert!(matches!(read(&file(1, 0, &[])), Err(SmfError::NoTicks)));
        assert!(matches!(read(&file(1, 0xE700, &[])), Err(SmfError::NoTicks)));
        assert!(matches!(read(&file(1, 0x8000, &[])), Err(SmfError::NoTicks)));
    }

    fn message() -> impl Strategy<Value = ChannelMessage> {
        (0x80u8..0xF0, 0u8..128, 0u8..128).prop_map(|(status, a, b)| ChannelMessage::new(status, a, b).unwrap())
    }

    fn part() -> impl Strategy<Value = Part> {
        let events = prop::collection::vec((0u64..100_000, message()), 1..50);
        ("[A-Za-z]{1,20}", events).prop_map(|(name, steps)| {
            let mut at_us = 0;
            let events = steps.into_iter().map(|(step_ms, message)| {
                at_us += step_ms * 1000;
                PartEvent { at_us, message }
            });
            Part { name, events: events.collect() }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(parts in prop::collection::vec(part(), 0..5)) {
            prop_assert_eq!(read(&write(&parts)).unwrap(), parts);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), division in any::<u16>()) {
            let _ = read(&bytes);
            bytes.truncate(100);
            let _ = read(&file(1, division, &[&bytes]));
        }
    }
}
