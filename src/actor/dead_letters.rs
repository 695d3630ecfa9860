//! Which dead letters the log tells of. How many there are is counted in
//! [`KindFigures`](crate::actor::kind_figures::KindFigures).

use std::time::Duration;

use crate::actor::{kind_figures::DeadReason, moment::Moment};

/// The time that lies at least between two lines of one kind and reason.
pub const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Kinds that have lines of their own; those beyond share the last one's.
const KINDS: usize = 64;

/// Chooses a host's lines on dead letters: the first of each kind and reason, then at most one a second.
///
/// Its memory is fixed: one place for each reason of 64 kinds. Kinds from number 63 on share the last kind's places,
/// and are not told apart there.
#[derive(Debug)]
pub struct DeadLetters(Box<[[Place; DeadReason::COUNT]; KINDS]>);

/// The letters of one kind and reason.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    logged: Option<Moment>,
    suppressed: u64,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self::new()
    }
}

impl DeadLetters {
    /// Begins with nothing logged.
    pub fn new() -> Self {
        Self(Box::new([[Place::default(); DeadReason::COUNT]; KINDS]))
    }

    /// Takes note of a dead letter. Where the log is to tell of it: how many of its kind and reason were not told of since
    /// the last that was.
    ///
    /// Those of a burst's end are told of by the next letter's line, whenever that comes.
    pub fn should_log(&mut self, kind: u16, reason: DeadReason, now: Moment) -> Option<u64> {
        let place = &mut self.0[usize::from(kind).min(KINDS - 1)][reason as usize];
        if place.logged.is_some_and(|logged| now.since(logged) < LOG_INTERVAL) {
            place.suppressed += 1;
            return None;
        }
        place.logged = Some(now);
        Some(std::mem::take(&mut place.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ns(ns: u64) -> Moment {
        Moment::from_ns(ns)
    }

    #[test]
    fn the_first_is_logged_at_once() {
        assert_eq!(DeadLetters::new().should_log(1, DeadReason::Stopped, ns(0)), Some(0));
        assert_eq!(DeadLetters::default().should_log(1, DeadReason::Stopped, ns(7)), Some(0));
    }

    #[test]
    fn within_a_second_of_a_line_there_is_no_other() {
        let mut letters = DeadLetters::new();
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(5)), Some(0));
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(5)), None);
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(4 + SECOND)), None);
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(5 + SECOND)), Some(2));
        // The second counts from the line, not from what was suppressed.
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(4 + 2 * SECOND)), None);
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(5 + 2 * SECOND)), Some(1));
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(90 * SECOND)), Some(0));
    }

    #[test]
    fn every_kind_and_reason_has_lines_of_its_own() {
        let mut letters = DeadLetters::new();
        for kind in 0..64 {
            for reason in DeadReason::ALL {
                assert_eq!(letters.should_log(kind, reason, ns(0)), Some(0), "{kind} {reason:?}");
                assert_eq!(letters.should_log(kind, reason, ns(1)), None, "{kind} {reason:?}");
            }
        }
    }

    #[test]
    fn kinds_beyond_the_table_share_its_last_lines() {
        let mut letters = DeadLetters::new();
        assert_eq!(letters.should_log(63, DeadReason::Expired, ns(0)), Some(0));
        for kind in [64, 65, 127, u16::MAX] {
            assert_eq!(letters.should_log(kind, DeadReason::Expired, ns(1)), None, "{kind}");
        }
        assert_eq!(letters.should_log(0, DeadReason::Expired, ns(1)), Some(0));
        assert_eq!(letters.should_log(62, DeadReason::Expired, ns(1)), Some(0));
        assert_eq!(letters.should_log(63, DeadReason::Expired, ns(SECOND)), Some(4));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_add_lines() {
        let mut letters = DeadLetters::new();
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(10 * SECOND)), Some(0));
        assert_eq!(letters.should_log(1, DeadReason::Stopped, ns(0)), None);
    }
}
