//! The actor of a room: a virtual one, which lives from the first message for its key until it has been empty for a while.
//!
//! Any name may be that of a saved room, so it is looked for first; lobbies are never saved. What comes meanwhile waits, in
//! order. Where there is no such room the first who asks for a seat, and may, makes it; while its password is hashed and
//! the room committed, the others' messages are stashed.

use std::collections::HashMap;

use crate::{
    actor::{
        actor::{Activation, Actor, Farewell, Handled, Undelivered},
        context::{Activating, Context},
        envelope::ActorId,
        kind_figures::DeadReason,
        monitor::Cause,
    },
    domain::room::{Effect, NewRoom, Room},
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::{Participant, RoomKey, UserId},
        time::Timestamp,
        wire::ClientMessage,
    },
    server::{
        library::{Library, LibraryMessage, LibraryReply},
        message::{Asker, PasswordOutcome, ReplyTo, RoomMessage, SeatAsk, Waiting, Wish},
        spill::away::Away,
        stage::Stage,
    },
};

/// A room's actor.
pub struct RoomActor {
    pub(super) state: RoomState,
    /// Who waits for what is being handled: told, where that fails.
    at_hand: Option<AtHand>,
}

/// Who waits for the answer to a message.
enum AtHand {
    /// A connection that asks for a seat.
    Seat(Asker),
    /// Who has requested something.
    Request(ReplyTo),
}

/// What there is under a room's key.
pub enum RoomState {
    /// Nothing.
    Nobody,
    /// A room that waits for the hash of its password.
    Hashing,
    /// A room that waits for its commit.
    Making {
        /// The room.
        room: Box<Room>,
        /// Who made it.
        ask: Box<SeatAsk>,
    },
    /// A room.
    Open(Box<RoomCell>),
}

impl AtHand {
    /// What it waits for has failed.
    fn failed(self, world: &mut Stage) {
        match self {
            Self::Seat(asker) => world.refuse_seat(&asker, Stage::room_failed()),
            Self::Request(reply) => {
                let message = ClientMessage::rejection(reply.request_id, Stage::room_failed());
                world.reply(reply, message);
            }
        }
    }
}

/// A room, and what its effects need.
pub struct RoomCell {
    /// Its key.
    pub key: RoomKey,
    /// The machine that decides.
    pub room: Room,
    /// Who has made it and has not sat down in it yet: asking for it to be made once more is asking for a seat.
    pub made_for: Option<UserId>,
    /// Its members here: their places in the shard's table of sockets, by participant.
    pub members: Vec<(Participant, usize)>,
    /// Its members elsewhere.
    pub away: Away,
    /// When it last had a message for all its members.
    pub spoke_at: Timestamp,
    /// It has frames that wait for its gathering to end.
    pub is_gathering: bool,
    /// It has positions of avatars that wait for a note, or for their time to be over.
    pub has_cursors: bool,
    /// What follows its commits, by their number.
    pub commits: HashMap<u64, Commit>,
    /// The number of its last commit.
    pub last_commit: u64,
    /// Passwords that are being hashed or checked for it: it does not go before they are.
    pub passwords: usize,
    /// Until when seats in it are held, at the latest: it does not go before.
    pub held_until: Timestamp,
    /// It has been empty beyond its grace time, and goes when no commit of it is waited for.
    pub is_retiring: bool,
    /// Its directory entry has changed.
    pub is_unlisted: bool,
    /// When its directory entry was last written.
    pub listed_at: Timestamp,
    /// Timestamps it had clamped when that was last counted.
    pub clamped: u64,
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// On its room's shard: its place in the table of sockets.
    Here(usize),
    /// On another.
    Away,
}

/// What follows a commit.
#[derive(Debug)]
pub struct Commit {
    /// What to do when it is durable.
    pub then: Vec<Effect>,
    /// Who is told when it is not, and who may have moved on meanwhile.
    pub request: Option<(Participant, ReplyTo)>,
}

impl Commit {
    /// Somebody or something waits for it.
    pub fn is_awaited(&self) -> bool {
        self.request.is_some() || !self.then.is_empty()
    }
}

impl RoomCell {
    /// A room without members.
    pub fn new(room: Room, now: Timestamp) -> Self {
        Self {
            key: room.key().clone(),
            room,
            made_for: None,
            members: Vec::new(),
            away: Away::default(),
            spoke_at: Timestamp::default(),
            is_gathering: false,
            has_cursors: false,
            commits: HashMap::new(),
            last_commit: 0,
            passwords: 0,
            held_until: now,
            is_retiring: false,
            is_unlisted: true,
            listed_at: now,
            clamped: 0,
        }
    }

    /// Where a member's connection is in the shard's table of sockets.
    pub fn member(&self, participant: Participant) -> Option<usize> {
        let index = self.members.binary_search_by_key(&participant, |&(participant, _)| participant).ok()?;
        Some(self.members[index].1)
    }

    /// Adds a member.
    pub fn insert(&mut self, participant: Participant, key: usize) {
        match self.members.binary_search_by_key(&participant, |&(participant, _)| participant) {
            Ok(index) => self.members[index].1 = key,
            Err(index) => self.members.insert(index, (participant, key)),
        }
    }

    /// Takes a member out, wherever it is.
    pub fn remove(&mut self, participant: Participant) {
        match self.members.binary_search_by_key(&participant, |&(participant, _)| participant) {
            Ok(index) => {
                self.members.remove(index);
            }
            Err(_) => {
                self.away.remove(participant);
            }
        }
    }

    /// Where a member is.
    pub fn whereabouts(&self, participant: Participant) -> Option<Whereabouts> {
        match self.member(participant) {
            Some(key) => Some(Whereabouts::Here(key)),
            None => self.away.has(participant).then_some(Whereabouts::Away),
        }
    }

    /// Nobody is in it, here or elsewhere.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.away.is_empty()
    }

    /// It is empty beyond its grace time, and nobody is on the way to it or waits for something of it.
    pub fn may_go(&self, now: Timestamp) -> bool {
        let is_awaited = self.held_until > now || self.passwords > 0 || self.commits.values().any(Commit::is_awaited);
        self.is_retiring && self.is_empty() && !is_awaited
    }
}

impl RoomActor {
    /// An actor of a room that is there.
    pub fn open(room: Room, now: Timestamp) -> Self {
        Self::of(RoomState::Open(Box::new(RoomCell::new(room, now))))
    }

    /// One whose room waits for its commit.
    #[cfg(test)]
    pub fn making(room: Room, ask: Box<SeatAsk>) -> Self {
        Self::of(RoomState::Making { room: Box::new(room), ask })
    }

    fn of(state: RoomState) -> Self {
        Self { state, at_hand: None }
    }

    /// Who waits for the answer to a message.
    fn waits_for(&self, message: &RoomMessage) -> Option<AtHand> {
        let seat = |ask: &SeatAsk| AtHand::Seat(ask.asker.clone());
        match message {
            RoomMessage::Seat(ask) | RoomMessage::Password { waiting: Waiting::Seat(ask), .. } => Some(seat(ask)),
            RoomMessage::Made(_) => match &self.state {
                RoomState::Making { ask, .. } => Some(seat(ask)),
                _ => None,
            },
            RoomMessage::Info(reply) | RoomMessage::Password { waiting: Waiting::Update { reply, .. }, .. } => {
                Some(AtHand::Request(reply.clone()))
            }
            RoomMessage::Committed { commit, .. } => {
                let (_, reply) = self.cell()?.commits.get(commit)?.request.clone()?;
                Some(AtHand::Request(reply))
            }
            RoomMessage::ReleaseSeat(_) | RoomMessage::Adopt(_) => None,
        }
    }

    /// The room, where there is one.
    pub fn cell(&self) -> Option<&RoomCell> {
        if let RoomState::Open(cell) = &self.state { Some(cell) } else { None }
    }

    /// The room, to change.
    pub fn cell_mut(&mut self) -> Option<&mut RoomCell> {
        if let RoomState::Open(cell) = &mut self.state { Some(cell) } else { None }
    }

    /// There is no such room: a seat's asker makes it, if it may.
    fn make(&mut self, ask: Box<SeatAsk>, cx: &mut Context<'_, Self>) {
        let limits = cx.world.settings.rooms.clone();
        let new = match &ask.wish {
            // A password is hashed off the shard first; the others wait.
            Wish::Create(command) if !command.password.is_empty() => {
                let password = command.password.clone();
                self.state = RoomState::Hashing;
                let id = cx.id();
                return cx.world.hash_password(id, Waiting::Seat(ask), password);
            }
            Wish::Create(command) => NewRoom::by_command(command, &limits),
            Wish::Join { name, .. } => NewRoom::by_joining(name, &limits),
            Wish::Lobby(number) => Ok(NewRoom::lobby(*number, &limits)),
        };
        match new {
            Ok(new) => self.create(new, ask, cx),
            Err(rejection) => cx.world.refuse_seat(&ask.asker, rejection),
        }
    }

    /// Makes a room; a saved one is committed before anybody sits in it.
    fn create(&mut self, new: NewRoom, ask: Box<SeatAsk>, cx: &mut Context<'_, Self>) {
        let (saved, now) = (new.saved, cx.world.now);
        let creator = matches!(ask.wish, Wish::Create(_)).then_some(&ask.profile);
        let room = Room::create(new, creator, cx.world.settings.rooms.clone(), now);
        if saved {
            let change = crate::domain::room::RoomChange::Save(Box::new(room.record(now)));
            self.state = RoomState::Making { room: Box::new(room), ask };
            let timeout = cx.world.settings.commit_timeout;
            cx.ask::<Library>(&(), LibraryMessage::Commit(Box::new(change)), timeout, |answer| {
                RoomMessage::Made(crate::server::library::kept(answer))
            });
        } else {
            self.state = RoomState::Open(Box::new(RoomCell::new(room, now)));
            self.consider(ask, None, cx);
        }
    }

    /// The commit of a room that was just made has ended.
    fn made(&mut self, result: &Result<(), crate::store::StoreError>, cx: &mut Context<'_, Self>) {
        let state = std::mem::replace(&mut self.state, RoomState::Nobody);
        let RoomState::Making { room, ask } = state else {
            self.state = state;
            return;
        };
        match result {
            Ok(()) => {
                let mut cell = RoomCell::new(*room, cx.world.now);
                cell.made_for = Some(ask.profile.user_id.clone());
                self.state = RoomState::Open(Box::new(cell));
                self.consider(ask, None, cx);
            }
            Err(error) => {
                tracing::warn!(room = %ask.asker.room, %error, "a new room was not saved");
                cx.world.refuse_seat(&ask.asker, Stage::store_unavailable());
            }
        }
        cx.unstash_all();
    }

    /// The password of a room that is to be made was hashed, or not.
    fn hashed(&mut self, ask: Box<SeatAsk>, outcome: PasswordOutcome, cx: &mut Context<'_, Self>) {
        self.state = RoomState::Nobody;
        let limits = cx.world.settings.rooms.clone();
        let new = match (outcome, &ask.wish) {
            (PasswordOutcome::Hashed(hash), Wish::Create(command)) => {
                NewRoom::by_command(command, &limits).map(|new| NewRoom { password_hash: Some(hash), ..new })
            }
            (PasswordOutcome::Failed(rejection), _) => Err(rejection),
            // Only that is hashed for a seat.
            _ => Err(Stage::room_failed()),
        };
        match new {
            Ok(new) => self.create(new, ask, cx),
            Err(rejection) => cx.world.refuse_seat(&ask.asker, rejection),
        }
        if !matches!(self.state, RoomState::Making { .. }) {
            cx.unstash_all();
        }
    }
}

impl Actor for RoomActor {
    const KIND: &'static str = "room";

    type World = Stage;
    type Key = RoomKey;
    type Message = RoomMessage;
    type Reply = ();
    type Error = Rejection;

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        if let Some(RoomMessage::Seat(ask)) = cx.first
            && let Wish::Lobby(number) = ask.wish
        {
            let limits = &cx.world.settings.rooms;
            let room = Room::create(NewRoom::lobby(number, limits), None, limits.clone(), cx.world.now);
            return Activation::Ready(Self::open(room, cx.world.now));
        }
        let (remote, key) = (cx.remote(), cx.key.clone());
        let (clock, settings) = (cx.world.clock.clone(), cx.world.settings.clone());
        Activation::Loading(Box::pin(async move {
            let load = LibraryMessage::Load(key.clone());
            match remote.ask::<Library>(&(), load, settings.join_timeout).await {
                Ok(LibraryReply::Loaded(Some(saved))) => {
                    let now = clock.now();
                    Ok(Self::open(Room::restore(saved.record, saved.chat, settings.rooms.clone(), now), now))
                }
                Ok(_) => Ok(Self::of(RoomState::Nobody)),
                Err(error) => {
                    tracing::warn!(room = %key, %error, "a room could not be loaded");
                    Err(Stage::store_unavailable())
                }
            }
        }))
    }

    fn handle(&mut self, message: RoomMessage, cx: &mut Context<'_, Self>) -> Handled<Rejection> {
        cx.world.now = cx.world.clock.now();
        self.at_hand = self.waits_for(&message);
        match (&mut self.state, message) {
            (RoomState::Open(_), RoomMessage::Seat(ask)) => self.consider(ask, None, cx),
            (RoomState::Open(cell), RoomMessage::ReleaseSeat(connection)) => cell.room.cancel_seat(connection),
            (RoomState::Open(cell), RoomMessage::Adopt(user)) => {
                let (id, now, mut effects) = (cx.id(), cx.world.now, Vec::new());
                cell.room.adopt(&user, now, &mut effects);
                cx.world.perform(id, cell, &mut effects);
            }
            (RoomState::Open(cell), RoomMessage::Info(reply)) => {
                let answer = crate::protocol::wire::client_message::Message::RoomInfo(cell.room.info());
                let message = ClientMessage::answer(reply.request_id, answer);
                cx.world.reply(reply, message);
            }
            (RoomState::Open(cell), RoomMessage::Committed { commit, result }) => {
                let id = cx.id();
                cx.world.committed(id, cell, commit, result);
                if cx.is_ending() && cell.commits.is_empty() {
                    cx.end();
                }
            }
            (RoomState::Open(_), RoomMessage::Password { waiting, outcome }) => {
                self.password_done(waiting, outcome, cx)
            }
            (RoomState::Nobody, RoomMessage::Seat(ask)) => self.make(ask, cx),
            (RoomState::Nobody, RoomMessage::Info(reply)) => {
                let rejection = Rejection::new(ErrorCode::RoomNotFound, "there is no room of that name");
                let message = ClientMessage::rejection(reply.request_id, rejection);
                cx.world.reply(reply, message);
            }
            (RoomState::Hashing, RoomMessage::Password { waiting: Waiting::Seat(ask), outcome }) => {
                self.hashed(ask, outcome, cx);
            }
            (RoomState::Making { .. }, RoomMessage::Made(result)) => self.made(&result, cx),
            (
                RoomState::Hashing | RoomState::Making { .. },
                message @ (RoomMessage::Seat(_)
                | RoomMessage::Info(_)
                | RoomMessage::Adopt(_)
                | RoomMessage::ReleaseSeat(_)),
            ) => cx.stash(message),
            // A room that had gone meanwhile: who still waits is answered as one who comes now.
            (_, RoomMessage::Password { waiting, outcome }) => cx.world.password_for_nobody(waiting, outcome),
            (
                _,
                RoomMessage::ReleaseSeat(_)
                | RoomMessage::Adopt(_)
                | RoomMessage::Committed { .. }
                | RoomMessage::Made(_),
            ) => {}
        }
        self.at_hand = None;
        if matches!(self.state, RoomState::Nobody) {
            cx.retire();
        }
        Ok(())
    }

    fn recovered(&mut self, cx: &mut Context<'_, Self>) {
        if let Some(at_hand) = self.at_hand.take() {
            at_hand.failed(cx.world);
        }
        match self.state {
            RoomState::Hashing | RoomState::Making { .. } => {}
            RoomState::Open(_) => cx.unstash_all(),
            RoomState::Nobody => {
                cx.unstash_all();
                cx.retire();
            }
        }
        // Its members' input has waited, in the kernel.
        if let Some(cell) = self.cell() {
            for &(_, key) in &cell.members {
                cx.world.queue_read(key);
            }
        }
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        let Some(cell) = self.cell_mut() else { return Farewell::Done };
        // By a shutdown there may still be somebody in it.
        for (_, key) in std::mem::take(&mut cell.members) {
            cx.world.close_without_room(key, CloseCode::Restarting);
        }
        cx.world.end_branches(cell, CloseCode::Restarting);
        cx.world.unlist(&cell.key);
        if cell.commits.is_empty() { Farewell::Done } else { Farewell::Later }
    }

    /// It failed too often: its members can not play on without it.
    fn lost(world: &mut Stage, key: Option<&RoomKey>, mut value: Option<Box<Self>>, cause: &Cause) {
        if let Some(at_hand) = value.as_mut().and_then(|actor| actor.at_hand.take()) {
            at_hand.failed(world);
        }
        // Who waits for a commit may have moved on, and play elsewhere: nobody else will answer it.
        let commits = value.as_mut().and_then(|actor| actor.cell_mut()).map(|cell| std::mem::take(&mut cell.commits));
        let mut commits: Vec<_> = commits.unwrap_or_default().into_iter().collect();
        commits.sort_unstable_by_key(|(number, _)| *number);
        for (_, reply) in commits.into_iter().filter_map(|(_, commit)| commit.request) {
            let message = "the room failed before this was known to be kept: look whether it was, and try again";
            let rejection = Rejection::new(ErrorCode::Server, message);
            world.reply(reply.clone(), ClientMessage::rejection(reply.request_id, rejection));
        }
        let cell = value.as_mut().and_then(|actor| actor.cell_mut());
        let members = cell.map(|cell| {
            world.end_branches(cell, CloseCode::Internal);
            cell.members.clone()
        });
        if let Some(key) = key {
            tracing::error!(room = %key, %cause, members = members.as_ref().map_or(0, Vec::len), "a room ends with its members");
            world.unlist(key);
        }
        for (_, key) in members.unwrap_or_default() {
            world.close_without_room(key, CloseCode::Internal);
        }
    }

    fn undelivered(world: &mut Stage, _: Option<&RoomKey>, message: RoomMessage, why: &Undelivered<Self>) {
        let rejection = match why {
            Undelivered::LoadFailed(rejection) => rejection.clone(),
            Undelivered::For(DeadReason::Stopped) => {
                Rejection::new(ErrorCode::ShuttingDown, "the server is shutting down: come back in a few seconds")
            }
            Undelivered::For(DeadReason::ActorFailed | DeadReason::LoadFailed) => Stage::room_failed(),
            Undelivered::For(_) => {
                let message = "too many wait for this room: try again in a moment";
                Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 1000)
            }
        };
        match message {
            RoomMessage::Seat(ask) | RoomMessage::Password { waiting: Waiting::Seat(ask), .. } => {
                world.refuse_seat(&ask.asker, rejection)
            }
            RoomMessage::Info(reply) | RoomMessage::Password { waiting: Waiting::Update { reply, .. }, .. } => {
                let message = ClientMessage::rejection(reply.request_id, rejection);
                world.reply(reply, message);
            }
            RoomMessage::ReleaseSeat(_)
            | RoomMessage::Adopt(_)
            | RoomMessage::Committed { .. }
            | RoomMessage::Made(_) => {}
        }
    }
}

/// Where a connection sits: its room's actor, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The room.
    pub room: ActorId,
    /// The connection's number in it.
    pub participant: Participant,
}
