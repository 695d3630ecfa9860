//! The server's actors, as operators see them.

use std::time::Duration;

use pianorhythm_server::protocol::{close::CloseCode, codec::Format, wire::client_message::Message};
use serde_json::Value;

use crate::support::{
    eventually, say,
    server::{SHARDS, TestServer, room_on},
};

fn report(server: &TestServer) -> Value {
    let (status, body) = server.operator("GET", "/debug/actors");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// A figure of a kind, over all hosts.
fn sum(report: &Value, kind: &str, figure: &str) -> u64 {
    let hosts = report["hosts"].as_array().unwrap().iter();
    let kinds = hosts.flat_map(|host| host["kinds"].as_array().unwrap());
    kinds.filter(|known| known["kind"] == kind).map(|known| known[figure].as_u64().unwrap()).sum()
}

#[test]
fn every_host_tells_its_kinds_its_tree_and_that_it_answers() {
    let server = TestServer::start();
    let room = room_on(1, 0);
    let mut player = server.player(Format::Json, "Clara", &room);
    let _listener = server.player(Format::Protobuf, "Robert", &room);
    player.ask(say::chat("hello"));
    eventually("connections and users are counted", || {
        let report = report(&server);
        (sum(&report, "connection", "actors"), sum(&report, "user", "actors")) == (2, 2)
    });
    let report = report(&server);
    let hosts = report["hosts"].as_array().unwrap();
    let names: Vec<_> = hosts.iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shard-0", "shard-1", "shard-2", "back-office"]);
    assert_eq!(names.len(), SHARDS + 1);
    for host in hosts {
        assert_eq!(host["answers"], true, "{host}");
        assert!(host["heartbeat_age_ms"].as_u64().unwrap() < 5000, "{host}");
        assert_eq!(host["stuck"], serde_json::json!([]), "{host}");
        assert_eq!(host["tree"]["state"], "running", "{host}");
        assert_eq!(host["tree"]["strategy"], "one_for_one", "{host}");
    }
    assert_eq!(hosts[1]["tree"]["children"][1]["many"], "room");
    assert_eq!(hosts[1]["tree"]["children"][1]["count"], 1);
    assert_eq!(hosts[3]["tree"]["children"][0]["actor"], "library/");
    assert_eq!(sum(&report, "room", "actors"), 1);
    assert!(sum(&report, "room", "processed") >= 3, "two entered and one talked");
    assert_eq!(sum(&report, "room", "panics"), 0);
}

#[test]
fn one_actor_is_told_by_its_address() {
    let server = TestServer::start();
    let room = room_on(2, 0);
    let _player = server.player(Format::Json, "Clara", &room);
    let address = format!("/debug/actors/room/{}", room.replace(' ', "%20"));
    let (status, body) = server.operator("GET", &address);
    assert_eq!(status, 200, "{body}");
    let actor: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(actor["actor"], format!("room/{room}"));
    assert_eq!((&actor["host"], &actor["state"]), (&2.into(), &"running".into()));
    assert_eq!(server.operator("GET", "/debug/actors/room/nobody").0, 404);
    assert_eq!(server.operator("GET", "/debug/actors/library/").0, 200);
}

#[test]
fn asking_for_an_actor_wakes_none() {
    let server = TestServer::start();
    let _player = server.player(Format::Json, "Clara", &room_on(0, 0));
    server.operator("GET", "/debug/actors/room/never");
    server.operator("GET", "/debug/actors/user/nobody");
    let report = report(&server);
    assert_eq!(sum(&report, "room", "activations"), 1);
}

#[test]
fn prometheus_has_a_series_for_each_host_and_kind() {
    let server = TestServer::start();
    let _player = server.player(Format::Json, "Clara", &room_on(0, 0));
    let (_, text) = server.operator("GET", "/metrics");
    for line in [
        "pianorhythm_actors{host=\"shard-0\",kind=\"room\"} 1",
        "pianorhythm_actors{host=\"shard-1\",kind=\"room\"} 0",
        "pianorhythm_actors{host=\"back-office\",kind=\"library\"} 1",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    assert_eq!(text.matches("# TYPE pianorhythm_actor_restarts_total counter").count(), 1);
    assert!(text.contains("pianorhythm_actor_handling_seconds_bucket{host=\"shard-0\",kind=\"room\",le="), "{text}");
}

#[test]
fn a_healthy_servers_actors_are_told_as_a_service() {
    let server = TestServer::start();
    let (_, body) = server.operator("GET", "/health/detailed");
    let health: Value = serde_json::from_str(&body).unwrap();
    let services = health["services"].as_array().unwrap();
    let actors = services.iter().find(|service| service["name"] == "actors").unwrap();
    assert_eq!(actors["status"], "ok");
}

#[test]
fn a_room_that_everybody_has_left_retires_and_comes_again() {
    let server = TestServer::with(|config| config.rooms.empty_grace = Duration::from_millis(50));
    let room = room_on(0, 0);
    let mut player = server.player(Format::Json, "Clara", &room);
    player.ask(say::leave());
    eventually("it has retired", || sum(&report(&server), "room", "retirements") == 1);
    player.join(&room);
    assert_eq!(sum(&report(&server), "room", "actors"), 1);
    assert_eq!(sum(&report(&server), "room", "activations"), 2);
}

#[test]
fn an_orderly_end_lets_everybody_go_stage_by_stage() {
    let server = TestServer::start();
    let mut players: Vec<_> =
        (0..6).map(|n| server.player(Format::Json, &format!("P{n}"), &room_on(n % SHARDS, n))).collect();
    let started = std::time::Instant::now();
    server.stop();
    println!("stopped after {:?}", started.elapsed());
    for player in &mut players {
        assert_eq!(player.ending().code(), CloseCode::Restarting.code());
    }
}

#[test]
fn who_asks_while_the_rooms_shard_changes_is_answered_once() {
    let server = TestServer::start();
    let mut player = server.guest(Format::Json, "Clara");
    for n in 0..12 {
        player.join(&room_on(n % SHARDS, n));
        let Message::MemberList(list) = player.ask(say::members()) else { panic!("members") };
        assert_eq!(list.count, 1);
    }
}
