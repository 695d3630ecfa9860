//! A server that is restarted under a thousand players: all are told when to come back, and find everything as it was.

#![allow(clippy::disallowed_methods, reason = "players come back in real time")]

mod support;

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{RoomInfo, ServerMessage, client_message::Message},
};
use support::{
    client::Client,
    music::{off, on},
    process::{LIFTED, ServerProcess},
    say,
    socket::{Connect, frame_of},
};

const ROOMS: usize = 20;
const PLAYERS: usize = 50;
/// Who connect at once.
const CROWD: usize = 8;

/// A player between two servers.
struct Absent {
    number: usize,
    guest_token: String,
    user: String,
    retry_after: Duration,
}

fn room_of(number: usize) -> String {
    format!("Hall {}", number % ROOMS)
}

fn format_of(number: usize) -> Format {
    if number.is_multiple_of(3) { Format::Json } else { Format::Protobuf }
}

/// Does something for each number up to a bound, several at once, and returns what came of it, by number.
fn many<T: Send>(count: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let mut all: BTreeMap<usize, T> = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CROWD)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return done;
                        }
                        done.push((number, each(number)));
                    }
                })
            })
            .collect();
        for worker in workers {
            all.extend(worker.join().unwrap());
        }
    });
    all.into_values().collect()
}

/// What is to be as before: the name, the settings and the crown.
fn kept(info: &RoomInfo) -> (String, String, String, Option<u32>) {
    let settings = info.settings.clone().unwrap_or_default();
    let crown = info.owner_id.clone();
    (info.room_name.clone(), crown, settings.welcome_message.unwrap_or_default(), settings.max_users)
}

#[test]
fn a_thousand_players_come_back_to_a_new_process_each_in_its_time_and_find_all_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut settings = LIFTED.to_vec();
    settings.extend([("RATE_MIDI", "unlimited"), ("MAX_CONNECTIONS_PER_ADDRESS", "10000")]);
    settings.push(("CONNECT_RATE_PER_ADDRESS", "unlimited"));
    let server = ServerProcess::start(&data_dir, &settings);
    let mut rooms = Vec::new();
    let mut clients: Vec<Client> = Vec::new();
    // The owners first, who make the rooms.
    for room in 0..ROOMS {
        let mut owner = server.guest(format_of(room), &format!("Owner {room}"));
        let wish = say::settings(|settings| {
            settings.max_users = Some(PLAYERS as u32 + room as u32);
            settings.welcome_message = Some(format!("this is number {room}"));
        });
        let made = owner.enter(say::create_with(&room_of(room), wish));
        rooms.push(kept(&made.room_info.unwrap()));
        clients.push(owner);
    }
    clients.extend(many(ROOMS * (PLAYERS - 1), |number| {
        let number = number + ROOMS;
        let connect = server.connect(format_of(number)).name(&format!("Player {number}")).room(&room_of(number));
        let mut client = connect.client();
        client.until(|message| matches!(message, Message::RoomJoinedResponse(_)).then_some(()));
        client
    }));
    assert_eq!(clients.len(), ROOMS * PLAYERS);

    // They play until the end, all of them.
    let is_over = AtomicBool::new(false);
    let absent: Vec<Absent> = thread::scope(|scope| {
        let players: Vec<_> = clients.iter().map(|client| (client.writer(), client.format)).collect();
        let is_over = &is_over;
        scope.spawn(move || {
            for key in (30..90).cycle() {
                for (writer, format) in &players {
                    let note = ServerMessage::event(say::notes(&[on(key), off(key)]));
                    // By and by they are told to go.
                    let _ = writer.write(&frame_of(*format, &note));
                }
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(200));
            }
        });
        thread::sleep(Duration::from_millis(600));
        server.signal(libc::SIGTERM);
        let absent = clients.iter_mut().enumerate().map(|(number, client)| {
            let ending = client.ending();
            assert_eq!(ending.code(), 3001, "player {number}");
            let reason: serde_json::Value = serde_json::from_str(&ending.close.unwrap().1).unwrap();
            Absent {
                number,
                guest_token: client.welcome.guest_token.clone(),
                user: client.user_id(),
                retry_after: Duration::from_millis(reason["retry_after_ms"].as_u64().unwrap()),
            }
        });
        let absent = absent.collect();
        is_over.store(true, Ordering::Relaxed);
        absent
    });
    drop(clients);
    assert_eq!(server.wait().code(), Some(0));
    let told = Instant::now();

    let delays: HashSet<u128> = absent.iter().map(|player| player.retry_after.as_millis()).collect();
    let longest = absent.iter().map(|player| player.retry_after).max().unwrap();
    let early = absent.iter().filter(|player| player.retry_after < longest / 2).count();
    assert!(delays.len() > ROOMS * PLAYERS / 3, "{} different delays", delays.len());
    assert!((300..700).contains(&early), "{early} of them in the first half of {longest:?}");

    // Each comes when it was told to, the sooner ones first, and is let in at the first try.
    let server = ServerProcess::start(&data_dir, &settings);
    let mut absent = absent;
    absent.sort_by_key(|player| player.retry_after);
    let back = many(absent.len(), |place| {
        let player = &absent[place];
        thread::sleep((told + player.retry_after).saturating_duration_since(Instant::now()));
        let connect = Connect::to(server.address, format_of(player.number)).bearer(&player.guest_token);
        let socket = connect.room(&room_of(player.number)).try_open();
        let mut client = Client::new(socket.unwrap_or_else(|refused| panic!("{}: {refused:?}", player.number)));
        let info = client.until(|message| match message {
            Message::RoomJoinedResponse(joined) => Some(joined.room_info.clone().unwrap()),
            Message::ErrorMessage(error) => panic!("{}: {error:?}", player.number),
            _ => None,
        });
        (client, kept(&info))
    });
    for (player, (client, found)) in absent.iter().zip(&back) {
        assert_eq!(client.user_id(), player.user, "it is who it was");
        assert_eq!(found, &rooms[player.number % ROOMS], "its room is what it was");
    }
    let (mut clients, _): (Vec<Client>, Vec<_>) = back.into_iter().unzip();
    let Message::MemberList(list) = clients[0].ask(say::members()) else { panic!("members") };
    assert_eq!(list.count as usize, PLAYERS);
}
