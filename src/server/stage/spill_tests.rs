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

mod failing;
mod hall;
mod hearing;
mod interleaving;
mod leaving;
mod moderating;

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
