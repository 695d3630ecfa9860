//! Hashing of what no peer chooses: numbers that hosts give out, and the program's own types. Keys of actors are often
//! names that people choose; they are hashed by the standard library, which nobody can make collide.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A map from numbers or types.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads a number over all bits by one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        // The golden ratio's fraction, made odd: near numbers come to lie far apart. The map takes its place from the low
        // bits and its tag from the high ones; multiplying carries upwards only, so the high half of the whole product is
        // put over the low.
        let spread = u128::from(self.0 ^ number) * 0x9E37_79B9_7F4A_7C15;
        self.0 = spread as u64 ^ (spread >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{any::TypeId, collections::HashSet, hash::BuildHasher as _};

    use super::*;

    fn hash(number: u64) -> u64 {
        BuildHasherDefault::<NumberHasher>::default().hash_one(number)
    }

    #[test]
    fn numbers_in_a_row_spread_over_the_low_and_the_high_bits() {
        for first in [0, 3 << 48, u64::MAX - 500] {
            let hashes: Vec<u64> = (0..1024).map(|n| hash(first.wrapping_add(n))).collect();
            let places: HashSet<u64> = hashes.iter().map(|hash| hash % 1024).collect();
            let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(places.len() > 550 && tags.len() == 128, "{} places, {} tags", places.len(), tags.len());
        }
    }

    #[test]
    fn numbers_a_host_apart_spread_as_well() {
        let places: HashSet<u64> = (0..256u64).map(|host| hash(host << 48) % 256).collect();
        assert!(places.len() > 128, "{}", places.len());
    }

    #[test]
    fn a_map_finds_by_type_and_by_number() {
        let mut types = NumberMap::default();
        types.insert(TypeId::of::<u8>(), 1);
        types.insert(TypeId::of::<u16>(), 2);
        assert_eq!(types.get(&TypeId::of::<u16>()), Some(&2));
        let mut numbers = NumberMap::default();
        numbers.extend((0..1000u64).map(|n| (n, n)));
        assert!((0..1000).all(|n| numbers[&n] == n));
    }

    #[test]
    fn texts_of_different_length_differ() {
        let hash = |text: &str| {
            let mut hasher = NumberHasher::default();
            hasher.write(text.as_bytes());
            hasher.finish()
        };
        assert_ne!(hash("room"), hash("rooms"));
        assert_ne!(hash("a room far away"), hash("a room far awaz"));
    }
}
