//! One connection's wire: its socket, what is half read, what is not yet written.

use std::{
    io::{self, IoSlice},
    os::fd::{AsRawFd, RawFd},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    net::{
        decoder::Decoder,
        frame,
        outbox::{Bounds, Class, Outbox, Pushed, Shed},
        socket::{Socket, SocketSettings},
    },
    protocol::{
        codec::Format,
        time::Timestamp,
        wire::{ClientMessage, Gap, client_message::Message},
    },
};

/// Slices a single write takes at most.
const SLICES: usize = 128;
/// As many as mostly wait, in a busy room too.
const FEW: usize = 16;

/// What of a wire travels when its connection moves to another shard; the socket goes beside it.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireState {
    decoder: Decoder,
    outbox: Outbox,
    format: Format,
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes; more may wait.
    Bytes(usize),
    /// Nothing waits.
    Drained,
    /// The peer has ended its side, or the connection is broken.
    Ended,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Nothing waits.
    Drained,
    /// The kernel takes no more for now.
    Blocked,
    /// The connection is broken.
    Broken,
}

/// A socket with both of its sides.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    /// The inbound side.
    pub decoder: Decoder,
    outbox: Outbox,
    format: Format,
    /// Something waits to be read, as far as is known.
    readable: bool,
    /// The kernel takes bytes, as far as is known.
    writable: bool,
    /// The peer's end waits behind the bytes: it is read up to there, since nothing makes the socket ready again.
    ended: bool,
}

impl Wire {
    /// A wire over a fresh socket; `leftover` was read from it already.
    pub fn new(socket: Socket, format: Format, leftover: &[u8]) -> Self {
        Self {
            socket,
            decoder: Decoder::with_leftover(leftover),
            outbox: Outbox::default(),
            format,
            readable: true,
            writable: true,
            ended: false,
        }
    }

    /// Takes the wire apart to move it.
    pub fn into_parts(self) -> (Socket, WireState) {
        (self.socket, WireState { decoder: self.decoder, outbox: self.outbox, format: self.format })
    }

    /// Puts a moved wire together again.
    pub fn from_parts(socket: Socket, state: WireState) -> Self {
        let WireState { decoder, outbox, format } = state;
        Self { socket, decoder, outbox, format, readable: true, writable: true, ended: false }
    }

    /// What it speaks.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What waits to be written.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What waits to be written, to change.
    pub fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// What was shed since this was last asked.
    pub fn take_shed(&mut self) -> Shed {
        self.outbox.take_shed()
    }

    /// Takes in what the readiness set said. True where the kernel takes bytes again and did not before.
    pub fn note_ready(&mut self, readable: bool, writable: bool) -> bool {
        let unblocked = writable && !self.writable;
        self.readable |= readable;
        self.writable |= writable;
        unblocked
    }

    /// Takes in that the peer has ended its side, or that the connection is broken.
    pub fn note_ended(&mut self) {
        self.ended = true;
        self.readable = true;
    }

    /// Something may wait to be read.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Reads once.
    pub fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        match self.socket.read(buffer) {
            Ok(0) => ReadOutcome::Ended,
            Ok(read) => {
                // A short read has emptied the socket: the next bytes make it ready again. An end that was reported with
                // these bytes would not.
                self.readable = self.ended || read == buffer.len();
                ReadOutcome::Bytes(read)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                ReadOutcome::Drained
            }
            Err(_) => ReadOutcome::Ended,
        }
    }

    /// Queues a frame. Gaps that are due go before it.
    pub fn push(&mut self, frame: Bytes, class: Class, now: Timestamp, bounds: &Bounds) -> Pushed {
        if self.outbox.has_gaps() {
            self.push_gaps(now, bounds);
        }
        self.outbox.push(frame, class, now, bounds)
    }

    /// Queues a frame after which there is none, whatever the bounds say.
    pub fn push_last(&mut self, frame: Bytes, now: Timestamp) {
        self.outbox.push_last(frame, now);
    }

    /// Queues what was kept for it elsewhere, behind what waits, and behind the gaps that wait to be told.
    pub fn absorb(&mut self, kept: Outbox, now: Timestamp, bounds: &Bounds) {
        let gaps = self.outbox.take_all_gaps();
        self.push_gap_frames(&gaps, now, bounds);
        self.outbox.absorb(kept);
    }

    /// The connection leaves its room: what waits of it is not shed, and its gaps are not told, in the next.
    pub fn leave_room(&mut self) {
        self.outbox.leave_room();
    }

    /// Writes until nothing waits or the kernel takes no more.
    pub fn flush(&mut self, now: Timestamp, bounds: &Bounds) -> WriteOutcome {
        while self.writable {
            if self.outbox.is_empty() {
                if !self.outbox.has_gaps() || !self.push_gaps(now, bounds) {
                    return WriteOutcome::Drained;
                }
                continue;
            }
            // To lay out many costs as much as all else that one member's share of a note does.
            let wrote = if self.outbox.len() <= FEW { self.write::<FEW>() } else { self.write::<SLICES>() };
            match wrote {
                Ok(written) => self.outbox.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    self.outbox.note_kernel(self.socket.unsent());
                }
                Err(_) => return WriteOutcome::Broken,
            }
        }
        if self.outbox.is_empty() { WriteOutcome::Drained } else { WriteOutcome::Blocked }
    }

    /// Writes the first frames that wait, at most so many, at once. Returns how many bytes the kernel took.
    fn write<const AT_MOST: usize>(&self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); AT_MOST];
        let count = self.outbox.slices(&mut slices);
        self.socket.write(&slices[..count])
    }

    /// Looks at what the kernel holds, and for how long it has.
    pub fn look_at_kernel(&mut self, now: Timestamp) {
        if self.outbox.may_be_held()
            && let Some(unsent) = self.socket.untaken()
        {
            self.outbox.look(unsent, now);
        }
    }

    /// Has the kernel take what is left though its buffer is full: a close frame of one that does not read is to be there when it does,
    /// and not to wait here for it.
    pub fn make_room(&mut self, settings: &SocketSettings) {
        self.socket.make_room(settings);
    }

    /// Drops what waits to be written, but a frame that is half written.
    pub fn drop_backlog(&mut self) {
        self.outbox.drop_backlog();
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        self.socket.finish();
    }

    /// Queues the gaps that are due; false where none are.
    fn push_gaps(&mut self, now: Timestamp, bounds: &Bounds) -> bool {
        let gaps = self.outbox.take_gaps(now, bounds);
        self.push_gap_frames(&gaps, now, bounds);
        !gaps.is_empty()
    }

    fn push_gap_frames(&mut self, gaps: &[(u32, u32)], now: Timestamp, bounds: &Bounds) {
        for &(participant, next) in gaps {
            let gap = ClientMessage::event(Message::Gap(Gap { participant, next_sequence: next }));
            let class = Class::Gap { participant, next };
            let _ = self.outbox.push(frame::message(self.format, &gap), class, now, bounds);
        }
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
