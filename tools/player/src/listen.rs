//! Tells what happens in a room.

use std::{
    future::Future,
    io::{self, Write},
};

use pianorhythm_client::{Closed, RequestError, protocol::wire::client_message::Message};

use crate::{
    place::{EnterError, Place, leave},
    text::Narrator,
};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// In words.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why listening ended, other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The listener did not get into the room.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// It did not learn who is there.
    #[error("cannot learn who is in the room: {0}")]
    Members(#[from] RequestError),
    /// The connection ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The lines cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

/// Enters under this name and writes what happens, a line each, until `stop` is ready. Flushes whenever nothing
/// more waits.
pub async fn listen(
    name: &str,
    place: &Place,
    style: Style,
    stop: impl Future<Output = ()>,
    out: &mut dyn Write,
) -> Result<(), ListenError> {
    let mut entered = place.enter(name).await?;
    let since = entered.client.clock().now();
    let mut narrator = Narrator::new(since);
    for member in entered.members().await? {
        narrator.meet(&member);
    }
    write(&mut narrator, style, &Message::RoomJoinedResponse(entered.joined.clone()), since, out)?;
    out.flush()?;
    tokio::pin!(stop);
    let ended = loop {
        let event = tokio::select! {
            event = entered.events.next() => event,
            () = &mut stop => break Ok(()),
        };
        let mut next = match event {
            Ok(event) => Some(event),
            Err(closed) => break Err(ListenError::Closed(closed)),
        };
        while let Some(event) = next {
            write(&mut narrator, style, &event.message, event.received_at, out)?;
            next = entered.events.try_next();
        }
        out.flush()?;
    };
    leave(&entered.client).await;
    ended
}

fn write(
    narrator: &mut Narrator,
    style: Style,
    message: &Message,
    at: pianorhythm_client::protocol::time::Timestamp,
    out: &mut dyn Write,
) -> io::Result<()> {
    match style {
        Style::Text => narrator.tell(message, at).iter().try_for_each(|line| writeln!(out, "{line}")),
        Style::Json => narrator.tell_json(message, at).iter().try_for_each(|line| writeln!(out, "{line}")),
    }
}
