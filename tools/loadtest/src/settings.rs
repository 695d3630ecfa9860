//! What a scenario's arguments were set to: what a result says of the run it came from.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Command, Subcommand as _};

use crate::scenario::Scenario;

/// Arguments that say where to look and where to tell, not what is played: two results may differ in them and compare.
const NOT_PLAYED: [&str; 6] = ["url", "pid", "admin", "json", "report", "quiet"];

/// The scenarios as commands, with their arguments.
pub fn scenarios() -> Command {
    Scenario::augment_subcommands(Command::new("loadtest"))
}

/// An argument's name, as the command line and files have it.
pub fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or_else(|| arg.get_id().as_str())
}

/// All arguments of a scenario that say what is played, those that nobody set too, by their names. Those that are set to nothing
/// are left out.
pub fn settings(scenario: &str, matches: &ArgMatches) -> BTreeMap<String, String> {
    let command = scenarios();
    let arguments = command.find_subcommand(scenario).into_iter().flat_map(Command::get_arguments);
    let played = arguments.filter(|arg| !NOT_PLAYED.contains(&name(arg)));
    let told = played.filter_map(|arg| {
        let values = matches.get_raw(arg.get_id().as_str())?;
        let values: Vec<_> = values.map(|value| plain(&value.to_string_lossy())).collect();
        (!values.is_empty()).then(|| (name(arg).to_owned(), values.join(", ")))
    });
    told.collect()
}

/// Numbers that are the same read the same, however they were written.
fn plain(text: &str) -> String {
    let whole = text.parse::<u64>().map(|number| number.to_string());
    let any = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number.to_string());
    whole.ok().or_else(any).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> BTreeMap<String, String> {
        let matches = scenarios().try_get_matches_from(line.split(' ')).unwrap();
        let (scenario, matches) = matches.subcommand().unwrap();
        settings(scenario, matches)
    }

    #[test]
    fn a_result_says_all_that_was_played_and_not_where() {
        let told = of("loadtest hostile --kinds text,random --rate 5.0 --pid 7 --json a.json --quiet");
        let has = |name: &str, value: &str| told.get(name).map(String::as_str) == Some(value);
        assert!(
            has("kinds", "text, random") && has("rate", "5") && has("seconds", "20") && has("warm-up", "3"),
            "{told:?}"
        );
        assert!(!NOT_PLAYED.iter().any(|name| told.contains_key(*name)), "{told:?}");
        assert!(!told.contains_key("per-address"), "nobody set it: {told:?}");
    }

    #[test]
    fn what_is_said_otherwise_and_means_the_same_is_the_same() {
        assert_eq!(of("loadtest band --rate 5 --seconds 020.0"), of("loadtest band"));
        assert_ne!(of("loadtest band --rooms 51"), of("loadtest band"));
    }

    #[test]
    fn what_is_not_played_is_what_scenarios_have_arguments_for() {
        for scenario in scenarios().get_subcommands() {
            let names: Vec<_> = scenario.get_arguments().map(name).collect();
            assert!(NOT_PLAYED.iter().all(|name| names.contains(name)), "{names:?}");
        }
    }
}
