//! Asking: what comes back, when, and to whom.

mod deadlines;
mod forwarding;
mod many;
mod owing;
mod telling;

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
