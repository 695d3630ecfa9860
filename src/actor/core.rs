//! The runtime's part of a world: what is to run, when, and what is on its way.

use std::{
    any::TypeId,
    collections::VecDeque,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as TaskContext, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::{
    future::LocalBoxFuture,
    stream::{FuturesUnordered, Stream},
};

use crate::actor::{
    actor::{Actor, KindSettings},
    dead_letters::DeadLetters,
    deferred::Deferred,
    envelope::ActorId,
    failing, handling,
    hashing::NumberMap,
    kind_figures::{DeadReason, KindFigures},
    life,
    mesh::{Address, Lane, SendError},
    moment::{ActorClock, Moment},
    monitor::{self, Cause, Ended},
    outbox::Outbox,
    parcel::{Parcel, Post},
    report,
    rng::Rng,
    running::Running,
    sending::{self, Completion, NoAnswer, PendingAsk},
    sleep,
    supervision::Intensity,
    timers::{TimerId, Timers},
    topic::Subscribers,
    tree::{self, Tree},
    worker::Work,
    world::{Hosts, World},
};

/// Actors that one turn runs at most, each for a batch of its messages.
const RUNS_PER_TURN: usize = 1024;
/// After so long a turn begins nothing more: what comes from outside, timers and sockets wait no longer behind actors that always
/// have something to do. The message at hand is handled to its end.
const TURN_LIMIT: Duration = Duration::from_millis(2);

/// Futures that one turn has done at most.
const TASKS_PER_TURN: usize = 1024;

/// Something to do with the world when the handler that asked for it has succeeded.
pub(crate) type Later<W> = Box<dyn FnOnce(&mut W)>;
/// A future of an actor, and what it leads to.
pub(crate) type Task<W> = LocalBoxFuture<'static, Later<W>>;
/// What to do when a watched actor has ended.
pub(crate) type WatchAction<W> = Box<dyn FnOnce(&mut W, Ended)>;

/// What a timer does.
pub(crate) enum Timed<W> {
    /// An ask has had no answer.
    Ask(u64),
    /// Something scheduled.
    Act(Later<W>),
    /// An actor's life goes on: it has loaded, rested or cleaned up for long enough.
    Life(ActorId),
}

/// What a handler has done that is undone where it fails.
pub(crate) enum Undo {
    /// It told somebody of this host.
    Told { kind: u16, slot: u32, message: u64 },
    /// It told somebody elsewhere.
    Posted { batch: usize, message: u64 },
    /// It asked.
    Asked(u64),
    /// It set a timer.
    Set(TimerId),
    /// It kept a place of reply for later, or gave a reply that was owed.
    Deferred(u64),
    /// It made an actor.
    Spawned(ActorId),
}

/// How much handlers had done and asked for at a moment.
pub(crate) struct Mark {
    pub undo: usize,
    pub later: usize,
}

/// What the runtime does with the actors of a kind without knowing their type.
pub(crate) trait KindOps<W: World> {
    fn run(&self, world: &mut W, slot: u32);
    /// False where the turn's time was over before all had been looked at.
    fn retire_idle(&self, world: &mut W) -> bool;
    fn life_timer(&self, world: &mut W, id: ActorId);
    fn take_back(&self, world: &mut W, slot: u32, message: u64);
    fn rest(&self, world: &mut W, id: ActorId, change: i32);
    fn released(&self, world: &mut W, id: ActorId);
    fn stop(&self, world: &mut W, id: ActorId, waiter: Option<Later<W>>);
    fn kill(&self, world: &mut W, id: ActorId, cause: Cause);
    /// Its supervisor will not start it again.
    fn given_up(&self, world: &mut W, id: ActorId);
    fn close(&self, world: &mut W);
    /// Lets no new ones be while their supervisor stops them.
    fn pause(&self, world: &mut W, is_paused: bool);
    fn ids(&self, world: &mut W) -> Vec<ActorId>;
    fn watch(&self, world: &mut W, id: ActorId, watcher: (u16, u64)) -> bool;
    fn unwatch(&self, world: &mut W, id: ActorId, watcher: (u16, u64));
    fn len(&self, world: &mut W) -> usize;
    /// Messages that wait, all mailboxes together.
    #[cfg(test)]
    fn waiting(&self, world: &mut W) -> usize;
    fn report(&self, world: &mut W) -> report::KindPart;
    fn one(&self, world: &mut W, key: &str) -> Option<serde_json::Value>;
    fn intensity(&self, world: &mut W) -> Intensity;
}

/// The operations of one kind.
pub(crate) struct Ops<A>(PhantomData<A>);

impl<A: Actor> KindOps<A::World> for Ops<A> {
    fn run(&self, world: &mut A::World, slot: u32) {
        handling::run::<A>(world, slot);
    }

    fn retire_idle(&self, world: &mut A::World) -> bool {
        life::retire_idle::<A>(world)
    }

    fn life_timer(&self, world: &mut A::World, id: ActorId) {
        life::life_timer::<A>(world, id);
    }

    fn take_back(&self, world: &mut A::World, slot: u32, message: u64) {
        sending::take_back::<A>(world, slot, message);
    }

    fn rest(&self, world: &mut A::World, id: ActorId, change: i32) {
        sending::rest::<A>(world, id, change);
    }

    fn released(&self, world: &mut A::World, id: ActorId) {
        life::released::<A>(world, id);
    }

    fn stop(&self, world: &mut A::World, id: ActorId, waiter: Option<Later<A::World>>) {
        life::stop::<A>(world, id, waiter);
    }

    fn kill(&self, world: &mut A::World, id: ActorId, cause: Cause) {
        life::finish::<A>(world, id, cause);
    }

    fn given_up(&self, world: &mut A::World, id: ActorId) {
        failing::given_up::<A>(world, id);
    }

    fn close(&self, world: &mut A::World) {
        Hosts::<A>::table(world).is_closed = true;
    }

    fn pause(&self, world: &mut A::World, is_paused: bool) {
        Hosts::<A>::table(world).is_paused = is_paused;
    }

    fn ids(&self, world: &mut A::World) -> Vec<ActorId> {
        Hosts::<A>::table(world).ids().collect()
    }

    fn watch(&self, world: &mut A::World, id: ActorId, watcher: (u16, u64)) -> bool {
        let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return false };
        cell.extras().watchers.push(watcher);
        true
    }

    fn unwatch(&self, world: &mut A::World, id: ActorId, watcher: (u16, u64)) {
        if let Some(cell) = Hosts::<A>::table(world).cell_mut(id)
            && let Some(extras) = &mut cell.extras
        {
            extras.watchers.retain(|known| *known != watcher);
        }
    }

    fn len(&self, world: &mut A::World) -> usize {
        Hosts::<A>::table(world).len()
    }

    #[cfg(test)]
    fn waiting(&self, world: &mut A::World) -> usize {
        Hosts::<A>::table(world).cells.iter().map(|(_, cell)| cell.mailbox.len()).sum()
    }

    fn report(&self, world: &mut A::World) -> report::KindPart {
        report::kind::<A>(world)
    }

    fn one(&self, world: &mut A::World, key: &str) -> Option<serde_json::Value> {
        report::one::<A>(world, key)
    }

    fn intensity(&self, world: &mut A::World) -> Intensity {
        Hosts::<A>::table(world).settings.intensity
    }
}

/// One registered kind.
pub(crate) struct Kind<W: World> {
    pub name: &'static str,
    pub of: TypeId,
    pub ops: &'static dyn KindOps<W>,
    pub figures: Arc<KindFigures>,
    pub ask_timeout: Duration,
}

/// Rings the host's bell when a future can go on.
struct Alarm {
    is_woken: AtomicBool,
    bell: Address<Parcel>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.bell.ring();
    }
}

/// The runtime's part of a [`World`].
pub struct Core<W: World> {
    pub(crate) host: u16,
    pub(crate) post: Post,
    pub(crate) clock: ActorClock,
    pub(crate) now: Moment,
    pub(crate) kinds: Vec<Kind<W>>,
    pub(crate) ready: VecDeque<(u16, u32)>,
    pub(crate) timers: Timers<Timed<W>>,
    pub(crate) asks: NumberMap<u64, PendingAsk<W>>,
    pub(crate) deferred: NumberMap<u64, Deferred<W>>,
    pub(crate) watches: NumberMap<u64, (ActorId, WatchAction<W>)>,
    pub(crate) topics: NumberMap<TypeId, Subscribers<W>>,
    pub(crate) undo: Vec<Undo>,
    pub(crate) later: Vec<Later<W>>,
    /// The same of handlers that were called by others and have returned: it is done whatever becomes of their callers.
    pub(crate) committed: Vec<Later<W>>,
    pub(crate) outbox: Outbox,
    pub(crate) tree: Tree<W>,
    pub(crate) rng: Rng,
    pub(crate) dead: DeadLetters,
    pub(crate) running: Arc<Running>,
    pub(crate) nesting: usize,
    /// When this turn is to be over.
    turn_until: Moment,
    is_over: bool,
    next_id: u64,
    tasks: FuturesUnordered<Task<W>>,
    alarm: Arc<Alarm>,
    waker: Waker,
    next_sweep: Moment,
    /// Kinds that are being ended, and who is told when nothing is left of them.
    ending: Vec<(Vec<usize>, flume::Sender<usize>)>,
}

/// Tables are swept for idle actors so often.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

impl<W: World> Core<W> {
    /// The core of a host, made on the thread that is to turn it. `seed` makes the jitter of restarts.
    ///
    /// # Panics
    /// Where the registry has no such host.
    pub fn new(host: usize, post: Post, clock: ActorClock, seed: u64) -> Self {
        // What is started before the first turn sleeps by turns as well.
        sleep::enter_host();
        let running = post.registry.hosts()[host].running.clone();
        let alarm = Arc::new(Alarm { is_woken: AtomicBool::new(false), bell: post.mesh.shard(host).clone() });
        let now = clock.now();
        Self {
            host: host as u16,
            outbox: Outbox::new(post.mesh.len()),
            post,
            clock,
            now,
            kinds: Vec::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            asks: NumberMap::default(),
            deferred: NumberMap::default(),
            watches: NumberMap::default(),
            topics: NumberMap::default(),
            undo: Vec::new(),
            later: Vec::new(),
            committed: Vec::new(),
            tree: Tree::default(),
            rng: Rng::new(seed),
            dead: DeadLetters::default(),
            running,
            nesting: 0,
            turn_until: now,
            is_over: false,
            next_id: (host as u64) << 48,
            tasks: FuturesUnordered::new(),
            waker: Waker::from(alarm.clone()),
            alarm,
            next_sweep: now,
            ending: Vec::new(),
        }
    }

    /// The turn has taken as long as it may.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.now >= self.turn_until
    }

    /// Registers a kind: gives its table its number, its settings, and its place among the figures that the registry has.
    ///
    /// # Panics
    /// Where the kind is registered already.
    pub fn register<A: Actor<World = W>>(&mut self, table: &mut crate::actor::table::Table<A>, settings: KindSettings) {
        let of = TypeId::of::<A>();
        assert!(self.kinds.iter().all(|kind| kind.of != of), "{} is registered twice", A::KIND);
        let known = &self.post.registry.hosts()[usize::from(self.host)].kinds;
        let told_as = known.iter().position(|(name, _)| *name == A::KIND);
        let figures = told_as.map(|told_as| known[told_as].1.clone()).unwrap_or_default();
        table.kind = self.kinds.len() as u16;
        table.host = self.host;
        table.told_as = told_as.map_or(table.told_as, |told_as| told_as as u16);
        // Without a place, or a turn, nothing would ever be handled.
        table.settings = KindSettings { mailbox: settings.mailbox.max(1), batch: settings.batch.max(1), ..settings };
        table.figures = figures.clone();
        table.running = self.running.clone();
        let ask_timeout = settings.ask_timeout;
        self.kinds.push(Kind { name: A::KIND, of, ops: &Ops::<A>(PhantomData), figures, ask_timeout });
    }

    /// The host's number.
    pub fn host(&self) -> usize {
        usize::from(self.host)
    }

    /// The moment of this turn, or of the message that was just handled.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Reads the clock.
    pub fn tell_time(&mut self) -> Moment {
        self.now = self.clock.now();
        self.now
    }

    /// Has the host end.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether the host is to end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// How to reach the hosts from anywhere.
    pub fn remote(&self) -> crate::actor::remote::Remote {
        crate::actor::remote::Remote::new(self.post.clone(), self.clock.clone())
    }

    /// Nothing is to be done before the next message or timer.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty()
            && self.later.is_empty()
            && self.committed.is_empty()
            && !self.outbox.has_outgoing()
            && self.released().is_empty()
            && self.now < self.next_sweep
            && !self.alarm.is_woken.load(Ordering::Acquire)
    }

    /// How long until there is something to do without a message; none where there is not.
    pub fn time_left(&self) -> Option<Duration> {
        if !self.is_idle() {
            return Some(Duration::ZERO);
        }
        let timer = self.timers.next().map(|at| at.since(self.now));
        let tree = self.tree.next_deadline().map(|at| at.since(self.now));
        let sleeper = sleep::next().map(|at| at.since(self.now));
        let kept = self.outbox.has_kept().then_some(Duration::from_millis(1));
        [timer, tree, sleeper, kept].into_iter().flatten().min()
    }

    /// Actors that have something to do now.
    pub fn runnable(&self) -> usize {
        self.ready.len()
    }

    /// A fresh number for a message, an ask, a watch.
    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Counts a message that nobody will handle, and now and then logs one.
    pub(crate) fn count_dead(&mut self, kind: u16, reason: DeadReason) {
        let Some(entry) = self.kinds.get(usize::from(kind)) else { return };
        entry.figures.dead_letters(reason).add(1);
        if let Some(suppressed) = self.dead.should_log(kind, reason, self.now) {
            tracing::debug!(host = self.host, kind = entry.name, reason = reason.as_str(), suppressed, "dead letter");
        }
    }

    /// Starts a future of an actor.
    pub(crate) fn spawn(&mut self, task: Task<W>) {
        self.tasks.push(task);
        self.alarm.is_woken.store(true, Ordering::Release);
    }

    /// Sends a parcel to another host at the end of the turn, in order with what else goes there.
    pub(crate) fn send_parcel(&mut self, host: u16, lane: Lane, parcel: Parcel) {
        self.outbox.send(usize::from(host), lane, parcel);
    }

    /// Reserves a place for something to be handed to another host; none where all are taken.
    pub fn reserve(&self, host: usize) -> Option<crate::actor::mesh::Slot<Parcel>> {
        self.post.mesh.shard(host).try_reserve()
    }

    /// Sends a parcel to another host, after what was sent there before.
    pub fn send_to(&mut self, host: usize, lane: Lane, parcel: Parcel) {
        self.send_parcel(host as u16, lane, parcel);
    }

    /// Sends at once what has gathered for other hosts: for worlds that have something to send after their actors' turn.
    pub fn send_out(&mut self) {
        self.outbox.flush(&self.post);
    }

    /// The hosts, by number.
    pub fn hosts(&self) -> &[crate::actor::parcel::HostEntry] {
        self.post.registry.hosts()
    }

    /// Futures that are not done.
    #[cfg(test)]
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Where things stand, to [commit](Self::commit) what is done from here on, or to undo it.
    pub(crate) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), later: self.later.len() }
    }

    /// What was done since then stays, whatever becomes of who is in the middle of a message.
    pub(crate) fn commit(&mut self, since: &Mark) {
        self.undo.truncate(since.undo);
        if self.nesting > 0 {
            self.committed.extend(self.later.drain(since.later..));
        }
    }

    /// Puts something off until nobody is in the middle of a message, behind what was put off before. It is done whatever becomes
    /// of who is.
    pub(crate) fn put_off(&mut self, act: Later<W>) {
        if self.nesting > 0 { self.committed.push(act) } else { self.later.push(act) }
    }

    fn released(&self) -> &flume::Receiver<ActorId> {
        &self.post.registry.hosts()[usize::from(self.host)].released.1
    }

    fn next_released(&self) -> Option<ActorId> {
        self.released().try_recv().ok()
    }

    fn poll_task(&mut self) -> Option<Later<W>> {
        let mut cx = TaskContext::from_waker(&self.waker);
        // Futures are caught one by one; dropping one that is given up is its own code as well.
        match failing::contained(|| Pin::new(&mut self.tasks).poll_next(&mut cx)) {
            Ok(Poll::Ready(done)) => done,
            Ok(Poll::Pending) => None,
            Err(cause) => {
                tracing::error!(host = self.host, cause, "a future panicked when it was dropped");
                Some(Box::new(|_| {}))
            }
        }
    }
}

/// Takes in one parcel of the host's inbox.
pub fn take<W: World>(world: &mut W, parcel: Parcel) {
    // The last turn may be long ago.
    world.core().tell_time();
    match parcel {
        Parcel::Do(act) => act(world),
        // For worlds that know what it is; they take it before it comes here.
        Parcel::Handed(_) => {
            tracing::error!(host = world.core().host, "something was handed to a world that takes nothing")
        }
        Parcel::Answer { kind, id, mut answer } => sending::came(world, kind, id, &mut *answer),
        Parcel::Published { topic, event } => crate::actor::topic::published(world, topic, &*event),
        Parcel::Ended { watch, ended } => monitor::noticed(world, watch, ended),
        Parcel::Watch { target, watcher, is_on } => monitor::watched_from_afar(world, target, watcher, is_on),
        Parcel::Report(tell) => {
            let report = report::of_host(world);
            let _ = tell.try_send(report);
        }
        Parcel::One { kind, key, tell } => {
            let report = report::find_one(world, &kind, &key);
            let _ = tell.try_send(report);
        }
        Parcel::EndKinds { kinds, by_force, tell } => end_kinds(world, &kinds, by_force, tell),
        Parcel::Rest { actor, change } => {
            let ops = world.core().kinds[usize::from(actor.kind)].ops;
            ops.rest(world, actor, change);
        }
    }
    run_later(world);
}

/// Ends all actors of these kinds, and lets no new ones be; by force, without their clean-up. Who asked is told when none
/// is left, or how many went by force.
fn end_kinds<W: World>(world: &mut W, names: &[&'static str], by_force: bool, tell: flume::Sender<usize>) {
    let core = world.core();
    let kinds: Vec<usize> = (0..core.kinds.len()).filter(|kind| names.contains(&core.kinds[*kind].name)).collect();
    let mut left = 0;
    for &kind in &kinds {
        let Kind { ops, of, .. } = world.core().kinds[kind];
        ops.close(world);
        // Their supervisors are not to start them again.
        tree::dismiss(world, of);
        for id in ops.ids(world) {
            left += 1;
            if by_force {
                ops.kill(world, id, Cause::Forced);
            } else {
                ops.stop(world, id, None);
            }
        }
    }
    if by_force {
        let _ = tell.try_send(left);
    } else {
        world.core().ending.push((kinds, tell));
    }
}

/// Tells who ends kinds of which nothing is left.
fn check_ending<W: World>(world: &mut W) {
    for (kinds, tell) in std::mem::take(&mut world.core().ending) {
        let mut left = 0;
        for &kind in &kinds {
            let ops = world.core().kinds[kind].ops;
            left += ops.len(world);
        }
        if left == 0 {
            let _ = tell.try_send(0);
        } else {
            world.core().ending.push((kinds, tell));
        }
    }
}

/// Does what handlers asked for, in order.
pub(crate) fn run_later<W: World>(world: &mut W) {
    while world.core().nesting == 0 && !(world.core().committed.is_empty() && world.core().later.is_empty()) {
        let core = world.core();
        let mut acts = std::mem::take(&mut core.committed);
        acts.append(&mut core.later);
        for act in acts {
            contained(world, act);
        }
    }
}

/// Does something that an actor has put off; a panic in it ends nothing else.
fn contained<W: World>(world: &mut W, act: impl FnOnce(&mut W)) {
    if let Err(cause) = failing::contained(|| act(world)) {
        tracing::error!(host = world.core().host, cause, "something that an actor had put off panicked");
    }
}

/// One turn: timers, futures, actors with messages, what goes to other hosts.
pub fn turn<W: World>(world: &mut W) {
    let core = world.core();
    let now = core.tell_time();
    core.turn_until = now + TURN_LIMIT;
    let beat = &core.post.registry.hosts()[usize::from(core.host)].heartbeat;
    beat.store(now.as_ns(), Ordering::Relaxed);
    sleep::wake_due(now);
    run_later(world);
    while let Some(due) = world.core().timers.pop_due(now) {
        match due {
            Timed::Ask(id) => {
                sending::answered(world, id, Completion::Without(NoAnswer::TimedOut));
            }
            Timed::Act(act) => contained(world, act),
            Timed::Life(id) => {
                let ops = world.core().kinds[usize::from(id.kind)].ops;
                ops.life_timer(world, id);
            }
        }
        run_later(world);
    }
    while let Some(actor) = world.core().next_released() {
        let ops = world.core().kinds[usize::from(actor.kind)].ops;
        ops.released(world, actor);
        run_later(world);
    }
    tree::tick(world);
    if world.core().alarm.is_woken.swap(false, Ordering::AcqRel) {
        for polled in 0.. {
            if polled == TASKS_PER_TURN {
                world.core().alarm.is_woken.store(true, Ordering::Release);
                break;
            }
            let Some(act) = world.core().poll_task() else { break };
            contained(world, act);
            run_later(world);
        }
    }
    if now >= world.core().next_sweep {
        let mut is_through = true;
        for kind in 0..world.core().kinds.len() {
            let ops = world.core().kinds[kind].ops;
            is_through &= ops.retire_idle(world);
        }
        // Where many retire at once, the next turn goes on with it.
        let core = world.core();
        core.next_sweep = if is_through { core.now + SWEEP_EVERY } else { core.now };
    }
    for _ in 0..RUNS_PER_TURN {
        let Some((kind, slot)) = world.core().ready.pop_front() else { break };
        let ops = world.core().kinds[usize::from(kind)].ops;
        ops.run(world, slot);
        if world.core().is_turn_over() {
            break;
        }
    }
    if !world.core().ending.is_empty() {
        check_ending(world);
    }
    let core = world.core();
    if core.ready.is_empty() && core.ready.capacity() > RUNS_PER_TURN {
        // What a rush has left.
        core.ready = VecDeque::new();
    }
    core.running.end();
    core.outbox.flush(&core.post);
}

/// What a host is to do after a turn.
pub fn work<W: World>(core: &Core<W>) -> Work {
    match core.time_left() {
        Some(Duration::ZERO) => Work::More,
        Some(left) => Work::Rest(left),
        None => Work::Rest(Duration::MAX),
    }
}

/// Turns until nothing is left to do at this moment: for tests, which own the time.
pub fn settle<W: World>(world: &mut W) {
    turn(world);
    while !world.core().is_idle() {
        turn(world);
    }
}

impl<W: World> Drop for Core<W> {
    fn drop(&mut self) {
        // A host that is gone runs nothing.
        self.running.end();
    }
}

impl Post {
    /// Sends at once; the parcel comes back where the inbox is full or the host gone.
    pub(crate) fn try_send(&self, host: usize, lane: Lane, parcel: Parcel) -> Result<(), SendError<Parcel>> {
        self.mesh.shard(host).try_send(lane, parcel)
    }
}
