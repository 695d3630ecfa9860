//! How children begin, and what becomes of a tree whose children do not.

use super::*;

#[test]
fn children_begin_left_to_right_also_those_of_supervisors_below() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    let below = child::<BOB>(plan("below", Strategy::OneForOne), "b", Restart::Permanent);
    let plan = child::<ADA>(plan("root", Strategy::OneForOne), "a", Restart::Permanent);
    let plan = child::<CYD>(plan.supervisor(below, Restart::Permanent), "c", Restart::Permanent);
    start(&mut house, plan);
    assert_eq!(diary(), ["a started", "b started", "c started"]);
    assert_eq!(outcome(&mut house), None);
    house.play("b", say::<BOB>("hello"));
    assert_eq!(diary(), ["b: hello"]);
}

#[test]
fn a_child_takes_over_what_waits_for_its_key() {
    let mut house = house(Recovery::Fresh);
    let asked = house.ask("a", say::<ADA>("early"));
    house.take_in(0, usize::MAX);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    assert_eq!(asked.answer(), Some(Ok("early".into())));
}

#[test]
fn a_child_that_is_there_already_and_nobodys_is_taken_on() {
    let mut house = house(Recovery::Fresh);
    let id = life::spawn::<Ada>(house.host(), k("a"), Puppet::new("before")).unwrap();
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    assert_eq!((house.find::<ADA>("a"), outcome(&mut house)), (Some(id), None));
    house.play("a", fail::<ADA>("fails"));
    house.play("a", say::<ADA>("supervised"));
    assert_eq!(diary(), ["before: fails", "a: supervised"]);
}

#[test]
fn a_child_that_is_being_loaded_can_not_be_started() {
    let mut house = house(Recovery::Fresh);
    let done = hold::<BOB>();
    house.play("b", say::<BOB>("loads"));
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    let cause = "1 did not start: there is one already, and it is loading";
    assert_eq!(outcome(&mut house), Some(Ended::Failed(cause.into())));
    assert_eq!(running(&mut house), [false, false, false]);
    done.send(()).unwrap();
    house.settle();
    assert_eq!(diary(), ["b: loads"]);
}

#[test]
fn one_key_is_no_two_children() {
    let mut house = house(Recovery::Fresh);
    let plan = child::<ADA>(three(Strategy::OneForOne, Restart::Permanent), "a", Restart::Permanent);
    start(&mut house, plan);
    let cause = "3 did not start: there is one already, and it is running";
    assert_eq!(outcome(&mut house), Some(Ended::Failed(cause.into())));
    assert_eq!(running(&mut house), [false, false, false]);
}

#[test]
fn a_key_that_waits_for_its_supervisor_is_no_other_child() {
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent).back_off(SURE));
    for _ in 0..2 {
        house.play("a", fail::<ADA>("fails"));
    }
    house.play("a", say::<ADA>("kept"));
    let mut another = OfKind::<Ada, _> { key: k("a"), make: |_: &mut System| Ok(Puppet::new("another")) };
    assert_eq!(another.start(house.host(), 1), Err("there is one already, and it is down".into()));
    house.pass(10);
    assert_eq!(diary(), ["a: fails", "a: fails", "a: kept"]);
    assert_eq!(running(&mut house), [true; 3]);
}

#[test]
fn one_that_has_taken_the_place_of_a_child_that_waits_runs_and_is_taken_on_in_time() {
    let mut house = house(Recovery::Fresh);
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent).back_off(SURE));
    house.play("a", end::<ADA>());
    let id = house.find::<ADA>("a").unwrap();
    let takes_its_place = |world: &mut System| drop(life::spawn::<Ada>(world, k("a"), Puppet::new("another")));
    life::stop::<Ada>(house.host(), id, Some(Box::new(takes_its_place)));
    house.play("a", say::<ADA>("one"));
    assert_eq!(diary(), ["a: end", "another: one"]);
    house.pass(10);
    house.play("a", say::<ADA>("two"));
    house.play("a", fail::<ADA>("fails"));
    house.pass(20);
    house.play("a", say::<ADA>("three"));
    assert_eq!(diary(), ["another: two", "another: fails", "a: three"]);
    assert_eq!(running(&mut house), [true; 3]);
}

/// Has the tree begin with a `b` that can not, and says how it ended.
fn founded_with(
    b: impl FnMut(&mut System) -> Result<Bob, String> + 'static,
    hooks: impl FnOnce(&mut Hooks<BOB>),
) -> (House, Vec<String>) {
    let mut house = house(Recovery::Fresh);
    note_lives();
    hook::<BOB>(hooks);
    let plan = child::<ADA>(plan("root", Strategy::OneForOne), "a", Restart::Permanent);
    let plan = plan.actor::<Bob>(k("b"), Restart::Permanent, StopLimit::default(), b);
    start(&mut house, child::<CYD>(plan, "c", Restart::Permanent));
    let told = diary();
    assert_eq!(running(&mut house), [false, false, false]);
    assert!(house.table::<ADA>(0).is_empty() && house.table::<BOB>(0).is_empty());
    (house, told)
}

#[test]
fn where_a_first_child_can_not_be_made_the_others_are_stopped_and_the_tree_has_failed() {
    let (mut house, told) = founded_with(|_| Err("no key".into()), |_| {});
    assert_eq!(told, ["a started", "a ending", "a dropped"]);
    assert_eq!(outcome(&mut house), Some(Ended::Failed("1 did not start: no key".into())));
}

#[test]
fn where_the_making_of_a_first_child_panics_the_tree_has_failed() {
    let (mut house, told) = founded_with(|_| panic!("as told"), |_| {});
    assert_eq!(told, ["a started", "a ending", "a dropped"]);
    assert_eq!(outcome(&mut house), Some(Ended::Failed("1 did not start: as told".into())));
}

#[test]
fn where_a_first_child_fails_as_it_begins_the_tree_has_failed() {
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let _ = recovery;
        let (mut house, told) =
            founded_with(|_| Ok(Puppet::new("b")), |hooks| hooks.started = Rc::new(|_, _| panic!("as told")));
        assert_eq!(told, ["a started", "b dropped", "b lost: it failed: as told", "a ending", "a dropped"]);
        assert_eq!(outcome(&mut house), Some(Ended::Failed("1 did not start: as told".into())));
        assert_eq!(house.figures::<BOB>(0).panics.get(), 1, "once");
        let asked = house.ask("b", say::<BOB>("asked"));
        house.settle();
        assert_eq!(asked.answer(), Some(Err(AskError::Stopped)));
    }
}

#[test]
fn a_permanent_child_that_ends_as_it_begins_is_started_again_until_that_is_too_often() {
    let (mut house, told) = founded_with(|_| Ok(Puppet::new("b")), |hooks| hooks.started = Rc::new(|_, cx| cx.end()));
    assert_eq!(told.iter().filter(|line| *line == "b ending").count(), 4, "three restarts are allowed: {told:?}");
    let Some(Ended::Failed(cause)) = outcome(&mut house) else { panic!("it has not failed") };
    assert!(cause.starts_with("more than 3 restarts within 5s: 1 ended normally"), "{cause}");
}

#[test]
fn a_transient_child_that_ends_as_it_begins_has_done_its_work() {
    let mut house = house(Recovery::Fresh);
    note_lives();
    hook::<BOB>(|hooks| hooks.started = Rc::new(|_, cx| cx.end()));
    start(&mut house, three(Strategy::OneForOne, Restart::Transient));
    assert_eq!(diary(), ["a started", "b ending", "b dropped", "c started"]);
    assert_eq!((running(&mut house), outcome(&mut house)), ([true, false, true], None));
}

#[test]
fn the_world_is_given_to_who_makes_a_child() {
    let mut house = house(Recovery::Fresh);
    let plan =
        plan("root", Strategy::OneForOne).actor::<Ada>(k("a"), Restart::Permanent, StopLimit::default(), |world| {
            Ok(Puppet::new(format!("of host {}", world.core().host())))
        });
    start(&mut house, plan);
    house.play("a", say::<ADA>("hello"));
    assert_eq!(diary(), ["of host 0: hello"]);
}

#[test]
fn a_supervisor_without_children_is_one() {
    let mut house = house(Recovery::Fresh);
    let empty = plan("empty", Strategy::OneForAll);
    start(
        &mut house,
        child::<ADA>(plan("root", Strategy::OneForOne).supervisor(empty, Restart::Permanent), "a", Restart::Permanent),
    );
    assert_eq!((house.phase::<ADA>("a"), outcome(&mut house)), (Some(Phase::Running), None));
    tree::stop(house.host());
    house.settle();
    assert_eq!(outcome(&mut house), Some(Ended::Shutdown));
}

#[test]
fn a_supervised_actor_does_not_retire_as_idle() {
    let mut house = House::of(1, KindSettings { idle_time: Some(ms(100)), ..calm() });
    start(&mut house, three(Strategy::OneForOne, Restart::Permanent));
    let ids = [house.find::<ADA>("a"), house.find::<BOB>("b"), house.find::<CYD>("c")];
    house.pass(1000);
    assert_eq!([house.find::<ADA>("a"), house.find::<BOB>("b"), house.find::<CYD>("c")], ids);
    assert!(ids.iter().all(Option::is_some));
    assert_eq!(house.figures::<ADA>(0).restarts.get(), 0);
}
