//! Requests and their answers: one each, whatever is asked, and nothing for what asks for none.

use std::collections::{HashMap, HashSet};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{
        AvatarCommand, CreateRoomCommand, FriendRequest, GetMembers, ListRooms, PrivateMessage, Resume, RoomType,
        ServerCommand, ServerMessage, SetProfile, UpdateRoomCommand, UserStatus, UserStatusUpdate,
        client_message::Message, room_moderation::Action, server_command::CommandType, server_message::Message as Ask,
        server_message::MessageType,
    },
};

use crate::support::{
    client::Client,
    music::{off, on},
    other, say,
    server::TestServer,
    socket::{data_of, frame, frame_of},
};

in_both_formats![
    every_kind_of_request_has_exactly_one_answer_wherever_it_is_asked,
    requests_sent_all_at_once_have_exactly_one_answer_each,
    what_asks_for_no_answer_gets_none,
    what_is_not_there_yet_is_refused_by_name,
    a_server_command_does_what_the_message_of_its_meaning_does,
    an_unknown_message_is_answered_and_an_unknown_field_ignored,
    the_message_decides_and_not_the_type_it_claims,
    a_payload_that_does_not_decode_closes,
    the_other_formats_frames_close,
    twenty_invalid_messages_in_ten_seconds_close,
    too_many_requests_are_refused_until_there_is_room_again,
    a_changed_profile_is_seen_in_all_of_ones_rooms_and_acknowledged_once,
];

/// One of each kind, some of them in several ways; `user` is somebody.
fn one_of_each(user: &str) -> Vec<Ask> {
    let command = |kind: CommandType, parameters: &[(&str, &str)]| {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Ask::ServerCommand(ServerCommand { command_type: kind as i32, parameters })
    };
    vec![
        say::create("made by request"),
        say::create("lobby"),
        say::create(""),
        say::update(say::settings(|settings| settings.stage = Some("beach".into()))),
        say::update(say::settings(|settings| settings.latency_mode = Some(true))),
        Ask::UpdateRoomCommand(UpdateRoomCommand { password: Some(String::new()), ..Default::default() }),
        say::join("elsewhere"),
        say::join("base"),
        say::join("\u{200b}"),
        say::chat("hello"),
        say::chat(""),
        say::chat("/help"),
        say::chat("/dance"),
        say::notes(&[on(60), off(60)]),
        say::midi(vec![0, 0xF0]),
        say::midi(Vec::new()),
        command(CommandType::Unknown, &[]),
        command(CommandType::Join, &[("room_name", "base")]),
        command(CommandType::Join, &[]),
        command(CommandType::UpdateSettings, &[("stage", "hall")]),
        command(CommandType::Leave, &[]),
        command(CommandType::EnterLobby, &[]),
        command(CommandType::CreateOrJoinRoom, &[("room_name", "another")]),
        Ask::AvatarCommand(AvatarCommand { avatar_data: vec![1, 2, 3].into(), ..Default::default() }),
        Ask::AvatarCommand(AvatarCommand { avatar_data: vec![0; 1025].into(), ..Default::default() }),
        say::enter_lobby(),
        say::leave(),
        say::command("users", "", ""),
        say::command("kick", user, ""),
        Ask::PrivateMessage(PrivateMessage { target_user_id: user.into(), message: "psst".into() }),
        Ask::UserStatusUpdate(UserStatusUpdate { status: UserStatus::Busy as i32 }),
        say::heartbeat(),
        say::time_sync(1),
        Ask::FriendRequest(FriendRequest { target_user_id: user.into(), action: 0 }),
        say::room_info(""),
        say::room_info("base"),
        say::room_info("no such room"),
        say::list_rooms(),
        Ask::ListRooms(ListRooms { limit: 1000, ..Default::default() }),
        say::members(),
        Ask::GetMembers(GetMembers { after: u32::MAX, limit: u32::MAX }),
        Ask::SetProfile(SetProfile { name: Some("Annabel".into()), colour: None }),
        Ask::SetProfile(SetProfile { name: None, colour: Some("red".into()) }),
        say::moderate(Action::Mute, user),
        say::moderate(Action::Unban, user),
        say::moderate(Action::TransferOwnership, "nobody"),
        Ask::Resume(Resume::default()),
    ]
}

/// How many answers there were, by request id.
fn count(answers: &mut HashMap<u32, usize>, client: &mut Client) {
    for message in client.heard() {
        if let Some(id) = message.request_id {
            *answers.entry(id).or_default() += 1;
        }
    }
}

fn every_kind_of_request_has_exactly_one_answer_wherever_it_is_asked(format: Format) {
    let kinds: HashSet<i32> =
        one_of_each("").into_iter().map(|ask| ServerMessage::request(None, ask).message_type).collect();
    let all = (1..1000).filter(|number| MessageType::try_from(*number).is_ok());
    assert_eq!(all.filter(|number| !kinds.contains(number)).collect::<Vec<i32>>(), [0i32; 0], "every kind is tried");

    let server = TestServer::start();
    let mut witness = server.player(other(format), "Bo", "base");
    for place in ["nowhere", "as a guest", "as the owner"] {
        // Strikes count for ten seconds: a new connection for each.
        let mut client = server.guest(format, "Ann");
        for ask in one_of_each(&witness.user_id()) {
            match place {
                "nowhere" => _ = client.answer(say::leave()),
                "as a guest" => _ = client.answer(say::join("base")),
                // A room that is there but for this moment.
                _ => _ = client.answer(say::join("my own")),
            }
            let id = client.begin(ask.clone());
            client.answer_to(id);
            // Nothing that is done about it later answers it a second time.
            client.ask(say::room_info("base"));
            let more: Vec<_> = client.heard().into_iter().filter(|message| message.request_id == Some(id)).collect();
            assert_eq!(more, [], "{place}: {ask:?}");
        }
    }
    witness.heard();
}

fn requests_sent_all_at_once_have_exactly_one_answer_each(format: Format) {
    let server = TestServer::start();
    let witness = server.player(other(format), "Bo", "base");
    let mut client = server.guest(format, "Ann");
    let mut ids = HashSet::new();
    for _ in 0..3 {
        for ask in one_of_each(&witness.user_id()) {
            ids.insert(client.begin(ask));
        }
        let mut answers = HashMap::new();
        while answers.len() < ids.len() {
            count(&mut answers, &mut client);
        }
        client.ask(say::room_info("base"));
        count(&mut answers, &mut client);
        assert!(answers.values().all(|count| *count == 1), "{answers:?}");
        assert_eq!(answers.keys().copied().collect::<HashSet<_>>(), ids);
        client = server.guest(format, "Ann");
        ids.clear();
    }
}

fn what_asks_for_no_answer_gets_none(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    client.heard();
    client.send(say::chat("hello"));
    client.send(say::notes(&[on(60), off(60)]));
    client.send(Ask::AvatarCommand(AvatarCommand::default()));
    client.send(Ask::SetProfile(SetProfile { name: Some("Annabel".into()), colour: None }));
    // It is an error all the same.
    client.send(say::join("lobby0"));
    let (mut refused, mut updated) = (false, false);
    client.until(|message| {
        refused |= matches!(message, Message::ErrorMessage(_));
        updated |= matches!(message, Message::UserUpdated(_));
        (refused && updated).then_some(())
    });
    // What answers this comes behind what would have answered the change before.
    client.ask(Ask::SetProfile(SetProfile { name: Some("Anna".into()), colour: None }));
    client.ask(say::list_rooms());
    let heard = client.heard();
    assert!(!heard.iter().any(|message| matches!(message.message, Some(Message::Ack(_)))), "{heard:?}");
}

fn what_is_not_there_yet_is_refused_by_name(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    client.enter(say::create("jam"));
    let private = Ask::PrivateMessage(PrivateMessage { target_user_id: "u".into(), message: "psst".into() });
    let pro = CreateRoomCommand { room_name: "pro".into(), room_type: RoomType::Pro as i32, ..Default::default() };
    // For those who have an account.
    let mut member = server.connect(other(format)).bearer(&server.access_token("m", &["member"])).client();
    for ask in [private, Ask::FriendRequest(FriendRequest::default())] {
        assert_eq!(member.refusal(ask.clone()), "NOT_SUPPORTED", "{ask:?}");
        assert_eq!(client.refusal(ask.clone()), "AUTHORIZATION_ERROR", "{ask:?}");
    }
    let asks = [
        Ask::Resume(Resume { session_token: client.welcome.session_token.clone(), ..Default::default() }),
        Ask::CreateRoomCommand(pro),
        say::update(say::settings(|settings| settings.auto_moderation = Some(true))),
        say::update(say::settings(|settings| settings.require_pro = Some(true))),
        say::update(say::settings(|settings| settings.latency_mode = Some(true))),
        say::update(say::settings(|settings| settings.allow_bots = Some(true))),
    ];
    for ask in asks {
        assert_eq!(client.refusal(ask.clone()), "NOT_SUPPORTED", "{ask:?}");
    }
    // More than twenty such questions are no reason to close: they are not mistakes.
    for _ in 0..20 {
        client.refusal(Ask::Resume(Resume::default()));
    }
    client.ask(say::heartbeat());
}

fn a_server_command_does_what_the_message_of_its_meaning_does(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    let command = |kind: CommandType, parameters: &[(&str, &str)]| {
        let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Ask::ServerCommand(ServerCommand { command_type: kind as i32, parameters })
    };
    let joined = client.enter(command(CommandType::CreateOrJoinRoom, &[("room_name", "Jam"), ("password", "")]));
    assert_eq!(joined.room_info.unwrap().room_id, "jam");
    client.ask(command(CommandType::UpdateSettings, &[("max_users", "7"), ("only_owner_plays", "true")]));
    let Message::RoomInfo(info) = client.ask(say::room_info("")) else { panic!("a room") };
    let settings = info.settings.unwrap();
    assert_eq!((settings.max_users, settings.only_owner_plays), (Some(7), Some(true)));
    let lobby = client.enter(command(CommandType::EnterLobby, &[]));
    assert_eq!(lobby.room_info.unwrap().room_type, RoomType::Lobby as i32);
    client.ask(command(CommandType::Leave, &[]));
    assert_eq!(client.refusal(command(CommandType::Leave, &[])), "NOT_IN_ROOM");
    assert_eq!(client.refusal(command(CommandType::Unknown, &[])), "UNKNOWN_COMMAND");
    assert_eq!(client.refusal(command(CommandType::Join, &[("room", "jam")])), "VALIDATION_ERROR");
}

fn an_unknown_message_is_answered_and_an_unknown_field_ignored(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    // Request 77, and a message with the number 999 or the name of a later version.
    let unknown: &[u8] = match format {
        Format::Protobuf => &[0xBA, 0x3E, 0x02, 0x08, 0x01, 0xA0, 0x06, 77],
        Format::Json => br#"{"request_id": 77, "singCommand": {"aria": "Casta diva"}}"#,
    };
    client.write(&frame(data_of(format), unknown));
    let Message::ErrorMessage(error) = client.answer_to(77) else { panic!("an error") };
    assert_eq!(error.error_code, "UNKNOWN_MESSAGE");
    // Nothing at all.
    let nothing: &[u8] = if format == Format::Json { b"{}" } else { b"" };
    client.write(&frame(data_of(format), nothing));
    let error = client.until(|message| match message {
        Message::ErrorMessage(error) => Some(error.error_code.clone()),
        _ => None,
    });
    assert_eq!(error, "UNKNOWN_MESSAGE");
    // Known messages with more in them than we know.
    let heartbeat: &[u8] = match format {
        Format::Protobuf => &[0xA0, 0x06, 78, 0x72, 0x03, 0x98, 0x06, 0x05, 0xC2, 0x3E, 0x01, 0x00],
        Format::Json => br#"{"requestId": 78, "heartbeatMessage": {"mood": "good"}, "weather": ["rain"]}"#,
    };
    client.write(&frame(data_of(format), heartbeat));
    let answer = client.answer_to(78);
    assert!(matches!(answer, Message::HeartbeatMessage(_)), "{answer:?}");
}

fn the_message_decides_and_not_the_type_it_claims(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    for claimed in [0, 6, 4711] {
        let mut message = ServerMessage::request(Some(claimed as u32 + 1000), say::heartbeat());
        message.message_type = claimed;
        if format == Format::Json && claimed == 4711 {
            // A number without a name has no JSON that we could write here.
            let text =
                format!(r#"{{"messageType":{claimed},"request_id":{},"heartbeatMessage":{{}}}}"#, claimed + 1000);
            client.write(&frame(data_of(format), text.as_bytes()));
        } else {
            client.write(&frame_of(format, &message));
        }
        let answer = client.answer_to(claimed as u32 + 1000);
        assert!(matches!(answer, Message::HeartbeatMessage(_)), "{answer:?}");
    }
}

fn a_payload_that_does_not_decode_closes(format: Format) {
    let server = TestServer::start();
    let payloads: &[&[u8]] = match format {
        Format::Protobuf => &[&[0xFF], &[0x22, 0x7F, 0x00], &[0x22, 0x02, 0x08, 0x01], &[0x52, 0x80]],
        Format::Json => &[b"", b"{", b"[]", b"null", br#"{"leaveRoom": 5}"#, br#"{"request_id": -1}"#, b"{} {}"],
    };
    for payload in payloads {
        let mut witness = server.player(other(format), "Bo", "jam");
        let mut client = server.player(format, "Ann", "jam");
        client.write(&frame(data_of(format), payload));
        assert_eq!(client.ending().close, Some((3504, String::new())), "{payload:?}");
        witness.until(|message| matches!(message, Message::UserLeftRoom(_)).then_some(()));
    }
}

fn the_other_formats_frames_close(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    client.write(&frame_of(other(format), &ServerMessage::request(Some(1), say::heartbeat())));
    let (before, ending) = client.until_end();
    assert_eq!((before, ending.code()), (vec![], 1003));
}

fn twenty_invalid_messages_in_ten_seconds_close(format: Format) {
    let server = TestServer::start();
    let mut client = server.player(format, "Ann", "jam");
    let kinds = [say::midi(vec![0, 0xF8]), say::chat("/dance"), say::chat("a\u{7}b"), say::join("")];
    let ids: Vec<_> = (0..19).map(|n| client.begin(kinds[n % kinds.len()].clone())).collect();
    for id in ids {
        let answer = client.answer_to(id);
        assert!(matches!(answer, Message::ErrorMessage(_)), "{answer:?}");
    }
    client.ask(say::heartbeat());
    client.heard();
    let last = client.begin(kinds[0].clone());
    client.begin(say::heartbeat());
    let (before, ending) = client.until_end();
    assert_eq!(before.iter().map(|message| message.request_id).collect::<Vec<_>>(), [Some(last)]);
    assert_eq!(ending.close, Some((3506, String::new())));
}

fn too_many_requests_are_refused_until_there_is_room_again(format: Format) {
    let server = TestServer::with(|config| {
        let rate = pianorhythm_server::domain::bucket::Rate { capacity: 3, refill: 1, period_ms: 100 };
        config.rates.chat.guest = rate;
    });
    let mut client = server.player(format, "Ann", "jam");
    let ids: Vec<_> = (0..6).map(|n| client.begin(say::chat(&format!("line {n}")))).collect();
    let answers: Vec<_> = ids.into_iter().map(|id| client.answer_to(id)).collect();
    let Message::ErrorMessage(error) = &answers[5] else { panic!("{answers:?}") };
    assert_eq!(error.error_code, "RATE_LIMIT_EXCEEDED");
    let wait: u64 = error.error_details["retry_after_ms"].parse().unwrap();
    assert!((1..=100).contains(&wait), "{error:?}");
    // Another kind has its own limit.
    client.ask(say::heartbeat());
    std::thread::sleep(std::time::Duration::from_millis(wait));
    client.ask(say::chat("now"));
    // Members are not bound by what binds guests.
    let mut member = server.connect(format).bearer(&server.access_token("clara", &["member"])).client();
    member.join("jam");
    for n in 0..6 {
        member.ask(say::chat(&format!("line {n}")));
    }
}

fn a_changed_profile_is_seen_in_all_of_ones_rooms_and_acknowledged_once(format: Format) {
    let server = TestServer::start();
    let mut here = server.guest(format, "Ann");
    here.join("one");
    let token = here.welcome.guest_token.clone();
    let mut there = server.connect(other(format)).bearer(&token).client();
    there.join("two");
    let mut witnesses = [server.player(format, "Bo", "one"), server.player(other(format), "Cy", "two")];
    let change = SetProfile { name: Some(" Anna  Lee ".into()), colour: Some("#AABBCC".into()) };
    assert!(matches!(here.ask(Ask::SetProfile(change)), Message::Ack(_)));
    for client in witnesses.iter_mut().chain([&mut here, &mut there]) {
        let user = client.until(|message| match message {
            Message::UserUpdated(update) => update.member.clone()?.user,
            _ => None,
        });
        assert_eq!((user.username.as_str(), user.colour.as_str()), ("Anna Lee", "#aabbcc"));
    }
    here.ask(Ask::UserStatusUpdate(UserStatusUpdate { status: UserStatus::Away as i32 }));
    let status = witnesses[1].until(|message| match message {
        Message::UserUpdated(update) => Some(update.member.as_ref()?.user.as_ref()?.status),
        _ => None,
    });
    assert_eq!(status, UserStatus::Away as i32);
    // It is kept over a change of rooms.
    there.join("one");
    let Message::MemberList(list) = here.ask(say::members()) else { panic!("members") };
    let names: Vec<_> = list.members.iter().map(|member| member.user.as_ref().unwrap().username.as_str()).collect();
    assert_eq!(names, ["Anna Lee", "Bo", "Anna Lee"]);
}
