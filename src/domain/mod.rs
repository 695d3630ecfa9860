//! Layer 1: the state machines. Decisions without I/O, so that each is tested in virtual time and runs in a simulator.
//!
//! A transition takes `&mut self`, an input and `now`, and returns a [`Rejection`](crate::protocol::error::Rejection) or
//! pushes effects that a shell in `server/` performs in order. Nothing here reads a clock, draws randomness, logs, waits,
//! knows a socket, or panics from what a peer sent.
//!
//! People: [`name`] what they may be called and which room a name stands for · [`identity`] profile and session ·
//! [`permission`] who may do what · [`password`] which passwords may be chosen.
//! Bounds: [`bucket`] the token bucket · [`quota`] notes · [`rate`] messages · [`strikes`] invalid messages.
//! Rooms: [`lobby`] which lobby · [`room_settings`] · [`held`] keys and pedals down ·
//! [`chat`] lines and history · [`command`] what follows a slash · [`room`] the machine itself.
//!
//! Invariants:
//! - A rejected request changed nothing and caused nothing.
//! - What a listener hears of a participant is held by it in the room's books, or is over; nothing sounds of somebody who
//!   has left.
//! - Releasing what is held is never refused, whatever limit is exceeded.
//! - Every list has a bound, and what happens there is said where it is declared.

pub mod bucket;
pub mod chat;
pub mod command;
pub mod defect;
#[cfg(feature = "faults")]
pub mod fault;
pub mod held;
pub mod identity;
pub mod lobby;
pub mod name;
pub mod password;
pub mod permission;
pub mod quota;
pub mod rate;
pub mod room;
pub mod room_settings;
pub mod strikes;
mod text;
