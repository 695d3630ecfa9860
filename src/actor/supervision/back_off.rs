//! How long a restart waits.

use std::time::Duration;

/// The delays between restarts: none before the first, then growing by a factor, spread by chance so that many who failed
/// together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackOff {
    /// Before the second restart; the first is done at once.
    pub first: Duration,
    /// No delay grows beyond this; jitter comes on top, so that the longest ones are spread as well.
    pub longest: Duration,
    /// How much longer each delay is than the one before.
    pub factor: f64,
    /// The share of a delay that chance adds or takes: 0.2 makes 8 to 12 out of 10.
    pub jitter: f64,
}

impl BackOff {
    /// Every restart at once.
    pub const NONE: Self = Self { first: Duration::ZERO, longest: Duration::ZERO, factor: 1.0, jitter: 0.0 };

    /// How long the `nth` restart waits. `draw` is between 0 (the shortest) and 1 (the longest that jitter makes of it).
    ///
    /// Settings that make no sense (negative, infinite, not a number) make strange delays, but no panic.
    pub fn delay(&self, nth: u32, draw: f64) -> Duration {
        if nth < 2 || self.first.is_zero() {
            return Duration::ZERO;
        }
        let grown = self.first.as_secs_f64() * self.factor.powf(f64::from(nth - 2));
        let spread = 1.0 + self.jitter * (2.0 * draw - 1.0);
        let seconds = grown.min(self.longest.as_secs_f64()) * spread;
        // What is still no duration is too long for one.
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(self.longest)
    }
}

impl Default for BackOff {
    /// 10 ms, doubled up to 5 s, a fifth more or less.
    fn default() -> Self {
        Self { first: Duration::from_millis(10), longest: Duration::from_secs(5), factor: 2.0, jitter: 0.2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: f64 = 0.5;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_second_waits() {
        let back_off = BackOff::default();
        assert_eq!(back_off.delay(0, MIDDLE), Duration::ZERO);
        assert_eq!(back_off.delay(1, MIDDLE), Duration::ZERO);
        assert_eq!(back_off.delay(2, MIDDLE), ms(10));
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (2..13).map(|nth| BackOff::default().delay(nth, MIDDLE)).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000].map(ms));
    }

    #[test]
    fn jitter_takes_or_adds_its_share_and_does_so_to_the_longest_too() {
        let back_off = BackOff::default();
        assert_eq!(back_off.delay(3, 0.0), ms(16));
        assert_eq!(back_off.delay(3, 0.25), ms(18));
        assert_eq!(back_off.delay(3, 1.0), ms(24));
        assert_eq!(back_off.delay(99, 0.0), ms(4000));
        assert_eq!(back_off.delay(99, 1.0), ms(6000));
    }

    #[test]
    fn every_number_has_a_delay() {
        assert_eq!(BackOff::default().delay(u32::MAX, MIDDLE), ms(5000));
        let boundless = BackOff { longest: Duration::MAX, ..BackOff::default() };
        assert_eq!(boundless.delay(u32::MAX, 1.0), Duration::MAX);
    }

    #[test]
    fn none_never_waits() {
        for nth in [0, 1, 2, 3, u32::MAX] {
            assert_eq!(BackOff::NONE.delay(nth, 1.0), Duration::ZERO);
        }
        let nothing_grows = BackOff { first: Duration::ZERO, ..BackOff::default() };
        assert_eq!(nothing_grows.delay(u32::MAX, MIDDLE), Duration::ZERO);
    }

    #[test]
    fn senseless_settings_make_no_panic() {
        let back_off = BackOff::default();
        assert_eq!(BackOff { jitter: 3.0, ..back_off }.delay(2, 0.0), Duration::ZERO);
        assert_eq!(BackOff { factor: -1.0, ..back_off }.delay(3, MIDDLE), Duration::ZERO);
        assert_eq!(BackOff { factor: f64::NAN, ..back_off }.delay(3, MIDDLE), ms(5000));
        assert_eq!(BackOff { jitter: f64::NAN, ..back_off }.delay(3, MIDDLE), Duration::ZERO);
        assert_eq!(BackOff { jitter: f64::INFINITY, ..back_off }.delay(3, 1.0), ms(5000));
    }
}
