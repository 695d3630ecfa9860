//! How many connections there may be, in all and from one address, and how fast one address may come again.
//!
//! A [`Place`] is taken when a connection is accepted and travels with it to its shard; dropping it gives it back.
//! The drop is two atomic subtractions and no lock, for it happens on shards too.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    domain::bucket::{Bucket, Rate},
    protocol::{
        error::{ErrorCode, Rejection},
        time::Timestamp,
    },
};

/// Addresses known at least before those that need not be are swept out.
const SWEEP_MIN: usize = 64;
/// Addresses without a connection that a sweep keeps in mind. Each is less than 150 bytes.
const MAX_IDLE: usize = 16 * 1024;
/// When to come again where no place is free: no one knows.
const UNTIL_A_PLACE_IS_FREE: Duration = Duration::from_secs(5);

/// Why one is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No place is left in all.
    #[error("the server has as many connections as it may: try again later")]
    Total,
    /// No place is left for that address.
    #[error("this address has as many connections as it may: close some, or try again later")]
    Address,
    /// That address comes too fast.
    #[error("this address connects more often than it may: wait before you try again")]
    Pace,
}

/// The places there are.
///
/// Remembers, at most, as many addresses as hold places, and 32 Ki that do not. Where more have come lately, those that have come
/// least are forgotten: so many at once are beyond what limits by address can hold, but one that comes again and again stays
/// known among them.
#[derive(Debug)]
pub struct Places {
    max_total: usize,
    max_by_address: usize,
    /// `None`: any.
    pace: Option<Rate>,
    total: Arc<AtomicUsize>,
    by_address: Mutex<ByAddress>,
}

#[derive(Debug)]
struct ByAddress {
    clients: HashMap<IpAddr, Client>,
    sweep_at: usize,
}

/// What is known of an address.
#[derive(Debug, Default)]
struct Client {
    /// Its connections. It grows only under the lock; it falls without it.
    count: Arc<AtomicUsize>,
    /// How often it has come.
    came: Bucket,
}

/// One connection's place: given back when dropped.
#[derive(Debug)]
pub struct Place {
    total: Arc<AtomicUsize>,
    address: Option<Arc<AtomicUsize>>,
}

impl Places {
    /// So many places in all and for each address, which may come at this pace. An IPv6 client is its /64, which is what
    /// one customer gets.
    pub fn new(max_total: usize, max_by_address: usize, pace: Rate) -> Self {
        let by_address = Mutex::new(ByAddress { clients: HashMap::new(), sweep_at: SWEEP_MIN });
        let pace = (pace != Rate::UNLIMITED).then_some(pace);
        Self { max_total, max_by_address, pace, total: Arc::default(), by_address }
    }

    /// A place in all, of no address yet.
    pub fn take(&self) -> Result<Place, NoPlace> {
        let grown = |total| (total < self.max_total).then_some(total + 1);
        self.total.fetch_update(Relaxed, Relaxed, grown).map_err(|_| NoPlace::Total)?;
        Ok(Place { total: Arc::clone(&self.total), address: None })
    }

    /// Notes that this address has come, and says whether it may now: it has a place left, and has not come too often.
    ///
    /// To be asked first, before anything is done for it. Coming in vain costs nothing of what it may.
    pub fn come(&self, address: IpAddr, now: Timestamp) -> Result<(), NoPlace> {
        let mut by_address = self.lock();
        let client = by_address.client(address, self.pace.as_ref(), now);
        if client.count.load(Relaxed) >= self.max_by_address {
            return Err(NoPlace::Address);
        }
        match &self.pace {
            Some(pace) if !client.came.try_take(pace, 1, now) => Err(NoPlace::Pace),
            _ => Ok(()),
        }
    }

    /// Counts a place to its client's address, instead of the one it was counted to before.
    ///
    /// Refused, the place stays as it was.
    pub fn assign(&self, place: &mut Place, address: IpAddr, now: Timestamp) -> Result<(), NoPlace> {
        let mut by_address = self.lock();
        let client = by_address.client(address, self.pace.as_ref(), now);
        if client.count.load(Relaxed) >= self.max_by_address {
            return Err(NoPlace::Address);
        }
        client.count.fetch_add(1, Relaxed);
        let before = place.address.replace(Arc::clone(&client.count));
        drop(by_address);
        give_back(before);
        Ok(())
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// What one who was not let in is told.
    pub(crate) fn rejection(&self, reason: NoPlace) -> Rejection {
        let (code, wait) = match (reason, &self.pace) {
            (NoPlace::Pace, Some(pace)) => (ErrorCode::RateLimit, one_at(pace)),
            _ => (ErrorCode::ServerBusy, UNTIL_A_PLACE_IS_FREE),
        };
        Rejection::new(code, reason.to_string()).with("retry_after_ms", wait.as_millis())
    }

    fn lock(&self) -> MutexGuard<'_, ByAddress> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ByAddress {
    fn client(&mut self, address: IpAddr, pace: Option<&Rate>, now: Timestamp) -> &mut Client {
        if self.clients.len() >= self.sweep_at {
            self.sweep(pace, now);
        }
        self.clients.entry(network_of(address)).or_default()
    }

    /// Forgets those that have no place and may come as if they never had; and of the others without one, where they are too
    /// many, the half that has come least.
    ///
    /// Not before as many have come anew as it may find, or [`MAX_IDLE`], so that each costs its share of it alone.
    fn sweep(&mut self, pace: Option<&Rate>, now: Timestamp) {
        let left = |client: &mut Client| pace.map_or(0, |pace| client.came.available(pace, now));
        let full = pace.map_or(0, |pace| pace.capacity);
        let mut idle = Vec::new();
        self.clients.retain(|_, client| {
            let left = left(client);
            let is_idle = client.count.load(Relaxed) == 0;
            if is_idle && left < full {
                idle.push(left);
            }
            !is_idle || left < full
        });
        if idle.len() > MAX_IDLE {
            let (_, &mut median, _) = idle.select_nth_unstable(MAX_IDLE / 2);
            self.clients.retain(|_, client| client.count.load(Relaxed) > 0 || left(client) < median);
        }
        let known = self.clients.len();
        self.sweep_at = known + known.clamp(SWEEP_MIN, MAX_IDLE);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        give_back(self.address.take());
        self.total.fetch_sub(1, Relaxed);
    }
}

fn give_back(count: Option<Arc<AtomicUsize>>) {
    if let Some(count) = count {
        count.fetch_sub(1, Relaxed);
    }
}

/// How long until there is one more, at least a second: at the pace itself a crowd behind one address would only come in vain again.
fn one_at(pace: &Rate) -> Duration {
    Duration::from_millis(u64::from(pace.period_ms.div_ceil(pace.refill.max(1)))).max(Duration::from_secs(1))
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
