//! Connections beside the band: many on one thread, each of which may be anything but well-behaved.

use std::{
    io,
    net::TcpStream,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};
use pianorhythm_server::protocol::wire::{ClientMessage, client_message::Message};
use prost::Message as _;

use crate::{
    frame::{self, Kind},
    note::Note,
    target::Target,
    wire::{BUFFER_BYTES, Heard, Wire},
};

/// What was said to a member of the crowd.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It is a WebSocket now.
    Upgraded,
    /// Its request was answered otherwise, with this status of HTTP.
    Answered(u16),
    /// Welcome; with the token of a guest.
    Welcome(String),
    /// It is in the room it asked for.
    Joined,
    /// A note of a participant, of this number.
    Note(u32, u32),
    /// Notes were shed for it.
    Gap(u32, u32),
    /// An error, by its code.
    Error(String),
    /// A pong.
    Pong,
    /// Any other message.
    Other,
    /// The connection was closed with this code. Nothing follows.
    Closed(u16),
    /// The connection ended without a word. Nothing follows.
    Ended,
}

/// The crowd.
pub struct Crowd {
    target: Target,
    poll: Poll,
    events: Events,
    /// `None`: gone.
    wires: Vec<Option<Wire>>,
    buffer: Vec<u8>,
    said: Vec<(usize, Said)>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(target: &Target) -> io::Result<Self> {
        Ok(Self {
            target: target.clone(),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            wires: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            said: Vec::new(),
        })
    }

    /// Opens a WebSocket with this query. Returns the member's number, which no other ever has.
    pub fn open(&mut self, query: &str) -> io::Result<usize> {
        let request = self.target.request(query);
        self.request(self.target.connect()?, &request)
    }

    /// Sends any request over a connection.
    pub fn request(&mut self, stream: TcpStream, request: &str) -> io::Result<usize> {
        let number = self.wires.len();
        self.wires.push(Some(Wire::over(stream, request, self.poll.registry(), Token(number))?));
        Ok(number)
    }

    /// Writes bytes. False: the socket does not take them, or is gone.
    pub fn write(&self, member: usize, bytes: &[u8]) -> bool {
        self.wires[member].as_ref().is_some_and(|wire| wire.write(bytes).is_ok())
    }

    /// Ends a connection without a word.
    pub fn cut(&mut self, member: usize) {
        self.wires[member] = None;
    }

    /// Whether a member is still connected.
    pub fn is_there(&self, member: usize) -> bool {
        self.wires[member].is_some()
    }

    /// Waits until then at most, or until something is said to somebody, and tells what.
    pub fn turn(&mut self, until: Instant) -> io::Result<Vec<(usize, Said)>> {
        // Rounded up to milliseconds, or the last of them would be spent in circles.
        let left = until.saturating_duration_since(Instant::now());
        let polled = self.poll.poll(&mut self.events, Some(left.max(Duration::from_millis(1))));
        if let Err(error) = polled
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &self.events {
            let number = event.token().0;
            let Some(mut wire) = self.wires[number].take() else { continue };
            let said = &mut self.said;
            let mut is_over = false;
            let read = wire.read(&mut self.buffer, |wire, heard| {
                let what = what(wire, heard);
                is_over |= matches!(what, Some(Said::Closed(_) | Said::Answered(_)));
                said.extend(what.map(|what| (number, what)));
            });
            if is_over {
                continue;
            }
            match read {
                Ok(true) => self.wires[number] = Some(wire),
                _ => self.said.push((number, Said::Ended)),
            }
        }
        Ok(std::mem::take(&mut self.said))
    }
}

fn what(wire: &Wire, heard: Heard<'_>) -> Option<Said> {
    Some(match heard {
        Heard::Answer(answer) if answer.is_upgrade() => Said::Upgraded,
        Heard::Answer(answer) => Said::Answered(answer.status),
        Heard::Frame(Kind::Binary, payload) => match Note::read(payload) {
            Some(note) => Said::Note(note.participant, note.sequence),
            None => message(payload),
        },
        Heard::Frame(Kind::Ping, payload) => {
            let _ = wire.write(&frame::pong(payload));
            return None;
        }
        Heard::Frame(Kind::Pong, _) => Said::Pong,
        Heard::Frame(Kind::Close, payload) => Said::Closed(frame::close_code(payload)),
        Heard::Frame(Kind::Other(_), _) => Said::Other,
    })
}

fn message(payload: &[u8]) -> Said {
    match ClientMessage::decode(payload).ok().and_then(|message| message.message) {
        Some(Message::Welcome(welcome)) => Said::Welcome(welcome.guest_token),
        Some(Message::RoomJoinedResponse(_)) => Said::Joined,
        Some(Message::ErrorMessage(error)) => Said::Error(error.error_code),
        Some(Message::QuotaExceeded(_)) => Said::Error("QUOTA_EXCEEDED".into()),
        Some(Message::Gap(gap)) => Said::Gap(gap.participant, gap.next_sequence),
        _ => Said::Other,
    }
}
