//! The actors of one kind on one host.

use std::{
    any::TypeId,
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures_util::future::AbortHandle;
use slab::Slab;

use crate::actor::{
    actor::{Actor, KindSettings},
    core::Later,
    envelope::{ActorId, Envelope},
    kind_figures::KindFigures,
    mailbox::{Mailbox, Spare},
    moment::Moment,
    running::Running,
    supervision::RestartLog,
    timers::TimerId,
};

/// Where an actor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Somebody has sent it a message; it is not made yet.
    New,
    /// Its state is being loaded.
    Loading,
    /// It handles messages.
    Running,
    /// It has failed and rests before it goes on.
    BackingOff,
    /// It cleans up. What comes meanwhile goes to its next activation.
    Ending {
        /// Nobody has told it to: it was idle.
        retires: bool,
    },
    /// It stands still until its supervisor has decided.
    Down,
}

impl Phase {
    /// As it is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Loading => "loading",
            Self::Running => "running",
            Self::BackingOff => "backing_off",
            Self::Ending { retires: true } => "retiring",
            Self::Ending { retires: false } => "ending",
            Self::Down => "down",
        }
    }
}

/// What one actor has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handled.
    pub processed: u64,
    /// Those that ended with an error.
    pub errors: u32,
    /// Restarts, in place or afresh.
    pub restarts: u32,
    /// Time spent handling, in nanoseconds.
    pub busy_ns: u64,
}

/// What an actor has only now and then, kept apart so that an idle one is small.
pub(crate) struct Extras<A: Actor> {
    /// Its failures.
    pub restarts: RestartLog,
    /// Who watches it: where, and under which number.
    pub watchers: Vec<(u16, u64)>,
    /// Its own watches.
    pub watching: HashSet<u64>,
    /// Who waits for its end.
    pub stop_waiters: Vec<Later<A::World>>,
    /// What it has scheduled.
    pub timers: Vec<TimerId>,
    /// Its futures and streams, by number.
    pub tasks: Vec<(u64, AbortHandle)>,
    /// The topics that it has subscribed to.
    pub topics: Vec<TypeId>,
    /// The supervisor that it is a child of by name, and its number there.
    pub child: Option<usize>,
    /// Why it stands still.
    pub cause: Option<String>,
    /// Messages that it has put aside.
    pub stash: VecDeque<Envelope<A>>,
    /// Nobody has a handle of it any more: it ends when it has handled what waits.
    pub is_released: bool,
    /// It was told to stop in the middle of a message, and does so after it.
    pub is_to_stop: bool,
    /// A timer of its life: loading, backing off, ending.
    pub life_timer: Option<TimerId>,
}

impl<A: Actor> Default for Extras<A> {
    fn default() -> Self {
        Self {
            restarts: RestartLog::default(),
            watchers: Vec::new(),
            watching: HashSet::new(),
            stop_waiters: Vec::new(),
            timers: Vec::new(),
            tasks: Vec::new(),
            topics: Vec::new(),
            child: None,
            cause: None,
            stash: VecDeque::new(),
            is_released: false,
            is_to_stop: false,
            life_timer: None,
        }
    }
}

/// One actor and its mailbox.
pub(crate) struct Cell<A: Actor> {
    /// None for an anonymous one.
    pub key: Option<A::Key>,
    pub generation: u32,
    /// Its messages in a back-pressured mailbox elsewhere: it rests until they are taken.
    pub rests: u32,
    pub phase: Phase,
    /// It is in the list of those to run.
    pub is_queued: bool,
    /// It is in the list of the idle.
    pub is_listed_idle: bool,
    /// Absent while it handles a message, and before and after its life.
    pub value: Option<Box<A>>,
    pub mailbox: Mailbox<Envelope<A>>,
    pub last_active: Moment,
    pub since: Moment,
    pub counts: Counts,
    pub extras: Option<Box<Extras<A>>>,
}

impl<A: Actor> Cell<A> {
    pub fn new(key: Option<A::Key>, generation: u32, now: Moment) -> Self {
        Self {
            key,
            generation,
            rests: 0,
            phase: Phase::New,
            is_queued: false,
            is_listed_idle: false,
            value: None,
            mailbox: Mailbox::default(),
            last_active: now,
            since: now,
            counts: Counts::default(),
            extras: None,
        }
    }

    pub fn extras(&mut self) -> &mut Extras<A> {
        self.extras.get_or_insert_default()
    }

    pub fn child(&self) -> Option<usize> {
        self.extras.as_ref()?.child
    }

    /// It handles control messages only.
    pub fn is_restricted(&self) -> bool {
        self.rests > 0 || matches!(self.phase, Phase::Ending { .. })
    }

    /// Whether it is to be put in the list of those to run; notes that it is.
    #[inline]
    pub fn wake(&mut self) -> bool {
        let is_woken = !self.is_queued && self.can_run();
        self.is_queued |= is_woken;
        is_woken
    }

    /// What it would handle now.
    #[inline]
    pub fn can_run(&self) -> bool {
        match self.phase {
            Phase::New => true,
            Phase::Running | Phase::Ending { .. } if self.is_restricted() => self.mailbox.has_control(),
            Phase::Running | Phase::Ending { .. } => !self.mailbox.is_empty(),
            Phase::Loading | Phase::BackingOff | Phase::Down => false,
        }
    }
}

/// Spares that a table keeps at most. Where more actors have messages at once, the others ask for memory.
const SPARES: usize = 32;

/// The actors of one kind on one host.
pub struct Table<A: Actor> {
    pub(crate) kind: u16,
    pub(crate) host: u16,
    /// Its number among the kinds that everybody knows of this host; past the last where it is not placed here.
    pub(crate) told_as: u16,
    pub(crate) settings: KindSettings,
    pub(crate) cells: Slab<Cell<A>>,
    pub(crate) keys: HashMap<A::Key, u32>,
    /// What idle actors' mailboxes were stripped of.
    spares: Vec<Spare<Envelope<A>>>,
    /// Those with nothing to do, by when that was noted; their `last_active` may be later.
    pub(crate) idle: VecDeque<(u32, u32, Moment)>,
    pub(crate) figures: Arc<KindFigures>,
    /// What the host handles just now; here as well as in its core, to be written without asking that for it.
    pub(crate) running: Arc<Running>,
    pub(crate) next_generation: u32,
    /// The members of the pool, by their number.
    pub(crate) pool: Vec<u32>,
    pub(crate) pool_cursor: usize,
    /// No actor of it is made any more.
    pub(crate) is_closed: bool,
    /// The same, while its supervisor stops them all.
    pub(crate) is_paused: bool,
}

impl<A: Actor> Default for Table<A> {
    fn default() -> Self {
        Self::new(KindSettings::default())
    }
}

impl<A: Actor> Table<A> {
    /// An empty table; [`Core::register`](crate::actor::core::Core::register) gives it its number.
    pub fn new(settings: KindSettings) -> Self {
        Self {
            kind: u16::MAX,
            host: 0,
            told_as: u16::MAX - 1,
            settings,
            cells: Slab::new(),
            keys: HashMap::new(),
            spares: Vec::new(),
            idle: VecDeque::new(),
            figures: Arc::default(),
            running: Arc::default(),
            next_generation: 0,
            pool: Vec::new(),
            pool_cursor: 0,
            is_closed: false,
            is_paused: false,
        }
    }

    /// How many actors there are, those that load or end included.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// What the kind counts.
    pub fn figures(&self) -> &Arc<KindFigures> {
        &self.figures
    }

    /// What binds the kind.
    pub fn settings(&self) -> &KindSettings {
        &self.settings
    }

    /// The actor of a key, where there is one.
    pub fn find(&self, key: &A::Key) -> Option<ActorId> {
        let slot = *self.keys.get(key)?;
        Some(self.id(slot))
    }

    /// The value of an actor that runs and handles nothing at the moment.
    pub fn get(&self, id: ActorId) -> Option<&A> {
        self.cell(id)?.value.as_deref()
    }

    /// The same, to change: for what shares its thread and keeps its rules.
    pub fn get_mut(&mut self, id: ActorId) -> Option<&mut A> {
        self.cell_mut(id)?.value.as_deref_mut()
    }

    /// The actor in a slot that [`ActorId::slot`] named; for tables whose world keeps slots itself.
    pub fn at(&self, slot: u32) -> Option<&A> {
        self.cells.get(slot as usize)?.value.as_deref()
    }

    /// The same, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut A> {
        self.cells.get_mut(slot as usize)?.value.as_deref_mut()
    }

    /// The id of the actor in a slot.
    ///
    /// # Panics
    /// Where the slot is empty.
    pub fn id(&self, slot: u32) -> ActorId {
        let cell = &self.cells[slot as usize];
        ActorId { host: self.host, kind: self.kind, slot, generation: cell.generation }
    }

    /// The id of the actor in a slot, where there is one.
    pub fn id_at(&self, slot: u32) -> Option<ActorId> {
        let generation = self.cells.get(slot as usize)?.generation;
        Some(ActorId { host: self.host, kind: self.kind, slot, generation })
    }

    /// Slots go up to this, not included: for walks that are spread over turns.
    pub fn slots(&self) -> usize {
        self.cells.capacity()
    }

    /// The key of an actor.
    pub fn key(&self, id: ActorId) -> Option<&A::Key> {
        self.cell(id)?.key.as_ref()
    }

    /// Where an actor is in its life, and since when.
    pub fn phase(&self, id: ActorId) -> Option<(Phase, Moment)> {
        self.cell(id).map(|cell| (cell.phase, cell.since))
    }

    /// What an actor has done.
    pub fn counts(&self, id: ActorId) -> Option<Counts> {
        self.cell(id).map(|cell| cell.counts)
    }

    /// How many messages wait for an actor.
    pub fn depth(&self, id: ActorId) -> Option<usize> {
        self.cell(id).map(|cell| cell.mailbox.len())
    }

    /// All actors, by slot.
    pub fn ids(&self) -> impl Iterator<Item = ActorId> + '_ {
        self.cells.iter().map(|(slot, cell)| ActorId {
            host: self.host,
            kind: self.kind,
            slot: slot as u32,
            generation: cell.generation,
        })
    }

    /// Whether a [`call`](crate::actor::handling::call) would go straight through: it runs, and nothing waits before it.
    pub fn is_free(&self, id: ActorId) -> bool {
        self.cell(id)
            .is_some_and(|cell| cell.phase == Phase::Running && cell.value.is_some() && cell.mailbox.is_empty())
    }

    /// Whether an actor handles messages: it has begun, does not rest after a failure, and does not end.
    pub fn is_running(&self, id: ActorId) -> bool {
        self.cell(id).is_some_and(|cell| cell.phase == Phase::Running)
    }

    pub(crate) fn cell(&self, id: ActorId) -> Option<&Cell<A>> {
        self.cells.get(id.slot as usize).filter(|cell| cell.generation == id.generation)
    }

    pub(crate) fn cell_mut(&mut self, id: ActorId) -> Option<&mut Cell<A>> {
        self.cells.get_mut(id.slot as usize).filter(|cell| cell.generation == id.generation)
    }

    /// No actor of it is made now.
    pub(crate) fn takes_none(&self) -> bool {
        self.is_closed || self.is_paused
    }

    /// Makes an empty cell.
    pub(crate) fn insert(&mut self, key: Option<A::Key>, now: Moment) -> ActorId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let slot = self.cells.insert(Cell::new(key.clone(), self.next_generation, now)) as u32;
        if let Some(key) = key {
            self.keys.insert(key, slot);
        }
        self.figures.actors.set(self.cells.len() as u64);
        self.id(slot)
    }

    /// Takes a cell out.
    pub(crate) fn remove(&mut self, id: ActorId) -> Option<Cell<A>> {
        self.cell(id)?;
        let cell = self.cells.remove(id.slot as usize);
        if let Some(key) = &cell.key {
            self.keys.remove(key);
        }
        self.pool.retain(|member| *member != id.slot);
        self.figures.actors.set(self.cells.len() as u64);
        if self.cells.is_empty() {
            // What a rush has left goes with it.
            self.cells = Slab::new();
            self.keys = HashMap::new();
            self.idle = VecDeque::new();
            self.spares = Vec::new();
        }
        Some(cell)
    }

    /// Gives an actor's bare mailbox something to hold messages in, where there is a spare.
    #[inline]
    pub(crate) fn furnish(&mut self, slot: u32) -> &mut Cell<A> {
        let cell = &mut self.cells[slot as usize];
        cell.mailbox.furnish(|| self.spares.pop());
        cell
    }

    /// Strips an actor's mailbox where it is empty: an idle actor is small.
    #[inline]
    pub(crate) fn strip(&mut self, slot: u32) {
        if let Some(spare) = self.cells.get_mut(slot as usize).and_then(|cell| cell.mailbox.strip())
            && self.spares.len() < SPARES
            && spare.is_small()
        {
            self.spares.push(spare);
        }
    }

    /// Notes that an actor has nothing to do, so that it is looked at when its idle time is over.
    pub(crate) fn note_idle(&mut self, slot: u32, now: Moment) {
        // One without a key lives as long as somebody holds it.
        if self.settings.idle_time.is_some()
            && let Some(cell) = self.cells.get_mut(slot as usize)
            && !cell.is_listed_idle
            && cell.key.is_some()
        {
            cell.is_listed_idle = true;
            self.idle.push_back((slot, cell.generation, now));
        }
    }

    /// The next actor whose idle time is over.
    pub(crate) fn pop_idle(&mut self, idle_time: Duration, now: Moment) -> Option<ActorId> {
        while let Some(&(slot, generation, noted)) = self.idle.front() {
            if now.since(noted) < idle_time {
                return None;
            }
            self.idle.pop_front();
            let id = ActorId { host: self.host, kind: self.kind, slot, generation };
            let Some(cell) = self.cell_mut(id) else { continue };
            cell.is_listed_idle = false;
            if cell.phase != Phase::Running || cell.value.is_none() {
                continue;
            }
            if !cell.mailbox.is_empty() {
                // It is noted again when it has handled that.
                continue;
            }
            let last_active = cell.last_active;
            if now.since(last_active) >= idle_time {
                return Some(id);
            }
            // It has been busy meanwhile. Behind those who were noted later it may be looked at late, by an idle time at most.
            cell.is_listed_idle = true;
            self.idle.push_back((slot, generation, last_active));
        }
        None
    }
}
