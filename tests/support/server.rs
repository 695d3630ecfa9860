//! A server in the test's process, on ports of its own, with a data folder of its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pianorhythm_server::{
    actor::placement::shard_of,
    config::{Config, RoleRates},
    domain::{bucket::Rate, name},
    http::auth::{Claims, Kind, SigningKey, Tokens},
    protocol::{codec::Format, time::Timestamp},
    server::{clock::Clock, run::Server},
    store::Documents,
};

use super::{client::Client, http, socket::Connect};

/// Enough that rooms, users and connections lie apart.
pub const SHARDS: usize = 3;

/// A running server; it ends with the test.
pub struct TestServer {
    // Taken when it is stopped.
    server: Option<Server>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    folder: tempfile::TempDir,
}

impl TestServer {
    /// With the limits of message rates lifted; all else as by default.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// As [`TestServer::start`], and with these changes.
    pub fn with(edit: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), edit)
    }

    /// As [`TestServer::with`] on a folder that another has used before.
    pub fn on(folder: tempfile::TempDir, edit: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.server.data_dir = folder.path().join("data");
        config.server.shards = Some(SHARDS);
        config.http.host = [127, 0, 0, 1].into();
        config.http.port = 0;
        config.http.admin_bind = Some(([127, 0, 0, 1], 0).into());
        unlimited_rates(&mut config);
        edit(&mut config);
        let server = Server::start(&config).unwrap();
        let (address, admin) = (server.local_addr(), server.admin_addr().unwrap());
        Self { server: Some(server), address, admin, folder }
    }

    /// Rooms' documents, as the server has them.
    pub fn documents(&self) -> Arc<dyn Documents> {
        self.server.as_ref().unwrap().handle().documents.clone()
    }

    /// A connection to be opened.
    pub fn connect(&self, format: Format) -> Connect {
        Connect::to(self.address, format)
    }

    /// A guest of this name, welcomed, in no room.
    pub fn guest(&self, format: Format, name: &str) -> Client {
        self.connect(format).name(name).client()
    }

    /// A guest of this name who has joined a room.
    pub fn player(&self, format: Format, name: &str, room: &str) -> Client {
        let mut client = self.guest(format, name);
        client.join(room);
        client
    }

    /// What signs and verifies this server's tokens.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(SigningKey::load_or_create(&self.folder.path().join("data")).unwrap())
    }

    /// An access token of an hour for a user with these roles.
    pub fn access_token(&self, user: &str, roles: &[&str]) -> String {
        let claims = Claims {
            username: user.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Claims::new(Kind::Access, user, format!("login-of-{user}"), now(), Duration::from_secs(3600))
        };
        self.tokens().sign_access(&claims)
    }

    /// A request to the operators' port: status and body.
    pub fn operator(&self, method: &str, path: &str) -> (u16, String) {
        http::request(self.admin, method, path, &[])
    }

    /// A figure of the operators' metrics, summed up over the shards.
    pub fn figure(&self, metric: &str) -> u64 {
        let (_, text) = self.operator("GET", "/metrics");
        let lines = text.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix(['{', ' ']));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Waits until a figure has this value.
    #[track_caller]
    pub fn await_figure(&self, metric: &str, value: u64) {
        super::eventually(&format!("{metric} is {value}"), || self.figure(metric) == value);
    }

    /// Stops it in order, and gives its folder to the next.
    pub fn stop(mut self) -> tempfile::TempDir {
        self.server.take().unwrap().stop();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// The time, for tokens.
pub fn now() -> Timestamp {
    Clock::start().now()
}

/// Lifts the limits of all kinds of messages.
pub fn unlimited_rates(config: &mut Config) {
    let all = RoleRates { guest: Rate::UNLIMITED, member: Rate::UNLIMITED, staff: Rate::UNLIMITED };
    let rates = &mut config.rates;
    for rate in [
        &mut rates.chat,
        &mut rates.command,
        &mut rates.room_request,
        &mut rates.query,
        &mut rates.profile,
        &mut rates.avatar,
        &mut rates.heartbeat,
        &mut rates.moderation,
        &mut rates.midi,
    ] {
        *rate = all.clone();
    }
}

/// Lifts the note quotas.
pub fn unlimited_quotas(config: &mut Config) {
    const MANY: u32 = 1_000_000_000;
    let quota = &mut config.quota;
    for notes in [
        &mut quota.lobby_notes,
        &mut quota.lobby_burst,
        &mut quota.room_notes,
        &mut quota.room_burst,
        &mut quota.dense_notes,
        &mut quota.dense_burst,
    ] {
        *notes = MANY;
    }
}

/// The name of a room that lives on this of the [`SHARDS`] shards; another for each `which`.
pub fn room_on(shard: usize, which: usize) -> String {
    let names = (0..).map(|number| format!("room {which} {number}"));
    let mut fitting = names.filter(|name| shard_of(name::room_key(name).unwrap().as_str(), SHARDS) == shard);
    fitting.next().unwrap()
}

/// Keeps all that waits for a client that is slow because the machine is: nothing is shed, nobody closed for it.
pub fn patient(config: &mut Config) {
    let stage = &mut config.stage;
    (stage.outbox_shed_bytes, stage.outbox_close_bytes) = (1 << 26, 1 << 27);
    (stage.outbox_shed_age, stage.outbox_close_age) = (Duration::from_secs(300), Duration::from_secs(300));
}
