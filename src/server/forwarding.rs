//! Where connections went that have left a shard, until their user's actor knows.

use std::{collections::HashMap, time::Duration};

use crate::protocol::{ids::ConnectionId, time::Timestamp};

/// How long an entry is kept that nobody acknowledges; the user's actor knows long before.
const FORGET_AFTER: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
struct Entry {
    shard: usize,
    /// The epoch the connection has where it went.
    epoch: u32,
    since: Timestamp,
}

/// The forwarding entries of one shard.
#[derive(Debug, Default)]
pub struct Forwarding(HashMap<ConnectionId, Entry>);

impl Forwarding {
    /// A connection has gone to a shard, where it will have this epoch.
    pub fn insert(&mut self, connection: ConnectionId, shard: usize, epoch: u32, now: Timestamp) {
        self.0.insert(connection, Entry { shard, epoch, since: now });
    }

    /// A connection is here again, or has ended.
    pub fn remove(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    /// Where a connection went.
    pub fn find(&self, connection: ConnectionId) -> Option<usize> {
        self.0.get(&connection).map(|entry| entry.shard)
    }

    /// The user's actor knows of this epoch. An entry of a later departure stays.
    pub fn acknowledge(&mut self, connection: ConnectionId, epoch: u32) {
        if self.0.get(&connection).is_some_and(|entry| entry.epoch <= epoch) {
            self.0.remove(&connection);
        }
    }

    /// Forgets what nobody acknowledged.
    pub fn sweep(&mut self, now: Timestamp) {
        self.0.retain(|_, entry| now.since(entry.since) < FORGET_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1);
    const ONE: ConnectionId = ConnectionId(1);

    #[test]
    fn an_entry_stays_until_its_own_epoch_is_acknowledged() {
        let mut forwarding = Forwarding::default();
        forwarding.insert(ONE, 2, 5, NOW);
        forwarding.acknowledge(ONE, 3);
        assert_eq!(forwarding.find(ONE), Some(2), "an acknowledgement of an earlier visit");
        forwarding.acknowledge(ONE, 5);
        assert_eq!(forwarding.find(ONE), None);
    }

    #[test]
    fn an_entry_that_nobody_acknowledges_is_forgotten() {
        let mut forwarding = Forwarding::default();
        forwarding.insert(ONE, 2, 1, NOW);
        forwarding.sweep(NOW + FORGET_AFTER);
        assert_eq!(forwarding.find(ONE), None);
    }
}
