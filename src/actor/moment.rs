//! Time as actors see it: how long their hosts have run. All hosts of a process count from one instant.

use std::{
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A point in time, in nanoseconds since the clock's start. Comparable over all hosts that share the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// So many nanoseconds after the start.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// So many milliseconds after the start.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The time from an earlier moment to this one; zero where that is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Saturates after 584 years.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// Saturates at the start.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Tells the moment. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug)]
pub enum ActorClock {
    /// The system's monotonic clock, from this instant on.
    System(Instant),
    /// A clock that tests move by hand.
    Manual(Arc<AtomicU64>),
}

impl ActorClock {
    /// The system's clock, which starts now.
    pub fn start() -> Self {
        Self::System(Instant::now())
    }

    /// A clock that stands at the start until it is [moved](Self::advance).
    pub fn manual() -> Self {
        Self::Manual(Arc::default())
    }

    /// The moment.
    pub fn now(&self) -> Moment {
        match self {
            Self::System(start) => Moment(start.elapsed().as_nanos() as u64),
            Self::Manual(ns) => Moment(ns.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock on; the system's clock moves by itself.
    pub fn advance(&self, duration: Duration) {
        if let Self::Manual(ns) = self {
            ns.fetch_add(duration.as_nanos() as u64, Ordering::Relaxed);
        }
    }
}
