//! Guests: the id, name and colour of one who comes without an account. Chance is an argument.

use std::fmt::Write as _;

use crate::{
    domain::name::{GUEST_ID, ID_CHARS, USER_ID},
    protocol::ids::UserId,
};

const MOODS: [&str; 32] = [
    "Quiet", "Merry", "Gentle", "Brisk", "Mellow", "Bright", "Dreamy", "Nimble", "Solemn", "Jolly", "Tender", "Lively",
    "Wistful", "Sunny", "Velvet", "Silver", "Humble", "Curious", "Daring", "Patient", "Golden", "Breezy", "Cosy",
    "Swift", "Starry", "Amber", "Misty", "Playful", "Serene", "Bold", "Rustic", "Lucid",
];
const ANIMALS: [&str; 32] = [
    "Otter", "Finch", "Heron", "Badger", "Lynx", "Sparrow", "Fox", "Wren", "Hare", "Owl", "Seal", "Robin", "Marten",
    "Swan", "Beaver", "Lark", "Stoat", "Crane", "Hedgehog", "Falcon", "Newt", "Thrush", "Deer", "Swift", "Moth",
    "Cricket", "Dolphin", "Puffin", "Raven", "Toad", "Vole", "Whale",
];
/// RFC 4648's alphabet in lower case.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// An id no one can guess: `guest-` and 80 bits in base32.
pub fn user_id(chance: [u8; 10]) -> UserId {
    id(GUEST_ID, chance)
}

/// The id of an account that was no guest's: `user-`, and as many bits.
pub fn account_id(chance: [u8; 10]) -> UserId {
    id(USER_ID, chance)
}

fn id(prefix: &str, chance: [u8; 10]) -> UserId {
    let bits = chance.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    let digits = (0..ID_CHARS).rev().map(|at| char::from(BASE32[(bits >> (5 * at)) as usize & 31]));
    UserId::from(format!("{prefix}{}", digits.collect::<String>()).as_str())
}

/// A friendly name, for example "Quiet Otter 27".
pub fn name(chance: u64) -> String {
    let [mood, animal, ..] = chance.to_le_bytes();
    let number = (chance >> 16) % 90 + 10;
    format!("{} {} {number}", MOODS[usize::from(mood) % MOODS.len()], ANIMALS[usize::from(animal) % ANIMALS.len()])
}

/// A colour of any hue that reads on dark and on light: saturation 65 %, lightness 58 %, as `#rrggbb`.
pub fn colour(chance: u64) -> String {
    const SATURATION: f64 = 0.65;
    const LIGHTNESS: f64 = 0.58;
    let hue = (chance % 360) as f64;
    let reach = SATURATION * LIGHTNESS.min(1.0 - LIGHTNESS);
    // The formula of CSS Color 4, section 7.1.
    let channel = |offset: f64| {
        let k = (offset + hue / 30.0) % 12.0;
        let value = LIGHTNESS - reach * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round() as u8
    };
    let mut text = String::from("#");
    for offset in [0.0, 8.0, 4.0] {
        let _ = write!(text, "{:02x}", channel(offset));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain;

    #[test]
    fn an_id_spells_all_of_its_chance() {
        assert_eq!(user_id([0; 10]).as_str(), "guest-aaaaaaaaaaaaaaaa");
        assert_eq!(user_id([0xFF; 10]).as_str(), "guest-7777777777777777");
        // RFC 4648, section 10, has "foobar" as MZXW6YTBOI.
        assert_eq!(user_id(*b"foobarfoob").as_str(), "guest-mzxw6ytbojtg633c");
        assert_eq!(account_id(*b"foobarfoob").as_str(), "user-mzxw6ytbojtg633c");
        for id in [user_id([7; 10]), account_id([7; 10])] {
            assert!(domain::name::account_name(id.as_str()).is_err(), "nobody is called {id}");
        }
    }

    #[test]
    fn colours_are_those_of_their_hue() {
        // As browsers compute hsl(0 65% 58%) and hsl(120 65% 58%).
        assert_eq!(colour(0), "#da4e4e");
        assert_eq!(colour(120), "#4eda4e");
        assert_eq!(colour(240), "#4e4eda");
    }

    proptest! {
        #[test]
        fn any_chance_makes_a_valid_guest(chance in any::<u64>()) {
            prop_assert_eq!(domain::name::colour(&colour(chance)), Ok(colour(chance)));
            prop_assert_eq!(domain::name::username(&name(chance)), Ok(name(chance)));
        }
    }
}
