//! What panics beside a handler harms nobody else.

use super::*;
use crate::actor::{actor::Recovery, envelope::AskError, topic::Topic};

struct News;

impl Topic for News {
    type Event = u32;
}

#[test]
fn a_panic_at_a_dead_letter_holds_up_nobody() {
    let mut house = house([lasting(); 3]);
    let watcher = spawn::<1>(&mut house, "watcher");
    let actor = spawn::<0>(&mut house, "actor");
    has::<1>(&mut house, watcher, move |cx| {
        cx.watch(actor, |_| Say::Note("told"));
    });
    let stops =
        does(move |cx: &mut Context<'_, Probe<0>>| cx.later(move |world| life::stop::<Probe<0>>(world, actor, None)));
    tell::<0>(&mut house, actor, stops);
    tell::<0>(&mut house, actor, Say::Bomb);
    tell::<0>(&mut house, actor, Say::Note("after"));
    house.settle();
    assert_eq!(noted(), ["lost: after", "watcher: told"]);
}

#[test]
fn a_panic_in_something_put_off_holds_up_nothing_else() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| {
        cx.later(|_| note("first"));
        cx.later(|_| panic!("as told"));
        cx.schedule(ms(1), Say::Note("scheduled"));
        cx.later(|_| note("last"));
    });
    assert_eq!(noted(), ["first", "last"]);
    house.pass(2);
    assert_eq!(noted(), ["actor: scheduled"]);
}

#[test]
fn a_subscriber_that_panics_at_an_event_is_the_only_one_to_miss_it() {
    // In place: a fresh value would have to subscribe again.
    let mut house = house([KindSettings { recovery: Recovery::InPlace, ..lasting() }; 3]);
    let first = spawn::<0>(&mut house, "first");
    let last = spawn::<1>(&mut house, "last");
    has::<0>(&mut house, first, |cx| {
        cx.subscribe::<News>(|n| {
            assert!(*n != 1, "as told");
            Say::Note("news")
        });
    });
    has::<1>(&mut house, last, |cx| cx.subscribe::<News>(|_| Say::Note("news")));
    has::<1>(&mut house, last, |cx| cx.publish::<News>(1));
    assert_eq!(noted(), ["last: news"]);
    has::<1>(&mut house, last, |cx| cx.publish::<News>(2));
    let mut all = noted();
    all.sort();
    assert_eq!(all, ["first: news", "last: news"]);
}

#[test]
fn an_actor_whose_future_panics_has_failed() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "telling");
    let other = spawn::<1>(&mut house, "other");
    assert_eq!(noted(), ["telling: started"]);
    let (go, wait) = flume::bounded::<()>(0);
    let waits = wait.clone();
    has::<0>(&mut house, actor, move |cx| {
        cx.spawn(
            async move {
                let _ = wait.recv_async().await;
                panic!("as told")
            },
            |()| Say::Note("never"),
        );
    });
    has::<1>(&mut house, other, move |cx| {
        cx.spawn(async move { waits.recv_async().await.unwrap_or(()) }, |()| Say::Note("goes on"));
    });
    drop(go);
    house.settle();
    assert_eq!(noted(), ["telling: started", "other: goes on"]);
    let restarts = Hosts::<Probe<0>>::table(house.host()).counts(actor).unwrap().restarts;
    assert_eq!(restarts, 1);
}

#[test]
fn an_actor_that_panics_at_making_a_message_of_an_answer_has_failed() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "telling");
    noted();
    has::<0>(&mut house, actor, |cx| {
        cx.ask::<Probe<1>>(&"a".to_owned(), Say::Note("asked"), None, |_| panic!("as told"));
        cx.ask::<Probe<1>>(&"a".to_owned(), Say::Note("asked again"), None, |_| Say::Note("answered"));
    });
    assert_eq!(noted(), ["a: asked", "a: asked again", "telling: started", "telling: answered"]);
}

#[test]
fn an_actor_that_panics_at_making_a_message_of_an_end_a_time_or_an_item_has_failed() {
    let mut house = house([lasting(); 3]);
    let other = spawn::<1>(&mut house, "other");
    let actor = spawn::<0>(&mut house, "telling");
    noted();
    has::<0>(&mut house, actor, move |cx| {
        cx.watch(other, |_| panic!("as told"));
    });
    has::<1>(&mut house, other, |cx| cx.end());
    assert_eq!(noted(), ["telling: started"]);
    has::<0>(&mut house, actor, |cx| cx.schedule_every(ms(1), || panic!("as told")));
    house.pass(5);
    assert_eq!(noted(), ["telling: started"], "and its schedule has ended");
    has::<0>(&mut house, actor, |cx| {
        cx.attach(futures_util::stream::iter(0..5), |n| {
            assert!(n != 2, "as told");
            Say::Note("item")
        });
    });
    house.pass(5);
    let noted = noted();
    assert_eq!(noted.iter().filter(|line| *line == "telling: started").count(), 1, "{noted:?}");
    assert!(noted.iter().filter(|line| *line == "telling: item").count() <= 2, "{noted:?}");
}

#[test]
fn an_interceptor_that_panics_passes() {
    let mut house = house([lasting(); 3]);
    let asker = spawn::<0>(&mut house, "asker");
    has::<0>(&mut house, asker, |cx| {
        cx.ask::<Probe<1>>(&"absent: panics".to_owned(), Say::Note("x"), None, |answer| {
            assert_eq!(answer, Err(AskError::Stopped));
            Say::Note("nobody")
        });
    });
    assert_eq!(noted(), ["asker: nobody"]);
}
