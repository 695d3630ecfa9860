//! The scenarios: what is played, and what happens beside it. Each is the arguments of its command, and how it is run.

use std::collections::BTreeMap;

use crate::{act::Part, cli::Common, run::Plan, score::Score, watch::Watched};

pub mod band;
pub mod concert;
pub mod idle;

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
    }
}

fn watched(common: &Common) -> Watched {
    Watched { pid: common.pid, admin: common.admin.clone() }
}
