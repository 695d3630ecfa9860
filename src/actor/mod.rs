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

pub mod cores;
pub mod mesh;
pub mod moment;
pub mod shard;
pub mod startup;
pub mod supervision;
pub mod worker;
