//! The note path: what a member plays is validated, paid for, stamped, and relayed once.
//!
//! Where all of a message is accepted its bytes are shared, not copied, and nothing is allocated but the effect's place.

use std::time::Duration;

use crate::{
    domain::{
        held::Held,
        room::{Effect, Room, members::Member},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::Participant,
        midi::{ChannelMessage, Events, MessageKind, MidiEvent, MidiWriter},
        time::Timestamp,
        wire::{self, client_message::Message},
    },
};

/// How far a timestamp may lie behind the server's time, and ahead of it, in ms.
const BEHIND_MS: i64 = 2000;
const AHEAD_MS: i64 = 1000;
/// A member is told at most so often that its notes are refused.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What became of a message of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// Whether anything of it was relayed.
    pub relayed: bool,
    /// Events that were refused; the member is told by `QuotaExceeded`.
    pub refused: u32,
}

/// A message of notes that is refused whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayRefused {
    /// Why.
    pub rejection: Rejection,
    /// False where the member was told of the same within the last second: the shell then answers only a message that
    /// carries a request id.
    pub tell: bool,
}

impl PlayRefused {
    fn told(rejection: impl Into<Rejection>) -> Self {
        Self { rejection: rejection.into(), tell: true }
    }
}

/// How much of a message is let through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admit {
    /// What the quota allows.
    Quota,
    /// Only what lets go of something.
    Releases,
    /// The same; the member hears of the rest otherwise.
    ReleasesAlone,
}

/// What one event costs.
enum Cost {
    /// Lets go of something: always passes.
    Free,
    /// Costs nothing, but is not a release either.
    Nothing,
    /// A token.
    Token,
}

impl Room {
    /// Relays what a member plays. Note-ons cost a token each, so does a note-off for a key that is not held; the rest is
    /// free. What the quota refuses is left out and its delta added to the next event that is accepted; the member is told
    /// how much at most once a second. Nothing is relayed, and no sequence number used, where nothing was accepted.
    pub fn play(
        &mut self,
        participant: Participant,
        midi: wire::MidiMessage,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<Played, PlayRefused> {
        self.relay(participant, midi, Admit::Quota, now, fx)
    }

    /// As [`Room::play`] for a message beyond the connection's rate limit: note-offs of held keys, pedal-ups and
    /// all-notes-off pass, the rest is refused, so that exceeding a limit leaves no note sounding.
    pub fn release_only(
        &mut self,
        participant: Participant,
        midi: wire::MidiMessage,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<Played, PlayRefused> {
        self.relay(participant, midi, Admit::Releases, now, fx)
    }

    /// As [`Room::release_only`] for a message that the room has failed at, of which the member is told by the shell: it is no
    /// matter of its quota.
    pub fn release_after_failure(
        &mut self,
        participant: Participant,
        midi: wire::MidiMessage,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<Played, PlayRefused> {
        self.relay(participant, midi, Admit::ReleasesAlone, now, fx)
    }

    fn relay(
        &mut self,
        participant: Participant,
        mut midi: wire::MidiMessage,
        admit: Admit,
        now: Timestamp,
        fx: &mut Vec<Effect>,
    ) -> Result<Played, PlayRefused> {
        let index = self.at(participant).map_err(PlayRefused::told)?;
        let events = Events::parse(&midi.midi_data).map_err(PlayRefused::told)?;
        let member = &mut self.members[index];
        let user = &mut self.users[member.user];
        heard(member, now);
        // Everything is decided on copies of what changes, a few hundred bytes on the stack: should deciding fail, a key that
        // is down stays known as down, and its note-off passes when it comes again.
        let (mut held, mut instrument) = (member.held.clone(), member.instrument);
        if user.notes_muted {
            return Err(forbidden(member, ErrorCode::Muted, "your notes are muted in this room", now));
        }
        if self.settings.only_owner_plays && self.owner.as_ref() != Some(&user.user_id) {
            return Err(forbidden(member, ErrorCode::OnlyOwnerPlays, "only the room's owner plays here", now));
        }

        let rate = self.limits.quotas.rate(self.kind, self.settings.note_quota, member.is_guest);
        let available = if admit == Admit::Quota { user.bucket.available(rate, now) } else { 0 };
        let span_ms = events.span_ms();
        let (mut spent, mut accepted, mut refused) = (0, 0u32, 0u32);
        // Written only from the first refused event on.
        let mut rewritten: Option<MidiWriter> = None;
        let mut owed_delta_ms = 0;
        for (n, event) in events.clone().enumerate() {
            let passes = match cost(event.message, &held) {
                Cost::Free => true,
                Cost::Nothing => admit == Admit::Quota,
                Cost::Token => {
                    let passes = spent < available;
                    spent += u32::from(passes);
                    passes
                }
            };
            if !passes {
                rewritten.get_or_insert_with(|| copied(events.clone().take(n), midi.midi_data.len()));
                owed_delta_ms += event.delta_ms;
                refused += 1;
                continue;
            }
            accepted += 1;
            held.apply(event.message);
            if event.message.kind() == MessageKind::Program {
                instrument.set(event.message.channel(), event.message.data()[0]);
            }
            if let Some(writer) = &mut rewritten {
                // Never full: it holds fewer events than the message it is part of, over no longer a time.
                let _ = writer.push(owed_delta_ms + event.delta_ms, event.message);
                owed_delta_ms = 0;
            }
        }
        #[cfg(feature = "faults")]
        crate::domain::fault::point();

        // Decided: from here on nothing can fail.
        (member.held, member.instrument) = (held, instrument);
        user.bucket.take(spent);
        let is_told = refused > 0 && admit != Admit::ReleasesAlone;
        if is_told {
            member.refused = member.refused.saturating_add(refused);
        }
        let holds = member.held.is_holding();
        if accepted > 0 {
            let timestamp = stamp(midi.timestamp, now);
            self.clamped += u64::from(midi.timestamp != 0 && timestamp != midi.timestamp);
            member.sequence = member.sequence.wrapping_add(1);
            member.played_until_ms = member.played_until_ms.max(timestamp + i64::from(span_ms));
            if let Some(writer) = rewritten {
                midi.midi_data = writer.into_bytes();
            }
            midi.timestamp = timestamp;
            midi.user_id = String::new();
            midi.participant = participant.0;
            midi.sequence = member.sequence;
            fx.push(Effect::Relay { from: participant, midi });
        }
        if holds {
            self.wake(Some(now + self.limits.ping_after));
        }
        if is_told {
            self.tell_refused(index, now, fx);
        }
        Ok(Played { relayed: accepted > 0, refused })
    }

    /// Notes that a frame of any kind came from a member; to be called for each, pongs included.
    pub fn heard(&mut self, participant: Participant, now: Timestamp) {
        let Some(index) = self.index(participant) else { return };
        let was_pinged = self.members[index].is_pinged;
        heard(&mut self.members[index], now);
        if was_pinged {
            self.wake(Some(now + self.limits.ping_after));
        }
    }

    /// Tells a member how many of its events were refused, at most once a second; the rest is told when that is over.
    pub(super) fn tell_refused(&mut self, index: usize, now: Timestamp, fx: &mut Vec<Effect>) {
        let member = &mut self.members[index];
        if let Some(told_at) = member.refused_told_at
            && now < told_at + TELL_EVERY
        {
            self.wake(Some(told_at + TELL_EVERY));
            return;
        }
        let rate = self.limits.quotas.rate(self.kind, self.settings.note_quota, member.is_guest);
        let wait = self.users[member.user].bucket.retry_after(rate, 1, now).unwrap_or(Duration::MAX);
        let refused = std::mem::take(&mut member.refused);
        let retry_after_ms = u32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        let message = Message::QuotaExceeded(wire::QuotaExceeded { refused, retry_after_ms });
        member.refused_told_at = Some(now);
        fx.push(Effect::Send { to: member.participant, request_id: None, message });
    }

    /// When a member is due to be told of refused events.
    pub(super) fn refused_due(member: &Member) -> Option<Timestamp> {
        (member.refused > 0).then_some(member.refused_told_at? + TELL_EVERY)
    }
}

fn heard(member: &mut Member, now: Timestamp) {
    member.heard_at = now;
    member.is_pinged = false;
}

fn cost(message: ChannelMessage, held: &Held) -> Cost {
    if message.is_note_on() {
        Cost::Token
    } else if message.is_note_off() {
        if held.holds(message.channel(), message.data()[0]) { Cost::Free } else { Cost::Token }
    } else if message.is_pedal_up() || message.is_all_notes_off() {
        Cost::Free
    } else {
        Cost::Nothing
    }
}

/// The sender's estimate of the time, within what is taken; without one, now.
fn stamp(timestamp: i64, now: Timestamp) -> i64 {
    let now_ms = now.as_ms();
    if timestamp == 0 { now_ms } else { timestamp.clamp(now_ms - BEHIND_MS, now_ms + AHEAD_MS) }
}

fn copied(events: impl Iterator<Item = MidiEvent>, bytes: usize) -> MidiWriter {
    let mut writer = MidiWriter::with_capacity(bytes);
    for event in events {
        // Part of a message that was within the limits.
        let _ = writer.push(event.delta_ms, event.message);
    }
    writer
}

fn forbidden(member: &mut Member, code: ErrorCode, message: &'static str, now: Timestamp) -> PlayRefused {
    let tell = member.forbidden_told_at.is_none_or(|at| now >= at + TELL_EVERY);
    if tell {
        member.forbidden_told_at = Some(now);
    }
    PlayRefused { rejection: Rejection::new(code, message), tell }
}
