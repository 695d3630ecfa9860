//! Many alike under one supervisor: each counts for itself, and all end with it.

use super::*;

fn many(strategy: Strategy) -> SupervisorPlan<System> {
    let plan = child::<ADA>(plan("root", strategy), "a", Restart::Permanent);
    child::<CYD>(plan.many::<Bob>(StopLimit::Within(ms(50))), "c", Restart::Permanent)
}

/// A house in which Bobs make themselves.
fn town() -> House {
    let house = house(Recovery::Fresh);
    hook::<BOB>(|hooks| *hooks = Hooks::default());
    note_lives();
    hook::<BOB>(|hooks| hooks.activate = Hooks::default().activate);
    house
}

#[test]
fn one_bad_one_of_many_ends_itself_and_nobody_else() {
    let mut house = House::each(
        1,
        [calm(), KindSettings { intensity: Intensity { restarts: 1, within: ms(1000) }, ..calm() }, calm()],
    );
    start(&mut house, many(Strategy::OneForAll));
    for key in ["bad", "good"] {
        house.play(key, say::<BOB>("hello"));
    }
    let ids = [house.find::<ADA>("a"), house.find::<CYD>("c"), None];
    for _ in 0..2 {
        house.play("bad", fail::<BOB>("fails"));
    }
    assert_eq!((house.find::<BOB>("bad"), house.find::<BOB>("good").is_some()), (None, true));
    assert_eq!([house.find::<ADA>("a"), house.find::<CYD>("c"), None], ids);
    assert_eq!(outcome(&mut house), None);
    assert_eq!(house.answer("bad", say::<BOB>("anew")), Ok("anew".into()));
}

#[test]
fn many_end_with_their_supervisor_and_none_is_made_meanwhile_or_after() {
    let mut house = town();
    hook::<BOB>(|hooks| {
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Later
        });
    });
    start(&mut house, many(Strategy::OneForOne));
    for key in ["b1", "b2"] {
        house.play(key, say::<BOB>("hello"));
    }
    diary();
    tree::stop(house.host());
    house.settle();
    assert_eq!(diary(), ["c ending", "c dropped", "b1 ending", "b2 ending"]);
    let late = house.ask("b1", say::<BOB>("late"));
    let absent = house.ask("b3", say::<BOB>("late"));
    house.pass(10);
    assert_eq!((late.answer(), absent.answer()), (None, Some(Err(AskError::Stopped))));
    for key in ["b1", "b2"] {
        house.remote.tell_with::<Bob>(&k(key), end(), SendOptions::CONTROL).unwrap();
    }
    house.settle();
    assert_eq!(late.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
    assert_eq!(diary()[4..], ["a ending", "a dropped"]);
    assert!(house.table::<BOB>(0).is_empty());
}

#[test]
fn many_that_do_not_end_in_time_are_ended() {
    let mut house = town();
    hook::<BOB>(|hooks| hooks.ending = Rc::new(|_, _| Farewell::Later));
    start(&mut house, many(Strategy::OneForOne));
    for key in ["b1", "b2"] {
        house.play(key, say::<BOB>("hello"));
    }
    tree::stop(house.host());
    house.settle();
    let late = house.ask("b1", say::<BOB>("late"));
    house.pass(49);
    assert_eq!(outcome(&mut house), None);
    diary();
    house.pass(1);
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
    assert_eq!(late.answer(), Some(Err(AskError::Stopped)));
    assert!(house.table::<BOB>(0).is_empty());
}

#[test]
fn many_are_stopped_with_a_failing_sibling_and_made_again_by_their_messages() {
    let mut house = town();
    start(&mut house, many(Strategy::OneForAll));
    house.play("b1", say::<BOB>("hello"));
    diary();
    house.play("a", fail::<ADA>("fails"));
    let expected =
        ["a: fails", "a dropped", "c ending", "c dropped", "b1 ending", "b1 dropped", "a started", "c started"];
    assert_eq!(diary(), expected);
    house.play("b1", say::<BOB>("again"));
    assert_eq!(diary(), ["b1 started", "b1: again"]);
}

#[test]
fn a_kind_without_a_table_has_nobody_to_stop() {
    let mut house = House::one(|system| {
        system.add::<Ada>(calm());
    });
    start(
        &mut house,
        plan("root", Strategy::OneForOne)
            .actor::<Ada>(k("a"), Restart::Permanent, StopLimit::default(), |_| Ok(Puppet::new("a")))
            .many::<Bob>(StopLimit::default()),
    );
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
    tree::stop(house.host());
    house.settle();
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
}
