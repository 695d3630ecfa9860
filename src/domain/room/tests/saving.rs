//! What a saved room keeps, when, and what comes back.

use super::*;
use crate::domain::{
    chat::ChatLine,
    room::{PasswordChange, RoomChange, RoomRecord},
};
use wire::room_moderation::Action;

/// The records saved, with the answers that wait for them.
fn saves(effects: &[Effect]) -> Vec<(&RoomRecord, &[Effect])> {
    let saves = effects.iter().filter_map(|effect| match effect {
        Effect::Commit { change: RoomChange::Save(record), then, .. } => Some((&**record, &then[..])),
        _ => None,
    });
    saves.collect()
}

fn is_ack(effect: &Effect) -> bool {
    matches!(effect, Effect::Send { request_id: Some(9), message: Message::Ack(_), .. })
}

#[test]
fn in_a_saved_room_a_line_is_told_at_once_and_acknowledged_after_its_commit() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.forget();
    world.say(anna, "hello").unwrap();
    let effects = world.effects();
    assert!(matches!(effects[0], Effect::Broadcast { .. }));
    let Effect::Commit { change: RoomChange::Chat { key, line }, then, request } = &effects[1] else {
        panic!("{effects:?}")
    };
    assert_eq!((key.as_str(), line.text.as_str(), *request), ("jazz", "hello", Some((anna, Some(9)))));
    assert!(is_ack(&then[0]) && then.len() == 1 && effects.len() == 2);
}

#[test]
fn in_a_saved_room_changes_are_acknowledged_after_their_commit() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.join("Bob");
    world.forget();
    world.update(anna, |settings| settings.max_users = Some(5)).unwrap();
    let effects = world.effects();
    let (record, then) = saves(&effects)[0];
    assert_eq!((record.settings.max_users, then.len()), (5, 1));
    assert!(is_ack(&then[0]) && !effects.iter().any(is_ack));
    world.moderate(anna, Action::Ban, "bob", |_| {}).unwrap();
    let effects = world.effects();
    assert_eq!(saves(&effects)[0].0.bans[0].username, "Bob");
    assert!(!effects.iter().any(is_ack));
    // By command: the line that says so waits as well.
    world.say(anna, "/unban Bob").unwrap();
    let effects = world.effects();
    let (record, then) = saves(&effects)[0];
    assert_eq!((record.bans.len(), then.len()), (0, 2));
}

#[test]
fn a_kick_leaves_nothing_to_keep() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.join("Bob");
    world.forget();
    world.moderate(anna, Action::Kick, "bob", |_| {}).unwrap();
    let effects = world.effects();
    assert!(saves(&effects).is_empty() && effects.iter().any(is_ack));
}

#[test]
fn a_room_that_is_not_saved_commits_nothing() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.say(anna, "hello").unwrap();
    world.update(anna, |settings| settings.max_users = Some(5)).unwrap();
    world.moderate(anna, Action::Ban, "bob", |_| {}).unwrap();
    world.leave(anna);
    world.pass(secs(3600));
    let effects = world.effects();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Commit { .. })));
    assert_eq!(effects.iter().filter(|effect| is_ack(effect)).count(), 3);
}

#[test]
fn a_room_comes_back_as_it_was() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.join("Bob");
    world.join("Carl");
    world.update(anna, |settings| settings.welcome_message = Some("hi".into())).unwrap();
    world.moderate(anna, Action::Ban, "bob", |ban| ban.duration_s = 3600).unwrap();
    world.moderate(anna, Action::Mute, "carl", |_| {}).unwrap();
    let hash = PasswordChange::Set { hash: "h".into() };
    let rename = wire::UpdateRoomCommand { room_name: Some("Jazz Cellar".into()), ..Default::default() };
    world.room.update((anna, None), &rename, hash, world.now, &mut world.fx).unwrap();
    world.say(anna, "hello").unwrap();

    let record = world.room.record(world.now);
    let text = serde_json::to_string(&record).unwrap();
    let back: RoomRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(back, record);
    let chat: Vec<ChatLine> = world.room.history.lines().cloned().collect();
    let now = world.now + secs(60);
    let room = Room::restore(back, chat, Arc::new(RoomLimits::default()), now);
    assert_eq!(room.record(now).clone(), RoomRecord { last_used: record.last_used, ..record.clone() });
    let mut world = World { room, now, fx: Vec::new(), connections: 100 };
    assert_eq!(code(world.reserve(&member("Bob"))), ErrorCode::Banned);
    assert_eq!(code(world.reserve(&member("Dora"))), ErrorCode::PasswordRequired);
    let carl = world.reserve_from(&member("Carl"), PasswordProof::Verified { hash: "h".into() }, 1).unwrap().0;
    let carl = world.take(carl).unwrap();
    assert_eq!(world.try_play(carl, midi(&[on(60)])), Err(ErrorCode::Muted));
    let effects = world.effects();
    assert!(
        matches!(sent_to(carl, &effects)[1].1, Message::ChatHistory(history) if history.messages[0].message == "hello")
    );
    assert_eq!(told(carl, &effects), ["hi"]);
    assert_eq!((world.room.info().room_name.as_str(), world.room.info().owner_id.as_str()), ("Jazz Cellar", "anna"));
    // The ban ends while nobody thinks of it.
    world.pass(secs(3600));
    assert_eq!(world.room.record(world.now).bans, []);
}

#[test]
fn a_capacity_above_what_the_server_now_allows_is_cut() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.update(anna, |settings| settings.max_users = Some(100)).unwrap();
    let limits = RoomLimits { max_capacity: 30, ..RoomLimits::default() };
    let room = Room::restore(world.room.record(world.now), Vec::new(), Arc::new(limits), world.now);
    assert_eq!(room.settings().max_users, 30);
}

#[test]
fn a_guests_room_says_so_and_when_it_was_last_used() {
    let limits = Arc::new(RoomLimits::default());
    let command = wire::CreateRoomCommand { room_name: "Jam".into(), ..Default::default() };
    let new = NewRoom::by_command(&command, &limits).unwrap();
    let room = Room::create(new, Some(&guest("Gus")), limits, START);
    let mut world = World { room, now: START, fx: Vec::new(), connections: 0 };
    assert!(world.room.record(world.now).by_guest);
    let gus = world.enter(&guest("Gus"));
    world.pass(secs(100));
    assert_eq!(world.room.record(world.now).last_used, START + secs(100));
    world.leave(gus);
    world.forget();
    world.pass(secs(60));
    let effects = world.effects();
    assert_eq!(saves(&effects)[0].0.last_used, START + secs(100));
    assert_eq!(effects.last(), Some(&Effect::Retire));
}

#[test]
fn a_room_in_use_is_saved_once_a_day() {
    let mut world = World::saved();
    world.join("Anna");
    world.forget();
    world.pass(secs(3 * 24 * 3600));
    let effects = world.effects();
    let used: Vec<_> = saves(&effects).iter().map(|(record, _)| record.last_used).collect();
    assert_eq!(used, [1, 2, 3].map(|days| START + secs(days * 24 * 3600)));
}
