//! Accounts in a MongoDB: the whole life of a log-in, and what becomes of it while the database stands still.

use std::path::Path;

use pianorhythm_server::protocol::codec::Format;

use crate::support::{
    account::{log_in, log_out, refresh, register, registered, try_log_in, validate},
    eventually,
    ferretdb::FerretDb,
    music::{events, off, on},
    process::{LIFTED, WatchedServer, command},
    say,
};

const LIMITS: &[(&str, &str)] =
    &[("RATE_LOGINS", "unlimited"), ("RATE_REGISTRATIONS", "unlimited"), ("RATE_REQUESTS", "unlimited")];

fn server(folder: &Path, url: &str) -> WatchedServer {
    let settings = [LIFTED, LIMITS, &[("MONGODB_URL", url), ("STORE_TIMEOUT_MS", "1500")]].concat();
    let watched = WatchedServer::start(command(folder, &settings), folder);
    eventually("the documents are there", || watched.health()["status"] == "ok");
    watched
}

#[test]
fn a_log_in_lives_and_ends_and_accounts_are_there_for_any_server_that_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mongodb) = FerretDb::start() else { return };
    let watched = server(&folder.path().join("one"), &mongodb.url());
    let address = watched.server.address;
    let guest = watched.server.guest(Format::Json, "Clara");
    let cookie = format!("guest_token={}", guest.welcome.guest_token);
    let made = register(address, "Clara", &[("Cookie", &cookie)]);
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["data"]["user"]["user_id"].as_str(), Some(guest.user_id().as_str()));
    assert_eq!(register(address, "CLARA", &[]).code(), "USERNAME_TAKEN");

    let logged_in = log_in(address, "clara");
    let mut client = watched.server.connect(Format::Json).bearer(&logged_in.token("token")).client();
    client.join("jam");
    let renewed = refresh(address, &logged_in.token("refresh_token"));
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(log_out(address, &renewed).status, 200);
    assert_eq!(client.ending().code(), 3503);
    assert_eq!(validate(address, &renewed.token("token")).status, 401);

    let first = log_in(address, "clara");
    assert_eq!(refresh(address, &first.token("refresh_token")).status, 200);
    assert_eq!(refresh(address, &first.token("refresh_token")).status, 401, "it was spent");
    drop(watched);
    let watched = server(&folder.path().join("two"), &mongodb.url());
    log_in(watched.server.address, "Clara");
    assert_eq!(try_log_in(watched.server.address, "Clara", "another").status, 401);
}

#[test]
fn while_the_database_stands_still_accounts_are_told_to_wait_and_who_has_a_token_plays() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mongodb) = FerretDb::start() else { return };
    let watched = server(folder.path(), &mongodb.url());
    let address = watched.server.address;
    let (made, ended) = (registered(address, "Clara"), registered(address, "Robert"));
    assert_eq!(log_out(address, &ended).status, 200);

    mongodb.freeze();
    for answer in [
        register(address, "Johannes", &[]),
        try_log_in(address, "Clara", "whatever"),
        refresh(address, &made.token("refresh_token")),
        validate(address, &made.token("token")),
    ] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    let mut member = watched.server.connect(Format::Json).bearer(&made.token("token")).client();
    let mut guest = watched.server.guest(Format::Protobuf, "Ann");
    member.enter(say::enter_lobby());
    guest.enter(say::enter_lobby());
    member.heard();
    member.send(say::notes(&[on(60), off(60)]));
    assert_eq!(events(&guest.midi()), [on(60), off(60)]);
    // What this server has ended stays so, also without the documents.
    let refused = watched.server.connect(Format::Json).bearer(&ended.token("token")).try_open();
    assert_eq!(refused.map(|_| ()).unwrap_err().status, 401);

    mongodb.thaw();
    eventually("all is well", || watched.health()["status"] == "ok");
    eventually("a log-in is answered", || {
        try_log_in(address, "Clara", crate::support::account::PASSWORD).status == 200
    });
    eventually("what was not spent is good", || {
        let answer = refresh(address, &made.token("refresh_token"));
        assert!(answer.status != 401, "{answer:?}");
        answer.status == 200
    });
    assert_eq!(register(address, "Johannes", &[]).status, 201);
}
