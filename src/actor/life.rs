//! How actors come and go: activation with loading, retirement, stopping, and what becomes of the messages meanwhile.

use std::{any::TypeId, collections::HashSet};

use futures_util::future::AbortHandle;

use crate::actor::{
    actor::{Activation, Actor, Farewell, Intercepted, Undelivered},
    context::{Activating, Wish},
    core::{Later, Timed, Undo},
    deferred,
    envelope::{ActorId, AskError, Envelope, ReplyOf},
    failing, handle,
    handle::Handle,
    handling::{self, CallError, Entered, Occasion, enter},
    kind_figures::DeadReason,
    monitor::{self, Cause, Ended},
    sending::{self, enqueue},
    table::{Extras, Phase},
    task,
    timers::TimerId,
    topic, tree,
    world::{Hosts, World},
};

/// Why an actor was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// There is one under that key.
    #[error("there is an actor under that key")]
    Exists(ActorId),
    /// That key lives on another host.
    #[error("that key lives on another host")]
    NotHere,
    /// The kind has ended: none of it is made any more.
    #[error("the kind has ended")]
    KindEnded,
}

/// Makes an actor of this host. What was told to its key before, and waits for it to be made, it finds in its mailbox.
///
/// Where a handler does this and fails afterwards, the actor is undone with the rest.
pub fn spawn<A: Actor>(world: &mut A::World, key: A::Key, actor: A) -> Result<ActorId, SpawnError> {
    let host = world.core().host();
    if world.core().post.registry.home::<A>(&key).is_some_and(|home| home != host) {
        return Err(SpawnError::NotHere);
    }
    spawn_here::<A>(world, key, actor)
}

/// The same, whatever the key's home is: for kinds that live where something else is, as connections do.
pub fn spawn_here<A: Actor>(world: &mut A::World, key: A::Key, actor: A) -> Result<ActorId, SpawnError> {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    if table.takes_none() {
        return Err(SpawnError::KindEnded);
    }
    let id = match table.find(&key) {
        // It was named, and waits to be made.
        Some(id) if table.phase(id).is_some_and(|(phase, _)| phase == Phase::New) => id,
        Some(id) => return Err(SpawnError::Exists(id)),
        None => table.insert(Some(key), now),
    };
    note_spawned(world, id);
    begin_as::<A>(world, id, Box::new(actor), true);
    Ok(id)
}

/// Where a handler makes an actor and then fails, that is undone with the rest.
fn note_spawned<W: World>(world: &mut W, id: ActorId) {
    let core = world.core();
    if core.nesting > 0 {
        core.undo.push(Undo::Spawned(id));
    }
}

/// Makes an actor without a key: it lives as long as somebody has a handle of it.
pub fn spawn_anonymous<A: Actor>(world: &mut A::World, actor: A) -> Handle<A> {
    let now = world.core().now;
    let id = Hosts::<A>::table(world).insert(None, now);
    note_spawned(world, id);
    begin_as::<A>(world, id, Box::new(actor), true);
    if Hosts::<A>::table(world).takes_none() {
        stop::<A>(world, id, None);
    }
    handle::counted(world.core(), id)
}

/// An actor that was named for the first time: makes it, if its kind does.
pub(crate) fn activate<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let Some(key) = cell.key.clone() else { return };
    if Hosts::<A>::table(world).takes_none() {
        return finish_closed::<A>(world, id);
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let first = cell.mailbox.pop();
    let message = first.as_ref().map(|envelope| &envelope.message);
    let activation = failing::contained(|| A::activate(&mut Activating { world, key: &key, id, first: message }));
    match (Hosts::<A>::table(world).cell_mut(id), first) {
        // What activating itself has sent comes behind.
        (Some(cell), Some(first)) => cell.mailbox.put_first(first.metadata.priority, first),
        (Some(_), None) => {}
        // Its kind has ended it meanwhile.
        (None, first) => {
            if let Some(first) = first {
                Hosts::<A>::table(world).figures.pending.sub(1);
                sending::bury::<A>(world, Some(&key), first, &Undelivered::For(DeadReason::Stopped));
            }
            return;
        }
    }
    match activation {
        Ok(Activation::Ready(actor)) => begin::<A>(world, id, Box::new(actor)),
        Ok(Activation::Loading(future)) => {
            set_phase::<A>(world, id, Phase::Loading);
            let limit = Hosts::<A>::table(world).settings.load_limit;
            set_life_timer::<A>(world, id, limit);
            task::run::<A, _>(world, id, future, move |world, loaded| match loaded {
                Ok(loaded) => self::loaded::<A>(world, id, loaded),
                Err(cause) => not_loaded::<A>(world, id, &handling::describe(&*cause)),
            });
        }
        Ok(Activation::Absent) => nobody::<A>(world, id, None),
        Ok(Activation::Refused(error)) => nobody::<A>(world, id, Some(error)),
        Err(cause) => not_loaded::<A>(world, id, &cause),
    }
}

/// The kind has ended: what came for one of it is dead.
fn finish_closed<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(Remains { key, left, extras }) = take_out::<A>(world, id) else { return };
    for envelope in left {
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Stopped));
    }
    tell_end::<A>(world, id, extras, &Cause::Stopped);
}

/// An actor's state has been loaded, or not. What comes twice, or too late, is ignored.
pub fn loaded<A: Actor>(world: &mut A::World, id: ActorId, loaded: Result<A, A::Error>) {
    if Hosts::<A>::table(world).phase(id).is_none_or(|(phase, _)| phase != Phase::Loading) {
        return;
    }
    match loaded {
        Ok(actor) => begin::<A>(world, id, Box::new(actor)),
        Err(error) => nobody::<A>(world, id, Some(error)),
    }
}

/// Loading failed without a word that the kind knows: each message is answered as by an actor that died.
fn not_loaded<A: Actor>(world: &mut A::World, id: ActorId, cause: &str) {
    let name = crate::actor::report::name(Hosts::<A>::table(world), id).unwrap_or_default();
    tracing::error!(actor = name, cause, "an actor could not be activated");
    Hosts::<A>::table(world).figures.panics.add(1);
    finish::<A>(world, id, Cause::Failed(cause.to_owned()));
}

/// There is no such actor: what waits for it is intercepted, answered with the reason, or dead.
fn nobody<A: Actor>(world: &mut A::World, id: ActorId, error: Option<A::Error>) {
    let failure = Hosts::<A>::table(world).cell_mut(id).and_then(|cell| cell.extras.as_mut()?.cause.take());
    let cause = failure.map_or(Cause::NoSuchActor, Cause::Failed);
    tell_lost::<A>(world, id, &cause);
    let Some(Remains { key, left, extras }) = take_out::<A>(world, id) else { return };
    for envelope in left {
        match (&error, &key) {
            (Some(error), _) if !envelope.is_own => {
                let why = Undelivered::LoadFailed(error.clone());
                sending::bury::<A>(world, key.as_ref(), envelope, &why);
            }
            (None, Some(key)) if !envelope.is_own => intercept::<A>(world, key, envelope),
            // What it had asked for itself is nobody else's.
            _ => sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Stopped)),
        }
    }
    tell_end::<A>(world, id, extras, &cause);
}

/// Shows a message that found nobody to the kind's interceptor, and does with it what that says.
fn intercept<A: Actor>(world: &mut A::World, key: &A::Key, mut envelope: Envelope<A>) {
    // Who waits for an answer is told also where the interceptor drops the message.
    let reply = envelope.reply.take();
    let without = |world: &mut A::World, reply: Option<ReplyOf<A>>, error| {
        if let Some(reply) = reply {
            sending::answer(world, reply, Err(error));
        }
    };
    let (found, envelope) = match failing::contained(|| A::intercept(world, key, envelope)) {
        Ok(Intercepted::Taken) => return without(world, reply, AskError::Unanswered),
        Ok(Intercepted::Deliver(envelope)) => (Hosts::<A>::table(world).find(key), envelope),
        Ok(Intercepted::Pass(envelope)) => (None, envelope),
        Err(cause) => {
            tracing::error!(kind = A::KIND, cause, "an interceptor panicked, and its message is lost");
            let kind = Hosts::<A>::table(world).kind;
            world.core().count_dead(kind, DeadReason::NoSuchActor);
            return without(world, reply, AskError::Stopped);
        }
    };
    let envelope = Envelope { reply, ..envelope };
    match found {
        Some(found) => redeliver::<A>(world, key, found, envelope),
        None => sending::bury::<A>(world, Some(key), envelope, &Undelivered::For(DeadReason::NoSuchActor)),
    }
}

fn redeliver<A: Actor>(world: &mut A::World, key: &A::Key, to: ActorId, envelope: Envelope<A>) {
    let metadata = envelope.metadata;
    if let Err((error, reply)) = sending::push::<A>(world, to.slot, envelope) {
        let envelope = Envelope::new(error.into_message(), metadata, reply);
        sending::bury::<A>(world, Some(key), envelope, &Undelivered::For(DeadReason::MailboxFull));
    }
}

/// An actor begins to live, or lives again as a fresh value.
pub(crate) fn begin<A: Actor>(world: &mut A::World, id: ActorId, actor: Box<A>) {
    begin_as::<A>(world, id, actor, false);
}

/// The same; as a part of what a handler does, perhaps.
fn begin_as<A: Actor>(world: &mut A::World, id: ActorId, actor: Box<A>, is_part: bool) {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    table.figures.activations.add(1);
    let Some(cell) = table.cell_mut(id) else { return };
    cell.value = Some(actor);
    cell.last_active = now;
    set_phase::<A>(world, id, Phase::Running);
    if !aside::<A>(world, id, is_part, A::started) {
        return;
    }
    enqueue::<A>(world, id.slot);
    let table = Hosts::<A>::table(world);
    if table.cell(id).is_some_and(|cell| cell.mailbox.is_empty()) {
        table.note_idle(id.slot, now);
    }
}

/// Lets an actor do something that no message asks for. False where it failed at it, or wished to end.
pub(crate) fn aside<A: Actor>(
    world: &mut A::World,
    id: ActorId,
    is_part: bool,
    act: impl FnOnce(&mut A, &mut crate::actor::context::Context<'_, A>),
) -> bool {
    let occasion = Occasion { is_part, ..Occasion::beside(world, id) };
    let Entered { result, wish, .. } = enter::<A, ()>(world, id, occasion, |actor, cx| {
        act(actor, cx);
        Ok(())
    });
    match result {
        Ok(()) => {
            crate::actor::core::run_later(world);
            if wish == Wish::End {
                ended_itself::<A>(world, id);
                return false;
            }
            true
        }
        Err(CallError::Died) => {
            let cause = failing::last_panic(world);
            failing::failed::<A>(world, id, cause);
            false
        }
        Err(CallError::NoSuchActor | CallError::Busy) => false,
    }
}

/// Has an actor be at something else. The time that it had for what it was at is over.
pub(crate) fn set_phase<A: Actor>(world: &mut A::World, id: ActorId, phase: Phase) {
    let now = world.core().now;
    clear_life_timer::<A>(world, id);
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cell_mut(id) else { return };
    let was = std::mem::replace(&mut cell.phase, phase);
    cell.since = now;
    match (was == Phase::Loading, phase == Phase::Loading) {
        (false, true) => table.figures.loading.add(1),
        (true, false) => table.figures.loading.sub(1),
        _ => {}
    }
}

/// Gives an actor so much time for what it is at.
pub(crate) fn set_life_timer<A: Actor>(world: &mut A::World, id: ActorId, after: std::time::Duration) {
    let core = world.core();
    let timer = core.timers.set(core.now + after, Timed::Life(id));
    if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
        cell.extras().life_timer = Some(timer);
    }
}

fn clear_life_timer<A: Actor>(world: &mut A::World, id: ActorId) {
    let timer = Hosts::<A>::table(world).cell_mut(id).and_then(|cell| cell.extras.as_mut()?.life_timer.take());
    if let Some(timer) = timer {
        world.core().timers.cancel(timer);
    }
}

/// The time for what an actor was at is over.
pub(crate) fn life_timer<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some((phase, _)) = Hosts::<A>::table(world).phase(id) else { return };
    match phase {
        Phase::Loading => not_loaded::<A>(world, id, "its state did not load in time"),
        Phase::BackingOff => failing::go_on::<A>(world, id),
        Phase::Ending { .. } => {
            let name = crate::actor::report::name(Hosts::<A>::table(world), id).unwrap_or_default();
            tracing::warn!(actor = name, "an actor did not end in time and is ended");
            finish::<A>(world, id, Cause::Forced);
        }
        Phase::New | Phase::Running | Phase::Down => {}
    }
}

/// Looks for actors whose idle time is over, for as long as the turn may take. False where there may be more.
pub(crate) fn retire_idle<A: Actor>(world: &mut A::World) -> bool {
    let Some(idle_time) = Hosts::<A>::table(world).settings.idle_time else { return true };
    let now = world.core().now;
    for _ in 0..Hosts::<A>::table(world).idle.len() {
        if world.core().is_turn_over() {
            return false;
        }
        let Some(id) = Hosts::<A>::table(world).pop_idle(idle_time, now) else { return true };
        // Asking it is its own code.
        let may = |world: &mut A::World| Hosts::<A>::table(world).get(id).is_some_and(A::may_retire);
        let is_child = Hosts::<A>::table(world).cell(id).is_some_and(|cell| cell.child().is_some());
        if !is_child && failing::contained(|| may(world)).unwrap_or(true) {
            begin_ending::<A>(world, id, true);
        } else {
            let table = Hosts::<A>::table(world);
            table.note_idle(id.slot, now);
        }
    }
    true
}

/// Ends an actor at once, without its clean-up: what it was has gone elsewhere. What waits for it, or comes, is for
/// whoever is under its key next.
pub fn depart<A: Actor>(world: &mut A::World, id: ActorId) {
    finish::<A>(world, id, Cause::Stopped);
}

/// Ends an actor at once, as one that has failed: what waits for it is answered so.
pub fn fail<A: Actor>(world: &mut A::World, id: ActorId, cause: String) {
    finish::<A>(world, id, Cause::Failed(cause));
}

/// Has an actor retire. Ignored where messages wait for it, or it is not at rest.
pub fn retire<A: Actor>(world: &mut A::World, id: ActorId) -> bool {
    let table = Hosts::<A>::table(world);
    if !table.is_free(id) {
        return false;
    }
    begin_ending::<A>(world, id, true);
    true
}

/// Stops an actor: what waits for it is dead, its clean-up runs, and the waiter is told when that is done. What comes
/// from now on is for its next activation.
pub(crate) fn stop<A: Actor>(world: &mut A::World, id: ActorId, waiter: Option<Later<A::World>>) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else {
        if let Some(waiter) = waiter {
            waiter(world);
        }
        return;
    };
    cell.extras().stop_waiters.extend(waiter);
    let key = cell.key.clone();
    if matches!(cell.phase, Phase::Ending { .. }) {
        return;
    }
    for envelope in sending::empty::<A>(world, id) {
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Stopped));
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    match cell.phase {
        // In the middle of a message: it ends after that.
        Phase::Running if cell.value.is_none() => cell.extras().is_to_stop = true,
        // One without a value has nothing to clean up, and has ended by that.
        _ => begin_ending::<A>(world, id, false),
    }
}

/// An actor has called [`end`](crate::actor::context::Context::end).
pub(crate) fn ended_itself<A: Actor>(world: &mut A::World, id: ActorId) {
    match Hosts::<A>::table(world).phase(id) {
        Some((Phase::Ending { retires }, _)) => {
            finish::<A>(world, id, if retires { Cause::Retired } else { Cause::Stopped });
        }
        Some(_) => begin_ending::<A>(world, id, false),
        None => {}
    }
}

/// Nobody has a handle of an anonymous actor any more: it ends when it has handled what waits.
pub(crate) fn released<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    cell.extras().is_released = true;
    end_if_released::<A>(world, id);
}

/// Ends an actor of which nobody has a handle any more, where nothing waits for it.
pub(crate) fn end_if_released<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(cell) = Hosts::<A>::table(world).cell(id) else { return };
    let is_released = cell.extras.as_ref().is_some_and(|extras| extras.is_released);
    if is_released && cell.phase == Phase::Running && cell.mailbox.is_empty() {
        begin_ending::<A>(world, id, false);
    }
}

/// Begins an actor's clean-up.
pub(crate) fn begin_ending<A: Actor>(world: &mut A::World, id: ActorId, retires: bool) {
    set_phase::<A>(world, id, Phase::Ending { retires });
    let occasion = Occasion::beside(world, id);
    let Entered { result, wish, .. } = enter::<A, Farewell>(world, id, occasion, |actor, cx| Ok(actor.ending(cx)));
    crate::actor::core::run_later(world);
    let is_over = match result {
        Ok(farewell) => farewell == Farewell::Done || wish == Wish::End,
        Err(error) => {
            if error == CallError::Died {
                let cause = failing::last_panic(world);
                Hosts::<A>::table(world).figures.panics.add(1);
                tracing::error!(kind = A::KIND, cause, "an actor panicked in its clean-up");
            }
            true
        }
    };
    if is_over {
        finish::<A>(world, id, if retires { Cause::Retired } else { Cause::Stopped });
    } else {
        let table = Hosts::<A>::table(world);
        let deadline = table.settings.stop_deadline;
        if let Some(cell) = table.cell_mut(id) {
            // Its answers are given to it still, also those that have come already.
            cell.mailbox.promote(|envelope| envelope.is_own);
        }
        set_life_timer::<A>(world, id, deadline);
        enqueue::<A>(world, id.slot);
    }
}

/// Drops what an actor was, which is its own code.
pub(crate) fn discard<A: Actor>(value: Box<A>) {
    if failing::contained(|| drop(value)).is_err() {
        tracing::error!(kind = A::KIND, "an actor panicked while it was dropped");
    }
}

/// What is left of an actor that was taken out of its table.
struct Remains<A: Actor> {
    key: Option<A::Key>,
    /// What waited for it, in order.
    left: Vec<Envelope<A>>,
    extras: Option<Box<Extras<A>>>,
}

/// What an actor's value has set going, which ends with it.
pub(crate) struct Going {
    timers: Vec<TimerId>,
    tasks: Vec<(u64, AbortHandle)>,
    watching: HashSet<u64>,
    topics: Vec<TypeId>,
}

impl Going {
    pub(crate) fn take<A: Actor>(extras: &mut Extras<A>) -> Self {
        Self {
            timers: std::mem::take(&mut extras.timers),
            tasks: std::mem::take(&mut extras.tasks),
            watching: std::mem::take(&mut extras.watching),
            topics: std::mem::take(&mut extras.topics),
        }
    }

    pub(crate) fn end<W: World>(self, world: &mut W, id: ActorId) {
        for timer in self.timers {
            world.core().timers.cancel(timer);
        }
        for (_, task) in self.tasks {
            task.abort();
        }
        for watch in self.watching {
            monitor::unwatch(world, watch);
        }
        for topic in self.topics {
            topic::forget(world.core(), topic, id);
        }
    }
}

/// Takes an actor out of its table, and ends what it had set going.
fn take_out<A: Actor>(world: &mut A::World, id: ActorId) -> Option<Remains<A>> {
    let left = sending::empty::<A>(world, id);
    set_phase::<A>(world, id, Phase::Down);
    let mut cell = Hosts::<A>::table(world).remove(id)?;
    if let Some(extras) = &mut cell.extras {
        let going = Going::take(extras);
        going.end(world, id);
    }
    if let Some(value) = cell.value.take() {
        discard(value);
    }
    Some(Remains { key: cell.key, left, extras: cell.extras })
}

/// An actor is no more. What came for it meanwhile goes to its next activation, or, where it failed, back to who asked.
pub(crate) fn finish<A: Actor>(world: &mut A::World, id: ActorId, cause: Cause) {
    tell_lost::<A>(world, id, &cause);
    let Some(Remains { key, left, extras }) = take_out::<A>(world, id) else { return };
    let died = matches!(cause, Cause::Failed(_));
    let table = Hosts::<A>::table(world);
    if cause == Cause::Retired {
        table.figures.retirements.add(1);
    }
    let has_next = key.is_some() && !died && !table.takes_none();
    // What it had asked for itself is nobody else's.
    let (next, dead): (Vec<_>, Vec<_>) = left.into_iter().partition(|envelope| has_next && !envelope.is_own);
    if !next.is_empty() {
        wait_for_next::<A>(world, key.clone(), next);
    }
    deferred::settle_all(world, id, died);
    let reason = if died { DeadReason::ActorFailed } else { DeadReason::Stopped };
    for envelope in dead {
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(reason));
    }
    tell_end::<A>(world, id, extras, &cause);
}

/// Tells a kind that one of it has ended without its clean-up, where it has.
fn tell_lost<A: Actor>(world: &mut A::World, id: ActorId, cause: &Cause) {
    if !matches!(cause, Cause::Failed(_) | Cause::Forced) {
        return;
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let (key, value) = (cell.key.clone(), cell.value.take());
    let lost = failing::contained(|| A::lost(world, key.as_ref(), value, cause));
    if lost.is_err() {
        tracing::error!(kind = A::KIND, "what follows an actor's failure panicked");
    }
}

/// Has messages wait for the next activation of a key.
fn wait_for_next<A: Actor>(world: &mut A::World, key: Option<A::Key>, messages: Vec<Envelope<A>>) {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let next = table.insert(key, now);
    table.figures.pending.add(messages.len() as u64);
    if let Some(cell) = table.cell_mut(next) {
        for envelope in messages {
            cell.mailbox.push_promised(envelope.metadata.priority, envelope);
        }
    }
    enqueue::<A>(world, next.slot);
}

/// Tells who watches or waits, and the supervisor.
fn tell_end<A: Actor>(world: &mut A::World, id: ActorId, extras: Option<Box<Extras<A>>>, cause: &Cause) {
    let Some(extras) = extras else { return };
    for watcher in extras.watchers {
        monitor::tell(world, watcher, Ended { actor: Some(id), cause: cause.clone() });
    }
    for waiter in extras.stop_waiters {
        waiter(world);
    }
    if let Some(child) = extras.child {
        tree::child_ended(world, child, cause);
    }
}
