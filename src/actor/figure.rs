//! One number that its owner counts and anyone may read at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A figure with one writer: no locked instruction is needed to change it.
///
/// Changes by two threads at once lose some of them; nothing worse. What a reader sees of two figures may be of two
/// different moments.
#[derive(Debug, Default)]
pub struct Figure(AtomicU64);

impl Figure {
    /// Adds; past the end it begins again at zero. Only the owner may.
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Takes away, for gauges; stops at zero. Only the owner may.
    pub fn sub(&self, n: u64) {
        self.set(self.get().saturating_sub(n));
    }

    /// Sets. Only the owner may.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Raises it to a value; leaves it where it is higher. Only the owner may.
    pub fn max(&self, value: u64) {
        self.set(self.get().max(value));
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: u64) -> Figure {
        let figure = Figure::default();
        figure.set(value);
        figure
    }

    #[test]
    fn a_new_figure_is_zero() {
        assert_eq!(Figure::default().get(), 0);
    }

    #[test]
    fn adding_and_taking_away_change_it_by_as_much() {
        let figure = figure(5);
        figure.add(3);
        assert_eq!(figure.get(), 8);
        figure.sub(2);
        assert_eq!(figure.get(), 6);
    }

    #[test]
    fn taking_away_too_much_stops_at_zero() {
        let figure = figure(2);
        figure.sub(3);
        assert_eq!(figure.get(), 0);
    }

    #[test]
    fn adding_past_the_end_begins_again_at_zero() {
        let figure = figure(u64::MAX);
        figure.add(2);
        assert_eq!(figure.get(), 1);
    }

    #[test]
    fn a_maximum_rises_and_does_not_fall() {
        let figure = figure(5);
        for (value, expected) in [(4, 5), (5, 5), (6, 6), (0, 6)] {
            figure.max(value);
            assert_eq!(figure.get(), expected);
        }
    }
}
