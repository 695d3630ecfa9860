//! All connections of the band, read by one loop with one buffer: what comes is checked against the score, and timed.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, net::TcpStream};
use pianorhythm_server::protocol::wire::{ClientMessage, client_message::Message};
use prost::Message as _;
use serde::{Deserialize, Serialize};

use crate::{
    ear::Ear,
    frame::{self, Kind},
    note::Note,
    score::Score,
    sequence::{Arrival, Sequence},
    target::Target,
    wire::{BUFFER_BYTES, Heard, Wire},
};

/// How often a seat is asked for, of a server that fails on purpose.
const SEATING_TRIES: u32 = 5;

/// What became of the notes, and what else went wrong. All but `expected` and `arrived` are faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Notes that were to arrive.
    pub expected: u64,
    /// Notes that arrived, each counted once.
    pub arrived: u64,
    /// Notes that never came.
    pub lost: u64,
    /// Notes that came again.
    pub doubled: u64,
    /// Notes that came after a later one.
    pub reordered: u64,
    /// Notes of the right number that were not the right ones, and notes of nobody in the band.
    pub wrong: u64,
    /// Notes that the server said it shed for a connection that fell behind.
    pub shed: u64,
    /// Requests and notes that the server refused.
    pub refused: u64,
    /// Notes that a socket did not take.
    pub unsent: u64,
    /// Connections that ended.
    pub ended: u64,
    /// What else was heard that should not have been.
    pub strange: u64,
    /// The first complaint in words.
    pub first_word: Option<String>,
}

impl Tally {
    /// Whether all was well.
    pub fn is_clean(&self) -> bool {
        let Self { expected, arrived, first_word, .. } = self;
        *self == Self { expected: *expected, arrived: *arrived, ..Self::default() }
            && arrived == expected
            && first_word.is_none()
    }

    fn say(&mut self, word: impl FnOnce() -> String) {
        self.first_word.get_or_insert_with(word);
    }
}

/// Who takes a seat, and how.
#[derive(Clone, Debug, Default)]
pub struct Ticket {
    /// The handshake's query.
    pub query: String,
    /// Its room in the score; `None`: it is in none, and does not play.
    pub room: Option<usize>,
    /// Its number among the room's players; `None`: it only listens.
    pub player: Option<usize>,
    /// What it says to get into its room, framed.
    pub say: Vec<u8>,
    /// Whether it has to say so; else the query does, and this is for another try.
    pub says_it: bool,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Upgrading,
    Welcoming,
    Joining,
    Seated,
    Ended,
}

/// One connection.
struct Seat {
    /// Taken out while it is read.
    wire: Option<Wire>,
    ticket: Ticket,
    stage: Stage,
    tries: u32,
    /// By player.
    heard: Vec<Sequence>,
}

/// The connections and what they hear.
pub struct Hall {
    target: Target,
    poll: Poll,
    events: Events,
    seats: Vec<Seat>,
    buffer: Vec<u8>,
    score: Score,
    /// By room: which player has which participant number.
    casts: Vec<Vec<Option<u32>>>,
    /// Seats that are not seated yet, nor ended.
    coming: usize,
    /// When the piece began, once it has.
    began: Option<Instant>,
    /// Notes of others than the band are welcome in its rooms.
    pub allows_guests: bool,
    /// When notes came, by phase and second.
    pub ear: Ear,
    /// What became of them.
    pub tally: Tally,
    /// The server's clock by ours: microseconds since the epoch at `epoch`.
    pub server_time_us: i64,
    /// When that was.
    pub epoch: Instant,
}

impl Hall {
    /// An empty hall.
    pub fn new(target: Target, score: Score, ear: Ear) -> io::Result<Self> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            target,
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            seats: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
            score,
            casts: vec![Vec::new(); score.rooms],
            coming: 0,
            began: None,
            allows_guests: false,
            ear,
            tally: Tally { expected: score.deliveries(), ..Tally::default() },
            server_time_us: i64::try_from(since.as_micros()).unwrap_or(0),
            epoch: Instant::now(),
        })
    }

    /// Opens a connection; what becomes of it is heard in further turns.
    pub fn admit(&mut self, ticket: Ticket) -> io::Result<()> {
        let token = Token(self.seats.len());
        let wire = Wire::open(&self.target, &ticket.query, self.poll.registry(), token)?;
        let heard = vec![Sequence::default(); if ticket.room.is_some() { self.score.players } else { 0 }];
        self.seats.push(Seat { wire: Some(wire), ticket, stage: Stage::Upgrading, tries: 1, heard });
        self.coming += 1;
        Ok(())
    }

    /// Connections that are on their way to their seats.
    pub fn coming(&self) -> usize {
        self.coming
    }

    /// The sockets of those who play, by room and player, to play on from another thread.
    pub fn players(&self) -> Vec<Vec<Arc<TcpStream>>> {
        let mut rooms: Vec<Vec<_>> = vec![Vec::new(); self.score.rooms];
        for seat in &self.seats {
            if let (Some(room), Some(player), Some(wire)) = (seat.ticket.room, seat.ticket.player, &seat.wire) {
                rooms[room].push((player, Arc::clone(wire.stream())));
            }
        }
        let in_order = |mut players: Vec<(usize, Arc<TcpStream>)>| {
            players.sort_by_key(|(player, _)| *player);
            players.into_iter().map(|(_, stream)| stream).collect()
        };
        rooms.into_iter().map(in_order).collect()
    }

    /// Connections that are there.
    pub fn connected(&self) -> usize {
        self.seats.iter().filter(|seat| seat.stage != Stage::Ended).count()
    }

    /// The piece begins.
    pub fn begin(&mut self, began: Instant) {
        self.began = Some(began);
    }

    /// The piece is over: what has not come by now is lost.
    pub fn close_books(&mut self) {
        let Tally { expected, arrived, shed, .. } = self.tally;
        self.tally.lost = expected.saturating_sub(arrived).saturating_sub(shed);
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
        let Some(mut wire) = self.seats[seat].wire.take() else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        let arrival = Instant::now();
        let read = wire.read(&mut buffer, |wire, heard| self.hear(seat, wire, heard, arrival));
        self.buffer = buffer;
        match read {
            Ok(true) => {}
            Ok(false) => self.end(seat, || "the connection ended".into()),
            Err(error) => self.end(seat, || error.to_string()),
        }
        // What has ended is read no more, but its descriptor stays, so that a writer meets an error and no stranger.
        if self.seats[seat].stage != Stage::Ended {
            self.seats[seat].wire = Some(wire);
        }
    }

    fn hear(&mut self, seat: usize, wire: &Wire, heard: Heard<'_>, arrival: Instant) {
        match heard {
            Heard::Frame(Kind::Binary, payload) => match Note::read(payload) {
                Some(note) => self.take_note(seat, &note, arrival),
                None => match ClientMessage::decode(payload) {
                    Ok(message) => self.take(seat, wire, message, arrival),
                    Err(error) => self.strange(|| format!("what does not decode: {error}")),
                },
            },
            // A socket that takes no pong will be closed by the server, and be counted then.
            Heard::Frame(Kind::Ping, payload) => _ = wire.write(&frame::pong(payload)),
            Heard::Frame(Kind::Close, payload) => {
                let code = frame::close_code(payload);
                self.end(seat, || format!("close code {code}"));
            }
            Heard::Frame(kind, _) => self.strange(|| format!("an odd frame: {kind:?}")),
            Heard::Answer(answer) if !answer.is_upgrade() => {
                self.end(seat, || format!("no WebSocket: HTTP status {}", answer.status));
            }
            Heard::Answer(_) if self.target.is_relay => {
                let Ticket { room, player, .. } = self.seats[seat].ticket;
                self.seated(seat, room.zip(player).map(|(_, player)| player as u32 + 1));
            }
            Heard::Answer(_) => self.seats[seat].stage = Stage::Welcoming,
        }
    }

    fn take(&mut self, seat: usize, wire: &Wire, message: ClientMessage, arrival: Instant) {
        match message.message {
            Some(Message::Welcome(welcome)) => {
                (self.server_time_us, self.epoch) = (welcome.server_time_us, arrival);
                let Seat { ticket, stage, .. } = &mut self.seats[seat];
                if ticket.room.is_none() {
                    return self.seated(seat, None);
                }
                *stage = Stage::Joining;
                if ticket.says_it
                    && let Err(error) = wire.write(&ticket.say)
                {
                    self.end(seat, || error.to_string());
                }
            }
            Some(Message::RoomJoinedResponse(joined)) => self.seated(seat, Some(joined.participant)),
            Some(Message::Gap(gap)) => {
                let player = self.player(seat, gap.participant);
                let heard = player.and_then(|player| self.seats[seat].heard.get_mut(player));
                let shed = heard.map_or(0, |heard| heard.skip_to(gap.next_sequence));
                self.tally.shed += u64::from(shed);
                self.tally.say(|| "the server shed notes for a connection that fell behind".into());
            }
            Some(Message::ErrorMessage(error)) => {
                let Seat { ticket, stage, tries, .. } = &mut self.seats[seat];
                if *stage == Stage::Joining && error.error_code == "SERVER_ERROR" && *tries < SEATING_TRIES {
                    *tries += 1;
                    _ = wire.write(&ticket.say);
                    return;
                }
                self.tally.refused += 1;
                self.tally.say(|| format!("{}: {}", error.error_code, error.error_message));
            }
            Some(Message::QuotaExceeded(quota)) => {
                self.tally.refused += u64::from(quota.refused);
                self.tally
                    .say(|| "the note quota is spent: play slower, or start the server with config/load.toml".into());
            }
            _ => {}
        }
    }

    fn seated(&mut self, seat: usize, participant: Option<u32>) {
        let Seat { ticket, stage, .. } = &mut self.seats[seat];
        let (room, player) = (ticket.room, ticket.player);
        if matches!(std::mem::replace(stage, Stage::Seated), Stage::Upgrading | Stage::Welcoming | Stage::Joining) {
            self.coming -= 1;
        }
        let (Some(room), Some(player), Some(participant)) = (room, player, participant) else { return };
        let cast = &mut self.casts[room];
        let number = participant as usize;
        cast.resize(cast.len().max(number + 1), None);
        cast[number] = u32::try_from(player).ok();
    }

    fn player(&self, seat: usize, participant: u32) -> Option<usize> {
        let cast = &self.casts[self.seats[seat].ticket.room?];
        cast.get(participant as usize).copied().flatten().map(|player| player as usize)
    }

    fn take_note(&mut self, seat: usize, note: &Note<'_>, arrival: Instant) {
        let player = self.player(seat, note.participant);
        let (Some(player), Some(room), Some(began)) = (player, self.seats[seat].ticket.room, self.began) else {
            // Of somebody beside the band.
            if !self.allows_guests {
                self.tally.wrong += 1;
                self.tally.say(|| format!("a note of a stranger, participant {}", note.participant));
            }
            return;
        };
        match self.seats[seat].heard[player].take(note.sequence) {
            Arrival::InOrder | Arrival::Ahead(_) => {}
            Arrival::Reordered => self.tally.reordered += 1,
            Arrival::Doubled => return self.tally.doubled += 1,
        }
        let number = (note.sequence as usize).wrapping_sub(1);
        if number >= self.score.notes || note.midi != Score::note(number) {
            self.tally.wrong += 1;
            self.tally.say(|| format!("note {} of player {player} is {:?}", note.sequence, note.midi));
            return;
        }
        self.tally.arrived += 1;
        let due = self.score.due(room, player, number);
        self.ear.hear(due, arrival.saturating_duration_since(began + due));
    }

    fn end(&mut self, seat: usize, why: impl FnOnce() -> String) {
        let stage = std::mem::replace(&mut self.seats[seat].stage, Stage::Ended);
        if stage == Stage::Ended {
            return;
        }
        if stage != Stage::Seated {
            self.coming -= 1;
        }
        self.tally.ended += 1;
        self.tally.say(why);
    }

    fn strange(&mut self, word: impl FnOnce() -> String) {
        self.tally.strange += 1;
        self.tally.say(word);
    }
}
