//! What is put under load: a server, or a plain relay as a floor to compare with.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use pianorhythm_server::protocol::SUBPROTOCOL_PROTOBUF;
use socket2::{Domain, Protocol, Socket, Type};

/// How long a server may take to take a connection, and to answer the first handshake.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Connections from one loopback address before the next is used: fewer than the ports that Linux hands out (28 232).
const PORTS_PER_ADDRESS: u32 = 20_000;

/// What is put under load. Cheap to clone; all clones draw their source addresses from one row.
#[derive(Clone, Debug)]
pub struct Target {
    address: SocketAddr,
    /// It only passes on what it gets, within the room that the address names: no welcome, no numbers of its own.
    pub is_relay: bool,
    /// Connections made so far.
    made: Arc<AtomicU32>,
    /// Connections from one address before the next is used.
    per_address: u32,
}

impl Target {
    /// Looks at what listens at a URL, which is ws://HOST:PORT and whatever follows. Each source address of 127.0.0.0/8 is used
    /// for `per_address` connections; `None`: for as many as it has ports.
    ///
    /// A server names the subprotocol that it chose; what names none is taken for a plain relay.
    pub fn at(url: &str, per_address: Option<u32>) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("`{url}` {what}"));
        let rest = url.strip_prefix("ws://").or(url.strip_prefix("http://"));
        let rest = rest.ok_or_else(|| wrong("does not begin with ws://"))?;
        let authority = rest.split('/').next().unwrap_or(rest);
        let address = authority.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.ok_or_else(|| wrong("names no host and port"))?;
        let per_address = per_address.unwrap_or(PORTS_PER_ADDRESS).max(1);
        let mut target = Self { address, is_relay: false, made: Arc::default(), per_address };
        let mut stream = target.connect()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(target.request("?room=r65535").as_bytes())?;
        let mut head = String::new();
        let mut reader = BufReader::new(stream);
        while reader.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
        match Answer::read(head.as_bytes()) {
            Some((answer, _)) if answer.is_upgrade() => target.is_relay = !answer.is_named,
            _ => return Err(io::Error::other(format!("no WebSocket: {}", head.lines().next().unwrap_or_default()))),
        }
        Ok(target)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection from the next source address. It blocks.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let number = self.made.fetch_add(1, Relaxed) / self.per_address;
        let source = match (number, self.address.ip()) {
            (1.., IpAddr::V4(to)) if to.is_loopback() => Some(source_address(number)),
            _ => None,
        };
        self.connect_from(source)
    }

    /// A connection from an address of one's own choice. It blocks.
    pub fn connect_from(&self, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        socket.connect_timeout(&self.address.into(), PATIENCE)?;
        Ok(socket.into())
    }

    /// A handshake with this query, `?` and all.
    pub fn request(&self, query: &str) -> String {
        let address = self.address;
        // The key is any 16 bytes; the answer to it is the server's tests' concern.
        format!(
            "GET /api/websocket{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL_PROTOBUF}\r\n\r\n"
        )
    }
}

/// The answer to a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// Whether it names a subprotocol.
    pub is_named: bool,
}

impl Answer {
    /// Reads a head if it is whole, and tells where what follows begins.
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.strip_prefix("http/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
        Some((Self { status, is_named: head.contains("\r\nsec-websocket-protocol:") }, end))
    }

    /// Whether what follows is a WebSocket.
    pub fn is_upgrade(&self) -> bool {
        self.status == 101
    }
}

/// The loopback address of this number, from 1: 127.0.0.1 is left to those who name none.
pub fn source_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x7F00_0001 + (number & 0xFF_FFFF).min(0xFF_FFFD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_handshake_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Protocol: x\r\n\r\n\x82\x00";
        assert_eq!(Answer::read(whole), Some((Answer { status: 101, is_named: true }, whole.len() - 2)));
        assert_eq!(Answer::read(&whole[..whole.len() - 4]), None);
        let (refused, _) = Answer::read(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap();
        assert_eq!((refused.status, refused.is_named, refused.is_upgrade()), (503, false, false));
        assert_eq!(Answer::read(b"SSH-2.0\r\n\r\n").unwrap().0.status, 0);
    }

    #[test]
    fn source_addresses_stay_on_loopback() {
        assert_eq!(source_address(1).to_string(), "127.0.0.2");
        assert_eq!(source_address(300).to_string(), "127.0.1.45");
        assert!(source_address(u32::MAX).is_loopback());
    }
}
