//! `net::decoder` against tungstenite's `WebSocket`: the same events, refusals and close codes, however the bytes are cut.
//!
//! The first byte of the input picks how the rest is cut, the second the message limit.

use std::{
    io::{self, Cursor, Read, Write},
    iter,
};

use pianorhythm_server::net::{
    decoder::{Decoder, FrameError, Kind, Payload, Step},
    frame,
};
use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocket, WebSocketConfig},
};

use crate::meter::metered;

/// Limits at the borders of the lengths' forms, and the server's own. The reference measures control frames by them, too.
const LIMITS: [usize; 8] = [125, 126, 127, 200, 300, 1000, 65_535, 65_536];
/// The longest control frame: the shortest header, a mask, the longest payload.
const LONGEST_CONTROL: usize = 2 + 4 + 125;

/// What came of some bytes.
#[derive(Debug, PartialEq)]
struct Decoded {
    /// A close is the last.
    events: Vec<(Kind, Vec<u8>)>,
    error: Option<FrameError>,
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((&[cut, limit], bytes)) = data.split_first_chunk() else { return };
    let limit = LIMITS[usize::from(limit) % LIMITS.len()];
    let (whole, held) = metered(|| decode(iter::once(bytes), limit, false));
    // What was announced and has not come takes no memory.
    assert!(held <= 32 * bytes.len() + 1024, "{held} bytes held for {}", bytes.len());
    // In pieces that grow and shrink; and the connection moves to another shard between them.
    let moves = bytes.len() < 4096;
    assert_eq!(decode(pieces(bytes, cut), limit, moves), whole, "in pieces");
    if bytes.len() < 4096 {
        assert_eq!(decode(bytes.chunks(1), limit, false), whole, "byte by byte");
    }
    compare(&whole, bytes, limit);
    answer(&whole.events);
}

/// Pieces of changing lengths, always the same for a seed.
fn pieces(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(seed) * 2 + 1);
    iter::from_fn(move || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let longest = if state >> 31 == 0 { 8 } else { 1 + bytes.len() / 3 };
        let (piece, after) = rest.split_at(rest.len().min(1 + (state >> 8) as usize % longest));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Feeds pieces as reads bring them.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: usize, moves: bool) -> Decoded {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    for piece in pieces {
        let mut input = decoder.take_tail();
        input.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match decoder.step(&mut input[at..], limit) {
                Ok(Step::Event { used, event }) => {
                    let payload = match event.payload {
                        Payload::InPlace(range) => input[at..][range].to_vec(),
                        Payload::Assembled(bytes) => bytes,
                    };
                    at += used;
                    events.push((event.kind, payload));
                    if event.kind == Kind::Close {
                        return Decoded { events, error: None };
                    }
                }
                Ok(Step::Fragment { used }) => {
                    assert!(used > 0, "a step that takes nothing in would be taken for ever");
                    at += used;
                }
                Ok(Step::NeedMore) => break,
                Err(error) => return Decoded { events, error: Some(error) },
            }
        }
        decoder.keep_tail(input[at..].to_vec());
        assert!(decoder.kept() < limit + LONGEST_CONTROL, "{} bytes are kept", decoder.kept());
        if moves {
            decoder = serde_json::from_slice(&serde_json::to_vec(&decoder).unwrap()).unwrap();
        }
    }
    Decoded { events, error: None }
}

/// A stream that gives these bytes, and takes all that is written.
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

/// What tungstenite makes of bytes, and the code of its refusal.
fn reference(bytes: Vec<u8>, role: Role, limit: usize) -> (Vec<(Kind, Vec<u8>)>, Option<u16>) {
    let config = WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit));
    let mut socket = WebSocket::from_raw_socket(Script(Cursor::new(bytes)), role, Some(config));
    let mut events = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => events.push((Kind::Text, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => events.push((Kind::Binary, bytes.to_vec())),
            Ok(Message::Ping(bytes)) => events.push((Kind::Ping, bytes.to_vec())),
            Ok(Message::Pong(bytes)) => events.push((Kind::Pong, bytes.to_vec())),
            Ok(Message::Close(None)) => {
                events.push((Kind::Close, Vec::new()));
                return (events, None);
            }
            Ok(Message::Close(Some(close))) => {
                // A code that may not travel is answered with this.
                if close.reason.as_str() == "Protocol violation" {
                    return (events, Some(1002));
                }
                let payload = [&u16::from(close.code).to_be_bytes(), close.reason.as_bytes()].concat();
                events.push((Kind::Close, payload));
                return (events, None);
            }
            Ok(Message::Frame(_)) => unreachable!("reading gives no raw frames"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (events, None),
            Err(Error::Protocol(_)) => return (events, Some(1002)),
            Err(Error::Utf8(_)) => return (events, Some(1007)),
            Err(Error::Capacity(_)) => return (events, Some(1009)),
            Err(error) => panic!("the reference failed: {error}"),
        }
    }
}

/// Payload bytes that are to come of the last frame, where its header is whole.
fn missing(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    loop {
        let [_, second, ..] = *rest else { return 0 };
        let extra = [0, 2, 8][usize::from(second & 0x7F).saturating_sub(125)];
        let header = 2 + extra + if second & 0x80 == 0 { 0 } else { 4 };
        if rest.len() < header {
            return 0;
        }
        let long = rest[2..2 + extra].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        let length = if extra == 0 { u64::from(second & 0x7F) } else { long };
        let come = (rest.len() - header) as u64;
        if come < length {
            return length - come;
        }
        rest = &rest[header + length as usize..];
    }
}

fn compare(ours: &Decoded, bytes: &[u8], limit: usize) {
    // A close of that very reason can not be told from the reference's answer to a bad one.
    if ours
        .events
        .last()
        .is_some_and(|(kind, payload)| *kind == Kind::Close && payload.ends_with(b"Protocol violation"))
    {
        return;
    }
    let mut theirs = reference(bytes.to_vec(), Role::Server, limit);
    if ours.error.is_some() && theirs.1.is_none() {
        // We refuse what we can of a frame that has not come whole; the reference waits for its end.
        let missing = missing(bytes);
        assert!((1..=limit as u64).contains(&missing), "only we refuse, for {:?}", ours.error);
        theirs = reference([bytes, &vec![0; missing as usize]].concat(), Role::Server, limit);
    }
    assert_eq!((&ours.events, ours.error.map(|error| error.close_code().code())), (&theirs.0, theirs.1));
}

/// What came in goes out as an echo, and a client reads it.
fn answer(events: &[(Kind, Vec<u8>)]) {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for (kind, payload) in events {
        let (frame, kind) = match kind {
            Kind::Text | Kind::Binary => (frame::data(*kind == Kind::Text, payload), *kind),
            Kind::Ping => (frame::pong(payload), Kind::Pong),
            Kind::Pong => (frame::ping(payload), Kind::Ping),
            Kind::Close => match payload.split_first_chunk() {
                Some((code, reason)) => {
                    let reason = std::str::from_utf8(reason).expect("it was checked");
                    (frame::close_raw(u16::from_be_bytes(*code), reason), Kind::Close)
                }
                None => continue,
            },
        };
        bytes.extend_from_slice(&frame);
        expected.push((kind, payload.clone()));
    }
    assert_eq!(reference(bytes, Role::Client, usize::MAX), (expected, None));
}
