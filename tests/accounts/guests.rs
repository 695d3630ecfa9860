//! Guests who make an account keep what they had.

use std::time::Duration;

use pianorhythm_server::{
    domain::name,
    protocol::{
        codec::Format,
        wire::{room_moderation::Action, user::Role},
    },
};

use crate::support::{
    account::{log_in, register, unlimited_requests},
    client::Client,
    eventually, say,
    server::TestServer,
};

fn server() -> TestServer {
    TestServer::with(unlimited_requests)
}

fn cookie_of(client: &Client) -> String {
    format!("guest_token={}", client.welcome.guest_token)
}

/// Whether a saved room counts as a guest's.
fn is_a_guests(server: &TestServer, room: &str) -> bool {
    let (documents, key) = (server.documents(), name::room_key(room).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(documents.load_room(&key)).unwrap().unwrap().record.by_guest
}

#[test]
fn a_guest_that_registers_is_told_to_come_back_and_comes_back_as_the_owner_of_its_rooms() {
    let server = server();
    let mut listener = server.guest(Format::Protobuf, "Robert");
    let mut guest = server.guest(Format::Json, "Clara");
    guest.enter(say::create("here"));
    listener.join("here");

    let made = register(server.address, "Clara", &[("Cookie", &cookie_of(&guest))]);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["data"]["user"]["user_id"].as_str(), Some(guest.user_id().as_str()));
    assert_eq!(guest.ending().close, Some((3004, r#"{"retry_after_ms":1000}"#.into())));

    let mut member = server.connect(Format::Json).bearer(&made.token("token")).client();
    assert_eq!(member.user_id(), guest.user_id());
    let joined = member.join("here");
    assert_eq!(joined.room_info.unwrap().owner_id, member.user_id());
    let own = joined.current_users.iter().find(|user| user.participant == joined.participant).unwrap();
    assert_eq!(own.user.as_ref().unwrap().roles, [Role::Member as i32]);
    member.ask(say::moderate(Action::Kick, &listener.user_id()));
    assert_eq!(listener.ending().code(), 3501);

    // Whoever still has the guest's token is not let in by it.
    let stale = server.connect(Format::Json).query("guest_token", &guest.welcome.guest_token).try_open();
    assert_eq!(stale.map(|_| ()).unwrap_err().status, 401);
    let other = server.connect(Format::Json).header("Cookie", cookie_of(&guest)).client();
    assert_ne!(other.user_id(), guest.user_id());
    eventually("the room is a member's", || !is_a_guests(&server, "here"));
}

#[test]
fn rooms_that_a_guest_has_left_are_kept_as_a_members_when_it_registers_and_others_guests_are_not() {
    // Rooms that nobody is in go at once, and come back from the documents.
    let server = TestServer::with(|config| {
        unlimited_requests(config);
        config.rooms.empty_grace = Duration::ZERO;
    });
    let mut guest = server.guest(Format::Json, "Clara");
    guest.enter(say::create("mine"));
    guest.enter(say::create("mine too"));
    guest.ask(say::leave());
    let mut other = server.guest(Format::Json, "Robert");
    other.enter(say::create("another"));
    let bearer = format!("Bearer {}", guest.welcome.guest_token);
    assert_eq!(register(server.address, "Clara", &[("Authorization", &bearer)]).status, 201);
    assert_eq!(guest.ending().code(), 3004);
    for room in ["mine", "mine too"] {
        // That is done behind the answer.
        eventually("the room is a member's", || !is_a_guests(&server, room));
    }
    assert!(is_a_guests(&server, "another"));
}

#[test]
fn what_speaks_against_a_guest_speaks_against_its_account() {
    let server = server();
    let mut owner = server.guest(Format::Json, "Robert");
    owner.enter(say::create("mine"));
    let mut guest = server.guest(Format::Json, "Mallory");
    guest.join("mine");
    owner.ask(say::moderate(Action::Ban, &guest.user_id()));
    assert_eq!(guest.ending().code(), 3502);
    let made = register(server.address, "Mallory", &[("Cookie", &cookie_of(&guest))]);
    let mut member = server.connect(Format::Json).bearer(&made.token("token")).client();
    assert_eq!(member.refusal(say::join("mine")), "BANNED");
}

#[test]
fn a_guest_that_logs_in_to_an_account_stays_the_guest_that_it_is() {
    let server = server();
    register(server.address, "Clara", &[]);
    let mut guest = server.guest(Format::Json, "Clara");
    log_in(server.address, "Clara");
    guest.heard();
    let again = server.connect(Format::Json).header("Cookie", cookie_of(&guest)).client();
    assert_eq!(again.user_id(), guest.user_id());
}
