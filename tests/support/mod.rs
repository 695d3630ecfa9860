//! What end-to-end tests stand on: servers in this process or in one of their own, and clients over real sockets.
//!
//! - [`server`] a server in the test's process · [`process`] one as people run it
//! - [`socket`] the handshake and a raw connection · [`client`] a client that reads all the time
//! - [`example`] the examples as programs, the echo server among them
//! - [`ferretdb`] a MongoDB
//! - [`figures`] what a server counts
//! - [`say`] messages to the server · [`music`] notes · [`http`] plain requests

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::disallowed_methods, reason = "tests wait for real sockets, and no longer than a deadline")]

use std::{
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::codec::Format;

pub mod client;
pub mod example;
pub mod ferretdb;
pub mod figures;
pub mod http;
pub mod music;
pub mod process;
pub mod say;
pub mod server;
pub mod socket;

/// How long a test waits for anything before it fails. Generous: what is waited for comes at once, but the machine may be
/// busy with something else.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The other one.
pub fn other(format: Format) -> Format {
    match format {
        Format::Protobuf => Format::Json,
        Format::Json => Format::Protobuf,
    }
}

/// Waits until something holds that no event tells of.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < give_up, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a test of each function for each format: `fn name(format: Format)`.
///
/// Who else is in the room speaks the other format too, so that every room is mixed both ways.
#[macro_export]
macro_rules! in_both_formats {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[test]
            fn protobuf() {
                super::$name(pianorhythm_server::protocol::codec::Format::Protobuf);
            }

            #[test]
            fn json() {
                super::$name(pianorhythm_server::protocol::codec::Format::Json);
            }
        }
    )*};
}
