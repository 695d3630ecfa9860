//! What a host turns.

use std::{os::fd::BorrowedFd, time::Duration};

/// What a turn left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// There is more to do at once.
    More,
    /// Nothing to do until something arrives, or at most this long.
    Rest(Duration),
}

/// Everything that lives on one host: it owns its sockets and its actors, and no other thread touches them. A
/// [world](crate::actor::world::World) that is one can be turned by any host.
///
/// The host calls it from one thread, each call under `catch_unwind`: a call that panics is reported to
/// [`panicked`](Self::panicked) and the host goes on. No call may block.
pub trait Worker: 'static {
    /// What its inbox carries.
    type Message: Send + 'static;

    /// Handles one message of the inbox.
    fn handle(&mut self, message: Self::Message);

    /// One turn: ready sockets, local messages, due timers, writes.
    fn turn(&mut self) -> Work;

    /// A call panicked; what it was about is known to the worker alone.
    fn panicked(&mut self, cause: &str);

    /// The descriptor whose readability ends a rest: the worker's readiness set, where it has one.
    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The host may end: nothing is left to do.
    fn is_finished(&self) -> bool;
}
