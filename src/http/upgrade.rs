//! The WebSocket opening handshake (RFC 6455, section 4.2), judged on the request's head alone.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request},
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    http::envelope,
    protocol::{
        SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF,
        codec::Format,
        error::{ErrorCode, Rejection},
    },
};

/// The only version of RFC 6455.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// A handshake that can be answered with 101.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the connection will speak.
    pub format: Format,
    /// Whether the client offered subprotocols, so that the answer must name the chosen one.
    named: bool,
    accept: String,
}

/// A request that is not a WebSocket handshake we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    /// An ordinary request: it does not ask for the protocol to change.
    #[error("this address speaks WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NotAnUpgrade,
    /// Not a GET of HTTP/1.1.
    #[error("a WebSocket handshake is a GET of HTTP/1.1")]
    Request,
    /// It announces a body, of which nobody could say whether it is one or the first frames.
    #[error("a WebSocket handshake has no body")]
    Body,
    /// Another version of WebSocket.
    #[error("only version 13 of WebSocket is spoken")]
    Version,
    /// The key is missing or not 16 bytes in base64.
    #[error("`Sec-WebSocket-Key` is to be 16 bytes in base64, once")]
    Key,
    /// None of the subprotocols offered is known.
    #[error("none of the subprotocols offered is spoken: use `pianorhythm.v1.protobuf` or `pianorhythm.v1.json`")]
    Subprotocol,
}

impl Opening {
    /// Judges a request's head.
    pub fn of(request: &request::Parts) -> Result<Self, OpeningError> {
        let headers = &request.headers;
        if !has_token(headers, header::CONNECTION, "upgrade") || !has_token(headers, header::UPGRADE, "websocket") {
            return Err(OpeningError::NotAnUpgrade);
        }
        if request.method != Method::GET || request.version != Version::HTTP_11 {
            return Err(OpeningError::Request);
        }
        let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
        if headers.contains_key(header::TRANSFER_ENCODING) || lengths.any(|length| length != "0") {
            return Err(OpeningError::Body);
        }
        if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(OpeningError::Version);
        }
        let key = only(headers, header::SEC_WEBSOCKET_KEY).ok_or(OpeningError::Key)?.as_bytes();
        if !BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16) {
            return Err(OpeningError::Key);
        }
        let (format, named) = choose(headers)?;
        Ok(Self { format, named, accept: tungstenite::handshake::derive_accept_key(key) })
    }

    /// The headers of the 101.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let accept = HeaderValue::from_str(&self.accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if self.named {
            let name = HeaderValue::from_static(subprotocol_of(self.format));
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
        }
    }
}

impl OpeningError {
    /// The answer: 426 where another protocol or version is needed, else 400.
    pub fn into_response(self) -> Response {
        let mut rejection = Rejection::new(ErrorCode::Validation, self.to_string());
        if self == Self::Subprotocol {
            rejection = rejection.with("subprotocols", format!("{SUBPROTOCOL_PROTOBUF}, {SUBPROTOCOL_JSON}"));
        }
        match self {
            Self::NotAnUpgrade | Self::Version => {
                let mut response = envelope::failure(StatusCode::UPGRADE_REQUIRED, rejection);
                let headers = response.headers_mut();
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, VERSION);
                response
            }
            Self::Request | Self::Body | Self::Key | Self::Subprotocol => {
                envelope::failure(StatusCode::BAD_REQUEST, rejection)
            }
        }
    }
}

/// The name a format travels under.
fn subprotocol_of(format: Format) -> &'static str {
    match format {
        Format::Protobuf => SUBPROTOCOL_PROTOBUF,
        Format::Json => SUBPROTOCOL_JSON,
    }
}

/// The first known subprotocol in the client's order; protobuf, unnamed, where none is offered.
fn choose(headers: &HeaderMap) -> Result<(Format, bool), OpeningError> {
    let mut offered = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).peekable();
    if offered.peek().is_none() {
        return Ok((Format::Protobuf, false));
    }
    let known = offered.find_map(|name| match name {
        SUBPROTOCOL_PROTOBUF => Some(Format::Protobuf),
        SUBPROTOCOL_JSON => Some(Format::Json),
        _ => None,
    });
    known.map(|format| (format, true)).ok_or(OpeningError::Subprotocol)
}

fn has_token(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// The members of a comma-separated list, over all headers of that name.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// The header's value where there is exactly one.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use proptest::prelude::*;

    use super::*;

    /// The request of RFC 6455, section 1.3, with some headers replaced (an empty value: left out) or added.
    fn request(changes: &[(&'static str, &str)]) -> request::Parts {
        let mut request = Request::get("/api/websocket");
        let rfc = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in rfc {
            if !changes.iter().any(|(changed, _)| *changed == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
        let opening = Opening::of(&request(&[])).unwrap();
        let mut headers = HeaderMap::new();
        opening.write(&mut headers);
        assert_eq!(headers[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(headers[header::UPGRADE], "websocket");
        assert_eq!(headers[header::CONNECTION], "Upgrade");
        assert_eq!(opening.format, Format::Protobuf);
        assert!(!headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL), "none was offered");
    }

    #[test]
    fn the_clients_first_known_subprotocol_is_chosen_and_named() {
        let chosen = |offered: &str| {
            Opening::of(&request(&[("sec-websocket-protocol", offered)])).map(|opening| {
                let mut headers = HeaderMap::new();
                opening.write(&mut headers);
                (opening.format, headers[header::SEC_WEBSOCKET_PROTOCOL].to_str().unwrap().to_owned())
            })
        };
        assert_eq!(chosen(SUBPROTOCOL_JSON), Ok((Format::Json, SUBPROTOCOL_JSON.into())));
        let both = format!("chat, {SUBPROTOCOL_PROTOBUF}, {SUBPROTOCOL_JSON}");
        assert_eq!(chosen(&both), Ok((Format::Protobuf, SUBPROTOCOL_PROTOBUF.into())));
        assert_eq!(chosen("chat, superchat"), Err(OpeningError::Subprotocol));
        assert_eq!(chosen(&SUBPROTOCOL_JSON.to_uppercase()), Err(OpeningError::Subprotocol));
    }

    #[test]
    fn what_is_not_a_handshake_is_refused_with_its_reason() {
        use OpeningError as E;
        let refused = |name, value| Opening::of(&request(&[(name, value)])).unwrap_err();
        assert_eq!(refused("connection", "keep-alive"), E::NotAnUpgrade);
        assert_eq!(refused("upgrade", ""), E::NotAnUpgrade);
        assert_eq!(refused("upgrade", "h2c"), E::NotAnUpgrade);
        assert_eq!(refused("content-length", "5"), E::Body);
        assert_eq!(refused("transfer-encoding", "chunked"), E::Body);
        assert!(Opening::of(&request(&[("content-length", "0")])).is_ok());
        assert_eq!(refused("sec-websocket-version", ""), E::Version);
        assert_eq!(refused("sec-websocket-version", "8"), E::Version);
        assert_eq!(refused("sec-websocket-key", ""), E::Key);
        assert_eq!(refused("sec-websocket-key", "dG9vIHNob3J0"), E::Key);
        assert_eq!(refused("sec-websocket-key", "not base64 at all!!!!!!!"), E::Key);
        let mut twice = request(&[]);
        twice.headers.append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(Opening::of(&twice), Err(E::Key));
        let mut posted = request(&[]);
        posted.method = Method::POST;
        assert_eq!(Opening::of(&posted), Err(E::Request));
        let mut old = request(&[]);
        old.version = Version::HTTP_10;
        assert_eq!(Opening::of(&old), Err(E::Request));
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        let response = OpeningError::Version.into_response();
        assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_VERSION], "13");
    }

    proptest! {
        #[test]
        fn any_headers_are_judged(value in "[ -~\u{80}-\u{ff}]{0,64}") {
            let value = HeaderValue::from_str(&value).or_else(|_| HeaderValue::from_bytes(value.as_bytes())).unwrap();
            for name in ["connection", "upgrade", "sec-websocket-version", "sec-websocket-key", "sec-websocket-protocol"] {
                let mut request = request(&[]);
                request.headers.insert(name, value.clone());
                let _ = Opening::of(&request);
            }
        }
    }
}
