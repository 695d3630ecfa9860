//! What the actors of one thread share.

use crate::actor::{actor::Actor, core::Core, table::Table};

/// Everything that lives on one thread: the tables of its actors, the [`Core`] that drives them, and whatever they share
/// besides (sockets, settings). A handler is given all of it, itself taken out.
pub trait World: Sized + 'static {
    /// The runtime's part of it.
    fn core(&mut self) -> &mut Core<Self>;

    /// Has its host end, when this turn is over or soon after. The default marks the core, by which the world's
    /// [`is_finished`](crate::actor::worker::Worker::is_finished) is to [know](Core::is_over).
    fn end(&mut self) {
        self.core().end();
    }
}

/// A world with a table for this kind.
pub trait Hosts<A: Actor<World = Self>>: World {
    /// The kind's table.
    fn table(&mut self) -> &mut Table<A>;

    /// The kind's table; none where this world has none of it, as others do.
    fn find_table(&mut self) -> Option<&mut Table<A>> {
        Some(self.table())
    }
}
