//! What the Autobahn fuzzing client leaves out, on the echo server: unmasked frames, what large echoes hold, however they
//! were cut up, and the opening.

#![cfg(feature = "server")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use support::{
    DEADLINE,
    example::Echo,
    socket::{BINARY, CLOSE, CONTINUATION, PING, TEXT, frame, frame_with},
};
use tungstenite::{
    Bytes, Error, Message, WebSocket,
    protocol::{Role, WebSocketConfig, frame::coding::OpCode},
};

/// The default of `--limit`.
const LIMIT: usize = 16 * 1024 * 1024;
const MASK: Option<[u8; 4]> = Some([0x9E, 0x37, 0x79, 0xB9]);
/// The example of RFC 6455, section 1.3.
const REQUEST: &str = "GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A connection on which the test writes bytes itself.
struct Client {
    stream: TcpStream,
    websocket: WebSocket<TcpStream>,
}

impl Client {
    fn open(echo: &Echo) -> Self {
        Self::open_with(echo, &[REQUEST.as_bytes()])
    }

    /// Opens with these writes.
    fn open_with(echo: &Echo, writes: &[&[u8]]) -> Self {
        let mut stream = connect(echo);
        for bytes in writes {
            stream.write_all(bytes).unwrap();
        }
        // To the end of the answer's head and no further.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
        assert!(answer.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let websocket = WebSocket::from_raw_socket(stream.try_clone().unwrap(), Role::Client, Some(config));
        Self { stream, websocket }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes while it reads: what is large comes back before all of it is sent.
    fn echo_of(&mut self, bytes: &[u8], chop: usize) -> Message {
        thread::scope(|scope| {
            let mut stream = &self.stream;
            scope.spawn(move || bytes.chunks(chop).for_each(|chop| stream.write_all(chop).unwrap()));
            self.websocket.read().unwrap()
        })
    }

    /// The code it is closed with, and that nothing but the end comes after.
    #[track_caller]
    fn closed(&mut self) -> u16 {
        let Message::Close(Some(close)) = self.websocket.read().unwrap() else { panic!("no close with a code") };
        match self.websocket.read() {
            Err(Error::ConnectionClosed) => close.code.into(),
            // The server is gone before it has read our answer.
            Err(Error::Io(_)) => close.code.into(),
            other => panic!("after the close came {other:?}"),
        }
    }
}

fn connect(echo: &Echo) -> TcpStream {
    let stream = TcpStream::connect(echo.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Bytes of no pattern, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    });
    bytes.take(length).collect()
}

/// Text of exactly so many bytes, in characters of one to four.
fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 4);
    for (number, character) in "aé€𝄞".chars().cycle().enumerate() {
        if bytes.len() >= length {
            break;
        }
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        // Here and there one more letter, so that characters meet every border.
        bytes.resize(bytes.len() + usize::from(number % 7 == 0), b'.');
    }
    while bytes.len() > length || std::str::from_utf8(&bytes).is_err() {
        bytes.pop();
    }
    bytes.resize(length, b'!');
    bytes
}

/// The message in frames of at most so many bytes, with an empty one among them.
fn fragments(opcode: OpCode, payload: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = frame_with(opcode, false, MASK, b"");
    for piece in payload.chunks(size) {
        bytes.extend(frame_with(CONTINUATION, false, MASK, piece));
    }
    bytes.extend(frame_with(CONTINUATION, true, MASK, b""));
    bytes
}

/// No `assert_eq!`: megabytes are no message.
#[track_caller]
fn assert_same(got: &[u8], sent: &[u8], what: &str) {
    if got != sent {
        let at = got.iter().zip(sent).take_while(|(got, sent)| got == sent).count();
        panic!("{what}: {} bytes came of {}, and they differ at {at}", got.len(), sent.len());
    }
}

#[test]
fn a_frame_without_a_mask_closes_whatever_it_is() {
    let echo = Echo::start(&[]);
    let before = frame(TEXT, b"before");
    for opcode in [TEXT, BINARY, CONTINUATION, PING, CLOSE] {
        for (what, is_final, payload) in
            [("empty", true, &b""[..]), ("whole", true, b"\x03\xE8hello"), ("first", false, b"a")]
        {
            let mut client = Client::open(&echo);
            client.write(&[&before[..], &frame_with(opcode, is_final, None, payload)].concat());
            assert_eq!(client.websocket.read().unwrap(), Message::text("before"));
            assert_eq!(client.closed(), 1002, "{opcode:?}, {what}");
        }
    }
    // A large one is not waited for, and neither is one inside a message.
    let mut client = Client::open(&echo);
    client.write(&[0x82, 0x7F, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    assert_eq!(client.closed(), 1002);
    let mut client = Client::open(&echo);
    client.write(&[frame_with(TEXT, false, MASK, b"masked"), frame_with(CONTINUATION, true, None, b"not")].concat());
    assert_eq!(client.closed(), 1002);
}

#[test]
fn what_is_echoed_is_what_was_sent_in_every_size_of_header_however_it_is_cut() {
    let echo = Echo::start(&[]);
    let mut client = Client::open(&echo);
    for size in [0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537, 200_000] {
        for (opcode, payload) in [(BINARY, noise(size)), (TEXT, text(size))] {
            let ways = [
                ("whole", frame_with(opcode, true, MASK, &payload)),
                ("unmasked by a mask of noughts", frame_with(opcode, true, Some([0; 4]), &payload)),
                ("in two", fragments(opcode, &payload, size.div_ceil(2).max(1))),
                ("in fragments of 125", fragments(opcode, &payload, 125)),
                ("in fragments of 4093", fragments(opcode, &payload, 4093)),
                ("in fragments of 65535", fragments(opcode, &payload, 65_535)),
            ];
            for (way, bytes) in &ways {
                for chop in [usize::MAX, 65_536, 16_411, 1 + bytes.len() / 37] {
                    let message = client.echo_of(bytes, chop);
                    let what = format!("{opcode:?} of {size} bytes {way} in chops of {chop}");
                    assert_eq!(message.is_text(), opcode == TEXT, "{what}");
                    assert_same(&message.into_data(), &payload, &what);
                }
            }
        }
    }
    // Nothing was left over.
    client.write(&frame(PING, b"still in step?"));
    assert_eq!(client.websocket.read().unwrap(), Message::Pong(Bytes::from_static(b"still in step?")));
}

#[test]
fn single_characters_and_bytes_come_back_whole() {
    let echo = Echo::start(&[]);
    let mut client = Client::open(&echo);
    let payload = text(300);
    for bytes in [frame_with(TEXT, true, MASK, &payload), fragments(TEXT, &payload, 1)] {
        let message = client.echo_of(&bytes, 1);
        assert_same(&message.into_data(), &payload, "one by one");
    }
}

#[test]
fn a_message_of_the_limit_is_echoed_and_one_byte_more_is_not() {
    let echo = Echo::start(&[]);
    let payload = noise(LIMIT);
    let mut client = Client::open(&echo);
    for bytes in [frame_with(BINARY, true, MASK, &payload), fragments(BINARY, &payload, 1_000_003)] {
        assert_same(&client.echo_of(&bytes, 100_003).into_data(), &payload, "the limit");
    }
    // The header alone tells.
    let too_long = [&[0x82, 0xFF][..], &(LIMIT as u64 + 1).to_be_bytes(), &[1, 2, 3, 4]].concat();
    client.write(&too_long);
    assert_eq!(client.closed(), 1009);

    let small = Echo::start(&["--limit", "1000"]);
    let mut client = Client::open(&small);
    assert_same(&client.echo_of(&fragments(TEXT, &text(1000), 99), 7).into_data(), &text(1000), "a limit of 1000");
    client.write(&[frame_with(TEXT, false, MASK, &text(999)), frame_with(CONTINUATION, true, MASK, b"..")].concat());
    assert_eq!(client.closed(), 1009);
}

#[test]
fn pings_among_fragments_are_answered_before_the_message() {
    let echo = Echo::start(&[]);
    let mut client = Client::open(&echo);
    let payload = noise(70_000);
    let mut bytes = frame_with(BINARY, false, MASK, &payload[..66_000]);
    bytes.extend(frame(PING, b""));
    bytes.extend(frame_with(CONTINUATION, false, MASK, b""));
    bytes.extend(frame(PING, &[7; 125]));
    bytes.extend(frame_with(CONTINUATION, true, MASK, &payload[66_000..]));
    assert_eq!(client.echo_of(&bytes, 1000), Message::Pong(Bytes::new()));
    assert_eq!(client.websocket.read().unwrap(), Message::Pong(vec![7; 125].into()));
    assert_same(&client.websocket.read().unwrap().into_data(), &payload, "the message");
}

#[test]
fn who_sends_without_reading_is_waited_for_and_misses_nothing() {
    let echo = Echo::start(&[]);
    let mut client = Client::open(&echo);
    let payload = noise(300_000);
    let bytes = frame_with(BINARY, true, MASK, &payload);
    // Far more than the kernel holds: the server stops to read.
    let times = 100;
    thread::scope(|scope| {
        let mut stream = &client.stream;
        let (sent, is_sent) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for _ in 0..times {
                stream.write_all(&bytes).unwrap();
            }
            sent.send(()).unwrap();
        });
        // Long enough for all of it, if anybody took it in.
        assert!(is_sent.recv_timeout(std::time::Duration::from_millis(500)).is_err(), "it was taken in unread");
        for number in 0..times {
            assert_same(&client.websocket.read().unwrap().into_data(), &payload, &format!("message {number}"));
        }
    });
}

#[test]
fn text_is_refused_as_soon_as_it_can_not_become_utf8() {
    let echo = Echo::start(&[]);
    for invalid in [&b"\xC0"[..], b"\xF5", b"\xED\xA0", b"\xF4\x90", b"\xE0\x80", b"\x80"] {
        // The frame and the message never end.
        let mut client = Client::open(&echo);
        let whole = frame_with(TEXT, false, MASK, &[text(70_000), invalid.to_vec(), text(10)].concat());
        client.write(&whole[..whole.len() - 10]);
        assert_eq!(client.closed(), 1007, "{invalid:X?}");
    }
}

#[test]
fn a_request_may_come_in_pieces_and_with_the_first_message() {
    let echo = Echo::start(&[]);
    let first = frame(TEXT, b"at once");
    let mut client = Client::open_with(&echo, &[&[REQUEST.as_bytes(), &first].concat()]);
    assert_eq!(client.websocket.read().unwrap(), Message::text("at once"));
    let bytes: Vec<&[u8]> = REQUEST.as_bytes().chunks(1).collect();
    let mut client = Client::open_with(&echo, &[&bytes[..], &[&first[..3], &first[3..]]].concat());
    assert_eq!(client.websocket.read().unwrap(), Message::text("at once"));
}

#[test]
fn what_is_no_opening_is_refused_as_http() {
    let echo = Echo::start(&[]);
    let without = |header: &str| REQUEST.replace(header, "X-Nothing");
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}", "a".repeat(20_000));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "426"),
        (&REQUEST.replace("Version: 13", "Version: 8"), "426"),
        (&without("Sec-WebSocket-Key"), "400"),
        (&REQUEST.replace("GET", "POST"), "400"),
        (&REQUEST.replace("Host: localhost", "Content-Length: 5"), "400"),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", "400"),
        (&long, "431"),
    ] {
        let mut stream = connect(&echo);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
}
