//! What can be wrong with a file of runs: where, and what would be right.

use std::{fmt, io, path::PathBuf};

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; `None`: it is about the file as a whole.
    pub line: Option<usize>,
}

impl Place {
    /// That this is wrong here.
    pub fn wrong(&self, wrong: Wrong) -> ScriptError {
        ScriptError { at: self.clone(), wrong: Box::new(wrong) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.display().fmt(f)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// A file of runs that can not be played.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {wrong}")]
pub struct ScriptError {
    /// Where.
    pub at: Place,
    /// What.
    pub wrong: Box<Wrong>,
}

/// What is wrong. Each says what would be right.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say what the fields are")]
pub enum Wrong {
    #[error("{0}")]
    Unreadable(io::Error),
    /// No TOML, or a table of another name.
    #[error("{0}")]
    Form(toml::de::Error),
    #[error("it names no run; each is a [[run]] with a `scenario`")]
    NoRuns,
    #[error("no run is called `{name}`; there are {}", list(known))]
    NoSuchRun { name: String, known: Vec<String> },
    #[error("a run without a `scenario`, which is one of {}", list(known))]
    NoScenario { known: Vec<String> },
    #[error("there is no scenario `{scenario}`; there are {}", list(known))]
    UnknownScenario { scenario: String, known: Vec<String> },
    #[error("`{key}` is no argument of {of}, which has {}", list(known))]
    UnknownKey { key: String, of: String, known: Vec<String> },
    #[error("`{key}` takes {takes}")]
    WrongForm { key: String, takes: String },
    #[error("`{key}` can not be {value}: {why}; it takes {takes}")]
    WrongValue { key: String, value: String, why: String, takes: String },
    /// Arguments that do not go together.
    #[error("{0}")]
    Refused(String),
    #[error("`{0}` is no name for a run: it is to be letters, digits, `-`, `_` and `.`, and goes into files' names")]
    OddName(String),
    #[error("another run is called `{0}`: give each a `name` of its own")]
    SameName(String),
    #[error("{} is written to already: give each a file of its own", .0.display())]
    SameFile(PathBuf),
}

impl ScriptError {
    /// Whether the file could not be read at all.
    pub fn is_unreadable(&self) -> bool {
        matches!(*self.wrong, Wrong::Unreadable(_))
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}
