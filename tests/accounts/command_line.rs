//! Operators on the command line: accounts, roles and keys, with the server and without.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use pianorhythm_server::protocol::codec::Format;

use crate::support::{
    account::{PASSWORD, log_in, refresh, registered, try_log_in, validate},
    process::{ServerProcess, WatchedServer, command},
};

const LIMITS: &[(&str, &str)] = &[("RATE_LOGINS", "unlimited"), ("RATE_REGISTRATIONS", "unlimited")];

fn run(data: &Path, settings: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"));
    command.env_clear().env("DATA_DIR", data).envs(settings.iter().copied()).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn failed(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn accounts_are_made_and_roles_given_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let admin = |arguments: &[&str], input: &str| run(folder.path(), &[], &[&["admin"], arguments].concat(), input);
    let made = done(&admin(&["create-user", "Ops", "--role", "admin"], &format!("{PASSWORD}\n")));
    assert!(made.starts_with("Ops (user-") && made.ends_with("): member, admin\n"), "{made}");
    let told = done(&admin(&["grant", "ops", "pro"], ""));
    assert!(told.ends_with("): member, pro, admin\n"), "{told}");
    assert!(done(&admin(&["revoke", "ops", "admin"], "")).ends_with("): member, pro\n"));
    assert!(failed(&admin(&["grant", "nobody", "pro"], "")).contains("there is no account `nobody`"));
    assert!(failed(&admin(&["create-user", "ops"], "another password\n")).contains("somebody has that name"));
    assert!(failed(&admin(&["create-user", "short"], "short\n")).contains("8 characters at least"));

    let server = ServerProcess::start(folder.path(), LIMITS);
    let logged_in = log_in(server.address, "ops");
    assert_eq!(logged_in.body["data"]["user"]["roles"], serde_json::json!(["member", "pro"]));
}

#[test]
fn accounts_are_made_and_roles_given_by_the_server_that_has_the_documents_open() {
    let folder = tempfile::tempdir().unwrap();
    let watched = WatchedServer::start(command(folder.path(), LIMITS), folder.path());
    let port = watched.admin.to_string();
    let settings = [("ADMIN_BIND", port.as_str())];
    let admin =
        |arguments: &[&str], input: &str| run(folder.path(), &settings, &[&["admin"], arguments].concat(), input);
    let made = done(&admin(&["create-user", "Clara Sö", "--email", "c@example.org"], &format!("{PASSWORD}\r\n")));
    assert!(made.starts_with("Clara Sö (user-") && made.ends_with("): member\n"), "{made}");
    assert_eq!(try_log_in(watched.server.address, "clara sö", PASSWORD).status, 200);
    let told = done(&admin(&["grant", "CLARA SÖ", "moderator"], ""));
    assert!(told.ends_with("): member, moderator\n"), "{told}");
    assert!(failed(&admin(&["grant", "nobody", "pro"], "")).contains("there is no account `nobody`"));
    let nobody = run(folder.path(), &[("ADMIN_BIND", "off")], &["admin", "grant", "clara sö", "pro"], "");
    assert!(failed(&nobody).contains("admin_bind"));
}

#[test]
fn a_key_that_is_rotated_ends_no_log_in_and_one_that_is_replaced_ends_what_it_has_signed() {
    let folder = tempfile::tempdir().unwrap();
    let start = || ServerProcess::start(folder.path(), LIMITS);
    let server = start();
    let made = registered(server.address, "Clara");
    let guest = server.guest(Format::Json, "Robert");
    server.signal(libc::SIGTERM);
    server.wait();

    let told = done(&run(folder.path(), &[], &["keygen", "--rotate"], ""));
    assert!(told.contains("key id"), "{told}");
    let server = start();
    assert_eq!(validate(server.address, &made.token("token")).status, 200);
    let again = server.connect(Format::Json).bearer(&guest.welcome.guest_token).client();
    assert_eq!(again.user_id(), guest.user_id());
    let renewed = refresh(server.address, &made.token("refresh_token"));
    let kid = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_ne!(kid(&renewed.token("token")), kid(&made.token("token")), "the new key signs");
    drop(again);
    server.signal(libc::SIGTERM);
    server.wait();

    done(&run(folder.path(), &[], &["keygen", "--force"], ""));
    let server = start();
    assert_eq!(validate(server.address, &renewed.token("token")).status, 401);
    // A refresh token is the documents', and no key's.
    assert_eq!(refresh(server.address, &renewed.token("refresh_token")).status, 200);
}
