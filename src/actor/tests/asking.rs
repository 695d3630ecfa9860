//! Asking: what comes back, when, and to whom.

use std::time::Duration;

use super::kit::*;
use crate::actor::{
    actor::{Activation, Failure, KindSettings, Recovery},
    context::Context,
    envelope::{ActorId, Answer, AskError, TellError},
    kind_figures::DeadReason,
    life,
    mesh::Capacity,
    moment::Moment,
    parcel::Registry,
    pool::{self, Route},
    sending,
};

/// Has an actor ask Bob, and write down what comes of it.
fn ask_bob(me: &mut Context<'_, Ada>, key: &str, line: Line<BOB>, timeout: impl Into<Option<Duration>>) -> u64 {
    me.ask::<Bob>(&k(key), line, timeout, answered)
}

fn answered(answer: Answer<String, String>) -> Line<ADA> {
    say(told(&answer))
}

/// A house of two hosts, an `a` on the first, and a `b` beside it or on the other one.
fn apart(is_apart: bool, settings: [KindSettings; 3]) -> (House, String, String) {
    let house = House::each(2, settings);
    let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
    (house, a, b)
}

fn in_place() -> KindSettings {
    KindSettings { recovery: Recovery::InPlace, ..calm() }
}

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
fn errors_are_told_apart() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(), in_place(), calm()]);
        let lines: [fn() -> Line<BOB>; 6] = [
            || say("fine"),
            || act("silent", |_, _| {}),
            || attempt("no", |_, _| Err(Failure::Error("not today".into()))),
            || attempt("fatal", |_, _| Err(Failure::Fatal("the end".into()))),
            || fail("panics"),
            || act("late", |me, cx| me.owed.extend(cx.owe())),
        ];
        for line in lines {
            let bob = b.clone();
            house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, line(), ms(7)))));
            house.pass(20);
        }
        let answers: Vec<_> =
            diary().into_iter().filter(|line| line.starts_with(&a) && !line.ends_with("ask")).collect();
        let expected = ["fine", "Unanswered", "Handler(\"not today\")", "Died", "Died", "TimedOut"];
        assert_eq!(answers, expected.map(|answer| format!("{a}: {answer}")));
        house.play(&b, end::<BOB>());
    }
}

#[test]
fn an_ask_to_a_dead_letter_fails_at_once() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let id = house.spawn::<BOB>(&b);
        house.play(&b, end::<BOB>());
        hook::<BOB>(|hooks| hooks.activate = std::rc::Rc::new(|_| Activation::Absent));
        diary();
        let (before, bob) = (house.now(), b.clone());
        house.play(
            &a,
            act("ask", move |_, cx: &mut Context<'_, Ada>| {
                cx.ask_id::<Bob>(id, say("by id"), None, answered);
                ask_bob(cx, &bob, say("by key"), None);
            }),
        );
        assert_eq!(diary(), ["ask", "Stopped", "Stopped"].map(|line| format!("{a}: {line}")));
        assert_eq!(house.now(), before);
        let asked = house.ask(&b, say::<BOB>("from outside"));
        house.settle();
        assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
        let host = usize::from(is_apart);
        let dead = if is_apart { 3 } else { 2 };
        assert_eq!(house.dead::<BOB>(host, DeadReason::NoSuchActor), dead, "what comes back to its sender is none");
    }
}

#[test]
fn an_ask_of_a_kind_that_lives_nowhere_fails_at_once() {
    let mut house = House::new(
        1,
        |registry| {
            registry.place::<Ada>([0]);
        },
        |system, _| {
            system.add::<Ada>(calm());
        },
    );
    let remote = house.remote.clone();
    let answer = house.run(remote.ask::<Bob>(&k("b"), say("hello"), ms(1000)));
    assert_eq!(answer, Err(AskError::Stopped));
    assert_eq!(house.run(remote.retire::<Bob>(k("b"))), false);
    assert_eq!(house.run(remote.stop::<Bob>(k("b"))), false);
    assert!(remote.tell::<Bob>(&k("b"), say("hello")).unwrap_err().into_message() == say("hello"));
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
fn answers_find_their_asks_in_whichever_order_they_come() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let bob = b.clone();
        house.play(
            &a,
            act("ask", move |_, cx: &mut Context<'_, Ada>| {
                for n in 0..3 {
                    let later = owe::<BOB>();
                    cx.ask::<Bob>(&bob, later, None, move |answer| say(format!("{n} is {}", told(&answer))));
                }
            }),
        );
        diary();
        house.play(
            &b,
            act("answer", |me: &mut Bob, cx| {
                for n in [2, 1, 0] {
                    cx.answer(me.owed.remove(n), if n == 1 { Err("no".into()) } else { Ok(n.to_string()) });
                }
            }),
        );
        let lines = [format!("{b}: answer"), format!("{a}: 2 is 2"), format!("{a}: 1 is Handler(\"no\")")];
        assert_eq!(diary(), [&lines[..], &[format!("{a}: 0 is 0")]].concat());
    }
}

#[test]
fn tells_beyond_a_bound_followed_by_an_ask_neither_block_nor_mix_up() {
    for is_apart in [false, true] {
        let small = KindSettings { mailbox: 3, ..calm() };
        let (mut house, a, b) = apart(is_apart, [calm(), small, calm()]);
        let bob = b.clone();
        house.play(
            &a,
            act("go", move |_, cx: &mut Context<'_, Ada>| {
                for n in 0..5 {
                    if let Err(error) = cx.tell::<Bob>(&bob, say(format!("{n}"))) {
                        let kind = format!("{error:?}");
                        note(format!("{kind} {:?}", error.into_message()));
                    }
                }
                cx.ask::<Bob>(&bob, say("refused"), None, |answer| say(format!("refused: {}", told(&answer))));
            }),
        );
        let expected = if is_apart {
            // On the other host they are dead before the first is handled.
            let (lines, end) =
                (["dead: 3, mailbox_full", "dead: 4, mailbox_full"], format!("{a}: refused: MailboxFull"));
            let handled = [0, 1, 2].map(|n| format!("{b}: {n}"));
            [&[format!("{a}: go")], &lines.map(str::to_owned)[..], &handled, &[end]].concat()
        } else {
            let mut lines = ["Full 3", "Full 4", "a: refused: MailboxFull", "b: 0", "b: 1", "b: 2"].map(str::to_owned);
            for line in &mut lines {
                *line = line.replace("b:", &format!("{b}:")).replace("a:", &format!("{a}:"));
            }
            [&[format!("{a}: go")], &lines[..]].concat()
        };
        assert_eq!(diary(), expected);
        let bob = b.clone();
        house.play(
            &a,
            act("go", move |_: &mut Ada, cx| {
                drop(cx.ask::<Bob>(&bob, say("taken"), None, |answer| say(format!("taken: {}", told(&answer)))))
            }),
        );
        assert_eq!(diary(), [format!("{a}: go"), format!("{b}: taken"), format!("{a}: taken: taken")]);
        let figures = house.figures::<BOB>(usize::from(is_apart));
        assert_eq!(figures.rejected.get(), 3);
        assert_eq!(figures.dead_letters(DeadReason::MailboxFull).get(), if is_apart { 3 } else { 0 });
    }
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
fn a_world_asks_in_the_name_of_an_actor_which_is_given_the_answer() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let asker = house.spawn::<ADA>(&a);
        let deadline = house.now() + ms(50);
        let line = act("asked", move |_: &mut Bob, cx| {
            assert_eq!((cx.sender(), cx.metadata().deadline), (Some(asker), Some(deadline)));
            cx.reply("answer".into());
        });
        sending::ask_as::<Bob, Ada>(house.host(), asker, &b, line, ms(50), answered);
        house.settle();
        assert_eq!(diary(), [format!("{b}: asked"), format!("{a}: answer")]);
        sending::ask_as::<Bob, Ada>(house.host(), asker, &b, owe(), ms(50), answered);
        house.pass(49);
        assert_eq!(diary(), [format!("{b}: owe")]);
        house.pass(1);
        assert_eq!(diary(), [format!("{a}: TimedOut")]);
    }
}

#[test]
fn an_answer_finds_its_asker_with_a_full_mailbox() {
    let small = KindSettings { mailbox: 2, ..calm() };
    let mut house = House::each(1, [small, calm(), calm()]);
    house.play(
        "a",
        act("ask", |_, cx: &mut Context<'_, Ada>| {
            ask_bob(cx, "b", say("hello"), None);
            cx.tell_self(say("one")).unwrap();
            cx.tell_self(say("two")).unwrap();
            let back = cx.tell_self(say("three")).unwrap_err();
            assert_eq!(back.into_message(), say("three"));
        }),
    );
    assert_eq!(diary(), ["a: ask", "a: one", "a: two", "b: hello", "a: hello"]);
}

#[test]
fn an_answer_for_an_asker_that_has_ended_is_a_dead_letter() {
    for is_apart in [false, true] {
        let (mut house, a, b) = apart(is_apart, [calm(); 3]);
        let bob = b.clone();
        let owe = owe::<BOB>();
        house.play(&a, act("ask", move |_, cx| drop(ask_bob(cx, &bob, owe, None))));
        house.play(&a, end::<ADA>());
        house.play(&a, say::<ADA>("again"));
        house.play(&b, act("pay", |me: &mut Bob, cx| cx.answer(me.owed.remove(0), Ok("too late".into()))));
        assert_eq!(house.dead::<ADA>(0, DeadReason::Stopped), 1);
        let last = diary();
        assert_eq!(last[last.len() - 2..], [format!("{b}: pay"), "dead: too late, stopped".to_owned()]);
    }
}

#[test]
fn what_was_asked_of_an_actor_that_ends_is_asked_of_its_next_activation() {
    let mut house = House::of(1, calm());
    let asked = house.ask("a", act("one", |_: &mut Ada, cx| cx.end()));
    let next = house.ask("a", say::<ADA>("two"));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Unanswered)));
    assert_eq!(next.answer(), Some(Ok("two".into())));
    assert_eq!(house.figures::<ADA>(0).activations.get(), 2);
}

#[test]
fn a_member_of_a_pool_is_asked() {
    let mut house = House::of(2, calm());
    for n in 0..2 {
        pool::grow::<Bob>(house.host(), Puppet::new(format!("b{n}")));
    }
    for host in [0, 1] {
        let a = house.key_on(host, "a");
        house.play(
            &a,
            act("ask", |_, cx: &mut Context<'_, Ada>| {
                cx.ask_pool::<Bob>(Route::Member(1), say("hello"), None, answered);
                cx.ask_pool::<Bob>(Route::Member(2), say("nobody"), None, answered);
            }),
        );
        let mut lines = diary();
        lines.sort();
        let mut expected =
            vec![format!("{a}: Stopped"), format!("{a}: ask"), format!("{a}: hello"), "b1: hello".into()];
        expected.sort();
        assert_eq!(lines, expected);
    }
    let remote = house.remote.clone();
    let answer = house.run(remote.ask_pool::<Bob>(Route::Member(0), say("outside"), ms(10_000)));
    assert_eq!(answer, Ok("outside".into()));
    let answer = house.run(remote.ask_pool::<Bob>(Route::Member(7), say("outside"), ms(10_000)));
    assert_eq!(answer, Err(AskError::Stopped));
}

#[test]
fn an_actor_is_asked_by_its_id_from_outside_while_it_lives() {
    let mut house = House::of(2, calm());
    let b = house.key_on(1, "b");
    let id = house.spawn::<BOB>(&b);
    let remote = house.remote.clone();
    assert_eq!(house.run(remote.ask_id::<Bob>(id, say("hello"), ms(10_000))), Ok("hello".into()));
    let other = ActorId { generation: id.generation + 1, ..id };
    assert_eq!(house.run(remote.ask_id::<Bob>(other, say("hello"), ms(10_000))), Err(AskError::Stopped));
    let other = ActorId { kind: id.kind + 1, ..id };
    assert_eq!(house.run(remote.ask_id::<Bob>(other, say("hello"), ms(10_000))), Err(AskError::Stopped));
    remote.tell_id::<Bob>(id, say("told")).unwrap();
    house.settle();
    assert_eq!(diary(), [format!("{b}: hello"), format!("{b}: told")]);
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

#[test]
fn a_patient_tell_waits_for_a_place_in_the_inbox_too() {
    let capacity = Capacity { control: 16, data: 1, handoffs: 1 };
    let place = |registry: &mut Registry| {
        registry.place::<Ada>([0]);
    };
    let mut house = House::with_inboxes(1, capacity, place, |system, _| {
        system.add::<Ada>(calm());
    });
    house.tell("a", say::<ADA>("fills it"));
    let remote = house.remote.clone();
    let sent = house.run(remote.tell_patiently::<Ada>(&k("a"), say("patient"), ms(100)));
    assert!(sent.is_ok());
    house.settle();
    assert_eq!(diary(), ["a: fills it", "a: patient"]);
    house.tell("a", say::<ADA>("fills it"));
    let sent = house.run(remote.tell_patiently::<Ada>(&k("a"), say("at once"), Duration::ZERO));
    assert!(matches!(sent, Err(TellError::Full(_))), "{sent:?}");
}

#[test]
fn a_broadcast_reaches_every_actor_of_a_kind_and_gathers_the_replies_in_order() {
    let mut house = House::each(2, [calm(), KindSettings { mailbox: 1, ..calm() }, calm()]);
    let mut keys = Vec::new();
    for n in 0..6 {
        let key = house.key_on(n % 2, &format!("b{n}-"));
        house.spawn::<BOB>(&key);
        keys.push(key);
    }
    diary();
    let (full, dying) = (keys[2].clone(), keys[3].clone());
    house.tell(&full, say::<BOB>("fills it"));
    let remote = house.remote.clone();
    let make = move |key: &String| {
        if *key == dying { fail("die") } else { say(format!("hello {key}")) }
    };
    let answers = house.run(remote.broadcast::<Bob>(make, ms(10_000)));
    let expected: Vec<(String, Answer<String, String>)> = [0, 2, 4, 1, 3, 5]
        .map(|n| {
            let answer = match n {
                2 => Err(AskError::MailboxFull),
                3 => Err(AskError::Died),
                _ => Ok(format!("hello {}", keys[n])),
            };
            (keys[n].clone(), answer)
        })
        .into();
    assert_eq!(answers, expected);
}

#[test]
fn a_broadcast_does_not_wait_for_who_does_not_answer() {
    let mut house = House::of(1, calm());
    for key in ["a", "b", "c"] {
        house.spawn::<BOB>(key);
    }
    let remote = house.remote.clone();
    let make = |key: &String| {
        if key == "b" { owe::<BOB>() } else { say("here") }
    };
    let answers: Vec<_> =
        house.run(remote.broadcast::<Bob>(make, ms(200))).into_iter().map(|(_, answer)| answer).collect();
    assert_eq!(answers, [Ok("here".into()), Err(AskError::TimedOut), Ok("here".into())]);
}

#[test]
fn a_patient_tell_waits_for_a_place() {
    let mut house = House::each(1, [KindSettings { mailbox: 1, ..calm() }, calm(), calm()]);
    let (done, loaded) = flume::bounded::<()>(1);
    hook::<ADA>(|hooks| {
        hooks.activate = std::rc::Rc::new(move |cx| {
            let (name, loaded) = (cx.key.clone(), loaded.clone());
            Activation::Loading(Box::pin(async move {
                let _ = loaded.recv_async().await;
                Ok(Puppet::new(name))
            }))
        });
    });
    house.play("a", say::<ADA>("fills it"));
    let remote = house.remote.clone();
    let error = house.run(remote.tell_patiently::<Ada>(&k("a"), say("at once"), Duration::ZERO)).unwrap_err();
    assert_eq!(error.into_message(), say("at once"));
    let sent = house.run(async {
        let key = k("a");
        let telling = remote.tell_patiently::<Ada>(&key, say("patient"), Duration::from_secs(10));
        let loading = async {
            crate::actor::sleep::sleep(remote.clock(), ms(20)).await;
            done.send(()).unwrap();
        };
        futures_util::future::join(telling, loading).await.0
    });
    assert!(sent.is_ok());
    house.settle();
    assert_eq!(diary(), ["a: fills it", "a: patient"]);
}

#[test]
fn messages_from_outside_have_ids_of_their_own_whoever_sends_them() {
    let mut house = House::of(1, calm());
    let ids = || act("id", |_: &mut Ada, cx| note(format!("id {:x}", cx.metadata().id)));
    let others = [house.remote.clone(), crate::actor::world::World::core(house.host()).remote()];
    for remote in others {
        remote.tell::<Ada>(&k("a"), ids()).unwrap();
        remote.tell::<Ada>(&k("a"), ids()).unwrap();
    }
    // Those that actors tell have others.
    house.play("a", act("tells itself", move |_: &mut Ada, cx| (0..4).for_each(|_| cx.tell_self(ids()).unwrap())));
    let mut ids: Vec<_> = diary().into_iter().filter(|line| line.starts_with("id ")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
}
