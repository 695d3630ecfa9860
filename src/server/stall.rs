//! A shard that stood still: its thread was not run, or something in it took too long.
//!
//! What is measured from one of its turns to the next says nothing of others then: what waited to be written has aged, and who
//! seems silent may have spoken, or may have been about to be asked. Those spans begin again where they stood.

use std::time::Duration;

use crate::{
    protocol::time::Timestamp,
    server::{room_actor::RoomActor, stage::Stage},
};

/// A beat that comes so much too late is a stall; beats come every ten milliseconds.
pub const STALL: Duration = Duration::from_millis(250);

impl Stage {
    /// Reads the clock. To be called before anything is handled: where the shard has stood still, that is made up for first.
    pub(super) fn tell_time(&mut self) {
        self.now = self.clock.now();
        let late = self.now.since(self.next_beat);
        if late >= STALL {
            self.stood_still(late);
            self.next_beat = self.now;
        }
    }

    fn stood_still(&mut self, stall: Duration) {
        let stall_ms = u64::try_from(stall.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(shard = self.number, stall_ms, "the shard stood still");
        self.figures.stalls.add(1);
        self.figures.stalled_ms.add(stall_ms);
        let moved = |at: Timestamp| at + stall;
        for (_, peer) in &mut self.peers {
            peer.wire.outbox_mut().stood_still(stall);
            peer.state.last_heard = moved(peer.state.last_heard);
            peer.state.last_pinged = moved(peer.state.last_pinged);
            if let Some(closing) = &mut peer.closing {
                closing.until = moved(closing.until);
            }
        }
        for id in self.rooms.ids().collect::<Vec<_>>() {
            if let Some(cell) = self.rooms.get_mut(id).and_then(RoomActor::cell_mut) {
                cell.held_until = moved(cell.held_until);
                cell.room.stood_still(stall, self.now);
                cell.away.stood_still(stall);
            }
        }
    }
}
