//! Letting go: the room releases what a member holds when it leaves, is muted, loses the right to play, or vanishes.

use crate::{
    domain::{
        defect::{Defect, is_planted},
        room::{Effect, Room},
    },
    protocol::{time::Timestamp, wire},
};

impl Room {
    /// Relays the note-offs of all a member holds. They are due when the last of what it played is, where that is
    /// later than now: an event stamped ahead of its time must not sound after its own release.
    pub(super) fn silence(&mut self, index: usize, now: Timestamp, fx: &mut Vec<Effect>) {
        let member = &mut self.members[index];
        let timestamp = now.as_ms().max(member.played_until_ms);
        for midi_data in member.held.silence() {
            if !is_planted(Defect::SilenceOutOfSequence) {
                member.sequence = member.sequence.wrapping_add(1);
            }
            let midi = wire::MidiMessage {
                midi_data,
                timestamp,
                user_id: String::new(),
                participant: member.participant.0,
                sequence: member.sequence,
            };
            fx.push(Effect::Relay { from: member.participant, midi });
        }
    }

    pub(super) fn silence_all_but_owner(&mut self, now: Timestamp, fx: &mut Vec<Effect>) {
        for index in 0..self.members.len() {
            if !self.is_owner(&self.members[index].profile.user_id) {
                self.silence(index, now, fx);
            }
        }
    }
}
