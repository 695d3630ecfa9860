//! The crown: who has it, how it passes on.
//!
//! An owner who leaves keeps it for a grace time; then the longest-standing member gets it. In a saved room the time runs
//! only while somebody is left behind: whoever comes into somebody's empty room does not take it over.

use crate::{
    domain::{
        defect::{Defect, is_planted},
        room::{Effect, Room},
    },
    protocol::{
        ids::{Participant, UserId},
        time::Timestamp,
        wire::{self, client_message::Message},
    },
};

impl Room {
    /// The owner's lowest number in the room.
    pub(super) fn owner_participant(&self) -> Option<Participant> {
        let owner = self.owner.as_ref()?;
        self.members.iter().find(|member| member.profile.user_id == *owner).map(|member| member.participant)
    }

    pub(super) fn is_owner(&self, user: &UserId) -> bool {
        self.owner.as_ref() == Some(user)
    }

    /// Whether the arrival of this user (a member by now) is something the others are to be told about the crown.
    pub(super) fn crown_on_arrival(
        &mut self,
        user: &UserId,
        is_first_tab: bool,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> bool {
        if self.owner.is_none() && self.kind.has_owner() {
            self.owner = Some(user.clone());
            self.save(now, fx);
        }
        if self.is_owner(user) {
            self.owner_away_since = None;
            return is_first_tab;
        }
        // A clock that ran while nobody was here has somebody to pass to again.
        self.wake(self.crown_passes_at());
        false
    }

    /// Who was a guest has an account now: a room of its own is kept as a member's.
    pub fn adopt(&mut self, user: &UserId, now: Timestamp, fx: &mut Vec<Effect>) {
        if self.by_guest && self.is_owner(user) {
            self.by_guest = false;
            self.save(now, fx);
        }
    }

    /// The owner's announced connection has left.
    pub(super) fn crown_on_departure(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        if self.owner_participant().is_some() {
            self.announce_owner(None, fx);
        } else {
            self.owner_away_since = Some(now);
            self.wake(self.crown_passes_at());
        }
    }

    pub(super) fn crown_passes_at(&self) -> Option<Timestamp> {
        (!self.members.is_empty()).then_some(self.owner_away_since? + self.limits.owner_grace)
    }

    /// Gives the crown to the longest-standing member; where nobody is in, to whoever comes first.
    pub(super) fn pass_crown(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        if is_planted(Defect::KeepCrown) {
            self.owner_away_since = None;
            return;
        }
        let next = self.members.first().map(|member| member.profile.user_id.clone());
        self.crown(next, now, fx);
        self.save(now, fx);
    }

    /// Makes somebody the owner and tells everybody. Who loses the right to play by it lets go of what it holds.
    pub(super) fn crown(&mut self, owner: Option<UserId>, now: Timestamp, fx: &mut Vec<Effect>) {
        self.owner = owner;
        self.owner_away_since = None;
        if self.settings.only_owner_plays {
            self.silence_all_but_owner(now, fx);
        }
        self.announce_owner(None, fx);
        fx.push(Effect::Listed);
    }

    pub(super) fn announce_owner(&self, except: Option<Participant>, fx: &mut Vec<Effect>) {
        let owner_id = self.owner.as_ref().map_or_else(String::new, |owner| owner.as_str().into());
        let participant = self.owner_participant().map_or(0, |participant| participant.0);
        self.broadcast(except, Message::OwnerChanged(wire::OwnerChanged { owner_id, participant }), fx);
    }
}
