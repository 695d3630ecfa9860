//! The two encodings of a message: protobuf in binary frames, proto3's canonical JSON in text frames.

use bytes::BufMut;
use prost::Message as _;
use serde::Deserialize as _;

use crate::protocol::{
    typeless::Typeless,
    wire::{ClientMessage, ServerMessage},
};

/// What a connection speaks, chosen by its subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// Binary frames of protobuf.
    Protobuf,
    /// Text frames of JSON.
    Json,
}

/// A payload that is not a message of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or fields of the wrong wire type.
    #[error("not a protobuf message of this protocol: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// Not JSON, or members of the wrong type.
    #[error("not a JSON message of this protocol: {0}")]
    Json(#[from] serde_json::Error),
}

/// Reads what a client sent. Its `messageType` is that of the message, whatever it claims.
pub fn decode_server(format: Format, payload: &[u8]) -> Result<ServerMessage, DecodeError> {
    let decoded = match format {
        Format::Protobuf => ServerMessage::decode(payload)?,
        Format::Json => {
            let mut json = serde_json::Deserializer::from_slice(payload);
            let message = ServerMessage::deserialize(Typeless(&mut json))?;
            json.end()?;
            message
        }
    };
    Ok(match decoded.message {
        Some(message) => ServerMessage::request(decoded.request_id, message),
        None => ServerMessage { message_type: 0, ..decoded },
    })
}

/// Reads what a server sent; the clients' side of [`encode_client`].
pub fn decode_client(format: Format, payload: &[u8]) -> Result<ClientMessage, DecodeError> {
    Ok(match format {
        Format::Protobuf => ClientMessage::decode(payload)?,
        Format::Json => serde_json::from_slice(payload)?,
    })
}

/// Appends a message to a client in the given format.
pub fn encode_client(format: Format, message: &ClientMessage, out: &mut Vec<u8>) {
    encode(format, message, out);
}

/// Appends a message to the server in the given format.
pub fn encode_server(format: Format, message: &ServerMessage, out: &mut Vec<u8>) {
    encode(format, message, out);
}

fn encode<M: prost::Message + serde::Serialize>(format: Format, message: &M, out: &mut Vec<u8>) {
    match format {
        Format::Protobuf => message.encode(out).expect("a Vec takes any length"),
        Format::Json => {
            // An enum number that this build does not know has no name in JSON; nothing we build has one.
            serde_json::to_writer(out.writer(), message).expect("messages we build have names for their enums");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{JoinRoomByName, server_message::Message};

    #[test]
    fn both_formats_give_back_what_went_in() {
        let join = JoinRoomByName { room_name: "Größe".into(), password: String::new() };
        let message = ServerMessage::request(Some(7), Message::JoinRoomByName(join));
        for format in [Format::Protobuf, Format::Json] {
            let mut out = Vec::new();
            encode_server(format, &message, &mut out);
            assert_eq!(decode_server(format, &out).unwrap(), message);
        }
    }

    #[test]
    fn the_type_that_a_message_to_the_server_claims_is_ignored() {
        for claimed in [r#""SING_COMMAND""#, "4711", "4.5", "null", r#"{"a":[1]}"#, "6"] {
            for name in ["messageType", "message_type"] {
                let json = format!(r#"{{"{name}":{claimed},"leaveRoom":{{}},"requestId":3}}"#);
                let message = decode_server(Format::Json, json.as_bytes()).unwrap();
                assert_eq!((message.message_type, message.request_id), (10, Some(3)), "{json}");
                assert!(matches!(message.message, Some(Message::LeaveRoom(_))));
            }
        }
        for json in [
            "",
            "[]",
            "null",
            "{} {}",
            r#"{"leaveRoom":5}"#,
            r#"{"messageType":}"#,
            r#"{"leaveRoom":{},"leaveRoom":{}}"#,
        ] {
            assert!(decode_server(Format::Json, json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn unknown_fields_are_ignored_in_json_and_protobuf() {
        let json = br#"{"leaveRoom":{"why":"tired"},"colour":"red"}"#;
        let message = decode_server(Format::Json, json).unwrap();
        assert!(matches!(message.message, Some(Message::LeaveRoom(_))));
        // Field 200, wire type 2, three bytes, after `leaveRoom`.
        let protobuf = [0x52, 0x00, 0xC2, 0x0C, 0x03, 1, 2, 3];
        let message = decode_server(Format::Protobuf, &protobuf).unwrap();
        assert!(matches!(message.message, Some(Message::LeaveRoom(_))));
    }
}
