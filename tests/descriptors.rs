//! The server's descriptors, counted: in a process of its own, for the count is the process's.

#[macro_use]
mod support;

use std::{fs, net::Shutdown, time::Duration};

use pianorhythm_server::{
    domain::bucket::Rate,
    protocol::{
        codec::Format,
        wire::{client_message::Message, room_moderation::Action},
    },
};
use support::{
    client::Client,
    eventually, other, say,
    server::{SHARDS, TestServer, room_on, unlimited_quotas},
    socket::{close_frame, frame},
};

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One connection's life: it goes through all rooms, and ends in one of the ways there are.
fn live(server: &TestServer, owner: &mut Client, rooms: &[String], number: usize) {
    let format = if number.is_multiple_of(2) { Format::Protobuf } else { Format::Json };
    if number % 10 == 9 {
        // It never gets as far as a shard, or is gone when it does.
        if number.is_multiple_of(20) {
            assert!(server.connect(format).bearer("nonsense").try_open().is_err());
        } else {
            drop(server.connect(format).room(&rooms[0]).open());
        }
        return;
    }
    let mut client = server.guest(format, "Passer-by");
    match number % 10 {
        // In the middle of its moves.
        0 => {
            for room in rooms {
                client.send(say::join(room));
            }
        }
        1 => {
            for room in rooms {
                client.send(say::join(room));
            }
            let socket = server.connect(other(format)).bearer(&client.welcome.guest_token).open();
            socket.stream().shutdown(Shutdown::Write).unwrap();
            let path = format!("/debug/users/{}/close", client.user_id());
            assert_eq!(server.operator("POST", &path).0, 200);
        }
        2 => {
            client.join(&rooms[0]);
            owner.ask(say::moderate(Action::Kick, &client.user_id()));
            assert_eq!(client.ending().code(), 3501);
        }
        3 => {
            client.write(&frame(support::socket::BINARY, &[0xFF; 10]));
            client.ending();
        }
        4 => client.write(&close_frame(1000, "")),
        _ => {
            for room in rooms {
                client.join(room);
            }
            if number % 10 > 6 {
                client.close();
            }
        }
    }
}

#[test]
fn a_thousand_connections_that_come_move_and_go_leave_no_descriptor_behind() {
    let server = TestServer::with(|config| {
        unlimited_quotas(config);
        config.stage.close_timeout = Duration::from_millis(200);
        config.http.max_connections_per_address = 1000;
        config.http.connect_rate_per_address = Rate::UNLIMITED;
    });
    let rooms: Vec<_> = (0..2 * SHARDS).map(|room| room_on(room % SHARDS, room)).collect();
    let mut owner = server.player(Format::Json, "Owner", &rooms[0]);
    let settled = |what: &str| {
        server.await_figure("pianorhythm_connections", 1);
        server.await_figure("pianorhythm_front_desk_connections", 1);
        println!("{what}: {} descriptors", open_descriptors());
        open_descriptors()
    };
    // Whatever is opened once is open from now on.
    (0..20).for_each(|number| live(&server, &mut owner, &rooms, number));
    let before = settled("before");
    for number in 0..1000 {
        live(&server, &mut owner, &rooms, number);
        owner.heard();
    }
    settled("after");
    // Fewer is as good: one that was just closing when it was first counted may be among those before.
    eventually("there are no more descriptors than before", || open_descriptors() <= before);
    assert!(server.figure("pianorhythm_moves_total") > 2000);
    let Message::MemberList(list) = owner.ask(say::members()) else { panic!("members") };
    assert_eq!(list.count, 1);
}
