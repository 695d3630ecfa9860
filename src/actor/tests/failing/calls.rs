//! Calls straight through: contained, counted and supervised as messages are.

use super::*;

#[test]
fn a_call_goes_straight_through_and_is_counted() {
    let mut house = House::of(1, fresh());
    let id = house.spawn::<ADA>("a");
    let seen = house.call::<ADA, _>("a", |me, cx| {
        me.count += 1;
        assert!(!cx.is_asked());
        (cx.id(), cx.sender(), me.count)
    });
    assert_eq!(seen, Ok((id, None, 1)));
    assert_eq!(house.figures::<ADA>(0).processed.get(), 1);
    assert_eq!(house.table::<ADA>(0).counts(id).unwrap().processed, 1);
}

#[test]
fn what_a_called_actor_sends_goes_and_what_it_wishes_is_done() {
    let mut house = House::of(1, fresh());
    note_life::<ADA>();
    house.spawn::<ADA>("a");
    let called = house.call::<ADA, _>("a", |_, cx| {
        cx.tell::<Bob>(&k("b"), say("hello")).unwrap();
        cx.later(|_| note("later"));
        cx.end();
    });
    assert_eq!(called, Ok(()));
    assert_eq!(diary(), ["a started", "later", "a ending", "a dropped"]);
    house.settle();
    assert_eq!(diary(), ["b: hello"]);
}

#[test]
fn a_call_into_one_that_retires_by_it_leaves_no_trace() {
    let mut house = House::of(1, fresh());
    house.spawn::<ADA>("a");
    assert_eq!(house.call::<ADA, _>("a", |_, cx| cx.retire()), Ok(()));
    assert_eq!((house.find::<ADA>("a"), house.figures::<ADA>(0).retirements.get()), (None, 1));
}

#[test]
fn a_call_that_fails_is_the_called_ones_failure() {
    for settings in [in_place(), fresh()] {
        let mut house = House::of(1, settings);
        note_life::<ADA>();
        house.spawn::<ADA>("a");
        let called = house.call::<ADA, ()>("a", |_, cx| {
            cx.tell::<Bob>(&k("b"), say("never")).unwrap();
            cx.later(|_| note("never"));
            panic!("as told")
        });
        assert_eq!(called, Err(CallError::Died));
        house.settle();
        let goes_on: &[&str] =
            if settings.recovery == Recovery::InPlace { &["a recovered"] } else { &["a dropped", "a started"] };
        assert_eq!(diary()[1..], *goes_on);
        assert_eq!(house.figures::<ADA>(0).panics.get(), 1);
        assert_eq!(house.find::<BOB>("b"), None);
    }
}

#[test]
fn a_call_into_one_in_the_middle_of_a_message_is_refused() {
    let mut house = House::of(1, fresh());
    let (ada, bob) = (house.spawn::<ADA>("a"), house.spawn::<BOB>("b"));
    house.play(
        "a",
        act("go", move |_: &mut Ada, cx| {
            assert_eq!(cx.call::<Ada, _>(ada, |_, _| ()), Err(CallError::Busy), "itself");
            let called = cx.call::<Bob, _>(bob, move |_, cx| cx.call::<Ada, _>(ada, |_, _| ()));
            assert_eq!(called, Ok(Err(CallError::Busy)), "its caller");
        }),
    );
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
}

#[test]
fn a_call_into_one_that_is_not_there_is_refused() {
    let mut house = House::of(1, fresh());
    let id = house.spawn::<ADA>("a");
    house.play("a", end::<ADA>());
    assert_eq!(handling::call::<Ada, _>(house.host(), id, |_, _| ()), Err(CallError::NoSuchActor));
    let done = hold::<ADA>();
    house.tell("a", say::<ADA>("hello"));
    house.take_in(0, usize::MAX);
    assert_eq!(house.call::<ADA, _>("a", |_, _| ()), Err(CallError::NoSuchActor), "only named");
    house.settle();
    assert_eq!(house.call::<ADA, _>("a", |_, _| ()), Err(CallError::NoSuchActor), "loading");
    done.send(()).unwrap();
    house.settle();
    assert_eq!(house.call::<ADA, _>("a", |_, _| ()), Ok(()));
}

#[test]
fn a_call_goes_through_to_one_that_rests_with_its_value_only() {
    for settings in [in_place(), fresh()] {
        let mut house = House::of(1, settings);
        for _ in 0..2 {
            house.play("a", fail::<ADA>("fails"));
        }
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
        let called = house.call::<ADA, _>("a", |_, _| ());
        let expected = if settings.recovery == Recovery::InPlace { Ok(()) } else { Err(CallError::Busy) };
        assert_eq!(called, expected);
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
    }
}

#[test]
fn what_a_called_actor_has_done_stands_where_its_caller_fails() {
    for host in [0, 1] {
        let mut house = House::of(2, in_place());
        let (a, b, c) = (house.key_on(0, "a"), house.key_on(0, "b"), house.key_on(host, "c"));
        let bob = house.spawn::<BOB>(&b);
        let cyd = c.clone();
        let asked = house.ask(&b, owe::<BOB>());
        house.settle();
        diary();
        house.play(
            &a,
            act("fails", move |_: &mut Ada, cx| {
                cx.tell::<Cyd>(&cyd, say("never 1")).unwrap();
                let key = cyd.clone();
                let called = cx.call::<Bob, _>(bob, move |me, cx| {
                    me.count = 100;
                    cx.tell::<Cyd>(&key, say("stays")).unwrap();
                    cx.answer(me.owed.remove(0), Ok("stays too".into()));
                    cx.schedule(ms(5), say("timer"));
                    cx.later(|_| note("later"));
                });
                assert_eq!(called, Ok(()));
                cx.tell::<Cyd>(&cyd, say("never 2")).unwrap();
                cx.later(|_| note("never"));
                panic!("as told");
            }),
        );
        house.pass(5);
        assert_eq!(asked.answer(), Some(Ok("stays too".into())));
        assert_eq!(house.call::<BOB, _>(&b, |me, _| me.count), Ok(101));
        let mut told = diary();
        told.sort();
        let mut expected = [format!("{a}: fails"), "later".into(), format!("{c}: stays"), format!("{b}: timer")];
        expected.sort();
        assert_eq!(told, expected);
    }
}

#[test]
fn what_its_caller_has_done_stands_where_a_called_actor_fails() {
    let mut house = House::of(1, in_place());
    let bob = house.spawn::<BOB>("b");
    house.play(
        "a",
        act("goes on", move |_: &mut Ada, cx| {
            cx.tell::<Cyd>(&k("c"), say("1")).unwrap();
            cx.later(|_| note("later 1"));
            let called = cx.call::<Bob, ()>(bob, |_, cx| {
                cx.tell::<Cyd>(&k("c"), say("never")).unwrap();
                cx.later(|_| note("never"));
                panic!("as told")
            });
            assert_eq!(called, Err(CallError::Died));
            cx.tell::<Cyd>(&k("c"), say("2")).unwrap();
            cx.later(|_| note("later 2"));
        }),
    );
    assert_eq!(diary(), ["a: goes on", "later 1", "later 2", "c: 1", "c: 2"]);
    assert_eq!((house.figures::<ADA>(0).panics.get(), house.figures::<BOB>(0).panics.get()), (0, 1));
}

#[test]
fn an_actor_that_fails_for_good_at_a_call_in_a_handler_is_told_of_whatever_becomes_of_the_caller() {
    let settings = KindSettings { intensity: Intensity { restarts: 0, within: ms(1000) }, ..in_place() };
    let mut house = House::each(1, [in_place(), settings, calm()]);
    let bob = house.spawn::<BOB>("b");
    house.play(
        "c",
        act("watch", move |_: &mut Cyd, cx| drop(cx.watch(bob, |ended: Ended| say(ended.cause.to_string())))),
    );
    let behind = house.ask("b", say::<BOB>("behind"));
    house.take_in(0, usize::MAX);
    house.tell(
        "a",
        act("fails", move |_: &mut Ada, cx| {
            assert_eq!(cx.call::<Bob, ()>(bob, |_, _| panic!("as told")), Err(CallError::Died));
            panic!("as told");
        }),
    );
    house.take_in(0, usize::MAX);
    // Ada first.
    house.hosts[0].core().ready.make_contiguous().reverse();
    house.settle();
    assert_eq!(behind.answer(), Some(Err(AskError::Died)));
    assert_eq!(diary(), ["c: watch", "a: fails", "c: it failed: as told"]);
    assert_eq!(house.find::<BOB>("b"), None);
}

#[test]
fn one_that_is_called_overtakes_what_waits_and_is_free_where_nothing_does() {
    let mut house = House::of(1, fresh());
    let id = house.spawn::<ADA>("a");
    assert!(house.table::<ADA>(0).is_free(id));
    house.tell("a", say::<ADA>("waits"));
    house.take_in(0, usize::MAX);
    assert!(!house.table::<ADA>(0).is_free(id));
    assert!(house.table::<ADA>(0).is_running(id));
    house.call::<ADA, _>("a", |_, _| note("called")).unwrap();
    house.settle();
    assert_eq!(diary(), ["called", "a: waits"]);
    house.play(
        "a",
        act("in the middle", move |_: &mut Ada, cx| {
            assert!(!Hosts::<Ada>::table(cx.world).is_free(id));
            assert!(Hosts::<Ada>::table(cx.world).get(id).is_none());
        }),
    );
    house.play("a", end::<ADA>());
    assert!(!house.table::<ADA>(0).is_free(id) && !house.table::<ADA>(0).is_running(id));
}

#[test]
fn an_actor_that_ends_at_a_call_in_its_callers_handler_has_ended() {
    let mut house = House::of(1, in_place());
    note_life::<BOB>();
    let bob = house.spawn::<BOB>("b");
    house.play(
        "a",
        act("fails", move |_: &mut Ada, cx| {
            cx.call::<Bob, _>(bob, |_, cx| cx.end()).unwrap();
            assert_eq!(cx.call::<Bob, _>(bob, |_, _| ()), Err(CallError::NoSuchActor));
            panic!("as told");
        }),
    );
    assert_eq!(diary(), ["b started", "a: fails", "b ending", "b dropped"]);
    assert_eq!(house.find::<BOB>("b"), None);
}
