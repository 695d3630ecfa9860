//! A member: one connection in the room, and what it shares with the other tabs of its user.

use std::net::IpAddr;

use crate::{
    domain::{bucket::Bucket, held::Held, identity::Profile},
    protocol::{
        ids::{ConnectionId, Participant, UserId},
        time::Timestamp,
        wire,
    },
};

/// One connection in the room.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) participant: Participant,
    pub(super) connection: ConnectionId,
    pub(super) profile: Profile,
    pub(super) address: IpAddr,
    /// Its place in the room's `users`.
    pub(super) user: usize,
    pub(super) is_guest: bool,
    pub(super) heard_at: Timestamp,
    /// Since it was last heard.
    pub(super) is_pinged: bool,
    pub(super) held: Held,
    pub(super) instrument: Instrument,
    /// That of the last message relayed; 0 before the first.
    pub(super) sequence: u32,
    /// When the last event relayed is due, in ms: a silence must not be due earlier.
    pub(super) played_until_ms: i64,
    /// Note events refused that the member has not been told of.
    pub(super) refused: u32,
    pub(super) refused_told_at: Option<Timestamp>,
    /// When it was last told that it may not play.
    pub(super) forbidden_told_at: Option<Timestamp>,
}

/// What the connections of one user in the room share.
#[derive(Clone)]
pub(super) struct UserState {
    pub(super) user_id: UserId,
    /// Connections in the room; 0: the entry is vacant.
    pub(super) members: u32,
    pub(super) bucket: Bucket,
    pub(super) notes_muted: bool,
    pub(super) chat_muted: bool,
}

/// The newest program of each channel.
#[derive(Clone, Copy, Default)]
pub(super) struct Instrument {
    programs: [u8; 16],
    /// Channels that have one.
    set: u16,
}

impl Instrument {
    pub(super) fn set(&mut self, channel: u8, program: u8) {
        self.programs[usize::from(channel & 15)] = program;
        self.set |= 1 << (channel & 15);
    }

    fn to_wire(self) -> Vec<wire::ChannelState> {
        let channels = (0..16u8).filter(|channel| self.set & 1 << channel != 0);
        channels
            .map(|channel| wire::ChannelState {
                channel: u32::from(channel),
                program: u32::from(self.programs[usize::from(channel)]),
            })
            .collect()
    }
}

impl Member {
    pub(super) fn to_wire(&self, user: &UserState) -> wire::Member {
        wire::Member {
            participant: self.participant.0,
            user: Some(self.profile.to_wire()),
            instrument: self.instrument.to_wire(),
            notes_muted: user.notes_muted,
            chat_muted: user.chat_muted,
        }
    }
}
