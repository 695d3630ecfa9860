//! Accounts and log-ins from end to end: over real HTTP and real sockets, with passwords that are hashed.
//!
//! Against the embedded store; `tests/mongodb` has what of this a store could do differently.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a real server in real time")]

#[path = "../support/mod.rs"]
mod support;

mod command_line;
mod guests;
mod log_ins;
mod roles;
mod sockets;
