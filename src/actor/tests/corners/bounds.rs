//! Nothing grows for ever, and no turn takes for ever.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::*;
use crate::actor::{mesh::Lane, moment::ActorClock, parcel::Parcel, pool, topic::Topic, worker::Work};

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

#[test]
fn a_stream_is_read_no_faster_than_the_mailbox_has_room() {
    let mut house = house([KindSettings { mailbox: 4, ..lasting() }; 3]);
    let actor = spawn::<0>(&mut house, "actor");
    tell::<0>(
        &mut house,
        actor,
        does(|cx| {
            cx.attach(futures_util::stream::iter(0..1000), |_| Say::Note("item"));
            cx.attach(futures_util::stream::repeat(()), |()| Say::Bomb);
        }),
    );
    for _ in 0..100 {
        house.clock.advance(ms(1));
        turn(&mut house);
        let depth = Hosts::<Probe<0>>::table(house.host()).depth(actor).unwrap();
        assert!(depth <= 6, "{depth}");
    }
    assert!(noted().len() > 20);
}

#[test]
fn all_items_of_a_stream_come_in_order() {
    let mut house = house([KindSettings { mailbox: 4, ..lasting() }; 3]);
    let actor = spawn::<0>(&mut house, "actor");
    let names: Vec<&'static str> = (0..500).map(|n| &*n.to_string().leak()).collect();
    let items = names.clone();
    has::<0>(&mut house, actor, |cx| cx.attach(futures_util::stream::iter(items), Say::Note));
    house.pass(1000);
    let expected: Vec<String> = names.iter().map(|name| format!("actor: {name}")).collect();
    assert_eq!(noted(), expected);
}

#[test]
fn an_interval_of_no_time_does_not_stop_time() {
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| cx.schedule_every(Duration::ZERO, || Say::Note("tick")));
    house.pass(10);
    assert_eq!(noted().len(), 10, "it counts as a millisecond");
}

#[test]
fn an_actor_that_tells_itself_for_ever_leaves_the_turn_to_others() {
    fn again(clock: ActorClock, go_on: Arc<AtomicBool>) -> Say<0> {
        does(move |cx| {
            clock.advance(ms(1));
            note("again");
            if go_on.load(Ordering::Relaxed) {
                cx.tell_self(again(clock.clone(), go_on.clone())).unwrap();
            }
        })
    }
    let go_on = Arc::new(AtomicBool::new(true));
    let mut house = house([lasting(); 3]);
    let actor = spawn::<0>(&mut house, "actor");
    let clock = house.clock.clone();
    tell::<0>(&mut house, actor, again(clock, go_on.clone()));
    turn(&mut house);
    let handled = noted().len();
    assert!((1..10).contains(&handled), "{handled} messages of a millisecond each in one turn");
    let other = spawn::<1>(&mut house, "other");
    tell::<1>(&mut house, other, Say::Note("my turn"));
    turn(&mut house);
    turn(&mut house);
    assert!(noted().contains(&"other: my turn".to_owned()));
    go_on.store(false, Ordering::Relaxed);
}

#[test]
fn many_that_are_idle_at_once_do_not_retire_in_one_turn() {
    let mut house = house([KindSettings { idle_time: Some(ms(500)), ..lasting() }; 3]);
    for n in 0..100 {
        spawn::<0>(&mut house, &format!("slow{n}"));
    }
    house.clock.advance(ms(700));
    turn(&mut house);
    let left = Hosts::<Probe<0>>::table(house.host()).len();
    assert!((50..100).contains(&left), "{left}");
    assert_eq!(core::work(house.hosts[0].core()), Work::More, "the next turn goes on with it");
    house.pass(3000);
    assert_eq!(Hosts::<Probe<0>>::table(house.host()).len(), 0);
}

#[test]
fn events_for_a_host_that_takes_nothing_in_are_dropped_when_too_many_wait() {
    let mut house = houses(2, lasting());
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| cx.subscribe::<News>(|_| Say::Bomb));
    for n in 0..100_000 {
        crate::actor::topic::publish::<News, System>(house.host(), vec![n as u8; 4]);
        if n % 500 == 0 {
            turn(&mut house);
        }
    }
    turn(&mut house);
    // What its inbox has taken, and what waits for that, are bounded.
    assert_eq!(house.host().core().outbox.dropped, 100_000 - 4096 - 65_536);
    assert!(house.remote.post().try_send(1, Lane::Control, Parcel::new::<System>(|_| {})).is_ok());
}

#[test]
fn a_reply_that_is_owed_is_owed_no_longer_than_its_asker_waits() {
    let mut house = house([lasting(); 3]);
    let member = pool::grow::<Probe<1>>(house.host(), Probe);
    let asker = spawn::<0>(&mut house, "asker");
    has::<0>(&mut house, asker, move |cx| {
        let owes = Say::Do(Box::new(|cx: &mut Context<'_, Probe<1>>| {
            let _ = cx.owe();
            Ok(())
        }));
        cx.ask_id::<Probe<1>>(member, owes, ms(50), |_| Say::Note("no answer"));
    });
    assert_eq!(house.host().core().deferred.len(), 1);
    house.pass(51);
    assert!(noted().contains(&"asker: no answer".to_owned()));
    house.clock.advance(Duration::from_secs(60));
    house.settle();
    assert_eq!(house.host().core().deferred.len(), 0);
}

#[test]
fn a_mailbox_and_a_batch_hold_one_message_at_least() {
    let mut house = house([KindSettings { mailbox: 0, batch: 0, ..lasting() }; 3]);
    let actor = spawn::<0>(&mut house, "actor");
    has::<0>(&mut house, actor, |cx| cx.tell_self(Say::Note("one")).unwrap());
    assert_eq!(noted(), ["actor: one"]);
}
