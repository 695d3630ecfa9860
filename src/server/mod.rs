//! Layer 4: the server. Actors (a domain machine and its effects), wiring, shutdown.
//!
//! - [`run`] the server as a whole · [`handle`] the hosts as the front desk sees them · [`tree`] who supervises whom, and why
//! - [`stage`] one shard's world: its tables and its turn. What it does, each an `impl Stage`: `residents` (connections as
//!   they come), `inbound` and `writing` (sockets), `requests` (messages of clients), `joining` (changing rooms, the
//!   connection's side), `rooms` (effects), `leaving`, `posting`, `beat`
//! - a shard's actors: [`connection_actor`] · [`room_actor`], with `seating` · [`user`]. [`message`] what they are sent,
//!   [`peer`] what there is of a connection
//! - the back office's: [`library`] (rooms' documents) · [`clerk`], by way of the [`clerk_pool`] (people's documents) · [`directory_keeper`], with [`directory`] · [`password_desk`], with [`passwords`]
//! - [`gather`] when to write · [`forwarding`] who has moved · [`server_command`] the older requests
//! - [`settings`] · [`figures`] · [`clock`] · [`chance`]

mod beat;
pub mod chance;
pub mod clerk;
pub mod clerk_pool;
pub mod clock;
pub mod connection_actor;
pub mod directory;
pub mod directory_keeper;
pub mod figures;
pub mod forwarding;
pub mod gather;
pub mod handle;
mod inbound;
mod joining;
mod keys;
mod leaving;
pub mod library;
pub mod message;
pub mod password_desk;
pub mod passwords;
pub mod peer;
mod posting;
mod requests;
mod residents;
pub mod room_actor;
mod room_requests;
mod rooms;
pub mod run;
mod seating;
pub mod server_command;
pub mod settings;
#[cfg(feature = "simulation")]
pub mod simulated;
pub mod spill;
pub mod stage;
mod stall;
pub mod tree;
pub mod user;
mod writing;
