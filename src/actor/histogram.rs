//! How long things took: counts by powers of two, cheap enough to be kept for every message.

use crate::actor::figure::Figure;

/// How many buckets a histogram has.
pub const BUCKETS: usize = 32;

/// The first bucket's bound, 2^7 ns: about what it takes to read the clock.
const FIRST_BOUND_LOG2: u32 = 7;

/// A histogram of nanoseconds with one writer, read by anyone at any time.
///
/// Bucket 0 holds what took up to 128 ns, its bound included. Bucket `i` from 1 to 30 holds what took more than 2^(6+i) ns
/// and up to 2^(7+i) ns: the bounds are 128, 256, 512, 1024 … 137 438 953 472 ns (137 s), and each belongs to the bucket
/// below it, as Prometheus has it. Bucket 31 holds what took longer.
///
/// A snapshot taken during a record may have a part of that record and lack the rest until the next.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Figure; BUCKETS],
    sum: Figure,
    max: Figure,
}

impl Histogram {
    /// Counts one that took so many nanoseconds: three loads and three stores. Only the owner may.
    pub fn record(&self, ns: u64) {
        self.max.max(ns);
        self.sum.add(ns);
        self.buckets[bucket_of(ns)].add(1);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Figure::get).sum()
    }

    /// Nanoseconds all together; begins again at zero after 584 years of them.
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// The longest, in nanoseconds.
    pub fn max(&self) -> u64 {
        self.max.get()
    }

    /// What is counted now.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|bucket| self.buckets[bucket].get()),
            sum: self.sum(),
            max: self.max(),
        }
    }
}

/// A histogram as it was at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// How many each bucket holds; [`bound`] says of what.
    pub buckets: [u64; BUCKETS],
    /// Nanoseconds all together.
    pub sum: u64,
    /// The longest, in nanoseconds.
    pub max: u64,
}

impl HistogramSnapshot {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Nanoseconds that one took on average; zero where there are none.
    pub fn mean(&self) -> f64 {
        match self.count() {
            0 => 0.0,
            count => self.sum as f64 / count as f64,
        }
    }

    /// Nanoseconds that at least a share `q`, from 0 to 1, of all took at most; zero where there are none.
    ///
    /// This is the bound of the bucket in which that share is reached, up to twice too long, and never more than the longest.
    /// Shares beyond the ends count as the ends.
    pub fn quantile(&self, q: f64) -> u64 {
        // The share of none is reached with the first there is.
        let wanted = (q * self.count() as f64).max(1.0);
        let mut reached = 0;
        for (bucket, held) in self.buckets.iter().enumerate() {
            reached += held;
            if reached as f64 >= wanted {
                return bound(bucket).map_or(self.max, |bound| bound.min(self.max));
            }
        }
        self.max
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (held, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *held += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

/// The most nanoseconds that a bucket holds; the last bucket has no bound, and there are none beyond it.
pub const fn bound(bucket: usize) -> Option<u64> {
    if bucket < BUCKETS - 1 { Some(1 << (FIRST_BOUND_LOG2 + bucket as u32)) } else { None }
}

/// The bucket that holds what took so many nanoseconds.
const fn bucket_of(ns: u64) -> usize {
    // A bound belongs to the bucket below it: one less has the bits of that bucket.
    let bits = u64::BITS - ns.saturating_sub(1).leading_zeros();
    let bucket = bits.saturating_sub(FIRST_BOUND_LOG2) as usize;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::rng::Rng;

    fn of(records: &[u64]) -> HistogramSnapshot {
        let histogram = Histogram::default();
        for &ns in records {
            histogram.record(ns);
        }
        histogram.snapshot()
    }

    #[test]
    fn bounds_are_powers_of_two_from_128_ns_to_137_s() {
        assert_eq!(bound(0), Some(128));
        assert_eq!(bound(1), Some(256));
        assert_eq!(bound(30), Some(137_438_953_472));
        assert_eq!(bound(31), None);
        assert_eq!(bound(32), None);
        assert_eq!(bound(1000), None);
    }

    #[test]
    fn each_bound_belongs_to_the_bucket_below_it() {
        for bucket in 0..BUCKETS - 1 {
            let bound = bound(bucket).unwrap();
            assert_eq!(bucket_of(bound - 1), bucket);
            assert_eq!(bucket_of(bound), bucket);
            assert_eq!(bucket_of(bound + 1), bucket + 1);
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(1), 0);
        assert_eq!(bucket_of(1 << 38), 31);
        assert_eq!(bucket_of((1 << 38) + 1), 31);
        assert_eq!(bucket_of(u64::MAX), 31);
    }

    #[test]
    fn a_record_counts_in_its_bucket_the_sum_and_the_maximum() {
        let histogram = Histogram::default();
        for ns in [128, 1000, 129] {
            histogram.record(ns);
        }
        assert_eq!((histogram.count(), histogram.sum(), histogram.max()), (3, 1257, 1000));
        let mut buckets = [0; BUCKETS];
        (buckets[0], buckets[1], buckets[3]) = (1, 1, 1);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot, HistogramSnapshot { buckets, sum: 1257, max: 1000 });
        assert_eq!(snapshot.count(), 3);
        assert_eq!(snapshot.mean(), 419.0);
    }

    #[test]
    fn without_records_all_is_zero() {
        let empty = of(&[]);
        assert_eq!(empty, HistogramSnapshot::default());
        assert_eq!((empty.count(), empty.mean(), empty.quantile(0.5), empty.max), (0, 0.0, 0, 0));
    }

    #[test]
    fn a_quantile_is_the_bound_of_the_bucket_that_reaches_it() {
        // Four in buckets 0, 1, 2 and 3.
        let snapshot = of(&[100, 200, 400, 1024]);
        for (q, expected) in [
            (-1.0, 128),
            (0.0, 128),
            (0.25, 128),
            (0.251, 256),
            (0.5, 256),
            (0.51, 512),
            (0.75, 512),
            (0.76, 1024),
            (1.0, 1024),
            (2.0, 1024),
            (f64::NAN, 128),
        ] {
            assert_eq!(snapshot.quantile(q), expected, "{q}");
        }
    }

    #[test]
    fn a_quantile_skips_empty_buckets_at_the_front() {
        assert_eq!(of(&[200, 300]).quantile(0.0), 256);
    }

    #[test]
    fn a_quantile_is_never_more_than_the_longest() {
        assert_eq!(of(&[100]).quantile(0.5), 100);
        assert_eq!(of(&[100, 700]).quantile(0.5), 128);
        assert_eq!(of(&[100, 700]).quantile(0.99), 700);
        assert_eq!(of(&[1, u64::MAX - 1]).quantile(0.99), u64::MAX - 1);
    }

    #[test]
    fn merged_snapshots_are_those_of_all_records() {
        let mut merged = of(&[100, 5000]);
        merged.merge(&of(&[200, 300]));
        assert_eq!(merged, of(&[100, 5000, 200, 300]));
        merged.merge(&of(&[6000]));
        assert_eq!(merged, of(&[100, 5000, 200, 300, 6000]));
    }

    #[test]
    fn merged_sums_stop_at_the_most_there_is() {
        let mut merged = of(&[u64::MAX]);
        merged.merge(&of(&[2]));
        assert_eq!((merged.sum, merged.count()), (u64::MAX, 2));
    }

    #[test]
    fn quantiles_are_at_least_the_true_ones_and_less_than_twice_them() {
        let mut rng = Rng::new(3);
        for round in 0..200 {
            let count = 1 + rng.below(300);
            let mut records: Vec<u64> = (0..count).map(|_| 128 + (rng.next_u64() >> (28 + rng.below(30)))).collect();
            let snapshot = of(&records);
            records.sort_unstable();
            for q in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
                let rank = ((q * records.len() as f64).ceil() as usize).max(1);
                let truth = records[rank - 1];
                let told = snapshot.quantile(q);
                assert!(truth <= told && told < 2 * truth, "round {round}: {q} of {records:?} is {truth}, not {told}");
            }
        }
    }
}
