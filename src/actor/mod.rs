//! Layer 2: the runtime. Shards pinned to cores, and the mesh of inboxes between them.
//!
//! Nothing here knows of pianos: no note, no room, no wire type. A shard hosts one [`worker::Worker`],
//! which owns everything that lives on that core; other threads reach it through its [`mesh`] inbox.
//!
//! Invariants:
//! - nothing that runs on a shard blocks, and nothing sent to a shard waits: a full inbox gives the
//!   message back;
//! - a panic in a handler stays in that handler: the shard goes on with its next message;
//! - what carries a descriptor travels in a slot reserved before, so that it can not be refused on its way.

#[allow(clippy::module_inception, reason = "one noun a file, and the runtime's first noun is the actor")]
pub mod actor;
pub mod breaker;
pub mod context;
pub mod core;
pub mod cores;
pub mod dead_letters;
pub mod deferred;
pub mod director;
pub mod envelope;
mod failing;
pub mod figure;
pub mod handle;
pub mod handling;
mod hashing;
pub mod histogram;
pub mod house;
pub mod key;
pub mod kind_figures;
pub mod life;
pub mod mailbox;
pub mod mesh;
pub mod moment;
pub mod monitor;
mod outbox;
pub mod parcel;
pub mod placement;
pub mod pool;
pub mod prelude;
pub mod remote;
pub mod report;
pub mod rng;
pub mod running;
pub mod sending;
pub mod shard;
pub mod shutdown;
pub mod sleep;
pub mod startup;
pub mod supervision;
pub mod system;
pub mod table;
mod task;
#[cfg(test)]
mod tests;
pub mod timers;
pub mod tokio_host;
pub mod topic;
pub mod tree;
pub mod worker;
pub mod world;
