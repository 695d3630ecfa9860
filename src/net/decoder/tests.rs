//! The decoder by itself, and against tungstenite's own `WebSocket` on the same bytes.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use tungstenite::{
    Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use super::*;

const LIMIT: usize = 300;
/// A control frame: the shortest header, a mask, the longest payload.
const LONGEST_CONTROL: usize = 2 + 4 + 125;

/// A client frame; `first` is its first byte (FIN, reserved bits, op code).
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

/// Feeds bytes in pieces, as reads would bring them, and gathers what comes out.
fn decode(pieces: &[&[u8]]) -> (Vec<(Kind, Vec<u8>)>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        let mut input = decoder.take_tail();
        input.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match decoder.step(&mut input[at..], LIMIT) {
                Ok(Step::Event { used, event }) => {
                    let payload = match event.payload {
                        Payload::InPlace(range) => input[at..][range].to_vec(),
                        Payload::Assembled(bytes) => bytes,
                    };
                    events.push((event.kind, payload));
                    at += used;
                    if event.kind == Kind::Close {
                        return (events, None);
                    }
                }
                Ok(Step::Fragment { used }) => at += used,
                Ok(Step::NeedMore) => break,
                Err(error) => return (events, Some(error)),
            }
        }
        decoder.keep_tail(input[at..].to_vec());
        assert!(decoder.kept() < LIMIT + LONGEST_CONTROL, "what is kept is bounded by the limit");
    }
    (events, None)
}

#[test]
fn a_message_in_three_fragments_with_a_ping_between_comes_out_whole() {
    let bytes = [
        client_frame(0x01, "Grü".as_bytes()),
        client_frame(0x89, b"?"),
        client_frame(0x00, b"ss"),
        client_frame(0x80, b" Gott"),
    ]
    .concat();
    let (events, error) = decode(&[&bytes]);
    assert_eq!(error, None);
    assert_eq!(events, [(Kind::Ping, b"?".to_vec()), (Kind::Text, "Grüss Gott".as_bytes().to_vec())]);
}

#[test]
fn a_character_split_over_fragments_is_valid_and_half_of_one_at_the_end_is_not() {
    let [first, second] = [0xC3, 0xBC];
    let whole = [client_frame(0x01, &[first]), client_frame(0x80, &[second])].concat();
    assert_eq!(decode(&[&whole]).0, [(Kind::Text, vec![first, second])]);
    let half = [client_frame(0x01, b"a"), client_frame(0x80, &[first])].concat();
    assert_eq!(decode(&[&half]).1, Some(FrameError::InvalidUtf8));
}

#[test]
fn text_that_can_not_become_utf8_any_more_is_refused_before_its_frame_ends() {
    let valid = "κόσμε".as_bytes();
    // After these two bytes no third makes a character.
    let payload = [valid, &[0xF4, 0x90, 0x80, 0x80], b"edited"].concat();
    let frame = client_frame(0x81, &payload);
    let header = 6;
    let doomed = header + valid.len() + 2;
    assert_eq!(decode(&[&frame[..doomed - 1]]).1, None, "the character may still come out");
    assert_eq!(decode(&[&frame[..doomed]]).1, Some(FrameError::InvalidUtf8));
    assert_eq!(decode(&[&frame[..header + 3], &frame[header + 3..doomed]]).1, Some(FrameError::InvalidUtf8));
    let continued = [client_frame(0x01, &valid[..3]), client_frame(0x80, &payload[3..])].concat();
    assert_eq!(decode(&[&continued[..header + doomed - 1]]).1, None);
    assert_eq!(decode(&[&continued[..header + doomed]]).1, Some(FrameError::InvalidUtf8));
}

#[test]
fn what_comes_byte_by_byte_is_what_comes_at_once() {
    let bytes = [
        client_frame(0x81, "Größenwahn".as_bytes()),
        client_frame(0x02, &[0xFF; 200]),
        client_frame(0x89, b"?"),
        client_frame(0x00, b""),
        client_frame(0x80, &[0xFE; LIMIT - 200]),
        client_frame(0x88, b"\x03\xE8bye"),
    ]
    .concat();
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (events, error) = decode(&single);
    assert_eq!((events.len(), error), (4, None));
    assert_eq!((events, error), decode(&[&bytes]));
}

#[test]
fn violations_are_told_apart() {
    let protocol = |bytes: Vec<u8>| matches!(decode(&[&bytes]).1, Some(FrameError::Protocol(_)));
    assert!(protocol(client_frame(0x83, b"")), "reserved op code");
    assert!(protocol(client_frame(0xC2, b"")), "reserved bit");
    assert!(protocol(client_frame(0x09, b"")), "fragmented control frame");
    assert!(protocol(client_frame(0x89, &[0; 126])), "long control frame");
    assert!(protocol(client_frame(0x80, b"")), "continuation of nothing");
    assert!(protocol([client_frame(0x02, b""), client_frame(0x82, b"")].concat()), "message in a message");
    assert!(protocol(vec![0x82, 0x00]), "no mask");
    assert!(protocol(client_frame(0x88, &[3])), "half a close code");
    assert!(protocol(client_frame(0x88, &1005u16.to_be_bytes())), "close code that may not travel");
    assert_eq!(decode(&[&client_frame(0x82, &[0; LIMIT + 1])]).1, Some(FrameError::TooBig));
    assert_eq!(decode(&[&client_frame(0x81, &[0xFF])]).1, Some(FrameError::InvalidUtf8));
}

#[test]
fn a_length_over_the_limit_is_refused_before_its_payload_comes() {
    assert_eq!(
        decode(&[&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4]]).1,
        Some(FrameError::TooBig)
    );
}

/// A stream that gives these bytes and takes all that is written.
struct Script(Cursor<Vec<u8>>);

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            read => Ok(read),
        }
    }
}

impl Write for Script {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the same bytes; true at the end where it found a violation.
fn reference(bytes: &[u8]) -> (Vec<(Kind, Vec<u8>)>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Script(Cursor::new(bytes.to_vec())), Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push((Kind::Text, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => events.push((Kind::Binary, bytes.to_vec())),
            Ok(Message::Ping(bytes)) => events.push((Kind::Ping, bytes.to_vec())),
            Ok(Message::Pong(bytes)) => events.push((Kind::Pong, bytes.to_vec())),
            Ok(Message::Close(_)) => {
                events.push((Kind::Close, Vec::new()));
                return (events, false);
            }
            Ok(Message::Frame(_)) => unreachable!("reading gives no raw frames"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (events, false),
            Err(_) => return (events, true),
        }
    }
}

/// We refuse a frame by its header; the reference waits for its end. True where it then fails too.
fn fails_when_the_frame_is_whole(bytes: &[u8], events: usize) -> bool {
    for padding in 1..=LIMIT + 15 {
        match reference(&[bytes, &vec![0; padding]].concat()) {
            (seen, true) => return seen.len() == events,
            (seen, false) if seen.len() > events => return false,
            _ => {}
        }
    }
    false
}

/// Bytes that look like frames often enough to get somewhere.
fn traffic() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A]),
        1 => Just(0x88u8),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        3 => "[a-zé€𝄞]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 100..330),
    ];
    let whole = (first, payload).prop_map(|(first, payload)| client_frame(first, &payload));
    let piece = prop_oneof![12 => whole, 1 => prop::collection::vec(any::<u8>(), 0..12)];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn it_finds_what_tungstenite_finds_however_the_bytes_are_cut(bytes in traffic(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let (mut events, mut error) = decode(&pieces);
        if error == Some(FrameError::Protocol("a close code that may not travel")) {
            // The reference takes such a close for a close, and answers it with 1002 itself.
            error = None;
            events.push((Kind::Close, Vec::new()));
        }
        for (kind, payload) in &mut events {
            if *kind == Kind::Close { payload.clear(); }
        }
        let (expected, failed) = reference(&bytes);
        prop_assert!(!failed || error.is_some(), "only the reference failed");
        prop_assert!(failed || error.is_none() || fails_when_the_frame_is_whole(&bytes, expected.len()), "{:?}", error);
        prop_assert_eq!(events, expected);
    }
}
