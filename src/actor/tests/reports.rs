//! What can be seen of actors at run time: the shapes that the operators' page relies on, and what they say.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};

use super::kit::*;
use crate::actor::{
    actor::{Farewell, KindSettings, Recovery},
    envelope::ActorId,
    handling, life,
    parcel::Registry,
    report,
    running::Seen,
    supervision::{BackOff, Intensity, Restart, StopLimit, Strategy},
    tree::{self, SupervisorPlan},
    world::World as _,
};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn report(house: &mut House) -> Value {
    let remote = house.remote.clone();
    house.run(remote.report(Duration::from_secs(1)))
}

#[test]
fn a_report_has_every_host_with_what_it_is_and_counts() {
    let mut house = House::of(2, calm());
    let (a, b) = (house.key_on(0, "a"), house.key_on(1, "b"));
    for _ in 0..3 {
        house.play(&a, say::<ADA>("hello"));
    }
    house.play(&b, fail::<BOB>("fails"));
    house.leap(7);
    let mut kinds: Vec<_> = house.remote.post().registry.kinds().collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ada", "bob", "cyd"]);
    let report = report(&mut house);
    assert_eq!(keys(&report), ["at_ms", "hosts"]);
    assert_eq!(report["at_ms"], 7);
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    for (number, host) in hosts.iter().enumerate() {
        let all = [
            "answers",
            "deepest",
            "events_dropped",
            "executor",
            "heartbeat_age_ms",
            "host",
            "inbox",
            "kinds",
            "lost",
            "name",
            "running",
            "stuck",
            "tree",
        ];
        assert_eq!(keys(host), all);
        assert_eq!((&host["host"], &host["name"]), (&json!(number), &json!(format!("host-{number}"))));
        assert_eq!((&host["executor"], &host["answers"]), (&json!("hand"), &json!(true)));
        assert_eq!(
            (&host["running"], &host["tree"], &host["deepest"], &host["stuck"]),
            (&Value::Null, &Value::Null, &json!([]), &json!([]))
        );
        assert_eq!((&host["heartbeat_age_ms"], &host["inbox"], &host["lost"]), (&json!(0), &json!(0), &json!(0)));
        let names: Vec<_> =
            host["kinds"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
        assert_eq!(names, ["ada", "bob", "cyd"]);
    }
    let ada = &hosts[0]["kinds"][0];
    let all = [
        "activations",
        "actors",
        "dead_letters",
        "errors",
        "expired",
        "handling",
        "kind",
        "late_answers",
        "loading",
        "panics",
        "pending",
        "processed",
        "rejected",
        "restarts",
        "retirements",
        "slow",
        "stuck",
        "wait",
    ];
    assert_eq!(keys(ada), all);
    assert_eq!((&ada["processed"], &ada["actors"], &ada["activations"]), (&json!(3), &json!(1), &json!(1)));
    assert_eq!(
        (&ada["wait"]["count"], &ada["handling"]["count"]),
        (&json!(3), &json!(3)),
        "beginnings are no messages"
    );
    let bob = &hosts[1]["kinds"][1];
    assert_eq!((&bob["panics"], &bob["restarts"], &bob["processed"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(hosts[0]["kinds"][1]["panics"], 0);
}

#[test]
fn the_deepest_mailboxes_are_told_of_deepest_first_over_all_kinds() {
    let mut house = House::of(1, calm());
    let (ada, bob) = (hold::<ADA>(), hold::<BOB>());
    for n in 0..10 {
        for _ in 0..=n {
            house.tell(&format!("a{n}"), say::<ADA>("waits"));
        }
    }
    for _ in 0..6 {
        house.tell("b", say::<BOB>("waits"));
    }
    house.play("c", say::<CYD>("is handled"));
    let report = report(&mut house);
    let deepest = &report["hosts"][0]["deepest"];
    assert_eq!(deepest[0], json!({ "actor": "ada/a9", "depth": 10, "state": "loading" }));
    let depths: Vec<_> = deepest.as_array().unwrap().iter().map(|told| told["depth"].as_u64().unwrap()).collect();
    assert_eq!(depths, [10, 9, 8, 7, 6, 6, 5, 4]);
    assert!(deepest.as_array().unwrap().iter().any(|told| told["actor"] == "bob/b"));
    assert_eq!(report["hosts"][0]["kinds"][0]["pending"], 55);
    drop((ada, bob));
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    hook::<BOB>(|hooks| *hooks = Hooks::default());
}

#[test]
fn one_that_loads_or_ends_for_too_long_is_told_of_as_stuck() {
    let settings =
        KindSettings { handling_limit: ms(100), load_limit: ms(10_000), stop_deadline: ms(10_000), ..calm() };
    let mut house = House::of(1, settings);
    let done = hold::<ADA>();
    hook::<BOB>(|hooks| hooks.ending = Rc::new(|_, _| Farewell::Later));
    for n in 0..9 {
        house.tell(&format!("a{n}"), say::<ADA>("waits"));
    }
    house.play("retires", act("retire", |_: &mut Bob, cx| cx.retire()));
    house.play("ends", end::<BOB>());
    house.leap(100);
    let early = report(&mut house);
    assert_eq!((&early["hosts"][0]["stuck"], &early["hosts"][0]["kinds"][0]["stuck"]), (&json!([]), &json!(0)));
    house.leap(20);
    let late = report(&mut house);
    let stuck = late["hosts"][0]["stuck"].as_array().unwrap();
    assert_eq!(stuck.len(), 10, "eight of a kind at most");
    assert_eq!(stuck[0], json!({ "actor": "ada/a0", "what": "loading", "for_ms": 120 }));
    assert!(stuck.contains(&json!({ "actor": "bob/retires", "what": "retiring", "for_ms": 120 })));
    assert!(stuck.contains(&json!({ "actor": "bob/ends", "what": "ending", "for_ms": 120 })));
    assert_eq!((house.figures::<ADA>(0).stuck.get(), house.figures::<BOB>(0).stuck.get()), (9, 2));
    for _ in 0..9 {
        done.send(()).unwrap();
    }
    house.settle();
    assert_eq!(report(&mut house)["hosts"][0]["kinds"][0]["stuck"], 0);
}

#[test]
fn one_actor_is_told_of_when_it_is_asked_for_by_its_address() {
    let mut house = House::each(2, [KindSettings { recovery: Recovery::InPlace, ..calm() }, calm(), calm()]);
    let (a, b) = (house.key_on(1, "a"), house.key_on(0, "b"));
    let id = house.spawn::<ADA>(&a);
    house.play(&b, act("watch", move |_: &mut Bob, cx| drop(cx.watch(id, |_| say("ended")))));
    house.leap(5);
    house.play(&a, fail::<ADA>("fails"));
    house.play(&a, act("aside", |_: &mut Ada, cx| cx.stash(say("later"))));
    let clock = house.clock.clone();
    house.play(&a, act("takes a while", move |_: &mut Ada, _| clock.advance(ms(2))));
    house.leap(3);
    house.table::<ADA>(1).cell_mut(id).unwrap().phase = crate::actor::table::Phase::BackingOff;
    house.play(&a, say::<ADA>("waits"));
    let remote = house.remote.clone();
    let told = house.run(report::of_one(&remote, "ada", &a, ms(1000)));
    let expected = json!({
        "actor": format!("ada/{a}"),
        "id": id.to_string(),
        "host": 1,
        "state": "backing_off",
        "for_ms": 5,
        "idle_ms": 3,
        "depth": 1,
        "stashed": 1,
        "processed": 3,
        "errors": 1,
        "restarts": 1,
        "busy_us": 2000.0,
        "watchers": 1,
    });
    assert_eq!(told, Some(expected));
    house.table::<ADA>(1).cell_mut(id).unwrap().phase = crate::actor::table::Phase::Running;
    crate::actor::sending::enqueue::<Ada>(house.at(1), id.slot);
    house.settle();
    assert_eq!(house.run(report::of_one(&remote, "ada", "nobody", ms(1000))), None);
    assert_eq!(house.run(report::of_one(&remote, "eve", &a, ms(1000))), None);
    assert_eq!(house.run(report::of_one(&remote, "bob", &a, ms(1000))), None);
}

#[test]
fn one_actor_is_asked_for_where_its_kind_lives() {
    let place = |registry: &mut Registry| {
        registry.place::<Ada>([0]).place::<Bob>([1]);
    };
    let mut house = House::new(2, place, |system, _| {
        system.add::<Ada>(calm()).add::<Bob>(calm());
    });
    house.spawn::<ADA>("a");
    house.remote.tell::<Bob>(&k("b"), say("hello")).unwrap();
    house.settle();
    let remote = house.remote.clone();
    for (kind, key, host) in [("ada", "a", 0), ("bob", "b", 1)] {
        let told = house.run(report::of_one(&remote, kind, key, ms(1000))).unwrap();
        assert_eq!(told["host"], host);
    }
}

#[test]
fn an_id_is_told_by_its_four_numbers() {
    let id = ActorId { host: 1, kind: 2, slot: 3, generation: 4 };
    assert_eq!(id.to_string(), "1.2.3.4");
}

#[test]
fn of_a_host_that_does_not_answer_what_is_known_without_it_is_told() {
    let mut house = House::of(2, calm());
    let a = house.key_on(1, "a");
    house.play(&a, say::<ADA>("hello"));
    let (remote, asked) = (house.remote.clone(), house.remote.clone());
    house.tell(&a, say::<ADA>("waits in its inbox"));
    let mut reporting: std::pin::Pin<Box<dyn Future<Output = _>>> =
        Box::pin(async move { remote.report(ms(20)).await });
    assert_eq!(poll(&mut reporting), None);
    let report = (0..100).find_map(|_| {
        house.take_in(0, usize::MAX);
        house.turn(0);
        house.clock.advance(ms(1));
        poll(&mut reporting)
    });
    let report = report.unwrap();
    assert_eq!((&report["hosts"][0]["answers"], &report["hosts"][1]["answers"]), (&json!(true), &json!(false)));
    let silent = &report["hosts"][1];
    let all = [
        "answers",
        "deepest",
        "executor",
        "heartbeat_age_ms",
        "host",
        "inbox",
        "kinds",
        "name",
        "running",
        "stuck",
        "tree",
    ];
    assert_eq!(keys(silent), all);
    assert_eq!((&silent["name"], &silent["inbox"]), (&json!("host-1"), &json!(2)), "a message and the question");
    assert_eq!(silent["heartbeat_age_ms"], 20);
    assert_eq!(silent["kinds"][0]["processed"], 1);
    let _ = asked;
}

#[test]
fn what_finds_a_host_gone_is_counted_message_by_message() {
    let mut house = House::of(2, calm());
    let (a, b) = (house.key_on(0, "a"), house.key_on(1, "b"));
    house.spawn::<ADA>(&a);
    house.hosts.pop();
    house.inboxes.pop();
    for lost in [3, 6] {
        house.play(&a, tell::<ADA, BOB>(&b, ["1", "2", "3"]));
        assert_eq!(report(&mut house)["hosts"][0]["lost"], lost);
    }
}

#[test]
fn who_is_in_the_middle_of_a_message_is_seen_from_outside_and_stuck_after_its_limit() {
    let mut house = House::each(1, [KindSettings { handling_limit: ms(20), ..calm() }, calm(), calm()]);
    let (remote, clock) = (house.remote.clone(), house.clock.clone());
    house.play(
        "jazz",
        act("takes long", move |_: &mut Ada, _| {
            clock.advance(ms(20));
            assert_eq!(report::stuck(&remote), [] as [String; 0], "exactly its limit");
            clock.advance(ms(1));
            assert_eq!(report::stuck(&remote), ["ada/jazz on host-0 for 21ms"]);
            let seen = remote.post().registry.hosts()[0].running.seen(clock.now()).unwrap();
            assert_eq!(
                seen,
                Seen { kind: 0, key: "jazz".into(), since: crate::actor::moment::Moment::default(), is_stuck: true }
            );
        }),
    );
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
    assert_eq!(report::stuck(&house.remote), [] as [String; 0], "it is over");
    assert_eq!(house.figures::<ADA>(0).slow.get(), 1);
    assert_eq!(house.figures::<ADA>(0).handling.snapshot().max, 21_000_000);
    let running = &house.remote.post().registry.hosts()[0].running;
    assert_eq!(running.seen(house.now()), None);
}

#[test]
fn who_has_put_something_off_is_seen_while_that_is_done() {
    let mut house = House::of(1, calm());
    house.play("b", say::<BOB>("before"));
    let (remote, clock) = (house.remote.clone(), house.clock.clone());
    house.tell("b", say::<BOB>("before in the same turn"));
    house.tell(
        "a",
        act("puts off", |_: &mut Ada, cx| {
            cx.later(move |_| {
                clock.advance(ms(1500));
                note(report::stuck(&remote).join(", "));
            });
        }),
    );
    house.settle();
    assert_eq!(diary().last().unwrap(), "ada/a on host-0 for 1.5s");
}

#[test]
fn a_handler_that_takes_exactly_its_limit_is_not_slow() {
    let mut house = House::each(1, [KindSettings { handling_limit: ms(20), ..calm() }, calm(), calm()]);
    let clock = house.clock.clone();
    house.play("a", act("takes its time", move |_: &mut Ada, _| clock.advance(ms(20))));
    assert_eq!(house.figures::<ADA>(0).slow.get(), 0);
}

#[test]
fn a_caller_is_seen_again_after_its_call() {
    let mut house = House::of(1, KindSettings { handling_limit: ms(20), ..calm() });
    let bob = house.spawn::<BOB>("b");
    let (remote, clock) = (house.remote.clone(), house.clock.clone());
    house.play(
        "a",
        act("calls", move |_: &mut Ada, cx| {
            clock.advance(ms(30));
            let (inner, seen) = (clock.clone(), remote.clone());
            cx.call::<Bob, _>(bob, move |_, _| {
                inner.advance(ms(25));
                assert_eq!(report::stuck(&seen), ["bob/b on host-0 for 55ms"], "since the message began");
            })
            .unwrap();
            assert_eq!(report::stuck(&remote), ["ada/a on host-0 for 55ms"]);
        }),
    );
    assert_eq!((house.figures::<ADA>(0).panics.get(), house.figures::<BOB>(0).panics.get()), (0, 0));
}

#[test]
fn a_kind_is_told_of_by_its_own_name_in_whichever_order_kinds_were_added() {
    let place = |registry: &mut Registry| {
        registry.place::<Ada>([0]).place::<Bob>([0]);
    };
    let mut house = House::new(1, place, |system, _| {
        // One that is placed nowhere, and the others the other way round.
        system.add::<Cyd>(calm()).add::<Bob>(calm()).add::<Ada>(KindSettings { handling_limit: ms(1), ..calm() });
    });
    let (remote, clock) = (house.remote.clone(), house.clock.clone());
    house.play(
        "a",
        act("takes long", move |_: &mut Ada, _| {
            clock.advance(ms(5));
            assert_eq!(report::stuck(&remote), ["ada/a on host-0 for 5ms"]);
        }),
    );
    assert_eq!(house.figures::<ADA>(0).panics.get(), 0);
    let (remote, clock) = (house.remote.clone(), house.clock.clone());
    life::spawn::<Cyd>(house.host(), k("c"), Puppet::new("c")).unwrap();
    house
        .call::<CYD, _>("c", move |_, _| {
            clock.advance(ms(2000));
            assert_eq!(report::stuck(&remote), ["?/c on host-0 for 2s"]);
        })
        .unwrap();
    let report = report(&mut house);
    assert_eq!(report["hosts"][0]["kinds"][0]["kind"], "ada");
    assert_eq!(report["hosts"][0]["kinds"][0]["processed"], 1);
}

#[test]
fn one_without_a_key_is_told_of_by_its_id() {
    let mut house = House::of(1, calm());
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("x"));
    let (remote, clock, id) = (house.remote.clone(), house.clock.clone(), handle.id());
    handling::call::<Ada, _>(house.host(), id, move |_, _| {
        clock.advance(ms(5000));
        assert_eq!(report::stuck(&remote), [format!("ada/#{id} on host-0 for 5s")]);
    })
    .unwrap();
    house.remote.tell_id::<Ada>(id, say("waits")).unwrap();
    house.take_in(0, usize::MAX);
    let world = house.host();
    let told = report::of_host(world);
    assert_eq!(told["deepest"][0]["actor"], format!("ada/#{id}"));
    drop(handle);
    house.settle();
}

#[test]
fn the_tree_is_told_with_its_strategies_states_and_restarts() {
    let own = Intensity { restarts: 9, within: ms(700) };
    let mut house = House::each(1, [calm(), calm(), KindSettings { intensity: own, ..calm() }]);
    nobody::<ADA>();
    let sure = BackOff { first: ms(10), jitter: 0.0, ..BackOff::default() };
    let below = SupervisorPlan::new("below", Strategy::RestForOne)
        .intensity(Intensity { restarts: 7, within: ms(1500) })
        .back_off(sure)
        .actor::<Ada>(k("a"), Restart::Transient, StopLimit::default(), |_| Ok(Puppet::new("a")))
        .actor::<Bob>(k("b"), Restart::Temporary, StopLimit::default(), |_| Ok(Puppet::new("b")));
    let plan = SupervisorPlan::new("root", Strategy::OneForAll)
        .supervisor(below, Restart::Permanent)
        .many::<Cyd>(StopLimit::default());
    assert_eq!(report(&mut house)["hosts"][0]["tree"], Value::Null);
    tree::start(house.host(), plan);
    house.play("c", fail::<CYD>("fails"));
    house.play("a", fail::<ADA>("fails"));
    let branch = |state: &str, restarts: u64, a: &str| {
        json!({
            "supervisor": "below", "strategy": "rest_for_one", "intensity": { "restarts": 7, "within_ms": 1500 },
            "restarts": restarts, "state": state, "restart": "permanent",
            "children": [
                { "actor": "ada/a", "restart": "transient", "state": a, "restarts": 1 },
                { "actor": "bob/b", "restart": "temporary", "state": "down", "restarts": 0 },
            ],
        })
    };
    let root = |state: &str, branch: Value, many: &str| {
        json!({
            "supervisor": "root", "strategy": "one_for_all", "intensity": { "restarts": 3, "within_ms": 5000 },
            "restarts": 0, "state": state,
            "children": [branch, {
                "many": "cyd", "state": many, "intensity": { "restarts": 9, "within_ms": 700 }, "count": 1, "restarts": 1,
            }],
        })
    };
    let told = report(&mut house)["hosts"][0]["tree"].clone();
    assert_eq!(told, root("running", branch("running", 1, "running"), "running"));
    house.play("a", fail::<ADA>("fails"));
    let told = report(&mut house)["hosts"][0]["tree"].clone();
    assert_eq!(told, root("running", branch("running", 2, "waiting"), "running"));
    hook::<CYD>(|hooks| hooks.ending = Rc::new(|_, _| Farewell::Later));
    tree::stop(house.host());
    let told = report(&mut house)["hosts"][0]["tree"].clone();
    assert_eq!(told["children"][1]["state"], "stopping");
    house.leap(5000);
    let told = report(&mut house)["hosts"][0]["tree"].clone();
    assert_eq!(
        (&told["state"], &told["children"][0]["state"], &told["children"][1]["state"]),
        (&json!("down"), &json!("down"), &json!("down"))
    );
    assert_eq!(told["children"][1]["count"], 0);
    house.host().core().tell_time();
}

#[test]
fn states_have_names() {
    use crate::actor::table::Phase;
    let names = [
        (Phase::New, "new"),
        (Phase::Loading, "loading"),
        (Phase::Running, "running"),
        (Phase::BackingOff, "backing_off"),
        (Phase::Ending { retires: true }, "retiring"),
        (Phase::Ending { retires: false }, "ending"),
        (Phase::Down, "down"),
    ];
    for (phase, name) in names {
        assert_eq!(phase.as_str(), name);
    }
}
