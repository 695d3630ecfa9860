//! Rate limits of a connection's messages, by kind of message and role. The state travels with the connection.
//!
//! The note quota is another thing: it counts notes and never touches a note-off. The limit on MIDI messages here
//! bounds what a connection costs; what exceeds it is still given to `Room::release_only`.

use std::{ops::Index, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        bucket::{Bucket, Rate},
        identity::Profile,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        time::Timestamp,
        wire::server_message::Message,
    },
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $field:ident $words:literal: guest $guest:expr, member $member:expr, staff $staff:expr;)*) => {
        /// What is limited together.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MessageClass { $($(#[$doc])* $variant,)* }

        impl MessageClass {
            /// Every class, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// In words, for people.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }
        }

        /// The limits of one role.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct ClassRates { $($(#[$doc])* pub $field: Rate,)* }

        impl ClassRates {
            const GUEST: Self = Self { $($field: $guest,)* };
            const MEMBER: Self = Self { $($field: $member,)* };
            const STAFF: Self = Self { $($field: $staff,)* };
            const UNLIMITED: Self = Self { $($field: Rate::UNLIMITED,)* };
        }

        impl Index<MessageClass> for ClassRates {
            type Output = Rate;
            fn index(&self, class: MessageClass) -> &Rate {
                match class { $(MessageClass::$variant => &self.$field,)* }
            }
        }
    };
}

kinds! {
    /// Chat lines.
    Chat chat "chat lines":
        guest Rate::per_second(1, 5), member Rate::per_second(2, 10), staff Rate::per_second(5, 20);
    /// Chat commands.
    Command command "chat commands":
        guest Rate::per_second(1, 5), member Rate::per_second(2, 10), staff Rate::per_second(5, 20);
    /// Creating, joining, leaving and changing rooms.
    RoomRequest room_request "room requests":
        guest Rate::per_second(1, 10), member Rate::per_second(2, 20), staff Rate::per_second(5, 20);
    /// Questions: lists, members, a room's particulars.
    Query query "queries":
        guest Rate::per_second(5, 20), member Rate::per_second(5, 20), staff Rate::per_second(10, 40);
    /// Changes of name, colour and status.
    Profile profile "changes of profile":
        guest Rate { capacity: 5, refill: 1, period_ms: 2000 }, member Rate { capacity: 5, refill: 1, period_ms: 2000 },
        staff Rate::per_second(2, 10);
    /// Avatars: cursor positions above all.
    Avatar avatar "avatar updates":
        guest Rate::per_second(30, 60), member Rate::per_second(30, 60), staff Rate::per_second(30, 60);
    /// Heartbeats and time synchronisation.
    Heartbeat heartbeat "heartbeats":
        guest Rate::per_second(5, 20), member Rate::per_second(5, 20), staff Rate::per_second(5, 20);
    /// Kicks, bans, mutes, transfers.
    Moderation moderation "moderation":
        guest Rate::per_second(1, 10), member Rate::per_second(2, 20), staff Rate::per_second(10, 50);
    /// MIDI messages; one token pays for [`MIDI_BYTES_PER_TOKEN`] bytes of events.
    Midi midi "MIDI messages":
        guest Rate::per_second(500, 1000), member Rate::per_second(500, 1000), staff Rate::per_second(500, 1000);
}

/// Bytes of `midi_data` that one token of [`MessageClass::Midi`] pays for; each message costs one at least.
pub const MIDI_BYTES_PER_TOKEN: usize = 256;

impl MessageClass {
    /// The class of a message from a client, and the tokens it costs.
    pub fn of(message: &Message) -> (Self, u32) {
        let class = match message {
            Message::RoomChatMessage(line) if line.message.trim_start().starts_with('/') => Self::Command,
            Message::RoomChatMessage(_) | Message::PrivateMessage(_) => Self::Chat,
            Message::RoomChatServerCommand(_) => Self::Command,
            Message::MidiMessage(midi) => {
                let tokens = midi.midi_data.len().div_ceil(MIDI_BYTES_PER_TOKEN).max(1);
                return (Self::Midi, u32::try_from(tokens).unwrap_or(u32::MAX));
            }
            Message::AvatarCommand(_) => Self::Avatar,
            Message::GetRoomInfo(_) | Message::ListRooms(_) | Message::GetMembers(_) => Self::Query,
            Message::SetProfile(_) | Message::UserStatusUpdate(_) | Message::FriendRequest(_) => Self::Profile,
            Message::HeartbeatMessage(_) | Message::TimeSync(_) => Self::Heartbeat,
            Message::RoomModeration(_) => Self::Moderation,
            Message::CreateRoomCommand(_)
            | Message::UpdateRoomCommand(_)
            | Message::JoinRoomByName(_)
            | Message::JoinNextAvailableLobby(_)
            | Message::LeaveRoom(_)
            | Message::ServerCommand(_)
            | Message::Resume(_) => Self::RoomRequest,
        };
        (class, 1)
    }
}

/// The rate limits' settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateSettings {
    /// Of those without an account.
    pub guest: ClassRates,
    /// Of those with one.
    pub member: ClassRates,
    /// Of moderators and administrators.
    pub staff: ClassRates,
}

impl Default for RateSettings {
    fn default() -> Self {
        Self { guest: ClassRates::GUEST, member: ClassRates::MEMBER, staff: ClassRates::STAFF }
    }
}

impl RateSettings {
    /// No limits; for load tests.
    pub fn unlimited() -> Self {
        Self { guest: ClassRates::UNLIMITED, member: ClassRates::UNLIMITED, staff: ClassRates::UNLIMITED }
    }

    /// The limits that bind somebody.
    pub fn rates(&self, profile: &Profile) -> &ClassRates {
        if profile.is_staff() {
            &self.staff
        } else if profile.is_guest() {
            &self.guest
        } else {
            &self.member
        }
    }
}

/// What one connection has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateState {
    buckets: [Bucket; MessageClass::ALL.len()],
}

impl RateState {
    /// Takes the tokens of one message, or refuses it with `retry_after_ms`; a refusal takes nothing.
    pub fn try_take(
        &mut self,
        rates: &ClassRates,
        (class, tokens): (MessageClass, u32),
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let bucket = &mut self.buckets[class as usize];
        // What costs more than a whole bucket is let through when the bucket is full.
        let tokens = tokens.min(rates[class].capacity.max(1));
        if bucket.try_take(&rates[class], tokens, now) {
            return Ok(());
        }
        // A limit of nothing never refills; an hour says so without a special case at the client.
        let wait = bucket.retry_after(&rates[class], tokens, now).unwrap_or(Duration::from_secs(3600));
        let message = format!("too many {}: wait before sending more", class.words());
        Err(Rejection::new(ErrorCode::RateLimit, message)
            .with("retry_after_ms", wait.as_micros().div_ceil(1000))
            .with("kind", class.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{HeartbeatMessage, MidiMessage, RoomChatMessage};

    const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    #[test]
    fn a_refusal_says_when_to_come_back_and_then_is_none() {
        let (settings, mut state) = (RateSettings::default(), RateState::default());
        for _ in 0..5 {
            state.try_take(&settings.guest, (MessageClass::Chat, 1), START).unwrap();
        }
        let refused = state.try_take(&settings.guest, (MessageClass::Chat, 1), START).unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimit);
        assert_eq!(refused.details[0], ("retry_after_ms", "1000".to_owned()));
        state.try_take(&settings.guest, (MessageClass::Chat, 1), START + Duration::from_secs(1)).unwrap();
    }

    #[test]
    fn one_kind_of_message_does_not_use_up_another() {
        let (settings, mut state) = (RateSettings::default(), RateState::default());
        while state.try_take(&settings.guest, (MessageClass::Chat, 1), START).is_ok() {}
        for &class in MessageClass::ALL.iter().filter(|&&class| class != MessageClass::Chat) {
            state.try_take(&settings.guest, (class, 1), START).unwrap();
        }
    }

    #[test]
    fn members_chat_faster_than_guests() {
        let (settings, mut state) = (RateSettings::default(), RateState::default());
        let taken = |state: &mut RateState, rates: &ClassRates| {
            (0..).take_while(|_| state.try_take(rates, (MessageClass::Chat, 1), START).is_ok()).count()
        };
        assert_eq!(taken(&mut state, &settings.guest), 5);
        assert_eq!(taken(&mut RateState::default(), &settings.member), 10);
    }

    #[test]
    fn without_limits_nothing_is_refused() {
        let (settings, mut state) = (RateSettings::unlimited(), RateState::default());
        for n in 0..100_000 {
            state.try_take(&settings.guest, (MessageClass::ALL[n % 9], 1), START).unwrap();
        }
    }

    #[test]
    fn a_midi_message_costs_by_its_length_and_the_longest_can_pass() {
        let midi = |bytes| MidiMessage { midi_data: vec![0; bytes].into(), ..Default::default() };
        assert_eq!(MessageClass::of(&Message::MidiMessage(midi(4))), (MessageClass::Midi, 1));
        assert_eq!(MessageClass::of(&Message::MidiMessage(midi(257))), (MessageClass::Midi, 2));
        let mut rates = ClassRates::GUEST;
        rates.midi = Rate::per_second(1, 3);
        let mut state = RateState::default();
        state.try_take(&rates, (MessageClass::Midi, 14), START).unwrap();
        let refused = state.try_take(&rates, (MessageClass::Midi, 14), START).unwrap_err();
        assert_eq!(refused.details[0], ("retry_after_ms", "3000".to_owned()));
    }

    #[test]
    fn a_chat_line_that_begins_with_a_slash_is_a_command() {
        let line = |text: &str| RoomChatMessage { message: text.into(), ..Default::default() };
        assert_eq!(MessageClass::of(&Message::RoomChatMessage(line("/users"))).0, MessageClass::Command);
        assert_eq!(MessageClass::of(&Message::RoomChatMessage(line("hello"))).0, MessageClass::Chat);
        assert_eq!(
            MessageClass::of(&Message::HeartbeatMessage(HeartbeatMessage::default())).0,
            MessageClass::Heartbeat
        );
    }

    #[test]
    fn the_state_travels_and_the_settings_come_from_a_file() {
        let (settings, mut state) = (RateSettings::default(), RateState::default());
        state.try_take(&settings.guest, (MessageClass::Chat, 3), START).unwrap();
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<RateState>(&text).unwrap(), state);
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<RateSettings>(&text).unwrap(), settings);
    }
}
