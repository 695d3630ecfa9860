//! Strikes: messages that should not have been sent. Each is answered; too many in a short time close the connection.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::protocol::time::Timestamp;

/// So many strikes within [`STRIKE_WINDOW`] close the connection with 3506.
pub const STRIKE_LIMIT: usize = 20;
/// How long a strike counts.
pub const STRIKE_WINDOW: Duration = Duration::from_secs(10);

/// The strikes of one connection; it travels with it. A connection without strikes owns no memory here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strikes {
    // Oldest first, at most STRIKE_LIMIT.
    at: VecDeque<Timestamp>,
}

impl Strikes {
    /// Counts an invalid message, an unknown command or MIDI that does not parse. True: close the connection.
    #[must_use]
    pub fn strike(&mut self, now: Timestamp) -> bool {
        while self.at.front().is_some_and(|&at| now.since(at) >= STRIKE_WINDOW) {
            self.at.pop_front();
        }
        if self.at.len() < STRIKE_LIMIT {
            self.at.push_back(now);
        }
        self.at.len() == STRIKE_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    #[test]
    fn the_twentieth_strike_within_ten_seconds_is_the_last() {
        let mut strikes = Strikes::default();
        for n in 0..19 {
            assert!(!strikes.strike(START + Duration::from_millis(n * 500)));
        }
        assert!(strikes.strike(START + Duration::from_millis(9_999)));
        assert!(strikes.strike(START + Duration::from_millis(9_999)));
    }

    #[test]
    fn strikes_that_come_slowly_are_forgiven() {
        let mut strikes = Strikes::default();
        for n in 0..1000 {
            assert!(!strikes.strike(START + Duration::from_millis(n * 530)));
        }
    }
}
