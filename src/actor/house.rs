//! A house: some hosts, what they know of each other, their threads, and their end in order.
//!
//! It does once what every program with actors has to do: it names the hosts, says which kinds live where, makes the inboxes
//! between the hosts, starts a thread for each with a world on it, and ends all that, with deadlines. What a world consists of
//! is its maker's, and in which order kinds end is said at the end.

use std::{
    collections::hash_map::RandomState,
    future::Future,
    hash::BuildHasher as _,
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::actor::{
    actor::Actor,
    core::Core,
    mesh::{Capacity, Inbox, Mesh},
    moment::ActorClock,
    parcel::{Parcel, Post, Registry},
    remote::Remote,
    shard::{self, ShardThread},
    shutdown::{Shutdown, ShutdownStage, StageOutcome},
    sleep::timeout,
    startup::{self, StartupError},
    system::System,
    tokio_host,
    worker::Worker,
    world::World,
};

/// What hosts may take to end that are given up because another could not be started.
const GIVE_UP_WITHIN: Duration = Duration::from_secs(1);

/// Hosts as they are to be. They have the numbers 0, 1, 2 … in the order in which they are added.
///
/// ```
/// # use std::{convert::Infallible, time::Duration};
/// # use pianorhythm_server::actor::{actor::{Activation, Actor, Handled, KindSettings}, context::{Activating, Context}};
/// # use pianorhythm_server::actor::house::HousePlan;
/// # use pianorhythm_server::actor::system::System;
/// # struct Echo;
/// # impl Actor for Echo {
/// #     const KIND: &'static str = "echo";
/// #     type World = System;
/// #     type Key = String;
/// #     type Message = u32;
/// #     type Reply = u32;
/// #     type Error = Infallible;
/// #     fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> { Activation::Ready(Self) }
/// #     fn handle(&mut self, n: u32, cx: &mut Context<'_, Self>) -> Handled<Infallible> { cx.reply(n); Ok(()) }
/// # }
/// let mut plan = HousePlan::new();
/// let hosts = ["left", "right"].map(|name| {
///     plan.tokio(name, None, |seat| {
///         let mut system = seat.system();
///         system.add::<Echo>(KindSettings::default());
///         system
///     })
/// });
/// plan.place::<Echo>(hosts);
/// let house = plan.start()?;
/// let echoed = house.block_on(house.remote().ask::<Echo>(&"hall".to_owned(), 7, Duration::from_secs(5)));
/// assert_eq!(echoed, Ok(7));
/// assert!(house.stop(Vec::new(), Duration::from_secs(5)).is_clean());
/// # Ok::<(), pianorhythm_server::actor::house::HouseError>(())
/// ```
pub struct HousePlan {
    registry: Registry,
    hosts: Vec<Planned>,
    capacity: Capacity,
    clock: ActorClock,
    seed: u64,
    is_glommio_wanted: bool,
}

/// A host as it is to be.
struct Planned {
    name: Arc<str>,
    start: Box<dyn FnOnce(Seat, Inbox<Parcel>) -> Result<HostThread, String>>,
    end: fn() -> Parcel,
}

/// What a world is made from, on its host's thread.
#[derive(Debug)]
pub struct Seat {
    /// The host's number.
    pub number: usize,
    /// How it reaches the others, and what everybody knows of them.
    pub post: Post,
    /// The house's clock.
    pub clock: ActorClock,
    /// Makes the jitter of restarts: another one on each host.
    pub seed: u64,
}

impl Seat {
    /// The core of a world of one's own.
    pub fn core<W: World>(self) -> Core<W> {
        let Self { number, post, clock, seed } = self;
        Core::new(number, post, clock, seed)
    }

    /// A world for whichever kinds are added to it.
    pub fn system(self) -> System {
        let Self { number, post, clock, seed } = self;
        System::new(number, post, clock, seed)
    }
}

impl Default for HousePlan {
    fn default() -> Self {
        Self::new()
    }
}

impl HousePlan {
    /// A house without hosts, whose clock starts now.
    pub fn new() -> Self {
        Self {
            registry: Registry::new(),
            hosts: Vec::new(),
            capacity: Capacity::default(),
            clock: ActorClock::start(),
            seed: RandomState::new().hash_one(0),
            is_glommio_wanted: false,
        }
    }

    /// How much the inboxes hold, instead of the default.
    #[must_use]
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// A clock that others have as well.
    #[must_use]
    pub fn clock(mut self, clock: ActorClock) -> Self {
        self.clock = clock;
        self
    }

    /// Makes chance the same each time: the hosts' seeds are drawn from it.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a host on glommio, its thread pinned to a core: for actors that compute, or have sockets of their own. `make` runs on
    /// that thread. Returns the host's number.
    pub fn glommio<W, F>(&mut self, name: impl Into<Arc<str>>, core: usize, make: F) -> usize
    where
        W: World + Worker<Message = Parcel>,
        F: FnOnce(Seat) -> W + Send + 'static,
    {
        self.is_glommio_wanted = true;
        let start = move |seat: Seat, inbox| {
            let thread = shard::spawn(seat.number, core, inbox, move || make(seat));
            thread.map(HostThread::Glommio).map_err(|error| error.to_string())
        };
        self.add::<W>(name.into(), "glommio", start)
    }

    /// Adds a host on tokio, pinned where a core is given: for actors whose futures are tokio's. `make` runs on its thread. Returns
    /// the host's number.
    pub fn tokio<W, F>(&mut self, name: impl Into<Arc<str>>, core: Option<usize>, make: F) -> usize
    where
        W: World + Worker<Message = Parcel>,
        F: FnOnce(Seat) -> W + Send + 'static,
    {
        let name = name.into();
        let thread_name = name.clone();
        let start = move |seat, inbox| {
            let thread = tokio_host::spawn(&thread_name, core, inbox, move || make(seat));
            thread.map(HostThread::Tokio).map_err(|error| error.to_string())
        };
        self.add::<W>(name, "tokio", start)
    }

    fn add<W: World>(
        &mut self,
        name: Arc<str>,
        executor: &'static str,
        start: impl FnOnce(Seat, Inbox<Parcel>) -> Result<HostThread, String> + 'static,
    ) -> usize {
        let end = || Parcel::new::<W>(W::end);
        self.hosts.push(Planned { name: name.clone(), start: Box::new(start), end });
        self.registry.host(name, executor)
    }

    /// Says which hosts a kind lives on; see [`Registry::place`].
    ///
    /// # Panics
    /// Where there are none, or one has not been added.
    pub fn place<A: Actor>(&mut self, hosts: impl IntoIterator<Item = usize>) -> &mut Self {
        self.registry.place::<A>(hosts);
        self
    }

    /// What everybody will know of the hosts, to place kinds in.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Starts the hosts, in order. Where one can not be started, those before it are ended again.
    ///
    /// Where there are hosts on glommio it [checks](startup::check) first what the system allows, and raises the limits that it may.
    pub fn start(self) -> Result<House, HouseError> {
        let Self { registry, hosts, capacity, clock, seed, is_glommio_wanted } = self;
        if is_glommio_wanted {
            startup::check()?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let (mesh, inboxes) = Mesh::new(hosts.len(), capacity);
        let post = Post { mesh, registry: Arc::new(registry) };
        let mut house = House { remote: Remote::new(post.clone(), clock.clone()), runtime, hosts: Vec::new() };
        for (number, (Planned { name, start, end }, inbox)) in hosts.into_iter().zip(inboxes).enumerate() {
            let (post, clock, seed) = (post.clone(), clock.clone(), seed.wrapping_add(number as u64));
            match start(Seat { number, post, clock, seed }, inbox) {
                Ok(thread) => house.hosts.push(Host { name, thread, end }),
                Err(reason) => {
                    house.stop(Vec::new(), GIVE_UP_WITHIN);
                    return Err(HouseError::Host { name, reason });
                }
            }
        }
        Ok(house)
    }
}

/// Why a house could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// The system does not allow glommio's hosts.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// A host's thread could not be started.
    #[error("the host {name} cannot be started: {reason}")]
    Host {
        /// Which.
        name: Arc<str>,
        /// What its executor said.
        reason: String,
    },
    /// The runtime that waits for actors from outside could not be made.
    #[error("the system refuses what waiting needs: {0}")]
    Waiting(#[from] io::Error),
}

/// Hosts that run. Dropped, they run on; only [`stop`](Self::stop) ends them.
pub struct House {
    remote: Remote,
    runtime: tokio::runtime::Runtime,
    hosts: Vec<Host>,
}

/// A host that runs.
struct Host {
    name: Arc<str>,
    thread: HostThread,
    end: fn() -> Parcel,
}

enum HostThread {
    Glommio(ShardThread),
    Tokio(thread::JoinHandle<()>),
}

impl HostThread {
    /// Waits for its end; false where that was a panic.
    fn join(self) -> bool {
        match self {
            Self::Glommio(thread) => thread.join().is_ok(),
            Self::Tokio(thread) => thread.join().is_ok(),
        }
    }
}

/// What became of a house that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HouseOutcome {
    /// The stages in which its kinds ended.
    pub stages: Vec<StageOutcome>,
    /// Hosts that did not end in time, and are left to themselves, or whose thread panicked.
    pub abandoned_hosts: Vec<Arc<str>>,
}

impl HouseOutcome {
    /// Everything has ended by itself and in time.
    pub fn is_clean(&self) -> bool {
        self.abandoned_hosts.is_empty()
            && self.stages.iter().all(|stage| stage.abandoned == 0 && stage.silent_hosts == 0)
    }
}

impl House {
    /// Reaches the actors of all hosts, from any thread.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Waits for a future on this thread: for what a [`Remote`] is asked from outside of any executor.
    ///
    /// # Panics
    /// Within tokio, which has its own ways to wait.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Ends the house, and waits for that: first the kinds, [by stages](Shutdown), each with its deadline; then the hosts, the last one
    /// first, which may take so long all together. Actors of kinds that no stage names go without their clean-up.
    ///
    /// # Panics
    /// Within tokio.
    pub fn stop(self, stages: Vec<ShutdownStage>, patience: Duration) -> HouseOutcome {
        let Self { remote, runtime, hosts } = self;
        let stages = runtime.block_on(Shutdown::new(stages).run(&remote)).unwrap_or_default();
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        let (tell, told) = mpsc::channel();
        let mut running = Vec::new();
        for (number, Host { name, thread, end }) in hosts.into_iter().enumerate().rev() {
            // One whose inbox stays full is joined all the same: its thread may have ended by itself.
            let _ = runtime.block_on(timeout(remote.clock(), left(), remote.send_patiently(number, end())));
            running.push(name);
            let tell = tell.clone();
            thread::spawn(move || tell.send((number, thread.join())));
        }
        drop(tell);
        running.reverse();
        let mut abandoned: Vec<bool> = vec![true; running.len()];
        while let Ok((number, is_well)) = told.recv_timeout(left()) {
            abandoned[number] = !is_well;
        }
        let abandoned_hosts = running.into_iter().zip(abandoned).filter(|(_, is)| *is).map(|(name, _)| name);
        let abandoned_hosts: Vec<_> = abandoned_hosts.collect();
        if !abandoned_hosts.is_empty() {
            tracing::error!(hosts = ?abandoned_hosts, "hosts did not end as they should and are left to themselves");
        }
        HouseOutcome { stages, abandoned_hosts }
    }
}

#[cfg(test)]
mod tests;
