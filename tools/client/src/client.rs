//! The handle: ask, send, play, leave.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    builder::Builder,
    closed::Closed,
    connection::{Handle, Stats},
    error::{RequestError, SendError},
    protocol::{
        close::CloseCode,
        codec::Format,
        time::Timestamp,
        wire::{
            CreateRoomCommand, JoinRoomByName, LeaveRoom, MidiMessage, RoomChatMessage, RoomJoinedResponse, Welcome,
            client_message, server_message,
        },
    },
    shared_clock::Clock,
};

/// A connection to a server. Cheap to clone; every clone is the same connection, usable from many tasks.
///
/// When the last clone and the connection's [`crate::Events`] are dropped, the socket is cut off, and the server
/// takes it for lost. [`Client::close`] says good-bye.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) handle: Arc<Handle>,
}

impl Client {
    /// How to connect to the server at this address, `ws://host:port`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    /// What the server said at first: who we are to it, its limits, the tokens to come back with.
    pub fn welcome(&self) -> &Welcome {
        &self.handle.welcome
    }

    /// What is spoken on the wire.
    pub fn format(&self) -> Format {
        self.handle.connection.format()
    }

    /// The server's clock, as this connection knows it. The handle may outlive the connection; it then runs on
    /// without being corrected.
    pub fn clock(&self) -> &Clock {
        self.handle.connection.clock()
    }

    /// Asks, and waits for the answer. An `ErrorMessage` is [`RequestError::Refused`]. Cancelling forgets the answer,
    /// which then comes as an event; the request may be carried out all the same.
    pub async fn request(&self, message: server_message::Message) -> Result<client_message::Message, RequestError> {
        Ok(self.handle.connection.ask(message).await?.0)
    }

    /// Sends without asking for an answer. Returns when the operating system has the whole message; what the server
    /// then finds wrong with it comes as an event.
    pub async fn send(&self, message: server_message::Message) -> Result<(), SendError> {
        self.handle.connection.send(None, message).await
    }

    /// Joins the room of this name; the server makes a public one where there is none. Who is in a room
    /// leaves it. The password is empty for rooms that have none.
    pub async fn join(&self, room: &str, password: &str) -> Result<RoomJoinedResponse, RequestError> {
        let join = JoinRoomByName { room_name: room.to_owned(), password: password.to_owned() };
        self.request_join(server_message::Message::JoinRoomByName(join)).await
    }

    /// Makes a room and joins it as its owner.
    pub async fn create_room(&self, room: CreateRoomCommand) -> Result<RoomJoinedResponse, RequestError> {
        self.request_join(server_message::Message::CreateRoomCommand(room)).await
    }

    async fn request_join(&self, message: server_message::Message) -> Result<RoomJoinedResponse, RequestError> {
        match self.request(message).await? {
            client_message::Message::RoomJoinedResponse(joined) => Ok(joined),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Leaves the room.
    pub async fn leave(&self) -> Result<(), RequestError> {
        self.request(server_message::Message::LeaveRoom(LeaveRoom {})).await.map(drop)
    }

    /// Says a line to the room and returns its id once the server has it.
    pub async fn chat(&self, line: &str) -> Result<String, RequestError> {
        let line = RoomChatMessage { message: line.to_owned(), ..Default::default() };
        match self.request(server_message::Message::RoomChatMessage(line)).await? {
            client_message::Message::Ack(ack) => Ok(ack.message_id),
            _ => Err(RequestError::Unexpected),
        }
    }

    /// Plays a run of MIDI events, as [`crate::protocol::midi::MidiWriter`] writes them, from `timestamp` on. The server
    /// takes timestamps from 2 s before to 1 s after its own time as they are. Returns as [`Client::send`] does.
    pub async fn play(&self, timestamp: Timestamp, midi_data: Bytes) -> Result<(), SendError> {
        let midi = MidiMessage { midi_data, timestamp: timestamp.as_ms(), ..Default::default() };
        self.send(server_message::Message::MidiMessage(midi)).await
    }

    /// Says good-bye and waits for the server's; two seconds at most. The room releases what was held.
    pub async fn close(&self) -> Closed {
        self.close_with(CloseCode::Normal).await
    }

    /// [`Client::close`] with another code.
    pub async fn close_with(&self, code: CloseCode) -> Closed {
        self.handle.close(code).await
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> Closed {
        self.handle.connection.wait_closed().await
    }

    /// What this connection has counted.
    pub fn stats(&self) -> Stats {
        self.handle.connection.stats()
    }
}
