//! Reserving, taking and losing a place.

use prost::Message as _;

use super::*;
use crate::{domain::room::PasswordChange, protocol::close::CloseCode};

fn joined(participant: Participant, effects: &[Effect]) -> &wire::RoomJoinedResponse {
    match sent_to(participant, effects)[0] {
        (Some(7), Message::RoomJoinedResponse(response)) => response,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn who_joins_is_answered_first_then_gets_the_history_then_the_welcome_then_the_others_hear() {
    let mut world = World::with_settings(|settings| settings.welcome_message = "play nicely".into());
    let anna = world.join("Anna");
    world.say(anna, "hello").unwrap();
    world.forget();
    let bob = world.join("Bob");
    let effects = world.effects();
    let response = joined(bob, &effects);
    assert!(response.success && !response.more_users);
    assert_eq!(response.participant, bob.0);
    assert_eq!(response.current_users.iter().map(|m| m.participant).collect::<Vec<_>>(), [anna.0, bob.0]);
    let info = response.room_info.as_ref().unwrap();
    assert_eq!((info.room_id.as_str(), info.user_count, info.owner_id.as_str()), ("jazz", 2, "anna"));
    let kinds: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Send { to, message: Message::RoomJoinedResponse(_), .. } if *to == bob => "joined",
            Effect::Send { to, message: Message::ChatHistory(history), .. } if *to == bob => {
                assert_eq!(history.messages[0].message, "hello");
                "history"
            }
            Effect::Send { to, message: Message::RoomChatMessage(_), .. } if *to == bob => "welcome",
            Effect::Broadcast { except, message: Message::UserJoinedRoom(_) } if *except == Some(bob) => "told",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["joined", "history", "welcome", "told"]);
    assert_eq!(told(bob, &effects), ["play nicely"]);
}

#[test]
fn the_first_member_hears_of_nobody_and_no_empty_history() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let effects = world.effects();
    assert_eq!(effects.len(), 1);
    assert_eq!(joined(anna, &effects).room_info.as_ref().unwrap().owner_participant, anna.0);
}

#[test]
fn a_seat_counts_until_it_is_taken_cancelled_or_five_seconds_old() {
    let mut world = World::with_settings(|settings| settings.max_users = 2);
    world.join("Anna");
    let bob = world.reserve(&member("Bob")).unwrap();
    assert_eq!(code(world.reserve(&member("Carl"))), ErrorCode::RoomFull);
    world.room.cancel_seat(bob);
    let carl = world.reserve(&member("Carl")).unwrap();
    world.pass(ms(4_999));
    assert_eq!(code(world.reserve(&member("Dora"))), ErrorCode::RoomFull);
    world.pass(ms(1));
    let dora = world.reserve(&member("Dora")).unwrap();
    assert_eq!(world.take(carl), Err(SeatLost::Expired));
    assert_eq!(world.take(bob), Err(SeatLost::Expired));
    assert!(world.take(dora).is_ok());
    assert_eq!(code(world.reserve(&member("Emil"))), ErrorCode::RoomFull);
}

#[test]
fn a_seat_that_ran_out_before_anybody_ticked_is_lost_too() {
    let mut world = World::new();
    let bob = world.reserve(&member("Bob")).unwrap();
    world.now = world.now + secs(5);
    assert_eq!(world.take(bob), Err(SeatLost::Expired));
}

#[test]
fn asking_twice_holds_one_seat() {
    let mut world = World::with_settings(|settings| settings.max_users = 1);
    let request = |room: &mut Room, now| {
        let profile = member("Bob");
        let address = [10, 0, 0, 1].into();
        room.reserve(
            SeatRequest { connection: ConnectionId(1), profile: &profile, address, proof: PasswordProof::Absent },
            now,
        )
    };
    request(&mut world.room, world.now).unwrap();
    let again = request(&mut world.room, world.now + secs(4)).unwrap();
    assert_eq!(again, SeatOutcome::Held { until: START + secs(9) });
    world.take(ConnectionId(1)).unwrap();
    assert_eq!(code(request(&mut world.room, world.now)), ErrorCode::AlreadyInRoom);
}

#[test]
fn the_owner_has_no_seat_kept_in_a_full_room() {
    let mut world = World::with_settings(|settings| settings.max_users = 2);
    let anna = world.join("Anna");
    world.join("Bob");
    world.leave(anna);
    world.join("Carl");
    assert_eq!(code(world.reserve(&member("Anna"))), ErrorCode::RoomFull);
}

#[test]
fn guests_are_refused_where_they_may_not_enter() {
    let mut world = World::with_settings(|settings| settings.allow_guests = false);
    assert_eq!(code(world.reserve(&guest("Gus"))), ErrorCode::GuestsNotAllowed);
    assert!(world.reserve(&member("Anna")).is_ok());
}

#[test]
fn a_password_is_asked_for_and_proven_against_the_present_hash() {
    let mut world =
        World::of(RoomKind::Private, false, RoomLimits::default(), |new| new.password_hash = Some("h1".into()));
    let anna = member("Anna");
    assert_eq!(code(world.reserve_from(&anna, PasswordProof::Absent, 1)), ErrorCode::PasswordRequired);
    let needs = |hash: &str| SeatOutcome::NeedsPassword { hash: hash.into() };
    assert_eq!(world.reserve_from(&anna, PasswordProof::Unverified, 1).unwrap().1, needs("h1"));
    let proof = PasswordProof::Verified { hash: "h1".into() };
    let (connection, outcome) = world.reserve_from(&anna, proof.clone(), 1).unwrap();
    assert!(matches!(outcome, SeatOutcome::Held { .. }));
    let anna = world.take(connection).unwrap();
    // Changed while somebody was proving the old one.
    let hash = PasswordChange::Set { hash: "h2".into() };
    world.room.update((anna, None), &Default::default(), hash, world.now, &mut world.fx).unwrap();
    assert_eq!(world.reserve_from(&member("Bob"), proof, 1).unwrap().1, needs("h2"));
    world.room.update((anna, None), &Default::default(), PasswordChange::Remove, world.now, &mut world.fx).unwrap();
    assert!(matches!(
        world.reserve_from(&member("Bob"), PasswordProof::Unverified, 1).unwrap().1,
        SeatOutcome::Held { .. }
    ));
}

#[test]
fn a_full_room_does_not_have_passwords_compared() {
    let mut world = World::of(RoomKind::Public, false, RoomLimits::default(), |new| {
        new.password_hash = Some("h1".into());
        new.settings.max_users = 1;
    });
    let anna = world.reserve_from(&member("Anna"), PasswordProof::Verified { hash: "h1".into() }, 1).unwrap().0;
    world.take(anna).unwrap();
    assert_eq!(code(world.reserve_from(&member("Bob"), PasswordProof::Unverified, 1)), ErrorCode::RoomFull);
}

#[test]
fn who_is_kicked_or_banned_on_the_way_is_closed_on_arrival() {
    use wire::room_moderation::Action::{Ban, Kick};
    for (action, close) in [(Kick, CloseCode::Kicked), (Ban, CloseCode::Banned)] {
        let mut world = World::new();
        let anna = world.join("Anna");
        let bob = world.reserve(&member("Bob")).unwrap();
        world.moderate(anna, action, "bob", |_| {}).unwrap();
        world.forget();
        assert_eq!(world.take(bob), Err(SeatLost::Closed(close)));
        assert_eq!(world.effects(), []);
        assert_eq!(world.take(bob), Err(SeatLost::Expired));
    }
}

#[test]
fn a_lost_seat_keeps_nobody_out() {
    let mut world = World::with_settings(|settings| settings.max_users = 2);
    let anna = world.join("Anna");
    world.reserve(&member("Bob")).unwrap();
    world.moderate(anna, wire::room_moderation::Action::Kick, "bob", |_| {}).unwrap();
    assert!(world.reserve(&member("Carl")).is_ok());
}

#[test]
fn numbers_are_never_used_again() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let bob = world.join("Bob");
    world.leave(bob);
    let carl = world.join("Carl");
    world.leave(anna);
    world.leave(carl);
    assert_eq!([anna, bob, carl, world.join("Dora")].map(|p| p.0), [1, 2, 3, 4]);
}

#[test]
fn two_tabs_are_two_participants_of_one_user() {
    let mut world = World::new();
    let (one, two) = (world.join("Anna"), world.join("Anna"));
    assert_ne!(one, two);
    assert_eq!(world.room.info().user_count, 2);
    assert_eq!(world.room.profile(one).unwrap().user_id, world.room.profile(two).unwrap().user_id);
}

#[test]
fn the_response_to_a_join_stays_within_32_kib_with_owner_and_players_first() {
    let mut world = World::with_limits(|limits| limits.max_capacity = 1000);
    world.room.settings.max_users = 1000;
    world.room.settings.welcome_message = "\"".repeat(512);
    world.room.settings.stage = "𝄞".repeat(64);
    let long = |n: usize| Profile {
        username: "\\".repeat(32),
        usertag: "\"".repeat(16),
        user_id: format!("{n:036}").as_str().into(),
        ..staff("x")
    };
    let joined_all: Vec<_> = (0..300).map(|n| world.enter(&long(n))).collect();
    let player = joined_all[250];
    let programs: Vec<_> = (0..16).map(|channel| ChannelMessage::program(channel, 100)).collect();
    world.play(player, &programs);
    let owner = joined_all[200];
    world
        .moderate(joined_all[0], wire::room_moderation::Action::TransferOwnership, &format!("{:036}", 200), |_| {})
        .unwrap();
    world.forget();
    let me = world.join("Zoe");
    let effects = world.effects();
    let response = joined(me, &effects);
    assert!(response.more_users);
    assert!(response.encoded_len() <= 32 * 1024);
    assert!(serde_json::to_string(response).unwrap().len() <= 32 * 1024 - 100);
    let told: Vec<_> = response.current_users.iter().map(|m| m.participant).collect();
    assert!(told.is_sorted() && told.len() > 40, "{}", told.len());
    assert!([me, owner, player].iter().all(|p| told.contains(&p.0)));
}

#[test]
fn the_members_that_did_not_fit_are_paged() {
    let mut world = World::with_settings(|settings| settings.max_users = 60);
    let all: Vec<_> = (0..50).map(|n| world.join(&format!("User{n}"))).collect();
    let (mut after, mut paged) = (0, Vec::new());
    loop {
        let page = world.room.members(after, 20);
        assert_eq!(page.count, 50);
        paged.extend(page.members.iter().map(|m| Participant(m.participant)));
        after = page.members.last().unwrap().participant;
        if !page.more {
            break;
        }
    }
    assert_eq!(paged, all);
    assert_eq!(world.room.members(0, 0).members.len(), 50);
    assert!(world.room.members(50, 0).members.is_empty());
}

#[test]
fn a_quota_is_carried_from_room_to_room() {
    let mut world = World::with_limits(|limits| limits.quotas.members.room.capacity = 10);
    let anna = world.join("Anna");
    assert_eq!(world.play(anna, &[on(60); 20]).refused, 10);
    let departed = world.leave(anna);
    let connection = world.reserve(&member("Anna")).unwrap();
    let anna = world.room.take_seat(connection, None, departed.quota, world.now, &mut world.fx).unwrap();
    assert!(!world.play(anna, &[on(60)]).relayed);
    // Whoever brings a full bucket into a room where its user has spent it has spent it.
    let second = world.join("Anna");
    assert!(!world.play(second, &[on(60)]).relayed);
    world.pass(ms(5));
    assert!(world.play(second, &[on(60)]).relayed);
    assert!(!world.play(anna, &[on(62)]).relayed);
}
