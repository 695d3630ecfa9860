//! What never becomes a WebSocket: handshakes that take for ever, connections that say nothing, too many of them, at once or in a
//! row, heads that are too long, and what is no HTTP.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::codec::Format;
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    ground::{Ground, source},
    support::{DEADLINE, eventually},
};

/// Connections at a time: fewer than one address may have.
const MANY: usize = 90;

fn knock(address: SocketAddr, number: u8) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source(number), 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// All that is answered until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // Where not all that was sent is read, the end is a reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn handshake(address: SocketAddr) -> String {
    format!(
        "GET /api/websocket?name=Slow HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
}

/// Waits until so many connections' HTTP has ended for this reason.
#[track_caller]
fn await_ends(ground: &Ground, reason: &str, many: usize) {
    let label = format!("reason=\"{reason}\"");
    eventually(&label, || ground.counted("pianorhythm_front_desk_http_ends_total", &label) == many as u64);
}

#[test]
fn handshakes_of_a_byte_a_second_are_closed_when_their_time_is_over() {
    let ground = Ground::with(&[("HEADER_TIMEOUT_MS", "2500")]);
    let address = ground.server.server.address;
    let mut streams: Vec<_> = (0..MANY).map(|_| knock(address, 0)).collect();
    let begun = Instant::now();
    for (second, byte) in handshake(address).bytes().take(4).enumerate() {
        let due = begun + Duration::from_secs(second as u64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for stream in &mut streams {
            // Once its time is over it takes no more.
            let _ = stream.write_all(&[byte]);
        }
    }
    for stream in &mut streams {
        assert_eq!(rest(stream), "");
    }
    await_ends(&ground, "header_timeout", MANY);
    drop(streams);
    let counted = ground.settled();
    assert_eq!(counted.get("pianorhythm_front_desk_accepted_total", ""), MANY as u64);
    assert_eq!(counted.get("pianorhythm_front_desk_handshakes_total", ""), 0);
    ground.close("slow handshakes");
}

#[test]
fn connections_that_say_nothing_are_closed_when_their_time_is_over() {
    let ground = Ground::with(&[("HEADER_TIMEOUT_MS", "1500")]);
    let address = ground.server.server.address;
    // Some have said something once, and some end their side.
    let mut streams: Vec<_> = (0..4).flat_map(|lane| (0..MANY).map(move |_| knock(address, lane))).collect();
    for (at, stream) in streams.iter_mut().enumerate() {
        if at % 3 == 1 {
            stream.write_all(&handshake(address).as_bytes()[..60]).unwrap();
        }
    }
    for stream in &mut streams {
        assert_eq!(rest(stream), "");
    }
    await_ends(&ground, "header_timeout", 4 * MANY);
    ground.close("half open");
}

#[test]
fn a_flood_of_connections_takes_its_own_addresss_places_and_no_others() {
    let ground = Ground::open();
    let address = ground.server.server.address;
    let mut streams = Vec::new();
    let (mut let_in, mut turned_away) = (0, 0);
    for _ in 0..1000 {
        let mut stream = knock(address, 0);
        // It may be turned away before it has said anything.
        let _ = stream.write_all(handshake(address).as_bytes());
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        match &head {
            b"HTTP/1.1 101" => let_in += 1,
            b"HTTP/1.1 503" => {
                let body = rest(&mut stream);
                assert!(body.contains("SERVER_BUSY") && body.contains("retry_after_ms"), "{body}");
                turned_away += 1;
                continue;
            }
            head => panic!("{head:?}"),
        }
        streams.push(stream);
    }
    assert_eq!((let_in, turned_away), (100, 900));
    assert_eq!(ground.counted("pianorhythm_front_desk_refused_total", "reason=\"address_cap\""), 900);
    // Others come and go as they like.
    ground.server.server.guest(Format::Json, "Elsewhere").close();
    drop(streams);
    let counted = ground.settled();
    assert_eq!(counted.closed(), [("code=\"client\"".into(), 1), ("code=\"lost\"".into(), 100)].into());
    assert_eq!(counted.get("pianorhythm_front_desk_handshakes_total", "result=\"accepted\""), 101);
    ground.close("connection flood");
}

#[test]
fn an_address_that_comes_again_and_again_is_held_to_its_pace_and_told_so_and_others_are_not() {
    const BURST: u32 = 40;
    const RATE: u32 = 2;
    const TIMES: usize = 1000;
    let pace = format!("{RATE}/s burst {BURST}");
    let ground = Ground::with(&[("CONNECT_RATE_PER_ADDRESS", &pace), ("MAX_CONNECTIONS_PER_ADDRESS", "1000")]);
    let address = ground.server.server.address;
    let come = || {
        let mut stream = knock(address, 0);
        // It may be turned away before it has said anything.
        let _ = stream.write_all(handshake(address).as_bytes());
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (head, stream)
    };
    let begun = Instant::now();
    let (mut let_in, mut turned_away) = (0, 0);
    for number in 0..TIMES {
        let (head, mut stream) = come();
        match &head {
            b"HTTP/1.1 101" => let_in += 1,
            b"HTTP/1.1 429" => {
                let told = rest(&mut stream);
                assert!(told.contains("\r\nRetry-After: 1\r\n") && told.contains("RATE_LIMIT_EXCEEDED"), "{told}");
                assert!(told.contains("wait before you try again"), "{told}");
                turned_away += 1;
            }
            head => panic!("{}", String::from_utf8_lossy(head)),
        }
        if number == TIMES / 2 {
            ground.server.server.guest(Format::Json, "Elsewhere").close();
        }
    }
    let most = f64::from(BURST) + f64::from(RATE) * begun.elapsed().as_secs_f64() + 1.0;
    println!("{let_in} let in, {turned_away} turned away in {:?}", begun.elapsed());
    assert!(u64::from(BURST) <= let_in && let_in as f64 <= most, "{let_in} of {most}");
    assert!(turned_away > 0, "a thousand in {:?}", begun.elapsed());
    assert_eq!(ground.counted("pianorhythm_front_desk_refused_total", "reason=\"address_pace\""), turned_away);
    // It has only to wait as it was told.
    thread::sleep(Duration::from_secs(1));
    let (head, stream) = come();
    assert_eq!(&head, b"HTTP/1.1 101");
    drop(stream);
    let counted = ground.settled();
    assert_eq!(counted.get("pianorhythm_front_desk_handshakes_total", "result=\"accepted\""), let_in + 2);
    assert_eq!(counted.get("pianorhythm_front_desk_refused_total", ""), turned_away);
    ground.close("reconnection flood");
}

#[test]
fn connections_that_are_reset_at_once_leave_nothing_behind() {
    let ground = Ground::open();
    let address = ground.server.server.address;
    for number in 0..1000u32 {
        let mut stream = knock(address, (number % 4) as u8);
        let words = handshake(address);
        let said = match number % 3 {
            0 => 0,
            1 => 30,
            _ => words.len(),
        };
        stream.write_all(&words.as_bytes()[..said]).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let counted = ground.settled();
    // Each was accepted, or gone before that; each accepted one has ended, one way or another.
    let accepted = counted.get("pianorhythm_front_desk_accepted_total", "");
    assert!(accepted <= 1000);
    let ended = counted.get("pianorhythm_front_desk_http_ends_total", "");
    let refused = counted.get("pianorhythm_front_desk_refused_total", "");
    assert_eq!(ended + refused, accepted);
    println!("{accepted} accepted, {refused} of them refused");
    ground.close("resets");
}

#[test]
fn heads_that_are_too_long_are_answered_431_and_closed() {
    let ground = Ground::open();
    let address = ground.server.server.address;
    let begin = format!("GET /api/websocket?name=Long HTTP/1.1\r\nHost: {address}\r\n");
    let heads = [
        format!("{begin}X-Long: {}\r\n\r\n", "y".repeat(100_000)),
        format!("{begin}{}\r\n", "X-Many: z\r\n".repeat(100)),
        // And one that does not come to an end.
        format!("{begin}X-Long: {}", "y".repeat(20_000)),
        format!("GET /api/websocket?name={} HTTP/1.1\r\n\r\n", "n".repeat(50_000)),
    ];
    let many = 200;
    for number in 0..many {
        let mut stream = knock(address, (number % 4) as u8);
        let _ = stream.write_all(heads[number % heads.len()].as_bytes());
        let answer = rest(&mut stream);
        // A reset for what was not read any more may overtake the answer.
        assert!([431, 0].contains(&status(&answer)), "{number}: {answer}");
    }
    await_ends(&ground, "malformed", many);
    assert_eq!(ground.settled().get("pianorhythm_front_desk_handshakes_total", ""), 0);
    ground.close("long heads");
}

#[test]
fn what_is_no_http_is_answered_400_and_closed() {
    let ground = Ground::open();
    let address = ground.server.server.address;
    let words: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03 a hello of TLS",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /api/websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"\x82\x85\x01\x02\x03\x04 a frame before the handshake\r\n\r\n",
    ];
    let many = 500;
    for number in 0..many {
        let mut stream = knock(address, (number % 4) as u8);
        stream.write_all(words[number % words.len()]).unwrap();
        let answer = rest(&mut stream);
        assert_eq!(status(&answer), 400, "{number}: {answer}");
    }
    await_ends(&ground, "malformed", many);
    ground.close("no HTTP");
}
