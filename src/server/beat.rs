//! What happens by time: each heartbeat serves a share of the tables, so that no turn is long.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    net::outbox::Shed,
    protocol::close::CloseCode,
    server::{back_office::Request, room_cell::Commit, stage::Stage},
    store::StoreError,
};

/// Each connection is looked at every so many beats (10 ms each).
const PEER_STRIDE: usize = 25;
/// Each room is looked at every so many beats.
const ROOM_STRIDE: usize = 5;
/// Users, forwarding entries and rooms that wake are looked at every so many beats.
const SWEEP_STRIDE: usize = 500;
/// A directory entry is written at most this often, and at least every [`RELIST`].
const LIST_EVERY: std::time::Duration = std::time::Duration::from_millis(200);
/// The store itself gives up earlier; past this its answer is lost.
const COMMIT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
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
        let mut place = self.beats % ROOM_STRIDE;
        while place < self.rooms.capacity() {
            if self.rooms.contains(place)
                && catch_unwind(AssertUnwindSafe(|| self.check_room(place))).is_err()
                && self.rooms.contains(place)
            {
                self.end_room(place);
            }
            place += ROOM_STRIDE;
        }
        if self.beats.is_multiple_of(SWEEP_STRIDE) {
            let now = self.now;
            self.forwarding.sweep(now);
            self.users.retain(|_, user| !user.sweep(now));
            self.check_waking();
        }
        let figures = &self.figures;
        figures.heartbeat_us.set(self.now.as_us());
        figures.connections.set(self.peers.len() as u64);
        figures.rooms.set(self.rooms.len() as u64);
        figures.users.set(self.users.len() as u64);
        figures.usage_permille.set((self.gather.usage() * 1000.0) as u64);
    }

    fn check_peer(&mut self, key: usize) {
        let settings = &self.settings;
        let peer = &self.peers[key];
        let now = self.now;
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
        if silent >= settings.heartbeat_interval * 3 {
            return self.close(key, CloseCode::Idle);
        }
        let is_roomless = peer.seat.is_none() && peer.state.joining.is_none();
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

    fn check_room(&mut self, place: usize) {
        let now = self.now;
        if self.rooms[place].room.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.tick_room(place);
        }
        if self.rooms.get(place).is_some_and(|cell| cell.is_retiring) {
            self.retire(place);
        }
        self.check_commits(place);
        let Some(cell) = self.rooms.get_mut(place) else { return };
        let clamped = cell.room.clamped();
        self.figures.clamped.add(clamped - cell.clamped);
        cell.clamped = clamped;
        let age = now.since(cell.listed_at);
        if (cell.is_unlisted && age >= LIST_EVERY) || age >= RELIST {
            cell.is_unlisted = false;
            cell.listed_at = now;
            let request = Request::List(Box::new(cell.room.summary()));
            if self.back_office.try_send(request).is_err() {
                // The directory may lag; the next round tells it.
                self.rooms[place].is_unlisted = true;
                self.figures.back_office_full.add(1);
            }
        }
    }

    /// Answers for commits whose own answer is lost: who waits for one is told that it may not be kept.
    fn check_commits(&mut self, place: usize) {
        let Some(cell) = self.rooms.get(place) else { return };
        let now = self.now;
        let is_late = |commit: &Commit| now.since(commit.since) >= COMMIT_TIMEOUT;
        let late = cell.commits.iter().find(|(_, commit)| is_late(commit)).map(|(number, _)| *number);
        if let Some(number) = late {
            let room = cell.key.clone();
            self.committed(&room, number, Err(StoreError::TimedOut));
        }
    }

    /// Ends a room whose own time makes it panic, with its members: it would do so at each beat, and what follows it in the
    /// table would never be looked at.
    fn end_room(&mut self, place: usize) {
        self.figures.panics.add(1);
        self.restore_buffers();
        let cell = self.rooms.remove(place);
        tracing::error!(shard = self.number, room = %cell.key, "a room panicked; it ends with its members");
        for (_, key) in cell.members {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.seat = None;
                self.close(key, CloseCode::Internal);
            }
        }
        self.keys.remove(&cell.key);
        if self.back_office.try_send(Request::Unlist { room: cell.key }).is_err() {
            self.figures.back_office_full.add(1);
        }
    }

    /// Counts what a connection has missed.
    pub(super) fn count_shed(&self, shed: Shed) {
        self.figures.shed_midi.add(shed.midi);
        self.figures.shed_cursors.add(shed.cursors);
    }
}
