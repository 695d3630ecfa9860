//! Messages as binary frames carry them.

use pianorhythm_server::protocol::codec::Format;

/// Runs the target.
pub fn run(data: &[u8]) {
    crate::message::check(Format::Protobuf, data);
}
