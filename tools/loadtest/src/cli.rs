//! The command line: what can be said, and what it means.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};

use crate::{compare, floor, outcome::Outcome, report, scenario, summary};

const LONG_ABOUT: &str = "\
Loads a PianoRhythm server with players who check and time every note they hear.

The load is an open loop: each note is sent when it is due, whether the server keeps up or not, and latency counts from when \
it was due. Every note has a number: a run fails where one is lost, doubled, out of order or changed.

Start the server with `--config config/load.toml`, which lifts the limits that keep one address from taking so much, and \
give server and load different cores (taskset), or they measure each other.";

const EXAMPLES: &str = "\
Examples:
  taskset -c 0 pianorhythm-server --config config/load.toml &      prints its address
  taskset -c 1 loadtest band --pid $! --rooms 50 --members 20 --rate 5
  taskset -c 1 loadtest concert --pid $! --players 10 --listeners 990 --rate 20 --json concert.json
  taskset -c 0 loadtest floor --port 9000 &                        the least that a relay can cost,
  taskset -c 1 loadtest band --url ws://127.0.0.1:9000 --pid $!    measured alike

Exit codes:
  0  the run passed
  1  notes were lost, doubled or reordered, or something else was wrong: it is told
  2  the command line is wrong
  3  it could not be run: no server, no permission, no such file";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, about = "Loads a PianoRhythm server, and checks and times every note")]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Many rooms in which everybody plays
    #[command(after_help = "\
Examples:
  loadtest band                                                    50 rooms × 20 players × 5 notes/s: 95 000 deliveries/s
  loadtest band --rooms 20 --members 50 --rate 20                  980 000/s
  loadtest band --seconds 60 --pid 4711 --admin 127.0.0.1:9090 --json band.json")]
    Band(scenario::band::Band),
    /// One room with few players and many listeners
    Concert(scenario::concert::Concert),
    /// Connections that do nothing: what each costs in memory, and all together in processor time
    Idle(scenario::idle::Idle),
    /// A crowd that comes, goes and changes rooms across shards, beside a playing band
    Churn(scenario::churn::Churn),
    /// People who log in, beside a playing band
    ///
    /// Accounts are made first, by /api/auth/register; then they log in, by /api/auth/login, at a fixed rate and from many
    /// addresses of 127.0.0.0/8.
    LoginStorm(scenario::login_storm::LoginStorm),
    /// A crowd whose connections break and come back all at once, beside a playing band
    ReconnectStorm(scenario::reconnect_storm::ReconnectStorm),
    /// Members who do not read, in the rooms of a playing band
    SlowReaders(scenario::slow_readers::SlowReaders),
    /// Everything that a bad client can do, kind by kind, beside a playing band
    ///
    /// The band plays in quiet first, then beside each kind. Run it against a server with its own limits, not those of
    /// config/load.toml, which lifts what this is to try: the band comes from many addresses. Each kind comes from one, and is
    /// held back where that connects too often (HTTP 429) or too much (503): with CONNECT_RATE_PER_ADDRESS=unlimited all its
    /// frames arrive. A kind whose connections are neither answered nor closed with a code that fits fails the run.
    #[command(after_help = "\
Examples:
  loadtest hostile --pid 4711 --max-ratio 1.5 --report hostile.html
  loadtest hostile --kinds ping-flood,note-off-flood --seconds 60")]
    Hostile(scenario::hostile::Hostile),
    /// Run the floor: a plain relay without checks, the least that any server can cost
    ///
    /// An epoll loop on one thread, which passes each frame on to the other members of its room, and writes to each member
    /// once a loop turn. No limits, no validation: not for a server that others can reach. It prints its address and
    /// runs until it is ended. `band` and `concert` run against it as they do against a server.
    Floor(floor::Floor),
    /// Compare two results of `--json`
    ///
    /// Puts every figure of both beside each other, with the ratio, and marks what became worse. Exit code 1: something did by
    /// more than `--fail-over`, or the second run failed where the first passed.
    #[command(after_help = "\
Examples:
  loadtest compare before.json after.json
  loadtest compare floor.json server.json --fail-over 1.5          both of one run, on one machine")]
    Compare(compare::Compare),
}

/// What all scenarios have in common.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The server, as ws://HOST:PORT; a floor or another plain relay is known by its handshake
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080")]
    pub url: String,
    /// The server's process: its processor time and memory are told
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// The server's operators' port, as http://HOST:PORT: its shards' own figures are told
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// How long each part of the run lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, value_parser = some_time)]
    pub seconds: f64,
    /// How long to play before that: checked, but not timed
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0, value_parser = no_or_some_time)]
    pub warm_up: f64,
    /// Where chance begins; the same seed does the same
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Connections from each source address of 127.0.0.0/8; without it as many as the address has ports
    #[arg(long, value_name = "NUMBER")]
    pub per_address: Option<u32>,
    /// Write the result to a file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the result as a page with plots, which needs no network
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Neither a bar nor lines while it runs
    #[arg(long, short)]
    pub quiet: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All was well.
    Passed = 0,
    /// Something was wrong with what was measured.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// It could not be run.
    Impossible = 3,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what a command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that was asked for is no error.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Passed };
            let _ = error.print();
            return exit;
        }
    };
    do_command(cli.command).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        Exit::Impossible
    })
}

fn do_command(command: Command) -> io::Result<Exit> {
    match command {
        Command::Band(band) => tell(band.common.clone(), band.run()),
        Command::Concert(concert) => tell(concert.common.clone(), concert.run()),
        Command::Idle(idle) => tell(idle.common.clone(), idle.run()),
        Command::Churn(churn) => tell(churn.common.clone(), churn.run()),
        Command::LoginStorm(storm) => tell(storm.common.clone(), storm.run()),
        Command::ReconnectStorm(storm) => tell(storm.common.clone(), storm.run()),
        Command::SlowReaders(slow) => tell(slow.common.clone(), slow.run()),
        Command::Hostile(hostile) => tell(hostile.common.clone(), hostile.run()),
        Command::Compare(compare) => {
            let comparison = compare.run()?;
            print!("{comparison}");
            Ok(if comparison.is_good() { Exit::Passed } else { Exit::Failed })
        }
        Command::Floor(floor) => floor.run().map(|()| Exit::Passed),
    }
}

/// Tells what a run found, where it is wanted.
fn tell(common: Common, outcome: io::Result<Outcome>) -> io::Result<Exit> {
    let outcome = outcome?;
    print!("{}", summary::Summary(&outcome));
    if let Some(path) = &common.json {
        outcome.write(path).map_err(|error| about(path, error))?;
    }
    if let Some(path) = &common.report {
        fs::write(path, report::page(&outcome)).map_err(|error| about(path, error))?;
    }
    Ok(if outcome.passed() { Exit::Passed } else { Exit::Failed })
}

/// An error with the file it is about.
fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A time of a tenth of a second to a day.
fn some_time(text: &str) -> Result<f64, String> {
    no_or_some_time(text).and_then(|seconds| if seconds >= 0.1 { Ok(seconds) } else { Err("at least 0.1 s".into()) })
}

/// A time of up to a day.
fn no_or_some_time(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("between 0 and 86400 s".into()) }
}

/// A rate of notes that makes sense.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number of notes a second".to_owned())?;
    if (0.01..=10_000.0).contains(&rate) { Ok(rate) } else { Err("between 0.01 and 10000 notes a second".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_number_is_refused_in_words() {
        for (arguments, word) in
            [("band --seconds 0", "at least 0.1"), ("band --rate x", "number"), ("band --rooms 0", "1..")]
        {
            let arguments = ["loadtest"].into_iter().chain(arguments.split(' '));
            let error = Cli::try_parse_from(arguments).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
