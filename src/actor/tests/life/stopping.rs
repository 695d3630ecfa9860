//! Stopping: confirmed when the actor's own clean-up is over, wherever in its life it was.

use super::*;

/// Begins to stop an actor from outside. The answer comes when it has ended.
fn stop<const N: usize>(house: &House, key: &str) -> flume::Receiver<bool> {
    let (tell, told) = flume::bounded(1);
    let key = k(key);
    let host = house.home(&key);
    let parcel =
        crate::actor::parcel::Parcel::new::<System>(move |world| match Hosts::<Puppet<N>>::table(world).find(&key) {
            Some(id) => life::stop::<Puppet<N>>(world, id, Some(Box::new(move |_| drop(tell.try_send(true))))),
            None => drop(tell.try_send(false)),
        });
    house.remote.post().try_send(host, crate::actor::mesh::Lane::Control, parcel).unwrap();
    told
}

#[test]
fn a_stop_is_confirmed_after_the_clean_up() {
    let mut house = House::of(1, calm());
    linger::<ADA>();
    house.spawn::<ADA>("a");
    let (one, two) = (stop::<ADA>(&house, "a"), stop::<ADA>(&house, "a"));
    house.pass(10);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: false }));
    assert!(one.is_empty() && two.is_empty());
    control(&mut house, "a", end::<ADA>());
    assert_eq!((one.try_recv(), two.try_recv()), (Ok(true), Ok(true)), "however often it was asked for");
    assert_eq!(diary(), ["a ending", "a: end"], "once");
    assert_eq!(house.find::<ADA>("a"), None);
    let remote = house.remote.clone();
    assert!(!house.run(remote.stop::<Ada>(k("a"))), "there is none");
}

#[test]
fn a_stop_from_outside_returns_when_the_actor_has_ended() {
    let mut house = House::of(2, KindSettings { stop_deadline: ms(50), ..calm() });
    linger::<ADA>();
    let a = house.key_on(1, "a");
    house.spawn::<ADA>(&a);
    let (before, remote) = (house.now(), house.remote.clone());
    assert!(house.run(remote.stop::<Ada>(a.clone())));
    assert_eq!(house.now().since(before), ms(50), "it did not end by itself");
    assert_eq!(house.find::<ADA>(&a), None);
}

#[test]
fn what_waits_for_an_actor_that_is_stopped_is_dead_and_what_comes_later_is_for_the_next() {
    let mut house = House::of(1, calm());
    linger::<ADA>();
    house.play("a", act("put aside", |_: &mut Ada, cx| cx.stash(say("stashed"))));
    let before = house.ask("a", say::<ADA>("before"));
    house.take_in(0, usize::MAX);
    let told = stop::<ADA>(&house, "a");
    house.settle();
    assert_eq!(before.answer(), Some(Err(AskError::Stopped)));
    let after = house.ask("a", say::<ADA>("after"));
    house.settle();
    assert_eq!(diary(), ["a: put aside", "dead: stashed, stopped", "a ending"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::Stopped), 2);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    control(&mut house, "a", end::<ADA>());
    assert_eq!((told.try_recv(), after.answer()), (Ok(true), Some(Ok("after".into()))));
}

#[test]
fn one_that_loads_is_stopped_at_once_and_its_future_dropped() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    let asked = house.ask("a", say::<ADA>("asked"));
    house.settle();
    let told = stop::<ADA>(&house, "a");
    house.settle();
    assert_eq!((told.try_recv(), asked.answer()), (Ok(true), Some(Err(AskError::Stopped))));
    assert_eq!((house.find::<ADA>("a"), house.figures::<ADA>(0).loading.get()), (None, 0));
    assert_eq!(house.hosts[0].core().tasks(), 0);
    done.send(()).unwrap();
    house.pass(100);
    assert_eq!(house.figures::<ADA>(0).activations.get(), 0);
    assert_eq!(house.hosts[0].core().timers.len(), 0);
}

#[test]
fn one_that_is_only_named_is_stopped_at_once() {
    let mut house = House::of(1, calm());
    let asked = house.ask("a", say::<ADA>("asked"));
    house.take_in(0, usize::MAX);
    let told = stop::<ADA>(&house, "a");
    house.take_in(0, usize::MAX);
    assert_eq!((told.try_recv(), asked.answer()), (Ok(true), Some(Err(AskError::Stopped))));
    house.settle();
    assert_eq!(house.figures::<ADA>(0).activations.get(), 0);
}

#[test]
fn one_that_rests_after_a_failure_is_stopped_with_its_clean_up_where_it_has_its_value() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        let mut house = House::of(1, KindSettings { recovery, stop_deadline: ms(500), ..calm() });
        linger::<ADA>();
        house.tell("a", fail::<ADA>("fails"));
        house.play("a", fail::<ADA>("fails"));
        assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
        house.play("a", say::<ADA>("waits"));
        let told = stop::<ADA>(&house, "a");
        house.settle();
        let lines = diary();
        assert_eq!(lines[..3], ["a: fails", "a: fails", "dead: waits, stopped"]);
        if recovery == Recovery::InPlace {
            assert_eq!(lines[3..], ["a ending"]);
            house.pass(100);
            assert!(told.is_empty(), "the end of its rest is not the end of its clean-up");
            control(&mut house, "a", end::<ADA>());
        } else {
            assert_eq!(lines.len(), 3, "it has no value to clean up");
        }
        assert_eq!((told.try_recv(), house.find::<ADA>("a")), (Ok(true), None));
        house.pass(1000);
        assert_eq!(house.find::<ADA>("a"), None);
    }
}

#[test]
fn one_that_is_in_the_middle_of_a_message_is_stopped_after_it() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    house.tell(
        "a",
        act("stops itself", |me: &mut Ada, cx| {
            let id = cx.id();
            life::stop::<Ada>(cx.world, id, Some(Box::new(|_| note("stopped"))));
            note("goes on");
            me.count = 7;
            cx.reply("done".into());
            cx.tell::<Bob>(&k("b"), say("sent")).unwrap();
        }),
    );
    house.tell("a", say::<ADA>("behind"));
    house.settle();
    let expected = [
        "a started",
        "a: stops itself",
        "dead: behind, stopped",
        "goes on",
        "a ending",
        "a dropped",
        "stopped",
        "b: sent",
    ];
    assert_eq!(diary(), expected);
}

#[test]
fn one_that_is_to_stop_and_fails_has_stopped() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        let mut house = House::of(1, KindSettings { recovery, ..calm() });
        note_life::<ADA>();
        house.play(
            "a",
            act("stops itself", |_: &mut Ada, cx| {
                let id = cx.id();
                life::stop::<Ada>(cx.world, id, Some(Box::new(|_| note("stopped"))));
                panic!("as told");
            }),
        );
        assert_eq!(diary(), ["a started", "a: stops itself", "a dropped", "stopped"]);
        assert_eq!(house.figures::<ADA>(0).restarts.get(), 0);
    }
}

#[test]
fn an_actor_stops_another_when_its_handler_has_returned_and_not_where_it_fails() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    note_life::<BOB>();
    let bob = house.spawn::<BOB>("b");
    house.play(
        "a",
        act("fails", move |_: &mut Ada, cx| {
            cx.stop_actor(bob);
            panic!("as told");
        }),
    );
    assert_eq!(diary(), ["b started", "a: fails"]);
    house.play(
        "a",
        act("stops it", move |_: &mut Ada, cx| {
            cx.stop_actor(bob);
            note("not yet");
        }),
    );
    assert_eq!(diary(), ["a: stops it", "not yet", "b ending", "b dropped"]);
    house.play("a", act("stops it again", move |_: &mut Ada, cx| cx.stop_actor(bob)));
    let away = ActorId { host: 9, ..bob };
    house.play("a", act("stops one elsewhere", move |_: &mut Ada, cx| cx.stop_actor(away)));
    assert_eq!(diary(), ["a: stops it again", "a: stops one elsewhere"]);
}

#[test]
fn an_actor_stops_itself_as_it_stops_others() {
    let mut house = House::of(1, calm());
    note_life::<ADA>();
    house.tell("a", act("stops itself", |_: &mut Ada, cx| cx.stop_actor(cx.id())));
    house.tell("a", say::<ADA>("behind"));
    house.settle();
    assert_eq!(diary(), ["a started", "a: stops itself", "dead: behind, stopped", "a ending", "a dropped"]);
}
