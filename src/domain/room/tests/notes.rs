//! The note path: stamps, quota, silence, the right to play.

use super::*;
use crate::protocol::midi::{ALL_NOTES_OFF, SUSTAIN};

fn quota_of(capacity: u32) -> World {
    World::with_limits(|limits| {
        limits.quotas.members.room = crate::domain::bucket::Rate { capacity, refill: 10, period_ms: 1000 };
    })
}

fn exceeded(participant: Participant, effects: &[Effect]) -> Vec<(u32, u32)> {
    let notices = sent_to(participant, effects).into_iter().filter_map(|(_, message)| match message {
        Message::QuotaExceeded(notice) => Some((notice.refused, notice.retry_after_ms)),
        _ => None,
    });
    notices.collect()
}

fn stamps(effects: &[Effect]) -> Vec<i64> {
    let stamps = effects.iter().filter_map(|effect| match effect {
        Effect::Relay { midi, .. } => Some(midi.timestamp),
        _ => None,
    });
    stamps.collect()
}

#[test]
fn what_is_accepted_whole_is_relayed_in_the_same_buffer_with_number_and_sequence() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.forget();
    let mut sent = midi(&[on(60), on(64)]);
    (sent.user_id, sent.participant, sent.sequence) = ("somebody else".into(), 99, 99);
    let buffer = sent.midi_data.as_ptr();
    assert_eq!(world.try_play(anna, sent), Ok(Played { relayed: true, refused: 0 }));
    world.play(anna, &[off(60)]);
    let effects = world.effects();
    let Effect::Relay { from, midi } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!(midi.midi_data.as_ptr(), buffer);
    assert_eq!((*from, midi.user_id.as_str(), midi.participant), (anna, "", anna.0));
    assert_eq!(relayed(&effects), [(anna.0, 1, vec![on(60), on(64)]), (anna.0, 2, vec![off(60)])]);
}

#[test]
fn a_timestamp_is_kept_within_two_seconds_before_and_one_after() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.forget();
    let now = world.now.as_ms();
    for timestamp in [0, now - 2000, now + 1000, now - 2001, now + 1001, i64::MIN, i64::MAX] {
        world.try_play(anna, wire::MidiMessage { timestamp, ..midi(&[on(60)]) }).unwrap();
    }
    assert_eq!(stamps(&world.effects()), [now, now - 2000, now + 1000, now - 2000, now + 1000, now - 2000, now + 1000]);
    assert_eq!(world.room.clamped(), 4);
}

#[test]
fn what_does_not_parse_is_refused_whole_and_changes_nothing() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.forget();
    let mut data = run(&[on(60)]).to_vec();
    data.extend([0, 0xF8]);
    let bad = wire::MidiMessage { midi_data: data.into(), ..Default::default() };
    let refused = world.room.play(anna, bad, world.now, &mut world.fx).unwrap_err();
    assert_eq!(refused.rejection.code, ErrorCode::Validation);
    assert!(refused.tell);
    assert_eq!(refused.rejection.details, [("offset", "5".to_owned())]);
    assert_eq!(world.effects(), []);
    world.leave(anna);
    assert_eq!(relayed(&world.effects()), []);
    assert_eq!(world.try_play(anna, midi(&[on(60)])), Err(ErrorCode::NotInRoom));
}

#[test]
fn a_leaving_player_lets_go_of_all_it_holds_before_it_is_gone() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.join("Bob");
    world.play(anna, &[on(60), ChannelMessage::control(1, SUSTAIN, 127)]);
    world.forget();
    world.leave(anna);
    let effects = world.effects();
    let expected = vec![
        off(60),
        ChannelMessage::control(1, SUSTAIN, 0),
        ChannelMessage::control(0, ALL_NOTES_OFF, 0),
        ChannelMessage::control(1, ALL_NOTES_OFF, 0),
    ];
    assert_eq!(relayed(&effects[..1]), [(anna.0, 2, expected)]);
    assert!(matches!(effects[1], Effect::Broadcast { message: Message::UserLeftRoom(_), .. }));
}

#[test]
fn a_silence_is_not_due_before_the_notes_it_ends() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let mut writer = MidiWriter::new();
    writer.push(0, on(60)).unwrap();
    writer.push(700, on(62)).unwrap();
    let timestamp = world.now.as_ms() + 900;
    world
        .try_play(anna, wire::MidiMessage { midi_data: writer.into_bytes(), timestamp, ..Default::default() })
        .unwrap();
    world.forget();
    world.leave(anna);
    assert_eq!(stamps(&world.effects()), [timestamp + 700]);
}

#[test]
fn note_ons_over_the_quota_are_refused_and_their_deltas_go_to_the_next_event() {
    let mut world = quota_of(2);
    let anna = world.join("Anna");
    world.forget();
    let mut writer = MidiWriter::new();
    for (delta_ms, message) in
        [(1, on(60)), (2, on(61)), (4, on(62)), (8, on(63)), (16, off(60)), (32, on(64)), (64, off(61)), (128, on(65))]
    {
        writer.push(delta_ms, message).unwrap();
    }
    let midi = wire::MidiMessage { midi_data: writer.into_bytes(), ..Default::default() };
    assert_eq!(world.try_play(anna, midi), Ok(Played { relayed: true, refused: 4 }));
    let effects = world.effects();
    let Effect::Relay { midi, .. } = &effects[0] else { panic!("{effects:?}") };
    let events: Vec<_> = Events::parse(&midi.midi_data).unwrap().map(|event| (event.delta_ms, event.message)).collect();
    assert_eq!(events, [(1, on(60)), (2, on(61)), (28, off(60)), (96, off(61))]);
    assert_eq!(exceeded(anna, &effects), [(4, 100)]);
}

#[test]
fn releases_of_what_is_held_are_free_and_a_note_off_for_a_key_not_held_costs_a_token() {
    let mut world = quota_of(3);
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    // Two tokens left: one note-off of a key not held, relayed, and one note-on.
    world.play(anna, &[off(72), on(61)]);
    assert_eq!(relayed(&world.effects()), [(anna.0, 2, vec![off(72), on(61)])]);
    let releases = [
        off(60),
        ChannelMessage::note_on(0, 61, 0),
        ChannelMessage::control(0, SUSTAIN, 0),
        ChannelMessage::control(5, ALL_NOTES_OFF, 0),
    ];
    assert_eq!(world.play(anna, &releases), Played { relayed: true, refused: 0 });
    assert_eq!(world.play(anna, &[off(60), on(62)]), Played { relayed: false, refused: 2 });
}

#[test]
fn what_is_refused_whole_is_not_relayed_and_uses_no_sequence_number() {
    let mut world = quota_of(1);
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    assert_eq!(world.play(anna, &[on(61)]), Played { relayed: false, refused: 1 });
    world.play(anna, &[off(60)]);
    assert_eq!(relayed(&world.effects()), [(anna.0, 2, vec![off(60)])]);
}

#[test]
fn a_refused_note_sounds_nowhere_and_is_not_held() {
    let mut world = quota_of(1);
    let anna = world.join("Anna");
    world.play(anna, &[on(60), on(61)]);
    world.forget();
    world.leave(anna);
    let silence = vec![off(60), ChannelMessage::control(0, ALL_NOTES_OFF, 0)];
    assert_eq!(relayed(&world.effects()), [(anna.0, 2, silence)]);
}

#[test]
fn a_player_over_its_quota_is_told_once_a_second_of_all_that_was_refused() {
    let mut world = quota_of(1);
    let anna = world.join("Anna");
    world.play(anna, &[on(60), on(61), on(62)]);
    assert_eq!(exceeded(anna, &world.effects()), [(2, 100)]);
    for _ in 0..5 {
        world.pass(ms(10));
        world.play(anna, &[on(70), on(71)]);
    }
    assert_eq!(exceeded(anna, &world.effects()), []);
    // Nothing more is played: the rest is told all the same.
    world.pass(secs(3));
    assert_eq!(exceeded(anna, &world.effects()), [(10, 0)]);
    world.pass(secs(3));
    assert_eq!(exceeded(anna, &world.effects()), []);
}

#[test]
fn two_tabs_share_a_quota() {
    let mut world = quota_of(3);
    let (one, two) = (world.join("Anna"), world.join("Anna"));
    assert_eq!(world.play(one, &[on(60), on(61)]).refused, 0);
    assert_eq!(world.play(two, &[on(60), on(61)]).refused, 1);
    let bob = world.join("Bob");
    assert_eq!(world.play(bob, &[on(60), on(61)]).refused, 0);
}

#[test]
fn the_owner_can_allow_dense_playing() {
    let mut world = World::new();
    let anna = world.join("Anna");
    let dense = vec![on(60); 500];
    assert_eq!((0..4).map(|_| world.play(anna, &dense).refused).sum::<u32>(), 800);
    world.update(anna, |settings| settings.note_quota = Some(wire::NoteQuota::Dense as i32)).unwrap();
    assert_eq!((0..4).map(|_| world.play(anna, &dense).refused).sum::<u32>(), 0);
}

#[test]
fn beyond_the_rate_limit_releases_still_pass_and_nothing_else() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    let late =
        midi(&[on(61), ChannelMessage::control(0, 7, 3), off(60), ChannelMessage::control(0, SUSTAIN, 0), off(61)]);
    let played = world.room.release_only(anna, late, world.now, &mut world.fx).unwrap();
    assert_eq!(played, Played { relayed: true, refused: 3 });
    let effects = world.effects();
    assert_eq!(relayed(&effects), [(anna.0, 2, vec![off(60), ChannelMessage::control(0, SUSTAIN, 0)])]);
    assert_eq!(exceeded(anna, &effects).len(), 1);
}

#[test]
fn what_the_room_has_failed_at_is_no_matter_of_the_quota() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    let again = midi(&[on(61), off(60)]);
    let played = world.room.release_after_failure(anna, again, world.now, &mut world.fx).unwrap();
    assert_eq!(played, Played { relayed: true, refused: 1 });
    let effects = world.effects();
    assert_eq!(relayed(&effects), [(anna.0, 2, vec![off(60)])]);
    assert_eq!(exceeded(anna, &effects), []);
}

#[test]
fn a_muted_player_is_silenced_and_told_at_most_once_a_second() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(bob, &[on(60)]);
    world.forget();
    world.moderate(anna, wire::room_moderation::Action::Mute, "bob", |mute| mute.notes = true).unwrap();
    let effects = world.effects();
    assert_eq!(relayed(&effects), [(bob.0, 2, vec![off(60), ChannelMessage::control(0, ALL_NOTES_OFF, 0)])]);
    assert!(
        matches!(broadcasts(&effects)[0], Message::UserUpdated(update) if update.member.as_ref().unwrap().notes_muted)
    );
    let mut tells = Vec::new();
    for _ in 0..4 {
        let refused = world.room.play(bob, midi(&[on(60)]), world.now, &mut world.fx).unwrap_err();
        assert_eq!(refused.rejection.code, ErrorCode::Muted);
        tells.push(refused.tell);
        world.pass(ms(500));
    }
    assert_eq!(tells, [true, false, true, false]);
    assert_eq!(world.effects(), []);
    // Chat is another switch.
    assert!(world.say(bob, "why?").is_ok());
}

#[test]
fn where_only_the_owner_plays_the_others_are_silenced_when_it_is_switched_on() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(anna, &[on(50)]);
    world.play(bob, &[on(60)]);
    world.forget();
    world.update(anna, |settings| settings.only_owner_plays = Some(true)).unwrap();
    let effects = world.effects();
    assert_eq!(relayed(&effects), [(bob.0, 2, vec![off(60), ChannelMessage::control(0, ALL_NOTES_OFF, 0)])]);
    assert_eq!(world.try_play(bob, midi(&[on(61)])), Err(ErrorCode::OnlyOwnerPlays));
    assert!(world.play(anna, &[on(51)]).relayed);
    world.update(anna, |settings| settings.only_owner_plays = Some(false)).unwrap();
    assert!(world.play(bob, &[on(61)]).relayed);
}

#[test]
fn who_hands_over_the_crown_where_only_the_owner_plays_is_silenced() {
    let mut world = World::with_settings(|settings| settings.only_owner_plays = true);
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(anna, &[on(50)]);
    world.forget();
    world.moderate(anna, wire::room_moderation::Action::TransferOwnership, "bob", |_| {}).unwrap();
    assert_eq!(relayed(&world.effects()).len(), 1);
    assert_eq!(world.try_play(anna, midi(&[on(51)])), Err(ErrorCode::OnlyOwnerPlays));
    assert!(world.play(bob, &[on(51)]).relayed);
}

#[test]
fn a_members_instrument_is_its_newest_programs() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.play(anna, &[ChannelMessage::program(3, 40), ChannelMessage::program(0, 5), ChannelMessage::program(3, 41)]);
    let instrument = world.room.members(0, 0).members[0].instrument.clone();
    let pairs: Vec<_> = instrument.iter().map(|state| (state.channel, state.program)).collect();
    assert_eq!(pairs, [(0, 5), (3, 41)]);
}
