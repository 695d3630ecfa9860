//! Nothing grows for ever, and no turn takes for ever.

use super::*;
use crate::actor::{mesh::Lane, parcel::Parcel, pool, topic::Topic};

struct News;

impl Topic for News {
    type Event = Vec<u8>;
}

#[test]
fn a_watcher_keeps_nothing_of_watches_that_are_over() {
    let mut house = house([lasting(); 3]);
    let watcher = spawn::<0>(&mut house, "watcher");
    for n in 0..50 {
        let watched = spawn::<1>(&mut house, &format!("w{n}"));
        has::<0>(&mut house, watcher, move |cx| {
            cx.watch(watched, |_| Say::Bomb);
        });
        has::<1>(&mut house, watched, |cx| cx.end());
    }
    let cell = Hosts::<Probe<0>>::table(house.host()).cell_mut(watcher).unwrap();
    assert_eq!(cell.extras().watching.len(), 0);
}

#[test]
fn a_topic_keeps_nothing_of_subscribers_that_have_ended() {
    let mut house = house([lasting(); 3]);
    for n in 0..50 {
        let subscriber = spawn::<0>(&mut house, &format!("s{n}"));
        has::<0>(&mut house, subscriber, |cx| {
            cx.subscribe::<News>(|_| Say::Bomb);
            cx.subscribe::<News>(|_| Say::Bomb);
        });
        has::<0>(&mut house, subscriber, |cx| cx.end());
    }
    assert_eq!(house.host().core().topics.len(), 0);
}
