//! What happens by time: each heartbeat serves a share of the tables, so that no turn is long.

use crate::{
    actor::{envelope::ActorId, life},
    net::outbox::Shed,
    protocol::{close::CloseCode, ids::Participant},
    server::{
        directory_keeper::DirectoryMessage,
        room_actor::{RoomActor, Seat},
        stage::Stage,
        stall::STALL,
    },
};

/// Each connection is looked at every so many beats (10 ms each).
const PEER_STRIDE: usize = 25;
/// Each room is looked at every so many beats.
const ROOM_STRIDE: usize = 5;
/// Forwarding entries are looked at every so many beats.
const SWEEP_STRIDE: usize = 500;
/// A directory entry is written at most this often, and at least every [`RELIST`].
const LIST_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
/// Entries expire in the directory: a room that lives writes its own again.
const RELIST: std::time::Duration = std::time::Duration::from_secs(20);

impl Stage {
    /// One heartbeat.
    pub(super) fn beat(&mut self) {
        self.beats = self.beats.wrapping_add(1);
        let mut key = self.beats % PEER_STRIDE;
        while key < self.peers.capacity() {
            if self.peers.contains(key) {
                self.guarded(key, |stage| stage.check_peer(key));
            }
            key += PEER_STRIDE;
        }
        let mut slot = self.beats % ROOM_STRIDE;
        while slot < self.rooms.slots() {
            if let Some(room) = self.rooms.id_at(slot as u32) {
                self.check_room(room);
            }
            slot += ROOM_STRIDE;
        }
        if self.beats.is_multiple_of(SWEEP_STRIDE) {
            self.forwarding.sweep(self.now);
        }
        let figures = &self.figures;
        figures.heartbeat_us.set(self.now.as_us());
        figures.connections.set(self.peers.len() as u64);
        figures.rooms.set(self.rooms.len() as u64);
        figures.users.set(self.users.len() as u64);
        figures.branches.set(self.branches.len() as u64);
        figures.branch_members.set(self.branches.iter().map(|(_, branch)| branch.members().len() as u64).sum());
        let (mut away, mut batches, mut bytes) = (0, 0, 0);
        for cell in self.spilled.iter().filter_map(|&room| self.rooms.get(room)?.cell()) {
            let pending = cell.away.pending();
            (away, batches, bytes) = (away + cell.away.len(), batches + pending.0, bytes + pending.1);
        }
        figures.members_away.set(away as u64);
        figures.spill_pending_batches.set(batches);
        figures.spill_pending_bytes.set(bytes as u64);
        figures.spill_inward_waiting.set(self.inwards.len() as u64);
        figures.usage_permille.set((self.gather.usage() * 1000.0) as u64);
    }

    fn check_peer(&mut self, key: usize) {
        let settings = &self.settings;
        let now = self.now;
        if settings.socket.watches_kernel {
            self.peers[key].wire.look_at_kernel(now);
        }
        let peer = &self.peers[key];
        if let Some(closing) = peer.closing {
            if now >= closing.until {
                self.remove(key);
            }
            return;
        }
        if peer.wire.outbox().is_overdue(now, &settings.outbox) {
            return self.close(key, CloseCode::TooSlow);
        }
        let silent = now.since(peer.state.last_heard);
        if silent >= settings.heartbeat_interval * 3 && !self.waits_for_home(key) {
            return self.close(key, CloseCode::Idle);
        }
        let is_roomless = peer.is_roomless() && peer.state.joining.is_none();
        if is_roomless && now.since(peer.state.last_active) >= settings.roomless_idle_timeout {
            return self.close(key, CloseCode::Idle);
        }
        if silent >= settings.heartbeat_interval && now.since(peer.state.last_pinged) >= settings.heartbeat_interval {
            self.ping(key);
        }
        if std::mem::take(&mut self.peers[key].is_throttled) {
            self.queue_read(key);
        }
        // A gap that is due is told without waiting for the next note.
        if self.peers[key].wire.outbox().has_gaps() {
            self.mark_dirty(key);
        }
        let shed = self.peers[key].wire.take_shed();
        self.count_shed(shed);
        self.check_join(key);
    }

    fn check_room(&mut self, id: ActorId) {
        let now = self.now;
        let Some(cell) = self.rooms.get_mut(id).and_then(RoomActor::cell_mut) else { return };
        if cell.room.next_deadline().is_some_and(|deadline| deadline <= now) {
            for participant in cell.away.unheard(now, STALL) {
                cell.room.heard(participant, now);
            }
            // Where it fails at it, it is tried again, until that is too often and the room ends.
            let _ = self
                .in_room(Seat { room: id, participant: Participant(0) }, |room, now, effects| room.tick(now, effects));
        }
        let Some(cell) = self.rooms.get_mut(id).and_then(RoomActor::cell_mut) else { return };
        if cell.may_go(now) && life::retire::<RoomActor>(self, id) {
            return;
        }
        let Some(cell) = self.rooms.get_mut(id).and_then(RoomActor::cell_mut) else { return };
        cell.is_retiring &= cell.is_empty();
        if cell.away.has_branches() {
            cell.away.sweep(now);
            // Who has got the crown elsewhere comes home.
            if let Some(owner) = cell.room.owner_in() {
                cell.away.recall_one(owner, now);
            }
        }
        let clamped = cell.room.clamped();
        self.figures.clamped.add(clamped - cell.clamped);
        cell.clamped = clamped;
        let age = now.since(cell.listed_at);
        if (cell.is_unlisted && age >= LIST_EVERY) || age >= RELIST {
            cell.is_unlisted = false;
            cell.listed_at = now;
            let summary = Box::new(cell.room.summary());
            // Where it can not be told the directory lags; the next round tells it.
            if !self.tell_directory(DirectoryMessage::List(summary))
                && let Some(cell) = self.rooms.get_mut(id).and_then(RoomActor::cell_mut)
            {
                cell.is_unlisted = true;
            }
        }
    }

    /// Counts what a connection has missed.
    pub(super) fn count_shed(&self, shed: Shed) {
        self.figures.shed_midi.add(shed.midi);
        self.figures.shed_cursors.add(shed.cursors);
        self.figures.gaps_slow.add(shed.gaps);
    }
}
