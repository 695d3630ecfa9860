//! Roles: all routes and all messages with each of them, against the one table; and roles that change while one is here.

use pianorhythm_server::{
    domain::{identity::Role, permission::Permission},
    http::routes,
    protocol::{
        codec::Format,
        wire::{self, client_message::Message as Answer, room_moderation::Action, server_message::Message},
    },
};
use serde_json::json;

use crate::support::{
    account::{log_in, registered, unlimited_requests},
    http::exchange,
    say,
    server::TestServer,
};

fn server() -> TestServer {
    TestServer::with(unlimited_requests)
}

/// Changes an account's roles by the operators' port.
#[track_caller]
fn change(server: &TestServer, name: &str, body: serde_json::Value) {
    let path = format!("/accounts/{name}/roles");
    let answer = exchange(server.admin, "POST", &path, &[], &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// An account of a role: its access token. A guest has none.
fn token_of(server: &TestServer, role: Role) -> Option<String> {
    if role == Role::Guest {
        return None;
    }
    let name = format!("a {}", role.as_str());
    registered(server.address, &name);
    if role != Role::Member {
        change(server, &name.replace(' ', "%20"), json!({ "give": role }));
    }
    Some(log_in(server.address, &name).token("token"))
}

#[test]
fn every_route_is_open_to_those_that_the_table_names_and_closed_to_the_others() {
    let server = server();
    let routes = routes::table();
    assert!(routes.len() >= 5);
    for role in Role::ALL {
        for route in &routes {
            // Of its own: a route may end the log-in that it is asked by.
            let name = format!("{} {}", role.as_str(), route.path.rsplit('/').next().unwrap());
            let token = (*role != Role::Guest).then(|| {
                registered(server.address, &name);
                if *role != Role::Member {
                    change(&server, &name.replace(' ', "%20"), json!({ "give": role }));
                }
                log_in(server.address, &name).token("token")
            });
            let bearer = token.map(|token| format!("Bearer {token}"));
            let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
            let answer = exchange(server.address, route.method.as_str(), route.path, &headers, "{}");
            let is_let_in = !matches!(answer.status, 401 | 403)
                // A guest has no log-in to end or renew, which is not for want of a permission.
                || (answer.status == 401 && route.permission == Permission::LogIn);
            assert_eq!(is_let_in, route.permission.is_granted(&[*role]), "{role:?} {route:?}: {answer:?}");
        }
    }
}

/// One of each message that a client can send.
fn messages() -> Vec<Message> {
    vec![
        say::create("walked"),
        say::update(wire::RoomSettings::default()),
        say::join("walked"),
        say::chat("hello"),
        say::midi(vec![0, 0x90, 60, 1]),
        Message::ServerCommand(wire::ServerCommand::default()),
        Message::AvatarCommand(wire::AvatarCommand::default()),
        say::enter_lobby(),
        say::leave(),
        say::command("help", "", ""),
        Message::PrivateMessage(wire::PrivateMessage::default()),
        Message::UserStatusUpdate(wire::UserStatusUpdate::default()),
        say::heartbeat(),
        say::time_sync(1),
        Message::FriendRequest(wire::FriendRequest::default()),
        say::room_info("walked"),
        say::list_rooms(),
        say::members(),
        Message::SetProfile(wire::SetProfile::default()),
        say::moderate(Action::Unmute, "nobody"),
        Message::Resume(wire::Resume::default()),
    ]
}

#[test]
fn every_message_is_taken_from_those_that_the_table_names_and_refused_to_the_others() {
    let server = server();
    let mut walked = std::collections::HashSet::new();
    for role in Role::ALL {
        let token = token_of(&server, *role);
        let connect = server.connect(Format::Json);
        let mut client = match &token {
            Some(token) => connect.bearer(token).client(),
            None => connect.client(),
        };
        for message in messages() {
            let may = Permission::of(&message).is_granted(&[*role]);
            walked.insert(Permission::of(&message));
            let answer = client.answer(message.clone());
            let is_refused =
                matches!(&answer, Answer::ErrorMessage(error) if error.error_code == "AUTHORIZATION_ERROR");
            assert_eq!(is_refused, !may, "{role:?} {message:?}: {answer:?}");
        }
    }
    assert!(walked.len() >= 9, "{walked:?}");
}

#[test]
fn a_role_that_is_given_or_taken_counts_at_once_for_sockets_that_are_here() {
    let server = server();
    let made = registered(server.address, "Clara");
    let mut owner = server.guest(Format::Json, "Ann");
    owner.enter(say::create("mine"));
    let mut guest = server.guest(Format::Protobuf, "Robert");
    guest.join("mine");
    let mut moderator = server.connect(Format::Json).bearer(&made.token("token")).client();
    moderator.join("mine");
    let mute = || say::moderate(Action::Mute, &guest.user_id());
    assert_eq!(moderator.refusal(mute()), "NOT_OWNER");
    owner.heard();

    change(&server, "Clara", json!({ "give": "moderator" }));
    let roles = owner.until(|message| match message {
        Answer::UserUpdated(updated) => Some(updated.member.clone()?.user?.roles),
        _ => None,
    });
    assert_eq!(roles, [wire::user::Role::Member as i32, wire::user::Role::Moderator as i32]);
    moderator.ask(mute());
    assert_eq!(owner.refusal(say::moderate(Action::Kick, &moderator.user_id())), "AUTHORIZATION_ERROR");

    change(&server, "Clara", json!({ "take": "moderator" }));
    owner.until(|message| match message {
        Answer::UserUpdated(updated) => {
            let user = updated.member.clone()?.user?;
            (user.user_id == moderator.user_id() && user.roles == [wire::user::Role::Member as i32]).then_some(())
        }
        _ => None,
    });
    assert_eq!(moderator.refusal(say::moderate(Action::Unmute, &guest.user_id())), "NOT_OWNER");
}

#[test]
fn a_token_from_before_a_change_of_roles_goes_by_the_account_as_it_is() {
    let server = server();
    let made = registered(server.address, "Clara");
    change(&server, "Clara", json!({ "give": "admin" }));
    let client = server.connect(Format::Json).bearer(&made.token("token")).client();
    let roles = client.welcome.user.clone().unwrap().roles;
    assert_eq!(roles, [wire::user::Role::Member as i32, wire::user::Role::Admin as i32]);
}
