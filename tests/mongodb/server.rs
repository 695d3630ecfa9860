//! A server whose documents are in a MongoDB: what it saved is there for the next, and playing goes on while the database
//! does not.

use std::{fs, net::TcpListener, path::Path};

use pianorhythm_server::protocol::{codec::Format, wire::client_message::Message};

use crate::support::{
    self,
    client::Client,
    eventually,
    ferretdb::FerretDb,
    music::{off, on},
    process::{LIFTED, WatchedServer, command},
    say,
};

fn server(folder: &Path, url: &str) -> WatchedServer {
    let settings = [LIFTED, &[("MONGODB_URL", url), ("STORE_TIMEOUT_MS", "1500")]].concat();
    WatchedServer::start(command(folder, &settings), folder)
}

fn play(player: &mut Client, listener: &mut Client) {
    for key in 40..60 {
        player.send(say::notes(&[on(key), off(key)]));
        assert_eq!(support::music::events(&listener.midi()), [on(key), off(key)]);
    }
}

/// What was said in a room, as one who comes in is told.
fn history(watched: &WatchedServer, room: &str) -> Vec<String> {
    let mut reader = watched.server.guest(Format::Protobuf, "Eve");
    reader.join(room);
    reader.until(|message| match message {
        Message::ChatHistory(history) => Some(history.messages.iter().map(|line| line.message.clone()).collect()),
        _ => None,
    })
}

#[test]
fn what_is_saved_is_in_the_database_for_any_server_that_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mongodb) = FerretDb::start() else { return };
    let mut watched = server(&folder.path().join("one"), &mongodb.url());
    let mut owner = watched.server.guest(Format::Protobuf, "Ann");
    owner.enter(say::create("kept"));
    for line in ["$set", "{\"a.b\": 1}", "🎹"] {
        assert!(matches!(owner.answer(say::chat(line)), Message::Ack(_)));
    }
    watched.server.kill();
    assert!(!folder.path().join("one/documents.redb").exists());
    let watched = server(&folder.path().join("two"), &mongodb.url());
    assert_eq!(history(&watched, "kept"), ["$set", "{\"a.b\": 1}", "🎹"]);
    // The database's name and password are nobody's business.
    let text = fs::read_to_string(folder.path().join("two/lock")).unwrap();
    assert!(!text.contains("mongodb"));
}

#[test]
fn a_frozen_database_stops_no_playing_is_told_of_and_what_was_acknowledged_is_there_after() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mongodb) = FerretDb::start() else { return };
    let watched = server(folder.path(), &mongodb.url());
    let mut owner = watched.server.guest(Format::Protobuf, "Ann");
    let mut listener = watched.server.guest(Format::Json, "Bob");
    owner.enter(say::create("kept"));
    listener.join("kept");
    // A shard that has just begun is not known to be well yet.
    eventually("all is well", || watched.health()["status"] == "ok");
    assert!(watched.health().to_string().contains("breaker closed"), "{}", watched.health());

    // Under load: others talk in rooms of theirs all the time, one line after the other.
    let talkers: Vec<_> = (0..3)
        .map(|n| {
            let mut talker = watched.server.guest(Format::Protobuf, &format!("Talker {n}"));
            talker.enter(say::create(&format!("talk {n}")));
            talker
        })
        .collect();
    let (stop, stopped) = (std::sync::atomic::AtomicBool::new(false), std::sync::atomic::Ordering::SeqCst);
    let acknowledged = std::thread::scope(|scope| {
        let talking: Vec<_> = talkers
            .into_iter()
            .map(|mut talker| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        if stop.load(stopped) {
                            break;
                        }
                        if matches!(talker.answer(say::chat(&n.to_string())), Message::Ack(_)) {
                            acknowledged.push(n.to_string());
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        assert!(matches!(owner.answer(say::chat("before")), Message::Ack(_)));

        mongodb.freeze();
        let asked = owner.begin(say::chat("while it is frozen"));
        play(&mut owner, &mut listener);
        let Message::ErrorMessage(error) = owner.answer_to(asked) else { panic!("nothing can be kept") };
        assert!(error.error_code.starts_with("STORE_") || error.error_code == "SERVER_BUSY", "{error:?}");
        play(&mut listener, &mut owner);
        eventually("the health report says so", || watched.health()["status"] == "degraded");
        let health = watched.health().to_string();
        assert!(health.contains("documents"), "{health}");

        mongodb.thaw();
        eventually("what is said is kept again", || matches!(owner.answer(say::chat("after")), Message::Ack(_)));
        eventually("the health report says so", || watched.health()["status"] == "ok");
        stop.store(true, stopped);
        talking.into_iter().map(|talking| talking.join().unwrap()).collect::<Vec<_>>()
    });

    let WatchedServer { server: mut first, .. } = watched;
    first.kill();
    let watched = server(folder.path(), &mongodb.url());
    let lines = history(&watched, "kept");
    assert_eq!((lines[0].as_str(), lines.last().unwrap().as_str()), ("before", "after"), "{lines:?}");
    for (n, acknowledged) in acknowledged.iter().enumerate() {
        let lines = history(&watched, &format!("talk {n}"));
        // The last hundred of what was said is what a room remembers.
        let first = lines.first().and_then(|line| line.parse::<usize>().ok()).unwrap_or(0);
        for line in acknowledged.iter().filter(|line| line.parse::<usize>().unwrap() >= first) {
            assert!(lines.contains(line), "{line} was acknowledged: {lines:?}");
        }
        assert!(acknowledged.len() > 1);
    }
}

#[test]
fn a_database_that_comes_later_than_its_server_is_used_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody has this port now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let watched = server(&folder.path().join("server"), &format!("mongodb://{address}/"));
    let mut owner = watched.server.guest(Format::Protobuf, "Ann");
    let mut listener = watched.server.guest(Format::Json, "Bob");
    owner.enter(say::enter_lobby());
    listener.enter(say::enter_lobby());
    owner.heard();
    play(&mut owner, &mut listener);
    assert_eq!(owner.refusal(say::create("kept")), "STORE_UNAVAILABLE");
    assert_eq!(watched.health()["status"], "degraded", "{}", watched.health());

    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let Some(_mongodb) = FerretDb::start_in(&data, Some(&address)) else { return };
    eventually("the room can be made", || !matches!(owner.answer(say::create("kept")), Message::ErrorMessage(_)));
    eventually("the health report says so", || watched.health()["status"] == "ok");
}
