//! How long is waited, and what comes too late.

use super::*;

#[test]
fn a_timeout_of_zero_fails_at_once_and_sends_nothing() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let bob = b.clone();
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, say("hello"), Duration::ZERO))));
        assert_eq!(diary(), [format!("{a}: ask"), format!("{a}: TimedOut")]);
        assert_eq!(house.find::<BOB>(&b), None);
        assert_eq!(house.now(), Moment::default());
    }
}

#[test]
fn a_deadline_in_the_past_or_now_fails_at_once_and_sends_nothing() {
    for ago in [0, 1] {
        let mut house = House::of(1, calm());
        house.leap(10);
        house.play(
            "a",
            act("ask", move |_, cx: &mut Context<'_, Ada>| {
                let deadline = cx.now() - ms(ago);
                cx.ask_by::<Bob>(&k("b"), say("hello"), deadline, answered);
            }),
        );
        assert_eq!(diary(), ["a: ask", "a: TimedOut"]);
        assert_eq!(house.find::<BOB>("b"), None);
    }
}

#[test]
fn a_deadline_ahead_is_that_of_the_message_and_of_the_ask() {
    let mut house = House::of(1, calm());
    house.play(
        "a",
        act("ask", |_, cx: &mut Context<'_, Ada>| {
            let deadline = cx.now() + ms(5);
            let line = act("hello", |me: &mut Bob, cx| {
                note(format!("{:?}", cx.metadata().deadline));
                me.owed.extend(cx.owe());
            });
            cx.ask_by::<Bob>(&k("b"), line, deadline, answered);
        }),
    );
    assert_eq!(diary(), ["a: ask", "b: hello", &format!("{:?}", Some(Moment::from_ms(5)))]);
    house.pass(4);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["a: TimedOut"]);
}

#[test]
fn an_outside_ask_with_no_time_fails_at_once_and_sends_nothing() {
    let mut house = House::of(1, calm());
    let remote = house.remote.clone();
    let answer = house.run(remote.ask::<Ada>(&k("a"), say("hello"), Duration::ZERO));
    assert_eq!(answer, Err(AskError::TimedOut));
    assert_eq!(remote.ask_blocking::<Ada>(&k("a"), say("hello"), Duration::ZERO), Err(AskError::TimedOut));
    house.settle();
    assert!(diary().is_empty());
}

#[test]
fn an_answer_that_comes_after_its_ask_has_timed_out_never_answers_the_next_ask() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let later = |text: &'static str| act(text, |me: &mut Bob, cx| me.owed.extend(cx.owe()));
        let bob = b.clone();
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, later("one"), ms(5)))));
        house.pass(5);
        let bob = b.clone();
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, later("two"), ms(5)))));
        let expected = [format!("{a}: ask"), format!("{b}: one"), format!("{a}: TimedOut")];
        assert_eq!(diary(), [&expected[..], &[format!("{a}: ask"), format!("{b}: two")]].concat());
        assert_eq!(house.figures::<ADA>(0).late_answers.get(), 0);
        let answer = |text: &'static str| {
            act("answer", move |me: &mut Bob, cx| {
                let owed = me.owed.remove(0);
                cx.answer(owed, Ok(text.into()));
            })
        };
        house.play(&b, answer("late"));
        assert_eq!(diary(), [format!("{b}: answer")]);
        assert_eq!(house.figures::<ADA>(0).late_answers.get(), 1, "counted with the kind that asked");
        assert_eq!(house.dead::<ADA>(0, DeadReason::LateAnswer), 1);
        assert_eq!(house.figures::<BOB>(usize::from(is_apart)).late_answers.get(), 0);
        house.play(&b, answer("in time"));
        assert_eq!(diary(), [format!("{b}: answer"), format!("{a}: in time")]);
        house.pass(20);
        assert!(diary().is_empty());
    }
}

#[test]
fn late_answers_are_counted_with_the_kind_that_asked_whichever_was_registered_first() {
    let mut house = House::of(1, calm());
    house.play(
        "b",
        act("ask", |_, cx: &mut Context<'_, Bob>| {
            let line = act("hello", |me: &mut Cyd, cx| me.owed.extend(cx.owe()));
            cx.ask::<Cyd>(&k("c"), line, ms(5), |answer| say(told(&answer)));
        }),
    );
    house.pass(5);
    house.play("c", act("answer", |me: &mut Cyd, cx| cx.answer(me.owed.remove(0), Ok("late".into()))));
    assert_eq!(diary(), ["b: ask", "c: hello", "b: TimedOut", "c: answer"]);
    assert_eq!(house.figures::<ADA>(0).late_answers.get(), 0);
    assert_eq!(house.figures::<BOB>(0).late_answers.get(), 1);
}

#[test]
fn an_ask_whose_answer_has_come_does_not_time_out() {
    let mut house = House::of(1, calm());
    house.play("a", act("ask", |_, cx| drop(ask_bob(cx, "b", say("hello"), ms(5)))));
    house.pass(10);
    assert_eq!(diary(), ["a: ask", "b: hello", "a: hello"]);
}

#[test]
fn an_expired_request_is_dropped_unhandled() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let (done, loaded) = flume::bounded::<()>(1);
        hook::<BOB>(|hooks| {
            hooks.activate = std::rc::Rc::new(move |cx| {
                let (name, loaded) = (cx.key.clone(), loaded.clone());
                Activation::Loading(Box::pin(async move {
                    let _ = loaded.recv_async().await;
                    Ok(Puppet::new(name))
                }))
            });
        });
        let bob = b.clone();
        house.play(
            &a,
            act("ask", move |_, cx: &mut Context<'_, Ada>| {
                ask_bob(cx, &bob, say("short"), ms(5));
                ask_bob(cx, &bob, say("long"), ms(6));
            }),
        );
        house.pass(5);
        assert_eq!(diary(), [format!("{a}: ask"), format!("{a}: TimedOut")]);
        done.send(()).unwrap();
        house.settle();
        assert_eq!(diary(), [format!("{b}: long"), format!("{a}: long")]);
        let host = usize::from(is_apart);
        assert_eq!(house.figures::<BOB>(host).expired.get(), 1);
        assert_eq!(house.dead::<BOB>(host, DeadReason::Expired), 1);
        assert_eq!(house.figures::<ADA>(0).late_answers.get(), 0, "that it expired is no answer");
    }
}

#[test]
fn an_outside_ask_that_expires_is_told_so() {
    let mut house = House::of(1, calm());
    let asked = house.ask_within("a", say::<ADA>("hello"), 5);
    house.clock.advance(ms(5));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::TimedOut)));
    assert!(diary().is_empty());
    assert_eq!(house.figures::<ADA>(0).expired.get(), 1);
}

#[test]
fn a_told_message_expires_like_an_asked_one() {
    use crate::actor::context::SendOptions;
    let mut house = House::of(1, calm());
    let options = SendOptions { deadline: Some(Moment::from_ms(3)), ..SendOptions::default() };
    for (ms, text) in [(2, "in time"), (1, "at its deadline")] {
        house.remote.tell_with::<Ada>(&k("a"), say(text), options).unwrap();
        house.leap(ms);
    }
    assert_eq!(diary(), ["a: in time", "dead: at its deadline, expired"]);
}

#[test]
fn an_ask_without_a_timeout_has_that_of_the_asked_kind() {
    let asked = KindSettings { ask_timeout: ms(40), ..calm() };
    let mut house = House::each(1, [KindSettings { ask_timeout: ms(20), ..calm() }, asked, calm()]);
    house.play(
        "a",
        act("ask", |_, cx: &mut Context<'_, Ada>| {
            ask_bob(cx, "b", owe::<BOB>(), None);
        }),
    );
    diary();
    house.pass(39);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["a: TimedOut"]);
}

#[test]
fn an_ask_of_a_kind_that_is_not_here_has_thirty_seconds() {
    let mut house = House::new(
        2,
        |registry| {
            registry.place::<Ada>([0]).place::<Bob>([1]);
        },
        |system, host| {
            if host == 0 {
                system.add::<Ada>(KindSettings { ask_timeout: ms(20), ..calm() });
            } else {
                system.add::<Bob>(KindSettings { ask_timeout: ms(40), ..calm() });
            }
        },
    );
    let ask = act("ask", |_, cx: &mut Context<'_, Ada>| {
        ask_bob(cx, "b", owe::<BOB>(), None);
    });
    house.play("a", ask);
    house.leap(29_999);
    assert_eq!(diary(), ["a: ask", "b: owe"]);
    house.leap(1);
    assert_eq!(diary(), ["a: TimedOut"]);
}

#[test]
fn asks_from_outside_time_out() {
    let mut house = House::of(1, calm());
    let remote = house.remote.clone();
    let owe = owe::<BOB>();
    assert_eq!(house.run(remote.ask::<Bob>(&k("b"), owe, ms(5))), Err(AskError::TimedOut));
    assert_eq!(remote.ask_blocking::<Bob>(&k("b"), say("unheard"), ms(5)), Err(AskError::TimedOut));
}

#[test]
fn what_was_asked_from_outside_for_too_long_is_dropped_unhandled() {
    let mut house = House::of(1, calm());
    let done = hold::<BOB>();
    let remote = house.remote.clone();
    assert_eq!(house.run(remote.ask::<Bob>(&k("b"), say("asked"), ms(5))), Err(AskError::TimedOut));
    house.play("b", say::<BOB>("told"));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["b: told"]);
    assert_eq!(house.figures::<BOB>(0).expired.get(), 1);
}
