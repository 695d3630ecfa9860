//! Time: stops and starts that take too long, restarts in a window, and back-off.

use super::*;
use ChildState::{Down, Running, Starting, Stopping, Waiting};
use Strategy::{OneForAll, OneForOne, RestForOne};

#[test]
fn a_stop_is_forced_at_exactly_its_limit() {
    let mut bench = Bench::running(spec(OneForOne), [child("a"), stopping("b", StopLimit::Within(ms(300)))]);
    assert_eq!(bench.after(ms(50)), []);
    assert_eq!(bench.stop(), [Effect::Stop { child: "b", limit: StopLimit::Within(ms(300)) }]);
    assert_eq!(bench.next(), Some(at(350)));
    assert_eq!(bench.after(ms(299)), []);
    assert_eq!(bench.after(ms(1)), [kill("b")]);
    assert_eq!(bench.next(), None, "it is killed once");
    assert_eq!(bench.after(ms(300)), []);
    assert_eq!(bench.fail("b"), [stop("a")]);
    assert_eq!(bench.next(), Some(at(1650)), "a limit runs from when its child was told");
    assert_eq!(bench.stopped("a"), [SHUT_DOWN], "who obeys within the limit is not killed");
}

#[test]
fn a_brutal_stop_kills_without_a_word() {
    let mut bench = Bench::running(spec(OneForOne), [child("a"), stopping("b", StopLimit::Brutal)]);
    assert_eq!(bench.stop(), [kill("b")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Stopping)]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.after(ms(60_000)), []);
    assert_eq!(bench.fail("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [SHUT_DOWN]);
}

#[test]
fn a_stop_without_a_limit_is_waited_for() {
    let mut bench = Bench::running(spec(OneForOne), [child("a"), stopping("b", StopLimit::Unlimited)]);
    assert_eq!(bench.stop(), [Effect::Stop { child: "b", limit: StopLimit::Unlimited }]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.after(Duration::from_secs(86_400)), []);
    assert_eq!(bench.stopped("b"), [stop("a")]);
}

#[test]
fn the_usual_limit_of_a_stop_is_five_seconds() {
    assert_eq!(StopLimit::default(), StopLimit::Within(ms(5000)));
}

#[test]
fn whatever_ends_a_child_that_was_told_to_stop_is_no_failure() {
    for how in [Ended::Normal, Ended::Shutdown, Ended::Failed("boom".into())] {
        let mut bench = Bench::running(spec(OneForOne), [child("a")]);
        assert_eq!(bench.stop(), [stop("a")]);
        assert_eq!(bench.end("a", how), [SHUT_DOWN]);
        assert_eq!(bench.supervisor.restarts(), 0);
    }
}

#[test]
fn a_stop_while_children_start_stops_the_starting_one_too() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b", "c"].map(child));
    bench.start();
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.stop(), [stop("b")]);
    assert_eq!(bench.states(), [("a", Running), ("b", Stopping), ("c", Down)]);
    assert_eq!(bench.up("b"), []);
    assert_eq!(bench.stopped("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [SHUT_DOWN], "it was never ready");
}

#[test]
fn a_stop_ends_a_restart_of_all() {
    let mut bench = Bench::of_three(OneForAll);
    assert_eq!(bench.fail("a"), [stop("c")]);
    assert_eq!(bench.stop(), []);
    assert_eq!(bench.stop(), []);
    assert_eq!(bench.stopped("c"), [stop("b")]);
    assert_eq!(bench.stopped("b"), [SHUT_DOWN]);
}

#[test]
fn a_stop_ends_a_back_off() {
    let mut bench = Bench::running(waiting(OneForOne), [child("a")]);
    bench.fail("a");
    bench.up("a");
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.states(), [("a", Waiting)]);
    assert_eq!(bench.stop(), [SHUT_DOWN]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.after(ms(60_000)), []);
}

#[test]
fn a_failed_supervisor_that_is_told_to_stop_has_failed() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b"].map(child));
    bench.start();
    bench.up("a");
    assert_eq!(bench.refused("b"), [stop("a")]);
    assert_eq!(bench.stop(), []);
    assert_eq!(bench.stopped("a"), [finished("\"b\" did not start: no luck")]);
}

#[test]
fn many_restarts_outside_of_the_window_are_fine_and_one_too_many_inside_is_not() {
    let mut sliding = spec(OneForOne);
    sliding.intensity.within = ms(1000);
    let mut bench = Bench::running(sliding, [child("a")]);
    for _ in 0..100 {
        bench.after(ms(501));
        assert_eq!(bench.fail("a"), [start("a")]);
        assert_eq!(bench.up("a"), []);
    }
    assert_eq!(bench.supervisor.restarts(), 100);
    bench.after(ms(499));
    assert_eq!(bench.fail("a"), [finished("more than 2 restarts within 1s: \"a\" failed: boom")]);
    assert_eq!(bench.supervisor.restarts(), 100, "the refused one was not done");
}

#[test]
fn without_a_limit_any_number_of_restarts_is_done() {
    let mut unlimited = spec(OneForOne);
    unlimited.intensity = Intensity::UNLIMITED;
    let mut bench = Bench::running(unlimited, [child("a")]);
    for _ in 0..1000 {
        assert_eq!(bench.fail("a"), [start("a")]);
        assert_eq!(bench.up("a"), []);
    }
    assert_eq!(bench.supervisor.restarts(), 1000);
}

/// Restarts wait for 100 ms, 200 ms, …
fn waiting(strategy: Strategy) -> SupervisorSpec {
    let back_off = BackOff { first: ms(100), longest: ms(5000), factor: 2.0, jitter: 0.0 };
    let intensity = Intensity { restarts: 3, ..spec(strategy).intensity };
    SupervisorSpec { back_off, intensity, ..spec(strategy) }
}

#[test]
fn back_off_delays_a_restart_from_the_second_on_by_exactly_its_delay() {
    let mut bench = Bench::running(waiting(OneForOne), ["a", "b"].map(child));
    assert_eq!(bench.fail("a"), [start("a")]);
    bench.up("a");
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.states(), [("a", Waiting), ("b", Running)]);
    assert_eq!(bench.next(), Some(at(100)));
    assert_eq!(bench.after(ms(99)), []);
    assert_eq!(bench.after(ms(1)), [start("a")]);
    assert_eq!(bench.refused("a"), []);
    assert_eq!(bench.next(), Some(at(300)));
    assert_eq!(bench.after(ms(200)), [start("a")]);
    assert_eq!(bench.up("a"), []);
}

#[test]
fn a_restart_that_waits_is_started_by_whatever_comes_first_when_it_is_due() {
    let mut bench = Bench::running(waiting(OneForOne), ["a", "b"].map(child));
    bench.fail("a");
    bench.up("a");
    bench.fail("a");
    bench.now = at(100);
    assert_eq!(bench.end("b", Ended::Normal), [start("a")]);
}

#[test]
fn jitter_follows_the_draw() {
    let jittery = SupervisorSpec { back_off: BackOff::default(), ..waiting(OneForOne) };
    for (draw, due) in [(0.0, 8), (0.5, 10), (1.0, 12)] {
        let mut bench = Bench::running(jittery, [child("a")]);
        bench.fail("a");
        bench.up("a");
        let mut out = Vec::new();
        bench.supervisor.ended(&"a", Ended::Normal, bench.now, draw, &mut out);
        assert_eq!((out, bench.next()), (vec![], Some(at(due))));
        let mut bench = Bench::running(jittery, [child("a")]);
        bench.fail("a");
        let mut out = Vec::new();
        bench.supervisor.started(&"a", Err("no luck".into()), bench.now, draw, &mut out);
        assert_eq!((out, bench.next()), (vec![], Some(at(due))));
        let mut bench = Bench::running(jittery, [child("a")]);
        bench.fail("a");
        let mut out = Vec::new();
        bench.supervisor.tick(at(2000), draw, &mut out);
        assert_eq!(out, [kill("a")]);
        bench.fail("a");
        assert_eq!(bench.next(), Some(at(2000 + due)));
    }
}

#[test]
fn a_child_that_waits_to_be_restarted_is_counted_once() {
    let mut bench = Bench::running(waiting(OneForOne), [child("a")]);
    bench.fail("a");
    bench.up("a");
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.refused("a"), []);
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.next(), Some(at(100)));
}

#[test]
fn siblings_stop_during_the_back_off_and_start_after_it() {
    let mut bench = Bench::running(waiting(OneForAll), ["a", "b"].map(child));
    let effects = bench.fail("a");
    assert_eq!(bench.obey(effects), [stop("b"), start("a"), start("b")]);
    assert_eq!(bench.fail("a"), [stop("b")], "the back-off does not keep them up");
    assert_eq!(bench.next(), Some(at(1000)), "it is not waited for before they have stopped");
    assert_eq!(bench.after(ms(40)), []);
    assert_eq!(bench.stopped("b"), []);
    assert_eq!(bench.states(), [("a", Waiting), ("b", Waiting)]);
    assert_eq!(bench.next(), Some(at(100)), "it is counted from the failure");
    assert_eq!(bench.after(ms(59)), []);
    assert_eq!(bench.after(ms(1)), [start("a")]);
    assert_eq!(bench.next(), Some(at(2100)), "of the start alone");
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.up("b"), []);
}

#[test]
fn siblings_that_stop_for_longer_than_the_back_off_are_waited_for() {
    let mut bench = Bench::running(waiting(OneForAll), ["a", "b"].map(child));
    let effects = bench.fail("a");
    bench.obey(effects);
    assert_eq!(bench.fail("a"), [stop("b")]);
    assert_eq!(bench.after(ms(500)), []);
    assert_eq!(bench.next(), Some(at(1000)));
    assert_eq!(bench.stopped("b"), [start("a")]);
}

#[test]
fn a_hanging_restart_is_killed_at_exactly_its_limit_and_tried_again_until_it_is_one_too_many() {
    let mut bench = Bench::running(spec(OneForOne), ["a", "b"].map(child));
    assert_eq!(bench.fail("a"), [start("a")]);
    assert_eq!(bench.next(), Some(at(2000)));
    assert_eq!(bench.after(ms(1999)), []);
    assert_eq!(bench.supervisor.restarts(), 1);
    assert_eq!(bench.after(ms(1)), [kill("a")]);
    assert_eq!(bench.supervisor.restarts(), 2);
    assert_eq!(bench.states(), [("a", Stopping), ("b", Running)]);
    assert_eq!(bench.next(), None);
    assert_eq!(bench.up("a"), [], "too late");
    assert_eq!(bench.fail("a"), [start("a")], "no second instance before the first is gone");
    assert_eq!(bench.next(), Some(at(4000)));
    assert_eq!(bench.after(ms(2000)), [kill("a"), stop("b")]);
    assert_eq!(bench.stopped("b"), []);
    let cause = "more than 2 restarts within 3600s: \"a\" failed: not started within 2s";
    assert_eq!(bench.fail("a"), [finished(cause)]);
}

#[test]
fn a_hanging_restart_waits_for_its_back_off_from_the_kill_on() {
    let mut bench = Bench::running(waiting(OneForOne), [child("a")]);
    bench.fail("a");
    assert_eq!(bench.after(ms(2000)), [kill("a")]);
    assert_eq!(bench.after(ms(30)), []);
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.next(), Some(at(2100)));
    assert_eq!(bench.after(ms(70)), [start("a")]);
}

#[test]
fn a_hanging_restart_can_be_stopped() {
    let mut bench = Bench::running(spec(OneForOne), ["a", "b"].map(child));
    bench.fail("a");
    assert_eq!(bench.stop(), [stop("b")]);
    assert_eq!(bench.after(ms(1000)), [kill("b")]);
    assert_eq!(bench.fail("b"), [stop("a")]);
    assert_eq!(bench.after(ms(1000)), [kill("a")]);
    assert_eq!(bench.fail("a"), [SHUT_DOWN]);
    assert_eq!(bench.supervisor.restarts(), 1);
}

#[test]
fn a_start_that_hangs_while_its_turn_to_be_stopped_has_not_come_is_killed() {
    let mut bench = Bench::running(spec(OneForOne), [child("a"), stopping("b", StopLimit::Unlimited)]);
    bench.fail("a");
    assert_eq!(bench.stop().len(), 1);
    assert_eq!(bench.states(), [("a", Starting), ("b", Stopping)]);
    assert_eq!(bench.after(ms(1999)), []);
    assert_eq!(bench.after(ms(1)), [kill("a")]);
    assert_eq!(bench.supervisor.restarts(), 1, "not counted");
    assert_eq!(bench.fail("a"), []);
    assert_eq!(bench.stopped("b"), [SHUT_DOWN]);
}

#[test]
fn a_child_that_comes_up_before_its_turn_to_be_stopped_is_stopped_in_its_turn() {
    let mut bench = Bench::running(spec(OneForOne), ["a", "b"].map(child));
    bench.fail("a");
    assert_eq!(bench.stop(), [stop("b")]);
    assert_eq!(bench.up("a"), []);
    assert_eq!(bench.stopped("b"), [stop("a")]);
    assert_eq!(bench.fail("a"), [SHUT_DOWN]);
}

#[test]
fn a_hanging_first_start_fails_the_supervisor() {
    let mut bench = Bench::new(spec(OneForOne), ["a", "b"].map(child));
    bench.start();
    bench.up("a");
    assert_eq!(bench.after(ms(2000)), [kill("b")]);
    assert_eq!(bench.fail("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [finished("\"b\" did not start: not started within 2s")]);
}

#[test]
fn a_hanging_restart_under_one_for_all_and_rest_for_one_repeats_the_attempt() {
    let mut bench = Bench::of_three(OneForAll);
    bench.fail("a");
    bench.stopped("c");
    bench.stopped("b");
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.after(ms(2000)), [kill("b")]);
    assert_eq!(bench.fail("b"), [stop("a")]);
    assert_eq!(bench.stopped("a"), [start("a")]);
    assert_eq!(bench.supervisor.restarts(), 2);

    let mut bench = Bench::of_three(RestForOne);
    bench.fail("a");
    bench.stopped("c");
    bench.stopped("b");
    assert_eq!(bench.up("a"), [start("b")]);
    assert_eq!(bench.after(ms(2000)), [kill("b")]);
    assert_eq!(bench.fail("b"), [start("b")]);
    assert_eq!(bench.supervisor.restarts(), 2);
}

#[test]
fn limits_beyond_time_itself_are_none() {
    let endless = ChildSpec { start_limit: Duration::MAX, ..stopping("a", StopLimit::Within(Duration::MAX)) };
    let mut bench = Bench::new(spec(OneForOne), [endless]);
    assert_eq!(bench.start(), [start("a")]);
    assert_eq!(bench.after(Duration::from_secs(86_400)), []);
    bench.up("a");
    assert_eq!(bench.stop().len(), 1);
    assert_eq!(bench.after(Duration::from_secs(86_400)), []);
    assert_eq!(bench.stopped("a"), [SHUT_DOWN]);
}
