//! What a client asks for: each message of the protocol, by its handler.

use crate::{
    actor::{
        envelope::{Answer as ActorAnswer, AskError},
        sending,
    },
    domain::{
        defect::{Defect, is_planted},
        identity::Status,
        name,
        room::{Effect, PlayRefused, Played, Room},
        room_settings::RoomKind,
    },
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::Participant,
        time::Timestamp,
        wire::{
            ClientMessage, GetRoomInfo, HeartbeatMessage, ListRooms, MidiMessage, RoomType, ServerCommand, SetProfile,
            TimeSync, client_message::Message as Answer, server_message::Message, user_left_room::Reason,
        },
    },
    server::{
        connection_actor::Connection,
        directory_keeper::{DirectoryKeeper, DirectoryMessage, DirectoryReply},
        message::{ConnectionMessage, RoomMessage, UserMessage},
        room_actor::Seat,
        server_command,
        spill::batch::InwardItem,
        stage::Stage,
        user::ProfileChange,
    },
    store::StoreError,
};

/// How many rooms a page of `listRooms` holds where none is asked for, and at most.
const ROOMS_PAGE: (u32, u32) = (50, 100);

/// A room's way to let go of what a message ends: [`Room::release_only`] or [`Room::release_after_failure`].
pub(super) type ReleaseRule =
    fn(&mut Room, Participant, MidiMessage, Timestamp, &mut Vec<Effect>) -> Result<Played, PlayRefused>;

/// How often letting go of notes is tried in a room that fails at it.
const RELEASE_TRIES: usize = 3;

/// Why there is no list of rooms.
fn list_unavailable(answer: &ActorAnswer<DirectoryReply, StoreError>) -> Rejection {
    match answer {
        Err(AskError::MailboxFull) => {
            Rejection::new(ErrorCode::ServerBusy, "too many requests wait for the stores: try again in a moment")
                .with("retry_after_ms", 1000)
        }
        _ => {
            let message = "the list of rooms is out of reach just now: try again in a moment";
            Rejection::new(ErrorCode::StoreUnavailable, message)
        }
    }
}

impl Stage {
    /// Handles one request, all but notes. An error is answered by the caller.
    pub(super) fn take_request(
        &mut self,
        key: usize,
        request_id: Option<u32>,
        message: Message,
    ) -> Result<(), Rejection> {
        let Some(message) = self.forwarded(key, request_id, message) else { return Ok(()) };
        match message {
            Message::MidiMessage(midi) => self.play(key, request_id, midi),
            Message::HeartbeatMessage(_) => self.heartbeat(key, request_id),
            Message::TimeSync(sync) => self.time_sync(key, request_id, sync),
            Message::JoinRoomByName(join) => {
                return self.begin_join_by_name(key, request_id, &join.room_name, join.password);
            }
            Message::CreateRoomCommand(command) => return self.begin_create(key, request_id, command),
            Message::JoinNextAvailableLobby(_) => return self.begin_join_any_lobby(key, request_id),
            Message::LeaveRoom(_) => return self.take_leave(key, request_id),
            message @ (Message::UpdateRoomCommand(_)
            | Message::RoomChatMessage(_)
            | Message::RoomChatServerCommand(_)
            | Message::RoomModeration(_)
            | Message::AvatarCommand(_)
            | Message::GetMembers(_)) => {
                let seat = self.seat(key)?;
                return self.ask_room(seat, request_id, message);
            }
            Message::GetRoomInfo(question) => return self.room_info(key, request_id, &question),
            Message::ListRooms(list) => return self.list_rooms(key, request_id, list),
            Message::SetProfile(change) => return self.set_profile(key, request_id, &change),
            Message::UserStatusUpdate(update) => {
                let status = Status::from_wire(update.status).ok_or_else(|| {
                    Rejection::new(ErrorCode::Validation, "no such status: use ONLINE, AWAY, BUSY or INVISIBLE")
                })?;
                let change = ProfileChange { status: Some(status), ..ProfileChange::default() };
                self.change_profile(key, request_id, change);
            }
            Message::ServerCommand(command) => return self.server_command(key, request_id, command),
            Message::PrivateMessage(_) => return Err(Self::not_supported("private messages")),
            Message::FriendRequest(_) => return Err(Self::not_supported("friends")),
            Message::Resume(_) => return Err(Self::not_supported("resume")),
        }
        Ok(())
    }

    /// Relays notes. This is the hot path: nothing here allocates a time a recipient.
    pub(super) fn play(&mut self, key: usize, request_id: Option<u32>, midi: MidiMessage) {
        let seat = match self.seat(key) {
            Ok(seat) => seat,
            Err(rejection) => return self.refuse(key, request_id, rejection),
        };
        match self.play_in(seat, request_id.is_some(), midi) {
            Ok(()) => self.acknowledge(key, request_id),
            Err(Some(rejection)) => self.refuse(key, request_id, rejection),
            Err(None) => {}
        }
    }

    /// Relays notes of a member, wherever it is. Where it is to be told that they are refused, why.
    pub(super) fn play_in(&mut self, seat: Seat, is_asked: bool, midi: MidiMessage) -> Result<(), Option<Rejection>> {
        // Shares the bytes.
        let again = midi.clone();
        match self.in_room_at_once(seat, |room, now, fx| room.play(seat.participant, midi, now, fx)) {
            Some(Ok(played)) => {
                self.figures.refused_events.add(played.refused.into());
                Ok(())
            }
            Some(Err(refused)) if refused.tell || is_asked => Err(Some(refused.rejection)),
            Some(Err(_)) => {
                self.figures.forbidden.add(1);
                Err(None)
            }
            None => {
                // What it was to let go of must not go on sounding.
                if is_planted(Defect::LoseReleasesAtPanic) {
                    return Err(Some(Self::room_failed()));
                }
                if !self.release_in(seat, &again, Room::release_after_failure) {
                    self.close_member(seat, CloseCode::Internal);
                }
                Err(Some(Self::room_failed()))
            }
        }
    }

    /// Of notes over the rate limit relays those that end.
    pub(super) fn release(&mut self, key: usize, midi: MidiMessage) {
        if let Some(seat) = self.peers[key].branch {
            return self.say_home(seat, InwardItem::Release(midi));
        }
        let Ok(seat) = self.seat(key) else { return };
        if !self.release_in(seat, &midi, Room::release_only) {
            // Then by leaving: that lets go of everything.
            self.close(key, CloseCode::Internal);
        }
    }

    /// Of notes over the rate limit, or that the room has failed at, relays those that end, by the rule that is given. False
    /// where the room fails at that too often.
    pub(super) fn release_in(&mut self, seat: Seat, midi: &MidiMessage, rule: ReleaseRule) -> bool {
        // What is malformed as well is not relayed; the sender hears of the limit.
        (0..RELEASE_TRIES).any(|_| {
            let midi = midi.clone();
            let released = self.in_room_at_once(seat, |room, now, fx| rule(room, seat.participant, midi, now, fx));
            let refused =
                released.as_ref().and_then(|released| released.as_ref().ok()).map_or(0, |played| played.refused);
            self.figures.refused_events.add(refused.into());
            released.is_some()
        })
    }

    /// Where a connection plays, or the error that it is in no room.
    fn seat(&self, key: usize) -> Result<Seat, Rejection> {
        self.peers[key].seat.ok_or_else(|| Rejection::new(ErrorCode::NotInRoom, "you are in no room: join one first"))
    }

    pub(super) fn acknowledge(&mut self, key: usize, request_id: Option<u32>) {
        if request_id.is_some() {
            self.send(key, &ClientMessage::ack(request_id));
        }
    }

    fn heartbeat(&mut self, key: usize, request_id: Option<u32>) {
        let time_ms = self.now.as_ms();
        self.answer(key, request_id, Answer::HeartbeatMessage(HeartbeatMessage { time_ms }));
    }

    fn time_sync(&mut self, key: usize, request_id: Option<u32>, sync: TimeSync) {
        let answer = TimeSync {
            client_time_us: sync.client_time_us,
            server_receive_time_us: self.now.as_us() as i64,
            // The turn's end follows within microseconds; what the connection waits in its outbox is its own delay.
            server_send_time_us: self.clock.now().as_us() as i64,
        };
        self.answer(key, request_id, Answer::TimeSync(answer));
    }

    fn take_leave(&mut self, key: usize, request_id: Option<u32>) -> Result<(), Rejection> {
        if self.peers[key].branch.is_some() {
            self.begin_leaving(key, request_id);
            return Ok(());
        }
        self.seat(key)?;
        self.leave_room(key, Reason::Left);
        self.acknowledge(key, request_id);
        Ok(())
    }

    fn room_info(&mut self, key: usize, request_id: Option<u32>, question: &GetRoomInfo) -> Result<(), Rejection> {
        if question.room_name.is_empty() {
            let seat = self.seat(key)?;
            let info = self.room_of(seat).ok_or_else(Self::room_failed)?.room.info();
            self.answer(key, request_id, Answer::RoomInfo(info));
            return Ok(());
        }
        let room = name::room_key(&question.room_name)?;
        let reply = self.reply_to(key, request_id);
        self.tell_room(&room, RoomMessage::Info(reply));
        Ok(())
    }

    fn list_rooms(&mut self, key: usize, request_id: Option<u32>, list: ListRooms) -> Result<(), Rejection> {
        let kind = match list.room_type {
            // The server's to make, but everybody's to look for.
            Some(kind) if kind == RoomType::Lobby as i32 => Some(RoomKind::Lobby),
            kind => kind.map(RoomKind::from_wire).transpose()?,
        };
        let limit = if list.limit == 0 { ROOMS_PAGE.0 } else { list.limit };
        if limit > ROOMS_PAGE.1 {
            let message = format!("a page holds at most {} rooms", ROOMS_PAGE.1);
            return Err(Rejection::new(ErrorCode::Validation, message).with("field", "limit"));
        }
        let Some(me) = self.connection_actor(key) else { return Ok(()) };
        let question = DirectoryMessage::ListRooms { page: list.page.max(1), limit, kind };
        let timeout = self.settings.join_timeout;
        let reply = self.reply_to(key, request_id);
        let here = self.core.host();
        let listed = move |answer| {
            let message = match answer {
                Ok(DirectoryReply::Rooms(list)) => ClientMessage::answer(reply.request_id, Answer::RoomList(list)),
                answer => {
                    tracing::debug!(shard = here, refused = answer.is_err(), "the list of rooms could not be read");
                    ClientMessage::rejection(reply.request_id, list_unavailable(&answer))
                }
            };
            ConnectionMessage::Answered { reply, message: Box::new(message) }
        };
        sending::ask_as::<DirectoryKeeper, Connection>(self, me, &(), question, timeout, listed);
        Ok(())
    }

    fn set_profile(&mut self, key: usize, request_id: Option<u32>, change: &SetProfile) -> Result<(), Rejection> {
        let change = ProfileChange {
            username: change.name.as_deref().map(name::username).transpose()?,
            colour: change.colour.as_deref().map(name::colour).transpose()?,
            ..ProfileChange::default()
        };
        // An account's name is one of a kind, and in the documents.
        if change.username.is_some() && !self.peers[key].state.session.profile.is_guest() {
            let message = "the name of an account is changed in its profile";
            return Err(Rejection::new(ErrorCode::Authorization, message));
        }
        self.change_profile(key, request_id, change);
        Ok(())
    }

    /// Sends a change to the user's actor, which tells all of the user's connections.
    fn change_profile(&mut self, key: usize, request_id: Option<u32>, change: ProfileChange) {
        let reply = self.reply_to(key, request_id);
        let user = reply.user.clone();
        self.tell_user(&user, UserMessage::Change { change, reply });
    }

    /// The older way to say some of the requests; handled as they are.
    fn server_command(&mut self, key: usize, request_id: Option<u32>, command: ServerCommand) -> Result<(), Rejection> {
        let message = server_command::translate(command)?;
        self.permit(key, &message)?;
        self.take_request(key, request_id, message)
    }
}
