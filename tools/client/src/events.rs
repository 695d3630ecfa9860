//! What the server tells unasked, in order.

use std::{sync::Arc, time::Instant};

use tokio::sync::mpsc;

use crate::{
    closed::Closed,
    connection::Handle,
    protocol::{time::Timestamp, wire::client_message::Message},
};

/// How many events wait to be taken. While so many wait, nothing is read from the socket: see [`Events`].
pub const EVENT_QUEUE: usize = 1024;

/// One message of the server that answers no request.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What it says.
    pub message: Message,
    /// When it was read from the socket.
    pub received: Instant,
    /// The same moment in server time, as far as it was known then.
    pub received_at: Timestamp,
}

/// The events of a connection, in the order in which the server sent them.
///
/// The queue is bounded ([`EVENT_QUEUE`]). While it is full the connection reads nothing, so that TCP holds the server
/// back: nothing is lost on this side, but answers to requests wait too, pings go unanswered, and a server that must wait
/// too long sheds and in the end closes with 3008. [`crate::Stats::stalls`] counts how often that happened. Who wants no events
/// drops this: they are then discarded as they come.
#[derive(Debug)]
pub struct Events {
    pub(crate) queue: mpsc::Receiver<Event>,
    pub(crate) handle: Arc<Handle>,
}

impl Events {
    /// The next event; after the last one, how the connection ended, each time it is asked. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Event, Closed> {
        match self.queue.recv().await {
            Some(event) => Ok(event),
            None => Err(self.handle.connection.wait_closed().await),
        }
    }

    /// The next event if one waits.
    pub fn try_next(&mut self) -> Option<Event> {
        self.queue.try_recv().ok()
    }

    /// How the connection ended.
    ///
    /// # Panics
    /// Where it has not: ask after [`Events::next`] has failed.
    pub fn closed(&self) -> Closed {
        self.handle.connection.closed().expect("the connection has ended")
    }
}
