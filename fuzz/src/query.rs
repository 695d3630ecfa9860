//! The query of a handshake's address: what is wished for is within its limits, and wishing for it again changes nothing.

use std::fmt::Write as _;

use axum::http::Uri;
use pianorhythm_server::{
    domain::name::{self, MAX_USERNAME},
    http::wish::Wish,
    protocol::error::ErrorCode,
};

use crate::meter::metered;

/// Runs the target.
pub fn run(data: &[u8]) {
    let mut address = b"/api/websocket?".to_vec();
    address.extend_from_slice(data);
    // What is no address is refused before anybody looks at its query.
    let Ok(uri) = Uri::try_from(address) else { return };
    let (wish, held) = metered(|| Wish::of(&uri));
    assert!(held <= 64 * data.len() + 64 * 1024, "{held} bytes held for {}", data.len());
    match wish {
        Ok(wish) => granted(&wish),
        Err(rejection) => {
            assert_eq!(rejection.code, ErrorCode::Validation);
            let field = rejection.details.iter().find(|(name, _)| *name == "field").expect("it is named");
            assert!(["query", "name", "colour", "room"].contains(&field.1.as_str()), "{field:?}");
        }
    }
}

fn granted(wish: &Wish) {
    let Wish { name, colour, room, guest_token } = wish;
    let fields = [("name", name), ("colour", colour), ("room", room), ("guest_token", guest_token)];
    let mut query = String::new();
    for (field, value) in fields {
        let Some(value) = value else { continue };
        assert!(!value.is_empty(), "{field}: an empty one counts as none");
        write!(query, "&{field}=").unwrap();
        value.bytes().for_each(|byte| write!(query, "%{byte:02x}").unwrap());
    }
    let again: Uri = format!("/api/websocket?{query}").parse().expect("letters and digits");
    assert_eq!(Wish::of(&again).as_ref(), Ok(wish));
    if let Some(name) = name {
        assert!((1..=MAX_USERNAME).contains(&name.chars().count()), "{name:?}");
        assert!(!name.chars().any(char::is_control), "{name:?}");
        assert_eq!(name.trim(), name);
    }
    if let Some(room) = room {
        let key = name::room_key(room).expect("it was judged");
        assert_eq!(name::room_key(key.as_str()).as_ref(), Ok(&key), "a key's key is itself");
    }
    if let Some(colour) = colour {
        let digits = colour.strip_prefix('#').expect("it was judged");
        assert!(
            digits.len() == 6 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')),
            "{colour}"
        );
    }
}
