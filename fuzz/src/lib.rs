//! Hostile input: one target a decoder, each a function of any bytes that panics where a promise is broken.
//!
//! More is promised than not to panic: what is accepted survives being written and read again, an error's offset is the first byte that
//! does not fit, no input makes a decoder hold more than its bounds, however it is cut up, and where there is another
//! implementation to be had, it says the same.
//!
//! `./tools/fuzz` runs the targets under libFuzzer; `tests/corpus.rs` runs what it has found worth keeping, `corpus/TARGET/*`, as an
//! ordinary test. `examples/seeds.rs` writes valid messages to begin from.

pub mod frames;
pub mod json;
mod message;
mod meter;
pub mod midi;
pub mod protobuf;
pub mod proxy_header;
pub mod query;
pub mod upgrade;

/// One decoder's target.
pub struct Target {
    /// Its name: that of its module, its program and the folder of its corpus.
    pub name: &'static str,
    /// Decodes the bytes; panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "frames", run: frames::run },
    Target { name: "protobuf", run: protobuf::run },
    Target { name: "json", run: json::run },
    Target { name: "midi", run: midi::run },
    Target { name: "upgrade", run: upgrade::run },
    Target { name: "query", run: query::run },
    Target { name: "proxy_header", run: proxy_header::run },
];
