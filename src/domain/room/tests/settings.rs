//! Changing the room, and what others see of a member.

use super::*;
use crate::domain::room::PasswordChange;

fn rename(world: &mut World, participant: Participant, name: &str) -> Result<(), Rejection> {
    let command = wire::UpdateRoomCommand { room_name: Some(name.into()), ..Default::default() };
    world.room.update((participant, Some(9)), &command, PasswordChange::Keep, world.now, &mut world.fx)
}

#[test]
fn an_update_is_told_to_all_and_then_acknowledged() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.forget();
    rename(&mut world, anna, " Jazz  Cellar ").unwrap();
    assert!(world.fx.contains(&Effect::Listed));
    let effects = world.effects();
    let [Effect::Broadcast { except: None, message: Message::RoomUpdated(update) }, Effect::Send { to, .. }] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    let info = update.room_info.as_ref().unwrap();
    assert_eq!((info.room_id.as_str(), info.room_name.as_str(), *to), ("jazz", "Jazz Cellar", anna));
}

#[test]
fn only_the_owner_changes_the_room_and_a_bad_change_changes_nothing() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    let before = world.room.info();
    assert_eq!(code(world.room.may_update(bob)), ErrorCode::NotOwner);
    assert_eq!(code(world.update(bob, |settings| settings.max_users = Some(5))), ErrorCode::NotOwner);
    assert_eq!(
        code(rename(&mut world, anna, "Lobby 2").and(rename(&mut world, anna, "LOBBY2"))),
        ErrorCode::RoomNameReserved
    );
    let command = wire::UpdateRoomCommand {
        room_name: Some("Another".into()),
        settings: Some(wire::RoomSettings { latency_mode: Some(true), max_users: Some(3), ..Default::default() }),
        password: None,
    };
    world.forget();
    let mut expected = before.clone();
    expected.room_name = "Lobby 2".into();
    let refused = world.room.update((anna, None), &command, PasswordChange::Remove, world.now, &mut world.fx);
    assert_eq!(code(refused), ErrorCode::NotSupported);
    assert_eq!(world.effects(), []);
    assert_eq!(world.room.info(), expected);
}

#[test]
fn a_password_is_shown_as_being_there_and_never_itself() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let hash = PasswordChange::Set { hash: "secret".into() };
    world.room.update((anna, None), &Default::default(), hash, world.now, &mut world.fx).unwrap();
    assert!(world.room.info().has_password);
    assert!(!format!("{:?}", world.fx).contains("secret"));
    world.room.update((anna, None), &Default::default(), PasswordChange::Remove, world.now, &mut world.fx).unwrap();
    assert!(!world.room.info().has_password);
}

#[test]
fn a_capacity_below_the_members_sends_nobody_away() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.update(anna, |settings| settings.max_users = Some(1)).unwrap();
    assert_eq!(world.room.len(), 2);
    assert_eq!(world.room.summary().free_seats, 0);
    assert_eq!(code(world.reserve(&member("Carl"))), ErrorCode::RoomFull);
}

#[test]
fn a_lobby_keeps_its_name_even_from_moderators() {
    let mut world = World::of(RoomKind::Lobby, false, RoomLimits::default(), |_| {});
    let zoe = world.enter(&staff("Zoe"));
    assert_eq!(code(rename(&mut world, zoe, "Zoe's")), ErrorCode::Validation);
    world.update(zoe, |settings| settings.allow_chat = Some(false)).unwrap();
}

#[test]
fn the_directory_is_told_seats_and_whether_to_list() {
    let mut world = World::of(RoomKind::Private, false, RoomLimits::default(), |_| {});
    world.join("Anna");
    assert!(world.fx.contains(&Effect::Listed));
    world.reserve(&member("Bob")).unwrap();
    let summary = world.room.summary();
    assert_eq!((summary.is_listed, summary.free_seats, summary.info.user_count), (false, 18, 1));
}

#[test]
fn an_avatar_goes_to_the_others_with_the_senders_number() {
    let mut world = World::new();
    let (anna, _) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    let command = |bytes, action| wire::AvatarCommand { action, avatar_data: vec![1; bytes].into(), participant: 77 };
    world.room.avatar(anna, command(1024, 0), &mut world.fx).unwrap();
    let effects = world.effects();
    let [Effect::Broadcast { except, message: Message::AvatarCommand(avatar) }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((*except, avatar.participant, avatar.avatar_data.len()), (Some(anna), anna.0, 1024));
    assert_eq!(code(world.room.avatar(anna, command(1025, 0), &mut world.fx)), ErrorCode::Validation);
    assert_eq!(code(world.room.avatar(anna, command(1, 9), &mut world.fx)), ErrorCode::Validation);
    assert_eq!(code(world.room.avatar(Participant(99), command(1, 0), &mut world.fx)), ErrorCode::NotInRoom);
}

#[test]
fn a_new_name_shows_on_every_tab_and_on_those_still_on_their_way() {
    let mut world = World::new();
    let tabs = [world.join("Anna"), world.join("Anna")];
    let third = world.reserve(&member("Anna")).unwrap();
    world.forget();
    let renamed = Profile { username: "Annette".into(), status: Status::Away, ..member("Anna") };
    world.room.set_profile(&renamed, &mut world.fx);
    let effects = world.effects();
    let shown: Vec<_> = broadcasts(&effects)
        .into_iter()
        .map(|message| match message {
            Message::UserUpdated(update) => update.member.clone().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(shown.iter().map(|m| m.participant).collect::<Vec<_>>(), tabs.map(|tab| tab.0));
    assert!(shown.iter().all(|m| m.user.as_ref().unwrap().username == "Annette"));
    world.room.set_profile(&renamed, &mut world.fx);
    assert_eq!(world.effects(), []);
    let third = world.take(third).unwrap();
    assert_eq!(world.room.profile(third).unwrap().username, "Annette");
}
