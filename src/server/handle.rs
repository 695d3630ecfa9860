//! The hosts as the front desk sees them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::{
    actor::{
        breaker::BreakerState, kind_figures::KindFigures, parcel::Parcel, placement::shard_of, remote::Remote, report,
    },
    domain::name,
    http::stage::{Admission, BoxFuture, Health, Refused, RefusedReason, ServiceHealth, ShardHealth, Stage, Status},
    protocol::{close::CloseCode, ids::UserId},
    server::{clerk_pool::ClerkPool, clock::Clock, figures::Figures, message::UserMessage, stage, user::User},
    store::{Documents, State, StoreError},
};

/// How long an admission waits for a place at its shard.
const ADMIT_PATIENCE: Duration = Duration::from_secs(1);
/// Every so often it looks again.
const RETRY: Duration = Duration::from_millis(5);
/// How long a host may take to report on its actors.
const REPORT_WITHIN: Duration = Duration::from_millis(500);
/// How long an operator waits for a user's actor.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Reaches all hosts.
pub struct StageHandle {
    /// The hosts: the shards, and then the back office's.
    pub remote: Remote,
    /// What the shards count.
    pub figures: Vec<Arc<Figures>>,
    /// The server's clock.
    pub clock: Clock,
    /// The server shuts down: nobody is let in.
    pub draining: AtomicBool,
    /// How the stores were when last asked.
    pub stores: Arc<StoreWatch>,
    /// People's documents, by way of their clerks.
    pub people: Arc<ClerkPool>,
}

impl StageHandle {
    /// How many shards there are.
    fn shards(&self) -> usize {
        self.figures.len()
    }

    /// Lets nobody in any more, on any shard.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for shard in 0..self.shards() {
            // A shard that has ended has nobody to drain.
            let _ = self.remote.on::<stage::Stage, _>(shard, stage::Stage::drain).await;
        }
    }

    /// The shard where a new connection begins: that of the room it asks for, or its user's.
    fn first_shard(&self, admission: &Admission) -> usize {
        let room = admission.room.as_deref().and_then(|name| name::room_key(name).ok());
        let key = room.as_ref().map_or(admission.session.profile.user_id.as_str(), |room| room.as_str());
        shard_of(key, self.shards())
    }
}

impl Stage for StageHandle {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>> {
        Box::pin(async move {
            let shard = self.remote.post().mesh.shard(self.first_shard(&admission));
            let give_up = tokio::time::Instant::now() + ADMIT_PATIENCE;
            let refused = |reason, admission| Err(Refused { admission, reason });
            let slot = loop {
                if self.draining.load(Ordering::Acquire) {
                    return refused(RefusedReason::Draining, Box::new(admission));
                }
                match shard.try_reserve() {
                    Some(slot) => break slot,
                    None if tokio::time::Instant::now() >= give_up => {
                        return refused(RefusedReason::Busy, Box::new(admission));
                    }
                    None => tokio::time::sleep(RETRY).await,
                }
            };
            let Err(error) = slot.send(Parcel::Handed(Box::new(admission))) else { return Ok(()) };
            let Parcel::Handed(handed) = error.into_message() else {
                unreachable!("the parcel that was sent comes back")
            };
            match handed.downcast::<Admission>() {
                Ok(admission) => refused(RefusedReason::Draining, admission),
                Err(_) => unreachable!("what was handed over comes back"),
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
        let mut services = self.stores.services();
        let stuck = report::stuck(&self.remote);
        services.push(ServiceHealth {
            name: "actors".to_owned(),
            status: if stuck.is_empty() { Status::Ok } else { Status::Degraded },
            message: (!stuck.is_empty()).then(|| format!("stuck: {}", stuck.join(", "))),
        });
        Health { draining: self.draining.load(Ordering::Acquire), shards: shards.collect(), services }
    }

    fn debug(&self) -> Value {
        let shards = self.figures.iter().enumerate().map(|(number, figures)| {
            let values = Figures::ALL.iter().map(|series| {
                let name = if series.labels.is_empty() {
                    series.metric.to_owned()
                } else {
                    format!("{}{{{}}}", series.metric, series.labels)
                };
                (name, (series.read)(figures).into())
            });
            serde_json::json!({
                "shard": number,
                "inbox": self.remote.post().mesh.shard(number).depth(),
                "figures": values.collect::<serde_json::Map<String, Value>>(),
            })
        });
        serde_json::json!({ "shards": shards.collect::<Vec<_>>() })
    }

    fn actors(&self) -> BoxFuture<'_, Value> {
        Box::pin(self.remote.report(REPORT_WITHIN))
    }

    fn actor(&self, kind: &str, key: &str) -> BoxFuture<'_, Option<Value>> {
        let (kind, key) = (kind.to_owned(), key.to_owned());
        Box::pin(async move { report::of_one(&self.remote, &kind, &key, REPORT_WITHIN).await })
    }

    fn metrics(&self, out: &mut String) {
        Figures::render(&self.figures, out);
        self.people.render(out);
        let hosts = self.remote.post().registry.hosts();
        let kinds: Vec<(&str, &str, &KindFigures)> = hosts
            .iter()
            .flat_map(|host| host.kinds.iter().map(|(kind, figures)| (&*host.name, *kind, &**figures)))
            .collect();
        KindFigures::render(&kinds, out);
    }

    fn close_user(&self, user: &UserId, code: CloseCode) -> BoxFuture<'_, usize> {
        let user = user.clone();
        Box::pin(async move {
            let close = UserMessage::Close { code };
            // A host that has ended has no connections left.
            self.remote.ask::<User>(&user, close, CLOSE_WITHIN).await.unwrap_or(0)
        })
    }
}

/// Asks the stores now and then how they are, so that a health report need not wait for them.
#[derive(Default)]
pub struct StoreWatch {
    clerks: Option<Arc<ClerkPool>>,
    state: std::sync::Mutex<Option<StoreError>>,
    documents: std::sync::Mutex<Option<StoreError>>,
}

impl StoreWatch {
    /// That tells too how the documents' clerks are.
    pub fn over(clerks: Arc<ClerkPool>) -> Self {
        Self { clerks: Some(clerks), ..Self::default() }
    }

    /// Watches for as long as it is polled.
    pub async fn watch(self: Arc<Self>, state: Arc<dyn State>, documents: Arc<dyn Documents>) {
        loop {
            *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = state.check().await.err();
            *self.documents.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = documents.check().await.err();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn services(&self) -> Vec<ServiceHealth> {
        let stores = [("state", &self.state), ("documents", &self.documents)].map(|(name, place)| {
            let error = place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            ServiceHealth {
                name: name.to_owned(),
                status: if error.is_none() { Status::Ok } else { Status::Down },
                message: error.map(|error| error.to_string()),
            }
        });
        stores.into_iter().chain(self.clerks.as_deref().map(clerks_health)).collect()
    }
}

/// How it is with the documents of people: whether their clerks ask the store at all, and how much waits.
fn clerks_health(clerks: &ClerkPool) -> ServiceHealth {
    let (breaker, figures) = (clerks.breaker(), clerks.figures());
    let message = format!(
        "breaker {}, {} under way or waiting, {} calls, {} refused, {} expired, {} answered without the store",
        match breaker {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half open",
        },
        clerks.depth(),
        figures.calls.get(),
        figures.refused.get(),
        figures.expired.get(),
        figures.unasked.get(),
    );
    ServiceHealth {
        name: "clerks".to_owned(),
        status: if breaker == BreakerState::Closed { Status::Ok } else { Status::Degraded },
        message: Some(message),
    }
}
