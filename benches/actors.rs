//! What the runtime charges for a message, an ask and an activation, beside what two other runtimes charge for the same.
//!
//! Five ways of the same work: in a world with a field for each table, as the server has it, and in [`System`], which looks
//! its tables up; on `kameo`, and on `ractor`, each on the tokio runtime that is kindest to it. Ours count, time, undo and
//! watch for stuck actors as they do in production; nothing is turned off. All use the allocator of the server.
//!
//! | operation | one of it is |
//! |---|---|
//! | tell, by turns | two actors tell each other: a tell and its handling, and one actor run for one message |
//! | tell, by key | the same, each naming the other by its key of twelve bytes instead of its id |
//! | tell, 64 at once | one tells another 64 times, which then handles them: a 64th of that |
//! | ask | an actor asks another, which answers; the answer is handled |
//! | over threads | a message to an actor on another thread, 64 to a parcel, and its handling; both sides work at once |
//! | over hosts, one thread | the same with both sides on one thread: what the two cost together |
//! | activation | the first message to an absent key of twelve bytes: the actor is made and has handled it |
//!
//! `benches/README.md` tells how to run it.
//!
//! [`System`]: pianorhythm_server::actor::system::System

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use criterion::Criterion;

#[path = "actors/measure.rs"]
mod measure;
#[path = "actors/of_system.rs"]
mod of_system;
#[path = "actors/of_world.rs"]
mod of_world;
#[path = "actors/with_kameo.rs"]
mod with_kameo;
#[path = "actors/with_ractor.rs"]
mod with_ractor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages sent at once.
const AT_ONCE: u64 = 64;
/// Messages on their way to another thread at most.
const IN_FLIGHT: u64 = 64 * AT_ONCE;
/// Actors there are at most while activations are measured.
const WAVE: u64 = 8192;

/// What is measured, and what it may take in nanoseconds.
const OPERATIONS: [(&str, f64); 7] = [
    ("tell, by turns", 100.0),
    ("tell, by key", 100.0),
    ("tell, 64 at once", 100.0),
    ("ask", 400.0),
    ("over threads", 250.0),
    ("over hosts, one thread", 250.0),
    ("activation", 2000.0),
];

fn main() {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    let mut rows = measure::Rows::default();
    of_world::ours::measure(&mut criterion, &mut rows, "world");
    of_system::ours::measure(&mut criterion, &mut rows, "System");
    with_kameo::measure(&mut criterion, &mut rows);
    with_ractor::measure(&mut criterion, &mut rows);
    criterion.final_summary();
    rows.print(&OPERATIONS);
}

/// Keys of twelve bytes.
fn keys(count: u64) -> Vec<String> {
    (0..count).map(|n| format!("room-{n:07}")).collect()
}

/// Does something in the end.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
