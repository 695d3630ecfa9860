//! What is told about a room: its particulars, its members, its entry in the directory.

use crate::{
    domain::{
        room::{Room, members::Member},
        room_settings::RoomKind,
    },
    protocol::{
        ids::{Participant, RoomKey},
        wire,
    },
};

/// What the members in one message may weigh, so that it stays within 32 KiB in either encoding, the room's particulars
/// and the message's own fields included.
pub(super) const MEMBERS_BUDGET: usize = 24 * 1024;
/// Members on a page, and the default.
const PAGE: u32 = 100;

/// A room's entry in the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSummary {
    /// Which room.
    pub key: RoomKey,
    /// What kind.
    pub kind: RoomKind,
    /// Whether the list of rooms shows it.
    pub is_listed: bool,
    /// Seats that nobody has or has reserved.
    pub free_seats: u32,
    /// What the list shows.
    pub info: wire::RoomInfo,
}

impl Room {
    /// The room's particulars, as everybody may see them.
    pub fn info(&self) -> wire::RoomInfo {
        wire::RoomInfo {
            room_id: self.key.as_str().into(),
            room_name: self.display_name.clone(),
            room_type: self.kind.to_wire() as i32,
            settings: Some(self.settings.to_wire()),
            user_count: self.members.len() as u32,
            owner_id: self.owner.as_ref().map_or_else(String::new, |owner| owner.as_str().into()),
            has_password: self.password_hash.is_some(),
            owner_participant: self.owner_participant().map_or(0, |participant| participant.0),
        }
    }

    /// The room's entry in the directory.
    pub fn summary(&self) -> RoomSummary {
        let taken = self.members.len() + self.seats.iter().filter(|seat| seat.lost.is_none()).count();
        RoomSummary {
            key: self.key.clone(),
            kind: self.kind,
            is_listed: self.kind.is_listed(),
            free_seats: (self.settings.max_users as usize).saturating_sub(taken) as u32,
            info: self.info(),
        }
    }

    /// A page of members: those with a number above `after`, at most `limit` (0 counts as 100, as does more), fewer where
    /// they would not fit 32 KiB.
    pub fn members(&self, after: u32, limit: u32) -> wire::MemberList {
        let limit = if limit == 0 { PAGE } else { limit.min(PAGE) } as usize;
        let from = self.members.partition_point(|member| member.participant.0 <= after);
        let mut list = wire::MemberList { count: self.members.len() as u32, ..Default::default() };
        let mut bytes = 0;
        for member in self.members.iter_from(from).take(limit) {
            let member = member.to_wire(&self.users[member.user]);
            bytes += weight(&member);
            if bytes > MEMBERS_BUDGET && !list.members.is_empty() {
                break;
            }
            list.members.push(member);
        }
        list.more = from + list.members.len() < self.members.len();
        list
    }

    pub(super) fn wire_member(&self, participant: Participant) -> Option<wire::Member> {
        let member = &self.members[self.index(participant)?];
        Some(member.to_wire(&self.users[member.user]))
    }

    /// The members that the response to a join tells of, in order of their numbers, and whether there are more. Where not
    /// all fit: the new one itself, the owner, those who have played, then the others.
    pub(super) fn roster_for(&self, me: Participant) -> (Vec<wire::Member>, bool) {
        // Each scan reads a crowd's members once, and none sorts them: a join costs what is told, and little for those who are not.
        let owner = self.owner_participant();
        let first = [Some(me), owner.filter(|owner| *owner != me)].into_iter().flatten();
        let is_first = |member: &&Member| member.participant == me || Some(member.participant) == owner;
        let players = self.members.iter().filter(|member| member.sequence > 0 && !is_first(member));
        let others = self.members.iter().filter(|member| member.sequence == 0 && !is_first(member));
        let first = first.filter_map(|participant| Some(&self.members[self.index(participant)?]));
        let (mut told, mut bytes) = (Vec::new(), 0);
        for member in first.chain(players).chain(others) {
            let member = member.to_wire(&self.users[member.user]);
            bytes += weight(&member);
            if bytes > MEMBERS_BUDGET && !told.is_empty() {
                break;
            }
            told.push(member);
        }
        told.sort_by_key(|member| member.participant);
        let more = told.len() < self.members.len();
        (told, more)
    }
}

/// At least what a member takes in a message, in whichever encoding is longer.
pub(super) fn weight(member: &wire::Member) -> usize {
    let user = member.user.as_ref().map_or(0, |user| {
        // In JSON a quote takes two bytes.
        2 * (user.user_id.len() + user.username.len() + user.usertag.len() + user.colour.len()) + 12 * user.roles.len()
    });
    220 + user + 32 * member.instrument.len()
}
