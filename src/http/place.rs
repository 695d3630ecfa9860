//! How many connections there may be, in all and from one address.
//!
//! A [`Place`] is taken when a connection is accepted and travels with it to its shard; dropping it gives it back.
//! The drop is two atomic subtractions and no lock, for it happens on shards too.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Addresses known at least before places given back are swept out.
const SWEEP_MIN: usize = 64;

/// No place is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// In all.
    #[error("the server has as many connections as it may")]
    Total,
    /// For that address.
    #[error("this address has as many connections as it may")]
    Address,
}

/// The places there are.
///
/// Remembers at most 64 addresses, or twice as many as held a place when it last looked.
#[derive(Debug)]
pub struct Places {
    max_total: usize,
    max_by_address: usize,
    total: Arc<AtomicUsize>,
    by_address: Mutex<ByAddress>,
}

#[derive(Debug)]
struct ByAddress {
    /// Counts grow only under the lock; they fall without it.
    counts: HashMap<IpAddr, Arc<AtomicUsize>>,
    sweep_at: usize,
}

/// One connection's place: given back when dropped.
#[derive(Debug)]
pub struct Place {
    total: Arc<AtomicUsize>,
    address: Option<Arc<AtomicUsize>>,
}

impl Places {
    /// So many places in all and for each address. An IPv6 client is its /64, which is what one customer gets.
    pub fn new(max_total: usize, max_by_address: usize) -> Self {
        let by_address = Mutex::new(ByAddress { counts: HashMap::new(), sweep_at: SWEEP_MIN });
        Self { max_total, max_by_address, total: Arc::default(), by_address }
    }

    /// A place in all, of no address yet.
    pub fn take(&self) -> Result<Place, NoPlace> {
        let grown = |total| (total < self.max_total).then_some(total + 1);
        self.total.fetch_update(Relaxed, Relaxed, grown).map_err(|_| NoPlace::Total)?;
        Ok(Place { total: Arc::clone(&self.total), address: None })
    }

    /// Counts a place to its client's address, instead of the one it was counted to before.
    ///
    /// Refused, the place stays as it was.
    pub fn assign(&self, place: &mut Place, address: IpAddr) -> Result<(), NoPlace> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        by_address.sweep();
        let count = by_address.counts.entry(network_of(address)).or_default();
        if count.load(Relaxed) >= self.max_by_address {
            return Err(NoPlace::Address);
        }
        count.fetch_add(1, Relaxed);
        let before = place.address.replace(Arc::clone(count));
        drop(by_address);
        give_back(before);
        Ok(())
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.total.load(Relaxed)
    }
}

impl ByAddress {
    fn sweep(&mut self) {
        if self.counts.len() >= self.sweep_at {
            self.counts.retain(|_, count| count.load(Relaxed) > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.counts.len());
        }
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

/// The network that limits count an address to.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from(last.to_be_bytes())
    }

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let places = Places::new(2, 2);
        let first = places.take().unwrap();
        let _second = places.take().unwrap();
        assert_eq!(places.take().unwrap_err(), NoPlace::Total);
        drop(first);
        assert_eq!(places.taken(), 1);
        places.take().unwrap();
    }

    #[test]
    fn an_address_has_its_own_share() {
        let places = Places::new(9, 1);
        let mut first = places.take().unwrap();
        places.assign(&mut first, address(1)).unwrap();
        let mut second = places.take().unwrap();
        assert_eq!(places.assign(&mut second, address(1)), Err(NoPlace::Address));
        places.assign(&mut second, address(2)).unwrap();
        drop(first);
        let mut third = places.take().unwrap();
        places.assign(&mut third, address(1)).unwrap();
    }

    #[test]
    fn a_place_counted_anew_leaves_its_old_address() {
        let places = Places::new(9, 1);
        let mut place = places.take().unwrap();
        places.assign(&mut place, address(1)).unwrap();
        places.assign(&mut place, address(2)).unwrap();
        let mut other = places.take().unwrap();
        places.assign(&mut other, address(1)).unwrap();
    }

    #[test]
    fn one_ipv6_network_is_one_client_and_a_mapped_ipv4_is_that_ipv4() {
        assert_eq!(network_of("2001:db8:1:2:3::4".parse().unwrap()), network_of("2001:db8:1:2::9".parse().unwrap()));
        assert_ne!(network_of("2001:db8:1:2::".parse().unwrap()), network_of("2001:db8:1:3::".parse().unwrap()));
        assert_eq!(network_of("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn addresses_without_a_place_are_forgotten() {
        let places = Places::new(9, 1);
        for client in 0..10_000 {
            let mut place = places.take().unwrap();
            places.assign(&mut place, address(client)).unwrap();
        }
        assert_eq!(places.taken(), 0);
        assert!(places.by_address.lock().unwrap().counts.len() <= SWEEP_MIN);
    }
}
