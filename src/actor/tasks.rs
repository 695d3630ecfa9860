//! Futures and streams beside actors: they end with their actor, and what they panic with is a failure of it.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    future::{AbortHandle, abortable},
};

use crate::actor::{
    actor::Actor,
    context::{note_timer, push_own},
    core::{Later, Timed},
    envelope::ActorId,
    failing,
    handling::describe,
    world::{Hosts, World},
};

/// How long a stream waits for its actor to take what it has given.
const STREAM_REST: Duration = Duration::from_millis(1);

/// A future of an actor that is not done.
pub(crate) struct Task {
    id: u64,
    abort: AbortHandle,
    /// It gives more than one message, so a fresh value of the actor begins another.
    is_stream: bool,
}

/// Starts a future of an actor. What comes of it, or what it panicked with, is given to `then`, unless the actor has ended
/// before: then the future is dropped unfinished.
pub(crate) fn start<A: Actor, T: 'static>(
    world: &mut A::World,
    actor: ActorId,
    is_stream: bool,
    future: impl Future<Output = T> + 'static,
    then: impl FnOnce(&mut A::World, Result<T, String>) + 'static,
) {
    let id = world.core().fresh_id();
    let Some(cell) = Hosts::<A>::table(world).cell_mut(actor) else { return };
    let (future, abort) = abortable(AssertUnwindSafe(future).catch_unwind());
    cell.extras().tasks.push(Task { id, abort, is_stream });
    let task = future.map(move |output| -> Later<A::World> {
        Box::new(move |world| {
            let Ok(output) = output else { return };
            let Some(cell) = Hosts::<A>::table(world).cell_mut(actor) else { return };
            cell.extras().tasks.retain(|task| task.id != id);
            then(world, output.map_err(|cause| describe(&*cause)));
        })
    });
    world.core().spawn(task.boxed_local());
}

/// Runs a future beside an actor, and sends it what comes of it.
pub(crate) fn spawn<A: Actor, T: 'static>(
    world: &mut A::World,
    actor: ActorId,
    future: impl Future<Output = T> + 'static,
    map: impl FnOnce(T) -> A::Message + 'static,
) {
    start::<A, T>(world, actor, false, future, move |world, output| match output {
        Ok(output) => {
            if let Some(message) = failing::guarded::<A, _>(world, actor, |_| map(output)) {
                push_own::<A>(world, actor, message);
            }
        }
        Err(cause) => failing::failed_beside::<A>(world, actor, cause),
    });
}

/// Waits for the next item of a stream, sends it to the actor, and so on. While the actor's mailbox is full it is not read.
pub(crate) fn read<A: Actor, S: Stream + Unpin + 'static>(
    world: &mut A::World,
    actor: ActorId,
    stream: S,
    mut map: Box<dyn FnMut(S::Item) -> A::Message>,
) {
    let table = Hosts::<A>::table(world);
    let Some(depth) = table.depth(actor) else { return };
    if depth >= table.settings.mailbox {
        let core = world.core();
        let again = Timed::Act(Box::new(move |world: &mut A::World| read::<A, S>(world, actor, stream, map)));
        let timer = core.timers.set(core.now + STREAM_REST, again);
        return note_timer::<A>(world, actor, timer);
    }
    start::<A, _>(world, actor, true, stream.into_future(), move |world, output| match output {
        Ok((Some(item), stream)) => {
            if let Some(message) = failing::guarded::<A, _>(world, actor, |_| map(item)) {
                push_own::<A>(world, actor, message);
                read::<A, S>(world, actor, stream, map);
            }
        }
        Ok((None, _)) => {}
        Err(cause) => failing::failed_beside::<A>(world, actor, cause),
    });
}

/// An actor has ended, or its value has: its futures, or its streams alone, are dropped unfinished.
pub(crate) fn end(tasks: &mut Vec<Task>, only_streams: bool) {
    tasks.retain(|task| {
        let ends = task.is_stream || !only_streams;
        if ends {
            task.abort.abort();
        }
        !ends
    });
}
