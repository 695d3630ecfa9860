//! The stage as the front desk sees it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    actor::mesh::{Lane, Mesh, SendError},
    domain::{name, placement::shard_of},
    http::stage::{Admission, BoxFuture, Health, Refused, RefusedReason, ServiceHealth, ShardHealth, Stage, Status},
    protocol::{close::CloseCode, ids::UserId},
    server::{
        clock::Clock,
        figures::Figures,
        message::{ShardMessage, UserMessage},
    },
    store::{Documents, State, StoreError},
};

/// How long an admission waits for a place at its shard.
const ADMIT_PATIENCE: Duration = Duration::from_secs(1);
/// Every so often it looks again.
const RETRY: Duration = Duration::from_millis(5);

/// Reaches all shards.
pub struct StageHandle {
    /// The shards.
    pub mesh: Mesh<ShardMessage>,
    /// What they count.
    pub figures: Vec<Arc<Figures>>,
    /// The server's clock.
    pub clock: Clock,
    /// The server shuts down: nobody is let in.
    pub draining: AtomicBool,
    /// How the stores were when last asked.
    pub stores: Arc<StoreWatch>,
}

impl StageHandle {
    /// Tells every shard to close its connections with advice to come back.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for shard in 0..self.mesh.len() {
            let mut message = ShardMessage::Drain;
            while let Err(SendError::Full(back)) = self.mesh.shard(shard).try_send(Lane::Control, message) {
                message = back;
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// The shard where a new connection begins: that of the room it asks for, or its user's.
    fn first_shard(&self, admission: &Admission) -> usize {
        let room = admission.room.as_deref().and_then(|name| name::room_key(name).ok());
        let key = room.as_ref().map_or(admission.session.profile.user_id.as_str(), |room| room.as_str());
        shard_of(key, self.mesh.len())
    }
}

impl Stage for StageHandle {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let shard = self.mesh.shard(self.first_shard(&admission));
            let give_up = tokio::time::Instant::now() + ADMIT_PATIENCE;
            let refused = |reason, admission| Err(Refused { admission: Box::new(admission), reason });
            let slot = loop {
                if self.draining.load(Ordering::Acquire) {
                    return refused(RefusedReason::Draining, admission);
                }
                match shard.try_reserve() {
                    Some(slot) => break slot,
                    None if tokio::time::Instant::now() >= give_up => return refused(RefusedReason::Busy, admission),
                    None => tokio::time::sleep(RETRY).await,
                }
            };
            match slot.send(ShardMessage::Admit(Box::new(admission))) {
                Ok(()) => Ok(()),
                Err(error) => match error.into_message() {
                    ShardMessage::Admit(admission) => Err(Refused { admission, reason: RefusedReason::Draining }),
                    _ => unreachable!("the message that was sent comes back"),
                },
            }
        })
    }

    fn health(&self) -> Health {
        let now = self.clock.now().as_us();
        let shards = self.figures.iter().enumerate().map(|(shard, figures)| {
            let age_us = now.saturating_sub(figures.heartbeat_us.get());
            ShardHealth {
                shard,
                alive: figures.heartbeat_us.get() > 0,
                heartbeat_age_ms: age_us / 1000,
                connections: figures.connections.get() as usize,
                rooms: figures.rooms.get() as usize,
            }
        });
        Health {
            draining: self.draining.load(Ordering::Acquire),
            shards: shards.collect(),
            services: self.stores.services(),
        }
    }

    fn debug(&self) -> serde_json::Value {
        let shards = self.figures.iter().enumerate().map(|(number, figures)| {
            let values = crate::server::figures::Figures::ALL.iter().map(|series| {
                let name = if series.labels.is_empty() {
                    series.metric.to_owned()
                } else {
                    format!("{}{{{}}}", series.metric, series.labels)
                };
                (name, (series.read)(figures).into())
            });
            serde_json::json!({
                "shard": number,
                "inbox": self.mesh.shard(number).depth(),
                "figures": values.collect::<serde_json::Map<String, serde_json::Value>>(),
            })
        });
        serde_json::json!({ "shards": shards.collect::<Vec<_>>() })
    }

    fn actors(&self) -> BoxFuture<'_, serde_json::Value> {
        Box::pin(std::future::ready(serde_json::json!({ "hosts": [] })))
    }

    fn actor(&self, _kind: &str, _key: &str) -> BoxFuture<'_, Option<serde_json::Value>> {
        Box::pin(std::future::ready(None))
    }

    fn metrics(&self, out: &mut String) {
        Figures::render(&self.figures, out);
    }

    fn close_user(&self, user: &UserId, code: CloseCode) -> BoxFuture<'_, usize> {
        let user = user.clone();
        Box::pin(async move {
            let (count, counted) = flume::bounded(1);
            let shard = self.mesh.shard(shard_of(user.as_str(), self.mesh.len()));
            let mut message = ShardMessage::User { user, message: UserMessage::Close { code, count } };
            while let Err(SendError::Full(back)) = shard.try_send(Lane::Control, message) {
                message = back;
                tokio::time::sleep(RETRY).await;
            }
            // A shard that has ended has no connections left.
            counted.recv_async().await.unwrap_or(0)
        })
    }
}

/// Asks the stores now and then how they are, so that a health report need not wait for them.
#[derive(Debug, Default)]
pub struct StoreWatch {
    state: std::sync::Mutex<Option<StoreError>>,
    documents: std::sync::Mutex<Option<StoreError>>,
}

impl StoreWatch {
    /// Watches for as long as it is polled.
    pub async fn watch(self: Arc<Self>, state: Arc<dyn State>, documents: Arc<dyn Documents>) {
        loop {
            *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = state.check().await.err();
            *self.documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = documents.check().await.err();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn services(&self) -> Vec<ServiceHealth> {
        [("state", &self.state), ("documents", &self.documents)]
            .map(|(name, place)| {
                let error = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
                ServiceHealth {
                    name: name.to_owned(),
                    status: if error.is_none() { Status::Ok } else { Status::Down },
                    message: error.map(|error| error.to_string()),
                }
            })
            .into()
    }
}
