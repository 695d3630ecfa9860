//! Calls straight through: what they reach, and what comes of them whatever becomes of their callers.

use super::kit::*;
use crate::actor::{
    actor::{KindSettings, Recovery},
    handling::{self, CallError},
    supervision::{BackOff, Intensity, Restart, StopLimit, Strategy},
    tree::{self, SupervisorPlan},
};

/// Has Bob be called from the handler at hand.
fn call_bob(cx: &mut Cx, act: impl FnOnce(&mut Bob, &mut crate::actor::context::Context<'_, Bob>)) {
    let bob = crate::actor::world::Hosts::<Bob>::table(cx.world).find(&k("b")).unwrap();
    handling::call::<Bob, _>(cx.world, bob, act).unwrap();
}

type Cx<'a> = crate::actor::context::Context<'a, Ada>;

/// Settings under which the second failure is followed by a second of rest, and each after it.
fn resting(recovery: Recovery) -> KindSettings {
    let back_off = BackOff { first: ms(1000), longest: ms(1000), factor: 1.0, jitter: 0.0 };
    KindSettings { recovery, back_off, intensity: Intensity { restarts: 100, within: ms(60_000) }, ..calm() }
}

/// A house in which `b` has failed and rests.
fn with_resting_bob(recovery: Recovery) -> House {
    let mut house = House::of(1, resting(recovery));
    house.play::<BOB>("b", fail("fails"));
    house.play::<BOB>("b", fail("fails again"));
    assert_eq!(diary(), ["b: fails", "b: fails again"]);
    house
}

#[test]
fn a_called_actors_answer_goes_before_its_end_also_within_another_handler() {
    for fails in [false, true] {
        let mut house = House::of(1, calm());
        let asked = house.ask::<BOB>("b", owe());
        house.play::<ADA>(
            "a",
            act("call", move |_, cx: &mut Cx| {
                call_bob(cx, |me, cx| {
                    let owed = me.owed.pop().unwrap();
                    cx.answer(owed, Ok("done".to_owned()));
                    cx.end();
                });
                assert!(!fails, "as told");
            }),
        );
        assert_eq!(asked.answer(), Some(Ok("done".to_owned())));
        assert_eq!(house.find::<BOB>("b"), None);
    }
}

#[test]
fn one_that_rests_with_its_value_can_be_called_and_what_waits_goes_on_waiting() {
    let mut house = with_resting_bob(Recovery::InPlace);
    house.play::<BOB>("b", say("waits"));
    assert_eq!(house.call::<BOB, _>("b", |me, _| me.count), Ok(2));
    assert_eq!(diary(), [""; 0]);
    house.pass(1000);
    assert_eq!(diary(), ["b: waits"]);
}

#[test]
fn one_that_rests_for_a_fresh_value_can_not_be_called() {
    let mut house = with_resting_bob(Recovery::Fresh);
    assert_eq!(house.call::<BOB, _>("b", |_, _| ()), Err(CallError::Busy));
}

#[test]
fn a_call_that_fails_into_a_rest_begins_that_rest_anew() {
    let mut house = with_resting_bob(Recovery::InPlace);
    house.pass(900);
    assert_eq!(house.call::<BOB, ()>("b", |_, _| panic!("as told")), Err(CallError::Died));
    house.play::<BOB>("b", say("waits"));
    house.pass(900);
    assert_eq!(diary(), [""; 0]);
    house.pass(100);
    assert_eq!(diary(), ["b: waits"]);
}

#[test]
fn one_that_rests_and_is_called_to_end_has_the_whole_time_for_its_clean_up() {
    let mut house = with_resting_bob(Recovery::InPlace);
    hook::<BOB>(|hooks| hooks.ending = std::rc::Rc::new(|_, _| crate::actor::actor::Farewell::Later));
    house.pass(900);
    house.call::<BOB, _>("b", |_, cx| cx.end()).unwrap();
    house.pass(4900);
    assert!(house.find::<BOB>("b").is_some(), "5 s for its clean-up, not the rest of its rest");
    house.pass(100);
    assert!(house.find::<BOB>("b").is_none());
}

#[test]
fn one_that_is_made_again_for_a_call_that_failed_stays_as_it_began_where_the_caller_fails_too() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::Fresh, ..calm() });
    let plan = SupervisorPlan::new("root", Strategy::OneForOne).actor::<Bob>(
        k("b"),
        Restart::Permanent,
        StopLimit::Within(ms(1000)),
        |_| Ok(Puppet::new("b")),
    );
    hook::<BOB>(|hooks| hooks.started = std::rc::Rc::new(|_, cx| cx.later(|_| note("begun"))));
    tree::start(house.at(0), plan);
    house.settle();
    house.play::<ADA>(
        "a",
        act("call", |_, cx: &mut Cx| {
            let bob = crate::actor::world::Hosts::<Bob>::table(cx.world).find(&k("b")).unwrap();
            assert_eq!(handling::call::<Bob, ()>(cx.world, bob, |_, _| panic!("as told")), Err(CallError::Died));
            panic!("as told");
        }),
    );
    assert_eq!(diary(), ["begun", "a: call", "begun"]);
}

#[test]
fn an_asker_in_the_middle_of_a_message_fails_after_it_where_the_answer_can_not_be_told() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    note_life::<ADA>();
    house.play::<ADA>(
        "a",
        act("ask", |_, cx: &mut Cx| {
            cx.ask::<Bob>(&k("b"), owe(), None, |_| panic!("as told"));
        }),
    );
    house.play::<ADA>(
        "a",
        act("end the other", |_, cx: &mut Cx| {
            let bob = crate::actor::world::Hosts::<Bob>::table(cx.world).find(&k("b")).unwrap();
            crate::actor::life::depart::<Bob>(cx.world, bob);
            note("goes on");
        }),
    );
    let told = diary();
    assert_eq!(told[told.len() - 3..], ["a: end the other", "goes on", "a recovered"]);
}
