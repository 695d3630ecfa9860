//! What all tasks of a run tell: what was done, and what was wrong.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use pianorhythm_client::protocol::{error::ErrorCode, wire::ErrorMessage};

/// So many faults are told word for word.
const MAX_FAULTS: u64 = 20;

/// What a busy server may say to an honest client.
const TOLERATED: [ErrorCode; 4] =
    [ErrorCode::RoomFull, ErrorCode::AlreadyInRoom, ErrorCode::RateLimit, ErrorCode::ServerBusy];

/// One run's.
#[derive(Debug)]
pub struct Report {
    /// When it began.
    begun: Instant,
    /// Connections that were welcomed.
    pub connections: AtomicU64,
    /// Notes played, presses only.
    pub played: AtomicU64,
    /// Notes heard, by all who heard them.
    pub heard: AtomicU64,
    /// Rooms entered.
    pub joins: AtomicU64,
    /// Lines said.
    pub lines: AtomicU64,
    /// Connections cut in the middle of whatever they did.
    pub cuts: AtomicU64,
    /// Times the server said that it shed notes.
    pub gaps: AtomicU64,
    refusals: Mutex<BTreeMap<String, u64>>,
    faults: AtomicU64,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            connections: AtomicU64::default(),
            played: AtomicU64::default(),
            heard: AtomicU64::default(),
            joins: AtomicU64::default(),
            lines: AtomicU64::default(),
            cuts: AtomicU64::default(),
            gaps: AtomicU64::default(),
            refusals: Mutex::default(),
            faults: AtomicU64::default(),
        }
    }
}

impl Report {
    /// Counts.
    pub fn add(figure: &AtomicU64, n: u64) {
        figure.fetch_add(n, Relaxed);
    }

    /// Something that must not be. It is told at once: a long run may not come to its end.
    pub fn fault(&self, who: &str, what: impl std::fmt::Display) {
        let earlier = self.faults.fetch_add(1, Relaxed);
        if earlier < MAX_FAULTS {
            println!("fault    after {:.0} s, {who}: {what}", self.begun.elapsed().as_secs_f64());
        }
    }

    /// The server refused something; a fault where an honest client should not see that.
    pub fn refused(&self, who: &str, error: &ErrorMessage) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals.entry(error.error_code.clone()).or_default() += 1;
        if !TOLERATED.iter().any(|code| code.as_str() == error.error_code) {
            self.fault(who, format!("{}: {}", error.error_code, error.error_message));
        }
    }

    /// Refusals by code.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }
}
