//! What members hear, wherever they and the players are, and what they are told to have missed.

use super::*;

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
