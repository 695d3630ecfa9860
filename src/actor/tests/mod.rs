//! The runtime as a whole, in virtual time: hosts are turned by hand on one thread.

#![allow(dropping_copy_types, reason = "an actor's script ends with nothing, whatever the call it makes gives")]
#![allow(clippy::type_complexity, clippy::bool_assert_comparison, reason = "scripts and what they noted, as they are")]
#![allow(dead_code, reason = "the kit has what the next case needs")]

mod asking;
mod basics;
mod calls;
mod corners;
mod failing;
mod interleavings;
mod kit;
mod life;
mod mailboxes;
mod monitors;
mod pools;
mod reports;
mod shutdown;
mod topics;
mod tree;
mod turns;
