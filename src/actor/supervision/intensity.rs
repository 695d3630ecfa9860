//! How often is too often: restarts within a sliding window.

use std::time::Duration;

use crate::actor::moment::Moment;

/// How many restarts are bearable: more than `restarts` within any `within` are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// So many are allowed; 0 allows none, [`u32::MAX`] any number.
    pub restarts: u32,
    /// The window. A restart counts up to exactly this age, as in OTP, and no longer.
    pub within: Duration,
}

impl Intensity {
    /// Never too many. The window is what restarts are numbered in: back-off starts over after a minute without one.
    pub const UNLIMITED: Self = Self { restarts: u32::MAX, within: Duration::from_secs(60) };
}

impl Default for Intensity {
    /// 3 in 5 seconds.
    fn default() -> Self {
        Self { restarts: 3, within: Duration::from_secs(5) }
    }
}

/// What a [`RestartLog`] says of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allowed {
        /// How many there were within the window, this one included.
        nth: u32,
    },
    /// It is one too many.
    Exceeded,
}

/// Where the intensity has no limit, restarts are numbered no further than this: every back-off is at its longest by then.
const NUMBERED: usize = 64;

/// The restarts of a window. It keeps one moment more than the intensity allows, and 64 at most where that has no limit;
/// empty it is three words and owns nothing, so that it can be kept where restarts are rare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartLog {
    /// Ascending.
    moments: Vec<Moment>,
}

impl RestartLog {
    /// Notes a restart, also one that is refused, and says whether it may be done.
    pub fn note(&mut self, intensity: &Intensity, now: Moment) -> Verdict {
        self.moments.retain(|then| now.since(*then) <= intensity.within);
        self.moments.push(now);
        let most = match intensity.restarts {
            u32::MAX => NUMBERED,
            restarts => restarts as usize + 1,
        };
        let surplus = self.moments.len().saturating_sub(most);
        self.moments.drain(..surplus);
        let nth = self.moments.len() as u32;
        if nth > intensity.restarts { Verdict::Exceeded } else { Verdict::Allowed { nth } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    fn of(restarts: u32) -> Intensity {
        Intensity { restarts, within: WITHIN }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn the_default_is_three_in_five_seconds() {
        assert_eq!(Intensity::default(), of(3));
    }

    #[test]
    fn exactly_so_many_restarts_are_allowed_and_numbered_and_not_one_more() {
        let mut log = RestartLog::default();
        for nth in 1..=3 {
            assert_eq!(log.note(&of(3), at(100)), Verdict::Allowed { nth });
        }
        assert_eq!(log.note(&of(3), at(100)), Verdict::Exceeded);
        assert_eq!(log.note(&of(3), at(100)), Verdict::Exceeded);
    }

    #[test]
    fn none_are_allowed_where_the_intensity_is_zero() {
        let mut log = RestartLog::default();
        assert_eq!(log.note(&of(0), at(0)), Verdict::Exceeded);
        assert_eq!(log.note(&of(0), at(3_600_000)), Verdict::Exceeded);
    }

    #[test]
    fn a_restart_counts_at_exactly_the_windows_length_and_no_nanosecond_longer() {
        let mut log = RestartLog::default();
        assert_eq!(log.note(&of(1), at(1000)), Verdict::Allowed { nth: 1 });
        assert_eq!(log.clone().note(&of(1), at(6000)), Verdict::Exceeded);
        let later = at(6000) + Duration::from_nanos(1);
        assert_eq!(log.note(&of(1), later), Verdict::Allowed { nth: 1 });
    }

    #[test]
    fn the_window_slides() {
        let mut log = RestartLog::default();
        assert_eq!(log.note(&of(2), at(0)), Verdict::Allowed { nth: 1 });
        assert_eq!(log.note(&of(2), at(4000)), Verdict::Allowed { nth: 2 });
        assert_eq!(log.note(&of(2), at(5001)), Verdict::Allowed { nth: 2 });
        assert_eq!(log.note(&of(2), at(9000)), Verdict::Exceeded);
    }

    #[test]
    fn a_refused_restart_counts_like_others() {
        let mut log = RestartLog::default();
        assert_eq!(log.note(&of(1), at(0)), Verdict::Allowed { nth: 1 });
        assert_eq!(log.note(&of(1), at(3000)), Verdict::Exceeded);
        assert_eq!(log.note(&of(1), at(6000)), Verdict::Exceeded);
        assert_eq!(log.note(&of(1), at(11_001)), Verdict::Allowed { nth: 1 });
    }

    #[test]
    fn it_keeps_one_moment_more_than_are_allowed_and_the_latest_ones() {
        let mut log = RestartLog::default();
        for ms in 0..100 {
            log.note(&of(3), at(ms));
        }
        assert_eq!(log.moments, [at(96), at(97), at(98), at(99)]);
        log.note(&of(0), at(100));
        assert_eq!(log.moments, [at(100)], "the intensity may change");
    }

    #[test]
    fn without_a_limit_none_is_refused_and_the_numbers_end_at_64() {
        let mut log = RestartLog::default();
        for nth in 1..=1000 {
            assert_eq!(log.note(&Intensity::UNLIMITED, at(0)), Verdict::Allowed { nth: nth.min(64) });
        }
        assert_eq!(log.moments.len(), 64);
        assert_eq!(log.clone().note(&Intensity::UNLIMITED, at(60_000)), Verdict::Allowed { nth: 64 });
        assert_eq!(log.note(&Intensity::UNLIMITED, at(60_001)), Verdict::Allowed { nth: 1 });
    }

    #[test]
    fn an_empty_log_is_three_words() {
        assert_eq!(size_of::<RestartLog>(), 3 * size_of::<usize>());
        assert_eq!(RestartLog::default().moments.capacity(), 0);
    }
}
