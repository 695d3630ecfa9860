//! Bad frames: each ends its connection with the code of the table, and nobody else notices.

use pianorhythm_server::protocol::{MAX_MESSAGE_BYTES, codec::Format, wire::ServerMessage};
use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};

use crate::{
    attack::{Aftermath, Turn, attack},
    ground::{Counted, Ground},
    support::{
        eventually, other, say,
        socket::{CLOSE, CONTINUATION, PING, close_frame, data_of, frame, frame_of, frame_with},
    },
};

/// Connections of an attack, and the frames that each sends at once: three seconds at a thousand a second.
const CONNECTIONS: usize = 300;
const FRAMES: usize = 10;
const MASK: Option<[u8; 4]> = Some([9, 8, 7, 6]);

fn chance(number: usize) -> TestRng {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
}

fn random(chance: &mut TestRng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    chance.fill_bytes(&mut bytes);
    bytes
}

/// A storm of frames the first of which is to end its connection: all connections are closed with this code.
fn closes(what: &str, code: u16, bytes: impl Fn(&Turn, usize) -> Vec<u8> + Sync) {
    let ground = Ground::open();
    let (aftermath, counted) = storm(&ground, bytes);
    assert_eq!(aftermath.closed, [(code, CONNECTIONS as u64)].into(), "{what}: {aftermath:?}");
    assert_eq!(aftermath.said, [].into(), "{what}");
    counted.all_closed(&code.to_string(), CONNECTIONS as u64);
    counted.all_dropped("", 0);
    assert_eq!(counted.get("pianorhythm_rejections_total", ""), 0);
    ground.close(what);
}

fn storm(ground: &Ground, bytes: impl Fn(&Turn, usize) -> Vec<u8> + Sync) -> (Aftermath, Counted) {
    let aftermath = attack(ground, CONNECTIONS, FRAMES, |turn| {
        let mut socket = turn.connect();
        let frames: Vec<u8> = (0..FRAMES).flat_map(|n| bytes(turn, n)).collect();
        turn.provoke(&mut socket, &frames);
    });
    let counted = ground.settled();
    let all = CONNECTIONS as u64;
    assert_eq!(counted.get("pianorhythm_front_desk_handshakes_total", "result=\"accepted\""), all);
    assert_eq!(counted.get("pianorhythm_front_desk_hand_offs_total", "result=\"admitted\""), all);
    (aftermath, counted)
}

#[test]
fn frames_without_a_mask_close_with_1002() {
    closes("unmasked", 1002, |turn, n| frame_with(data_of(turn.format), true, None, &random(&mut chance(n), 10)));
}

#[test]
fn frames_that_are_too_long_close_with_1009() {
    closes("oversized", 1009, |turn, n| {
        let opcode = data_of(turn.format);
        match turn.number % 3 {
            // What the head claims is enough.
            0 => {
                let mut head = vec![0x80 | u8::from(opcode), 0xFF];
                head.extend((10u64 << (20 + n)).to_be_bytes());
                [head, random(&mut chance(n), 100)].concat()
            }
            1 => frame(opcode, &vec![b' '; MAX_MESSAGE_BYTES + 1])[..1000].to_vec(),
            // Fragments, each of which may be as long as that.
            _ => {
                let part = vec![b' '; MAX_MESSAGE_BYTES / 8];
                let opcode = if n == 0 { opcode } else { CONTINUATION };
                frame_with(opcode, false, MASK, &part)
            }
        }
    });
}

#[test]
fn frames_out_of_order_close_with_1002() {
    closes("out of order", 1002, |turn, _| {
        let opcode = data_of(turn.format);
        let begun = frame_with(opcode, false, MASK, b"{");
        match turn.number % 6 {
            0 => frame(CONTINUATION, b"}"),
            1 => frame_with(PING, false, MASK, b"a ping in fragments"),
            2 => frame_with(CLOSE, false, MASK, b""),
            3 => [begun, frame(opcode, b"{}")].concat(),
            // The right place of a control frame, and a wrong one of a message.
            4 => [begun, frame(PING, b""), frame_with(opcode, false, MASK, b"{")].concat(),
            _ => frame(PING, &[0; 126]),
        }
    });
}

#[test]
fn good_byes_that_are_none_close_with_1002() {
    closes("good-byes", 1002, |turn, _| match turn.number % 3 {
        0 => frame(CLOSE, &[3]),
        1 => close_frame(1006, "which may not travel"),
        _ => close_frame(999, ""),
    });
}

#[test]
fn text_that_is_none_closes_with_1007() {
    closes("bad UTF-8", 1007, |turn, _| match turn.format {
        // A reason is text in both.
        Format::Protobuf => frame(CLOSE, &[0x03, 0xE8, 0xC0, 0xAF]),
        Format::Json => frame(data_of(turn.format), b"{\"requestId\": \xED\xA0\x80}"),
    });
}

#[test]
fn payloads_that_do_not_decode_close_with_3504() {
    closes("undecodable", 3504, |turn, n| {
        let deep = [b'['; 5000];
        let payload: &[u8] = match (turn.format, n + turn.number) {
            // A wire type that does not exist; a length beyond the end; a group that nobody closes; a tag of nought.
            (Format::Protobuf, n) => [&[0xFF, 0xFF, 0xFF][..], &[0x12, 0x7F, 1], &[0x1B, 0x1B, 0x1B], &[0, 0]][n % 4],
            (Format::Json, n) => [&b"{"[..], b"null", b"{\"requestId\": -1}", &deep][n % 4],
        };
        frame(data_of(turn.format), payload)
    });
}

#[test]
fn messages_of_the_other_kind_close_with_1003() {
    closes("text for binary", 1003, |turn, _| frame(data_of(other(turn.format)), b"{}"));
}

#[test]
fn random_bytes_close_with_a_code_that_says_what_they_break() {
    let ground = Ground::open();
    let (aftermath, counted) = storm(&ground, |turn, n| {
        let mut chance = chance(turn.number * FRAMES + n);
        if turn.number.is_multiple_of(4) {
            // Bytes as they come, and enough that what claims to go on comes to its end, which is bad too.
            return random(&mut chance, MAX_MESSAGE_BYTES / 8);
        }
        // A frame that can be read up to its payload, and what is random in it is that.
        let length = chance.next_u32() as usize % 200;
        frame(data_of(turn.format), &random(&mut chance, length + 1))
    });
    // No code but those that are about frames and payloads, and each as often as the server says; a payload that by chance is a
    // message, or none, is answered.
    assert!(aftermath.closed.keys().all(|code| [1002, 1003, 1007, 1009, 3504].contains(code)), "{aftermath:?}");
    assert_eq!(aftermath.closed.values().sum::<u64>(), CONNECTIONS as u64);
    let told = aftermath.closed.iter().map(|(code, many)| (format!("code=\"{code}\""), *many)).collect();
    assert_eq!(counted.closed(), told);
    assert_eq!(counted.get("pianorhythm_rejections_total", ""), aftermath.said.values().sum::<u64>());
    println!("{:?}", aftermath.closed);
    ground.close("random");
}

#[test]
fn frames_that_stop_half_way_are_forgotten_with_their_connection() {
    let ground = Ground::open();
    let aftermath = attack(&ground, CONNECTIONS, FRAMES, |turn| {
        let mut socket = turn.connect();
        let mut chance = chance(turn.number);
        let frame = match turn.number % 3 {
            0 => frame(data_of(turn.format), &vec![b' '; MAX_MESSAGE_BYTES]),
            1 => frame(data_of(turn.format), &[b' '; 100]),
            _ => frame_of(turn.format, &ServerMessage::event(say::heartbeat())),
        };
        let cut = 1 + chance.next_u32() as usize % (frame.len() - 1);
        // In pieces, as a bad network would.
        for piece in frame[..cut].chunks(cut.div_ceil(FRAMES)) {
            socket.write(piece);
        }
        if turn.number.is_multiple_of(2) {
            // It says that nothing more comes, and listens.
            socket.stream().shutdown(std::net::Shutdown::Write).unwrap();
            turn.heard.hear_to_the_end(&mut socket);
        }
    });
    // Who is gone itself is told nothing.
    assert_eq!(aftermath.closed, [(1006, CONNECTIONS as u64 / 2)].into());
    let counted = ground.settled();
    counted.all_closed("lost", CONNECTIONS as u64);
    counted.all_dropped("", 0);
    ground.close("truncated");
}

#[test]
fn midi_that_is_none_is_answered_nineteen_times_and_closed_with_3506() {
    let ground = Ground::open();
    let connections = CONNECTIONS / 3;
    let aftermath = attack(&ground, connections, 30, |turn| {
        let mut socket = turn.connect_in("den");
        let bad: &[u8] = match turn.number % 5 {
            // A system message; an event cut off; a data byte above 127; running status; a delta without end.
            0 => &[0, 0xF0, 1, 2],
            1 => &[0, 0x90, 60],
            2 => &[0, 0x90, 200, 1],
            3 => &[0, 0x90, 60, 1, 0, 61, 1],
            _ => &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0x90, 60, 1],
        };
        let frame = frame_of(turn.format, &ServerMessage::event(say::midi(bad.to_vec())));
        turn.provoke(&mut socket, &frame.repeat(30));
    });
    let all = connections as u64;
    assert_eq!(aftermath.closed, [(3506, all)].into());
    assert_eq!(aftermath.said, [("VALIDATION_ERROR".into(), 20 * all)].into());
    let counted = ground.settled();
    counted.all_closed("3506", all);
    counted.all_dropped("", 0);
    // What came behind the twentieth was not looked at.
    assert_eq!(counted.get("pianorhythm_rejections_total", ""), 20 * all);
    eventually("each message was the band's, or refused", || {
        let counted = ground.settled();
        let band = counted.get("pianorhythm_midi_relayed_total", "");
        counted.get("pianorhythm_messages_in_total", "") == 20 * all + band
    });
    ground.close("bad MIDI");
}
