//! The note quota: how densely a user may play, by role and room. One bucket a user in a room, carried along when
//! the user changes rooms.

use serde::{Deserialize, Serialize};

use crate::domain::{
    bucket::{Bucket, Rate},
    room_settings::{NoteQuota, RoomKind},
};

/// Note events a user may play by the kind of room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomRates {
    /// In lobbies: 200 a 2 s, bursts of 600.
    pub lobby: Rate,
    /// In other rooms: 400 a 2 s, bursts of 1200.
    pub room: Rate,
    /// In rooms whose owner allows dense playing: 12 000 a 2 s, bursts of 36 000.
    pub dense: Rate,
}

impl Default for RoomRates {
    fn default() -> Self {
        Self {
            lobby: Rate { capacity: 600, refill: 200, period_ms: 2000 },
            room: Rate { capacity: 1200, refill: 400, period_ms: 2000 },
            dense: Rate { capacity: 36_000, refill: 12_000, period_ms: 2000 },
        }
    }
}

/// The note quota's settings. By default guests may play as densely as members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotaSettings {
    /// Of those without an account.
    pub guests: RoomRates,
    /// Of everybody else.
    pub members: RoomRates,
}

impl QuotaSettings {
    /// No quota at all; for load tests.
    pub fn unlimited() -> Self {
        let rates = RoomRates { lobby: Rate::UNLIMITED, room: Rate::UNLIMITED, dense: Rate::UNLIMITED };
        Self { guests: rates.clone(), members: rates }
    }

    /// The rate that binds a user in a room.
    pub fn rate(&self, kind: RoomKind, quota: NoteQuota, guest: bool) -> &Rate {
        let rates = if guest { &self.guests } else { &self.members };
        match (kind, quota) {
            (_, NoteQuota::Dense) => &rates.dense,
            (RoomKind::Lobby, NoteQuota::Standard) => &rates.lobby,
            (_, NoteQuota::Standard) => &rates.room,
        }
    }
}

/// What a user takes along from one room to the next. The default is a full bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedQuota(pub Bucket);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_goes_by_room_and_role() {
        let mut settings = QuotaSettings::default();
        settings.guests.room = Rate::per_second(1, 2);
        assert_eq!(settings.rate(RoomKind::Lobby, NoteQuota::Standard, false).capacity, 600);
        assert_eq!(settings.rate(RoomKind::Public, NoteQuota::Standard, false).capacity, 1200);
        assert_eq!(settings.rate(RoomKind::Private, NoteQuota::Standard, true).capacity, 2);
        assert_eq!(settings.rate(RoomKind::Private, NoteQuota::Dense, false).capacity, 36_000);
    }
}
