//! What can be wrong with a file of runs: where, and what would be right.

use std::{fmt, io, path::PathBuf};

/// Where in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What is wrong with a file of runs. Each says what would be right.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say what the fields are")]
pub enum ScriptError {
    #[error("{}: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    /// No TOML, or a table of another name.
    #[error("{}: {error}", file.display())]
    Form { file: PathBuf, error: Box<toml::de::Error> },
    #[error("{}: it names no run; each is a [[run]] with a `scenario`", file.display())]
    NoRuns { file: PathBuf },
    #[error("{}: no run is called `{name}`; there are {}", file.display(), list(known))]
    NoSuchRun { file: PathBuf, name: String, known: Vec<String> },
    #[error("{at}: a run without a `scenario`, which is one of {}", list(known))]
    NoScenario { at: Place, known: Vec<String> },
    #[error("{at}: there is no scenario `{scenario}`; there are {}", list(known))]
    UnknownScenario { at: Place, scenario: String, known: Vec<String> },
    #[error("{at}: `{key}` is no argument of {of}, which has {}", list(known))]
    UnknownKey { at: Place, key: String, of: String, known: Vec<String> },
    #[error("{at}: `{key}` takes {takes}")]
    WrongForm { at: Place, key: String, takes: String },
    #[error("{at}: `{key}` can not be {value}: {why}; it takes {takes}")]
    WrongValue { at: Place, key: String, value: String, why: String, takes: String },
    /// Arguments that do not go together.
    #[error("{at}: {why}")]
    Refused { at: Place, why: String },
    #[error(
        "{at}: `{name}` is no name for a run: it is to be letters, digits, `-`, `_` and `.`, and goes into files' names"
    )]
    OddName { at: Place, name: String },
    #[error("{at}: another run is called `{name}`: give each a `name` of its own")]
    SameName { at: Place, name: String },
    #[error("{at}: {} is written to already: give each a file of its own", path.display())]
    SameFile { at: Place, path: PathBuf },
}

impl ScriptError {
    /// Whether the file could not be read at all.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}
