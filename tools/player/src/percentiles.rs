//! Figures that sum up many durations.

use serde::Serialize;

/// The middle, the edge and the worst of a set of durations, in milliseconds; all 0 of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half lie at or below this.
    pub p50_ms: f64,
    /// 99 of 100 lie at or below this.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Percentiles {
    /// Of durations in microseconds, by nearest rank.
    pub fn of_us(mut durations: Vec<i64>) -> Self {
        durations.sort_unstable();
        let rank = |part: usize| -> f64 {
            let index = (durations.len() * part).div_ceil(100).saturating_sub(1);
            durations.get(index).map_or(0.0, |&us| us as f64 / 1000.0)
        };
        Self { p50_ms: rank(50), p99_ms: rank(99), max_ms: rank(100) }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", self.p50_ms, self.p99_ms, self.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest_and_nothing_is_zero() {
        let hundred = Percentiles::of_us((1..=100).rev().map(|ms| ms * 1000).collect());
        assert_eq!(hundred, Percentiles { p50_ms: 50.0, p99_ms: 99.0, max_ms: 100.0 });
        assert_eq!(Percentiles::of_us(vec![-3000]), Percentiles { p50_ms: -3.0, p99_ms: -3.0, max_ms: -3.0 });
        assert_eq!(Percentiles::of_us(vec![]), Percentiles::default());
    }
}
