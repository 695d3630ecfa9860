//! Changing rooms across shards in mid-stream: nothing is lost, doubled or reordered in either direction, and whoever is to
//! be closed is closed wherever it is just then, and once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use pianorhythm_server::{
    config::Config,
    protocol::{
        codec::Format,
        midi::{ALL_NOTES_OFF, ChannelMessage},
        wire::{
            AvatarCommand, ClientMessage, MidiMessage, ServerMessage, avatar_command, client_message::Message,
            room_moderation::Action, server_message::Message as Ask,
        },
    },
};

use crate::support::{
    client::Client,
    eventually,
    music::{numbered, run},
    other, say,
    server::{SHARDS, TestServer, patient, room_on, unlimited_quotas},
    socket::{Got, frame_of},
};

in_both_formats![
    a_thousand_moves_lose_and_reorder_nothing_in_either_direction,
    what_waits_to_be_written_moves_along,
    a_kick_closes_who_is_changing_rooms_once,
    a_ban_closes_who_is_changing_rooms_once,
    an_operator_closes_who_is_changing_rooms_once,
    whoever_comes_first_closes_who_is_changing_rooms,
    who_hangs_up_while_changing_rooms_is_nowhere_any_more,
];

const MOVES: usize = 1000;

fn lifted(config: &mut Config) {
    unlimited_quotas(config);
    patient(config);
    // A seat that is not given back stays taken, and is seen.
    config.rooms.seat_hold = Duration::from_secs(300);
}

/// Vigna's xorshift64*: the same moves each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// One stay of the mover in a room, as it is meant.
struct Stay {
    room: usize,
    /// What it plays there.
    played: Vec<Bytes>,
}

/// One stay of the mover in a room, as the room's resident has seen it.
#[derive(Default)]
struct Seen {
    participant: u32,
    played: Vec<MidiMessage>,
    avatars: usize,
    /// The resident's notes that were relayed during it, by their sequence numbers.
    relayed: std::ops::Range<u32>,
}

/// What the mover sends, and what is to come of it.
struct Mover {
    format: Format,
    chance: Chance,
    rooms: usize,
    stays: Vec<Stay>,
    bytes: Vec<u8>,
    request: u32,
    /// The requests that are refused.
    refused: Vec<u32>,
    played: usize,
}

impl Mover {
    fn new(format: Format, rooms: usize) -> Self {
        let (stays, bytes, refused) = (Vec::new(), Vec::new(), Vec::new());
        Self { format, chance: Chance(0x9E37_79B9), rooms, stays, bytes, request: 0, refused, played: 0 }
    }

    fn ask(&mut self, message: Ask) {
        self.request += 1;
        self.bytes.extend(frame_of(self.format, &ServerMessage::request(Some(self.request), message)));
    }

    fn tell(&mut self, message: Ask) {
        self.bytes.extend(frame_of(self.format, &ServerMessage::event(message)));
    }

    /// Changes rooms and plays there, in one breath.
    fn stay(&mut self, names: &[String]) {
        let here = self.stays.last().map(|stay| stay.room);
        let room = loop {
            let room = self.chance.below(self.rooms);
            if Some(room) != here {
                break room;
            }
        };
        match self.chance.below(10) {
            0 if here.is_some() => self.ask(say::leave()),
            // What is refused leaves it where it is.
            1 if here.is_some() => {
                self.ask(say::join("full"));
                self.refused.push(self.request);
                self.play();
            }
            _ => {}
        }
        self.ask(say::join(&names[room]));
        self.stays.push(Stay { room, played: Vec::new() });
        // Held to the end of the stay.
        let held = run(&[ChannelMessage::note_on(1, 100, 1)]);
        self.tell(say::midi(held.clone()));
        self.stays.last_mut().unwrap().played.push(held);
        for _ in 0..1 + self.chance.below(3) {
            self.play();
        }
        let action = avatar_command::Action::Appearance as i32;
        self.tell(Ask::AvatarCommand(AvatarCommand { action, avatar_data: vec![1; 40].into(), participant: 0 }));
    }

    fn play(&mut self) {
        let midi = run(&numbered(self.played % 16_000));
        self.played += 1;
        self.ask(say::midi(midi.clone()));
        self.stays.last_mut().unwrap().played.push(midi);
    }
}

/// Stays in a room and plays until it is told to stop; then what it heard, answers to its own notes included, in order.
fn reside(mut resident: Client, stop: &AtomicBool) -> Vec<ClientMessage> {
    let mut number = 0;
    let mut heard = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        resident.begin(say::notes(&numbered(number % 16_000)));
        number += 1;
        thread::sleep(Duration::from_micros(300));
    }
    resident.ask(say::leave());
    heard.extend(resident.heard());
    heard
}

/// The mover's stays in a room, from what its resident heard.
fn stays_seen(log: Vec<ClientMessage>) -> Vec<Seen> {
    let (mut stays, mut relayed, mut is_here) = (Vec::<Seen>::new(), 0, false);
    for message in log {
        match message.message.unwrap() {
            // The resident's note was relayed just now.
            Message::Ack(_) => relayed += 1,
            Message::UserJoinedRoom(joined) => {
                assert!(!is_here);
                is_here = true;
                let participant = joined.member.unwrap().participant;
                stays.push(Seen { participant, relayed: relayed + 1..relayed + 1, ..Seen::default() });
            }
            Message::MidiMessage(midi) => {
                assert!(is_here, "notes of nobody");
                stays.last_mut().unwrap().played.push(midi);
            }
            Message::AvatarCommand(_) => stays.last_mut().unwrap().avatars += 1,
            Message::UserLeftRoom(left) => {
                let stay = stays.last_mut().unwrap();
                assert_eq!((is_here, left.participant), (true, stay.participant));
                is_here = false;
                stay.relayed.end = relayed + 1;
            }
            message => panic!("{message:?}"),
        }
    }
    assert!(!is_here);
    stays
}

fn a_thousand_moves_lose_and_reorder_nothing_in_either_direction(format: Format) {
    let server = TestServer::with(lifted);
    let names: Vec<_> = (0..2 * SHARDS).map(|room| room_on(room % SHARDS, room)).collect();
    let mut full = server.guest(format, "Full");
    full.enter(say::create_with("full", say::settings(|settings| settings.max_users = Some(1))));
    let mut mover = Mover::new(format, names.len());
    let mut client = server.guest(format, "Mover");
    let mut log = Vec::new();
    let stop = AtomicBool::new(false);
    let seen: Vec<_> = thread::scope(|scope| {
        let residents: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let speaks = if number % 2 == 0 { format } else { other(format) };
                let resident = server.player(speaks, "Resident", name);
                let stop = &stop;
                scope.spawn(move || stays_seen(reside(resident, stop)))
            })
            .collect();

        // Half of the moves without waiting for anything, cut up in odd places.
        (0..MOVES / 2).for_each(|_| mover.stay(&names));
        let bytes = std::mem::take(&mut mover.bytes);
        let (writer, mut cuts) = (client.writer(), Chance(7));
        scope.spawn(move || {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at((1 + cuts.below(300)).min(rest.len()));
                writer.write(piece).unwrap();
                rest = after;
            }
        });
        while log.last().is_none_or(|last: &ClientMessage| last.request_id != Some(mover.request)) {
            log.push(client.next());
        }
        // The other half hears something in each room.
        for _ in 0..MOVES / 2 {
            mover.stay(&names);
            client.write(&std::mem::take(&mut mover.bytes));
            let (mut heard, mut is_done) = (0, false);
            while heard < 2 || !is_done {
                let message = client.next();
                is_done |= message.request_id == Some(mover.request);
                match &message.message {
                    Some(Message::RoomJoinedResponse(_)) => heard = 0,
                    Some(Message::MidiMessage(_)) => heard += 1,
                    _ => {}
                }
                log.push(message);
            }
        }
        mover.ask(say::leave());
        client.write(&std::mem::take(&mut mover.bytes));
        while log.last().unwrap().request_id != Some(mover.request) {
            log.push(client.next());
        }
        stop.store(true, Ordering::Relaxed);
        residents.into_iter().map(|resident| resident.join().unwrap()).collect()
    });
    assert_eq!(client.heard(), [], "nothing comes after one has left");

    // Every request has its answer, in order.
    let answers: Vec<_> = log.iter().filter_map(|message| message.request_id).collect();
    assert_eq!(answers, (1..=mover.request).collect::<Vec<_>>());
    let is_error = |message: &&ClientMessage| matches!(message.message, Some(Message::ErrorMessage(_)));
    let refused: Vec<_> = log.iter().filter(is_error).map(|message| message.request_id.unwrap()).collect();
    assert_eq!(refused, mover.refused);

    // What the mover was told, by stays.
    let mut heard: Vec<(String, u32, Vec<MidiMessage>)> = Vec::new();
    for message in log {
        match message.message.unwrap() {
            Message::RoomJoinedResponse(joined) => {
                heard.push((joined.room_info.unwrap().room_id, joined.participant, Vec::new()));
            }
            Message::MidiMessage(midi) => heard.last_mut().unwrap().2.push(midi),
            Message::Ack(_) | Message::ErrorMessage(_) => {}
            message => panic!("{message:?}"),
        }
    }
    assert_eq!((heard.len(), mover.stays.len()), (MOVES, MOVES));

    let silence = run(&[
        ChannelMessage::note_off(1, 100, 0),
        ChannelMessage::control(0, ALL_NOTES_OFF, 0),
        ChannelMessage::control(1, ALL_NOTES_OFF, 0),
    ]);
    let mut seen: Vec<_> = seen.into_iter().map(Vec::into_iter).collect();
    let mut notes_heard = 0;
    for (number, (stay, (room, participant, heard))) in mover.stays.into_iter().zip(heard).enumerate() {
        let seen = seen[stay.room].next().expect("the resident has seen every stay");
        assert_eq!((room, participant), (names[stay.room].clone(), seen.participant), "stay {number}");
        // Outward: what the mover played, and the silence when it left.
        let expected: Vec<_> = stay.played.into_iter().chain([silence.clone()]).zip(1..).collect();
        let played: Vec<_> = seen.played.into_iter().map(|midi| (midi.midi_data, midi.sequence)).collect();
        assert_eq!((played, seen.avatars), (expected, 1), "stay {number}");
        // Inward: each of the resident's notes that were relayed between its arrival and its leaving, and no other.
        let expected = seen.relayed.map(|sequence| (run(&numbered((sequence as usize - 1) % 16_000)), sequence));
        let heard: Vec<_> = heard.into_iter().map(|midi| (midi.midi_data, midi.sequence)).collect();
        notes_heard += heard.len();
        assert_eq!(heard, expected.collect::<Vec<_>>(), "stay {number}");
    }
    assert!(seen.iter_mut().all(|seen| seen.next().is_none()));
    assert!(notes_heard >= MOVES, "{notes_heard}");
    let moves = server.figure("pianorhythm_moves_total");
    assert!(moves >= MOVES as u64, "out and in: {moves}");
}

fn what_waits_to_be_written_moves_along(format: Format) {
    const NOTES: u32 = 400;
    let server = TestServer::with(|config| {
        lifted(config);
        config.stage.socket_send_buffer = 4096;
    });
    let names: Vec<_> = (0..SHARDS).map(|shard| room_on(shard, 0)).collect();
    let mut residents: Vec<_> = names.iter().map(|name| server.player(other(format), "Resident", name)).collect();
    // It reads nothing for three rounds.
    let mut mover = server.connect(format).receive_buffer(4096).open();
    mover.message();
    let long: Vec<_> = (0..60).map(|key| ChannelMessage::note_on(2, key, 1)).collect();
    let mut rounds = Vec::new();
    for round in 0..3 {
        for (shard, resident) in residents.iter_mut().enumerate() {
            mover.ask(round * SHARDS as u32 + shard as u32, say::join(&names[shard]));
            resident.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
            for _ in 0..NOTES {
                resident.send(say::notes(&long));
            }
            resident.ask(say::heartbeat());
            rounds.push((names[shard].clone(), NOTES * round + 1..=NOTES * (round + 1)));
        }
    }
    for (room, sequences) in rounds {
        let Some(Message::RoomJoinedResponse(joined)) = mover.message().message else { panic!("in order") };
        assert_eq!(joined.room_info.unwrap().room_id, room);
        for sequence in sequences {
            let Some(Message::MidiMessage(midi)) = mover.message().message else { panic!("in order") };
            assert_eq!((midi.participant, midi.sequence), (1, sequence));
        }
    }
    mover.send(say::heartbeat());
    let got = mover.read();
    let Got::Message(answer) = &got else { panic!("{got:?}") };
    assert!(matches!(answer.message, Some(Message::HeartbeatMessage(_))), "{got:?}");
    assert!(server.figure("pianorhythm_moves_total") >= 2 * 8);
}

/// Three rooms on three shards, each with an owner and one more seat.
struct Stage {
    format: Format,
    owners: Vec<Client>,
    names: Vec<String>,
    server: TestServer,
}

impl Stage {
    fn new(format: Format) -> Self {
        let server = TestServer::with(lifted);
        let names: Vec<_> = (0..SHARDS).map(|shard| room_on(shard, 0)).collect();
        let owner = |(number, name): (usize, &String)| {
            let mut owner = server.guest(if number % 2 == 0 { format } else { other(format) }, "Owner");
            owner.enter(say::create_with(name, say::settings(|settings| settings.max_users = Some(2))));
            owner
        };
        let owners = names.iter().enumerate().map(owner).collect();
        Self { format, owners, names, server }
    }

    /// A guest that goes from room to room, playing, for as long as it is connected.
    fn mover(&self, chance: &mut Chance) -> Client {
        let mover = self.server.guest(self.format, "Mover");
        let first = chance.below(SHARDS);
        let mut bytes = Vec::new();
        for number in 0..8 * SHARDS {
            let room = &self.names[(first + number) % SHARDS];
            bytes.extend(frame_of(self.format, &ServerMessage::event(say::join(room))));
            bytes.extend(frame_of(self.format, &ServerMessage::event(say::notes(&numbered(number)))));
        }
        let writer = mover.writer();
        // Always some in advance, and not for minutes.
        thread::spawn(move || {
            while writer.write(&bytes).is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        mover
    }

    /// The mover is closed in order with one of these codes, and is nowhere any more: everything it had is free.
    #[track_caller]
    fn expect_gone(&mut self, mut mover: Client, codes: &[u16]) {
        let ending = mover.ending();
        assert!(codes.contains(&ending.code()), "{ending:?}");
        let id = mover.user_id();
        drop(mover);
        self.expect_free();
        assert_eq!(operate(&self.server, &id), 0);
    }

    /// Each room has its owner and one seat.
    #[track_caller]
    fn expect_free(&mut self) {
        let mut probe = self.server.guest(other(self.format), "Probe");
        for (owner, name) in self.owners.iter_mut().zip(&self.names) {
            eventually("the seat is free", || matches!(probe.answer(say::join(name)), Message::RoomJoinedResponse(_)));
            // Whoever came has gone.
            let (mut joined, mut left) = (Vec::new(), Vec::new());
            for event in owner.events() {
                match event {
                    Message::UserJoinedRoom(event) => joined.push(event.member.unwrap().participant),
                    Message::UserLeftRoom(event) => left.push(event.participant),
                    _ => {}
                }
            }
            let Message::MemberList(list) = owner.ask(say::members()) else { panic!("members") };
            assert_eq!(
                list.members.iter().map(|member| member.participant).collect::<Vec<_>>(),
                [1, *joined.last().unwrap()]
            );
            probe.ask(say::leave());
            left.push(owner.until(|message| match message {
                Message::UserLeftRoom(event) => Some(event.participant),
                _ => None,
            }));
            assert_eq!(joined, left);
        }
        drop(probe);
        self.server.await_figure("pianorhythm_connections", SHARDS as u64);
    }
}

const ROUNDS: u64 = 12;

fn moderated(format: Format, action: Action, code: u16) {
    let mut stage = Stage::new(format);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let mover = stage.mover(&mut chance);
        let owner = &mut stage.owners[chance.below(SHARDS)];
        let id = mover.user_id();
        // It comes and goes.
        eventually("it is found", || matches!(owner.answer(say::moderate(action, &id)), Message::Ack(_)));
        stage.expect_gone(mover, &[code]);
    }
}

fn a_kick_closes_who_is_changing_rooms_once(format: Format) {
    moderated(format, Action::Kick, 3501);
}

fn a_ban_closes_who_is_changing_rooms_once(format: Format) {
    let mut stage = Stage::new(format);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let mut mover = stage.mover(&mut chance);
        let by = chance.below(SHARDS);
        let owner = &mut stage.owners[by];
        // Who is in the room, or about to be, is closed; who is not is kept out and goes on elsewhere.
        let id = mover.user_id();
        eventually("it is there", || {
            owner.ask(say::moderate(Action::Ban, &id));
            if mover.has_ended() {
                return true;
            }
            owner.ask(say::moderate(Action::Unban, &id));
            false
        });
        stage.expect_gone(mover, &[3502]);
    }
}

fn operate(server: &TestServer, user: &str) -> u64 {
    let (status, body) = server.operator("POST", &format!("/debug/users/{user}/close?code=unauthorised"));
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["data"]["closed"].as_u64().unwrap()
}

fn an_operator_closes_who_is_changing_rooms_once(format: Format) {
    let mut stage = Stage::new(format);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let mover = stage.mover(&mut chance);
        thread::sleep(Duration::from_micros(chance.below(20_000) as u64));
        assert_eq!(operate(&stage.server, &mover.user_id()), 1);
        stage.expect_gone(mover, &[3503]);
    }
}

fn whoever_comes_first_closes_who_is_changing_rooms(format: Format) {
    let mut stage = Stage::new(format);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let mover = stage.mover(&mut chance);
        let id = mover.user_id();
        let mut owners = std::mem::take(&mut stage.owners);
        let server = &stage.server;
        thread::scope(|scope| {
            for owner in &mut owners {
                let kick = say::moderate(Action::Kick, &id);
                scope.spawn(move || (0..20).for_each(|_| drop(owner.answer(kick.clone()))));
            }
            let id = &id;
            let delay = Duration::from_micros(chance.below(10_000) as u64);
            scope.spawn(move || {
                thread::sleep(delay);
                operate(server, id)
            });
        });
        stage.owners = owners;
        stage.expect_gone(mover, &[3501, 3503]);
    }
}

fn who_hangs_up_while_changing_rooms_is_nowhere_any_more(format: Format) {
    let mut stage = Stage::new(format);
    for round in 1..=ROUNDS {
        let mut chance = Chance(round);
        let mover = stage.mover(&mut chance);
        thread::sleep(Duration::from_micros(chance.below(10_000) as u64));
        drop(mover);
        stage.server.await_figure("pianorhythm_connections", SHARDS as u64);
        stage.expect_free();
    }
}
