//! All connections, read by one loop with one buffer: what comes is checked against the score, and timed.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use pianorhythm_client::protocol::wire::{ClientMessage, MidiMessage, client_message::Message};
use prost::Message as _;

use crate::{
    connection::{self, Kind},
    score::{Score, new_histogram},
};

const BUFFER_BYTES: usize = 256 * 1024;

/// What went wrong, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Notes that came again, or after a later one.
    pub repeated: u64,
    /// Notes of the right number that were not the right ones, and notes of nobody in the band.
    pub wrong: u64,
    /// Times the server said that it shed notes.
    pub gaps: u64,
    /// Connections that ended.
    pub ended: u64,
    /// Requests and notes that the server refused, and the first such answer.
    pub refused: u64,
    /// What the server or the network said first.
    pub first_word: Option<String>,
}

/// One connection.
struct Seat {
    stream: Arc<TcpStream>,
    /// The beginning of a frame that is not whole yet.
    tail: Vec<u8>,
    room: usize,
    /// Its number in its room; 0 before it has one.
    participant: u32,
    welcomed: bool,
    ended: bool,
    /// By participant, from 1: the sequence number that is due.
    next: Vec<u32>,
}

/// The connections and what they hear.
pub struct Hall {
    poll: Poll,
    events: Events,
    seats: Vec<Seat>,
    buffer: Vec<u8>,
    score: Score,
    /// When the piece began, once it has.
    began: Option<Instant>,
    /// Notes due before this are checked, but not timed.
    timed_from: Duration,
    /// From the moment a note was due to its arrival, in microseconds.
    pub latency: Histogram<u64>,
    /// Notes that arrived.
    pub arrived: u64,
    /// What went wrong.
    pub faults: Faults,
    /// The server's clock by the band's: microseconds since the epoch at `epoch`.
    pub server_time_us: i64,
    /// When that was.
    pub epoch: Instant,
}

impl Hall {
    /// An empty hall.
    pub fn new(score: Score, timed_from: Duration) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            seats: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            score,
            began: None,
            timed_from,
            latency: new_histogram(),
            arrived: 0,
            faults: Faults::default(),
            server_time_us: 0,
            epoch: Instant::now(),
        })
    }

    /// Adds a connection and waits for its welcome; `say` is said once it is there.
    pub fn admit(&mut self, address: &str, query: &str, room: usize, say: Option<&[u8]>) -> io::Result<usize> {
        let (stream, tail) = connection::connect(address, query)?;
        let mut stream = TcpStream::from_std(stream);
        let seat = self.seats.len();
        self.poll.registry().register(&mut stream, Token(seat), Interest::READABLE)?;
        let next = vec![1; self.score.players];
        let stream = Arc::new(stream);
        self.seats.push(Seat { stream, tail: Vec::new(), room, participant: 0, welcomed: false, ended: false, next });
        let used = self.hear(seat, &tail);
        self.seats[seat].tail = tail[used..].to_vec();
        self.wait(seat, "the welcome", |seat| seat.welcomed)?;
        if let Some(say) = say {
            self.say_to(seat, say)?;
        }
        Ok(seat)
    }

    /// Says something on a connection.
    pub fn say_to(&mut self, seat: usize, frame: &[u8]) -> io::Result<()> {
        (&*self.seats[seat].stream).write_all(frame)
    }

    /// Forgets a refusal, where it began so; says whether it did.
    pub fn forgive(&mut self, code: &str) -> bool {
        let is_that = self.faults.first_word.as_ref().is_some_and(|word| word.starts_with(code));
        if is_that {
            self.faults = Faults::default();
        }
        is_that
    }

    /// Waits until a connection is in its room.
    pub fn wait_seated(&mut self, seat: usize) -> io::Result<()> {
        self.wait(seat, "a place in the room", |seat| seat.participant != 0)
    }

    fn wait(&mut self, seat: usize, what: &str, done: impl Fn(&Seat) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done(&self.seats[seat]) {
            if Instant::now() > deadline || self.seats[seat].ended || self.faults.refused > 0 {
                let word = self.faults.first_word.as_deref().unwrap_or("nothing for 30 s");
                return Err(io::Error::other(format!("connection {seat} waits for {what}, and hears: {word}")));
            }
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// The sockets, to play on from another thread, in the order of admission.
    pub fn streams(&self) -> Vec<Arc<TcpStream>> {
        self.seats.iter().map(|seat| Arc::clone(&seat.stream)).collect()
    }

    /// Connections that are there.
    pub fn connected(&self) -> usize {
        self.seats.iter().filter(|seat| !seat.ended).count()
    }

    /// The piece begins.
    pub fn begin(&mut self, began: Instant) {
        self.began = Some(began);
    }

    /// Waits for sockets, at most so long, and reads those that have something.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(timeout));
        for event in &events {
            self.read(event.token().0);
        }
        self.events = events;
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        }
    }

    fn read(&mut self, seat: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let kept = std::mem::take(&mut self.seats[seat].tail);
            buffer[..kept.len()].copy_from_slice(&kept);
            match (&*self.seats[seat].stream).read(&mut buffer[kept.len()..]) {
                Ok(0) => self.end(seat, "the connection ended".into()),
                Ok(read) => {
                    let bytes = kept.len() + read;
                    let used = self.hear(seat, &buffer[..bytes]);
                    self.seats[seat].tail = buffer[used..bytes].to_vec();
                    // A read that could have brought more has not emptied the socket.
                    if bytes == buffer.len() {
                        continue;
                    }
                }
                Err(error) => {
                    self.seats[seat].tail = kept;
                    match error.kind() {
                        io::ErrorKind::WouldBlock => {}
                        io::ErrorKind::Interrupted => continue,
                        _ => self.end(seat, error.to_string()),
                    }
                }
            }
            break;
        }
        self.buffer = buffer;
    }

    /// Takes the whole frames of these bytes; returns how many bytes they were.
    fn hear(&mut self, seat: usize, bytes: &[u8]) -> usize {
        let arrival = Instant::now();
        let mut at = 0;
        while let Some((kind, payload, end)) = connection::frame(&bytes[at..]) {
            let payload = &bytes[at + payload.start..at + payload.end];
            match kind {
                Kind::Binary => match ClientMessage::decode(payload) {
                    Ok(message) => self.take(seat, message, arrival),
                    Err(error) => self.say(format!("what does not decode: {error}")),
                },
                Kind::Ping => {
                    // A socket that takes no pong will be closed by the server, and be counted then.
                    let _ = (&*self.seats[seat].stream).write(&connection::pong(payload));
                }
                Kind::Close => {
                    let code = payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code));
                    self.end(seat, format!("close code {code}"));
                }
                Kind::Other(first) => self.say(format!("a frame that begins with {first:#04x}")),
            }
            at += end;
        }
        at
    }

    fn take(&mut self, seat: usize, message: ClientMessage, arrival: Instant) {
        match message.message {
            Some(Message::MidiMessage(midi)) => self.take_note(seat, &midi, arrival),
            Some(Message::Welcome(welcome)) => {
                (self.server_time_us, self.epoch) = (welcome.server_time_us, arrival);
                self.seats[seat].welcomed = true;
            }
            Some(Message::RoomJoinedResponse(joined)) => self.seats[seat].participant = joined.participant,
            Some(Message::Gap(gap)) => {
                self.faults.gaps += 1;
                if let Some(next) = self.seats[seat].next.get_mut(gap.participant.wrapping_sub(1) as usize) {
                    *next = gap.next_sequence;
                }
            }
            Some(Message::ErrorMessage(error)) => {
                self.faults.refused += 1;
                self.say(format!("{}: {}", error.error_code, error.error_message));
            }
            Some(Message::QuotaExceeded(quota)) => {
                self.faults.refused += u64::from(quota.refused);
                self.say("the note quota is spent: play slower".into());
            }
            _ => {}
        }
    }

    fn take_note(&mut self, seat: usize, midi: &MidiMessage, arrival: Instant) {
        let Seat { room, next, .. } = &mut self.seats[seat];
        let player = midi.participant.wrapping_sub(1) as usize;
        let (Some(next), Some(began)) = (next.get_mut(player), self.began) else {
            self.faults.wrong += 1;
            return;
        };
        if midi.sequence < *next {
            self.faults.repeated += 1;
            return;
        }
        *next = midi.sequence + 1;
        let note = (midi.sequence - 1) as usize;
        if note >= self.score.notes || midi.midi_data != Score::note(note) {
            self.faults.wrong += 1;
            return;
        }
        self.arrived += 1;
        let due = self.score.due(*room, player, note);
        if due >= self.timed_from {
            let late = arrival.saturating_duration_since(began + due);
            self.latency.saturating_record(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn end(&mut self, seat: usize, why: String) {
        if !std::mem::replace(&mut self.seats[seat].ended, true) {
            self.faults.ended += 1;
            self.say(why);
        }
    }

    fn say(&mut self, word: String) {
        self.faults.first_word.get_or_insert(word);
    }
}
