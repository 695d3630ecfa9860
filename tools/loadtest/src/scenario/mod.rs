//! The scenarios: what is played, and what happens beside it. Each is the arguments of its command, and how it is run.

use std::collections::BTreeMap;

use clap::{Args, value_parser};

use crate::{act::Part, cli::Common, run::Plan, score::Score, watch::Watched};

pub mod band;
pub mod churn;
pub mod concert;
pub mod hostile;
pub mod idle;
pub mod login_storm;
pub mod reconnect_storm;
pub mod slow_readers;

/// The band that plays beside something else.
#[derive(Args, Clone, Debug)]
pub struct SmallBand {
    /// The band's rooms
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Members of each, all of whom play
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1000))]
    pub members: u32,
    /// Notes a second of each
    #[arg(long, value_name = "NOTES/S", default_value_t = 5.0, value_parser = crate::cli::rate)]
    pub rate: f64,
    /// Fail where the notes' p99 beside it is more than so many times the p99 in quiet
    #[arg(long, value_name = "RATIO")]
    pub max_ratio: Option<f64>,
}

/// Quiet windows and others, taking turns.
#[derive(Args, Clone, Copy, Debug)]
pub struct Rounds {
    /// How often it all happens, with a quiet window before and after each; of the p99 ratios the median counts
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
}

impl Rounds {
    /// The parts of the run: `part(kind)` each time, `kinds` of them a round.
    fn parts(self, seconds: f64, kinds: usize, part: impl Fn(usize) -> Part) -> Vec<Part> {
        let happen = (0..self.rounds).flat_map(|_| 0..kinds);
        let mut parts: Vec<_> = happen.flat_map(|kind| [Part::quiet("quiet", seconds), part(kind)]).collect();
        parts.push(Part::quiet("quiet", seconds));
        parts
    }
}

impl SmallBand {
    fn score(&self) -> Score {
        let (rooms, players) = (self.rooms as usize, self.members as usize);
        Score { rooms, players, listeners: 0, rate: self.rate, notes: 0 }
    }

    fn judge(&self, plan: Plan) -> Plan {
        Plan { max_ratio: self.max_ratio, ..plan }
    }
}

/// A plan from what all scenarios have in common.
fn plan(scenario: &str, common: &Common, score: Score, parts: Vec<Part>, own: &[(&str, String)]) -> Plan {
    let Score { rooms, players, listeners, rate, .. } = score;
    let mut settings: BTreeMap<String, String> = [
        ("rooms", rooms.to_string()),
        ("players in each", players.to_string()),
        ("listeners in each", listeners.to_string()),
        ("notes/s of each player", rate.to_string()),
        ("seconds", common.seconds.to_string()),
        ("seed", common.seed.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    settings.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Plan {
        scenario: scenario.into(),
        settings,
        url: common.url.clone(),
        score,
        spare: 0,
        warm_up: common.warm_up,
        parts,
        watched: watched(common),
        per_address: common.per_address,
        seed: common.seed,
        quiet: common.quiet,
        max_ratio: None,
    }
}

fn watched(common: &Common) -> Watched {
    Watched { pid: common.pid, admin: common.admin.clone() }
}
