//! How connections end.

use bytes::Bytes;

use crate::{
    actor::life,
    net::frame,
    protocol::{close::CloseCode, wire::user_left_room::Reason},
    server::{
        connection_actor::Connection,
        message::UserMessage,
        peer::{Closing, Goal},
        room_actor::RoomActor,
        stage::Stage,
    },
};

impl Stage {
    /// Closes a connection with a code of the table: once, whoever else closes it.
    pub(super) fn close(&mut self, key: usize, code: CloseCode) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.closing.is_some() {
            return;
        }
        self.figures.closed(code).add(1);
        if code == CloseCode::TooSlow {
            peer.wire.drop_backlog();
            peer.wire.make_room(&self.settings.socket);
        }
        tracing::debug!(connection = %peer.id(), code = code.code(), "closing: {}", code.meaning());
        self.leave_room(key, Self::reason_of(code));
        let chance = self.chance.draw();
        self.begin_closing(key, frame::close(code, chance));
    }

    /// What the others are told of one that is closed with a code.
    pub(super) fn reason_of(code: CloseCode) -> Reason {
        match code {
            CloseCode::TooSlow => Reason::TooSlow,
            CloseCode::Internal => Reason::ServerError,
            CloseCode::Kicked => Reason::Kicked,
            CloseCode::Banned => Reason::Banned,
            _ => Reason::Disconnected,
        }
    }

    /// Queues the close frame. From here on nothing else is sent, and what comes is not handled.
    pub(super) fn begin_closing(&mut self, key: usize, frame: Bytes) {
        self.abandon_join(key);
        let until = self.now + self.settings.close_timeout;
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.closing.is_some() {
            return;
        }
        peer.wire.push_last(frame, self.now);
        peer.closing = Some(Closing { until, finished: false });
        let _ = peer.wire.decoder.take_tail();
        // What the peer still sends is read to find its end.
        peer.wire.note_ready(true, true);
        self.mark_dirty(key);
        self.queue_read(key);
    }

    /// A connection ended without a close.
    pub(super) fn lose(&mut self, key: usize) {
        self.figures.lost.add(1);
        self.leave_room(key, Reason::Disconnected);
        self.abandon_join(key);
        self.remove(key);
    }

    /// Takes a connection out of the table; its socket closes. It is in no room any more.
    pub(super) fn remove(&mut self, key: usize) {
        let Some(mut peer) = self.peers.try_remove(key) else { return };
        let _ = self.readiness.remove(&peer.wire);
        let connection = peer.id();
        self.ids.remove(&connection);
        self.forwarding.remove(connection);
        self.count_shed(peer.wire.take_shed());
        let user = peer.state.session.profile.user_id.clone();
        self.tell_user(&user, UserMessage::Ended { connection });
        if let Some(actor) = self.connections.find(&connection) {
            life::depart::<Connection>(self, actor);
        }
    }

    /// Gives up a join, so that the seat is free for others.
    fn abandon_join(&mut self, key: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let connection = peer.id();
        let Some(joining) = peer.state.joining.take() else { return };
        if let Goal::Granted { room, .. } | Goal::Leaving { to: Some(room) } = joining.goal {
            self.awaiting_slot.retain(|waiting| *waiting != connection);
            self.release_seat(&room, connection);
        }
        // A seat that is granted later finds no join with its ticket and is released then.
    }

    /// Takes out a connection whose handlers fail, its closing too. No room may still write to its place in the table.
    pub(super) fn forget(&mut self, key: usize) {
        if let Some(seat) = self.peers.get_mut(key).and_then(|peer| peer.seat.take())
            && let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut)
        {
            cell.remove(seat.participant);
        }
        if let Some(seat) = self.peers.get_mut(key).and_then(|peer| peer.branch.take()) {
            self.leave_branch(key, seat, Reason::ServerError);
        }
        self.remove(key);
    }

    /// Closes a connection whose room is no more, or is the one that ends: it has no seat to give up.
    pub(super) fn close_without_room(&mut self, key: usize, code: CloseCode) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.seat = None;
            peer.wire.leave_room();
            self.close(key, code);
        }
    }

    /// Begins to shut down: who still comes is told when to come back. Who is here is told by its actor's end.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
        tracing::info!(shard = self.number, connections = self.peers.len(), "draining");
    }

    /// Has the shard end, when this turn is over.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }
}
