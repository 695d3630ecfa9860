//! Server time: the wall clock read once, then the monotonic one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{actor::moment::ActorClock, protocol::time::Timestamp};

/// A clock that never jumps: not when the wall clock is set, nor over a daylight saving change.
#[derive(Clone, Debug)]
pub struct Clock {
    epoch_us: u64,
    actors: ActorClock,
}

impl Clock {
    /// Reads the wall clock. All shards share one clock, cloned; it goes with that of their actors.
    pub fn start() -> Self {
        Self::over(ActorClock::start())
    }

    /// Over a clock of actors, whose start is now.
    pub fn over(actors: ActorClock) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::beginning(Timestamp::from_us(u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX)), actors)
    }

    /// Over a clock of actors that started at this time.
    pub fn beginning(start: Timestamp, actors: ActorClock) -> Self {
        Self { epoch_us: start.as_us(), actors }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_us(self.epoch_us) + Duration::from_nanos(self.actors.now().as_ns())
    }

    /// The actors' clock.
    pub fn actors(&self) -> &ActorClock {
        &self.actors
    }
}

/// The processor time that the calling thread has used since it began.
pub fn thread_cpu_time() -> Duration {
    #[cfg(feature = "simulation")]
    if let Some(used) = crate::server::simulated::processor_time() {
        return used;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer. The clock exists on every Linux, so that the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
