//! Activation: by a message, with loading, by an interceptor, by hand.

use super::*;

#[test]
fn a_message_activates_an_absent_actor_once() {
    let mut house = House::of(2, calm());
    note_life::<ADA>();
    let a = house.key_on(1, "a");
    for text in ["one", "two"] {
        house.tell(&a, say::<ADA>(text));
    }
    house.settle();
    assert_eq!(
        diary(),
        ["started", "one", "two"].map(|what| format!("{a}{} {what}", if what == "started" { "" } else { ":" }))
    );
    let figures = house.figures::<ADA>(1);
    assert_eq!((figures.activations.get(), figures.actors.get(), figures.processed.get()), (1, 1, 2));
}

#[test]
fn who_activates_an_actor_is_given_its_key_its_id_and_the_first_message() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.activate = Rc::new(|cx| {
            note(format!("{} {:?} {}", cx.key, cx.first, cx.id));
            let id = Hosts::<Ada>::table(cx.world).find(cx.key);
            assert_eq!(id, Some(cx.id));
            assert_eq!(cx.remote().post().registry.hosts().len(), 1);
            Activation::Ready(Puppet::new(cx.key))
        });
    });
    house.tell("a", say::<ADA>("data"));
    house.remote.tell_with::<Ada>(&k("a"), say("control"), SendOptions::CONTROL).unwrap();
    house.settle();
    let id = house.find::<ADA>("a").unwrap();
    assert_eq!(diary(), [format!("a Some(control) {id}"), "a: control".into(), "a: data".into()]);
    assert_eq!(house.figures::<ADA>(0).pending.get(), 0);
}

#[test]
fn messages_wait_in_order_while_the_state_loads() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.play("a", say::<ADA>("one"));
    house.play("a", say::<ADA>("two"));
    control(&mut house, "a", say::<ADA>("control"));
    house.pass(5);
    assert!(diary().is_empty());
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Loading));
    assert_eq!(house.figures::<ADA>(0).loading.get(), 1);
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: control", "a: one", "a: two"]);
    assert_eq!(house.figures::<ADA>(0).loading.get(), 0);
}

#[test]
fn one_that_loads_holds_up_no_other() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.tell("a", say::<ADA>("waits"));
    house.play("b", say::<BOB>("goes on"));
    assert_eq!(diary(), ["b: goes on"]);
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: waits"]);
}

#[test]
fn where_loading_fails_each_message_is_answered_with_that() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.tell("a", say::<ADA>("told"));
    let asked: Vec<_> = (0..2).map(|n| house.ask("a", say::<ADA>(format!("{n}")))).collect();
    house.settle();
    drop(done);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    house.settle();
    for asked in asked {
        assert_eq!(asked.answer(), Some(Err(AskError::Handler("its state is gone".into()))));
    }
    assert_eq!(diary(), ["dead: told, not loaded: its state is gone"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::LoadFailed), 3);
    assert_eq!((house.find::<ADA>("a"), house.figures::<ADA>(0).loading.get()), (None, 0));
    house.play("a", say::<ADA>("again"));
    assert_eq!(diary(), ["a: again"]);
}

#[test]
fn loading_that_takes_too_long_is_given_up_and_comes_too_late() {
    let mut house = House::of(1, KindSettings { load_limit: ms(20), ..calm() });
    let done = hold::<ADA>();
    let asked = house.ask("a", say::<ADA>("asked"));
    house.play("a", say::<ADA>("told"));
    house.pass(19);
    assert_eq!((asked.answer(), diary()), (None, vec![]));
    house.pass(1);
    assert_eq!(asked.answer(), Some(Err(AskError::Died)));
    assert_eq!(diary(), ["dead: told, actor_failed"]);
    assert_eq!(house.find::<ADA>("a"), None);
    assert!(done.is_disconnected() || done.send(()).is_ok(), "its future is dropped");
    house.settle();
    assert_eq!(house.find::<ADA>("a"), None);
    assert_eq!(house.figures::<ADA>(0).activations.get(), 0);
    assert_eq!(house.figures::<ADA>(0).loading.get(), 0);
}

#[test]
fn a_state_that_loads_in_time_is_not_given_up_later() {
    let mut house = House::of(1, KindSettings { load_limit: ms(20), ..calm() });
    let done = hold::<ADA>();
    house.play("a", say::<ADA>("one"));
    house.pass(19);
    done.send(()).unwrap();
    house.settle();
    house.pass(30);
    assert_eq!(diary(), ["a: one"]);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
}

#[test]
fn a_panic_while_loading_or_activating_answers_each_message() {
    for loads in [true, false] {
        let mut house = House::of(1, calm());
        hook::<ADA>(|hooks| {
            hooks.lost = Rc::new(|_, key, cause| note(format!("{key} lost: {cause}")));
            hooks.activate = Rc::new(move |_| {
                if loads {
                    return Activation::Loading(Box::pin(async { panic!("as told") }));
                }
                panic!("as told")
            });
        });
        let asked = house.ask("a", say::<ADA>("asked"));
        house.play("a", say::<ADA>("told"));
        assert_eq!(asked.answer(), Some(Err(AskError::Died)));
        assert_eq!(diary(), ["a lost: it failed: as told", "dead: told, actor_failed"]);
        assert_eq!(house.find::<ADA>("a"), None);
        assert_eq!(house.figures::<ADA>(0).panics.get(), 1);
        house.play("b", say::<BOB>("notices nothing"));
        assert_eq!(diary(), ["b: notices nothing"]);
    }
}

#[test]
fn an_activation_that_is_refused_answers_each_message_with_the_reason() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| hooks.activate = Rc::new(|_| Activation::Refused("no room".into())));
    let asked = house.ask("a", say::<ADA>("asked"));
    house.play("a", say::<ADA>("told"));
    assert_eq!(asked.answer(), Some(Err(AskError::Handler("no room".into()))));
    assert_eq!(diary(), ["dead: told, not loaded: no room"]);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn what_is_loaded_twice_or_too_late_is_ignored() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.play("a", say::<ADA>("one"));
    let id = house.find::<ADA>("a").unwrap();
    life::loaded::<Ada>(house.host(), id, Ok(Puppet::new("first")));
    life::loaded::<Ada>(house.host(), id, Ok(Puppet::new("second")));
    life::loaded::<Ada>(house.host(), id, Err("third".into()));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["first: one"]);
    assert_eq!(house.figures::<ADA>(0).activations.get(), 1);
    house.play("a", end::<ADA>());
    life::loaded::<Ada>(house.host(), id, Ok(Puppet::new("fourth")));
    house.settle();
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn what_an_activation_sends_to_its_own_actor_comes_behind_what_waited() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.activate = Rc::new(|cx| {
            let key = cx.key.clone();
            assert!(crate::actor::sending::tell::<Ada, _>(cx.world, &key, say("sent by its activation")).is_ok());
            Activation::Ready(Puppet::new(key))
        });
    });
    for text in ["one", "two"] {
        house.tell("a", say::<ADA>(text));
    }
    house.settle();
    assert_eq!(diary(), ["a: one", "a: two", "a: sent by its activation"]);
}

#[test]
fn an_actor_that_is_ended_by_its_own_activation_leaves_no_message_behind() {
    let mut house = House::of(1, calm());
    hook::<ADA>(|hooks| {
        hooks.activate = Rc::new(|cx| {
            if cx.first.is_some_and(|first| first.text == "first") {
                let id = cx.id;
                life::fail::<Ada>(cx.world, id, "on purpose".into());
            }
            Activation::Ready(Puppet::new(cx.key))
        });
    });
    let asked = house.ask("a", say::<ADA>("first"));
    house.play("a", say::<ADA>("second"));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["dead: second, actor_failed"]);
    house.play("a", say::<ADA>("third"));
    assert_eq!(diary(), ["a: third"]);
}

#[test]
fn an_interceptor_passes_a_message_that_finds_nobody() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    hook::<ADA>(|hooks| {
        hooks.intercept = Rc::new(|_, key, envelope| {
            note(format!("{key} is absent: {:?}", envelope.message));
            Intercepted::Pass(envelope)
        });
    });
    let asked = house.ask("a", say::<ADA>("asked"));
    house.play("a", say::<ADA>("told"));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["a is absent: asked", "a is absent: told", "dead: told, no_such_actor"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::NoSuchActor), 2);
}

#[test]
fn an_interceptor_creates_the_recipient_and_has_messages_delivered_again() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    hook::<ADA>(|hooks| {
        hooks.intercept = Rc::new(|world, key, envelope| {
            if Hosts::<Ada>::table(world).find(key).is_none() {
                life::spawn::<Ada>(world, key.clone(), Puppet::new("made")).unwrap();
            }
            Intercepted::Deliver(envelope)
        });
    });
    let asked = house.ask("a", say::<ADA>("asked"));
    house.tell("a", say::<ADA>("told"));
    house.settle();
    assert_eq!(asked.answer(), Some(Ok("asked".into())));
    assert_eq!(diary(), ["made: asked", "made: told"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::NoSuchActor), 0);
}

#[test]
fn a_message_that_is_to_be_delivered_again_to_nobody_is_dead() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    hook::<ADA>(|hooks| hooks.intercept = Rc::new(|_, _, envelope| Intercepted::Deliver(envelope)));
    let asked = house.ask("a", say::<ADA>("asked"));
    house.play("a", say::<ADA>("told"));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["dead: told, no_such_actor"]);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn a_message_that_is_delivered_again_into_a_full_mailbox_is_dead() {
    let mut house = House::of(1, KindSettings { mailbox: 1, ..calm() });
    nobody::<ADA>();
    hook::<ADA>(|hooks| {
        hooks.intercept = Rc::new(|world, key, envelope| {
            life::spawn::<Ada>(world, key.clone(), Puppet::new("made")).unwrap();
            crate::actor::sending::tell::<Ada, _>(world, key, say("fills it")).unwrap();
            Intercepted::Deliver(envelope)
        });
    });
    let asked = house.ask("a", say::<ADA>("asked"));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::MailboxFull)));
    assert_eq!(diary(), ["made: fills it"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::MailboxFull), 1);
}

#[test]
fn a_message_that_an_interceptor_takes_is_no_dead_letter_and_its_asker_is_told_at_once() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    hook::<ADA>(|hooks| hooks.intercept = Rc::new(|_, _, _| Intercepted::Taken));
    let asked = house.ask("a", say::<ADA>("asked"));
    house.tell("a", say::<ADA>("told"));
    house.play(
        "b",
        act("ask", |_: &mut Bob, cx| drop(cx.ask::<Ada>(&k("a"), say("x"), None, |answer| say(told(&answer))))),
    );
    assert_eq!(asked.answer(), Some(Err(AskError::Unanswered)));
    assert_eq!(diary(), ["b: ask", "b: Unanswered"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::NoSuchActor), 0);
}

#[test]
fn an_interceptor_that_panics_loses_one_message_and_says_so() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    hook::<ADA>(|hooks| {
        hooks.intercept = Rc::new(|_, _, envelope| {
            assert_ne!(envelope.message.text, "bad");
            Intercepted::Pass(envelope)
        });
    });
    let asked = house.ask("a", say::<ADA>("bad"));
    house.play("a", say::<ADA>("told"));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["dead: told, no_such_actor"]);
    assert_eq!(house.dead::<ADA>(0, DeadReason::NoSuchActor), 2);
}

#[test]
fn an_actor_is_made_by_hand_where_its_key_lives_and_only_once() {
    let mut house = House::of(2, calm());
    note_life::<ADA>();
    let (here, there) = (house.key_on(0, "a"), house.key_on(1, "a"));
    let id = life::spawn::<Ada>(house.host(), here.clone(), Puppet::new("a")).unwrap();
    assert_eq!((id.host, house.find::<ADA>(&here)), (0, Some(id)));
    assert_eq!(life::spawn::<Ada>(house.host(), here.clone(), Puppet::new("b")), Err(SpawnError::Exists(id)));
    assert_eq!(life::spawn::<Ada>(house.host(), there.clone(), Puppet::new("c")), Err(SpawnError::NotHere));
    let away = life::spawn_here::<Ada>(house.host(), there.clone(), Puppet::new("d")).unwrap();
    assert_eq!(away.host, 0);
    assert_eq!(diary(), ["a started", "b dropped", "c dropped", "d started"]);
    assert_eq!(house.table::<ADA>(0).get(id).map(|ada| ada.name.clone()), Some("a".into()));
    house.table::<ADA>(0).get_mut(id).unwrap().name = "renamed".into();
    assert_eq!(house.table::<ADA>(0).at(id.slot).map(|ada| ada.name.clone()), Some("renamed".into()));
}

#[test]
fn an_actor_made_by_hand_takes_over_what_waits_for_its_key() {
    let mut house = House::of(1, calm());
    nobody::<ADA>();
    let asked = house.ask("a", say::<ADA>("asked"));
    house.take_in(0, usize::MAX);
    let id = house.find::<ADA>("a").unwrap();
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::New));
    assert_eq!(life::spawn::<Ada>(house.host(), k("a"), Puppet::new("made")), Ok(id));
    house.settle();
    assert_eq!(asked.answer(), Some(Ok("asked".into())));
    assert_eq!(diary(), ["made: asked"]);
}

#[test]
fn one_that_loads_is_not_made_by_hand_beside() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.play("a", say::<ADA>("one"));
    let id = house.find::<ADA>("a").unwrap();
    assert_eq!(life::spawn::<Ada>(house.host(), k("a"), Puppet::new("made")), Err(SpawnError::Exists(id)));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["a: one"]);
}

#[test]
fn actors_make_actors() {
    let mut house = House::of(1, calm());
    note_life::<BOB>();
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            let id = cx.spawn_actor::<Bob>(k("b"), Puppet::new("b")).unwrap();
            assert_eq!(cx.spawn_actor::<Bob>(k("b"), Puppet::new("c")), Err(SpawnError::Exists(id)));
            cx.tell_id::<Bob>(id, say("hello")).unwrap();
        }),
    );
    assert_eq!(diary(), ["a: go", "b started", "c dropped", "b: hello"]);
}

#[test]
fn actors_are_made_from_outside_where_their_keys_live() {
    let mut house = House::of(2, calm());
    let a = house.key_on(1, "a");
    let remote = house.remote.clone();
    let id = house.run(remote.spawn::<Ada>(a.clone(), || Puppet::new("made"))).unwrap();
    assert_eq!((id.host, house.find::<ADA>(&a)), (1, Some(id)));
    let again = house.run(remote.spawn::<Ada>(a.clone(), || Puppet::new("again")));
    assert_eq!(again, Err(SpawnError::Exists(id)));
    let found = house.run(remote.on::<System, _>(1, move |world| Hosts::<Ada>::table(world).find(&a)));
    assert_eq!(found, Some(Some(id)));
}

#[test]
fn a_director_makes_retires_and_stops_actors() {
    let mut house = House::new(
        2,
        |registry| {
            registry.place::<Ada>(0..2).place::<Director<System>>(0..2);
        },
        |system, host| {
            system.add::<Ada>(calm()).add::<Director<System>>(KindSettings { idle_time: Some(ms(1)), ..calm() });
            life::spawn::<Director<System>>(system, Place(host), Director::default()).unwrap();
        },
    );
    linger::<ADA>();
    let (a, remote) = (house.key_on(1, "a"), house.remote.clone());
    let ask = |house: &mut House, message: DirectorMessage<System>| {
        house.run(remote.ask::<Director<System>>(&Place(1), message, Duration::from_secs(3)))
    };
    let spawned = ask(&mut house, DirectorMessage::spawn::<Ada>(a.clone(), || Puppet::new("made")));
    let id = house.find::<ADA>(&a).unwrap();
    assert_eq!(spawned, Ok(Directed::Spawned(id)));
    let again = ask(&mut house, DirectorMessage::spawn::<Ada>(a.clone(), || unreachable!()));
    assert_eq!(again, Err(AskError::Handler(SpawnError::Exists(id))));
    house.pass(1000);

    let (stop, key) = (house.remote.clone(), a.clone());
    let mut stopping: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(async move {
        let message = DirectorMessage::stop::<Ada>(key);
        stop.ask::<Director<System>>(&Place(1), message, Duration::from_secs(3)).await
    });
    assert_eq!(poll(&mut stopping), None);
    house.pass(2);
    assert_eq!(poll(&mut stopping), None, "it has not ended yet");
    control(&mut house, &a, end::<ADA>());
    assert_eq!(poll(&mut stopping), Some(Ok(Directed::Stopped)));

    assert_eq!(ask(&mut house, DirectorMessage::stop::<Ada>(a.clone())), Ok(Directed::Stopped));
    assert_eq!(ask(&mut house, DirectorMessage::retire::<Ada>(a.clone())), Ok(Directed::Retired(false)));
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    house.play(&a, say::<ADA>("here again"));
    assert_eq!(ask(&mut house, DirectorMessage::retire::<Ada>(a.clone())), Ok(Directed::Retired(true)));
    assert_eq!(house.find::<ADA>(&a), None);
    assert_eq!(house.figures::<ADA>(1).retirements.get(), 1);
}

#[test]
fn a_factory_that_panics_is_its_directors_failure() {
    let mut house = House::new(
        1,
        |registry| {
            registry.place::<Ada>([0]).place::<Director<System>>([0]);
        },
        |system, host| {
            let settings = KindSettings { recovery: Recovery::InPlace, ..calm() };
            system.add::<Ada>(calm()).add::<Director<System>>(settings);
            life::spawn::<Director<System>>(system, Place(host), Director::default()).unwrap();
        },
    );
    let remote = house.remote.clone();
    let message = DirectorMessage::spawn::<Ada>(k("a"), || panic!("as told"));
    assert_eq!(house.run(remote.ask::<Director<System>>(&Place(0), message, ms(1000))), Err(AskError::Died));
    assert_eq!(house.find::<ADA>("a"), None);
    let message = DirectorMessage::retire::<Ada>(k("a"));
    let answer = house.run(remote.ask::<Director<System>>(&Place(0), message, ms(1000)));
    assert_eq!(answer, Ok(Directed::Retired(false)), "it goes on");
}

#[test]
fn a_kind_that_has_ended_is_not_made_any_more() {
    let mut house = House::of(1, calm());
    let kind = house.spawn::<ADA>("a").kind;
    let world = house.host();
    let ops = world.core().kinds[usize::from(kind)].ops;
    ops.close(world);
    assert_eq!(life::spawn::<Ada>(house.host(), k("b"), Puppet::new("b")), Err(SpawnError::KindEnded));
    let asked = house.ask("c", say::<ADA>("asked"));
    house.play("c", say::<ADA>("told"));
    assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["dead: told, stopped"]);
    house.play("a", say::<ADA>("goes on"));
    assert_eq!(diary(), ["a: goes on"]);
    note_life::<ADA>();
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("d"));
    house.settle();
    assert_eq!(diary(), ["d started", "d ending", "d dropped"]);
    drop(handle);
    house.settle();
}
