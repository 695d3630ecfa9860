//! Server frames: unmasked, whole, framed once and shared by all who get them.

use bytes::Bytes;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::protocol::{
    close::CloseCode,
    codec::{self, Format},
    wire::ClientMessage,
};

/// The longest header of a server frame: two bytes and a 64-bit length.
const HEADER_MAX: usize = 10;
/// Room for most messages; longer ones grow the buffer.
const PAYLOAD_GUESS: usize = 118;

/// Frames one message in one format. Clone the result for each receiver: they share it.
pub fn message(format: Format, message: &ClientMessage) -> Bytes {
    let data = match format {
        Format::Protobuf => Data::Binary,
        Format::Json => Data::Text,
    };
    framed(OpCode::Data(data), |out| codec::encode_client(format, message, out))
}

/// A ping with this payload (at most 125 bytes).
pub fn ping(payload: &[u8]) -> Bytes {
    framed(OpCode::Control(Control::Ping), |out| out.extend_from_slice(payload))
}

/// The answer to a ping with this payload.
pub fn pong(payload: &[u8]) -> Bytes {
    framed(OpCode::Control(Control::Pong), |out| out.extend_from_slice(payload))
}

/// A close frame with its retry advice; `chance` picks a moment where the advice is a spread.
pub fn close(code: CloseCode, chance: u64) -> Bytes {
    close_raw(code.code(), &code.reason(chance))
}

/// A close frame with any code, as an echo of the peer's own needs.
pub fn close_raw(code: u16, reason: &str) -> Bytes {
    framed(OpCode::Control(Control::Close), |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    })
}

/// A message of unstructured bytes, text or binary: for servers of other protocols on the same sockets.
pub fn data(text: bool, payload: &[u8]) -> Bytes {
    framed(OpCode::Data(if text { Data::Text } else { Data::Binary }), |out| out.extend_from_slice(payload))
}

/// Writes the payload behind room for the longest header, and the header right before the payload.
fn framed(opcode: OpCode, payload: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_MAX + PAYLOAD_GUESS);
    out.resize(HEADER_MAX, 0);
    payload(&mut out);
    let length = (out.len() - HEADER_MAX) as u64;
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let start = HEADER_MAX - header.len(length);
    header.format(length, &mut &mut out[start..HEADER_MAX]).expect("the header has its room");
    Bytes::from(out).slice(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_header() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let frame = data(false, &vec![7; length]);
            assert_eq!(frame.len(), header + length);
            assert_eq!(frame[0], 0x82);
            assert!(frame[header..].iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn a_close_carries_code_and_advice() {
        let frame = close(CloseCode::TooSlow, 0);
        assert_eq!(&frame[..4], [0x88, frame.len() as u8 - 2, 0x0B, 0xC0]);
        assert_eq!(&frame[4..], br#"{"retry_after_ms":2000}"#);
    }
}
