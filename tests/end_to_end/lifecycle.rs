//! How connections and servers end: signals, limits, idleness, and players that vanish.

use std::{
    collections::HashSet,
    env,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::{
    codec::Format,
    midi::{ALL_NOTES_OFF, ChannelMessage},
    wire::{ServerMessage, client_message::Message, user_left_room::Reason},
};

use crate::support::{
    client::Client,
    eventually,
    music::{events, off, on},
    other,
    process::{self, LIFTED, ServerProcess, send_signal, wait},
    say,
    server::{SHARDS, TestServer, room_on},
    socket::{Connect, frame_of},
};

in_both_formats![
    a_terminated_server_tells_everybody_when_to_come_back_and_ends_in_order,
    who_is_changing_rooms_is_told_once_that_the_server_ends,
    what_waits_to_be_written_is_written_before_the_server_ends,
    who_does_not_read_does_not_keep_the_server_from_ending,
    a_second_server_on_the_same_data_says_so_and_ends,
    a_connection_without_a_room_that_asks_for_nothing_is_closed,
    one_address_has_so_many_connections_and_others_their_own,
    a_full_server_turns_away,
    a_killed_player_leaves_no_note_sounding,
    a_frozen_player_is_let_go_of_and_plays_on_when_it_comes_back,
];

/// The advice in a close frame's reason.
#[track_caller]
fn retry_after_ms(reason: &str) -> u64 {
    let reason: serde_json::Value = serde_json::from_str(reason).unwrap();
    assert_eq!(reason.as_object().unwrap().len(), 1, "{reason}");
    reason["retry_after_ms"].as_u64().unwrap()
}

fn a_terminated_server_tells_everybody_when_to_come_back_and_ends_in_order(format: Format) {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(&folder.path().join("data"), LIFTED);
        let mut clients: Vec<_> = (0..30).map(|_| server.guest(format, "Ann")).collect();
        for (number, client) in clients.iter_mut().enumerate().filter(|(number, _)| number % 5 > 0) {
            client.join(&format!("room {}", number % 4));
            client.ask(say::notes(&[on(60)]));
        }
        clients[1].ask(say::chat("the last words"));
        server.signal(signal);
        let mut advice = HashSet::new();
        for client in &mut clients {
            let ending = client.ending();
            assert_eq!(ending.code(), 3001);
            let after = retry_after_ms(&ending.close.unwrap().1);
            assert!((500..=5000).contains(&after), "{after}");
            advice.insert(after);
        }
        assert!(advice.len() > 20, "not all at once: {advice:?}");
        clients.clear();
        let address = server.address;
        assert_eq!(server.wait().code(), Some(0));
        assert!(TcpStream::connect(address).is_err());
    }
}

fn who_is_changing_rooms_is_told_once_that_the_server_ends(format: Format) {
    let folder = tempfile::tempdir().unwrap();
    let rooms: Vec<_> = (0..2 * SHARDS).map(|room| room_on(room % SHARDS, room)).collect();
    for _ in 0..3 {
        let server = ServerProcess::start(&folder.path().join("data"), LIFTED);
        let mut clients: Vec<_> = (0..10).map(|_| server.guest(format, "Mover")).collect();
        for (number, client) in clients.iter().enumerate() {
            let around = rooms.iter().cycle().skip(number);
            let frame = |room: &String| frame_of(format, &ServerMessage::event(say::join(room)));
            let bytes = around.take(4 * rooms.len()).flat_map(frame).collect::<Vec<_>>();
            let writer = client.writer();
            thread::spawn(move || {
                while writer.write(&bytes).is_ok() {
                    thread::sleep(Duration::from_millis(10));
                }
            });
        }
        for client in &mut clients {
            client.until(|message| matches!(message, Message::RoomJoinedResponse(_)).then_some(()));
        }
        server.signal(libc::SIGTERM);
        for client in &mut clients {
            assert_eq!(client.ending().code(), 3001);
        }
        clients.clear();
        assert_eq!(server.wait().code(), Some(0));
    }
}

fn what_waits_to_be_written_is_written_before_the_server_ends(format: Format) {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        [LIFTED, &[("SOCKET_SEND_BUFFER", "4096"), ("CLOSE_TIMEOUT_MS", "4000"), ("OUTBOX_CLOSE_AGE_MS", "60000")]];
    let server = ServerProcess::start(&folder.path().join("data"), &settings.concat());
    let mut speaker = server.guest(other(format), "Ann");
    speaker.join("jam");
    let mut sleeper = server.connect(format).receive_buffer(4096).room("jam").open();
    speaker.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    let line = |n: usize| format!("{n} {}", "x".repeat(400));
    for n in 0..200 {
        speaker.ask(say::chat(&line(n)));
    }
    server.signal(libc::SIGTERM);
    assert_eq!(speaker.ending().code(), 3001);
    drop(speaker);
    for n in 0..200 {
        let said = loop {
            if let Some(Message::RoomChatMessage(said)) = sleeper.message().message {
                break said.message;
            }
        };
        assert_eq!(said, line(n));
    }
    assert_eq!(sleeper.ending().code(), 3001);
    drop(sleeper);
    assert_eq!(server.wait().code(), Some(0));
}

fn who_does_not_read_does_not_keep_the_server_from_ending(format: Format) {
    let folder = tempfile::tempdir().unwrap();
    let settings = [LIFTED, &[("SOCKET_SEND_BUFFER", "4096"), ("GRACE_TIME_MS", "500"), ("CLOSE_TIMEOUT_MS", "60000")]];
    let server = ServerProcess::start(&folder.path().join("data"), &settings.concat());
    let mut speaker = server.guest(other(format), "Ann");
    speaker.join("jam");
    let _sleeper = server.connect(format).receive_buffer(4096).room("jam").open();
    for _ in 0..100 {
        speaker.ask(say::chat(&"x".repeat(500)));
    }
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

fn a_second_server_on_the_same_data_says_so_and_ends(format: Format) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut first = ServerProcess::start(&data_dir, &[]);
    let second = process::command(&data_dir, &[]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(data_dir.to_str().unwrap()), "{said}");
    assert!(!String::from_utf8(second.stdout).unwrap().contains("listening"));
    first.guest(format, "Ann").join("jam");
    // When the first has gone, killed or not, the next may have it.
    first.kill();
    let next = ServerProcess::start(&data_dir, &[]);
    next.guest(format, "Ann").join("jam");
}

fn a_connection_without_a_room_that_asks_for_nothing_is_closed(format: Format) {
    let server = TestServer::with(|config| config.stage.roomless_idle_timeout = Duration::from_millis(400));
    let mut member = server.player(other(format), "Bo", "jam");
    let mut idle = server.guest(format, "Ann");
    // To say that one is there is to ask for nothing.
    while idle.try_answer(say::heartbeat()).is_some() {
        thread::sleep(Duration::from_millis(20));
    }
    let ending = idle.ending();
    assert_eq!(ending.code(), 3002);
    assert_eq!(retry_after_ms(&ending.close.unwrap().1), 1000);
    member.ask(say::heartbeat());
    // Out of the room, the time begins.
    member.ask(say::leave());
    assert_eq!(member.ending().code(), 3002);
}

fn one_address_has_so_many_connections_and_others_their_own(format: Format) {
    let server = TestServer::with(|config| config.http.max_connections_per_address = 3);
    let from = |address: u8| server.connect(format).from([127, 0, 0, address]);
    let mut three: Vec<_> = (0..3).map(|_| from(2).client()).collect();
    let Err(refused) = from(2).try_open() else { panic!("one too many") };
    assert_eq!((refused.status, refused.code()), (503, "SERVER_BUSY"));
    from(3).client();
    // Those that are somewhere else by now count as before.
    three.iter_mut().enumerate().for_each(|(number, client)| drop(client.join(&format!("room {number}"))));
    assert!(from(2).try_open().is_err());
    three.pop();
    eventually("the place is free", || from(2).try_open().is_ok());
}

fn a_full_server_turns_away(format: Format) {
    let server = TestServer::with(|config| config.http.max_connections = 2);
    let one = server.guest(format, "Ann");
    let two = server.player(other(format), "Bo", "jam");
    // Whatever it asks: it is told at once.
    let mut answer = String::new();
    TcpStream::connect(server.address).unwrap().read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("SERVER_BUSY"), "{answer}");
    drop(one);
    eventually("the place is free", || server.connect(format).try_open().is_ok());
    drop(two);
}

/// Tells the child's test where to play. A process without it is no child.
const PLAY_AT: &str = "END_TO_END_PLAY_AT";

/// Not a test of its own: joins a room, holds a chord, and plays a note for each line that it is told.
#[test]
fn child_plays_until_it_is_killed() {
    let Ok(wish) = env::var(PLAY_AT) else { return };
    let (format, address) = wish.split_once(' ').unwrap();
    let format = if format == "json" { Format::Json } else { Format::Protobuf };
    let mut client = Connect::to(address.parse().unwrap(), format).name("Child").client();
    client.join("jam");
    client.ask(say::notes(&[on(60), on(64), on(67), ChannelMessage::control(0, 64, 127)]));
    println!("holding");
    for line in std::io::stdin().lines() {
        line.unwrap();
        client.ask(say::notes(&[on(72)]));
    }
}

/// A process that plays, and what it says.
struct Player(Child, Lines<BufReader<ChildStdout>>);

impl Player {
    fn start(server: &TestServer, format: Format) -> Self {
        let name = if format == Format::Json { "json" } else { "protobuf" };
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "lifecycle::child_plays_until_it_is_killed", "--nocapture"])
            .env(PLAY_AT, format!("{name} {}", server.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().expect("the child holds a chord").unwrap().contains("holding") {}
        Self(child, lines)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A room with somebody who listens, and a process that holds a chord in it.
fn held_by_a_process(format: Format) -> (TestServer, Client, Player) {
    let server = TestServer::start();
    let mut listener = server.player(other(format), "Ann", "jam");
    let player = Player::start(&server, format);
    assert_eq!(listener.midi().sequence, 1);
    (server, listener, player)
}

#[track_caller]
fn expect_silence(listener: &mut Client) {
    let Some(Message::MidiMessage(silence)) = listener.next().message else { panic!("the silence") };
    let released = [off(60), off(64), off(67), ChannelMessage::control(0, 64, 0)];
    let all = [&released[..], &[ChannelMessage::control(0, ALL_NOTES_OFF, 0)]].concat();
    assert_eq!((silence.participant, silence.sequence, events(&silence)), (2, 2, all));
}

fn a_killed_player_leaves_no_note_sounding(format: Format) {
    let (_server, mut listener, mut player) = held_by_a_process(format);
    let killed = Instant::now();
    player.0.kill().unwrap();
    expect_silence(&mut listener);
    println!("silent {:?} after the kill", killed.elapsed());
    let Some(Message::UserLeftRoom(left)) = listener.next().message else { panic!("its leaving") };
    assert_eq!((left.participant, left.reason()), (2, Reason::Disconnected));
    player.0.wait().unwrap();
}

fn a_frozen_player_is_let_go_of_and_plays_on_when_it_comes_back(format: Format) {
    let (_server, mut listener, mut player) = held_by_a_process(format);
    send_signal(&player.0, libc::SIGSTOP);
    let frozen = Instant::now();
    expect_silence(&mut listener);
    let silent = frozen.elapsed();
    println!("silent {silent:?} after the freeze");
    assert!(silent > Duration::from_secs(4) && silent < Duration::from_secs(10), "{silent:?}");
    send_signal(&player.0, libc::SIGCONT);
    // It was a member all the time.
    writeln!(player.0.stdin.as_mut().unwrap(), "play").unwrap();
    let Some(Message::MidiMessage(midi)) = listener.next().message else { panic!("the next note") };
    assert_eq!((midi.participant, midi.sequence, events(&midi)), (2, 3, vec![on(72)]));
    drop(player.0.stdin.take());
    player.1.by_ref().for_each(drop);
    assert!(wait(&mut player.0).success());
}
