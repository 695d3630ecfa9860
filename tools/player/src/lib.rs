//! Plays MIDI files into rooms, records rooms to MIDI files, and tells what happens in them: the `player` command,
//! and the same for tests and other programs.
//!
//! Pure: `part` (one player's events), `smf` (files to parts and back), `schedule` (a part to messages with due times),
//! `recording` (messages to parts and figures), `compare` (a recording against its piece), `text` (events in words).
//! With I/O: `place` (connecting and entering), `play`, `record`, `listen`, `out_file`. `main.rs` and `cli.rs` are the command.

pub mod compare;
pub mod listen;
pub mod out_file;
pub mod part;
pub mod percentiles;
pub mod place;
pub mod play;
pub mod record;
pub mod recording;
pub mod schedule;
pub mod smf;
pub mod text;
