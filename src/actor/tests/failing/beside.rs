//! What an actor's own code does beside its handlers may fail too.

use super::*;

#[test]
fn a_panic_over_a_message_that_is_not_delivered_keeps_nobody_from_anything() {
    let mut house = House::of(1, fresh());
    hook::<ADA>(|hooks| hooks.undelivered = Rc::new(|line| assert_ne!(line.text, "bad", "as told")));
    nobody::<ADA>();
    for text in ["bad", "good"] {
        house.tell("a", say::<ADA>(text));
    }
    let asked = house.ask("a", say::<ADA>("asked"));
    house.tell("b", say::<BOB>("goes on"));
    house.settle();
    assert_eq!(diary(), ["dead: bad, no_such_actor", "dead: good, no_such_actor", "b: goes on"]);
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(house.dead::<ADA>(0, DeadReason::NoSuchActor), 3);
}

#[test]
fn a_panic_at_making_a_message_of_an_answer_is_the_askers_failure() {
    for host in [0, 1] {
        let mut house = House::of(2, in_place());
        let (a, b) = (house.key_on(0, "a"), house.key_on(host, "b"));
        let (bob, other) = (b.clone(), b.clone());
        note_life::<ADA>();
        house.tell(
            &a,
            act("ask", move |_: &mut Ada, cx| drop(cx.ask::<Bob>(&bob, say("x"), None, |_| panic!("as told")))),
        );
        house.tell(
            &a,
            act("ask", move |_: &mut Ada, cx| drop(cx.ask::<Bob>(&other, say("y"), None, |answer| say(told(&answer))))),
        );
        house.settle();
        let own: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a)).collect();
        assert_eq!(
            own,
            ["started", "ask", "ask", "recovered", "y"].map(|what| {
                if ["started", "recovered"].contains(&what) { format!("{a} {what}") } else { format!("{a}: {what}") }
            })
        );
        assert_eq!((house.figures::<ADA>(0).panics.get(), house.figures::<BOB>(host).panics.get()), (1, 0));
    }
}

#[test]
fn a_panic_at_making_a_message_of_a_notice_or_an_event_is_that_actors_failure_alone() {
    let mut house = House::of(1, in_place());
    let watched = house.spawn::<CYD>("c");
    house.play(
        "a",
        act("go", move |_: &mut Ada, cx| {
            cx.watch(watched, |_| panic!("as told"));
            cx.subscribe::<News>(|_| panic!("as told"));
        }),
    );
    house.play(
        "b",
        act("go", move |_: &mut Bob, cx| {
            cx.watch(watched, |_| say("ended"));
            cx.subscribe::<News>(|event| say(event.clone()));
        }),
    );
    house.play("b", act("publish", |_: &mut Bob, cx| cx.publish::<News>("news".into())));
    house.play("c", end::<CYD>());
    assert_eq!(diary(), ["a: go", "b: go", "b: publish", "b: news", "c: end", "b: ended"]);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 2);
    assert_eq!(house.figures::<BOB>(0).panics.get(), 0);
    assert_eq!(house.hosts[0].core().watches.len(), 0);
}

#[test]
fn a_panic_at_making_a_message_for_one_that_is_in_the_middle_of_another_drops_it() {
    // The oldest message of a full mailbox falls out of it: its asker is the one that fills it.
    let settings = KindSettings { mailbox: 1, overflow: crate::actor::mailbox::Overflow::DropOldest, ..calm() };
    let mut house = House::each(1, [in_place(), settings, calm()]);
    let done = hold::<BOB>();
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.ask::<Bob>(&k("b"), say("x"), None, |_| panic!("as told"));
            cx.tell::<Bob>(&k("b"), say("y")).unwrap();
            cx.reply("done".into());
        }),
    );
    done.send(()).unwrap();
    house.play("a", say::<ADA>("goes on"));
    let mut told = diary();
    told.sort();
    assert_eq!(told, ["a: go", "a: goes on", "b: y"]);
}

#[test]
fn an_actor_that_ends_and_then_fails_beside_has_ended() {
    let mut house = House::of(1, fresh());
    let (sent, received) = flume::bounded::<()>(1);
    hook::<ADA>(|hooks| hooks.ending = Rc::new(|_, _| crate::actor::actor::Farewell::Later));
    house.play(
        "a",
        act("go", move |_: &mut Ada, cx| {
            cx.spawn(async move { received.recv_async().await }, |_| panic!("as told"));
            cx.end();
        }),
    );
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: false }));
    sent.send(()).unwrap();
    house.settle();
    assert_eq!(house.find::<ADA>("a"), None);
    hook::<ADA>(|hooks| {
        *hooks = Hooks::default();
        hooks.activate = Rc::new(|_| Activation::Absent);
    });
}

#[test]
fn a_panic_at_making_a_message_for_one_that_is_being_lost_is_dropped() {
    let mut house = House::of(1, calm());
    house.play("a", act("asks", |_: &mut Ada, cx| drop(cx.ask::<Bob>(&k("b"), owe(), None, |_| panic!("as told")))));
    let (lost, bob) = (house.find::<ADA>("a").unwrap(), house.find::<BOB>("b").unwrap());
    hook::<ADA>(|hooks| {
        hooks.lost = Rc::new(move |world, key, _| {
            note(format!("{key} is lost"));
            handling::call::<Bob, _>(world, bob, |me, cx| cx.answer(me.owed.remove(0), Ok("answer".into()))).unwrap();
        });
    });
    life::fail::<Ada>(house.host(), lost, "so be it".into());
    house.settle();
    assert_eq!(diary(), ["a: asks", "b: owe", "a is lost"]);
    assert_eq!(house.find::<ADA>("a"), None);
}
