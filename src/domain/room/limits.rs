//! The server's figures that bind every room: read once from the configuration, shared by all rooms of a shard.

use std::time::Duration;

use crate::domain::{quota::QuotaSettings, room_settings::RoomKind};

/// Settings of the server about rooms.
#[derive(Clone, Debug)]
pub struct RoomLimits {
    /// Members of a room that asks for no other number. Default 20.
    pub default_capacity: u32,
    /// Members of a lobby. Default 30.
    pub lobby_capacity: u32,
    /// What an owner may ask for. Default 100.
    pub max_capacity: u32,
    /// Note quotas.
    pub quotas: QuotaSettings,
    /// How long a reserved seat waits for its connection. Default 5 s.
    pub seat_hold: Duration,
    /// How long an absent owner keeps the crown. Default 30 s.
    pub owner_grace: Duration,
    /// How long an empty room exists. Default 60 s.
    pub empty_grace: Duration,
    /// A member that holds something and has sent nothing for so long is pinged. Default 2 s.
    pub ping_after: Duration,
    /// A member that holds something and has sent nothing for so long lets go of it. Default 5 s.
    pub release_after: Duration,
    /// Above so many members joins and leaves are gathered. Default 100.
    pub crowd: usize,
    /// For so long. Default 500 ms.
    pub crowd_gather: Duration,
}

impl Default for RoomLimits {
    fn default() -> Self {
        Self {
            default_capacity: 20,
            lobby_capacity: 30,
            max_capacity: 100,
            quotas: QuotaSettings::default(),
            seat_hold: Duration::from_secs(5),
            owner_grace: Duration::from_secs(30),
            empty_grace: Duration::from_secs(60),
            ping_after: Duration::from_secs(2),
            release_after: Duration::from_secs(5),
            crowd: 100,
            crowd_gather: Duration::from_millis(500),
        }
    }
}

impl RoomLimits {
    /// The capacity of a room for which nobody has asked for another.
    pub fn capacity(&self, kind: RoomKind) -> u32 {
        match kind {
            RoomKind::Lobby => self.lobby_capacity,
            RoomKind::Public | RoomKind::Private => self.default_capacity.min(self.max_capacity),
        }
    }
}
