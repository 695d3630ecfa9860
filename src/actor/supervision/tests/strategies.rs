//! Who is restarted with whom, in which order, and when it is given up.

use super::*;
use ChildState::{Down, Running, Starting, Stopping, Waiting};
use Strategy::{OneForAll, OneForOne, RestForOne};

const ALL: [Strategy; 3] = [OneForOne, OneForAll, RestForOne];

#[test]
fn children_start_left_to_right_each_after_the_one_before_has_started() {
    for strategy in ALL {
        let mut bench = Bench::new(spec(strategy), ["a", "b", "c"].map(child));
        assert_eq!(bench.states(), [("a", Waiting), ("b", Waiting), ("c", Waiting)]);
        assert_eq!(bench.start(), [start("a")]);
        assert_eq!(bench.states(), [("a", Starting), ("b", Waiting), ("c", Waiting)]);
        assert_eq!(bench.after(ms(1999)), []);
        assert_eq!(bench.up("a"), [start("b")]);
        assert_eq!(bench.up("b"), [start("c")]);
        assert_eq!(bench.up("c"), [READY]);
        assert_eq!(bench.states(), [("a", Running), ("b", Running), ("c", Running)]);
        assert_eq!(bench.next(), None);
    }
}

#[test]
fn a_supervisor_without_children_is_ready_at_once_and_ends_at_once() {
    let mut bench = Bench::new(spec(OneForOne), []);
    assert_eq!(bench.start(), [READY]);
    assert_eq!(bench.start(), [], "it starts once");
    assert_eq!(bench.stop(), [SHUT_DOWN]);
}

#[test]
fn nothing_happens_before_the_start() {
    let mut bench = Bench::new(spec(OneForOne), [child("a")]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.after(ms(60_000)), []);
    assert_eq!(bench.up("a"), []);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.states(), [("a", Waiting)]);
    assert_eq!(bench.stop(), [SHUT_DOWN]);
    assert_eq!(bench.states(), [("a", Down)]);
    assert_eq!(bench.start(), []);
}

#[test]
fn a_first_start_that_fails_stops_those_before_right_to_left_and_fails_the_supervisor() {
    for strategy in ALL {
        let mut bench = Bench::new(spec(strategy), ["a", "b", "c", "d"].map(child));
        bench.start();
        bench.up("a");
        assert_eq!(bench.up("b"), [start("c")]);
        assert_eq!(bench.refused("c"), [stop("b")]);
        assert_eq!(bench.states(), [("a", Running), ("b", Stopping), ("c", Down), ("d", Down)]);
        assert_eq!(bench.stopped("b"), [stop("a")]);
        assert_eq!(bench.stopped("a"), [finished("\"c\" did not start: no luck")]);
        assert_eq!(bench.supervisor.restarts(), 0);
    }
}

#[test]
fn a_child_that_fails_before_it_has_started_has_failed_to_start() {
    let mut bench = Bench::new(spec(OneForOne), [child("a")]);
    bench.start();
    assert_eq!(bench.fail("a"), [finished("\"a\" did not start: boom")]);
}

#[test]
fn a_child_that_ends_well_before_it_has_started_has_started_and_ended() {
    let mut bench = Bench::new(spec(OneForOne), [of_kind("a", Restart::Transient), child("b"), child("c")]);
    bench.start();
    assert_eq!(bench.end("a", Ended::Normal), [start("b")]);
    assert_eq!(bench.end("b", Ended::Normal), [start("b")], "and what is permanent is restarted");
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.up("c"), [READY]);
    assert_eq!(bench.states(), [("a", Down), ("b", Running), ("c", Running)]);
    assert_eq!(bench.supervisor.restarts(), 1);
}

#[test]
fn one_for_one_restarts_the_failed_child_alone() {
    let mut bench = Bench::of_three(OneForOne);
    assert_eq!(bench.fail("b"), [start("b")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Starting), ("c", Running)]);
    assert_eq!(bench.up("b"), []);
    assert_eq!(bench.supervisor.restarts(), 1);
}

#[test]
fn one_for_one_restarts_several_children_beside_each_other() {
    let mut bench = Bench::of_three(OneForOne);
    assert_eq!(bench.fail("c"), [start("c")]);
    assert_eq!(bench.fail("a"), [start("a")]);
    assert_eq!(bench.up("a"), []);
    assert_eq!(bench.up("c"), []);
    assert_eq!(bench.states(), [("a", Running), ("b", Running), ("c", Running)]);
}

#[test]
fn one_for_one_escalates_after_the_restarts_it_allows_and_stops_the_others_right_to_left() {
    let mut bench = Bench::of_three(OneForOne);
    assert_eq!(bench.fail("b"), [start("b")]);
    bench.up("b");
    assert_eq!(bench.fail("c"), [start("c")], "all children are counted together");
    bench.up("c");
    assert_eq!(bench.fail("b"), [stop("c")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Down), ("c", Stopping)]);
    assert_eq!(bench.stopped("c"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [finished("more than 2 restarts within 3600s: \"b\" failed: boom")]);
    assert_eq!(bench.supervisor.restarts(), 2);
}

#[test]
fn an_escalation_names_how_the_last_child_has_ended() {
    for (how, words) in [(Ended::Normal, "ended normally"), (Ended::Shutdown, "was shut down")] {
        let mut never = spec(OneForOne);
        never.intensity = Intensity { restarts: 0, within: ms(1500) };
        let mut bench = Bench::running(never, [child("a")]);
        assert_eq!(bench.end("a", how), [finished(&format!("more than 0 restarts within 1.5s: \"a\" {words}"))]);
    }
}

#[test]
fn an_escalation_stops_what_was_waiting_or_starting_too() {
    let mut slow = spec(OneForOne);
    slow.back_off = BackOff { first: ms(100), longest: ms(100), factor: 1.0, jitter: 0.0 };
    let mut bench = Bench::running(slow, ["a", "b", "c"].map(child));
    assert_eq!(bench.fail("b"), [start("b")]);
    assert_eq!(bench.fail("a"), [], "the second restart waits");
    assert_eq!(bench.fail("c"), [stop("b")]);
    assert_eq!(bench.states(), [("a", Down), ("b", Stopping), ("c", Down)]);
    assert_eq!(bench.after(ms(100)), []);
    assert_eq!(bench.stopped("b").len(), 1);
}

#[test]
fn one_for_all_stops_all_right_to_left_then_starts_all_left_to_right() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.fail("b"), [stop("c")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Waiting), ("c", Stopping)]);
    assert_eq!(bench.stopped("c"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.up("c"), [], "ready is said once");
    assert_eq!(bench.supervisor.restarts(), 1, "one failure, one restart");
    let restarts: Vec<_> = bench.supervisor.children().map(|child| child.restarts).collect();
    assert_eq!(restarts, [1, 1, 1], "of each child");
}

#[test]
fn one_for_all_escalates_after_the_restarts_it_allows() {
    let mut bench = Bench::of_three(OneForAll);
    for id in ["a", "b"] {
        let effects = bench.fail(id);
        assert_eq!(bench.obey(effects).len(), 5);
    }
    assert_eq!(bench.fail("c"), [stop("b")]);
    assert_eq!(bench.stopped("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [finished("more than 2 restarts within 3600s: \"c\" failed: boom")]);
}

#[test]
fn one_for_all_repeats_and_counts_the_attempt_when_another_child_fails_to_start_in_it() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.fail("a"), [stop("c")]);
    bench.stopped("c");
    assert_eq!(bench.stopped("b"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.refused("b"), [stop("a")], "what had started is stopped again");
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.stopped("a"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.refused("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [finished("more than 2 restarts within 3600s: \"b\" failed: no luck")]);
}

#[test]
fn one_for_all_breaks_the_attempt_off_when_a_child_fails_that_had_started_in_it() {
    let mut bench = Bench::of_three(OneForAll);
    bench.fail("a");
    bench.stopped("c");
    bench.stopped("b");
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.fail("a"), [stop("b")]);
    assert_eq!(bench.states(), [("a", Waiting), ("b", Stopping), ("c", Waiting)]);
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.up("b"), [], "too late");
    assert_eq!(bench.stopped("b"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
}

#[test]
fn a_start_that_fails_after_it_was_told_to_stop_is_an_end() {
    let mut bench = Bench::of_three(OneForAll);
    bench.fail("a");
    bench.stopped("c");
    bench.stopped("b");
    bench.up("a");
    assert_eq!(bench.fail("a"), [stop("b")]);
    assert_eq!(bench.refused("b"), [start("a")]);
    assert_eq!(bench.supervisor.restarts(), 2);
}

#[test]
fn children_that_fail_while_all_are_being_stopped_are_part_of_that_restart() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.fail("b"), [stop("c")]);
    assert_eq!(bench.fail("a"), [], "it was to be stopped next");
    assert_eq!(bench.fail("c"), [start("a")], "it was told to");
    assert_eq!(bench.supervisor.restarts(), 1);
}

#[test]
fn rest_for_one_restarts_the_failed_child_and_those_after_it() {
    let mut bench = Bench::of_three(RestForOne);
    assert_eq!(bench.fail("b"), [stop("c")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Waiting), ("c", Stopping)]);
    assert_eq!(bench.stopped("c"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.up("c"), []);
    assert_eq!(bench.fail("c"), [start("c")]);
    assert_eq!(bench.up("c"), []);
    let restarts: Vec<_> = bench.supervisor.children().map(|child| child.restarts).collect();
    assert_eq!(restarts, [0, 1, 2]);
    assert_eq!(bench.supervisor.restarts(), 2);
}

#[test]
fn rest_for_one_escalates_after_the_restarts_it_allows() {
    let mut bench = Bench::of_three(RestForOne);
    for _ in 0..2 {
        assert_eq!(bench.fail("c"), [start("c")]);
        bench.up("c");
    }
    assert_eq!(bench.fail("a"), [stop("c")]);
    assert_eq!(bench.stopped("c"), [stop("b")]);
    assert_eq!(bench.stopped("b"), [finished("more than 2 restarts within 3600s: \"a\" failed: boom")]);
}

#[test]
fn rest_for_one_repeats_the_attempt_from_another_child_that_fails_to_start_in_it() {
    let mut bench = Bench::of_three(RestForOne);
    assert_eq!(bench.fail("a"), [stop("c")]);
    bench.stopped("c");
    assert_eq!(bench.stopped("b"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.refused("b"), [start("b")], "those before it stay up");
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.refused("c"), [stop("b")], "and it is counted");
    assert_eq!(bench.stopped("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [finished("more than 2 restarts within 3600s: \"c\" failed: no luck")]);
}

#[test]
fn rest_for_one_begins_further_left_when_a_child_fails_there() {
    let mut bench = Bench::running(spec(RestForOne), ["a", "b", "c", "d"].map(child));
    assert_eq!(bench.fail("c"), [stop("d")]);
    assert_eq!(bench.fail("b"), []);
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.stopped("d"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.up("c"), [start("d")]);
    assert_eq!(bench.up("d"), []);
}

#[test]
fn a_child_that_fails_while_others_have_their_first_start_is_restarted() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b", "c"].map(child));
    bench.start();
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.fail("a"), [start("a")]);
    assert_eq!(bench.up("b"), [], "nobody is started while one at the left is not up");
    assert_eq!(bench.up("a"), [start("c")]);
    assert_eq!(bench.up("c"), [READY]);

    let mut bench = Bench::new(spec(OneForAll), ["a", "b", "c"].map(child));
    bench.start();
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.fail("a"), [stop("b")]);
    assert_eq!(bench.stopped("b"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.up("c"), [READY]);
}

#[test]
fn late_repeated_and_unknown_reports_are_ignored() {
    let mut bench = Bench::of_three(OneForOne);
    assert_eq!(bench.up("a"), [], "it is up");
    assert_eq!(bench.refused("a"), [], "it is up");
    assert_eq!(bench.up("z"), []);
    assert_eq!(bench.refused("z"), []);
    assert_eq!(bench.fail("z"), []);
    assert_eq!(bench.states(), [("a", Running), ("b", Running), ("c", Running)]);
    assert_eq!(bench.supervisor.restarts(), 0);
    assert_eq!(bench.stop(), [stop("c")]);
    assert_eq!(bench.stopped("c"), [stop("b")]);
    assert_eq!(bench.stopped("c"), []);
    assert_eq!(bench.up("c"), []);
    assert_eq!(bench.states(), [("a", Running), ("b", Stopping), ("c", Down)]);
}

#[test]
fn nothing_comes_after_the_end() {
    let mut bench = Bench::of_three(OneForOne);
    let effects = bench.stop();
    assert_eq!(bench.obey(effects), [stop("c"), stop("b"), stop("a"), SHUT_DOWN]);
    assert_eq!(bench.stop(), []);
    assert_eq!(bench.start(), []);
    assert_eq!(bench.after(ms(60_000)), []);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.up("a"), []);
    let (now, mut out) = (bench.now, Vec::new());
    assert_eq!(bench.supervisor.add_child(child("d"), now, &mut out), Err(AddError::Stopping));
    assert!(!bench.supervisor.restart_child(&"a", now, &mut out));
    assert!(!bench.supervisor.terminate_child(&"a", now, &mut out));
    assert!(!bench.supervisor.remove_child(&"a", now, &mut out));
    assert_eq!(out, []);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.states(), [("a", Down), ("b", Down), ("c", Down)]);
}
