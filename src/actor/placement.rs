//! Which shard a key lives on: the same for everybody who asks, in every process, for rooms and users alike.

/// The shard, from 0, that a key lives on among so many (0 counts as 1).
///
/// Jump consistent hash (Lamping and Veach, 2014) over 64-bit FNV-1a with MurmurHash3's finaliser: no table, and
/// one more shard moves only the keys that it takes over. Figures and constants are part of the placement of
/// every stored and travelling thing: they do not change.
pub fn shard_of(key: &str, shards: usize) -> usize {
    let mut hash = mixed(fnv1a(key.as_bytes()));
    let (mut shard, mut next) = (0, 0);
    while next < shards.max(1) {
        shard = next;
        hash = hash.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let stride = (1u64 << 31) as f64 / ((hash >> 33) + 1) as f64;
        next = ((shard + 1) as f64 * stride) as usize;
    }
    shard
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// FNV-1a alone leaves keys that differ in their last byte close together.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of its authors.
        assert_eq!(fnv1a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn placement_never_changes() {
        let placed = |shards| ["", "lobby", "lobby2", "jazz club", "größe"].map(|key| shard_of(key, shards));
        assert_eq!(placed(1), [0; 5]);
        // Worked out by another implementation.
        assert_eq!(placed(3), [1, 2, 1, 1, 2]);
        assert_eq!(placed(64), [59, 10, 38, 20, 58]);
        // So many that each step has to be exact.
        let exact = [981_341_955_949, 913_970_573_932, 309_850_841_718, 671_761_755_310, 601_481_110_044];
        assert_eq!(placed(1 << 40), exact);
    }

    #[test]
    fn no_shards_count_as_one() {
        assert_eq!(shard_of("lobby", 0), 0);
    }

    #[test]
    fn keys_spread_evenly_even_where_they_differ_in_a_digit() {
        for shards in [2, 3, 7, 16] {
            let mut counts = vec![0usize; shards];
            (0..16_000).for_each(|n| counts[shard_of(&format!("lobby{n}"), shards)] += 1);
            let fair = 16_000 / shards;
            assert!(counts.iter().all(|&count| count.abs_diff(fair) < fair / 8), "{shards}: {counts:?}");
        }
    }

    #[test]
    fn one_more_shard_moves_only_what_it_takes_over() {
        for shards in 1..16 {
            let keys = (0..4_000).map(|n| format!("room {n}"));
            let moved: Vec<_> =
                keys.map(|key| (shard_of(&key, shards), shard_of(&key, shards + 1))).filter(|(a, b)| a != b).collect();
            assert!(moved.iter().all(|&(_, to)| to == shards));
            let fair = 4_000 / (shards + 1);
            assert!(moved.len().abs_diff(fair) < fair / 3, "{shards}: {} of {fair}", moved.len());
        }
    }
}
