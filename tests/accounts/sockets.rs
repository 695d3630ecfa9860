//! Sockets of accounts: who they are, and that they end with their log-in.

use pianorhythm_server::protocol::{codec::Format, wire::user::Role};

use crate::support::{
    account::{log_in, log_out, refresh, registered, unlimited_requests},
    client::Client,
    http::Answer,
    music::on,
    say,
    server::{SHARDS, TestServer, room_on},
};

fn server() -> TestServer {
    TestServer::with(unlimited_requests)
}

fn come(server: &TestServer, format: Format, of: &Answer) -> Client {
    server.connect(format).name("somebody else").bearer(&of.token("token")).client()
}

#[test]
fn a_socket_is_its_accounts_by_bearer_and_by_cookie() {
    let server = server();
    let made = registered(server.address, "Clara");
    let origin = format!("http://{}", server.address);
    let browser = server.connect(Format::Json).header("Cookie", made.cookies()).header("Origin", origin).client();
    for client in [come(&server, Format::Protobuf, &made), browser] {
        let user = client.welcome.user.clone().unwrap();
        assert_eq!(user.user_id, made.body["data"]["user"]["user_id"].as_str().unwrap());
        assert_eq!((user.username.as_str(), user.roles.as_slice()), ("Clara", &[Role::Member as i32][..]));
        assert_eq!(user.usertag, made.body["data"]["user"]["usertag"].as_str().unwrap());
        assert_eq!(client.welcome.guest_token, "");
    }
    let foreign = server.connect(Format::Json).header("Cookie", made.cookies());
    let Err(refused) = foreign.header("Origin", "https://evil.example").try_open() else { panic!("a foreign page") };
    assert_eq!((refused.status, refused.code()), (403, "AUTHORIZATION_ERROR"));
}

#[test]
fn logging_out_closes_the_sockets_of_that_log_in_on_all_shards_and_no_others() {
    let server = server();
    registered(server.address, "Clara");
    let (ending, staying) = (log_in(server.address, "Clara"), log_in(server.address, "Clara"));
    let mut guest = server.guest(Format::Json, "Robert");
    guest.join(&room_on(0, 0));
    let mut ends: Vec<_> = (0..SHARDS)
        .map(|shard| {
            let mut client = come(&server, [Format::Json, Format::Protobuf][shard % 2], &ending);
            client.join(&room_on(shard, 0));
            client
        })
        .collect();
    ends.push(come(&server, Format::Json, &ending));
    let mut stays = come(&server, Format::Protobuf, &staying);
    stays.join(&room_on(0, 0));
    ends[0].send(say::notes(&[on(60)]));
    guest.midi();

    assert_eq!(log_out(server.address, &ending).status, 200);
    for mut client in ends {
        let ending = client.ending();
        assert_eq!(ending.close, Some((3503, String::new())), "{ending:?}");
    }
    // What it held is let go of, and the other log-in plays on.
    let released = guest.midi();
    assert_eq!(released.midi_data[1] & 0xF0, 0x80, "{released:?}");
    stays.heard();
    stays.send(say::notes(&[on(64)]));
    while guest.midi().participant == released.participant {}

    let Err(refused) = server.connect(Format::Json).bearer(&ending.token("token")).try_open() else { panic!("ended") };
    assert_eq!((refused.status, refused.code()), (401, "AUTHENTICATION_ERROR"));
    server.await_figure("pianorhythm_closed_total", SHARDS as u64 + 1);
}

#[test]
fn sockets_that_come_in_while_their_log_in_ends_do_not_stay() {
    let server = server();
    registered(server.address, "Clara");
    for _ in 0..5 {
        let ending = log_in(server.address, "Clara");
        std::thread::scope(|scope| {
            let comers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let socket = server.connect(Format::Json).bearer(&ending.token("token")).try_open();
                        socket.map(Client::new)
                    })
                })
                .collect();
            assert_eq!(log_out(server.address, &ending).status, 200);
            for comer in comers {
                match comer.join().unwrap() {
                    Ok(mut client) => assert_eq!(client.ending().code(), 3503),
                    Err(refused) => assert_eq!(refused.status, 401),
                }
            }
        });
    }
}

#[test]
fn a_refresh_token_that_is_used_twice_closes_the_sockets_of_its_log_in() {
    let server = server();
    let made = registered(server.address, "Clara");
    let mut client = come(&server, Format::Json, &made);
    client.join("jam");
    let renewed = refresh(server.address, &made.token("refresh_token"));
    client.heard();
    assert_eq!(refresh(server.address, &made.token("refresh_token")).status, 401);
    assert_eq!(client.ending().code(), 3503);
    assert_eq!(refresh(server.address, &renewed.token("refresh_token")).status, 401);
}

#[test]
fn the_name_of_an_account_is_not_changed_by_a_socket() {
    use pianorhythm_server::protocol::wire::{SetProfile, server_message::Message};
    let server = server();
    let mut client = come(&server, Format::Json, &registered(server.address, "Clara"));
    let set = |name: Option<&str>, colour: Option<&str>| {
        Message::SetProfile(SetProfile { name: name.map(str::to_owned), colour: colour.map(str::to_owned) })
    };
    assert_eq!(client.refusal(set(Some("Robert"), None)), "AUTHORIZATION_ERROR");
    client.ask(set(None, Some("#123456")));
}
