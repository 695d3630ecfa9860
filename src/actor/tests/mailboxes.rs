//! Mailboxes: what a full one does, who overtakes whom, and what order is kept.

use super::kit::*;
use crate::actor::{
    actor::{KindSettings, Recovery},
    context::{Context, SendOptions},
    core,
    envelope::{AskError, TellError},
    kind_figures::DeadReason,
    life,
    mailbox::Overflow,
    mesh::Capacity,
    table::Phase,
    worker::Work,
    world::World as _,
};

fn bounded(mailbox: usize, overflow: Overflow) -> KindSettings {
    KindSettings { mailbox, overflow, ..calm() }
}

/// Hosts on which Bob's mailbox holds two, and an `a` on the first and a `b` beside it or on the other.
fn small(overflow: Overflow, is_apart: bool) -> (House, String, String) {
    let house = House::each(2, [calm(), bounded(2, overflow), calm()]);
    let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
    (house, a, b)
}

fn lines<'a>(name: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    texts.into_iter().map(|text| format!("{name}: {text}")).collect()
}

#[test]
fn a_full_mailbox_refuses_and_gives_the_message_back() {
    let (mut house, a, b) = small(Overflow::Refuse, false);
    house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3", "4"]));
    let told = vec![format!("{a}: tells 1, 2, 3, 4"), "Full: 3".into(), "Full: 4".into()];
    assert_eq!(diary(), [told, lines(&b, ["1", "2"])].concat());
    assert_eq!(house.figures::<BOB>(0).rejected.get(), 2);
    assert_eq!(house.dead::<BOB>(0, DeadReason::MailboxFull), 0);
}

#[test]
fn what_a_full_mailbox_elsewhere_refuses_is_a_dead_letter_there() {
    let (mut house, a, b) = small(Overflow::Refuse, true);
    house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3", "4"]));
    let told = vec![format!("{a}: tells 1, 2, 3, 4"), "dead: 3, mailbox_full".into(), "dead: 4, mailbox_full".into()];
    assert_eq!(diary(), [told, lines(&b, ["1", "2"])].concat());
    assert_eq!(house.figures::<BOB>(1).rejected.get(), 2);
    assert_eq!(house.dead::<BOB>(1, DeadReason::MailboxFull), 2);
}

#[test]
fn a_full_mailbox_drops_the_oldest_where_its_kind_says_so() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::DropOldest, is_apart);
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3", "4"]));
        let told =
            vec![format!("{a}: tells 1, 2, 3, 4"), "dead: 1, dropped_oldest".into(), "dead: 2, dropped_oldest".into()];
        assert_eq!(diary(), [told, lines(&b, ["3", "4"])].concat());
        let host = usize::from(is_apart);
        assert_eq!(house.dead::<BOB>(host, DeadReason::DroppedOldest), 2);
        assert_eq!(house.figures::<BOB>(host).rejected.get(), 0);
    }
}

#[test]
fn an_ask_that_is_dropped_as_the_oldest_fails_at_once() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::DropOldest, is_apart);
        let done = hold::<BOB>();
        let asked = house.ask(&b, say::<BOB>("oldest"));
        house.settle();
        assert_eq!(asked.answer(), None);
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2"]));
        assert_eq!(asked.answer(), Some(Err(AskError::MailboxFull)));
        done.send(()).unwrap();
        house.settle();
        assert_eq!(diary(), [lines(&a, ["tells 1, 2"]), lines(&b, ["1", "2"])].concat());
        assert_eq!(house.dead::<BOB>(usize::from(is_apart), DeadReason::DroppedOldest), 1);
    }
}

#[test]
fn a_full_mailbox_drops_the_newest_where_its_kind_says_so() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::DropNewest, is_apart);
        let done = hold::<BOB>();
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3"]));
        let asked = house.ask(&b, say::<BOB>("newest"));
        house.settle();
        assert_eq!(asked.answer(), Some(Err(AskError::MailboxFull)));
        done.send(()).unwrap();
        house.settle();
        let told = vec![format!("{a}: tells 1, 2, 3"), "dead: 3, dropped_newest".into()];
        assert_eq!(diary(), [told, lines(&b, ["1", "2"])].concat());
        assert_eq!(house.dead::<BOB>(usize::from(is_apart), DeadReason::DroppedNewest), 2);
    }
}

#[test]
fn under_back_pressure_a_sender_rests_until_its_messages_are_taken_and_order_is_kept() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::BackPressure, is_apart);
        let done = hold::<BOB>();
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3", "4", "5"]));
        assert_eq!(diary(), lines(&a, ["tells 1, 2, 3, 4, 5"]));
        house.tell(&a, tell::<ADA, BOB>(&b, ["6"]));
        house.remote.tell_with::<Ada>(&a, say("control"), SendOptions::CONTROL).unwrap();
        house.pass(3);
        assert_eq!(diary(), lines(&a, ["control"]), "it rests, and hears control messages");
        assert_eq!(house.figures::<BOB>(usize::from(is_apart)).pending.get(), 5);
        done.send(()).unwrap();
        house.settle();
        let (own, others): (Vec<_>, Vec<_>) = diary().into_iter().partition(|line| line.starts_with(&a));
        assert_eq!(own, lines(&a, ["tells 6"]));
        assert_eq!(others, lines(&b, ["1", "2", "3", "4", "5", "6"]));
        assert_eq!(house.figures::<BOB>(usize::from(is_apart)).rejected.get(), 0);
    }
}

#[test]
fn a_sender_goes_on_with_the_last_of_its_messages_that_is_taken() {
    let mut house = House::each(1, [calm(), KindSettings { batch: 1, ..bounded(1, Overflow::BackPressure) }, calm()]);
    house.tell("a", tell::<ADA, BOB>("b", ["1", "2", "3"]));
    house.tell("a", say::<ADA>("on"));
    house.settle();
    // With the third taken in, when the second is handled, it goes on.
    assert_eq!(diary(), ["a: tells 1, 2, 3", "b: 1", "b: 2", "a: on", "b: 3"]);
}

#[test]
fn whoever_comes_later_comes_behind_those_who_wait_beside_the_mailbox() {
    let (mut house, a, b) = small(Overflow::BackPressure, false);
    let done = hold::<BOB>();
    house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3"]));
    let c = house.key_on(0, "c");
    house.play(&c, tell::<CYD, BOB>(&b, ["4"]));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary()[2..], lines(&b, ["1", "2", "3", "4"]));
}

#[test]
fn from_outside_a_full_mailbox_under_back_pressure_refuses() {
    let (mut house, _, b) = small(Overflow::BackPressure, false);
    let done = hold::<BOB>();
    for text in ["1", "2", "3"] {
        house.play(&b, say::<BOB>(text));
    }
    let asked = house.ask(&b, say::<BOB>("4"));
    house.settle();
    assert_eq!(asked.answer(), Some(Err(AskError::MailboxFull)));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), [vec!["dead: 3, mailbox_full".to_owned()], lines(&b, ["1", "2"])].concat());
}

#[test]
fn before_its_own_full_mailbox_nobody_rests() {
    let mut house = House::of(1, bounded(2, Overflow::BackPressure));
    house.play("a", tell::<ADA, ADA>("a", ["1", "2", "3"]));
    assert_eq!(diary(), ["a: tells 1, 2, 3", "Full: 3", "a: 1", "a: 2"]);
}

#[test]
fn control_messages_under_back_pressure_are_bounded_and_refused() {
    let (mut house, a, b) = small(Overflow::BackPressure, false);
    let bob = b.clone();
    house.play(
        &a,
        act("go", move |_: &mut Ada, cx| {
            for n in 0..3 {
                let told = cx.tell_with::<Bob>(&bob, say(format!("{n}")), SendOptions::CONTROL);
                assert_eq!(told.is_err(), n == 2);
            }
            cx.tell::<Bob>(&bob, say("data")).unwrap();
        }),
    );
    assert_eq!(diary()[1..], lines(&b, ["0", "1", "data"]));
}

/// Ends Bob with messages beside his mailbox; what becomes of them, and of their sender, is the test's.
fn with_parked(is_apart: bool, end: impl FnOnce(&mut House, &str, flume::Sender<()>)) -> (Vec<String>, String, String) {
    let (mut house, a, b) = small(Overflow::BackPressure, is_apart);
    let done = hold::<BOB>();
    house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3", "4"]));
    house.play(&a, say::<ADA>("goes on"));
    assert_eq!(diary(), lines(&a, ["tells 1, 2, 3, 4"]));
    end(&mut house, &b, done);
    (diary(), a, b)
}

#[test]
fn a_sender_goes_on_when_the_actor_stops_before_whose_mailbox_it_rests() {
    for is_apart in [false, true] {
        let (told, a, _) = with_parked(is_apart, |house, b, _done| {
            let remote = house.remote.clone();
            assert!(house.run(remote.stop::<Bob>(b.to_owned())));
            house.settle();
        });
        let dead = ["1", "2", "3", "4"].map(|text| format!("dead: {text}, stopped"));
        assert_eq!(told, [dead.to_vec(), lines(&a, ["goes on"])].concat());
    }
}

#[test]
fn a_sender_goes_on_when_the_actor_can_not_be_loaded_before_whose_mailbox_it_rests() {
    for is_apart in [false, true] {
        let (told, a, _) = with_parked(is_apart, |house, _, done| {
            hook::<BOB>(|hooks| *hooks = Hooks::default());
            drop(done);
            house.settle();
        });
        let dead = ["1", "2", "3", "4"].map(|text| format!("dead: {text}, not loaded: its state is gone"));
        assert_eq!(told, [dead.to_vec(), lines(&a, ["goes on"])].concat());
    }
}

#[test]
fn a_sender_goes_on_when_the_actor_fails_for_good_before_whose_mailbox_it_rests() {
    for is_apart in [false, true] {
        let (told, a, _) = with_parked(is_apart, |house, b, _done| {
            let id = house.find::<BOB>(b).unwrap();
            life::fail::<Bob>(house.at(usize::from(is_apart)), id, "so be it".into());
            house.settle();
        });
        let dead = ["1", "2", "3", "4"].map(|text| format!("dead: {text}, actor_failed"));
        assert_eq!(told, [dead.to_vec(), lines(&a, ["goes on"])].concat());
    }
}

#[test]
fn messages_beside_the_mailbox_of_an_actor_that_departs_go_to_the_next_in_order_and_their_sender_goes_on() {
    for is_apart in [false, true] {
        let (told, a, b) = with_parked(is_apart, |house, b, done| {
            let id = house.find::<BOB>(b).unwrap();
            hook::<BOB>(|hooks| *hooks = Hooks::default());
            life::depart::<Bob>(house.at(usize::from(is_apart)), id);
            drop(done);
            house.settle();
        });
        let (own, others): (Vec<_>, Vec<_>) = told.into_iter().partition(|line| line.starts_with(&a));
        assert_eq!(own, lines(&a, ["goes on"]));
        assert_eq!(others, lines(&b, ["1", "2", "3", "4"]));
    }
}

#[test]
fn a_sender_goes_on_when_the_kind_ends_before_whose_mailbox_it_rests() {
    let (told, a, _) = with_parked(false, |house, b, _done| {
        let id = house.find::<BOB>(b).unwrap();
        let world = house.host();
        let ops = world.core().kinds[usize::from(id.kind)].ops;
        ops.close(world);
        ops.kill(world, id, crate::actor::monitor::Cause::Forced);
        house.settle();
    });
    let dead = ["1", "2", "3", "4"].map(|text| format!("dead: {text}, stopped"));
    assert_eq!(told, [dead.to_vec(), lines(&a, ["goes on"])].concat());
}

#[test]
fn a_handler_that_fails_does_not_rest_for_what_is_taken_back() {
    for is_apart in [false, true] {
        let settings = bounded(2, Overflow::BackPressure);
        let mut house = House::each(2, [KindSettings { recovery: Recovery::InPlace, ..calm() }, settings, calm()]);
        let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
        let done = hold::<BOB>();
        house.play(&b, say::<BOB>("0"));
        let bob = b.clone();
        house.tell(
            &a,
            act("go", move |_: &mut Ada, cx| {
                for n in 1..=4 {
                    cx.tell::<Bob>(&bob, say(format!("{n}"))).unwrap();
                }
                panic!("after it");
            }),
        );
        house.play(&a, say::<ADA>("goes on"));
        assert_eq!(diary(), lines(&a, ["go", "goes on"]));
        done.send(()).unwrap();
        house.settle();
        assert_eq!(diary(), lines(&b, ["0"]));
    }
}

#[test]
fn messages_beside_a_mailbox_move_in_where_those_before_them_are_taken_back() {
    let mut house = House::each(
        1,
        [KindSettings { recovery: Recovery::InPlace, ..calm() }, bounded(1, Overflow::BackPressure), calm()],
    );
    let c = house.spawn::<CYD>("c");
    house.play(
        "a",
        act("go", move |_: &mut Ada, cx| {
            cx.tell::<Bob>(&k("b"), say("taken back")).unwrap();
            // What the called one does is its own.
            let told = cx.call::<Cyd, _>(c, |_, cx| cx.tell::<Bob>(&k("b"), say("stays")).is_ok());
            assert_eq!(told, Ok(true));
            panic!("after it");
        }),
    );
    assert_eq!(diary(), ["a: go", "b: stays"]);
    house.play("c", say::<CYD>("goes on"));
    assert_eq!(diary(), ["c: goes on"]);
}

#[test]
fn an_actor_that_fails_while_it_rests_still_rests_afterwards() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        let settings = bounded(2, Overflow::BackPressure);
        let mut house = House::each(1, [KindSettings { recovery, ..calm() }, settings, calm()]);
        let done = hold::<BOB>();
        house.play("a", tell::<ADA, BOB>("b", ["1", "2", "3"]));
        house.remote.tell_with::<Ada>(&k("a"), fail("control"), SendOptions::CONTROL).unwrap();
        house.play("a", say::<ADA>("data"));
        assert_eq!(diary(), ["a: tells 1, 2, 3", "a: control"]);
        done.send(()).unwrap();
        house.settle();
        let told = diary();
        assert_eq!(told.len(), 4);
        assert!(told.contains(&"a: data".to_owned()));
    }
}

#[test]
fn an_actor_that_ends_while_it_rests_does_not_leave_its_rest_to_the_next() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::BackPressure, is_apart);
        let done = hold::<BOB>();
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3"]));
        house.remote.tell_with::<Ada>(&a, end(), SendOptions::CONTROL).unwrap();
        house.play(&a, say::<ADA>("next"));
        assert_eq!(diary(), lines(&a, ["tells 1, 2, 3", "end", "next"]));
        done.send(()).unwrap();
        house.settle();
        assert_eq!(diary(), lines(&b, ["1", "2", "3"]));
    }
}

#[test]
fn an_answer_comes_behind_what_its_sender_has_beside_the_mailbox() {
    for is_apart in [false, true] {
        let mut house = House::each(2, [bounded(1, Overflow::BackPressure), calm(), calm()]);
        let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
        let (ada, bob) = (a.clone(), b.clone());
        let line = act("asked", move |_: &mut Bob, cx| {
            for text in ["1", "2", "3"] {
                cx.tell::<Ada>(&ada, say(text)).unwrap();
            }
            cx.reply("and the answer".into());
        });
        house.play(
            &a,
            act("ask", move |_: &mut Ada, cx| drop(cx.ask::<Bob>(&bob, line, None, |answer| say(told(&answer))))),
        );
        let told: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a)).collect();
        assert_eq!(told, lines(&a, ["ask", "1", "2", "3", "and the answer"]));
        house.play(&b, say::<BOB>("goes on"));
        assert_eq!(diary(), lines(&b, ["goes on"]));
    }
}

#[test]
fn control_overtakes_data_and_each_keeps_its_order() {
    for is_apart in [false, true] {
        let (mut house, a, b) = small(Overflow::Refuse, is_apart);
        house = House::of(house.hosts.len(), calm());
        let bob = b.clone();
        house.play(
            &a,
            act("go", move |_: &mut Ada, cx| {
                for n in 0..4 {
                    cx.tell::<Bob>(&bob, say(format!("data {n}"))).unwrap();
                    cx.tell_with::<Bob>(&bob, say(format!("control {n}")), SendOptions::CONTROL).unwrap();
                }
            }),
        );
        let expected = ["control 0", "control 1", "control 2", "control 3", "data 0", "data 1", "data 2", "data 3"];
        assert_eq!(diary()[1..], lines(&b, expected));
    }
}

#[test]
fn from_outside_control_overtakes_data_too() {
    let mut house = House::of(1, calm());
    for n in 0..3 {
        house.tell("a", say::<ADA>(format!("data {n}")));
        house.remote.tell_with::<Ada>(&k("a"), say(format!("control {n}")), SendOptions::CONTROL).unwrap();
    }
    house.settle();
    let expected = ["control 0", "control 1", "control 2", "data 0", "data 1", "data 2"];
    assert_eq!(diary(), lines("a", expected));
}

#[test]
fn an_actor_is_put_behind_the_others_after_a_batch() {
    let mut house = House::of(1, KindSettings { batch: 2, ..calm() });
    for n in 0..5 {
        house.tell("a", say::<ADA>(format!("{n}")));
        if n < 3 {
            house.tell("b", say::<BOB>(format!("{n}")));
        }
    }
    house.settle();
    assert_eq!(diary(), ["a: 0", "a: 1", "b: 0", "b: 1", "a: 2", "a: 3", "b: 2", "a: 4"]);
}

#[test]
fn settings_without_a_place_or_a_turn_have_one() {
    let mut house = House::of(1, KindSettings { mailbox: 0, batch: 0, ..bounded(0, Overflow::Refuse) });
    for text in ["1", "2"] {
        house.tell("a", say::<ADA>(text));
    }
    house.settle();
    assert_eq!(diary(), ["dead: 2, mailbox_full", "a: 1"]);
}

#[test]
fn between_two_actors_order_is_kept_over_hosts_whatever_is_mixed() {
    const COUNT: usize = 2500;
    for is_apart in [false, true] {
        let mut house = House::of(2, KindSettings { mailbox: 10_000, ..calm() });
        let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
        let (c, other) = (house.key_on(usize::from(is_apart), "c"), house.key_on(0, "other"));
        let (ada, bob) = (a.clone(), b.clone());
        let go = act("go", move |_: &mut Ada, cx| {
            for n in 0..COUNT {
                let (ada, other) = (ada.clone(), other.clone());
                let line = act(format!("{n}"), move |_: &mut Bob, cx| {
                    cx.tell::<Ada>(&ada, say(format!("tell {n}"))).unwrap();
                    if n % 7 == 0 {
                        cx.tell::<Cyd>(&other, say("between")).unwrap();
                    }
                    cx.reply(format!("answer {n}"));
                });
                if n % 3 == 0 {
                    cx.tell::<Cyd>(&c, say("between")).unwrap();
                }
                if n % 2 == 0 {
                    cx.ask::<Bob>(&bob, line, None, |answer| say(told(&answer)));
                } else {
                    cx.tell::<Bob>(&bob, line).unwrap();
                }
            }
        });
        house.play(&a, go);
        let told = diary();
        let of = |name: &str| -> Vec<String> {
            told.iter().filter_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned).collect()
        };
        assert_eq!(of(&b), (0..COUNT).map(|n| n.to_string()).collect::<Vec<_>>());
        let expected = (0..COUNT).flat_map(|n| {
            let answer = (n % 2 == 0).then(|| format!("answer {n}"));
            std::iter::once(format!("tell {n}")).chain(answer)
        });
        assert_eq!(of(&a)[1..], expected.collect::<Vec<_>>());
    }
}

#[test]
fn what_finds_an_inbox_full_waits_in_order_without_keeping_its_host_busy() {
    let capacity = Capacity { control: 1, data: 1, handoffs: 1 };
    let place = |registry: &mut crate::actor::parcel::Registry| {
        registry.place::<Ada>(0..2).place::<Bob>(0..2).place::<Cyd>(0..2);
    };
    let mut house = House::with_inboxes(2, capacity, place, |system, _| {
        system.add::<Ada>(calm()).add::<Bob>(calm()).add::<Cyd>(calm());
    });
    let (a, b) = (house.key_on(0, "a"), house.key_on(1, "b"));
    for turn in 0..4 {
        let bob = b.clone();
        house.tell(
            &a,
            act("go", move |_: &mut Ada, cx| {
                cx.tell::<Bob>(&bob, say(format!("{turn}"))).unwrap();
                cx.tell_with::<Bob>(&bob, say(format!("control {turn}")), SendOptions::CONTROL).unwrap();
            }),
        );
        house.take_in(0, usize::MAX);
        assert!(!house.turn(0), "it is at rest");
        let work = core::work(house.hosts[0].core());
        assert_eq!(work, if turn == 0 { Work::Rest(std::time::Duration::MAX) } else { Work::Rest(ms(1)) });
    }
    assert_eq!(house.inboxes[1].try_next().is_some(), true, "a control parcel");
    house.turn(0);
    house.settle();
    let told: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&b)).collect();
    let data: Vec<_> = told.iter().filter(|line| !line.contains("control")).cloned().collect();
    let control: Vec<_> = told.into_iter().filter(|line| line.contains("control")).collect();
    assert_eq!(data, lines(&b, ["0", "1", "2", "3"]));
    assert_eq!(control, lines(&b, ["control 1", "control 2", "control 3"]), "the first was taken out above");
}

#[test]
fn too_much_for_one_host_comes_back_to_its_sender() {
    let mut house = House::of(2, KindSettings { mailbox: 100_000, ..calm() });
    let (a, b, c) = (house.key_on(0, "a"), house.key_on(1, "b"), house.key_on(0, "c"));
    let (bob, cyd) = (b.clone(), c.clone());
    house.play(
        &a,
        act("go", move |_: &mut Ada, cx| {
            let fits = (0..100_000).take_while(|n| cx.tell::<Bob>(&bob, say(format!("{n}"))).is_ok()).count();
            assert_eq!(fits, 65_536);
            assert!(matches!(cx.tell::<Bob>(&bob, say("more")), Err(TellError::Full(_))));
            cx.tell::<Cyd>(&cyd, say("beside")).unwrap();
            cx.ask::<Bob>(&bob, say("asked"), None, |answer| say(told(&answer)));
        }),
    );
    let told = diary();
    assert_eq!(told.iter().filter(|line| line.starts_with(&format!("{b}:"))).count(), 65_536);
    assert!(told.contains(&format!("{a}: MailboxFull")));
    house.play(&a, tell::<ADA, BOB>(&b, ["again"]));
    assert_eq!(diary().last(), Some(&format!("{b}: again")));
}

#[test]
fn what_waits_is_counted_and_seen() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    for text in ["1", "2", "3"] {
        house.play("a", say::<ADA>(text));
    }
    let id = house.find::<ADA>("a").unwrap();
    assert_eq!(house.table::<ADA>(0).depth(id), Some(3));
    assert_eq!(house.figures::<ADA>(0).pending.get(), 3);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Loading));
    done.send(()).unwrap();
    house.settle();
    assert_eq!(house.table::<ADA>(0).depth(id), Some(0));
    assert_eq!(house.figures::<ADA>(0).processed.get(), 3);
    assert_eq!(house.table::<ADA>(0).counts(id).unwrap().processed, 3);
}

#[test]
fn how_long_messages_wait_is_counted() {
    let mut house = House::of(1, calm());
    let done = hold::<ADA>();
    house.play("a", say::<ADA>("1"));
    house.pass(7);
    done.send(()).unwrap();
    house.settle();
    let waited = house.figures::<ADA>(0).wait.snapshot();
    assert_eq!((waited.count(), waited.max), (1, 7_000_000));
}

#[test]
fn an_actor_told_while_it_rests_handles_what_it_was_told_in_order_afterwards() {
    let (mut house, a, b) = small(Overflow::BackPressure, true);
    let done = hold::<BOB>();
    house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3"]));
    for text in ["x", "y", "z"] {
        house.play(&a, say::<ADA>(text));
    }
    diary();
    done.send(()).unwrap();
    house.settle();
    let own: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a)).collect();
    assert_eq!(own, lines(&a, ["x", "y", "z"]));
}

#[test]
fn an_actor_that_rests_is_given_its_answers() {
    let (mut house, a, b) = small(Overflow::BackPressure, false);
    let done = hold::<BOB>();
    let (bob, c) = (b.clone(), house.key_on(1, "c"));
    house.play(
        &a,
        act("go", move |_: &mut Ada, cx: &mut Context<'_, Ada>| {
            cx.ask::<Cyd>(&c, say("hello"), None, |answer| say(told(&answer)));
            for n in 0..3 {
                cx.tell::<Bob>(&bob, say(format!("{n}"))).unwrap();
            }
        }),
    );
    let own: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a)).collect();
    assert_eq!(own, lines(&a, ["go", "hello"]));
    done.send(()).unwrap();
    house.settle();
}
