//! Replies that are given later, or by a handler that fails.

use super::*;

#[test]
fn an_owed_reply_is_given_later() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let bob = b.clone();
        let owe = || {
            act("owe", |me: &mut Bob, cx| {
                me.owed.extend(cx.owe());
                assert!(cx.owe().is_none(), "once");
                cx.reply("not this".into());
            })
        };
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, owe(), None))));
        house.pass(10);
        let asked = house.ask(&b, owe());
        house.settle();
        assert_eq!(asked.answer(), None);
        house.play(
            &b,
            act("pay", |me: &mut Bob, cx| {
                assert!(cx.owe().is_none(), "nobody asks");
                cx.answer(me.owed.pop().unwrap(), Err("sorry".into()));
                cx.answer(me.owed.pop().unwrap(), Ok("here".into()));
            }),
        );
        let lines = [format!("{a}: ask"), format!("{b}: owe"), format!("{b}: owe"), format!("{b}: pay")];
        assert_eq!(diary(), [&lines[..], &[format!("{a}: here")]].concat());
        assert_eq!(asked.answer(), Some(Err(AskError::Handler("sorry".into()))));
    }
}

#[test]
fn who_waits_for_an_owed_reply_is_told_how_its_actor_ended() {
    type End = fn(&mut House);
    let ends: [(End, AskError<String>); 4] = [
        (|house| house.play("b", end::<BOB>()), AskError::Stopped),
        (|house| house.play("b", act::<BOB>("retire", |_, cx| cx.retire())), AskError::Stopped),
        (|house| house.play("b", fail::<BOB>("fail")), AskError::Died),
        (
            |house| {
                let id = house.find::<BOB>("b").unwrap();
                life::fail::<Bob>(house.host(), id, "it is time".into());
                house.settle();
            },
            AskError::Died,
        ),
    ];
    for (end, error) in ends {
        let mut house = House::of(1, calm());
        let owe = || owe::<BOB>();
        let asked = house.ask("b", owe());
        house.play("a", act("ask", move |_, cx| drop(ask_bob(cx, "b", owe(), None))));
        end(&mut house);
        assert_eq!(asked.answer(), Some(Err(error.clone())));
        assert_eq!(diary().last().unwrap(), &format!("a: {error:?}"));
        house.play("b", act("pay", |me: &mut Bob, _| assert!(me.owed.is_empty(), "a fresh one owes nothing")));
    }
}

#[test]
fn a_reply_that_is_owed_for_too_long_is_forgotten_and_an_asker_who_still_waits_is_told() {
    let mut house = House::of(1, calm());
    house.play("a", act("ask", |_, cx| drop(ask_bob(cx, "b", owe(), ms(50)))));
    let asked = house.ask_within("b", owe::<BOB>(), 50);
    house.pass(50);
    assert_eq!(diary(), ["a: ask", "b: owe", "b: owe", "a: TimedOut"]);
    house.leap(59_999);
    assert_eq!(asked.answer(), None);
    house.leap(1);
    assert_eq!(asked.answer(), Some(Err(AskError::TimedOut)));
    assert_eq!(house.figures::<ADA>(0).late_answers.get(), 0, "an actor's own ask had ended before");
}

#[test]
fn an_actor_that_goes_on_in_place_still_owes_and_pays() {
    let mut house = House::of(1, in_place());
    let asked = house.ask("b", owe::<BOB>());
    house.play("b", fail::<BOB>("fail"));
    assert_eq!(asked.answer(), None);
    house.play("b", act("pay", |me: &mut Bob, cx| cx.answer(me.owed.remove(0), Ok("all the same".into()))));
    assert_eq!(asked.answer(), Some(Ok("all the same".into())));
}

#[test]
fn a_reply_owed_by_a_handler_that_fails_is_answered_with_its_failure() {
    let mut house = House::of(1, in_place());
    let line = act("owe", |me: &mut Bob, cx| {
        me.owed.extend(cx.owe());
        panic!("after it");
    });
    assert_eq!(house.answer("b", line), Err(AskError::Died));
}

#[test]
fn a_reply_that_was_given_in_a_handler_that_fails_is_answered_with_its_failure() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [in_place(); 3]);
        let bob = b.clone();
        let owe = || owe::<BOB>();
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, owe(), None))));
        let asked = house.ask(&b, owe());
        house.settle();
        house.play(
            &b,
            act("pay", |me: &mut Bob, cx| {
                for owed in me.owed.drain(..) {
                    cx.answer(owed, Ok("never heard".into()));
                }
                panic!("after it");
            }),
        );
        assert_eq!(asked.answer(), Some(Err(AskError::Died)));
        assert_eq!(diary().last().unwrap(), &format!("{a}: Died"));
    }
}

#[test]
fn the_last_reply_of_a_handler_counts() {
    let mut house = House::of(1, calm());
    let line = act("twice", |_: &mut Ada, cx| {
        cx.reply("one".into());
        cx.reply("two".into());
    });
    assert_eq!(house.answer("a", line), Ok("two".into()));
}

#[test]
fn an_error_counts_more_than_the_reply_before_it() {
    let mut house = House::of(1, calm());
    let line = attempt("both", |_: &mut Ada, cx| {
        cx.reply("one".into());
        Err(Failure::Error("two".into()))
    });
    assert_eq!(house.answer("a", line), Err(AskError::Handler("two".into())));
    assert_eq!(house.figures::<ADA>(0).errors.get(), 1);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
}
