//! Chat: lines to all, their history, and commands.

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{
        ChatHistory, RoomChatMessage, client_message::Message, room_chat_message::MessageType,
        server_message::Message as Ask, user_left_room::Reason,
    },
};

use crate::support::{client::Client, other, say, server::TestServer};

in_both_formats![
    a_line_reaches_everybody_with_its_sender_and_time_and_is_then_acknowledged_by_its_id,
    a_line_is_normalised_and_never_interpreted,
    what_is_no_line_is_refused,
    new_members_get_the_last_hundred_lines,
    help_and_users_are_answered_to_their_sender_alone,
    me_says_what_one_does,
    commands_moderate_by_name_number_and_id,
    commands_are_for_who_may,
    a_message_of_its_own_says_the_same_as_a_command,
];

/// Lines of the server's to this client alone, up to now.
fn system_lines(client: &mut Client) -> Vec<String> {
    let lines = client.events().into_iter().filter_map(|event| match event {
        Message::RoomChatMessage(line) if line.message_type() == MessageType::System => Some(line.message),
        _ => None,
    });
    lines.collect()
}

fn a_line_reaches_everybody_with_its_sender_and_time_and_is_then_acknowledged_by_its_id(format: Format) {
    let server = TestServer::start();
    let mut speaker = server.connect(format).name("Ann").query("colour", "#102030").client();
    speaker.join("jam");
    let mut listeners = [server.player(format, "Bo", "jam"), server.player(other(format), "Cy", "jam")];
    speaker.heard();
    // What is the server's to say is not taken from the client.
    let line = RoomChatMessage {
        message: "hello".into(),
        message_type: MessageType::System as i32,
        message_id: "mine".into(),
        user_id: "somebody".into(),
        username: "Somebody".into(),
        colour: "#ffffff".into(),
        participant: 99,
        time_ms: 5,
    };
    let id = speaker.begin(Ask::RoomChatMessage(line));
    let first = speaker.next();
    let Some(Message::RoomChatMessage(own)) = first.message else { panic!("{first:?}") };
    assert_eq!(first.request_id, None);
    let second = speaker.next();
    let Some(Message::Ack(ack)) = second.message else { panic!("{second:?}") };
    assert_eq!((second.request_id, &ack.message_id), (Some(id), &own.message_id));
    assert_eq!(own.message_type(), MessageType::User);
    let user = speaker.welcome.user.clone().unwrap();
    assert_eq!(
        (own.user_id.clone(), own.username.clone(), own.colour.clone()),
        (user.user_id, user.username, user.colour)
    );
    assert_eq!((own.participant, own.message.as_str()), (1, "hello"));
    assert!(own.time_ms >= speaker.welcome.server_time_us / 1000 && !own.message_id.is_empty());
    for listener in &mut listeners {
        let heard = listener.until(|message| match message {
            Message::RoomChatMessage(line) => Some(line.clone()),
            _ => None,
        });
        assert_eq!(heard, own);
    }
    let mut moderator = server.connect(format).bearer(&server.access_token("mo", &["moderator"])).client();
    moderator.join("jam");
    moderator.ask(say::chat("order, please"));
    let heard = listeners[0].until(|message| match message {
        Message::RoomChatMessage(line) => Some(line.message_type()),
        _ => None,
    });
    assert_eq!(heard, MessageType::Moderator);
}

fn a_line_is_normalised_and_never_interpreted(format: Format) {
    let server = TestServer::start();
    let mut speaker = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    for (typed, told) in [
        ("  two   words\u{a0} ", "two words"),
        ("Cafe\u{301}", "Café"),
        ("<b onclick='x'>&amp;\"</b>", "<b onclick='x'>&amp;\"</b>"),
        ("𝄞 日本語 🎹", "𝄞 日本語 🎹"),
        ("{\"json\": \\\"}", "{\"json\": \\\"}"),
    ] {
        speaker.ask(say::chat(typed));
        assert_eq!(listener.line().1, told);
    }
    let long = "é".repeat(512);
    speaker.ask(say::chat(&long));
    assert_eq!(listener.line().1, long);
}

fn what_is_no_line_is_refused(format: Format) {
    let server = TestServer::start();
    let mut speaker = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    for text in ["", "   ", "a\nb", "a\u{7}", "\u{0}", &"é".repeat(513), &"x".repeat(60_000)] {
        assert_eq!(speaker.refusal(say::chat(text)), "VALIDATION_ERROR", "{text:?}");
    }
    assert_eq!(listener.events(), []);
}

fn new_members_get_the_last_hundred_lines(format: Format) {
    let server = TestServer::start();
    let mut speaker = server.player(format, "Ann", "jam");
    // The first are long: what does not fit one message of the protocol comes in several.
    for n in 0..130 {
        let padding = if n < 90 { "x".repeat(500) } else { String::new() };
        speaker.ask(say::chat(&format!("{n} {padding}")));
    }
    let mut joiner = server.guest(other(format), "Bo");
    joiner.join("jam");
    speaker.ask(say::chat("you are late"));
    let mut lines = Vec::new();
    let last = joiner.until(|message| match message {
        Message::ChatHistory(ChatHistory { messages }) => {
            lines.extend(messages.iter().map(|line| line.message.split(' ').next().unwrap().parse::<u32>().unwrap()));
            None
        }
        Message::RoomChatMessage(line) => Some(line.message.clone()),
        message => panic!("{message:?}"),
    });
    assert_eq!(lines, (30..130).collect::<Vec<_>>());
    assert_eq!(last, "you are late");
}

fn help_and_users_are_answered_to_their_sender_alone(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    let mut others = server.player(other(format), "Bo B", "jam");
    client.ask(say::chat("/help"));
    client.ask(say::chat("/users"));
    let lines = system_lines(&mut client);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("/kick") && lines[0].contains("/me"), "{lines:?}");
    assert_eq!(lines[1], "2 here: #1 Ann, #2 Bo B");
    let error = client.refused(say::chat("/dance with me"));
    assert_eq!(error.error_code, "UNKNOWN_COMMAND");
    assert!(error.error_message.contains("/dance"), "{error:?}");
    assert_eq!(others.events(), []);
}

fn me_says_what_one_does(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    client.ask(say::chat("/me tunes the piano"));
    assert_eq!(listener.line(), (1, "* Ann tunes the piano".into()));
    assert_eq!(client.refusal(say::chat("/me")), "VALIDATION_ERROR");
}

fn commands_moderate_by_name_number_and_id(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let mut quiet = server.player(other(format), "Loud Larry", "jam");
    let mut twin = server.player(format, "Twin", "jam");
    let mut other_twin = server.player(other(format), "TWIN", "jam");
    owner.heard();

    owner.ask(say::chat("/mute \"loud larry\" chat"));
    assert_eq!(system_lines(&mut owner), ["Loud Larry is muted"]);
    assert_eq!(quiet.refusal(say::chat("me?")), "MUTED");
    owner.ask(say::chat("/unmute #2"));
    quiet.ask(say::chat("thanks"));

    assert_eq!(owner.refusal(say::chat("/kick twin")), "VALIDATION_ERROR", "two bear that name");
    assert_eq!(owner.refusal(say::chat("/kick nobody")), "USER_NOT_FOUND");
    owner.ask(say::chat("/kick #3 out of tune"));
    let (before, ending) = twin.until_end();
    let told = before.iter().any(|message| {
        matches!(&message.message, Some(Message::RoomChatMessage(line)) if line.message.contains("out of tune"))
    });
    assert!(told, "{before:?}");
    assert_eq!(ending.code(), 3501);
    owner.ask(say::chat(&format!("/ban {} 1h spam", other_twin.user_id())));
    assert_eq!(other_twin.ending().code(), 3502);
    for reason in [Reason::Kicked, Reason::Banned] {
        quiet.until(|message| matches!(message, Message::UserLeftRoom(left) if left.reason() == reason).then_some(()));
    }
    let mut again = server.connect(format).bearer(&other_twin.welcome.guest_token).client();
    let error = again.refused(say::join("jam"));
    assert_eq!((error.error_code.as_str(), error.error_details["reason"].as_str()), ("BANNED", "spam"));
    owner.ask(say::chat("/unban twin"));
    again.join("jam");
}

fn commands_are_for_who_may(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let mut guest = server.player(other(format), "Bo", "jam");
    let mut staff = server.connect(format).bearer(&server.access_token("mo", &["admin"])).client();
    staff.join("jam");
    for command in ["/kick Ann", "/ban Ann", "/unban Ann", "/mute Ann", "/unmute Ann"] {
        let code = guest.refusal(say::chat(command));
        assert!(["NOT_OWNER", "USER_NOT_FOUND"].contains(&code.as_str()), "{command}: {code}");
    }
    assert_eq!(owner.refusal(say::chat("/kick Ann")), "VALIDATION_ERROR", "oneself");
    assert_eq!(owner.refusal(say::chat("/kick mo")), "AUTHORIZATION_ERROR", "the server's moderators");
    staff.ask(say::chat("/kick Ann"));
    assert_eq!(owner.ending().code(), 3501);
    guest.ask(say::chat("still here"));
}

fn a_message_of_its_own_says_the_same_as_a_command(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let mut guest = server.player(other(format), "Bo B", "jam");
    owner.heard();
    owner.ask(say::command("/users", "", ""));
    assert_eq!(system_lines(&mut owner), ["2 here: #1 Ann, #2 Bo B"]);
    owner.ask(say::command("me", "", "waves"));
    assert_eq!(guest.line(), (1, "* Ann waves".into()));
    assert_eq!(guest.refusal(say::command("kick", "Ann", "")), "NOT_OWNER");
    assert_eq!(owner.refusal(say::command("sing", "", "")), "UNKNOWN_COMMAND");
    assert_eq!(owner.refusal(say::command("kick", "", "")), "VALIDATION_ERROR");
    owner.ask(say::command("kick", "bo b", "bye"));
    assert_eq!(guest.ending().code(), 3501);
}
