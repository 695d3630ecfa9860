//! What becomes of an actor that has failed: in place, afresh, after a rest, or not at all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::actor::{
    actor::{Actor, Recovery},
    envelope::ActorId,
    handling::describe,
    life::{self, Going},
    monitor::Cause,
    sending::enqueue,
    supervision::Verdict,
    table::Phase,
    tree,
    world::{Hosts, World},
};

/// What the last panic on this host said.
pub(crate) fn last_panic<W: World>(world: &mut W) -> String {
    std::mem::take(&mut world.core().tree.last_panic)
}

/// An actor has panicked, or says that it can not go on.
pub(crate) fn failed<A: Actor>(world: &mut A::World, id: ActorId, cause: String) {
    let table = Hosts::<A>::table(world);
    table.figures.panics.add(1);
    let name = crate::actor::report::name(table, id).unwrap_or_default();
    let (settings, now) = (table.settings, world.core().now);
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    cell.counts.errors += 1;
    if cell.extras.as_ref().is_some_and(|extras| extras.is_to_stop) {
        tracing::error!(actor = name, cause, "an actor failed that was to stop");
        return life::finish::<A>(world, id, Cause::Stopped);
    }
    if matches!(cell.phase, Phase::Ending { .. }) {
        tracing::error!(actor = name, cause, "an actor failed while it ended");
        return life::finish::<A>(world, id, Cause::Stopped);
    }
    if settings.recovery == Recovery::Fresh {
        drop_value::<A>(world, id);
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    if let Some(child) = cell.child() {
        tracing::error!(actor = name, cause, "an actor failed; its supervisor decides");
        cell.extras().cause = Some(cause.clone());
        life::set_phase::<A>(world, id, Phase::Down);
        return tree::child_failed(world, child, cause);
    }
    match cell.extras().restarts.note(&settings.intensity, now) {
        Verdict::Exceeded => {
            tracing::error!(actor = name, cause, "an actor failed more often than it may, and ends");
            life::finish::<A>(world, id, Cause::Failed(cause));
        }
        Verdict::Allowed { nth } => {
            cell.extras().cause = Some(cause.clone());
            let delay = settings.back_off.delay(nth, world.core().rng.draw());
            tracing::error!(actor = name, cause, nth, ?delay, "an actor failed and goes on");
            if delay.is_zero() {
                go_on::<A>(world, id);
            } else {
                life::set_phase::<A>(world, id, Phase::BackingOff);
                life::set_life_timer::<A>(world, id, delay);
            }
        }
    }
}

/// Runs code of an actor that is no handler: a panic in it goes no further, and is given back.
pub(crate) fn contained<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|cause| describe(&*cause))
}

/// Code of an actor has panicked beside its handlers: at making a message of an answer, in a future of its own. It has failed
/// as if that had been a message.
pub(crate) fn failed_beside<A: Actor>(world: &mut A::World, id: ActorId, cause: String) {
    let cell = Hosts::<A>::table(world).cell(id);
    let is_up =
        cell.is_some_and(|cell| cell.value.is_some() && matches!(cell.phase, Phase::Running | Phase::Ending { .. }));
    if is_up {
        return failed::<A>(world, id, cause);
    }
    // It is no more, or rests, or is in the middle of a message: there is nobody to fail.
    tracing::error!(kind = A::KIND, %id, cause, "something of an actor panicked, and is dropped");
}

/// Its value is not to be used again. What it had set going goes with it, and what it had put aside is for the fresh one.
fn drop_value<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let value = cell.value.take();
    if let Some(extras) = &mut cell.extras {
        let (stash, going) = (std::mem::take(&mut extras.stash), Going::take(extras));
        let count = stash.len() as u64;
        cell.mailbox.put_back(stash.into_iter());
        Hosts::<A>::table(world).figures.pending.add(count);
        going.end(world, id);
    }
    crate::actor::deferred::settle_all(world, id, true);
    if let Some(value) = value {
        life::discard(value);
    }
}

/// An actor goes on after it has failed: with its value, or a fresh one. Its messages have waited, in order.
pub(crate) fn go_on<A: Actor>(world: &mut A::World, id: ActorId) {
    let table = Hosts::<A>::table(world);
    table.figures.restarts.add(1);
    let Some(cell) = table.cell_mut(id) else { return };
    cell.counts.restarts += 1;
    if cell.value.is_some() {
        life::set_phase::<A>(world, id, Phase::Running);
        if life::aside::<A>(world, id, false, A::recovered) {
            enqueue::<A>(world, id.slot);
            let now = world.core().now;
            Hosts::<A>::table(world).note_idle(id.slot, now);
            life::end_if_released::<A>(world, id);
        }
    } else {
        life::set_phase::<A>(world, id, Phase::New);
        match Hosts::<A>::table(world).cell(id) {
            Some(cell) if cell.key.is_some() => enqueue::<A>(world, id.slot),
            // Nobody can make an anonymous one again.
            _ => life::finish::<A>(world, id, Cause::Failed("it failed, and has no key to be made again".into())),
        }
    }
}

/// An actor was started for a supervisor, whose child it is from now on; where it has kept its value, it goes on with that.
/// False where it has failed as it started.
pub(crate) fn adopt<A: Actor>(world: &mut A::World, id: ActorId, child: usize) -> bool {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return false };
    let is_restart = cell.extras().child.replace(child).is_some();
    match cell.phase {
        Phase::Down if cell.value.is_some() => {
            go_on::<A>(world, id);
            Hosts::<A>::table(world).phase(id).is_some_and(|(phase, _)| phase == Phase::Running)
        }
        Phase::Running => {
            if is_restart {
                cell.counts.restarts += 1;
                Hosts::<A>::table(world).figures.restarts.add(1);
            }
            true
        }
        _ => false,
    }
}

/// The supervisor of an actor that has failed has decided: it goes on, with a fresh value put in by its start, or ends.
pub(crate) fn decided<A: Actor>(world: &mut A::World, id: ActorId, goes_on: bool) {
    if goes_on {
        return go_on::<A>(world, id);
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    cell.extras().child = None;
    let cause = cell.extras().cause.take().unwrap_or_else(|| "its supervisor ended it".to_owned());
    life::finish::<A>(world, id, Cause::Failed(cause));
}
