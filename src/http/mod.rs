//! Layer 3: the front desk. Accepts, serves HTTP/1.1, authenticates, upgrades, and hands the raw socket to a shard.
//!
//! It runs on tokio, apart from the shards, so that a storm of logins cannot delay a note. What it is given and what
//! it gives are two types: [`stage::Stage`], the shards as it sees them, and [`stage::Admission`], a socket with its
//! session. It imports neither the actors nor the shards' network.
//!
//! A connection's way: `listener` gives it a [`place`] and a task, or lets `turn_away` answer → `connection` speaks HTTP over it →
//! `websocket` judges its handshake ([`upgrade`], [`wish`], [`origin`], [`auth`], [`proxy`]) → `hand_off` takes the
//! socket back after the 101 and hands it over.
//!
//! Invariants: a descriptor is owned at every moment, by one task and then by one `Admission`; nothing a peer sends
//! makes a panic; every connection, handshake and hand-off that ends otherwise than it should is counted by reason.

// The ways in and out.
pub mod desk;
pub mod settings;
pub mod stage;

// From the accepted connection to the shard.
mod connection;
mod hand_off;
mod listener;
mod turn_away;
mod websocket;

// What is decided on the way, apart from I/O.
pub mod auth;
pub mod cookie;
pub mod origin;
pub mod place;
pub mod proxy;
pub mod proxy_protocol;
pub mod upgrade;
pub mod wish;

// Answers.
pub mod accept;
mod actors;
mod admin;
mod asset;
pub mod desk_metrics;
pub mod envelope;
pub mod metrics;
mod page;
mod routes;

#[cfg(test)]
mod tests;
