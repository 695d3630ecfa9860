//! Accounts' passwords: which may be chosen, and the one form in which they are hashed.
//!
//! Nothing is cut off and no character is asked for or forbidden but those that nobody can type: length is what makes a
//! password, and what is on every list of guesses is none.

use unicode_normalization::UnicodeNormalization as _;

use crate::{
    domain::{name, text::is_control},
    protocol::error::{ErrorCode, Rejection},
};

/// The fewest characters of an account's password.
pub const MIN_CHARS: usize = 8;
/// The most.
pub const MAX_CHARS: usize = 128;
/// What is longer than this is refused unread: no password within the limit has so many bytes.
const MAX_RAW_BYTES: usize = 4 * MAX_CHARS;

/// What is guessed first: refused, whatever its case. All have eight characters at least, for others are refused anyway.
const GUESSED_FIRST: &[&str] = &[
    "00000000",
    "11111111",
    "11223344",
    "12121212",
    "12341234",
    "123123123",
    "12345678",
    "123456789",
    "1234567890",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "87654321",
    "88888888",
    "987654321",
    "99999999",
    "aaaaaaaa",
    "abc12345",
    "abcd1234",
    "abcdefgh",
    "admin123",
    "administrator",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "baseball",
    "basketball",
    "changeme",
    "computer",
    "football",
    "iloveyou",
    "internet",
    "letmein1",
    "liverpool",
    "michelle",
    "passw0rd",
    "password",
    "password!",
    "password1",
    "password12",
    "password123",
    "pianorhythm",
    "princess",
    "q1w2e3r4",
    "qazwsxedc",
    "qwer1234",
    "qwerty12",
    "qwerty123",
    "qwertyui",
    "qwertyuiop",
    "starwars",
    "sunshine",
    "superman",
    "trustno1",
    "welcome1",
    "whatever",
    "zaq12wsx",
];

/// The form in which a password is hashed and checked: NFKC, so that it is the same on every keyboard. None for what
/// cannot be anybody's password.
pub fn normalised(password: &str) -> Option<String> {
    if password.len() > MAX_RAW_BYTES {
        return None;
    }
    let normal: String = password.nfkc().collect();
    let length = normal.chars().count();
    ((1..=MAX_CHARS).contains(&length) && !normal.chars().any(is_control)).then_some(normal)
}

/// A new password as it is to be hashed, for an account of this name and address.
pub fn chosen(password: &str, username: &str, email: Option<&str>) -> Result<String, Rejection> {
    let refused = |message: String| Rejection::new(ErrorCode::Validation, message).with("field", "password");
    let Some(normal) = normalised(password) else {
        let message = format!("a password has {MIN_CHARS} to {MAX_CHARS} characters, and no control characters");
        return Err(refused(message));
    };
    if normal.chars().count() < MIN_CHARS {
        return Err(refused(format!("a password has {MIN_CHARS} characters at least")));
    }
    let folded = normal.to_lowercase();
    let mut chars = folded.chars();
    let is_one_character = chars.next().is_some_and(|first| chars.all(|c| c == first));
    if is_one_character || GUESSED_FIRST.contains(&folded.as_str()) {
        return Err(refused("that password is one of those that are guessed first: choose another".into()));
    }
    let name = name::username_key(username).ok();
    let email = email.and_then(|email| name::email_key(email).ok());
    let local = email.as_deref().and_then(|email| email.split_once('@')).map(|(local, _)| local);
    if [name.as_deref(), email.as_deref(), local].into_iter().flatten().any(|own| own == folded) {
        return Err(refused("the password is the name or the address: choose another".into()));
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(password: &str) -> bool {
        chosen(password, "Clara Wieck", Some("clara.w@example.org")).is_err()
    }

    #[test]
    fn length_counts_in_characters_and_nothing_is_cut_off() {
        assert!(refused("sieben7"));
        assert!(!refused("achtzehn"));
        assert!(!refused("🎹🎹🎹🎹🎹🎹🎹🎼"), "eight characters of four bytes");
        let longest = "ab".repeat(MAX_CHARS / 2);
        assert_eq!(chosen(&longest, "Clara", None).unwrap().len(), MAX_CHARS);
        assert!(refused(&format!("{longest}c")));
        let widest = "🎹🎼".repeat(MAX_CHARS / 2);
        assert_eq!(chosen(&widest, "Clara", None).as_deref(), Ok(widest.as_str()));
        assert!(refused(&"🎹🎼".repeat(MAX_CHARS)));
    }

    #[test]
    fn a_password_is_the_same_however_a_keyboard_composes_it() {
        assert_eq!(normalised("Träumerei\u{fb01}"), normalised("Tra\u{308}umereifi"));
        assert_ne!(normalised("träumerei"), normalised("Träumerei"));
        assert_eq!(normalised(" spaces stay "), Some(" spaces stay ".into()));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for password in
            ["password", "PassWord", "12345678", "zzzzzzzz", "clara wieck", "CLARA.W@example.org", "Clara Wieck"]
        {
            assert!(refused(password), "{password}");
        }
        let short = chosen("clara.ww", "Clara", Some("clara.ww@example.org"));
        assert!(short.is_err(), "what stands before the @");
        assert!(!refused("correct horse"));
        for guess in GUESSED_FIRST {
            assert!(guess.chars().count() >= MIN_CHARS && guess.to_lowercase() == **guess, "{guess}");
        }
    }

    #[test]
    fn what_nobody_can_type_is_no_password() {
        for password in ["", "eight\0ch", "eight\nch", "eight\u{2028}ch"] {
            assert_eq!(normalised(password), None, "{password:?}");
            assert!(refused(password));
        }
    }

    proptest! {
        #[test]
        fn a_password_that_may_be_chosen_can_be_given_again(password in "\\PC{8,40}") {
            if let Ok(normal) = chosen(&password, "Clara", None) {
                prop_assert_eq!(normalised(&password), Some(normal.clone()));
                prop_assert_eq!(normalised(&normal), Some(normal));
            }
        }
    }
}
