//! A part to messages with their due times, and whether a room's quota lets it pass; pure.

use bytes::Bytes;
use pianorhythm_client::protocol::midi::MidiWriter;

use crate::part::{Held, Part};

/// Events due within this long of a message's first go into the same message, so that chords and runs cost one frame.
pub const GROUP_MS: u64 = 8;

/// One message, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When it is due, from the beginning of the piece: its timestamp, and the moment to send it.
    pub due_ms: u64,
    /// Its events. The first is due with the message, the others up to [`GROUP_MS`] later.
    pub midi_data: Bytes,
    /// How many keys it presses.
    pub note_ons: usize,
    /// What it costs of the sender's quota.
    pub cost: u32,
}

/// When an event is due at this speed. Rounded to the milliseconds of the protocol, so off by half a one at most.
pub fn due_ms(at_us: u64, speed: f64) -> u64 {
    (at_us as f64 / speed / 1000.0).round() as u64
}

/// Cuts a part into messages, in order. `speed` is above 0; 2 is twice as fast.
pub fn schedule(part: &Part, speed: f64) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut open: Option<OpenBatch> = None;
    let mut held = Held::default();
    for event in &part.events {
        let due_ms = due_ms(event.at_us, speed);
        // A release of a key that is not down costs as much as a press; that of a key that is down is free.
        let known = held.follow(event.message);
        let cost = u32::from(event.message.is_note_on() || !known);
        let fits = |open: &mut OpenBatch| {
            due_ms - open.due_ms <= GROUP_MS && open.notes.push((due_ms - open.last_ms) as u32, event.message).is_ok()
        };
        if !open.as_mut().is_some_and(fits) {
            batches.extend(open.take().map(OpenBatch::finish));
            let mut notes = MidiWriter::new();
            notes.push(0, event.message).expect("an empty message takes one event");
            open = Some(OpenBatch { due_ms, last_ms: due_ms, notes, note_ons: 0, cost: 0 });
        }
        let open = open.as_mut().expect("just filled");
        open.last_ms = due_ms;
        open.note_ons += usize::from(event.message.is_note_on());
        open.cost += cost;
    }
    batches.extend(open.map(OpenBatch::finish));
    batches
}

struct OpenBatch {
    due_ms: u64,
    last_ms: u64,
    notes: MidiWriter,
    note_ons: usize,
    cost: u32,
}

impl OpenBatch {
    fn finish(self) -> Batch {
        let Self { due_ms, notes, note_ons, cost, .. } = self;
        Batch { due_ms, midi_data: notes.into_bytes(), note_ons, cost }
    }
}

/// A token bucket of note events, as rooms have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many it holds when full.
    pub burst: u32,
    /// How many flow in a second.
    pub per_second: u32,
}

/// What a lobby allows one user. This and the others are a server's defaults; one that is set to less says `QuotaExceeded`.
pub const LOBBY_QUOTA: Quota = Quota { burst: 600, per_second: 100 };
/// What any other room allows one user.
pub const ROOM_QUOTA: Quota = Quota { burst: 1200, per_second: 200 };
/// What a room allows whose owner allows dense playing.
pub const DENSE_QUOTA: Quota = Quota { burst: 36_000, per_second: 6000 };

impl Quota {
    /// Whether users who each play one of these may play without a note refused.
    pub fn allows_each(self, players: &[impl AsRef<[Batch]>]) -> bool {
        players.iter().all(|batches| self.allows(batches.as_ref()))
    }

    /// Whether one user who plays all of these at once may play without a note refused.
    pub fn allows_together(self, players: &[impl AsRef<[Batch]>]) -> bool {
        let mut all: Vec<&Batch> = players.iter().flat_map(AsRef::as_ref).collect();
        all.sort_by_key(|batch| batch.due_ms);
        self.allows(all)
    }

    /// For one user's messages in order of time. A tenth of the bucket is kept in reserve, for messages that the network
    /// delays and then delivers together.
    fn allows<'a>(self, batches: impl IntoIterator<Item = &'a Batch>) -> bool {
        // In thousandths of a note, so that a millisecond's flow is a whole number.
        let full = u64::from(self.burst) * 900;
        let (mut tokens, mut now_ms) = (full, 0);
        for batch in batches {
            let flow = batch.due_ms.saturating_sub(now_ms).saturating_mul(self.per_second.into());
            tokens = tokens.saturating_add(flow).min(full);
            now_ms = batch.due_ms;
            let Some(left) = tokens.checked_sub(u64::from(batch.cost) * 1000) else { return false };
            tokens = left;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use pianorhythm_client::protocol::midi::{ChannelMessage, Events, MAX_EVENTS};
    use proptest::prelude::*;

    use super::*;
    use crate::part::PartEvent;

    fn part(events: impl IntoIterator<Item = (u64, ChannelMessage)>) -> Part {
        let events = events.into_iter().map(|(at_us, message)| PartEvent { at_us, message });
        Part { name: "Piano".into(), events: events.collect() }
    }

    fn on(key: u8) -> ChannelMessage {
        ChannelMessage::note_on(0, key, 90)
    }

    fn off(key: u8) -> ChannelMessage {
        ChannelMessage::note_off(0, key, 0)
    }

    #[test]
    fn a_chord_and_what_follows_within_the_window_is_one_message() {
        let part = part([(10_000, on(60)), (10_000, on(64)), (18_400, on(67)), (18_600, off(60)), (40_000, off(64))]);
        let batches = schedule(&part, 1.0);
        assert_eq!(batches.iter().map(|batch| batch.due_ms).collect::<Vec<_>>(), [10, 19, 40]);
        let deltas: Vec<_> = Events::parse(&batches[0].midi_data).unwrap().map(|event| event.delta_ms).collect();
        assert_eq!(deltas, [0, 0, 8]);
        assert_eq!((batches[0].note_ons, batches[0].cost), (3, 3));
        assert_eq!((batches[1].note_ons, batches[1].cost), (0, 0));
    }

    #[test]
    fn releasing_a_key_that_is_not_down_costs_a_note() {
        let batches =
            schedule(&part([(0, on(60)), (0, off(60)), (0, off(60)), (0, ChannelMessage::control(0, 64, 1))]), 1.0);
        assert_eq!(batches[0].cost, 2);
    }

    #[test]
    fn more_events_than_a_message_takes_make_another_of_the_same_time() {
        let batches = schedule(&part((0..MAX_EVENTS as u64 + 1).map(|_| (3000, on(60)))), 1.0);
        assert_eq!(batches.iter().map(|batch| (batch.due_ms, batch.note_ons)).collect::<Vec<_>>(), [(3, 512), (3, 1)]);
    }

    #[test]
    fn a_quota_is_enough_up_to_its_burst_and_its_flow() {
        let quota = Quota { burst: 10, per_second: 5 };
        let notes = |count: u64, gap_ms: u64| schedule(&part((0..count).map(|n| (n * gap_ms * 1000, on(60)))), 1.0);
        assert!(quota.allows(&notes(9, 0)));
        assert!(!quota.allows(&notes(10, 0)));
        assert!(quota.allows(&notes(1000, 200)));
        assert!(!quota.allows(&notes(1000, 190)));
        let two = [notes(5, 0), notes(5, 0)];
        assert!(quota.allows_each(&two) && !quota.allows_together(&two));
    }

    proptest! {
        #[test]
        fn a_schedule_says_what_the_part_says_within_half_a_millisecond(
            steps in prop::collection::vec((0u64..30_000, 0u8..128, any::<bool>()), 1..300), speed in 0.25f64..8.0,
        ) {
            let mut at_us = 0;
            let part = part(steps.into_iter().map(|(step, key, press)| {
                at_us += step;
                (at_us, if press { on(key) } else { off(key) })
            }));
            let mut played = Vec::new();
            let mut last = 0;
            for batch in schedule(&part, speed) {
                prop_assert!(batch.due_ms >= last);
                let mut now = batch.due_ms;
                for event in Events::parse(&batch.midi_data).unwrap() {
                    now += u64::from(event.delta_ms);
                    played.push((now, event.message));
                }
                prop_assert!(now - batch.due_ms <= GROUP_MS);
                last = batch.due_ms;
            }
            prop_assert_eq!(played.len(), part.events.len());
            for (event, (due_ms, message)) in part.events.iter().zip(played) {
                prop_assert_eq!(event.message, message);
                prop_assert!((event.at_us as f64 / speed / 1000.0 - due_ms as f64).abs() <= 0.5001);
            }
        }
    }
}
