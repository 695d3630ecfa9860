//! Members that vanish, branches and rooms that fail or stand still.

use super::*;

#[test]
fn a_member_of_a_branch_that_vanishes_lets_go_of_what_it_holds() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say(note(true));
    hall.settle(&mut guests);
    let player = guests[away].participant().unwrap();
    // It is there, and silent: a pong is heard as far as home.
    hall.rest(&mut guests, Duration::from_secs(9));
    assert_eq!(guests[home].sequence_of(player), [1], "it has answered the pings");
    // Now nobody reads its socket, and nothing answers.
    let silent = guests.remove(away);
    hall.rest(&mut guests, Duration::from_secs(6));
    let home = home - usize::from(home > away);
    let heard = guests[home].sequence_of(player);
    assert!(heard.len() > 1, "what it held is let go of: {heard:?}");
    assert_eq!(hall.members(&room), (4, 8), "it stays a member");
    // And when it breaks off it is one no more.
    drop(silent);
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (4, 7));
    let told = guests[home].told(|told| matches!(told, Told::UserLeftRoom(left) if left.participant == player.0));
    assert_eq!(told, 1);
}

#[test]
fn a_branch_that_stood_still_makes_nobody_vanish() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    let player = guests[away].participant().unwrap();
    guests[away].say(note(true));
    hall.settle(&mut guests);
    // Twice as long as it takes to let go of what somebody holds who says nothing.
    hall.rest_without(1, &mut guests, Duration::from_secs(12));
    assert_eq!(guests[home].sequence_of(player), [1], "its shard says nothing, not it");
    hall.settle(&mut guests);
    hall.rest(&mut guests, Duration::from_secs(12));
    guests[away].say(note(false));
    hall.settle(&mut guests);
    assert_eq!(guests[home].sequence_of(player), [1, 2]);
    assert_eq!((hall.members(&room), hall.stages[0].figures.branches_given_up.get()), ((4, 8), 0));
    assert!(guests.iter().all(|guest| guest.closed.is_none()));
}

#[test]
fn a_member_that_says_nothing_is_let_go_of_though_its_branch_goes_on() {
    let (mut hall, _, mut guests) = concert(6);
    let (away, home) = one_away(&hall, &guests);
    let player = guests[away].participant().unwrap();
    guests[away].say(note(true));
    hall.settle(&mut guests);
    // Nobody else is at its branch: the branch itself says that it is there.
    let silent = guests.remove(away);
    let home = home - usize::from(home > away);
    hall.rest(&mut guests, Duration::from_secs(8));
    assert!(guests[home].sequence_of(player).len() > 1);
    drop(silent);
}

#[test]
fn a_room_s_shard_that_stood_still_blames_no_branch_and_nothing_that_was_said_is_lost() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    let player = guests[away].participant().unwrap();
    for n in 0..80 {
        guests[away].say(note(n % 2 == 0));
        hall.rest_without(0, &mut guests, Duration::from_millis(100));
    }
    let branch = hall.stages[1].branches.iter().next().unwrap().1;
    assert!(branch.is_blocked, "past its window it reads no more");
    assert_eq!(branch.window.ahead(), WINDOW, "what it has read is bounded");
    // Longer than one may be silent that can be heard.
    let patience = hall.stages[1].settings.heartbeat_interval * 3;
    hall.rest_without(0, &mut guests, patience + Duration::from_secs(5));
    hall.settle(&mut guests);
    hall.rest(&mut guests, Duration::from_secs(1));
    assert_eq!(guests[home].sequence_of(player), (1..=80).collect::<Vec<_>>());
    assert!(guests.iter().all(|guest| guest.closed.is_none()));
    assert_eq!(hall.members(&room), (4, 8));
}

#[test]
fn who_fails_at_arriving_leaves_the_room_and_holds_nobody_up() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    let (here, there) = hall.members(&room);
    let mut late = hall.connect(0, Format::Protobuf);
    late.say(join(&room));
    guests.push(late);
    let is_on_the_way = |hall: &Hall| hall.shard_of(&guests[12]).is_none();
    assert!((0..ENOUGH).any(|_| {
        hall.turn(0);
        is_on_the_way(&hall)
    }));
    for shard in 1..3 {
        while let Some(parcel) = hall.inboxes[shard].try_next() {
            crate::domain::fault::at_seldom(u32::from(matches!(parcel, Parcel::Handed(_))));
            hall.stages[shard].handle(parcel);
        }
    }
    hall.settle(&mut guests);
    assert_eq!(guests[12].closed, Some(CloseCode::Internal.code()));
    assert_eq!(hall.members(&room), (here, there));
    guests[home].say(note(true));
    hall.settle(&mut guests);
    let player = guests[home].participant().unwrap();
    for guest in guests.iter().take(12).filter(|guest| guest.id != guests[home].id) {
        assert_eq!(guest.sequence_of(player), [1], "{}", guest.id);
    }
    assert!(hall.shard_of(&guests[away]).is_some());
}

#[test]
fn a_branch_that_stands_still_for_too_long_is_given_up_and_its_members_are_told_to_come_back() {
    let mut hall = Hall::new(3, |settings| {
        settings.spill_after = 4;
        settings.spill_pending = pending_bounds(16 * 1024, Duration::from_millis(100));
    });
    let room = hall.open_room(0);
    let mut guests = hall.audience(&room, 12);
    let (stuck, home) = one_away(&hall, &guests);
    for n in 0..400 {
        guests[home].say(note(n % 2 == 0));
        hall.clock.advance(Duration::from_millis(2));
        hall.turn(0);
        hall.turn(2);
        guests.iter_mut().for_each(Guest::listen);
    }
    assert_eq!(hall.stages[0].figures.branches_given_up.get(), 1);
    assert_eq!(hall.members(&room), (4, 4), "its members are out of the room");
    hall.settle(&mut guests);
    assert_eq!(guests[stuck].closed, Some(CloseCode::Restarting.code()));
    let closed = guests.iter().filter(|guest| guest.closed.is_some()).count();
    assert_eq!(closed, 4);
    // The room goes on, and spills there again.
    let mut late = hall.audience(&room, 2);
    assert_eq!(hall.members(&room), (4, 6));
    assert!(late.iter().any(|guest| hall.shard_of(guest) == Some(1)));
    guests[home].say(note(true));
    hall.settle(&mut late);
    let player = guests[home].participant().unwrap();
    assert!(late.iter().all(|guest| guest.sequence_of(player).len() == 1));
}

#[test]
fn a_branch_that_fails_ends_with_its_members_and_the_room_goes_on() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say(note(true));
    hall.settle(&mut guests);
    let id = hall.stages[1].branch_actors.ids().next().unwrap();
    let failed: Result<(), _> = crate::actor::handling::call::<BranchActor, _>(&mut hall.stages[1], id, |_, _| {
        panic!("a defect");
    });
    assert!(failed.is_err());
    hall.settle(&mut guests);
    assert_eq!(guests[away].closed, Some(CloseCode::Internal.code()));
    assert_eq!(hall.members(&room), (4, 4));
    let player = guests[away].participant().unwrap();
    assert!(guests[home].sequence_of(player).len() > 1, "what it held is let go of");
    assert_eq!(guests[home].closed, None);
}

#[test]
fn a_room_that_fails_too_often_ends_with_its_members_at_branches_too() {
    let (mut hall, room, mut guests) = concert(12);
    let id = hall.stages[0].rooms.find(&RoomKey::from_normalised(&room)).unwrap();
    let seat = Seat { room: id, participant: Participant(1) };
    for _ in 0..11 {
        let failed: Option<()> = hall.stages[0].in_room(seat, |_, _, _| panic!("a defect"));
        assert!(failed.is_none());
    }
    hall.settle(&mut guests);
    assert!(guests.iter().all(|guest| guest.closed == Some(CloseCode::Internal.code())));
    hall.rest(&mut guests, Duration::from_secs(2));
    assert_eq!(hall.spread(), [0, 0, 0]);
}

#[test]
fn what_branches_say_while_the_room_rests_after_failures_waits_in_order() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    let id = hall.stages[0].rooms.find(&RoomKey::from_normalised(&room)).unwrap();
    let seat = Seat { room: id, participant: Participant(1) };
    for _ in 0..2 {
        let failed: Option<()> = hall.stages[0].in_room(seat, |_, _, _| panic!("a defect"));
        assert!(failed.is_none());
    }
    for n in 0..20 {
        guests[away].say(note(n % 2 == 0));
    }
    guests[away].say(chat("after it"));
    (0..5).for_each(|_| hall.round());
    guests.iter_mut().for_each(Guest::listen);
    let player = guests[away].participant().unwrap();
    assert!(guests[home].sequence_of(player).is_empty(), "it rests");
    hall.settle(&mut guests);
    assert_eq!(guests[home].sequence_of(player), (1..=20).collect::<Vec<_>>());
    assert_eq!(guests[home].told(|told| matches!(told, Told::RoomChatMessage(line) if line.message == "after it")), 1);
}

#[test]
fn a_batch_that_is_lost_on_the_way_out_is_noticed_by_the_next_and_ends_its_branch_alone() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[home].say(note(true));
    hall.turn(0);
    assert_eq!(lose_all(&mut hall, 1), 1);
    hall.settle(&mut guests);
    assert_eq!(guests[away].closed, None, "nothing is amiss yet, for all it knows");

    guests[home].say(note(false));
    hall.settle(&mut guests);
    let player = guests[home].participant().unwrap();
    for guest in guests.iter().filter(|guest| guest.id != guests[home].id) {
        let expected = if guest.closed.is_some() { vec![] } else { vec![1, 2] };
        assert_eq!(guest.sequence_of(player), expected, "{}", guest.id);
        assert!(guest.closed.is_none_or(|code| code == CloseCode::Internal.code()));
    }
    assert!(guests[away].closed.is_some());
    assert_eq!(hall.members(&room), (4, 4));
}

#[test]
fn a_batch_that_is_lost_on_the_way_home_is_noticed_by_the_next_and_its_members_are_let_go_of() {
    let (mut hall, room, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    guests[away].say(note(true));
    hall.settle(&mut guests);
    guests[away].say(note(false));
    hall.turn(1);
    assert_eq!(lose_all(&mut hall, 0), 1);
    hall.settle(&mut guests);
    assert_eq!(guests[away].closed, None, "nothing is amiss yet, for all it knows");

    guests[away].say(chat("is anybody there?"));
    hall.settle(&mut guests);
    assert_eq!(guests[away].closed, Some(CloseCode::Internal.code()));
    assert_eq!(hall.members(&room), (4, 4));
    let player = guests[away].participant().unwrap();
    assert_eq!(guests[home].sequence_of(player), [1, 2], "what it held is let go of");
    assert_eq!(guests[home].told(|told| matches!(told, Told::RoomChatMessage(_))), 0, "not without what was before it");
}

/// Loses what is on its way to a shard; how much that was.
fn lose_all(hall: &mut Hall, shard: usize) -> usize {
    let inbox = &hall.inboxes[shard];
    std::iter::from_fn(|| inbox.try_next()).count()
}
