//! The simulation: real stages, rooms, users and a real back office over a clock, sockets and stores that are simulated, on one
//! thread; all that is not given is drawn from a seed.
//!
//! `./tools/simulate` runs on, and says how. A seed that fails says what did not hold and its steps, fewest first.
//!
//! - `plan` what happens, as data · `run` does it · `shrink` leaves out what does not matter
//! - `world` who is turned when, and what is looked at · `server` the stages and the back office · `client` what a client says
//!   and hears · `stores` what keeps, hangs and fails
//! - `checks` what must hold · `register` what may be kept of what was written

mod checks;
mod client;
mod plan;
mod register;
mod run;
#[allow(
    clippy::disallowed_methods,
    reason = "who waits for it is told how fast it goes, and each day tries other seeds"
)]
mod runner;
mod server;
#[allow(clippy::disallowed_methods, reason = "to make a plan smaller may take so long")]
mod shrink;
mod stores;
mod world;

use std::sync::Once;

use pianorhythm_server::domain::{defect::Defect, fault};

use crate::{
    plan::Plan,
    run::{Outcome, run},
    runner::Options,
    world::Tally,
};

/// Seeds of the ordinary tests.
const SEEDS: u64 = 24;
/// What goes wrong in them, or is done, at least once.
const HAPPENS: [&str; 13] = [
    "crash",
    "close 3003",
    "close 3501",
    "close 3503",
    "error MUTED",
    "error SERVER_BUSY",
    "error STORE_UNAVAILABLE",
    "pianorhythm_moves_total{direction=\"out\"}",
    "pianorhythm_spilled_total{direction=\"out\"}",
    "pianorhythm_spilled_total{direction=\"back\"}",
    "pianorhythm_dropped_total{reason=\"slow_consumer_midi\"}",
    "pianorhythm_panics_total{}",
    "pianorhythm_shard_stalls_total{}",
];
/// By how many seeds each defect is found, and more. They begin with one that is known to find it, so that these tests are quick; where
/// plans are drawn otherwise, others will, and `./tools/simulate --defect NAME --seed 0 --brief` says which is the first.
const SEEDS_A_DEFECT: u64 = 400;

/// Panics on purpose say nothing; others are kept, for they are found.
pub fn quieten() {
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

/// A run that ends as it should, or the smallest one that does not.
fn expect_well(seed: u64) -> Outcome {
    let plan = Plan::of(seed);
    let outcome = run(&plan, None, false);
    if let Some(violation) = outcome.violation {
        panic!("{}", runner::report(&plan, None, violation));
    }
    outcome
}

#[test]
fn whatever_happens_what_must_hold_holds() {
    quieten();
    let (mut heard, mut tally) = (0, Tally::new());
    for outcome in (0..SEEDS).map(expect_well) {
        heard += outcome.heard;
        outcome.tally.into_iter().for_each(|(what, count)| *tally.entry(what).or_default() += count);
    }
    assert!(heard > 100 * SEEDS, "{heard} messages in {SEEDS} runs are no simulation");
    let never: Vec<_> = HAPPENS.into_iter().filter(|what| tally.get(*what).is_none_or(|count| *count == 0)).collect();
    assert!(never.is_empty(), "in {SEEDS} runs there is never {never:?}, but {tally:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    quieten();
    for seed in [1, 2, 3, 4] {
        let (once, twice) = (run(&Plan::of(seed), None, false), run(&Plan::of(seed), None, false));
        assert_eq!((once.trace, once.heard), (twice.trace, twice.heard), "seed {seed}");
    }
}

#[test]
fn a_plan_that_was_printed_is_read_again() {
    let plan = Plan::of(7);
    assert_eq!(runner::read(&runner::print(&plan)).unwrap(), plan);
}

/// In so many runs at most, from this seed on.
fn find(defect: Defect, first: u64) -> Option<u64> {
    quieten();
    (first..first + SEEDS_A_DEFECT).find(|&seed| run(&Plan::of(seed), Some(defect), false).violation.is_some())
}

macro_rules! found {
    ($($name:ident: $defect:ident, from $first:literal;)*) => {
        $(#[test]
        fn $name() {
            assert!(find(Defect::$defect, $first).is_some(), "{} is not found", Defect::$defect.what());
        })*

        #[test]
        fn every_defect_has_its_test() {
            assert_eq!([$(Defect::$defect),*], Defect::ALL);
        }
    };
}

found! {
    found_that_who_leaves_goes_on_holding: ForgetHeldAtLeaving, from 0;
    found_that_silence_does_not_count: SilenceOutOfSequence, from 0;
    found_that_a_move_loses_input: DropInputAtMove, from 1;
    found_that_a_move_loses_output: DropOutboxAtMove, from 0;
    found_that_the_forwarded_is_lost: LoseForwarded, from 18;
    found_that_answers_precede_commits: AnswerBeforeCommit, from 8;
    found_that_numbers_are_used_again: ReuseParticipant, from 1;
    found_that_the_crown_stays_with_the_absent: KeepCrown, from 9;
    found_that_a_hand_off_is_answered_twice: AnswerHandOffTwice, from 4;
    found_that_a_panic_loses_releases: LoseReleasesAtPanic, from 36;
    found_that_gaps_are_not_told: TellNoGap, from 5;
    found_that_a_move_loses_counts: CountNoShedAtMove, from 2;
    found_that_a_recall_loses_what_was_said: LoseSaidAtRecall, from 103;
    found_that_gaps_are_not_told_to_branches: TellNoGapAway, from 19;
    found_that_a_return_loses_what_was_kept: LoseKeptAtReturn, from 51;
}

/// What `./tools/simulate` runs: its arguments are in `SIMULATE`.
#[test]
#[ignore = "runs on; ./tools/simulate"]
fn simulate() {
    quieten();
    let arguments = std::env::var("SIMULATE").unwrap_or_default();
    let options = Options::of(arguments.split_whitespace()).unwrap_or_else(|error| panic!("{error}"));
    assert!(runner::run_on(&options), "something did not hold");
}
