//! Timers, futures and streams: they end with their actor.

use futures_util::{StreamExt as _, stream};

use super::*;

#[test]
fn a_scheduled_message_comes_at_its_time_once() {
    let mut house = House::of(1, calm());
    house.play("a", act("go", |_: &mut Ada, cx| drop(cx.schedule(ms(10), say("timer")))));
    house.pass(9);
    assert_eq!(diary(), ["a: go"]);
    house.pass(1);
    assert_eq!(diary(), ["a: timer"]);
    house.pass(50);
    assert!(diary().is_empty());
}

#[test]
fn what_an_actor_sends_itself_by_time_names_it_as_sender() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let line = act("timer", |_: &mut Ada, cx| {
                assert_eq!(cx.sender(), Some(cx.id()));
                assert!(!cx.is_asked());
            });
            cx.schedule(ms(10), line);
        }),
    );
    house.pass(10);
    assert_eq!(diary(), ["a: go", "a: timer"]);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
}

#[test]
fn a_scheduled_message_is_taken_back() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let timer = cx.schedule(ms(10), say("taken back"));
            cx.schedule(ms(11), say("kept"));
            cx.tell_self(act("cancel", move |_: &mut Ada, cx| cx.cancel(timer))).unwrap();
        }),
    );
    house.pass(20);
    assert_eq!(diary(), ["a: go", "a: cancel", "a: kept"]);
}

#[test]
fn a_handler_that_fails_sets_and_takes_back_no_timers() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let timer = cx.schedule(ms(10), say("still set"));
            let line = act("fails", move |_: &mut Ada, cx| {
                cx.cancel(timer);
                cx.schedule(ms(5), say("never"));
                cx.schedule_every(ms(5), || say("never"));
                panic!("as told");
            });
            cx.tell_self(line).unwrap();
        }),
    );
    house.pass(50);
    assert_eq!(diary(), ["a: go", "a: fails", "a: still set"]);
    assert_eq!(house.hosts[0].core().timers.len(), 0);
}

#[test]
fn messages_at_an_interval_come_once_for_what_a_host_has_missed() {
    let mut house = House::of(1, calm());
    house.play("a", act("go", |_: &mut Ada, cx| cx.schedule_every(ms(10), || say("tick"))));
    diary();
    house.pass(30);
    assert_eq!(diary(), ["a: tick"; 3]);
    house.leap(35);
    assert_eq!(diary(), ["a: tick"], "once");
    house.pass(9);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["a: tick"], "an interval after");
}

#[test]
fn an_interval_keeps_its_beat_where_a_host_is_a_little_late() {
    let mut house = House::of(1, calm());
    house.play("a", act("go", |_: &mut Ada, cx| cx.schedule_every(ms(10), || say("tick"))));
    diary();
    house.leap(14);
    assert_eq!(diary(), ["a: tick"]);
    house.leap(6);
    assert_eq!(diary(), ["a: tick"], "at twenty");
}

#[test]
fn an_interval_that_a_host_has_missed_by_a_hair_is_not_made_up_for() {
    let mut house = House::of(1, calm());
    house.play("a", act("go", |_: &mut Ada, cx| cx.schedule_every(ms(10), || say("tick"))));
    diary();
    house.leap(20);
    assert_eq!(diary(), ["a: tick"], "what was to come at ten");
    house.pass(10);
    assert_eq!(diary(), ["a: tick"]);
}

#[test]
fn an_interval_of_nothing_is_one_of_a_millisecond() {
    let mut house = House::of(1, calm());
    house.play("a", act("go", |_: &mut Ada, cx| cx.schedule_every(Duration::ZERO, || say("tick"))));
    assert_eq!(diary(), ["a: go"]);
    house.pass(3);
    assert_eq!(diary(), ["a: tick"; 3]);
    house.play("a", end::<ADA>());
    diary();
    house.pass(3);
    assert!(diary().is_empty());
}

#[test]
fn schedules_of_a_fresh_value_do_not_come_twice() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.started = Rc::new(|_, cx| {
            cx.schedule_every(ms(10), || say("tick"));
            cx.schedule(ms(15), say("once"));
        });
    });
    house.play("a", fail::<ADA>("fails"));
    house.pass(20);
    assert_eq!(diary(), ["a: fails", "a: tick", "a: once", "a: tick"]);
}

#[test]
fn schedules_go_on_in_place() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    hook::<ADA>(|hooks| hooks.started = Rc::new(|_, cx| cx.schedule_every(ms(10), || say("tick"))));
    house.play("a", fail::<ADA>("fails"));
    house.pass(20);
    assert_eq!(diary(), ["a: fails", "a: tick", "a: tick"]);
}

#[test]
fn the_making_of_a_message_at_an_interval_may_fail() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    house.play("a", act("go", |_: &mut Ada, cx| cx.schedule_every(ms(10), || panic!("as told"))));
    house.play("b", act("go", |_: &mut Bob, cx| cx.schedule_every(ms(10), || say("tick"))));
    house.pass(30);
    assert_eq!(diary(), ["a: go", "b: go", "b: tick", "b: tick", "b: tick"]);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 1, "it does not come again");
    assert_eq!(house.figures::<ADA>(0).restarts.get(), 1);
}

#[test]
fn timers_that_have_gone_off_are_not_kept() {
    for pending in [0, 20] {
        let mut house = House::of(1, calm());
        for _ in 0..pending {
            house.tell("a", act("go", |_: &mut Ada, cx| drop(cx.schedule(ms(1000), say("timer")))));
        }
        for _ in 0..200 {
            house.tell("a", act("go", |_: &mut Ada, cx| drop(cx.schedule(ms(1), say("timer")))));
            house.pass(1);
        }
        let id = house.find::<ADA>("a").unwrap();
        let kept = house.table::<ADA>(0).cell_mut(id).unwrap().extras().timers.len();
        assert!((pending..=16 + 2 * pending).contains(&kept), "{kept} of {pending}");
    }
}

#[test]
fn timers_that_are_still_to_go_off_are_not_forgotten() {
    let mut house = House::of(1, calm());
    for _ in 0..100 {
        house.tell("a", act("go", |_: &mut Ada, cx| drop(cx.schedule(ms(500), say("timer")))));
    }
    house.settle();
    diary();
    house.play("a", end::<ADA>());
    assert_eq!(house.hosts[0].core().timers.len(), 0);
}

#[test]
fn a_future_gives_its_actor_a_message() {
    let mut house = House::of(1, calm());
    let (sent, received) = flume::bounded::<u32>(1);
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.spawn(async move { received.recv_async().await.unwrap() }, |n| say(format!("{n}")))
        }),
    );
    house.pass(5);
    assert_eq!(diary(), ["a: go"]);
    sent.send(7).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: 7"]);
    assert_eq!(house.hosts[0].core().tasks(), 0);
    let id = house.find::<ADA>("a").unwrap();
    assert!(house.table::<ADA>(0).cell_mut(id).unwrap().extras().tasks.is_empty());
}

#[test]
fn a_future_that_is_ready_at_once_gives_its_message_in_turn() {
    let mut house = House::of(1, calm());
    house.tell("a", act("go", |_: &mut Ada, cx| cx.spawn(async {}, |()| say("done"))));
    house.tell("a", say::<ADA>("next"));
    house.settle();
    assert_eq!(diary(), ["a: go", "a: next", "a: done"]);
}

#[test]
fn a_future_sleeps_by_the_clock_of_its_host() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let clock = cx.remote().clock().clone();
            cx.spawn(async move { crate::actor::sleep::sleep(&clock, ms(25)).await }, |()| say("slept"));
        }),
    );
    house.pass(24);
    assert_eq!(diary(), ["a: go"]);
    house.pass(1);
    assert_eq!(diary(), ["a: slept"]);
}

#[test]
fn a_handler_that_fails_starts_no_future() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    house.play(
        "a",
        act("fails", |_: &mut Ada, cx| {
            cx.spawn(async {}, |()| say("never"));
            cx.attach(stream::iter([1]), |_| say("never"));
            panic!("as told");
        }),
    );
    house.pass(5);
    assert_eq!(diary(), ["a: fails"]);
    assert_eq!(house.hosts[0].core().tasks(), 0);
}

#[test]
fn a_future_that_panics_is_a_failure_of_its_actor_and_of_no_other() {
    for made in [true, false] {
        let mut house = House::of(1, calm());
        note_life::<ADA>();
        house.play("b", act("go", |_: &mut Bob, cx| cx.spawn(async {}, |()| say("done"))));
        house.play(
            "a",
            act("go", move |_: &mut Ada, cx| {
                cx.spawn(
                    async move {
                        assert!(made, "as told");
                    },
                    |()| panic!("as told"),
                );
            }),
        );
        house.play("a", say::<ADA>("goes on"));
        assert_eq!(diary(), ["b: go", "b: done", "a started", "a: go", "a dropped", "a started", "a: goes on"]);
        assert_eq!(house.figures::<ADA>(0).panics.get(), 1);
    }
}

#[test]
fn a_stream_gives_a_message_for_each_item() {
    let mut house = House::of(1, calm());
    let (sent, received) = flume::unbounded::<u32>();
    house.play("a", act("go", |_: &mut Ada, cx| cx.attach(received.into_stream(), |n| say(format!("{n}")))));
    for n in 0..3 {
        sent.send(n).unwrap();
    }
    house.settle();
    sent.send(3).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: go", "a: 0", "a: 1", "a: 2", "a: 3"]);
    drop(sent);
    house.settle();
    assert_eq!(house.hosts[0].core().tasks(), 0, "it is over");
}

#[test]
fn a_stream_ends_with_its_actor() {
    let mut house = House::of(1, calm());
    let (sent, received) = flume::unbounded::<u32>();
    house.play("a", act("go", |_: &mut Ada, cx| cx.attach(received.into_stream(), |n| say(format!("{n}")))));
    house.play("a", end::<ADA>());
    house.settle();
    assert!(sent.is_disconnected(), "nobody reads it any more");
    house.play("a", say::<ADA>("next"));
    assert_eq!(diary(), ["a: go", "a: end", "a: next"]);
}

#[test]
fn a_stream_that_always_has_an_item_is_not_read_while_the_mailbox_is_full() {
    let mut house = House::of(1, KindSettings { mailbox: 4, batch: 2, ..calm() });
    thread_local!(static READ: Cell<u32> = const { Cell::new(0) });
    READ.set(0);
    house.tell(
        "a",
        act("go", |_: &mut Ada, cx| {
            let endless = stream::repeat_with(|| READ.set(READ.get() + 1));
            cx.attach(Box::pin(endless), |()| say("item"));
        }),
    );
    house.take_in(0, usize::MAX);
    for _ in 0..200 {
        house.turn(0);
        house.clock.advance(ms(1));
        let id = house.find::<ADA>("a").unwrap();
        assert!(house.table::<ADA>(0).depth(id).unwrap() <= 4);
    }
    let (read, handled) = (READ.get() as usize, diary().len() - 1);
    assert!(read > 100 && read - handled <= 5, "{read} read, {handled} handled");
    house.play("a", end::<ADA>());
}

#[test]
fn a_stream_of_a_fresh_value_is_not_read_twice() {
    let mut house = House::of(1, calm());
    let (sent, received) = flume::unbounded::<u32>();
    hook::<ADA>(move |hooks| {
        hooks.started = Rc::new(move |_, cx| cx.attach(received.clone().into_stream(), |n| say(format!("{n}"))));
    });
    house.play("a", fail::<ADA>("fails"));
    for n in 0..4 {
        sent.send(n).unwrap();
        house.settle();
    }
    assert_eq!(diary(), ["a: fails", "a: 0", "a: 1", "a: 2", "a: 3"]);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
}

#[test]
fn a_stream_that_panics_is_a_failure_of_its_actor() {
    for made in [true, false] {
        let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
        house.play(
            "a",
            act("go", move |_: &mut Ada, cx| {
                let items = stream::iter([1, 2]).map(move |n| {
                    assert!(made, "as told");
                    n
                });
                cx.attach(items, |n| {
                    assert_eq!(n, 3, "as told");
                    say("never")
                });
            }),
        );
        house.play("a", say::<ADA>("goes on"));
        assert_eq!(diary(), ["a: go", "a: goes on"]);
        assert_eq!(house.figures::<ADA>(0).panics.get(), 1);
    }
}

#[test]
fn a_future_that_panics_when_it_is_dropped_harms_nobody() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as told");
        }
    }
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let bomb = Bomb;
            cx.spawn(
                async move {
                    std::future::pending::<()>().await;
                    drop(bomb);
                },
                |()| say("never"),
            );
        }),
    );
    house.play("b", act("go", |_: &mut Bob, cx| cx.spawn(async {}, |()| say("done"))));
    house.tell("a", end::<ADA>());
    house.play("b", act("go", |_: &mut Bob, cx| cx.spawn(async {}, |()| say("done"))));
    assert_eq!(diary(), ["a: go", "b: go", "b: done", "a: end", "b: go", "b: done"]);
}

#[test]
fn many_futures_that_are_ready_leave_their_host_time_for_others() {
    let mut house = House::of(1, KindSettings { mailbox: 10_000, ..calm() });
    house.tell(
        "a",
        act("go", |_: &mut Ada, cx| {
            for _ in 0..3000 {
                cx.spawn(async {}, |()| say("done"));
            }
        }),
    );
    house.take_in(0, usize::MAX);
    assert!(house.turn(0));
    let depths: Vec<_> = (0..4)
        .map(|_| {
            house.turn(0);
            diary().iter().filter(|line| line.ends_with("done")).count()
        })
        .collect();
    assert!(depths.iter().all(|count| *count <= 1024), "{depths:?}");
    house.settle();
}

#[test]
fn what_is_put_off_is_done_when_the_handler_has_returned_in_order() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.later(|world| {
                note("first");
                assert_eq!(Hosts::<Ada>::table(world).len(), 1);
            });
            cx.later(|_| panic!("as told"));
            cx.later(|world| {
                note("third");
                world.core().later.push(Box::new(|_| note("put off by it")));
            });
            note("handled");
        }),
    );
    assert_eq!(diary(), ["a: go", "handled", "first", "third", "put off by it"]);
}

#[test]
fn what_is_put_off_between_handlers_is_done_in_order_too() {
    let mut house = House::of(1, calm());
    let bob = house.spawn::<BOB>("b");
    house.play(
        "a",
        act("go", move |_: &mut Ada, cx| {
            cx.later(move |world| {
                world.core().put_off(Box::new(|_| note("first")));
                handling::call::<Bob, _>(world, bob, |_, cx| cx.later(|_| note("second"))).unwrap();
            });
        }),
    );
    assert_eq!(diary(), ["a: go", "first", "second"]);
}

#[test]
fn draws_are_chance_and_between_nothing_and_one() {
    let mut house = House::of(2, calm());
    let mut draws = Vec::new();
    for host in [0, 1] {
        let a = house.key_on(host, "a");
        house.spawn::<ADA>(&a);
        for _ in 0..50 {
            draws.push(house.call::<ADA, _>(&a, |_, cx| cx.draw()).unwrap());
        }
    }
    assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
    draws.sort_by(f64::total_cmp);
    draws.dedup();
    assert_eq!(draws.len(), 100, "each host has its own");
}

#[test]
fn an_actor_knows_its_key_its_id_and_the_moment() {
    let mut house = House::of(1, calm());
    let id = house.spawn::<ADA>("a");
    house.pass(3);
    let seen = house.call::<ADA, _>("a", |_, cx| (cx.key(), cx.id(), cx.now(), cx.sender())).unwrap();
    assert_eq!(seen, (Some(k("a")), id, crate::actor::moment::Moment::from_ms(3), None));
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    let key = crate::actor::handling::call::<Ada, _>(house.host(), handle.id(), |_, cx| cx.key());
    assert_eq!(key, Ok(None));
    drop(handle);
    house.settle();
}
