//! One socket: the handshake, and frames in and out. No more of RFC 6455 than this server's frames need.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    ops::Range,
    time::Duration,
};

use pianorhythm_client::protocol::{
    SUBPROTOCOL_PROTOBUF,
    codec::{Format, encode_server},
    wire::{ServerMessage, server_message},
};

/// How long the server may take to answer a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of the protocol.
    Binary,
    /// To be answered.
    Ping,
    /// The end.
    Close,
    /// Nothing that a server sends.
    Other(u8),
}

/// Connects and upgrades. Returns the socket, which does not block from then on, and the bytes that came behind the answer.
pub fn connect(address: &str, query: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    // The key is any 16 bytes; the answer to it is the server's tests' concern.
    let request = format!(
        "GET /api/websocket{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL_PROTOBUF}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(4096, &stream);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    if !head.starts_with("HTTP/1.1 101 ") {
        let mut body = String::new();
        // What there is of it says why.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let _ = reader.read_to_string(&mut body);
        return Err(io::Error::other(format!("no WebSocket: {} {body}", head.lines().next().unwrap_or_default())));
    }
    let behind = reader.buffer().to_vec();
    stream.set_nonblocking(true)?;
    Ok((stream, behind))
}

/// The first frame of `bytes` if it is whole: its kind, where its payload lies, and where the next one begins.
pub fn frame(bytes: &[u8]) -> Option<(Kind, Range<usize>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let end = start + usize::try_from(length).ok()?;
    let kind = match first {
        0x82 => Kind::Binary,
        0x88 => Kind::Close,
        0x89 => Kind::Ping,
        other => Kind::Other(other),
    };
    (bytes.len() >= end).then_some((kind, start..end, end))
}

/// Frames a message as clients must: masked.
pub fn message(message: server_message::Message) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_server(Format::Protobuf, &ServerMessage::event(message), &mut payload);
    masked(0x82, &payload)
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8A, payload)
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    // Against proxies that could be fooled; there is none here, but the server has to undo one.
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("what a band says is short");
    let mut frame = Vec::with_capacity(6 + payload.len());
    frame.extend_from_slice(&[first, 0x80 | length]);
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
