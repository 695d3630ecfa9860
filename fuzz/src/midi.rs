//! `midi_data`: what is accepted can be written again, and a refusal names the first byte that does not fit.

use pianorhythm_server::protocol::midi::{
    ChannelMessage, Events, MAX_EVENTS, MAX_SPAN_MS, MidiError, MidiErrorKind, MidiEvent, MidiWriter,
};

use crate::meter::metered;

/// Runs the target.
pub fn run(data: &[u8]) {
    let (parsed, held) = metered(|| Events::parse(data));
    assert_eq!(held, 0, "reading allocates nothing");
    match parsed {
        Ok(events) => accepted(data, events),
        Err(error) => refused(data, error),
    }
}

fn accepted(data: &[u8], events: Events<'_>) {
    let (told, span_ms) = (events.len(), events.span_ms());
    let events: Vec<MidiEvent> = events.collect();
    assert!((1..=MAX_EVENTS).contains(&told) && events.len() == told, "{told} events were told, {} came", events.len());
    let sum: u32 = events.iter().map(|event| event.delta_ms).sum();
    assert!(span_ms <= MAX_SPAN_MS && sum == span_ms, "{span_ms} ms were told, {sum} ms came");
    let mut writer = MidiWriter::new();
    for event in &events {
        let [first, second] = event.message.data();
        assert_eq!(ChannelMessage::new(event.message.status(), first, second), Some(event.message));
        writer.push(event.delta_ms, event.message).expect("it is within the limits");
    }
    assert!(writer.len() <= data.len(), "the writer's form is the shortest");
    assert!(Events::parse(writer.as_slice()).expect("we wrote it").eq(events), "written and read");
}

fn refused(data: &[u8], error: MidiError) {
    use MidiErrorKind as E;
    let MidiError { offset, kind } = error;
    let (before, after) = data.split_at(offset);
    let prefix = Events::parse(before).map(|events| (events.len(), events.span_ms()));
    let is_cut_off = prefix == Err(MidiError { offset, kind: E::Truncated });
    match kind {
        E::Empty => return assert!(data.is_empty()),
        E::Truncated => {
            assert!(after.is_empty(), "it is the end that is missing");
            // Some rest makes it whole, or at least no worse than too long: a last delta may be that already.
            let rests: [&[u8]; 4] = [&[0], &[0, 0], &[0x90, 0, 0], &[0, 0x90, 0, 0]];
            let mends = |rest: &&[u8]| {
                Events::parse(&[data, rest].concat())
                    .map_or_else(|error| matches!(error.kind, E::TooLong | E::DeltaTooLong), |_| true)
            };
            return assert!(rests.iter().any(mends), "no rest mends it");
        }
        E::NoStatus(byte) => assert!(is_cut_off && byte == after[0] && byte < 0x80),
        E::System(byte) => assert!(is_cut_off && byte == after[0] && byte >= 0xF0),
        E::Data(byte) => assert!(is_cut_off && byte == after[0] && byte >= 0x80),
        E::DeltaTooLong => {
            assert!(is_cut_off && before.len() >= 4 && before[offset - 4..].iter().all(|byte| *byte >= 0x80));
        }
        E::TooManyEvents => assert!(matches!(prefix, Ok((MAX_EVENTS, _)))),
        E::TooLong => {
            let so_far = if offset == 0 { 0 } else { prefix.expect("whole events come before").1 };
            let end = 1 + after.iter().position(|byte| *byte < 0x80).expect("a whole delta");
            let delta = after[..end].iter().fold(0, |delta, byte| delta << 7 | u32::from(byte & 0x7F));
            assert!(so_far + delta > MAX_SPAN_MS, "{so_far} ms and {delta} ms are not too long");
            return;
        }
    }
    assert_eq!(Events::parse(&data[..=offset]).err(), Some(error), "what comes after does not matter");
}
