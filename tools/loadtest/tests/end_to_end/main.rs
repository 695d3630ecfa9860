//! The tool against what it measures: a real server, and relays that do wrong on purpose.

mod files;
mod relay;
mod wrong;

use std::ffi::OsString;

use clap::FromArgMatches as _;
use pianorhythm_loadtest::{outcome::Outcome, scenario::Scenario, settings::scenarios};

/// Plays a scenario, as the command line says.
fn play(line: &str) -> Outcome {
    let words = ["loadtest"].into_iter().chain(line.split_whitespace()).map(OsString::from);
    let matches = scenarios().try_get_matches_from(words).unwrap();
    Scenario::from_arg_matches(&matches).unwrap().run().unwrap()
}
