//! What the front desk can be told. Read and checked once, by the configuration; here plain fields.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use crate::domain::bucket::Rate;

/// The front desk's settings. [`Default`] gives what is stated at each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontDeskSettings {
    /// Where the public port listens. Default 127.0.0.1.
    pub host: IpAddr,
    /// The public port; 0 lets the system choose. Default 8080.
    pub port: u16,
    /// Where operators' health, metrics and debugging listen; `None`: nowhere. Default 127.0.0.1:9090.
    pub admin_bind: Option<SocketAddr>,
    /// How long a connection may take to send a request's head, and how long it may stay idle before the next.
    /// A PROXY protocol header has as long again. Default 10 s.
    pub header_timeout: Duration,
    /// How long an answer may take. Default 30 s.
    pub request_timeout: Duration,
    /// How long a shard may take to admit a socket after its 101, and the peer to take leave where it does not.
    /// Default 5 s.
    pub upgrade_timeout: Duration,
    /// How long the kernel keeps trying to deliver to a peer that takes nothing. A shard sets its own after the
    /// upgrade. Default 30 s.
    pub tcp_user_timeout: Duration,
    /// The largest request body, in bytes. Default 64 KiB.
    pub max_body_bytes: usize,
    /// Connections in all, WebSockets included; more are answered 503. Default 10 000.
    pub max_connections: usize,
    /// Connections of one client address (IPv6: one /64), WebSockets included. Those that a trusted proxy forwards
    /// count to the client's address from their upgrade on, and before that to nobody's. Default 100.
    pub max_connections_by_address: usize,
    /// How fast one client address (IPv6: one /64) may connect, upgraded or not; who comes faster is answered 429, and told when
    /// to come again. Of those that a trusted proxy forwards each handshake counts, other requests do not; with a PROXY
    /// protocol header each connection. Default 500 at once, and 50 a second: a page takes up to seven connections, so that
    /// 70 people behind one address may open it at the same moment, or 500 come back to it after a restart.
    pub pace_by_address: Rate,
    /// The proxies whose `X-Forwarded-For`, and PROXY protocol header where switched on, are believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections of trusted proxies begin with a PROXY protocol header of version 2: then they must, and
    /// all others must not. Default no.
    pub proxy_protocol: bool,
    /// The origins, as `https://piano.example`, whose pages may open a WebSocket with a user's cookies, beside the
    /// origin that the request's `Host` names. Default empty.
    pub allowed_origins: Vec<String>,
    /// Whether one may come without an account. Default yes.
    pub allow_guests: bool,
    /// Whether cookies are for HTTPS alone: everywhere but in development. Default yes.
    pub secure_cookies: bool,
    /// How long a guest's identity lasts since its last connection. Default 180 days.
    pub guest_token_life: Duration,
    /// How long a connection's session token lasts. Default 7 days.
    pub session_token_life: Duration,
}

impl Default for FrontDeskSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            admin_bind: Some((Ipv4Addr::LOCALHOST, 9090).into()),
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            upgrade_timeout: Duration::from_secs(5),
            tcp_user_timeout: Duration::from_secs(30),
            max_body_bytes: 64 * 1024,
            max_connections: 10_000,
            max_connections_by_address: 100,
            pace_by_address: Rate::per_second(50, 500),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            allowed_origins: Vec::new(),
            allow_guests: true,
            secure_cookies: true,
            guest_token_life: 180 * DAY,
            session_token_life: 7 * DAY,
        }
    }
}
