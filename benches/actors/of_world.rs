//! A world with a field for each table, as the server has it.

use pianorhythm_server::actor::{
    actor::KindSettings,
    core::{self, Core},
    moment::ActorClock,
    parcel::{Parcel, Post},
    table::Table,
    worker::{Work, Worker},
    world::{Hosts, World},
};

#[path = "ours.rs"]
pub mod ours;

/// The world.
pub struct This {
    core: Core<Self>,
    players: Table<ours::Player>,
    drivers: Table<ours::Driver>,
    sinks: Table<ours::Sink>,
    is_over: bool,
}

impl This {
    /// Of this host.
    fn new(host: usize, post: Post, clock: ActorClock, settings: KindSettings, driver: KindSettings) -> Self {
        let mut core = Core::new(host, post, clock, 1);
        let (mut players, mut drivers, mut sinks) = (Table::default(), Table::default(), Table::default());
        core.register(&mut players, settings);
        core.register(&mut drivers, driver);
        core.register(&mut sinks, settings);
        Self { core, players, drivers, sinks, is_over: false }
    }

    fn end(&mut self) {
        self.is_over = true;
    }
}

impl World for This {
    fn core(&mut self) -> &mut Core<Self> {
        &mut self.core
    }
}

impl Hosts<ours::Player> for This {
    fn table(&mut self) -> &mut Table<ours::Player> {
        &mut self.players
    }
}

impl Hosts<ours::Driver> for This {
    fn table(&mut self) -> &mut Table<ours::Driver> {
        &mut self.drivers
    }
}

impl Hosts<ours::Sink> for This {
    fn table(&mut self) -> &mut Table<ours::Sink> {
        &mut self.sinks
    }
}

impl Worker for This {
    type Message = Parcel;

    fn handle(&mut self, parcel: Parcel) {
        core::take(self, parcel);
    }

    fn turn(&mut self) -> Work {
        core::turn(self);
        core::work(&self.core)
    }

    fn panicked(&mut self, cause: &str) {
        unreachable!("{cause}");
    }

    fn is_finished(&self) -> bool {
        self.is_over
    }
}

/// Makes the world.
fn this(host: usize, post: Post, clock: ActorClock, settings: KindSettings, driver: KindSettings) -> This {
    This::new(host, post, clock, settings, driver)
}
