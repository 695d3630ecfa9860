//! A client of PianoRhythm Server: connect, join a room, play, listen.
//!
//! ```no_run
//! use pianorhythm_client::{
//!     Client,
//!     protocol::{midi::{ChannelMessage, MidiWriter}, wire::client_message::Message},
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut events) = Client::builder("ws://127.0.0.1:8080").name("Ann").colour("#aa00cc").connect().await?;
//! let room = client.join("jam", "").await?;
//! println!("{} others are here", room.current_users.len().saturating_sub(1));
//!
//! // A middle C, held for half a second from now on.
//! let mut notes = MidiWriter::new();
//! notes.push(0, ChannelMessage::note_on(0, 60, 90))?;
//! notes.push(500, ChannelMessage::note_off(0, 60, 0))?;
//! client.play(client.clock().now(), notes.into_bytes()).await?;
//!
//! // What the others do, until the connection ends.
//! while let Ok(event) = events.next().await {
//!     if let Message::RoomChatMessage(line) = event.message {
//!         println!("{}: {}", line.username, line.message);
//!         if line.message == "bye" {
//!             client.close().await;
//!         }
//!     }
//! }
//! println!("{}", events.closed());
//! # Ok(()) }
//! ```
//!
//! A connection is two things: [`Client`], which may be cloned and used from many tasks, and [`Events`], which
//! gives what the server tells unasked. It lives as long as any of them does. [`protocol`] has the messages, the MIDI
//! events and the tables of error and close codes.
//!
//! Everything runs on the tokio runtime that [`Builder::connect`] was called on. Every connection has one task that
//! reads and one that keeps the clock; sending writes to the socket in the caller's task.
//!
//! The code, from pure to not: `clock` (server time from samples), `closed` and `error` (what ended, what was
//! refused), `builder` (the handshake), `shared_clock` (the clock in use), `connection` (the socket, its tasks, requests and
//! answers), `events`, `client`.

mod builder;
mod client;
mod clock;
mod closed;
#[allow(clippy::disallowed_methods, reason = "I/O: what comes is stamped with the local clock")]
mod connection;
mod error;
mod events;
#[allow(clippy::disallowed_methods, reason = "I/O: it reads the local clock")]
mod shared_clock;
#[cfg(test)]
mod tests;

/// The wire protocol: messages, codecs, MIDI events, error and close codes.
pub use pianorhythm_server::protocol;

pub use crate::{
    builder::Builder,
    client::Client,
    clock::{Sample, ServerClock},
    closed::{Closed, LOST},
    connection::{MAX_REQUESTS_IN_FLIGHT, Stats},
    error::{ConnectError, Refusal, RequestError, SendError},
    events::{EVENT_QUEUE, Event, Events},
    shared_clock::Clock,
};
