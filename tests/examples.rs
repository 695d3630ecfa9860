//! The examples do what they say, and end by themselves.

#![allow(clippy::disallowed_methods, reason = "it waits for processes")]

#[path = "support/example.rs"]
mod example;

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use example::path;

/// None takes a second.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs an example to its end, and returns what it printed, by lines.
fn run(name: &str) -> Vec<String> {
    let mut child = Command::new(path(name)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{name} ended with {status} after {:?}:\n{printed}{errors}", begun.elapsed());
    printed.lines().map(str::to_owned).collect()
}

/// The numbers after a line's colon.
fn numbers(line: &str) -> Vec<u64> {
    let numbers = line.split(|other: char| !other.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn a_pool_of_counters_routes_grows_and_shrinks_and_loses_no_count() {
    let printed = run("counter_pool");
    assert_eq!(printed.len(), 5, "{printed:?}");
    assert_eq!(numbers(&printed[0]), [3, 3, 3]);
    let mut by_key = numbers(&printed[1]);
    by_key.sort_unstable();
    assert_eq!(by_key, [3, 3, 93], "one key, one member");
    let least_loaded = numbers(&printed[2]);
    assert_eq!((least_loaded.len(), least_loaded.iter().sum::<u64>()), (4, 899));
    assert_eq!(numbers(&printed[3]), [899]);
    assert_eq!(printed[4], "ended in time: true");
}

#[test]
fn rooms_come_to_life_are_heard_everywhere_retire_and_remember() {
    let printed = run("virtual_chat");
    let place = |line: &str| {
        let place = printed.iter().position(|printed| printed.starts_with(line));
        place.unwrap_or_else(|| panic!("{line:?} is missing in {printed:#?}"))
    };
    for (room, last) in [("lobby", "who plays?"), ("jazz", "one, two"), ("blues", "woke up")] {
        place(&format!("asked of all, {room} says: {last}"));
        let opened = place(&format!("{room} is called to life on host "));
        let said = place(&format!("{room}: {last}"));
        let closed = place(&format!("{room} is quiet"));
        assert!(opened < said && said < closed, "{printed:#?}");
    }
    assert!(place("lobby: hello") < place("lobby: who plays?"));
    let hosts = printed.iter().filter_map(|line| line.split_once(" is called to life on host "));
    let mut hosts: Vec<_> = hosts.map(|(_, host)| host).collect();
    assert_eq!(hosts.len(), 4, "each once, and the lobby once more: {printed:#?}");
    hosts.sort_unstable();
    hosts.dedup();
    assert!(hosts.len() > 1, "three rooms live on more than one host: {printed:#?}");
    let remembers = place("lobby remembers: who plays?");
    assert!(place("lobby is quiet") < remembers, "{printed:#?}");
    assert_eq!(printed.last().map(String::as_str), Some("ended in time: true"));
}
