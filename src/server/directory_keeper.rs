//! The directory's actor, on the back office's host: what shards ask and tell of the list of rooms.
//!
//! Entries are written one after the other, the newest of a room in the place of what waits: the directory may lag, and does
//! not grow for it. While the state store fails, a circuit breaker has everybody answered at once, without it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    actor::{
        actor::{Actor, Handled},
        breaker::{Breaker, BreakerSettings, Outcome, Permit},
        context::Context,
        deferred::Owed,
        system::System,
    },
    domain::{room::RoomSummary, room_settings::RoomKind},
    protocol::{ids::RoomKey, wire::RoomList},
    server::directory::Directory,
    store::{State, StoreError},
};

/// Keeps the directory.
pub struct DirectoryKeeper {
    directory: Arc<Directory>,
    breaker: Breaker,
    /// What is to be written of each room; none: its entry is to go.
    waiting: HashMap<RoomKey, Option<Box<RoomSummary>>>,
    /// The rooms of those, in order.
    order: VecDeque<RoomKey>,
    is_writing: bool,
}

impl DirectoryKeeper {
    /// Over this store.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self {
            directory: Arc::new(Directory::new(state)),
            breaker: Breaker::new(BreakerSettings::default()),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            is_writing: false,
        }
    }

    fn note(&mut self, room: RoomKey, entry: Option<Box<RoomSummary>>, cx: &mut Context<'_, Self>) {
        if self.waiting.insert(room.clone(), entry).is_none() {
            self.order.push_back(room);
        }
        if !self.is_writing {
            self.write_next(cx);
        }
    }

    fn write_next(&mut self, cx: &mut Context<'_, Self>) {
        let next = self.order.pop_front().and_then(|room| Some((self.waiting.remove(&room)?, room)));
        self.is_writing = next.is_some();
        let Some((entry, room)) = next else { return };
        let now = cx.now();
        let Ok(permit) = self.breaker.try_acquire(now) else {
            // The room's shard writes its entry again before it would have expired.
            let _ = cx.tell_self(DirectoryMessage::Written(None));
            return;
        };
        let directory = self.directory.clone();
        let write = async move {
            match entry {
                Some(summary) => directory.write(*summary).await,
                None => directory.erase(&room).await,
            }
        };
        cx.spawn(write, |result| DirectoryMessage::Written(Some((permit, result))));
    }

    fn report<T>(&mut self, permit: Permit, result: &Result<T, StoreError>, cx: &mut Context<'_, Self>) {
        let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failure };
        let now = cx.now();
        self.breaker.report(permit, outcome, now);
    }
}

/// What it is asked and told.
#[derive(Debug)]
pub enum DirectoryMessage {
    /// The lowest lobby with room.
    PickLobby,
    /// A page of the public rooms.
    ListRooms {
        /// From 1.
        page: u32,
        /// Rooms a page.
        limit: u32,
        /// Only of this kind.
        kind: Option<RoomKind>,
    },
    /// Write a room's entry.
    List(Box<RoomSummary>),
    /// Take a room's entry out.
    Unlist(RoomKey),
    /// An entry was written, or not: the store failed, or was not to be asked.
    Written(Option<(Permit, Result<(), StoreError>)>),
    /// The store has answered.
    Read {
        /// Whom.
        owed: Option<Owed>,
        /// Its leave to ask the store.
        permit: Permit,
        /// What.
        result: Result<DirectoryReply, StoreError>,
    },
}

/// What it answers.
#[derive(Debug)]
pub enum DirectoryReply {
    /// The lobby's number.
    Lobby(u32),
    /// The page.
    Rooms(RoomList),
}

impl Actor for DirectoryKeeper {
    const KIND: &'static str = "directory";

    type World = System;
    type Key = ();
    type Message = DirectoryMessage;
    type Reply = DirectoryReply;
    type Error = StoreError;

    fn handle(&mut self, message: DirectoryMessage, cx: &mut Context<'_, Self>) -> Handled<StoreError> {
        match message {
            DirectoryMessage::List(summary) => self.note(summary.key.clone(), Some(summary), cx),
            DirectoryMessage::Unlist(room) => self.note(room, None, cx),
            DirectoryMessage::Written(written) => {
                if let Some((permit, result)) = written {
                    self.report(permit, &result, cx);
                }
                self.write_next(cx);
            }
            DirectoryMessage::Read { owed, permit, result } => {
                self.report(permit, &result, cx);
                if let Some(owed) = owed {
                    cx.answer(owed, result);
                }
            }
            question @ (DirectoryMessage::PickLobby | DirectoryMessage::ListRooms { .. }) => {
                let now = cx.now();
                let permit = self.breaker.try_acquire(now).map_err(|open| {
                    StoreError::Unavailable(format!("it failed before; again in {:?}", open.retry_after))
                })?;
                let (directory, owed) = (self.directory.clone(), cx.owe());
                let read = async move {
                    match question {
                        DirectoryMessage::ListRooms { page, limit, kind } => {
                            directory.page(page, limit, kind, now).await.map(DirectoryReply::Rooms)
                        }
                        _ => directory.pick_lobby().await.map(DirectoryReply::Lobby),
                    }
                };
                cx.spawn(read, |result| DirectoryMessage::Read { owed, permit, result });
            }
        }
        Ok(())
    }

    fn may_retire(&self) -> bool {
        false
    }
}
