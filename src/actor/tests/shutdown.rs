//! Ending everything in order: stage after stage, each with its deadline, once, and with a word on what was abandoned.

use std::{pin::Pin, rc::Rc};

use super::kit::*;
use crate::actor::{
    actor::{Farewell, KindSettings},
    context::SendOptions,
    envelope::AskError,
    kind_figures::DeadReason,
    life::{self, SpawnError},
    mesh::{Capacity, Lane},
    parcel::{Parcel, Registry},
    shutdown::{Shutdown, ShutdownStage, StageOutcome},
    table::Phase,
};

fn stage(name: &'static str, kinds: &[&'static str], deadline: u64) -> ShutdownStage {
    ShutdownStage { name, kinds: kinds.to_vec(), deadline: ms(deadline) }
}

fn fine(name: &'static str) -> StageOutcome {
    StageOutcome { name, abandoned: 0, silent_hosts: 0 }
}

/// Actors that end in their own time, of a kind.
fn slow<const N: usize>() {
    hook::<N>(|hooks| {
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Later
        });
    });
}

/// Two hosts with an `a`, a `b` and a `c` on each, and a shutdown of connections, rooms and stores.
fn town(settings: KindSettings) -> (House, [String; 6]) {
    let house = House::of(2, settings);
    note_life::<ADA>();
    note_life::<BOB>();
    note_life::<CYD>();
    let keys = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0), ("c", 1)]
        .map(|(name, host)| house.key_on(host, &format!("{name}{host}")));
    for key in &keys[..2] {
        house.tell(key, say::<ADA>("up"));
    }
    for key in &keys[2..4] {
        house.tell(key, say::<BOB>("up"));
    }
    for key in &keys[4..] {
        house.tell(key, say::<CYD>("up"));
    }
    (house, keys)
}

#[test]
fn stages_end_one_after_the_other_on_all_hosts_and_the_rest_goes_on() {
    let (mut house, keys) = town(KindSettings { stop_deadline: ms(100_000), ..calm() });
    slow::<ADA>();
    house.settle();
    diary();
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("first", &["ada"], 1000), stage("second", &["bob"], 1000)]);
    let mut running: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { shutdown.run(&remote).await });
    assert_eq!(poll(&mut running), None);
    house.pass(100);
    assert_eq!(poll(&mut running), None);
    let mut told = diary();
    told.sort();
    assert_eq!(told, [format!("{} ending", keys[0]), format!("{} ending", keys[1])], "the second waits for the first");
    for key in &keys[..2] {
        house.remote.tell_with::<Ada>(key, end(), SendOptions::CONTROL).unwrap();
    }
    let outcome = house.run(running);
    assert_eq!(outcome, Some(vec![fine("first"), fine("second")]));
    assert_eq!(house.now().as_ns(), 100_000_000, "nobody waited for longer than it took");
    let told = diary();
    let place = |line: &str| told.iter().position(|told| told == line).unwrap_or_else(|| panic!("{line} in {told:?}"));
    for bob in &keys[2..4] {
        for ada in &keys[..2] {
            assert!(place(&format!("{ada} dropped")) < place(&format!("{bob} ending")));
        }
    }
    assert!(keys[4..].iter().all(|key| house.find::<CYD>(key).is_some()));
    house.play(&keys[4], say::<CYD>("goes on"));
    assert_eq!(diary(), [format!("{}: goes on", keys[4])]);
}

#[test]
fn a_stage_whose_time_is_over_is_ended_by_force_and_the_next_one_follows() {
    let (mut house, keys) = town(KindSettings { stop_deadline: ms(100_000), ..calm() });
    slow::<ADA>();
    house.settle();
    diary();
    let (before, remote) = (house.now(), house.remote.clone());
    let shutdown = Shutdown::new(vec![
        stage("first", &["ada"], 50),
        stage("second", &["bob", "cyd"], 50),
        stage("nobody's", &["eve"], 50),
    ]);
    let outcome = house.run(shutdown.run(&remote));
    let abandoned = StageOutcome { abandoned: 2, ..fine("first") };
    assert_eq!(outcome, Some(vec![abandoned, fine("second"), fine("nobody's")]));
    assert_eq!(house.now().since(before), ms(50));
    let told = diary();
    let forced = "it did not end in time and was ended";
    for key in &keys[..2] {
        assert!(told.contains(&format!("{key} lost: {forced}")), "{told:?}");
    }
    for key in &keys[2..] {
        assert!(told.contains(&format!("{key} ending")), "in their own good order");
    }
    assert!((0..2).all(|host| house.table::<ADA>(host).is_empty()));
}

#[test]
fn a_shutdown_runs_once_however_often_it_is_asked_for() {
    let (mut house, _) = town(calm());
    slow::<ADA>();
    house.settle();
    let remote = house.remote.clone();
    let shutdown = Rc::new(Shutdown::new(vec![stage("first", &["ada"], 500)]));
    let (again, with) = (shutdown.clone(), remote.clone());
    let mut running: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { again.run(&with).await });
    assert_eq!(poll(&mut running), None);
    assert_eq!(house.run(shutdown.run(&remote)), None, "while it runs");
    assert!(house.run(running).is_some());
    assert_eq!(house.run(shutdown.run(&remote)), None, "and after");
}

#[test]
fn of_an_ended_kind_nobody_is_made_and_messages_for_it_are_dead() {
    let (mut house, keys) = town(calm());
    slow::<ADA>();
    house.settle();
    diary();
    let waiting = house.ask(&keys[0], say::<ADA>("waiting"));
    house.take_in(0, usize::MAX);
    let (tell, told) = flume::bounded(1);
    house
        .remote
        .post()
        .try_send(0, Lane::Control, Parcel::EndKinds { kinds: vec!["ada"], by_force: false, tell })
        .unwrap();
    house.pass(10);
    assert_eq!(waiting.answer(), Some(Err(AskError::Stopped)));
    assert!(told.is_empty());
    let late = house.ask(&keys[0], say::<ADA>("late"));
    let other = house.key_on(0, "other");
    let absent = house.ask(&other, say::<ADA>("absent"));
    house.settle();
    assert_eq!((late.answer(), absent.answer()), (None, Some(Err(AskError::Stopped))));
    assert_eq!(life::spawn::<Ada>(house.host(), other, Puppet::new("x")), Err(SpawnError::KindEnded));
    house.remote.tell_with::<Ada>(&keys[0], end(), SendOptions::CONTROL).unwrap();
    house.settle();
    assert_eq!(told.try_recv(), Ok(0));
    assert_eq!(late.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(house.dead::<ADA>(0, DeadReason::Stopped), 3);
    assert_eq!(house.phase::<ADA>(&keys[1]), Some(Phase::Running), "the other host was not told to");
}

#[test]
fn by_force_it_is_said_how_many_there_were() {
    let (mut house, keys) = town(calm());
    house.settle();
    let more = house.key_on(0, "more");
    let done = hold::<ADA>();
    house.play(&more, say::<ADA>("loads"));
    diary();
    let (tell, told) = flume::bounded(1);
    house
        .remote
        .post()
        .try_send(0, Lane::Control, Parcel::EndKinds { kinds: vec!["ada", "bob"], by_force: true, tell })
        .unwrap();
    house.settle();
    assert_eq!(told.try_recv(), Ok(3));
    assert!(house.table::<ADA>(0).is_empty() && house.table::<BOB>(0).is_empty());
    let told = diary();
    assert!(
        !told.contains(&format!("{} ending", keys[0])) && told.contains(&"dead: loads, stopped".to_owned()),
        "{told:?}"
    );
    drop(done);
}

#[test]
fn kinds_of_which_there_is_nobody_have_ended_at_once() {
    let mut house = House::of(1, calm());
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("empty", &["ada", "bob"], 1000)]);
    assert_eq!(house.run(shutdown.run(&remote)), Some(vec![fine("empty")]));
    assert_eq!(house.now().as_ns(), 0);
}

/// Runs a shutdown of Adas while only the first host has its turns.
fn beside_a_silent_host(house: &mut House, deadline: u64) -> Option<Vec<StageOutcome>> {
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("first", &["ada"], deadline)]);
    let mut running: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { shutdown.run(&remote).await });
    for _ in 0..5000 {
        if let Some(outcome) = poll(&mut running) {
            return outcome;
        }
        house.take_in(0, usize::MAX);
        house.turn(0);
        house.clock.advance(ms(1));
    }
    panic!("it does not end");
}

#[test]
fn a_host_that_does_not_answer_is_told_of_and_not_waited_for() {
    let (mut house, _) = town(calm());
    house.settle();
    assert_eq!(beside_a_silent_host(&mut house, 50), Some(vec![StageOutcome { silent_hosts: 1, ..fine("first") }]));
    assert_eq!(
        house.now().since(crate::actor::moment::Moment::default()),
        ms(1050),
        "a second for it to count what it forced"
    );
}

#[test]
fn a_host_whose_inbox_stays_full_is_told_of_as_well() {
    let capacity = Capacity { control: 1, data: 8, handoffs: 1 };
    let place = |registry: &mut Registry| {
        registry.place::<Ada>(0..2);
    };
    let mut house = House::with_inboxes(2, capacity, place, |system, _| {
        system.add::<Ada>(calm());
    });
    house.remote.post().try_send(1, Lane::Control, Parcel::Do(Box::new(|_| {}))).unwrap();
    assert_eq!(beside_a_silent_host(&mut house, 50), Some(vec![StageOutcome { silent_hosts: 1, ..fine("first") }]));
}

#[test]
fn a_host_that_was_slow_to_take_it_in_is_ended_by_force_and_what_it_had_is_counted() {
    let capacity = Capacity { control: 1, data: 8, handoffs: 1 };
    let place = |registry: &mut Registry| {
        registry.place::<Ada>(0..2);
    };
    let mut house = House::with_inboxes(2, capacity, place, |system, _| {
        system.add::<Ada>(calm());
    });
    let a = house.key_on(1, "a");
    house.spawn::<ADA>(&a);
    house.remote.post().try_send(1, Lane::Control, Parcel::Do(Box::new(|_| {}))).unwrap();
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("first", &["ada"], 50)]);
    let mut running: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { shutdown.run(&remote).await });
    for _ in 0..70 {
        assert_eq!(poll(&mut running), None);
        house.take_in(0, usize::MAX);
        house.turn(0);
        house.clock.advance(ms(1));
    }
    let outcome = house.run(running);
    assert_eq!(outcome, Some(vec![StageOutcome { abandoned: 1, ..fine("first") }]));
    assert!(house.table::<ADA>(1).is_empty());
}

#[test]
fn a_host_that_is_gone_has_nothing_left() {
    let (mut house, _) = town(calm());
    house.settle();
    house.hosts.pop();
    house.inboxes.pop();
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("first", &["ada"], 50)]);
    assert_eq!(house.run(shutdown.run(&remote)), Some(vec![fine("first")]));
    assert_eq!(house.now().as_ns(), 0);
}

#[test]
fn what_actors_send_in_their_stage_reaches_those_of_the_next() {
    let (mut house, keys) = town(calm());
    let store = keys[5].clone();
    hook::<ADA>(move |hooks| {
        let store = store.clone();
        hooks.ending = Rc::new(move |me, cx| {
            cx.tell::<Cyd>(&store, say(format!("{} saves", me.name))).unwrap();
            Farewell::Done
        });
    });
    house.settle();
    diary();
    let remote = house.remote.clone();
    let shutdown = Shutdown::new(vec![stage("first", &["ada"], 500), stage("second", &["cyd"], 500)]);
    assert_eq!(house.run(shutdown.run(&remote)), Some(vec![fine("first"), fine("second")]));
    let told = diary();
    for key in &keys[..2] {
        assert!(told.contains(&format!("{}: {key} saves", keys[5])), "{told:?}");
    }
}
