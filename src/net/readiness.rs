//! The readiness set: one epoll instance with all of a shard's sockets, edge-triggered.
//!
//! Both directions are registered once. A connection remembers what it was told and forgets it at `WouldBlock`, so that
//! parking its input or waiting for room in the kernel costs no system call.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};

/// What one socket is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The key it was registered with.
    pub key: usize,
    /// Bytes, the peer's end, or an error wait to be read.
    pub readable: bool,
    /// The kernel takes bytes again.
    pub writable: bool,
    /// The peer has ended its side, or the connection is broken: no further event will say so.
    pub ended: bool,
}

/// All sockets of one shard.
#[derive(Debug)]
pub struct ReadinessSet {
    poll: Poll,
    events: Events,
}

impl ReadinessSet {
    /// An empty set that reports at most `batch` sockets a poll.
    pub fn new(batch: usize) -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(batch) })
    }

    /// Adds a socket. What is ready already is reported by the next poll.
    pub fn add(&self, socket: &impl AsRawFd, key: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(key), interest)
    }

    /// Takes a socket out.
    pub fn remove(&self, socket: &impl AsRawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()))
    }

    /// Asks the kernel, without waiting, and appends what is ready.
    pub fn poll(&mut self, into: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        into.extend(self.events.iter().map(|event| Ready {
            key: event.token().0,
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_error(),
            ended: event.is_read_closed() || event.is_error(),
        }));
        Ok(())
    }
}

impl AsFd for ReadinessSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the set's descriptor is open for as long as the set is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) }
    }
}
