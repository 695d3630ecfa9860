//! Clerks: the store's actors, on the back office's host. Each makes one call to the documents at a time.
//!
//! They are a pool: whoever asks goes by way of the [`ClerkPool`](crate::server::clerk_pool::ClerkPool), which bounds what
//! waits for them. What waits past its deadline is dropped unhandled, and counted. While the store fails, a circuit breaker
//! that they share has everybody answered at once, without it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    actor::{
        actor::{Actor, Handled},
        breaker::{Breaker, BreakerState, Outcome, Permit},
        context::Context,
        deferred::Owed,
        moment::Moment,
        system::System,
    },
    server::clerk_pool::{ClerkFigures, Place},
    store::{
        Collection, Collections, StoreError,
        collection::{Draft, Expected, Found, Query, Record},
    },
};

/// Makes calls to the documents, one at a time.
pub struct Clerk {
    store: Arc<dyn Collections>,
    breaker: Arc<SharedBreaker>,
    figures: Arc<ClerkFigures>,
    waiting: VecDeque<Waiting>,
    is_busy: bool,
}

struct Waiting {
    request: ClerkRequest,
    owed: Owed,
    deadline: Option<Moment>,
    place: Place,
}

/// A breaker that all clerks of a store have together.
#[derive(Debug)]
pub struct SharedBreaker(Mutex<Breaker>);

impl SharedBreaker {
    /// Around this one.
    pub fn new(breaker: Breaker) -> Self {
        Self(Mutex::new(breaker))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it lets through.
    pub fn state(&self, now: Moment) -> BreakerState {
        self.lock().state(now)
    }
}

/// What of the documents is asked for; see [`Collections`].
#[derive(Debug)]
pub enum ClerkRequest {
    /// A document.
    Get(&'static Collection, String),
    /// A write.
    Write(&'static Collection, Draft, Expected),
    /// A deletion.
    Delete(&'static Collection, String, Option<u64>),
    /// A list.
    List(&'static Collection, Query),
}

/// What a clerk is sent.
#[derive(Debug)]
pub enum ClerkMessage {
    /// Ask the store.
    Ask(ClerkRequest, Place),
    /// The store has answered.
    Done {
        /// Whom.
        owed: Owed,
        /// Its leave to ask the store.
        permit: Permit,
        /// What.
        result: Result<ClerkReply, StoreError>,
        /// Its place, which is free now.
        place: Place,
    },
}

/// What a clerk answers.
#[derive(Debug)]
pub enum ClerkReply {
    /// The document.
    Got(Option<Record>),
    /// Its revision.
    Written(u64),
    /// Whether it was there.
    Deleted(bool),
    /// The list.
    Listed(Found),
}

impl Clerk {
    /// Over this store.
    pub fn new(store: Arc<dyn Collections>, breaker: Arc<SharedBreaker>, figures: Arc<ClerkFigures>) -> Self {
        Self { store, breaker, figures, waiting: VecDeque::new(), is_busy: false }
    }

    /// Begins with what has waited longest and is still waited for.
    fn begin_next(&mut self, cx: &mut Context<'_, Self>) {
        let now = cx.now();
        while let Some(Waiting { request, owed, deadline, place }) = self.waiting.pop_front() {
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.figures.expired.add(1);
                continue;
            }
            let permit = match self.breaker.lock().try_acquire(now) {
                Ok(permit) => permit,
                Err(open) => {
                    self.figures.unasked.add(1);
                    let detail = format!("it failed before; again in {:?}", open.retry_after);
                    cx.answer(owed, Err(StoreError::Unavailable(detail)));
                    continue;
                }
            };
            self.is_busy = true;
            self.figures.calls.add(1);
            let call = carried_out(self.store.clone(), request);
            cx.spawn(call, |result| ClerkMessage::Done { owed, permit, result, place });
            return;
        }
        self.is_busy = false;
    }
}

async fn carried_out(store: Arc<dyn Collections>, request: ClerkRequest) -> Result<ClerkReply, StoreError> {
    match request {
        ClerkRequest::Get(collection, id) => store.get(collection, &id).await.map(ClerkReply::Got),
        ClerkRequest::Write(collection, draft, expected) => {
            store.write(collection, draft, expected).await.map(ClerkReply::Written)
        }
        ClerkRequest::Delete(collection, id, revision) => {
            store.delete(collection, &id, revision).await.map(ClerkReply::Deleted)
        }
        ClerkRequest::List(collection, query) => store.list(collection, query).await.map(ClerkReply::Listed),
    }
}

/// Whether an answer speaks against further calls: a refusal of the caller's wish does not.
fn outcome(result: &Result<ClerkReply, StoreError>) -> Outcome {
    match result {
        Err(StoreError::Unavailable(_) | StoreError::TimedOut) => Outcome::Failure,
        _ => Outcome::Success,
    }
}

impl Actor for Clerk {
    const KIND: &'static str = "clerk";

    type World = System;
    type Key = ();
    type Message = ClerkMessage;
    type Reply = ClerkReply;
    type Error = StoreError;

    fn handle(&mut self, message: ClerkMessage, cx: &mut Context<'_, Self>) -> Handled<StoreError> {
        match message {
            ClerkMessage::Ask(request, place) => {
                let deadline = cx.metadata().deadline;
                // What nobody waits for is not asked.
                let Some(owed) = cx.owe() else { return Ok(()) };
                self.waiting.push_back(Waiting { request, owed, deadline, place });
                if !self.is_busy {
                    self.begin_next(cx);
                }
            }
            ClerkMessage::Done { owed, permit, result, place } => {
                let now = cx.now();
                self.breaker.lock().report(permit, outcome(&result), now);
                drop(place);
                cx.answer(owed, result);
                self.begin_next(cx);
            }
        }
        Ok(())
    }

    fn may_retire(&self) -> bool {
        false
    }
}
