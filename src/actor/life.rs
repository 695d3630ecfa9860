//! How actors come and go: activation with loading, retirement, stopping, and what becomes of the messages meanwhile.

use std::any::TypeId;

use futures_util::future::AbortHandle;

use crate::actor::{
    actor::{Activation, Actor, Farewell, Intercepted, Undelivered},
    context::{Activating, Wish},
    core::{Later, Timed, Undo},
    deferred,
    envelope::{ActorId, AskError, Envelope},
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
}

/// Makes an actor of this host.
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
    if let Some(id) = table.find(&key) {
        return Err(SpawnError::Exists(id));
    }
    let id = table.insert(Some(key), now);
    note_spawned(world, id);
    begin::<A>(world, id, Box::new(actor));
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
    begin::<A>(world, id, Box::new(actor));
    handle::counted(world.core(), id)
}

/// An actor that was named for the first time: makes it, if its kind does.
pub(crate) fn activate<A: Actor>(world: &mut A::World, id: ActorId) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let Some(key) = cell.key.clone() else { return };
    if Hosts::<A>::table(world).is_closed {
        return finish_closed::<A>(world, id);
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    let mut waiting = std::mem::take(&mut cell.mailbox);
    let first = waiting.peek().map(|envelope| &envelope.message);
    let activation = failing::contained(|| A::activate(&mut Activating { world, key: &key, id, first }));
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    // What activating itself has sent comes behind.
    let own = std::mem::take(&mut cell.mailbox);
    for envelope in sending::empty::<A>(world, own) {
        waiting.push_promised(envelope.metadata.priority, envelope);
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    cell.mailbox = waiting;
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
    let Some((key, mailbox, extras)) = take_out::<A>(world, id) else { return };
    Hosts::<A>::table(world).figures.pending.sub(mailbox.len() as u64);
    for envelope in sending::empty::<A>(world, mailbox) {
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Stopped));
    }
    tell_end::<A>(world, id, extras, &Cause::Stopped);
}

/// An actor's state has been loaded, or not. What comes twice, or too late, is ignored.
pub fn loaded<A: Actor>(world: &mut A::World, id: ActorId, loaded: Result<A, A::Error>) {
    if Hosts::<A>::table(world).phase(id).is_none_or(|(phase, _)| phase != Phase::Loading) {
        return;
    }
    clear_life_timer::<A>(world, id);
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
    let Some(cell) = take_out::<A>(world, id) else { return };
    let (key, mailbox, extras) = cell;
    for envelope in sending::empty::<A>(world, mailbox) {
        Hosts::<A>::table(world).figures.pending.sub(1);
        if let Some(error) = &error {
            let why = Undelivered::LoadFailed(error.clone());
            sending::bury::<A>(world, key.as_ref(), envelope, &why);
            continue;
        }
        let Some(key) = &key else { continue };
        let (kind, reply) = (Hosts::<A>::table(world).kind, envelope.reply.clone());
        match failing::contained(|| A::intercept(world, key, envelope)) {
            Err(cause) => {
                tracing::error!(kind = A::KIND, cause, "an interceptor panicked, and its message is lost");
                world.core().count_dead(kind, DeadReason::NoSuchActor);
                if let Some(reply) = reply {
                    sending::answer(world, reply, Err(AskError::Stopped));
                }
            }
            Ok(Intercepted::Taken) => {}
            Ok(Intercepted::Deliver(envelope)) => match Hosts::<A>::table(world).find(key) {
                Some(found) => redeliver::<A>(world, key, found, envelope),
                None => sending::bury::<A>(world, Some(key), envelope, &Undelivered::For(DeadReason::NoSuchActor)),
            },
            Ok(Intercepted::Pass(envelope)) => {
                sending::bury::<A>(world, Some(key), envelope, &Undelivered::For(DeadReason::NoSuchActor));
            }
        }
    }
    tell_end::<A>(world, id, extras, &Cause::NoSuchActor);
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
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    table.figures.activations.add(1);
    let Some(cell) = table.cell_mut(id) else { return };
    cell.value = Some(actor);
    cell.last_active = now;
    set_phase::<A>(world, id, Phase::Running);
    if !aside::<A>(world, id, A::started) {
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
    act: impl FnOnce(&mut A, &mut crate::actor::context::Context<'_, A>),
) -> bool {
    let occasion = Occasion::beside(world, id);
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

pub(crate) fn set_phase<A: Actor>(world: &mut A::World, id: ActorId, phase: Phase) {
    let now = world.core().now;
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

pub(crate) fn set_life_timer<A: Actor>(world: &mut A::World, id: ActorId, after: std::time::Duration) {
    let core = world.core();
    let timer = core.timers.set(core.now + after, Timed::Life(id));
    if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
        cell.extras().life_timer = Some(timer);
    }
}

pub(crate) fn clear_life_timer<A: Actor>(world: &mut A::World, id: ActorId) {
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

/// Looks for actors whose idle time is over.
pub(crate) fn retire_idle<A: Actor>(world: &mut A::World) {
    let Some(idle_time) = Hosts::<A>::table(world).settings.idle_time else { return };
    let now = world.core().now;
    for _ in 0..Hosts::<A>::table(world).idle.len() {
        let Some(id) = Hosts::<A>::table(world).pop_idle(idle_time, now) else { return };
        // Asking it is its own code.
        let may = |world: &mut A::World| Hosts::<A>::table(world).get(id).is_some_and(A::may_retire);
        let is_child = Hosts::<A>::table(world).cell(id).is_some_and(|cell| cell.child().is_some());
        if !is_child && failing::contained(|| may(world)).unwrap_or(true) {
            begin_ending::<A>(world, id, true);
        } else {
            Hosts::<A>::table(world).note_idle(id.slot, now);
        }
    }
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
    let waiting = std::mem::take(&mut cell.mailbox);
    let stash = std::mem::take(&mut cell.extras().stash);
    Hosts::<A>::table(world).figures.pending.sub(waiting.len() as u64);
    let waiting = sending::empty::<A>(world, waiting);
    for envelope in stash.into_iter().chain(waiting) {
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Stopped));
    }
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    match cell.phase {
        // In the middle of a message: it ends after that.
        Phase::Running if cell.value.is_none() => cell.extras().is_to_stop = true,
        // It has a value to clean up.
        _ if cell.value.is_some() => {
            clear_life_timer::<A>(world, id);
            begin_ending::<A>(world, id, false);
        }
        _ => finish::<A>(world, id, Cause::Stopped),
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
    if cell.phase == Phase::Running && cell.mailbox.is_empty() {
        begin_ending::<A>(world, id, false);
    } else {
        cell.extras().is_released = true;
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
        let deadline = Hosts::<A>::table(world).settings.stop_deadline;
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

type TakenOut<A> = (Option<<A as Actor>::Key>, crate::actor::mailbox::Mailbox<Envelope<A>>, Option<Box<Extras<A>>>);

/// What an actor's value has set going, which ends with it.
pub(crate) struct Going {
    timers: Vec<TimerId>,
    tasks: Vec<(u64, AbortHandle)>,
    watching: Vec<u64>,
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
fn take_out<A: Actor>(world: &mut A::World, id: ActorId) -> Option<TakenOut<A>> {
    set_phase::<A>(world, id, Phase::Down);
    clear_life_timer::<A>(world, id);
    let mut cell = Hosts::<A>::table(world).remove(id)?;
    if let Some(extras) = &mut cell.extras {
        let going = Going::take(extras);
        going.end(world, id);
    }
    if let Some(value) = cell.value.take() {
        discard(value);
    }
    Some((cell.key, cell.mailbox, cell.extras))
}

/// An actor is no more. What came for it meanwhile goes to its next activation, or, where it failed, back to who asked.
pub(crate) fn finish<A: Actor>(world: &mut A::World, id: ActorId, cause: Cause) {
    if matches!(cause, Cause::Failed(_) | Cause::Forced) {
        let key = Hosts::<A>::table(world).key(id).cloned();
        let value = Hosts::<A>::table(world).cell_mut(id).and_then(|cell| cell.value.take());
        let lost = failing::contained(|| A::lost(world, key.as_ref(), value, &cause));
        if lost.is_err() {
            tracing::error!(kind = A::KIND, "what follows an actor's failure panicked");
        }
    }
    let Some((key, mailbox, mut extras)) = take_out::<A>(world, id) else { return };
    let died = matches!(cause, Cause::Failed(_));
    deferred::settle_all(world, id, died);
    let table = Hosts::<A>::table(world);
    if cause == Cause::Retired {
        table.figures.retirements.add(1);
    }
    table.figures.pending.sub(mailbox.len() as u64);
    let stash = extras.as_mut().map(|extras| std::mem::take(&mut extras.stash)).unwrap_or_default();
    let waiting = sending::empty::<A>(world, mailbox);
    let left: Vec<_> = stash.into_iter().chain(waiting).collect();
    match &key {
        Some(key) if !died && !left.is_empty() => {
            let now = world.core().now;
            let table = Hosts::<A>::table(world);
            let next = table.insert(Some(key.clone()), now);
            table.figures.pending.add(left.len() as u64);
            for envelope in left {
                let priority = envelope.metadata.priority;
                if let Some(cell) = Hosts::<A>::table(world).cell_mut(next) {
                    cell.mailbox.push_promised(priority, envelope);
                }
            }
            enqueue::<A>(world, next.slot);
        }
        _ => {
            let reason = if died { DeadReason::ActorFailed } else { DeadReason::Stopped };
            for envelope in left {
                sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(reason));
            }
        }
    }
    tell_end::<A>(world, id, extras, &cause);
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
