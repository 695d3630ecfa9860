//! What a member asks of its room: decided here, on the room's shard, wherever the member's socket is.

use crate::{
    domain::{
        name,
        room::{Effect, PasswordChange, Room},
    },
    protocol::{
        error::Rejection,
        time::Timestamp,
        wire::{UpdateRoomCommand, client_message::Message as Answer, server_message::Message},
    },
    server::{
        message::Waiting,
        room_actor::{RoomActor, Seat},
        stage::Stage,
    },
};

impl Stage {
    /// Handles a member's request to its room, all but notes. An error is answered by the caller.
    pub(super) fn ask_room(&mut self, seat: Seat, request_id: Option<u32>, message: Message) -> Result<(), Rejection> {
        match message {
            Message::UpdateRoomCommand(command) => self.update_room(seat, request_id, command),
            Message::RoomChatMessage(line) => {
                let id = self.message_id();
                self.decide(seat, |room, now, fx| room.chat((seat.participant, request_id), &line.message, id, now, fx))
            }
            Message::RoomChatServerCommand(command) => {
                let id = self.message_id();
                self.decide(seat, |room, now, fx| room.command((seat.participant, request_id), &command, id, now, fx))
            }
            Message::RoomModeration(wish) => {
                self.decide(seat, |room, now, fx| room.moderate((seat.participant, request_id), &wish, now, fx))
            }
            Message::AvatarCommand(avatar) => {
                let moved = self.in_room_at_once(seat, |room, _, fx| room.avatar(seat.participant, avatar, fx));
                moved.unwrap_or_else(|| Err(Self::room_failed()))?;
                self.acknowledge_member(seat, request_id);
                Ok(())
            }
            Message::GetMembers(page) => {
                let list = self.room_of(seat).ok_or_else(Self::room_failed)?.room.members(page.after, page.limit);
                self.answer_member(seat, request_id, Answer::MemberList(list));
                Ok(())
            }
            Message::GetRoomInfo(_) => {
                let info = self.room_of(seat).ok_or_else(Self::room_failed)?.room.info();
                self.answer_member(seat, request_id, Answer::RoomInfo(info));
                Ok(())
            }
            // No room is asked for anything else.
            _ => Ok(()),
        }
    }

    /// Lets the room decide, and performs what it decided.
    fn decide<T>(
        &mut self,
        seat: Seat,
        decide: impl FnOnce(&mut Room, Timestamp, &mut Vec<Effect>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.in_room(seat, decide).unwrap_or_else(|| Err(Self::room_failed()))
    }

    fn update_room(
        &mut self,
        seat: Seat,
        request_id: Option<u32>,
        command: UpdateRoomCommand,
    ) -> Result<(), Rejection> {
        let change = match command.password.as_deref() {
            // A new password is hashed off the shard; the room decides when that is done.
            Some(password) if !password.is_empty() => {
                name::room_password(password)?;
                let cell = self.room_of(seat).ok_or_else(Self::room_failed)?;
                cell.room.may_update(seat.participant)?;
                let reply = self.reply_to_member(cell, seat.participant, request_id).ok_or_else(Self::room_failed)?;
                let password = password.to_owned();
                let waiting = Waiting::Update { reply, command: Box::new(command) };
                if let Some(cell) = self.rooms.get_mut(seat.room).and_then(RoomActor::cell_mut) {
                    cell.passwords += 1;
                }
                self.hash_password(seat.room, waiting, password);
                return Ok(());
            }
            // An empty one takes the password away.
            Some(_) => PasswordChange::Remove,
            None => PasswordChange::Keep,
        };
        self.decide(seat, |room, now, fx| room.update((seat.participant, request_id), &command, change, now, fx))
    }

    /// An id for a line of chat, unique in this server's life.
    fn message_id(&mut self) -> String {
        self.next_message += 1;
        format!("{:x}-{:x}-{:x}", self.now.as_us(), self.number, self.next_message)
    }
}
