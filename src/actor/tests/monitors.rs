//! Watching: exactly one notice, whenever the watch is set and wherever the watched one lives.

use std::rc::Rc;

use super::kit::*;
use crate::actor::{
    actor::{Activation, Farewell, KindSettings, Recovery},
    context::SendOptions,
    envelope::ActorId,
    life,
    monitor::{Cause, Ended, WatchId},
    supervision::{BackOff, Intensity},
    table::Phase,
    world::World as _,
};

/// A house, with a watcher on the first host and a watched one beside it or on the other.
fn pair(is_apart: bool, settings: KindSettings) -> (House, String, String, ActorId) {
    let mut house = House::each(2, [calm(), settings, calm()]);
    let (a, b) = (house.key_on(0, "a"), house.key_on(usize::from(is_apart), "b"));
    let id = house.spawn::<BOB>(&b);
    (house, a, b, id)
}

fn watch(target: ActorId) -> Line<ADA> {
    act("watch", move |_: &mut Ada, cx| drop(cx.watch(target, notice)))
}

fn notice(ended: Ended) -> Line<ADA> {
    say(format!("{:?}: {}", ended.actor.map(|id| id.slot), ended.cause))
}

/// What the watcher has written since.
fn told(name: &str) -> Vec<String> {
    let prefix = format!("{name}: ");
    let lines = diary().into_iter().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
    lines.filter(|line| line.starts_with("Some") || line.starts_with("None")).collect()
}

#[test]
fn exactly_one_notice_comes_of_an_end_with_its_cause() {
    type Ending = fn(&mut House, &str, ActorId);
    let ends: [(Ending, &str); 6] = [
        (|house, b, _| house.play(b, end::<BOB>()), "it stopped"),
        (|house, b, _| house.play(b, act::<BOB>("retire", |_, cx| cx.retire())), "it retired"),
        (
            |house, b, _| {
                let remote = house.remote.clone();
                assert!(house.run(remote.stop::<Bob>(b.to_owned())));
            },
            "it stopped",
        ),
        (
            |house, b, _| {
                for _ in 0..2 {
                    house.tell(b, fail::<BOB>("fails"));
                }
            },
            "it failed: as told",
        ),
        (
            |house, b, _| {
                hook::<BOB>(|hooks| hooks.ending = Rc::new(|_, _| Farewell::Later));
                house.play(b, end::<BOB>());
                house.leap(5000);
            },
            "it did not end in time and was ended",
        ),
        (|house, _, id| life::depart::<Bob>(house.at(usize::from(id.host)), id), "it stopped"),
    ];
    let settings = KindSettings { intensity: Intensity { restarts: 1, within: ms(1000) }, ..calm() };
    for is_apart in [false, true] {
        for (ending, cause) in ends {
            let (mut house, a, b, id) = pair(is_apart, settings);
            house.play(&a, watch(id));
            ending(&mut house, &b, id);
            house.settle();
            assert_eq!(told(&a), [format!("Some({}): {cause}", id.slot)], "apart: {is_apart}");
            house.play(&b, say::<BOB>("again"));
            house.play(&b, end::<BOB>());
            house.leap(10_000);
            assert_eq!(told(&a), [] as [String; 0]);
            assert_eq!(house.hosts[0].core().watches.len(), 0);
            let ada = house.find::<ADA>(&a).unwrap();
            assert!(house.table::<ADA>(0).cell_mut(ada).unwrap().extras().watching.is_empty());
        }
    }
}

#[test]
fn a_watch_on_one_that_is_already_dead_gives_one_notice() {
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        house.play(&b, end::<BOB>());
        house.play(&a, watch(id));
        assert_eq!(told(&a), [format!("Some({}): there is no such actor", id.slot)]);
        house.play(&b, say::<BOB>("another under its key"));
        house.play(&a, watch(id));
        assert_eq!(told(&a), [format!("Some({}): there is no such actor", id.slot)]);
        house.play(&b, end::<BOB>());
        assert_eq!(told(&a), [] as [String; 0]);
    }
}

#[test]
fn a_watch_on_a_kind_that_does_not_exist_gives_one_notice() {
    for host in [0, 1] {
        let (mut house, a, _, id) = pair(false, calm());
        house.play(&a, watch(ActorId { kind: 77, host, ..id }));
        assert_eq!(told(&a).len(), 1);
        assert_eq!(house.hosts[0].core().watches.len(), 0);
    }
}

#[test]
fn a_restart_gives_no_notice() {
    for recovery in [Recovery::InPlace, Recovery::Fresh] {
        for is_apart in [false, true] {
            let settings = KindSettings { recovery, back_off: BackOff::NONE, ..calm() };
            let (mut house, a, b, id) = pair(is_apart, settings);
            house.play(&a, watch(id));
            for _ in 0..3 {
                house.play(&b, fail::<BOB>("fails"));
            }
            assert_eq!(told(&a), [] as [String; 0]);
            house.play(&b, end::<BOB>());
            assert_eq!(told(&a), [format!("Some({}): it stopped", id.slot)], "and the watch holds");
        }
    }
}

#[test]
fn after_it_is_given_up_a_watch_gives_no_notice() {
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        house.play(
            &a,
            act("watch", move |_: &mut Ada, cx| {
                let watch = cx.watch(id, notice);
                cx.tell_self(act("unwatch", move |_: &mut Ada, cx| cx.unwatch(watch))).unwrap();
            }),
        );
        assert_eq!(house.hosts[0].core().watches.len(), 0);
        house.play(&b, end::<BOB>());
        assert_eq!(told(&a), [] as [String; 0]);
        let watchers = |house: &mut House, id: ActorId| {
            let cell = house.table::<BOB>(usize::from(id.host)).cell_mut(id)?;
            Some(cell.extras().watchers.len())
        };
        let again = house.spawn::<BOB>(&b);
        house.play(&a, watch(again));
        assert_eq!(watchers(&mut house, again), Some(1));
        house.play(&a, end::<ADA>());
        assert_eq!(watchers(&mut house, again), Some(0), "nor after the watcher has ended");
        house.play(&b, end::<BOB>());
    }
}

#[test]
fn a_watch_that_is_given_up_between_the_end_and_its_notice_gives_none() {
    // The notice waits behind the message that gives the watch up.
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        house.play(
            &a,
            act("watch", move |me: &mut Ada, cx| {
                let watch: WatchId = cx.watch(id, notice);
                assert_ne!(cx.watch(id, notice), watch);
                me.count = 0;
                HELD.with_borrow_mut(|held| *held = Some(act("unwatch", move |_: &mut Ada, cx| cx.unwatch(watch))));
            }),
        );
        let line = HELD.take().unwrap();
        house.tell(&a, line);
        house.take_in(0, usize::MAX);
        let ada = house.find::<ADA>(&a).unwrap();
        // Held back, it has the notices come behind.
        house.table::<ADA>(0).cell_mut(ada).unwrap().phase = Phase::Down;
        house.play(&b, end::<BOB>());
        assert_eq!(house.table::<ADA>(0).depth(ada), Some(3));
        house.table::<ADA>(0).cell_mut(ada).unwrap().phase = Phase::Running;
        crate::actor::sending::enqueue::<Ada>(house.host(), ada.slot);
        house.settle();
        assert_eq!(told(&a), [format!("Some({}): it stopped", id.slot)], "of the other watch");
    }
}

thread_local!(static HELD: std::cell::RefCell<Option<Line<ADA>>> = const { std::cell::RefCell::new(None) });

#[test]
fn a_notice_that_was_put_aside_is_dropped_with_its_watch() {
    let (mut house, a, b, id) = pair(false, calm());
    house.play(
        &a,
        act("watch", move |_: &mut Ada, cx| {
            let watch = cx.watch(id, |ended| act("aside", move |_: &mut Ada, cx| cx.stash(notice(ended))));
            cx.schedule(
                ms(5),
                act("unwatch", move |_: &mut Ada, cx| {
                    cx.unwatch(watch);
                    cx.unstash_all();
                }),
            );
        }),
    );
    house.play(&b, end::<BOB>());
    house.pass(10);
    let lines: Vec<_> = diary().into_iter().filter(|line| line.starts_with(&a)).collect();
    assert_eq!(lines, ["watch", "aside", "unwatch"].map(|line| format!("{a}: {line}")));
}

#[test]
fn each_watch_gives_its_own_notice() {
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        house.play(&a, watch(id));
        house.play(&a, watch(id));
        let c = house.key_on(1, "c");
        house.play(&c, act("watch", move |_: &mut Cyd, cx| drop(cx.watch(id, |_| say("noticed")))));
        house.play(&b, end::<BOB>());
        let lines = diary();
        assert_eq!(lines.iter().filter(|line| line.contains("it stopped")).count(), 2);
        assert_eq!(lines.iter().filter(|line| **line == format!("{c}: noticed")).count(), 1);
    }
}

#[test]
fn a_watcher_that_has_ended_hears_nothing_and_nor_does_the_next() {
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        house.play(&a, watch(id));
        house.play(&a, end::<ADA>());
        house.play(&a, say::<ADA>("the next"));
        house.play(&b, end::<BOB>());
        assert_eq!(told(&a), [] as [String; 0]);
        assert_eq!(house.hosts[0].core().watches.len(), 0);
    }
}

#[test]
fn a_watcher_that_goes_on_in_place_hears_of_what_it_watched() {
    let mut house = House::each(1, [KindSettings { recovery: Recovery::InPlace, ..calm() }, calm(), calm()]);
    let id = house.spawn::<BOB>("b");
    house.play("a", watch(id));
    house.play("a", fail::<ADA>("fails"));
    house.play("b", end::<BOB>());
    assert_eq!(told("a").len(), 1);
}

#[test]
fn a_fresh_value_hears_of_its_own_watches_alone() {
    for is_apart in [false, true] {
        let (mut house, a, b, id) = pair(is_apart, calm());
        hook::<ADA>(move |hooks| hooks.started = Rc::new(move |_, cx| drop(cx.watch(id, notice))));
        house.play(&a, say::<ADA>("begins"));
        house.play(&a, fail::<ADA>("fails"));
        house.play(&b, end::<BOB>());
        assert_eq!(told(&a).len(), 1);
    }
}

#[test]
fn actors_watch_each_other_and_themselves() {
    let mut house = House::of(1, calm());
    let (ada, bob) = (house.spawn::<ADA>("a"), house.spawn::<BOB>("b"));
    house.play("a", watch(bob));
    house.play("a", watch(ada));
    house.play("b", act("watch", move |_: &mut Bob, cx| drop(cx.watch(ada, |_| say("noticed")))));
    diary();
    house.play("a", end::<ADA>());
    assert_eq!(diary(), ["a: end", "b: noticed"]);
    house.play("b", end::<BOB>());
    assert_eq!(diary(), ["b: end"]);
}

#[test]
fn one_that_loads_is_watched_like_any_other() {
    let mut house = House::of(1, calm());
    let done = hold::<BOB>();
    house.play("b", say::<BOB>("hello"));
    let id = house.find::<BOB>("b").unwrap();
    house.play("a", watch(id));
    drop(done);
    hook::<BOB>(|hooks| hooks.activate = Rc::new(|_| Activation::Absent));
    house.settle();
    assert_eq!(told("a"), [format!("Some({}): there is no such actor", id.slot)]);
}

#[test]
fn causes_say_what_they_are() {
    let causes = [
        (Cause::Stopped, "it stopped"),
        (Cause::Retired, "it retired"),
        (Cause::Failed("why".into()), "it failed: why"),
        (Cause::Forced, "it did not end in time and was ended"),
        (Cause::NoSuchActor, "there is no such actor"),
    ];
    for (cause, text) in causes {
        assert_eq!(cause.to_string(), text);
    }
}

#[test]
fn a_notice_reaches_a_watcher_that_ends_as_a_control_message() {
    let (mut house, a, b, id) = pair(true, calm());
    hook::<ADA>(|hooks| hooks.ending = Rc::new(|_, _| Farewell::Later));
    house.play(&a, watch(id));
    house.play(&a, end::<ADA>());
    house.play(&b, end::<BOB>());
    assert_eq!(told(&a), [format!("Some({}): it stopped", id.slot)]);
    hook::<ADA>(|hooks| *hooks = Hooks::default());
    house.remote.tell_with::<Ada>(&a, end(), SendOptions::CONTROL).unwrap();
    house.settle();
}
