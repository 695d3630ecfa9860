//! Permanent, transient and temporary children, and their ends.

use super::*;
use ChildState::{Down, Running, Waiting};
use Restart::{Permanent, Temporary, Transient};
use Strategy::{OneForAll, OneForOne, RestForOne};

/// One child of a kind that has ended like this: the effects, and the children that are left.
fn after_end(restart: Restart, how: Ended) -> (Vec<Effect<Id>>, Vec<(Id, ChildState)>, u64) {
    let mut bench = Bench::running(spec(OneForOne), [of_kind("a", restart)]);
    let effects = bench.end("a", how);
    let effects = bench.obey(effects);
    (effects, bench.states(), bench.supervisor.restarts())
}

fn failure() -> Ended {
    Ended::Failed("boom".into())
}

#[test]
fn a_permanent_child_is_restarted_after_a_normal_end() {
    assert_eq!(after_end(Permanent, Ended::Normal), (vec![start("a")], vec![("a", Running)], 1));
}

#[test]
fn a_permanent_child_is_restarted_after_a_shutdown() {
    assert_eq!(after_end(Permanent, Ended::Shutdown), (vec![start("a")], vec![("a", Running)], 1));
}

#[test]
fn a_permanent_child_is_restarted_after_a_failure() {
    assert_eq!(after_end(Permanent, failure()), (vec![start("a")], vec![("a", Running)], 1));
}

#[test]
fn a_transient_child_stays_down_after_a_normal_end() {
    assert_eq!(after_end(Transient, Ended::Normal), (vec![], vec![("a", Down)], 0));
}

#[test]
fn a_transient_child_stays_down_after_a_shutdown() {
    assert_eq!(after_end(Transient, Ended::Shutdown), (vec![], vec![("a", Down)], 0));
}

#[test]
fn a_transient_child_is_restarted_after_a_failure() {
    assert_eq!(after_end(Transient, failure()), (vec![start("a")], vec![("a", Running)], 1));
}

#[test]
fn a_temporary_child_is_forgotten_after_a_normal_end() {
    assert_eq!(after_end(Temporary, Ended::Normal), (vec![], vec![], 0));
}

#[test]
fn a_temporary_child_is_forgotten_after_a_shutdown() {
    assert_eq!(after_end(Temporary, Ended::Shutdown), (vec![], vec![], 0));
}

#[test]
fn a_temporary_child_is_forgotten_after_a_failure() {
    assert_eq!(after_end(Temporary, failure()), (vec![], vec![], 0));
}

#[test]
fn a_temporary_bystander_is_stopped_with_its_siblings_and_never_restarted() {
    for strategy in [OneForAll, RestForOne] {
        let mut bench = Bench::running(spec(strategy), [child("a"), of_kind("b", Temporary), child("c")]);
        let effects = bench.fail("a");
        assert_eq!(bench.obey(effects), [stop("c"), stop("b"), start("a"), start("c")]);
        assert_eq!(bench.states(), [("a", Running), ("c", Running)]);
    }
}

#[test]
fn a_temporary_bystander_at_the_left_outlives_a_rest_for_one() {
    let mut bench = Bench::running(spec(RestForOne), [of_kind("a", Temporary), child("b")]);
    let effects = bench.fail("b");
    assert_eq!(bench.obey(effects), [start("b")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Running)]);
}

#[test]
fn a_temporary_child_that_fails_leaves_its_siblings_alone() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut bench = Bench::running(spec(strategy), [of_kind("a", Temporary), child("b")]);
        assert_eq!(bench.fail("a"), []);
        assert_eq!(bench.states(), [("b", Running)]);
        assert_eq!(bench.supervisor.restarts(), 0);
    }
}

#[test]
fn a_temporary_child_that_fails_while_its_siblings_are_started_again_does_not_hold_them_up() {
    let mut bench = Bench::running(spec(RestForOne), [of_kind("a", Temporary), child("b"), child("c")]);
    assert_eq!(bench.fail("b"), [stop("c")]);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.stopped("c"), [start("b")]);
    assert_eq!(bench.up("b"), [start("c")]);
}

#[test]
fn a_temporary_child_that_was_not_started_yet_gets_its_first_start_after_a_siblings_failure() {
    let mut bench = Bench::new(spec(OneForAll), [child("a"), child("b"), of_kind("c", Temporary)]);
    bench.start();
    bench.up("a");
    let effects = bench.fail("a");
    assert_eq!(bench.obey(effects), [stop("b"), start("a"), start("b"), start("c"), READY]);
}

#[test]
fn a_transient_child_that_was_done_is_started_again_with_its_siblings() {
    let mut bench = Bench::running(spec(OneForAll), [child("a"), of_kind("b", Transient), child("c")]);
    assert_eq!(bench.end("b", Ended::Normal), []);
    let effects = bench.fail("c");
    assert_eq!(bench.obey(effects), [stop("a"), start("a"), start("b"), start("c")]);

    let mut bench = Bench::running(spec(RestForOne), [of_kind("a", Transient), child("b"), of_kind("c", Transient)]);
    bench.end("a", Ended::Normal);
    bench.end("c", Ended::Normal);
    let effects = bench.fail("b");
    assert_eq!(bench.obey(effects), [start("b"), start("c")]);
    assert_eq!(bench.states(), [("a", Down), ("b", Running), ("c", Running)]);
}

#[test]
fn a_transient_child_that_ends_well_in_a_restart_of_all_does_not_hold_it_up() {
    let mut bench = Bench::running(spec(OneForAll), [of_kind("a", Transient), child("b"), child("c")]);
    let effects = bench.fail("c");
    assert_eq!(effects, [stop("b")]);
    bench.stopped("b");
    assert_eq!(bench.stopped("a"), [start("a")]);
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.end("a", Ended::Normal), []);
    assert_eq!(bench.up("b"), [start("c")]);
    assert_eq!(bench.states()[..2], [("a", Down), ("b", Running)]);
}

#[test]
fn reports_name_the_kind_and_the_restarts_of_each_child() {
    let mut bench = Bench::new(spec(OneForOne), [of_kind("a", Transient), of_kind("b", Temporary)]);
    let waiting = |id, restart| ChildReport { id, restart, state: Waiting, restarts: 0 };
    let reports: Vec<_> = bench.supervisor.children().collect();
    assert_eq!(reports, [waiting(&"a", Transient), waiting(&"b", Temporary)]);
    bench.start();
    bench.up("a");
    bench.up("b");
    for restarts in 1..=2 {
        assert_eq!(bench.fail("a"), [start("a")]);
        bench.up("a");
        let reports: Vec<_> = bench.supervisor.children().collect();
        let a = ChildReport { id: &"a", restart: Transient, state: Running, restarts };
        let b = ChildReport { id: &"b", restart: Temporary, state: Running, restarts: 0 };
        assert_eq!(reports, [a, b]);
    }
}
