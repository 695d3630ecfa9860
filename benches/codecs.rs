//! What the two formats cost, both ways: a note, a line of chat, and the state of a room that somebody enters.
//!
//! `benches/README.md` tells how to run it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pianorhythm_server::protocol::{
    codec::{self, Format},
    midi::{ChannelMessage, MidiWriter},
    wire::{
        ClientMessage, Member, MidiMessage, RoomChatMessage, RoomJoinedResponse, ServerMessage, User, client_message,
        server_message,
    },
};

const FORMATS: [(&str, Format); 2] = [("protobuf", Format::Protobuf), ("json", Format::Json)];
/// Who is in the room that is entered.
const MEMBERS: u32 = 20;

fn midi() -> MidiMessage {
    let mut midi = MidiWriter::new();
    midi.push(0, ChannelMessage::note_on(0, 60, 90)).expect("one event fits");
    let midi_data = midi.into_bytes();
    MidiMessage { midi_data, timestamp: 1_700_000_000_000, participant: 7, sequence: 12_345, ..MidiMessage::default() }
}

fn chat() -> RoomChatMessage {
    RoomChatMessage {
        message: "the left hand a little softer, and again from the second theme".into(),
        ..RoomChatMessage::default()
    }
}

fn state() -> RoomJoinedResponse {
    let member = |participant: u32| {
        let user = User {
            user_id: format!("guest-{participant}"),
            username: format!("Guest {participant}"),
            colour: "#aabbcc".into(),
            ..User::default()
        };
        Member { participant, user: Some(user), ..Member::default() }
    };
    RoomJoinedResponse {
        success: true,
        participant: MEMBERS,
        current_users: (1..=MEMBERS).map(member).collect(),
        ..RoomJoinedResponse::default()
    }
}

fn to_the_server(criterion: &mut Criterion) {
    let messages = [
        ("note", server_message::Message::MidiMessage(midi())),
        ("line of chat", server_message::Message::RoomChatMessage(chat())),
    ];
    let mut group = criterion.benchmark_group("from a client");
    for (what, message) in messages {
        let message = ServerMessage::event(message);
        for (name, format) in FORMATS {
            let mut bytes = Vec::new();
            codec::encode_server(format, &message, &mut bytes);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("decode a {what}, {name}"), |bencher| {
                bencher.iter(|| codec::decode_server(format, black_box(&bytes)).unwrap());
            });
        }
    }
    group.finish();
}

fn to_a_client(criterion: &mut Criterion) {
    let messages = [
        ("note", client_message::Message::MidiMessage(midi())),
        ("line of chat", client_message::Message::RoomChatMessage(chat())),
        ("room of twenty", client_message::Message::RoomJoinedResponse(state())),
    ];
    let mut group = criterion.benchmark_group("to a client");
    for (what, message) in messages {
        let message = ClientMessage::event(message);
        for (name, format) in FORMATS {
            let mut bytes = Vec::new();
            codec::encode_client(format, &message, &mut bytes);
            assert_eq!(codec::decode_client(format, &bytes).unwrap(), message);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("encode a {what}, {name}"), |bencher| {
                bencher.iter(|| {
                    bytes.clear();
                    codec::encode_client(format, black_box(&message), &mut bytes);
                });
            });
            group.bench_function(format!("decode a {what}, {name}"), |bencher| {
                bencher.iter(|| codec::decode_client(format, black_box(&bytes)).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, to_the_server, to_a_client);
criterion_main!(benches);
