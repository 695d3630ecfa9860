//! What goes out: frames into outboxes, outboxes into sockets.

use bytes::Bytes;

use crate::{
    net::{
        connection::WriteOutcome,
        outbox::{Class, Pushed},
    },
    protocol::close::CloseCode,
    server::{
        room_actor::{RoomActor, RoomCell},
        stage::Stage,
    },
};

/// Set in what a branch is gathered under; rooms are by their slots, which are 32 bits.
const BRANCH: usize = 1 << 40;

/// What a branch is gathered under.
pub(super) fn branch_token(at: usize) -> usize {
    BRANCH | at
}

fn branch_of(token: usize) -> Option<usize> {
    (token & BRANCH != 0).then_some(token & !BRANCH)
}

impl Stage {
    /// Queues a frame for one connection; it is written at the end of the turn.
    pub(super) fn send_frame(&mut self, key: usize, frame: Bytes, class: Class) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.closing.is_some() || peer.is_too_slow {
            return;
        }
        match peer.wire.push(frame, class, self.now, &self.settings.outbox) {
            Pushed::Overflow => {
                peer.is_too_slow = true;
                self.too_slow.push(key);
            }
            Pushed::Queued | Pushed::Shed => self.mark_dirty(key),
        }
    }

    /// Closes who has been found too slow. That some leave may be the frame too many for others.
    pub(super) fn close_too_slow(&mut self) {
        while let Some(key) = self.too_slow.pop() {
            // It may have gone meanwhile, and another be in its place.
            if self.peers.get(key).is_some_and(|peer| peer.is_too_slow) {
                self.guarded(key, |stage| stage.close(key, CloseCode::TooSlow));
            }
        }
    }

    /// Writes what is due: single connections at once, rooms when their gathering ends.
    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            if let Some(peer) = self.peers.get_mut(key) {
                peer.is_dirty = false;
                self.flush_peer(key);
            }
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
        while let Some(room) = self.gather.next_due(self.now) {
            match branch_of(room) {
                Some(branch) => self.flush_branch(branch),
                None => self.flush_room(room, |cell| cell.is_gathering = false),
            }
        }
        while let Some(room) = self.gather.next_cursors_due(self.now) {
            self.flush_room(room, |cell| cell.has_cursors = false);
        }
    }

    /// Writes what waits for a room's members.
    fn flush_room(&mut self, room: usize, note: impl FnOnce(&mut RoomCell)) {
        let Some(cell) = self.rooms.at_mut(room as u32).and_then(RoomActor::cell_mut) else { return };
        note(cell);
        let members = std::mem::take(&mut cell.members);
        for &(_, key) in &members {
            if self.peers.get(key).is_some_and(|peer| !peer.wire.outbox().is_empty()) {
                self.flush_peer(key);
            }
        }
        // Nothing that a flush does takes members away: broken connections are taken out in the next turn.
        if let Some(cell) = self.rooms.at_mut(room as u32).and_then(RoomActor::cell_mut) {
            cell.members = members;
        }
    }

    fn flush_branch(&mut self, at: usize) {
        let Some(branch) = self.branches.get_mut(at) else { return };
        branch.is_gathering = false;
        for member in 0.. {
            let Some(member) = self.branches[at].members().get(member) else { return };
            let key = member.key;
            if self.peers.get(key).is_some_and(|peer| !peer.wire.outbox().is_empty()) {
                self.flush_peer(key);
            }
        }
    }

    /// Writes one connection's outbox as far as the kernel takes it.
    fn flush_peer(&mut self, key: usize) {
        let peer = &mut self.peers[key];
        self.figures.flushes.add(1);
        match peer.wire.flush(self.now, &self.settings.outbox) {
            WriteOutcome::Blocked => {}
            WriteOutcome::Broken => {
                // The read side will find the end, and the connection is taken out there.
                peer.wire.note_ready(true, false);
                self.queue_read(key);
            }
            WriteOutcome::Drained => {
                if let Some(closing) = &mut peer.closing
                    && !closing.finished
                {
                    closing.finished = true;
                    peer.wire.finish();
                }
            }
        }
    }
}
