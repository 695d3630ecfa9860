//! Ending: by itself, with calls in flight, by force, with its last handle.

use super::*;

#[test]
fn an_actor_ends_by_itself_with_its_clean_up() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    house.play("a", end::<ADA>());
    assert_eq!(diary(), ["a started", "a: end", "a ending", "a dropped"]);
    let figures = house.figures::<ADA>(0);
    assert_eq!((figures.actors.get(), figures.retirements.get(), figures.processed.get()), (0, 0, 1));
}

#[test]
fn what_waits_behind_an_end_is_for_the_next_activation() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    for line in [end(), say::<ADA>("one"), say("two")] {
        house.tell("a", line);
    }
    house.settle();
    let expected = ["a started", "a: end", "a ending", "a dropped", "a started", "a: one", "a: two"];
    assert_eq!(diary(), expected);
}

#[test]
fn what_was_put_aside_by_one_that_ends_is_for_the_next_activation() {
    let mut house = House::of(1, calm());
    let stash = act("put aside", |_: &mut Ada, cx| cx.stash(say("from the stash")));
    let asked = house.ask("a", stash);
    house.tell("a", end::<ADA>());
    house.tell("a", say::<ADA>("behind"));
    house.settle();
    assert_eq!(diary(), ["a: put aside", "a: end", "a: from the stash", "a: behind"]);
    assert_eq!(asked.answer(), Some(Ok("from the stash".into())));
}

#[test]
fn an_actor_may_take_its_time_to_end_and_is_given_its_answers() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.ending = Rc::new(|me, cx| {
            assert!(cx.is_ending());
            note(format!("{} saves", me.name));
            cx.ask::<Bob>(&k("store"), owe(), None, |answer| {
                act(told(&answer), |_: &mut Ada, cx| {
                    assert!(cx.is_ending());
                    cx.end();
                })
            });
            Farewell::Later
        });
    });
    house.play(
        "a",
        act("end", |_: &mut Ada, cx| {
            assert!(!cx.is_ending());
            cx.end();
        }),
    );
    house.tell("a", say::<ADA>("next"));
    house.pass(20);
    assert_eq!(diary(), ["a: end", "a saves", "store: owe"]);
    house.play("store", act("saved", |me: &mut Bob, cx| cx.answer(me.owed.remove(0), Ok("saved".into()))));
    assert_eq!(diary(), ["store: saved", "a: saved", "a: next"]);
}

#[test]
fn answers_that_came_before_its_end_are_given_to_it_too() {
    let mut house = House::of(1, calm());
    linger::<ADA>();
    house.tell(
        "a",
        act("ask and end", |_: &mut Ada, cx| {
            cx.ask::<Bob>(&k("b"), say("x"), Duration::ZERO, |answer| say(told(&answer)));
            cx.tell_self(say("for the next")).unwrap();
            cx.end();
        }),
    );
    house.settle();
    assert_eq!(diary(), ["a: ask and end", "a ending", "a: TimedOut"]);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    control(&mut house, "a", end::<ADA>());
    assert_eq!(diary(), ["a: end", "a: for the next"]);
}

#[test]
fn an_actor_says_in_its_clean_up_itself_that_it_is_over() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.ending = Rc::new(|_, cx| {
            cx.end();
            Farewell::Later
        });
    });
    house.play("a", end::<ADA>());
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn what_an_actor_sends_in_its_clean_up_goes() {
    let mut house = House::of(2, calm());
    let (a, b, c) = (house.key_on(0, "a"), house.key_on(0, "b"), house.key_on(1, "c"));
    let (bob, cyd) = (b.clone(), c.clone());
    hook::<ADA>(move |hooks| {
        hooks.ending = Rc::new(move |_, cx| {
            cx.tell::<Bob>(&bob, say("good-bye")).unwrap();
            cx.tell::<Cyd>(&cyd, say("good-bye")).unwrap();
            cx.later(|_| note("later"));
            Farewell::Done
        });
    });
    house.play(&a, end::<ADA>());
    assert_eq!(diary(), [format!("{a}: end"), "later".into(), format!("{b}: good-bye"), format!("{c}: good-bye")]);
}

#[test]
fn an_actor_that_panics_in_its_clean_up_has_ended_and_sent_nothing() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.ending = Rc::new(|_, cx| {
            cx.tell::<Bob>(&k("b"), say("never sent")).unwrap();
            panic!("as told")
        });
    });
    let ada = house.spawn::<ADA>("a");
    house.play(
        "c",
        act("watch", move |_: &mut Cyd, cx| drop(cx.watch(ada, |ended: Ended| say(ended.cause.to_string())))),
    );
    let asked = house.ask("a", end::<ADA>());
    house.tell("a", say::<ADA>("next"));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Unanswered)));
    assert_eq!(diary(), ["c: watch", "a: end", "a: next", "c: it stopped"]);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 1);
    assert_eq!(house.find::<BOB>("b"), None);
}

#[test]
fn an_actor_that_fails_while_it_takes_its_time_to_end_has_ended() {
    let mut house = House::of(1, calm());
    linger::<ADA>();
    let ada = house.spawn::<ADA>("a");
    house.play(
        "c",
        act("watch", move |_: &mut Cyd, cx| drop(cx.watch(ada, |ended: Ended| say(ended.cause.to_string())))),
    );
    house.play("a", end::<ADA>());
    let asked = house.ask("a", say::<ADA>("next"));
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    control(&mut house, "a", fail::<ADA>("fails"));
    assert_eq!(diary(), ["c: watch", "a: end", "a ending", "a: fails", "a: next", "c: it stopped"].map(str::to_owned));
    assert_eq!(asked.answer(), Some(Ok("next".into())));
    assert_eq!(house.figures::<ADA>(0).restarts.get(), 0);
}

#[test]
fn a_panic_in_drop_harms_nobody() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| hooks.dropped = Rc::new(|_| panic!("as told")));
    house.tell("a", end::<ADA>());
    house.tell("a", say::<ADA>("next"));
    house.play("b", say::<BOB>("notices nothing"));
    assert_eq!(diary(), ["a: end", "b: notices nothing", "a: next"]);
    house.play("a", fail::<ADA>("fails"));
    house.play("a", say::<ADA>("afresh"));
    assert_eq!(diary(), ["a: fails", "a: afresh"]);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
}

#[test]
fn calls_in_flight_end_with_the_actor_that_made_them_or_owes_them() {
    let mut house = House::of(2, calm());
    let (a, b) = (house.key_on(0, "a"), house.key_on(1, "b"));
    let bob = b.clone();
    let (sent, received) = flume::bounded::<()>(1);
    house.play(
        &a,
        act("go", move |me: &mut Ada, cx| {
            me.owed.extend(cx.owe());
            cx.ask::<Bob>(&bob, owe(), ms(100), |answer| say(told(&answer)));
            cx.spawn(async move { received.recv_async().await }, |_| say("never"));
            cx.schedule(ms(10), say("never"));
            cx.schedule_every(ms(10), || say("never"));
        }),
    );
    let asked = house.ask(&a, owe::<ADA>());
    house.settle();
    house.play(&a, act("retire", |_: &mut Ada, cx| cx.retire()));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    house.settle();
    assert!(sent.is_disconnected(), "its future is dropped");
    house.play(&b, act("pay", |me: &mut Bob, cx| cx.answer(me.owed.remove(0), Ok("too late".into()))));
    house.play(&a, say::<ADA>("the next"));
    house.pass(200);
    let told: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a) || line.starts_with("dead")).collect();
    let expected = [format!("{a}: go"), format!("{a}: owe"), format!("{a}: retire"), "dead: too late, stopped".into()];
    assert_eq!(told, [&expected[..], &[format!("{a}: the next")]].concat());
    assert_eq!(house.hosts[0].core().timers.len(), 0);
    assert_eq!(house.hosts[0].core().asks.len(), 0);
    assert_eq!(house.hosts[0].core().deferred.len(), 0);
}

#[test]
fn what_an_actor_had_asked_for_itself_is_not_given_to_the_next() {
    let mut house = House::of(1, calm());
    house.tell(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.schedule(Duration::ZERO, say("timer"));
            cx.ask::<Bob>(&k("b"), say("x"), Duration::ZERO, |answer| say(told(&answer)));
            cx.tell_self(say("told itself")).unwrap();
            cx.later(|world| drop(crate::actor::sending::tell::<Ada, _>(world, &k("a"), end())));
        }),
    );
    // The end comes first of what waits.
    let id = house.spawn::<ADA>("a2");
    house.settle();
    assert_eq!(diary()[..2], ["a: go", "a: told itself"]);
    let _ = id;
    let mut house = House::of(1, KindSettings { batch: 1, ..calm() });
    house.tell(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.tell_self(end()).unwrap();
            cx.ask::<Bob>(&k("b"), say("x"), Duration::ZERO, |answer| say(told(&answer)));
            cx.tell_self(say("for the next")).unwrap();
        }),
    );
    house.settle();
    assert_eq!(diary(), ["a: go", "a: end", "dead: TimedOut, stopped", "a: for the next"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::Stopped), 1);
}

#[test]
fn an_actor_departs_at_once_without_its_clean_up_and_leaves_its_messages_to_the_next() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    let id = house.spawn::<ADA>("a");
    let asked = house.ask("a", say::<ADA>("one"));
    house.take_in(0, usize::MAX);
    life::depart::<Ada>(house.host(), id);
    assert_eq!(diary(), ["a started", "a dropped"]);
    house.settle();
    assert_eq!(asked.answer(), Some(Ok("one".into())));
    assert_eq!(diary(), ["a started", "a: one"]);
}

#[test]
fn an_actor_that_departs_in_the_middle_of_its_own_message_is_dropped_after_it() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    house.tell(
        "a",
        act("departs", |me: &mut Ada, cx| {
            life::depart::<Ada>(cx.world, cx.id());
            note("still here");
            me.count += 1;
            cx.reply("gone".into());
        }),
    );
    let asked = house.ask("a", say::<ADA>("next"));
    house.settle();
    let expected = ["a started", "a: departs", "still here", "a dropped", "a started", "a: next"];
    assert_eq!(diary(), expected);
    assert_eq!(asked.answer(), Some(Ok("next".into())));
    hook::<ADA>(|hooks| hooks.dropped = Rc::new(|_| panic!("as told")));
    house.play("a", act("departs", |_: &mut Ada, cx| life::depart::<Ada>(cx.world, cx.id())));
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    house.play("a", say::<ADA>("next"));
    assert_eq!(diary(), ["a: departs", "a: next"]);
}

#[test]
fn an_actor_that_is_failed_from_beside_is_lost_with_its_messages() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    let id = house.spawn::<ADA>("a");
    let asked = house.ask("a", say::<ADA>("asked"));
    house.tell("a", say::<ADA>("told"));
    house.take_in(0, usize::MAX);
    life::fail::<Ada>(house.host(), id, "so be it".into());
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!(diary(), ["a started", "a dropped", "a lost: it failed: so be it", "dead: told, actor_failed"]);
    life::fail::<Ada>(house.host(), id, "once more".into());
    assert!(diary().is_empty(), "it is no more");
}

#[test]
fn a_panic_in_what_follows_a_loss_harms_nobody() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| hooks.lost = Rc::new(|_, _, _| panic!("as told")));
    let id = house.spawn::<ADA>("a");
    let asked = house.ask("a", say::<ADA>("asked"));
    house.take_in(0, usize::MAX);
    life::fail::<Ada>(house.host(), id, "so be it".into());
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_anonymous_actor_ends_with_its_last_handle_after_what_waits() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    let other = handle.clone();
    assert!(handle.is_holding() && other.id() == handle.id());
    drop(handle);
    house.settle();
    assert_eq!(diary(), ["x started"]);
    let id = other.id();
    house.remote.tell_id::<Ada>(id, say("one")).unwrap();
    house.take_in(0, usize::MAX);
    // From another thread, as a client's task does.
    std::thread::spawn(move || drop(other)).join().unwrap();
    house.settle();
    assert_eq!(diary(), ["x: one", "x ending", "x dropped"]);
    assert!(house.remote.tell_id::<Ada>(id, say("two")).is_ok());
    house.settle();
    assert_eq!(diary(), ["dead: two, no_such_actor"]);
    let bystander = house.spawn::<ADA>("a");
    drop(crate::actor::handle::Handle::<Ada>::of(bystander));
    house.settle();
    assert!(house.find::<ADA>("a").is_some(), "a handle of one that lives without it");
}

#[test]
fn an_anonymous_actor_that_can_not_go_on_in_place_has_ended() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    house.remote.tell_id::<Ada>(handle.id(), fail("fails")).unwrap();
    house.remote.tell_id::<Ada>(handle.id(), say("behind")).unwrap();
    house.settle();
    let cause = "it failed: it failed, and has no key to be made again";
    let expected = ["x started", "x: fails", "x dropped", &format!(" lost: {cause}"), "dead: behind, actor_failed"];
    assert_eq!(diary(), expected);
    drop(handle);
    house.settle();
    assert!(diary().is_empty());
}

#[test]
fn an_anonymous_actor_whose_last_handle_goes_while_it_rests_ends_when_it_goes_on() {
    let back_off = BackOff { first: ms(20), jitter: 0.0, ..BackOff::default() };
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, back_off, ..calm() });
    note_life::<ADA>();
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    for _ in 0..2 {
        house.remote.tell_id::<Ada>(handle.id(), fail("fails")).unwrap();
    }
    house.settle();
    assert_eq!(diary(), ["x started", "x: fails", "x recovered", "x: fails"]);
    drop(handle);
    house.pass(19);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["x recovered", "x ending", "x dropped"]);
}

#[test]
fn an_anonymous_actor_that_is_made_by_an_actor_ends_with_it() {
    let mut house = House::of(1, calm());
    note_life::<BOB>();
    hook::<ADA>(|hooks| {
        hooks.started = Rc::new(|_, cx| {
            let handle = cx.spawn_anonymous::<Bob>(Puppet::new("x"));
            cx.tell_id::<Bob>(handle.id(), say("hello")).unwrap();
            cx.spawn(
                async move {
                    std::future::pending::<()>().await;
                    handle
                },
                |_| say("never"),
            );
        });
    });
    house.play("a", say::<ADA>("hello"));
    assert_eq!(diary(), ["x started", "a: hello", "x: hello"]);
    house.play("a", end::<ADA>());
    house.settle();
    assert_eq!(diary(), ["a: end", "x ending", "x dropped"]);
}

#[test]
fn one_that_could_not_be_made_again_after_it_failed_is_told_of_as_failed() {
    for refuses in [true, false] {
        let mut house = House::of(1, calm());
        note_life::<ADA>();
        let id = house.spawn::<ADA>("a");
        house.play(
            "c",
            act("watch", move |_: &mut Cyd, cx| drop(cx.watch(id, |ended: Ended| say(ended.cause.to_string())))),
        );
        hook::<ADA>(move |hooks| {
            hooks.activate = Rc::new(move |_| match refuses {
                true => Activation::Refused("no".into()),
                false => Activation::Absent,
            });
        });
        let asked = house.ask("a", act("put aside", |_: &mut Ada, cx| cx.stash(say("stashed"))));
        house.tell("a", fail::<ADA>("fails"));
        house.settle();
        let told = diary();
        let expected = ["a: fails", "a dropped", "a lost: it failed: as told", "c: it failed: as told"];
        assert_eq!(told[told.len() - 4..], expected);
        let error = if refuses { AskError::Handler("no".into()) } else { AskError::Stopped };
        assert_eq!(asked.answer(), Some(Err(error)), "what was put aside is answered");
    }
}

#[test]
fn who_ends_leaves_its_id_to_nobody() {
    let mut house = House::of(1, calm());
    let first = house.spawn::<ADA>("a");
    house.play("a", end::<ADA>());
    assert_eq!(diary(), ["a: end"]);
    let second = house.spawn::<ADA>("a");
    assert_eq!((first.slot, first.kind, first.host), (second.slot, second.kind, second.host));
    assert_ne!(first.generation, second.generation);
    let told =
        house.call::<ADA, _>("a", |_, cx| cx.tell_id::<Ada>(first, say("old")).map_err(|error| format!("{error:?}")));
    assert_eq!(told, Ok(Err("Stopped".into())));
    let other = ActorId { kind: first.kind + 1, ..second };
    let told =
        house.call::<ADA, _>("a", |_, cx| cx.tell_id::<Ada>(other, say("old")).map_err(|error| format!("{error:?}")));
    assert_eq!(told, Ok(Err("Stopped".into())));
    assert!(diary().is_empty());
}
