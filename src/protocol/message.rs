//! Making `ClientMessage`s and `ServerMessage`s with their `messageType` filled in.

use crate::protocol::{
    error::Rejection,
    wire::{Ack, ClientMessage, ServerMessage, client_message, server_message},
};

impl ClientMessage {
    /// A message that answers no request.
    pub fn event(message: client_message::Message) -> Self {
        Self::answer(None, message)
    }

    /// The answer to the request with this id; an event where it had none.
    pub fn answer(request_id: Option<u32>, message: client_message::Message) -> Self {
        Self { message_type: message_type_of_client(&message) as i32, request_id, message: Some(message) }
    }

    /// `Ack` to the request with this id.
    pub fn ack(request_id: Option<u32>) -> Self {
        Self::answer(request_id, client_message::Message::Ack(Ack::default()))
    }

    /// `ErrorMessage` to the request with this id.
    pub fn rejection(request_id: Option<u32>, rejection: Rejection) -> Self {
        Self::answer(request_id, client_message::Message::ErrorMessage(rejection.into()))
    }
}

impl ServerMessage {
    /// A message that asks for no answer of its own.
    pub fn event(message: server_message::Message) -> Self {
        Self::request(None, message)
    }

    /// A request; with an id it gets exactly one answer that carries it.
    pub fn request(request_id: Option<u32>, message: server_message::Message) -> Self {
        Self { message_type: message_type_of_server(&message) as i32, request_id, message: Some(message) }
    }
}

macro_rules! message_types {
    ($function:ident, $family:ident, $($variant:ident)*) => {
        fn $function(message: &$family::Message) -> $family::MessageType {
            match message { $($family::Message::$variant(_) => $family::MessageType::$variant,)* }
        }
    };
}

message_types!(message_type_of_client, client_message,
    Welcome RoomJoinedResponse RoomChatMessage MidiMessage ErrorMessage AvatarCommand Ack UserJoinedRoom UserLeftRoom
    UserUpdated RoomUpdated HeartbeatMessage TimeSync OwnerChanged RoomClosed RoomList MemberList RoomInfo ChatHistory
    MembersChanged QuotaExceeded Gap);

message_types!(message_type_of_server, server_message,
    CreateRoomCommand UpdateRoomCommand JoinRoomByName RoomChatMessage MidiMessage ServerCommand AvatarCommand
    JoinNextAvailableLobby LeaveRoom RoomChatServerCommand PrivateMessage UserStatusUpdate HeartbeatMessage TimeSync
    FriendRequest GetRoomInfo ListRooms GetMembers SetProfile RoomModeration Resume);
