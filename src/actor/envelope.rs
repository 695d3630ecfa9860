//! What a message travels in.

use std::fmt;

use crate::actor::{actor::Actor, moment::Moment};

/// One actor on one host, while it lives: what metadata and monitors name, small enough to copy about.
///
/// A restart keeps it, an actor that comes again after its end under the same key has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    /// The host's number.
    pub host: u16,
    /// The kind's number on that host.
    pub kind: u16,
    /// Its place in the kind's table.
    pub slot: u32,
    /// Which of those that had that place.
    pub generation: u32,
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.host, self.kind, self.slot, self.generation)
    }
}

/// Which of a mailbox's lanes a message takes. FIFO holds within a priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Overtakes data: stops, supervision, moderation.
    Control,
    /// The rest.
    #[default]
    Data,
}

/// What is known of a message without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Unique in the process: the sender's host and its count.
    pub id: u64,
    /// The actor that sent it; none where it came from outside.
    pub sender: Option<ActorId>,
    /// When it was sent.
    pub created_at: Moment,
    /// After it the message is dropped unhandled.
    pub deadline: Option<Moment>,
    /// Its lane.
    pub priority: Priority,
}

/// Why an ask has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError<E> {
    /// The mailbox, or the inbox on the way to it, is full.
    #[error("the mailbox is full: try again later")]
    MailboxFull,
    /// There is no such actor, or it has stopped.
    #[error("there is no such actor, or it has stopped")]
    Stopped,
    /// The actor failed at this message.
    #[error("the actor failed while it handled the message")]
    Died,
    /// The actor has handled the message and gave no answer.
    #[error("the actor gave no answer")]
    Unanswered,
    /// The actor's own error.
    #[error("{0}")]
    Handler(E),
    /// No answer came in time; the message may have been handled all the same.
    #[error("no answer came in time")]
    TimedOut,
}

/// What an ask ends with.
pub type Answer<R, E> = Result<R, AskError<E>>;

/// Where a reply goes.
pub(crate) enum ReplyTo<R, E> {
    /// To the ask of an actor of this kind, on this host, with this message id.
    Ask { host: u16, kind: u16, id: u64 },
    /// To somebody outside. A channel of one place.
    Outside(flume::Sender<Answer<R, E>>),
}

impl<R, E> Clone for ReplyTo<R, E> {
    fn clone(&self) -> Self {
        match self {
            Self::Ask { host, kind, id } => Self::Ask { host: *host, kind: *kind, id: *id },
            Self::Outside(channel) => Self::Outside(channel.clone()),
        }
    }
}

/// Where a reply to a message of this kind goes.
pub(crate) type ReplyOf<A> = ReplyTo<<A as Actor>::Reply, <A as Actor>::Error>;

/// A message and its metadata.
pub struct Envelope<A: Actor> {
    /// The message.
    pub message: A::Message,
    /// What is known of it.
    pub metadata: Metadata,
    /// Who waits for a reply.
    pub(crate) reply: Option<ReplyOf<A>>,
    /// The hash of its key in a pool; 0 outside of one.
    pub(crate) route: u64,
    /// The actor has asked for it itself, by an ask, a timer, a future, a subscription: it is for nobody else, also not for the next
    /// activation of its key.
    pub(crate) is_own: bool,
}

impl<A: Actor> Envelope<A> {
    /// A message that is not part of a pool's, nor of the actor's own.
    pub(crate) fn new(message: A::Message, metadata: Metadata, reply: Option<ReplyOf<A>>) -> Self {
        Self { message, metadata, reply, route: 0, is_own: false }
    }
}

impl<A: Actor> fmt::Debug for Envelope<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("kind", &A::KIND).field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// A message that was not taken, given back.
#[derive(thiserror::Error)]
pub enum TellError<M> {
    /// The mailbox, or the inbox on the way to it, is full; try again later.
    #[error("the mailbox is full")]
    Full(M),
    /// There is no such actor, or it is ending.
    #[error("there is no such actor")]
    Stopped(M),
    /// The pool has no such member.
    #[error("the pool has no member {member}")]
    NoSuchMember {
        /// Which was asked for.
        member: usize,
        /// The message.
        message: M,
    },
}

impl<M> TellError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Stopped(message) | Self::NoSuchMember { message, .. } => message,
        }
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Stopped(_) => "Stopped",
            Self::NoSuchMember { .. } => "NoSuchMember",
        })
    }
}
