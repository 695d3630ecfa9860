//! The floor: the least that a one-core relay can cost.
//!
//! An epoll loop that passes each frame on to the other members of its room and does nothing else: no validation, no
//! numbers, no back-pressure. It writes to each member once a loop turn, or, with `--per-message`, once a message. Members
//! come by WebSocket to any path with `room=NAME` in its query, and are in that room from the answer on. A member that does
//! not read loses what its socket does not take, without a word: that is a floor, not a server.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd as _,
};

use clap::Args;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Floor {
    /// The port on 127.0.0.1; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Write to each member once a message, rather than once a loop turn
    #[arg(long)]
    pub per_message: bool,
}

/// What a member's socket brings at most at once, and its longest frame.
const INPUT_BYTES: usize = 4096;
/// What waits at most for a member in one turn; more is dropped.
const OUTPUT_BYTES: usize = 256 * 1024;
/// Longer heads are nobody's.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
/// The listener's place in the events' data: no descriptor has this number.
const LISTENER: u64 = u64::MAX;

/// One connection.
struct Member {
    stream: TcpStream,
    /// `None` before its handshake.
    room: Option<usize>,
    input: Box<[u8; INPUT_BYTES]>,
    filled: usize,
    output: Vec<u8>,
}

/// The relay.
struct Relay {
    per_message: bool,
    /// By descriptor.
    members: Vec<Option<Member>>,
    /// Descriptors, by room.
    rooms: Vec<Vec<usize>>,
    names: HashMap<Vec<u8>, usize>,
    /// Members with output, in this turn.
    dirty: Vec<usize>,
    /// One frame, unmasked.
    frame: Vec<u8>,
}

impl Floor {
    /// Runs it; it ends only with an error.
    pub fn run(&self) -> io::Result<()> {
        crate::process::raise_descriptor_limit();
        let listener = listener(self.port)?;
        println!("listening on http://{}", listener.local_addr()?);
        io::stdout().flush()?;
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let mut relay = Relay {
            per_message: self.per_message,
            members: Vec::new(),
            rooms: Vec::new(),
            names: HashMap::new(),
            dirty: Vec::new(),
            frame: Vec::with_capacity(INPUT_BYTES),
        };
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None) {
                Err(error) if error == rustix::io::Errno::INTR => continue,
                waited => waited?,
            };
            for event in &events {
                match event.data.u64() {
                    LISTENER => relay.accept(&listener, &poll)?,
                    member => relay.read(member as usize),
                }
            }
            relay.flush();
        }
    }
}

fn listener(port: u16) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, poll: &rustix::fd::OwnedFd) -> io::Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = stream.as_raw_fd() as usize;
            epoll::add(poll, &stream, EventData::new_u64(number as u64), EventFlags::IN)?;
            if self.members.len() <= number {
                self.members.resize_with(number + 1, || None);
            }
            let member =
                Member { stream, room: None, input: Box::new([0; INPUT_BYTES]), filled: 0, output: Vec::new() };
            self.members[number] = Some(member);
        }
        Ok(())
    }

    fn read(&mut self, number: usize) {
        // Out of its place while its frames go to the others, itself not among them.
        let Some(mut member) = self.members[number].take() else { return };
        let read = member.stream.read(&mut member.input[member.filled..]);
        let used = match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.members[number] = Some(member);
                return;
            }
            Ok(0) | Err(_) => return self.forget(number, &member),
            Ok(read) => {
                member.filled += read;
                self.take(number, &mut member)
            }
        };
        member.input.copy_within(used..member.filled, 0);
        member.filled -= used;
        self.members[number] = Some(member);
    }

    /// Takes the handshake and whole frames; returns how many bytes they were.
    fn take(&mut self, number: usize, member: &mut Member) -> usize {
        let bytes = &member.input[..member.filled];
        let mut at = 0;
        let room = match member.room {
            Some(room) => room,
            None => {
                let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return 0 };
                let room = self.room(room_name(&bytes[..end]));
                self.rooms[room].push(number);
                let _ = (&member.stream).write(ANSWER);
                member.room = Some(room);
                at = end + 4;
                room
            }
        };
        while let Some(end) = self.unmask(&bytes[at..]) {
            at += end;
            for place in 0..self.rooms[room].len() {
                let other = self.rooms[room][place];
                if other != number {
                    self.deliver(other);
                }
            }
        }
        at
    }

    fn room(&mut self, name: &[u8]) -> usize {
        if let Some(room) = self.names.get(name) {
            return *room;
        }
        let room = self.rooms.len();
        self.rooms.push(Vec::new());
        self.names.insert(name.to_vec(), room);
        room
    }

    /// Puts the first frame, without its mask, into `frame`. Returns its length as it came, `None` where it is not whole.
    fn unmask(&mut self, bytes: &[u8]) -> Option<usize> {
        let length = usize::from(bytes.get(1)? & 127);
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            length => (2, length),
        };
        let mask: [u8; 4] = *bytes.get(head..)?.first_chunk()?;
        let payload = bytes.get(head + 4..head + 4 + length)?;
        self.frame.clear();
        self.frame.extend_from_slice(&bytes[..head]);
        self.frame[1] &= 127;
        self.frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        Some(head + 4 + length)
    }

    fn deliver(&mut self, number: usize) {
        let Some(member) = &mut self.members[number] else { return };
        if self.per_message {
            let _ = (&member.stream).write(&self.frame);
            return;
        }
        if member.output.is_empty() {
            self.dirty.push(number);
        }
        if member.output.len() + self.frame.len() <= OUTPUT_BYTES {
            member.output.extend_from_slice(&self.frame);
        }
    }

    fn flush(&mut self) {
        for number in self.dirty.drain(..) {
            if let Some(member) = &mut self.members[number] {
                let _ = (&member.stream).write(&member.output);
                member.output.clear();
            }
        }
    }

    /// The member's socket closes behind this.
    fn forget(&mut self, number: usize, member: &Member) {
        if let Some(room) = member.room {
            self.rooms[room].retain(|other| *other != number);
        }
    }
}

/// What stands behind `room=`; nothing where there is none.
fn room_name(head: &[u8]) -> &[u8] {
    let Some(at) = head.windows(5).position(|five| five == b"room=") else { return &[] };
    let name = &head[at + 5..];
    let end = name.iter().position(|byte| matches!(byte, b'&' | b' ' | b'\r')).unwrap_or(name.len());
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_what_the_query_says() {
        assert_eq!(room_name(b"GET /?room=r7 HTTP/1.1"), b"r7");
        assert_eq!(room_name(b"GET /api/websocket?name=a&room=jam&colour=x HTTP/1.1"), b"jam");
        assert_eq!(room_name(b"GET / HTTP/1.1"), b"");
    }
}
