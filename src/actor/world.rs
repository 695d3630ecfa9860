//! What the actors of one thread share.

use crate::actor::{actor::Actor, core::Core, table::Table};

/// Everything that lives on one thread: the tables of its actors, the [`Core`] that drives them, and whatever they share
/// besides (sockets, settings). A handler is given all of it, itself taken out.
///
/// [`System`](crate::actor::system::System) is a world for actors that share nothing. One of one's own has a field for each table, and is
/// turned by a host where it is a [`Worker`](crate::actor::worker::Worker) too:
///
/// ```
/// use std::{convert::Infallible, time::Duration};
///
/// use pianorhythm_server::actor::{
///     core::{self, Core},
///     parcel::Parcel,
///     prelude::*,
///     table::Table,
///     worker::{Work, Worker},
/// };
///
/// /// A hall, in which all lamps share one switch.
/// struct Hall {
///     core: Core<Self>,
///     lamps: Table<Lamp>,
///     is_on: bool,
/// }
///
/// impl Hall {
///     fn new(seat: Seat) -> Self {
///         let mut core = seat.core();
///         let mut lamps = Table::default();
///         core.register(&mut lamps, KindSettings::default());
///         Self { core, lamps, is_on: true }
///     }
/// }
///
/// impl World for Hall {
///     fn core(&mut self) -> &mut Core<Self> {
///         &mut self.core
///     }
/// }
///
/// impl Hosts<Lamp> for Hall {
///     fn table(&mut self) -> &mut Table<Lamp> {
///         &mut self.lamps
///     }
/// }
///
/// impl Worker for Hall {
///     type Message = Parcel;
///
///     fn handle(&mut self, parcel: Parcel) {
///         core::take(self, parcel);
///     }
///
///     // What else there is to do in a turn, sockets for example, is done here too.
///     fn turn(&mut self) -> Work {
///         core::turn(self);
///         core::work(&self.core)
///     }
///
///     fn panicked(&mut self, cause: &str) {
///         eprintln!("something panicked beside the actors: {cause}");
///     }
///
///     fn is_finished(&self) -> bool {
///         self.core.is_over()
///     }
/// }
///
/// struct Lamp;
///
/// impl Actor for Lamp {
///     const KIND: &'static str = "lamp";
///
///     type World = Hall;
///     type Key = u64;
///     type Message = ();
///     type Reply = bool;
///     type Error = Infallible;
///
///     fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
///         Activation::Ready(Self)
///     }
///
///     fn handle(&mut self, _: (), cx: &mut Context<'_, Self>) -> Handled<Infallible> {
///         let shines = cx.world.is_on;
///         cx.reply(shines);
///         Ok(())
///     }
/// }
///
/// let mut plan = HousePlan::new();
/// let hall = plan.tokio("hall", None, Hall::new);
/// plan.place::<Lamp>([hall]);
/// let house = plan.start()?;
/// assert_eq!(house.remote().ask_blocking::<Lamp>(&7, (), Duration::from_secs(5)), Ok(true));
/// assert!(house.stop(Vec::new(), Duration::from_secs(5)).is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
