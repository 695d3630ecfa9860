//! PianoRhythm Server: people meet in rooms from browsers and play piano together.
//!
//! # The map
//!
//! ```text
//!                     front desk (tokio, its own core)          stage (glommio, one pinned thread a shard)
//!  client ─ TCP ─▶ http/: pages, health, auth, upgrade ─ socket + session ─▶ server/stage: the room's shard
//!                                                                            rooms · connections · users
//!                     back office (tokio)                                               │ bounded asks
//!                     store/: state, documents ◀── server/library, server/clerk … ◀─────┘
//! ```
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | 0 | [`protocol`] | wire types, codecs, MIDI events, ids, close codes; pure. All that clients need |
//! | 1 | `domain` | state machines: the room, quotas, rates, chat, names; pure, time passed in |
//! | 2 | `actor` | the runtime: hosts on glommio and tokio, actors, mailboxes, supervision, the mesh between them; knows no piano |
//! | 3 | `net` | a shard's sockets: frames, outboxes, readiness |
//! | 3 | `store` | state, embedded; documents, embedded or in MongoDB; what is kept about people, built on either |
//! | 3 | `http` | the front desk: what a connection meets before it has a shard |
//! | 4 | `server` | actors (a machine and its effects), their supervision tree, changing rooms, wiring, shutdown |
//! | 5 | `config`, `cli` | settings from file and environment; the command line |
//!
//! A layer uses those above it in this table alone; a test reads the sources and holds that.
//!
//! A note's way: `net::readiness` says its socket is ready → `server::inbound` reads, `net::decoder` unmasks →
//! [`protocol::codec`] → `domain::room` validates, charges the quota, stamps → `server::rooms` has it encoded and framed
//! once (`net::frame`) and appends the shared frame to each member's `net::outbox` → one vectored write a
//! member, at the end of the turn or of the room's gathering. A room that has outgrown its core sends each shard where members
//! of it live one batch a turn, too; see `server::spill`.
//!
//! # Invariants
//!
//! - Nothing on a shard blocks, takes a lock for longer than a queue's push, parses HTTP, hashes a password, or waits for a store.
//! - A connection and the room it plays in are on the same shard, and relaying a note crosses no channel, up to `spill_after`
//!   members. Of a larger room the owner and so many are; the others are in branches on other shards, which decide nothing:
//!   every note is validated, stamped and ordered at home, and goes out in one message a shard a turn.
//! - A note never sticks: the room knows what each participant holds, and lets go of it when that participant leaves, is
//!   silenced or vanishes. Notes that end are never refused and never shed.
//! - What one participant sends arrives in order at every other member; who misses something is told by `Gap`.
//! - A connection is on exactly one shard or in one hand-off, which has its place reserved before the socket is detached. A
//!   descriptor is owned at every moment.
//! - Each request that carries an id gets exactly one answer that carries it, after the commit where it is about something saved.
//! - Every queue has a bound, and every drop is counted with its reason.
//! - The wall clock is read once. Time is an argument wherever something is decided.
//! - Nothing a peer sends makes a panic. A panic all the same harms nobody else: what the failed handler had sent is taken back, who
//!   asked is told, a room goes on from its value, a connection is closed; see `server::tree`.

#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods, reason = "a host reads the clock once a turn; its actors are told the time")]
pub mod actor;
#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods, reason = "tokens are signed with the time, and named by chance")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod domain;
#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods, reason = "the front desk does I/O: it reads clocks and draws randomness")]
pub mod http;
#[cfg(feature = "server")]
pub mod net;
pub mod protocol;
#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods, reason = "the server's clock is read here, and chance drawn")]
pub mod server;
#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods, reason = "stores do I/O: they wait, and count what they hold by the clock")]
pub mod store;
