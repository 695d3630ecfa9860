//! The command line: what can be said, and what it means.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use pianorhythm_client::protocol::codec::Format;
use pianorhythm_player::place::Place;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    not done, or not wholly: what went wrong is on standard error
  2    the command line is wrong
  130  `play` was interrupted";

const EXAMPLES: &str = "\
Examples:
  player listen --room jam
  player play prelude.mid --room jam
  player play quartet.mid --room jam --each-track --speed 1.5
  player record --room jam --out jam.mid --idle 10
  player compare quartet.mid jam.mid --speed 1.5";

/// Plays MIDI files into rooms of a PianoRhythm server, records rooms to MIDI files, and tells what happens in them.
#[derive(Debug, Parser)]
#[command(name = "player", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a MIDI file into a room
    ///
    /// All channel messages are played: notes, pedals, programs, bends, pressure. The file's tempo is followed. Where
    /// the file is denser than a room's quota allows by default and the room has to be made, dense playing is allowed in it.
    /// Notes that the room refuses all the same are an error.
    #[command(after_help = "\
Examples:
  player play prelude.mid --room jam
  player play quartet.mid --room jam --each-track            one player a track, named after it
  player play etude.mid --room jam --speed 0.5               at half speed
  player play duo.mid --room jam --url ws://piano.example:8080")]
    Play(PlayArgs),
    /// Record a room to a MIDI file
    ///
    /// One track a participant who plays, in order of their numbers, named after them. Times are those of the notes'
    /// timestamps, from the first note on; what happens to them on the network is not in the file. It ends at ctrl-c,
    /// SIGTERM, after --idle, or with the connection, and writes the file each time.
    #[command(after_help = "\
Examples:
  player record --room jam --out jam.mid                     until ctrl-c
  player record --room jam --out jam.mid --idle 10           until nobody has played for 10 s
  player record --room jam --out jam.mid --stats jam.json    with figures of how the notes arrived")]
    Record(RecordArgs),
    /// Tell what happens in a room, a line each, until ctrl-c
    #[command(after_help = "\
Examples:
  player listen --room jam
  player listen --room jam --json | jq 'select(.type == \"note_on\") | .note'")]
    Listen(ListenArgs),
    /// Compare a recording with the file that was played
    ///
    /// Every note-on and note-off has to be there, on the right track, in order. Tells how far their times are off after
    /// the constant offset is removed. Exit code 1: notes differ.
    #[command(after_help = "\
Examples:
  player compare quartet.mid recorded.mid                    played with --each-track
  player compare prelude.mid recorded.mid --merged           played without
  player compare quartet.mid recorded.mid --speed 4")]
    Compare(CompareArgs),
}

/// Where to go.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The room's name; it is made where there is none of it
    #[arg(long, value_name = "NAME")]
    pub room: String,
    /// The server's address
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080/api/websocket")]
    pub url: String,
    /// The room's password
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "PIANORHYTHM_ROOM_PASSWORD",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    pub password: String,
    /// An access token, to come with an account and not as a guest
    #[arg(long, value_name = "TOKEN", env = "PIANORHYTHM_ACCESS_TOKEN", hide_env_values = true)]
    pub access_token: Option<String>,
    /// What to speak on the wire; both do the same
    #[arg(long, value_name = "FORMAT", default_value = "protobuf")]
    pub subprotocol: Subprotocol,
    /// If the room has to be made: allow dense playing in it
    #[arg(long)]
    pub dense: bool,
}

/// The subprotocols, by their short names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subprotocol {
    /// Binary frames of protobuf
    Protobuf,
    /// Text frames of JSON
    Json,
}

impl PlaceArgs {
    /// The place these arguments name.
    pub fn place(&self) -> Place {
        Place {
            url: self.url.clone(),
            room: self.room.clone(),
            password: self.password.clone(),
            format: match self.subprotocol {
                Subprotocol::Protobuf => Format::Protobuf,
                Subprotocol::Json => Format::Json,
            },
            access_token: self.access_token.clone(),
            dense: self.dense,
        }
    }
}

/// What `play` takes.
#[derive(Debug, Args)]
pub struct PlayArgs {
    /// The file: a Standard MIDI File of format 0 or 1
    #[arg(value_name = "FILE.mid")]
    pub file: PathBuf,
    #[command(flatten)]
    pub place: PlaceArgs,
    /// One player a track that has notes, named after the track
    #[arg(long)]
    pub each_track: bool,
    /// How fast: 2 is twice as fast
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// The player's name, without --each-track; the file's where it is not given
    #[arg(long, value_name = "NAME", conflicts_with = "each_track")]
    pub name: Option<String>,
}

/// What `record` takes.
#[derive(Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The file to write; one of that name is replaced when the recording is whole
    #[arg(long, value_name = "OUT.mid")]
    pub out: PathBuf,
    /// End so long after the last note
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub idle: Option<Duration>,
    /// Write the figures there, as JSON
    #[arg(long, value_name = "FILE.json")]
    pub stats: Option<PathBuf>,
    /// The recorder's name in the room
    #[arg(long, value_name = "NAME", default_value = "recorder")]
    pub name: String,
}

/// What `listen` takes.
#[derive(Debug, Args)]
pub struct ListenArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// One JSON object a line, for programs; MIDI channels count from 0 in it
    #[arg(long)]
    pub json: bool,
    /// The listener's name in the room
    #[arg(long, value_name = "NAME", default_value = "listener")]
    pub name: String,
}

/// What `compare` takes.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What was played
    #[arg(value_name = "FILE.mid")]
    pub file: PathBuf,
    /// What was recorded
    #[arg(value_name = "RECORDED.mid")]
    pub recorded: PathBuf,
    /// The speed it was played at
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    pub speed: f64,
    /// It was played without --each-track: all tracks as one
    #[arg(long)]
    pub merged: bool,
    /// The comparison as JSON
    #[arg(long)]
    pub json: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=100.0).contains(&speed) { Ok(speed) } else { Err("choose one from 0.01 to 100".to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    // A year: what is longer would be forever.
    if (0.1..=31_536_000.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("choose 0.1 or more".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for text in ["0", "-1", "NaN", "inf", "fast", "101"] {
            assert!(speed(text).is_err(), "{text}");
        }
        assert_eq!(speed("0.5"), Ok(0.5));
        assert!(seconds("0").is_err() && seconds("inf").is_err());
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
    }
}
