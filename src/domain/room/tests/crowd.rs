//! Joins and leaves in a crowded room are gathered.

use super::*;

fn crowd_of(most: usize) -> World {
    let mut world = World::with_limits(|limits| limits.crowd = most);
    world.room.settings.max_users = 2000;
    world
}

fn changes(effects: &[Effect]) -> Vec<(Vec<u32>, Vec<u32>, u32)> {
    let changes = broadcasts(effects).into_iter().filter_map(|message| match message {
        Message::MembersChanged(change) => Some((
            change.joined.iter().map(|m| m.participant).collect(),
            change.left.iter().map(|l| l.participant).collect(),
            change.count,
        )),
        Message::UserJoinedRoom(_) | Message::UserLeftRoom(_) => panic!("told one by one"),
        _ => None,
    });
    changes.collect()
}

#[test]
fn above_the_crowds_size_changes_are_told_together_after_half_a_second() {
    let mut world = crowd_of(2);
    let (anna, bob) = (world.join("Anna"), world.join("Bob"));
    world.forget();
    let carl = world.join("Carl");
    world.pass(ms(300));
    world.leave(bob);
    let dora = world.join("Dora");
    assert_eq!(changes(&world.effects()), []);
    world.pass(ms(200));
    assert_eq!(changes(&world.effects()), [(vec![carl.0, dora.0], vec![bob.0], 3)]);
    world.leave(anna);
    world.pass(ms(500));
    assert_eq!(changes(&world.effects()), [(vec![], vec![anna.0], 2)]);
}

#[test]
fn while_something_is_gathered_nothing_overtakes_it() {
    let mut world = crowd_of(2);
    let (_, bob) = (world.join("Anna"), world.join("Bob"));
    let carl = world.join("Carl");
    world.forget();
    world.leave(carl);
    world.leave(bob);
    let dora = world.join("Dora");
    world.pass(ms(500));
    assert_eq!(changes(&world.effects()), [(vec![dora.0], vec![carl.0, bob.0], 2)]);
    // From here on one by one again.
    world.leave(dora);
    assert!(matches!(broadcasts(&world.effects())[..], [Message::UserLeftRoom(_)]));
}

#[test]
fn silence_does_not_wait_for_the_crowd() {
    let mut world = crowd_of(1);
    let (_, bob) = (world.join("Anna"), world.join("Bob"));
    world.play(bob, &[on(60)]);
    world.forget();
    world.leave(bob);
    assert_eq!(relayed(&world.effects()).len(), 1);
}

#[test]
fn a_thousand_arrivals_are_told_in_messages_that_fit() {
    use prost::Message as _;
    let mut world = crowd_of(1);
    for n in 0..1000 {
        world.join(&format!("User{n}"));
    }
    world.forget();
    world.pass(ms(500));
    let effects = world.effects();
    for message in broadcasts(&effects) {
        let Message::MembersChanged(change) = message else { panic!("{message:?}") };
        assert!(change.encoded_len() <= 32 * 1024);
        assert!(serde_json::to_string(change).unwrap().len() <= 32 * 1024);
    }
    assert_eq!(changes(&effects).iter().map(|(joined, _, _)| joined.len()).sum::<usize>(), 999);
    for (participant, _) in world.room.connections().skip(1).collect::<Vec<_>>() {
        world.leave(participant);
    }
    world.forget();
    world.pass(ms(500));
    let effects = world.effects();
    assert_eq!(changes(&effects).iter().map(|(_, left, _)| left.len()).sum::<usize>(), 999);
    assert!(changes(&effects).len() < 10);
}
