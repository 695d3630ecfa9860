//! What all scenarios have in common, and the bounds of times and rates.

use std::path::PathBuf;

use clap::Args;

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

/// A time of a tenth of a second to a day.
pub fn some_time(text: &str) -> Result<f64, String> {
    no_or_some_time(text).and_then(|seconds| if seconds >= 0.1 { Ok(seconds) } else { Err("at least 0.1 s".into()) })
}

/// A time of up to a day.
pub fn no_or_some_time(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds".to_owned())?;
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("between 0 and 86400 s".into()) }
}

/// A rate of notes that makes sense.
pub fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number of notes a second".to_owned())?;
    if (0.01..=10_000.0).contains(&rate) { Ok(rate) } else { Err("between 0.01 and 10000 notes a second".into()) }
}
