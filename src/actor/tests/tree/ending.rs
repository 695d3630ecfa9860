//! Ending: by a stop, within limits or by force, or because too much has failed.

use super::*;

/// A root over `a` and a supervisor of `b` and `c`.
fn nested(intensity: Intensity, strategy: Strategy) -> SupervisorPlan<System> {
    let below = plan("below", strategy).intensity(intensity);
    let below = child::<CYD>(child::<BOB>(below, "b", Restart::Permanent), "c", Restart::Permanent);
    child::<ADA>(plan("root", Strategy::OneForOne), "a", Restart::Permanent).supervisor(below, Restart::Permanent)
}

#[test]
fn a_tree_stops_right_to_left_with_clean_ups_and_says_so() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    tree::on_outcome(house.host(), |ended| note(format!("the root {ended}")));
    start(&mut house, nested(Intensity::default(), Strategy::OneForOne));
    house.tell("a", say::<ADA>("waits"));
    house.take_in(0, usize::MAX);
    diary();
    tree::stop(house.host());
    let expected = [
        "c ending",
        "c dropped",
        "b ending",
        "b dropped",
        "dead: waits, stopped",
        "a ending",
        "a dropped",
        "the root was shut down",
    ];
    assert_eq!(diary(), expected);
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
    tree::stop(house.host());
    house.settle();
    assert!(diary().is_empty(), "once");
    house.play("a", say::<ADA>("nobody"));
    assert_eq!(diary(), ["dead: nobody, no_such_actor"]);
}

#[test]
fn each_is_told_to_stop_when_the_one_at_its_right_has_ended() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    fn later<const N: usize>(hooks: &mut Hooks<N>) {
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Later
        });
    }
    hook::<CYD>(later);
    hook::<BOB>(later);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    diary();
    tree::stop(house.host());
    house.pass(40);
    assert_eq!(diary(), ["c ending"]);
    house.remote.tell_with::<Cyd>(&k("c"), end(), SendOptions::CONTROL).unwrap();
    house.settle();
    house.pass(40);
    assert_eq!(diary(), ["c: end", "c dropped", "b ending"], "each has its own limit");
    assert_eq!(outcome(&mut house), None);
    house.pass(10);
    let forced = "it did not end in time and was ended";
    assert_eq!(diary(), ["b dropped".to_owned(), format!("b lost: {forced}"), "a ending".into(), "a dropped".into()]);
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
}

#[test]
fn one_with_no_time_to_stop_is_ended_without_its_clean_up_and_one_without_limit_is_waited_for() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    hook::<ADA>(|hooks| {
        hooks.ending = Rc::new(|_, _| {
            note("a ending");
            Farewell::Later
        });
    });
    let plan = plan("root", Strategy::OneForOne)
        .actor::<Ada>(k("a"), Restart::Permanent, StopLimit::Unlimited, |_| Ok(Puppet::new("a")))
        .actor::<Bob>(k("b"), Restart::Permanent, StopLimit::Brutal, |_| Ok(Puppet::new("b")));
    start(&mut house, plan);
    diary();
    let asked = house.ask("b", say::<BOB>("asked"));
    house.take_in(0, usize::MAX);
    tree::stop(house.host());
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    let forced = "it did not end in time and was ended";
    assert_eq!(diary(), ["b dropped".to_owned(), format!("b lost: {forced}"), "a ending".into()]);
    house.leap(60_000);
    assert_eq!((diary().len(), outcome(&mut house)), (0, None));
    house.remote.tell_with::<Ada>(&k("a"), end(), SendOptions::CONTROL).unwrap();
    house.settle();
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
}

#[test]
fn one_that_rests_is_not_started_any_more_when_the_tree_stops_and_who_waits_is_told() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        let plan = three(Strategy::OneForOne, Restart::Permanent).back_off(SURE);
        start(&mut house, plan);
        for _ in 0..2 {
            house.play("b", fail::<BOB>("fails"));
        }
        let asked = house.ask("b", say::<BOB>("behind"));
        house.settle();
        tree::stop(house.host());
        house.settle();
        assert_eq!(asked.answer(), Some(Err(AskError::Died)));
        assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
        house.pass(100);
        assert_eq!(running(&mut house), [false; 3]);
        assert!(house.table::<BOB>(0).is_empty());
    }
}

#[test]
fn messages_for_one_that_waits_to_be_started_are_dead_when_the_tree_stops() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    let plan = three(Strategy::OneForOne, Restart::Permanent).back_off(SURE);
    start(&mut house, plan);
    for _ in 0..2 {
        house.play("b", end::<BOB>());
    }
    let asked = house.ask("b", say::<BOB>("kept"));
    house.settle();
    diary();
    tree::stop(house.host());
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["c ending", "c dropped", "a ending", "a dropped"], "b has had its clean-up, and is not lost");
    assert!(house.table::<BOB>(0).is_empty());
}

#[test]
fn a_branch_in_which_too_much_fails_ends_and_its_supervisor_starts_it_again() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for recovery in [Recovery::Fresh, Recovery::InPlace] {
            let mut house = house(recovery);
            note_lives();
            start(&mut house, nested(Intensity { restarts: 0, within: ms(1000) }, strategy));
            let (a, b) = (house.find::<ADA>("a").unwrap(), house.find::<BOB>("b").unwrap());
            house.play(
                "a",
                act("watch", move |_: &mut Ada, cx| drop(cx.watch(b, |notice: Notice| say(notice.cause.to_string())))),
            );
            diary();
            let failing = house.ask("b", fail::<BOB>("fails"));
            let behind = house.ask("b", say::<BOB>("behind"));
            let other = house.ask("c", say::<CYD>("waits"));
            house.settle();
            assert_eq!(failing.answer(), Some(Err(AskError::Died)));
            assert_eq!(behind.answer(), Some(Err(AskError::Died)), "who waited behind it is told");
            assert_eq!(other.answer(), Some(Err(AskError::Stopped)));
            let expected = [
                "b: fails",
                "b dropped",
                "b lost: it failed: as told",
                "c ending",
                "c dropped",
                "b started",
                "c started",
                "a: it failed: as told",
            ];
            assert_eq!(diary(), expected);
            assert_eq!((running(&mut house), house.find::<ADA>("a")), ([true; 3], Some(a)));
            assert_eq!(outcome(&mut house), None);
            assert_eq!(house.answer("b", say::<BOB>("again")), Ok("again".into()));
        }
    }
}

#[test]
fn where_the_branch_fails_too_often_as_well_the_root_ends() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    tree::on_outcome(house.host(), |ended| note(format!("the root {ended}")));
    let below = child::<CYD>(
        plan("below", Strategy::OneForOne).intensity(Intensity { restarts: 1, within: ms(1000) }),
        "c",
        Restart::Permanent,
    );
    let plan = child::<ADA>(
        plan("root", Strategy::OneForOne).intensity(Intensity { restarts: 1, within: ms(1000) }),
        "a",
        Restart::Permanent,
    );
    start(&mut house, plan.supervisor(below, Restart::Permanent));
    diary();
    for _ in 0..3 {
        house.play("c", fail::<CYD>("fails"));
        assert_eq!(outcome(&mut house), None);
    }
    diary();
    house.play("c", fail::<CYD>("fails"));
    let Some(Ended::Failed(cause)) = outcome(&mut house) else { panic!("it has not failed") };
    assert!(cause.starts_with("more than 1 restarts within 1s: 1 failed: more than 1 restarts within 1s: "), "{cause}");
    let told = diary();
    let expected = ["c: fails", "c dropped", "c lost: it failed: as told", "a ending", "a dropped"];
    assert_eq!(told[..5], expected);
    assert!(told[5].starts_with("the root failed: more than 1 restarts"));
    assert_eq!(running(&mut house), [false; 3]);
}

#[test]
fn a_transient_branch_that_fails_comes_back_and_a_temporary_one_does_not() {
    for (restart, comes_back) in [(Restart::Transient, true), (Restart::Temporary, false)] {
        let mut house = house(Recovery::Fresh);
        let below = plan("below", Strategy::OneForOne).intensity(Intensity { restarts: 0, within: ms(1000) });
        let below = child::<BOB>(below, "b", Restart::Permanent);
        start(
            &mut house,
            child::<ADA>(plan("root", Strategy::OneForOne), "a", Restart::Permanent).supervisor(below, restart),
        );
        house.play("b", fail::<BOB>("fails"));
        assert_eq!(running(&mut house)[..2], [true, comes_back]);
        assert_eq!(outcome(&mut house), None);
        tree::stop(house.host());
        house.settle();
        assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
    }
}

#[test]
fn several_that_come_due_together_and_fail_together_end_the_tree_and_leave_nobody() {
    let mut house = house(Recovery::Fresh);
    let tries = Rc::new(Cell::new(0));
    let mut plan = plan("root", Strategy::OneForOne).back_off(SURE);
    for key in ["one", "two"] {
        let tries = tries.clone();
        plan = plan.actor::<Ada>(k(key), Restart::Permanent, StopLimit::Unlimited, move |_| {
            tries.set(tries.get() + 1);
            if tries.get() == 4 { Err("no more".into()) } else { Ok(Puppet::new(key)) }
        });
    }
    start(&mut house, plan);
    // Three restarts are allowed; two of them wait, and are due in the same turn.
    for key in ["one", "one", "two"] {
        house.play(key, fail::<ADA>("fails"));
    }
    let asked = [house.ask("one", say::<ADA>("behind")), house.ask("two", say::<ADA>("behind"))];
    house.settle();
    assert_eq!((tries.get(), outcome(&mut house)), (3, None));
    house.leap(200);
    assert!(matches!(outcome(&mut house), Some(Ended::Failed(_))), "{:?}", outcome(&mut house));
    assert_eq!(tries.get(), 5, "the other one was told to start before");
    assert_eq!(asked[0].answer(), Some(Err(AskError::Died)));
    assert_eq!(asked[1].answer(), Some(Err(AskError::Stopped)));
    house.leap(2000);
    assert!(house.table::<ADA>(0).is_empty());
}

#[test]
fn kinds_that_are_ended_for_good_are_not_started_again_by_their_supervisors() {
    for by_force in [false, true] {
        let mut house = house(Recovery::Fresh);
        note_lives();
        start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
        let other = house.find::<ADA>("a");
        diary();
        let (tell, told) = flume::bounded(1);
        let parcel = crate::actor::parcel::Parcel::EndKinds { kinds: vec!["bob"], by_force, tell };
        core::take(house.host(), parcel);
        house.settle();
        assert!(told.try_recv().is_ok());
        assert_eq!(running(&mut house), [true, false, true]);
        assert_eq!(house.find::<ADA>("a"), other);
        assert!(diary().contains(&"b dropped".to_owned()));
        house.play("a", fail::<ADA>("fails"));
        house.leap(1000);
        assert_eq!((running(&mut house), outcome(&mut house)), ([true, false, true], None));
        tree::stop(house.host());
        house.settle();
        assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
    }
}

#[test]
fn kinds_that_are_ended_do_not_come_back_with_their_siblings() {
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForAll, Restart::Permanent));
    let (tell, _told) = flume::bounded(1);
    core::take(house.host(), crate::actor::parcel::Parcel::EndKinds { kinds: vec!["bob"], by_force: false, tell });
    house.play("a", fail::<ADA>("fails"));
    assert_eq!((running(&mut house), outcome(&mut house)), ([true, false, true], None));
}

#[test]
fn one_that_is_stopped_from_outside_while_it_rests_is_started_again_when_its_time_comes() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let mut house = house(recovery);
        note_lives();
        let plan = three(Strategy::OneForOne, Restart::Permanent).back_off(SURE);
        start(&mut house, plan);
        for _ in 0..2 {
            house.play("b", fail::<BOB>("fails"));
        }
        let id: ActorId = house.find::<BOB>("b").unwrap();
        diary();
        house.play("a", act("stops it", move |_: &mut Ada, cx| cx.stop_actor(id)));
        let expected: &[&str] =
            if recovery == Recovery::InPlace { &["a: stops it", "b ending", "b dropped"] } else { &["a: stops it"] };
        assert_eq!(diary(), expected);
        house.play("b", say::<BOB>("kept"));
        house.pass(10);
        assert_eq!(diary(), ["b started", "b: kept"]);
        assert_eq!(running(&mut house), [true; 3]);
    }
}
