//! What time brings about.

use super::*;
use crate::protocol::midi::ALL_NOTES_OFF;

#[test]
fn who_holds_a_note_and_goes_silent_is_pinged_and_then_let_go_of() {
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(anna, &[on(60)]);
    world.play(bob, &[on(62), off(62)]);
    world.forget();
    world.pass(ms(1_999));
    assert_eq!(world.effects(), []);
    world.pass(ms(1));
    assert_eq!(world.effects(), [Effect::Ping { to: anna }]);
    world.pass(ms(2_999));
    assert_eq!(world.effects(), []);
    world.pass(ms(1));
    let effects = world.effects();
    assert_eq!(relayed(&effects), [(anna.0, 2, vec![off(60), ChannelMessage::control(0, ALL_NOTES_OFF, 0)])]);
    // It stays a member, and its later notes play.
    world.pass(secs(100));
    assert_eq!(world.effects(), []);
    world.play(anna, &[on(60)]);
    assert_eq!(relayed(&world.effects())[0].1, 3);
}

#[test]
fn any_frame_says_that_the_holder_is_there() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    for _ in 0..10 {
        world.pass(secs(2));
        assert_eq!(world.effects(), [Effect::Ping { to: anna }]);
        world.pass(ms(50));
        world.room.heard(anna, world.now);
    }
    world.room.heard(Participant(99), world.now);
    world.pass(ms(1_999));
    assert_eq!(world.effects(), []);
}

#[test]
fn an_empty_room_retires_after_its_grace_time() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.leave(anna);
    world.forget();
    world.pass(ms(59_999));
    assert_eq!(world.effects(), []);
    world.pass(ms(1));
    assert_eq!(world.effects(), [Effect::Retire]);
    assert_eq!(world.room.next_deadline(), None);
}

#[test]
fn a_room_that_nobody_ever_enters_retires() {
    let mut world = World::new();
    world.pass(secs(60));
    assert_eq!(world.effects(), [Effect::Retire]);
}

#[test]
fn who_is_on_the_way_keeps_an_empty_room() {
    let mut world = World::new();
    world.pass(secs(59));
    let anna = world.reserve(&member("Anna")).unwrap();
    world.pass(secs(4));
    assert_eq!(world.effects(), []);
    world.take(anna).unwrap();
    world.pass(secs(1000));
    assert!(!world.effects().contains(&Effect::Retire));
    assert_eq!(world.room.next_deadline(), None);
}

#[test]
fn a_room_whose_last_hope_does_not_come_retires_at_once() {
    let mut world = World::new();
    world.pass(secs(59));
    let anna = world.reserve(&member("Anna")).unwrap();
    world.pass(secs(2));
    world.room.cancel_seat(anna);
    world.pass(ms(0));
    assert_eq!(world.effects(), [Effect::Retire]);
}

#[test]
fn a_lobby_stays() {
    let mut world = World::of(RoomKind::Lobby, false, RoomLimits::default(), |_| {});
    let anna = world.join("Anna");
    world.leave(anna);
    world.forget();
    world.pass(secs(100_000));
    assert_eq!(world.effects(), []);
}

#[test]
fn a_tick_too_early_does_nothing() {
    let mut world = World::new();
    let anna = world.join("Anna");
    world.play(anna, &[on(60)]);
    world.forget();
    let due = world.room.next_deadline();
    world.room.tick(world.now, &mut world.fx);
    assert_eq!(world.effects(), []);
    assert_eq!(world.room.next_deadline(), due);
}

#[test]
fn many_ticks_at_once_do_what_they_would_have_done_one_by_one() {
    // A shard that was stuck: everything is due in one tick.
    let mut world = World::new();
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(bob, &[on(60)]);
    world.leave(anna);
    world.forget();
    world.now = world.now + secs(300);
    world.room.tick(world.now, &mut world.fx);
    let effects = world.effects();
    assert_eq!(relayed(&effects).len(), 1);
    assert_eq!(world.room.info().owner_participant, bob.0);
}
