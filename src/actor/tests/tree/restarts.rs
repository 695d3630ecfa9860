//! Restarts: who goes on with whom, and no message behind a failing one is lost.

use super::*;

#[test]
fn one_that_fails_goes_on_alone_under_its_key_and_messages_behind_survive_in_order() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        note_lives();
        start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
        let id = house.find::<BOB>("b");
        diary();
        let failing = house.ask("b", fail::<BOB>("fails"));
        let behind: Vec<_> = (0..3).map(|n| house.ask("b", say::<BOB>(format!("{n}")))).collect();
        house.settle();
        assert_eq!((failing.answer(), failing.answer()), (Some(Err(AskError::Died)), None));
        for (n, behind) in behind.iter().enumerate() {
            assert_eq!(behind.answer(), Some(Ok(n.to_string())));
        }
        let goes_on: &[&str] = if recovery == Recovery::Fresh { &["b dropped", "b started"] } else { &["b recovered"] };
        assert_eq!(diary(), [&["b: fails"], goes_on, &["b: 0", "b: 1", "b: 2"]].concat());
        assert_eq!(house.find::<BOB>("b"), id);
        let figures = house.figures::<BOB>(0);
        assert_eq!((figures.panics.get(), figures.restarts.get()), (1, 1));
        assert_eq!(house.table::<BOB>(0).counts(id.unwrap()).unwrap().restarts, 1);
        assert_eq!(house.figures::<ADA>(0).restarts.get(), 0);
    }
}

#[test]
fn in_place_a_supervised_actor_keeps_its_value_and_afresh_it_is_made_anew() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        let made = Rc::new(Cell::new(0));
        let count = made.clone();
        let plan = plan("root", Strategy::OneForOne).actor::<Ada>(
            k("a"),
            Restart::Permanent,
            StopLimit::default(),
            move |_| {
                count.set(count.get() + 1);
                Ok(Puppet::new("a"))
            },
        );
        start(&mut house, plan);
        house.play("a", say::<ADA>("one"));
        house.play("a", fail::<ADA>("fails"));
        let (count, expected) = if recovery == Recovery::Fresh { (0, 2) } else { (2, 1) };
        assert_eq!(house.call::<ADA, _>("a", |me, _| me.count), Ok(count));
        assert_eq!(made.get(), expected);
    }
}

#[test]
fn while_it_rests_a_supervised_actor_is_down_and_its_messages_wait() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        let plan = three(Strategy::OneForOne, Restart::Permanent).back_off(SURE);
        start(&mut house, plan);
        for text in ["one", "two"] {
            house.tell("a", fail::<ADA>(text));
        }
        let asked = house.ask("a", say::<ADA>("behind"));
        house.settle();
        assert_eq!(diary(), ["a: one", "a: two"]);
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::Down));
        assert_eq!(house.call::<ADA, _>("a", |_, _| ()), Err(CallError::NoSuchActor));
        house.play("a", say::<ADA>("meanwhile"));
        house.remote.tell_with::<Ada>(&k("a"), say("control"), SendOptions::CONTROL).unwrap();
        house.pass(9);
        assert!(diary().is_empty());
        house.pass(1);
        assert_eq!(diary(), ["a: control", "a: behind", "a: meanwhile"]);
        assert_eq!(asked.answer(), Some(Ok("behind".into())));
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
    }
}

#[test]
fn where_all_go_with_one_the_others_stop_right_to_left_and_all_begin_left_to_right() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    diary();
    house.tell("b", fail::<BOB>("fails"));
    house.tell("b", say::<BOB>("behind"));
    house.tell("c", say::<CYD>("waits"));
    house.settle();
    let expected = [
        "b: fails",
        "b dropped",
        "dead: waits, stopped",
        "c ending",
        "c dropped",
        "a ending",
        "a dropped",
        "a started",
        "b started",
        "c started",
        "b: behind",
    ];
    assert_eq!(diary(), expected);
    assert_eq!(running(&mut house), [true; 3]);
}

#[test]
fn where_the_rest_goes_with_one_those_at_its_left_stay() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    start(&mut house, three(Strategy::RestForOne, Restart::Permanent));
    let a = house.find::<ADA>("a");
    diary();
    house.tell("b", fail::<BOB>("fails"));
    house.play("b", say::<BOB>("behind"));
    assert_eq!(diary(), ["b: fails", "b dropped", "c ending", "c dropped", "b started", "c started", "b: behind"]);
    assert_eq!(house.find::<ADA>("a"), a);
}

#[test]
fn in_place_too_the_others_are_stopped_and_made_anew_and_the_failed_one_is_not() {
    let mut house = house(Recovery::InPlace);
    note_lives();
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    diary();
    house.play("b", fail::<BOB>("fails"));
    let expected =
        ["b: fails", "c ending", "c dropped", "a ending", "a dropped", "a started", "b recovered", "c started"];
    assert_eq!(diary(), expected);
}

#[test]
fn those_that_take_their_time_to_stop_are_waited_for_and_messages_for_them_are_kept() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    hook::<CYD>(|hooks| {
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Later
        });
    });
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    diary();
    house.play("a", fail::<ADA>("fails"));
    assert_eq!(diary(), ["a: fails", "a dropped", "c ending"]);
    house.play("c", say::<CYD>("for the next c"));
    house.play("b", say::<BOB>("b is still there"));
    house.play("a", say::<ADA>("for the next a"));
    assert_eq!(diary(), ["b: b is still there"]);
    house.remote.tell_with::<Cyd>(&k("c"), end(), SendOptions::CONTROL).unwrap();
    house.settle();
    let told = diary();
    let expected = ["c: end", "c dropped", "b ending", "b dropped", "a started", "b started", "c started"];
    assert_eq!(told[..7], expected);
    let mut last = told[7..].to_vec();
    last.sort();
    assert_eq!(last, ["a: for the next a", "c: for the next c"]);
}

#[test]
fn messages_for_those_that_wait_to_be_started_again_are_kept() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        let plan = three(Strategy::OneForAll, Restart::Permanent).back_off(SURE);
        start(&mut house, plan);
        house.play("a", fail::<ADA>("fails"));
        house.play("a", fail::<ADA>("fails"));
        diary();
        let asked = house.ask("b", say::<BOB>("kept"));
        house.play("c", say::<CYD>("kept as well"));
        house.pass(9);
        assert!(diary().is_empty());
        assert_eq!(house.dead::<BOB>(0, DeadReason::NoSuchActor), 0);
        house.pass(1);
        assert_eq!(diary(), ["b: kept", "c: kept as well"]);
        assert_eq!(asked.answer(), Some(Ok("kept".into())));
    }
}

#[test]
fn one_that_ends_itself_with_messages_waiting_leaves_them_to_its_next_start() {
    let mut house = house(Recovery::Fresh);
    let plan = three(Strategy::OneForOne, Restart::Permanent).back_off(SURE);
    start(&mut house, plan);
    for line in [end(), say::<ADA>("one"), end(), say("two")] {
        house.tell("a", line);
    }
    house.settle();
    assert_eq!(diary(), ["a: end", "a: one", "a: end"]);
    house.play("a", say::<ADA>("three"));
    house.pass(9);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["a: two", "a: three"]);
    let figures = house.figures::<ADA>(0);
    assert_eq!((figures.panics.get(), figures.activations.get()), (0, 3));
}

#[test]
fn one_whose_kind_makes_itself_is_made_by_its_supervisor_alone() {
    let mut house = house(Recovery::Fresh);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    let plan = plan("root", Strategy::OneForOne).back_off(SURE);
    let plan = plan.actor::<Ada>(k("a"), Restart::Permanent, StopLimit::default(), |_| Ok(Puppet::new("supervised")));
    start(&mut house, plan);
    for _ in 0..2 {
        house.play("a", end::<ADA>());
    }
    house.play("a", say::<ADA>("hello"));
    house.pass(10);
    assert_eq!(diary(), ["supervised: end", "supervised: end", "supervised: hello"]);
    assert_eq!(outcome(&mut house), None);
}

#[test]
fn permanent_children_come_back_after_any_end_transient_ones_after_failures_and_temporary_ones_never() {
    for (restart, after_end, after_failure) in
        [(Restart::Permanent, true, true), (Restart::Transient, false, true), (Restart::Temporary, false, false)]
    {
        for (fails, comes_back) in [(false, after_end), (true, after_failure)] {
            let mut house = house(Recovery::Fresh);
            start(&mut house, three(Strategy::OneForOne, restart));
            house.tell("b", if fails { fail("fails") } else { end::<BOB>() });
            let behind = house.ask("b", say::<BOB>("behind"));
            house.settle();
            assert_eq!(running(&mut house), [true, comes_back, true], "{restart:?} {fails}");
            let expected = match (comes_back, fails) {
                (true, _) => Ok("behind".into()),
                (false, true) => Err(AskError::Died),
                (false, false) => Err(AskError::Stopped),
            };
            assert_eq!(behind.answer(), Some(expected), "{restart:?} {fails}");
            assert_eq!(outcome(&mut house), None);
            assert_eq!(house.table::<BOB>(0).len(), usize::from(comes_back));
        }
    }
}

#[test]
fn a_retired_permanent_child_comes_back() {
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    let before = house.find::<ADA>("a");
    house.play("a", act("retire", |_: &mut Ada, cx| cx.retire()));
    assert!(running(&mut house)[0]);
    assert_ne!(house.find::<ADA>("a"), before, "it has ended");
}

#[test]
fn a_temporary_bystander_is_stopped_and_never_started_again() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut house = house(Recovery::Fresh);
        note_lives();
        let plan = child::<ADA>(plan("root", strategy), "a", Restart::Permanent);
        let plan = child::<BOB>(plan, "b", Restart::Temporary);
        start(&mut house, child::<CYD>(plan, "c", Restart::Permanent));
        diary();
        house.play("a", fail::<ADA>("fails"));
        let expected =
            ["a: fails", "a dropped", "c ending", "c dropped", "b ending", "b dropped", "a started", "c started"];
        assert_eq!(diary(), expected);
        house.play("b", say::<BOB>("nobody"));
        assert_eq!(diary(), ["dead: nobody, no_such_actor"]);
        house.play("a", fail::<ADA>("fails"));
        assert_eq!(running(&mut house), [true, false, true]);
    }
}

#[test]
fn a_temporary_one_that_fails_in_place_ends_and_its_messages_are_answered() {
    let mut house = house(Recovery::InPlace);
    note_lives();
    start(&mut house, three(Strategy::OneForOne, Restart::Temporary));
    let id = house.find::<BOB>("b").unwrap();
    house.play(
        "a",
        act("watch", move |_: &mut Ada, cx| drop(cx.watch(id, |notice: Notice| say(notice.cause.to_string())))),
    );
    diary();
    house.tell("b", fail::<BOB>("fails"));
    let behind = house.ask("b", say::<BOB>("behind"));
    house.settle();
    assert_eq!(behind.answer(), Some(Err(AskError::Died)));
    assert_eq!(diary(), ["b: fails", "b dropped", "b lost: it failed: as told", "a: it failed: as told"]);
}

#[test]
fn a_child_that_can_not_be_made_again_at_once_is_tried_again_and_its_messages_wait() {
    let mut house = house(Recovery::Fresh);
    let tries = Rc::new(Cell::new(0));
    let count = tries.clone();
    let plan = plan("root", Strategy::OneForOne).back_off(SURE);
    let plan = plan.actor::<Ada>(k("a"), Restart::Permanent, StopLimit::default(), move |_| {
        count.set(count.get() + 1);
        match count.get() {
            2 => Err("not yet".into()),
            3 => panic!("as told"),
            _ => Ok(Puppet::new("a")),
        }
    });
    start(&mut house, plan);
    house.tell("a", fail::<ADA>("fails"));
    house.play("a", say::<ADA>("behind"));
    assert_eq!((tries.get(), diary()), (2, vec!["a: fails".to_owned()]));
    house.pass(10);
    assert_eq!(tries.get(), 3);
    house.play("a", say::<ADA>("meanwhile"));
    house.pass(19);
    assert_eq!((tries.get(), diary()), (3, vec![]));
    house.pass(1);
    assert_eq!((tries.get(), diary()), (4, vec!["a: behind".to_owned(), "a: meanwhile".to_owned()]));
    assert_eq!(outcome(&mut house), None);
}

#[test]
fn one_that_fails_as_it_begins_again_is_counted_once_for_each() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        let fails = Rc::new(Cell::new(0));
        let (begins, recovers) = (fails.clone(), fails.clone());
        let once_more = move |left: &Cell<u32>| {
            if left.get() > 0 {
                left.set(left.get() - 1);
                panic!("as told");
            }
        };
        hook::<ADA>(move |hooks| {
            hooks.started = Rc::new(move |_, _| once_more(&begins));
            hooks.recovered = Rc::new(move |_, _| once_more(&recovers));
        });
        start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
        fails.set(2);
        house.tell("a", fail::<ADA>("fails"));
        let behind = house.ask("a", say::<ADA>("behind"));
        house.settle();
        // One failure of its own and two as it begins: three restarts, as many as are allowed.
        assert_eq!(behind.answer(), Some(Ok("behind".into())));
        assert_eq!(outcome(&mut house), None);
        house.play("a", fail::<ADA>("once more"));
        assert!(matches!(outcome(&mut house), Some(Ended::Failed(_))));
    }
}

#[test]
fn those_behind_one_that_fails_as_it_begins_again_wait_until_it_has_begun() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    let fails = Rc::new(Cell::new(0));
    let left = fails.clone();
    hook::<ADA>(move |hooks| {
        hooks.started = Rc::new(move |_, _| {
            note("a started");
            if left.get() > 0 {
                left.set(left.get() - 1);
                panic!("as told");
            }
        });
    });
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    fails.set(2);
    diary();
    house.play("c", fail::<CYD>("fails"));
    let begun: Vec<_> = diary().into_iter().filter(|line| line.ends_with("started")).collect();
    assert_eq!(begun, ["a started", "a started", "a started", "b started", "c started"]);
    assert_eq!((running(&mut house), outcome(&mut house)), ([true; 3], None));
}

#[test]
fn one_that_ends_while_another_begins_is_started_again_and_the_other_has_begun() {
    let mut house = house(Recovery::Fresh);
    let is_first = Cell::new(true);
    let make = move |world: &mut System| {
        if !is_first.replace(false) {
            let bob = Hosts::<Bob>::table(world).find(&k("b")).unwrap();
            life::fail::<Bob>(world, bob, "so be it".into());
        }
        Ok(Puppet::new("a"))
    };
    let plan = plan("root", Strategy::OneForOne).actor::<Ada>(k("a"), Restart::Permanent, StopLimit::default(), make);
    start(&mut house, child::<CYD>(child::<BOB>(plan, "b", Restart::Permanent), "c", Restart::Permanent));
    house.play("a", fail::<ADA>("fails"));
    assert_eq!((running(&mut house), outcome(&mut house)), ([true; 3], None));
    let made = (house.figures::<ADA>(0).activations.get(), house.figures::<BOB>(0).activations.get());
    assert_eq!(made, (2, 2));
}

#[test]
fn where_another_fails_to_begin_during_a_restart_of_all_they_begin_all_over() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    let tries = Rc::new(Cell::new(0));
    let count = tries.clone();
    let plan =
        child::<BOB>(child::<ADA>(plan("root", Strategy::OneForAll), "a", Restart::Permanent), "b", Restart::Permanent);
    let plan = plan.actor::<Cyd>(k("c"), Restart::Permanent, StopLimit::default(), move |_| {
        count.set(count.get() + 1);
        if count.get() == 2 { Err("not yet".into()) } else { Ok(Puppet::new("c")) }
    });
    start(&mut house, plan);
    diary();
    house.tell("a", fail::<ADA>("fails"));
    house.play("a", say::<ADA>("behind"));
    let told = diary();
    assert!(told.contains(&"dead: behind, stopped".to_owned()), "it was up, and was stopped with the rest");
    assert_eq!((tries.get(), running(&mut house), outcome(&mut house)), (3, [true; 3], None));
    let begun: Vec<_> = told.iter().filter(|line| line.ends_with("started")).collect();
    assert_eq!(begun, ["a started", "b started", "a started", "b started", "c started"]);
}

#[test]
fn one_that_is_failed_from_beside_is_started_again_without_its_messages() {
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    let id = house.find::<ADA>("a").unwrap();
    let asked = house.ask("a", say::<ADA>("asked"));
    house.take_in(0, usize::MAX);
    life::fail::<Ada>(house.host(), id, "so be it".into());
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert!(running(&mut house)[0]);
    assert_ne!(house.find::<ADA>("a"), Some(id));
}

#[test]
fn a_fatal_error_reaches_the_supervisor_as_a_panic_does() {
    use crate::actor::actor::Failure;
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    let asked = house.ask("a", attempt("fatal", |_: &mut Ada, _| Err(Failure::Fatal("the end".into()))));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!(house.figures::<ADA>(0).restarts.get(), 1);
}

#[test]
fn one_in_the_middle_of_a_message_is_stopped_with_its_failed_sibling_after_that_message() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    let b = house.find::<BOB>("b").unwrap();
    diary();
    let asked = house.ask(
        "a",
        act("calls", move |me: &mut Ada, cx| {
            me.count = 5;
            assert_eq!(cx.call::<Bob, ()>(b, |_, _| panic!("as told")), Err(CallError::Died));
            note("goes on");
            cx.reply("done".into());
        }),
    );
    house.settle();
    assert_eq!(asked.answer(), Some(Ok("done".into())));
    let expected = [
        "a: calls",
        "b dropped",
        "c ending",
        "c dropped",
        "goes on",
        "a ending",
        "a dropped",
        "a started",
        "b started",
        "c started",
    ];
    assert_eq!(diary(), expected);
    assert_eq!(running(&mut house), [true; 3]);
}
