//! The command line: what can be said, and what it means.

use std::{collections::BTreeMap, ffi::OsString, fmt, fs, io, path::Path};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    common::Common,
    compare, floor,
    outcome::Outcome,
    report,
    scenario::Scenario,
    script::{self, Script},
    settings::settings,
    summary::Summary,
};

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
  taskset -c 1 loadtest run sparse.toml --pid $!                   what a file says

Exit codes:
  0  the run passed
  1  notes were lost, doubled or reordered, or something else was wrong: it is told
  2  the command line is wrong, or what the file of `run` says
  3  it could not be run: no server, no permission, no such file";

const SCRIPT: &str = "\
Each [[run]] names its scenario, and any arguments of it as on the command line, without the dashes; [common] has those that \
hold for all. A run may have a name; where several write to the same file, it goes before the ending.

  [common]
  seconds = 30
  json = \"result.json\"        # result.sparse.json and result.hostile.json

  [[run]]
  name = \"sparse\"
  scenario = \"band\"
  rooms = 50
  rate = 5

  [[run]]
  scenario = \"hostile\"
  kinds = [\"ping-flood\", \"text\"]

tools/loadtest/scenarios/ has files for what the server is held to.

Examples:
  loadtest run sparse.toml --pid 4711 --json sparse.json
  loadtest run storms.toml --only churn,slow-readers --seconds 5";

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
    /// Play one scenario
    #[command(flatten)]
    Scenario(Scenario),
    /// Play the scenarios that a file names, one after the other
    ///
    /// What is said on this command line wins over the file. All of the file is looked at before the first run begins. Exit
    /// code 1: one of the runs failed.
    // By default it is as the file says.
    #[command(after_help = SCRIPT, mut_args = without_default)]
    Run(script::Run),
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

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All was well.
    Passed = 0,
    /// Something was wrong with what was measured.
    Failed = 1,
    /// The command line is wrong, or the file of runs that it names.
    Usage = 2,
    /// It could not be run.
    Impossible = 3,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why it did not come to a result.
enum Failure {
    Script(script::ScriptError),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<script::ScriptError> for Failure {
    fn from(error: script::ScriptError) -> Self {
        Self::Script(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Script(error) if !error.is_unreadable() => Exit::Usage,
            _ => Exit::Impossible,
        }
    }
}

/// Does what a command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let parsed = Cli::command().try_get_matches_from(arguments);
    let parsed = parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help that was asked for is no error.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Passed };
            let _ = error.print();
            return exit;
        }
    };
    let (name, matches) = matches.subcommand().expect("there is none without");
    do_command(cli.command, name, matches).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    })
}

fn do_command(command: Command, name: &str, matches: &ArgMatches) -> Result<Exit, Failure> {
    Ok(match command {
        Command::Scenario(scenario) => play(&scenario, settings(name, matches), None)?,
        Command::Run(run) => play_all(&Script::of(&run, matches)?)?,
        Command::Compare(compare) => {
            let comparison = compare.run()?;
            print!("{comparison}");
            if comparison.is_good() { Exit::Passed } else { Exit::Failed }
        }
        Command::Floor(floor) => floor.run().map(|()| Exit::Passed)?,
    })
}

/// Plays what a file names. One that fails does not keep the next from being played; one that can not be played does.
fn play_all(script: &Script) -> io::Result<Exit> {
    let mut exit = Exit::Passed;
    for (number, entry) in script.entries.iter().enumerate() {
        if number > 0 {
            println!();
        }
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", entry.name));
        exit = exit.max(play(&entry.scenario, entry.settings.clone(), Some(&entry.name)).map_err(told)?);
    }
    Ok(exit)
}

/// Plays a scenario, and tells what came of it where that is wanted.
fn play(scenario: &Scenario, settings: BTreeMap<String, String>, name: Option<&str>) -> io::Result<Exit> {
    let outcome = Outcome { settings, name: name.map(str::to_owned), ..scenario.run()? };
    print!("{}", Summary(&outcome));
    let Common { json, report, .. } = scenario.common();
    if let Some(path) = json {
        outcome.write(path).map_err(|error| about(path, error))?;
    }
    if let Some(path) = report {
        fs::write(path, report::page(&outcome)).map_err(|error| about(path, error))?;
    }
    Ok(if outcome.passed() { Exit::Passed } else { Exit::Failed })
}

/// An error with the file it is about.
fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// An argument as it is beside a file, which has its value where the command line has none. Clap knows of defaults only where there is a
/// value.
fn without_default(argument: clap::Arg) -> clap::Arg {
    let takes_a_value = argument.get_action().takes_values();
    if takes_a_value { argument.hide_default_value(true) } else { argument }
}

#[cfg(test)]
mod tests {
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
