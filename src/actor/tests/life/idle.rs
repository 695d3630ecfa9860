//! Retirement: the idle are collected, the busy are not, and no message is lost by it.

use super::*;

fn aged(ms: u64) -> KindSettings {
    KindSettings { idle_time: Some(Duration::from_millis(ms)), ..calm() }
}

#[test]
fn idle_actors_are_collected_and_busy_ones_are_not_each_kind_by_its_age() {
    let mut house = House::each(1, [aged(1000), aged(3000), calm()]);
    note_life::<ADA>();
    note_life::<BOB>();
    for key in ["idle", "busy"] {
        house.tell(key, say::<ADA>("hello"));
    }
    house.tell("b", say::<BOB>("hello"));
    house.play("c", say::<CYD>("hello"));
    diary();
    for _ in 0..4 {
        house.pass(500);
        house.play("busy", say::<ADA>("hello"));
    }
    let told: Vec<_> = diary().into_iter().filter(|line| !line.contains("hello")).collect();
    assert_eq!(told, ["idle ending", "idle dropped"]);
    house.pass(900);
    assert!(diary().is_empty());
    house.pass(300);
    assert_eq!(diary(), ["busy ending", "busy dropped", "b ending", "b dropped"]);
    house.pass(100_000);
    assert!(house.find::<CYD>("c").is_some());
    assert_eq!(house.figures::<ADA>(0).retirements.get(), 2);
    assert_eq!(house.figures::<BOB>(0).retirements.get(), 1);
    assert_eq!(house.figures::<ADA>(0).actors.get(), 0);
}

#[test]
fn an_actor_retires_soon_after_its_idle_time_and_not_before() {
    let mut house = House::of(1, aged(1000));
    house.play("a", say::<ADA>("hello"));
    house.pass(999);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
    house.pass(101);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_actor_retires_when_it_is_looked_at_just_as_its_idle_time_is_over() {
    let mut house = House::of(1, aged(200));
    house.spawn::<ADA>("a");
    house.pass(199);
    assert!(house.find::<ADA>("a").is_some());
    house.pass(1);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_actor_that_rests_or_ends_is_not_retired_for_being_idle() {
    let rest = BackOff { first: ms(500), jitter: 0.0, ..BackOff::default() };
    let settings = KindSettings { recovery: Recovery::InPlace, back_off: rest, stop_deadline: ms(500), ..aged(100) };
    let mut house = House::of(1, settings);
    note_life::<ADA>();
    linger::<ADA>();
    for _ in 0..2 {
        house.play("a", fail::<ADA>("fails"));
    }
    house.pass(499);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
    house.pass(1);
    house.play("a", end::<ADA>());
    house.pass(499);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: false }));
    let told = diary();
    assert_eq!(told[told.len() - 3..], ["a recovered", "a: end", "a ending"]);
}

#[test]
fn one_that_was_busy_while_it_was_noted_as_idle_is_looked_at_again() {
    let mut house = House::of(1, aged(1000));
    house.play("a", say::<ADA>("hello"));
    house.pass(900);
    house.play("a", say::<ADA>("hello"));
    house.pass(900);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
    house.pass(300);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_actor_that_was_never_told_anything_retires_too() {
    let mut house = House::of(1, aged(1000));
    house.spawn::<ADA>("a");
    house.pass(1100);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn a_message_that_comes_just_as_the_idle_time_is_over_is_handled() {
    let mut house = House::of(1, aged(1000));
    note_life::<ADA>();
    house.play("a", say::<ADA>("one"));
    for _ in 0..3 {
        diary();
        // It is there when the table is swept.
        house.tell("a", say::<ADA>("two"));
        house.clock.advance(ms(1000));
        house.settle();
        assert_eq!(diary(), ["a: two"]);
    }
    house.pass(1100);
    assert_eq!(diary(), ["a ending", "a dropped"]);
}

#[test]
fn an_actor_that_rests_with_messages_waiting_is_not_idle() {
    let settings = KindSettings { mailbox: 1, overflow: crate::actor::mailbox::Overflow::BackPressure, ..calm() };
    let mut house = House::each(1, [aged(100), settings, calm()]);
    let done = hold::<BOB>();
    house.tell("a", tell::<ADA, BOB>("b", ["1", "2"]));
    house.tell("a", say::<ADA>("waits"));
    house.pass(1000);
    assert_eq!(diary(), ["a: tells 1, 2"]);
    done.send(()).unwrap();
    house.settle();
    assert!(diary().contains(&"a: waits".to_owned()));
    house.pass(200);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_idle_time_of_nothing_retires_at_once() {
    let mut house = House::of(1, aged(0));
    house.play("a", say::<ADA>("hello"));
    house.pass(100);
    assert_eq!((diary().len(), house.find::<ADA>("a")), (1, None));
    hook::<ADA>(|hooks| hooks.may_retire = Rc::new(|_| false));
    house.play("a", say::<ADA>("hello"));
    house.pass(300);
    assert!(house.find::<ADA>("a").is_some());
}

#[test]
fn an_actor_that_may_not_go_is_asked_again_after_another_idle_time() {
    let mut house = House::of(1, aged(1000));
    let may: Rc<Cell<bool>> = Rc::default();
    let (asked, answer) = (Rc::new(Cell::new(0)), may.clone());
    let count = asked.clone();
    hook::<ADA>(|hooks| {
        hooks.may_retire = Rc::new(move |_| {
            count.set(count.get() + 1);
            answer.get()
        });
    });
    house.play("a", say::<ADA>("hello"));
    house.pass(3400);
    assert_eq!(asked.get(), 3);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Running));
    may.set(true);
    house.pass(1000);
    assert_eq!((asked.get(), house.find::<ADA>("a")), (4, None));
}

#[test]
fn one_that_panics_when_it_is_asked_whether_it_may_go_goes() {
    let mut house = House::of(1, aged(1000));
    hook::<ADA>(|hooks| hooks.may_retire = Rc::new(|_| panic!("as told")));
    house.play("a", say::<ADA>("hello"));
    house.pass(1200);
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_actor_is_not_made_to_retire_while_messages_wait_for_it() {
    let mut house = House::of(1, calm());
    let id = house.spawn::<ADA>("a");
    house.tell("a", say::<ADA>("one"));
    house.take_in(0, usize::MAX);
    assert!(!life::retire::<Ada>(house.host(), id));
    house.settle();
    assert_eq!(diary(), ["a: one"]);
    house.tell("a", act("retires", |_: &mut Ada, cx| cx.retire()));
    house.tell("a", say::<ADA>("two"));
    house.settle();
    assert_eq!(diary(), ["a: retires", "a: two"]);
    assert_eq!(house.find::<ADA>("a"), Some(id), "the wish came while another message waited");
    assert!(life::retire::<Ada>(house.host(), id));
    assert!(!life::retire::<Ada>(house.host(), id), "once");
    assert_eq!(house.find::<ADA>("a"), None);
}

#[test]
fn an_actor_is_not_made_to_retire_while_it_is_at_something_else() {
    let mut house = House::of(1, KindSettings { recovery: Recovery::InPlace, ..calm() });
    linger::<ADA>();
    let in_the_middle = |_: &mut Ada, cx: &mut Context<'_, Ada>| {
        let id = cx.id();
        assert!(!life::retire::<Ada>(cx.world, id));
        note("goes on");
    };
    house.play("a", act("go", in_the_middle));
    let id = house.find::<ADA>("a").unwrap();
    for _ in 0..2 {
        house.play("a", fail::<ADA>("fails"));
    }
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
    assert!(!life::retire::<Ada>(house.host(), id));
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::BackingOff));
    house.pass(1000);
    house.play("a", end::<ADA>());
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: false }));
    assert!(!life::retire::<Ada>(house.host(), id));
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: false }));
    assert_eq!(diary(), ["a: go", "goes on", "a: fails", "a: fails", "a: end", "a ending"]);
}

#[test]
fn an_actor_retires_by_its_own_wish_and_by_anothers_from_outside() {
    let mut house = House::of(2, calm());
    let a = house.key_on(1, "a");
    house.play(&a, act("retires", |_: &mut Ada, cx| cx.retire()));
    assert_eq!((house.find::<ADA>(&a), house.figures::<ADA>(1).retirements.get()), (None, 1));
    let remote = house.remote.clone();
    assert!(!house.run(remote.retire::<Ada>(a.clone())));
    house.play(&a, say::<ADA>("again"));
    assert!(house.run(remote.retire::<Ada>(a.clone())));
    assert_eq!((house.find::<ADA>(&a), house.figures::<ADA>(1).retirements.get()), (None, 2));
}

#[test]
fn what_comes_while_an_actor_retires_is_kept_for_its_next_activation_in_order() {
    let mut house = House::of(1, aged(1000));
    linger::<ADA>();
    let first = house.spawn::<ADA>("a");
    house.pass(1100);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: true }));
    let asked: Vec<_> = ["one", "two"].map(|text| house.ask("a", say::<ADA>(text))).into();
    house.pass(10);
    control(&mut house, "a", say::<ADA>("control"));
    assert_eq!(diary(), ["a ending", "a: control"], "it is given control messages");
    assert_eq!(house.figures::<ADA>(0).pending.get(), 2);
    hook::<ADA>(|hooks| hooks.started = Rc::new(|me, _| note(format!("{} started", me.name))));
    control(&mut house, "a", end::<ADA>());
    assert_eq!(diary(), ["a: end", "a started", "a: one", "a: two"]);
    for (asked, text) in asked.iter().zip(["one", "two"]) {
        assert_eq!(asked.answer(), Some(Ok(text.into())));
    }
    let next = house.find::<ADA>("a").unwrap();
    assert_ne!(next, first);
    assert_eq!(house.figures::<ADA>(0).retirements.get(), 1);
}

#[test]
fn an_actor_that_takes_too_long_to_end_is_ended_and_loses_no_message() {
    let mut house = House::each(1, [KindSettings { stop_deadline: ms(50), ..aged(1000) }, calm(), calm()]);
    linger::<ADA>();
    hook::<ADA>(|hooks| hooks.lost = Rc::new(|_, key, cause| note(format!("{key} lost: {cause}"))));
    house.spawn::<ADA>("a");
    let ended = house.spawn::<ADA>("a2");
    house.play(
        "b",
        act("watch", move |_: &mut Bob, cx| drop(cx.watch(ended, |ended: Ended| say(format!("{}", ended.cause))))),
    );
    while house.phase::<ADA>("a") == Some(Phase::Running) {
        house.pass(1);
    }
    diary();
    let asked = house.ask("a", say::<ADA>("kept"));
    house.pass(49);
    assert_eq!(house.phase::<ADA>("a"), Some(Phase::Ending { retires: true }));
    house.pass(2);
    assert_eq!(asked.answer(), Some(Ok("kept".into())));
    let forced = "it did not end in time and was ended";
    let expected =
        [format!("a lost: {forced}"), format!("a2 lost: {forced}"), "a: kept".into(), format!("b: {forced}")];
    let mut told = diary();
    told.sort();
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(house.figures::<ADA>(0).retirements.get(), 0);
}

#[test]
fn the_idle_time_begins_anew_with_the_next_activation() {
    let mut house = House::of(1, aged(1000));
    house.play("a", say::<ADA>("hello"));
    house.pass(1100);
    house.play("a", say::<ADA>("hello"));
    house.pass(950);
    assert!(house.find::<ADA>("a").is_some());
    house.pass(200);
    assert_eq!(house.find::<ADA>("a"), None);
    assert_eq!(house.figures::<ADA>(0).activations.get(), 2);
}

#[test]
fn many_idle_actors_leave_no_memory_behind() {
    let mut house = House::of(1, aged(100));
    for n in 0..1000 {
        house.tell(&format!("a{n}"), say::<ADA>("hello"));
    }
    house.settle();
    assert_eq!(house.table::<ADA>(0).len(), 1000);
    house.pass(300);
    let table = house.table::<ADA>(0);
    assert_eq!((table.len(), table.cells.capacity(), table.keys.capacity(), table.idle.capacity()), (0, 0, 0, 0));
}

#[test]
fn one_that_stays_gives_back_what_a_rush_has_left_in_its_mailbox() {
    let mut house = House::of(1, aged(100));
    for n in 0..100 {
        house.tell("a", say::<ADA>(format!("{n}")));
    }
    house.settle();
    let id = house.find::<ADA>("a").unwrap();
    let memory = |house: &mut House| format!("{:?}", house.table::<ADA>(0).cell(id).unwrap().mailbox);
    assert_eq!(memory(&mut house), "Mailbox(None)");
}

#[test]
fn actors_without_a_key_do_not_retire_as_idle() {
    let mut house = House::of(1, aged(100));
    let handle = life::spawn_anonymous::<Ada>(house.host(), Puppet::new("anonymous"));
    let member = crate::actor::pool::grow::<Bob>(house.host(), Puppet::new("member"));
    house.play("c", act("tells", move |_: &mut Cyd, cx| cx.tell_id::<Bob>(member, say("hello")).unwrap()));
    house.pass(1000);
    assert!(house.table::<ADA>(0).get(handle.id()).is_some());
    assert!(house.table::<BOB>(0).get(member).is_some());
    drop(handle);
    house.settle();
    assert!(house.table::<ADA>(0).is_empty());
}
