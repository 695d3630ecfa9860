//! The server of a run: its stages, its back office and the mesh between them, each turned when it is told to.

use std::{
    collections::BTreeSet,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use pianorhythm_server::{
    actor::{
        mesh::{Capacity, Inbox, Mesh},
        moment::ActorClock,
        parcel::{Parcel, Post, Registry},
        remote::Remote,
        rng::Rng,
        system::System,
        worker::Worker,
    },
    domain::{
        bucket::Rate,
        quota::{QuotaSettings, RoomRates},
        rate::RateSettings,
        room::RoomLimits,
    },
    http::{place::Places, stage::Admission},
    net::{outbox::Bounds, socket::SocketSettings},
    protocol::{ids::ConnectionId, time::Timestamp},
    server::{
        chance::Chance,
        clock::Clock,
        figures::Figures,
        run::RunError,
        settings::{StageSettings, pending_bounds},
        simulated,
        stage::{Stage, StageParts},
        tree,
    },
};

use crate::{
    plan::Setup,
    stores::{Shelf, Slate},
};

/// When the server's time begins.
const EPOCH: Timestamp = Timestamp::from_ms(1_800_000_000_000);
pub type Ask = Pin<Box<dyn Future<Output = ()>>>;

/// What a crash ends.
pub struct Server {
    pub stages: Vec<Stage>,
    pub inboxes: Vec<Inbox<Parcel>>,
    pub office: System,
    pub office_inbox: Inbox<Parcel>,
    pub remote: Remote,
    pub figures: Vec<Arc<Figures>>,
    pub desk: Places,
    pub gave_up: flume::Receiver<RunError>,
    /// Turns for which a shard is not turned.
    pub stalled: Vec<u32>,
    pub used: Vec<Duration>,
    /// Who waits for a place at a shard.
    pub waiting: Vec<(usize, usize, Box<Admission>)>,
    pub asks: Vec<Ask>,
    pub admitted: BTreeSet<ConnectionId>,
}

fn settings(setup: &Setup) -> StageSettings {
    let tight = Rate { capacity: 12, refill: 4, period_ms: 500 };
    let quotas = if setup.is_note_quota_tight { quotas_of(tight) } else { QuotaSettings::default() };
    let ms = Duration::from_millis;
    StageSettings {
        outbox: Bounds {
            shed_bytes: setup.shed_bytes,
            shed_age: ms(100),
            close_bytes: setup.close_bytes,
            close_age: ms(1200),
        },
        socket: SocketSettings { send_buffer: setup.send_buffer, ..SocketSettings::default() },
        roomless_idle_timeout: ms(20_000),
        heartbeat_interval: ms(4000),
        join_timeout: ms(3000),
        commit_timeout: ms(4000),
        hand_off_timeout: ms(60),
        spill_after: setup.spill_after,
        spill_pending: pending_bounds(setup.spill_pending, ms(100)),
        close_timeout: ms(500),
        grace_time: ms(1000),
        rates: if setup.has_rates { RateSettings::default() } else { RateSettings::unlimited() },
        rooms: Arc::new(RoomLimits {
            default_capacity: setup.capacity,
            lobby_capacity: setup.capacity,
            quotas,
            seat_hold: ms(2000),
            owner_grace: ms(500),
            empty_grace: ms(1500),
            ping_after: ms(600),
            release_after: ms(1500),
            crowd: setup.crowd,
            crowd_gather: ms(100),
            ..RoomLimits::default()
        }),
        ..StageSettings::default()
    }
}

/// Notes by one rate wherever they are played.
fn quotas_of(rate: Rate) -> QuotaSettings {
    let rates = RoomRates { lobby: rate, room: rate, dense: rate };
    QuotaSettings { guests: rates.clone(), members: rates }
}

impl Server {
    pub fn start(setup: &Setup, clock: &ActorClock, shelf: Arc<Shelf>, slate: Arc<Slate>, rng: &mut Rng) -> Self {
        let count = setup.shards;
        let mut registry = Registry::new();
        let number = tree::place(&mut registry, count);
        let capacity = Capacity { control: setup.control, data: setup.data, handoffs: setup.handoffs };
        let (mesh, mut inboxes) = Mesh::new(count + 1, capacity);
        let post = Post { mesh, registry: Arc::new(registry) };
        let (give_up, gave_up) = flume::unbounded();
        let office_inbox = inboxes.pop().unwrap();
        let mut office = System::new(number, post.clone(), clock.clone(), rng.next_u64());
        tree::start_office(&mut office, shelf, slate, give_up.clone());
        let figures: Vec<Arc<Figures>> = (0..count).map(|_| Arc::default()).collect();
        let settings = Arc::new(settings(setup));
        let stages = (0..count).map(|number| {
            Stage::new(StageParts {
                number,
                shards: count,
                post: post.clone(),
                clock: Clock::beginning(EPOCH, clock.clone()),
                settings: settings.clone(),
                figures: figures[number].clone(),
                chance: Chance::from_seed(rng.next_u64()),
                give_up: give_up.clone(),
            })
        });
        Self {
            stages: stages.collect(),
            inboxes,
            office,
            office_inbox,
            remote: Remote::new(post, clock.clone()),
            figures,
            desk: Places::new(1000, 1000, Rate::UNLIMITED),
            gave_up,
            stalled: vec![0; count],
            used: vec![Duration::ZERO; count],
            waiting: Vec::new(),
            asks: Vec::new(),
            admitted: BTreeSet::new(),
        }
    }

    /// One turn of a shard, with so many parcels taken in before. `load` is the share of the processor that it uses.
    pub fn turn(&mut self, shard: usize, parcels: usize, load: f64, since_last: Duration) {
        if self.stalled[shard] > 0 {
            self.stalled[shard] -= 1;
            return;
        }
        self.used[shard] += since_last.mul_f64(load);
        simulated::set_processor_time(Some(self.used[shard]));
        let stage = &mut self.stages[shard];
        for _ in 0..parcels {
            let Some(parcel) = self.inboxes[shard].try_next() else { break };
            contain(stage, |stage| stage.handle(parcel));
        }
        contain(stage, |stage| _ = stage.turn());
    }

    pub fn turn_office(&mut self, parcels: usize) {
        for _ in 0..parcels {
            let Some(parcel) = self.office_inbox.try_next() else { break };
            contain(&mut self.office, |office| office.handle(parcel));
        }
        contain(&mut self.office, |office| _ = office.turn());
    }

    /// Lets those in who wait for a place, and goes on with what was asked from outside.
    pub fn outside(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (client, shard, admission) in waiting {
            match self.remote.post().mesh.shard(shard).try_reserve() {
                Some(slot) => assert!(slot.send(Parcel::Handed(admission)).is_ok(), "no shard ends"),
                None => self.waiting.push((client, shard, admission)),
            }
        }
        self.asks.retain_mut(|ask| ask.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.asks.is_empty()
            && self.office_inbox.is_empty()
            && self.inboxes.iter().all(Inbox::is_empty)
    }

    pub fn sum(&self, figure: impl Fn(&Figures) -> u64) -> u64 {
        self.figures.iter().map(|figures| figure(figures)).sum()
    }
}

fn contain<W: Worker>(worker: &mut W, call: impl FnOnce(&mut W)) {
    if catch_unwind(AssertUnwindSafe(|| call(worker))).is_err() {
        worker.panicked("in a simulation");
    }
}
