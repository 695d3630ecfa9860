//! Asks that are handed on.

use super::*;

#[test]
fn a_forwarded_ask_keeps_its_sender_deadline_and_place_of_reply() {
    for (bob_on, cyd_on) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut house = House::of(2, calm());
        let (a, b, c) = (house.key_on(0, "a"), house.key_on(bob_on, "b"), house.key_on(cyd_on, "c"));
        let ada = house.spawn::<ADA>(&a);
        let (bob, cyd) = (b.clone(), c.clone());
        let last = act("last", move |_: &mut Cyd, cx| {
            assert_eq!(cx.sender(), Some(ada));
            assert_eq!(cx.metadata().deadline, Some(Moment::from_ms(30)));
            assert!(cx.is_asked());
            cx.reply("from the last".into());
        });
        let first = act("first", move |_: &mut Bob, cx| {
            cx.forward::<Cyd>(&cyd, last).unwrap();
            assert!(!cx.is_asked());
            cx.reply("nobody hears this".into());
        });
        house.play(&a, act("ask", move |_, cx| drop(cx.ask::<Bob>(&bob, first, ms(30), answered))));
        house.pass(50);
        let expected =
            [format!("{a}: ask"), format!("{b}: first"), format!("{c}: last"), format!("{a}: from the last")];
        assert_eq!(diary(), expected);
    }
}

#[test]
fn a_forwarded_outside_ask_is_answered_by_the_last() {
    for host in [0, 1] {
        let mut house = House::of(2, calm());
        let (a, b) = (house.key_on(0, "a"), house.key_on(host, "b"));
        let bob = b.clone();
        let first = act("first", move |_: &mut Ada, cx| cx.forward::<Bob>(&bob, say("last")).unwrap());
        assert_eq!(house.answer(&a, first), Ok("last".into()));
    }
}

#[test]
fn a_message_that_can_not_be_forwarded_comes_back_and_is_answered_here() {
    let none = KindSettings { mailbox: 1, ..calm() };
    let mut house = House::each(1, [calm(), none, calm()]);
    let answer = house.answer(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.tell::<Bob>(&k("b"), say("fills it")).unwrap();
            let error = cx.forward::<Bob>(&k("b"), say("too much")).unwrap_err();
            assert_eq!(error.into_message(), say("too much"));
            assert!(cx.is_asked());
            cx.reply("full".into());
        }),
    );
    assert_eq!(answer, Ok("full".into()));
}

#[test]
fn a_handler_that_forwards_and_then_fails_answers_for_what_it_took_back() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        for host in [0, 1] {
            let mut house = House::of(2, KindSettings { recovery, ..calm() });
            let (a, b, c) = (house.key_on(0, "a"), house.key_on(host, "b"), house.key_on(0, "c"));
            let bob = b.clone();
            let first = move || {
                let bob = bob.clone();
                act("first", move |_: &mut Ada, cx| {
                    cx.forward::<Bob>(&bob, say("last")).unwrap();
                    panic!("after it");
                })
            };
            assert_eq!(house.answer(&a, first()), Err(AskError::Died), "asked from outside");
            let (ada, line) = (a.clone(), first());
            let ask =
                act("ask", move |_: &mut Cyd, cx| drop(cx.ask::<Ada>(&ada, line, None, |answer| say(told(&answer)))));
            house.play(&c, ask);
            let expected = [format!("{a}: first"), format!("{c}: ask"), format!("{a}: first"), format!("{c}: Died")];
            assert_eq!(diary(), expected);
            assert_eq!(house.find::<BOB>(&b), None);
        }
    }
}
