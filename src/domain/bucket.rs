//! A token bucket in integer arithmetic: what quotas and rate limits are made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::time::Timestamp;

/// What a bucket allows: a burst of `capacity`, and `refill` a `period_ms` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens of a full bucket; 0 refuses everything.
    pub capacity: u32,
    /// Tokens that flow in over one period; 0 refills never.
    pub refill: u32,
    /// The period, in milliseconds; 0 counts as 1.
    pub period_ms: u32,
}

impl Rate {
    /// Refuses nothing that can happen.
    pub const UNLIMITED: Self = Self { capacity: u32::MAX, refill: u32::MAX, period_ms: 1 };

    /// So many a second, and bursts of `capacity`.
    pub const fn per_second(refill: u32, capacity: u32) -> Self {
        Self { capacity, refill, period_ms: 1000 }
    }
}

/// Fractions of a token are counted in these, so that frequent small refills round away nothing that matters.
const NANO: u64 = 1_000_000_000;

/// The state of a bucket. It counts what was taken and has not flowed back yet, so that it is full by default,
/// fits every [`Rate`], and can be carried from a room with one to a room with another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Billionths of a token.
    owed: u64,
    at: Timestamp,
}

impl Bucket {
    /// Takes `n` tokens, or none where there are fewer.
    pub fn try_take(&mut self, rate: &Rate, n: u32, now: Timestamp) -> bool {
        if n > self.available(rate, now) {
            return false;
        }
        self.take(n);
        true
    }

    /// Whole tokens there are now. It brings the state up to `now`: [`Bucket::take`] may follow.
    pub fn available(&mut self, rate: &Rate, now: Timestamp) -> u32 {
        // Billionths: us · refill / (period_ms · 1000) · 10⁹.
        let flowed =
            now.since(self.at).as_micros() * u128::from(rate.refill) * 1_000_000 / u128::from(rate.period_ms.max(1));
        let flowed = u64::try_from(flowed).unwrap_or(u64::MAX);
        self.owed = self.owed.saturating_sub(flowed);
        self.at = self.at.max(now);
        let capacity = u64::from(rate.capacity) * NANO;
        (capacity.saturating_sub(self.owed) / NANO) as u32
    }

    /// Takes tokens that [`Bucket::available`] has just told of.
    pub fn take(&mut self, n: u32) {
        self.owed = self.owed.saturating_add(u64::from(n) * NANO);
    }

    /// How long until `n` tokens are there; `None` where they never are.
    pub fn retry_after(&mut self, rate: &Rate, n: u32, now: Timestamp) -> Option<Duration> {
        if self.available(rate, now) >= n {
            return Some(Duration::ZERO);
        }
        if n > rate.capacity || rate.refill == 0 {
            return None;
        }
        let excess = self.owed - u64::from(rate.capacity - n) * NANO;
        let us = (u128::from(excess) * u128::from(rate.period_ms.max(1))).div_ceil(u128::from(rate.refill) * 1_000_000);
        Some(Duration::from_micros(u64::try_from(us).unwrap_or(u64::MAX)))
    }

    /// The emptier of two, both brought up to `now`: what counts where two states of one user meet.
    pub fn leaner(mut self, mut other: Self, rate: &Rate, now: Timestamp) -> Self {
        self.available(rate, now);
        other.available(rate, now);
        if self.owed >= other.owed { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);
    const LOBBY: Rate = Rate { capacity: 600, refill: 200, period_ms: 2000 };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_new_bucket_is_full() {
        assert_eq!(Bucket::default().available(&LOBBY, START), 600);
    }

    #[test]
    fn a_spent_bucket_refuses_until_a_token_has_flowed_in() {
        let mut bucket = Bucket::default();
        assert!(bucket.try_take(&LOBBY, 600, START));
        assert!(!bucket.try_take(&LOBBY, 1, START + ms(9)));
        assert!(bucket.try_take(&LOBBY, 1, START + ms(10)));
        assert!(!bucket.try_take(&LOBBY, 1, START + ms(19)));
    }

    #[test]
    fn a_bucket_that_has_not_enough_gives_nothing() {
        let mut bucket = Bucket::default();
        assert!(!bucket.try_take(&LOBBY, 601, START));
        assert!(bucket.try_take(&LOBBY, 600, START));
    }

    #[test]
    fn retry_after_is_exact() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.retry_after(&LOBBY, 600, START), Some(Duration::ZERO));
        bucket.try_take(&LOBBY, 600, START);
        let wait = bucket.retry_after(&LOBBY, 5, START).unwrap();
        assert_eq!(wait, ms(50));
        assert_eq!(bucket.clone().available(&LOBBY, START + wait - Duration::from_micros(1)), 4);
        assert_eq!(bucket.available(&LOBBY, START + wait), 5);
        assert_eq!(bucket.retry_after(&LOBBY, 601, START), None);
        let never = Rate { capacity: 1, refill: 0, period_ms: 1 };
        assert!(bucket.try_take(&LOBBY, 5, START + wait));
        assert_eq!(bucket.retry_after(&never, 1, START + ms(1_000_000)), None);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_refills_nothing() {
        let mut bucket = Bucket::default();
        bucket.try_take(&LOBBY, 600, START);
        assert_eq!(bucket.available(&LOBBY, START - ms(5000)), 0);
        assert_eq!(bucket.available(&LOBBY, START), 0);
    }

    #[test]
    fn what_is_owed_goes_along_to_another_rate() {
        let room = Rate { capacity: 1200, refill: 400, period_ms: 2000 };
        let mut bucket = Bucket::default();
        bucket.try_take(&room, 1200, START);
        assert_eq!(bucket.available(&LOBBY, START), 0);
        assert_eq!(bucket.available(&LOBBY, START + ms(6000)), 0);
        assert_eq!(bucket.available(&LOBBY, START + ms(6010)), 1);
    }

    #[test]
    fn of_two_buckets_the_leaner_counts() {
        let (mut spent, fresh) = (Bucket::default(), Bucket::default());
        spent.try_take(&LOBBY, 300, START);
        assert_eq!(spent.leaner(fresh, &LOBBY, START).available(&LOBBY, START), 300);
        assert_eq!(fresh.leaner(spent, &LOBBY, START).available(&LOBBY, START), 300);
        // Both are brought up to the present before they are compared.
        let mut later = Bucket::default();
        later.try_take(&LOBBY, 250, START + ms(1000));
        assert_eq!(spent.leaner(later, &LOBBY, START + ms(1000)).available(&LOBBY, START + ms(1000)), 350);
    }

    #[test]
    fn unlimited_refuses_nothing() {
        let mut bucket = Bucket::default();
        for step in 0..1000 {
            assert!(bucket.try_take(&Rate::UNLIMITED, 1_000_000, START + Duration::from_micros(step)));
        }
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_and_flow_and_the_patient_get_all_of_it(
            capacity in 0u32..2000,
            refill in 0u32..20_000,
            period_ms in 1u32..5000,
            steps in vec((0u64..200_000, 0u32..400), 1..200),
        ) {
            let rate = Rate { capacity, refill, period_ms };
            let mut bucket = Bucket::default();
            let (mut now, mut taken) = (START, 0u64);
            for (us, n) in steps {
                now = now + Duration::from_micros(us);
                if bucket.try_take(&rate, n, now) {
                    taken += u64::from(n);
                } else {
                    // One short wait, as told, is enough.
                    if let Some(wait) = bucket.retry_after(&rate, n, now) {
                        let mut copy = bucket;
                        prop_assert!(copy.try_take(&rate, n, now + wait));
                    }
                }
                let flowed = now.since(START).as_micros() * u128::from(refill) / (u128::from(period_ms) * 1000);
                prop_assert!(u128::from(taken) <= u128::from(capacity) + flowed);
            }
        }
    }
}
