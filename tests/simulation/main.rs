//! The simulation: real stages, rooms, users and a real back office over a clock, sockets and stores that are simulated, on one
//! thread, all that is not given drawn from a seed.
//!
//! `./tools/simulate` runs on and says how. A seed that fails says what did not hold and its steps, fewest first.

mod checks;
mod client;
mod plan;
mod run;
mod stores;
mod world;

use std::{sync::Once, time::Instant};

use pianorhythm_server::domain::{bucket::Rate, fault, quota::{QuotaSettings, RoomRates}};

use crate::{plan::Plan, run::run};

/// Notes by one rate wherever they are played.
pub fn quotas_of(rate: Rate) -> QuotaSettings {
    let rates = RoomRates { lobby: rate, room: rate, dense: rate };
    QuotaSettings { guests: rates.clone(), members: rates }
}

/// Panics on purpose say nothing; others are kept, for they are found.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let cause = info.payload_as_str().unwrap_or("something");
            if cause == fault::CAUSE {
                return;
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let _ = world::PANICS.try_with(|panics| panics.borrow_mut().push(format!("{cause}, at {place}")));
            before(info);
        }));
    });
}

#[test]
fn simulate() {
    quieten();
    let start = Instant::now();
    let from: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    let told = std::env::var("TOLD").is_ok();
    let mut failed = 0;
    for seed in from..from + seeds {
        let outcome = run(&Plan::of(seed), None, told);
        if std::env::var("TWICE").is_ok() {
            let again = run(&Plan::of(seed), None, told);
            println!("{seed}: {:x} {:x} {} {}", outcome.trace, again.trace, outcome.heard, outcome.trace == again.trace);
        }
        if let Some(violation) = outcome.violation {
            failed += 1;
            println!("seed {seed}: step {}: {}", violation.at, violation.what);
        }
    }
    println!("{seeds} seeds in {:?}, {failed} failed", start.elapsed());
}
