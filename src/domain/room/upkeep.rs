//! What time brings about: seats and bans that run out, notes that nobody holds any more, the crown, the end.

use std::time::Duration;

use crate::{
    domain::{
        room::{Effect, Room, RoomChange},
        room_settings::RoomKind,
    },
    protocol::time::Timestamp,
};

/// A saved room that somebody is in is saved so often, for the sake of `last_used`.
const RESAVE_EVERY: Duration = Duration::from_secs(24 * 3600);

impl Room {
    /// Does everything that is due. To be called at [`Room::next_deadline`] or later; earlier it does no harm.
    pub fn tick(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        self.seats.retain(|seat| seat.until > now);
        self.bans.retain(|ban| ban.until.is_none_or(|until| until > now));
        self.expire_mutes(now, fx);
        for index in 0..self.members.len() {
            self.release_vanished(index, now, fx);
            if Self::refused_due(&self.members[index]).is_some_and(|due| due <= now) {
                self.tell_refused(index, now, fx);
            }
        }
        if self.crowd.flush_at.is_some_and(|at| at <= now) {
            self.flush_crowd(fx);
        }
        if self.crown_passes_at().is_some_and(|at| at <= now) {
            self.pass_crown(now, fx);
        }
        if self.resave_at().is_some_and(|at| at <= now) {
            self.save(now, fx);
        }
        if self.retires_at().is_some_and(|at| at <= now) {
            self.save(now, fx);
            self.empty_since = None;
            fx.push(Effect::Retire);
        }
        self.wake_at = self.next_due();
    }

    /// Nothing was heard for so long, because nobody listened: who is silent has been silent for so much less, and seats are held for
    /// so much longer.
    pub fn stood_still(&mut self, stall: Duration, now: Timestamp) {
        for index in 0..self.members.len() {
            let member = &mut self.members[index];
            member.heard_at = member.heard_at + stall;
        }
        for seat in &mut self.seats {
            seat.until = seat.until + stall;
        }
        self.wake(Some(now));
    }

    /// Pings a member that holds something and has gone silent, and lets go of it when it stays silent.
    fn release_vanished(&mut self, index: usize, now: Timestamp, fx: &mut Vec<Effect>) {
        let member = &self.members[index];
        if !member.held.is_holding() {
            return;
        }
        let silent = now.since(member.heard_at);
        if silent >= self.limits.release_after {
            self.silence(index, now, fx);
        } else if silent >= self.limits.ping_after && !member.is_pinged {
            fx.push(Effect::Ping { to: member.participant });
            self.members[index].is_pinged = true;
        }
    }

    /// Keeps a saved room's present state, with nobody waiting for it.
    pub(super) fn save(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        if let Some(change) = self.saving(now) {
            fx.push(Effect::Commit { change, then: Vec::new(), request: None });
        }
    }

    /// What is to be kept of a saved room; `None` where it is not saved.
    pub(super) fn saving(&mut self, now: Timestamp) -> Option<RoomChange> {
        if !self.saved {
            return None;
        }
        self.saved_at = now;
        Some(RoomChange::Save(Box::new(self.record(now))))
    }

    pub(super) fn resave_at(&self) -> Option<Timestamp> {
        (self.saved && !self.members.is_empty()).then(|| self.saved_at + RESAVE_EVERY)
    }

    pub(super) fn retires_at(&self) -> Option<Timestamp> {
        if self.kind == RoomKind::Lobby || self.seats.iter().any(|seat| seat.lost.is_none()) {
            return None;
        }
        Some(self.empty_since? + self.limits.empty_grace)
    }

    /// When the first ban or mute ends.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        let bans = self.bans.iter().filter_map(|ban| ban.until);
        bans.chain(self.mutes.iter().filter_map(|mute| mute.until)).min()
    }

    /// The exact moment of what is due next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let members = self.members.iter().flat_map(|member| {
            let after = if member.is_pinged { self.limits.release_after } else { self.limits.ping_after };
            let silent = member.held.is_holding().then(|| member.heard_at + after);
            [silent, Self::refused_due(member)]
        });
        let seats = self.seats.iter().map(|seat| Some(seat.until));
        let room =
            [self.next_expiry(), self.crowd.flush_at, self.crown_passes_at(), self.resave_at(), self.retires_at()];
        members.chain(seats).chain(room).flatten().min()
    }
}
