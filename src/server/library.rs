//! The documents' client: an actor on the back office's host, which shards ask and never wait for.

use std::sync::Arc;

use crate::{
    actor::{
        actor::{Actor, Handled},
        context::Context,
        deferred::Owed,
        envelope::{Answer, AskError},
        system::System,
    },
    domain::room::RoomChange,
    protocol::ids::RoomKey,
    store::{Documents, StoreError, documents::SavedRoom},
};

/// Answers for the documents.
pub struct Library {
    documents: Arc<dyn Documents>,
}

impl Library {
    /// Over this store.
    pub fn new(documents: Arc<dyn Documents>) -> Self {
        Self { documents }
    }
}

/// What it is asked.
#[derive(Debug)]
pub enum LibraryMessage {
    /// Look for a saved room.
    Load(RoomKey),
    /// Keep a change of a room. Changes are kept in the order in which they come.
    Commit(Box<RoomChange>),
    /// The store has answered.
    Done {
        /// Whom.
        owed: Option<Owed>,
        /// What.
        result: Result<LibraryReply, StoreError>,
    },
}

/// What it answers.
#[derive(Debug)]
pub enum LibraryReply {
    /// What there is under the key; none where the room was never saved.
    Loaded(Option<Box<SavedRoom>>),
    /// The change is durable.
    Kept,
}

/// Whether a change was kept, from the answer to a commit.
pub fn kept(answer: Answer<LibraryReply, StoreError>) -> Result<(), StoreError> {
    match answer {
        Ok(_) => Ok(()),
        Err(AskError::Handler(error)) => Err(error),
        Err(AskError::TimedOut) => Err(StoreError::TimedOut),
        Err(_) => Err(StoreError::Busy),
    }
}

impl Actor for Library {
    const KIND: &'static str = "library";

    type World = System;
    type Key = ();
    type Message = LibraryMessage;
    type Reply = LibraryReply;
    type Error = StoreError;

    fn handle(&mut self, message: LibraryMessage, cx: &mut Context<'_, Self>) -> Handled<StoreError> {
        match message {
            LibraryMessage::Load(key) => {
                let (documents, owed) = (self.documents.clone(), cx.owe());
                let load = async move { documents.load_room(&key).await.map(|saved| saved.map(Box::new)) };
                cx.spawn(load, |result| LibraryMessage::Done { owed, result: result.map(LibraryReply::Loaded) });
            }
            LibraryMessage::Commit(change) => {
                // The store gives it its place in the order here and now; only its durability is waited for.
                let (saved, owed) = (self.documents.save(*change), cx.owe());
                cx.spawn(saved, |result| LibraryMessage::Done { owed, result: result.map(|()| LibraryReply::Kept) });
            }
            LibraryMessage::Done { owed: Some(owed), result } => cx.answer(owed, result),
            LibraryMessage::Done { owed: None, .. } => {}
        }
        Ok(())
    }

    fn may_retire(&self) -> bool {
        false
    }
}
