//! Who owns the room, and when that changes.

use super::*;
use crate::protocol::ids::UserId;
use wire::room_moderation::Action;

fn owner(world: &World) -> (String, u32) {
    let info = world.room.info();
    (info.owner_id, info.owner_participant)
}

fn crowned(effects: &[Effect]) -> Vec<(&str, u32)> {
    let changes = broadcasts(effects).into_iter().filter_map(|message| match message {
        Message::OwnerChanged(change) => Some((change.owner_id.as_str(), change.participant)),
        _ => None,
    });
    changes.collect()
}

#[test]
fn the_first_to_join_a_room_without_an_owner_owns_it() {
    let mut world = World::new();
    world.join("Anna");
    world.join("Bob");
    assert_eq!(owner(&world), ("anna".into(), 1));
    assert_eq!(crowned(&world.effects()), []);
}

#[test]
fn a_room_made_by_command_is_its_creators_before_anybody_is_in() {
    let limits = Arc::new(RoomLimits::default());
    let new = NewRoom::by_joining("Jam", &limits).unwrap();
    let room = Room::create(new, Some(&member("Anna")), limits, START);
    let mut world = World { room, now: START, fx: Vec::new(), connections: 0 };
    world.join("Bob");
    assert_eq!(owner(&world), ("anna".into(), 0));
    world.forget();
    world.join("Anna");
    assert_eq!(crowned(&world.effects()), [("anna", 2)]);
}

#[test]
fn an_absent_owner_keeps_the_crown_for_thirty_seconds_then_the_longest_standing_member_has_it() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    world.join("Carl");
    world.leave(anna);
    world.forget();
    world.pass(ms(29_999));
    assert_eq!((owner(&world), crowned(&world.effects())), (("anna".into(), 0), vec![]));
    world.pass(ms(1));
    assert_eq!(crowned(&world.effects()), [("bob", bob.0)]);
    assert_eq!(owner(&world), ("bob".into(), bob.0));
}

#[test]
fn an_owner_who_comes_back_in_time_keeps_the_crown_and_all_are_told_its_new_number() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.leave(anna);
    world.pass(secs(29));
    world.forget();
    let anna = world.join("Anna");
    assert_eq!(crowned(&world.effects()), [("anna", anna.0)]);
    world.pass(secs(60));
    assert_eq!(owner(&world), ("anna".into(), anna.0));
}

#[test]
fn another_tab_of_the_owner_keeps_the_crown_at_once() {
    let mut world = World::new();
    let first = world.join("Anna");
    world.join("Bob");
    let second = world.join("Anna");
    assert_eq!(crowned(&world.effects()), []);
    world.leave(first);
    assert_eq!(crowned(&world.effects()), [("anna", second.0)]);
    world.pass(secs(60));
    assert_eq!(owner(&world), ("anna".into(), second.0));
}

#[test]
fn in_an_empty_room_that_is_not_saved_the_crown_waits_for_whoever_comes() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.leave(anna);
    world.pass(secs(20));
    let bob = world.join("Bob");
    assert_eq!(owner(&world).0, "anna");
    world.pass(secs(10));
    assert_eq!(owner(&world), ("bob".into(), bob.0));
}

#[test]
fn whoever_comes_into_an_empty_saved_room_does_not_take_it_over() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    world.leave(anna);
    world.pass(secs(10));
    world.leave(bob);
    world.join("Carl");
    world.pass(secs(3600));
    assert_eq!(owner(&world).0, "anna");
}

#[test]
fn in_a_saved_room_the_crown_passes_to_who_was_left_behind_and_that_is_kept() {
    let mut world = World::saved();
    let anna = world.join("Anna");
    world.join("Bob");
    world.leave(anna);
    world.forget();
    world.pass(secs(30));
    let saved = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Commit { change: crate::domain::room::RoomChange::Save(record), .. } => record.owner,
        _ => None,
    });
    assert_eq!(saved, Some(UserId::from("bob")));
}

#[test]
fn the_owner_can_hand_over_the_crown_to_a_member() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    world.moderate(anna, Action::TransferOwnership, "bob", |_| {}).unwrap();
    let effects = world.effects();
    assert_eq!(crowned(&effects), [("bob", bob.0)]);
    assert!(matches!(sent_to(anna, &effects)[..], [(Some(9), Message::Ack(_))]));
    assert_eq!(code(world.moderate(anna, Action::TransferOwnership, "anna", |_| {})), ErrorCode::NotOwner);
    assert_eq!(code(world.moderate(bob, Action::TransferOwnership, "bob", |_| {})), ErrorCode::Validation);
    assert_eq!(code(world.moderate(bob, Action::TransferOwnership, "zoe", |_| {})), ErrorCode::UserNotFound);
    let zoe = world.enter(&staff("Zoe"));
    world.moderate(zoe, Action::TransferOwnership, "zoe", |_| {}).unwrap();
    assert_eq!(owner(&world), ("zoe".into(), zoe.0));
}

#[test]
fn a_lobby_has_no_owner() {
    let mut world = World::of(RoomKind::Lobby, false, RoomLimits::default(), |_| {});
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    world.leave(anna);
    world.pass(secs(100));
    assert_eq!(owner(&world), (String::new(), 0));
    assert_eq!(crowned(&world.effects()), []);
    assert_eq!(code(world.moderate(bob, Action::Kick, "bob", |_| {})), ErrorCode::NotOwner);
    let zoe = world.enter(&staff("Zoe"));
    assert_eq!(code(world.moderate(zoe, Action::TransferOwnership, "bob", |_| {})), ErrorCode::Validation);
    world.moderate(zoe, Action::Kick, "bob", |_| {}).unwrap();
}

#[test]
fn an_owner_banned_by_a_moderator_loses_the_crown_at_once() {
    let mut world = World::new();
    world.join("Anna");
    let bob = world.join("Bob");
    let zoe = world.enter(&staff("Zoe"));
    world.forget();
    world.moderate(zoe, Action::Ban, "anna", |_| {}).unwrap();
    assert_eq!(crowned(&world.effects()), [("bob", bob.0)]);
}

#[test]
fn an_absent_owner_who_is_banned_is_followed_by_the_first_member() {
    let mut world = World::saved();
    world.join("Anna");
    let zoe = world.enter(&staff("Zoe"));
    world.moderate(zoe, Action::TransferOwnership, "zoe", |_| {}).unwrap();
    let anna = world.room.connections().next().unwrap().0;
    world.moderate(zoe, Action::TransferOwnership, "anna", |_| {}).unwrap();
    world.leave(anna);
    world.moderate(zoe, Action::Ban, "anna", |_| {}).unwrap();
    assert_eq!(owner(&world), ("zoe".into(), zoe.0));
}
