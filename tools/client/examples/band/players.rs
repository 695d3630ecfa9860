//! Those who play: one thread that sends every note when it is due, whether the server keeps up or not.

use std::{
    io::{self, Write as _},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use pianorhythm_client::protocol::wire::{MidiMessage, server_message::Message};

use crate::{
    connection,
    process::Sample,
    score::{Score, new_histogram},
};

/// How it went.
pub struct Played {
    /// From the moment a note was due to the moment it was sent, in microseconds: the band's own share of the latency.
    pub lateness: Histogram<u64>,
    /// Notes that a socket did not take whole.
    pub unsent: u64,
    /// Looks at the processes that are watched: when timing began and when the last note was sent.
    pub watched: Vec<(Sample, Sample)>,
}

/// Plays the whole score. `streams` are by room and player; `server_us` gives the server's time.
pub fn play(
    score: Score,
    streams: &[Vec<Arc<TcpStream>>],
    began: Instant,
    timed_from: Duration,
    watch: &[u32],
    server_us: impl Fn(Instant) -> i64,
) -> io::Result<Played> {
    let look = || watch.iter().map(|pid| Sample::of(*pid)).collect::<io::Result<Vec<_>>>();
    let mut lateness = new_histogram();
    let (mut unsent, mut first) = (0, None);
    for note in 0..score.notes {
        let midi_data = Score::note(note);
        for (room, player) in score.round() {
            let due = score.due(room, player, note);
            if due >= timed_from && first.is_none() {
                first = Some(look()?);
            }
            let at = began + due;
            if let Some(left) = at.checked_duration_since(Instant::now()) {
                thread::sleep(left);
            }
            let timestamp = server_us(at) / 1000;
            let midi = MidiMessage { midi_data: midi_data.clone(), timestamp, ..MidiMessage::default() };
            let frame = connection::message(Message::MidiMessage(midi));
            let sent = (&*streams[room][player]).write(&frame);
            unsent += u64::from(sent.ok() != Some(frame.len()));
            if due >= timed_from {
                let late = Instant::now().saturating_duration_since(at);
                lateness.saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
            }
        }
    }
    let last = look()?;
    let watched = first.unwrap_or_else(|| last.clone()).into_iter().zip(last).collect();
    Ok(Played { lateness, unsent, watched })
}
