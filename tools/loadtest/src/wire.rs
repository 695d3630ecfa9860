//! One connection, read without blocking: its handshake's answer, then frames.

use std::{
    io::{self, Read as _, Write as _},
    sync::Arc,
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    frame::{self, Kind},
    target::{Answer, Target},
};

/// What is enough for a read; the longest frame of the protocol is a quarter of it.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// What came.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The answer to the handshake. Where it is no upgrade, nothing follows.
    Answer(Answer),
    /// A frame.
    Frame(Kind, &'a [u8]),
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: Arc<TcpStream>,
    /// The beginning of a frame that is not whole yet.
    tail: Vec<u8>,
    is_upgraded: bool,
}

impl Wire {
    /// Connects and asks for the upgrade; the answer is heard later.
    pub fn open(target: &Target, query: &str, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::over(target.connect()?, &target.request(query), registry, token)
    }

    /// Sends a request over a connection that is there.
    pub fn over(stream: std::net::TcpStream, request: &str, registry: &Registry, token: Token) -> io::Result<Self> {
        (&stream).write_all(request.as_bytes())?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE)?;
        Ok(Self { stream: Arc::new(stream), tail: Vec::new(), is_upgraded: false })
    }

    /// The socket, to write to from another thread.
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Writes a frame. An error where the socket does not take it whole: the connection is of no use any more.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        (&*self.stream).write_all(bytes)
    }

    /// Reads all there is and tells it. False: the connection has ended, and in the error's words where there was one.
    pub fn read(&mut self, buffer: &mut [u8], mut hear: impl FnMut(&Self, Heard<'_>)) -> io::Result<bool> {
        loop {
            let kept = self.tail.len();
            // A frame that is longer than anything the protocol allows.
            let Some(space) = buffer.get_mut(kept..).filter(|space| !space.is_empty()) else {
                return Err(io::Error::other("a frame larger than any of the protocol"));
            };
            let read = match (&*self.stream).read(space) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            buffer[..kept].copy_from_slice(&self.tail);
            let bytes = &buffer[..kept + read];
            let used = self.take(bytes, &mut hear);
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[used..]);
            // A read that could have brought more has not emptied the socket.
            if bytes.len() < buffer.len() {
                return Ok(true);
            }
        }
    }

    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(&Self, Heard<'_>)) -> usize {
        let mut at = 0;
        if !self.is_upgraded {
            let Some((answer, end)) = Answer::read(bytes) else { return 0 };
            let is_upgrade = answer.is_upgrade();
            hear(self, Heard::Answer(answer));
            if !is_upgrade {
                return bytes.len();
            }
            (self.is_upgraded, at) = (true, end);
        }
        while let Some((kind, payload, end)) = frame::first(&bytes[at..]) {
            hear(self, Heard::Frame(kind, &bytes[at + payload.start..at + payload.end]));
            at += end;
        }
        at
    }
}
