//! MIDI as `midi_data` carries it: a run of events, each a delta time and one whole channel message.
//!
//! The delta is a variable-length quantity of one to four bytes, in milliseconds since the previous event (the
//! first: since the message's `timestamp`). The status byte is always present. [`Events`] reads a run that it has
//! validated as a whole; [`MidiWriter`] makes one. What the notes mean to a room is decided in `domain/`.

use bytes::Bytes;

use crate::protocol::error::{ErrorCode, Rejection};

/// The most events one message carries.
pub const MAX_EVENTS: usize = 512;
/// The longest a message may last: the sum of its deltas, in milliseconds.
pub const MAX_SPAN_MS: u32 = 1000;

/// A delta time has at most so many bytes, as in a Standard MIDI File.
const MAX_DELTA_BYTES: usize = 4;

/// What a channel message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// 8n: key, release velocity.
    NoteOff,
    /// 9n: key, velocity; velocity 0 is a note-off.
    NoteOn,
    /// An: key, pressure.
    PolyPressure,
    /// Bn: controller, value.
    Control,
    /// Cn: program.
    Program,
    /// Dn: pressure.
    ChannelPressure,
    /// En: low seven bits, high seven bits.
    PitchBend,
}

/// One channel message. Always valid: its status byte is 80 to EF and its data bytes are at most 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelMessage {
    status: u8,
    /// The second byte is 0 where the message has one data byte.
    data: [u8; 2],
}

/// The controller of the sustain pedal.
pub const SUSTAIN: u8 = 64;
/// The controller of the sostenuto pedal.
pub const SOSTENUTO: u8 = 66;
/// The channel mode message "all sound off".
pub const ALL_SOUND_OFF: u8 = 120;
/// The channel mode message "all notes off".
pub const ALL_NOTES_OFF: u8 = 123;

impl ChannelMessage {
    /// A message from its bytes; `None` where they are not a channel message. `second` is ignored where the
    /// status asks for one data byte.
    pub const fn new(status: u8, first: u8, second: u8) -> Option<Self> {
        if status < 0x80 || status >= 0xF0 || first > 127 || second > 127 {
            return None;
        }
        Some(Self { status, data: [first, if data_bytes(status) == 2 { second } else { 0 }] })
    }

    /// Builds from parts that are cut to their range: a channel of four bits, data bytes of seven.
    const fn cut(kind: u8, channel: u8, first: u8, second: u8) -> Self {
        Self { status: kind | (channel & 0x0F), data: [first & 0x7F, second & 0x7F] }
    }

    /// A key pressed. The arguments of this and the other constructors are cut to their range: channels to
    /// four bits, the rest to seven.
    pub const fn note_on(channel: u8, key: u8, velocity: u8) -> Self {
        Self::cut(0x90, channel, key, velocity)
    }

    /// A key released.
    pub const fn note_off(channel: u8, key: u8, velocity: u8) -> Self {
        Self::cut(0x80, channel, key, velocity)
    }

    /// Pressure on one key.
    pub const fn poly_pressure(channel: u8, key: u8, pressure: u8) -> Self {
        Self::cut(0xA0, channel, key, pressure)
    }

    /// A controller moved.
    pub const fn control(channel: u8, controller: u8, value: u8) -> Self {
        Self::cut(0xB0, channel, controller, value)
    }

    /// Another instrument.
    pub const fn program(channel: u8, program: u8) -> Self {
        Self::cut(0xC0, channel, program, 0)
    }

    /// Pressure on the whole channel.
    pub const fn channel_pressure(channel: u8, pressure: u8) -> Self {
        Self::cut(0xD0, channel, pressure, 0)
    }

    /// The pitch wheel: 0 to 16383, at rest at 8192; cut to fourteen bits.
    pub const fn pitch_bend(channel: u8, value: u16) -> Self {
        Self::cut(0xE0, channel, (value & 0x7F) as u8, (value >> 7 & 0x7F) as u8)
    }

    /// The status byte: kind and channel.
    pub const fn status(self) -> u8 {
        self.status
    }

    /// The data bytes; the second is 0 where the message has one.
    pub const fn data(self) -> [u8; 2] {
        self.data
    }

    /// Bytes on the wire, its delta time apart: 2 or 3.
    #[allow(clippy::len_without_is_empty, reason = "no message is empty")]
    pub const fn len(self) -> usize {
        1 + data_bytes(self.status)
    }

    /// What it does.
    pub const fn kind(self) -> MessageKind {
        match self.status >> 4 {
            0x8 => MessageKind::NoteOff,
            0x9 => MessageKind::NoteOn,
            0xA => MessageKind::PolyPressure,
            0xB => MessageKind::Control,
            0xC => MessageKind::Program,
            0xD => MessageKind::ChannelPressure,
            _ => MessageKind::PitchBend,
        }
    }

    /// The channel, 0 to 15.
    pub const fn channel(self) -> u8 {
        self.status & 0x0F
    }

    /// The key that a note-on, note-off or polyphonic pressure concerns.
    pub const fn key(self) -> Option<u8> {
        match self.kind() {
            MessageKind::NoteOff | MessageKind::NoteOn | MessageKind::PolyPressure => Some(self.data[0]),
            _ => None,
        }
    }

    /// A note-on with a velocity above 0.
    pub const fn is_note_on(self) -> bool {
        self.status >> 4 == 0x9 && self.data[1] > 0
    }

    /// A note-off, or a note-on of velocity 0, which means the same.
    pub const fn is_note_off(self) -> bool {
        self.status >> 4 == 0x8 || (self.status >> 4 == 0x9 && self.data[1] == 0)
    }

    /// Whether it moves this controller.
    pub const fn is_control(self, controller: u8) -> bool {
        self.status >> 4 == 0xB && self.data[0] == controller
    }

    /// The sustain or sostenuto pedal released: a value below 64.
    pub const fn is_pedal_up(self) -> bool {
        (self.is_control(SUSTAIN) || self.is_control(SOSTENUTO)) && self.data[1] < 64
    }

    /// All notes off, or all sound off.
    pub const fn is_all_notes_off(self) -> bool {
        self.is_control(ALL_NOTES_OFF) || self.is_control(ALL_SOUND_OFF)
    }
}

/// Data bytes that follow a channel message's status.
const fn data_bytes(status: u8) -> usize {
    if matches!(status >> 4, 0xC | 0xD) { 1 } else { 2 }
}

/// One event of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MidiEvent {
    /// Milliseconds since the event before it; the first: since the message's `timestamp`.
    pub delta_ms: u32,
    /// What happens then.
    pub message: ChannelMessage,
}

/// Why a run is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MidiErrorKind {
    /// There is not one event.
    #[error("there are no events: send at least one")]
    Empty,
    /// The run ends within an event.
    #[error("the last event is cut off: send whole events")]
    Truncated,
    /// A delta time of more than four bytes.
    #[error("a delta time has more than 4 bytes: write it as a variable-length quantity of milliseconds")]
    DeltaTooLong,
    /// A data byte where a status byte is due.
    #[error(
        "byte {0:#04x} stands where a status byte is due: write the status of every event, running status is not read"
    )]
    NoStatus(u8),
    /// System exclusive, common, real time or meta events.
    #[error("status {0:#04x} is a system message: send channel messages (80 to EF) only")]
    System(u8),
    /// A data byte above 127.
    #[error("data byte {0:#04x} is above 127: send 7-bit data bytes")]
    Data(u8),
    /// More than [`MAX_EVENTS`].
    #[error("there are more than {MAX_EVENTS} events: split them over several messages")]
    TooManyEvents,
    /// Deltas of more than [`MAX_SPAN_MS`] in sum.
    #[error(
        "the deltas add up to more than {MAX_SPAN_MS} ms: split them over several messages, each with its timestamp"
    )]
    TooLong,
}

/// A run that is refused, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("midi_data at byte {offset}: {kind}")]
pub struct MidiError {
    /// The byte at which reading stopped, at most the run's length.
    pub offset: usize,
    /// What is wrong there.
    pub kind: MidiErrorKind,
}

impl From<MidiError> for Rejection {
    fn from(error: MidiError) -> Self {
        Self::new(ErrorCode::Validation, error.to_string()).with("offset", error.offset)
    }
}

/// The events of a run that has been validated; an iterator that neither fails nor allocates.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
    left: usize,
    span_ms: u32,
}

impl<'a> Events<'a> {
    /// Validates the whole run: one to [`MAX_EVENTS`] events over at most [`MAX_SPAN_MS`], channel messages only.
    /// The error tells the first byte that does not fit.
    pub fn parse(data: &'a [u8]) -> Result<Self, MidiError> {
        let mut at = 0;
        let mut events = 0;
        let mut span_ms = 0;
        while at < data.len() {
            let start = at;
            if events == MAX_EVENTS {
                return Err(MidiError { offset: start, kind: MidiErrorKind::TooManyEvents });
            }
            span_ms += check_event(data, &mut at).map_err(|kind| MidiError { offset: at, kind })?;
            if span_ms > MAX_SPAN_MS {
                return Err(MidiError { offset: start, kind: MidiErrorKind::TooLong });
            }
            events += 1;
        }
        if events == 0 {
            return Err(MidiError { offset: 0, kind: MidiErrorKind::Empty });
        }
        Ok(Self { rest: data, left: events, span_ms })
    }

    /// The sum of the deltas of the whole run, in milliseconds.
    pub fn span_ms(&self) -> u32 {
        self.span_ms
    }
}

/// Walks over one event and returns its delta; on an error `at` stands on the offending byte.
fn check_event(data: &[u8], at: &mut usize) -> Result<u32, MidiErrorKind> {
    let mut delta_ms = 0;
    let start = *at;
    loop {
        let byte = *data.get(*at).ok_or(MidiErrorKind::Truncated)?;
        if *at - start == MAX_DELTA_BYTES {
            return Err(MidiErrorKind::DeltaTooLong);
        }
        *at += 1;
        delta_ms = delta_ms << 7 | u32::from(byte & 0x7F);
        if byte < 0x80 {
            break;
        }
    }
    let status = *data.get(*at).ok_or(MidiErrorKind::Truncated)?;
    match status {
        ..0x80 => return Err(MidiErrorKind::NoStatus(status)),
        0xF0.. => return Err(MidiErrorKind::System(status)),
        _ => *at += 1,
    }
    for _ in 0..data_bytes(status) {
        let byte = *data.get(*at).ok_or(MidiErrorKind::Truncated)?;
        if byte > 127 {
            return Err(MidiErrorKind::Data(byte));
        }
        *at += 1;
    }
    Ok(delta_ms)
}

impl Iterator for Events<'_> {
    type Item = MidiEvent;

    // `parse` has seen every byte, so that no `?` here is ever taken before the end.
    fn next(&mut self) -> Option<MidiEvent> {
        let mut delta_ms = 0;
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            delta_ms = delta_ms << 7 | u32::from(byte & 0x7F);
            if byte < 0x80 {
                break;
            }
        }
        let (&status, rest) = self.rest.split_first()?;
        let (data, rest) = if data_bytes(status) == 2 {
            let (&data, rest) = rest.split_first_chunk::<2>()?;
            (data, rest)
        } else {
            let (&data, rest) = rest.split_first()?;
            ([data, 0], rest)
        };
        self.rest = rest;
        self.left -= 1;
        Some(MidiEvent { delta_ms, message: ChannelMessage { status, data } })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Events<'_> {}

/// The run would exceed [`MAX_EVENTS`] or [`MAX_SPAN_MS`]: begin another message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is full: begin another")]
pub struct WriterFull;

/// Writes a run that [`Events::parse`] accepts, once it holds an event.
#[derive(Clone, Debug, Default)]
pub struct MidiWriter {
    data: Vec<u8>,
    events: usize,
    span_ms: u32,
}

impl MidiWriter {
    /// An empty run.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty run with room for so many bytes; an event takes up to 5 within the limits.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { data: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Appends an event so many milliseconds after the one before. Past a limit nothing is appended.
    pub fn push(&mut self, delta_ms: u32, message: ChannelMessage) -> Result<(), WriterFull> {
        let span_ms = self.span_ms.saturating_add(delta_ms);
        if self.events == MAX_EVENTS || span_ms > MAX_SPAN_MS {
            return Err(WriterFull);
        }
        // Within MAX_SPAN_MS a quantity has one byte or two.
        if delta_ms > 0x7F {
            self.data.push(0x80 | (delta_ms >> 7) as u8);
        }
        self.data.push((delta_ms & 0x7F) as u8);
        self.data.push(message.status);
        self.data.extend_from_slice(&message.data[..data_bytes(message.status)]);
        self.events += 1;
        self.span_ms = span_ms;
        Ok(())
    }

    /// The run so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.data
    }

    /// The run, ready to be sent.
    pub fn into_bytes(self) -> Bytes {
        self.data.into()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no event yet; such a run is not valid.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Events so far.
    pub fn events(&self) -> usize {
        self.events
    }

    /// The sum of the deltas so far, in milliseconds.
    pub fn span_ms(&self) -> u32 {
        self.span_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn error(data: &[u8]) -> (usize, MidiErrorKind) {
        let error = Events::parse(data).unwrap_err();
        (error.offset, error.kind)
    }

    #[test]
    fn events_are_read_with_their_deltas_and_channels() {
        let data = [0x00, 0x92, 60, 100, 0x81, 0x00, 0xC2, 5, 0x05, 0x82, 60, 64];
        let events = Events::parse(&data).unwrap();
        assert_eq!((events.len(), events.span_ms()), (3, 133));
        let expected = [
            MidiEvent { delta_ms: 0, message: ChannelMessage::note_on(2, 60, 100) },
            MidiEvent { delta_ms: 128, message: ChannelMessage::program(2, 5) },
            MidiEvent { delta_ms: 5, message: ChannelMessage::note_off(2, 60, 64) },
        ];
        assert_eq!(events.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_refusal_names_the_offending_byte() {
        use MidiErrorKind::*;
        assert_eq!(error(&[]), (0, Empty));
        assert_eq!(error(&[0x00]), (1, Truncated));
        assert_eq!(error(&[0x80]), (1, Truncated));
        assert_eq!(error(&[0x00, 0x90, 60]), (3, Truncated));
        assert_eq!(error(&[0x80, 0x80, 0x80, 0x80, 0x00, 0x90, 60, 1]), (4, DeltaTooLong));
        assert_eq!(error(&[0x00, 0x90, 60, 1, 0x00, 60, 0]), (5, NoStatus(60)));
        assert_eq!(error(&[0x00, 0xF0, 1, 0xF7]), (1, System(0xF0)));
        assert_eq!(error(&[0x00, 0xFF]), (1, System(0xFF)));
        assert_eq!(error(&[0x00, 0x90, 60, 0x80]), (3, Data(0x80)));
        assert_eq!(error(&[0x87, 0x69, 0x90, 60, 1]), (0, TooLong));
    }

    #[test]
    fn the_limits_are_inclusive() {
        assert!(Events::parse(&[0x87, 0x68, 0x90, 60, 1]).is_ok());
        let full = [0x00, 0xC0, 1].repeat(MAX_EVENTS);
        assert!(Events::parse(&full).is_ok());
        let over = [0x00, 0xC0, 1].repeat(MAX_EVENTS + 1);
        assert_eq!(error(&over), (full.len(), MidiErrorKind::TooManyEvents));
    }

    #[test]
    fn a_delta_padded_with_zeros_is_read_for_what_it_says() {
        let mut events = Events::parse(&[0x80, 0x80, 0x80, 0x05, 0x90, 60, 1]).unwrap();
        assert_eq!(events.next().unwrap().delta_ms, 5);
    }

    #[test]
    fn a_writer_refuses_what_a_reader_would() {
        let mut writer = MidiWriter::new();
        for _ in 0..MAX_EVENTS {
            writer.push(0, ChannelMessage::note_on(0, 60, 1)).unwrap();
        }
        assert_eq!(writer.push(0, ChannelMessage::note_on(0, 60, 1)), Err(WriterFull));
        let mut writer = MidiWriter::new();
        writer.push(600, ChannelMessage::note_on(0, 60, 1)).unwrap();
        assert_eq!(writer.push(401, ChannelMessage::note_on(0, 60, 1)), Err(WriterFull));
        assert_eq!(writer.push(u32::MAX, ChannelMessage::note_on(0, 60, 1)), Err(WriterFull));
        assert_eq!((writer.events(), writer.span_ms()), (1, 600));
    }

    #[test]
    fn a_note_on_of_velocity_nought_is_a_note_off() {
        let message = ChannelMessage::note_on(3, 60, 0);
        assert!(message.is_note_off() && !message.is_note_on());
        assert_eq!(message.kind(), MessageKind::NoteOn);
    }

    #[test]
    fn half_a_pedal_is_down() {
        assert!(ChannelMessage::control(0, SUSTAIN, 63).is_pedal_up());
        assert!(!ChannelMessage::control(0, SUSTAIN, 64).is_pedal_up());
        assert!(ChannelMessage::control(0, SOSTENUTO, 0).is_pedal_up());
        assert!(!ChannelMessage::control(0, 67, 0).is_pedal_up());
    }

    #[test]
    fn bytes_that_are_no_channel_message_make_none() {
        assert_eq!(ChannelMessage::new(0x7F, 0, 0), None);
        assert_eq!(ChannelMessage::new(0xF8, 0, 0), None);
        assert_eq!(ChannelMessage::new(0x90, 128, 0), None);
        assert_eq!(ChannelMessage::new(0xC1, 7, 99), Some(ChannelMessage::program(1, 7)));
        assert_eq!(ChannelMessage::new(0xE0, 0, 64), Some(ChannelMessage::pitch_bend(0, 8192)));
    }

    #[test]
    fn a_rejection_says_where_and_what_to_do() {
        let rejection = Rejection::from(Events::parse(&[0x00, 0xF8]).unwrap_err());
        assert_eq!(rejection.code, ErrorCode::Validation);
        assert_eq!(rejection.details, [("offset", "1".to_owned())]);
        assert_eq!(
            rejection.message,
            "midi_data at byte 1: status 0xf8 is a system message: send channel messages (80 to EF) only"
        );
    }

    fn event() -> impl Strategy<Value = MidiEvent> {
        (prop_oneof![4 => Just(0u32), 4 => 0u32..20, 1 => 0u32..400], 0x80u8..0xF0, 0u8..128, 0u8..128).prop_map(
            |(delta_ms, status, first, second)| MidiEvent {
                delta_ms,
                message: ChannelMessage::new(status, first, second).unwrap(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(events in vec(event(), 1..200)) {
            let mut writer = MidiWriter::new();
            let written: Vec<_> = events.into_iter().take_while(|e| writer.push(e.delta_ms, e.message).is_ok()).collect();
            prop_assert_eq!(writer.is_empty(), written.is_empty());
            if !written.is_empty() {
                let read = Events::parse(writer.as_slice()).unwrap();
                prop_assert_eq!((read.len(), read.span_ms()), (writer.events(), writer.span_ms()));
                prop_assert_eq!(read.collect::<Vec<_>>(), written);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in vec(any::<u8>(), 0..200)) {
            match Events::parse(&data) {
                Ok(events) => {
                    let told = events.len();
                    prop_assert_eq!(events.count(), told);
                }
                Err(error) => prop_assert!(error.offset <= data.len()),
            }
        }

        #[test]
        fn bytes_that_are_nearly_events_never_panic(
            mut data in vec(prop_oneof![Just(0u8), 0x80u8..0xF0, 0u8..128], 0..300),
            spoil in any::<u8>(),
            at in any::<prop::sample::Index>(),
        ) {
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = spoil;
            }
            match Events::parse(&data) {
                Ok(events) => {
                    let (told, span_ms) = (events.len(), events.span_ms());
                    prop_assert!(told <= MAX_EVENTS && span_ms <= MAX_SPAN_MS);
                    let read: Vec<_> = events.collect();
                    prop_assert_eq!(read.len(), told);
                    prop_assert_eq!(read.iter().map(|e| e.delta_ms).sum::<u32>(), span_ms);
                }
                Err(error) => prop_assert!(error.offset <= data.len()),
            }
        }
    }
}
