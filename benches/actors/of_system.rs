//! The world that comes with the runtime, which looks up the table of a kind.

use pianorhythm_server::actor::{actor::KindSettings, moment::ActorClock, parcel::Post, system::System};

#[allow(clippy::duplicate_mod, reason = "the same actors, in another world")]
#[path = "ours.rs"]
pub mod ours;

type This = System;

/// Makes the world.
fn this(host: usize, post: Post, clock: ActorClock, settings: KindSettings, driver: KindSettings) -> System {
    let mut system = System::new(host, post, clock, 1);
    system.add::<ours::Player>(settings).add::<ours::Driver>(driver).add::<ours::Sink>(settings);
    system
}
