//! What the server and its stage are told at start: plain fields, checked once by the configuration.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    domain::{bucket::Rate, rate::RateSettings, room::RoomLimits},
    http::settings::FrontDeskSettings,
    net::{outbox::Bounds, socket::SocketSettings},
    server::clerk_pool::ClerkSettings,
    store::{EmbeddedDocumentsSettings, EmbeddedStateSettings, MongoSettings},
};

/// The whole server's settings.
pub struct ServerSettings {
    /// The folder that holds what the server keeps.
    pub data_dir: PathBuf,
    /// How many shards; without it, all cores but the front desk's.
    pub shards: Option<NonZeroUsize>,
    /// The key that signs tokens, PKCS#8 in PEM; without it, the data folder's.
    pub private_key_pem: Option<String>,
    /// The front desk's.
    pub front_desk: FrontDeskSettings,
    /// The stage's.
    pub stage: StageSettings,
    /// The embedded documents'.
    pub documents: EmbeddedDocumentsSettings,
    /// Where the documents are kept instead, if anywhere.
    pub mongodb: Option<MongoSettings>,
    /// Those who make the calls to the documents.
    pub clerks: ClerkSettings,
    /// The embedded live state's.
    pub state: EmbeddedStateSettings,
}

/// The stage's settings, shared by all shards.
#[derive(Clone, Debug)]
pub struct StageSettings {
    /// When a connection counts as falling behind.
    pub outbox: Bounds,
    /// How sockets are set up.
    pub socket: SocketSettings,
    /// The longest a room's frames are gathered under load; zero switches it off.
    pub gather_max: Duration,
    /// Bytes a connection may send. One past it is read no faster, and waits in the kernel: nothing of it is lost.
    pub input: Rate,
    /// The longest message a client may send, in bytes.
    pub max_message_bytes: usize,
    /// A connection in no room that asks for nothing is closed after this.
    pub roomless_idle_timeout: Duration,
    /// A connection that sends nothing is pinged after this, and closed after three times this.
    pub heartbeat_interval: Duration,
    /// How long a join may take before it is given up.
    pub join_timeout: Duration,
    /// How long a change may take to be kept; past it who asked is told that it may not be.
    pub commit_timeout: Duration,
    /// How long a hand-off waits for a place at the other shard.
    pub hand_off_timeout: Duration,
    /// Members of a room that its own shard has; those beyond live on other shards.
    pub spill_after: usize,
    /// What may be pending for one such shard that takes nothing in: past the first bounds notes are shed, past the second
    /// the room's members there are closed.
    pub spill_pending: Bounds,
    /// How long a closed connection may take to say good-bye.
    pub close_timeout: Duration,
    /// How long a shutting-down server waits for its connections.
    pub grace_time: Duration,
    /// Messages by kind and role.
    pub rates: RateSettings,
    /// What binds rooms.
    pub rooms: Arc<RoomLimits>,
}

impl Default for StageSettings {
    fn default() -> Self {
        Self {
            outbox: Bounds::default(),
            socket: SocketSettings::default(),
            gather_max: Duration::from_millis(6),
            input: Rate::per_second(262_144, 1_048_576),
            max_message_bytes: crate::protocol::MAX_MESSAGE_BYTES,
            roomless_idle_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(20),
            join_timeout: Duration::from_secs(10),
            // The store itself gives up earlier.
            commit_timeout: Duration::from_secs(30),
            hand_off_timeout: Duration::from_secs(1),
            spill_after: 200,
            spill_pending: pending_bounds(256 * 1024, Duration::from_secs(2)),
            close_timeout: Duration::from_secs(1),
            grace_time: Duration::from_secs(5),
            rates: RateSettings::default(),
            rooms: Arc::default(),
        }
    }
}

/// What may be pending for a branch of a room: from these bounds on it is shed, and past four times the bytes or five times the
/// age the branch is given up.
pub fn pending_bounds(bytes: usize, age: Duration) -> Bounds {
    Bounds { shed_bytes: bytes, shed_age: age, close_bytes: bytes.saturating_mul(4), close_age: age * 5 }
}
