//! Of a message that failed nothing is performed.

use super::*;
use crate::actor::{context::Context, life::SpawnError};

type End = fn() -> Result<(), Failure<String>>;

/// A message that does something and then fails.
fn fails(text: &str, end: End, does: impl FnOnce(&mut Ada, &mut Context<'_, Ada>) + Send + 'static) -> Line<ADA> {
    attempt(text, move |me: &mut Ada, cx| {
        does(me, cx);
        end()
    })
}

/// Both ways to fail, both ways to go on.
fn each(test: impl Fn(KindSettings, End)) {
    for settings in [in_place(), fresh()] {
        test(settings, || panic!("as told"));
        test(settings, || Err(Failure::Fatal("the end".into())));
    }
}

#[test]
fn tells_are_not_sent_wherever_they_go() {
    each(|settings, end| {
        for host in [0, 1] {
            let mut house = House::of(2, settings);
            let (a, b, c) = (house.key_on(0, "a"), house.key_on(host, "b"), house.key_on(host, "c"));
            let id = house.spawn::<BOB>(&b);
            let (bob, cyd) = (b.clone(), c.clone());
            house.play(
                &a,
                fails("fails", end, move |_, cx| {
                    cx.tell::<Bob>(&bob, say("never")).unwrap();
                    cx.tell_id::<Bob>(id, say("never")).unwrap();
                    cx.tell_with::<Bob>(&bob, say("never"), SendOptions::CONTROL).unwrap();
                    cx.tell::<Cyd>(&cyd, say("never")).unwrap();
                    cx.tell_self(say("never")).unwrap();
                }),
            );
            assert_eq!(diary(), [format!("{a}: fails")]);
            assert_eq!(house.find::<CYD>(&c), None, "nobody is named by it");
            assert_eq!(house.figures::<CYD>(host).actors.get(), 0);
            house.play(&a, tell::<ADA, BOB>(&b, ["this one"]));
            assert_eq!(diary().last(), Some(&format!("{b}: this one")));
        }
    });
}

#[test]
fn what_others_have_sent_to_the_same_is_left_alone() {
    for host in [0, 1] {
        let mut house = House::of(2, in_place());
        let (a, b, c) = (house.key_on(0, "a"), house.key_on(host, "b"), house.key_on(0, "c"));
        for n in 0..3 {
            house.tell(&c, tell::<CYD, BOB>(&b, [format!("c{n}")]));
            let bob = b.clone();
            house.tell(
                &a,
                act("go", move |_: &mut Ada, cx| {
                    cx.tell::<Bob>(&bob, say(format!("a{n}"))).unwrap();
                    assert_ne!(n, 1, "as told");
                }),
            );
        }
        house.settle();
        let told: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&format!("{b}:"))).collect();
        let mut from_a = told.clone();
        from_a.retain(|line| line.contains(": a"));
        let mut from_c = told;
        from_c.retain(|line| line.contains(": c"));
        assert_eq!(from_a, [format!("{b}: a0"), format!("{b}: a2")]);
        assert_eq!(from_c, [format!("{b}: c0"), format!("{b}: c1"), format!("{b}: c2")]);
    }
}

#[test]
fn asks_are_not_asked_and_not_answered() {
    each(|settings, end| {
        for host in [0, 1] {
            let mut house = House::of(2, settings);
            let (a, b) = (house.key_on(0, "a"), house.key_on(host, "b"));
            let bob = b.clone();
            house.play(
                &a,
                fails("fails", end, move |_, cx| {
                    for timeout in [0, 10] {
                        cx.ask::<Bob>(&bob, say("never"), ms(timeout), |answer| say(told(&answer)));
                    }
                }),
            );
            assert_eq!(house.hosts[0].core().asks.len(), 0);
            house.pass(50);
            assert_eq!(diary(), [format!("{a}: fails")]);
            assert_eq!(house.hosts[0].core().timers.len(), 0);
        }
    });
}

#[test]
fn what_waits_for_an_answer_of_a_failing_handler_hears_of_the_failure_and_nothing_else() {
    each(|settings, end| {
        let mut house = House::of(1, settings);
        let line = fails("fails", end, |_, cx| cx.reply("never heard".into()));
        assert_eq!(house.answer("a", line), Err(AskError::Died));
    });
}

#[test]
fn nothing_is_put_off_scheduled_spawned_watched_or_published() {
    each(|settings, end| {
        let mut house = House::of(2, settings);
        let (a, b, c) = (house.key_on(0, "a"), house.key_on(1, "b"), house.key_on(0, "c"));
        let watched = house.spawn::<CYD>(&c);
        house.play(&b, act("subscribe", |_: &mut Bob, cx| cx.subscribe::<News>(|event| say(event.clone()))));
        house.play(
            &a,
            fails("fails", end, move |_, cx| {
                cx.later(|_| note("never"));
                cx.schedule(ms(1), say("never"));
                cx.schedule_every(ms(1), || say("never"));
                cx.spawn(async {}, |()| say("never"));
                cx.publish::<News>("never".into());
                cx.subscribe::<News>(|_| say("never"));
                cx.watch(watched, |_| say("never"));
                cx.stop_actor(watched);
            }),
        );
        house.pass(20);
        assert_eq!(diary(), [format!("{b}: subscribe"), format!("{a}: fails")]);
        assert!(house.find::<CYD>(&c).is_some());
        let core = house.hosts[0].core();
        assert_eq!((core.timers.len(), core.tasks(), core.watches.len(), core.topics.len()), (0, 0, 0, 0));
    });
}

#[test]
fn it_unsubscribes_and_unwatches_nothing() {
    let mut house = House::of(1, in_place());
    let watched = house.spawn::<CYD>("c");
    house.play(
        "a",
        act("sets out", move |_: &mut Ada, cx| {
            cx.subscribe::<News>(|event| say(event.clone()));
            let watch = cx.watch(watched, |_| say("ended"));
            let fails = act("fails", move |_: &mut Ada, cx| {
                cx.unsubscribe::<News>();
                cx.unwatch(watch);
                panic!("as told");
            });
            cx.tell_self(fails).unwrap();
        }),
    );
    house.play("b", act("publish", |_: &mut Bob, cx| cx.publish::<News>("news".into())));
    house.play("c", end::<CYD>());
    assert_eq!(diary(), ["a: sets out", "a: fails", "b: publish", "a: news", "c: end", "a: ended"]);
}

#[test]
fn it_neither_ends_nor_retires() {
    let mut house = House::of(1, in_place());
    let id = house.spawn::<ADA>("a");
    for wish in [true, false] {
        house.play(
            "a",
            act("fails", move |_: &mut Ada, cx| {
                if wish {
                    cx.end()
                } else {
                    cx.retire()
                }
                panic!("as told");
            }),
        );
        house.leap(6000);
    }
    assert_eq!(house.find::<ADA>("a"), Some(id));
}

#[test]
fn actors_that_it_made_are_no_more() {
    each(|settings, end| {
        let mut house = House::of(1, settings);
        note_life::<BOB>();
        hook::<BOB>(|hooks| {
            hooks.started = Rc::new(|me, cx| {
                note(format!("{} started", me.name));
                cx.tell::<Cyd>(&k("c"), say("never")).unwrap();
                cx.schedule(ms(1), say("never"));
            });
        });
        house.play(
            "a",
            fails("fails", end, |_, cx| {
                let id = cx.spawn_actor::<Bob>(k("b"), Puppet::new("b")).unwrap();
                cx.tell_id::<Bob>(id, say("never")).unwrap();
                assert!(matches!(cx.spawn_actor::<Bob>(k("b"), Puppet::new("twice")), Err(SpawnError::Exists(_))));
                let handle = cx.spawn_anonymous::<Bob>(Puppet::new("x"));
                cx.tell_id::<Bob>(handle.id(), say("never")).unwrap();
                std::mem::forget(handle);
            }),
        );
        house.pass(10);
        assert_eq!(diary()[..4], ["a: fails", "b started", "twice dropped", "x started"]);
        let mut dropped = diary();
        dropped.sort();
        assert!(house.table::<BOB>(0).is_empty());
        assert_eq!((house.find::<CYD>("c"), house.hosts[0].core().timers.len()), (None, 0));
    });
}

#[test]
fn one_that_was_named_by_others_and_made_by_it_is_left_to_those() {
    let mut house = House::of(1, in_place());
    house.tell("b", say::<BOB>("by another"));
    house.take_in(0, usize::MAX);
    house.tell(
        "a",
        act("fails", |_: &mut Ada, cx| {
            cx.spawn_actor::<Bob>(k("b"), Puppet::new("made")).unwrap();
            panic!("as told");
        }),
    );
    // The one that is to be made waits behind.
    house.hosts[0].core().ready.clear();
    let id = house.find::<BOB>("b").unwrap();
    house.table::<BOB>(0).cell_mut(id).unwrap().is_queued = false;
    house.settle();
    assert_eq!(diary(), ["a: fails", "b: by another"]);
}

#[test]
fn a_place_of_reply_that_it_kept_is_answered_with_its_failure() {
    each(|settings, end| {
        for host in [0, 1] {
            let mut house = House::of(2, settings);
            let (a, b) = (house.key_on(host, "a"), house.key_on(0, "b"));
            let ada = a.clone();
            let line = fails("fails", end, |me, cx| me.owed.extend(cx.owe()));
            house.play(
                &b,
                act("ask", move |_: &mut Bob, cx| drop(cx.ask::<Ada>(&ada, line, None, |answer| say(told(&answer))))),
            );
            assert_eq!(diary(), [format!("{b}: ask"), format!("{a}: fails"), format!("{b}: Died")]);
            assert_eq!(house.hosts[host].core().deferred.len(), 0);
        }
    });
}

#[test]
fn taking_back_leaves_answers_that_came_meanwhile() {
    // The failing handler owes its own asker, whom it has told something before: the answer lies behind that.
    let mut house = House::of(1, in_place());
    let line = act("fails", |me: &mut Ada, cx| {
        cx.tell::<Bob>(&k("b"), say("never")).unwrap();
        me.owed.extend(cx.owe());
        panic!("as told");
    });
    house.play(
        "b",
        act("ask", move |_: &mut Bob, cx| drop(cx.ask::<Ada>(&k("a"), line, None, |answer| say(told(&answer))))),
    );
    assert_eq!(diary(), ["b: ask", "a: fails", "b: Died"]);
}

#[test]
fn who_fell_out_of_a_full_mailbox_for_it_is_told_so_once() {
    let settings = KindSettings { mailbox: 1, overflow: crate::actor::mailbox::Overflow::DropOldest, ..calm() };
    let mut house = House::each(1, [in_place(), settings, calm()]);
    let done = hold::<BOB>();
    let asked = house.ask("b", say::<BOB>("oldest"));
    house.settle();
    house.play(
        "a",
        act("fails", |_: &mut Ada, cx| {
            cx.tell::<Bob>(&k("b"), say("never")).unwrap();
            panic!("as told");
        }),
    );
    assert_eq!((asked.answer(), asked.answer()), (Some(Err(AskError::MailboxFull)), None));
    assert_eq!(house.figures::<BOB>(0).pending.get(), 0);
    done.send(()).unwrap();
    house.play("b", say::<BOB>("next"));
    assert_eq!(diary(), ["a: fails", "b: next"]);
}

#[test]
fn one_that_waits_to_be_made_again_is_not_forgotten_with_a_message_taken_back() {
    let mut house = House::each(1, [in_place(), fresh(), calm()]);
    let id = house.spawn::<BOB>("b");
    house.play("c", act("watch", move |_: &mut Cyd, cx| drop(cx.watch(id, |_| say("ended")))));
    diary();
    // Bob fails, and is to be made again behind Ada, who tells him something and fails.
    house.tell("b", fail::<BOB>("fails"));
    house.tell(
        "a",
        act("fails", |_: &mut Ada, cx| {
            let id = Hosts::<Bob>::table(cx.world).find(&k("b")).unwrap();
            assert_eq!(Hosts::<Bob>::table(cx.world).phase(id).unwrap().0, Phase::New);
            cx.tell::<Bob>(&k("b"), say("never")).unwrap();
            panic!("as told");
        }),
    );
    house.settle();
    assert_eq!(diary(), ["b: fails", "a: fails"]);
    assert_eq!(house.find::<BOB>("b"), Some(id));
    house.play("b", say::<BOB>("goes on"));
    assert_eq!(diary(), ["b: goes on"]);
}

#[test]
fn who_watches_one_that_was_named_by_a_failing_handler_alone_is_told_that_there_is_nobody() {
    let mut house = House::of(1, in_place());
    let c = house.spawn::<CYD>("c");
    house.play(
        "a",
        act("fails", move |_: &mut Ada, cx| {
            cx.tell::<Bob>(&k("b"), say("never")).unwrap();
            let id = Hosts::<Bob>::table(cx.world).find(&k("b")).unwrap();
            // A handler of another's that has returned.
            cx.call::<Cyd, _>(c, move |_, cx| {
                let me = cx.id();
                cx.later(move |world| {
                    handling::call::<Cyd, _>(world, me, |_, cx| {
                        drop(cx.watch(id, |ended: Ended| say(ended.cause.to_string())))
                    })
                    .unwrap();
                });
            })
            .unwrap();
            panic!("as told");
        }),
    );
    assert_eq!(diary(), ["a: fails", "c: there is no such actor"]);
}
