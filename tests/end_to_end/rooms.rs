//! Rooms: making, entering, leaving and changing them, and what their settings bind.

use std::{collections::HashMap, time::Duration};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{
        CreateRoomCommand, GetMembers, ListRooms, MemberList, NoteQuota, RoomInfo, RoomList, RoomType,
        UpdateRoomCommand, client_message::Message, room_chat_message::MessageType, room_moderation::Action,
        server_message::Message as Ask, user_left_room::Reason,
    },
};

use crate::support::{
    client::Client,
    eventually,
    music::{off, on},
    other, say,
    server::{TestServer, room_on},
};

in_both_formats![
    who_joins_is_told_the_room_then_its_chat_then_its_welcome_and_the_others_are_told_of_it,
    a_room_is_made_once_and_by_its_maker_owned,
    spellings_of_one_name_are_one_room,
    names_of_lobbies_and_what_is_no_name_are_refused,
    a_refused_join_leaves_everything_as_it_was,
    who_changes_rooms_has_left_the_first_before_it_is_in_the_second,
    a_full_room_takes_nobody_until_somebody_leaves,
    a_password_opens_the_room_and_nothing_else_does,
    private_rooms_are_not_listed_and_others_are,
    lobbies_overflow_into_the_next,
    a_rush_on_the_lobbies_seats_everybody_and_overfills_none,
    only_the_owner_changes_the_room,
    where_only_the_owner_plays_others_are_refused,
    where_only_the_owner_chats_or_nobody_does_others_are_refused,
    a_room_without_guests_takes_members,
    a_capacity_below_the_members_sends_nobody_away,
    a_room_that_allows_dense_playing_takes_more_notes,
    the_crown_is_handed_over,
    the_crown_passes_to_the_longest_standing_when_its_owner_stays_away,
    an_owner_that_comes_back_in_time_keeps_the_crown,
    numbers_are_not_used_again_and_two_tabs_are_two_members,
    members_are_told_in_pages,
    a_crowds_joins_and_leaves_are_told_gathered,
    an_empty_room_is_forgotten_after_its_grace_time,
];

#[track_caller]
fn info(client: &mut Client, room: &str) -> RoomInfo {
    match client.ask(say::room_info(room)) {
        Message::RoomInfo(info) => info,
        answer => panic!("{answer:?}"),
    }
}

#[track_caller]
fn members(client: &mut Client) -> MemberList {
    match client.ask(say::members()) {
        Message::MemberList(list) => list,
        answer => panic!("{answer:?}"),
    }
}

/// The next leaving that is told: who, and why.
#[track_caller]
fn leaving(client: &mut Client) -> (u32, Reason) {
    client.until(|message| match message {
        Message::UserLeftRoom(left) => Some((left.participant, left.reason())),
        _ => None,
    })
}

fn who_joins_is_told_the_room_then_its_chat_then_its_welcome_and_the_others_are_told_of_it(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    let settings = say::settings(|settings| {
        settings.welcome_message = Some("make yourself at home".into());
        settings.max_users = Some(9);
        settings.stage = Some("beach".into());
    });
    let made = owner.enter(say::create_with("The Jam", settings));
    assert_eq!((made.success, made.participant), (true, 1));
    owner.ask(say::chat("first"));
    owner.ask(say::chat("second"));
    owner.heard();

    let mut joiner = server.guest(format, "Bo");
    let id = joiner.begin(say::join("the jam"));
    let response = joiner.next();
    let Some(Message::RoomJoinedResponse(joined)) = response.message else { panic!("{response:?}") };
    assert_eq!((response.request_id, joined.participant, joined.more_users), (Some(id), 2, false));
    let room = joined.room_info.unwrap();
    assert_eq!((room.room_id.as_str(), room.room_name.as_str(), room.user_count), ("the jam", "The Jam", 2));
    assert_eq!((room.owner_id, room.owner_participant, room.has_password), (owner.user_id(), 1, false));
    let settings = room.settings.unwrap();
    assert_eq!((settings.max_users, settings.stage.as_deref()), (Some(9), Some("beach")));
    let names: Vec<_> = joined.current_users.iter().map(|member| member.user.clone().unwrap().username).collect();
    assert_eq!(names, ["Ann", "Bo"]);
    let Some(Message::ChatHistory(history)) = joiner.next().message else { panic!("the history") };
    let lines: Vec<_> = history.messages.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["first", "second"]);
    let Some(Message::RoomChatMessage(welcome)) = joiner.next().message else { panic!("the welcome") };
    assert_eq!((welcome.message.as_str(), welcome.message_type()), ("make yourself at home", MessageType::System));
    assert_eq!(joiner.heard(), []);

    let told = owner.events();
    let [Message::UserJoinedRoom(told)] = &told[..] else { panic!("{told:?}") };
    let member = told.member.as_ref().unwrap();
    assert_eq!((member.participant, member.user.as_ref().unwrap().user_id.clone()), (2, joiner.user_id()));
}

fn a_room_is_made_once_and_by_its_maker_owned(format: Format) {
    let server = TestServer::start();
    let mut first = server.guest(format, "Ann");
    let mut second = server.guest(other(format), "Bo");
    assert_eq!(first.enter(say::create("Jam")).room_info.unwrap().owner_id, first.user_id());
    assert_eq!(second.refusal(say::create("JAM")), "ROOM_EXISTS");
    assert_eq!(first.refusal(say::create("jam")), "ROOM_EXISTS", "one's own as well");
    // Ten at once: one makes it.
    let mut many: Vec<_> =
        (0..10).map(|n| server.guest(if n % 2 == 0 { format } else { other(format) }, "Cy")).collect();
    let ids: Vec<_> = many.iter_mut().map(|client| client.begin(say::create("rush"))).collect();
    let answers: Vec<_> = many.iter_mut().zip(ids).map(|(client, id)| client.answer_to(id)).collect();
    let made = answers.iter().filter(|answer| matches!(answer, Message::RoomJoinedResponse(_))).count();
    let refused =
        |answer: &&Message| matches!(answer, Message::ErrorMessage(error) if error.error_code == "ROOM_EXISTS");
    assert_eq!((made, answers.iter().filter(refused).count()), (1, 9));
    // By joining it is made as well, and is public.
    let room = second.join("by joining").room_info.unwrap();
    assert_eq!((room.room_type(), room.owner_id), (RoomType::Public, second.user_id()));
}

fn spellings_of_one_name_are_one_room(format: Format) {
    let server = TestServer::start();
    let mut first = server.guest(format, "Ann");
    let mut second = server.guest(other(format), "Bo");
    first.join("  Café   Straße ");
    let room = second.join("CAFE\u{301} STRASSE").room_info.unwrap();
    assert_eq!((room.room_name.as_str(), room.user_count), ("Café Straße", 2));
    assert_eq!(first.refusal(say::join("café strasse")), "ALREADY_IN_ROOM");
}

fn names_of_lobbies_and_what_is_no_name_are_refused(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    for name in ["lobby", "LOBBY", "Lobby7", "ｌｏｂｂｙ３"] {
        assert_eq!(client.refusal(say::create(name)), "ROOM_NAME_RESERVED", "{name}");
    }
    for name in ["lobby0", "lobby007"] {
        assert_eq!(client.refusal(say::join(name)), "ROOM_NAME_RESERVED", "{name}");
    }
    for name in ["", "  ", "a\tb", "\u{202e}x"] {
        assert_eq!(client.refusal(say::join(name)), "VALIDATION_ERROR", "{name:?}");
        assert_eq!(client.refusal(say::create(name)), "VALIDATION_ERROR", "{name:?}");
    }
    let lobby = CreateRoomCommand { room_name: "mine".into(), room_type: RoomType::Lobby as i32, ..Default::default() };
    assert_eq!(client.refusal(Ask::CreateRoomCommand(lobby)), "VALIDATION_ERROR");
}

fn a_refused_join_leaves_everything_as_it_was(format: Format) {
    let server = TestServer::start();
    let mut full = server.guest(other(format), "Ann");
    full.enter(say::create_with("full", say::settings(|settings| settings.max_users = Some(1))));
    let mut witness = server.player(other(format), "Bo", "home");
    let mut client = server.player(format, "Cy", "home");
    client.ask(say::notes(&[on(60)]));
    witness.until(|message| matches!(message, Message::MidiMessage(_)).then_some(()));
    // What was sent behind the join runs where one still is.
    let join = client.begin(say::join("full"));
    client.send(say::notes(&[on(62)]));
    let chat = client.begin(say::chat("still here"));
    let Message::ErrorMessage(error) = client.answer_to(join) else { panic!("refused") };
    assert_eq!((error.error_code.as_str(), error.error_details["max_users"].as_str()), ("ROOM_FULL", "1"));
    client.answer_to(chat);
    let events = witness.events();
    let [Message::MidiMessage(midi), Message::RoomChatMessage(line)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((midi.participant, midi.sequence, line.message.as_str()), (2, 2, "still here"));
    assert_eq!(full.events(), []);
}

fn who_changes_rooms_has_left_the_first_before_it_is_in_the_second(format: Format) {
    let server = TestServer::start();
    let rooms = [room_on(0, 0), room_on(1, 0), room_on(2, 0), room_on(2, 1)];
    let mut witnesses: Vec<_> = rooms.iter().map(|room| server.player(other(format), "Bo", room)).collect();
    let mut client = server.guest(format, "Ann");
    for (room, witness) in rooms.iter().zip(&mut witnesses) {
        assert_eq!(client.join(room).participant, 2);
        client.ask(say::notes(&[on(60)]));
        let told = witness.events();
        assert!(matches!(&told[..], [Message::UserJoinedRoom(_), Message::MidiMessage(_)]), "{told:?}");
    }
    client.ask(say::leave());
    for witness in &mut witnesses {
        // What was held is let go of first.
        let Some(Message::MidiMessage(silence)) = witness.next().message else { panic!("the silence") };
        assert_eq!(silence.sequence, 2);
        assert_eq!(leaving(witness), (2, Reason::Left));
    }
    for ask in [say::leave(), say::chat("anybody?"), say::members(), say::notes(&[on(60)])] {
        assert_eq!(client.refusal(ask), "NOT_IN_ROOM");
    }
}

fn a_full_room_takes_nobody_until_somebody_leaves(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create_with("duo", say::settings(|settings| settings.max_users = Some(2))));
    let mut second = server.player(format, "Bo", "duo");
    let mut third = server.guest(format, "Cy");
    assert_eq!(third.refusal(say::join("duo")), "ROOM_FULL");
    second.ask(say::leave());
    assert_eq!(third.join("duo").participant, 3);
    assert_eq!(second.refusal(say::join("duo")), "ROOM_FULL");
    // A rush on the last seat: one gets it.
    third.ask(say::leave());
    let mut many: Vec<_> = (0..8).map(|_| server.guest(format, "Di")).collect();
    let ids: Vec<_> = many.iter_mut().map(|client| client.begin(say::join("duo"))).collect();
    let answers = many.iter_mut().zip(ids).map(|(client, id)| client.answer_to(id));
    assert_eq!(answers.filter(|answer| matches!(answer, Message::RoomJoinedResponse(_))).count(), 1);
}

fn a_password_opens_the_room_and_nothing_else_does(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    let create = CreateRoomCommand {
        room_name: "secret".into(),
        room_type: RoomType::Private as i32,
        password: "fugue".into(),
        settings: None,
    };
    assert!(owner.enter(Ask::CreateRoomCommand(create)).room_info.unwrap().has_password);
    let mut client = server.player(format, "Bo", "elsewhere");
    assert_eq!(client.refusal(say::join("secret")), "PASSWORD_REQUIRED");
    assert_eq!(client.refusal(say::join_with("secret", "Fugue")), "WRONG_PASSWORD");
    assert_eq!(info(&mut client, "").room_id, "elsewhere");
    client.enter(say::join_with("secret", "fugue"));
    client.ask(say::leave());

    let change = |password: &str| {
        Ask::UpdateRoomCommand(UpdateRoomCommand { password: Some(password.into()), ..Default::default() })
    };
    owner.ask(change("canon"));
    assert_eq!(client.refusal(say::join_with("secret", "fugue")), "WRONG_PASSWORD");
    client.enter(say::join_with("secret", "canon"));
    assert_eq!(client.refusal(change("mine")), "NOT_OWNER");
    client.ask(say::leave());
    owner.ask(change(""));
    assert!(!client.join("secret").room_info.unwrap().has_password);
}

fn private_rooms_are_not_listed_and_others_are(format: Format) {
    let server = TestServer::start();
    let mut clients: Vec<_> = (0..4).map(|_| server.guest(other(format), "Ann")).collect();
    let private =
        CreateRoomCommand { room_name: "private".into(), room_type: RoomType::Private as i32, ..Default::default() };
    clients[0].enter(Ask::CreateRoomCommand(private));
    clients[1].enter(say::create("quiet"));
    clients[2].join("busy");
    clients[3].join("busy");
    let mut client = server.guest(format, "Bo");
    client.enter(say::enter_lobby());
    let list = |client: &mut Client, list: ListRooms| match client.ask(Ask::ListRooms(list)) {
        Message::RoomList(list) => list,
        answer => panic!("{answer:?}"),
    };
    // The directory may lag by some hundred milliseconds.
    let mut all = RoomList::default();
    eventually("the list has everybody", || {
        all = list(&mut client, ListRooms::default());
        all.rooms.iter().map(|room| room.user_count).sum::<u32>() == 4
    });
    let ids = |list: &RoomList| list.rooms.iter().map(|room| room.room_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&all), ["lobby", "busy", "quiet"], "lobbies, then the fullest");
    assert_eq!((all.page, all.limit, all.total), (1, 50, 3));
    let second = list(&mut client, ListRooms { page: 2, limit: 1, room_type: None });
    assert_eq!((ids(&second), second.total), (vec!["busy".to_owned()], 3));
    let lobbies = list(&mut client, ListRooms { room_type: Some(RoomType::Lobby as i32), ..Default::default() });
    assert_eq!(ids(&lobbies), ["lobby"]);
    assert_eq!(ids(&list(&mut client, ListRooms { page: 9, ..Default::default() })), [""; 0]);
    assert_eq!(info(&mut client, "private").room_type(), RoomType::Private, "who knows its name may ask");
    assert_eq!(client.refusal(say::room_info("nowhere")), "ROOM_NOT_FOUND");
}

fn lobbies_overflow_into_the_next(format: Format) {
    let server = TestServer::with(|config| config.rooms.lobby_capacity = 2);
    let mut clients: Vec<_> =
        (0..5).map(|n| server.guest(if n % 2 == 0 { format } else { other(format) }, "Ann")).collect();
    let entered: Vec<_> =
        clients.iter_mut().map(|client| client.enter(say::enter_lobby()).room_info.unwrap()).collect();
    let names: Vec<_> = entered.iter().map(|room| (room.room_id.as_str(), room.room_name.as_str())).collect();
    let (one, two, three) = (("lobby", "Lobby"), ("lobby2", "Lobby 2"), ("lobby3", "Lobby 3"));
    assert_eq!(names, [one, one, two, two, three]);
    assert!(entered.iter().all(|room| room.room_type() == RoomType::Lobby && room.owner_id.is_empty()));
    // By its name as well.
    let mut another = server.guest(format, "Bo");
    assert_eq!(another.join("Lobby").room_info.unwrap().room_id, "lobby3");
    assert_eq!(another.refusal(say::join("lobby3")), "ALREADY_IN_ROOM");
    // Whoever leaves makes room in the lowest.
    clients[0].ask(say::leave());
    let mut last = server.guest(format, "Cy");
    assert_eq!(last.join("lobby").room_info.unwrap().room_id, "lobby");
    assert_eq!(last.refusal(say::update(say::settings(|settings| settings.max_users = Some(50)))), "NOT_OWNER");
    assert_eq!(last.refusal(say::moderate(Action::Kick, &clients[1].user_id())), "NOT_OWNER");
}

fn a_rush_on_the_lobbies_seats_everybody_and_overfills_none(format: Format) {
    let server = TestServer::with(|config| config.rooms.lobby_capacity = 3);
    let mut clients: Vec<_> =
        (0..20).map(|n| server.guest(if n % 2 == 0 { format } else { other(format) }, "Ann")).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.begin(say::enter_lobby())).collect();
    let mut seated: HashMap<String, u32> = HashMap::new();
    for (client, id) in clients.iter_mut().zip(ids) {
        let Message::RoomJoinedResponse(joined) = client.answer_to(id) else { panic!("a seat") };
        *seated.entry(joined.room_info.unwrap().room_id).or_default() += 1;
    }
    assert_eq!(seated.values().sum::<u32>(), 20);
    assert!(seated.values().all(|count| *count <= 3), "{seated:?}");
    // None is skipped: seven are enough.
    assert_eq!(seated.len(), 7, "{seated:?}");
}

fn only_the_owner_changes_the_room(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let mut guest = server.player(other(format), "Bo", "jam");
    let mut staff = server.connect(format).bearer(&server.access_token("mo", &["moderator"])).client();
    staff.join("jam");
    let change = say::update(say::settings(|settings| settings.stage = Some("hall".into())));
    assert_eq!(guest.refusal(change.clone()), "NOT_OWNER");
    let rename = UpdateRoomCommand { room_name: Some(" Grand  Jam".into()), ..Default::default() };
    owner.ask(Ask::UpdateRoomCommand(rename));
    staff.ask(change);
    for (name, stage) in [("Grand Jam", ""), ("Grand Jam", "hall")] {
        let told = guest.until(|message| match message {
            Message::RoomUpdated(update) => update.room_info.clone(),
            _ => None,
        });
        let settings = told.settings.unwrap();
        assert_eq!((told.room_name.as_str(), settings.stage.as_deref()), (name, Some(stage)));
        assert_eq!(told.room_id, "jam", "the key stays");
    }
    for (field, bad) in [
        ("max_users", say::settings(|settings| settings.max_users = Some(0))),
        ("max_users", say::settings(|settings| settings.max_users = Some(101))),
        ("welcome_message", say::settings(|settings| settings.welcome_message = Some("a\nb".into()))),
        ("stage", say::settings(|settings| settings.stage = Some("x".repeat(65)))),
    ] {
        let error = owner.refused(say::update(bad));
        assert_eq!((error.error_code.as_str(), error.error_details["setting"].as_str()), ("VALIDATION_ERROR", field));
    }
    let reserved = UpdateRoomCommand { room_name: Some("Lobby 2".into()), ..Default::default() };
    owner.ask(Ask::UpdateRoomCommand(reserved));
    let reserved = UpdateRoomCommand { room_name: Some("lobby2".into()), ..Default::default() };
    assert_eq!(owner.refusal(Ask::UpdateRoomCommand(reserved)), "ROOM_NAME_RESERVED");
}

fn where_only_the_owner_plays_others_are_refused(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create_with("recital", say::settings(|settings| settings.only_owner_plays = Some(true))));
    let mut guest = server.player(format, "Bo", "recital");
    assert_eq!(guest.refusal(say::notes(&[on(60)])), "ONLY_OWNER_PLAYS");
    owner.ask(say::notes(&[on(60), off(60)]));
    assert_eq!(guest.midi().participant, 1);
    // It is told at most once a second to who asks for no answer.
    guest.heard();
    (0..5).for_each(|_| guest.send(say::notes(&[on(60)])));
    let told = guest.events();
    assert!(told.len() <= 1, "{told:?}");
    owner.ask(say::update(say::settings(|settings| settings.only_owner_plays = Some(false))));
    guest.ask(say::notes(&[on(60)]));
    assert_eq!(owner.midi().participant, 2);
}

fn where_only_the_owner_chats_or_nobody_does_others_are_refused(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create_with("talk", say::settings(|settings| settings.only_owner_chats = Some(true))));
    let mut guest = server.player(format, "Bo", "talk");
    assert_eq!(guest.refusal(say::chat("may I?")), "ONLY_OWNER_CHATS");
    assert_eq!(guest.refusal(say::chat("/me asks")), "ONLY_OWNER_CHATS");
    owner.ask(say::chat("no"));
    assert_eq!(guest.line(), (1, "no".into()));
    owner.ask(say::update(say::settings(|settings| {
        settings.only_owner_chats = Some(false);
        settings.allow_chat = Some(false);
    })));
    assert_eq!(guest.refusal(say::chat("now?")), "CHAT_DISABLED");
    assert_eq!(owner.refusal(say::chat("nobody")), "CHAT_DISABLED");
    guest.ask(say::chat("/users"));
    owner.ask(say::update(say::settings(|settings| settings.allow_chat = Some(true))));
    guest.ask(say::chat("at last"));
}

fn a_room_without_guests_takes_members(format: Format) {
    let server = TestServer::start();
    let mut owner = server.connect(other(format)).bearer(&server.access_token("ann", &["member"])).client();
    owner.enter(say::create_with("club", say::settings(|settings| settings.allow_guests = Some(false))));
    let mut guest = server.guest(format, "Bo");
    assert_eq!(guest.refusal(say::join("club")), "GUESTS_NOT_ALLOWED");
    let mut member = server.connect(format).bearer(&server.access_token("cy", &["member"])).client();
    member.join("club");
    owner.ask(say::update(say::settings(|settings| settings.allow_guests = Some(true))));
    guest.join("club");
}

fn a_capacity_below_the_members_sends_nobody_away(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("shrinking"));
    let mut second = server.player(other(format), "Bo", "shrinking");
    owner.ask(say::update(say::settings(|settings| settings.max_users = Some(1))));
    assert_eq!(members(&mut second).count, 2);
    second.ask(say::chat("still here"));
    second.ask(say::leave());
    assert_eq!(second.refusal(say::join("shrinking")), "ROOM_FULL");
}

fn a_room_that_allows_dense_playing_takes_more_notes(format: Format) {
    let server = TestServer::with(|config| {
        (config.quota.room_burst, config.quota.dense_burst) = (10, 100);
        (config.quota.room_notes, config.quota.dense_notes) = (1, 1);
    });
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("dense"));
    let mut listener = server.player(other(format), "Bo", "dense");
    let chord: Vec<_> = (20..70).map(on).collect();
    let offs: Vec<_> = (20..70).map(off).collect();
    owner.ask(say::notes(&chord));
    assert_eq!(crate::support::music::events(&listener.midi()).len(), 10);
    owner.send(say::notes(&offs[..10]));
    owner.ask(say::update(say::settings(|settings| settings.note_quota = Some(NoteQuota::Dense as i32))));
    owner.ask(say::notes(&chord));
    listener.midi();
    assert_eq!(crate::support::music::events(&listener.midi()).len(), 50);
}

fn the_crown_is_handed_over(format: Format) {
    let server = TestServer::start();
    let mut first = server.guest(format, "Ann");
    first.enter(say::create("jam"));
    let mut second = server.player(other(format), "Bo", "jam");
    assert_eq!(second.refusal(say::moderate(Action::TransferOwnership, &second.user_id())), "NOT_OWNER");
    assert_eq!(first.refusal(say::moderate(Action::TransferOwnership, "nobody")), "USER_NOT_FOUND");
    first.ask(say::moderate(Action::TransferOwnership, &second.user_id()));
    for client in [&mut first, &mut second] {
        let crowned = client.until(|message| match message {
            Message::OwnerChanged(change) => Some((change.owner_id.clone(), change.participant)),
            _ => None,
        });
        assert_eq!(crowned.1, 2);
    }
    assert_eq!(first.refusal(say::update(Default::default())), "NOT_OWNER");
    second.ask(say::update(say::settings(|settings| settings.max_users = Some(5))));
    assert_eq!(info(&mut first, "").owner_id, second.user_id());
}

fn owner_of(client: &mut Client) -> (String, u32) {
    client.until(|message| match message {
        Message::OwnerChanged(change) => Some((change.owner_id.clone(), change.participant)),
        _ => None,
    })
}

fn the_crown_passes_to_the_longest_standing_when_its_owner_stays_away(format: Format) {
    let server = TestServer::with(|config| config.rooms.owner_grace = Duration::from_millis(100));
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let second = server.player(other(format), "Bo", "jam");
    let mut third = server.player(format, "Cy", "jam");
    owner.ask(say::leave());
    assert_eq!(owner_of(&mut third), (second.user_id(), 2));
    drop(second);
    assert_eq!(owner_of(&mut third), (third.user_id(), 3));
    // Coming back does not bring it back.
    owner.join("jam");
    assert_eq!(info(&mut owner, "").owner_id, third.user_id());
}

fn an_owner_that_comes_back_in_time_keeps_the_crown(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(format, "Ann");
    owner.enter(say::create("jam"));
    let mut second = server.player(other(format), "Bo", "jam");
    let (id, token) = (owner.user_id(), owner.welcome.guest_token.clone());
    drop(owner);
    assert_eq!(leaving(&mut second), (1, Reason::Disconnected));
    assert_eq!(second.refusal(say::update(Default::default())), "NOT_OWNER");
    let mut again = server.connect(other(format)).bearer(&token).client();
    assert_eq!(again.join("jam").participant, 3);
    assert_eq!(owner_of(&mut second), (id, 3), "the same user under its new number");
    again.ask(say::update(say::settings(|settings| settings.max_users = Some(5))));
}

fn numbers_are_not_used_again_and_two_tabs_are_two_members(format: Format) {
    let server = TestServer::start();
    let mut first = server.player(format, "Ann", "jam");
    let mut tab = server.connect(other(format)).bearer(&first.welcome.guest_token).client();
    assert_eq!(tab.join("jam").participant, 2);
    let list = members(&mut first);
    let users: Vec<_> = list.members.iter().map(|member| member.user.clone().unwrap().user_id).collect();
    assert_eq!((list.count, users), (2, vec![first.user_id(), first.user_id()]));
    for expected in 3..8 {
        tab.ask(say::leave());
        assert_eq!(tab.join("jam").participant, expected);
    }
    // The crown stays while one of the owner's tabs does.
    first.ask(say::leave());
    assert_eq!(info(&mut tab, "").owner_participant, 7);
}

fn members_are_told_in_pages(format: Format) {
    let server = TestServer::start();
    let mut clients: Vec<_> = (0..7)
        .map(|n| server.player(if n % 2 == 0 { format } else { other(format) }, &format!("N{n}"), "jam"))
        .collect();
    let mut page = |after, limit| match clients[0].ask(Ask::GetMembers(GetMembers { after, limit })) {
        Message::MemberList(list) => {
            (list.members.iter().map(|member| member.participant).collect::<Vec<_>>(), list.count, list.more)
        }
        answer => panic!("{answer:?}"),
    };
    assert_eq!(page(0, 3), (vec![1, 2, 3], 7, true));
    assert_eq!(page(3, 3), (vec![4, 5, 6], 7, true));
    assert_eq!(page(6, 3), (vec![7], 7, false));
    assert_eq!(page(0, 0), (vec![1, 2, 3, 4, 5, 6, 7], 7, false));
    assert_eq!(page(99, 3), (vec![], 7, false));
}

fn a_crowds_joins_and_leaves_are_told_gathered(format: Format) {
    let server = TestServer::with(|config| {
        config.rooms.crowd = 3;
        config.rooms.crowd_gather = Duration::from_millis(300);
    });
    let mut witness = server.player(format, "Ann", "stadium");
    let mut crowd: Vec<_> = (0..10).map(|_| server.guest(other(format), "Bo")).collect();
    let ids: Vec<_> = crowd.iter_mut().map(|client| client.begin(say::join("stadium"))).collect();
    for (client, id) in crowd.iter_mut().zip(ids) {
        client.answer_to(id);
    }
    // Each is told of once, whichever way.
    let (mut told, mut gathered, mut count) = (Vec::new(), 0, 0);
    witness.until(|message| {
        match message {
            Message::UserJoinedRoom(joined) => told.push(joined.member.as_ref().unwrap().participant),
            Message::MembersChanged(change) => {
                gathered += 1;
                count = change.count;
                told.extend(change.joined.iter().map(|member| member.participant));
            }
            _ => {}
        }
        (told.len() == 10).then_some(())
    });
    told.sort_unstable();
    assert_eq!((told, count), ((2..=11).collect(), 11));
    assert!((1..=8).contains(&gathered), "{gathered}");
    crowd.clear();
    let mut left = Vec::new();
    witness.until(|message| {
        match message {
            Message::UserLeftRoom(leaving) => left.push(leaving.participant),
            Message::MembersChanged(change) => left.extend(change.left.iter().map(|leaving| leaving.participant)),
            _ => {}
        }
        (left.len() == 10).then_some(())
    });
    left.sort_unstable();
    assert_eq!(left, (2..=11).collect::<Vec<_>>());
}

fn an_empty_room_is_forgotten_after_its_grace_time(format: Format) {
    let server = TestServer::with(|config| {
        // A room stays for as long as a seat in it might be held.
        (config.rooms.empty_grace, config.rooms.seat_hold) = (Duration::from_millis(50), Duration::from_millis(500));
    });
    let mut client = server.player(format, "Ann", "fleeting");
    let mut witness = server.guest(other(format), "Bo");
    assert_eq!(info(&mut witness, "fleeting").user_count, 1);
    client.ask(say::chat("written in sand"));
    client.ask(say::leave());
    eventually("the room is gone", || match witness.answer(say::room_info("fleeting")) {
        Message::ErrorMessage(error) => error.error_code == "ROOM_NOT_FOUND",
        _ => false,
    });
    // It begins anew.
    assert_eq!(witness.join("fleeting").participant, 1);
    assert!(!witness.events().iter().any(|event| matches!(event, Message::ChatHistory(_))));
}
