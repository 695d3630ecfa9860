//! Frames as RFC 6455 has them: how they may be cut up, and what is against the rules.

use std::time::Duration;

use pianorhythm_server::protocol::{
    MAX_MESSAGE_BYTES,
    codec::{self, Format},
    wire::{ServerMessage, client_message::Message},
};

use crate::support::{
    client::Client,
    other, say,
    server::TestServer,
    socket::{CLOSE, CONTINUATION, Got, PING, close_frame, data_of, frame, frame_of, frame_with},
};

in_both_formats![
    a_message_may_come_in_fragments_with_pings_between,
    a_message_may_come_byte_by_byte,
    many_messages_may_come_at_once,
    a_ping_is_answered_with_its_payload,
    a_good_bye_is_answered_with_its_code,
    a_connection_that_ends_without_a_good_bye_has_left,
    a_frame_without_a_mask_closes,
    frames_against_the_rules_close,
    a_message_over_the_limit_closes_before_it_is_read,
    a_message_of_the_limit_is_read,
    nothing_is_answered_after_a_close,
];

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn payload(
    format: Format,
    request_id: u32,
    message: pianorhythm_server::protocol::wire::server_message::Message,
) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::encode_server(format, &ServerMessage::request(Some(request_id), message), &mut payload);
    payload
}

fn a_message_may_come_in_fragments_with_pings_between(format: Format) {
    let server = TestServer::start();
    let mut socket = server.connect(format).room("jam").open();
    // The characters of a text may be cut apart as well.
    let payload = payload(format, 5, say::chat("Größenwahn"));
    let fragments: Vec<&[u8]> = payload.chunks(1).collect();
    let last = fragments.len() - 1;
    for (number, fragment) in fragments.into_iter().enumerate() {
        let opcode = if number == 0 { data_of(format) } else { CONTINUATION };
        socket.write(&frame_with(opcode, number == last, MASK, fragment));
        if number == 2 || number == last - 1 {
            socket.write(&frame(PING, b"still there?"));
        }
    }
    let (mut pongs, mut line) = (0, None);
    loop {
        match socket.read() {
            Got::Pong(payload) => {
                assert_eq!(&payload[..], b"still there?");
                pongs += 1;
            }
            Got::Message(message) => match message.message.unwrap() {
                Message::RoomChatMessage(said) => line = Some(said.message),
                Message::Ack(_) => {
                    assert_eq!(message.request_id, Some(5));
                    break;
                }
                _ => {}
            },
            got => panic!("{got:?}"),
        }
    }
    assert_eq!((pongs, line.as_deref()), (2, Some("Größenwahn")));
}

fn a_message_may_come_byte_by_byte(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    for byte in frame(data_of(format), &payload(format, 900, say::chat("slowly"))) {
        client.write(&[byte]);
        // So that each is a segment of its own, and mostly a read of its own.
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(matches!(client.answer_to(900), Message::Ack(_)));
    assert_eq!(client.line(), (1, "slowly".into()));
}

fn many_messages_may_come_at_once(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    let frames: Vec<u8> = (0..2000)
        .flat_map(|id| frame(data_of(format), &payload(format, 10_000 + id, say::time_sync(i64::from(id)))))
        .collect();
    client.write(&frames);
    let mut next = 0;
    while next < 2000 {
        let message = client.next();
        if let Some(Message::TimeSync(sync)) = message.message {
            assert_eq!((message.request_id, sync.client_time_us), (Some(10_000 + next), i64::from(next)));
            next += 1;
        }
    }
}

fn a_ping_is_answered_with_its_payload(format: Format) {
    let server = TestServer::start();
    let mut socket = server.connect(format).open();
    socket.message();
    for payload in [&b""[..], b"x", &[7; 125]] {
        socket.write(&frame(PING, payload));
        assert_eq!(socket.read(), Got::Pong(payload.to_vec().into()));
    }
}

fn a_good_bye_is_answered_with_its_code(format: Format) {
    let server = TestServer::start();
    let mut witness = server.player(other(format), "Bo", "jam");
    for (code, reason) in [(1000, "bye"), (1001, ""), (3999, "mine")] {
        let mut client = server.player(format, "Ann", "jam");
        client.write(&close_frame(code, reason));
        assert_eq!(client.ending().code(), code);
        let left = witness.until(|message| match message {
            Message::UserLeftRoom(left) => Some(left.reason()),
            _ => None,
        });
        assert_eq!(left.as_str_name(), "LEFT");
    }
    let mut client = server.player(format, "Ann", "jam");
    client.write(&frame(CLOSE, b""));
    assert_eq!(client.ending().code(), 1000);
}

fn a_connection_that_ends_without_a_good_bye_has_left(format: Format) {
    let server = TestServer::start();
    let mut witness = server.player(other(format), "Bo", "jam");
    drop(server.player(format, "Ann", "jam"));
    let left = witness.until(|message| match message {
        Message::UserLeftRoom(left) => Some(left.reason()),
        _ => None,
    });
    assert_eq!(left.as_str_name(), "DISCONNECTED");
}

/// What a client in a room is closed with for these bytes.
#[track_caller]
fn closed_for(server: &TestServer, format: Format, bytes: &[u8]) -> u16 {
    let mut witness = server.player(other(format), "Bo", "jam");
    let mut client: Client = server.player(format, "Ann", "jam");
    client.write(bytes);
    let code = client.ending().code();
    witness.until(|message| matches!(message, Message::UserLeftRoom(_)).then_some(()));
    code
}

fn a_frame_without_a_mask_closes(format: Format) {
    let server = TestServer::start();
    let payload = payload(format, 1, say::heartbeat());
    assert_eq!(closed_for(&server, format, &frame_with(data_of(format), true, None, &payload)), 1002);
}

fn frames_against_the_rules_close(format: Format) {
    let server = TestServer::start();
    let opcode = data_of(format);
    let with_first_byte = |first: u8| {
        let mut bytes = frame(opcode, b"{}");
        bytes[0] = first;
        bytes
    };
    let begun = frame_with(opcode, false, MASK, b"{");
    let cases: &[(&str, u16, Vec<u8>)] = &[
        ("a reserved bit", 1002, with_first_byte(0xC0 | u8::from(opcode))),
        ("a reserved op code", 1002, with_first_byte(0x83)),
        ("a reserved control op code", 1002, with_first_byte(0x8B)),
        ("a continuation of nothing", 1002, frame(CONTINUATION, b"}")),
        ("a message inside another", 1002, [begun.clone(), frame(opcode, b"{}")].concat()),
        ("a ping in fragments", 1002, frame_with(PING, false, MASK, b"x")),
        ("a ping of 126 bytes", 1002, frame(PING, &[0; 126])),
        ("half a close code", 1002, frame(CLOSE, &[3])),
        ("a close code that may not travel", 1002, close_frame(1006, "")),
        ("a close code of nobody", 1002, close_frame(999, "")),
        ("a close reason that is no text", 1007, frame(CLOSE, &[0x03, 0xE8, 0xFF])),
    ];
    for (what, code, bytes) in cases {
        assert_eq!(closed_for(&server, format, bytes), *code, "{what}");
    }
    if format == Format::Json {
        assert_eq!(closed_for(&server, format, &frame(opcode, b"{\"request_id\": \xFF}")), 1007);
        let cut = [frame_with(opcode, false, MASK, &[0xC3]), frame(CONTINUATION, b"x")].concat();
        assert_eq!(closed_for(&server, format, &cut), 1007);
        // Nobody waits for the rest of a frame that can not become text any more.
        let whole = frame(opcode, b"{\"requestId\": \xFF                    }");
        assert_eq!(closed_for(&server, format, &whole[..whole.len() - 10]), 1007);
    }
}

fn a_message_over_the_limit_closes_before_it_is_read(format: Format) {
    let server = TestServer::start();
    // The header alone is enough.
    let whole = frame(data_of(format), &vec![b' '; MAX_MESSAGE_BYTES + 1]);
    assert_eq!(closed_for(&server, format, &whole[..14]), 1009);
    let huge = [&[0x80 | u8::from(data_of(format)), 0xFF][..], &(1u64 << 62).to_be_bytes(), &[1, 2, 3, 4]].concat();
    assert_eq!(closed_for(&server, format, &huge), 1009);
    let half = vec![b' '; MAX_MESSAGE_BYTES / 2 + 1];
    let fragments = [frame_with(data_of(format), false, MASK, &half), frame(CONTINUATION, &half)].concat();
    assert_eq!(closed_for(&server, format, &fragments), 1009);
}

fn a_message_of_the_limit_is_read(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    let mut payload = payload(format, 800, say::heartbeat());
    match format {
        Format::Json => payload.resize(MAX_MESSAGE_BYTES, b' '),
        Format::Protobuf => {
            // An unknown field that fills it up: number 200, and a length of three bytes.
            let length = MAX_MESSAGE_BYTES - payload.len() - 5;
            payload.extend([0xC2, 0x0C, length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
            payload.resize(MAX_MESSAGE_BYTES, 0);
        }
    }
    client.write(&frame(data_of(format), &payload));
    assert!(matches!(client.answer_to(800), Message::HeartbeatMessage(_)));
}

fn nothing_is_answered_after_a_close(format: Format) {
    let server = TestServer::start();
    let mut witness = server.player(other(format), "Bo", "jam");
    let mut client = server.player(format, "Ann", "jam");
    client.heard();
    let late = frame_of(format, &ServerMessage::request(Some(1), say::chat("one more thing")));
    client.write(&[close_frame(1000, ""), late].concat());
    let (before, ending) = client.until_end();
    assert_eq!((before, ending.code()), (vec![], 1000));
    witness.until(|message| matches!(message, Message::UserLeftRoom(_)).then_some(()));
    assert!(!witness.events().iter().any(|event| matches!(event, Message::RoomChatMessage(_))));
}
