//! Layer 4: the server. Actors (a domain machine and its effects), wiring, shutdown.
//!
//! - [`run`] the server as a whole · [`handle`] the shards as the front desk sees them
//! - [`stage`] one shard's worker: its tables and its turn. Its handlers, each an `impl Stage`: `residents` (what comes in
//!   the inbox), `inbound` and `writing` (sockets), `requests` (messages of clients), `joining` and `seating` (changing
//!   rooms, from either side), `rooms` (effects), `leaving`, `posting`, `beat`
//! - [`peer`] a connection · [`room_cell`] a room · [`user`] a user · [`message`] what travels between them
//! - [`gather`] when to write · [`forwarding`] who has moved · [`server_command`] the older requests
//! - [`back_office`] the tokio side's desk for the shards, with [`directory`] and [`passwords`]
//! - [`settings`] · [`figures`] · [`clock`] · [`chance`]

pub mod back_office;
mod beat;
pub mod chance;
pub mod clock;
pub mod directory;
pub mod figures;
pub mod forwarding;
pub mod gather;
pub mod handle;
mod inbound;
mod joining;
mod leaving;
pub mod message;
pub mod passwords;
pub mod peer;
mod posting;
mod requests;
mod residents;
pub mod room_cell;
mod rooms;
pub mod run;
mod seating;
pub mod server_command;
pub mod settings;
pub mod stage;
pub mod user;
mod writing;
