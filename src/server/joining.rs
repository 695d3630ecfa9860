//! Changing rooms, from the connection's side: ask for a seat, leave the old room, move, sit down.
//!
//! From the join command on the connection's input is parked. In order: a seat is reserved in the new room; the old room is
//! left (silence, `UserLeftRoom`); the connection moves to the new room's shard, in a place reserved there before;
//! `RoomJoinedResponse`; the new room's traffic; the parked input. Where the new room refuses, nothing was sent, and
//! the parked input runs where it was.

use crate::{
    actor::{life, mesh::Slot, parcel::Parcel, sending},
    domain::{
        defect::{Defect, is_planted},
        lobby, name,
        room::{NewRoom, SeatLost},
    },
    net::connection::Wire,
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::RoomKey,
        wire::{CreateRoomCommand, user_left_room::Reason},
    },
    server::{
        connection_actor::Connection,
        directory_keeper::{DirectoryKeeper, DirectoryMessage, DirectoryReply},
        message::{Asker, ConnectionMessage, SeatAnswer, SeatAsk, Wish},
        peer::{Destination, Goal, Joining, Moving, Peer},
        room_actor::Seat,
        stage::Stage,
    },
};

/// Full lobbies that one join tries one after the other, before it gives up.
const LOBBIES_TRIED: u32 = 256;

impl Stage {
    /// Joins a room by its name; where there is none, a public one is made.
    pub(super) fn begin_join_by_name(
        &mut self,
        key: usize,
        request_id: Option<u32>,
        name: &str,
        password: String,
    ) -> Result<(), Rejection> {
        let room = name::room_key(name)?;
        if let Some(number) = lobby::lobby_number(&room) {
            return self.begin_join_lobby(key, request_id, number);
        }
        self.check_not_there(key, &room)?;
        let password = (!password.is_empty()).then_some(password);
        let wish = Wish::Join { name: name.to_owned(), password };
        self.begin_join(key, request_id, Goal::Room(room.clone()));
        self.ask_for_seat(key, room, wish);
        Ok(())
    }

    /// Makes a room and joins it.
    pub(super) fn begin_create(
        &mut self,
        key: usize,
        request_id: Option<u32>,
        command: CreateRoomCommand,
    ) -> Result<(), Rejection> {
        // Refuse what is malformed before anything waits; the room's shard makes it.
        let room = NewRoom::by_command(&command, &self.settings.rooms)?.key;
        self.begin_join(key, request_id, Goal::Room(room.clone()));
        self.ask_for_seat(key, room, Wish::Create(Box::new(command)));
        Ok(())
    }

    /// Joins this lobby, or the next one with room.
    fn begin_join_lobby(&mut self, key: usize, request_id: Option<u32>, number: u32) -> Result<(), Rejection> {
        let room = lobby::lobby_key(number);
        self.check_not_there(key, &room)?;
        // The number is the client's wish, but it may not open lobby 70 000 000 while the first is empty.
        if number > 1 && !self.lobby_may_exist(number) {
            let message = format!("there is no lobby {number}: join the next available one");
            return Err(Rejection::new(ErrorCode::RoomNotFound, message));
        }
        self.begin_join(key, request_id, Goal::Lobby { number, tried: 0 });
        self.ask_for_seat(key, room, Wish::Lobby(number));
        Ok(())
    }

    /// Lobbies are opened in order, so their number is bounded by how many there could be members for.
    fn lobby_may_exist(&self, number: u32) -> bool {
        number <= LOBBIES_TRIED
    }

    /// Joins the lowest lobby with room.
    pub(super) fn begin_join_any_lobby(&mut self, key: usize, request_id: Option<u32>) -> Result<(), Rejection> {
        let ticket = self.begin_join(key, request_id, Goal::AnyLobby);
        let timeout = self.settings.join_timeout / 2;
        if let Some(me) = self.connection_actor(key) {
            let picked = move |answer| {
                // Without the directory the first lobby is as good a start as any: full ones are passed by.
                let number = if let Ok(DirectoryReply::Lobby(number)) = answer { number } else { 1 };
                ConnectionMessage::LobbyPicked { ticket, number }
            };
            let message = DirectoryMessage::PickLobby;
            sending::ask_as::<DirectoryKeeper, Connection>(self, me, &(), message, timeout, picked);
        }
        Ok(())
    }

    /// The directory has picked a lobby.
    pub(super) fn lobby_picked(&mut self, key: usize, ticket: u64, number: u32) {
        if !self.is_in_join(key, ticket) {
            return;
        }
        let room = lobby::lobby_key(number);
        if self.check_not_there(key, &room).is_err() {
            // It sits in the best lobby there is.
            return self.end_join(
                key,
                Err(Rejection::new(ErrorCode::AlreadyInRoom, "you are in the first lobby with room already")),
            );
        }
        if let Some(joining) = &mut self.peers[key].state.joining {
            joining.goal = Goal::Lobby { number, tried: 0 };
        }
        self.ask_for_seat(key, room, Wish::Lobby(number));
    }

    fn check_not_there(&self, key: usize, room: &RoomKey) -> Result<(), Rejection> {
        let peer = &self.peers[key];
        let is_here = peer.seat.and_then(|seat| self.room_of(seat)).is_some_and(|cell| cell.key == *room);
        let branch = peer.branch.and_then(|seat| self.branches.get(seat.branch));
        if is_here || branch.is_some_and(|branch| branch.key.room == *room) {
            return Err(Rejection::new(ErrorCode::AlreadyInRoom, "you are in that room already"));
        }
        Ok(())
    }

    /// Parks the input. Returns the join's ticket.
    fn begin_join(&mut self, key: usize, request_id: Option<u32>, goal: Goal) -> u64 {
        self.next_ticket += 1;
        // Tickets of several shards must not meet when the connection has moved.
        let ticket = self.next_ticket * self.shards as u64 + self.number as u64;
        self.peers[key].state.joining =
            Some(Joining { ticket, request_id, since: self.now, goal, is_profile_changed: false, has_left: false });
        ticket
    }

    fn ask_for_seat(&mut self, key: usize, room: RoomKey, wish: Wish) {
        let state = &self.peers[key].state;
        let Some(joining) = &state.joining else { return };
        let connection = state.session.connection;
        let ask = SeatAsk {
            asker: Asker { room, connection, ticket: joining.ticket, shard: self.number },
            profile: state.session.profile.clone(),
            address: state.session.address,
            wish,
        };
        if !self.ask_for_a_seat(ask) {
            let message = "the room's shard takes no more: try again in a moment";
            self.end_join(key, Err(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 1000)));
        }
    }

    /// Whether a connection is still in the join of this ticket.
    fn is_in_join(&self, key: usize, ticket: u64) -> bool {
        self.peers.get(key).and_then(|peer| peer.state.joining.as_ref()).is_some_and(|joining| joining.ticket == ticket)
    }

    /// A later join of the connection is for the same room: a room holds one seat for a connection, and it is that join's.
    fn is_joining(&self, key: usize, room: &RoomKey) -> bool {
        match self.peers[key].state.joining.as_ref().map(|joining| &joining.goal) {
            Some(Goal::Room(goal) | Goal::Granted { room: goal, .. }) => goal == room,
            Some(Goal::Lobby { number, .. }) => lobby::lobby_key(*number) == *room,
            Some(Goal::Leaving { to }) => to.as_ref() == Some(room),
            Some(Goal::AnyLobby) | None => false,
        }
    }

    /// A room has answered.
    pub(super) fn take_seat_answer(&mut self, key: usize, answer: SeatAnswer) {
        let SeatAnswer { ticket, room, result } = answer;
        if !self.is_in_join(key, ticket) {
            if result.is_ok() && !self.is_joining(key, &room) {
                let connection = self.peers[key].id();
                self.release_seat(&room, connection);
            }
            return;
        }
        match result {
            Ok(()) => self.granted(key, room),
            Err(rejection) => self.refused(key, rejection),
        }
    }

    fn refused(&mut self, key: usize, rejection: Rejection) {
        if rejection.code == ErrorCode::RoomFull
            && let Some(Joining { goal: Goal::Lobby { number, tried }, .. }) = &mut self.peers[key].state.joining
            && *tried < LOBBIES_TRIED
        {
            // It filled up meanwhile: the next one.
            *number += 1;
            *tried += 1;
            let number = *number;
            return self.ask_for_seat(key, lobby::lobby_key(number), Wish::Lobby(number));
        }
        self.end_join(key, Err(rejection));
    }

    /// A seat is held: sit down here, or move to where it is.
    pub(super) fn granted(&mut self, key: usize, room: RoomKey) {
        if self.peers[key].branch.is_some() {
            // The room it is in is elsewhere, and knows its quota: on from here when that has let it go.
            if let Some(joining) = &mut self.peers[key].state.joining {
                joining.goal = Goal::Leaving { to: Some(room) };
            }
            return self.ask_to_leave(key);
        }
        let home = self.home_of(room.as_str());
        if home == self.number {
            self.leave_room(key, Reason::Left);
            self.sit_down(key, &room);
        } else if !self.move_to(key, &room, home) {
            let since = self.now;
            let connection = self.peers[key].id();
            if let Some(joining) = &mut self.peers[key].state.joining {
                joining.goal = Goal::Granted { room, since };
                self.awaiting_slot.push(connection);
            }
        }
    }

    /// Moves a connection to another shard. False where that has no place for it now.
    fn move_to(&mut self, key: usize, room: &RoomKey, home: usize) -> bool {
        let Some(slot) = self.core.reserve(home) else { return false };
        self.leave_room(key, Reason::Left);
        self.send_off(key, slot, home, Destination::Room(room.clone()));
        true
    }

    /// Hands a connection, which sits nowhere, to another shard. False where that has ended; the connection is then being
    /// closed here.
    pub(super) fn send_off(&mut self, key: usize, slot: Slot<Parcel>, shard: usize, to: Destination) -> bool {
        let actor = self.connection_actor(key);
        let mut peer = self.peers.remove(key);
        let connection = peer.id();
        // Deregistering fails only for a socket that was not registered.
        let _ = self.readiness.remove(&peer.wire);
        self.ids.remove(&connection);
        self.forwarding.insert(connection, shard, peer.state.epoch + 1, self.now);
        self.figures.moves_out.add(1);
        let shed = peer.wire.take_shed();
        if !is_planted(Defect::CountNoShedAtMove) {
            self.count_shed(shed);
        }
        if is_planted(Defect::DropInputAtMove) {
            let _ = peer.wire.decoder.take_tail();
        }
        if is_planted(Defect::DropOutboxAtMove) {
            peer.wire.drop_backlog();
        }
        if let Some(actor) = actor {
            // What waits for it here goes after it.
            life::depart::<Connection>(self, actor);
        }
        let moving = peer.into_moving(to, self.number);
        let result = slot.send(Parcel::Handed(Box::new(moving)));
        let is_sent = result.is_ok();
        if let Err(error) = result {
            tracing::warn!(shard = self.number, %connection, "a hand-off found its shard gone");
            self.take_back(error.into_message());
        }
        is_sent
    }

    /// A connection on its way to a shard that has ended. Shards end only at shutdown: it is told when to come back.
    fn take_back(&mut self, parcel: Parcel) {
        let Parcel::Handed(handed) = parcel else { return };
        let Ok(moving) = handed.downcast::<Moving>() else { return };
        let Moving { state, socket, place } = *moving;
        self.forwarding.remove(state.peer.session.connection);
        let wire = Wire::from_parts(socket, state.wire);
        if let Some(key) = self.install(Peer::new(state.peer, wire, place)) {
            self.close(key, CloseCode::Restarting);
        }
    }

    /// Tries again the hand-offs that found no place; gives up those that waited too long.
    pub(super) fn retry_hand_offs(&mut self) {
        let waiting = std::mem::take(&mut self.awaiting_slot);
        for connection in waiting {
            let Some(key) = self.socket_of(connection) else { continue };
            let Some(Joining { goal: Goal::Granted { room, since }, has_left, .. }) = &self.peers[key].state.joining
            else {
                continue;
            };
            let (room, since, has_left) = (room.clone(), *since, *has_left);
            let home = self.home_of(room.as_str());
            if self.move_to(key, &room, home) {
                continue;
            }
            if self.now.since(since) < self.settings.hand_off_timeout {
                self.awaiting_slot.push(connection);
                continue;
            }
            self.release_seat(&room, connection);
            let busy = if has_left {
                in_no_room(ErrorCode::ServerBusy, "the room's shard is busy")
            } else {
                let message = "the room's shard is busy; you are where you were: try again in a moment";
                Rejection::new(ErrorCode::ServerBusy, message)
            };
            let busy = busy.with("retry_after_ms", 1000);
            if is_planted(Defect::AnswerHandOffTwice) {
                let request_id = self.peers[key].state.joining.as_ref().and_then(|joining| joining.request_id);
                self.refuse(key, request_id, busy.clone());
            }
            self.end_join(key, Err(busy));
        }
    }

    /// Takes the seat that is held in a room of this shard.
    pub(super) fn sit_down(&mut self, key: usize, room: &RoomKey) {
        let Some(joining) = self.peers[key].state.joining.clone() else { return };
        let Some(id) = self.rooms.find(room) else {
            // A room with a seat held does not retire; this is a seat that was given back meanwhile.
            return self.end_join(key, Err(in_no_room(ErrorCode::RoomNotFound, "the room has closed meanwhile")));
        };
        let (connection, carried) = (self.peers[key].id(), self.peers[key].state.quota);
        let user = &self.peers[key].state.session.profile.user_id.clone();
        let taken = self.enter_room(id, |cell, now, effects| {
            let taken =
                cell.attempt(|room| room.take_seat(connection, joining.request_id, carried, now, &mut *effects));
            if let Ok(participant) = &taken {
                // Before the effects, which answer it.
                cell.insert(*participant, key);
                if cell.made_for.as_ref() == Some(user) {
                    cell.made_for = None;
                }
            }
            taken
        });
        match taken {
            Some(Ok(participant)) => {
                let seat = Seat { room: id, participant };
                self.figures.joins.add(1);
                self.watch_crowd(id);
                #[cfg(feature = "simulation")]
                crate::server::simulated::note_seated(crate::server::simulated::Seated {
                    connection,
                    key: room.clone(),
                    room: id,
                    participant,
                });
                // Entering may have been the end of it.
                if self.room_of(seat).and_then(|cell| cell.member(participant)) == Some(key) {
                    self.peers[key].seat = Some(seat);
                }
                if joining.is_profile_changed {
                    let profile = self.peers[key].state.session.profile.clone();
                    let _ = self.in_room(seat, |room, _, effects| room.set_profile(&profile, effects));
                }
                self.end_join(key, Ok(()));
            }
            Some(Err(SeatLost::Closed(code))) => self.close(key, code),
            Some(Err(SeatLost::Expired)) => {
                let message = "the seat was given away while you were on your way";
                self.end_join(key, Err(in_no_room(ErrorCode::ServerBusy, message)));
            }
            None => self.end_join(key, Err(in_no_room(ErrorCode::Server, "the room failed at letting you in"))),
        }
    }

    /// The join is over; the parked input runs.
    pub(super) fn end_join(&mut self, key: usize, result: Result<(), Rejection>) {
        let Some(joining) = self.peers[key].state.joining.take() else { return };
        self.peers[key].state.last_active = self.now;
        if let Err(rejection) = result {
            self.refuse(key, joining.request_id, rejection);
        }
        self.queue_read(key);
    }

    /// Gives up joins that nobody has answered. Their seats, if any, expire or are released by a late answer.
    pub(super) fn check_join(&mut self, key: usize) {
        let Some(joining) = &self.peers[key].state.joining else { return };
        let is_answered = matches!(joining.goal, Goal::Granted { .. } | Goal::Leaving { .. });
        if self.now.since(joining.since) >= self.settings.join_timeout && !is_answered {
            let message = "the room did not answer in time; you are where you were: try again in a moment";
            self.end_join(key, Err(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 1000)));
        }
    }
}

/// Why who has left its room for another did not get in there. That it is in no room now stands in the details, for programs: after
/// all other refusals a connection is where it was.
fn in_no_room(code: ErrorCode, why: &str) -> Rejection {
    Rejection::new(code, format!("{why}; you are in no room: join again")).with("left_room", true)
}
