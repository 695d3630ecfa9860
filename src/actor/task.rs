//! Futures of actors: each ends with the value that began it.

use std::{future::Future, panic::AssertUnwindSafe, thread};

use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable},
};

use crate::actor::{
    actor::Actor,
    core::Later,
    envelope::ActorId,
    world::{Hosts, World as _},
};

/// Runs a future for an actor, and does something with what comes of it, or with the panic that came instead. Where its value
/// goes before, the future is dropped with the next turn.
pub(crate) fn run<A: Actor, T: 'static>(
    world: &mut A::World,
    id: ActorId,
    future: impl Future<Output = T> + 'static,
    then: impl FnOnce(&mut A::World, thread::Result<T>) + 'static,
) {
    let number = world.core().fresh_id();
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let (handle, registration) = AbortHandle::new_pair();
    cell.extras().tasks.push((number, handle));
    let task = Abortable::new(AssertUnwindSafe(future).catch_unwind(), registration);
    let task = task.map(move |result| -> Later<A::World> {
        Box::new(move |world| {
            let Ok(result) = result else { return };
            if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
                cell.extras().tasks.retain(|(known, _)| *known != number);
            }
            then(world, result);
        })
    });
    world.core().spawn(task.boxed_local());
}
