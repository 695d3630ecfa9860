//! Hostile input: everything a client can do that it should not, through real sockets, at a server in a process of its own.
//!
//! Each test is about one kind of hostility. What each is to find: that the hostile one is answered, or closed with the code of
//! the table, and nothing else; that the server's figures add up to what was sent; that a band which plays in other rooms
//! meanwhile hears every note in order; and that afterwards the server holds what it held before: connections, users' places,
//! rooms, actors, descriptors, memory.
//!
//! - [`ground`] the server, what it counted, and what it must hold again afterwards · [`band`] those who play
//! - [`attack`] many connections that do the same bad thing, a thousand frames a second
//! - [`frames`] bad frames · [`floods`] good ones, too many · [`doors`] what never becomes a WebSocket, or too often
//! - [`mixture`] all of it at once, and a minute later

#![allow(clippy::disallowed_methods, reason = "these tests wait, and keep a pace")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod attack;
mod band;
mod doors;
mod floods;
mod frames;
mod ground;
mod mixture;
