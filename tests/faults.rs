//! Rooms that panic on purpose, one in a thousand times that they handle something, while people play: in a process of its own,
//! for the switch is the process's.

mod support;

use std::collections::{HashMap, HashSet};

use pianorhythm_server::{
    domain::fault,
    protocol::{codec::Format, error::ErrorCode, midi::Events, wire::client_message::Message},
};
use support::{
    client::Client,
    music::{off, on},
    other, say,
    server::{TestServer, room_on, unlimited_quotas},
};

const ROOMS: usize = 10;
const PLAYERS: usize = 5;
const ROUNDS: usize = 300;
const ONE_IN: u32 = 1000;

/// What a listener knows of one room: the keys that sound, by participant.
#[derive(Default)]
struct Ear {
    sounding: HashMap<u32, HashSet<(u8, u8)>>,
    notes: usize,
    errors: usize,
}

impl Ear {
    fn listen(&mut self, client: &mut Client) {
        for message in client.heard() {
            match message.message.unwrap() {
                Message::MidiMessage(midi) => {
                    let keys = self.sounding.entry(midi.participant).or_default();
                    for event in Events::parse(&midi.midi_data).unwrap() {
                        let (channel, key) = (event.message.channel(), event.message.data()[0]);
                        if event.message.is_note_on() {
                            self.notes += 1;
                            keys.insert((channel, key));
                        } else if event.message.is_note_off() {
                            keys.remove(&(channel, key));
                        }
                    }
                }
                Message::ErrorMessage(error) => {
                    assert_eq!(error.error_code, ErrorCode::Server.as_str(), "{error:?}");
                    self.errors += 1;
                }
                Message::UserLeftRoom(left) => panic!("nobody leaves: {left:?}"),
                _ => {}
            }
        }
    }

    fn sticks(&self) -> Vec<(u32, &HashSet<(u8, u8)>)> {
        let sounding = self.sounding.iter().filter(|(_, keys)| !keys.is_empty());
        sounding.map(|(participant, keys)| (*participant, keys)).collect()
    }
}

#[test]
fn rooms_that_panic_lose_no_connection_and_stick_no_note() {
    let server = TestServer::with(|config| {
        unlimited_quotas(config);
        config.http.max_connections_per_address = 1000;
    });
    let mut players: Vec<(Client, Ear)> = (0..ROOMS * PLAYERS)
        .map(|number| {
            let room = room_on(number % ROOMS % 3, number % ROOMS);
            let format = if number.is_multiple_of(2) { Format::Protobuf } else { other(Format::Protobuf) };
            (server.player(format, &format!("Player {number}"), &room), Ear::default())
        })
        .collect();

    fault::inject(ONE_IN);
    for round in 0..ROUNDS {
        let key = 20 + (round % 80) as u8;
        for (client, _) in &players {
            client.send(say::notes(&[on(key)]));
        }
        for (client, _) in &players {
            client.send(say::notes(&[off(key)]));
        }
        for (client, ear) in &mut players {
            ear.listen(client);
        }
    }
    fault::inject(0);
    // Twice: what another has sent last may have been handled after the first was answered.
    for _ in 0..2 {
        for (client, ear) in &mut players {
            ear.listen(client);
        }
    }

    let (_, metrics) = server.operator("GET", "/metrics");
    let of_rooms = |metric: &str| -> u64 {
        let lines = metrics.lines().filter(|line| line.starts_with(metric) && line.contains("kind=\"room\""));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let (panics, restarts) = (of_rooms("pianorhythm_actor_panics_total"), of_rooms("pianorhythm_actor_restarts_total"));
    println!("{panics} panics, {restarts} restarts, {} handled", of_rooms("pianorhythm_actor_processed_total"));
    assert!(panics >= 10, "faults there were: {panics}");
    assert_eq!(panics, restarts, "after each the room went on");
    assert_eq!(of_rooms("pianorhythm_actor_pending"), 0);

    for (number, (client, ear)) in players.iter_mut().enumerate() {
        assert!(!client.has_ended(), "player {number} was dropped");
        assert_eq!(ear.sticks(), [], "player {number} hears notes that nobody holds");
        let Message::MemberList(list) = client.ask(say::members()) else { panic!("members") };
        assert_eq!(list.count as usize, PLAYERS, "everybody is still there");
    }
    let errors: usize = players.iter().map(|(_, ear)| ear.errors).sum();
    assert!(errors > 0, "who sent what a room failed at was told");
    let notes: usize = players.iter().map(|(_, ear)| ear.notes).sum();
    let all = ROOMS * PLAYERS * (PLAYERS - 1) * ROUNDS;
    assert!(notes <= all && notes >= all - panics as usize * PLAYERS, "{notes} of {all} notes, {panics} panics");
}
