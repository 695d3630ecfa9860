//! Sleeping in the kernel until there is something to do.

use std::{io, os::fd::BorrowedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::actor::bell::Bell;

/// A host that sleeps in the kernel, with its bell.
#[derive(Debug)]
pub struct Napper<'b> {
    bell: &'b Bell,
    rung: BorrowedFd<'b>,
}

impl<'b> Napper<'b> {
    /// To be made before the host first sleeps: from now on its bell rings in the kernel.
    pub fn new(bell: &'b Bell) -> io::Result<Self> {
        Ok(Self { bell, rung: bell.descriptor()? })
    }

    /// Sleeps until the readiness set has something, the bell rings, or the time is over, whichever is first. A signal ends it too.
    pub fn nap(&self, readiness: Option<BorrowedFd<'_>>, longest: Duration) -> io::Result<()> {
        let watched = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut watched = [watched(self.rung), watched(readiness.unwrap_or(self.rung))];
        let longest = Timespec { tv_sec: longest.as_secs() as i64, tv_nsec: longest.subsec_nanos().into() };
        match poll(&mut watched, Some(&longest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if watched[0].revents().contains(PollFlags::IN) {
            self.bell.quiet();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::{fd::AsFd as _, unix::net::UnixStream},
        sync::Arc,
        time::Instant,
    };

    use super::*;

    /// Nothing here takes so long.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(5);

    fn time_of(nap: impl FnOnce()) -> Duration {
        let begun = Instant::now();
        nap();
        begun.elapsed()
    }

    #[test]
    fn a_nap_is_as_long_as_it_may_be_to_the_microsecond() {
        let bell = Bell::default();
        let napper = Napper::new(&bell).unwrap();
        let time = time_of(|| (0..10).for_each(|_| napper.nap(None, Duration::from_micros(300)).unwrap()));
        assert!(time >= Duration::from_millis(3), "{time:?}");
    }

    #[test]
    fn a_bell_ends_it_also_where_it_has_rung_before_and_is_heard_once() {
        let bell = Arc::new(Bell::default());
        let napper = Napper::new(&bell).unwrap();
        bell.ring();
        assert!(time_of(|| napper.nap(None, SHORT).unwrap()) >= SHORT, "nobody listens, so it does not ring");
        bell.listen();
        bell.ring();
        bell.ring();
        assert!(time_of(|| napper.nap(None, LONG).unwrap()) < LONG);
        assert!(time_of(|| napper.nap(None, SHORT).unwrap()) >= SHORT, "it has been heard");

        bell.listen();
        let ringer = bell.clone();
        let ringer = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            ringer.call();
        });
        assert!(time_of(|| napper.nap(None, LONG).unwrap()) < LONG);
        assert!(bell.was_called());
        ringer.join().unwrap();
    }

    #[test]
    fn what_is_ready_ends_it_for_as_long_as_it_is_not_looked_at() {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        let bell = Bell::default();
        let napper = Napper::new(&bell).unwrap();
        assert!(time_of(|| napper.nap(Some(server.as_fd()), SHORT).unwrap()) >= SHORT);
        client.write_all(b"a note").unwrap();
        for _ in 0..2 {
            assert!(time_of(|| napper.nap(Some(server.as_fd()), LONG).unwrap()) < LONG);
        }
        server.read_exact(&mut [0; 6]).unwrap();
        assert!(time_of(|| napper.nap(Some(server.as_fd()), SHORT).unwrap()) >= SHORT);
    }
}
