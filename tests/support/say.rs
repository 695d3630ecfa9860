//! Messages to the server.

use pianorhythm_server::protocol::wire::{
    CreateRoomCommand, GetMembers, GetRoomInfo, HeartbeatMessage, JoinNextAvailableLobby, JoinRoomByName, LeaveRoom,
    ListRooms, MidiMessage, RoomChatMessage, RoomChatServerCommand, RoomModeration, RoomSettings, TimeSync,
    UpdateRoomCommand, room_moderation::Action, server_message::Message,
};

use pianorhythm_server::protocol::midi::ChannelMessage;

use super::music;

pub fn join(room: &str) -> Message {
    join_with(room, "")
}

pub fn join_with(room: &str, password: &str) -> Message {
    Message::JoinRoomByName(JoinRoomByName { room_name: room.into(), password: password.into() })
}

pub fn create(room: &str) -> Message {
    Message::CreateRoomCommand(CreateRoomCommand { room_name: room.into(), ..Default::default() })
}

pub fn create_with(room: &str, settings: RoomSettings) -> Message {
    let settings = Some(settings);
    Message::CreateRoomCommand(CreateRoomCommand { room_name: room.into(), settings, ..Default::default() })
}

/// Settings with these set and the others absent.
pub fn settings(edit: impl FnOnce(&mut RoomSettings)) -> RoomSettings {
    let mut settings = RoomSettings::default();
    edit(&mut settings);
    settings
}

pub fn update(settings: RoomSettings) -> Message {
    Message::UpdateRoomCommand(UpdateRoomCommand { settings: Some(settings), ..Default::default() })
}

pub fn enter_lobby() -> Message {
    Message::JoinNextAvailableLobby(JoinNextAvailableLobby {})
}

pub fn leave() -> Message {
    Message::LeaveRoom(LeaveRoom {})
}

pub fn chat(line: &str) -> Message {
    Message::RoomChatMessage(RoomChatMessage { message: line.into(), ..Default::default() })
}

pub fn command(command: &str, target_user: &str, reason: &str) -> Message {
    let (command, target_user, reason) = (command.into(), target_user.into(), reason.into());
    Message::RoomChatServerCommand(RoomChatServerCommand { command, target_user, reason })
}

pub fn moderate(action: Action, user: &str) -> Message {
    moderate_with(action, user, |_| {})
}

pub fn moderate_with(action: Action, user: &str, edit: impl FnOnce(&mut RoomModeration)) -> Message {
    let mut wish = RoomModeration { action: action as i32, target_user_id: user.into(), ..Default::default() };
    edit(&mut wish);
    Message::RoomModeration(wish)
}

pub fn members() -> Message {
    Message::GetMembers(GetMembers::default())
}

pub fn room_info(room: &str) -> Message {
    Message::GetRoomInfo(GetRoomInfo { room_name: room.into() })
}

pub fn list_rooms() -> Message {
    Message::ListRooms(ListRooms::default())
}

pub fn heartbeat() -> Message {
    Message::HeartbeatMessage(HeartbeatMessage::default())
}

pub fn time_sync(client_time_us: i64) -> Message {
    Message::TimeSync(TimeSync { client_time_us, ..Default::default() })
}

/// Notes all at once, now.
pub fn notes(notes: &[ChannelMessage]) -> Message {
    midi(music::run(notes))
}

/// A run of events as it is, now.
pub fn midi(midi_data: impl Into<bytes::Bytes>) -> Message {
    Message::MidiMessage(MidiMessage { midi_data: midi_data.into(), ..Default::default() })
}
