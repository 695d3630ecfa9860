//! In place, afresh, after a rest, or not at all.

use super::*;

fn count(text: &str) -> Line<ADA> {
    act(text, |me: &mut Ada, cx| cx.reply(me.count.to_string()))
}

#[test]
fn in_place_an_actor_goes_on_with_its_value() {
    for fails in [fail as fn(&'static str) -> Line<ADA>, |text| fatal(text)] {
        let mut house = House::of(1, in_place());
        note_life::<ADA>();
        house.play("a", say::<ADA>("one"));
        let id = house.find::<ADA>("a");
        assert_eq!(house.answer("a", fails("fails")), Err(AskError::Died));
        assert_eq!(house.answer("a", count("count")), Ok("3".into()));
        assert_eq!(diary(), ["a started", "a: one", "a: fails", "a recovered", "a: count"]);
        assert_eq!(house.find::<ADA>("a"), id);
    }
}

#[test]
fn afresh_an_actor_goes_on_with_a_new_value_under_its_old_id() {
    for fails in [fail as fn(&'static str) -> Line<ADA>, |text| fatal(text)] {
        let mut house = House::of(1, fresh());
        note_life::<ADA>();
        house.play("a", say::<ADA>("one"));
        let id = house.find::<ADA>("a");
        assert_eq!(house.answer("a", fails("fails")), Err(AskError::Died));
        assert_eq!(house.answer("a", count("count")), Ok("1".into()));
        assert_eq!(diary(), ["a started", "a: one", "a: fails", "a dropped", "a started", "a: count"]);
        assert_eq!(house.find::<ADA>("a"), id);
        let figures = house.figures::<ADA>(0);
        assert_eq!((figures.panics.get(), figures.restarts.get(), figures.activations.get()), (1, 1, 2));
        let counts = house.table::<ADA>(0).counts(id.unwrap()).unwrap();
        assert_eq!((counts.processed, counts.errors, counts.restarts), (3, 1, 1));
    }
}

#[test]
fn a_fresh_value_is_loaded_like_the_first() {
    let mut house = House::of(1, fresh());
    let done = hold::<ADA>();
    house.play("a", fail::<ADA>("fails"));
    house.play("a", say::<ADA>("behind"));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: fails"]);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Loading));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: behind"]);
}

#[test]
fn a_fresh_value_that_can_not_be_loaded_answers_who_waits() {
    let mut house = House::of(1, fresh());
    let done = hold::<ADA>();
    house.tell("a", fail::<ADA>("fails"));
    let asked = house.ask("a", say::<ADA>("behind"));
    done.send(()).unwrap();
    house.settle();
    drop(done);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Handler("its state is gone".into()))));
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn where_nobody_comes_after_one_that_failed_what_it_had_asked_for_itself_is_shown_to_nobody() {
    for error in [None, Some("no".to_owned())] {
        let mut house = House::of(1, fresh());
        house.play(
            "a",
            act("asks", |_: &mut Ada, cx| drop(cx.ask::<Bob>(&k("b"), owe(), None, |answer| say(told(&answer))))),
        );
        let expected = if error.is_some() { "dead: behind, not loaded: no" } else { "a is absent: behind" };
        hook::<ADA>(|hooks| {
            hooks.activate = Rc::new(move |_| error.clone().map_or(Activation::Absent, Activation::Refused));
            hooks.intercept = Rc::new(|_, key, envelope| {
                note(format!("{key} is absent: {}", envelope.message.text));
                Intercepted::Taken
            });
        });
        house.tell("a", fail::<ADA>("fails"));
        house.tell("a", say::<ADA>("behind"));
        house.tell("b", act("pays", |me: &mut Bob, cx| cx.answer(me.owed.remove(0), Ok("answer".into()))));
        house.settle();
        assert_eq!(diary(), ["a: asks", "b: owe", "a: fails", "b: pays", expected, "dead: answer, stopped"]);
    }
}

#[test]
fn the_first_restart_is_at_once_and_the_next_ones_wait_ever_longer_with_messages_in_order() {
    for settings in [in_place(), fresh()] {
        let mut house = House::of(1, settings);
        let fails: Vec<_> = (0..3).map(|n| house.ask("a", fail::<ADA>(format!("fail {n}")))).collect();
        house.tell("a", say::<ADA>("one"));
        house.settle();
        assert_eq!(diary(), ["a: fail 0", "a: fail 1"]);
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
        house.play("a", say::<ADA>("two"));
        house.pass(9);
        assert!(diary().is_empty());
        house.pass(1);
        assert_eq!(diary(), ["a: fail 2"]);
        house.tell("a", say::<ADA>("three"));
        house.pass(19);
        assert!(diary().is_empty());
        assert_eq!(house.figures::<ADA>(0).pending.get(), 3);
        house.pass(1);
        assert_eq!(diary(), ["a: one", "a: two", "a: three"]);
        for fail in fails {
            assert_eq!(fail.answer(), Some(Err(AskError::Died)));
            assert_eq!(fail.answer(), None, "once");
        }
        let figures = house.figures::<ADA>(0);
        assert_eq!((figures.panics.get(), figures.restarts.get()), (3, 3));
    }
}

#[test]
fn control_messages_wait_for_one_that_rests_as_data_does() {
    let mut house = House::of(1, in_place());
    for _ in 0..2 {
        house.tell("a", fail::<ADA>("fails"));
    }
    house.tell("a", say::<ADA>("data"));
    house.settle();
    house.remote.tell_with::<Ada>(&k("a"), say("control"), SendOptions::CONTROL).unwrap();
    house.pass(9);
    assert_eq!(diary(), ["a: fails", "a: fails"]);
    house.pass(1);
    assert_eq!(diary(), ["a: control", "a: data"]);
}

#[test]
fn the_rests_begin_anew_after_a_window_without_failure() {
    let mut house = House::of(1, in_place());
    for _ in 0..3 {
        house.play("a", fail::<ADA>("fails"));
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
        house.play("a", fail::<ADA>("fails"));
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
        house.leap(5001);
        house.leap(5001);
    }
    assert_eq!(house.figures::<ADA>(0).restarts.get(), 6);
}

#[test]
fn rests_are_spread_by_chance() {
    let back_off = BackOff { first: ms(1000), jitter: 0.5, ..SURE };
    let mut house = House::of(1, KindSettings { back_off, ..in_place() });
    let mut rests: Vec<u64> = Vec::new();
    for n in 0..8 {
        let key = format!("a{n}");
        house.tell(&key, fail::<ADA>("fails"));
        house.tell(&key, fail::<ADA>("fails"));
        house.settle();
        let (before, mut rest) = (house.now(), 0);
        while house.phase::<ADA>(&key) == Some(Phase::BackingOff) {
            house.leap(10);
            rest = house.now().since(before).as_millis() as u64;
        }
        rests.push(rest);
    }
    assert!(rests.iter().all(|rest| (500..=1510).contains(rest)), "{rests:?}");
    rests.sort_unstable();
    rests.dedup();
    assert!(rests.len() > 4, "{rests:?}");
}

#[test]
fn one_that_fails_too_often_ends_alone_and_its_neighbours_go_on() {
    for settings in [in_place(), fresh()] {
        let settings = KindSettings { intensity: Intensity { restarts: 1, within: ms(1000) }, ..settings };
        let mut house = House::of(1, settings);
        note_life::<ADA>();
        let (bad, good) = (house.spawn::<ADA>("bad"), house.spawn::<ADA>("good"));
        house.play(
            "w",
            act("watch", move |_: &mut Bob, cx| {
                for id in [bad, good] {
                    cx.watch(id, |ended: Ended| say(format!("{:?}", ended)));
                }
            }),
        );
        diary();
        let dead = house.ask("bad", fail::<ADA>("one"));
        let last = house.ask("bad", fail::<ADA>("two"));
        let behind = house.ask("bad", say::<ADA>("asked behind"));
        house.tell("bad", say::<ADA>("told behind"));
        house.tell("good", fail::<ADA>("once"));
        let goes_on = house.ask("good", say::<ADA>("goes on"));
        house.settle();
        assert_eq!(
            (dead.answer(), last.answer(), behind.answer()),
            (Some(Err(AskError::Died)), Some(Err(AskError::Died)), Some(Err(AskError::Died)))
        );
        assert_eq!(goes_on.answer(), Some(Ok("goes on".into())));
        assert_eq!((house.find::<ADA>("bad"), house.find::<ADA>("good")), (None, Some(good)));
        let told = diary();
        assert!(told.contains(&"bad lost: it failed: as told".to_owned()), "{told:?}");
        assert!(told.contains(&"dead: told behind, actor_failed".to_owned()));
        assert!(!told.contains(&"bad ending".to_owned()), "without its clean-up");
        let notice = format!(
            "w: {:?}",
            Ended { actor: Some(bad), cause: crate::actor::monitor::Cause::Failed("as told".into()) }
        );
        assert_eq!(told.iter().filter(|line| line.starts_with("w:")).collect::<Vec<_>>(), [&notice]);
        assert_eq!(house.dead::<ADA>(0, DeadReason::ActorFailed), 2);
        assert_eq!(house.figures::<ADA>(0).restarts.get(), 2);
        assert_eq!(house.answer("bad", say::<ADA>("anew")), Ok("anew".into()), "the next message makes another");
    }
}

#[test]
fn failures_far_enough_apart_are_never_too_many() {
    let settings =
        KindSettings { intensity: Intensity { restarts: 1, within: ms(100) }, back_off: BackOff::NONE, ..in_place() };
    let mut house = House::of(1, settings);
    for _ in 0..5 {
        house.play("a", fail::<ADA>("fails"));
        house.leap(101);
    }
    assert!(house.find::<ADA>("a").is_some());
    house.play("a", fail::<ADA>("fails"));
    house.leap(100);
    house.play("a", fail::<ADA>("fails"));
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_ordinary_error_is_no_failure_and_performs_what_was_asked() {
    let mut house = House::of(1, fresh());
    note_life::<ADA>();
    let line = || {
        attempt("errs", |me: &mut Ada, cx| {
            me.count += 10;
            cx.tell::<Bob>(&k("b"), say("all the same")).unwrap();
            Err(Failure::Error("not today".into()))
        })
    };
    assert_eq!(house.answer("a", line()), Err(AskError::Handler("not today".into())));
    house.play("a", line());
    assert_eq!(house.answer("a", count("count")), Ok("23".into()));
    let expected = ["a started", "a: errs", "b: all the same", "a: errs", "b: all the same", "a: count"];
    assert_eq!(diary(), expected);
    let figures = house.figures::<ADA>(0);
    assert_eq!((figures.errors.get(), figures.panics.get(), figures.restarts.get()), (2, 0, 0));
    let id = house.find::<ADA>("a").unwrap();
    assert_eq!(house.table::<ADA>(0).counts(id).unwrap().errors, 2);
}

#[test]
fn a_question_mark_makes_an_ordinary_error() {
    let mut house = House::of(1, fresh());
    let line = attempt("errs", |_: &mut Ada, _| Err("by a question mark".to_owned())?);
    assert_eq!(house.answer("a", line), Err(AskError::Handler("by a question mark".into())));
}

#[test]
fn a_failure_leaves_everybody_else_of_the_host_alone() {
    let mut house = House::of(1, fresh());
    for n in 0..3 {
        for key in ["a1", "bad", "a2"] {
            let line = if key == "bad" { fail(format!("{n}")) } else { say::<ADA>(format!("{n}")) };
            house.tell(key, line);
        }
        house.tell("b", say::<BOB>(format!("{n}")));
    }
    house.settle();
    let told = diary();
    for key in ["a1", "a2", "b"] {
        let own: Vec<_> = told.iter().filter(|line| line.starts_with(&format!("{key}:"))).collect();
        assert_eq!(own, [0, 1, 2].map(|n| format!("{key}: {n}")).iter().collect::<Vec<_>>());
    }
    assert_eq!(house.figures::<BOB>(0).panics.get(), 0);
    assert_eq!(house.figures::<ADA>(0).actors.get(), 3);
}

#[test]
fn one_that_fails_as_it_begins_is_made_again_until_that_is_too_often() {
    let mut house = House::of(1, KindSettings { intensity: Intensity { restarts: 2, within: ms(1000) }, ..fresh() });
    hook::<ADA>(|hooks| {
        hooks.lost = Rc::new(|_, key, cause| note(format!("{key} lost: {cause}")));
        hooks.started = Rc::new(|_, cx| {
            note("begins");
            cx.tell::<Bob>(&k("b"), say("never sent")).unwrap();
            panic!("as told")
        });
    });
    let asked = house.ask("a", say::<ADA>("asked"));
    house.settle();
    assert_eq!(diary(), ["begins", "begins"]);
    house.pass(9);
    assert!(diary().is_empty());
    house.pass(1);
    assert_eq!(diary(), ["begins", "a lost: it failed: as told"]);
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!((house.find::<ADA>("a"), house.find::<BOB>("b")), (None, None));
}

#[test]
fn one_that_fails_once_as_it_begins_is_there_the_second_time() {
    let mut house = House::of(1, fresh());
    let failed = Rc::new(Cell::new(false));
    hook::<ADA>(|hooks| {
        hooks.started = Rc::new(move |_, _| assert!(failed.replace(true), "as told"));
    });
    assert_eq!(house.answer("a", say::<ADA>("asked")), Ok("asked".into()));
}

#[test]
fn one_that_is_made_by_hand_and_fails_as_it_begins_is_made_again_as_by_a_message() {
    let mut house = House::of(1, fresh());
    let failed = Rc::new(Cell::new(false));
    hook::<ADA>(|hooks| hooks.started = Rc::new(move |_, _| assert!(failed.replace(true), "as told")));
    let id = life::spawn::<Ada>(house.host(), k("a"), Puppet::new("by hand")).unwrap();
    house.play("a", say::<ADA>("hello"));
    assert_eq!((diary(), house.find::<ADA>("a")), (vec!["a: hello".to_owned()], Some(id)));
}

#[test]
fn one_that_fails_as_it_recovers_rests_and_tries_again() {
    let mut house = House::of(1, KindSettings { intensity: Intensity { restarts: 2, within: ms(1000) }, ..in_place() });
    hook::<ADA>(|hooks| {
        hooks.recovered = Rc::new(|me, cx| {
            note(format!("recovers with {}", me.count));
            cx.tell::<Bob>(&k("b"), say("never sent")).unwrap();
            panic!("as told")
        });
    });
    let asked = house.ask("a", fail::<ADA>("fails"));
    let behind = house.ask("a", say::<ADA>("behind"));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!(diary(), ["a: fails", "recovers with 1"]);
    house.pass(10);
    assert_eq!(diary(), ["recovers with 1"]);
    assert_eq!(behind.answer(), Some(Err(AskError::Died)));
    assert_eq!((house.find::<ADA>("a"), house.find::<BOB>("b")), (None, None));
}

#[test]
fn one_that_wishes_to_end_as_it_begins_or_recovers_does() {
    let mut house = House::of(1, in_place());
    hook::<ADA>(|hooks| hooks.started = Rc::new(|_, cx| cx.end()));
    let id = life::spawn::<Ada>(house.host(), k("a"), Puppet::new("a")).unwrap();
    assert!(house.table::<ADA>(0).phase(id).is_none());
    hook::<ADA>(|hooks| {
        *hooks = Hooks::default();
        hooks.recovered = Rc::new(|_, cx| cx.end());
    });
    house.tell("a", fail::<ADA>("fails"));
    house.tell("a", say::<ADA>("for the next"));
    house.settle();
    assert_eq!(diary(), ["a: fails", "a: for the next"]);
    assert_eq!(house.figures::<ADA>(0).activations.get(), 3);
}

#[test]
fn a_panic_without_words_is_one_as_well() {
    let mut house = House::of(1, KindSettings { intensity: Intensity { restarts: 0, within: ms(1000) }, ..fresh() });
    hook::<ADA>(|hooks| hooks.lost = Rc::new(|_, _, cause| note(cause.to_string())));
    house.play("a", act("fails", |_: &mut Ada, _| std::panic::panic_any(7)));
    let words = String::from("owned");
    house.play("a", act("fails", move |_: &mut Ada, _| panic!("{words} words")));
    assert_eq!(diary(), ["a: fails", "it failed: a panic without a message", "a: fails", "it failed: owned words"]);
}

#[test]
fn an_actor_rests_no_longer_than_it_must_where_it_fails_again_at_a_call() {
    let mut house = House::of(1, in_place());
    for _ in 0..2 {
        house.play("a", fail::<ADA>("fails"));
    }
    house.pass(8);
    assert_eq!(house.call::<ADA, _>("a", |_, _| panic!("as told")), Err::<(), _>(CallError::Died));
    house.pass(19);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff), "the first rest's end is none any more");
    house.pass(1);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
}
