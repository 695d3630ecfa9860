//! Kick, ban and mute.

use super::*;
use crate::protocol::close::CloseCode;
use wire::{room_moderation::Action, user_left_room::Reason};

fn closed(effects: &[Effect]) -> Vec<(Participant, CloseCode)> {
    let closed = effects.iter().filter_map(|effect| match effect {
        Effect::Close { participant, code, .. } => Some((*participant, *code)),
        _ => None,
    });
    closed.collect()
}

#[test]
fn a_kick_silences_tells_and_closes_every_tab_of_the_user() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let tabs = [world.join("Bob"), world.join("Bob")];
    world.play(tabs[1], &[on(60)]);
    world.forget();
    world.moderate(anna, Action::Kick, "bob", |kick| kick.reason = "too loud".into()).unwrap();
    let effects = world.effects();
    assert_eq!(closed(&effects), tabs.map(|tab| (tab, CloseCode::Kicked)));
    let of_second: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, .. } if *to == tabs[1] => Some("why"),
            Effect::Relay { from, .. } if *from == tabs[1] => Some("silence"),
            Effect::Broadcast { message: Message::UserLeftRoom(left), .. } if left.participant == tabs[1].0 => {
                assert_eq!(left.reason, Reason::Kicked as i32);
                Some("left")
            }
            Effect::Close { participant, .. } if *participant == tabs[1] => Some("closed"),
            _ => None,
        })
        .collect();
    assert_eq!(of_second, ["why", "silence", "left", "closed"]);
    assert!(
        matches!(effects.last().unwrap(), Effect::Send { to, request_id: Some(9), message: Message::Ack(_) } if *to == anna)
    );
    // A kick is no ban.
    world.join("Bob");
}

#[test]
fn a_ban_keeps_its_user_out_until_it_ends_or_is_lifted() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.enter(&guest("Gus"));
    world.moderate(anna, Action::Ban, "gus", |ban| (ban.duration_s, ban.reason) = (60, "spam".into())).unwrap();
    assert_eq!(closed(&world.effects())[0].1, CloseCode::Banned);
    let refused = world.reserve(&guest("Gus")).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Banned);
    assert_eq!(refused.details[0], ("reason", "spam".to_owned()));
    assert_eq!(refused.details[1], ("until_ms", (START + secs(60)).as_ms().to_string()));
    world.pass(ms(59_999));
    assert!(world.reserve(&guest("Gus")).is_err());
    world.pass(ms(1));
    world.enter(&guest("Gus"));
    world.moderate(anna, Action::Ban, "gus", |_| {}).unwrap();
    world.pass(secs(1_000_000));
    assert!(world.reserve(&guest("Gus")).is_err());
    world.moderate(anna, Action::Unban, "gus", |_| {}).unwrap();
    world.enter(&guest("Gus"));
    assert_eq!(code(world.moderate(anna, Action::Unban, "gus", |_| {})), ErrorCode::UserNotFound);
}

#[test]
fn a_ban_holds_for_the_address_only_where_that_is_asked_for() {
    for asked in [false, true] {
        let mut world = World::new();
        let anna = world.join("Anna");
        let gus = world.reserve_from(&guest("Gus"), PasswordProof::Absent, 66).unwrap().0;
        world.take(gus).unwrap();
        world.moderate(anna, Action::Ban, "gus", |ban| ban.ban_address = asked).unwrap();
        let again = world.reserve_from(&guest("Gustav"), PasswordProof::Absent, 66);
        assert_eq!(again.is_err(), asked);
        assert!(world.reserve_from(&guest("Gunther"), PasswordProof::Absent, 67).is_ok());
    }
}

#[test]
fn an_address_is_compared_by_its_network() {
    use crate::domain::room::network;
    let network = |text: &str| network(text.parse().unwrap()).to_string();
    assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    assert_eq!(network("2001:db8:1:2:aaaa:bbbb:cccc:dddd"), "2001:db8:1:2::");
}

#[test]
fn who_is_not_here_can_be_banned_but_not_kicked_or_muted() {
    let mut world = World::new();
    let anna = world.join("Anna");
    assert_eq!(code(world.moderate(anna, Action::Kick, "bob", |_| {})), ErrorCode::UserNotFound);
    assert_eq!(code(world.moderate(anna, Action::Mute, "bob", |_| {})), ErrorCode::UserNotFound);
    assert_eq!(code(world.moderate(anna, Action::Ban, "bob", |ban| ban.ban_address = true)), ErrorCode::UserNotFound);
    world.moderate(anna, Action::Ban, "bob", |_| {}).unwrap();
    assert_eq!(code(world.reserve(&member("Bob"))), ErrorCode::Banned);
}

#[test]
fn a_mute_has_two_switches_and_survives_a_rejoin() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    let state = |world: &World, participant: Participant| {
        let list = world.room.members(participant.0 - 1, 1);
        (list.members[0].notes_muted, list.members[0].chat_muted)
    };
    world.moderate(anna, Action::Mute, "bob", |mute| mute.chat = true).unwrap();
    assert_eq!(state(&world, bob), (false, true));
    world.moderate(anna, Action::Mute, "bob", |mute| mute.notes = true).unwrap();
    world.leave(bob);
    let bob = world.join("Bob");
    assert_eq!(state(&world, bob), (true, true));
    world.moderate(anna, Action::Unmute, "bob", |mute| mute.notes = true).unwrap();
    assert_eq!(state(&world, bob), (false, true));
    world.moderate(anna, Action::Unmute, "bob", |_| {}).unwrap();
    assert_eq!(state(&world, bob), (false, false));
    world.moderate(anna, Action::Mute, "bob", |_| {}).unwrap();
    assert_eq!(state(&world, bob), (true, true));
}

#[test]
fn a_mute_binds_every_tab_of_its_user() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let tabs = [world.join("Bob"), world.join("Bob")];
    for tab in tabs {
        world.play(tab, &[on(60)]);
    }
    world.forget();
    world.moderate(anna, Action::Mute, "bob", |_| {}).unwrap();
    let effects = world.effects();
    assert_eq!(relayed(&effects).iter().map(|relay| relay.0).collect::<Vec<_>>(), tabs.map(|tab| tab.0));
    assert_eq!(broadcasts(&effects).len(), 2);
    assert_eq!(world.try_play(tabs[0], midi(&[on(60)])), Err(ErrorCode::Muted));
}

#[test]
fn a_timed_mute_ends_and_everybody_sees_it() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    world.moderate(anna, Action::Mute, "bob", |mute| mute.duration_s = 30).unwrap();
    world.forget();
    world.pass(secs(30));
    let effects = world.effects();
    assert!(
        matches!(broadcasts(&effects)[0], Message::UserUpdated(update) if !update.member.as_ref().unwrap().notes_muted)
    );
    assert!(world.play(bob, &[on(60)]).relayed);
}

#[test]
fn only_the_owner_and_the_servers_moderators_moderate() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    let zoe = world.enter(&staff("Zoe"));
    world.forget();
    for action in [Action::Kick, Action::Ban, Action::Unban, Action::Mute, Action::Unmute, Action::TransferOwnership] {
        assert_eq!(code(world.moderate(bob, action, "anna", |_| {})), ErrorCode::NotOwner);
    }
    for action in [Action::Kick, Action::Ban, Action::Mute] {
        assert_eq!(code(world.moderate(anna, action, "zoe", |_| {})), ErrorCode::Authorization);
        assert_eq!(code(world.moderate(anna, action, "anna", |_| {})), ErrorCode::Validation);
        assert_eq!(code(world.moderate(anna, action, "", |_| {})), ErrorCode::Validation);
    }
    assert_eq!(world.effects(), []);
    world.moderate(zoe, Action::Kick, "anna", |_| {}).unwrap();
    assert!(world.room.profile(anna).is_none());
}

#[test]
fn a_reason_is_one_line() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    for reason in ["a\nb".to_owned(), "x".repeat(513)] {
        assert_eq!(code(world.moderate(anna, Action::Kick, "bob", |kick| kick.reason = reason)), ErrorCode::Validation);
    }
}

#[test]
fn bans_are_bounded() {
    let mut world = World::new();
    let anna = world.join("Anna");
    for n in 0..1000 {
        world.moderate(anna, Action::Ban, &format!("user{n}"), |_| {}).unwrap();
    }
    assert_eq!(code(world.moderate(anna, Action::Ban, "one more", |_| {})), ErrorCode::Validation);
    // One that is there can be changed.
    world.moderate(anna, Action::Ban, "user5", |ban| ban.duration_s = 5).unwrap();
    world.pass(secs(5));
    world.moderate(anna, Action::Ban, "one more", |_| {}).unwrap();
}

#[test]
fn an_unknown_action_is_refused() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let command = wire::RoomModeration { action: 77, target_user_id: "bob".into(), ..Default::default() };
    let refused = world.room.moderate((anna, None), &command, world.now, &mut world.fx);
    assert_eq!(code(refused), ErrorCode::Validation);
}
