//! Durations summed up: a histogram while they come, and the figures that are kept of it.

use std::{fmt, time::Duration};

use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

/// For microseconds up to a minute, to three digits; what is longer counts as a minute.
pub fn new_histogram<C: Counter>() -> Histogram<C> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Adds a duration, in microseconds.
pub fn record<C: Counter>(histogram: &mut Histogram<C>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

/// Where the curve of a distribution is kept: shares below a value, dense where the tail is.
const CURVE: [f64; 22] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995,
    0.9999, 0.99999, 1.0,
];

/// What is kept of many durations, in milliseconds; all 0 of none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// Half lie at or below this.
    pub p50_ms: f64,
    /// 90 of 100 lie at or below this.
    pub p90_ms: f64,
    /// 99 of 100 lie at or below this.
    pub p99_ms: f64,
    /// 999 of 1000 lie at or below this.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// The whole distribution, coarsely: the share at or below, and the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<(f64, f64)>,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    pub fn of<C: Counter>(histogram: &Histogram<C>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
            curve: CURVE.iter().map(|quantile| (*quantile, at(*quantile))).collect(),
        }
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = self;
        write!(
            f,
            "p50 {p50_ms:.2} ms, p90 {p90_ms:.2} ms, p99 {p99_ms:.2} ms, p99.9 {p999_ms:.2} ms, max {max_ms:.2} ms"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_durations() {
        let mut histogram = new_histogram::<u64>();
        (1..=1000).for_each(|ms| record(&mut histogram, Duration::from_millis(ms)));
        let Percentiles { count, p50_ms, p99_ms, p999_ms, max_ms, curve, .. } = Percentiles::of(&histogram);
        assert_eq!(count, 1000);
        for (figure, right) in [(p50_ms, 500.0), (p99_ms, 990.0), (p999_ms, 999.0), (max_ms, 1000.0)] {
            assert!((figure / right - 1.0).abs() < 0.002, "{figure} is not {right}");
        }
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{curve:?}");
    }

    #[test]
    fn nothing_is_zero_and_too_long_is_a_minute() {
        let mut histogram = new_histogram::<u32>();
        assert_eq!(Percentiles::of(&histogram), Percentiles::default());
        record(&mut histogram, Duration::from_secs(3600));
        assert!((Percentiles::of(&histogram).max_ms - 60_000.0).abs() < 60.0);
    }
}
