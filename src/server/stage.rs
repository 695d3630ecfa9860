//! One shard's world: the tables of its actors and sockets, and the turn that serves them.
//!
//! What it does is spread over the modules beside this one, each an `impl Stage` about one noun. Rules they share:
//! - a handler may close a connection, but only `Stage::remove` takes it from the table, and never while its input is
//!   being handled;
//! - a connection calls straight through to its room; everything else between actors is a message;
//! - effects are performed in order, after the decision that made them.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use slab::Slab;

use crate::{
    actor::{
        core::{self, Core},
        director::Director,
        envelope::ActorId,
        parcel::{Parcel, Post},
        shard::HEARTBEAT,
        table::Table,
        worker::{Work, Worker},
        world::{Hosts, World},
    },
    domain::room::Effect,
    http::stage::Admission,
    net::readiness::{ReadinessSet, Ready},
    protocol::{ids::ConnectionId, time::Timestamp, wire::user_left_room::Reason},
    server::{
        chance::Chance,
        clock::{self, Clock},
        connection_actor::Connection,
        figures::Figures,
        forwarding::Forwarding,
        gather::Gather,
        peer::{Goal, Joining, Moving, Peer},
        room_actor::{RoomActor, Seat},
        run::RunError,
        settings::StageSettings,
        spill::{
            Arrival, BranchEnd,
            branch::{Branch, BranchActor},
        },
        tree,
        user::User,
    },
};

/// What a read takes at most; the shard has one buffer for all its sockets. Many times what anybody plays in a turn, and no more of a
/// flood's frames than are handled in a fraction of a millisecond.
const READ_BUFFER: usize = 16 * 1024;
/// How long a turn goes on with those who send so much that a read does not empty their socket. They share it; what of theirs
/// is left waits for the next turn, behind everybody else.
const REST_BUDGET: Duration = Duration::from_micros(500);
/// Sockets that one poll reports at most.
const READY_BATCH: usize = 1024;

/// What a stage is made from.
pub struct StageParts {
    /// Its number.
    pub number: usize,
    /// How many shards there are; they are the first hosts of the post.
    pub shards: usize,
    /// How the hosts reach each other.
    pub post: Post,
    /// The server's clock.
    pub clock: Clock,
    /// What binds it.
    pub settings: Arc<StageSettings>,
    /// Where it counts.
    pub figures: Arc<Figures>,
    /// What it draws its chance from.
    pub chance: Chance,
    /// Told where its supervision gives up.
    pub give_up: flume::Sender<RunError>,
}

/// Everything that lives on one shard.
pub struct Stage {
    pub(super) number: usize,
    pub(super) shards: usize,
    pub(super) core: Core<Self>,
    pub(super) rooms: Table<RoomActor>,
    pub(super) users: Table<User>,
    pub(super) connections: Table<Connection>,
    pub(super) branch_actors: Table<BranchActor>,
    directors: Table<Director<Self>>,
    pub(super) clock: Clock,
    pub(super) settings: Arc<StageSettings>,
    pub(super) figures: Arc<Figures>,
    pub(super) chance: Chance,

    pub(super) readiness: ReadinessSet,
    /// The sockets, and all there is of their connections.
    pub(super) peers: Slab<Peer>,
    /// Where the sockets are, by their connections' ids.
    pub(super) ids: HashMap<ConnectionId, usize>,
    pub(super) forwarding: Forwarding,
    /// Branches of rooms of other shards.
    pub(super) branches: Slab<Branch>,
    /// Rooms of this shard that have, or are to have, branches.
    pub(super) spilled: Vec<ActorId>,
    /// What branches have sent and is not handled; they send no more than their windows allow.
    pub(super) inwards: VecDeque<Arrival>,
    /// There was too much of that for one turn.
    pub(super) has_inward_left: bool,
    /// Members of branches that are no more, and leave.
    pub(super) departing: VecDeque<(Seat, Reason)>,
    /// Branches that are to be told that they are over.
    pub(super) branch_ends: Vec<BranchEnd>,
    /// Members of branches who wait for a place at home.
    pub(super) awaiting_home: Vec<ConnectionId>,
    /// Connections with a seat whose hand-off waits for a place.
    pub(super) awaiting_slot: Vec<ConnectionId>,
    /// Connections with something to read, and those with something to write.
    pub(super) to_read: Vec<usize>,
    /// Connections with more to read than a read takes, in the order in which they are served.
    rest_to_read: VecDeque<usize>,
    pub(super) dirty: Vec<usize>,
    /// Connections that read too slowly, closed when the effects at hand are performed: a member must not leave its room in
    /// the middle of them, and where many fall behind at once, their leaving must not nest.
    pub(super) too_slow: Vec<usize>,
    pub(super) gather: Gather,

    pub(super) buffer: Vec<u8>,
    pub(super) effects: Vec<Effect>,
    ready: Vec<Ready>,
    pub(super) now: Timestamp,
    pub(super) next_beat: Timestamp,
    pub(super) beats: usize,
    pub(super) next_ticket: u64,
    pub(super) next_message: u64,
    /// The server shuts down.
    pub(super) is_draining: bool,
    /// Everything has been put in order: the shard ends.
    pub(super) is_over: bool,
}

impl Stage {
    /// Makes a stage on the thread that will run it.
    ///
    /// # Panics
    /// Where the system gives no epoll instance.
    pub fn new(parts: StageParts) -> Self {
        let now = parts.clock.now();
        let mut chance = parts.chance;
        let core = Core::new(parts.number, parts.post, parts.clock.actors().clone(), chance.draw());
        let mut stage = Self {
            number: parts.number,
            shards: parts.shards,
            core,
            rooms: Table::default(),
            users: Table::default(),
            connections: Table::default(),
            branch_actors: Table::default(),
            directors: Table::default(),
            clock: parts.clock,
            gather: Gather::new(parts.settings.gather_max, now),
            settings: parts.settings,
            figures: parts.figures,
            chance,
            readiness: ReadinessSet::new(READY_BATCH).expect("the system gives an epoll instance"),
            peers: Slab::new(),
            ids: HashMap::new(),
            forwarding: Forwarding::default(),
            branches: Slab::new(),
            spilled: Vec::new(),
            inwards: VecDeque::new(),
            has_inward_left: false,
            departing: VecDeque::new(),
            branch_ends: Vec::new(),
            awaiting_home: Vec::new(),
            awaiting_slot: Vec::new(),
            to_read: Vec::new(),
            rest_to_read: VecDeque::new(),
            dirty: Vec::new(),
            too_slow: Vec::new(),
            buffer: vec![0; READ_BUFFER],
            effects: Vec::new(),
            ready: Vec::with_capacity(READY_BATCH),
            now,
            next_beat: now,
            beats: 0,
            next_ticket: 0,
            next_message: 0,
            is_draining: false,
            is_over: false,
        };
        tree::start_shard(&mut stage, parts.give_up);
        stage
    }

    /// Registers the kinds of actors that live on a shard.
    pub(super) fn register(&mut self) {
        let settings = tree::ShardKinds::of(&self.settings);
        self.core.register(&mut self.connections, settings.connection);
        self.core.register(&mut self.rooms, settings.room);
        self.core.register(&mut self.users, settings.user);
        self.core.register(&mut self.branch_actors, settings.branch);
        self.core.register(&mut self.directors, settings.director);
    }

    /// Takes in which sockets are ready.
    fn poll_sockets(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        if let Err(error) = self.readiness.poll(&mut ready) {
            tracing::error!(shard = self.number, %error, "the readiness set failed");
        }
        for &Ready { key, readable, writable, ended } in &ready {
            // A socket may have gone since the kernel spoke of it.
            let Some(peer) = self.peers.get_mut(key) else { continue };
            if ended {
                peer.wire.note_ended();
            }
            // Only what the kernel had refused: each event says writable, and what a room gathers is not to go earlier.
            if peer.wire.note_ready(readable, writable) && !peer.wire.outbox().is_empty() {
                self.mark_dirty(key);
            }
            if readable {
                self.queue_read(key);
            }
        }
        self.ready = ready;
    }

    /// Serves the connections with something to read: each once, and then those that had more in the turns before, for as long as
    /// there is time for them.
    fn read_sockets(&mut self) {
        let rest = self.rest_to_read.len();
        let mut queued = std::mem::take(&mut self.to_read);
        for key in queued.drain(..) {
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.is_queued = false;
            self.guarded(key, |stage| stage.read_peer(key));
        }
        if self.to_read.is_empty() {
            // Keep the allocation.
            self.to_read = queued;
        }
        if rest == 0 {
            return;
        }
        let over = self.clock.now() + REST_BUDGET;
        for _ in 0..rest {
            let Some(key) = self.rest_to_read.pop_front() else { break };
            let Some(peer) = self.peers.get_mut(key) else { continue };
            peer.is_queued = false;
            self.guarded(key, |stage| stage.read_peer(key));
            if self.now >= over {
                break;
            }
        }
    }

    /// Gives back what a handler had taken out when it panicked: all connections share one read buffer.
    pub(super) fn restore_buffers(&mut self) {
        self.effects.clear();
        self.buffer.resize(READ_BUFFER, 0);
    }

    /// Looks at every connection again: a turn that panicked half way has lost its lists of whom to serve.
    fn restore_lists(&mut self) {
        self.to_read.clear();
        self.rest_to_read.clear();
        self.dirty.clear();
        self.too_slow.clear();
        self.awaiting_slot.clear();
        for (key, peer) in &mut self.peers {
            if peer.is_too_slow {
                self.too_slow.push(key);
            }
            (peer.is_queued, peer.is_dirty) = (true, true);
            self.to_read.push(key);
            self.dirty.push(key);
            if let Some(Joining { goal: Goal::Granted { .. }, .. }) = peer.state.joining {
                self.awaiting_slot.push(peer.id());
            }
        }
        self.awaiting_home = self.going_home();
    }

    /// Where a connection's socket is in the table.
    pub(super) fn socket_of(&self, connection: ConnectionId) -> Option<usize> {
        self.ids.get(&connection).copied()
    }

    /// Puts a connection in the list of those with something to read.
    pub(super) fn queue_read(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.is_queued
        {
            peer.is_queued = true;
            self.to_read.push(key);
        }
    }

    /// Puts a connection that has been read, and has more, behind the others.
    pub(super) fn queue_rest(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key)
            && peer.wire.is_readable()
            && !peer.is_queued
        {
            peer.is_queued = true;
            self.rest_to_read.push_back(key);
        }
    }

    /// Puts a connection in the list of those with something to write.
    pub(super) fn mark_dirty(&mut self, key: usize) {
        if let Some(peer) = self.peers.get_mut(key)
            && !peer.is_dirty
        {
            peer.is_dirty = true;
            self.dirty.push(key);
        }
    }
}

impl World for Stage {
    fn core(&mut self) -> &mut Core<Self> {
        &mut self.core
    }
}

impl Hosts<RoomActor> for Stage {
    fn table(&mut self) -> &mut Table<RoomActor> {
        &mut self.rooms
    }
}

impl Hosts<User> for Stage {
    fn table(&mut self) -> &mut Table<User> {
        &mut self.users
    }
}

impl Hosts<Connection> for Stage {
    fn table(&mut self) -> &mut Table<Connection> {
        &mut self.connections
    }
}

impl Hosts<BranchActor> for Stage {
    fn table(&mut self) -> &mut Table<BranchActor> {
        &mut self.branch_actors
    }
}

impl Hosts<Director<Self>> for Stage {
    fn table(&mut self) -> &mut Table<Director<Self>> {
        &mut self.directors
    }
}

impl Worker for Stage {
    type Message = Parcel;

    fn handle(&mut self, parcel: Parcel) {
        self.tell_time();
        match parcel {
            Parcel::Handed(handed) => match handed.downcast::<Admission>() {
                Ok(admission) => self.admit(*admission),
                Err(handed) => match handed.downcast::<Moving>() {
                    Ok(moving) => self.adopt(*moving),
                    Err(_) => tracing::error!(shard = self.number, "something unknown was handed over; it is dropped"),
                },
            },
            parcel => core::take(self, parcel),
        }
    }

    fn turn(&mut self) -> Work {
        self.tell_time();
        self.figures.turns.add(1);
        self.poll_sockets();
        self.core.tell_time();
        self.read_sockets();
        self.serve_inward();
        self.retry_hand_offs();
        self.retry_going_home();
        if self.now >= self.next_beat {
            self.next_beat = self.now + HEARTBEAT;
            self.beat();
        }
        self.close_too_slow();
        self.serve_spills();
        core::turn(self);
        // Last of those who send: all that a room has for a branch in this turn goes in one batch.
        self.send_batches();
        self.unblock_branches();
        self.now = self.clock.now();
        self.flush();
        let end = self.clock.now();
        if self.gather.wants_sample(end) {
            self.gather.sample(clock::thread_cpu_time(), end);
        }
        let has_more = !self.to_read.is_empty() || !self.rest_to_read.is_empty();
        let is_late = self.has_inward_left || !self.departing.is_empty() || !self.branch_ends.is_empty();
        if has_more || !self.too_slow.is_empty() || is_late {
            return Work::More;
        }
        let beat = self.next_beat.since(end);
        let gathered = self.gather.time_left(end).unwrap_or(beat);
        let actors = self.core.time_left().unwrap_or(beat);
        let rest = beat.min(gathered).min(actors);
        // Below the timers' resolution another turn is the better wait.
        if rest > Duration::from_micros(200) { Work::Rest(rest) } else { Work::More }
    }

    fn panicked(&mut self, cause: &str) {
        self.figures.panics.add(1);
        self.restore_buffers();
        self.restore_lists();
        tracing::error!(shard = self.number, cause, "a turn panicked; the shard goes on");
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.readiness.as_fd())
    }

    fn is_finished(&self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod spill_tests;
#[cfg(test)]
mod tests;
