//! The server as a whole: started, run until it is told to stop, and stopped, in an order that has reasons.
//!
//! Start: what the system must allow, the data folder and its lock (before anything is read from it), the stores, the back
//! office's host and the shards, and the front desk last: nobody is let in before there is somebody to play with.
//!
//! Stop: the front desk stops accepting; then the actors end in the order in which they depend on each other, each stage
//! with its deadline: connections (everyone is told when to come back), rooms (which wait for their commits), users, the
//! stores' clients; then their hosts; then the stores, when all that was to be kept is kept; the data folder's lock last.
//!
//! A host whose supervision gives up ends the server in the same order, and [`run`] with an error: it is for a supervisor
//! outside to start it again.

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
        parcel::{Post, Registry},
        remote::Remote,
        shard::{self, ShardThread},
        shutdown::{Shutdown, ShutdownStage},
        startup,
        system::System,
        tokio_host,
    },
    http::{
        auth::{KeyError, SigningKey, Tokens},
        desk::{FrontDesk, FrontDeskHandle, StartError},
    },
    server::{
        chance::Chance,
        clerk_pool::{ClerkParts, ClerkPool},
        clock::Clock,
        figures::Figures,
        handle::{StageHandle, StoreWatch},
        settings::ServerSettings,
        stage::{Stage, StageParts},
        tree,
    },
    store::{
        DOCUMENTS_FILE, DataDir, Documents, EmbeddedDocuments, EmbeddedState, MongoDocuments, MongoSettings, State,
        Store, StoreError, data_dir::DataDirError, people::Sessions as _,
    },
};

/// How often guests' rooms that nobody has used for a week are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// How many log-ins whose time is over are forgotten at a time.
const SESSIONS_AT_ONCE: usize = 200;
/// How long a guest's room is kept unused.
const GUEST_ROOM_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// What a shard may take beyond the grace time before it counts as stuck.
const STUCK_SHARD: Duration = Duration::from_secs(1);
/// What the actors of a stage without waiting of its own may take to end.
const STAGE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a connection that was being handed over when the others ended may take to arrive.
const LATE_ARRIVALS: Duration = Duration::from_millis(100);
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
    #[error("the documents cannot be opened: {0}")]
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
    /// A host's supervision has given up.
    #[error("{host} gave up after failures that restarting did not mend: {reason}; see the log")]
    GaveUp {
        /// Which.
        host: String,
        /// Why.
        reason: String,
    },
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
    back_office: std::thread::JoinHandle<()>,
    gave_up: flume::Receiver<RunError>,
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
    let gave_up = server.gave_up.clone();
    let ended = server.runtime.block_on(async {
        tokio::select! {
            name = first_of(&mut terminate, &mut interrupt) => {
                tracing::info!(signal = name, "stopping");
                Ok(())
            }
            Ok(error) = gave_up.recv_async() => Err(error),
        }
    });
    server.stop();
    ended
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
        let runtime = front_desk_runtime(&plan)?;
        let clock = Clock::start();

        let store: Arc<dyn Store> = match settings.mongodb {
            Some(mongodb) => runtime.block_on(connected(mongodb))?,
            None => EmbeddedDocuments::open(&data_dir.file(DOCUMENTS_FILE), settings.documents)
                .map_err(RunError::Documents)?,
        };
        let documents: Arc<dyn Documents> = store.clone();
        let clerks = ClerkParts::new(store, settings.clerks);
        let state: Arc<dyn State> = {
            let _guard = runtime.enter();
            EmbeddedState::start(settings.state)
        };

        let count = plan.shards.len();
        let mut registry = Registry::new();
        let office = tree::place(&mut registry, count);
        let (mesh, mut inboxes) = Mesh::new(count + 1, Capacity::default());
        let post = Post { mesh, registry: Arc::new(registry) };
        let figures: Vec<_> = (0..count).map(|_| Arc::new(Figures::default())).collect();
        let stage_settings = Arc::new(settings.stage);
        let grace_time = stage_settings.grace_time;
        let (give_up, gave_up) = flume::unbounded();

        let office_inbox = inboxes.pop().expect("the office's inbox was made with the shards'");
        let back_office = {
            let (post, actors, give_up) = (post.clone(), clock.actors().clone(), give_up.clone());
            let (documents, state, clerks) = (documents.clone(), state.clone(), clerks.clone());
            let seed = Chance::from_system().draw();
            tokio_host::spawn("back-office", Some(plan.front_desk), office_inbox, move || {
                let mut world = System::new(office, post, actors, seed);
                tree::start_office(&mut world, documents, state, give_up);
                clerks.start(&mut world);
                world
            })?
        };
        let mut shards = Vec::new();
        for (number, inbox) in inboxes.into_iter().enumerate() {
            let parts = StageParts {
                number,
                shards: count,
                post: post.clone(),
                clock: clock.clone(),
                settings: stage_settings.clone(),
                figures: figures[number].clone(),
                chance: Chance::from_system(),
                give_up: give_up.clone(),
            };
            let thread = shard::spawn(number, plan.shards[number], inbox, move || Stage::new(parts))
                .map_err(|error| RunError::Shard { shard: number, reason: error.to_string() })?;
            shards.push(thread);
        }

        let remote = Remote::new(post, clock.actors().clone());
        let people = Arc::new(ClerkPool::new(&clerks, remote.clone(), clock.actors().clone()));
        let stores = Arc::new(StoreWatch::over(people.clone()));
        runtime.spawn(stores.clone().watch(state, documents.clone()));
        runtime.spawn(forget_guest_rooms(documents.clone(), clock.clone()));
        runtime.spawn(forget_sessions(people.clone(), clock.clone()));

        let tell_time = clock.clone();
        let handle = Arc::new(StageHandle { remote, figures, clock, draining: AtomicBool::new(false), stores, people });
        let tell_time = Arc::new(move || tell_time.now());
        let front_desk =
            FrontDesk::start(runtime.handle(), settings.front_desk, Tokens::new(key), handle.clone(), tell_time)?;
        tracing::info!(shards = count, cores = ?plan.shards, front_desk_core = plan.front_desk, open_files, "started");
        Ok(Self {
            runtime,
            handle,
            shards,
            front_desk,
            back_office,
            gave_up,
            documents,
            grace_time,
            _data_dir: data_dir,
        })
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

    /// Stops in order. Blocks for the stages' deadlines at most.
    pub fn stop(self) {
        let Self { runtime, handle, shards, front_desk, back_office, documents, grace_time, .. } = self;
        front_desk.stop_accepting();
        let office = shards.len();
        runtime.block_on(async {
            if tokio::time::timeout(grace_time, handle.drain()).await.is_err() {
                tracing::error!("a shard takes no messages; it is not told to stop");
            }
            shutdown(grace_time).run(&handle.remote).await;
            let end = async {
                for shard in 0..office {
                    let _ = handle.remote.on::<Stage, _>(shard, Stage::end).await;
                }
                let _ = handle.remote.on::<System, _>(office, System::end).await;
            };
            if tokio::time::timeout(STUCK_SHARD, end).await.is_err() {
                tracing::error!("a host does not take the message to end");
            }
        });
        join_shards(shards, STUCK_SHARD);
        runtime.block_on(async {
            front_desk.shutdown(DESK_DEADLINE).await;
            let joined = tokio::task::spawn_blocking(move || back_office.join());
            if tokio::time::timeout(STUCK_SHARD, joined).await.is_err() {
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

/// The stages in which the actors end.
fn shutdown(grace_time: Duration) -> Shutdown {
    let stage = |name, kinds: &[&'static str], deadline| ShutdownStage { name, kinds: kinds.to_vec(), deadline };
    Shutdown::new(vec![
        stage("connections", &["connection"], grace_time),
        // One that was on its way from one shard to another belonged to neither.
        stage("late connections", &["connection"], LATE_ARRIVALS),
        stage("rooms", &["room"], grace_time),
        // Their members are gone by now.
        stage("branches", &["branch"], STAGE_DEADLINE),
        stage("users", &["user"], STAGE_DEADLINE),
        stage("stores", &["library", "directory", "password_desk", "director", "clerk"], grace_time),
    ])
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

/// The documents in a MongoDB. One that is away is no reason not to start: people can play, and it may come.
async fn connected(settings: MongoSettings) -> Result<Arc<MongoDocuments>, RunError> {
    let store = MongoDocuments::connect(settings).await.map_err(RunError::Documents)?;
    match store.check().await {
        Err(error @ StoreError::Incompatible { .. }) => return Err(RunError::Documents(error)),
        Err(error) => tracing::warn!(%error, "the documents are away; people can play, and nothing is saved"),
        Ok(()) => {}
    }
    Ok(store)
}

/// The tokio side: one thread, and the blocking ones, all on the front desk's core. Where that is a shard's too, who plays goes
/// before who comes.
fn front_desk_runtime(plan: &CorePlan) -> io::Result<Runtime> {
    let (core, shares) = (plan.front_desk, plan.front_desk_shares());
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(64)
        .thread_name("front-desk")
        .on_thread_start(move || {
            if !cores::pin_current_thread(core) {
                tracing::warn!(core, "a thread of the front desk could not be pinned");
            }
            // Where the whole process weighs less than that already there is nothing to do.
            let _ = shares && cores::give_way();
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

/// Forgets log-ins whose time is over, for as long as it is polled.
async fn forget_sessions(people: Arc<ClerkPool>, clock: Clock) {
    loop {
        match people.forget_sessions(clock.now(), SESSIONS_AT_ONCE).await {
            // There may be more than one call gives.
            Ok(SESSIONS_AT_ONCE) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "log-ins whose time is over could not be forgotten"),
        }
        tokio::time::sleep(FORGET_EVERY).await;
    }
}
