//! The tokio side's desk for the shards: what they may ask of stores and of password hashing, and never wait for.
//!
//! Requests travel over one bounded channel and are refused, not queued, where it is full. Answers come back as
//! messages into the asking shard's inbox.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::{
    actor::mesh::{Lane, Mesh, SendError},
    domain::{
        room::{RoomChange, RoomSummary},
        room_settings::RoomKind,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::{ConnectionId, RoomKey},
        wire::{ClientMessage, client_message::Message},
    },
    server::{
        directory::Directory,
        message::{Action, PasswordOutcome, ReplyTo, ShardMessage, Waiting},
        passwords::Passwords,
    },
    store::{Documents, State},
};

/// Requests that may wait for the back office.
const CAPACITY: usize = 16_384;
/// How long an answer is kept for a shard whose inbox is full.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What a shard may ask.
#[derive(Debug)]
pub enum Request {
    /// Look for a saved room.
    Load {
        /// The room.
        room: RoomKey,
        /// Who asks.
        shard: usize,
    },
    /// Keep a change of a room. Changes of one room are kept in the order they were asked for.
    Commit {
        /// The room.
        room: RoomKey,
        /// The room's number for it.
        commit: u64,
        /// Who asks.
        shard: usize,
        /// The change.
        change: Box<RoomChange>,
    },
    /// Hash or check a password.
    Password {
        /// The room it is for.
        room: RoomKey,
        /// Who asks.
        shard: usize,
        /// What waits for it there.
        waiting: Waiting,
        /// What to do.
        task: PasswordTask,
    },
    /// The lowest lobby with room.
    PickLobby {
        /// Who asks.
        connection: ConnectionId,
        /// Which of its joins.
        ticket: u64,
        /// Its shard.
        shard: usize,
    },
    /// A page of the public rooms.
    ListRooms {
        /// From 1.
        page: u32,
        /// Rooms a page.
        limit: u32,
        /// Only of this kind.
        kind: Option<RoomKind>,
        /// Who asks.
        reply: ReplyTo,
    },
    /// Write a room's directory entry.
    List(Box<RoomSummary>),
    /// Take a room's directory entry out.
    Unlist {
        /// The room.
        room: RoomKey,
    },
}

/// What to do with a password.
#[derive(Debug)]
pub enum PasswordTask {
    /// Hash it.
    Hash {
        /// The password.
        password: String,
    },
    /// See whether it fits.
    Check {
        /// The password.
        password: String,
        /// The hash.
        hash: String,
    },
}

/// Where shards ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BackOffice(flume::Sender<Request>);

impl BackOffice {
    /// Asks without waiting; the request comes back where there is no room for it.
    pub fn try_send(&self, request: Request) -> Result<(), Request> {
        self.0.try_send(request).map_err(flume::TrySendError::into_inner)
    }
}

/// The requests, for [`serve`].
pub type Requests = flume::Receiver<Request>;

/// Makes the channel.
pub fn channel() -> (BackOffice, Requests) {
    let (sender, receiver) = flume::bounded(CAPACITY);
    (BackOffice(sender), receiver)
}

/// What the back office works with.
#[derive(Clone)]
pub struct Means {
    /// The shards.
    pub mesh: Mesh<ShardMessage>,
    /// Live state.
    pub state: Arc<dyn State>,
    /// Documents.
    pub documents: Arc<dyn Documents>,
    /// Password hashing.
    pub passwords: Passwords,
}

/// Serves requests until every shard has ended. Runs on tokio.
pub async fn serve(requests: Requests, means: Means) {
    let directory = Arc::new(Directory::new(means.state.clone()));
    let mut commits = FuturesUnordered::new();
    loop {
        let request = tokio::select! {
            Some((shard, message)) = commits.next(), if !commits.is_empty() => {
                means.tell_later(shard, message);
                continue;
            }
            request = requests.recv_async() => request,
        };
        let Ok(request) = request else { break };
        match request {
            Request::Commit { room, commit, shard, change } => {
                // The store gives it its place in the order here and now; only its durability is waited for.
                let saved = means.documents.save(*change);
                commits.push(async move { (shard, ShardMessage::Committed { room, commit, result: saved.await }) });
            }
            // The directory is written in order, too.
            Request::List(summary) => directory.write(*summary).await,
            Request::Unlist { room } => directory.erase(&room).await,
            request => {
                let (means, directory) = (means.clone(), directory.clone());
                tokio::spawn(async move { means.answer(request, &directory).await });
            }
        }
    }
    // Nobody waits for the answers any more, but what was asked to be kept is kept.
    while commits.next().await.is_some() {}
}

impl Means {
    /// Answers what may be answered in any order.
    async fn answer(&self, request: Request, directory: &Directory) {
        match request {
            Request::Load { room, shard } => {
                let result = self.documents.load_room(&room).await.map(|saved| saved.map(Box::new));
                self.tell(shard, ShardMessage::Loaded { room, result }).await;
            }
            Request::Password { room, shard, waiting, task } => {
                let outcome = self.password(task).await;
                self.tell(shard, ShardMessage::Password { room, waiting, outcome }).await;
            }
            Request::PickLobby { connection, ticket, shard } => {
                let number = directory.pick_lobby().await;
                self.tell(shard, ShardMessage::LobbyPicked { connection, ticket, number }).await;
            }
            Request::ListRooms { page, limit, kind, reply } => {
                let answer = match directory.page(page, limit, kind).await {
                    Ok(list) => ClientMessage::answer(reply.request_id, Message::RoomList(list)),
                    Err(error) => {
                        tracing::warn!(%error, "the directory could not be read");
                        let message = "the list of rooms is out of reach just now: try again in a moment";
                        let rejection = Rejection::new(ErrorCode::StoreUnavailable, message);
                        ClientMessage::rejection(reply.request_id, rejection)
                    }
                };
                let action = Action::Deliver(Box::new(answer));
                let ReplyTo { shard, connection, user, .. } = reply;
                self.tell(shard, ShardMessage::Connection { connection, user, action }).await;
            }
            Request::Commit { .. } | Request::List(_) | Request::Unlist { .. } => {
                unreachable!("what has an order is served in order")
            }
        }
    }

    /// Sends to a shard without making the next request wait.
    fn tell_later(&self, shard: usize, message: ShardMessage) {
        let means = self.clone();
        tokio::spawn(async move { means.tell(shard, message).await });
    }

    async fn password(&self, task: PasswordTask) -> PasswordOutcome {
        match task {
            PasswordTask::Hash { password } => match self.passwords.hash(password).await {
                Ok(hash) => PasswordOutcome::Hashed(hash),
                Err(rejection) => PasswordOutcome::Failed(rejection),
            },
            PasswordTask::Check { password, hash } => match self.passwords.check(password, hash.clone()).await {
                Ok(right) => PasswordOutcome::Checked { hash, right },
                Err(rejection) => PasswordOutcome::Failed(rejection),
            },
        }
    }

    /// Sends to a shard, with patience: the tokio side may wait.
    async fn tell(&self, shard: usize, mut message: ShardMessage) {
        let give_up = tokio::time::Instant::now() + ANSWER_PATIENCE;
        loop {
            match self.mesh.shard(shard).try_send(Lane::Control, message) {
                Ok(()) | Err(SendError::Stopped(_)) => return,
                Err(SendError::Full(back)) if tokio::time::Instant::now() < give_up => message = back,
                Err(SendError::Full(_)) => {
                    tracing::error!(shard, "an answer found the shard's inbox full for {ANSWER_PATIENCE:?}");
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
