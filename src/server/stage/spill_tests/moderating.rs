//! Kicks, mutes, bans and the crown, across shards.

use super::*;

#[test]
fn a_kick_closes_a_member_of_a_branch_once_and_lets_go_of_its_notes_first() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say(note(true));
    hall.settle(&mut guests);
    let target_user_id = guests[away].user.clone();
    let kick = RoomModeration { action: Action::Kick as i32, target_user_id, ..Default::default() };
    guests[0].say_as(Some(1), Message::RoomModeration(kick));
    hall.until(&mut guests, |guests| guests[away].closed.is_some());
    assert_eq!(guests[away].closed, Some(CloseCode::Kicked.code()));
    assert_eq!(hall.members(&room), (4, 7));
    let player = guests[away].participant().unwrap().0;
    let of_player = |told: &&Told| match told {
        Told::MidiMessage(midi) => midi.participant == player,
        Told::UserLeftRoom(left) => left.participant == player,
        _ => false,
    };
    let heard: Vec<_> = guests[home].heard.iter().filter(of_player).collect();
    assert!(matches!(heard.last(), Some(Told::UserLeftRoom(_))), "silence, then its leaving: {heard:?}");
    assert!(heard.len() > 2);
}

#[test]
fn a_kick_in_the_middle_of_a_move_closes_once_in_either_direction() {
    // Out: the socket is on its way to the branch.
    let (mut hall, room, mut guests) = concert(4);
    let mut late = hall.connect(0, Format::Protobuf);
    late.say(join(&room));
    let target_user_id = late.user.clone();
    guests.push(late);
    while hall.shard_of(&guests[4]).is_some() {
        hall.clock.advance(Duration::from_millis(1));
        hall.turn(0);
        guests.iter_mut().for_each(Guest::listen);
    }
    let kick = RoomModeration { action: Action::Kick as i32, target_user_id, ..Default::default() };
    guests[0].say_as(Some(1), Message::RoomModeration(kick));
    (0..10).for_each(|_| hall.turn(0));
    assert_eq!(guests[4].closed, None);
    hall.until(&mut guests, |guests| guests[4].closed.is_some());
    assert_eq!(guests[4].closed, Some(CloseCode::Kicked.code()));
    assert_eq!(hall.members(&room), (4, 0));
    hall.settle(&mut guests);

    // Back: most leave, and one who was called back is kicked before it has arrived.
    let (mut hall, room, mut guests) = concert_with(9, 5);
    let (away, _) = one_away(&hall, &guests);
    let on_the_way = guests.remove(away);
    guests.truncate(1);
    guests.push(on_the_way);
    for _ in 0..ENOUGH {
        hall.clock.advance(Duration::from_millis(1));
        (0..3).for_each(|shard| {
            // Shard 0 takes in nothing more when the hand-off waits there.
            if shard != 0 || hall.shard_of(&guests[1]).is_some() {
                hall.turn(shard);
            }
        });
        guests.iter_mut().for_each(Guest::listen);
        if hall.shard_of(&guests[1]).is_none() {
            break;
        }
    }
    assert_eq!(hall.shard_of(&guests[1]), None, "it is on its way home");
    let kick = Message::RoomModeration(RoomModeration {
        action: Action::Kick as i32,
        target_user_id: guests[1].user.clone(),
        ..Default::default()
    });
    guests[0].say_as(Some(1), kick);
    // Without what waits in its inbox.
    (0..10).for_each(|_| {
        hall.stages[0].turn();
    });
    assert_eq!(hall.members(&room), (1, 0), "out of the room already");
    hall.until(&mut guests, |guests| guests[1].closed.is_some());
    assert_eq!(guests[1].closed, Some(CloseCode::Kicked.code()));
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (1, 0));
}

#[test]
fn who_is_muted_or_banned_elsewhere_lets_go_and_is_told_as_at_home() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    let player = guests[away].participant().unwrap();
    guests[away].say(note(true));
    hall.settle(&mut guests);
    let mute = moderate(Action::Mute, &guests[away]);
    guests[0].say_as(Some(1), mute);
    hall.settle(&mut guests);
    assert!(matches!(guests[0].answers[&1], Told::Ack(_)));
    let held = guests[home].sequence_of(player).len();
    assert!(held > 1, "what it held is let go of");
    guests[away].say_as(Some(1), note(true));
    hall.until(&mut guests, |guests| guests[away].answers.len() == 1);
    assert!(matches!(&guests[away].answers[&1], Told::ErrorMessage(error) if error.error_code == "MUTED"));
    assert_eq!(guests[home].sequence_of(player).len(), held);

    let ban = moderate(Action::Ban, &guests[away]);
    guests[0].say_as(Some(2), ban);
    hall.until(&mut guests, |guests| guests[away].closed.is_some());
    assert_eq!(guests[away].closed, Some(CloseCode::Banned.code()));
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (4, 7));
    let left = |told: &Told| matches!(told, Told::UserLeftRoom(left) if left.participant == player.0);
    assert!(guests.iter().all(|guest| guest.told(left) == 1));
}

#[test]
fn who_is_given_the_crown_elsewhere_comes_home() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, _) = one_away(&hall, &guests);
    let transfer = Message::RoomModeration(RoomModeration {
        action: Action::TransferOwnership as i32,
        target_user_id: guests[away].user.clone(),
        ..Default::default()
    });
    guests[0].say_as(Some(1), transfer);
    hall.settle(&mut guests);
    hall.settle(&mut guests);
    assert_eq!(hall.shard_of(&guests[away]), Some(0));
    assert_eq!(hall.members(&room), (4, 8), "somebody else makes room");
}
