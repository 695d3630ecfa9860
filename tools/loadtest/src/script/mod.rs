//! A file of runs: what is played one after the other, told as on the command line.
//!
//! The file knows no names, defaults or bounds of its own. Each run becomes a command line, which is parsed as any other is:
//! what the command line can say a file can say, and what it refuses a file is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches as _, parser::ValueSource};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    common::Common,
    scenario::Scenario,
    script::value::{takes, words},
    settings::{name, scenarios, settings},
};

mod error;
mod value;

pub use error::{Place, ScriptError, Wrong};

/// The command: which file, and what wins over it.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The file
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,
    /// Only the runs of these names, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// What wins over the file.
    #[command(flatten)]
    pub common: Common,
}

/// What a file says is to be played, in its order.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its runs.
    pub entries: Vec<Entry>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called: its scenario where the file does not say.
    pub name: String,
    /// What is played.
    pub scenario: Scenario,
    /// What its arguments are set to.
    pub settings: BTreeMap<String, String>,
}

/// Keys and values as they stand in the file, with their places.
type Table = BTreeMap<String, Spanned<toml::Value>>;

/// A file's form. Keys within its tables are the command line's business.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    common: Table,
    #[serde(default)]
    run: Vec<Spanned<Table>>,
}

/// The keys of a run that are not its scenario's arguments.
const OWN: [&str; 2] = ["scenario", "name"];

impl Script {
    /// Reads the file that a command line names. `matches` is that command line: what it says wins.
    pub fn of(run: &Run, matches: &ArgMatches) -> Result<Self, ScriptError> {
        let whole = Place { file: run.file.clone(), line: None };
        let text = fs::read_to_string(&run.file).map_err(|error| whole.wrong(Wrong::Unreadable(error)))?;
        Self::parse(&run.file, &text, &run.only, &said(matches))
    }

    /// Reads a file's text. `said` are arguments that win over it, by name.
    pub fn parse(
        file: &Path,
        text: &str,
        only: &[String],
        said: &BTreeMap<String, Vec<OsString>>,
    ) -> Result<Self, ScriptError> {
        let whole = Place { file: file.into(), line: None };
        let read: File = toml::from_str(text).map_err(|error| whole.wrong(Wrong::Form(error)))?;
        let place = |at: usize| Place { file: file.into(), line: Some(1 + text[..at].matches('\n').count()) };
        let reader = Reader { commands: scenarios(), common: &read.common, said, place: &place };
        reader.check_common()?;
        let mut runs = Vec::new();
        for table in &read.run {
            runs.push(reader.run(table.get_ref(), &place(table.span().start))?);
        }
        let mut names = BTreeSet::new();
        if let Some(run) = runs.iter().find(|run| !names.insert(run.entry.name.clone())) {
            return Err(run.at.wrong(Wrong::SameName(run.entry.name.clone())));
        }
        if let Some(name) = only.iter().find(|name| !names.contains(*name)) {
            let known = names.into_iter().collect();
            return Err(whole.wrong(Wrong::NoSuchRun { name: name.clone(), known }));
        }
        runs.retain(|run| only.is_empty() || only.contains(&run.entry.name));
        if runs.is_empty() {
            return Err(whole.wrong(Wrong::NoRuns));
        }
        let is_alone = runs.len() == 1;
        let mut written = BTreeSet::new();
        for run in &mut runs {
            let name = run.entry.name.clone();
            run.shared_paths().filter(|_| !is_alone).for_each(|path| *path = named(path, &name));
            let Common { json, report, .. } = run.entry.scenario.common();
            for path in [json, report].into_iter().flatten() {
                if !written.insert(path.clone()) {
                    return Err(run.at.wrong(Wrong::SameFile(path.clone())));
                }
            }
        }
        Ok(Self { entries: runs.into_iter().map(|run| run.entry).collect() })
    }
}

/// A run, and what is to be known until all are read.
struct Read {
    at: Place,
    entry: Entry,
    /// The arguments that the run itself sets.
    is_own: BTreeSet<String>,
}

impl Read {
    /// The files it is to write to that all runs were given.
    fn shared_paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Common { json, report, .. } = self.entry.scenario.common_mut();
        let of_all = |name: &str| !self.is_own.contains(name);
        let (of_json, of_report) = (of_all("json"), of_all("report"));
        json.iter_mut().filter(move |_| of_json).chain(report.iter_mut().filter(move |_| of_report))
    }
}

/// Makes runs of tables.
struct Reader<'a> {
    commands: Command,
    common: &'a Table,
    said: &'a BTreeMap<String, Vec<OsString>>,
    place: &'a dyn Fn(usize) -> Place,
}

impl Reader<'_> {
    /// What all runs have in common may be said for all of them, and nothing else.
    fn check_common(&self) -> Result<(), ScriptError> {
        let command = Common::augment_args(Command::new("common"));
        for (key, value) in self.common {
            self.argument(&command, key, value)?;
        }
        Ok(())
    }

    fn run(&self, table: &Table, at: &Place) -> Result<Read, ScriptError> {
        let scenario = self.text(table, "scenario")?;
        let known = || self.commands.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let Some((scenario, its_place)) = scenario else {
            return Err(at.wrong(Wrong::NoScenario { known: known() }));
        };
        let unknown = || its_place.wrong(Wrong::UnknownScenario { scenario: scenario.into(), known: known() });
        let command = self.commands.find_subcommand(scenario).ok_or_else(unknown)?;
        let (name, at) = self.text(table, "name")?.unwrap_or((scenario, its_place));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(at.wrong(Wrong::OddName(name.into())));
        }

        let mut arguments: BTreeMap<&str, Vec<OsString>> = BTreeMap::new();
        for (key, value) in self.common {
            arguments.insert(key, self.argument(command, key, value)?);
        }
        let own = table.iter().filter(|(key, _)| !OWN.contains(&key.as_str()));
        let mut is_own = BTreeSet::new();
        for (key, value) in own {
            arguments.insert(key, self.argument(command, key, value)?);
            is_own.insert(key.clone());
        }
        for (key, words) in self.said {
            arguments.insert(key, words.clone());
            is_own.remove(key);
        }
        let line = [OsString::from("loadtest"), scenario.into()].into_iter().chain(arguments.into_values().flatten());
        let matches = self.commands.clone().try_get_matches_from(line);
        let refused = |error: clap::Error| {
            let why = error.to_string();
            at.wrong(Wrong::Refused(why.lines().next().unwrap_or_default().to_owned()))
        };
        let matches = matches.map_err(refused)?;
        let played = Scenario::from_arg_matches(&matches).map_err(refused)?;
        let matches = matches.subcommand_matches(scenario).expect("it was named");
        let entry = Entry { name: name.into(), scenario: played, settings: settings(scenario, matches) };
        Ok(Read { at, entry, is_own })
    }

    /// A key that is no argument, and its place.
    fn text<'a>(&self, table: &'a Table, key: &str) -> Result<Option<(&'a str, Place)>, ScriptError> {
        let Some(value) = table.get(key) else { return Ok(None) };
        let at = (self.place)(value.span().start);
        match value.get_ref().as_str() {
            Some(text) => Ok(Some((text, at))),
            None => Err(at.wrong(Wrong::WrongForm { key: key.into(), takes: "text".into() })),
        }
    }

    /// What an argument is on the command line. It is tried by itself, so that an error knows its place.
    fn argument(
        &self,
        command: &Command,
        key: &str,
        value: &Spanned<toml::Value>,
    ) -> Result<Vec<OsString>, ScriptError> {
        let at = (self.place)(value.span().start);
        let Some(arg) = command.get_arguments().find(|arg| name(arg) == key) else {
            let known = command.get_arguments().map(|arg| name(arg).to_owned()).collect();
            let of = command.get_name().to_owned();
            return Err(at.wrong(Wrong::UnknownKey { key: key.into(), of, known }));
        };
        let value = value.get_ref();
        let wrong_form = || at.wrong(Wrong::WrongForm { key: key.into(), takes: takes(arg) });
        let words = words(arg, value).ok_or_else(wrong_form)?;
        let alone = Command::new("alone").no_binary_name(true).arg(Arg::clone(arg));
        let wrong_value = |error: clap::Error| {
            let (value, why) = (value.to_string(), value::why(&error));
            at.wrong(Wrong::WrongValue { key: key.into(), value, why, takes: takes(arg) })
        };
        alone.try_get_matches_from(&words).map_err(wrong_value)?;
        Ok(words)
    }
}

/// Which of the settings that all scenarios have were said on a command line, as they were.
fn said(matches: &ArgMatches) -> BTreeMap<String, Vec<OsString>> {
    let command = Common::augment_args(Command::new("common"));
    let arguments = command.get_arguments().filter_map(|arg| {
        let id = arg.get_id().as_str();
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return None;
        }
        let values = matches.get_raw(id).into_iter().flatten();
        let words = match value::is_flag(arg) {
            true => vec![value::word(name(arg), None)],
            false => values.map(|value: &OsStr| value::word(name(arg), Some(value))).collect(),
        };
        Some((name(arg).to_owned(), words))
    });
    arguments.collect()
}

/// A file's path with a run's name before its ending.
fn named(path: &Path, name: &str) -> PathBuf {
    match path.extension() {
        Some(ending) => path.with_extension(format!("{name}.{}", ending.to_string_lossy())),
        None => path.with_extension(name),
    }
}

#[cfg(test)]
mod tests;
