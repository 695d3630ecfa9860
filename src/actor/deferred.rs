//! Replies that are given later than in the handler of their ask.

use std::{any::Any, time::Duration};

use crate::actor::{
    core::Timed,
    envelope::{ActorId, Answer, AskError, ReplyTo},
    moment::Moment,
    sending,
    timers::TimerId,
    world::World,
};

/// A reply that an actor owes. To be given by [`Context::answer`](crate::actor::context::Context::answer); where the actor
/// ends before, its asker is told.
#[must_use = "who asked waits for it"]
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owed(pub(crate) u64);

/// How an owed reply ends.
pub(crate) enum Settled<'a> {
    /// With an answer: an `Option<Answer<_, _>>`, to be taken.
    Answer(&'a mut dyn Any),
    /// The actor has failed.
    Died,
    /// The actor has ended.
    Stopped,
    /// Nobody waits any more.
    TimedOut,
}

/// Tells who waits for a reply what it is.
type Settle<W> = Box<dyn FnOnce(&mut W, Settled<'_>)>;

/// A place of reply that is kept.
pub(crate) struct Deferred<W> {
    /// Who owes it.
    pub actor: ActorId,
    /// Tells who waits.
    pub settle: Settle<W>,
    /// Forgets it when its asker waits no longer.
    timer: Option<TimerId>,
}

/// So long after its asker has given up, a reply that is owed is forgotten. Until then it is one that comes late, and counted so.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Keeps a place of reply, for as long as its asker waits and a while.
pub(crate) fn keep<W: World, R, E>(
    world: &mut W,
    actor: ActorId,
    reply: ReplyTo<R, E>,
    deadline: Option<Moment>,
) -> Owed
where
    R: Send + 'static,
    E: Send + 'static,
{
    let core = world.core();
    let id = core.fresh_id();
    let settle = Box::new(move |world: &mut W, settled: Settled<'_>| {
        let answer: Answer<R, E> = match settled {
            Settled::Answer(answer) => {
                let answer = answer.downcast_mut::<Option<Answer<R, E>>>().and_then(Option::take);
                answer.unwrap_or(Err(AskError::Unanswered))
            }
            Settled::Died => Err(AskError::Died),
            Settled::Stopped => Err(AskError::Stopped),
            // An actor's ask has ended by its own timer.
            Settled::TimedOut if matches!(reply, ReplyTo::Ask { .. }) => return,
            Settled::TimedOut => Err(AskError::TimedOut),
        };
        sending::answer(world, reply, answer);
    });
    let forget = move |world: &mut W| self::settle(world, id, Settled::TimedOut);
    let timer = deadline.map(|at| core.timers.set(at + FORGET_AFTER, Timed::Act(Box::new(forget))));
    core.deferred.insert(id, Deferred { actor, settle, timer });
    Owed(id)
}

/// Gives an owed reply; what is owed no more is left.
pub(crate) fn settle<W: World>(world: &mut W, id: u64, settled: Settled<'_>) {
    let core = world.core();
    if let Some(deferred) = core.deferred.remove(&id) {
        if let Some(timer) = deferred.timer {
            core.timers.cancel(timer);
        }
        (deferred.settle)(world, settled);
    }
}

/// An actor has ended: who waits for its replies is told.
pub(crate) fn settle_all<W: World>(world: &mut W, actor: ActorId, died: bool) {
    if world.core().deferred.is_empty() {
        return;
    }
    let owed: Vec<u64> =
        world.core().deferred.iter().filter(|(_, deferred)| deferred.actor == actor).map(|(id, _)| *id).collect();
    for id in owed {
        settle(world, id, if died { Settled::Died } else { Settled::Stopped });
    }
}
