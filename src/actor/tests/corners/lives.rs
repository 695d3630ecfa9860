//! What ends with an actor's life, and what does not.

use super::*;
use crate::actor::{
    life::SpawnError,
    parcel::Parcel,
    pool::{self, Route},
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
