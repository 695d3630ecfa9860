//! Layer 0: the wire protocol. Types, codecs, MIDI events, ids, close codes; pure.
//!
//! Nothing here reads a clock, draws randomness or knows a socket. Clients build this module alone
//! (the package without its `server` feature).

pub mod close;
pub mod codec;
pub mod error;
pub mod ids;
pub mod message;
pub mod midi;
pub mod time;
mod typeless;
pub mod wire;

/// The version of the protocol that `Welcome` tells.
pub const PROTOCOL_VERSION: u32 = 1;
/// The subprotocol whose messages are protobuf in binary frames: the default when none is offered.
pub const SUBPROTOCOL_PROTOBUF: &str = "pianorhythm.v1.protobuf";
/// The subprotocol whose messages are proto3's canonical JSON in text frames.
pub const SUBPROTOCOL_JSON: &str = "pianorhythm.v1.json";
/// The longest message either side may send, in bytes of payload.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
