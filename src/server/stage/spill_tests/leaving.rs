//! Leaving from a branch, coming home, and the end of a room that has branches.

use super::*;

#[test]
fn who_leaves_while_it_is_handed_on_is_answered_once_and_is_out() {
    let (mut hall, room, mut guests) = concert(4);
    let mut late = hall.connect(2, Format::Protobuf);
    late.say(join(&room));
    late.say_as(Some(1), Message::LeaveRoom(LeaveRoom {}));
    late.say_as(Some(2), join(&room));
    guests.push(late);
    hall.until(&mut guests, |guests| guests[4].answers.len() == 2);
    hall.settle(&mut guests);
    assert!(matches!(guests[4].answers[&1], Told::Ack(_)));
    assert!(matches!(&guests[4].answers[&2], Told::RoomJoinedResponse(response) if response.success));
    assert_eq!(hall.members(&room), (4, 1));
    guests[0].say(note(true));
    hall.settle(&mut guests);
    assert_eq!(guests[4].sequence_of(guests[0].participant().unwrap()), [1]);
}

#[test]
fn members_come_back_when_the_room_has_shrunk_below_half_and_miss_nothing() {
    let (mut hall, room, mut guests) = concert_with(12, 5);
    let (away, _) = one_away(&hall, &guests);
    guests.swap(1, away);
    let mut leaving = guests.split_off(2);
    for n in 0..60 {
        guests[0].say(note(n % 2 == 0));
        guests[1].say(note(n % 2 == 0));
        if n % 5 == 0
            && let Some(mut guest) = leaving.pop()
        {
            guest.say(Message::LeaveRoom(LeaveRoom {}));
        }
        hall.round();
        guests.iter_mut().for_each(Guest::listen);
    }
    drop(leaving);
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (2, 0), "everybody is home");
    assert_eq!(hall.shard_of(&guests[1]), Some(0));
    for (one, other) in [(0, 1), (1, 0)] {
        let player = guests[one].participant().unwrap();
        assert_eq!(guests[other].sequence_of(player), (1..=60).collect::<Vec<_>>());
    }
}

#[test]
fn who_leaves_from_a_branch_is_answered_and_may_go_where_it_wants() {
    let (mut hall, room, mut guests) = concert(12);
    let other = hall.open_room(2);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say(note(true));
    let player = guests[away].participant().unwrap();
    guests[away].say_as(Some(1), Message::LeaveRoom(LeaveRoom {}));
    // What is behind it is handled behind it.
    guests[away].say_as(Some(2), chat("is anybody here?"));
    hall.until(&mut guests, |guests| guests[away].answers.len() == 2);
    assert!(matches!(guests[away].answers[&1], Told::Ack(_)));
    assert!(matches!(&guests[away].answers[&2], Told::ErrorMessage(error) if error.error_code == "NOT_IN_ROOM"));
    let left = |told: &Told| matches!(told, Told::UserLeftRoom(left) if left.participant == player.0);
    assert_eq!((guests[home].told(left), guests[away].told(left)), (1, 0));
    assert!(guests[home].sequence_of(player).len() > 1, "it let go first");

    let away = guests.iter().position(|guest| hall.shard_of(guest) == Some(1) && guest.answers.is_empty()).unwrap();
    guests[away].say_as(Some(1), join(&other));
    guests[away].say_as(Some(2), chat("hello there"));
    hall.until(&mut guests, |guests| guests[away].answers.len() == 2);
    assert!(matches!(&guests[away].answers[&1], Told::RoomJoinedResponse(response) if response.success));
    assert!(matches!(guests[away].answers[&2], Told::Ack(_)));
    assert_eq!(hall.shard_of(&guests[away]), Some(2));
    assert_eq!(hall.members(&room), (4, 6));
}

#[test]
fn who_left_from_a_branch_for_a_shard_that_has_no_place_is_told_that_it_is_in_no_room() {
    let (mut hall, room, mut guests) = concert(12);
    let other = hall.open_room(2);
    let (away, _) = one_away(&hall, &guests);
    let (here, there) = hall.members(&room);
    let places: Vec<_> = std::iter::from_fn(|| hall.stages[1].core.reserve(2)).collect();
    guests[away].say_as(Some(7), join(&other));
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (here, there - 1));
    hall.rest(&mut guests, Duration::from_secs(2));
    let answer = guests[away].answers.get(&7);
    let Some(Told::ErrorMessage(error)) = answer else { panic!("{answer:?}") };
    assert!(error.error_details.contains_key("left_room"), "{error:?}");
    drop(places);
    guests[away].say_as(Some(8), join(&room));
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (here, there));
}

#[test]
fn a_join_that_is_refused_leaves_a_member_of_a_branch_where_it_is() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say_as(Some(1), join(&room));
    hall.until(&mut guests, |guests| guests[away].answers.len() == 1);
    assert!(matches!(&guests[away].answers[&1], Told::ErrorMessage(error) if error.error_code == "ALREADY_IN_ROOM"));
    guests[home].say(note(true));
    hall.settle(&mut guests);
    let player = guests[home].participant().unwrap();
    assert_eq!(guests[away].sequence_of(player), [1]);
}

#[test]
fn a_room_that_is_empty_goes_and_its_branches_after_it() {
    let (mut hall, room, guests) = concert(12);
    drop(guests);
    let mut nobody = Vec::new();
    hall.settle(&mut nobody);
    assert_eq!(hall.members(&room), (0, 0));
    hall.rest(&mut nobody, Duration::from_secs(62));
    assert!(hall.stages[0].rooms.find(&RoomKey::from_normalised(&room)).is_none());
    assert!(hall.stages[1].branches.iter().all(|(_, branch)| branch.over.is_some()));
    hall.rest(&mut nobody, Duration::from_secs(200));
    assert_eq!(hall.stages.iter().map(|stage| stage.branches.len()).sum::<usize>(), 0);
    assert_eq!(hall.stages[1].branch_actors.len(), 0);
}
