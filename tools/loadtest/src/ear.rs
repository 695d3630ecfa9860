//! When notes came: their latency by phase of the run, and second by second.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::percentiles::{new_histogram, record};

/// A part of a run whose figures are kept apart. Notes belong to it by when they were due.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// From when on, since the piece began.
    pub from: Duration,
    /// Up to when.
    pub until: Duration,
}

/// What was heard in a phase.
pub struct PhaseHeard {
    /// Which.
    pub phase: Phase,
    /// From the moment a note was due to its arrival, in microseconds.
    pub latency: Histogram<u64>,
}

/// What was heard in a second, or about one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondHeard {
    /// Notes.
    pub deliveries: u64,
    /// Their latency's percentiles, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 lie at or below.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// Hears.
pub struct Ear {
    phases: Vec<PhaseHeard>,
    /// The phase of the note before: the next one's is nearly always the same.
    last: usize,
    second: Histogram<u32>,
}

impl Ear {
    /// With these phases, in order of time; notes of none of them, as in the warm-up, are not timed.
    pub fn new(phases: impl IntoIterator<Item = Phase>) -> Self {
        let phases = phases.into_iter().map(|phase| PhaseHeard { phase, latency: new_histogram() }).collect();
        Self { phases, last: 0, second: new_histogram() }
    }

    /// A note has come that was due then, so much later.
    pub fn hear(&mut self, due: Duration, late: Duration) {
        record(&mut self.second, late);
        let is_in = |heard: &PhaseHeard| (heard.phase.from..heard.phase.until).contains(&due);
        if !self.phases.get(self.last).is_some_and(is_in) {
            let Some(at) = self.phases.iter().position(is_in) else { return };
            self.last = at;
        }
        record(&mut self.phases[self.last].latency, late);
    }

    /// What came since this was last asked.
    pub fn take_second(&mut self) -> SecondHeard {
        let at = |quantile| self.second.value_at_quantile(quantile) as f64 / 1000.0;
        let (p50_ms, p99_ms, max_ms) =
            if self.second.is_empty() { (0.0, 0.0, 0.0) } else { (at(0.5), at(0.99), at(1.0)) };
        let heard = SecondHeard { deliveries: self.second.len(), p50_ms, p99_ms, max_ms };
        self.second.reset();
        heard
    }

    /// What was heard in each phase.
    pub fn phases(&self) -> &[PhaseHeard] {
        &self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_note_counts_to_the_phase_in_which_it_was_due_however_late_it_is() {
        let phase = |name: &str, from, until| Phase { name: name.into(), from, until };
        let mut ear = Ear::new([phase("quiet", S, S * 3), phase("storm", S * 3, S * 5)]);
        for (due, late) in [(S / 2, S / 2), (S, S * 4), (S * 4, S / 4), (S * 2, S / 8), (S * 5, S)] {
            ear.hear(due, late);
        }
        let counts: Vec<_> = ear.phases().iter().map(|heard| heard.latency.len()).collect();
        assert_eq!(counts, [2, 1], "the warm-up and what follows are not timed");
        let second = ear.take_second();
        assert_eq!(second.deliveries, 5);
        assert!((second.max_ms / 4000.0 - 1.0).abs() < 0.002, "{second:?}");
        assert_eq!(ear.take_second(), SecondHeard { deliveries: 0, p50_ms: 0.0, p99_ms: 0.0, max_ms: 0.0 });
    }
}
