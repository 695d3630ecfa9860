//! Handles: an actor by its id, for as long as it lives.

use std::{fmt, marker::PhantomData, sync::Arc};

use crate::actor::{actor::Actor, core::Core, envelope::ActorId, mesh::Address, parcel::Parcel, world::World};

/// Holds an anonymous actor alive. The last one to go tells its host.
#[derive(Debug)]
struct Hold {
    id: ActorId,
    released: flume::Sender<ActorId>,
    host: Address<Parcel>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A host that is gone has no actors left.
        let _ = self.released.send(self.id);
        self.host.ring();
    }
}

/// An actor while it lives. Cheap to clone; an anonymous actor ends when the last clone is gone.
pub struct Handle<A> {
    id: ActorId,
    hold: Option<Arc<Hold>>,
    of: PhantomData<fn(A)>,
}

impl<A: Actor> Handle<A> {
    /// A handle of an actor that lives without it.
    pub fn of(id: ActorId) -> Self {
        Self { id, hold: None, of: PhantomData }
    }

    /// The actor's id.
    pub fn id(&self) -> ActorId {
        self.id
    }

    /// Whether the actor lives as long as its handles.
    pub fn is_holding(&self) -> bool {
        self.hold.is_some()
    }
}

impl<A> Clone for Handle<A> {
    fn clone(&self) -> Self {
        Self { id: self.id, hold: self.hold.clone(), of: PhantomData }
    }
}

impl<A> fmt::Debug for Handle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

/// The first handle of an anonymous actor.
pub(crate) fn counted<A: Actor>(core: &Core<impl World>, id: ActorId) -> Handle<A> {
    let host = usize::from(id.host);
    let released = core.post.registry.hosts()[host].released.0.clone();
    let hold = Hold { id, released, host: core.post.mesh.shard(host).clone() };
    Handle { id, hold: Some(Arc::new(hold)), of: PhantomData }
}
