//! Frames out and in: no more of RFC 6455 than a load needs, and faster than a library that checks the rest.

use std::ops::Range;

use pianorhythm_server::protocol::{
    codec::{Format, encode_server},
    wire::{ServerMessage, server_message},
};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of the protocol.
    Binary,
    /// To be answered.
    Ping,
    /// An answer.
    Pong,
    /// The end.
    Close,
    /// Nothing that a server sends.
    Other(u8),
}

/// The first frame of `bytes` if it is whole: its kind, where its payload lies, and where the next one begins.
pub fn first(bytes: &[u8]) -> Option<(Kind, Range<usize>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let end = usize::try_from(length).ok()?.checked_add(start)?;
    let kind = match first {
        0x82 => Kind::Binary,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        0x8A => Kind::Pong,
        other => Kind::Other(other),
    };
    (bytes.len() >= end).then_some((kind, start..end, end))
}

/// The code of a close frame's payload; 1005, as RFC 6455 names it, where it has none.
pub fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

/// Frames a message as clients must: masked.
pub fn message(message: server_message::Message) -> Vec<u8> {
    binary(&payload(message))
}

/// A message without its frame.
pub fn payload(message: server_message::Message) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_server(Format::Protobuf, &ServerMessage::event(message), &mut payload);
    payload
}

/// A binary frame.
pub fn binary(payload: &[u8]) -> Vec<u8> {
    masked(0x82, payload)
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8A, payload)
}

/// Good-bye, with this code.
pub fn close(code: u16) -> Vec<u8> {
    masked(0x88, &code.to_be_bytes())
}

/// A masked frame of any kind and length, allowed or not.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + payload.len());
    append_masked(first, payload, &mut frame);
    frame
}

/// Appends a masked frame.
pub fn append_masked(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    // Against proxies that could be fooled; there is none here, but the server has to undo one.
    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
    out.push(first);
    match payload.len() {
        length @ ..126 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server makes of a client's frame when it passes it on: the mask undone and left out.
    fn unmasked(frame: &[u8]) -> Vec<u8> {
        let (_, payload, _) = first(frame).expect("a whole frame");
        let head = payload.start;
        let mut out = frame[..head].to_vec();
        out[1] &= 0x7F;
        let mask = &frame[head..head + 4];
        out.extend(frame[head + 4..].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        out
    }

    proptest! {
        #[test]
        fn a_payload_of_any_length_comes_back(length in prop_oneof![0usize..300, 65_500usize..65_600], byte: u8) {
            let payload = vec![byte; length];
            let frame = unmasked(&binary(&payload));
            let (kind, range, end) = first(&frame).unwrap();
            prop_assert_eq!((kind, &frame[range], end), (Kind::Binary, &payload[..], frame.len()));
            prop_assert_eq!(first(&frame[..frame.len() - 1]), None);
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            if let Some((_, payload, end)) = first(&bytes) {
                prop_assert!(payload.end == end && end <= bytes.len());
            }
        }
    }

    #[test]
    fn a_close_tells_its_code_where_it_has_one() {
        let frame = unmasked(&close(3008));
        let (kind, payload, _) = first(&frame).unwrap();
        assert_eq!((kind, close_code(&frame[payload])), (Kind::Close, 3008));
        assert_eq!(close_code(&[]), 1005);
    }
}
