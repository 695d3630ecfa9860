//! The server from end to end: real sockets, both subprotocols, rooms in which both are spoken.
//!
//! One binary, for one link and all cores: each module is about one noun.

#![allow(clippy::disallowed_methods, reason = "these tests wait, and print how long something took")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod actors;
mod chat;
mod concert;
mod frames;
mod frozen_readers;
mod handshake;
mod lifecycle;
mod moderation;
mod moving;
mod notes;
mod requests;
mod rooms;
mod saved_rooms;
mod slow_consumers;
