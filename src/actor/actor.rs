//! What an actor is: a plain struct, its messages, and how it handles one.

use std::{fmt, time::Duration};

use futures_util::future::LocalBoxFuture;

use crate::actor::{
    context::{Activating, Context},
    envelope::Envelope,
    key::Key,
    kind_figures::DeadReason,
    mailbox::Overflow,
    monitor::Cause,
    supervision::{BackOff, Intensity},
    world::Hosts,
};

/// Something with an address that handles one message after the other.
///
/// It is a plain struct that lives in a table of its [`World`](Self::World), which is what a thread of actors shares
/// besides. Only [`handle`](Self::handle) has to be written; the rest has defaults. See the [module](crate::actor) for how
/// to write one.
pub trait Actor: Sized + 'static {
    /// The kind's name in addresses, logs and figures: a singular noun in snake case.
    const KIND: &'static str;

    /// What the actors of one thread share: [`System`](crate::actor::system::System), or a world of one's own.
    type World: Hosts<Self>;
    /// What tells the actors of this kind apart; `()` for a singleton.
    type Key: Key;
    /// What it is sent.
    type Message: Send + 'static;
    /// What it answers; `()` where it is only told things.
    type Reply: Send + 'static;
    /// What it answers when it can not do what it is asked.
    type Error: fmt::Display + Clone + Send + 'static;

    /// Handles one message: first decide, which may fail, then change what is to change, which can not.
    ///
    /// What it sends, schedules and answers through the context takes effect when it returns. Where it panics, or returns
    /// [`Failure::Fatal`], none of that has been, the message is answered with
    /// [`AskError::Died`](crate::actor::envelope::AskError::Died), and its supervision decides how it goes on. A
    /// [`Failure::Error`] goes to the one who asked, or into the log, and what it has done stands.
    fn handle(&mut self, message: Self::Message, cx: &mut Context<'_, Self>) -> Handled<Self::Error>;

    /// A message has come for an actor that is not there, or the actor is to go on with a fresh value: makes it, or not. Panics
    /// count as a failed load.
    ///
    /// The default knows only actors that somebody has spawned: such a one does not survive a failure, except in place or by its supervisor.
    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        let _ = cx;
        Activation::Absent
    }

    /// It begins to live, or lives again as a fresh value after a restart: the place for schedules and subscriptions.
    fn started(&mut self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    /// It goes on from its own value after it has failed at a message, where its kind recovers in place.
    fn recovered(&mut self, cx: &mut Context<'_, Self>) {
        let _ = cx;
    }

    /// Whether it may go now that it has been idle for the idle time of its kind; asked again after another. Only actors with a
    /// key are: others live as long as somebody holds them.
    fn may_retire(&self) -> bool {
        true
    }

    /// It ends: its own clean-up. [`Farewell::Later`] keeps it, for its kind's stop deadline at most, until it calls
    /// [`Context::end`]; meanwhile it is given control messages and answers only.
    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        let _ = cx;
        Farewell::Done
    }

    /// It has ended without its clean-up: it failed too often, or took too long. What others rely on it for is to be put in
    /// order here. Its value is given where there is one still.
    fn lost(world: &mut Self::World, key: Option<&Self::Key>, value: Option<Box<Self>>, cause: &Cause) {
        let _ = (world, key, value, cause);
    }

    /// A message found nobody, and `activate` made nobody: an interceptor may take it, or create the recipient and have it
    /// delivered again. Who waits for an answer to a message that is taken, or lost in a panic, is told so.
    fn intercept(world: &mut Self::World, key: &Self::Key, envelope: Envelope<Self>) -> Intercepted<Self> {
        let _ = (world, key);
        Intercepted::Pass(envelope)
    }

    /// A message that nobody waits for an answer to could not be delivered, and is dropped after this; it is counted already.
    fn undelivered(world: &mut Self::World, key: Option<&Self::Key>, message: Self::Message, why: &Undelivered<Self>) {
        let _ = (world, key, message, why);
    }
}

/// How handling a message ended.
pub type Handled<E> = Result<(), Failure<E>>;

/// What a handler can end with besides a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// An ordinary error: it goes to the one who asked, and the actor goes on.
    Error(E),
    /// The actor can not go on as it is: its supervision decides.
    Fatal(String),
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::Error(error)
    }
}

/// What comes of activating an actor.
pub enum Activation<A: Actor> {
    /// Here it is.
    Ready(A),
    /// Its state is being loaded; messages are kept, in order, and delivered after.
    Loading(LocalBoxFuture<'static, Result<A, A::Error>>),
    /// There is no such actor.
    Absent,
    /// There is none, and this is why: each message is answered with it.
    Refused(A::Error),
}

/// How far an actor's clean-up got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// It is done.
    Done,
    /// It goes on; the actor says when it is done.
    Later,
}

/// What an interceptor did with a message.
pub enum Intercepted<A: Actor> {
    /// It is taken care of.
    Taken,
    /// Deliver it again: the recipient is there now. Once; a message that finds nobody again is a dead letter.
    Deliver(Envelope<A>),
    /// It is a dead letter.
    Pass(Envelope<A>),
}

/// Why a message was not delivered.
pub enum Undelivered<A: Actor> {
    /// For this reason.
    For(DeadReason),
    /// The actor's state could not be loaded.
    LoadFailed(A::Error),
}

/// How an actor goes on after it has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recovery {
    /// With a fresh value: activated anew, from its store or snapshot.
    #[default]
    Fresh,
    /// With the value it has: its handlers decide before they change anything, so it is whole.
    InPlace,
}

/// What binds the actors of a kind. Every field is a setting of the kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KindSettings {
    /// Messages a lane of a mailbox holds, and as many that are put aside; 0 counts as 1.
    pub mailbox: usize,
    /// What a full one does.
    pub overflow: Overflow,
    /// How long an ask of one of this kind waits where it says nothing else.
    pub ask_timeout: Duration,
    /// How long loading its state may take.
    pub load_limit: Duration,
    /// How long its clean-up may take before it is forced.
    pub stop_deadline: Duration,
    /// How long it may be idle before it retires; none where it stays.
    pub idle_time: Option<Duration>,
    /// Handling a message for longer is counted as slow, and reported as stuck while it lasts.
    pub handling_limit: Duration,
    /// Messages of one actor handled before the others have their turn; 0 counts as 1.
    pub batch: usize,
    /// How it goes on after it has failed, where it stands among many alike.
    pub recovery: Recovery,
    /// How often it may fail, where it stands among many alike: past it this one ends, and its neighbours do not notice.
    pub intensity: Intensity,
    /// How long it rests before it is restarted, from the second time within the intensity's window on.
    pub back_off: BackOff,
}

impl Default for KindSettings {
    fn default() -> Self {
        Self {
            mailbox: 1000,
            overflow: Overflow::Refuse,
            ask_timeout: Duration::from_secs(30),
            load_limit: Duration::from_secs(30),
            stop_deadline: Duration::from_secs(5),
            idle_time: Some(Duration::from_secs(60)),
            handling_limit: Duration::from_secs(1),
            batch: 64,
            recovery: Recovery::Fresh,
            intensity: Intensity::default(),
            back_off: BackOff::default(),
        }
    }
}
