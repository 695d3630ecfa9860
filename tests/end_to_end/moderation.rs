//! Kick, ban and mute: they act on the user, whatever connections it has, and hold as long as they say.

use std::time::Duration;

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{Member, client_message::Message, room_moderation::Action, user_left_room::Reason},
};

use crate::support::{client::Client, eventually, music::on, other, say, server::TestServer};

in_both_formats![
    a_kick_closes_all_of_the_users_connections_in_the_room_and_no_other,
    who_was_kicked_may_come_back,
    a_ban_holds_for_the_guest_under_whatever_name_and_connection,
    a_ban_with_the_address_holds_for_others_from_there,
    a_ban_for_a_time_ends_by_itself,
    a_ban_of_who_is_not_there_keeps_it_out,
    a_mute_has_two_switches_and_survives_a_rejoin,
    a_mute_for_a_time_ends_by_itself,
    only_owners_and_moderators_moderate_and_not_everybody,
    an_owner_who_is_banned_by_a_moderator_loses_the_crown,
    an_operator_closes_a_users_connections_wherever_they_are,
];

/// An owner in "jam", and a guest.
fn pair(server: &TestServer, format: Format) -> (Client, Client) {
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create("jam"));
    let guest = server.player(format, "Bo", "jam");
    (owner, guest)
}

fn same_guest(server: &TestServer, format: Format, client: &Client) -> Client {
    server.connect(format).bearer(&client.welcome.guest_token).client()
}

fn a_kick_closes_all_of_the_users_connections_in_the_room_and_no_other(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    let mut tab = same_guest(&server, other(format), &guest);
    tab.join("jam");
    let mut elsewhere = same_guest(&server, format, &guest);
    elsewhere.join("elsewhere");
    owner.heard();
    owner.ask(say::moderate_with(Action::Kick, &guest.user_id(), |kick| kick.reason = "too loud".into()));
    for client in [&mut guest, &mut tab] {
        let (before, ending) = client.until_end();
        assert_eq!(ending.close, Some((3501, String::new())));
        let why = before.iter().rev().find_map(|message| match &message.message {
            Some(Message::RoomChatMessage(line)) => Some(line.message.clone()),
            _ => None,
        });
        assert_eq!(why.as_deref(), Some("you were kicked: too loud"));
    }
    let left: Vec<_> = owner
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Message::UserLeftRoom(left) => Some((left.participant, left.reason())),
            _ => None,
        })
        .collect();
    assert_eq!(left, [(2, Reason::Kicked), (3, Reason::Kicked)]);
    elsewhere.ask(say::chat("what happened?"));
}

fn who_was_kicked_may_come_back(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    owner.ask(say::moderate(Action::Kick, &guest.user_id()));
    assert_eq!(guest.ending().code(), 3501);
    let mut again = same_guest(&server, format, &guest);
    again.join("jam");
    assert_eq!(owner.refusal(say::moderate(Action::Kick, "nobody")), "USER_NOT_FOUND");
}

fn a_ban_holds_for_the_guest_under_whatever_name_and_connection(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    owner.ask(say::moderate_with(Action::Ban, &guest.user_id(), |ban| ban.reason = "spam".into()));
    assert_eq!(guest.ending().close, Some((3502, String::new())));
    let again = server.connect(other(format)).bearer(&guest.welcome.guest_token).name("Somebody Else");
    let mut again = again.client();
    let error = again.refused(say::join("jam"));
    assert_eq!((error.error_code.as_str(), error.error_details["reason"].as_str()), ("BANNED", "spam"));
    assert!(!error.error_details.contains_key("until_ms"));
    again.join("elsewhere");
    // Others from there come in.
    server.player(format, "Cy", "jam");
    owner.ask(say::moderate(Action::Unban, &guest.user_id()));
    again.join("jam");
    assert_eq!(owner.refusal(say::moderate(Action::Unban, &guest.user_id())), "USER_NOT_FOUND");
}

fn a_ban_with_the_address_holds_for_others_from_there(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create("jam"));
    let from = |address: u8, name: &str| server.connect(format).from([127, 0, 0, address]).name(name).client();
    let mut guest = from(2, "Bo");
    guest.join("jam");
    owner.ask(say::moderate_with(Action::Ban, &guest.user_id(), |ban| ban.ban_address = true));
    assert_eq!(guest.ending().code(), 3502);
    assert_eq!(from(2, "Cy").refusal(say::join("jam")), "BANNED");
    from(3, "Di").join("jam");
    let mut moved = server.connect(format).from([127, 0, 0, 3]).bearer(&guest.welcome.guest_token).client();
    assert_eq!(moved.refusal(say::join("jam")), "BANNED");
    owner.ask(say::moderate(Action::Unban, &guest.user_id()));
    from(2, "Cy").join("jam");
}

fn a_ban_for_a_time_ends_by_itself(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    owner.ask(say::moderate_with(Action::Ban, &guest.user_id(), |ban| ban.duration_s = 1));
    assert_eq!(guest.ending().code(), 3502);
    let mut again = same_guest(&server, format, &guest);
    let error = again.refused(say::join("jam"));
    let until: i64 = error.error_details["until_ms"].parse().unwrap();
    assert!(until > guest.welcome.server_time_us / 1000);
    eventually("the ban ends", || matches!(again.answer(say::join("jam")), Message::RoomJoinedResponse(_)));
    let Message::TimeSync(sync) = again.ask(say::time_sync(0)) else { panic!("a time") };
    assert!(sync.server_send_time_us / 1000 >= until, "and not before");
}

fn a_ban_of_who_is_not_there_keeps_it_out(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create("jam"));
    let mut guest = server.guest(format, "Bo");
    owner.ask(say::moderate(Action::Ban, &guest.user_id()));
    assert_eq!(guest.refusal(say::join("jam")), "BANNED");
    guest.ask(say::heartbeat());
    let with_address = say::moderate_with(Action::Ban, "nobody", |ban| ban.ban_address = true);
    assert_eq!(owner.refusal(with_address), "USER_NOT_FOUND");
}

/// The member that an update tells of.
#[track_caller]
fn updated(client: &mut Client) -> Member {
    client.until(|message| match message {
        Message::UserUpdated(update) => update.member.clone(),
        _ => None,
    })
}

fn a_mute_has_two_switches_and_survives_a_rejoin(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    let id = guest.user_id();
    let notes = |action| say::moderate_with(action, &id, |mute| mute.notes = true);
    let chat = |action| say::moderate_with(action, &id, |mute| mute.chat = true);
    owner.ask(notes(Action::Mute));
    let member = updated(&mut owner);
    assert_eq!((member.participant, member.notes_muted, member.chat_muted), (2, true, false));
    assert_eq!(guest.refusal(say::notes(&[on(60)])), "MUTED");
    guest.ask(say::chat("I can talk"));
    owner.ask(chat(Action::Mute));
    assert_eq!(guest.refusal(say::chat("I cannot")), "MUTED");
    guest.ask(say::leave());
    let mut again = same_guest(&server, other(format), &guest);
    let joined = again.join("jam");
    let me = joined.current_users.iter().find(|member| member.participant == joined.participant).unwrap();
    assert!(me.notes_muted && me.chat_muted);
    assert_eq!(again.refusal(say::notes(&[on(60)])), "MUTED");
    assert_eq!(again.refusal(say::chat("still?")), "MUTED");
    owner.ask(notes(Action::Unmute));
    again.ask(say::notes(&[on(60)]));
    assert_eq!(again.refusal(say::chat("still?")), "MUTED");
    // Neither named: both.
    owner.ask(say::moderate(Action::Unmute, &id));
    again.ask(say::chat("free"));
    // It is told at most once a second to who asks for no answer.
    owner.ask(notes(Action::Mute));
    again.heard();
    (0..5).for_each(|_| again.send(say::notes(&[on(60)])));
    let told = again.events();
    assert!(told.len() <= 1, "{told:?}");
}

fn a_mute_for_a_time_ends_by_itself(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    owner.ask(say::moderate_with(Action::Mute, &guest.user_id(), |mute| mute.duration_s = 1));
    assert_eq!(guest.refusal(say::chat("mm")), "MUTED");
    assert!(updated(&mut owner).chat_muted);
    assert!(!updated(&mut owner).chat_muted);
    guest.ask(say::chat("ah"));
}

fn only_owners_and_moderators_moderate_and_not_everybody(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    let mut staff = server.connect(format).bearer(&server.access_token("mo", &["moderator"])).client();
    staff.join("jam");
    let (owner_id, guest_id) = (owner.user_id(), guest.user_id());
    for action in [Action::Kick, Action::Ban, Action::Unban, Action::Mute, Action::Unmute, Action::TransferOwnership] {
        assert_eq!(guest.refusal(say::moderate(action, &owner_id)), "NOT_OWNER", "{action:?}");
    }
    for action in [Action::Kick, Action::Ban, Action::Mute] {
        assert_eq!(owner.refusal(say::moderate(action, "mo")), "AUTHORIZATION_ERROR", "{action:?}");
        assert_eq!(owner.refusal(say::moderate(action, &owner_id)), "VALIDATION_ERROR", "{action:?}");
        assert_eq!(owner.refusal(say::moderate(action, "")), "VALIDATION_ERROR", "{action:?}");
    }
    let long = say::moderate_with(Action::Kick, &guest_id, |kick| kick.reason = "x".repeat(513));
    assert_eq!(owner.refusal(long), "VALIDATION_ERROR");
    staff.ask(say::moderate(Action::Mute, &guest_id));
    assert_eq!(guest.refusal(say::chat("mm")), "MUTED");
    // In lobbies, too.
    staff.join("lobby");
    guest.join("lobby");
    staff.ask(say::moderate(Action::Kick, &guest_id));
    assert_eq!(guest.ending().code(), 3501);
}

fn an_owner_who_is_banned_by_a_moderator_loses_the_crown(format: Format) {
    let server = TestServer::start();
    let (mut owner, mut guest) = pair(&server, format);
    let mut staff = server.connect(format).bearer(&server.access_token("mo", &["admin"])).client();
    staff.join("jam");
    staff.ask(say::moderate(Action::Ban, &owner.user_id()));
    assert_eq!(owner.ending().code(), 3502);
    let crowned = guest.until(|message| match message {
        Message::OwnerChanged(change) => Some((change.owner_id.clone(), change.participant)),
        _ => None,
    });
    assert_eq!(crowned, (guest.user_id(), 2));
}

fn an_operator_closes_a_users_connections_wherever_they_are(format: Format) {
    let server = TestServer::with(|config| config.rooms.owner_grace = Duration::from_millis(50));
    let mut one = server.guest(format, "Ann");
    let mut two = same_guest(&server, other(format), &one);
    two.join("jam");
    let mut witness = server.player(other(format), "Bo", "jam");
    witness.heard();
    let path = |user: &str, code: &str| format!("/debug/users/{user}/close?code={code}");
    let (status, body) = server.operator("POST", &path(&one.user_id(), "unauthorised"));
    assert_eq!(status, 200);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"]["closed"], 2);
    for client in [&mut one, &mut two] {
        assert_eq!(client.ending().close, Some((3503, String::new())));
    }
    witness.until(|message| matches!(message, Message::UserLeftRoom(left) if left.participant == 1).then_some(()));
    let (_, body) = server.operator("POST", &path("nobody", "kicked"));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"]["closed"], 0);
    assert_eq!(server.operator("POST", &path("nobody", "bored")).0, 400);
    witness.ask(say::chat("quiet now"));
}
