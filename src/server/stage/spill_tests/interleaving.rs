//! Everything at once, in an order that chance decides.

use super::*;

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
