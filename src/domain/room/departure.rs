//! Leaving, and how arrivals and departures are told: one by one, or gathered where the room is crowded.

use crate::{
    domain::{
        defect::{Defect, is_planted},
        quota::CarriedQuota,
        room::{Effect, Room, roster::MEMBERS_BUDGET, roster::weight},
    },
    protocol::{
        close::CloseCode,
        ids::{ConnectionId, Participant, UserId},
        time::Timestamp,
        wire::{self, client_message::Message, user_left_room::Reason},
    },
};

/// What a member that has left takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Its socket.
    pub connection: ConnectionId,
    /// Its user's note quota, as it stands.
    pub quota: CarriedQuota,
}

/// Arrivals and departures that have not been told yet.
#[derive(Clone, Default)]
pub(super) struct Crowd {
    joined: Vec<Participant>,
    left: Vec<wire::UserLeftRoom>,
    pub(super) flush_at: Option<Timestamp>,
}

/// What one leaving takes in a message, in the longer encoding.
const LEFT_WEIGHT: usize = 64;

impl Room {
    /// Takes a member out: the room lets go of what it holds, then the others are told. `None` where there is no such
    /// member; then nothing happened.
    pub fn leave(
        &mut self,
        participant: Participant,
        reason: Reason,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Option<Departed> {
        let at = self.index(participant)?;
        if reason != Reason::Left || !is_planted(Defect::ForgetHeldAtLeaving) {
            self.silence(at, now, fx);
        }
        let was_announced_owner = self.owner_participant() == Some(participant);
        let member = self.members.remove(at);
        self.users[member.user].members -= 1;
        let quota = CarriedQuota(self.users[member.user].bucket);
        self.last_used = now;
        if is_planted(Defect::ReuseParticipant) && participant.0 == self.last_participant {
            self.last_participant -= 1;
        }
        self.announce_departure(participant, reason, now, fx);
        if was_announced_owner {
            self.crown_on_departure(now, fx);
        }
        if self.members.is_empty() {
            self.empty_since = Some(now);
            if self.saved {
                self.owner_away_since = None;
            }
            self.wake(Some(now + self.limits.empty_grace));
        }
        fx.push(Effect::Listed);
        Some(Departed { connection: member.connection, quota })
    }

    /// Sends every connection of a user away: members are closed, seats on their way are closed when they arrive.
    pub(super) fn expel(
        &mut self,
        user: &UserId,
        (reason, code): (Reason, CloseCode),
        why: &str,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) {
        for seat in self.seats.iter_mut().filter(|seat| seat.profile.user_id == *user) {
            seat.lost = Some(code);
        }
        for participant in self.participants_of(user) {
            if !why.is_empty() {
                self.tell(participant, format!("you were {}: {why}", code.meaning()), now, fx);
            }
            if let Some(departed) = self.leave(participant, reason, now, fx) {
                fx.push(Effect::Close { participant, connection: departed.connection, code });
            }
        }
    }

    pub(super) fn announce_arrival(&mut self, participant: Participant, now: Timestamp, fx: &mut Vec<Effect>) {
        if self.is_crowded(self.members.len()) {
            self.crowd.joined.push(participant);
            self.gather(now);
        } else if let Some(member) = self.wire_member(participant) {
            let message = Message::UserJoinedRoom(wire::UserJoinedRoom { member: Some(member) });
            self.broadcast(Some(participant), message, fx);
        }
    }

    fn announce_departure(&mut self, participant: Participant, reason: Reason, now: Timestamp, fx: &mut Vec<Effect>) {
        let left = wire::UserLeftRoom { participant: participant.0, reason: reason as i32 };
        if self.is_crowded(self.members.len() + 1) {
            // It is told even where the joining was not: who has joined since knows of it by the response to its join.
            self.crowd.joined.retain(|&joined| joined != participant);
            self.crowd.left.push(left);
            self.gather(now);
        } else {
            self.broadcast(None, Message::UserLeftRoom(left), fx);
        }
    }

    /// Also while something is gathered: what is told one by one must not overtake it.
    fn is_crowded(&self, members: usize) -> bool {
        members > self.limits.crowd || self.crowd.flush_at.is_some()
    }

    fn gather(&mut self, now: Timestamp) {
        let flush_at = *self.crowd.flush_at.get_or_insert(now + self.limits.crowd_gather);
        self.wake(Some(flush_at));
    }

    /// Tells what was gathered, in as many messages as its size asks for.
    pub(super) fn flush_crowd(&mut self, fx: &mut Vec<Effect>) {
        let crowd = std::mem::take(&mut self.crowd);
        let count = self.members.len() as u32;
        let mut joined = crowd.joined.iter().filter_map(|&participant| self.wire_member(participant)).peekable();
        let mut left = crowd.left.into_iter().peekable();
        while joined.peek().is_some() || left.peek().is_some() {
            let mut change = wire::MembersChanged { count, ..Default::default() };
            let mut bytes = 0;
            // One at least, so that this ends whatever a member weighs.
            while let Some(member) =
                joined.next_if(|member| change.joined.is_empty() || bytes + weight(member) <= MEMBERS_BUDGET)
            {
                bytes += weight(&member);
                change.joined.push(member);
            }
            if joined.peek().is_none() {
                change.left.extend(left.by_ref().take(MEMBERS_BUDGET.saturating_sub(bytes) / LEFT_WEIGHT));
            }
            self.broadcast(None, Message::MembersChanged(change), fx);
        }
    }
}
