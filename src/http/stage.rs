//! The front desk's view of the shards: where sockets go, and what it may ask and tell.
//!
//! `server/` implements [`Stage`]; tests have one of their own. The front desk knows no shard.

use std::{future::Future, net::TcpStream, pin::Pin};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    domain::identity::{Role, Session},
    http::{desk_metrics::HandOff, place::Place},
    protocol::{close::CloseCode, ids::UserId},
};

/// A future that an object-safe trait can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A WebSocket that has been answered 101 and is no longer the front desk's.
///
/// It owns all there is: dropped, the socket is closed and its place given back.
#[derive(Debug)]
pub struct Admission {
    /// The connection, non-blocking and with `TCP_NODELAY`.
    pub socket: TcpStream,
    /// What was read past the request's head: the first bytes of the client's frames.
    pub leftover: Bytes,
    /// Who it is and what it speaks.
    pub session: Session,
    /// The room asked for in the address, as typed; its name is valid.
    pub room: Option<String>,
    /// For guests: what `Welcome` gives them to come back with.
    pub guest_token: Option<String>,
    /// What `Welcome` gives for a resume.
    pub session_token: String,
    /// Its place among the connections: to be dropped with the socket, not before.
    pub place: Place,
}

/// An admission that the stage gives back.
#[derive(Debug)]
pub struct Refused {
    /// What was to be admitted, the socket still open.
    pub admission: Box<Admission>,
    /// Why.
    pub reason: RefusedReason,
}

/// Why the stage took a socket not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedReason {
    /// No shard had room for it in time.
    Busy,
    /// The server is shutting down.
    Draining,
    /// The user is banned from the server.
    Banned,
}

impl RefusedReason {
    /// What the client is told.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Busy | Self::Draining => CloseCode::Restarting,
            Self::Banned => CloseCode::Banned,
        }
    }

    /// What it is counted as.
    pub const fn outcome(self) -> HandOff {
        match self {
            Self::Busy => HandOff::Busy,
            Self::Draining => HandOff::Draining,
            Self::Banned => HandOff::Banned,
        }
    }
}

/// The shards, as the front desk sees them.
pub trait Stage: Send + Sync + 'static {
    /// Takes a socket over, or gives it back with the reason.
    ///
    /// The front desk drops the future after `upgrade_timeout`: the admission in it must close with it.
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>>;

    /// How the shards and the stores are. Called on an async thread: it reads figures and waits for nothing.
    fn health(&self) -> Health;

    /// What an operator may want to see, for `/debug`.
    fn debug(&self) -> serde_json::Value;

    /// All actors, host by host, for `/debug/actors`: an object with `at_ms` and `hosts`.
    ///
    /// Each host is asked, with a deadline of 500 ms; one that does not answer is in the list with `"answers": false` and
    /// what is known of it without its help. May be called several times a second.
    fn actors(&self) -> BoxFuture<'_, serde_json::Value>;

    /// One actor by its address; `key` is empty for singletons. `None` where there is none now: asking activates nobody.
    fn actor(&self, kind: &str, key: &str) -> BoxFuture<'_, Option<serde_json::Value>>;

    /// Appends its figures in the Prometheus text format ([`metrics::Exposition`](crate::http::metrics::Exposition)).
    fn metrics(&self, out: &mut String);

    /// Closes all connections of a user. How many there were.
    fn close_user(&self, user: &UserId, code: CloseCode) -> BoxFuture<'_, usize>;

    /// Closes the connections that came by one log-in of a user, wherever they are, and those that are on their way in.
    fn close_session(&self, user: &UserId, session: &str, code: CloseCode) -> BoxFuture<'_, ()>;

    /// A guest has made an account, of the same id: what is kept of it is kept as a member's, and its connections are told to
    /// come back as that. To be polled on a task of its own: it goes through the saved rooms.
    fn promote(&self, user: &UserId) -> BoxFuture<'_, ()>;

    /// A user's roles have changed: its connections, and their rooms, go by these from now on.
    fn set_roles(&self, user: &UserId, roles: Vec<Role>) -> BoxFuture<'_, ()>;
}

/// How well something does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Ok,
    /// Some of it is out of order; people can play.
    Degraded,
    /// It does not work.
    Down,
}

/// How the stage is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// Whether the server is shutting down.
    pub draining: bool,
    /// The shards, in order of their numbers.
    pub shards: Vec<ShardHealth>,
    /// Stores and whatever else people's playing depends on more or less.
    pub services: Vec<ServiceHealth>,
}

/// How one shard is.
#[derive(Clone, Debug, Serialize)]
pub struct ShardHealth {
    /// Its number, from 0.
    pub shard: usize,
    /// Whether its executor runs.
    pub alive: bool,
    /// How long ago it last beat, in milliseconds.
    pub heartbeat_age_ms: u64,
    /// Connections that live on it.
    pub connections: usize,
    /// Rooms that live on it.
    pub rooms: usize,
}

/// How one service is.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceHealth {
    /// Its name: `state`, `documents`, …
    pub name: String,
    /// How it does.
    pub status: Status,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A shard whose last heartbeat is older than this is stuck.
const STUCK_AFTER_MS: u64 = 2_000;

impl Health {
    /// Whether people can be sent here.
    ///
    /// Down: no shard works, or the server is draining. Degraded: one shard or service does not work; the server
    /// keeps playing without its stores.
    pub fn status(&self) -> Status {
        let working = self.shards.iter().filter(|shard| shard.status() == Status::Ok).count();
        if self.draining || working == 0 {
            Status::Down
        } else if working < self.shards.len() || self.services.iter().any(|service| service.status != Status::Ok) {
            Status::Degraded
        } else {
            Status::Ok
        }
    }
}

impl ShardHealth {
    /// Down where it is dead or stuck.
    pub fn status(&self) -> Status {
        if self.alive && self.heartbeat_age_ms <= STUCK_AFTER_MS { Status::Ok } else { Status::Down }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(alive: bool, heartbeat_age_ms: u64) -> ShardHealth {
        ShardHealth { shard: 0, alive, heartbeat_age_ms, connections: 0, rooms: 0 }
    }

    fn health(shards: Vec<ShardHealth>) -> Health {
        Health { shards, ..Health::default() }
    }

    #[test]
    fn one_dead_or_stuck_shard_degrades_and_no_live_one_is_down() {
        assert_eq!(health(vec![shard(true, 20), shard(true, 2_000)]).status(), Status::Ok);
        assert_eq!(health(vec![shard(true, 20), shard(false, 20)]).status(), Status::Degraded);
        assert_eq!(health(vec![shard(true, 20), shard(true, 2_001)]).status(), Status::Degraded);
        assert_eq!(health(vec![shard(false, 0)]).status(), Status::Down);
        assert_eq!(health(vec![]).status(), Status::Down);
    }

    #[test]
    fn without_its_stores_the_server_plays_on_degraded() {
        let mut health = health(vec![shard(true, 20)]);
        health.services.push(ServiceHealth { name: "documents".into(), status: Status::Down, message: None });
        assert_eq!(health.status(), Status::Degraded);
        health.draining = true;
        assert_eq!(health.status(), Status::Down);
    }
}
