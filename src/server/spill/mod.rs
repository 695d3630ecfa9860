//! A room that outgrows a core spills: members beyond `spill_after` live on other shards, in *branches* of the room.
//!
//! - `batch` what travels between a room and its branches: plain, serialisable, with the frames in one buffer
//! - `line` a room's way to one branch: what is pending for it, its window, its bounds · `away` who of a room is where
//! - `branch` a branch as its shard knows it, and its actor
//! - `home` what a room's own shard does for members that are away · `branching` what a branch's shard does
//!
//! **Where who is.** Everybody arrives at home, on the room's own shard, and sits down there. Beyond `spill_after` members the newest
//! are handed on, with their seats, to the least loaded other shard; the owner stays. When the room has shrunk below half of
//! that, they come back. What a room decides it decides at home: a branch knows no more than which sockets its members have.
//!
//! **Outward** each branch is sent one batch a turn: what every member is to get, framed once and in one buffer, and what is for
//! one of them, in order. A branch appends slices of that buffer to its members' outboxes; the count of references to it is
//! touched by that shard alone.
//!
//! **Inward** the branch decodes, rate-limits and sends home one batch a turn of what is the room's to decide; answers come in the
//! outward batch.
//!
//! **Windows.** Either side sends at most [`WINDOW`](line::WINDOW) batches that the other has not been through. Past it a branch
//! reads no more of its members' sockets, which then wait in the kernel; a room keeps what is pending, bounded in bytes
//! and age: past the bound cursors and notes are shed, and the members there are told by `Gap` of whom they missed
//! something. What may not be shed is kept, up to four times the bytes and five times the age; past that the branch is given
//! up, and its members are closed with 3001, which has them come back spread over some seconds.
//!
//! **Moving out**: `Enter` in the outward batch says from where on the member gets what goes to all; the hand-off that brings its
//! socket was sent before it, and where it arrives after it the batch waits for it.
//!
//! **Moving back**: `Recall` (outward) parks the member's input; `Ready` (inward) follows everything it has said; `Come` (outward)
//! follows everything it is to hear there. From then on the room keeps what is for it, bounded as an outbox is, until
//! its socket has arrived.
//!
//! **Ends.** A branch whose handler panics is over: its members are closed with 3003, and the room is told. A room that ends
//! closes its branches' members as it does its own. A branch's name has the number of its life: nothing of one
//! is taken for the next.

pub mod away;
pub mod batch;
pub mod branch;
mod branching;
mod home;
pub mod line;

pub use self::home::{Arrival, BranchEnd};
