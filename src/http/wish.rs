//! What the address of a handshake asks for: `?name=&colour=&room=&guest_token=`.

use axum::{extract::Query, http::Uri};
use serde::Deserialize;

use crate::{
    domain::name,
    protocol::error::{ErrorCode, Rejection},
};

/// The query as it was typed. Parameters we do not know are ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Typed {
    name: Option<String>,
    colour: Option<String>,
    room: Option<String>,
    guest_token: Option<String>,
}

/// A handshake's wishes, valid. An empty parameter counts as none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The name a guest wants.
    pub name: Option<String>,
    /// The colour a guest wants.
    pub colour: Option<String>,
    /// The room to enter, as typed.
    pub room: Option<String>,
    /// The guest it was before.
    pub guest_token: Option<String>,
}

impl Wish {
    /// Reads an address's query. What is not valid is refused with its parameter in the detail `field`.
    pub fn of(uri: &Uri) -> Result<Self, Rejection> {
        let Query(typed) = Query::<Typed>::try_from_uri(uri)
            .map_err(|error| Rejection::new(ErrorCode::Validation, error.body_text()).with("field", "query"))?;
        let room = given(typed.room);
        if let Some(room) = &room {
            name::room_key(room).map_err(|rejection| rejection.with("field", "room"))?;
        }
        let name = given(typed.name).map(|name| name::username(&name)).transpose();
        let colour = given(typed.colour).map(|colour| name::colour(&colour)).transpose();
        Ok(Self {
            name: name.map_err(|rejection| rejection.with("field", "name"))?,
            colour: colour.map_err(|rejection| rejection.with("field", "colour"))?,
            room,
            guest_token: given(typed.guest_token),
        })
    }
}

fn given(parameter: Option<String>) -> Option<String> {
    parameter.filter(|parameter| !parameter.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(query: &str) -> Result<Wish, Rejection> {
        Wish::of(&format!("/api/websocket{query}").parse().unwrap())
    }

    fn field(query: &str) -> String {
        let rejection = wish(query).unwrap_err();
        let (_, field) = rejection.details.into_iter().find(|(name, _)| *name == "field").unwrap();
        field
    }

    #[test]
    fn parameters_are_decoded_and_others_ignored() {
        let wish = wish("?name=Clara+S%C3%B6&colour=%23ff8800&room=Caf%C3%A9+1&utm=x").unwrap();
        assert_eq!(wish.name.as_deref(), Some("Clara Sö"));
        assert_eq!(wish.colour.as_deref(), Some("#ff8800"));
        assert_eq!(wish.room.as_deref(), Some("Café 1"));
        assert_eq!(wish.guest_token, None);
    }

    #[test]
    fn nothing_asked_for_is_nothing_wished() {
        assert_eq!(wish("").unwrap(), Wish::default());
        assert_eq!(wish("?").unwrap(), Wish::default());
        assert_eq!(wish("?name=&colour=&room=&guest_token=").unwrap(), Wish::default());
    }

    #[test]
    fn what_is_not_valid_is_refused_by_its_name() {
        assert_eq!(field(&format!("?name={}", "x".repeat(200))), "name");
        assert_eq!(field("?colour=red"), "colour");
        assert_eq!(field(&format!("?room={}", "x".repeat(200))), "room");
        assert_eq!(field("?name=a&name=b"), "query");
    }

    proptest! {
        #[test]
        fn any_query_is_read(query in "[!-~]{0,60}") {
            if let Ok(uri) = format!("/api/websocket?{query}").parse() {
                let _ = Wish::of(&uri);
            }
        }
    }
}
