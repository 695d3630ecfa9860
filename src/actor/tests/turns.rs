//! Turns: how much one does, and how long a host rests after it.

use std::time::Duration;

use super::kit::*;
use crate::actor::{
    actor::KindSettings,
    core, life,
    mesh::Lane,
    moment::Moment,
    parcel::Parcel,
    sending,
    supervision::{BackOff, Restart, StopLimit, Strategy},
    system::System,
    tree::{self, SupervisorPlan},
    worker::{Work, Worker as _},
    world::World as _,
};

fn work(house: &mut House) -> Work {
    core::work(house.hosts[0].core())
}

#[test]
fn a_host_with_nothing_to_do_rests_until_something_comes() {
    let mut house = House::of(1, calm());
    house.settle();
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    assert_eq!(house.host().core().time_left(), None);
    house.tell("a", say::<ADA>("hello"));
    house.take_in(0, 1);
    assert_eq!(work(&mut house), Work::More);
    assert_eq!(house.host().core().runnable(), 1);
    house.settle();
    assert_eq!((work(&mut house), house.host().core().runnable()), (Work::Rest(Duration::MAX), 0));
}

#[test]
fn a_host_that_has_something_to_send_takes_another_turn() {
    let mut house = House::of(2, calm());
    let b = house.key_on(1, "b");
    house.settle();
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    sending::tell::<Bob, _>(house.host(), &b, say("hello")).unwrap();
    assert_eq!(work(&mut house), Work::More);
    house.settle();
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    assert_eq!(diary(), [format!("{b}: hello")]);
}

#[test]
fn a_host_rests_until_its_next_timer_sleeper_or_restart() {
    let mut house = House::of(1, calm());
    house.play("a", act("set", |_: &mut Ada, cx| drop(cx.schedule(ms(50), say("timer")))));
    assert_eq!(work(&mut house), Work::Rest(ms(50)));
    house.play(
        "a",
        act("sleep", |_: &mut Ada, cx| {
            let clock = cx.remote().clock().clone();
            cx.spawn(async move { crate::actor::sleep::sleep(&clock, ms(40)).await }, |()| say("slept"));
        }),
    );
    assert_eq!(work(&mut house), Work::Rest(ms(40)));
    let rest = BackOff { first: ms(30), jitter: 0.0, ..BackOff::default() };
    let plan = SupervisorPlan::new("root", Strategy::OneForOne).back_off(rest);
    tree::start(
        house.host(),
        plan.actor::<Bob>(k("b"), Restart::Permanent, StopLimit::default(), |_| Ok(Puppet::new("b"))),
    );
    for _ in 0..2 {
        house.play("b", fail::<BOB>("fails"));
    }
    assert_eq!(work(&mut house), Work::Rest(ms(30)));
    house.pass(30);
    assert_eq!(work(&mut house), Work::Rest(ms(10)));
    house.pass(10);
    assert_eq!(work(&mut house), Work::Rest(ms(10)));
    house.pass(10);
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    let told = diary();
    assert_eq!(told[told.len() - 2..], ["a: slept", "a: timer"]);
}

#[test]
fn a_handle_that_goes_and_a_future_that_is_woken_end_a_rest() {
    let mut house = House::of(1, calm());
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    let (sent, received) = flume::bounded::<()>(1);
    house.play(
        "b",
        act("wait", |_: &mut Bob, cx| cx.spawn(async move { received.recv_async().await }, |_| say("woken"))),
    );
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    drop(handle);
    assert_eq!(work(&mut house), Work::More);
    house.settle();
    sent.send(()).unwrap();
    assert_eq!(work(&mut house), Work::More);
    house.settle();
    assert_eq!(work(&mut house), Work::Rest(Duration::MAX));
    assert_eq!(diary(), ["b: wait", "b: woken"]);
}

#[test]
fn a_turn_runs_so_many_actors_and_leaves_the_rest_to_the_next() {
    let mut house = House::of(1, calm());
    for n in 0..1030 {
        house.tell(&format!("a{n}"), say::<ADA>("hello"));
    }
    house.take_in(0, usize::MAX);
    assert!(house.turn(0));
    assert_eq!((house.host().core().runnable(), diary().len()), (6, 1024));
    assert!(!house.turn(0));
    assert_eq!((house.host().core().runnable(), diary().len()), (0, 6));
    assert!(house.host().core().ready.capacity() <= 1024, "what a rush has left is given back");
}

#[test]
fn a_turn_that_has_lasted_long_enough_begins_nothing_more() {
    let mut house = House::of(1, KindSettings { batch: 64, ..calm() });
    for n in 0..6 {
        for key in ["a", "b"] {
            let clock = house.clock.clone();
            house.tell(key, act(format!("{n}"), move |_: &mut Ada, _| clock.advance(Duration::from_micros(700))));
        }
    }
    house.take_in(0, usize::MAX);
    assert!(house.turn(0));
    assert_eq!(diary(), ["a: 0", "a: 1", "a: 2"], "the third one ends after two milliseconds");
    assert!(house.turn(0));
    let next = diary();
    assert_eq!(next, ["b: 0", "b: 1", "b: 2"], "the others have their turn before");
    house.settle();
    assert_eq!(diary().len(), 6);
}

#[test]
fn a_turn_tells_that_its_host_lives_and_what_time_it_is() {
    let mut house = House::of(2, calm());
    house.settle();
    house.clock.advance(ms(7));
    let beat = |house: &House, host: usize| {
        Moment::from_ns(house.remote.post().registry.hosts()[host].heartbeat.load(std::sync::atomic::Ordering::Relaxed))
    };
    assert_eq!((beat(&house, 0), beat(&house, 1)), (Moment::default(), Moment::default()));
    house.turn(0);
    assert_eq!((beat(&house, 0), beat(&house, 1)), (Moment::from_ms(7), Moment::default()));
    assert_eq!(house.hosts[0].core().now(), Moment::from_ms(7));
    assert_eq!((house.hosts[0].core().host(), house.hosts[1].core().host()), (0, 1));
}

#[test]
fn a_message_is_taken_in_at_its_own_time() {
    let mut house = House::of(1, calm());
    house.settle();
    house.clock.advance(ms(9));
    house.tell("a", act("when", |_: &mut Ada, cx| note(format!("{:?}", cx.now()))));
    house.take_in(0, 1);
    assert_eq!(house.hosts[0].core().now(), Moment::from_ms(9));
    house.settle();
    assert_eq!(diary(), ["a: when".to_owned(), format!("{:?}", Moment::from_ms(9))]);
}

#[test]
fn a_world_settles_by_itself() {
    let mut house = House::of(1, calm());
    house.tell("a", tell::<ADA, BOB>("b", ["1"]));
    house.take_in(0, 1);
    core::settle(&mut house.hosts[0]);
    assert_eq!(diary(), ["a: tells 1", "b: 1"]);
}

#[test]
fn a_host_that_is_gone_runs_nothing() {
    let mut house = House::of(1, calm());
    house.spawn::<ADA>("a");
    house.call::<ADA, _>("a", |_, _| ()).unwrap();
    let remote = house.remote.clone();
    let running = &remote.post().registry.hosts()[0].running;
    assert!(running.seen(Moment::default()).is_some(), "its turn is not over");
    house.hosts.pop();
    assert_eq!(running.seen(Moment::default()), None);
}

#[test]
fn a_system_is_a_worker_and_ends_when_it_is_told_to() {
    let mut house = House::of(1, calm());
    house.tell("a", say::<ADA>("hello"));
    let parcel = house.inboxes[0].try_next().unwrap();
    house.hosts[0].handle(parcel);
    assert_eq!(house.hosts[0].turn(), Work::Rest(Duration::MAX));
    assert_eq!(diary(), ["a: hello"]);
    assert!(!house.hosts[0].is_finished());
    house.hosts[0].panicked("as told");
    assert!(!house.hosts[0].is_finished());
    house.hosts[0].end();
    assert!(house.hosts[0].is_finished() && house.hosts[0].core().is_over());
    // The house's way to it, for a world of any type.
    let mut house = House::of(1, calm());
    crate::actor::world::World::end(&mut house.hosts[0]);
    assert!(house.hosts[0].is_finished());
}

#[test]
#[should_panic(expected = "ada is registered twice")]
fn a_kind_is_added_once() {
    let _house = House::one(|system| {
        system.add::<Ada>(calm()).add::<Ada>(calm());
    });
}

#[test]
#[should_panic(expected = "the kind bob was not added to this host")]
fn a_kind_that_was_not_added_has_no_table() {
    let mut house = House::one(|system| {
        system.add::<Ada>(calm());
    });
    house.table::<BOB>(0);
}

#[test]
fn a_parcel_for_another_world_is_dropped() {
    struct Elsewhere;
    let mut house = House::of(1, calm());
    let parcel = Parcel::new::<Elsewhere>(|_| note("never"));
    house.remote.post().try_send(0, Lane::Data, parcel).unwrap();
    house.remote.post().try_send(0, Lane::Data, Parcel::Handed(Box::new(7))).unwrap();
    house.settle();
    assert!(diary().is_empty());
}

#[test]
fn parcels_say_what_they_are() {
    let (tell, _told) = flume::bounded(1);
    let parcel = Parcel::EndKinds { kinds: vec!["ada"], by_force: false, tell };
    assert_eq!(format!("{parcel:?} {:?}", Parcel::new::<System>(|_| {})), "EndKinds Do");
}

#[test]
fn a_table_finds_its_actors_by_key_id_and_slot() {
    let mut house = House::of(1, KindSettings { mailbox: 7, ..calm() });
    let ids = ["a", "b", "c"].map(|key| house.spawn::<ADA>(key));
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    let table = house.table::<ADA>(0);
    assert_eq!((table.len(), table.is_empty()), (4, false));
    assert_eq!(table.ids().collect::<Vec<_>>(), [ids[0], ids[1], ids[2], handle.id()]);
    assert_eq!((table.find(&k("b")), table.find(&k("z"))), (Some(ids[1]), None));
    assert_eq!((table.key(ids[2]), table.key(handle.id())), (Some(&k("c")), None));
    assert_eq!((table.id(ids[1].slot), table.id_at(ids[1].slot), table.id_at(99)), (ids[1], Some(ids[1]), None));
    assert!(table.slots() >= 4);
    assert_eq!(table.at(ids[0].slot).unwrap().name, "a");
    table.at_mut(ids[0].slot).unwrap().count = 9;
    assert_eq!(table.get(ids[0]).unwrap().count, 9);
    assert!(table.at(99).is_none() && table.at_mut(99).is_none());
    assert_eq!((table.phase(ids[0]).unwrap().1, table.depth(ids[0])), (Moment::default(), Some(0)));
    assert_eq!(table.settings().mailbox, 7);
    drop(handle);
    house.settle();
    for key in ["a", "b", "c"] {
        house.play(key, end::<ADA>());
    }
    let table = house.table::<ADA>(0);
    assert!(table.is_empty() && table.get(ids[0]).is_none() && table.get_mut(ids[0]).is_none());
    assert_eq!(
        (table.phase(ids[0]), table.counts(ids[0]), table.depth(ids[0]), table.id_at(0)),
        (None, None, None, None)
    );
}
