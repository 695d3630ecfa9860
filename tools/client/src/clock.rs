//! The server's time, estimated from round trips; pure. The owner reads the local clock and passes it in.

use std::{collections::VecDeque, time::Duration};

use crate::protocol::time::Timestamp;

/// How many of the newest samples are kept to choose from.
const WINDOW: usize = 8;
/// How far two machines' clocks may drift apart: what a sample loses with age, in parts of a million.
const DRIFT_PPM: u64 = 50;
/// A correction is spread over this long, so that the time between two notes is not bent audibly.
const SLEW_US: i64 = 2_000_000;
/// Forward corrections beyond this are taken at once: the machine slept, and what was due is past.
const STEP_US: i64 = 1_000_000;

/// One round trip of a `TimeSync`: when it left and came back by the local clock, and when the server had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When the question left, by the local clock, in microseconds.
    pub sent_us: i64,
    /// When the server received it, in microseconds of server time.
    pub server_receive_us: i64,
    /// When the server answered, in microseconds of server time.
    pub server_send_us: i64,
    /// When the answer came, by the local clock, in microseconds.
    pub received_us: i64,
}

impl Sample {
    /// Server time minus local time, as NTP computes it: exact where both ways take equally long.
    fn offset_us(&self) -> i64 {
        let out = self.server_receive_us.saturating_sub(self.sent_us);
        let back = self.server_send_us.saturating_sub(self.received_us);
        out / 2 + back / 2 + (out % 2 + back % 2) / 2
    }

    /// How long the network took both ways together.
    fn delay_us(&self) -> u64 {
        let away = self.received_us.saturating_sub(self.sent_us);
        let within = self.server_send_us.saturating_sub(self.server_receive_us);
        u64::try_from(away.saturating_sub(within)).unwrap_or(0)
    }

    /// The largest error the offset can have at `now_us`.
    fn error_us(&self, now_us: i64) -> u64 {
        let age = u64::try_from(now_us.saturating_sub(self.received_us)).unwrap_or(0);
        self.delay_us() / 2 + age / 1_000_000 * DRIFT_PPM
    }
}

/// An estimate of the server's clock that never runs backwards.
///
/// The offset is that of the best of the last eight samples: the one whose round trip was shortest, with an
/// allowance for its age. A new offset is approached over two seconds (a large one at no more than half or
/// one and a half times the pace of time); only the first sample, and one that lies more than a second ahead, are
/// taken at once.
#[derive(Clone, Debug)]
pub struct ServerClock {
    samples: VecDeque<Sample>,
    /// The local time from which the correction below runs.
    from_us: i64,
    /// Server time minus local time at `from_us`.
    offset_us: i64,
    /// What is added to the offset in the end.
    correction_us: i64,
}

impl ServerClock {
    /// A clock set by a time that the server told and that came at `local_us`; it is behind by the way the message took.
    pub fn new(server_us: i64, local_us: i64) -> Self {
        Self {
            samples: VecDeque::with_capacity(WINDOW),
            from_us: local_us,
            offset_us: server_us.saturating_sub(local_us),
            correction_us: 0,
        }
    }

    /// Takes a round trip into account. `now_us` is the local time; the estimate at that moment stays as it was, but
    /// for the steps forward that the type's description names.
    pub fn observe(&mut self, sample: Sample, now_us: i64) {
        let first = self.samples.is_empty();
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let best = self.samples.iter().min_by_key(|sample| sample.error_us(now_us)).unwrap_or(&sample);
        let target = best.offset_us();
        let current = self.offset_at(now_us);
        let error = target.saturating_sub(current);
        let steps = error > STEP_US || (first && error > 0);
        self.from_us = now_us;
        self.offset_us = if steps { target } else { current };
        self.correction_us = if steps { 0 } else { error };
    }

    /// The server's time at this local time.
    pub fn at(&self, local_us: i64) -> Timestamp {
        Timestamp::from_us(u64::try_from(local_us.saturating_add(self.offset_at(local_us))).unwrap_or(0))
    }

    /// The round trip of the best sample: what the network takes both ways together. `None` before the first.
    pub fn round_trip(&self) -> Option<Duration> {
        self.samples.iter().map(Sample::delay_us).min().map(Duration::from_micros)
    }

    fn offset_at(&self, local_us: i64) -> i64 {
        // Twice the correction at least: the clock then runs at half its pace at least, and never stands or goes back.
        let lasts = self.correction_us.saturating_abs().saturating_mul(2).max(SLEW_US);
        let elapsed = local_us.saturating_sub(self.from_us).clamp(0, lasts);
        let corrected = i128::from(self.correction_us) * i128::from(elapsed) / i128::from(lasts);
        self.offset_us.saturating_add(corrected as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A round trip at local time `sent_us` over the given ways, where the server is `offset_us` ahead.
    fn trip(sent_us: i64, offset_us: i64, out_us: i64, back_us: i64) -> Sample {
        let server_receive_us = sent_us + out_us + offset_us;
        let server_send_us = server_receive_us + 10;
        Sample { sent_us, server_receive_us, server_send_us, received_us: server_send_us - offset_us + back_us }
    }

    fn observe(clock: &mut ServerClock, sample: Sample) {
        clock.observe(sample, sample.received_us);
    }

    #[test]
    fn the_first_sample_sets_the_clock_forward_at_once() {
        let mut clock = ServerClock::new(1_000_000, 0);
        assert_eq!(clock.at(5).as_us(), 1_000_005);
        observe(&mut clock, trip(100, 1_020_000, 300, 300));
        assert_eq!(clock.at(1000).as_us(), 1_021_000);
    }

    #[test]
    fn a_sample_that_waited_somewhere_does_not_move_the_clock() {
        let mut clock = ServerClock::new(0, 0);
        observe(&mut clock, trip(0, 5000, 200, 200));
        observe(&mut clock, trip(1_000_000, 5000, 80_000, 200));
        assert_eq!(clock.at(9_000_000).as_us(), 9_005_000);
        assert_eq!(clock.round_trip(), Some(Duration::from_micros(400)));
    }

    #[test]
    fn an_old_sample_gives_way_to_a_newer_one_that_is_nearly_as_quick() {
        let mut clock = ServerClock::new(0, 0);
        observe(&mut clock, trip(0, 1000, 200, 200));
        // Ten seconds on, the clocks have drifted by 400 µs, and this trip is slower by 100 µs.
        observe(&mut clock, trip(10_000_000, 1400, 250, 250));
        assert_eq!(clock.at(20_000_000).as_us(), 20_001_400);
    }

    #[test]
    fn a_correction_is_spread_over_two_seconds() {
        let mut clock = ServerClock::new(0, 0);
        observe(&mut clock, trip(0, 100_000, 500, 500));
        let sample = trip(10_000_000, 98_000, 100, 100);
        observe(&mut clock, sample);
        let start = sample.received_us;
        assert_eq!(clock.at(start).as_us() as i64, start + 100_000);
        assert_eq!(clock.at(start + 1_000_000).as_us() as i64, start + 1_099_000);
        assert_eq!(clock.at(start + 2_000_000).as_us() as i64, start + 2_098_000);
        assert_eq!(clock.at(start + 9_000_000).as_us() as i64, start + 9_098_000);
    }

    #[test]
    fn a_clock_far_behind_steps_and_one_far_ahead_slows_to_half() {
        let mut clock = ServerClock::new(0, 0);
        observe(&mut clock, trip(0, 0, 100, 100));
        let ahead = trip(1_000_000, 60_000_000, 50, 50);
        observe(&mut clock, ahead);
        assert_eq!(clock.at(2_000_000).as_us(), 62_000_000);
        let behind = trip(3_000_000, 0, 10, 10);
        observe(&mut clock, behind);
        let start = behind.received_us;
        assert_eq!(
            clock.at(start + 2_000_000) - clock.at(start).since(Timestamp::from_us(0)),
            Timestamp::from_us(1_000_000)
        );
    }

    proptest! {
        #[test]
        fn it_never_runs_backwards(trips in prop::collection::vec((-5_000_000i64..5_000_000, 0i64..200_000, 0i64..200_000, 1i64..4_000_000), 1..40)) {
            let mut clock = ServerClock::new(20_000_000, 0);
            let (mut now, mut last) = (0, clock.at(0));
            for (offset, out, back, pause) in trips {
                let sample = trip(now, 20_000_000 + offset, out, back);
                for at in [sample.received_us - back / 2, sample.received_us] {
                    prop_assert!(clock.at(at) >= last);
                    last = clock.at(at);
                }
                clock.observe(sample, sample.received_us);
                for at in [sample.received_us, sample.received_us + pause / 2, sample.received_us + pause] {
                    prop_assert!(clock.at(at) >= last);
                    last = clock.at(at);
                }
                now = sample.received_us + pause;
            }
        }

        #[test]
        fn whatever_a_server_tells_nothing_overflows(a in any::<i64>(), b in any::<i64>(), c in any::<i64>(), d in any::<i64>(), at in any::<i64>()) {
            let mut clock = ServerClock::new(a, b);
            clock.observe(Sample { sent_us: b, server_receive_us: c, server_send_us: d, received_us: at }, at);
            clock.observe(Sample { sent_us: d, server_receive_us: a, server_send_us: b, received_us: c }, at);
            clock.at(at);
        }
    }
}
