//! What a server holds when the machine does not: a full disk, a folder that is read-only, a process that is not run, a clock that is set.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a real process in real time")]

mod support;

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{MidiMessage, client_message::Message},
};
use support::{
    client::Client,
    eventually,
    music::{number, numbered, off, on},
    other,
    process::{LIFTED, WatchedServer, command, wait},
    say,
    server::{SHARDS, room_on},
};

/// The next notes, which are not lost.
fn next_note(client: &mut Client) -> MidiMessage {
    client.until(|message| match message {
        Message::MidiMessage(midi) => Some(midi.clone()),
        Message::Gap(gap) => panic!("notes were shed: {gap:?}"),
        _ => None,
    })
}

#[test]
fn a_server_that_was_not_run_for_a_while_catches_up_loses_nothing_and_says_so() {
    const NOTES: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let mut settings = LIFTED.to_vec();
    settings.push(("RATE_MIDI", "unlimited"));
    let watched = WatchedServer::start(command(&data_dir, &settings), &data_dir);
    // One room on each shard, of both kinds of clients.
    let mut rooms: Vec<(Client, Client)> = (0..SHARDS)
        .map(|shard| {
            let format = if shard == 0 { Format::Protobuf } else { other(Format::Protobuf) };
            let mut player = watched.server.guest(format, "Ann");
            let mut listener = watched.server.guest(other(format), "Bob");
            player.join(&room_on(shard, 0));
            listener.join(&room_on(shard, 0));
            // Held all the while: nobody is to let go of it.
            player.ask(say::notes(&[on(20)]));
            (player, listener)
        })
        .collect();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for (player, _) in &rooms {
            let writer = player.writer();
            let format = player.format;
            scope.spawn(move || {
                for note in 0..NOTES {
                    let frame = support::socket::frame_of(
                        format,
                        &pianorhythm_server::protocol::wire::ServerMessage::event(say::notes(&numbered(note))),
                    );
                    writer.write(&frame).unwrap();
                    thread::sleep(Duration::from_millis(15));
                }
            });
        }
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            watched.server.signal(libc::SIGSTOP);
            thread::sleep(Duration::from_millis(2_200));
            watched.server.signal(libc::SIGCONT);
            is_over.store(true, Ordering::Release);
        });
    });
    assert!(is_over.load(Ordering::Acquire));
    for (player, listener) in &mut rooms {
        player.ask(say::time_sync(0));
        let mut heard = Vec::new();
        while heard.len() < NOTES {
            let midi = next_note(listener);
            heard.extend(number(&midi));
        }
        assert_eq!(heard, (0..NOTES).collect::<Vec<_>>());
        // The held key ends when its player says so, and not before.
        player.ask(say::notes(&[off(20)]));
        let end = next_note(listener);
        assert_eq!(support::music::events(&end), [off(20)]);
    }
    let stalls = watched.logged("the shard stood still");
    let lengths: Vec<u64> = stalls
        .iter()
        .filter_map(|event| event["fields"]["stall_ms"].as_u64().or(event["stall_ms"].as_u64()))
        .filter(|ms| *ms >= 2_000)
        .collect();
    assert_eq!(lengths.len(), SHARDS, "each shard says how long: {stalls:?}");
    let (_, metrics) = support::http::request(watched.admin, "GET", "/metrics", &[]);
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("pianorhythm_shard_stalls_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert!(counted >= SHARDS as u64, "{counted} stalls are counted");
}

/// A server that can be made to meet a full disk: a file of it may grow so far and no further.
fn with_a_disk_that_fills(data_dir: &Path) -> WatchedServer {
    let mut command = command(data_dir, LIFTED);
    // SAFETY: `signal` may be called between fork and exec. Ignored, as a disk that is full sends no signal either.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            Ok(())
        });
    }
    WatchedServer::start(command, data_dir)
}

/// Nothing can be written behind so many bytes of any file.
fn limit_files(watched: &WatchedServer, bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a plain system call on a process that this test has started and not waited for.
    let result = unsafe {
        libc::prlimit(watched.server.id() as libc::pid_t, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut())
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_full_disk_stops_no_playing_and_what_is_saved_goes_on_when_it_has_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let watched = with_a_disk_that_fills(&data_dir);
    let mut owner = watched.server.guest(Format::Protobuf, "Ann");
    let mut guest = watched.server.guest(Format::Json, "Bob");
    owner.enter(say::create("kept"));
    guest.join("kept");
    assert!(matches!(owner.answer(say::chat("before")), Message::Ack(_)));
    assert_eq!(watched.health()["status"], "ok", "{}", watched.health());

    limit_files(&watched, 1);
    let error = owner.refused(say::chat("while it is full"));
    assert_eq!(error.error_code, "STORE_UNAVAILABLE", "{error:?}");
    assert!(error.error_message.contains("try again"), "{error:?}");
    // Playing goes on, and so does chat where nothing is kept.
    for key in 40..60 {
        owner.send(say::notes(&[on(key), off(key)]));
        assert_eq!(support::music::events(&guest.midi()), [on(key), off(key)]);
    }
    let mut other = watched.server.guest(Format::Protobuf, "Cleo");
    other.join("fleeting");
    assert!(matches!(other.answer(say::chat("nothing is kept here")), Message::Ack(_)));
    let mut another = watched.server.guest(Format::Json, "Dan");
    assert_eq!(another.refusal(say::create("not now")), "STORE_UNAVAILABLE");
    eventually("the health report says so", || watched.health()["status"] == "degraded");
    let health = watched.health().to_string();
    assert!(health.contains("documents"), "{health}");

    limit_files(&watched, libc::RLIM_INFINITY);
    eventually("what is said is kept again", || matches!(owner.answer(say::chat("after")), Message::Ack(_)));
    eventually("the room can be made", || !matches!(another.answer(say::create("not now")), Message::ErrorMessage(_)));
    eventually("the health report says so", || watched.health()["status"] == "ok");

    // All that was acknowledged, and nothing else, is there for the next.
    let WatchedServer { mut server, .. } = watched;
    server.kill();
    let watched = WatchedServer::start(command(&data_dir, LIFTED), &data_dir);
    let mut reader = watched.server.guest(Format::Protobuf, "Eve");
    reader.join("kept");
    let lines: Vec<String> = reader.until(|message| match message {
        Message::ChatHistory(history) => Some(history.messages.iter().map(|line| line.message.clone()).collect()),
        _ => None,
    });
    assert_eq!((lines[0].as_str(), lines.last().unwrap().as_str()), ("before", "after"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("full")), "{lines:?}");
    reader.join("not now");
}

/// Who has fewer rights than root, which may write everywhere.
const NOBODY: u32 = 65_534;

#[test]
fn a_folder_that_is_read_only_is_told_of_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    let program = folder.path().join("pianorhythm-server");
    let mut command = command(&data_dir, &[]);
    // SAFETY: a system call without arguments.
    if unsafe { libc::geteuid() } == 0 {
        // Where it may be read by whoever runs it.
        fs::copy(command.get_program(), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut as_nobody = Command::new(&program);
        as_nobody.env_clear();
        for (name, value) in command.get_envs() {
            as_nobody.env(name, value.unwrap());
        }
        as_nobody.uid(NOBODY).gid(NOBODY);
        command = as_nobody;
    }
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o555)).unwrap();
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    assert!(!wait(&mut child).success(), "it does not start");
    let output = child.wait_with_output().unwrap();
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().last().unwrap_or_default();
    assert!(last.contains(&*data_dir.to_string_lossy()) && last.contains("ermission denied"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

/// The library by which a process is told another time, from Debian's package `faketime`.
fn faketime() -> PathBuf {
    let found =
        fs::read_dir("/usr/lib").unwrap().flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let found = found.into_iter().find(|path| path.exists());
    found.expect("the package `faketime` is missing: ./tools/test installs it")
}

#[test]
fn setting_the_clock_back_and_forward_by_an_hour_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let set = folder.path().join("clock");
    fs::write(&set, "+0").unwrap();
    let mut command = command(&data_dir, LIFTED);
    command
        .env("LD_PRELOAD", faketime())
        .env("FAKETIME_TIMESTAMP_FILE", &set)
        .env("FAKETIME_NO_CACHE", "1")
        // The monotonic clock is not set by anyone.
        .env("DONT_FAKE_MONOTONIC", "1");
    let watched = WatchedServer::start(command, &data_dir);
    let mut player = watched.server.guest(Format::Protobuf, "Ann");
    let mut listener = watched.server.guest(Format::Json, "Bob");
    player.enter(say::create("club"));
    listener.join("club");
    player.ask(say::notes(&[on(20)]));
    next_note(&mut listener);
    let server_time = |client: &mut Client| match client.ask(say::time_sync(0)) {
        Message::TimeSync(sync) => sync.server_send_time_us,
        answer => panic!("{answer:?}"),
    };
    let mut last = server_time(&mut player);
    for (hour, key) in [("-3600", 41), ("+3600", 42), ("+0", 43)] {
        fs::write(&set, hour).unwrap();
        let begun = std::time::Instant::now();
        for _ in 0..20 {
            player.send(say::notes(&[on(key), off(key)]));
            assert_eq!(
                support::music::events(&next_note(&mut listener)),
                [on(key), off(key)],
                "what is held is held on"
            );
            thread::sleep(Duration::from_millis(10));
        }
        // What is saved, what is limited and what expires goes on, for those who are there and those who come.
        assert!(matches!(player.answer(say::chat(hour)), Message::Ack(_)));
        let mut visitor = watched.server.guest(Format::Protobuf, "Cleo");
        visitor.join("club");
        assert!(!visitor.has_ended() && !listener.has_ended());
        let now = server_time(&mut player);
        let passed = Duration::from_micros(u64::try_from(now - last).expect("server time never goes back"));
        assert!(passed < begun.elapsed() + Duration::from_secs(60), "{passed:?} is not what has passed");
        last = now;
    }
    assert_eq!(watched.health()["status"], "ok", "{}", watched.health());
    // The clock was set indeed: its log has the time of the wall.
    fs::write(&set, "+3600").unwrap();
    watched.server.signal(libc::SIGTERM);
    let mut stopping = Vec::new();
    eventually("it says that it stops", || {
        stopping = watched.logged("stopping");
        !stopping.is_empty()
    });
    let hour = |event: &serde_json::Value| event["timestamp"].as_str().unwrap()[11..13].parse::<u32>().unwrap();
    let (first, last) = (hour(&watched.log()[0]), hour(&stopping[0]));
    assert_ne!(first, last, "{stopping:?}");
    let WatchedServer { server, .. } = watched;
    assert!(server.wait().success());
}
