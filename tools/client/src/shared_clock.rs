//! The server's clock, shared by the task that corrects it and those who read it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::{Sample, ServerClock},
    protocol::time::Timestamp,
};

/// The server's clock as one connection knows it; it never runs backwards. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    server: Arc<Mutex<ServerClock>>,
}

impl Clock {
    /// Set by a time that the server told, and when that came.
    pub(crate) fn new(server_us: i64, received: Instant) -> Self {
        Self { origin: received, server: Arc::new(Mutex::new(ServerClock::new(server_us, 0))) }
    }

    /// Server time now.
    pub fn now(&self) -> Timestamp {
        let server = self.lock();
        // Read under the lock, so that no correction comes between the reading and its use.
        server.at(self.local_us(Instant::now()))
    }

    /// How long until that moment of server time; zero once it has come.
    pub fn until(&self, moment: Timestamp) -> Duration {
        moment.since(self.now())
    }

    /// How long the network takes both ways together; `None` before it is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.lock().round_trip()
    }

    /// Server time at this moment, as far as it is known by now.
    pub(crate) fn at(&self, moment: Instant) -> Timestamp {
        self.lock().at(self.local_us(moment))
    }

    /// Takes a round trip into account; its local times are those of [`Clock::local_us`].
    pub(crate) fn observe(&self, sample: Sample) {
        let mut server = self.lock();
        server.observe(sample, self.local_us(Instant::now()));
    }

    /// Microseconds from the clock's beginning to this moment; 0 before it.
    pub(crate) fn local_us(&self, moment: Instant) -> i64 {
        i64::try_from(moment.saturating_duration_since(self.origin).as_micros()).unwrap_or(i64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, ServerClock> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
