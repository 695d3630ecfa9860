//! Keys of indexes: several parts in one text that sorts as the parts do.
//!
//! A part ends in a character that no part holds once it is escaped, so that no text of a user's runs into the next
//! part, and all keys that begin with the same parts stand together.

use crate::protocol::time::Timestamp;

/// Ends a part.
const END: char = '\u{1}';
/// One after it: where the keys that begin with a part end.
const AFTER_END: char = '\u{2}';
/// Escapes itself, the end, and zero, which some servers' texts may not hold.
const ESCAPE: char = '\u{2}';

/// The key of these parts.
pub fn key(parts: &[&str]) -> String {
    let mut key = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts {
        push_escaped(&mut key, part);
        key.push(END);
    }
    key
}

/// Where the keys lie that begin with these parts: from the first, which is in, to the second, which is not. Without a
/// part, all there are, and the second is empty.
pub fn range(parts: &[&str]) -> (String, String) {
    let from = key(parts);
    let mut until = from.clone();
    if until.pop().is_some() {
        until.push(AFTER_END);
    }
    (from, until)
}

/// A moment as a part: as long as every other, so that it sorts by time.
pub fn time(time: Timestamp) -> String {
    format!("{:020}", time.as_us())
}

/// A number as a part.
pub fn number(number: u64) -> String {
    format!("{number:020}")
}

fn push_escaped(key: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            '\0' => key.extend([ESCAPE, '3']),
            END => key.extend([ESCAPE, '4']),
            ESCAPE => key.extend([ESCAPE, '5']),
            c => key.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn different_parts_have_different_keys_and_a_range_holds_its_own_alone(
            a in any::<Vec<String>>(), b in any::<Vec<String>>()
        ) {
            let (a, b): (Vec<&str>, Vec<&str>) =
                (a.iter().map(String::as_str).collect(), b.iter().map(String::as_str).collect());
            prop_assert_eq!(a == b, key(&a) == key(&b));
            let (from, until) = range(&a);
            let within = key(&b) >= from && (until.is_empty() || key(&b) < until);
            prop_assert_eq!(within, b.starts_with(&a));
        }

        #[test]
        fn no_key_holds_a_zero(parts in any::<Vec<String>>()) {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            prop_assert!(!key(&parts).contains('\0'));
        }

        #[test]
        fn moments_sort_by_time(a in 0..=u64::MAX, b in 0..=u64::MAX) {
            let part = |us| time(Timestamp::from_us(us));
            prop_assert_eq!(a.cmp(&b), part(a).cmp(&part(b)));
        }
    }

    #[test]
    fn what_looks_like_two_parts_is_one() {
        assert_ne!(key(&["a", "b"]), key(&["a\u{1}b"]));
        assert_ne!(key(&["a\0"]), key(&["a\u{2}3"]));
    }
}
