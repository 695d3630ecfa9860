//! Rooms that outlive their members and the server: what was acknowledged is there when it comes back, however it ended.

use std::{
    env,
    path::Path,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::{
    http::auth::{Claims, Kind, SigningKey, Tokens},
    protocol::{
        codec::Format,
        wire::{
            CreateRoomCommand, RoomJoinedResponse, RoomType, UpdateRoomCommand, client_message::Message,
            room_moderation::Action, server_message::Message as Ask,
        },
    },
};

use crate::support::{
    DEADLINE,
    client::Client,
    music::on,
    other,
    process::{LIFTED, ServerProcess},
    say,
    server::{SHARDS, TestServer, now, room_on},
};

in_both_formats![
    a_made_room_comes_back_with_all_it_had,
    a_room_that_emptied_comes_back_from_the_store,
    a_room_made_by_joining_does_not_come_back,
    what_waits_for_its_commit_is_answered_wherever_its_asker_has_gone,
];

/// Joins, and reads the history that comes with it.
fn enter(client: &mut Client, ask: Ask) -> (RoomJoinedResponse, Vec<String>) {
    let joined = client.enter(ask);
    let mut lines = Vec::new();
    for event in client.events() {
        if let Message::ChatHistory(history) = event {
            lines.extend(history.messages.into_iter().map(|line| line.message));
        }
    }
    (joined, lines)
}

fn a_made_room_comes_back_with_all_it_had(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    let settings = say::settings(|settings| {
        settings.max_users = Some(7);
        settings.welcome_message = Some("welcome back".into());
        settings.only_owner_chats = Some(true);
        settings.stage = Some("beach".into());
    });
    let create = CreateRoomCommand {
        room_name: "The Club".into(),
        room_type: RoomType::Private as i32,
        password: "fugue".into(),
        settings: Some(settings),
    };
    let made = owner.enter(Ask::CreateRoomCommand(create)).room_info.unwrap();
    owner.ask(say::chat("first"));
    owner.ask(say::chat("second"));
    let mut banned = server.guest(other(format), "Bo");
    banned.enter(say::join_with("the club", "fugue"));
    let mut muted = server.guest(other(format), "Cy");
    muted.enter(say::join_with("the club", "fugue"));
    owner.ask(say::moderate_with(Action::Ban, &banned.user_id(), |ban| ban.reason = "noise".into()));
    owner.ask(say::moderate_with(Action::Mute, &muted.user_id(), |mute| mute.notes = true));
    let rename = UpdateRoomCommand { room_name: Some("The Old Club".into()), ..Default::default() };
    owner.ask(Ask::UpdateRoomCommand(rename));
    let token = |client: &Client| client.welcome.guest_token.clone();
    let (owner, banned, muted) = ((owner.user_id(), token(&owner)), token(&banned), token(&muted));

    let server = TestServer::on(server.stop(), |_| {});
    let mut guest = server.guest(other(format), "Di");
    let Message::RoomInfo(info) = guest.ask(say::room_info("The Club")) else { panic!("it is there") };
    assert_eq!(
        (info.room_name.as_str(), info.room_type(), info.has_password),
        ("The Old Club", RoomType::Private, true)
    );
    assert_eq!((&info.settings, &info.owner_id, info.user_count), (&made.settings, &owner.0, 0));
    assert_eq!(guest.refusal(say::create("the club")), "ROOM_EXISTS");
    assert_eq!(guest.refusal(say::join("the club")), "PASSWORD_REQUIRED");
    assert_eq!(guest.refusal(say::join_with("the club", "canon")), "WRONG_PASSWORD");
    let (joined, lines) = enter(&mut guest, say::join_with("the club", "fugue"));
    assert_eq!((joined.participant, lines), (1, vec!["first".to_owned(), "second".to_owned()]));
    // Whoever comes into somebody's empty room does not take it over.
    assert_eq!(joined.room_info.unwrap().owner_id, owner.0);
    assert_eq!(guest.refusal(say::chat("may I?")), "ONLY_OWNER_CHATS");
    let mut again = server.connect(format).bearer(&banned).client();
    let error = again.refused(say::join_with("the club", "fugue"));
    assert_eq!((error.error_code.as_str(), error.error_details["reason"].as_str()), ("BANNED", "noise"));
    let mut again = server.connect(format).bearer(&muted).client();
    again.enter(say::join_with("the club", "fugue"));
    assert_eq!(again.refusal(say::notes(&[on(60)])), "MUTED");
    let mut again = server.connect(format).bearer(&owner.1).client();
    again.enter(say::join_with("the club", "fugue"));
    again.ask(say::update(say::settings(|settings| settings.max_users = Some(8))));
}

fn a_room_that_emptied_comes_back_from_the_store(format: Format) {
    let server = TestServer::with(|config| {
        // A room stays for as long as a seat in it might be held.
        (config.rooms.empty_grace, config.rooms.seat_hold) = (Duration::from_millis(50), Duration::from_millis(500));
    });
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    owner.ask(say::chat("anybody?"));
    owner.ask(say::leave());
    server.await_figure("pianorhythm_rooms", 0);
    // Many at once wait for the same load, and all are served.
    let mut clients: Vec<_> =
        (0..6).map(|n| server.guest(if n % 2 == 0 { format } else { other(format) }, "Bo")).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.begin(say::join("jam"))).collect();
    let mut numbers = Vec::new();
    for (client, id) in clients.iter_mut().zip(ids) {
        let Message::RoomJoinedResponse(joined) = client.answer_to(id) else { panic!("a seat") };
        assert_eq!(joined.room_info.unwrap().owner_id, owner.user_id());
        numbers.push(joined.participant);
        let history = client.until(|message| match message {
            Message::ChatHistory(history) => Some(history.messages.len()),
            _ => None,
        });
        assert_eq!(history, 1);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

fn a_room_made_by_joining_does_not_come_back(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    client.ask(say::chat("written in sand"));
    drop(client);
    let server = TestServer::on(server.stop(), |_| {});
    let mut client = server.guest(format, "Ann");
    assert_eq!(client.refusal(say::room_info("jam")), "ROOM_NOT_FOUND");
    let (_, lines) = enter(&mut client, say::join("jam"));
    assert_eq!(lines, [""; 0]);
}

fn what_waits_for_its_commit_is_answered_wherever_its_asker_has_gone(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    let mut asked = Vec::new();
    for number in 0..30 {
        // All in one breath: each change is still being kept when the next room is entered.
        asked.push(client.begin(say::create(&room_on(number % SHARDS, 100 + number))));
        asked.push(client.begin(say::chat("first words")));
        asked.push(client.begin(say::update(say::settings(|settings| settings.max_users = Some(9)))));
        asked.push(client.begin(say::moderate(Action::Ban, "nobody")));
        asked.push(client.begin(say::join(&room_on((number + 1) % SHARDS, number))));
    }
    let mut answers: Vec<(u32, bool)> = Vec::new();
    while answers.len() < asked.len() {
        let message = client.next();
        if let Some(id) = message.request_id {
            answers.push((id, matches!(message.message, Some(Message::ErrorMessage(_)))));
        }
    }
    client.ask(say::room_info(""));
    assert!(client.heard().iter().all(|message| message.request_id.is_none()), "each once");
    answers.sort_unstable();
    assert_eq!(answers, asked.into_iter().map(|id| (id, false)).collect::<Vec<_>>());
}

/// What the server has acknowledged about a room.
struct Promise {
    room: String,
    owner: String,
    max_users: u32,
    lines: Vec<String>,
    banned: Vec<String>,
}

/// How often, where `KILL_ROUNDS` does not say otherwise.
const ROUNDS: usize = 30;
const WRITERS: usize = 4;
/// Rooms looked at after each kill: so many of the newest, and of the earlier.
const NEWEST: usize = 40;
const EARLIER: usize = 40;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    // Both are spoken, by who writes as by who reads.
    let format = Format::Protobuf;
    let rounds = env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut promises: Vec<Promise> = Vec::new();
    let mut server = ServerProcess::start(&data_dir, LIFTED);
    let mut seen = 0;
    for round in 0..rounds {
        let acknowledged = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let client = server.guest(if writer % 2 == 0 { format } else { other(format) }, "Writer");
                let acknowledged = &acknowledged;
                scope.spawn(move || write(client, &format!("{round} {writer}"), acknowledged));
            }
            // Now after the first, now in the middle of many.
            let enough = 1 + round * 17 % 60;
            let give_up = Instant::now() + DEADLINE;
            while acknowledged.lock().unwrap().len() < enough {
                assert!(Instant::now() < give_up, "round {round}: too slow");
                thread::sleep(Duration::from_millis(1));
            }
            server.kill();
        });
        server = ServerProcess::start(&data_dir, LIFTED);
        for ack in acknowledged.into_inner().unwrap() {
            seen += 1;
            match ack {
                Ack::Made { room, owner, max_users } => {
                    promises.push(Promise { room, owner, max_users, lines: Vec::new(), banned: Vec::new() });
                }
                Ack::Said { room, line } => promised(&mut promises, &room).lines.push(line),
                Ack::Banned { room, user } => promised(&mut promises, &room).banned.push(user),
            }
        }
        // The newest, and some of the earlier ones, others each time.
        let newest = promises.len().saturating_sub(NEWEST);
        let earlier = promises[..newest].iter().skip(round % 7).step_by(newest.div_ceil(EARLIER).max(7));
        for promise in promises[newest..].iter().chain(earlier) {
            check(&server, &data_dir, promise, format, round);
        }
    }
    for promise in &promises {
        check(&server, &data_dir, promise, format, rounds);
    }
    assert!(seen > 3 * rounds, "only {seen} changes were acknowledged in all");
}

enum Ack {
    Made { room: String, owner: String, max_users: u32 },
    Said { room: String, line: String },
    Banned { room: String, user: String },
}

fn promised<'a>(promises: &'a mut [Promise], room: &str) -> &'a mut Promise {
    promises.iter_mut().find(|promise| promise.room == room).expect("it was made before")
}

/// Makes room after room, talks and bans in each, and takes down what was acknowledged, until the server is gone.
fn write(mut client: Client, name: &str, acknowledged: &Mutex<Vec<Ack>>) {
    let note = |ack| acknowledged.lock().unwrap().push(ack);
    for number in 0.. {
        let (room, max_users) = (format!("{name} {number}"), 2 + number % 50);
        let settings = say::settings(|settings| settings.max_users = Some(max_users));
        match client.try_answer(say::create_with(&room, settings)) {
            Some(Message::RoomJoinedResponse(_)) => {}
            None => return,
            answer => panic!("{answer:?}"),
        }
        note(Ack::Made { room: room.clone(), owner: client.user_id(), max_users });
        for line in ["one", "two", "three"] {
            let line = format!("{line} of {room}");
            let Some(answer) = client.try_answer(say::chat(&line)) else { return };
            assert!(matches!(answer, Message::Ack(_)), "{answer:?}");
            note(Ack::Said { room: room.clone(), line });
        }
        let user = format!("banned from {room}");
        let Some(answer) = client.try_answer(say::moderate(Action::Ban, &user)) else { return };
        assert!(matches!(answer, Message::Ack(_)), "{answer:?}");
        note(Ack::Banned { room, user });
    }
}

fn check(server: &ServerProcess, data_dir: &Path, promise: &Promise, format: Format, round: usize) {
    let Promise { room, owner, max_users, lines, banned } = promise;
    let mut client = server.guest(format, "Reader");
    let (joined, found) = enter(&mut client, say::join(room));
    let info = joined.room_info.unwrap();
    assert_eq!((&info.owner_id, info.settings.unwrap().max_users), (owner, Some(*max_users)), "round {round}: {room}");
    assert!(found.starts_with(lines), "round {round}: {room}: {lines:?} was acknowledged, {found:?} is there");
    let tokens = Tokens::new(SigningKey::load_or_create(data_dir).unwrap());
    for user in banned {
        let claims = Claims::new(Kind::Access, user.as_str(), "login", now(), Duration::from_secs(3600));
        let token = tokens.sign(&Claims { username: "Banned".into(), ..claims });
        let mut client = server.connect(other(format)).bearer(&token).client();
        assert_eq!(client.refusal(say::join(room)), "BANNED", "round {round}: {room}");
    }
}
