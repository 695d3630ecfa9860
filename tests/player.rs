//! The whole path: pieces played by the player's clients through the server, and recorded by another client.

use std::{
    fs,
    future::pending,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use pianorhythm_client::protocol::{codec::Format, midi::ChannelMessage};
use pianorhythm_player::{
    compare::compare,
    part::{Part, PartEvent},
    place::Place,
    play::{self, Piece, Played, play},
    record::{self, Ended, Recorded, Take, record},
    smf,
};
use tokio::sync::oneshot;

/// A server of its own, on ports of its own, with a data folder of its own. Ends with the test.
struct Server {
    process: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // More than one shard, so that the test's rooms and their members lie apart.
        let settings = [("HOST", "127.0.0.1"), ("PORT", "0"), ("ADMIN_BIND", "127.0.0.1:0"), ("SHARDS", "2")];
        let mut process = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"))
            .env_clear()
            .envs(settings)
            .env("DATA_DIR", folder.path().join("data"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.to_owned();
            }
        };
        Self { process, url: format!("ws://{address}/api/websocket"), folder }
    }

    fn place(&self, room: &str, format: Format) -> Place {
        let (url, room) = (self.url.clone(), room.to_owned());
        Place { url, room, password: String::new(), format, access_token: None, dense: false }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Concert {
    played: Played,
    told: Vec<play::Progress>,
    recorded: Recorded,
    /// What the recorder's file has.
    parts: Vec<Part>,
}

/// Plays a piece while another client, who was there first, records it. The recorder stops when the players have left.
async fn concert(piece: &Piece, players: &Place, recorder: &Place, folder: &Path) -> Concert {
    let take = Take { name: "recorder".into(), out: folder.join(format!("{}.mid", players.room)), idle: None };
    let (entered, there) = oneshot::channel();
    let (left, stop) = oneshot::channel::<()>();
    let recording = async {
        let mut entered = Some(entered);
        let mut progress = |progress| {
            if let record::Progress::Entered { .. } = progress {
                entered.take().unwrap().send(()).unwrap();
            }
        };
        let stop = async { _ = stop.await };
        record(&take, recorder, stop, &mut progress).await.unwrap()
    };
    let mut told = Vec::new();
    let playing = async {
        there.await.unwrap();
        let played = play(piece, players, pending(), &mut |progress| told.push(progress)).await.unwrap();
        left.send(()).unwrap();
        played
    };
    let (recorded, played) = tokio::join!(recording, playing);
    let parts = smf::read(&fs::read(&take.out).unwrap()).unwrap();
    Concert { played, told, recorded, parts }
}

/// Four voices of six seconds: runs, chords, repeated and overlapping notes, notes of no length, a pedal.
fn quartet() -> Vec<Part> {
    let names = ["Violin I", "Violin II", "Viola", "Cello"];
    let voice = |(index, name): (usize, &str)| {
        let (channel, step_us) = (index as u8, 90_001 + 17_003 * index as u64);
        let mut events: Vec<PartEvent> = Vec::new();
        let mut add = |at_us, message| events.push(PartEvent { at_us, message });
        add(0, ChannelMessage::program(channel, 40 + channel));
        for note in 0..6_000_000 / step_us {
            let (at_us, key) = (note * step_us, 40 + (note * 7 % 40) as u8);
            add(at_us, ChannelMessage::note_on(channel, key, 30 + (note % 90) as u8));
            match note % 5 {
                // Over the next note's beginning, so that one rings into the other.
                0 => add(at_us + step_us * 3 / 2, ChannelMessage::note_off(channel, key, 64)),
                // Released by a press of no velocity.
                1 => add(at_us + step_us / 2, ChannelMessage::note_on(channel, key, 0)),
                // Of no length.
                2 => add(at_us, ChannelMessage::note_off(channel, key, 0)),
                // Pressed again while it sounds, in a chord.
                3 => {
                    add(at_us, ChannelMessage::note_on(channel, key + 4, 80));
                    add(at_us + step_us / 3, ChannelMessage::note_on(channel, key, 81));
                    add(at_us + step_us / 2, ChannelMessage::note_off(channel, key, 0));
                    add(at_us + step_us / 2, ChannelMessage::note_off(channel, key + 4, 0));
                }
                _ => {
                    add(at_us, ChannelMessage::control(channel, 64, 127));
                    add(at_us + step_us / 4, ChannelMessage::note_off(channel, key, 0));
                    add(at_us + step_us / 2, ChannelMessage::control(channel, 64, 0));
                }
            }
        }
        // Stable: what is at the same time stays in the order above.
        events.sort_by_key(|event| event.at_us);
        Part { name: name.into(), events }
    };
    names.into_iter().enumerate().map(voice).collect()
}

#[tokio::test]
async fn a_quartet_is_recorded_note_for_note_at_any_speed_in_both_formats() {
    let server = Server::start();
    // Through a file, as people have it.
    let parts = smf::read(&smf::write(&quartet())).unwrap();
    for (speed, players, recorder) in [(1.0, Format::Protobuf, Format::Json), (4.0, Format::Json, Format::Protobuf)] {
        let room = format!("concert at {speed}");
        let (players, recorder) = (server.place(&room, players), server.place(&room, recorder));
        let piece = Piece { parts: parts.clone(), speed };
        let concert = concert(&piece, &players, &recorder, server.folder.path()).await;
        let Recorded { summary, ended } = &concert.recorded;
        println!("speed {speed}: arrival after the timestamp: {}", summary.arrival_after_timestamp);

        let comparison = compare(&parts, &concert.parts, speed);
        assert!(comparison.is_complete(), "{comparison}");
        assert!(comparison.onset_error.p99_ms <= 2.0, "{comparison}");
        let whole: Vec<usize> = parts.iter().map(|part| part.events.len()).collect();
        let heard: Vec<usize> = concert.parts.iter().map(|part| part.notes().count()).collect();
        assert!(heard.iter().zip(&whole).all(|(heard, whole)| heard < whole), "pedals and programs are no notes");
        assert_eq!((summary.still_sounding, summary.gaps, summary.sequence_errors), (0, 0, 0));
        assert_eq!((concert.played.players, concert.played.refused), (4, 0));
        assert_eq!(*ended, Ended::Stopped);
        let numbers: Vec<u32> = summary.participants.iter().map(|player| player.participant).collect();
        assert!(numbers.is_sorted());
    }
}

/// Chords of fifteen keys, too many for what a room allows one player by default.
fn storm() -> Piece {
    let chord = |at_ms: u64| {
        let press = (0..15).map(move |key| (at_ms, ChannelMessage::note_on(0, 40 + key, 90)));
        press.chain((0..15).map(move |key| (at_ms + 5, ChannelMessage::note_off(0, 40 + key, 0))))
    };
    let events = (0..150).flat_map(|number| chord(number * 10));
    let events = events.map(|(ms, message)| PartEvent { at_us: ms * 1000, message }).collect();
    Piece { parts: vec![Part { name: "Storm".into(), events }], speed: 1.0 }
}

#[tokio::test]
async fn a_dense_piece_is_heard_whole_where_its_room_allows_it() {
    let server = Server::start();
    let mut place = server.place("storm", Format::Protobuf);
    // The recorder is there first and makes the room.
    place.dense = true;
    let piece = storm();
    let concert = concert(&piece, &place, &place, server.folder.path()).await;
    let comparison = compare(&piece.parts, &concert.parts, 1.0);
    assert!(comparison.is_complete(), "{comparison}");
    assert_eq!(concert.played.refused, 0);
    assert!(!concert.told.contains(&play::Progress::TooDense));
}

#[tokio::test]
async fn what_a_room_refuses_is_told_before_and_counted_after() {
    let server = Server::start();
    let place = server.place("calm", Format::Protobuf);
    let piece = storm();
    let concert = concert(&piece, &place, &place, server.folder.path()).await;
    assert!(concert.told.contains(&play::Progress::TooDense));
    assert!(concert.played.refused > 0);
    let heard = concert.recorded.summary.note_ons;
    assert!(heard < 2250, "{heard}");
    assert_eq!(concert.recorded.summary.still_sounding, 0);
}

#[tokio::test]
async fn a_piece_too_dense_for_the_default_makes_its_room_so() {
    let server = Server::start();
    let place = server.place("alone", Format::Protobuf);
    let mut told = Vec::new();
    let played = play(&storm(), &place, pending(), &mut |progress| told.push(progress)).await.unwrap();
    assert_eq!((played.refused, played.note_ons, played.interrupted), (0, 2250, false));
    assert!(!told.contains(&play::Progress::TooDense));
}
