//! What wakes a host that sleeps.
//!
//! It is rung at most once a sleep: a host that is awake costs its senders one load. Who sleeps in a future [waits](Bell::rung) for it;
//! who sleeps in the kernel asks for its [descriptor](Bell::descriptor).

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::event::{EventfdFlags, eventfd};

/// One host's.
#[derive(Debug)]
pub struct Bell {
    asleep: AtomicBool,
    /// It was rung for something that is in no lane, which the host has to look at before it sleeps.
    called: AtomicBool,
    ring: flume::Sender<()>,
    rung: flume::Receiver<()>,
    /// An eventfd, where the host sleeps in the kernel.
    descriptor: OnceLock<OwnedFd>,
}

impl Default for Bell {
    fn default() -> Self {
        let (ring, rung) = flume::bounded(1);
        Self { asleep: AtomicBool::default(), called: AtomicBool::default(), ring, rung, descriptor: OnceLock::new() }
    }
}

impl Bell {
    /// Wakes the host if it sleeps. What it is woken for must be visible by now.
    pub(in crate::actor) fn ring(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            match self.descriptor.get() {
                // It fails only where it has been rung as often as 64 bits count.
                Some(descriptor) => drop(rustix::io::write(descriptor, &1_u64.to_ne_bytes())),
                // Full means it rings already.
                None => drop(self.ring.try_send(())),
            }
        }
    }

    /// The same for something that is in no lane: a host that is about to sleep takes another turn before.
    pub(in crate::actor) fn call(&self) {
        // Before the bell, as messages are: a host that is awake still sees it as it falls asleep.
        self.called.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// From now on it rings.
    pub(in crate::actor) fn listen(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has called since this was last asked.
    pub(in crate::actor) fn was_called(&self) -> bool {
        self.called.swap(false, Ordering::SeqCst)
    }

    /// From now on it does not ring.
    pub(in crate::actor) fn mute(&self) {
        self.asleep.store(false, Ordering::SeqCst);
        // Read, not only written: what was called for is visible to the turn that follows.
        self.was_called();
        let _ = self.rung.try_recv();
    }

    /// Resolves when it has rung since the host has listened.
    pub async fn rung(&self) {
        let _ = self.rung.recv_async().await;
    }

    /// Rings that nobody has heard.
    #[cfg(test)]
    pub(in crate::actor) fn rings(&self) -> usize {
        self.rung.len()
    }

    /// The descriptor that is readable from when it has rung until it is [quieted](Self::quiet). Once asked for, that is how it
    /// rings; to be asked for before the host first listens.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        if self.descriptor.get().is_none() {
            let new = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
            // Another one may have been faster; there is one then.
            let _ = self.descriptor.set(new);
        }
        Ok(self.descriptor.get().expect("it was set above").as_fd())
    }

    /// Has the descriptor be readable only when it rings again.
    pub fn quiet(&self) {
        if let Some(descriptor) = self.descriptor.get() {
            // Where it has not rung there is nothing to read.
            let _ = rustix::io::read(descriptor, &mut [0; 8]);
        }
    }
}
