//! A simulated client: its end of a socket, what it has said and what it has heard.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{ErrorKind, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
};

use pianorhythm_server::{
    actor::envelope::ActorId,
    protocol::{
        codec::{self, Format},
        ids::ConnectionId,
        wire::{ClientMessage, ServerMessage, server_message::Message},
    },
    server::simulated::Seated,
};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::plan::{Event, Moderation};

/// One room's life: a room that comes back has another.
pub type Life = (u16, u32, u32);

pub fn life(id: ActorId) -> Life {
    (id.host, id.slot, id.generation)
}

/// A connection from the client's side, for as long as the run lasts.
pub struct Client {
    /// Its place in the list of all.
    pub number: usize,
    pub connection: ConnectionId,
    pub user: usize,
    /// When it came, in the time of [`crate::checks::Checks`].
    pub born: usize,
    pub format: Format,
    socket: Option<UnixStream>,
    out: VecDeque<u8>,
    input: Vec<u8>,
    /// Reads nothing.
    pub is_frozen: bool,
    /// Says nothing, and writes nothing of what it has said.
    pub is_mute: bool,
    /// It was frozen at some time: it may have been closed without being able to hear of it.
    pub has_lagged: bool,
    /// It has said good-bye, or gone without.
    pub has_ended_itself: bool,
    pub is_welcome: bool,
    /// The code of the close frame it got.
    pub closed: Option<u16>,
    /// The server's end is gone.
    pub is_over: bool,
    next_request: u32,
    /// Requests without an answer.
    pub asked: BTreeMap<u32, Asked>,
    /// Seats that the server has given it, which it has not heard of.
    pub seats: VecDeque<Seated>,
    pub visit: Option<Visit>,
    /// What it holds down, by what it has said.
    pub keys: BTreeSet<(u8, u8)>,
    pub pedals: BTreeSet<(u8, u8)>,
    /// Messages to all members of its rooms that it has heard.
    pub shared: u64,
    /// MIDI messages that gaps have told it of.
    pub missed: u64,
    fragment: u64,
}

/// What a request was about.
#[derive(Clone, Debug)]
pub enum Asked {
    Create,
    Join,
    Leave,
    /// In the room of this life, where that is certain.
    Chat(Option<Life>),
    /// What is to be done to a user, the same.
    Moderate {
        how: Moderation,
        user: usize,
        life: Option<Life>,
        write: Option<usize>,
    },
    /// A change of what is kept of a room, by its number; the same.
    Write {
        write: usize,
        life: Option<Life>,
    },
    Other,
}

/// One stay in a room.
#[derive(Debug)]
pub struct Visit {
    pub room: String,
    pub life: Life,
    pub me: u32,
    /// Users' ids by participants.
    pub members: BTreeMap<u32, String>,
    /// Who is or was here.
    pub known: BTreeSet<u32>,
    /// Who was here and left.
    pub gone: BTreeSet<u32>,
    pub streams: BTreeMap<u32, Stream>,
    /// What sounds: participant, channel, key.
    pub keys: BTreeSet<(u32, u8, u8)>,
    pub pedals: BTreeSet<(u32, u8, u8)>,
    /// Who left while something of it sounded: a gap has to say why.
    pub unsilenced: BTreeSet<u32>,
    pub owner: u32,
}

/// What was heard of one participant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// The sequence number heard last, or that a gap ended with; none where it is not known, since it was there before.
    pub last: Option<u32>,
}

/// What came in.
pub enum Heard {
    Message(Box<ClientMessage>, Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(u16),
    End,
}

impl Client {
    pub fn new(
        (number, born): (usize, usize),
        connection: ConnectionId,
        user: usize,
        format: Format,
        socket: UnixStream,
    ) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self {
            number,
            connection,
            user,
            born,
            format,
            socket: Some(socket),
            out: VecDeque::new(),
            input: Vec::new(),
            is_frozen: false,
            is_mute: false,
            has_lagged: false,
            has_ended_itself: false,
            is_welcome: false,
            closed: None,
            is_over: false,
            next_request: 1,
            asked: BTreeMap::new(),
            seats: VecDeque::new(),
            visit: None,
            keys: BTreeSet::new(),
            pedals: BTreeSet::new(),
            shared: 0,
            missed: 0,
            fragment: 0,
        }
    }

    /// It can still say something.
    pub fn is_open(&self) -> bool {
        self.socket.is_some() && !self.is_over && self.closed.is_none() && !self.has_ended_itself
    }

    /// Everything it has said is on its way.
    pub fn has_said_all(&self) -> bool {
        self.out.is_empty()
    }

    /// The server's end of its socket is closed, seen or not.
    pub fn is_hung_up(&self) -> bool {
        let Some(socket) = &self.socket else { return true };
        let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: `poll` is one valid entry, and the descriptor is open.
        unsafe { libc::poll(&raw mut poll, 1, 0) };
        poll.revents & libc::POLLHUP != 0
    }

    /// Asks for something; the answer is awaited.
    pub fn ask(&mut self, what: Asked, message: Message) {
        let id = self.next_request;
        self.next_request += 1;
        self.asked.insert(id, what);
        self.say(Some(id), message);
    }

    /// Says something; it goes as the socket takes it.
    pub fn say(&mut self, request_id: Option<u32>, message: Message) {
        let mut payload = Vec::new();
        codec::encode_server(self.format, &ServerMessage::request(request_id, message), &mut payload);
        let data = if self.format == Format::Json { Data::Text } else { Data::Binary };
        self.fragment += 1;
        // Every seventh message comes in two frames.
        if self.fragment.is_multiple_of(7) && payload.len() > 1 {
            let (first, second) = payload.split_at(payload.len() / 2);
            self.frame(OpCode::Data(data), first, false);
            self.frame(OpCode::Data(Data::Continue), second, true);
        } else {
            self.frame(OpCode::Data(data), &payload, true);
        }
    }

    /// The room in which what it says now is handled; none where a join may come before.
    pub fn certain_life(&self) -> Option<Life> {
        let is_joining = self.asked.values().any(|asked| matches!(asked, Asked::Create | Asked::Join | Asked::Leave));
        self.visit.as_ref().filter(|_| !is_joining).map(|visit| visit.life)
    }

    /// And its name.
    pub fn certain_room(&self) -> Option<String> {
        self.certain_life().and(self.visit.as_ref()).map(|visit| visit.room.clone())
    }

    pub fn pong(&mut self, payload: &[u8]) {
        self.frame(OpCode::Control(Control::Pong), payload, true);
    }

    pub fn say_goodbye(&mut self) {
        self.frame(OpCode::Control(Control::Close), &1000u16.to_be_bytes(), true);
        self.has_ended_itself = true;
    }

    pub fn play(&mut self, events: &[Event]) {
        for event in events {
            match *event {
                Event::On(channel, key) => drop(self.keys.insert((channel, key))),
                Event::Off(channel, key) => drop(self.keys.remove(&(channel, key))),
                Event::Sustain(channel, true) => drop(self.pedals.insert((channel, 64))),
                Event::Sustain(channel, false) => drop(self.pedals.remove(&(channel, 64))),
                Event::AllOff(channel) => self.keys.retain(|(of, _)| *of != channel),
            }
        }
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8], is_final: bool) {
        let mask = (self.fragment as u32).wrapping_mul(0x9E37_79B9).to_be_bytes();
        let header = FrameHeader { is_final, opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut head = Vec::new();
        header.format(payload.len() as u64, &mut head).unwrap();
        self.out.extend(head);
        self.out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Writes so many bytes at most. True where some went.
    pub fn write(&mut self, most: usize) -> bool {
        let Some(socket) = &mut self.socket else { return false };
        let (front, _) = self.out.as_slices();
        let most = most.min(front.len());
        if most == 0 {
            return false;
        }
        match socket.write(&front[..most]) {
            Ok(written) => {
                self.out.drain(..written);
                written > 0
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // The other end is gone; what is left is said to nobody.
            Err(_) => {
                self.out.clear();
                false
            }
        }
    }

    /// Reads so many bytes at most, and takes the frames out.
    pub fn read(&mut self, most: usize) -> Vec<Heard> {
        let Some(socket) = &mut self.socket else { return Vec::new() };
        let mut buffer = [0; 4096];
        let mut left = most;
        let mut is_end = false;
        while left > 0 {
            let most = left.min(buffer.len());
            match socket.read(&mut buffer[..most]) {
                Ok(0) => is_end = true,
                Ok(read) => {
                    self.input.extend_from_slice(&buffer[..read]);
                    left -= read;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => is_end = true,
            }
            break;
        }
        let mut heard = Vec::new();
        while let Some(frame) = self.take_frame() {
            heard.push(frame);
        }
        if is_end {
            self.is_over = true;
            self.socket = None;
            heard.push(Heard::End);
        }
        heard
    }

    fn take_frame(&mut self) -> Option<Heard> {
        let mut cursor = std::io::Cursor::new(&self.input[..]);
        let (header, length) = FrameHeader::parse(&mut cursor).expect("the server's frames are whole")?;
        let (start, length) = (cursor.position() as usize, length as usize);
        if self.input.len() < start + length {
            return None;
        }
        let payload: Vec<u8> = self.input[start..start + length].to_vec();
        self.input.drain(..start + length);
        Some(match header.opcode {
            OpCode::Data(Data::Binary | Data::Text) => {
                let message = codec::decode_client(self.format, &payload).expect("the server's messages decode");
                Heard::Message(Box::new(message), payload)
            }
            OpCode::Control(Control::Ping) => Heard::Ping(payload),
            OpCode::Control(Control::Pong) => Heard::Pong,
            OpCode::Control(Control::Close) => {
                let code = payload.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code));
                Heard::Close(code)
            }
            other => panic!("the server sends no such frames: {other:?}"),
        })
    }

    /// Is gone without a word.
    pub fn vanish(&mut self) {
        self.has_ended_itself = true;
        self.is_over = true;
        self.socket = None;
        self.visit = None;
    }
}
