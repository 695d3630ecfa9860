//! Sending to other shards, and to this one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    actor::mesh::{Lane, SendError},
    actor::placement::shard_of,
    protocol::{
        close::CloseCode,
        ids::{ConnectionId, UserId},
        wire::ClientMessage,
    },
    server::{
        message::{Action, ReplyTo, ShardMessage, UserMessage},
        stage::Stage,
    },
};

/// Messages kept for one shard whose inbox is full; past it they are dropped and counted.
const BACKLOG_MAX: usize = 65_536;

impl Stage {
    /// The shard on which a room or a user lives.
    pub(super) fn home_of(&self, key: &str) -> usize {
        shard_of(key, self.mesh.len())
    }

    /// Sends to a shard, in order with what was sent there before. Never blocks: what a full inbox does not take
    /// waits here and is tried again each turn.
    pub(super) fn post(&mut self, shard: usize, message: ShardMessage) {
        if shard == self.number {
            self.local.push_back(message);
            return;
        }
        if !self.backlog[shard].is_empty() {
            self.keep(shard, message);
            return;
        }
        match self.mesh.shard(shard).try_send(Lane::Control, message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => self.keep(shard, message),
            // Shards end only at shutdown, when nobody waits for an answer.
            Err(SendError::Stopped(_)) => {}
        }
    }

    fn keep(&mut self, shard: usize, message: ShardMessage) {
        if self.backlog[shard].len() < BACKLOG_MAX {
            self.backlog[shard].push_back(message);
        } else {
            self.figures.inbox_full.add(1);
        }
    }

    /// Tries again what waits for full inboxes.
    pub(super) fn post_backlog(&mut self) {
        for shard in 0..self.backlog.len() {
            while let Some(message) = self.backlog[shard].pop_front() {
                if let Err(SendError::Full(message)) = self.mesh.shard(shard).try_send(Lane::Control, message) {
                    self.backlog[shard].push_front(message);
                    break;
                }
            }
        }
    }

    /// Sends to a user's actor.
    pub(super) fn post_user(&mut self, user: &UserId, message: UserMessage) {
        let home = self.home_of(user.as_str());
        self.post(home, ShardMessage::User { user: user.clone(), message });
    }

    /// Answers a request of a connection that may have moved since.
    pub(super) fn reply(&mut self, reply: ReplyTo, message: ClientMessage) {
        let action = Action::Deliver(Box::new(message));
        self.post(reply.shard, ShardMessage::Connection { connection: reply.connection, user: reply.user, action });
    }

    /// Where an answer to this connection's request goes.
    pub(super) fn reply_to(&self, key: usize, request_id: Option<u32>) -> ReplyTo {
        let session = &self.peers[key].state.session;
        ReplyTo {
            shard: self.number,
            connection: session.connection,
            user: session.profile.user_id.clone(),
            request_id,
        }
    }

    /// A message to a connection that is, was, or will be here.
    pub(super) fn deliver(&mut self, connection: ConnectionId, user: UserId, action: Action) {
        if let Some(&key) = self.ids.get(&connection) {
            self.guarded(key, |stage| stage.act(key, action));
        } else if let Some(shard) = self.forwarding.find(connection) {
            self.post(shard, ShardMessage::Connection { connection, user, action });
        } else {
            // Its user's actor knows more.
            let tried = self.number;
            self.post_user(&user, UserMessage::Undelivered { connection, tried, action });
        }
    }

    /// Runs a handler for one connection. A panic closes that connection and goes no further.
    pub(super) fn guarded(&mut self, key: usize, handler: impl FnOnce(&mut Self)) {
        let result = catch_unwind(AssertUnwindSafe(|| handler(self)));
        if result.is_err() {
            self.figures.panics.add(1);
            self.restore_buffers();
            if let Some(peer) = self.peers.get(key) {
                let user = &peer.state.session.profile.user_id;
                tracing::error!(shard = self.number, connection = %peer.id(), %user, "a handler panicked; its connection is closed");
            }
            // Taking it out of its room runs the room's code, which may be what panicked.
            if catch_unwind(AssertUnwindSafe(|| self.close(key, CloseCode::Internal))).is_err() {
                self.restore_buffers();
                // Its key goes to another: no room may still write to it.
                if let Some(seat) = self.peers.get_mut(key).and_then(|peer| peer.seat.take())
                    && let Some(cell) = self.rooms.get_mut(seat.room)
                {
                    cell.remove(seat.participant);
                }
                self.remove(key);
            }
        }
    }
}
