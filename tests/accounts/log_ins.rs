//! Registering, logging in, keeping a log-in going, and ending it.

use std::{collections::HashSet, thread};

use pianorhythm_server::config::Config;
use serde_json::json;

use crate::support::{
    account::{PASSWORD, log_in, log_out, refresh, register, registered, try_log_in, unlimited_requests, validate},
    http::exchange,
    server::TestServer,
};

fn server() -> TestServer {
    TestServer::with(unlimited_requests)
}

#[test]
fn a_log_in_is_made_kept_going_and_ended() {
    let server = server();
    let made = registered(server.address, "Clara");
    let user = &made.body["data"]["user"];
    assert_eq!((&user["username"], &user["roles"]), (&json!("Clara"), &json!(["member"])));
    assert_eq!(validate(server.address, &made.token("token")).body["data"]["valid"], true);

    let logged_in = log_in(server.address, "clara");
    assert_eq!(logged_in.body["data"]["user"], *user);
    let renewed = refresh(server.address, &logged_in.token("refresh_token"));
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_eq!(log_out(server.address, &renewed).status, 200);
    for token in [logged_in.token("token"), renewed.token("token")] {
        let refused = validate(server.address, &token);
        assert_eq!((refused.status, refused.code()), (401, "AUTHENTICATION_ERROR"));
    }
    assert_eq!(refresh(server.address, &renewed.token("refresh_token")).status, 401);
    // The log-in that came with the registration goes on.
    assert_eq!(validate(server.address, &made.token("token")).status, 200);
}

#[test]
fn a_browser_needs_its_cookies_alone() {
    let server = server();
    let made = registered(server.address, "Clara");
    let origin = format!("http://{}", server.address);
    let ask = |method: &str, path: &str, cookies: &str| {
        exchange(server.address, method, path, &[("Cookie", cookies), ("Origin", &origin)], "")
    };
    let valid = ask("GET", "/api/auth/validate-token", &made.cookies());
    assert_eq!((valid.status, &valid.body["data"]["username"]), (200, &json!("Clara")));
    let renewed = ask("POST", "/api/auth/refresh", &made.cookies());
    assert_eq!(renewed.status, 200, "{renewed:?}");
    assert_ne!(renewed.cookies(), made.cookies());
    let out = ask("POST", "/api/auth/logout", &renewed.cookies());
    assert_eq!((out.status, out.cookies().as_str()), (200, ""));
    assert_eq!(ask("GET", "/api/auth/validate-token", &renewed.cookies()).status, 401);
}

#[test]
fn accounts_and_log_ins_outlast_the_server() {
    let server = server();
    let made = registered(server.address, "Clara");
    let folder = server.stop();
    let server = TestServer::on(folder, unlimited_requests);
    assert_eq!(validate(server.address, &made.token("token")).status, 200);
    assert_eq!(refresh(server.address, &made.token("refresh_token")).status, 200);
    log_in(server.address, "Clara");
    let taken = register(server.address, "ＣＬＡＲＡ", &[]);
    assert_eq!((taken.status, taken.code()), (409, "USERNAME_TAKEN"));
    assert_eq!(taken.body["error"]["details"]["field"], "username");
}

#[test]
fn of_many_who_register_one_name_at_once_one_has_it_and_logs_in_with_its_own_password() {
    let server = server();
    let register = |n: usize| {
        let password = format!("password number {n}");
        let (email, username) = (format!("{n}@example.org"), "Clara");
        let body = json!({ "username": username, "email": email, "password": password, "confirm_password": password });
        exchange(server.address, "POST", "/api/auth/register", &[], &body.to_string()).status
    };
    let statuses: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|n| scope.spawn(move || register(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let winner = statuses.iter().position(|status| *status == 201).unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
    for n in 0..6 {
        let expected = if n == winner { 200 } else { 401 };
        assert_eq!(try_log_in(server.address, "clara", &format!("password number {n}")).status, expected);
    }
}

#[test]
fn one_refresh_token_used_by_many_at_once_gives_one_next_one_and_then_none() {
    let server = server();
    let made = registered(server.address, "Clara");
    let token = made.token("refresh_token");
    let answers: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..5).map(|_| scope.spawn(|| refresh(server.address, &token))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    assert_eq!(refresh(server.address, &good[0].token("refresh_token")).status, 401, "the log-in has ended");
    assert_eq!(validate(server.address, &good[0].token("token")).status, 401);
}

#[test]
fn a_storm_of_log_ins_is_answered_in_full_and_what_is_too_much_is_refused_as_busy() {
    let server = TestServer::with(|config: &mut Config| {
        unlimited_requests(config);
        (config.accounts.password_threads, config.accounts.password_queue) = (1, 5);
    });
    registered(server.address, "Clara");
    let answers: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..24).map(|_| scope.spawn(|| try_log_in(server.address, "Clara", PASSWORD))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut tokens = HashSet::new();
    for answer in &answers {
        match answer.status {
            200 => assert!(tokens.insert(answer.token("refresh_token")), "each has its own"),
            503 => assert!(answer.code() == "SERVER_BUSY" && answer.header("retry-after") == Some("2"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    // As many as may wait, at the least: the thread may take up the first only when all have come.
    assert!(tokens.len() >= 5, "{}", tokens.len());
    assert_eq!(server.figure("pianorhythm_passwords_waiting"), 0);
    assert_eq!(server.figure("pianorhythm_passwords_total") as usize, 1 + answers.len());
}

#[test]
fn log_ins_are_limited_by_address_unless_told_otherwise() {
    let server = TestServer::start();
    let statuses: Vec<_> = (0..11).map(|_| try_log_in(server.address, "Nobody", PASSWORD).status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    let refused = try_log_in(server.address, "Nobody", PASSWORD);
    assert_eq!((refused.status, refused.code()), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(refused.header("x-ratelimit-limit"), Some("10"));
    assert!(refused.header("retry-after").is_some());
}
