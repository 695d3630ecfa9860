//! What is promised of a message that was decoded, from whichever format.

use std::fmt::Debug;

use pianorhythm_server::protocol::{
    codec::{self, DecodeError, Format},
    wire::{ClientMessage, ServerMessage},
};

use crate::meter::metered;

/// Decodes as the server does and as clients do.
pub(crate) fn check(format: Format, bytes: &[u8]) {
    let (decoded, held) = metered(|| codec::decode_server(format, bytes));
    bounded(held, bytes);
    if let Ok(message) = decoded {
        let typed = message.message.clone().map(|inner| ServerMessage::request(message.request_id, inner));
        assert_eq!(
            typed.unwrap_or(ServerMessage { message_type: 0, ..message.clone() }),
            message,
            "its type is its own"
        );
        survives(&message, format, bytes, codec::decode_server);
    } else if let Err(error) = decoded {
        located(&error, bytes);
    }
    let (decoded, held) = metered(|| codec::decode_client(format, bytes));
    bounded(held, bytes);
    match decoded {
        Ok(message) => survives::<ClientMessage>(&message, format, bytes, codec::decode_client),
        Err(error) => located(&error, bytes),
    }
}

/// An element of a list takes two bytes at least, and some hundred where it is read; the list grows by doubling.
fn bounded(held: usize, bytes: &[u8]) {
    assert!(held <= 256 * bytes.len() + 4096, "{held} bytes held for {}", bytes.len());
}

/// Written in each format and read again it is the same.
fn survives<M: prost::Message + serde::Serialize + PartialEq + Debug>(
    message: &M,
    format: Format,
    bytes: &[u8],
    decode: impl Fn(Format, &[u8]) -> Result<M, DecodeError>,
) {
    let protobuf = message.encode_to_vec();
    if format == Format::Protobuf {
        // Its own type is more than one that was left out, and a negative enum number is written in ten bytes, which may have
        // been five.
        assert!(protobuf.len() <= 2 * bytes.len() + 3, "{} bytes became {}", bytes.len(), protobuf.len());
    }
    assert_eq!(&decode(Format::Protobuf, &protobuf).expect("we wrote it"), message, "by protobuf");
    match serde_json::to_vec(message) {
        Ok(json) => assert_eq!(&decode(Format::Json, &json).expect("we wrote it"), message, "by JSON"),
        // A number that is no enum's has no name; what came as JSON has one.
        Err(error) => assert_eq!(format, Format::Protobuf, "{error}"),
    }
}

/// An error of JSON names a place in it.
fn located(error: &DecodeError, bytes: &[u8]) {
    if let DecodeError::Json(error) = error {
        let lines = bytes.split(|byte| *byte == b'\n').count();
        assert!(error.line() <= lines, "line {} of {lines}", error.line());
        assert!(error.column() <= bytes.len(), "column {} of {}", error.column(), bytes.len());
    }
}
