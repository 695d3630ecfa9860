//! Names that people choose: of rooms, with the key each stands for, of users, and their colours.
//!
//! A room's key is its name in a form in which all spellings of it are one; it never changes. What is shown is
//! the display name, which may. Which names belong to the lobbies is decided here too.

use unicode_normalization::UnicodeNormalization as _;

use crate::{
    domain::text::{folded, is_control, is_format, is_ignorable, tidied},
    protocol::{
        error::{ErrorCode, Rejection},
        ids::RoomKey,
    },
};

/// The most characters of a room's key and of its display name.
pub const MAX_ROOM_NAME: usize = 64;
/// The most characters of a user's name.
pub const MAX_USERNAME: usize = 32;
/// The most characters of a room's password.
pub const MAX_PASSWORD: usize = 128;

/// What is longer than this is refused unread: no name within the limits has so many bytes.
const MAX_RAW_BYTES: usize = 1024;

/// The key that a room's name stands for: NFKC, case folded, invisible characters taken out, trimmed, inner white
/// space collapsed; 1 to 64 characters. A key's key is itself.
pub fn room_key(name: &str) -> Result<RoomKey, Rejection> {
    refuse_invisible("a room's name", name)?;
    // Folding can bring forth characters that normalise further, and the reverse; all of Unicode settles in two rounds.
    let mut key = fold_once(name);
    for _ in 0..3 {
        let next = fold_once(&key);
        if next == key {
            break;
        }
        key = next;
    }
    within("a room's name", key, MAX_ROOM_NAME).map(|key| RoomKey::from_normalised(&key))
}

fn fold_once(name: &str) -> String {
    let folded = folded(&name.nfkc().filter(|&c| !is_ignorable(c)).collect::<String>());
    let normal: String = folded.nfkc().filter(|&c| !is_ignorable(c)).collect();
    let mut key = String::with_capacity(normal.len());
    for word in normal.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(word);
    }
    key
}

/// A room's name as it is shown: NFC, trimmed, inner white space collapsed, 1 to 64 characters.
pub fn room_display_name(name: &str) -> Result<String, Rejection> {
    refuse_invisible("a room's name", name)?;
    within("a room's name", tidied(name), MAX_ROOM_NAME)
}

/// A user's name as it is shown: NFC, trimmed, inner white space collapsed, 1 to 32 characters.
pub fn username(name: &str) -> Result<String, Rejection> {
    refuse_invisible("a user's name", name)?;
    within("a user's name", tidied(name), MAX_USERNAME)
}

/// The key that an account's name stands for: spellings of one name have one key, so that no two accounts can pass for
/// each other. Folded as a room's is; at most [`MAX_USERNAME`] characters.
pub fn username_key(name: &str) -> Result<String, Rejection> {
    within("a user's name", room_key(name)?.as_str().to_owned(), MAX_USERNAME)
}

/// The most bytes of an e-mail address: RFC 5321's path without its brackets.
pub const MAX_EMAIL_BYTES: usize = 254;

/// The key that an e-mail address stands for: NFC and case folded, in both its parts, trimmed. One `@` with something
/// before it and a name after it; whether anybody reads there is not to be seen from here.
pub fn email_key(address: &str) -> Result<String, Rejection> {
    let refused = |message: &str| Rejection::new(ErrorCode::Validation, message.to_owned());
    if address.len() > MAX_EMAIL_BYTES {
        return Err(refused("the e-mail address is too long"));
    }
    let key: String = folded(&address.trim().nfc().collect::<String>()).nfc().collect();
    let is_fine = |c: char| !c.is_whitespace() && !is_control(c) && !is_format(c) && !is_ignorable(c);
    let parts = key.split_once('@').filter(|(local, host)| {
        let host_is_fine = host.split('.').count() >= 2 && host.split('.').all(|label| !label.is_empty());
        !local.is_empty() && !host.contains('@') && host_is_fine && key.chars().all(is_fine)
    });
    // Folding may lengthen it.
    match parts {
        Some(_) if key.len() <= MAX_EMAIL_BYTES => Ok(key),
        _ => Err(refused("that is no e-mail address")),
    }
}

/// A colour, `#rrggbb`, in small letters.
pub fn colour(text: &str) -> Result<String, Rejection> {
    let digits = text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
    match digits {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err(Rejection::new(ErrorCode::Validation, "a colour is written #rrggbb, six hexadecimal digits")),
    }
}

/// Whether a room's password can be taken: 1 to 128 characters, no control characters. It is hashed as it is typed.
pub fn room_password(password: &str) -> Result<(), Rejection> {
    let refused = |message| Err(Rejection::new(ErrorCode::Validation, message));
    if password.is_empty() {
        return refused("the password is empty".to_owned());
    }
    if password.len() > MAX_RAW_BYTES || password.chars().count() > MAX_PASSWORD {
        return refused(format!("the password has more than {MAX_PASSWORD} characters"));
    }
    if password.chars().any(is_control) {
        return refused("the password has control characters in it".to_owned());
    }
    Ok(())
}

/// Whether a key belongs to the server's lobbies: `lobby`, alone or followed by digits.
pub fn is_reserved(key: &RoomKey) -> bool {
    key.as_str().strip_prefix("lobby").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

fn refuse_invisible(what: &'static str, name: &str) -> Result<(), Rejection> {
    if name.len() > MAX_RAW_BYTES {
        return Err(Rejection::new(ErrorCode::Validation, format!("{what} is too long")));
    }
    if name.chars().any(|c| is_control(c) || is_format(c)) {
        return Err(Rejection::new(ErrorCode::Validation, format!("{what} has control or invisible characters in it")));
    }
    Ok(())
}

fn within(what: &'static str, text: String, most: usize) -> Result<String, Rejection> {
    if text.chars().all(is_ignorable) {
        return Err(Rejection::new(ErrorCode::Validation, format!("{what} is empty")));
    }
    if text.chars().count() > most {
        return Err(Rejection::new(ErrorCode::Validation, format!("{what} has more than {most} characters"))
            .with("max_characters", most));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> String {
        room_key(name).unwrap().as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        assert_eq!(key("  Jazz \u{a0} Club "), "jazz club");
        assert_eq!(key("ＪＡＺＺ　club"), "jazz club");
        assert_eq!(key("Straße"), key("STRASSE"));
        assert_eq!(key("Cafe\u{301}"), key("CAFÉ"));
        assert_eq!(key("ΟΔΟΣ"), key("οδος"));
        assert_eq!(key("❤\u{fe0f}"), key("❤"));
        assert_ne!(key("jazz"), key("jazzclub"));
    }

    #[test]
    fn accounts_whose_names_differ_in_spelling_alone_have_one_key() {
        assert_eq!(username_key(" Clara\u{a0}WIECK ").unwrap(), username_key("clara wieck").unwrap());
        assert_eq!(username_key("Straße").unwrap(), username_key("STRASSE").unwrap());
        assert_ne!(username_key("clara.w").unwrap(), username_key("claraw").unwrap());
        for name in ["", "a\u{200b}b", &"x".repeat(33)] {
            assert_eq!(username_key(name).unwrap_err().code, ErrorCode::Validation, "{name:?}");
        }
    }

    #[test]
    fn an_address_has_one_key_however_it_is_written_and_what_is_none_is_refused() {
        assert_eq!(email_key(" Clara@Example.ORG ").unwrap(), "clara@example.org");
        assert_eq!(email_key("\"$ne\"@a.b").unwrap(), "\"$ne\"@a.b");
        let long = format!("{}@example.org", "x".repeat(250));
        for address in ["", "clara", "@example.org", "a@b", "a@b@c.d", "a@.org", "a@b.", "a b@c.d", "a\n@b.c", &long] {
            assert!(email_key(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn names_that_cannot_be_seen_or_told_apart_are_refused() {
        for name in
            ["", "   ", "\u{fe0f}", "\u{3164}", "a\nb", "a\tb", "\u{200b}", "ab\u{202e}cd", "a\u{2028}b", "a\u{0}"]
        {
            assert_eq!(room_key(name).unwrap_err().code, ErrorCode::Validation, "{name:?}");
            assert_eq!(room_display_name(name).unwrap_err().code, ErrorCode::Validation, "{name:?}");
            assert_eq!(username(name).unwrap_err().code, ErrorCode::Validation, "{name:?}");
        }
    }

    #[test]
    fn a_names_length_counts_characters_after_normalising() {
        assert!(room_key(&"é".repeat(64)).is_ok());
        assert!(room_key(&"é".repeat(65)).is_err());
        // Eighteen characters in one.
        assert!(room_key(&"\u{fdfa}".repeat(4)).is_err());
        assert!(room_key(&"x".repeat(100_000)).is_err());
        assert!(username(&"x".repeat(32)).is_ok());
        assert_eq!(username(&"x".repeat(33)).unwrap_err().details, [("max_characters", "32".to_owned())]);
    }

    #[test]
    fn a_display_name_keeps_its_case_and_its_letters() {
        assert_eq!(room_display_name("  Jazz   CLUB ①").unwrap(), "Jazz CLUB ①");
        assert_eq!(username("Cafe\u{301}").unwrap(), "Café");
    }

    #[test]
    fn a_colour_is_six_digits_after_a_hash() {
        assert_eq!(colour("#AAbb09").unwrap(), "#aabb09");
        for text in ["", "red", "#fff", "#ggbb09", "aabb09", "#aabb0", "#aabb0é"] {
            assert!(colour(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_bounded_before_anybody_hashes_it() {
        assert!(room_password(" pässword ").is_ok());
        for password in ["", "a\nb", &"x".repeat(129), &"x".repeat(60_000)] {
            assert_eq!(room_password(password).unwrap_err().code, ErrorCode::Validation);
        }
    }

    #[test]
    fn names_of_lobbies_are_reserved_however_they_are_written() {
        for name in ["lobby", "LOBBY", " Lobby2", "lobby007", "ｌｏｂｂｙ３", "lobby②"] {
            assert!(is_reserved(&room_key(name).unwrap()), "{name}");
        }
        for name in ["lobbyist", "my lobby", "lobby 2b"] {
            assert!(!is_reserved(&room_key(name).unwrap()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_keys_key_is_itself(name in "\\PC{1,30}") {
            if let Ok(key) = room_key(&name) {
                prop_assert_eq!(room_key(key.as_str()).unwrap(), key);
            }
        }

        #[test]
        fn a_tidy_name_stays_as_it_is(name in any::<String>()) {
            if let Ok(tidy) = room_display_name(&name) {
                prop_assert_eq!(room_display_name(&tidy).unwrap(), tidy);
            }
        }
    }

    #[test]
    fn every_characters_key_is_settled() {
        // Ideographs and Hangul syllables, which have no case, apart.
        let blocks = ['\0'..='\u{33ff}', '\u{a000}'..='\u{abff}', '\u{f900}'..='\u{11fff}', '\u{16000}'..='\u{1ffff}'];
        for c in blocks.into_iter().flatten().filter(|&c| !is_control(c) && !is_format(c)) {
            if let Ok(key) = room_key(&format!("a{c}b")) {
                assert_eq!(room_key(key.as_str()).unwrap(), key, "{c:?}");
            }
        }
    }
}
