//! A circuit breaker: who calls something that keeps failing is refused at once, until it has had time to recover.
//!
//! It decides, and counts the outcomes it is told. Making the calls, and what counts as a failure, is its owner's.

use std::time::Duration;

use crate::actor::moment::Moment;

mod window;

use window::Window;

/// When a breaker opens and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// How long an outcome counts. It slides by a tenth of itself: outcomes count for nine tenths of it at least.
    pub window: Duration,
    /// With fewer outcomes in the window than this it stays closed. 0 counts as 1.
    pub min_calls: u32,
    /// The share of failures in the window, from above 0 to 1, at which it opens.
    pub failure_rate: f64,
    /// How long it stays open at first. That time doubles with each failed recovery.
    pub open_for: Duration,
    /// The longest it stays open; less than `open_for` counts as that.
    pub max_open: Duration,
    /// How many calls may try a recovery at once, and how many must succeed to close it. 0 counts as 1.
    pub probes: u32,
    /// After this time a try without an outcome is given up, and another may take its place. More than calls take at most: what
    /// comes of a try given up is ignored.
    pub probe_limit: Duration,
}

impl Default for BreakerSettings {
    /// Half of at least 20 calls within 10 s; open for 1 s and up to 30 s; 3 probes, each of twice what an ask waits.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_calls: 20,
            failure_rate: 0.5,
            open_for: Duration::from_secs(1),
            max_open: Duration::from_secs(30),
            probes: 3,
            probe_limit: Duration::from_secs(60),
        }
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call.
    Closed,
    /// No call.
    Open,
    /// A few calls, to see whether they succeed.
    HalfOpen,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Success,
    /// In a way that speaks against further calls.
    Failure,
}

/// The leave to make one call, to be [reported](Breaker::report) back to the breaker that gave it.
///
/// One that is dropped instead counts as no call.
#[derive(Debug)]
#[must_use = "the breaker wants to know how the call ended"]
pub struct Permit {
    generation: u64,
    /// Which probe of its generation; 0 of a closed breaker.
    probe: u64,
}

/// The refusal of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit is open for another {retry_after:?}")]
pub struct Open {
    /// The time after which a call may be let through, if no other comes first. Of a half-open breaker, whose probes may end
    /// any time, it is the longest.
    pub retry_after: Duration,
}

/// A circuit breaker for one thing that is called.
///
/// It opens when its window holds enough outcomes and enough of them are failures, and then refuses. After its open time it
/// is half-open and lets a few probes through: when as many as are wanted have succeeded it closes, with an empty window; at the
/// first that fails it opens again, for twice as long. Each of these changes begins a generation, and what is reported
/// of an earlier one is ignored.
///
/// Its memory is fixed by its settings. A moment before the last one it was told counts as that one.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    window: Window,
    state: State,
    generation: u64,
    /// How long it is open when it opens next.
    next_open: Duration,
    now: Moment,
}

#[derive(Debug)]
enum State {
    Closed,
    Open {
        until: Moment,
    },
    HalfOpen {
        /// Oldest first.
        in_flight: Vec<Probe>,
        begun: u64,
        succeeded: u32,
    },
}

/// A call that tries whether the thing called has recovered.
#[derive(Debug)]
struct Probe {
    number: u64,
    given_up: Moment,
}

impl Breaker {
    /// A closed breaker that was told nothing.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            window: Window::new(settings.window),
            state: State::Closed,
            generation: 0,
            next_open: settings.open_for,
            now: Moment::default(),
            settings,
        }
    }

    /// Asks for leave to make one call.
    pub fn try_acquire(&mut self, now: Moment) -> Result<Permit, Open> {
        let now = self.advance(now);
        let generation = self.generation;
        match &mut self.state {
            State::Closed => Ok(Permit { generation, probe: 0 }),
            State::Open { until } => Err(Open { retry_after: until.since(now) }),
            State::HalfOpen { in_flight, begun, .. } => {
                if let Some(first) = in_flight.first()
                    && in_flight.len() >= self.settings.probes as usize
                {
                    return Err(Open { retry_after: first.given_up.since(now) });
                }
                *begun += 1;
                in_flight.push(Probe { number: *begun, given_up: now + self.settings.probe_limit });
                Ok(Permit { generation, probe: *begun })
            }
        }
    }

    /// Tells how a call ended. Ignored of an earlier generation, and of a probe that was given up.
    pub fn report(&mut self, permit: Permit, outcome: Outcome, now: Moment) {
        let now = self.advance(now);
        if permit.generation != self.generation {
            return;
        }
        match &mut self.state {
            State::Closed => {
                self.window.record(outcome == Outcome::Failure, now);
                if self.is_failing(now) {
                    self.open(now);
                }
            }
            // No permit is of this generation.
            State::Open { .. } => {}
            State::HalfOpen { in_flight, succeeded, .. } => {
                let Some(place) = in_flight.iter().position(|probe| probe.number == permit.probe) else { return };
                in_flight.remove(place);
                match outcome {
                    Outcome::Failure => self.open(now),
                    Outcome::Success => {
                        *succeeded += 1;
                        if *succeeded >= self.settings.probes {
                            self.close();
                        }
                    }
                }
            }
        }
    }

    /// What it lets through.
    pub fn state(&self, now: Moment) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { until } if now.max(self.now) < until => BreakerState::Open,
            State::Open { .. } | State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Does what time alone does. Returns the moment that counts.
    fn advance(&mut self, now: Moment) -> Moment {
        self.now = self.now.max(now);
        match &mut self.state {
            State::Open { until } if self.now >= *until => {
                self.enter(State::HalfOpen { in_flight: Vec::new(), begun: 0, succeeded: 0 });
            }
            State::HalfOpen { in_flight, .. } => in_flight.retain(|probe| self.now < probe.given_up),
            State::Closed | State::Open { .. } => {}
        }
        self.now
    }

    fn is_failing(&self, now: Moment) -> bool {
        let (calls, failures) = self.window.tally(now);
        // Divided, so that the rate is rounded as the one it is compared with.
        let rate = failures as f64 / calls as f64;
        calls >= u64::from(self.settings.min_calls) && failures > 0 && rate >= self.settings.failure_rate
    }

    fn open(&mut self, now: Moment) {
        self.enter(State::Open { until: now + self.next_open });
        let longest = self.settings.max_open.max(self.settings.open_for);
        self.next_open = self.next_open.saturating_mul(2).min(longest);
    }

    fn close(&mut self) {
        self.enter(State::Closed);
        self.window.clear();
        self.next_open = self.settings.open_for;
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests;
