//! What each part of the server is told: its own settings, from the configuration.

use std::{num::NonZeroUsize, sync::Arc};

use crate::{
    config::{Config, RoleRates},
    domain::{
        bucket::Rate,
        quota::{QuotaSettings, RoomRates},
        rate::{ClassRates, RateSettings},
        room::RoomLimits,
    },
    http::settings::FrontDeskSettings,
    net::{outbox, socket::SocketSettings},
    protocol::MAX_MESSAGE_BYTES,
    server::{
        clerk_pool::ClerkSettings,
        settings::{ServerSettings, StageSettings, pending_bounds},
    },
    store::{EmbeddedDocumentsSettings, EmbeddedStateSettings, MongoSettings, expiring_map},
};

impl From<&Config> for ServerSettings {
    fn from(config: &Config) -> Self {
        Self {
            data_dir: config.server.data_dir.clone(),
            shards: config.server.shards.and_then(NonZeroUsize::new),
            private_key_pem: config.http.jwt_private_key.as_ref().map(|pem| pem.reveal().to_owned()),
            front_desk: config.front_desk(),
            stage: config.stage(),
            documents: config.embedded_documents(),
            mongodb: config.mongodb(),
            clerks: config.clerks(),
            state: config.embedded_state(),
        }
    }
}

impl Config {
    /// The front desk's settings.
    pub fn front_desk(&self) -> FrontDeskSettings {
        let http = &self.http;
        FrontDeskSettings {
            host: http.host,
            port: http.port,
            admin_bind: http.admin_bind,
            header_timeout: http.header_timeout,
            request_timeout: http.request_timeout,
            upgrade_timeout: http.upgrade_timeout,
            tcp_user_timeout: self.stage.tcp_user_timeout,
            max_body_bytes: http.max_body_bytes,
            max_connections: http.max_connections,
            max_connections_by_address: http.max_connections_per_address,
            pace_by_address: http.connect_rate_per_address,
            trusted_proxies: http.trusted_proxies.clone(),
            proxy_protocol: http.proxy_protocol,
            allowed_origins: http.allowed_origins.iter().map(|origin| origin.0.clone()).collect(),
            allow_guests: http.allow_guests,
            secure_cookies: http.secure_cookies,
            guest_token_life: http.guest_token_life,
            session_token_life: http.session_token_life,
        }
    }

    /// The stage's settings.
    pub fn stage(&self) -> StageSettings {
        let stage = &self.stage;
        StageSettings {
            outbox: outbox::Bounds {
                shed_bytes: stage.outbox_shed_bytes,
                shed_age: stage.outbox_shed_age,
                close_bytes: stage.outbox_close_bytes,
                close_age: stage.outbox_close_age,
            },
            socket: SocketSettings {
                send_buffer: stage.socket_send_buffer,
                user_timeout: stage.tcp_user_timeout,
                ..SocketSettings::default()
            },
            gather_max: stage.gather_max,
            input: Rate::per_second(stage.input_bytes_per_second, stage.input_bytes_per_second.saturating_mul(4)),
            // The protocol's, not a server's to choose.
            max_message_bytes: MAX_MESSAGE_BYTES,
            roomless_idle_timeout: stage.roomless_idle_timeout,
            heartbeat_interval: stage.heartbeat_interval,
            join_timeout: stage.join_timeout,
            commit_timeout: StageSettings::default().commit_timeout,
            hand_off_timeout: stage.hand_off_timeout,
            spill_after: stage.spill_after,
            spill_pending: pending_bounds(stage.spill_pending_bytes, stage.spill_pending_age),
            close_timeout: stage.close_timeout,
            grace_time: self.server.grace_time,
            rates: self.rate_limits(),
            rooms: Arc::new(self.room_limits()),
        }
    }

    /// What binds every room.
    pub fn room_limits(&self) -> RoomLimits {
        let rooms = &self.rooms;
        RoomLimits {
            default_capacity: rooms.default_room_capacity,
            lobby_capacity: rooms.lobby_capacity,
            max_capacity: rooms.max_room_capacity,
            quotas: self.quotas(),
            seat_hold: rooms.seat_hold,
            owner_grace: rooms.owner_grace,
            empty_grace: rooms.empty_grace,
            ping_after: rooms.ping_after,
            release_after: rooms.release_after,
            crowd: rooms.crowd,
            crowd_gather: rooms.crowd_gather,
        }
    }

    /// The note quotas.
    pub fn quotas(&self) -> QuotaSettings {
        let quota = &self.quota;
        let period_ms = u32::try_from(quota.window.as_millis()).unwrap_or(u32::MAX);
        let rates = |percent: u32| {
            // Of the least there is, a guest has the whole.
            let part =
                |number: u32| u32::try_from(u64::from(number) * u64::from(percent) / 100).unwrap_or(number).max(1);
            let rate = |notes, burst| Rate { capacity: part(burst), refill: part(notes), period_ms };
            RoomRates {
                lobby: rate(quota.lobby_notes, quota.lobby_burst),
                room: rate(quota.room_notes, quota.room_burst),
                dense: rate(quota.dense_notes, quota.dense_burst),
            }
        };
        QuotaSettings { guests: rates(quota.guest_percent), members: rates(100) }
    }

    /// The rate limits of messages.
    pub fn rate_limits(&self) -> RateSettings {
        let rates = &self.rates;
        let of = |role: fn(&RoleRates) -> Rate| ClassRates {
            chat: role(&rates.chat),
            command: role(&rates.command),
            room_request: role(&rates.room_request),
            query: role(&rates.query),
            profile: role(&rates.profile),
            avatar: role(&rates.avatar),
            heartbeat: role(&rates.heartbeat),
            moderation: role(&rates.moderation),
            midi: role(&rates.midi),
        };
        RateSettings {
            guest: of(|rates| rates.guest),
            member: of(|rates| rates.member),
            staff: of(|rates| rates.staff),
        }
    }

    /// The embedded documents' settings.
    pub fn embedded_documents(&self) -> EmbeddedDocumentsSettings {
        let stores = &self.stores;
        EmbeddedDocumentsSettings {
            queue: stores.documents_queue,
            gather: stores.commit_gather,
            timeout: stores.timeout,
        }
    }

    /// MongoDB's settings, where the documents are kept there.
    pub fn mongodb(&self) -> Option<MongoSettings> {
        let stores = &self.stores;
        Some(MongoSettings {
            url: stores.mongodb_url.as_ref()?.reveal().to_owned(),
            database: stores.mongodb_database.0.clone(),
            pool: stores.documents_calls,
            queue: stores.documents_queue,
            timeout: stores.timeout,
        })
    }

    /// The settings of those who make the calls to the documents.
    pub fn clerks(&self) -> ClerkSettings {
        let stores = &self.stores;
        ClerkSettings { clerks: stores.documents_calls, queue: stores.documents_queue, timeout: stores.timeout }
    }

    /// The embedded live state's settings.
    pub fn embedded_state(&self) -> EmbeddedStateSettings {
        let stores = &self.stores;
        let bounds = expiring_map::Bounds { max_entries: stores.state_max_keys, max_bytes: stores.state_max_bytes };
        EmbeddedStateSettings { bounds, timeout: stores.timeout, ..EmbeddedStateSettings::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_own_defaults_are_those_of_the_configuration() {
        let mut config = Config::default();
        config.http.secure_cookies = true;
        config.http.allowed_origins.clear();
        assert_eq!(format!("{:?}", config.stage()), format!("{:?}", StageSettings::default()));
        // The stage sets its own after the upgrade.
        config.stage.tcp_user_timeout = FrontDeskSettings::default().tcp_user_timeout;
        assert_eq!(config.front_desk(), FrontDeskSettings::default());
        assert_eq!(config.embedded_documents(), EmbeddedDocumentsSettings::default());
        assert_eq!(config.clerks(), ClerkSettings::default());
        assert_eq!(config.mongodb(), None, "the documents are in the data folder where nobody says otherwise");
        let state = EmbeddedStateSettings::default();
        assert_eq!(config.embedded_state(), EmbeddedStateSettings { timeout: config.stores.timeout, ..state });
    }

    #[test]
    fn guests_have_their_part_of_the_quota_and_never_nothing() {
        let mut config = Config::default();
        config.quota.guest_percent = 50;
        config.quota.lobby_notes = 1;
        let quotas = config.quotas();
        assert_eq!((quotas.members.room.refill, quotas.guests.room.refill), (400, 200));
        assert_eq!((quotas.guests.room.capacity, quotas.guests.lobby.refill), (600, 1));
    }
}
