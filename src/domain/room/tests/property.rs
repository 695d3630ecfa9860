//! Random histories of a room, seen from its listeners: what each hears and is told, folded into what it must believe.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    domain::{bucket::Rate, held::Held},
    protocol::midi::{ALL_NOTES_OFF, SUSTAIN},
};
use wire::room_moderation::Action;

const NAMES: [&str; 5] = ["Anna", "Bob", "Carl", "Dora", "Zoe"];
const ACTIONS: [Action; 6] =
    [Action::Kick, Action::Ban, Action::Unban, Action::Mute, Action::Unmute, Action::TransferOwnership];

/// Something that happens. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Happening {
    Join(usize),
    Reserve(usize),
    Leave(usize),
    Play(usize, Vec<(u8, u8, u16)>),
    OverRate(usize, Vec<(u8, u8, u16)>),
    Garbage(usize, Vec<u8>),
    Moderate { by: usize, action: usize, target: usize, seconds: u32 },
    OnlyOwnerPlays(usize, bool),
    Say(usize),
    Heard(usize),
    Rename(usize, bool),
    Pass(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    let events = || vec((any::<u8>(), 60u8..66, 0u16..40), 1..8);
    let who = || 0usize..8;
    prop_oneof![
        6 => (0..NAMES.len()).prop_map(Happening::Join),
        1 => (0..NAMES.len()).prop_map(Happening::Reserve),
        3 => who().prop_map(Happening::Leave),
        20 => (who(), events()).prop_map(|(by, events)| Happening::Play(by, events)),
        3 => (who(), events()).prop_map(|(by, events)| Happening::OverRate(by, events)),
        1 => (who(), vec(any::<u8>(), 0..12)).prop_map(|(by, bytes)| Happening::Garbage(by, bytes)),
        5 => (who(), 0usize..6, 0..NAMES.len(), 0u32..3)
            .prop_map(|(by, action, target, seconds)| Happening::Moderate { by, action, target, seconds }),
        2 => (who(), any::<bool>()).prop_map(|(by, on)| Happening::OnlyOwnerPlays(by, on)),
        2 => who().prop_map(Happening::Say),
        2 => who().prop_map(Happening::Heard),
        1 => (0..NAMES.len(), any::<bool>()).prop_map(|(who, away)| Happening::Rename(who, away)),
        8 => prop_oneof![0u64..600, 0u64..5_000, 25_000u64..40_000].prop_map(Happening::Pass),
    ]
}

fn event((what, key, _): (u8, u8, u16)) -> ChannelMessage {
    match what % 10 {
        0..4 => ChannelMessage::note_on(what % 2, key, 80),
        4..7 => ChannelMessage::note_off(what % 2, key, 0),
        7 => ChannelMessage::control(what % 2, SUSTAIN, what / 2),
        8 => ChannelMessage::program(what % 2, key),
        _ => ChannelMessage::control(what % 2, ALL_NOTES_OFF, 0),
    }
}

/// What one member believes.
#[derive(Default)]
struct Listener {
    members: BTreeSet<u32>,
    owner: String,
    sounding: BTreeSet<(u32, u8, u8)>,
    pedals: BTreeSet<(u32, u8)>,
    sequences: BTreeMap<u32, u32>,
    /// What each participant played, with when it is due.
    played: BTreeMap<u32, Vec<(i64, ChannelMessage)>>,
}

impl Listener {
    fn hear(&mut self, midi: &wire::MidiMessage) {
        let player = midi.participant;
        if let Some(before) = self.sequences.insert(player, midi.sequence) {
            assert_eq!(midi.sequence, before + 1, "a listener sees no gap");
        }
        let mut due = midi.timestamp;
        for event in Events::parse(&midi.midi_data).expect("what is relayed is valid") {
            due += i64::from(event.delta_ms);
            self.played.entry(player).or_default().push((due, event.message));
            let [first, second] = event.message.data();
            let channel = event.message.channel();
            if event.message.is_note_on() {
                self.sounding.insert((player, channel, first));
            } else if event.message.is_note_off() {
                self.sounding.remove(&(player, channel, first));
            } else if event.message.is_all_notes_off() {
                self.sounding.retain(|&(p, c, _)| (p, c) != (player, channel));
            } else if event.message.is_pedal_up() {
                self.pedals.remove(&(player, channel));
            } else if event.message.is_control(SUSTAIN) && second >= 64 {
                self.pedals.insert((player, channel));
            }
        }
    }

    fn forget(&mut self, participant: u32) {
        let silent = |&(p, _, _): &(u32, u8, u8)| p != participant;
        assert!(self.sounding.iter().all(silent), "nothing sounds of who has left");
        assert!(self.pedals.iter().all(|&(p, _)| p != participant), "no pedal is down of who has left");
        // The same for who sounds each event when it is due, not when it comes.
        let mut played = self.played.remove(&participant).unwrap_or_default();
        played.sort_by_key(|&(due, _)| due);
        let mut held = Held::default();
        played.into_iter().for_each(|(_, message)| held.apply(message));
        assert!(
            (0..16).all(|channel| (0..128).all(|key| !held.holds(channel, key))),
            "{participant} has left in good order"
        );
        self.members.remove(&participant);
    }

    fn be_told(&mut self, message: &Message) {
        match message {
            Message::RoomJoinedResponse(response) => {
                self.members = response.current_users.iter().map(|m| m.participant).collect();
                self.owner = response.room_info.as_ref().unwrap().owner_id.clone();
            }
            Message::UserJoinedRoom(joined) => {
                self.members.insert(joined.member.as_ref().unwrap().participant);
            }
            Message::UserLeftRoom(left) => self.forget(left.participant),
            Message::MembersChanged(change) => {
                self.members.extend(change.joined.iter().map(|m| m.participant));
                change.left.iter().for_each(|left| self.forget(left.participant));
                assert_eq!(change.count as usize, self.members.len());
            }
            Message::OwnerChanged(change) => self.owner = change.owner_id.clone(),
            _ => {}
        }
    }
}

/// The room, and everybody who listens to it.
struct Hall {
    world: World,
    listeners: BTreeMap<u32, Listener>,
    ever: u32,
    is_retired: bool,
}

impl Hall {
    fn pick(&self, index: usize) -> Option<Participant> {
        let all: Vec<_> = self.world.room.connections().collect();
        (!all.is_empty()).then(|| all[index % all.len()].0)
    }

    fn profile(index: usize) -> Profile {
        match NAMES[index] {
            "Zoe" => staff("Zoe"),
            "Dora" => guest("Dora"),
            name => member(name),
        }
    }

    fn midi(events: &[(u8, u8, u16)], now: Timestamp) -> wire::MidiMessage {
        let mut writer = MidiWriter::new();
        for &bytes in events {
            writer.push(u32::from(bytes.2), event(bytes)).unwrap();
        }
        let timestamp = now.as_ms() - 2500 + i64::from(events[0].0) * 20;
        wire::MidiMessage { midi_data: writer.into_bytes(), timestamp, ..Default::default() }
    }

    fn happen(&mut self, happening: Happening) {
        let world = &mut self.world;
        match happening {
            Happening::Join(who) => {
                if let Ok(connection) = world.reserve(&Self::profile(who)) {
                    let participant = world.take(connection).expect("it came at once");
                    assert!(participant.0 > self.ever, "numbers go up");
                    self.ever = participant.0;
                }
            }
            Happening::Reserve(who) => drop(world.reserve(&Self::profile(who))),
            Happening::Leave(index) => {
                if let Some(participant) = self.pick(index) {
                    self.world.leave(participant);
                }
            }
            Happening::Play(index, events) => {
                let Some(participant) = self.pick(index) else { return };
                let before = self.world.fx.len();
                let midi = Self::midi(&events, self.world.now);
                if self.world.try_play(participant, midi).is_err() {
                    assert_eq!(self.world.fx.len(), before, "a rejection causes nothing");
                }
            }
            Happening::OverRate(index, events) => {
                let Some(participant) = self.pick(index) else { return };
                let midi = Self::midi(&events, self.world.now);
                let _ = self.world.room.release_only(participant, midi, self.world.now, &mut self.world.fx);
            }
            Happening::Garbage(index, bytes) => {
                let Some(participant) = self.pick(index) else { return };
                let midi = wire::MidiMessage { midi_data: bytes.into(), ..Default::default() };
                let _ = self.world.try_play(participant, midi);
            }
            Happening::Moderate { by, action, target, seconds } => {
                let Some(by) = self.pick(by) else { return };
                let before = self.world.fx.len();
                let target = NAMES[target].to_lowercase();
                let done = self.world.moderate(by, ACTIONS[action], &target, |command| command.duration_s = seconds);
                if done.is_err() {
                    assert_eq!(self.world.fx.len(), before, "a rejection causes nothing");
                }
            }
            Happening::OnlyOwnerPlays(index, on) => {
                let Some(participant) = self.pick(index) else { return };
                let _ = self.world.update(participant, |settings| settings.only_owner_plays = Some(on));
            }
            Happening::Say(index) => {
                let Some(participant) = self.pick(index) else { return };
                let _ = self.world.say(participant, "hello");
            }
            Happening::Heard(index) => {
                let Some(participant) = self.pick(index) else { return };
                self.world.room.heard(participant, self.world.now);
            }
            Happening::Rename(who, away) => {
                let status = if away { Status::Away } else { Status::Online };
                world.room.set_profile(&Profile { status, ..Self::profile(who) }, &mut world.fx);
            }
            Happening::Pass(duration) => world.pass(ms(duration)),
        }
    }

    /// Delivers the effects as a shell does.
    fn perform(&mut self) {
        for effect in self.world.effects() {
            match effect {
                Effect::Relay { from, midi } => {
                    for (_, listener) in self.listeners.iter_mut().filter(|(id, _)| **id != from.0) {
                        listener.hear(&midi);
                    }
                }
                Effect::Broadcast { except, message } => {
                    if let Message::UserLeftRoom(left) = &message {
                        self.listeners.remove(&left.participant);
                    }
                    if let Message::MembersChanged(change) = &message {
                        change.left.iter().for_each(|left| drop(self.listeners.remove(&left.participant)));
                    }
                    for (_, listener) in self.listeners.iter_mut().filter(|(id, _)| Some(**id) != except.map(|p| p.0)) {
                        listener.be_told(&message);
                    }
                }
                Effect::Send { to, message, .. } => {
                    if matches!(message, Message::RoomJoinedResponse(_)) {
                        self.listeners.insert(to.0, Listener::default());
                    }
                    if let Some(listener) = self.listeners.get_mut(&to.0) {
                        listener.be_told(&message);
                    }
                }
                Effect::Close { participant, .. } => drop(self.listeners.remove(&participant.0)),
                Effect::Retire => {
                    assert!(self.world.room.is_empty());
                    self.is_retired = true;
                }
                Effect::Commit { .. } | Effect::Ping { .. } | Effect::Listed => {}
            }
        }
        // Where the last member leaves nobody is told.
        let room = &self.world.room;
        self.listeners.retain(|&id, _| room.index(Participant(id)).is_some());
    }

    fn check(&mut self) {
        let room = &self.world.room;
        assert!(room.members.iter().is_sorted_by_key(|member| member.participant));
        assert!(room.next_deadline() <= room.next_due() || room.next_due().is_none(), "it wakes in time");
        assert!(room.next_due().is_none() || room.next_deadline().is_some());
        if !room.is_empty() {
            assert!(room.owner.is_some(), "a room that somebody is in has an owner");
        }
        let tabs = |user: usize| room.members.iter().filter(|member| member.user == user).count();
        for (at, user) in room.users.iter().enumerate() {
            assert_eq!(user.members as usize, tabs(at));
        }
        assert_eq!(self.listeners.len(), room.len());
        let info = room.info();
        for (id, listener) in &self.listeners {
            assert_eq!(listener.owner, info.owner_id, "everybody knows the owner");
            if room.crowd.flush_at.is_none() {
                let members: BTreeSet<_> = room.members.iter().map(|member| member.participant.0).collect();
                assert_eq!(listener.members, members, "{id} knows who is here");
            }
            for &(player, channel, key) in &listener.sounding {
                let index = room.index(Participant(player)).expect("nothing sounds of who has left");
                let member = &room.members[index];
                assert!(member.held.holds(channel, key), "what sounds is held by its player");
                assert!(!room.users[member.user].notes_muted, "nothing sounds of the muted");
                assert!(!room.settings.only_owner_plays || room.is_owner(&member.profile.user_id));
            }
            for &(player, _) in &listener.pedals {
                assert!(room.members[room.index(Participant(player)).unwrap()].held.is_holding());
            }
        }
    }

    /// Whoever may play lets go of what it holds, whatever else is refused.
    fn check_releases(&mut self) {
        for (participant, _) in self.world.room.connections().collect::<Vec<_>>() {
            let held = self.world.room.members[self.world.room.index(participant).unwrap()].held.clone();
            for (channel, key) in (0..2).flat_map(|channel| (60..66).map(move |key| (channel, key))) {
                if held.holds(channel, key) {
                    let release = midi(&[ChannelMessage::note_off(channel, key, 0)]);
                    assert_eq!(self.world.try_play(participant, release), Ok(Played { relayed: true, refused: 0 }));
                }
            }
        }
        self.perform();
        self.check();
    }
}

fn run_history(history: Vec<Happening>, crowd: usize, saved: bool) {
    let mut limits = RoomLimits { crowd, ..RoomLimits::default() };
    limits.quotas.members.room = Rate { capacity: 4, refill: 2, period_ms: 1000 };
    limits.quotas.guests.room = Rate { capacity: 2, refill: 1, period_ms: 1000 };
    let world = World::of(RoomKind::Public, saved, limits, |_| {});
    let mut hall = Hall { world, listeners: BTreeMap::new(), ever: 0, is_retired: false };
    for (step, happening) in history.into_iter().enumerate() {
        hall.happen(happening);
        hall.perform();
        if hall.is_retired {
            return;
        }
        hall.check();
        if step % 10 == 9 {
            hall.check_releases();
        }
    }
    hall.check_releases();
    // Everybody goes, and the room with them.
    while let Some(participant) = hall.pick(0) {
        hall.world.leave(participant);
        hall.perform();
        hall.check();
    }
    hall.world.pass(secs(70));
    assert_eq!(hall.world.effects().last(), Some(&Effect::Retire));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_listeners_hear_what_is_held_and_know_who_is_here(
        history in vec(happening(), 1..80),
        crowd in prop_oneof![Just(100usize), 1usize..4],
        saved in any::<bool>(),
    ) {
        run_history(history, crowd, saved);
    }
}
