//! Pools: who a message goes to, and what becomes of it when the pool grows or shrinks.

use super::kit::*;
use crate::actor::{
    actor::{KindSettings, Recovery},
    context::Context,
    envelope::{ActorId, AskError, TellError},
    handling,
    kind_figures::DeadReason,
    mailbox::Overflow,
    parcel::Registry,
    pool::{self, Route},
    world::{Hosts, World as _},
};

fn pool(members: usize, settings: KindSettings) -> (House, Vec<ActorId>) {
    let mut house = House::of(1, settings);
    let ids = (0..members).map(|n| pool::grow::<Bob>(house.host(), Puppet::new(format!("m{n}")))).collect();
    house.settle();
    (house, ids)
}

fn send(house: &House, route: Route, text: &str) {
    house.remote.tell_pool::<Bob>(route, say(text)).unwrap();
}

/// Has the host take in what was sent, without letting anybody handle it.
fn lay_in(house: &mut House) {
    house.take_in(0, usize::MAX);
}

/// What each of the members has handled, in order.
fn handled(members: usize) -> Vec<Vec<String>> {
    let told = diary();
    let of = |n: usize| {
        let prefix = format!("m{n}: ");
        told.iter().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect()
    };
    (0..members).map(of).collect()
}

#[test]
fn by_turns_each_member_has_one() {
    let (mut house, _) = pool(3, calm());
    for n in 0..7 {
        send(&house, Route::RoundRobin, &n.to_string());
    }
    house.settle();
    assert_eq!(handled(3), [vec!["0", "3", "6"], vec!["1", "4"], vec!["2", "5"]]);
}

#[test]
fn turns_go_on_where_the_pool_changes_its_size() {
    let (mut house, _) = pool(2, calm());
    send(&house, Route::RoundRobin, "0");
    house.settle();
    pool::grow::<Bob>(house.host(), Puppet::new("m2"));
    for n in 1..4 {
        send(&house, Route::RoundRobin, &n.to_string());
    }
    house.settle();
    let all = handled(3);
    assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 4);
    assert!(all.iter().all(|own| !own.is_empty()), "{all:?}");
    assert!(pool::shrink::<Bob>(house.host(), None));
    for n in 0..4 {
        send(&house, Route::RoundRobin, &n.to_string());
    }
    house.settle();
    assert_eq!(handled(2).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn the_least_loaded_is_the_one_with_the_fewest_messages_waiting_and_the_first_of_those() {
    let (mut house, ids) = pool(3, calm());
    for (member, count) in [(0, 2), (1, 1), (2, 3)] {
        for _ in 0..count {
            send(&house, Route::Member(member), "before");
        }
    }
    lay_in(&mut house);
    for n in 0..6 {
        send(&house, Route::LeastLoaded, &n.to_string());
    }
    lay_in(&mut house);
    let depths = ids.iter().map(|id| house.table::<BOB>(0).depth(*id).unwrap()).collect::<Vec<_>>();
    assert_eq!(depths, [4, 4, 4]);
    house.settle();
    assert_eq!(
        handled(3),
        [vec!["before", "before", "1", "3"], vec!["before", "0", "2", "4"], vec!["before", "before", "before", "5"]]
    );
}

#[test]
fn the_least_loaded_is_chosen_by_what_waits_and_not_by_what_came() {
    let (mut house, ids) = pool(2, calm());
    for n in 0..5 {
        send(&house, Route::Member(0), &n.to_string());
        house.settle();
    }
    send(&house, Route::LeastLoaded, "first");
    lay_in(&mut house);
    assert_eq!(house.table::<BOB>(0).depth(ids[0]), Some(1));
}

#[test]
fn a_key_goes_to_the_same_member_while_the_pool_has_its_size() {
    let (mut house, _) = pool(4, calm());
    for round in 0..3 {
        for key in 0..40u64 {
            send(&house, Route::by_key(&key), &format!("{key} {round}"));
        }
    }
    house.settle();
    let all = handled(4);
    assert!(all.iter().all(|own| own.len() >= 12), "spread");
    for key in 0..40 {
        let holders: Vec<_> =
            all.iter().filter(|own| own.iter().any(|line| line.starts_with(&format!("{key} ")))).collect();
        assert_eq!(holders.len(), 1, "{key}");
        let own: Vec<_> = holders[0].iter().filter(|line| line.starts_with(&format!("{key} "))).collect();
        assert_eq!(own, [0, 1, 2].map(|round| format!("{key} {round}")).iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_route_by_key_is_the_same_for_equal_texts_and_never_none() {
    assert_eq!(Route::by_key(&17u64), Route::by_key(&"17".to_owned()));
    assert_ne!(Route::by_key(&17u64), Route::by_key(&18u64));
    assert!((0..1000u64).all(|key| matches!(Route::by_key(&key), Route::Key(hash) if hash != 0)));
}

#[test]
fn keys_are_told_apart_by_every_part_of_their_hash() {
    let (mut house, _) = pool(8, calm());
    for digit in 0..16 {
        for value in 1..16 {
            send(&house, Route::Key(value << (4 * digit)), "hello");
        }
        house.settle();
        let members = handled(8).iter().filter(|own| !own.is_empty()).count();
        assert!(members > 3, "fifteen keys that differ in digit {digit} are {members} members'");
    }
}

#[test]
fn a_given_member_is_told_and_one_that_is_not_there_is_an_error_of_its_own() {
    let (mut house, _) = pool(2, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            cx.tell_pool::<Bob>(Route::Member(1), say("hello")).unwrap();
            match cx.tell_pool::<Bob>(Route::Member(2), say("nobody")) {
                Err(TellError::NoSuchMember { member: 2, message }) => assert_eq!(message, say("nobody")),
                other => panic!("{other:?}"),
            }
            let error = cx.tell_pool::<Bob>(Route::Member(9), say("nobody")).unwrap_err();
            assert_eq!(
                (format!("{error:?}"), error.to_string()),
                ("NoSuchMember".into(), "the pool has no member 9".into())
            );
            assert_eq!(error.into_message(), say("nobody"));
        }),
    );
    assert_eq!(diary(), ["a: go", "m1: hello"]);
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
}

#[test]
fn from_outside_a_member_that_is_not_there_is_a_dead_letter() {
    let (mut house, _) = pool(1, calm());
    send(&house, Route::Member(4), "nobody");
    house.settle();
    assert_eq!(diary(), ["dead: nobody, no_such_actor"]);
    assert_eq!(house.dead::<BOB>(0, DeadReason::NoSuchActor), 1);
}

#[test]
fn a_pool_without_members_takes_nothing() {
    let (mut house, _) = pool(0, calm());
    house.play(
        "a",
        act("go", |_: &mut Ada, cx| {
            for route in [Route::RoundRobin, Route::LeastLoaded, Route::by_key(&1u64)] {
                let error = cx.tell_pool::<Bob>(route, say("nobody")).unwrap_err();
                assert!(matches!(error, TellError::Stopped(_)));
            }
            assert!(matches!(
                cx.tell_pool::<Bob>(Route::Member(0), say("nobody")),
                Err(TellError::NoSuchMember { member: 0, .. })
            ));
        }),
    );
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
    assert!(!pool::shrink::<Bob>(house.host(), None));
}

#[test]
fn a_pool_is_reached_from_other_hosts() {
    let mut house = House::of(2, calm());
    for n in 0..2 {
        pool::grow::<Bob>(house.host(), Puppet::new(format!("m{n}")));
    }
    let a = house.key_on(1, "a");
    house.play(
        &a,
        act("go", |_: &mut Ada, cx| {
            for n in 0..4 {
                cx.tell_pool::<Bob>(Route::RoundRobin, say(n.to_string())).unwrap();
            }
        }),
    );
    assert_eq!(handled(2), [vec!["0", "2"], vec!["1", "3"]]);
}

#[test]
fn a_pool_lives_on_the_first_host_of_its_kind_whichever_that_is() {
    let place = |registry: &mut Registry| {
        registry.place::<Ada>(0..3).place::<Bob>([1, 2]).place::<Cyd>(0..3);
    };
    let mut house = House::new(3, place, |system, _| {
        system.add::<Ada>(calm()).add::<Bob>(calm()).add::<Cyd>(calm());
    });
    pool::grow::<Bob>(house.at(1), Puppet::new("m0"));
    for host in 0..3 {
        let a = house.key_on(host, "a");
        let tells = move |_: &mut Ada, cx: &mut Context<'_, Ada>| {
            cx.tell_pool::<Bob>(Route::RoundRobin, say(format!("from {host}"))).unwrap();
        };
        house.play(&a, act("go", tells));
        assert_eq!(diary(), [format!("{a}: go"), format!("m0: from {host}")]);
    }
    send(&house, Route::RoundRobin, "from outside");
    house.settle();
    assert_eq!(diary(), ["m0: from outside"]);
}

/// Texts `key n` for some keys, in order.
fn keyed(house: &House, keys: u64, rounds: std::ops::Range<usize>) {
    for round in rounds {
        for key in 0..keys {
            send(house, Route::by_key(&key), &format!("{key} {round}"));
        }
    }
}

/// Every key's messages were handled in order, by one member where it did not move.
fn in_order(all: &[Vec<String>], keys: u64, rounds: usize) -> usize {
    let mut moved = 0;
    for key in 0..keys {
        let own = |lines: &[String]| -> Vec<usize> {
            let of_key = lines.iter().filter_map(|line| line.strip_prefix(&format!("{key} ")));
            of_key.map(|round| round.parse().unwrap()).collect()
        };
        let parts: Vec<Vec<usize>> = all.iter().map(|lines| own(lines)).filter(|own| !own.is_empty()).collect();
        moved += usize::from(parts.len() > 1);
        let mut together: Vec<usize> = parts.concat();
        assert!(parts.iter().all(|part| part.is_sorted()), "{key}: {parts:?}");
        together.sort_unstable();
        assert_eq!(together, (0..rounds).collect::<Vec<_>>(), "{key}");
    }
    moved
}

#[test]
fn a_pool_that_grows_moves_keys_with_their_messages_in_order() {
    let (mut house, ids) = pool(3, calm());
    keyed(&house, 60, 0..3);
    lay_in(&mut house);
    let before: usize = ids.iter().map(|id| house.table::<BOB>(0).depth(*id).unwrap()).sum();
    let new = pool::grow::<Bob>(house.host(), Puppet::new("m3"));
    let taken = house.table::<BOB>(0).depth(new).unwrap();
    assert!((before / 8..before / 2).contains(&taken), "{taken} of {before} move, a fair share");
    keyed(&house, 60, 3..6);
    house.settle();
    let all = handled(4);
    assert_eq!(in_order(&all, 60, 6), 0, "all of a key are handled by one: none had been handled before");
    assert_eq!(all[3].len(), 2 * taken);
}

#[test]
fn a_pool_that_shrinks_moves_keys_with_their_messages_in_order_and_ends_the_last_member() {
    let (mut house, ids) = pool(4, calm());
    note_life::<BOB>();
    send(&house, Route::Member(3), "without a key");
    keyed(&house, 60, 0..3);
    lay_in(&mut house);
    assert!(pool::shrink::<Bob>(house.host(), Some(Box::new(|_| note("it has ended")))));
    assert_eq!(diary(), ["m3 ending", "m3 dropped", "it has ended"]);
    assert_eq!(house.table::<BOB>(0).depth(ids[3]), None);
    keyed(&house, 60, 3..6);
    house.settle();
    let mut all = handled(3);
    let place = all.iter().position(|lines| lines.contains(&"without a key".to_owned()));
    assert!(place.is_some());
    for lines in &mut all {
        lines.retain(|line| line != "without a key");
    }
    assert_eq!(in_order(&all, 60, 6), 0);
}

#[test]
fn a_pool_that_shrinks_to_nothing_says_of_each_message_that_nobody_has_it() {
    let (mut house, _) = pool(1, calm());
    let remote = house.remote.clone();
    let mut asked: std::pin::Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { remote.ask_pool::<Bob>(Route::Member(0), say("asked"), ms(1000)).await });
    assert_eq!(poll(&mut asked), None);
    send(&house, Route::LeastLoaded, "told");
    lay_in(&mut house);
    assert!(pool::shrink::<Bob>(house.host(), None));
    house.settle();
    assert_eq!(poll(&mut asked), Some(Err(AskError::Stopped)));
    assert_eq!(diary(), ["dead: told, stopped"]);
    assert!(house.table::<BOB>(0).is_empty());
}

#[test]
fn what_a_member_has_asked_for_itself_goes_to_no_other_member() {
    let (mut house, ids) = pool(2, calm());
    house
        .remote
        .tell_id::<Bob>(
            ids[1],
            act("ask", |_: &mut Bob, cx| {
                cx.ask::<Ada>(&k("a"), owe(), None, |answer| say(told(&answer)));
                cx.schedule(ms(5), say("timer"));
            }),
        )
        .unwrap();
    house.settle();
    let member = ids[1];
    house.tell("a", act("pay", |me: &mut Ada, cx| cx.answer(me.owed.remove(0), Ok("answer".into()))));
    house.take_in(0, usize::MAX);
    // The answer lies in its mailbox when it is let go of.
    while house.table::<BOB>(0).depth(member) == Some(0) {
        let (kind, slot) = house.host().core().ready.pop_front().unwrap();
        let ops = house.host().core().kinds[usize::from(kind)].ops;
        ops.run(house.host(), slot);
    }
    send(&house, Route::Member(1), "for another");
    lay_in(&mut house);
    assert!(pool::shrink::<Bob>(house.host(), None));
    house.pass(10);
    let told = diary();
    assert_eq!(told, ["m1: ask", "a: owe", "a: pay", "dead: answer, stopped", "m0: for another"]);
}

#[test]
fn who_rests_before_a_member_goes_on_when_the_pool_changes() {
    let settings = KindSettings { mailbox: 1, overflow: Overflow::BackPressure, ..calm() };
    for grows in [true, false] {
        let mut house = House::each(1, [calm(), settings, calm()]);
        for n in 0..2 {
            pool::grow::<Bob>(house.host(), Puppet::new(format!("m{n}")));
        }
        // A key that the third member would take over, and one of the second.
        let home = |key: u64, house: &mut House| {
            let Route::Key(_) = Route::by_key(&key) else { unreachable!() };
            send(house, Route::by_key(&key), "probe");
            house.settle();
            diary()[0][..2].to_owned()
        };
        let keys: Vec<u64> = (0..200).filter(|key| home(*key, &mut house) == "m1").collect();
        let third = pool::grow::<Bob>(house.host(), Puppet::new("m2"));
        let moving = keys.iter().copied().find(|key| home(*key, &mut house) == "m2").unwrap();
        assert!(pool::shrink::<Bob>(house.host(), None));
        house.settle();
        let _ = third;
        house.play(
            "a",
            act("fills", move |_: &mut Ada, cx| {
                // Before anybody handles any of it.
                cx.later(move |world| {
                    let a = Hosts::<Ada>::table(world).find(&k("a")).unwrap();
                    handling::call::<Ada, _>(world, a, move |_, cx| {
                        for n in 0..3 {
                            cx.tell_pool::<Bob>(Route::by_key(&moving), say(n.to_string())).unwrap();
                        }
                    })
                    .unwrap();
                    if grows {
                        pool::grow::<Bob>(world, Puppet::new("m2"));
                    } else {
                        assert!(pool::shrink::<Bob>(world, None));
                    }
                    note("changed");
                });
            }),
        );
        house.play("a", say::<ADA>("goes on"));
        let name = if grows { "m2" } else { "m0" };
        let told = diary();
        let own: Vec<_> = told.iter().filter(|line| line.starts_with(name)).collect();
        assert_eq!(own, [0, 1, 2].map(|n| format!("{name}: {n}")).iter().collect::<Vec<_>>());
        assert!(told.contains(&"a: goes on".to_owned()));
    }
}

#[test]
fn a_member_that_fails_goes_on_in_place_or_leaves_the_pool() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        let (mut house, ids) = pool(3, KindSettings { recovery, ..calm() });
        house.remote.tell_id::<Bob>(ids[1], fail("fails")).unwrap();
        house.settle();
        let left = if recovery == Recovery::InPlace { vec!["m0", "m1", "m2"] } else { vec!["m0", "m2"] };
        diary();
        for (member, name) in left.iter().enumerate() {
            send(&house, Route::Member(member), "hello");
            house.settle();
            assert_eq!(diary(), [format!("{name}: hello")]);
        }
        send(&house, Route::Member(left.len()), "nobody");
        house.settle();
        assert_eq!(diary(), ["dead: nobody, no_such_actor"]);
    }
}
