use super::*;
use Outcome::{Failure, Success};

mod stress;

fn ms(ms: u64) -> Moment {
    Moment::from_ms(ms)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn just_before(moment: Moment) -> Moment {
    moment - Duration::from_nanos(1)
}

/// Opens at 2 failures of 4 within a second; 100, 200, 400, 500 ms open; 2 probes of 1 s.
fn settings() -> BreakerSettings {
    BreakerSettings {
        window: millis(1000),
        min_calls: 4,
        failure_rate: 0.5,
        open_for: millis(100),
        max_open: millis(500),
        probes: 2,
        probe_limit: millis(1000),
    }
}

fn refusal(breaker: &mut Breaker, now: Moment) -> Duration {
    breaker.try_acquire(now).unwrap_err().retry_after
}

fn call(breaker: &mut Breaker, outcome: Outcome, now: Moment) {
    let permit = breaker.try_acquire(now).unwrap();
    breaker.report(permit, outcome, now);
}

/// One that opened now.
fn opened(settings: BreakerSettings, now: Moment) -> Breaker {
    let mut breaker = Breaker::new(settings);
    for _ in 0..settings.min_calls {
        call(&mut breaker, Failure, now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    breaker
}

fn states(breaker: &Breaker, moments: [Moment; 2]) -> [BreakerState; 2] {
    moments.map(|now| breaker.state(now))
}

#[test]
fn a_new_breaker_lets_every_call_through() {
    let mut breaker = Breaker::new(settings());
    assert_eq!(breaker.state(ms(0)), BreakerState::Closed);
    assert!((0..1000).all(|_| breaker.try_acquire(ms(0)).is_ok()));
}

#[test]
fn it_opens_at_the_least_number_of_calls_not_before() {
    let mut breaker = Breaker::new(settings());
    for _ in 0..3 {
        call(&mut breaker, Failure, ms(0));
        assert_eq!(breaker.state(ms(0)), BreakerState::Closed);
    }
    call(&mut breaker, Failure, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
}

#[test]
fn a_success_that_makes_the_calls_enough_opens_it_too() {
    let mut breaker = Breaker::new(settings());
    for outcome in [Failure, Failure, Success] {
        call(&mut breaker, outcome, ms(0));
    }
    assert_eq!(breaker.state(ms(0)), BreakerState::Closed);
    call(&mut breaker, Success, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
}

#[test]
fn it_opens_at_the_failure_rate_not_below() {
    let mut breaker = Breaker::new(settings());
    for outcome in [Success, Success, Success, Failure, Failure] {
        call(&mut breaker, outcome, ms(0));
    }
    assert_eq!(breaker.state(ms(0)), BreakerState::Closed, "2 of 5");
    call(&mut breaker, Failure, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open, "3 of 6");
}

#[test]
fn rates_that_no_double_holds_are_met_exactly() {
    // Multiplied out, 0.1 of 30 would be a little more than 3.
    let mut breaker = Breaker::new(BreakerSettings { min_calls: 30, failure_rate: 0.1, ..settings() });
    for number in 0..30 {
        call(&mut breaker, if number < 3 { Failure } else { Success }, ms(0));
    }
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
}

#[test]
fn without_failures_it_stays_closed_at_any_rate() {
    let mut breaker = Breaker::new(BreakerSettings { failure_rate: 0.0, ..settings() });
    for _ in 0..10 {
        call(&mut breaker, Success, ms(0));
    }
    assert_eq!(breaker.state(ms(0)), BreakerState::Closed);
    call(&mut breaker, Failure, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
}

#[test]
fn outcomes_count_at_the_time_of_their_report_until_the_window_has_slid_past() {
    for (last, expected) in [(just_before(ms(6000)), BreakerState::Open), (ms(6000), BreakerState::Closed)] {
        let mut breaker = Breaker::new(settings());
        let early = breaker.try_acquire(ms(0)).unwrap();
        breaker.report(early, Failure, ms(5000));
        call(&mut breaker, Failure, ms(5099));
        call(&mut breaker, Failure, ms(5100));
        call(&mut breaker, Failure, last);
        assert_eq!(breaker.state(last), expected);
    }
}

#[test]
fn permits_that_are_dropped_count_as_no_calls() {
    let mut breaker = Breaker::new(settings());
    for _ in 0..3 {
        call(&mut breaker, Failure, ms(0));
        drop(breaker.try_acquire(ms(0)));
    }
    assert_eq!(breaker.state(ms(0)), BreakerState::Closed);
}

#[test]
fn an_open_breaker_refuses_and_says_for_how_long() {
    let mut breaker = opened(settings(), ms(50));
    assert_eq!(refusal(&mut breaker, ms(50)), millis(100));
    assert_eq!(refusal(&mut breaker, ms(120)), millis(30));
    assert_eq!(refusal(&mut breaker, just_before(ms(150))), Duration::from_nanos(1));
    assert_eq!(Open { retry_after: millis(30) }.to_string(), "the circuit is open for another 30ms");
}

#[test]
fn after_its_open_time_it_is_half_open() {
    let breaker = opened(settings(), ms(50));
    assert_eq!(states(&breaker, [just_before(ms(150)), ms(150)]), [BreakerState::Open, BreakerState::HalfOpen]);
}

#[test]
fn a_half_open_breaker_lets_as_many_probes_through_as_it_may() {
    let mut breaker = opened(settings(), ms(0));
    let first = breaker.try_acquire(ms(100)).unwrap();
    assert_eq!(breaker.state(ms(100)), BreakerState::HalfOpen);
    let _second = breaker.try_acquire(ms(300)).unwrap();
    // Until the first probe is given up.
    assert_eq!(refusal(&mut breaker, ms(400)), millis(700));
    breaker.report(first, Success, ms(500));
    let _third = breaker.try_acquire(ms(500)).unwrap();
    assert_eq!(refusal(&mut breaker, ms(500)), millis(800));
}

#[test]
fn as_many_successes_as_probes_close_it() {
    let mut breaker = opened(settings(), ms(0));
    call(&mut breaker, Success, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::HalfOpen);
    call(&mut breaker, Success, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::Closed);
    assert!((0..100).all(|_| breaker.try_acquire(ms(100)).is_ok()));
}

#[test]
fn a_breaker_that_has_closed_begins_with_an_empty_window() {
    let mut breaker = opened(settings(), ms(0));
    call(&mut breaker, Success, ms(100));
    call(&mut breaker, Success, ms(100));
    for _ in 0..3 {
        call(&mut breaker, Failure, ms(100));
    }
    assert_eq!(breaker.state(ms(100)), BreakerState::Closed);
    call(&mut breaker, Failure, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::Open);
}

#[test]
fn each_failed_recovery_doubles_the_open_time_up_to_its_most() {
    let mut breaker = opened(settings(), ms(0));
    let mut now = ms(100);
    for open in [200, 400, 500, 500] {
        call(&mut breaker, Failure, now);
        assert_eq!(refusal(&mut breaker, now), millis(open));
        now = now + millis(open);
    }
    // A recovery that succeeds begins again.
    call(&mut breaker, Success, now);
    call(&mut breaker, Success, now);
    for _ in 0..4 {
        call(&mut breaker, Failure, now);
    }
    assert_eq!(refusal(&mut breaker, now), millis(100));
}

#[test]
fn the_most_is_at_least_the_first_open_time() {
    let mut breaker = opened(BreakerSettings { max_open: millis(1), ..settings() }, ms(0));
    assert_eq!(refusal(&mut breaker, ms(0)), millis(100));
    call(&mut breaker, Failure, ms(100));
    assert_eq!(refusal(&mut breaker, ms(100)), millis(100));
}

#[test]
fn one_failed_probe_opens_it_whatever_the_others_did() {
    let mut breaker = opened(settings(), ms(0));
    call(&mut breaker, Success, ms(100));
    call(&mut breaker, Failure, ms(100));
    assert_eq!(states(&breaker, [just_before(ms(300)), ms(300)]), [BreakerState::Open, BreakerState::HalfOpen]);
    // The success does not count for the next recovery.
    call(&mut breaker, Success, ms(300));
    assert_eq!(breaker.state(ms(300)), BreakerState::HalfOpen);
}

#[test]
fn a_probe_without_an_outcome_is_given_up_at_its_limit() {
    let mut breaker = opened(settings(), ms(0));
    let lost = [breaker.try_acquire(ms(100)).unwrap(), breaker.try_acquire(ms(101)).unwrap()];
    assert_eq!(refusal(&mut breaker, just_before(ms(1100))), Duration::from_nanos(1));
    let _third = breaker.try_acquire(ms(1100)).unwrap();
    assert_eq!(refusal(&mut breaker, ms(1100)), millis(1));
    // What comes of those given up is ignored, and takes no place.
    for (permit, outcome) in lost.into_iter().zip([Success, Failure]) {
        breaker.report(permit, outcome, ms(1101));
    }
    assert_eq!(breaker.state(ms(1101)), BreakerState::HalfOpen);
    let fourth = breaker.try_acquire(ms(1101)).unwrap();
    assert_eq!(refusal(&mut breaker, ms(1101)), millis(999));
    breaker.report(fourth, Success, ms(1101));
    assert_eq!(breaker.state(ms(1101)), BreakerState::HalfOpen);
    call(&mut breaker, Success, ms(1101));
    assert_eq!(breaker.state(ms(1101)), BreakerState::Closed);
}

#[test]
fn a_probe_may_report_until_just_before_its_limit() {
    for (at, expected) in [(just_before(ms(1100)), BreakerState::Open), (ms(1100), BreakerState::HalfOpen)] {
        let mut breaker = opened(settings(), ms(0));
        let probe = breaker.try_acquire(ms(100)).unwrap();
        breaker.report(probe, Failure, at);
        assert_eq!(breaker.state(at), expected);
    }
}

#[test]
fn reports_of_an_earlier_generation_are_ignored() {
    let mut breaker = Breaker::new(settings());
    let mut closed: Vec<Permit> = (0..20).map(|_| breaker.try_acquire(ms(0)).unwrap()).collect();
    for _ in 0..4 {
        call(&mut breaker, Failure, ms(0));
    }
    breaker.report(closed.pop().unwrap(), Failure, ms(10));
    assert_eq!(refusal(&mut breaker, ms(10)), millis(90), "open");
    breaker.report(closed.pop().unwrap(), Failure, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::HalfOpen, "half-open");
    let in_flight = breaker.try_acquire(ms(100)).unwrap();
    call(&mut breaker, Success, ms(100));
    call(&mut breaker, Success, ms(100));
    for permit in closed {
        breaker.report(permit, Failure, ms(100));
    }
    breaker.report(in_flight, Failure, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::Closed, "closed again");
    for _ in 0..3 {
        call(&mut breaker, Failure, ms(100));
    }
    assert_eq!(breaker.state(ms(100)), BreakerState::Closed, "with nothing of the past in the window");
}

#[test]
fn a_probe_of_an_earlier_recovery_is_not_taken_for_one_of_this() {
    let mut breaker = opened(settings(), ms(0));
    let early = breaker.try_acquire(ms(100)).unwrap();
    call(&mut breaker, Failure, ms(100));
    let _first = breaker.try_acquire(ms(300)).unwrap();
    breaker.report(early, Failure, ms(300));
    assert_eq!(breaker.state(ms(300)), BreakerState::HalfOpen);
    let _second = breaker.try_acquire(ms(300)).unwrap();
    assert_eq!(refusal(&mut breaker, ms(300)), millis(1000));
}

#[test]
fn a_late_report_alone_begins_the_recovery_it_does_not_count_for() {
    let mut breaker = Breaker::new(settings());
    let late = breaker.try_acquire(ms(0)).unwrap();
    for _ in 0..4 {
        call(&mut breaker, Failure, ms(0));
    }
    breaker.report(late, Success, ms(100));
    call(&mut breaker, Success, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::HalfOpen);
}

#[test]
fn zeros_in_the_settings_count_as_one() {
    let mut breaker = Breaker::new(BreakerSettings { min_calls: 0, probes: 0, ..settings() });
    call(&mut breaker, Success, ms(0));
    call(&mut breaker, Failure, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
    let probe = breaker.try_acquire(ms(100)).unwrap();
    assert_eq!(refusal(&mut breaker, ms(100)), millis(1000));
    breaker.report(probe, Success, ms(100));
    assert_eq!(breaker.state(ms(100)), BreakerState::Closed);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut breaker = opened(settings(), ms(1000));
    assert_eq!(refusal(&mut breaker, ms(500)), millis(100));
    assert_eq!(refusal(&mut breaker, ms(1050)), millis(50));
    assert_eq!(refusal(&mut breaker, ms(900)), millis(50));
    let probe = breaker.try_acquire(ms(1100)).unwrap();
    breaker.report(probe, Failure, ms(0));
    assert_eq!(breaker.state(ms(0)), BreakerState::Open);
    assert_eq!(refusal(&mut breaker, ms(0)), millis(200));
}

#[test]
fn the_defaults_are_those_of_their_documentation() {
    assert_eq!(
        BreakerSettings::default(),
        BreakerSettings {
            window: millis(10_000),
            min_calls: 20,
            failure_rate: 0.5,
            open_for: millis(1000),
            max_open: millis(30_000),
            probes: 3,
            probe_limit: millis(60_000),
        }
    );
}
