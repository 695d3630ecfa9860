//! Server time: the wall clock read once, then the monotonic one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::protocol::time::Timestamp;

/// A clock that never jumps: not when the wall clock is set, nor over a daylight saving change.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch_us: u64,
    start: Instant,
}

impl Clock {
    /// Reads the wall clock. All shards share one clock, copied.
    pub fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch_us: u64::try_from(epoch.as_micros()).unwrap_or(u64::MAX), start: Instant::now() }
    }

    /// Lets time pass without waiting for it.
    #[cfg(test)]
    pub(super) fn advance(&mut self, by: Duration) {
        self.epoch_us += by.as_micros() as u64;
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_us(self.epoch_us) + self.start.elapsed()
    }
}

/// The processor time that the calling thread has used since it began.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the answer. The clock exists on every Linux, so that the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
