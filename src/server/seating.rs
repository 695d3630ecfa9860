//! Changing rooms, from the room's side: waking it, making it, checking passwords, holding seats.
//!
//! A room that is not active is loaded first, since any name may be that of a saved room. What asks for it meanwhile waits,
//! in order. Nothing here takes a connection in: that is [`Stage::sit_down`], when it has arrived.

use crate::{
    domain::room::{NewRoom, PasswordChange, PasswordProof, Room, RoomChange, SeatOutcome, SeatRequest},
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{ConnectionId, RoomKey},
        wire::ClientMessage,
    },
    server::{
        back_office::{PasswordTask, Request},
        message::{PasswordOutcome, ReplyTo, SeatAnswer, SeatAsk, ShardMessage, Waiting, Wish},
        peer::Seat,
        room_cell::{MAKING, MAX_WAITING, RoomSlot, Waking},
        stage::Stage,
    },
    store::{StoreError, documents::SavedRoom},
};

impl Stage {
    /// A connection asks for a seat in a room of this shard.
    pub(super) fn take_ask(&mut self, ask: SeatAsk) {
        if self.draining.is_some() {
            let message = "the server is shutting down: come back in a few seconds";
            return self.refuse_seat(&ask, Rejection::new(ErrorCode::ShuttingDown, message));
        }
        match self.keys.get_mut(&ask.room) {
            Some(RoomSlot::Active(place)) => {
                let place = *place;
                self.consider(place, ask, None);
            }
            Some(RoomSlot::Waking(waking)) if waking.asks.len() < MAX_WAITING => waking.asks.push_back(ask),
            Some(RoomSlot::Waking(_)) => {
                let message = "too many wait for this room: try again in a moment";
                self.refuse_seat(&ask, Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 1000));
            }
            None => {
                if let Wish::Lobby(number) = ask.wish {
                    // Lobbies are never saved.
                    let room = NewRoom::lobby(number, &self.settings.rooms);
                    let room = Room::create(room, None, self.settings.rooms.clone(), self.now);
                    let place = self.open(room);
                    return self.consider(place, ask, None);
                }
                let room = ask.room.clone();
                let waking = Waking { asks: [ask].into(), ..Waking::new(self.now) };
                self.wake(room, waking);
            }
        }
    }

    /// A question about a room that is not active.
    pub(super) fn wake_for_question(&mut self, room: RoomKey, question: ReplyTo) {
        self.wake(room, Waking { questions: vec![question], ..Waking::new(self.now) });
    }

    fn wake(&mut self, room: RoomKey, waking: Waking) {
        self.keys.insert(room.clone(), RoomSlot::Waking(Box::new(waking)));
        if self.back_office.try_send(Request::Load { room: room.clone(), shard: self.number }).is_err() {
            let rejection = self.back_office_busy();
            self.give_up_waking(&room, &rejection);
        }
    }

    /// The store has looked for a room.
    pub(super) fn loaded(&mut self, room: RoomKey, result: Result<Option<Box<SavedRoom>>, StoreError>) {
        match result {
            Ok(Some(saved)) => {
                let SavedRoom { record, chat } = *saved;
                let restored = Room::restore(record, chat, self.settings.rooms.clone(), self.now);
                self.activate(restored);
            }
            Ok(None) => self.make(&room),
            Err(error) => {
                tracing::warn!(%room, %error, "a room could not be loaded");
                self.give_up_waking(&room, &Self::store_unavailable());
            }
        }
    }

    /// There is no such room: the first who asks for it, and may, makes it.
    fn make(&mut self, room: &RoomKey) {
        let Some(RoomSlot::Waking(waking)) = self.keys.get_mut(room) else { return };
        for question in std::mem::take(&mut waking.questions) {
            let rejection = Rejection::new(ErrorCode::RoomNotFound, "there is no room of that name");
            let message = ClientMessage::rejection(question.request_id, rejection);
            self.reply(question, message);
        }
        while let Some(ask) = self.first_ask(room) {
            let new = match &ask.wish {
                Wish::Create(command) if !command.password.is_empty() => {
                    // A password is hashed off the shard first; the others go on waiting.
                    let task = PasswordTask::Hash { password: command.password.clone() };
                    match self.try_ask_password(room.clone(), Waiting::Seat(Box::new(ask)), task) {
                        Ok(()) => {
                            self.set_hashing(room, true);
                            return;
                        }
                        Err((Waiting::Seat(ask), rejection)) => self.refuse_seat(&ask, rejection),
                        Err((Waiting::Update { .. }, _)) => {}
                    }
                    continue;
                }
                Wish::Create(command) => NewRoom::by_command(command, &self.settings.rooms),
                Wish::Join { name, .. } => NewRoom::by_joining(name, &self.settings.rooms),
                Wish::Lobby(number) => Ok(NewRoom::lobby(*number, &self.settings.rooms)),
            };
            match new {
                Ok(new) => return self.create(new, ask),
                Err(rejection) => self.refuse_seat(&ask, rejection),
            }
        }
        self.keys.remove(room);
    }

    /// Notes that the room that is to be made waits for its password's hash, or has waited. Whether it did before.
    fn set_hashing(&mut self, room: &RoomKey, hashing: bool) -> bool {
        match self.keys.get_mut(room) {
            Some(RoomSlot::Waking(waking)) => std::mem::replace(&mut waking.is_hashing, hashing),
            _ => false,
        }
    }

    /// Gives up rooms that have not woken in time: the answer that they wait for is lost, and nobody could join them again.
    pub(super) fn check_waking(&mut self) {
        let (now, patience) = (self.now, self.settings.join_timeout);
        let is_late = |slot: &RoomSlot| match slot {
            RoomSlot::Waking(waking) => now.since(waking.since) >= patience,
            RoomSlot::Active(_) => false,
        };
        let late: Vec<RoomKey> =
            self.keys.iter().filter(|(_, slot)| is_late(slot)).map(|(room, _)| room.clone()).collect();
        for room in late {
            tracing::warn!(shard = self.number, %room, "a room did not wake in time");
            self.give_up_waking(&room, &Self::store_unavailable());
        }
    }

    fn first_ask(&mut self, room: &RoomKey) -> Option<SeatAsk> {
        match self.keys.get_mut(room) {
            Some(RoomSlot::Waking(waking)) => waking.asks.pop_front(),
            _ => None,
        }
    }

    /// Makes a room; a saved one is committed before anybody sits in it.
    fn create(&mut self, new: NewRoom, ask: SeatAsk) {
        let (saved, hash) = (new.saved, new.password_hash.clone());
        let key = new.key.clone();
        let creator = matches!(ask.wish, Wish::Create(_)).then_some(&ask.profile);
        let made = Room::create(new, creator, self.settings.rooms.clone(), self.now);
        let Some(RoomSlot::Waking(waking)) = self.keys.get_mut(&key) else { return };
        waking.asks.push_front(ask);
        if !saved {
            return self.activate(made);
        }
        let record = made.record(self.now);
        waking.made = Some((Box::new(made), hash));
        let change = Box::new(RoomChange::Save(Box::new(record)));
        let request = Request::Commit { room: key.clone(), commit: MAKING, shard: self.number, change };
        if self.back_office.try_send(request).is_err() {
            let rejection = self.back_office_busy();
            self.give_up_waking(&key, &rejection);
        }
    }

    /// The commit of a room that was just made has ended.
    pub(super) fn made(&mut self, room: &RoomKey, result: Result<(), StoreError>) {
        let Some(RoomSlot::Waking(waking)) = self.keys.get_mut(room) else { return };
        let Some((made, hash)) = waking.made.take() else { return };
        match result {
            Ok(()) => {
                // The first who waits made it: it is seated as one who joins, and by right.
                if let Some(SeatAsk { wish, .. }) = waking.asks.front_mut() {
                    *wish = Wish::Join { name: String::new(), password: None };
                }
                let first = waking.asks.pop_front();
                let (rest, questions) = (std::mem::take(&mut waking.asks), std::mem::take(&mut waking.questions));
                let place = self.open(*made);
                if let Some(ask) = first {
                    self.consider(place, ask, hash);
                }
                self.serve_waiting(place, rest.into(), questions);
            }
            Err(error) => {
                tracing::warn!(%room, %error, "a new room was not saved");
                self.give_up_waking(room, &Self::store_unavailable());
            }
        }
    }

    /// A room is there: serve who waits for it.
    fn activate(&mut self, room: Room) {
        let waking = match self.keys.remove(room.key()) {
            Some(RoomSlot::Waking(waking)) => *waking,
            Some(RoomSlot::Active(place)) => {
                // Loaded twice: the living one counts.
                self.keys.insert(room.key().clone(), RoomSlot::Active(place));
                return;
            }
            None => Waking::new(self.now),
        };
        let place = self.open(room);
        self.serve_waiting(place, waking.asks.into(), waking.questions);
    }

    fn serve_waiting(&mut self, place: usize, asks: Vec<SeatAsk>, questions: Vec<ReplyTo>) {
        for ask in asks {
            self.consider(place, ask, None);
        }
        let room = self.rooms[place].key.clone();
        for question in questions {
            self.tell_room_info(room.clone(), question);
        }
    }

    fn give_up_waking(&mut self, room: &RoomKey, rejection: &Rejection) {
        if self.active(room).is_some() {
            return;
        }
        let Some(RoomSlot::Waking(waking)) = self.keys.remove(room) else { return };
        for ask in waking.asks {
            self.refuse_seat(&ask, rejection.clone());
        }
        for question in waking.questions {
            let message = ClientMessage::rejection(question.request_id, rejection.clone());
            self.reply(question, message);
        }
    }

    /// An active room considers a wish. `verified` is the hash that the asker's password was found to fit.
    fn consider(&mut self, place: usize, ask: SeatAsk, verified: Option<String>) {
        let (proof, password) = match (&ask.wish, verified) {
            (Wish::Create(_), _) => {
                let message = "a room of that name exists: join it, or choose another name";
                return self.refuse_seat(&ask, Rejection::new(ErrorCode::RoomExists, message));
            }
            (_, Some(hash)) => (PasswordProof::Verified { hash }, None),
            (Wish::Join { password: Some(password), .. }, None) => (PasswordProof::Unverified, Some(password.clone())),
            (Wish::Join { password: None, .. } | Wish::Lobby(_), None) => (PasswordProof::Absent, None),
        };
        let request = SeatRequest { connection: ask.connection, profile: &ask.profile, address: ask.address, proof };
        match self.rooms[place].room.reserve(request, self.now) {
            Ok(SeatOutcome::Held { until }) => {
                let cell = &mut self.rooms[place];
                cell.held_until = cell.held_until.max(until);
                self.answer_seat(&ask, Ok(()));
            }
            Ok(SeatOutcome::NeedsPassword { hash }) => match password {
                Some(password) => {
                    let room = ask.room.clone();
                    self.ask_password(room, Waiting::Seat(Box::new(ask)), PasswordTask::Check { password, hash });
                }
                // The password was changed while the old one was checked.
                None => self.refuse_seat(&ask, wrong_password()),
            },
            Err(rejection) => self.refuse_seat(&ask, rejection),
        }
    }

    /// Has a password hashed or checked off the shard.
    pub(super) fn ask_password(&mut self, room: RoomKey, waiting: Waiting, task: PasswordTask) {
        if let Err((waiting, rejection)) = self.try_ask_password(room.clone(), waiting, task) {
            self.password_done(room, waiting, PasswordOutcome::Failed(rejection));
        }
    }

    /// The same, giving back what was to wait where the back office has no room for it.
    fn try_ask_password(
        &mut self,
        room: RoomKey,
        waiting: Waiting,
        task: PasswordTask,
    ) -> Result<(), (Waiting, Rejection)> {
        match self.back_office.try_send(Request::Password { room, shard: self.number, waiting, task }) {
            Err(Request::Password { waiting, .. }) => Err((waiting, self.back_office_busy())),
            _ => Ok(()),
        }
    }

    /// A password was hashed or checked.
    pub(super) fn password_done(&mut self, room: RoomKey, waiting: Waiting, outcome: PasswordOutcome) {
        match (waiting, outcome) {
            (Waiting::Seat(ask), PasswordOutcome::Checked { hash, right: true }) => match self.active(&room) {
                Some(place) => self.consider(place, *ask, Some(hash)),
                // It retired meanwhile: begin again.
                None => self.take_ask(*ask),
            },
            (Waiting::Seat(ask), PasswordOutcome::Checked { right: false, .. }) => {
                self.refuse_seat(&ask, wrong_password());
            }
            (Waiting::Seat(ask), PasswordOutcome::Hashed(hash)) => self.create_with_password(&room, *ask, hash),
            (Waiting::Seat(ask), PasswordOutcome::Failed(rejection)) => {
                self.refuse_seat(&ask, rejection);
                // Others may wait behind it for the room that it was to make; one that is being loaded is none of its.
                if self.set_hashing(&room, false) {
                    self.make(&room);
                }
            }
            (Waiting::Update { reply, command }, outcome) => self.update_with_password(&room, reply, &command, outcome),
        }
    }

    fn create_with_password(&mut self, room: &RoomKey, ask: SeatAsk, hash: String) {
        let Wish::Create(command) = &ask.wish else { return };
        // It is there by now, or was given up and is looked for again: as one who asks afresh.
        if !self.set_hashing(room, false) {
            return self.take_ask(ask);
        }
        match NewRoom::by_command(command, &self.settings.rooms) {
            Ok(new) => self.create(NewRoom { password_hash: Some(hash), ..new }, ask),
            Err(rejection) => {
                self.refuse_seat(&ask, rejection);
                self.make(room);
            }
        }
    }

    fn update_with_password(
        &mut self,
        room: &RoomKey,
        reply: ReplyTo,
        command: &crate::protocol::wire::UpdateRoomCommand,
        outcome: PasswordOutcome,
    ) {
        let gone = || Rejection::new(ErrorCode::NotInRoom, "you have left the room meanwhile: nothing was changed");
        let member = self.ids.get(&reply.connection).and_then(|key| self.peers[*key].seat);
        let result = match (outcome, self.active(room), member) {
            (PasswordOutcome::Failed(rejection), _, _) => Err(rejection),
            (PasswordOutcome::Hashed(hash), Some(place), Some(seat)) if seat.room == place => {
                let password = PasswordChange::Set { hash };
                let Seat { participant, .. } = seat;
                self.in_room(seat, |room, now, effects| {
                    room.update((participant, reply.request_id), command, password, now, effects)
                })
            }
            _ => Err(gone()),
        };
        if let Err(rejection) = result {
            let message = ClientMessage::rejection(reply.request_id, rejection);
            self.reply(reply, message);
        }
    }

    /// A connection that was given a seat will not take it.
    pub(super) fn release_seat(&mut self, room: &RoomKey, connection: ConnectionId) {
        if let Some(place) = self.active(room) {
            self.rooms[place].room.cancel_seat(connection);
        }
    }

    fn refuse_seat(&mut self, ask: &SeatAsk, rejection: Rejection) {
        self.answer_seat(ask, Err(rejection));
    }

    fn answer_seat(&mut self, ask: &SeatAsk, result: Result<(), Rejection>) {
        let answer = SeatAnswer { connection: ask.connection, ticket: ask.ticket, room: ask.room.clone(), result };
        self.post(ask.shard, ShardMessage::SeatAnswer(Box::new(answer)));
    }
}

fn wrong_password() -> Rejection {
    Rejection::new(ErrorCode::WrongPassword, "that is not the room's password")
}
