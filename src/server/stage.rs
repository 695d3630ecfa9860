//! One shard's worker: its tables, and the turn that serves them.
//!
//! What it does is spread over the modules beside this one, each an `impl Stage` about one noun. Rules they share:
//! - a handler may close a connection, but only `Stage::remove` takes it from the table, and never while its input is
//!   being handled;
//! - a message to the own shard goes through the local queue, so that no handler runs inside another;
//! - effects are performed in order, after the decision that made them.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsRawFd as _, RawFd},
    sync::Arc,
    time::Duration,
};

use slab::Slab;

use crate::{
    actor::{
        mesh::Mesh,
        shard::HEARTBEAT,
        worker::{Work, Worker},
    },
    domain::room::Effect,
    net::readiness::{ReadinessSet, Ready},
    protocol::{
        ids::{ConnectionId, RoomKey, UserId},
        time::Timestamp,
    },
    server::{
        back_office::BackOffice,
        chance::Chance,
        clock::{self, Clock},
        figures::Figures,
        forwarding::Forwarding,
        gather::Gather,
        message::ShardMessage,
        peer::{Goal, Joining, Peer},
        room_cell::{MAKING, RoomCell, RoomSlot},
        settings::StageSettings,
        user::User,
    },
};

/// What a read takes at most; the shard has one buffer for all its sockets.
const READ_BUFFER: usize = 64 * 1024;
/// Sockets that one poll reports at most.
const READY_BATCH: usize = 1024;
/// Local messages handled in one turn.
const LOCAL_BATCH: usize = 512;

/// What a stage is made from.
pub struct StageParts {
    /// Its number.
    pub number: usize,
    /// Every shard's address.
    pub mesh: Mesh<ShardMessage>,
    /// The tokio side.
    pub back_office: BackOffice,
    /// The server's clock.
    pub clock: Clock,
    /// What binds it.
    pub settings: Arc<StageSettings>,
    /// Where it counts.
    pub figures: Arc<Figures>,
}

/// Everything that lives on one shard.
pub struct Stage {
    pub(super) number: usize,
    pub(super) mesh: Mesh<ShardMessage>,
    pub(super) back_office: BackOffice,
    pub(super) clock: Clock,
    pub(super) settings: Arc<StageSettings>,
    pub(super) figures: Arc<Figures>,
    pub(super) chance: Chance,

    pub(super) readiness: ReadinessSet,
    pub(super) peers: Slab<Peer>,
    /// The connections of this shard, by id.
    pub(super) ids: HashMap<ConnectionId, usize>,
    pub(super) forwarding: Forwarding,
    /// The active rooms; a connection's seat names its room by the place here.
    pub(super) rooms: Slab<RoomCell>,
    pub(super) keys: HashMap<RoomKey, RoomSlot>,
    pub(super) users: HashMap<UserId, User>,

    /// Messages to this shard itself.
    pub(super) local: VecDeque<ShardMessage>,
    /// Messages that other shards' inboxes had no room for, by shard, in order.
    pub(super) backlog: Vec<VecDeque<ShardMessage>>,
    /// Connections with a seat whose hand-off waits for a place.
    pub(super) awaiting_slot: Vec<ConnectionId>,
    /// Connections with something to read, and those with something to write.
    pub(super) to_read: Vec<usize>,
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
    pub(super) next_commit: u64,
    /// Since when the server shuts down.
    pub(super) draining: Option<Timestamp>,
}

impl Stage {
    /// Makes a stage on the thread that will run it.
    ///
    /// # Panics
    /// Where the system gives no epoll instance.
    pub fn new(parts: StageParts) -> Self {
        let now = parts.clock.now();
        let shards = parts.mesh.len();
        Self {
            number: parts.number,
            back_office: parts.back_office,
            clock: parts.clock,
            gather: Gather::new(parts.settings.gather_max, now),
            settings: parts.settings,
            figures: parts.figures,
            mesh: parts.mesh,
            chance: Chance::from_system(),
            readiness: ReadinessSet::new(READY_BATCH).expect("the system gives an epoll instance"),
            peers: Slab::new(),
            ids: HashMap::new(),
            forwarding: Forwarding::default(),
            rooms: Slab::new(),
            keys: HashMap::new(),
            users: HashMap::new(),
            local: VecDeque::new(),
            backlog: (0..shards).map(|_| VecDeque::new()).collect(),
            awaiting_slot: Vec::new(),
            to_read: Vec::new(),
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
            next_commit: MAKING,
            draining: None,
        }
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

    /// Serves the connections with something to read. One that has more comes again in the next turn.
    fn read_sockets(&mut self) {
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
    }

    /// Gives back what a handler had taken out when it panicked: all connections share one read buffer.
    pub(super) fn restore_buffers(&mut self) {
        self.effects.clear();
        self.buffer.resize(READ_BUFFER, 0);
    }

    /// Looks at every connection again: a turn that panicked half way has lost its lists of whom to serve.
    fn restore_lists(&mut self) {
        self.to_read.clear();
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

impl Worker for Stage {
    type Message = ShardMessage;

    fn handle(&mut self, message: ShardMessage) {
        self.now = self.clock.now();
        self.handle_message(message);
    }

    fn turn(&mut self) -> Work {
        self.now = self.clock.now();
        self.post_backlog();
        self.poll_sockets();
        self.read_sockets();
        for _ in 0..LOCAL_BATCH {
            let Some(message) = self.local.pop_front() else { break };
            self.handle_message(message);
        }
        self.retry_hand_offs();
        if self.now >= self.next_beat {
            self.next_beat = self.now + HEARTBEAT;
            self.beat();
        }
        self.close_too_slow();
        self.flush();
        let end = self.clock.now();
        if self.gather.wants_sample(end) {
            self.gather.sample(clock::thread_cpu_time(), end);
        }
        if self.to_read.is_empty() && self.local.is_empty() {
            let beat = self.next_beat.since(end);
            let rest = self.gather.time_left(end).map_or(beat, |left| left.min(beat));
            // Below the timers' resolution another turn is the better wait.
            if rest > Duration::from_micros(200) { Work::Rest(rest) } else { Work::More }
        } else {
            Work::More
        }
    }

    fn panicked(&mut self, cause: &str) {
        self.figures.panics.add(1);
        self.restore_buffers();
        self.restore_lists();
        tracing::error!(shard = self.number, cause, "a handler panicked; the shard goes on");
    }

    fn readiness(&self) -> Option<RawFd> {
        Some(self.readiness.as_raw_fd())
    }

    fn is_finished(&self) -> bool {
        self.is_drained()
    }
}

#[cfg(test)]
mod tests;
