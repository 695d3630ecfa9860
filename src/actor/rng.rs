//! Chance that can be had again: a small generator that begins from a seed.

/// SplitMix64: for the jitter of back-offs and for simulations, not for secrets.
///
/// Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, with the constants of the
/// mixing function that Java's `SplittableRandom` took from it (Stafford's variant 13). Its state is one word; each seed, 0
/// among them, begins its own place on one cycle of all 2^64 numbers. One seed gives the same numbers on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(u64);

impl Rng {
    /// Begins from a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, each as likely as any.
    pub const fn next_u64(&mut self) -> u64 {
        // The golden ratio's fraction, made odd.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next number from 0 to below 1, in steps of 2^-53: what `draw` arguments want.
    pub const fn draw(&mut self) -> f64 {
        // The 53 high bits fit a double exactly.
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// The next number from 0 to below `n`; 0 where `n` is. Off an even spread by less than `n` in 2^64.
    pub const fn below(&mut self, n: u64) -> u64 {
        ((self.next_u64() as u128 * n as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds whose first number is each of these: the ends of the range.
    fn seed_of(number: u64) -> u64 {
        // The mixing backwards: each step is one to one.
        let unshift = |mut value: u64, by: u32| {
            let mixed = value;
            for _ in 0..64 / by {
                value = mixed ^ (value >> by);
            }
            value
        };
        let inverse = |odd: u64| (0..6).fold(1u64, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))));
        let mut mixed = unshift(number, 31).wrapping_mul(inverse(0x94D0_49BB_1331_11EB));
        mixed = unshift(mixed, 27).wrapping_mul(inverse(0xBF58_476D_1CE4_E5B9));
        unshift(mixed, 30).wrapping_sub(0x9E37_79B9_7F4A_7C15)
    }

    fn first(number: u64) -> Rng {
        Rng::new(seed_of(number))
    }

    #[test]
    fn the_numbers_are_those_of_other_implementations() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(
            [(); 5].map(|()| rng.next_u64()),
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
        assert_eq!(Rng::new(0).next_u64(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn one_seed_gives_the_same_numbers_again() {
        let (mut one, mut other) = (Rng::new(7), Rng::new(7));
        assert!((0..100).all(|_| one.next_u64() == other.next_u64()));
        assert_ne!(Rng::new(7).next_u64(), Rng::new(8).next_u64());
    }

    #[test]
    fn the_ends_of_the_range_can_be_asked_for() {
        for number in [0, 1, 1 << 63, u64::MAX] {
            assert_eq!(first(number).next_u64(), number);
        }
    }

    #[test]
    fn draws_reach_from_zero_to_just_below_one() {
        assert_eq!(first(0).draw(), 0.0);
        assert_eq!(first(1 << 11).draw(), f64::EPSILON / 2.0);
        assert_eq!(first(1 << 63).draw(), 0.5);
        assert_eq!(first(u64::MAX).draw(), 1.0 - f64::EPSILON / 2.0);
    }

    #[test]
    fn numbers_below_a_bound_reach_from_zero_to_just_below_it() {
        for bound in [1, 2, 3, 1000, u64::MAX] {
            assert_eq!(first(0).below(bound), 0);
            assert_eq!(first(u64::MAX).below(bound), bound - 1);
        }
        assert_eq!(first(1 << 63).below(1000), 500);
        assert_eq!(first((1 << 63) - 1).below(1000), 499);
    }

    #[test]
    fn nothing_is_below_zero_but_zero_is_given() {
        assert_eq!(first(u64::MAX).below(0), 0);
    }

    #[test]
    fn numbers_spread_evenly() {
        let mut rng = Rng::new(42);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let mean = (0..100_000).map(|_| rng.draw()).sum::<f64>() / 100_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
    }
}
