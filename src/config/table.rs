//! The table of settings: one row each, the only place that names them.
//!
//! A row is its description, its field and type, its key, its default, defaults of profiles that differ, and the
//! range of a number. Keys carry the unit last; a duration's field is a [`Duration`], whatever the key's unit.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    config::{
        Values,
        setting::{DatabaseName, LogFilter, LogFormat, Origin, Profile, RoleRates, Secret, Setting, SettingType},
    },
    domain::bucket::Rate,
    http::auth::SigningKey,
};

macro_rules! or_any {
    () => {
        0..=u64::MAX
    };
    ($range:expr) => {
        $range
    };
}

macro_rules! settings {
    ($(
        #[doc = $section_doc:literal]
        $section:ident: $struct:ident {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty, $key:literal = $default:literal
            $({ $($profile:ident: $by_profile:literal),* })? $(in $range:expr)?;
        )*}
    )*) => {
        /// All settings, read and checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {$(
            #[doc = $section_doc]
            pub $section: $struct,
        )*}

        $(
            #[doc = $section_doc]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $struct {$(
                $(#[doc = $doc])+
                ///
                #[doc = concat!("Setting `", $key, "`, default `", $default, "`.")]
                pub $field: $type,
            )*}
        )*

        /// Every setting there is, in the order in which they are printed.
        pub static TABLE: &[Setting] = &[$($(
            Setting {
                key: $key,
                doc: concat!($($doc),+).trim_ascii_start(),
                section: $section_doc.trim_ascii(),
                default: $default,
                by_profile: &[$($((Profile::$profile, $by_profile)),*)?],
                range: or_any!($($range)?),
                secret: <$type>::SECRET,
                to_toml: |setting, text| Ok(<$type>::parse(text, setting)?.to_toml(setting)),
            },
        )*)*];

        impl Config {
            /// Reads every field, so that all problems are noted; `None` where there is one.
            pub(super) fn read(values: &mut Values) -> Option<Self> {
                let mut rows = TABLE.iter();
                // In the order of the table, which is made from the same rows.
                $(let $section = {
                    $(let $field = values.read::<$type>(rows.next()?);)*
                    (|| Some($struct { $($field: $field?),* }))()
                };)*
                Some(Self { $($section: $section?),* })
            }
        }
    };
}

settings! {
    /// The process.
    server: ServerConfig {
        /// Which defaults apply: `development`, `staging` or `production`.
        profile: Profile, "profile" = "development";
        /// The folder that holds what the server keeps: its keys and its documents. One server at a time owns it.
        data_dir: PathBuf, "data_dir" = "./data";
        /// Shards, each a thread pinned to a core; `auto`: all cores but one, which is the front desk's.
        shards: Option<usize>, "shards" = "auto" in 1..=1024;
        /// How long a shutdown may take from the signal on, in milliseconds.
        grace_time: Duration, "grace_time_ms" = "5000" in 100..=600_000;
        /// Which log lines are written: a level, or a filter such as `info,pianorhythm_server=debug`.
        log: LogFilter, "log" = "info";
        /// How log lines look: `text` for people, `json` for machines.
        log_format: LogFormat, "log_format" = "text" { Staging: "json", Production: "json" };
    }

    /// The front desk: where the server listens, and whom it lets in.
    http: HttpConfig {
        /// The address to listen on: 127.0.0.1 for this machine alone, 0.0.0.0 for all networks.
        host: IpAddr, "host" = "127.0.0.1";
        /// The port to listen on; 0 lets the system choose one.
        port: u16, "port" = "8080";
        /// Where health in detail, metrics and debugging listen, for operators; `off`: nowhere.
        admin_bind: Option<SocketAddr>, "admin_bind" = "127.0.0.1:9090";
        /// Connections in all, WebSockets included.
        max_connections: usize, "max_connections" = "10000" in 1..=10_000_000;
        /// Connections of one client address (of one /64 with IPv6).
        max_connections_per_address: usize, "max_connections_per_address" = "100" in 1..=10_000_000;
        /// How fast one client address (one /64 with IPv6) may connect: so often in the long run, and so often at once; or `unlimited`.
        connect_rate_per_address: Rate, "connect_rate_per_address" = "50/s burst 500";
        /// Addresses and networks of the proxies whose word about a client's address is taken.
        trusted_proxies: Vec<IpNet>, "trusted_proxies" = "none";
        /// Whether connections of trusted proxies begin with a PROXY protocol v2 header: then they must.
        proxy_protocol: bool, "proxy_protocol" = "false";
        /// Origins whose pages may use the server with a user's cookies, beside its own pages.
        allowed_origins: Vec<Origin>, "allowed_origins" = "none"
            { Development: "http://localhost:3000, http://localhost:5173, http://127.0.0.1:3000, http://127.0.0.1:5173" };
        /// Whether people without an account may come in.
        allow_guests: bool, "allow_guests" = "true";
        /// Whether cookies travel over TLS only.
        secure_cookies: bool, "secure_cookies" = "true" { Development: "false" };
        /// How long a client may take to send a request's header, in milliseconds.
        header_timeout: Duration, "header_timeout_ms" = "10000" in 100..=600_000;
        /// How long an answer may take, in milliseconds.
        request_timeout: Duration, "request_timeout_ms" = "30000" in 100..=600_000;
        /// How long a WebSocket may take from the upgrade until a shard has it, in milliseconds.
        upgrade_timeout: Duration, "upgrade_timeout_ms" = "5000" in 100..=600_000;
        /// The longest request body, in bytes.
        max_body_bytes: usize, "max_body_bytes" = "65536" in 1024..=67_108_864;
        /// How long a guest's identity lasts after its last visit, in days.
        guest_token_life: Duration, "guest_token_days" = "180" in 1..=3650;
        /// How long a connection's session token lasts, in days.
        session_token_life: Duration, "session_token_days" = "7" in 1..=365;
        /// The Ed25519 key that signs tokens, PKCS#8 in PEM; none: one is made in the data folder on first start.
        jwt_private_key: Option<Secret>, "jwt_private_key" = "";
    }

    /// The stage: sockets on their shards.
    stage: StageConfig {
        /// How long notes to one member are gathered at most when a shard is busy, in milliseconds; 0: never.
        gather_max: Duration, "gather_max_ms" = "6" in 0..=100;
        /// A member with so many unsent bytes gets no cursors, then no notes, until it has caught up.
        outbox_shed_bytes: usize, "outbox_shed_bytes" = "262144" in 16_384..=1_073_741_824;
        /// The same for one whose oldest unsent byte is so old, in milliseconds.
        outbox_shed_age: Duration, "outbox_shed_age_ms" = "2000" in 10..=600_000;
        /// A member with so many unsent bytes is disconnected.
        outbox_close_bytes: usize, "outbox_close_bytes" = "1048576" in 16_384..=1_073_741_824;
        /// The same for one whose oldest unsent byte is so old, in milliseconds.
        outbox_close_age: Duration, "outbox_close_age_ms" = "5000" in 10..=600_000;
        /// The kernel's send buffer of each socket, in bytes: more hides how far behind a member is.
        socket_send_buffer: usize, "socket_send_buffer" = "32768" in 4096..=16_777_216;
        /// Bytes a connection may send a second, and four times as many at once; past it, it is read no faster.
        input_bytes_per_second: u32, "input_bytes_per_second" = "262144" in 4096..=4_294_967_295;
        /// How long the kernel keeps trying to deliver to a peer that takes nothing, in milliseconds.
        tcp_user_timeout: Duration, "tcp_user_timeout_ms" = "20000" in 1000..=600_000;
        /// How long a connection may stay without a room and without a message, in milliseconds.
        roomless_idle_timeout: Duration, "roomless_idle_timeout_ms" = "60000" in 100..=86_400_000;
        /// A connection that sends nothing for so long is pinged, and closed after three times this, in milliseconds.
        heartbeat_interval: Duration, "heartbeat_interval_ms" = "20000" in 100..=3_600_000;
        /// How long a join may take before it is given up, in milliseconds.
        join_timeout: Duration, "join_timeout_ms" = "10000" in 100..=600_000;
        /// How long a hand-off of a connection waits for a place at the other shard, in milliseconds.
        hand_off_timeout: Duration, "hand_off_timeout_ms" = "1000" in 10..=60_000;
        /// Members of a room that stay on its own shard; further ones live on other shards, and come back below half of it.
        spill_after: usize, "spill_after" = "200" in 2..=1_000_000;
        /// Bytes that wait for such a shard; past it notes for the members there are shed, and past four times it they are closed.
        spill_pending_bytes: usize, "spill_pending_bytes" = "262144" in 16_384..=1_073_741_824;
        /// The same for what has waited so long, in milliseconds; past five times it they are closed.
        spill_pending_age: Duration, "spill_pending_age_ms" = "2000" in 10..=600_000;
        /// How long a closed connection may take to say good-bye, in milliseconds.
        close_timeout: Duration, "close_timeout_ms" = "1000" in 10..=60_000;
    }

    /// Rooms.
    rooms: RoomsConfig {
        /// The largest capacity that a room can be given.
        max_room_capacity: u32, "max_room_capacity" = "100" in 1..=100_000;
        /// The capacity of a room whose creator gives none.
        default_room_capacity: u32, "default_room_capacity" = "20" in 1..=100_000;
        /// The capacity of each lobby.
        lobby_capacity: u32, "lobby_capacity" = "30" in 1..=100_000;
        /// How long a room exists after its last member has left, in milliseconds.
        empty_grace: Duration, "room_grace_time_ms" = "60000" in 0..=86_400_000;
        /// How long an absent owner keeps the crown, in milliseconds.
        owner_grace: Duration, "owner_grace_time_ms" = "30000" in 0..=86_400_000;
        /// How long a reserved seat waits for its connection, in milliseconds.
        seat_hold: Duration, "seat_hold_ms" = "5000" in 100..=60_000;
        /// A member that holds notes and has sent nothing for so long is pinged, in milliseconds.
        ping_after: Duration, "silence_ping_ms" = "2000" in 100..=600_000;
        /// A member that holds notes and has sent nothing for so long has them released, in milliseconds.
        release_after: Duration, "silence_release_ms" = "5000" in 100..=600_000;
        /// Above so many members, joins and leaves are told gathered.
        crowd: usize, "crowd_members" = "100" in 1..=100_000;
        /// For so long they are gathered, in milliseconds.
        crowd_gather: Duration, "crowd_gather_ms" = "500" in 10..=10_000;
    }

    /// The note quota: note events that a user may play, in the long run and at once.
    quota: QuotaConfig {
        /// Note events a window in lobbies.
        lobby_notes: u32, "quota_lobby_notes" = "200" in 1..=1_000_000_000;
        /// Note events at once in lobbies.
        lobby_burst: u32, "quota_lobby_burst" = "600" in 1..=1_000_000_000;
        /// Note events a window in other rooms.
        room_notes: u32, "quota_room_notes" = "400" in 1..=1_000_000_000;
        /// Note events at once in other rooms.
        room_burst: u32, "quota_room_burst" = "1200" in 1..=1_000_000_000;
        /// Note events a window in rooms whose owner allows dense playing.
        dense_notes: u32, "quota_dense_notes" = "12000" in 1..=1_000_000_000;
        /// Note events at once in rooms whose owner allows dense playing.
        dense_burst: u32, "quota_dense_burst" = "36000" in 1..=1_000_000_000;
        /// The window, in milliseconds.
        window: Duration, "quota_window_ms" = "2000" in 100..=60_000;
        /// What guests have of all these, in percent.
        guest_percent: u32, "quota_guest_percent" = "100" in 1..=100;
    }

    /// Rate limits of a connection's messages, by kind: for guests, members and staff, or one for all.
    rates: RatesConfig {
        /// Chat lines.
        chat: RoleRates, "rate_chat" = "1/s burst 5, 2/s burst 10, 5/s burst 20";
        /// Chat commands.
        command: RoleRates, "rate_command" = "1/s burst 5, 2/s burst 10, 5/s burst 20";
        /// Creating, joining, leaving and changing rooms.
        room_request: RoleRates, "rate_room_request" = "1/s burst 10, 2/s burst 20, 5/s burst 20";
        /// Questions: lists, members, a room's particulars.
        query: RoleRates, "rate_query" = "5/s burst 20, 5/s burst 20, 10/s burst 40";
        /// Changes of name, colour and status.
        profile: RoleRates, "rate_profile" = "1/2s burst 5, 1/2s burst 5, 2/s burst 10";
        /// Avatars: cursor positions above all.
        avatar: RoleRates, "rate_avatar" = "30/s burst 60";
        /// Heartbeats and time synchronisation.
        heartbeat: RoleRates, "rate_heartbeat" = "5/s burst 20";
        /// Kicks, bans, mutes, transfers.
        moderation: RoleRates, "rate_moderation" = "1/s burst 10, 2/s burst 20, 10/s burst 50";
        /// MIDI messages, each counting once for every 256 bytes of events that it begins.
        midi: RoleRates, "rate_midi" = "500/s burst 1000";
    }

    /// Stores.
    stores: StoresConfig {
        /// The MongoDB that keeps the documents, `mongodb://…`; none: they are in a file in the data folder.
        mongodb_url: Option<Secret>, "mongodb_url" = "";
        /// The database there.
        mongodb_database: DatabaseName, "mongodb_database" = "pianorhythm";
        /// How many calls to the documents run at once; with MongoDB, each on a connection of its own.
        documents_calls: usize, "store_documents_calls" = "16" in 1..=1000;
        /// The most keys and set members that the embedded live state holds.
        state_max_keys: usize, "store_state_max_keys" = "1000000" in 1000..=1_000_000_000;
        /// The most bytes of keys and values that the embedded live state holds.
        state_max_bytes: usize, "store_state_max_bytes" = "268435456" in 1_048_576..=1_099_511_627_776;
        /// How long a store may take to answer, in milliseconds.
        timeout: Duration, "store_timeout_ms" = "5000" in 10..=600_000;
        /// How many calls may wait for the documents; further ones are refused as busy.
        documents_queue: usize, "store_documents_queue" = "1024" in 1..=1_000_000;
        /// How long changes are gathered at most into one commit when many come, in milliseconds.
        commit_gather: Duration, "store_commit_gather_ms" = "20" in 0..=1000;
    }
}

impl Config {
    /// Checks what goes together.
    pub(super) fn check(&self, values: &mut Values) {
        let Self { rooms, stage, .. } = self;
        let max = rooms.max_room_capacity;
        for (key, capacity) in
            [("default_room_capacity", rooms.default_room_capacity), ("lobby_capacity", rooms.lobby_capacity)]
        {
            if capacity > max {
                values.conflict(key, format!("max_room_capacity is {max}"));
            }
        }
        if rooms.release_after < rooms.ping_after {
            values.conflict("silence_release_ms", "it is less than silence_ping_ms".into());
        }
        if stage.outbox_close_bytes < stage.outbox_shed_bytes {
            values.conflict("outbox_close_bytes", "it is less than outbox_shed_bytes".into());
        }
        if stage.outbox_close_age < stage.outbox_shed_age {
            values.conflict("outbox_close_age_ms", "it is less than outbox_shed_age_ms".into());
        }
        if let Some(pem) = &self.http.jwt_private_key
            && let Err(error) = SigningKey::from_pem(pem.reveal())
        {
            values.conflict("jwt_private_key", error.to_string());
        }
        if let Some(url) = &self.stores.mongodb_url
            && !["mongodb://", "mongodb+srv://"].iter().any(|scheme| url.reveal().starts_with(scheme))
        {
            values.conflict("mongodb_url", "it does not begin with mongodb://".into());
        }
        if self.stores.mongodb_url.as_ref().is_some_and(|url| url.reveal().starts_with("mongodb+srv://")) {
            let reason = "this server looks up no SRV records: name the servers, mongodb://one,two/?replicaSet=name";
            values.conflict("mongodb_url", reason.into());
        }
        if self.http.admin_bind == Some(SocketAddr::new(self.http.host, self.http.port)) && self.http.port != 0 {
            values.conflict("admin_bind", "host and port are the same".into());
        }
    }
}
