//! Children that come and go while the supervisor runs.

use super::*;
use ChildState::{Down, Running, Starting, Stopping, Waiting};
use Restart::{Temporary, Transient};
use Strategy::{OneForAll, OneForOne, RestForOne};

impl Bench {
    fn remove(&mut self, id: Id) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        assert!(self.supervisor.remove_child(&id, self.now, &mut out));
        out
    }

    fn terminate(&mut self, id: Id) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        assert!(self.supervisor.terminate_child(&id, self.now, &mut out));
        out
    }

    fn restart(&mut self, id: Id) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        assert!(self.supervisor.restart_child(&id, self.now, &mut out));
        out
    }
}

#[test]
fn a_child_that_is_added_starts_at_once_and_stands_at_the_right_end() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut bench = Bench::of_three(strategy);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.up("d"), []);
        assert_eq!(bench.states()[2..], [("c", Running), ("d", Running)]);
        assert_eq!(bench.stop(), [stop("d")]);
    }
}

#[test]
fn under_one_for_one_an_added_child_waits_for_nobody() {
    let mut bench = Bench::of_three(OneForOne);
    bench.fail("a");
    assert_eq!(bench.add(child("d")), [start("d")]);
    assert_eq!(bench.add(child("e")), [start("e")]);
}

#[test]
fn where_the_order_matters_added_children_start_one_after_the_other() {
    for strategy in [OneForAll, RestForOne] {
        let mut bench = Bench::of_three(strategy);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.add(child("e")), []);
        assert_eq!(bench.up("d"), [start("e")]);
        assert_eq!(bench.up("e"), []);
    }
}

#[test]
fn a_child_that_is_added_while_others_start_waits_for_its_turn() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b"].map(child));
    assert_eq!(bench.start(), [start("a")]);
    assert_eq!(bench.add(child("c")), []);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.refused("c"), [READY], "it did not found the supervisor, and is forgotten");
    assert_eq!(bench.states(), [("a", Running), ("b", Running)]);
}

#[test]
fn a_child_that_is_added_while_all_are_stopped_is_started_with_them() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.fail("c"), [stop("b")]);
    assert_eq!(bench.add(child("d")), []);
    bench.stopped("b");
    let effects = bench.stopped("a");
    assert_eq!(bench.obey(effects), [start("a"), start("b"), start("c"), start("d")]);
}

#[test]
fn an_added_child_that_can_not_start_is_forgotten_and_not_counted() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut bench = Bench::of_three(strategy);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.refused("d"), []);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.fail("d"), []);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.after(ms(2000)), [kill("d")]);
        assert_eq!(bench.states()[3..], [("d", Stopping)]);
        assert_eq!(bench.fail("d"), []);
        assert_eq!(bench.states().len(), 3);
        assert_eq!(bench.supervisor.restarts(), 0);
        assert_eq!(bench.add(child("d")), [start("d")]);
        assert_eq!(bench.up("d"), []);
        bench.fail("d");
        assert_eq!(bench.supervisor.restarts(), 1, "once it has started it is like any other");
        assert_eq!(bench.states()[3..].len(), 1);
    }
}

#[test]
fn an_id_is_given_once() {
    let mut bench = Bench::of_three(OneForOne);
    let mut out = Vec::new();
    assert_eq!(bench.supervisor.add_child(child("b"), at(0), &mut out), Err(AddError::Taken));
    assert_eq!(out, []);
    assert_eq!(bench.states().len(), 3);
    bench.remove("b");
    assert_eq!(bench.supervisor.add_child(child("b"), at(0), &mut out), Err(AddError::Taken), "it is still there");
    bench.stopped("b");
    assert_eq!(bench.add(child("b")), [start("b")]);
    assert_eq!(bench.states(), [("a", Running), ("c", Running), ("b", Starting)]);
}

#[test]
fn nobody_is_added_to_a_supervisor_that_stops() {
    let mut bench = Bench::of_three(OneForOne);
    bench.terminate("b");
    bench.stopped("b");
    bench.stop();
    let mut out = Vec::new();
    assert_eq!(bench.supervisor.add_child(child("d"), at(0), &mut out), Err(AddError::Stopping));
    assert_eq!(bench.supervisor.add_child(child("a"), at(0), &mut out), Err(AddError::Stopping));
    assert!(!bench.supervisor.restart_child(&"b", at(0), &mut out));
    assert!(!bench.supervisor.terminate_child(&"a", at(0), &mut out));
    assert!(!bench.supervisor.remove_child(&"a", at(0), &mut out));
    assert_eq!(out, []);
    assert_eq!(bench.states(), [("a", Running), ("b", Down), ("c", Stopping)]);
}

#[test]
fn a_child_that_is_removed_is_stopped_and_forgotten() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.remove("b"), [stop("b")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Stopping), ("c", Running)]);
    assert_eq!(bench.after(ms(1000)), [kill("b")]);
    assert_eq!(bench.fail("b"), []);
    assert_eq!(bench.states(), [("a", Running), ("c", Running)]);
    assert_eq!(bench.supervisor.restarts(), 0);
}

#[test]
fn a_child_that_is_removed_is_not_brought_back_by_what_else_happens() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.remove("b"), [stop("b")]);
    assert_eq!(bench.terminate("b"), [], "it was told");
    assert_eq!(bench.fail("a"), [stop("c")]);
    assert_eq!(bench.stopped("c"), [], "the one that is removed is waited for");
    assert_eq!(bench.stopped("b"), [start("a")]);
    assert_eq!(bench.up("a"), [start("c")]);
}

#[test]
fn children_that_are_removed_one_by_one_stop_beside_each_other() {
    let mut bench = Bench::of_three(OneForOne);
    assert_eq!(bench.remove("c"), [stop("c")]);
    assert_eq!(bench.remove("a"), [stop("a")], "only a stop of all has an order");
    assert_eq!(bench.terminate("b"), [stop("b")]);
}

#[test]
fn a_back_off_ends_with_the_last_child_that_waits_for_it() {
    let mut slow = spec(OneForAll);
    slow.back_off = BackOff { first: ms(100), longest: ms(100), factor: 1.0, jitter: 0.0 };
    let mut bench = Bench::running(slow, [child("a")]);
    let effects = bench.fail("a");
    bench.obey(effects);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.next(), Some(at(100)));
    assert_eq!(bench.remove("a"), []);
    assert_eq!(bench.next(), None);
}

#[test]
fn nobody_is_removed_who_is_not_there() {
    let mut bench = Bench::of_three(OneForOne);
    let mut out = Vec::new();
    assert!(!bench.supervisor.remove_child(&"z", at(0), &mut out));
    assert!(!bench.supervisor.terminate_child(&"z", at(0), &mut out));
    assert!(!bench.supervisor.restart_child(&"z", at(0), &mut out));
    assert_eq!(out, []);
}

#[test]
fn a_child_can_be_removed_before_it_was_started() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b", "c"].map(child));
    assert_eq!(bench.remove("a"), []);
    assert_eq!(bench.start(), [start("b")]);
    assert_eq!(bench.remove("c"), []);
    assert_eq!(bench.up("b"), [READY]);
    assert_eq!(bench.states(), [("b", Running)]);
}

#[test]
fn the_next_one_starts_when_the_one_that_starts_is_removed() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b"].map(child));
    assert_eq!(bench.start(), [start("a")]);
    assert_eq!(bench.remove("a"), [stop("a")]);
    assert_eq!(bench.up("a"), []);
    assert_eq!(bench.stopped("a"), [start("b")]);
    assert_eq!(bench.up("b"), [READY]);
}

#[test]
fn a_terminated_child_stays_down_until_it_is_restarted() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut bench = Bench::of_three(strategy);
        assert_eq!(bench.terminate("b"), [stop("b")]);
        assert_eq!(bench.fail("b"), []);
        assert_eq!(bench.states(), [("a", Running), ("b", Down), ("c", Running)]);
        assert_eq!(bench.restart("b"), [start("b")]);
        assert_eq!(bench.up("b"), []);
        assert_eq!(bench.states(), [("a", Running), ("b", Running), ("c", Running)]);
        assert_eq!(bench.supervisor.restarts(), 0, "what is asked for is not counted");
    }
}

#[test]
fn a_terminated_child_is_started_with_its_siblings() {
    let mut bench = Bench::of_three(OneForAll);
    bench.terminate("b");
    assert_eq!(bench.fail("a"), [stop("c")]);
    assert_eq!(bench.stopped("b"), []);
    assert_eq!(bench.stopped("c"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
}

#[test]
fn a_temporary_child_that_is_terminated_is_forgotten() {
    let mut bench = Bench::running(spec(OneForOne), [of_kind("a", Temporary)]);
    assert_eq!(bench.terminate("a"), [stop("a")]);
    bench.stopped("a");
    assert_eq!(bench.states(), []);
}

#[test]
fn a_child_that_waits_for_its_back_off_can_be_terminated_and_removed() {
    let mut slow = spec(OneForOne);
    slow.back_off = BackOff { first: ms(100), longest: ms(100), factor: 1.0, jitter: 0.0 };
    let mut bench = Bench::running(slow, [child("a")]);
    bench.fail("a");
    bench.up("a");
    assert_eq!(bench.fail("a"), []);
    let mut out = Vec::new();
    assert!(!bench.supervisor.restart_child(&"a", bench.now, &mut out), "it is being restarted");
    assert_eq!(bench.terminate("a"), []);
    assert_eq!(bench.states(), [("a", Down)]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.restart("a"), [start("a")]);
    assert_eq!(bench.up("a"), []);
    assert_eq!(bench.remove("a"), [stop("a")]);
}

#[test]
fn a_hanging_restart_can_be_terminated() {
    let mut bench = Bench::of_three(OneForOne);
    bench.fail("a");
    assert_eq!(bench.after(ms(2000)), [kill("a")]);
    assert_eq!(bench.terminate("a"), [], "it is killed already");
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.states()[0], ("a", Down));
}

#[test]
fn a_child_that_runs_is_not_restarted_by_hand() {
    let mut bench = Bench::of_three(OneForOne);
    let mut out = Vec::new();
    assert!(!bench.supervisor.restart_child(&"a", at(0), &mut out));
    assert_eq!(out, []);
}

#[test]
fn a_child_that_can_not_be_brought_back_stays_down_and_is_not_counted() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut bench = Bench::running(spec(strategy), [of_kind("a", Transient), child("b")]);
        bench.end("a", Ended::Normal);
        assert_eq!(bench.restart("a"), [start("a")]);
        assert_eq!(bench.refused("a"), []);
        assert_eq!(bench.states(), [("a", Down), ("b", Running)]);
        assert_eq!(bench.restart("a"), [start("a")]);
        assert_eq!(bench.after(ms(2000)), [kill("a")]);
        assert_eq!(bench.fail("a"), []);
        assert_eq!(bench.states(), [("a", Down), ("b", Running)]);
        assert_eq!(bench.supervisor.restarts(), 0);
        assert_eq!(bench.restart("a"), [start("a")]);
        assert_eq!(bench.up("a"), []);
        bench.fail("a");
        assert_eq!(bench.supervisor.restarts(), 1, "once it has started it is like any other");
    }
}

#[test]
fn a_child_that_was_brought_back_in_the_middle_starts_in_its_turn() {
    let mut bench = Bench::of_three(OneForAll);
    bench.terminate("b");
    bench.stopped("b");
    assert_eq!(bench.add(child("d")), [start("d")]);
    assert_eq!(bench.restart("b"), []);
    assert_eq!(bench.states(), [("a", Running), ("b", Waiting), ("c", Running), ("d", Starting)]);
    assert_eq!(bench.up("d"), [start("b")]);
}

#[test]
fn why_a_child_was_not_added_is_said_in_words() {
    assert_eq!(AddError::Taken.to_string(), "there is a child with this id");
    assert_eq!(AddError::Stopping.to_string(), "the supervisor is stopping");
}
