//! Server time: the Unix epoch read once at start, then monotonic. It never jumps.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// A moment of server time, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that lies so many microseconds after the Unix epoch.
    pub const fn from_us(us: u64) -> Self {
        Self(us)
    }

    /// The moment that lies so many milliseconds after the Unix epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch, as the fields that end in `_us` carry them.
    pub const fn as_us(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, as `timestamp` and the fields that end in `_ms` carry them.
    pub const fn as_ms(self) -> i64 {
        (self.0 / 1000) as i64
    }

    /// How long after `earlier` this is; zero where it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
