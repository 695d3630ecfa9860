//! Lanes: a room's changes one after the other, in the order in which they were asked for, beside those of other rooms.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

use crate::{
    domain::room::RoomChange,
    protocol::ids::RoomKey,
    store::{
        StoreError,
        mongo::{
            link::{Failure, Link},
            rooms,
        },
        state::StoreFuture,
    },
};

/// Something to be done in a room's lane.
#[derive(Debug)]
pub enum Errand {
    /// A change.
    Change(RoomChange),
    /// Delete the room, where it has still this revision.
    Forget {
        /// Which.
        room: RoomKey,
        /// As it was when it was found.
        revision: u64,
    },
}

impl Errand {
    fn room(&self) -> &RoomKey {
        match self {
            Self::Change(RoomChange::Save(record)) => &record.key,
            Self::Change(RoomChange::Chat { key, .. } | RoomChange::Delete(key)) => key,
            Self::Forget { room, .. } => room,
        }
    }

    async fn run(self, link: &Link) -> Result<bool, Failure> {
        match self {
            Self::Change(change) => rooms::apply(link, change).await.map(|()| true),
            Self::Forget { room, revision } => match rooms::delete(link, &room, Some(revision)).await {
                // It has been used meanwhile.
                Err(Failure::Store(StoreError::Conflict)) => Ok(false),
                outcome => outcome,
            },
        }
    }
}

struct Waiting {
    errand: Errand,
    deadline: Instant,
    reply: oneshot::Sender<Result<bool, StoreError>>,
}

/// The lanes, each a task with a bounded queue.
pub struct Lanes {
    link: Arc<Link>,
    /// None once they are closed.
    lanes: Mutex<Option<Vec<mpsc::Sender<Waiting>>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Lanes {
    /// So many lanes, which together hold about so many errands.
    pub fn new(link: Arc<Link>, count: usize, queue: usize) -> Self {
        let (count, mut workers) = (count.max(1), Vec::new());
        let lanes = (0..count).map(|_| {
            let (lane, mut inbox) = mpsc::channel::<Waiting>(queue.div_ceil(count).max(1));
            let link = link.clone();
            workers.push(link.runtime().clone().spawn(async move {
                while let Some(Waiting { errand, deadline, reply }) = inbox.recv().await {
                    let outcome = if deadline <= Instant::now() {
                        Err(link.expire())
                    } else {
                        link.within(deadline, errand.run(&link)).await
                    };
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(outcome);
                }
            }));
            lane
        });
        let lanes = lanes.collect();
        Self { link, lanes: Mutex::new(Some(lanes)), workers: Mutex::new(workers) }
    }

    /// Gives an errand its place now; ready when it is done.
    pub fn run(&self, errand: Errand) -> StoreFuture<'static, bool> {
        let (reply, answer) = oneshot::channel();
        let deadline = self.link.deadline();
        let mut hasher = DefaultHasher::new();
        errand.room().hash(&mut hasher);
        let sent = {
            let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            match &*lanes {
                None => Err(closed()),
                Some(lanes) => {
                    let lane = &lanes[(hasher.finish() % lanes.len() as u64) as usize];
                    lane.try_send(Waiting { errand, deadline, reply }).map_err(|error| match error {
                        mpsc::error::TrySendError::Full(_) => self.link.refuse(),
                        mpsc::error::TrySendError::Closed(_) => closed(),
                    })
                }
            }
        };
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| closed())?
        })
    }

    /// Takes no errands any more, and waits for those that it has.
    pub async fn close(&self) {
        drop(self.lanes.lock().unwrap_or_else(PoisonError::into_inner).take());
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            let _ = worker.await;
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the documents are closed".to_owned())
}
