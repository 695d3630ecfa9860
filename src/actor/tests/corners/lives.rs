//! What ends with an actor's life, and what does not.

use super::*;
use crate::actor::{
    life::SpawnError,
    parcel::Parcel,
    pool::{self, Route},
    supervision::{Restart, StopLimit, Strategy},
    topic::{self, Topic},
    tree::{self, SupervisorPlan},
};

#[test]
fn what_an_actor_has_set_going_ends_with_its_value() {
    let mut house = house([lasting(); 3]);
    let other = spawn::<1>(&mut house, "other");
    let actor = spawn::<0>(&mut house, "actor");
    let (item, items) = flume::bounded(8);
    let (done, doing) = flume::bounded(1);
    has::<0>(&mut house, actor, move |cx| {
        cx.attach(items.into_stream(), Say::Note);
        cx.spawn(async move { doing.recv_async().await.unwrap_or("done") }, Say::Note);
        cx.watch(other, |_| Say::Note("ended"));
    });
    item.try_send("before").unwrap();
    house.settle();
    assert_eq!(noted(), ["actor: before"]);
    has::<0>(&mut house, actor, |_| panic!("as told"));
    assert!(item.is_disconnected(), "nobody reads its stream any more");
    assert!(done.is_disconnected(), "nobody waits for its future any more");
    has::<0>(&mut house, actor, move |cx| {
        cx.watch(other, |_| Say::Note("ended, and told once"));
    });
    has::<1>(&mut house, other, |cx| cx.end());
    assert_eq!(noted(), ["actor: ended, and told once"]);
}

#[test]
fn what_an_actor_has_set_going_ends_with_it() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "actor");
    let (item, items) = flume::bounded::<&str>(8);
    let (done, doing) = flume::bounded::<&str>(1);
    let (loaded, loading) = flume::bounded::<&str>(1);
    has::<0>(&mut house, actor, move |cx| {
        cx.attach(items.into_stream(), Say::Note);
        cx.spawn(async move { doing.recv_async().await.unwrap_or("done") }, Say::Note);
        cx.spawn(async move { loading.recv_async().await.unwrap_or("loaded") }, Say::Note);
    });
    loaded.try_send("this").unwrap();
    house.settle();
    assert_eq!(noted(), ["actor: this"]);
    has::<0>(&mut house, actor, |cx| cx.end());
    assert!(item.is_disconnected() && done.is_disconnected());
}

#[test]
fn what_was_put_aside_is_handled_by_the_fresh_value() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| cx.stash(Say::Note("put aside")));
    tell::<0>(&mut house, actor, does(|_| panic!("as told")));
    tell::<0>(&mut house, actor, Say::Note("behind"));
    house.settle();
    assert_eq!(noted(), ["actor: put aside", "actor: behind"]);
}

#[test]
fn what_has_no_key_to_come_again_by_does_not_retire_for_being_idle() {
    let mut house = house([KindSettings::default(); 3]);
    let handle = life::spawn_anonymous::<Probe<0>>(house.host(), Probe);
    let member = pool::grow::<Probe<1>>(house.host(), Probe);
    let keyed = spawn::<2>(&mut house, "keyed");
    house.pass(62_000);
    assert!(lives::<0>(&mut house, handle.id()), "somebody has a handle of it");
    assert!(lives::<1>(&mut house, member), "the pool has not let go of it");
    assert!(!lives::<2>(&mut house, keyed));
}

#[test]
fn an_anonymous_actor_whose_last_handle_goes_while_it_rests_ends_after_that() {
    let settings = KindSettings {
        recovery: crate::actor::actor::Recovery::InPlace,
        back_off: BackOff { first: ms(100), longest: ms(100), factor: 1.0, jitter: 0.0 },
        ..lasting()
    };
    let mut house = house([settings; 3]);
    let handle = life::spawn_anonymous::<Probe<0>>(house.host(), Probe);
    for _ in 0..2 {
        has::<0>(&mut house, handle.id(), |_| panic!("as told"));
    }
    let id = handle.id();
    drop(handle);
    house.settle();
    assert!(lives::<0>(&mut house, id), "its rest is not over");
    house.pass(101);
    assert!(!lives::<0>(&mut house, id));
}

#[test]
fn what_an_actor_was_promised_does_not_reach_its_next_life() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "telling");
    noted();
    tell::<0>(
        &mut house,
        actor,
        does(|cx| {
            cx.schedule(ms(1), Say::Note("own"));
            cx.schedule(ms(1), does(|cx| cx.end()));
            cx.schedule(ms(1), Say::Note("never"));
            cx.ask::<Probe<1>>(&"loading".to_owned(), Say::Bomb, ms(1), |_| Say::Note("never either"));
        }),
    );
    house.pass(3);
    assert_eq!(noted(), ["telling: own", "telling: ends", "lost: never", "lost: never either"]);
    assert!(
        Hosts::<Probe<0>>::table(house.host()).is_empty(),
        "it was not called back to life by what it had promised itself"
    );
}

#[test]
fn what_a_member_of_a_pool_was_promised_does_not_go_to_another() {
    let mut house = houses(1, lasting());
    let first = pool::grow::<Probe<0>>(house.host(), Probe);
    let last = pool::grow::<Probe<0>>(house.host(), Probe);
    has::<0>(&mut house, last, |cx| {
        cx.schedule(ms(1), Say::Note("own"));
    });
    house.clock.advance(ms(2));
    let asker = spawn::<1>(&mut house, "asker");
    noted();
    tell::<1>(
        &mut house,
        asker,
        does(|cx| {
            cx.tell_pool::<Probe<0>>(Route::Member(1), Say::Note("anybody's")).unwrap();
            cx.later(|world| assert!(pool::shrink::<Probe<0>>(world, None)));
        }),
    );
    house.settle();
    assert!(lives::<0>(&mut house, first) && !lives::<0>(&mut house, last));
    assert_eq!(noted(), ["lost: own", "telling anonymous: ends", "telling anonymous: anybody's"]);
}

#[test]
fn a_kind_that_has_ended_lets_no_new_ones_be() {
    let mut house = house([KindSettings::default(); 3]);
    let (tell, told) = flume::bounded(1);
    core::take(house.host(), Parcel::EndKinds { kinds: vec!["zero"], by_force: false, tell });
    house.settle();
    assert_eq!(told.try_recv(), Ok(0));
    let spawned = life::spawn::<Probe<0>>(house.host(), "new".to_owned(), Probe);
    assert_eq!(spawned, Err(SpawnError::KindEnded));
    assert!(life::spawn::<Probe<1>>(house.host(), "new".to_owned(), Probe).is_ok());
}

#[test]
fn a_supervisor_does_not_start_again_what_is_of_a_kind_that_ends() {
    let mut house = house([KindSettings::default(); 3]);
    let plan = SupervisorPlan::new("root", Strategy::OneForAll)
        .actor::<Probe<0>>("telling".to_owned(), Restart::Permanent, StopLimit::default(), |_| Ok(Probe))
        .actor::<Probe<1>>("sibling".to_owned(), Restart::Permanent, StopLimit::default(), |_| Ok(Probe));
    tree::start(house.host(), plan);
    let (tell, told) = flume::bounded(1);
    core::take(house.host(), Parcel::EndKinds { kinds: vec!["zero"], by_force: false, tell });
    house.settle();
    assert_eq!(told.try_recv(), Ok(0));
    assert_eq!(noted(), ["telling: started", "telling: ends"]);
    assert_eq!(Hosts::<Probe<1>>::table(house.host()).len(), 1);
    assert_eq!(tree::outcome(house.host()), None);
}

#[test]
fn an_event_that_waits_for_an_actor_that_ends_calls_nobody_to_life() {
    struct News;
    impl Topic for News {
        type Event = u32;
    }
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "telling");
    has::<0>(&mut house, actor, |cx| cx.subscribe::<News>(|_| Say::Note("news")));
    noted();
    tell::<0>(&mut house, actor, does(|cx| cx.end()));
    topic::publish::<News, System>(house.host(), 1);
    house.settle();
    assert_eq!(noted(), ["telling: ends", "lost: news"]);
    assert!(Hosts::<Probe<0>>::table(house.host()).is_empty());
}
