//! The PROXY protocol, version 2 (haproxy's `proxy-protocol.txt`): who the client is, said before its first byte.
//!
//! Ours rather than a crate's: the fixed part says how long the rest is, so two exact reads take the header and
//! nothing of what follows, and what remains to decode is a dozen lines.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of the rest.
const HEAD_BYTES: usize = 16;
/// The longest rest that is read: addresses, and room for the extensions that proxies add.
pub const MAX_REST_BYTES: usize = 4096;

/// A header that is not one, or not one we take.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The connection does not begin with the signature.
    #[error("no PROXY protocol header of version 2")]
    Missing,
    /// Another version or command.
    #[error("version and command {0:#04x} are not known")]
    Command(u8),
    /// A transport other than TCP.
    #[error("family and transport {0:#04x} are not TCP's")]
    Transport(u8),
    /// The rest is longer than [`MAX_REST_BYTES`], or too short for its addresses.
    #[error("a rest of {0} bytes is out of bounds")]
    Length(usize),
    /// The connection ended or failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header and no byte more. `None`: the proxy speaks for itself (a health check).
pub async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let length = rest_bytes(&head)?;
    let mut rest = [0; MAX_REST_BYTES];
    stream.read_exact(&mut rest[..length]).await?;
    source(&head, &rest[..length])
}

/// How many bytes follow the fixed part.
fn rest_bytes(head: &[u8; HEAD_BYTES]) -> Result<usize, ProxyHeaderError> {
    if head[..12] != SIGNATURE {
        return Err(ProxyHeaderError::Missing);
    }
    match usize::from(u16::from_be_bytes([head[14], head[15]])) {
        length @ 0..=MAX_REST_BYTES => Ok(length),
        length => Err(ProxyHeaderError::Length(length)),
    }
}

/// The client's address. Extensions after the addresses are ignored, as the protocol asks.
fn source(head: &[u8; HEAD_BYTES], rest: &[u8]) -> Result<Option<IpAddr>, ProxyHeaderError> {
    match head[12] {
        // LOCAL: the proxy's own connection, whatever addresses follow.
        0x20 => return Ok(None),
        0x21 => {}
        other => return Err(ProxyHeaderError::Command(other)),
    }
    let short = || ProxyHeaderError::Length(rest.len());
    match head[13] {
        // Unspecified: the proxy does not know.
        0x00 => Ok(None),
        0x11 => {
            let (addresses, _) = rest.split_first_chunk::<12>().ok_or_else(short)?;
            let source: [u8; 4] = *addresses.first_chunk().expect("four of twelve");
            Ok(Some(Ipv4Addr::from(source).into()))
        }
        0x21 => {
            let (addresses, _) = rest.split_first_chunk::<36>().ok_or_else(short)?;
            let source: [u8; 16] = *addresses.first_chunk().expect("sixteen of thirty-six");
            Ok(Some(IpAddr::from(Ipv6Addr::from(source)).to_canonical()))
        }
        other => Err(ProxyHeaderError::Transport(other)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    /// A header as a proxy writes it.
    pub(crate) fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// The header of a TCP connection of this IPv4 client, with an extension after the addresses.
    pub(crate) fn tcp4(client: [u8; 4]) -> Vec<u8> {
        let rest = [&client[..], &[192, 0, 2, 1, 0x12, 0x34, 0, 80], &[0x04, 0, 1, 0]].concat();
        header(0x21, 0x11, &rest)
    }

    fn read(mut bytes: &[u8]) -> (Result<Option<IpAddr>, ProxyHeaderError>, usize) {
        let all = bytes.len();
        let result = read_header(&mut bytes).now_or_never().expect("bytes in memory are never waited for");
        (result, all - bytes.len())
    }

    #[test]
    fn the_header_is_taken_and_no_byte_of_what_follows() {
        let mut bytes = tcp4([198, 51, 100, 7]);
        let length = bytes.len();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let (result, taken) = read(&bytes);
        assert_eq!(result.unwrap(), Some(IpAddr::from([198, 51, 100, 7])));
        assert_eq!(taken, length);
    }

    #[test]
    fn ipv6_and_mapped_addresses_are_read() {
        let v6 = |source: &str| {
            let rest = [source.parse::<Ipv6Addr>().unwrap().octets().as_slice(), &[0; 20]].concat();
            read(&header(0x21, 0x21, &rest)).0.unwrap().unwrap().to_string()
        };
        assert_eq!(v6("2001:db8::7"), "2001:db8::7");
        assert_eq!(v6("::ffff:198.51.100.7"), "198.51.100.7");
    }

    #[test]
    fn a_proxy_may_speak_for_itself() {
        assert_eq!(read(&header(0x20, 0x00, b"")).0.unwrap(), None);
        assert_eq!(read(&header(0x20, 0x11, &[9; 12])).0.unwrap(), None);
        assert_eq!(read(&header(0x21, 0x00, b"")).0.unwrap(), None);
    }

    #[test]
    fn what_is_not_a_header_is_refused() {
        use ProxyHeaderError as E;
        assert!(matches!(read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").0, Err(E::Missing)));
        assert!(matches!(read(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n").0, Err(E::Missing)));
        assert!(matches!(read(&header(0x11, 0x11, &[0; 12])).0, Err(E::Command(0x11))));
        assert!(matches!(read(&header(0x2F, 0x11, &[0; 12])).0, Err(E::Command(0x2F))));
        assert!(matches!(read(&header(0x21, 0x12, &[0; 12])).0, Err(E::Transport(0x12))));
        assert!(matches!(read(&header(0x21, 0x11, &[0; 11])).0, Err(E::Length(11))));
        assert!(matches!(read(&header(0x21, 0x21, &[0; 35])).0, Err(E::Length(35))));
        assert!(matches!(read(&header(0x21, 0x11, &[0; MAX_REST_BYTES + 1])).0, Err(E::Length(_))));
        assert!(matches!(read(&tcp4([1, 1, 1, 1])[..20]).0, Err(E::Io(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80), command in any::<u8>(), family in any::<u8>(),
        ) {
            let _ = read(&bytes);
            let _ = read(&header(command, family, &bytes));
        }
    }
}
