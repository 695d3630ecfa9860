//! The room in virtual time: a world that drives it, and what each of its rules looks like from outside.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    domain::{
        identity::{Profile, Role, Status},
        quota::CarriedQuota,
        room::{
            Departed, Effect, NewRoom, PasswordProof, Played, Room, RoomLimits, SeatLost, SeatOutcome, SeatRequest,
        },
        room_settings::{RoomKind, Settings},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{ConnectionId, Participant, RoomKey},
        midi::{ChannelMessage, Events, MidiWriter},
        time::Timestamp,
        wire::{self, client_message::Message, user_left_room::Reason},
    },
};

mod chat;
mod crowd;
mod crown;
mod moderation;
mod notes;
mod property;
mod saving;
mod seats;
mod settings;
mod upkeep;

const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn profile(name: &str, roles: &[Role]) -> Profile {
    Profile {
        user_id: name.to_lowercase().as_str().into(),
        username: name.into(),
        usertag: String::new(),
        roles: roles.to_vec(),
        colour: "#336699".into(),
        status: Status::Online,
    }
}

fn member(name: &str) -> Profile {
    profile(name, &[Role::Member])
}

fn guest(name: &str) -> Profile {
    profile(name, &[Role::Guest])
}

fn staff(name: &str) -> Profile {
    profile(name, &[Role::Member, Role::Moderator])
}

/// A room, the time, and what the room has wanted done since somebody last looked.
struct World {
    room: Room,
    now: Timestamp,
    fx: Vec<Effect>,
    connections: u64,
}

impl World {
    fn of(kind: RoomKind, saved: bool, limits: RoomLimits, edit: impl FnOnce(&mut NewRoom)) -> Self {
        let mut new = NewRoom {
            key: RoomKey::from_normalised("jazz"),
            display_name: "Jazz".into(),
            kind,
            settings: Settings::default(),
            password_hash: None,
            saved,
        };
        edit(&mut new);
        let room = Room::create(new, None, Arc::new(limits), START);
        Self { room, now: START, fx: Vec::new(), connections: 0 }
    }

    /// A public room that is not saved.
    fn new() -> Self {
        Self::of(RoomKind::Public, false, RoomLimits::default(), |_| {})
    }

    fn saved() -> Self {
        Self::of(RoomKind::Public, true, RoomLimits::default(), |_| {})
    }

    fn with_settings(edit: impl FnOnce(&mut Settings)) -> Self {
        Self::of(RoomKind::Public, false, RoomLimits::default(), |new| edit(&mut new.settings))
    }

    fn with_limits(edit: impl FnOnce(&mut RoomLimits)) -> Self {
        let mut limits = RoomLimits::default();
        edit(&mut limits);
        Self::of(RoomKind::Public, false, limits, |_| {})
    }

    fn reserve_from(
        &mut self,
        profile: &Profile,
        proof: PasswordProof,
        host: u8,
    ) -> Result<(ConnectionId, SeatOutcome), Rejection> {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let address = [10, 0, 0, host].into();
        let outcome = self.room.reserve(SeatRequest { connection, profile, address, proof }, self.now)?;
        Ok((connection, outcome))
    }

    fn reserve(&mut self, profile: &Profile) -> Result<ConnectionId, Rejection> {
        Ok(self.reserve_from(profile, PasswordProof::Absent, 1)?.0)
    }

    fn take(&mut self, connection: ConnectionId) -> Result<Participant, SeatLost> {
        self.room.take_seat(connection, Some(7), CarriedQuota::default(), self.now, &mut self.fx)
    }

    fn enter(&mut self, profile: &Profile) -> Participant {
        let connection = self.reserve(profile).unwrap();
        self.take(connection).unwrap()
    }

    fn join(&mut self, name: &str) -> Participant {
        self.enter(&member(name))
    }

    fn leave(&mut self, participant: Participant) -> Departed {
        self.room.leave(participant, Reason::Left, self.now, &mut self.fx).unwrap()
    }

    fn play(&mut self, participant: Participant, messages: &[ChannelMessage]) -> Played {
        self.try_play(participant, midi(messages)).unwrap()
    }

    fn try_play(&mut self, participant: Participant, midi: wire::MidiMessage) -> Result<Played, ErrorCode> {
        self.room.play(participant, midi, self.now, &mut self.fx).map_err(|refused| refused.rejection.code)
    }

    fn say(&mut self, participant: Participant, text: &str) -> Result<(), Rejection> {
        self.room.chat((participant, Some(9)), text, "m1".into(), self.now, &mut self.fx)
    }

    fn update(
        &mut self,
        participant: Participant,
        edit: impl FnOnce(&mut wire::RoomSettings),
    ) -> Result<(), Rejection> {
        let mut settings = wire::RoomSettings::default();
        edit(&mut settings);
        let command = wire::UpdateRoomCommand { settings: Some(settings), ..Default::default() };
        self.room.update((participant, Some(9)), &command, Default::default(), self.now, &mut self.fx)
    }

    fn moderate(
        &mut self,
        participant: Participant,
        action: wire::room_moderation::Action,
        target: &str,
        edit: impl FnOnce(&mut wire::RoomModeration),
    ) -> Result<(), Rejection> {
        let mut command =
            wire::RoomModeration { action: action as i32, target_user_id: target.into(), ..Default::default() };
        edit(&mut command);
        self.room.moderate((participant, Some(9)), &command, self.now, &mut self.fx)
    }

    /// Lets time pass, ticking the room whenever it asks for it.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.room.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.room.tick(self.now, &mut self.fx);
            assert!(self.room.next_deadline().is_none_or(|next| next > self.now), "a tick leaves nothing due");
        }
        self.now = end;
    }

    /// What the room wanted done since the last look, directory entries apart.
    fn effects(&mut self) -> Vec<Effect> {
        self.fx.drain(..).filter(|effect| *effect != Effect::Listed).collect()
    }

    fn forget(&mut self) {
        self.fx.clear();
    }
}

fn run(messages: &[ChannelMessage]) -> Bytes {
    let mut writer = MidiWriter::new();
    messages.iter().for_each(|&message| writer.push(0, message).unwrap());
    writer.into_bytes()
}

fn midi(messages: &[ChannelMessage]) -> wire::MidiMessage {
    wire::MidiMessage { midi_data: run(messages), ..Default::default() }
}

fn on(key: u8) -> ChannelMessage {
    ChannelMessage::note_on(0, key, 90)
}

fn off(key: u8) -> ChannelMessage {
    ChannelMessage::note_off(0, key, 0)
}

/// What is relayed among some effects: the player, the sequence, and the events.
fn relayed(effects: &[Effect]) -> Vec<(u32, u32, Vec<ChannelMessage>)> {
    let relays = effects.iter().filter_map(|effect| match effect {
        Effect::Relay { from, midi } => {
            assert_eq!(from.0, midi.participant);
            let events = Events::parse(&midi.midi_data).unwrap().map(|event| event.message).collect();
            Some((from.0, midi.sequence, events))
        }
        _ => None,
    });
    relays.collect()
}

fn broadcasts(effects: &[Effect]) -> Vec<&Message> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast { message, .. } => Some(message),
        _ => None,
    });
    messages.collect()
}

fn sent_to(participant: Participant, effects: &[Effect]) -> Vec<(Option<u32>, &Message)> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send { to, request_id, message } if *to == participant => Some((*request_id, message)),
        _ => None,
    });
    messages.collect()
}

/// A line of the system that one member is told.
fn told(participant: Participant, effects: &[Effect]) -> Vec<&str> {
    let lines = sent_to(participant, effects).into_iter().filter_map(|(_, message)| match message {
        Message::RoomChatMessage(line) => {
            assert_eq!(line.message_type, wire::room_chat_message::MessageType::System as i32);
            Some(line.message.as_str())
        }
        _ => None,
    });
    lines.collect()
}

fn code<T: std::fmt::Debug>(result: Result<T, Rejection>) -> ErrorCode {
    result.unwrap_err().code
}
