//! One TCP socket, owned: dropped is closed.

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use socket2::SockRef;

/// How sockets are set up.
#[derive(Clone, Copy, Debug)]
pub struct SocketSettings {
    /// What the kernel may hold unsent, in bytes. Small, or it hides seconds of lag from the server.
    pub send_buffer: usize,
    /// Unacknowledged for this long, the kernel gives the connection up.
    pub user_timeout: Duration,
    /// What the kernel holds is looked at, and for how long it has. Not where the time is another than the kernel's, as in tests.
    pub watches_kernel: bool,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self { send_buffer: 32 * 1024, user_timeout: Duration::from_secs(20), watches_kernel: true }
    }
}

/// How many times what the kernel may hold it may hold in the end. What is left then is no more than the rest of one frame and a close.
const LAST_ROOM: usize = 4;

/// A non-blocking stream socket.
#[derive(Debug)]
pub struct Socket(TcpStream);

impl Socket {
    /// Takes a stream and sets it up: non-blocking, no delay, a small send buffer, a user timeout.
    pub fn new(stream: TcpStream, settings: &SocketSettings) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let socket = SockRef::from(&stream);
        socket.set_send_buffer_size(settings.send_buffer)?;
        // A simulation's sockets are pairs within the process: what they hold and when they are ready does not depend on the
        // kernel's timers, and they know no delays.
        #[cfg(feature = "simulation")]
        if socket.domain()? == socket2::Domain::UNIX {
            return Ok(Self(stream));
        }
        stream.set_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(settings.user_timeout))?;
        Ok(Self(stream))
    }

    /// Reads what is there; `WouldBlock` where nothing is, 0 at the peer's end.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(|| (&self.0).read(buffer))
    }

    /// Writes what the kernel takes.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        retry(|| (&self.0).write_vectored(slices))
    }

    /// [`Socket::unsent`] where that tells what the peer has not taken: a simulation's sockets count in a coin of their own.
    pub fn untaken(&self) -> Option<usize> {
        #[cfg(feature = "simulation")]
        if SockRef::from(&self.0).domain().ok()? == socket2::Domain::UNIX {
            return None;
        }
        Some(self.unsent())
    }

    /// Lets the kernel hold more, for the last that is written.
    pub fn make_room(&self, settings: &SocketSettings) {
        // Where the system refuses, what is last waits for the peer or goes with it.
        let _ = SockRef::from(&self.0).set_send_buffer_size(settings.send_buffer.saturating_mul(LAST_ROOM));
    }

    /// Bytes written that the peer has not acknowledged.
    pub fn unsent(&self) -> usize {
        let mut bytes: libc::c_int = 0;
        // SAFETY: `bytes` is a valid place for the answer; the descriptor is open while `self` lives.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
    }

    /// Says that nothing more will be written.
    pub fn finish(&self) {
        // Fails only where the peer is gone, and then there is nobody to tell.
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
