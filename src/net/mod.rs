//! Layer 3: a shard's sockets. WebSocket frames in both directions, outboxes, readiness; no rooms, no users.
//!
//! A connection is an entry in its shard's table, not a task. The shard waits on one readiness set for all of them,
//! reads each ready one into a buffer of its own, and keeps of a connection only what has come of an unfinished message.
//!
//! Of tungstenite this uses the public protocol types (`FrameHeader`, op codes, close codes). Unmasking, reassembly,
//! control-frame rules and size limits are ours, tested against tungstenite's own `WebSocket`.

pub mod connection;
pub mod decoder;
pub mod frame;
pub mod outbox;
pub mod readiness;
pub mod socket;
