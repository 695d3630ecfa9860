//! The server as a whole: started, run until it is told to stop, and stopped, in an order that has reasons.
//!
//! Start: what the system must allow, the data folder and its lock (before anything is read from it), the stores, the shards,
//! the back office that serves both, and the front desk last: nobody is let in before there is somebody to play with.
//!
//! Stop: the front desk stops accepting; the shards tell everyone when to come back, and end when all have gone or the
//! grace time is over; then the back office, which has nobody left to serve; then the stores, when all that was to be
//! kept is kept; the data folder's lock last.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    actor::{
        cores::{self, CorePlan},
        mesh::{Capacity, Mesh},
        shard::{self, ShardThread},
        startup,
    },
    http::{
        auth::{KeyError, SigningKey, Tokens},
        desk::{FrontDesk, FrontDeskHandle, StartError},
    },
    server::{
        back_office::{self, Means},
        clock::Clock,
        figures::Figures,
        handle::{StageHandle, StoreWatch},
        passwords::Passwords,
        settings::ServerSettings,
        stage::{Stage, StageParts},
    },
    store::{
        DOCUMENTS_FILE, DataDir, Documents, EmbeddedDocuments, EmbeddedState, State, StoreError, data_dir::DataDirError,
    },
};

/// How often guests' rooms that nobody has used for a week are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long a guest's room is kept unused.
const GUEST_ROOM_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What a shard may take beyond the grace time before it counts as stuck.
const STUCK_SHARD: Duration = Duration::from_secs(1);
/// What the front desk may take to finish its answers.
const DESK_DEADLINE: Duration = Duration::from_secs(2);

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system does not allow it.
    #[error(transparent)]
    Startup(#[from] startup::StartupError),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The documents cannot be opened.
    #[error("the documents in the data folder cannot be opened: {0}")]
    Documents(#[source] StoreError),
    /// A shard cannot be started.
    #[error("shard {shard} cannot be started: {reason}")]
    Shard {
        /// Which.
        shard: usize,
        /// What the system said.
        reason: String,
    },
    /// The front desk cannot listen.
    #[error(transparent)]
    FrontDesk(#[from] StartError),
    /// The async runtime or its signals.
    #[error("the system refuses threads or signal handlers: {0}")]
    System(#[from] io::Error),
}

/// A server that runs.
pub struct Server {
    runtime: Runtime,
    handle: Arc<StageHandle>,
    shards: Vec<ShardThread>,
    front_desk: FrontDeskHandle,
    back_office: tokio::task::JoinHandle<()>,
    documents: Arc<dyn Documents>,
    grace_time: Duration,
    /// Its lock is given up last.
    _data_dir: DataDir,
}

/// Runs a server until SIGTERM or SIGINT, then stops it in order.
///
/// Prints one line on standard output when it takes connections: `listening on http://ADDRESS`.
pub fn run(settings: impl Into<ServerSettings>) -> Result<(), RunError> {
    let server = Server::start(settings)?;
    let (mut terminate, mut interrupt) = {
        let _guard = server.runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    println!("listening on http://{}", server.local_addr());
    let name = server.runtime.block_on(first_of(&mut terminate, &mut interrupt));
    tracing::info!(signal = name, "stopping");
    server.stop();
    Ok(())
}

async fn first_of(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

impl Server {
    /// Starts a server. It takes connections when this returns.
    pub fn start(settings: impl Into<ServerSettings>) -> Result<Self, RunError> {
        let settings = settings.into();
        let open_files = startup::check()?;
        let data_dir = DataDir::open(&settings.data_dir)?;
        let key = match &settings.private_key_pem {
            Some(pem) => SigningKey::from_pem(pem)?,
            None => SigningKey::load_or_create(data_dir.path())?,
        };
        let plan = CorePlan::of_this_process(settings.shards);
        let runtime = front_desk_runtime(plan.front_desk)?;
        let clock = Clock::start();

        let documents: Arc<dyn Documents> =
            EmbeddedDocuments::open(&data_dir.file(DOCUMENTS_FILE), settings.documents).map_err(RunError::Documents)?;
        let state: Arc<dyn State> = {
            let _guard = runtime.enter();
            EmbeddedState::start(settings.state)
        };

        let count = plan.shards.len();
        let (mesh, inboxes) = Mesh::new(count, Capacity::default());
        let figures: Vec<_> = (0..count).map(|_| Arc::new(Figures::default())).collect();
        let (desk, requests) = back_office::channel();
        let stage_settings = Arc::new(settings.stage);
        let grace_time = stage_settings.grace_time;
        let mut shards = Vec::new();
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let parts = StageParts {
                number,
                mesh: mesh.clone(),
                back_office: desk.clone(),
                clock,
                settings: stage_settings.clone(),
                figures: figures[number].clone(),
            };
            let thread = shard::spawn(number, plan.shards[number], inbox, move || Stage::new(parts))
                .map_err(|error| RunError::Shard { shard: number, reason: error.to_string() })?;
            shards.push(thread);
        }
        drop(desk);

        let means = Means {
            mesh: mesh.clone(),
            state: state.clone(),
            documents: documents.clone(),
            passwords: Passwords::default(),
        };
        let back_office = runtime.spawn(back_office::serve(requests, means));
        let stores = Arc::<StoreWatch>::default();
        runtime.spawn(stores.clone().watch(state, documents.clone()));
        runtime.spawn(forget_guest_rooms(documents.clone(), clock));

        let handle = Arc::new(StageHandle { mesh, figures, clock, draining: AtomicBool::new(false), stores });
        let tell_time = Arc::new(move || clock.now());
        let front_desk =
            FrontDesk::start(runtime.handle(), settings.front_desk, Tokens::new(key), handle.clone(), tell_time)?;
        tracing::info!(shards = count, cores = ?plan.shards, front_desk_core = plan.front_desk, open_files, "started");
        Ok(Self { runtime, handle, shards, front_desk, back_office, documents, grace_time, _data_dir: data_dir })
    }

    /// Where it takes connections.
    pub fn local_addr(&self) -> SocketAddr {
        self.front_desk.local_addr()
    }

    /// Where operators look.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.front_desk.admin_addr()
    }

    /// The shards, as the front desk reaches them.
    pub fn handle(&self) -> &Arc<StageHandle> {
        &self.handle
    }

    /// Stops in order. Blocks for the grace time at most, and a moment.
    pub fn stop(self) {
        let Self { runtime, handle, shards, front_desk, back_office, documents, grace_time, _data_dir } = self;
        front_desk.stop_accepting();
        if runtime.block_on(async { tokio::time::timeout(grace_time, handle.drain()).await }).is_err() {
            tracing::error!("a shard takes no messages; it is not told to stop");
        }
        join_shards(shards, grace_time + STUCK_SHARD);
        runtime.block_on(async {
            front_desk.shutdown(DESK_DEADLINE).await;
            if tokio::time::timeout(grace_time, back_office).await.is_err() {
                tracing::warn!("shutdown abandons what the back office had left");
            }
            if let Err(error) = documents.close().await {
                tracing::error!(%error, "the documents did not close");
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        tracing::info!("stopped");
    }
}

/// Waits for the shards' ends, but not for ever: a shard that is stuck must not keep what the others have saved from closing.
fn join_shards(shards: Vec<ShardThread>, patience: Duration) {
    let (tell, told) = std::sync::mpsc::channel();
    let deadline = Instant::now() + patience;
    let count = shards.len();
    for (number, thread) in shards.into_iter().enumerate() {
        let tell = tell.clone();
        std::thread::spawn(move || {
            if let Err(error) = thread.join() {
                tracing::error!(shard = number, %error, "a shard ended badly");
            }
            let _ = tell.send(());
        });
    }
    for ended in 0..count {
        if told.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
            tracing::error!(stuck = count - ended, "shutdown abandons shards that do not end");
            return;
        }
    }
}

/// The tokio side: one thread, and the blocking ones, all on the front desk's core.
fn front_desk_runtime(core: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(64)
        .thread_name("front-desk")
        .on_thread_start(move || {
            if !cores::pin_current_thread(core) {
                tracing::warn!(core, "a thread of the front desk could not be pinned");
            }
        })
        .enable_all()
        .build()
}

/// Forgets guests' rooms that nobody has used for a week, for as long as it is polled.
async fn forget_guest_rooms(documents: Arc<dyn Documents>, clock: Clock) {
    loop {
        match documents.forget_guest_rooms(clock.now() - GUEST_ROOM_LIFE).await {
            // There may be more than one call gives.
            Ok(forgotten) if !forgotten.is_empty() => {
                tracing::info!(rooms = forgotten.len(), "guests' rooms forgotten");
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "guests' rooms could not be looked through"),
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}
