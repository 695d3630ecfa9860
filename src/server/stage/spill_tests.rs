//! A concert on several stages turned by hand, with real sockets: the test delivers what they send each other, and owns the time.

use std::collections::HashMap;

use self::hall::{ENOUGH, Guest, Hall, KEY};
use super::*;
use crate::{
    protocol::{
        close::CloseCode,
        codec::Format,
        ids::{Participant, RoomKey},
        wire::{
            AvatarCommand, GetMembers, JoinRoomByName, LeaveRoom, MidiMessage, RoomChatMessage, RoomModeration,
            SetProfile, avatar_command, client_message::Message as Told, room_moderation::Action,
            server_message::Message,
        },
    },
    server::{settings::pending_bounds, spill::line::WINDOW},
};

mod hall;

fn join(room_name: &str) -> Message {
    Message::JoinRoomByName(JoinRoomByName { room_name: room_name.into(), password: String::new() })
}

fn note(is_on: bool) -> Message {
    let status = if is_on { 0x90 } else { 0x80 };
    Message::MidiMessage(MidiMessage { midi_data: vec![0, status, KEY, 100].into(), ..Default::default() })
}

fn moderate(action: Action, target: &Guest) -> Message {
    let target_user_id = target.user.clone();
    Message::RoomModeration(RoomModeration { action: action as i32, target_user_id, ..Default::default() })
}

fn cursor() -> Message {
    let action = avatar_command::Action::Position as i32;
    Message::AvatarCommand(AvatarCommand { action, ..Default::default() })
}

fn chat(message: &str) -> Message {
    Message::RoomChatMessage(RoomChatMessage { message: message.into(), ..Default::default() })
}

/// A hall of three stages whose room on shard 0 keeps four members.
fn concert(size: usize) -> (Hall, String, Vec<Guest>) {
    concert_with(size, 4)
}

fn concert_with(size: usize, spill_after: usize) -> (Hall, String, Vec<Guest>) {
    let mut hall = Hall::new(3, |settings| settings.spill_after = spill_after);
    let room = hall.open_room(0);
    let guests = hall.audience(&room, size);
    (hall, room, guests)
}

/// One of the guests that is away, and one that is at home and not the owner.
fn one_away(hall: &Hall, guests: &[Guest]) -> (usize, usize) {
    let away = guests.iter().position(|guest| hall.shard_of(guest) == Some(1)).unwrap();
    let home = guests.iter().skip(1).position(|guest| hall.shard_of(guest) == Some(0)).unwrap() + 1;
    (away, home)
}

#[test]
fn members_beyond_the_bound_live_on_the_other_shards_and_the_owner_stays() {
    let (hall, room, guests) = concert(20);
    assert_eq!(hall.spread(), [4, 8, 8]);
    assert_eq!(hall.members(&room), (4, 16));
    assert_eq!(hall.shard_of(&guests[0]), Some(0), "the owner");
    assert_eq!(hall.stages[1].branches.len(), 1);
}

#[test]
fn every_member_hears_every_note_in_order_wherever_it_and_the_player_are() {
    let (mut hall, _, mut guests) = concert(20);
    let (away, home) = one_away(&hall, &guests);
    for n in 0..40 {
        for player in [away, home] {
            guests[player].say(note(n % 2 == 0));
        }
        hall.round();
        guests.iter_mut().for_each(Guest::listen);
    }
    hall.settle(&mut guests);
    for player in [away, home] {
        let number = guests[player].participant().unwrap();
        for (n, guest) in guests.iter().enumerate() {
            let wanted: Vec<u32> = if n == player { Vec::new() } else { (1..=40).collect() };
            assert_eq!(guest.sequence_of(number), wanted, "{n} of {player}");
        }
    }
}

#[test]
fn notes_are_one_parcel_a_shard_a_turn_however_many_they_and_the_members_are() {
    let (mut hall, _, mut guests) = concert(30);
    let (_, home) = one_away(&hall, &guests);
    let mut parcels = 0;
    for n in 0..10 {
        (0..5).for_each(|_| guests[home].say(note(n % 2 == 0)));
        hall.clock.advance(Duration::from_millis(1));
        hall.turn(0);
        for shard in [1, 2] {
            let sent: Vec<_> = std::iter::from_fn(|| hall.inboxes[shard].try_next()).collect();
            assert!(sent.len() <= 1, "five notes, thirteen members: {}", sent.len());
            parcels += sent.len();
            sent.into_iter().for_each(|parcel| hall.stages[shard].handle(parcel));
            hall.stages[shard].turn();
        }
    }
    hall.settle(&mut guests);
    assert!(parcels > 0);
    let player = guests[home].participant().unwrap();
    assert!(guests.iter().enumerate().all(|(n, guest)| n == home || guest.sequence_of(player).len() == 50));
}

#[test]
fn what_is_said_at_a_branch_in_one_turn_goes_home_in_one_parcel() {
    let (mut hall, _, mut guests) = concert(12);
    let on_one: Vec<usize> = (0..12).filter(|&n| hall.shard_of(&guests[n]) == Some(1)).collect();
    assert!(on_one.len() > 2);
    for &n in &on_one {
        guests[n].say(note(true));
        guests[n].say(note(false));
    }
    hall.clock.advance(Duration::from_millis(1));
    hall.turn(1);
    assert_eq!(std::iter::from_fn(|| hall.inboxes[0].try_next()).count(), 1);
}

#[test]
fn requests_from_a_branch_are_answered_once_as_they_are_at_home() {
    let (mut hall, _, mut guests) = concert(12);
    let (away, _) = one_away(&hall, &guests);
    let owner = guests[0].user.clone();
    guests[away].say_as(Some(1), chat("hello"));
    guests[away].say_as(Some(2), Message::GetMembers(GetMembers { after: 0, limit: 0 }));
    guests[away].say_as(Some(3), note(true));
    guests[away].say_as(
        Some(4),
        Message::RoomModeration(RoomModeration {
            action: Action::Kick as i32,
            target_user_id: owner,
            ..Default::default()
        }),
    );
    guests[away].say_as(Some(5), Message::GetRoomInfo(Default::default()));
    guests[away].say_as(Some(6), Message::TimeSync(Default::default()));
    guests[away].say_as(Some(7), Message::SetProfile(SetProfile { name: Some("Fanny".into()), colour: None }));
    guests[away].say_as(Some(8), Message::AvatarCommand(Default::default()));
    hall.until(&mut guests, |guests| guests[away].answers.len() == 8);
    let answers = &guests[away].answers;
    assert!(matches!(answers[&1], Told::Ack(_)), "{answers:?}");
    assert!(matches!(&answers[&2], Told::MemberList(list) if list.count == 12));
    assert!(matches!(answers[&3], Told::Ack(_)));
    assert!(matches!(&answers[&4], Told::ErrorMessage(error) if error.error_code == "NOT_OWNER"));
    assert!(matches!(&answers[&5], Told::RoomInfo(info) if info.user_count == 12));
    assert!(matches!(answers[&6], Told::TimeSync(_)));
    hall.settle(&mut guests);
    for guest in &guests {
        assert_eq!(guest.told(|told| matches!(told, Told::RoomChatMessage(line) if line.message == "hello")), 1);
        let is_fanny = |told: &Told| match told {
            Told::UserUpdated(updated) => updated.member.as_ref().unwrap().user.as_ref().unwrap().username == "Fanny",
            _ => false,
        };
        assert_eq!(guest.told(is_fanny), 1);
    }
}

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
fn cursors_and_lines_from_elsewhere_reach_everybody_once() {
    let (mut hall, _, mut guests) = concert(12);
    let (away, home) = one_away(&hall, &guests);
    for from in [away, home] {
        let number = guests[from].participant().unwrap();
        guests[from].say(cursor());
        guests[from].say(chat("bravo"));
        hall.settle(&mut guests);
        let is_cursor = |told: &Told| matches!(told, Told::AvatarCommand(avatar) if avatar.participant == number.0);
        let is_line = |told: &Told| matches!(told, Told::RoomChatMessage(line) if line.participant == number.0);
        for (n, guest) in guests.iter().enumerate() {
            assert_eq!((guest.told(is_cursor), guest.told(is_line)), (usize::from(n != from), 1), "{n} of {from}");
        }
    }
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
fn a_reader_at_a_branch_that_does_not_read_is_closed_for_it_and_nobody_else_misses_anything() {
    let (mut hall, room, mut guests) = concert(11);
    let mut slow = hall.connect_over(1, Format::Protobuf, true);
    slow.say(join(&room));
    hall.until(std::slice::from_mut(&mut slow), |slow| slow[0].participant().is_some());
    hall.settle(&mut guests);
    assert_eq!(hall.members(&room), (4, 8), "it is away");
    let (_, home) = one_away(&hall, &guests);
    let player = guests[home].participant().unwrap();
    let mut played = 0;
    while hall.members(&room).1 == 8 {
        assert!(played < 4000);
        for n in 0..2 {
            guests[home].say(note(n == 0));
            played += 1;
        }
        if played % 20 == 0 {
            guests[home].say(chat(&"la ".repeat(150)));
        }
        hall.rest(&mut guests, Duration::from_millis(100));
    }
    let sum = |of: fn(&Figures) -> u64| hall.stages.iter().map(|stage| of(&stage.figures)).sum::<u64>();
    assert_eq!(sum(|figures| figures.closed_too_slow.get()), 1, "after {played} notes");
    drop(slow);
    assert!(sum(|figures| figures.shed_midi.get()) > 0, "its notes went first");
    hall.settle(&mut guests);
    for (n, guest) in guests.iter().enumerate().filter(|(n, _)| *n != home) {
        assert_eq!(guest.sequence_of(player), (1..=played).collect::<Vec<_>>(), "{n}");
        assert_eq!(guest.told(|told| matches!(told, Told::Gap(_))), 0);
    }
}

#[test]
fn what_is_away_and_pending_is_in_the_figures() {
    let (mut hall, _, mut guests) = concert(12);
    let (_, home) = one_away(&hall, &guests);
    assert_eq!(hall.stages[0].figures.members_away.get(), 8);
    for n in 0..100 {
        guests[home].say(note(n % 2 == 0));
        hall.rest_without(1, &mut guests, Duration::from_millis(100));
    }
    let figures = hall.stages[0].figures.clone();
    assert!(figures.spill_pending_batches.get() >= WINDOW);
    assert!(figures.spill_pending_bytes.get() > 0);
    hall.settle(&mut guests);
    assert_eq!(figures.spill_pending_bytes.get(), 0);
    assert_eq!(figures.gaps_spill.get() > 0, figures.shed_spill_midi.get() > 0, "each shedding is told");
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
fn a_branch_that_takes_nothing_in_misses_notes_and_is_told_of_the_gap_before_the_next() {
    let mut hall = Hall::new(3, |settings| {
        settings.spill_after = 4;
        settings.spill_pending = pending_bounds(16 * 1024, Duration::from_millis(100));
        // The player is not what is tested.
        settings.rooms = {
            let mut limits = (*settings.rooms).clone();
            limits.max_capacity = 1000;
            limits.default_capacity = 1000;
            Arc::new(limits)
        };
    });
    let room = hall.open_room(0);
    let mut guests = hall.audience(&room, 12);
    let (stuck, home) = one_away(&hall, &guests);
    let player = guests[home].participant().unwrap();
    for n in 0..200 {
        guests[home].say(note(n % 2 == 0));
        hall.clock.advance(Duration::from_millis(2));
        // Shard 1 stands still.
        hall.turn(0);
        hall.turn(2);
        guests.iter_mut().for_each(Guest::listen);
    }
    assert!(hall.stages[0].figures.shed_spill_midi.get() > 50);
    hall.settle(&mut guests);
    guests[home].say(note(true));
    hall.settle(&mut guests);
    let other = guests.iter().position(|guest| hall.shard_of(guest) == Some(2)).unwrap();
    assert_eq!(guests[other].sequence_of(player), (1..=201).collect::<Vec<_>>(), "others miss nothing");
    let heard = guests[stuck].sequence_of(player);
    assert_eq!(heard.last(), Some(&201));
    assert!(heard.len() < 200, "{}", heard.len());
    // Whoever misses something is told so, right before it goes on.
    let mut expected = 1;
    for told in &guests[stuck].heard {
        match told {
            Told::Gap(gap) if gap.participant == player.0 => expected = gap.next_sequence,
            Told::MidiMessage(midi) if midi.participant == player.0 => {
                assert_eq!(midi.sequence, expected);
                expected += 1;
            }
            _ => {}
        }
    }
    assert_eq!(guests[home].told(|told| matches!(told, Told::Gap(_))), 0);
}

/// What a guest hears of a player, from a sequence number on, goes on from what it has heard or was told to have missed; how much
/// it was told to have missed.
fn missed(guest: &Guest, player: Participant, from: u32) -> u32 {
    let (mut next, mut missed) = (from, 0);
    for told in &guest.heard {
        match told {
            Told::Gap(gap) if gap.participant == player.0 => {
                assert!(next < gap.next_sequence, "{} has heard what comes before {next}, and {gap:?}", guest.id);
                missed += gap.next_sequence - next;
                next = gap.next_sequence;
            }
            Told::MidiMessage(midi) if midi.participant == player.0 => {
                assert_eq!(midi.sequence, next, "{}", guest.id);
                next += 1;
            }
            _ => {}
        }
    }
    missed
}

#[test]
fn who_comes_to_a_branch_that_is_behind_is_not_told_to_have_missed_what_it_has_heard_at_home() {
    let mut hall = Hall::new(2, |settings| {
        settings.spill_after = 4;
        settings.spill_pending = pending_bounds(16 * 1024, Duration::from_millis(100));
        settings.hand_off_timeout = Duration::from_secs(60);
    });
    let room = hall.open_room(0);
    let mut guests = hall.audience(&room, 6);
    let (stuck, home) = one_away(&hall, &guests);
    let player = guests[home].participant().unwrap();
    for n in 0..200 {
        // Not while one comes, and is handed on at once.
        if !(190..194).contains(&n) {
            guests[home].say(note(n % 2 == 0));
        }
        hall.clock.advance(Duration::from_millis(2));
        hall.turn(0);
        if n == 190 {
            let mut late = hall.connect(0, Format::Protobuf);
            late.say(join(&room));
            guests.push(late);
        }
        guests.iter_mut().for_each(Guest::listen);
    }
    hall.settle(&mut guests);
    guests[home].say(note(true));
    hall.settle(&mut guests);
    assert_eq!(hall.shard_of(&guests[6]), Some(1));
    let first = missed(&guests[stuck], player, 1);
    assert!(first > 50, "{first}");
    assert_eq!(guests[6].sequence_of(player).last(), Some(&197));
    let last = missed(&guests[6], player, 191);
    assert!(last < 10, "what was shed after it came: {last}");
    let counted = hall.stages[0].figures.shed_spill_midi.get();
    let others = guests.iter().filter(|guest| hall.shard_of(guest) == Some(1)).count() as u32 - 1;
    assert_eq!(counted, u64::from(first * others + last), "each for each who misses it");
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

/// A generator for what a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

/// Joins, leavings, notes and turns in an order that a seed decides; then every member has heard every other without a gap from
/// the first note it was told of on, and nothing sounds.
fn interleave(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut hall = Hall::new(3, |settings| settings.spill_after = 3 + (seed % 4) as usize);
    let room = hall.open_room(0);
    let mut guests: Vec<Guest> = Vec::new();
    let mut is_down: HashMap<ConnectionId, bool> = HashMap::new();
    let mut gone: Vec<Guest> = Vec::new();
    for step in 0..600 {
        // First it fills, then it empties.
        let is_filling = step < 300;
        match dice.roll(if is_filling { 12 } else { 14 }) {
            0 if is_filling && guests.len() < 16 => {
                let format = if dice.roll(3) == 0 { Format::Json } else { Format::Protobuf };
                let mut guest = hall.connect(dice.roll(3), format);
                guest.say(join(&room));
                guests.push(guest);
            }
            1..=5 if !guests.is_empty() => {
                let at = dice.roll(guests.len());
                if guests[at].participant().is_some() {
                    let down = is_down.entry(guests[at].id).or_default();
                    *down = !*down;
                    let is_on = *down;
                    guests[at].say(note(is_on));
                }
            }
            12 if guests.len() > 2 => {
                let mut guest = guests.remove(dice.roll(guests.len()));
                guest.say(Message::LeaveRoom(LeaveRoom {}));
                gone.push(guest);
            }
            13 if guests.len() > 2 && dice.roll(2) == 0 => drop(guests.remove(dice.roll(guests.len()))),
            _ => {
                hall.clock.advance(Duration::from_millis(1));
                let shard = dice.roll(3);
                // Not all that has come need be in the turn.
                for _ in 0..dice.roll(6) {
                    if let Some(parcel) = hall.inboxes[shard].try_next() {
                        hall.stages[shard].handle(parcel);
                    }
                }
                hall.stages[shard].turn();
                guests.iter_mut().for_each(Guest::listen);
            }
        }
    }
    hall.settle(&mut guests);
    for (one, player) in guests.iter().enumerate() {
        let number = player.participant().unwrap();
        let sent = guests
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != one)
            .filter_map(|(_, g)| g.sequence_of(number).last().copied())
            .max();
        for (other, guest) in guests.iter().enumerate() {
            let heard = guest.sequence_of(number);
            if other == one {
                assert!(heard.is_empty(), "seed {seed}: an echo");
                continue;
            }
            assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1), "seed {seed}: {one} at {other}: {heard:?}");
            if !heard.is_empty() {
                assert_eq!(heard.last().copied(), sent, "seed {seed}: {one} at {other} to the end");
            }
        }
        assert_eq!(player.told(|told| matches!(told, Told::Gap(_) | Told::ErrorMessage(_))), 0, "seed {seed}");
    }
    let (here, away) = hall.members(&room);
    assert_eq!(here + away, guests.len(), "seed {seed}");
    // Whoever has left has let go: of each that somebody heard, what is down is what its player holds down.
    for guest in &guests {
        let mut down: HashMap<u32, bool> = HashMap::new();
        for told in &guest.heard {
            if let Told::MidiMessage(midi) = told
                && let [_, status, KEY, ..] = midi.midi_data[..]
            {
                down.insert(midi.participant, status == 0x90);
            }
        }
        for (participant, is_on) in down.into_iter().filter(|(_, is_on)| *is_on) {
            let player = guests.iter().find(|guest| guest.participant() == Some(Participant(participant)));
            assert!(
                player.is_some_and(|player| is_down[&player.id]),
                "seed {seed}: {participant} sticks: {is_on} {:?} player {:?}",
                guest.heard,
                player.map(|p| (p.id, &p.heard))
            );
        }
    }
}

#[test]
fn whatever_the_order_of_turns_and_moves_no_note_is_lost_doubled_or_stuck() {
    (0..24).for_each(interleave);
}
