//! Lines to all, commands to one.

use super::*;
use wire::room_chat_message::MessageType;

fn lines(effects: &[Effect]) -> Vec<&wire::RoomChatMessage> {
    let lines = broadcasts(effects).into_iter().filter_map(|message| match message {
        Message::RoomChatMessage(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

fn ack_id(participant: Participant, effects: &[Effect]) -> Option<&str> {
    sent_to(participant, effects).into_iter().find_map(|(request_id, message)| match message {
        Message::Ack(ack) => {
            assert_eq!(request_id, Some(9));
            Some(ack.message_id.as_str())
        }
        _ => None,
    })
}

#[test]
fn a_line_goes_to_all_and_then_its_sender_gets_its_id() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.forget();
    world.say(anna, "  hello   all ").unwrap();
    let effects = world.effects();
    assert!(matches!(effects[0], Effect::Broadcast { except: None, .. }));
    let line = lines(&effects)[0];
    assert_eq!((line.message.as_str(), line.message_id.as_str(), line.participant), ("hello all", "m1", anna.0));
    assert_eq!((line.username.as_str(), line.user_id.as_str(), line.colour.as_str()), ("Anna", "anna", "#336699"));
    assert_eq!((line.message_type, line.time_ms), (MessageType::User as i32, world.now.as_ms()));
    assert_eq!(ack_id(anna, &effects[1..]), Some("m1"));
}

#[test]
fn a_line_without_a_request_id_is_not_acknowledged() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.forget();
    world.room.chat((anna, None), "hello", "m1".into(), world.now, &mut world.fx).unwrap();
    assert_eq!(world.effects().len(), 1);
}

#[test]
fn the_rooms_settings_say_who_chats() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.update(anna, |settings| settings.only_owner_chats = Some(true)).unwrap();
    world.say(anna, "hello").unwrap();
    assert_eq!(code(world.say(bob, "hello")), ErrorCode::OnlyOwnerChats);
    world.update(anna, |settings| settings.allow_chat = Some(false)).unwrap();
    assert_eq!(code(world.say(anna, "hello")), ErrorCode::ChatDisabled);
    assert_eq!(code(world.say(anna, "/me waves")), ErrorCode::ChatDisabled);
    world.say(bob, "/users").unwrap();
}

#[test]
fn whose_chat_is_muted_plays_on() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.say(anna, "/mute Bob chat").unwrap();
    assert_eq!(code(world.say(bob, "hello")), ErrorCode::Muted);
    assert_eq!(code(world.say(bob, "/me waves")), ErrorCode::Muted);
    assert!(world.play(bob, &[on(60)]).relayed);
    world.say(anna, "/unmute bob").unwrap();
    world.say(bob, "hello").unwrap();
}

#[test]
fn what_somebody_does_is_a_line_to_all() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.forget();
    world.say(anna, "/me  waves").unwrap();
    let effects = world.effects();
    assert_eq!(lines(&effects)[0].message, "* Anna waves");
    assert_eq!(ack_id(anna, &effects), Some("m1"));
    assert_eq!(code(world.say(anna, &format!("/me {}", "x".repeat(508)))), ErrorCode::Validation);
}

#[test]
fn commands_are_answered_to_their_sender_alone() {
    let mut world = World::new();
    let (anna, _) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    world.say(anna, "/users").unwrap();
    world.say(anna, "/help").unwrap();
    let effects = world.effects();
    assert_eq!(broadcasts(&effects), [] as [&Message; 0]);
    let told = told(anna, &effects);
    assert_eq!(told[0], "2 here: #1 Anna, #2 Bob");
    assert!(told[1].contains("/kick"));
    assert_eq!(ack_id(anna, &effects), Some(""));
    let refused = world.say(anna, "/dance").unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnknownCommand);
    assert_eq!(world.effects(), []);
}

#[test]
fn a_command_finds_its_target_by_name_number_or_id() {
    for target in ["bob", "BOB", "#2", "@Bob", "\"Bob\""] {
        let mut world = World::new();
        let (anna, bob) = (world.join("Anna"), world.join("Bob"));
        world.say(anna, &format!("/kick {target} too loud")).unwrap();
        assert!(world.room.profile(bob).is_none(), "{target}");
    }
}

#[test]
fn of_namesakes_a_command_asks_which() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    let mut other = member("Bob");
    other.user_id = "another".into();
    let other = world.enter(&other);
    // A second tab is no namesake.
    world.join("Bob");
    assert_eq!(code(world.say(anna, "/kick Bob")), ErrorCode::Validation);
    world.say(anna, &format!("/kick #{other}")).unwrap();
    world.say(anna, "/kick Bob").unwrap();
    assert_eq!(world.room.len(), 1);
    assert!(world.room.profile(bob).is_none());
    assert_eq!(code(world.say(anna, "/kick Bob")), ErrorCode::UserNotFound);
}

#[test]
fn a_command_in_a_message_of_its_own_does_the_same() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    let command =
        wire::RoomChatServerCommand { command: "ban".into(), target_user: "Bob".into(), reason: "10m too loud".into() };
    world.room.command((anna, Some(9)), &command, "m1".into(), world.now, &mut world.fx).unwrap();
    let effects = world.effects();
    assert_eq!(told(bob, &effects), ["you were banned: too loud"]);
    assert_eq!(told(anna, &effects), ["Bob is banned for a while"]);
    assert_eq!(ack_id(anna, &effects), Some(""));
    assert_eq!(code(world.reserve(&member("Bob"))), ErrorCode::Banned);
    world.pass(secs(600));
    world.reserve(&member("Bob")).unwrap();
}

#[test]
fn a_ban_is_lifted_by_the_name_it_was_made_under() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.say(anna, "/ban Bob").unwrap();
    assert_eq!(code(world.say(anna, "/unban Carl")), ErrorCode::UserNotFound);
    world.say(anna, "/unban bob").unwrap();
    world.join("Bob");
}

#[test]
fn commands_of_the_owner_are_refused_to_others() {
    let mut world = World::new();
    world.join("Anna");
    let bob = world.join("Bob");
    world.forget();
    for line in ["/kick Anna", "/ban Anna", "/mute Anna", "/unmute Anna"] {
        assert_eq!(code(world.say(bob, line)), ErrorCode::NotOwner, "{line}");
    }
    assert_eq!(world.effects(), []);
}

#[test]
fn a_moderators_line_is_marked() {
    let mut world = World::new();
    let zoe = world.enter(&staff("Zoe"));
    world.forget();
    world.say(zoe, "be kind").unwrap();
    assert_eq!(lines(&world.effects())[0].message_type, MessageType::Moderator as i32);
}
