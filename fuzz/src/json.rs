//! Messages as text frames carry them. What is no UTF-8 does not get past the frames, but must do no harm here either.

use pianorhythm_server::protocol::codec::Format;

/// Runs the target.
pub fn run(data: &[u8]) {
    crate::message::check(Format::Json, data);
}
