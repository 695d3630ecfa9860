//! A world for actors that share nothing but their thread.

use std::any::{Any, TypeId};

use crate::actor::{
    actor::{Actor, KindSettings},
    core::{self, Core},
    moment::ActorClock,
    parcel::{Parcel, Post},
    table::Table,
    worker::{Work, Worker},
    world::{Hosts, World},
};

/// A world with a table for whichever kinds are added to it.
///
/// A world of one's own, with a field for each table, saves the look-up and can hold what its actors share.
pub struct System {
    core: Core<Self>,
    /// They are few: to compare each is faster than to look one up by its hash.
    tables: Vec<(TypeId, Box<dyn Any>)>,
}

impl System {
    /// A world without kinds, for a host of this number.
    pub fn new(host: usize, post: Post, clock: ActorClock, seed: u64) -> Self {
        Self { core: Core::new(host, post, clock, seed), tables: Vec::new() }
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// Where it has been added before.
    pub fn add<A: Actor<World = Self>>(&mut self, settings: KindSettings) -> &mut Self {
        let mut table = Table::<A>::new(settings);
        self.core.register(&mut table, settings);
        self.tables.push((TypeId::of::<A>(), Box::new(table)));
        self
    }
}

impl System {
    /// Has its host end, when this turn is over.
    pub fn end(&mut self) {
        self.core.end();
    }
}

impl Worker for System {
    type Message = Parcel;

    fn handle(&mut self, parcel: Parcel) {
        core::take(self, parcel);
    }

    fn turn(&mut self) -> Work {
        core::turn(self);
        core::work(&self.core)
    }

    fn panicked(&mut self, cause: &str) {
        // Handlers are contained one by one: this is the runtime's own fault, or that of an `undelivered`.
        tracing::error!(host = self.core.host(), cause, "something panicked beside a handler; the host goes on");
    }

    fn is_finished(&self) -> bool {
        self.core.is_over()
    }
}

impl World for System {
    fn core(&mut self) -> &mut Core<Self> {
        &mut self.core
    }
}

impl<A: Actor<World = Self>> Hosts<A> for System {
    /// # Panics
    /// Where the kind was never [added](System::add).
    fn table(&mut self) -> &mut Table<A> {
        Hosts::<A>::find_table(self).unwrap_or_else(|| panic!("the kind {} was not added to this host", A::KIND))
    }

    fn find_table(&mut self) -> Option<&mut Table<A>> {
        let kind = TypeId::of::<A>();
        let (_, table) = self.tables.iter_mut().find(|(of, _)| *of == kind)?;
        let table: *mut dyn Any = &mut **table;
        // SAFETY: `add` alone puts tables here, each a `Table` of the kind that it stands under. Asked at every step of every message,
        // this is a tenth of what a message costs less than to ask the table itself once more.
        Some(unsafe { &mut *table.cast() })
    }
}
