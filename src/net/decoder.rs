//! Client frames: parsed and unmasked in place, fragments put together, the rules of RFC 6455 kept.
//!
//! The decoder takes whatever bytes have arrived and gives one [`Event`] at a time. It owns nothing of a message that came
//! whole: the payload is a range of the caller's buffer. Of a message that comes in pieces, fragments or parts of a frame, it
//! takes each piece in as it comes: unmasked, bounded by the message limit, and text judged at once, so that what can not
//! become UTF-8 any more is refused without waiting for the frame's end. The tail that is kept besides is less than a header,
//! or than a control frame.

use std::{io::Cursor, ops::Range};

use serde::{Deserialize, Serialize};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode as WireCloseCode, Control, Data, OpCode},
};

use crate::protocol::close::CloseCode;

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole message of valid UTF-8.
    Text,
    /// A whole message of bytes.
    Binary,
    /// To be answered with a pong of the same payload.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The peer closes; the payload is empty or a valid code and a UTF-8 reason.
    Close,
}

/// Where a payload lies.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// In the caller's buffer, from where it was given.
    InPlace(Range<usize>),
    /// Put together from what came in pieces.
    Assembled(Vec<u8>),
}

/// One thing a client sent, and how many bytes of the buffer it used up.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: Kind,
    /// Its payload, unmasked.
    pub payload: Payload,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// An event; the next step starts `used` bytes on.
    Event {
        /// Bytes used up.
        used: usize,
        /// What was in them.
        event: Event,
    },
    /// A piece of a message was taken in; the next step starts `used` bytes on.
    Fragment {
        /// Bytes used up.
        used: usize,
    },
    /// There is nothing to be taken in yet: no bytes, or part of a header or of a control frame.
    NeedMore,
}

/// A violation that ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// RFC 6455 forbids it.
    #[error("{0}")]
    Protocol(&'static str),
    /// A message over the limit.
    #[error("a message over the size limit")]
    TooBig,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    InvalidUtf8,
}

impl FrameError {
    /// The close code that says so.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode::Protocol,
            Self::TooBig => CloseCode::TooBig,
            Self::InvalidUtf8 => CloseCode::InvalidUtf8,
        }
    }
}

/// A message whose pieces are coming in.
#[derive(Debug, Serialize, Deserialize)]
struct Partial {
    text: bool,
    bytes: Vec<u8>,
    /// How many bytes of text are known to be valid.
    checked: usize,
    /// The frame that is coming in; none between two.
    frame: Option<Begun>,
}

/// A data frame of which the end has not come.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    is_final: bool,
    /// Turned so that its first byte is the next byte's.
    mask: [u8; 4],
    /// Bytes that are still to come: at least one.
    left: usize,
}

impl Partial {
    fn new(text: bool) -> Self {
        Self { text, bytes: Vec::new(), checked: 0, frame: None }
    }

    /// Takes a piece in, unmasked; `is_last`: the message ends with it.
    fn take(&mut self, piece: &[u8], is_last: bool) -> Result<(), FrameError> {
        self.bytes.extend_from_slice(piece);
        if self.text {
            match std::str::from_utf8(&self.bytes[self.checked..]) {
                Ok(_) => self.checked = self.bytes.len(),
                // A character may go on in the next piece, but not after the last.
                Err(error) if error.error_len().is_none() && !is_last => self.checked += error.valid_up_to(),
                Err(_) => return Err(FrameError::InvalidUtf8),
            }
        }
        Ok(())
    }

    fn into_event(self) -> Event {
        let kind = if self.text { Kind::Text } else { Kind::Binary };
        Event { kind, payload: Payload::Assembled(self.bytes) }
    }
}

/// The state of one connection's inbound side between reads. Moves with its connection.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Decoder {
    tail: Vec<u8>,
    partial: Option<Partial>,
}

impl Decoder {
    /// A decoder that has these bytes waiting already.
    pub fn with_leftover(leftover: &[u8]) -> Self {
        Self { tail: leftover.to_vec(), partial: None }
    }

    /// Takes what was kept of earlier reads; new bytes go behind it. Empty where nothing was.
    pub fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    /// Keeps what the steps have not used up.
    pub fn keep_tail(&mut self, tail: Vec<u8>) {
        debug_assert!(self.tail.is_empty(), "the tail was taken before");
        self.tail = tail;
    }

    /// Bytes kept between reads.
    pub fn kept(&self) -> usize {
        self.tail.len() + self.partial.as_ref().map_or(0, |partial| partial.bytes.len())
    }

    /// Bytes are waiting that no step has seen, or only as part of a frame.
    pub fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Parses the next frame of `input`, unmasking it in place. Messages are at most `limit` bytes.
    pub fn step(&mut self, input: &mut [u8], limit: usize) -> Result<Step, FrameError> {
        if self.partial.as_ref().is_some_and(|partial| partial.frame.is_some()) {
            return self.go_on(input);
        }
        let mut cursor = Cursor::new(&*input);
        let header = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol("a reserved op code"))?;
        let Some((header, length)) = header else { return Ok(Step::NeedMore) };
        let start = cursor.position() as usize;
        self.check(&header, length, limit)?;
        let mask = header.mask.expect("checked above");
        // The limit was checked: the length is small.
        let end = start + length as usize;
        let is_whole = input.len() >= end;
        let event = match header.opcode {
            OpCode::Control(_) if !is_whole => return Ok(Step::NeedMore),
            OpCode::Data(data) if !is_whole => {
                let partial = self.partial.get_or_insert_with(|| Partial::new(data == Data::Text));
                partial.frame = Some(Begun { is_final: header.is_final, mask, left: length as usize });
                return Ok(match self.go_on(&mut input[start..])? {
                    Step::Fragment { used } => Step::Fragment { used: start + used },
                    _ => Step::Fragment { used: start },
                });
            }
            OpCode::Control(control) => {
                unmask(&mut input[start..end], mask);
                Some(control_event(control, &input[start..end], start)?)
            }
            OpCode::Data(data) => {
                unmask(&mut input[start..end], mask);
                self.data_event(data, header.is_final, &input[start..end], start)?
            }
        };
        Ok(match event {
            Some(event) => Step::Event { used: end, event },
            None => Step::Fragment { used: end },
        })
    }

    /// Takes in what has come of the frame that is coming in.
    fn go_on(&mut self, input: &mut [u8]) -> Result<Step, FrameError> {
        let partial = self.partial.as_mut().expect("a message is coming in");
        let frame = partial.frame.as_mut().expect("a frame is coming in");
        let used = frame.left.min(input.len());
        if used == 0 {
            return Ok(Step::NeedMore);
        }
        unmask(&mut input[..used], frame.mask);
        frame.mask.rotate_left(used % 4);
        frame.left -= used;
        let is_over = frame.left == 0;
        let is_last = is_over && frame.is_final;
        if is_over {
            partial.frame = None;
        }
        partial.take(&input[..used], is_last)?;
        match self.partial.take_if(|_| is_last) {
            Some(whole) => Ok(Step::Event { used, event: whole.into_event() }),
            None => Ok(Step::Fragment { used }),
        }
    }

    /// What the header tells, in tungstenite's order: of several violations, the first is named.
    fn check(&self, header: &FrameHeader, length: u64, limit: usize) -> Result<(), FrameError> {
        if length > limit as u64 {
            return Err(FrameError::TooBig);
        }
        if header.mask.is_none() {
            return Err(FrameError::Protocol("a client's frame without a mask"));
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(FrameError::Protocol("reserved bits without an extension"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => Err(FrameError::Protocol("a fragmented control frame")),
            OpCode::Control(_) if length > 125 => Err(FrameError::Protocol("a control frame over 125 bytes")),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(data) => {
                match (data, &self.partial) {
                    (Data::Continue, None) => return Err(FrameError::Protocol("a continuation of nothing")),
                    (Data::Text | Data::Binary, Some(_)) => {
                        return Err(FrameError::Protocol("a new message inside a fragmented one"));
                    }
                    _ => {}
                }
                let before = self.partial.as_ref().map_or(0, |partial| partial.bytes.len());
                if length > (limit - before.min(limit)) as u64 { Err(FrameError::TooBig) } else { Ok(()) }
            }
        }
    }

    fn data_event(
        &mut self,
        data: Data,
        is_final: bool,
        payload: &[u8],
        start: usize,
    ) -> Result<Option<Event>, FrameError> {
        if is_final && self.partial.is_none() {
            let kind = if data == Data::Text { Kind::Text } else { Kind::Binary };
            if kind == Kind::Text && std::str::from_utf8(payload).is_err() {
                return Err(FrameError::InvalidUtf8);
            }
            return Ok(Some(Event { kind, payload: Payload::InPlace(start..start + payload.len()) }));
        }
        let partial = self.partial.get_or_insert_with(|| Partial::new(data == Data::Text));
        partial.take(payload, is_final)?;
        Ok(self.partial.take_if(|_| is_final).map(Partial::into_event))
    }
}

fn control_event(control: Control, payload: &[u8], start: usize) -> Result<Event, FrameError> {
    let kind = match control {
        Control::Ping => Kind::Ping,
        Control::Pong => Kind::Pong,
        Control::Close => {
            check_close(payload)?;
            Kind::Close
        }
        Control::Reserved(_) => return Err(FrameError::Protocol("a reserved op code")),
    };
    Ok(Event { kind, payload: Payload::InPlace(start..start + payload.len()) })
}

fn check_close(payload: &[u8]) -> Result<(), FrameError> {
    match payload {
        [] => Ok(()),
        [_] => Err(FrameError::Protocol("half a close code")),
        [high, low, reason @ ..] => {
            std::str::from_utf8(reason).map_err(|_| FrameError::InvalidUtf8)?;
            if WireCloseCode::from(u16::from_be_bytes([*high, *low])).is_allowed() {
                Ok(())
            } else {
                Err(FrameError::Protocol("a close code that may not travel"))
            }
        }
    }
}

/// Undoes the mask, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let value = u64::from_ne_bytes((&*chunk).try_into().expect("eight bytes")) ^ wide;
        chunk.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests;
