//! What a simulation sees of a stage, and what it has done otherwise than outside: the processor's time is told, passwords
//! cost nothing.
//!
//! Only with the feature `simulation`, which nothing that is shipped has. What clients see is the simulation's own to look at;
//! this is for what no client can see: where connections are, who a number was given to, how much waits.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use crate::{
    actor::envelope::ActorId,
    protocol::ids::{ConnectionId, Participant, RoomKey, UserId},
    server::{peer::Peer, room_actor::RoomActor, stage::Stage},
};

thread_local! {
    static PROCESSOR_TIME: Cell<Option<Duration>> = const { Cell::new(None) };
    static SEATED: RefCell<Vec<Seated>> = const { RefCell::new(Vec::new()) };
}

/// A connection has become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    /// Which.
    pub connection: ConnectionId,
    /// Of which room, by its name.
    pub key: RoomKey,
    /// And by its life: a room that comes back is another actor.
    pub room: ActorId,
    /// Its number there.
    pub participant: Participant,
}

/// Tells this thread's stages how much of the processor they have used; nothing, and they ask the system.
pub fn set_processor_time(used: Option<Duration>) {
    PROCESSOR_TIME.set(used);
}

/// What this thread's stages were told of the processor. Where they were told, this is a simulation.
pub(crate) fn processor_time() -> Option<Duration> {
    PROCESSOR_TIME.get()
}

/// Who has become a member on this thread since this was last asked.
pub fn take_seated() -> Vec<Seated> {
    SEATED.take()
}

pub(crate) fn note_seated(seated: Seated) {
    if processor_time().is_some() {
        SEATED.with_borrow_mut(|all| all.push(seated));
    }
}

/// A connection on its stage.
#[derive(Debug)]
pub struct ConnectionView {
    /// Which.
    pub id: ConnectionId,
    /// Bytes of its input that no messages have been made of.
    pub input_bytes: usize,
    /// Bytes that wait to be written to it.
    pub outbox_bytes: usize,
    /// Its close frame is queued, or written.
    pub is_closing: bool,
    /// It is changing rooms.
    pub is_joining: bool,
    /// Where it sits.
    pub seat: Option<(ActorId, Participant)>,
    /// It is a member of a branch.
    pub is_away: bool,
}

/// How much waits on a stage for concerts: the most of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpillView {
    /// Bytes pending for a branch.
    pub pending_bytes: usize,
    /// Bytes kept for a member on its way back.
    pub kept_bytes: usize,
    /// What a branch has to say to its room.
    pub inward: usize,
    /// Batches that wait at a branch for a socket.
    pub batches: usize,
    /// Batches of branches that wait for their room, of all.
    pub arrivals: usize,
    /// Members that are away.
    pub away: usize,
    /// Branches.
    pub branches: usize,
}

/// A room on its stage.
#[derive(Debug)]
pub struct RoomView {
    /// Its actor.
    pub id: ActorId,
    /// Its key.
    pub key: RoomKey,
    /// Its members, by their numbers.
    pub members: Vec<(Participant, ConnectionId)>,
    /// It is kept in the store.
    pub is_saved: bool,
    /// Its kind has an owner.
    pub has_owner: bool,
    /// The owner.
    pub owner: String,
    /// The owner's number; 0 where it is not one of the members.
    pub owner_participant: u32,
}

impl Stage {
    /// The connections on it.
    pub fn connections(&self) -> Vec<ConnectionView> {
        let view = |peer: &Peer| ConnectionView {
            id: peer.id(),
            input_bytes: peer.wire.decoder.kept(),
            outbox_bytes: peer.wire.outbox().bytes(),
            is_closing: peer.closing.is_some(),
            is_joining: peer.state.joining.is_some(),
            seat: peer.seat.map(|seat| (seat.room, seat.participant)),
            is_away: peer.branch.is_some(),
        };
        self.peers.iter().map(|(_, peer)| view(peer)).collect()
    }

    /// The open rooms on it.
    pub fn rooms(&self) -> Vec<RoomView> {
        let view = |id| {
            let cell = self.rooms.get(id).and_then(RoomActor::cell)?;
            let info = cell.room.info();
            Some(RoomView {
                id,
                key: cell.key.clone(),
                members: cell.room.connections().collect(),
                is_saved: cell.room.is_saved(),
                has_owner: cell.room.kind().has_owner(),
                owner: info.owner_id,
                owner_participant: info.owner_participant,
            })
        };
        self.rooms.ids().filter_map(view).collect()
    }

    /// One of its rooms has failed and rests: what its members send waits.
    pub fn has_resting_rooms(&self) -> bool {
        self.rooms.ids().any(|id| !self.rooms.is_running(id))
    }

    /// What waits on it for concerts.
    pub fn spills(&self) -> SpillView {
        let mut view =
            SpillView { arrivals: self.inwards.len(), branches: self.branches.len(), ..SpillView::default() };
        for id in self.rooms.ids() {
            let Some(cell) = self.rooms.get(id).and_then(RoomActor::cell) else { continue };
            let (pending, kept) = cell.away.most_kept();
            view.pending_bytes = view.pending_bytes.max(pending);
            view.kept_bytes = view.kept_bytes.max(kept);
            view.away += cell.away.len();
        }
        for (_, branch) in &self.branches {
            let (inward, batches) = branch.backlog();
            view.inward = view.inward.max(inward);
            view.batches = view.batches.max(batches);
        }
        view
    }

    /// The connections that a user's actor knows, where it is on this stage.
    pub fn connections_of(&self, user: &UserId) -> Vec<ConnectionId> {
        let actor = self.users.find(user).and_then(|id| self.users.get(id));
        actor.map(|user| user.ids().collect()).unwrap_or_default()
    }
}
