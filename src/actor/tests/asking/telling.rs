//! Telling from outside, and beside asks.

use super::*;

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
