//! Layer 5: the command line. Reads it and the configuration, does what is asked, and says how it went.
//!
//! Exit codes: 0 done, 1 it failed while running, 2 the command line or the configuration is wrong.

mod args;
mod keys;
mod logging;
mod transfer;

use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use tracing::warn;

pub use crate::cli::{
    args::{Cli, Command, ExportArgs, ImportArgs, KeygenArgs, SettingsArgs, TokenArgs},
    keys::{KeysError, PUBLIC_KEY_FILE},
    logging::LogGuard,
};
use crate::config::{self, Config, ConfigError, Loaded};

/// A failure on its way to the standard error.
pub type Failure = Box<dyn Error + Send + Sync>;

const WRONG_USE: u8 = 2;

/// Does what this command line asks; `serve` runs the server with its configuration until it ends.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Config) -> Result<(), Failure>,
) -> ExitCode {
    let cli = match args::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors here too: they have the exit code 0 and go to the standard output.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USE));
        }
    };
    // What is not Unicode cannot be the value of a setting.
    let environment =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = match config::load(&cli.settings.sources(environment.collect())) {
        Ok(loaded) => loaded,
        Err(error) => {
            report_config(&error);
            return ExitCode::from(WRONG_USE);
        }
    };
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => run_server(loaded, serve),
        Command::Keygen(args) => say(&loaded, keys::keygen(&loaded.config, &args)),
        Command::Token(args) => say(&loaded, keys::token(&loaded.config, &args).map(|token| token + "\n")),
        Command::Export(args) => transfer::export(&loaded, &args),
        Command::Import(args) => transfer::import(&loaded, &args),
        Command::CheckConfig => say(&loaded, Ok::<_, Failure>("the configuration is valid\n".into())),
        Command::PrintConfig { explain } => say(&loaded, Ok::<_, Failure>(config::print(&loaded, explain))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run_server(loaded: Loaded, serve: impl FnOnce(Config) -> Result<(), Failure>) -> Result<(), Failure> {
    let Loaded { config, warnings, .. } = loaded;
    // Kept until the server has ended: its last lines are the ones that matter.
    let _log = logging::start(&config.server.log, config.server.log_format);
    for warning in warnings {
        warn!("{warning}");
    }
    serve(config)
}

/// Writes a command's result to the standard output, and warnings to the standard error.
fn say<E: Into<Failure>>(loaded: &Loaded, result: Result<String, E>) -> Result<(), Failure> {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let text = result.map_err(Into::into)?;
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough: `print-config | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn report_config(error: &ConfigError) {
    for problem in &error.problems {
        eprintln!("error: {problem}");
    }
    eprintln!("`pianorhythm-server print-config --explain` lists all settings");
}

/// An error and its causes on one line; a cause that the text before it has told already is left out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_on_one_line_and_each_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{told}")]
        struct Told {
            told: &'static str,
            source: io::Error,
        }
        let error = Told { told: "cannot start", source: io::Error::other("no room\nfor threads") };
        assert_eq!(chain(&error), "cannot start: no room for threads");
        let error = Told { told: "cannot start: no room", source: io::Error::other("no room") };
        assert_eq!(chain(&error), "cannot start: no room");
    }
}
