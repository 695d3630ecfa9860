//! Whose connection it is when a proxy stands between: trusted proxies and `X-Forwarded-For`.
//!
//! Limits and bans by address mean nothing if a client can choose its address, so what a header says counts only
//! where a trusted proxy wrote it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The most addresses of `X-Forwarded-For` that are looked at.
const MAX_HOPS: usize = 32;

/// The networks whose word about their clients' addresses is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Trusts these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether this address is a trusted proxy's.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind `peer`, by the values of `X-Forwarded-For` in the order they came.
    ///
    /// The rightmost address that is not a trusted proxy's, for each proxy appends whom it heard. Where all are
    /// trusted, the leftmost. What does not read as an address ends the search: the hop before it counts. A peer
    /// that is not trusted is the client, whatever it says.
    pub fn client<'a>(&self, peer: IpAddr, forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = forwarded_for.rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        for hop in hops.take(MAX_HOPS) {
            if !self.contains(client) {
                break;
            }
            match parse_hop(hop) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let address = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trusting(networks: &[&str]) -> TrustedProxies {
        TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()))
    }

    fn client(trusted: &TrustedProxies, peer: &str, headers: &[&str]) -> String {
        trusted.client(peer.parse().unwrap(), headers.iter().map(|header| header.as_bytes())).to_string()
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        let trusted = trusting(&["10.0.0.0/8"]);
        assert_eq!(client(&trusted, "203.0.113.5", &["198.51.100.1"]), "203.0.113.5");
        assert_eq!(client(&trusting(&[]), "127.0.0.1", &["198.51.100.1"]), "127.0.0.1");
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_is_the_client() {
        let trusted = trusting(&["10.0.0.0/8", "fd00::/8"]);
        assert_eq!(client(&trusted, "10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        // Several headers are one list; the client wrote the first itself.
        assert_eq!(client(&trusted, "10.0.0.1", &["1.1.1.1", "198.51.100.7,10.0.0.3"]), "198.51.100.7");
        assert_eq!(client(&trusted, "fd00::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client(&trusted, "::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn without_a_stranger_in_the_list_the_farthest_proxy_is_the_client() {
        let trusted = trusting(&["10.0.0.0/8"]);
        assert_eq!(client(&trusted, "10.0.0.1", &["10.0.0.9, 10.0.0.2"]), "10.0.0.9");
        assert_eq!(client(&trusted, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_understood_and_rubbish_ends_the_search() {
        let trusted = trusting(&["10.0.0.0/8"]);
        assert_eq!(client(&trusted, "10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client(&trusted, "10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(&trusted, "10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client(&trusted, "10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(&trusted, "10.0.0.1", &[""]), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn any_header_gives_some_address(headers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
            let trusted = trusting(&["0.0.0.0/0", "::/0"]);
            trusted.client(IpAddr::from([10, 0, 0, 1]), headers.iter().map(Vec::as_slice));
        }
    }
}
