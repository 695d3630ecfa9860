//! The breaker under stress: long random runs beside a model that keeps everything and looks at all of it each time.

use super::*;
use crate::actor::rng::Rng;

const RUNS: u64 = 50;
const OPERATIONS: u64 = 2000;

/// What the breaker is to do, without bounds on memory or time.
struct Model {
    settings: BreakerSettings,
    /// Every outcome since it closed last: when, and whether it failed.
    outcomes: Vec<(u64, bool)>,
    mode: Mode,
    /// Which stretch of one mode this is.
    era: u32,
    failed_recoveries: u32,
}

enum Mode {
    Closed,
    Open {
        until: u64,
    },
    HalfOpen {
        /// When each probe begun, by its ticket.
        begun: Vec<(u64, u64)>,
        succeeded: u32,
    },
}

impl Model {
    fn new(settings: BreakerSettings) -> Self {
        Self { settings, outcomes: Vec::new(), mode: Mode::Closed, era: 0, failed_recoveries: 0 }
    }

    fn pass(&mut self, now: u64) {
        if matches!(self.mode, Mode::Open { until } if until <= now) {
            self.turn(Mode::HalfOpen { begun: Vec::new(), succeeded: 0 });
        }
        let limit = ns(self.settings.probe_limit);
        if let Mode::HalfOpen { begun, .. } = &mut self.mode {
            *begun = begun.iter().copied().filter(|&(_, at)| now - at < limit).collect();
        }
    }

    /// The era of the permit, or how long to wait.
    fn try_acquire(&mut self, ticket: u64, now: u64) -> Result<u32, u64> {
        self.pass(now);
        match &mut self.mode {
            Mode::Closed => Ok(self.era),
            Mode::Open { until } => Err(*until - now),
            Mode::HalfOpen { begun, .. } if (begun.len() as u32) < self.settings.probes => {
                begun.push((ticket, now));
                Ok(self.era)
            }
            Mode::HalfOpen { begun, .. } => {
                let oldest = begun.iter().map(|&(_, at)| at).min().unwrap();
                Err(oldest + ns(self.settings.probe_limit) - now)
            }
        }
    }

    fn report(&mut self, era: u32, ticket: u64, failed: bool, now: u64) {
        self.pass(now);
        if era != self.era {
            return;
        }
        match &mut self.mode {
            Mode::Closed => {
                self.outcomes.push((now, failed));
                let part = ns(self.settings.window) / 10;
                let slid_out = |at: u64| now / part - at / part >= 10;
                let counted: Vec<bool> =
                    self.outcomes.iter().filter(|&&(at, _)| !slid_out(at)).map(|&(_, failed)| failed).collect();
                let failures = counted.iter().filter(|&&failed| failed).count();
                if counted.len() as u32 >= self.settings.min_calls
                    && failures as f64 / counted.len() as f64 >= self.settings.failure_rate
                {
                    self.open(now);
                }
            }
            Mode::Open { .. } => panic!("a permit of an open breaker"),
            Mode::HalfOpen { begun, succeeded } => {
                if !begun.iter().any(|&(other, _)| other == ticket) {
                    return;
                }
                begun.retain(|&(other, _)| other != ticket);
                if failed {
                    self.failed_recoveries += 1;
                    self.open(now);
                } else {
                    *succeeded += 1;
                    if *succeeded == self.settings.probes {
                        self.outcomes.clear();
                        self.failed_recoveries = 0;
                        self.turn(Mode::Closed);
                    }
                }
            }
        }
    }

    fn open(&mut self, now: u64) {
        let doubled = ns(self.settings.open_for) << self.failed_recoveries.min(20);
        self.turn(Mode::Open { until: now + doubled.min(ns(self.settings.max_open)) });
    }

    fn turn(&mut self, mode: Mode) {
        self.mode = mode;
        self.era += 1;
    }

    fn state(&self) -> BreakerState {
        match self.mode {
            Mode::Closed => BreakerState::Closed,
            Mode::Open { .. } => BreakerState::Open,
            Mode::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// What happened in a run, so that a run in which nothing does is noticed.
#[derive(Debug, Default)]
struct Seen {
    opened: u32,
    reopened: u32,
    half_opened: u32,
    closed: u32,
    refused: u32,
    refused_probes: u32,
    given_up: u32,
    stale: u32,
}

fn random_settings(rng: &mut Rng) -> BreakerSettings {
    let open_for = 1 + rng.below(2000);
    BreakerSettings {
        window: Duration::from_nanos(10 * (1 + rng.below(200))),
        min_calls: 1 + rng.below(12) as u32,
        failure_rate: [0.1, 0.25, 0.5, 0.7, 1.0][rng.below(5) as usize],
        open_for: Duration::from_nanos(open_for),
        max_open: Duration::from_nanos(open_for * (1 + rng.below(20))),
        probes: 1 + rng.below(4) as u32,
        probe_limit: Duration::from_nanos(1 + rng.below(1000)),
    }
}

fn run(seed: u64, seen: &mut Seen) {
    let mut rng = Rng::new(seed);
    let settings = random_settings(&mut rng);
    let mut breaker = Breaker::new(settings);
    let mut model = Model::new(settings);
    let mut permits: Vec<(u32, u64, Permit)> = Vec::new();
    let (mut now, mut wait, mut ill) = (rng.below(5000), 1, 0.2);
    for ticket in 0..OPERATIONS {
        let at = format!("seed {seed}, operation {ticket}, at {now} ns with {settings:?}");
        match rng.below(10) {
            0 => now += rng.below(20),
            1 => now += [wait - 1, wait, ns(settings.window) / 10, 3000][rng.below(4) as usize],
            // What is called is well or ill for a while.
            2 if rng.below(10) == 0 => ill = [0.0, 0.2, 0.5, 1.0][rng.below(4) as usize],
            2 if !permits.is_empty() => drop(permits.swap_remove(rng.below(permits.len() as u64) as usize)),
            2..=5 => match (breaker.try_acquire(Moment::from_ns(now)), model.try_acquire(ticket, now)) {
                (Ok(permit), Ok(era)) => permits.push((era, ticket, permit)),
                (Err(Open { retry_after }), Err(expected)) => {
                    assert_eq!(ns(retry_after), expected, "{at}");
                    let longest = settings.max_open.max(settings.probe_limit);
                    assert!(retry_after > Duration::ZERO && retry_after <= longest, "{at}");
                    wait = expected;
                    seen.refused += 1;
                    seen.refused_probes += u32::from(model.state() == BreakerState::HalfOpen);
                }
                (got, expected) => panic!("{at}: {got:?}, not {expected:?}"),
            },
            _ => {
                if permits.is_empty() {
                    continue;
                }
                let (era, ticket, permit) = permits.swap_remove(rng.below(permits.len() as u64) as usize);
                let failed = rng.draw() < ill;
                let before = (model.state(), model.era);
                seen.stale += u32::from(era != model.era);
                breaker.report(permit, if failed { Failure } else { Success }, Moment::from_ns(now));
                model.report(era, ticket, failed, now);
                match (before.0, model.state()) {
                    (BreakerState::Closed, BreakerState::Open) => seen.opened += 1,
                    (BreakerState::HalfOpen, BreakerState::Open) => seen.reopened += 1,
                    (BreakerState::HalfOpen, BreakerState::Closed) => seen.closed += 1,
                    _ => {}
                }
            }
        }
        let before = (model.state(), in_flight(&model));
        model.pass(now);
        seen.half_opened += u32::from(before.0 == BreakerState::Open && model.state() == BreakerState::HalfOpen);
        seen.given_up += u32::from(in_flight(&model) < before.1);
        assert_eq!(breaker.state(Moment::from_ns(now)), model.state(), "{at}");
        if let State::HalfOpen { in_flight, succeeded, .. } = &breaker.state {
            assert!(in_flight.len() <= settings.probes as usize && *succeeded < settings.probes, "{at}");
        }
    }
}

fn in_flight(model: &Model) -> usize {
    if let Mode::HalfOpen { begun, .. } = &model.mode { begun.len() } else { 0 }
}

#[test]
fn a_hundred_thousand_random_operations_end_as_in_a_naive_model() {
    let mut seen = Seen::default();
    for seed in 0..RUNS {
        run(seed, &mut seen);
    }
    let Seen { opened, reopened, half_opened, closed, refused, refused_probes, given_up, stale } = seen;
    let all = [opened, reopened, half_opened, closed, refused, refused_probes, given_up, stale];
    assert!(all.iter().all(|&times| times >= 100), "{seen:?}");
}
