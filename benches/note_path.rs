//! What a note costs on a shard, piece by piece and whole, without sockets: unmask, decode, decide, frame, queue.
//!
//! `benches/README.md` tells how to run it and what to compare.

use std::{hint::black_box, io::IoSlice, time::Duration};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pianorhythm_server::{
    domain::{
        bucket::Bucket,
        identity::{Profile, Role, Status},
        quota::{CarriedQuota, QuotaSettings},
        room::{Effect, NewRoom, PasswordProof, Room, RoomLimits, SeatRequest},
        room_settings::{NoteQuota, RoomKind},
    },
    net::{
        decoder::{Decoder, Payload, Step},
        frame,
        outbox::{Bounds, Class, Outbox, Pushed},
    },
    protocol::{
        MAX_MESSAGE_BYTES,
        codec::{self, Format},
        ids::{ConnectionId, Participant},
        midi::{ChannelMessage, MidiWriter},
        time::Timestamp,
        wire::{ClientMessage, MidiMessage, ServerMessage, client_message, server_message},
    },
};

/// A full room by default.
const MEMBERS: u64 = 20;
/// A concert.
const CONCERT: u64 = 1000;
const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);
/// Between two notes of one player: within its quota.
const PACE: Duration = Duration::from_millis(50);
const FORMATS: [(&str, Format); 2] = [("protobuf", Format::Protobuf), ("json", Format::Json)];

/// What one key press or release is to its player's client.
fn note(press: bool) -> MidiMessage {
    let mut midi = MidiWriter::new();
    let message = if press { ChannelMessage::note_on(0, 60, 90) } else { ChannelMessage::note_off(0, 60, 0) };
    midi.push(0, message).expect("one event fits");
    MidiMessage { midi_data: midi.into_bytes(), timestamp: START.as_ms(), ..MidiMessage::default() }
}

/// As it travels to the server, without its frame.
fn payload(format: Format) -> Vec<u8> {
    let mut payload = Vec::new();
    codec::encode_server(format, &ServerMessage::event(server_message::Message::MidiMessage(note(true))), &mut payload);
    payload
}

/// As it travels to the server, masked.
fn framed(format: Format) -> Vec<u8> {
    let payload = payload(format);
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![if format == Format::Json { 0x81 } else { 0x82 }, 0x80 | payload.len() as u8];
    assert!(payload.len() < 126, "a note has the shortest header");
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// As it is relayed.
fn relayed() -> ClientMessage {
    let midi = MidiMessage { participant: 7, sequence: 12_345, ..note(true) };
    ClientMessage::event(client_message::Message::MidiMessage(midi))
}

/// A room with all its members.
fn full_room() -> Room {
    let limits = std::sync::Arc::new(RoomLimits::default());
    let new = NewRoom::by_joining("bench", &limits).expect("the name is free");
    let mut room = Room::create(new, None, limits, START);
    let mut effects = Vec::new();
    for number in 1..=MEMBERS {
        let profile = Profile {
            user_id: format!("guest-{number}").as_str().into(),
            username: format!("Guest {number}"),
            usertag: String::new(),
            roles: vec![Role::Guest],
            colour: "#aabbcc".into(),
            status: Status::Online,
        };
        let connection = ConnectionId(number);
        let request =
            SeatRequest { connection, profile: &profile, address: [127, 0, 0, 1].into(), proof: PasswordProof::Absent };
        room.reserve(request, START).expect("there is room");
        room.take_seat(connection, None, CarriedQuota::default(), START, &mut effects).expect("the seat is held");
    }
    room
}

/// Takes the payload out of a frame.
fn unframe(decoder: &mut Decoder, bytes: &mut [u8]) -> std::ops::Range<usize> {
    match decoder.step(bytes, MAX_MESSAGE_BYTES) {
        Ok(Step::Event { event, .. }) => match event.payload {
            Payload::InPlace(range) => range,
            Payload::Assembled(_) => unreachable!("the frame is whole"),
        },
        step => unreachable!("{step:?}"),
    }
}

/// Queues a frame for every member, and takes it off again as a write would.
fn queue(outboxes: &mut [Outbox], frame: &Bytes, sequence: u32, now: Timestamp) {
    let class = Class::Midi { participant: 7, sequence };
    let bounds = Bounds::default();
    for outbox in &mut *outboxes {
        assert_eq!(outbox.push(frame.clone(), class, now, &bounds), Pushed::Queued);
    }
    for outbox in outboxes {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbox.slices(&mut slices);
        let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
        outbox.advance(bytes);
    }
}

/// A player who presses and releases a key by turns, in virtual time.
struct Player {
    room: Room,
    now: Timestamp,
    pressed: bool,
    effects: Vec<Effect>,
}

impl Player {
    fn new() -> Self {
        Self { room: full_room(), now: START, pressed: false, effects: Vec::new() }
    }

    fn play(&mut self, midi: MidiMessage) -> MidiMessage {
        self.now = self.now + PACE;
        self.room.play(Participant(7), midi, self.now, &mut self.effects).expect("it may play");
        match self.effects.pop() {
            Some(Effect::Relay { midi, .. }) => midi,
            other => unreachable!("{other:?}"),
        }
    }
}

fn pieces(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inbound");
    for (name, format) in FORMATS {
        let frame = framed(format);
        let mut decoder = Decoder::default();
        group.bench_function(format!("unframe and unmask, {name}"), |bencher| {
            bencher.iter_batched_ref(
                || frame.clone(),
                |bytes| unframe(&mut decoder, black_box(bytes)),
                BatchSize::SmallInput,
            );
        });
        let payload = payload(format);
        group.bench_function(format!("decode, {name}"), |bencher| {
            bencher.iter(|| codec::decode_server(format, black_box(&payload)).unwrap());
        });
    }
    group.finish();

    decide(criterion);

    let mut group = criterion.benchmark_group("outbound");
    let message = relayed();
    for (name, format) in FORMATS {
        group.bench_function(format!("encode and frame, {name}"), |bencher| {
            bencher.iter(|| frame::message(format, black_box(&message)));
        });
    }
    for members in [MEMBERS, CONCERT] {
        group.throughput(Throughput::Elements(members));
        group.bench_function(format!("queue for {members}"), |bencher| {
            let frame = frame::message(Format::Protobuf, &message);
            let mut outboxes: Vec<_> = (0..members).map(|_| Outbox::default()).collect();
            let mut sequence = 0;
            bencher.iter(|| {
                sequence += 1;
                queue(&mut outboxes, black_box(&frame), sequence, START);
            });
        });
    }
    group.finish();
}

/// The room's decision, and the quota in it by itself.
fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("room");
    group.bench_function("play", |bencher| {
        let mut player = Player::new();
        let notes = [note(true), note(false)];
        bencher.iter(|| {
            player.pressed = !player.pressed;
            player.play(notes[usize::from(!player.pressed)].clone())
        });
    });
    group.bench_function("play, and be refused: the quota is spent", |bencher| {
        let mut player = Player::new();
        let press = note(true);
        // As fast as that no token flows in.
        let mut play = || player.room.play(Participant(7), press.clone(), START, &mut player.effects);
        while play().is_ok() {}
        bencher.iter(|| assert!(play().is_err()));
    });
    let quota = QuotaSettings::default();
    group.bench_function("quota", |bencher| {
        let mut bucket = Bucket::default();
        let mut now = START;
        bencher.iter(|| {
            now = now + PACE;
            let rate = quota.rate(RoomKind::Public, NoteQuota::Standard, black_box(true));
            assert!(black_box(&mut bucket).try_take(rate, 1, now));
        });
    });
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    group.throughput(Throughput::Elements(MEMBERS - 1));
    for (name, format) in FORMATS {
        group.bench_function(format!("one note to {}, {name}", MEMBERS - 1), |bencher| {
            let mut player = Player::new();
            let mut decoder = Decoder::default();
            let mut outboxes: Vec<_> = (1..MEMBERS).map(|_| Outbox::default()).collect();
            let template = framed(format);
            let mut buffer = template.clone();
            bencher.iter(|| {
                // Unmasking changes the buffer: this stands for the read.
                buffer.copy_from_slice(&template);
                let range = unframe(&mut decoder, &mut buffer);
                let message = codec::decode_server(format, &buffer[range]).unwrap();
                let Some(server_message::Message::MidiMessage(midi)) = message.message else { unreachable!() };
                let midi = player.play(midi);
                let (sequence, now) = (midi.sequence, player.now);
                let event = ClientMessage::event(client_message::Message::MidiMessage(midi));
                queue(&mut outboxes, &frame::message(format, &event), sequence, now);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pieces, whole);
criterion_main!(benches);
