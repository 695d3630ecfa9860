//! Writes valid messages of every kind into `corpus/`, for the fuzzer to begin from: `cargo run -p pianorhythm-fuzz --example seeds`
//!
//! `./tools/fuzz --minimise` afterwards keeps what reaches something that nothing else does.

use std::{error::Error, fs, path::PathBuf};

use pianorhythm_server::protocol::{
    codec::{self, Format},
    midi::{ChannelMessage, MidiWriter},
};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

const TO_SERVER: &[&str] = &[
    r##"{"createRoomCommand":{"roomName":"Café","roomType":"PRIVATE","password":"geheim","settings":{"maxUsers":12,"allowChat":true,"allowGuests":false,"autoModeration":true,"requirePro":false,"welcomeMessage":"Grüß Gott","onlyOwnerPlays":false,"onlyOwnerChats":true,"allowBots":true,"stage":"hall","colour":"#102030","noteQuota":"DENSE","latencyMode":false}},"requestId":1}"##,
    r#"{"updateRoomCommand":{"roomName":"Neu","settings":{"maxUsers":3},"password":""},"requestId":2}"#,
    r#"{"joinRoomByName":{"roomName":"jam","password":"x"},"requestId":3}"#,
    r#"{"roomChatMessage":{"message":"/me plays 𝄞"},"requestId":4}"#,
    r#"{"midiMessage":{"midiData":"AJA8ZAWAPEA=","timestamp":"1700000000000","sequence":7}}"#,
    r#"{"serverCommand":{"commandType":"CREATE_OR_JOIN_ROOM","parameters":{"room_name":"jam","password":"p"}},"requestId":5}"#,
    r#"{"avatarCommand":{"action":"APPEARANCE","avatarData":"AQIDBA"}}"#,
    r#"{"joinNextAvailableLobby":{}}"#,
    r#"{"leaveRoom":{},"requestId":4294967295}"#,
    r#"{"roomChatServerCommand":{"command":"ban","targetUser":"u1","reason":"noise"}}"#,
    r#"{"privateMessage":{"targetUserId":"u2","message":"psst"}}"#,
    r#"{"userStatusUpdate":{"status":"INVISIBLE"}}"#,
    r#"{"heartbeatMessage":{"timeMs":"5"}}"#,
    r#"{"timeSync":{"clientTimeUs":"-9223372036854775808","serverReceiveTimeUs":12,"serverSendTimeUs":3}}"#,
    r#"{"friendRequest":{"targetUserId":"u3","action":"DECLINE"}}"#,
    r#"{"getRoomInfo":{"roomName":"jam"},"messageType":"SING"}"#,
    r#"{"listRooms":{},"message_type":17,"request_id":6}"#,
    r#"{"getMembers":{},"unknown":[{"a":null},-1.5e-7,"\ud834\udd1e\n",true]}"#,
    r##"{"setProfile":{"name":"Clara","colour":"#ff8800"}}"##,
    r#"{"roomModeration":{"action":"BAN","targetUserId":"u4","reason":"r","durationS":60,"notes":true,"chat":false,"banAddress":true}}"#,
    r#"{"resume":{"sessionToken":"t","lastSequences":{"1":2,"4294967295":0}}}"#,
    "{}",
];

const TO_CLIENT: &[&str] = &[
    r##"{"messageType":"WELCOME","welcome":{"socketId":"1","user":{"userId":"u","username":"Ann","usertag":"Ann#1","roles":["GUEST","ADMIN"],"colour":"#aabbcc","status":"AWAY"},"serverTimeUs":"1700000000000000","sessionToken":"s","guestToken":"g","limits":{"maxMessageBytes":65536,"maxMidiEvents":512}}}"##,
    r#"{"messageType":"ROOM_JOINED_RESPONSE","roomJoinedResponse":{"success":true,"currentUsers":[{"participant":1,"instrument":[{"channel":9,"program":3}],"notesMuted":true},{"participant":2}],"participant":3,"moreUsers":true},"requestId":9}"#,
    r#"{"messageType":"MIDI_MESSAGE","midiMessage":{"midiData":"AJA8ZA==","timestamp":"1","participant":7,"sequence":8}}"#,
    r#"{"messageType":"ERROR_MESSAGE","errorMessage":{"errorType":"RESOURCE","errorCode":"ROOM_FULL","errorMessage":"full","errorDetails":{"retry_after_ms":"5","field":"room"}}}"#,
    r#"{"messageType":"MEMBER_LIST","memberList":{"members":[{"participant":1},{"participant":2}],"count":2,"more":false}}"#,
    r#"{"messageType":"ROOM_LIST","roomList":{"rooms":[{},{}],"page":1,"limit":20,"total":2}}"#,
    r#"{"messageType":"CHAT_HISTORY","chatHistory":{"messages":[{"message":"hi","messageType":"SYSTEM","timeMs":"3"}]}}"#,
    r#"{"messageType":"MEMBERS_CHANGED","membersChanged":{"joined":[{}],"left":[{"participant":4,"reason":"KICKED"}],"count":1}}"#,
    r#"{"messageType":"QUOTA_EXCEEDED","quotaExceeded":{"refused":3,"retryAfterMs":40}}"#,
    r#"{"messageType":"GAP","gap":{"participant":1,"nextSequence":2}}"#,
    r#"{"messageType":"OWNER_CHANGED","ownerChanged":{"ownerId":"u","participant":1}}"#,
    r#"{"messageType":"ROOM_CLOSED","roomClosed":{"roomId":"jam","reason":"empty"}}"#,
    r#"{"messageType":"ACK","ack":{"messageId":"m"},"requestId":1}"#,
];

const QUERIES: &[&str] = &[
    "",
    "name=Clara+S%C3%B6&colour=%23ff8800&room=Caf%C3%A9+1&utm=x",
    "name=&colour=&room=&guest_token=",
    "guest_token=eyJhbGciOiJFZERTQSJ9.e30.c2ln",
    "room=%EF%B7%BA%EF%B7%BA",
    "room=%E2%80%8Blobby2%E2%80%8B",
    "name=%CC%81A%CC%8A%20%20b",
    "name=a&name=b",
    "colour=%23FFAA00",
    "colour=red",
    "name=%F0%9F%8E%B9%E2%80%8D%F0%9F%8E%BC",
    "room=%C3%9F%E1%BA%9E%C4%B0%CD%85",
    "name=%ff%00",
    "room=a%20%09%0Ab",
];

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    for (number, json) in TO_SERVER.iter().enumerate() {
        let message = codec::decode_server(Format::Json, json.as_bytes())?;
        let mut protobuf = Vec::new();
        codec::encode_server(Format::Protobuf, &message, &mut protobuf);
        save("json", &format!("to_server_{number}"), json.as_bytes())?;
        save("protobuf", &format!("to_server_{number}"), &protobuf)?;
    }
    for (number, json) in TO_CLIENT.iter().enumerate() {
        let message = codec::decode_client(Format::Json, json.as_bytes())?;
        let mut protobuf = Vec::new();
        codec::encode_client(Format::Protobuf, &message, &mut protobuf);
        save("json", &format!("to_client_{number}"), json.as_bytes())?;
        save("protobuf", &format!("to_client_{number}"), &protobuf)?;
    }
    for (number, query) in QUERIES.iter().enumerate() {
        save("query", &format!("query_{number}"), query.as_bytes())?;
    }
    midi()?;
    upgrades()?;
    proxy_headers()?;
    frames()
}

fn save(target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn midi() -> Result<(), Box<dyn Error>> {
    let mut scale = MidiWriter::new();
    for key in 60..68 {
        scale.push(0, ChannelMessage::note_on(0, key, 100))?;
        scale.push(120, ChannelMessage::note_off(0, key, 64))?;
    }
    save("midi", "scale", scale.as_slice())?;
    let mut kinds = MidiWriter::new();
    for message in [
        ChannelMessage::program(3, 5),
        ChannelMessage::control(3, 64, 127),
        ChannelMessage::note_on(3, 60, 1),
        ChannelMessage::poly_pressure(3, 60, 2),
        ChannelMessage::channel_pressure(3, 3),
        ChannelMessage::pitch_bend(3, 10_000),
        ChannelMessage::note_on(3, 60, 0),
        ChannelMessage::control(3, 123, 0),
    ] {
        kinds.push(3, message)?;
    }
    save("midi", "kinds", kinds.as_slice())?;
    let mut full = MidiWriter::new();
    while full.push(0, ChannelMessage::channel_pressure(1, 1)).is_ok() {}
    save("midi", "full", full.as_slice())?;
    save("midi", "one_too_many", &[full.as_slice(), &[0, 0xD1, 1]].concat())?;
    for (name, bytes) in [
        ("empty", &[][..]),
        ("padded_delta", &[0x80, 0x80, 0x80, 0x05, 0x90, 60, 1]),
        ("long_delta", &[0x80, 0x80, 0x80, 0x80, 0x00, 0x90, 60, 1]),
        ("span", &[0x87, 0x68, 0x90, 60, 1]),
        ("too_long", &[0x00, 0x90, 60, 1, 0x87, 0x69, 0x80, 60, 1]),
        ("running_status", &[0x00, 0x90, 60, 1, 0x00, 60, 0]),
        ("system", &[0x00, 0xF0, 1, 0xF7]),
        ("data", &[0x00, 0x90, 60, 0x80]),
        ("cut_off", &[0x00, 0x90, 60]),
    ] {
        save("midi", name, bytes)?;
    }
    Ok(())
}

fn upgrades() -> Result<(), Box<dyn Error>> {
    let browser = "Host: piano.example\r\nOrigin: https://piano.example\r\nAccept: text/html, */*;q=0.1\r\n\
        Cookie: theme=dark; access_token=a.b.c; guest_token=\"g\"\r\n";
    let get = "GET /api/websocket?room=jam HTTP/1.1\r\n";
    for (number, request) in [
        format!("{get}{HANDSHAKE}\r\n"),
        format!("{get}{browser}{HANDSHAKE}\r\n"),
        format!("{get}{HANDSHAKE}Sec-WebSocket-Protocol: chat, pianorhythm.v1.json\r\n\r\n"),
        format!("{get}{HANDSHAKE}Sec-WebSocket-Protocol: pianorhythm.v1.protobuf\r\n\r\n\u{82}\u{0}early"),
        format!("{get}{HANDSHAKE}Sec-WebSocket-Protocol: superchat\r\n\r\n"),
        format!("{get}{browser}\r\n{get}{HANDSHAKE}\r\nearly"),
        format!("{get}{HANDSHAKE}Content-Length: 5\r\n\r\nhelloafter"),
        format!("{get}{HANDSHAKE}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nafter"),
        format!("{}{HANDSHAKE}\r\n", get.replace("1.1", "1.0")),
        format!("POST / HTTP/1.1\r\nContent-Length: 2\r\n{HANDSHAKE}\r\nhi"),
        format!("{get}{}\r\n", HANDSHAKE.replace("13", "8, 13")),
        format!("{get}{}\r\n", HANDSHAKE.replace("websocket", "h2c, WebSocket")),
        format!("{get}{}\r\n", HANDSHAKE.replace("==", "=")),
        format!("{get}{HANDSHAKE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        format!("{get}{HANDSHAKE}Expect: 100-continue\r\n\r\n"),
        format!("{get}{}\n", HANDSHAKE.replace("\r\n", "\n")),
        format!("{get}{}\r\n", "A: b\r\n".repeat(66)),
    ]
    .into_iter()
    .enumerate()
    {
        for (cut, longest) in [(3, "whole"), (1, "sevens")] {
            save("upgrade", &format!("request_{number}_{longest}"), &[&[cut][..], request.as_bytes()].concat())?;
        }
    }
    Ok(())
}

fn proxy_headers() -> Result<(), Box<dyn Error>> {
    let header = |command: u8, family: u8, rest: &[u8], after: &[u8]| {
        let length = (rest.len() as u16).to_be_bytes();
        [&[255][..], b"\r\n\r\n\0\r\nQUIT\n", &[command, family], &length, rest, after].concat()
    };
    let v4 = [198, 51, 100, 7, 192, 0, 2, 1, 0x12, 0x34, 0, 80];
    let mapped = [&[0; 10][..], &[0xFF, 0xFF, 198, 51, 100, 7], &[0; 20]].concat();
    for (name, bytes) in [
        ("tcp4", header(0x21, 0x11, &v4, b"GET / HTTP/1.1\r\n")),
        ("tcp4_extended", header(0x21, 0x11, &[&v4[..], &[0x04, 0, 1, 0]].concat(), b"")),
        ("tcp4_short", header(0x21, 0x11, &v4[..11], b"")),
        ("tcp6", header(0x21, 0x21, &[0x20; 36], b"G")),
        ("tcp6_mapped", header(0x21, 0x21, &mapped, b"")),
        ("tcp6_short", header(0x21, 0x21, &[0; 35], b"")),
        ("local", header(0x20, 0x00, b"", b"GET")),
        ("unspecified", header(0x21, 0x00, &v4, b"")),
        ("udp", header(0x21, 0x12, &v4, b"")),
        ("version_1", header(0x11, 0x11, &v4, b"")),
        ("long", header(0x21, 0x11, &[1; 4096], b"")),
        ("too_long", header(0x21, 0x11, &[1; 4097], b"")),
        ("text", b"\xFFPROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n".to_vec()),
        ("bytewise", [&[0], &header(0x21, 0x11, &v4, b"x")[1..]].concat()),
    ] {
        save("proxy_header", name, &bytes)?;
    }
    Ok(())
}

/// A frame: what it is, whether it is its message's last, and what it carries.
type Frame = (OpCode, bool, &'static [u8]);

fn frames() -> Result<(), Box<dyn Error>> {
    const TEXT: OpCode = OpCode::Data(Data::Text);
    const BINARY: OpCode = OpCode::Data(Data::Binary);
    const MORE: OpCode = OpCode::Data(Data::Continue);
    const PING: OpCode = OpCode::Control(Control::Ping);
    const PONG: OpCode = OpCode::Control(Control::Pong);
    const CLOSE: OpCode = OpCode::Control(Control::Close);
    const TEXT_BYTES: &[u8] = "Grüß Gott, 𝄞!".as_bytes();
    let streams: &[(&str, &[Frame])] = &[
        ("messages", &[(TEXT, true, TEXT_BYTES), (BINARY, true, &[0xFF; 20]), (TEXT, true, b""), (CLOSE, true, b"")]),
        (
            "fragments",
            &[(TEXT, false, &TEXT_BYTES[..3]), (PING, true, b"?"), (MORE, false, b""), (MORE, true, &TEXT_BYTES[3..])],
        ),
        (
            "binary_fragments",
            &[(BINARY, false, b""), (MORE, false, &[0xFE; 30]), (PONG, true, b""), (MORE, true, b"x")],
        ),
        ("close", &[(CLOSE, true, b"\x03\xE8bye"), (TEXT, true, b"late")]),
        ("bad_close", &[(CLOSE, true, b"\x03\xEE")]),
        ("half_close", &[(CLOSE, true, b"\x03")]),
        ("close_no_text", &[(CLOSE, true, b"\x03\xE8\xFF")]),
        ("own_close", &[(CLOSE, true, b"\x0F\x9F{}")]),
        ("no_text", &[(TEXT, true, b"\xED\xA0\x80")]),
        ("half_a_character", &[(TEXT, false, b"a\xF0\x9D"), (MORE, true, b"\x84")]),
        ("message_in_message", &[(TEXT, false, b"a"), (BINARY, true, b"b")]),
        ("continuation_of_nothing", &[(MORE, true, b"a")]),
        ("fragmented_ping", &[(PING, false, b"a")]),
        ("long_ping", &[(PING, true, &[b'p'; 126])]),
        ("longest_ping", &[(PING, true, &[b'p'; 125]), (TEXT, true, &[b't'; 126])]),
        ("long", &[(BINARY, true, &[7; 1001]), (PING, true, b"after")]),
        ("sum", &[(BINARY, false, &[7; 500]), (MORE, true, &[8; 501])]),
    ];
    for (name, frames) in streams {
        for (mask_name, mask) in [("plain", Some([0; 4])), ("masked", Some([0x37, 0xFA, 0x21, 0x3D])), ("bare", None)] {
            // A limit of 1000; without a mask the first is refused, and one is enough.
            if mask.is_none() && *name != "messages" {
                continue;
            }
            let mut bytes = vec![7, 5];
            for (opcode, is_final, payload) in *frames {
                let header = FrameHeader { is_final: *is_final, opcode: *opcode, mask, ..FrameHeader::default() };
                header.format(payload.len() as u64, &mut bytes)?;
                bytes.extend(payload.iter().zip(mask.unwrap_or_default().iter().cycle()).map(|(byte, key)| byte ^ key));
            }
            save("frames", &format!("{name}_{mask_name}"), &bytes)?;
        }
    }
    save("frames", "reserved_bit", &[0, 7, 0xC1, 0x80, 0, 0, 0, 0])?;
    save("frames", "reserved_op_code", &[0, 7, 0x83, 0x80, 0, 0, 0, 0])?;
    save("frames", "huge", &[0, 7, 0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4])?;
    save("frames", "cut_off_header", &[0, 7, 0x82, 0xFE, 0x01])?;
    save("frames", "cut_off", &[0, 7, 0x81, 0xFE, 0x01, 0x00, 0, 0, 0, 0, b'a', 0xC3])?;
    save("frames", "doomed", &[0, 7, 0x81, 0xFE, 0x01, 0x00, 0, 0, 0, 0, b'a', 0xC0])?;
    Ok(())
}
