//! What can be wrong with a configuration. Each problem names the setting, its value, and where that came from.

use std::fmt;

use thiserror::Error;

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// No setting has this name.
    #[error("`{key}` ({origin}) is not a setting; the nearest that is: `{nearest}`")]
    Unknown {
        /// The name.
        key: String,
        /// Where it stands.
        origin: String,
        /// The nearest name there is.
        nearest: &'static str,
    },
    /// The value is not one that the setting can have.
    #[error("`{key} = {value}` ({origin}) cannot be: {key} is {wanted}")]
    Invalid {
        /// The setting.
        key: &'static str,
        /// Its value; of secrets, nothing.
        value: String,
        /// Where it comes from.
        origin: String,
        /// What would be a value.
        wanted: String,
    },
    /// Two values that each may be, but not together.
    #[error("`{key} = {value}` ({origin}) cannot be: {reason}")]
    Conflict {
        /// The setting that should change, as a rule.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it comes from.
        origin: String,
        /// What it conflicts with.
        reason: String,
    },
    /// A table in the file, or a list of what is not plain.
    #[error("`{key}` ({origin}) cannot be a table: settings are plain `key = value` lines without sections")]
    Structured {
        /// The name of the table.
        key: String,
        /// The file.
        origin: String,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {error}")]
    Malformed {
        /// The file.
        path: String,
        /// What the parser said.
        error: String,
    },
    /// A file cannot be read.
    #[error("cannot read {what} {path}: {error}")]
    Unreadable {
        /// What the file is.
        what: String,
        /// Where it should be.
        path: String,
        /// What the system said.
        error: String,
    },
    /// A secret is given both as a value and as a file.
    #[error("`{key}` is given both as a value and as a file ({origin}): choose one")]
    SecretTwice {
        /// The secret.
        key: &'static str,
        /// Where the second stands.
        origin: String,
    },
    /// Every user of a machine can read a command line.
    #[error("`{key}` is a secret and others can read a command line: give it in the environment or as `{key}_file`")]
    SecretOnCommandLine {
        /// The secret.
        key: String,
    },
}
