//! What the actors of one thread share.

use crate::actor::{actor::Actor, core::Core, table::Table};

/// Everything that lives on one thread: the tables of its actors, the [`Core`] that drives them, and whatever they share
/// besides (sockets, settings). A handler is given all of it, itself taken out.
pub trait World: Sized + 'static {
    /// The runtime's part of it.
    fn core(&mut self) -> &mut Core<Self>;
}

/// A world with a table for this kind.
pub trait Hosts<A: Actor<World = Self>>: World {
    /// The kind's table.
    ///
    /// # Panics
    /// May, where this host has none of the kind.
    fn table(&mut self) -> &mut Table<A>;

    /// The same; none where this host has none of the kind. Only of a world whose hosts differ in their kinds.
    fn try_table(&mut self) -> Option<&mut Table<A>> {
        Some(self.table())
    }
}
