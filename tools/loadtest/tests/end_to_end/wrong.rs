//! What is wrong is found: lost, doubled, reordered and changed notes fail a run, and a stall shows in every note that waited for it.

use std::time::Duration;

use pianorhythm_loadtest::outcome::Outcome;

use crate::{
    play,
    relay::{Relay, Wrong},
};

/// A hundred notes of one player to two listeners.
fn hear(wrong: Wrong) -> Outcome {
    let (_, address) = Relay::start(wrong);
    let outcome = play(&format!(
        "concert --url ws://{address} --players 1 --listeners 2 --rate 100 --seconds 1 --warm-up 0 --quiet"
    ));
    assert!(outcome.is_relay);
    assert_eq!(outcome.notes.expected, 200);
    outcome
}

#[test]
fn nothing_is_wrong_with_a_relay_that_does_nothing_wrong() {
    let outcome = hear(Wrong::Nothing);
    assert!(outcome.passed() && outcome.notes.is_clean(), "{outcome:?}");
    assert_eq!(outcome.notes.arrived, 200);
}

#[test]
fn a_lost_note_fails_the_run() {
    let outcome = hear(Wrong::Lose(30));
    assert_eq!((outcome.notes.lost, outcome.notes.arrived), (2, 198));
    assert_eq!(outcome.failures, ["notes lost: 2"]);
}

#[test]
fn a_doubled_note_fails_the_run() {
    let outcome = hear(Wrong::Double(30));
    assert_eq!((outcome.notes.doubled, outcome.notes.arrived), (2, 200));
    assert_eq!(outcome.failures, ["notes doubled: 2"]);
}

#[test]
fn a_reordered_note_fails_the_run() {
    let outcome = hear(Wrong::Swap(30));
    assert_eq!((outcome.notes.reordered, outcome.notes.lost), (2, 0));
    assert_eq!(outcome.failures, ["notes reordered: 2"]);
}

#[test]
fn a_changed_note_fails_the_run() {
    let outcome = hear(Wrong::Change(30));
    assert_eq!(outcome.notes.wrong, 2);
    assert!(!outcome.passed());
}

#[test]
fn a_stall_shows_in_every_note_that_waited_for_it() {
    let stall = Duration::from_millis(500);
    let outcome = hear(Wrong::Stall(10, stall));
    assert!(outcome.passed(), "{:?}", outcome.failures);
    // The note that met it waited for all of it, and those that were due meanwhile for what was left of it: forty-nine more. One
    // who sends the next note only when the one before has arrived would tell of one slow note in a hundred.
    let latency = &outcome.phases[0].latency;
    assert!(latency.max_ms >= 499.0, "{latency}");
    assert!(latency.p90_ms >= 350.0, "{latency}");
}

#[test]
fn those_who_are_there_too_late_fail_the_run() {
    let (_, address) = Relay::start(Wrong::Slow(Duration::from_millis(200)));
    let idle =
        |within| play(&format!("idle --url ws://{address} --connections 3 --within {within} --seconds 0.1 --quiet"));
    let outcome = idle(0.1);
    assert!(outcome.failures[0].ends_with("0.1 s are allowed"), "{:?}", outcome.failures);
    assert!(outcome.figures["seconds until all were there"] >= 0.2, "{:?}", outcome.figures);
    assert!(idle(3600.0).passed());
}

#[test]
fn connections_come_from_as_many_addresses_as_they_need() {
    let (relay, address) = Relay::start(Wrong::Nothing);
    let outcome = play(&format!(
        "concert --url ws://{address} --players 1 --listeners 8 --rate 50 --seconds 0.5 --warm-up 0 --per-address 4 --quiet"
    ));
    assert!(outcome.passed(), "{:?}", outcome.failures);
    let mut sources = relay.sources("r0");
    sources.sort();
    // The first of all connections, which only looks at what is there, is one of the first four.
    let all = [1, 1, 1, 2, 2, 2, 2, 3, 3].map(|last| std::net::IpAddr::from([127, 0, 0, last]));
    assert_eq!(sources, all);
}
