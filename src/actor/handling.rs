//! Letting an actor handle a message: taken out of its table, under a catch, and counted.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::actor::{
    actor::{Actor, Failure, Undelivered},
    context::{Context, Wish},
    core::{Undo, run_later},
    deferred::{self, Settled},
    envelope::{ActorId, AskError, Envelope, Metadata, Priority, ReplyOf},
    failing,
    key::Key as _,
    kind_figures::DeadReason,
    life,
    monitor::Cause,
    sending,
    table::Phase,
    world::{Hosts, World},
};

/// Why a call did not go straight through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no such actor, or it is not there yet or any more.
    #[error("there is no such actor")]
    NoSuchActor,
    /// It is in the middle of a message.
    #[error("the actor is in the middle of a message")]
    Busy,
    /// It has failed at this call.
    #[error("the actor failed")]
    Died,
}

/// Runs an actor for a batch of its messages.
pub(crate) fn run<A: Actor>(world: &mut A::World, slot: u32) {
    let table = Hosts::<A>::table(world);
    let batch = table.settings.batch;
    let Some(cell) = table.cells.get_mut(slot as usize) else { return };
    cell.is_queued = false;
    let (phase, id) = (cell.phase, table.id(slot));
    if phase == Phase::New {
        life::activate::<A>(world, id);
    }
    for _ in 0..batch {
        let Some(envelope) = next::<A>(world, id) else { break };
        if envelope.metadata.deadline.is_some_and(|deadline| deadline <= world.core().now) {
            let key = Hosts::<A>::table(world).key(id).cloned();
            Hosts::<A>::table(world).figures.expired.add(1);
            sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::Expired));
        } else {
            handle_one::<A>(world, id, envelope);
        }
    }
    sending::enqueue::<A>(world, slot);
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cell_mut(id) else { return };
    if cell.phase == Phase::Running && cell.mailbox.is_empty() {
        table.note_idle(slot, now);
        life::end_if_released::<A>(world, id);
    }
}

/// The next message of an actor that can handle one.
fn next<A: Actor>(world: &mut A::World, id: ActorId) -> Option<Envelope<A>> {
    let table = Hosts::<A>::table(world);
    let cell = table.cell_mut(id)?;
    if !cell.can_run() || cell.value.is_none() {
        return None;
    }
    let envelope = if cell.is_restricted() { cell.mailbox.pop_control() } else { cell.mailbox.pop() }?;
    table.figures.pending.sub(1);
    sending::admit::<A>(world, id.slot);
    Some(envelope)
}

fn handle_one<A: Actor>(world: &mut A::World, id: ActorId, envelope: Envelope<A>) {
    let Envelope { message, metadata, reply, route, is_own } = envelope;
    let started = world.core().now;
    let table = Hosts::<A>::table(world);
    table.figures.wait.record(started.since(metadata.created_at).as_nanos() as u64);
    let mut given = None;
    let occasion = Occasion { metadata, reply, is_message: true };
    let Entered { result, reply, stashed, wish, .. } = enter::<A, _>(world, id, occasion, |actor, cx| {
        let result = actor.handle(message, cx);
        given = cx.take_answer();
        match result {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Error(error)) => Ok(Err(error)),
            Err(Failure::Fatal(cause)) => Err(cause),
        }
    });
    match result {
        Ok(Ok(())) => {
            if let Some(message) = stashed {
                stash::<A>(world, id, Envelope { message, metadata, reply, route, is_own });
            } else if let Some(reply) = reply {
                sending::answer(world, reply, given.unwrap_or(Err(AskError::Unanswered)));
            }
        }
        Ok(Err(error)) => {
            let table = Hosts::<A>::table(world);
            table.figures.errors.add(1);
            if let Some(cell) = table.cell_mut(id) {
                cell.counts.errors += 1;
            }
            match reply {
                Some(reply) => sending::answer(world, reply, Err(AskError::Handler(error))),
                None => {
                    let key = Hosts::<A>::table(world).key(id).map(|key| key.text().into_owned()).unwrap_or_default();
                    tracing::debug!(kind = A::KIND, key, %error, "a message could not be handled");
                }
            }
        }
        Err(error) => {
            if let Some(reply) = reply {
                sending::answer(world, reply, Err(AskError::Died));
            }
            // Otherwise its value was there when the message was taken out.
            if error == CallError::Died {
                let cause = failing::last_panic(world);
                failing::failed::<A>(world, id, cause);
            }
            run_later(world);
            return;
        }
    }
    run_later(world);
    granted::<A>(world, id, wish);
    run_later(world);
}

/// Does what an actor wished for itself.
fn granted<A: Actor>(world: &mut A::World, id: ActorId, wish: Wish) {
    match wish {
        Wish::GoOn => {}
        Wish::End => life::ended_itself::<A>(world, id),
        Wish::Retire => {
            life::retire::<A>(world, id);
        }
    }
}

/// Puts a message aside; over the bound of the mailbox it goes to its asker as full.
fn stash<A: Actor>(world: &mut A::World, id: ActorId, envelope: Envelope<A>) {
    let table = Hosts::<A>::table(world);
    let capacity = table.settings.mailbox;
    let Some(cell) = table.cell_mut(id) else { return };
    if cell.extras().stash.len() < capacity {
        cell.extras().stash.push_back(envelope);
    } else {
        let key = cell.key.clone();
        sending::bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::MailboxFull));
    }
}

/// Why an actor is entered.
pub(crate) struct Occasion<A: Actor> {
    pub metadata: Metadata,
    pub reply: Option<ReplyOf<A>>,
    /// For a message or a call, which are counted; not for what no message asks for.
    pub is_message: bool,
}

impl<A: Actor> Occasion<A> {
    /// For something that no message asks for.
    pub fn beside(world: &mut A::World, id: ActorId) -> Self {
        let created_at = world.core().now;
        let metadata = Metadata { id: 0, sender: Some(id), created_at, deadline: None, priority: Priority::Control };
        Self { metadata, reply: None, is_message: false }
    }
}

/// What is left when an actor has been entered.
pub(crate) struct Entered<A: Actor, R> {
    pub result: Result<R, CallError>,
    pub reply: Option<ReplyOf<A>>,
    pub stashed: Option<A::Message>,
    pub wish: Wish,
}

/// Takes an actor out of its table and lets something be done with it. Whatever it sent goes only where it neither panicked
/// nor says that it can not go on; its value goes back either way.
pub(crate) fn enter<A: Actor, R>(
    world: &mut A::World,
    id: ActorId,
    occasion: Occasion<A>,
    act: impl FnOnce(&mut A, &mut Context<'_, A>) -> Result<R, String>,
) -> Entered<A, R> {
    let Occasion { metadata, reply, is_message } = occasion;
    let nothing = |result, reply| Entered { result: Err(result), reply, stashed: None, wish: Wish::GoOn };
    let table = Hosts::<A>::table(world);
    let (limit_ns, told_as) = (table.settings.handling_limit.as_nanos() as u64, table.told_as);
    let Some(cell) = table.cell_mut(id) else { return nothing(CallError::NoSuchActor, reply) };
    match cell.phase {
        Phase::Running | Phase::Ending { .. } => {}
        // It comes back by itself.
        Phase::BackingOff => return nothing(CallError::Busy, reply),
        Phase::New | Phase::Loading | Phase::Down => return nothing(CallError::NoSuchActor, reply),
    }
    let Some(mut value) = cell.value.take() else { return nothing(CallError::Busy, reply) };
    let core = world.core();
    let started = core.now;
    let running = &core.running;
    // Whoever is in the middle of a message goes on with it after this.
    let shown = (core.nesting > 0).then(|| running.save());
    running.begin(told_as, started, limit_ns);
    if running.is_other(told_as, id.slot, id.generation) {
        let running = running.clone();
        match Hosts::<A>::table(world).key(id) {
            Some(key) => running.name(&key.text()),
            None => running.name(&format!("#{id}")),
        }
    }
    let core = world.core();
    let (undo_mark, later_mark) = (core.undo.len(), core.later.len());
    core.nesting += 1;
    let mut cx = Context::new(world, id, metadata, reply);
    let result = catch_unwind(AssertUnwindSafe(|| act(&mut value, &mut cx)));
    let (reply, stashed, wish) = cx.into_parts();
    let core = world.core();
    core.nesting -= 1;
    if let Some(shown) = shown {
        core.running.restore(&shown);
    }
    let result = match result {
        Ok(Ok(result)) => {
            if core.nesting == 0 {
                core.undo.clear();
            }
            Ok(result)
        }
        Ok(Err(cause)) => Err(cause),
        Err(cause) => Err(describe(&*cause)),
    };
    let result = result.map_err(|cause| {
        let core = world.core();
        core.tree.last_panic = cause;
        core.later.truncate(later_mark);
        undo(world, undo_mark);
        CallError::Died
    });
    let now = world.core().tell_time();
    let took = now.since(started).as_nanos() as u64;
    let table = Hosts::<A>::table(world);
    if is_message {
        table.figures.processed.add(1);
        table.figures.handling.record(took);
    }
    if took > limit_ns {
        table.figures.slow.add(1);
    }
    let mut wish = wish;
    match table.cell_mut(id) {
        Some(cell) => {
            cell.value = Some(value);
            cell.last_active = now;
            cell.counts.processed += u64::from(is_message);
            cell.counts.busy_ns += took;
            if cell.extras.as_ref().is_some_and(|extras| extras.is_to_stop) {
                wish = Wish::End;
            }
        }
        // It was ended while it was at it.
        None => life::discard(value),
    }
    Entered { result, reply, stashed, wish }
}

/// Takes back what a handler has done before it failed, the last first.
fn undo<W: World>(world: &mut W, mark: usize) {
    let (mut asked, mut owed) = (Vec::new(), Vec::new());
    while world.core().undo.len() > mark {
        match world.core().undo.pop() {
            Some(Undo::Told { to, place, id }) => {
                let ops = world.core().kinds[usize::from(to.kind)].ops;
                asked.extend(ops.take_back(world, to, place, id));
            }
            Some(Undo::Posted { batch, id }) => asked.extend(world.core().outbox.take_back(batch, id)),
            Some(Undo::Asked(id)) => {
                sending::unask(world.core(), id);
                asked.retain(|open| open.id != id);
            }
            Some(Undo::Set(timer)) => {
                world.core().timers.cancel(timer);
            }
            Some(Undo::Deferred(id)) => owed.push(id),
            Some(Undo::Spawned(id)) => {
                let ops = world.core().kinds[usize::from(id.kind)].ops;
                ops.kill(world, id, Cause::Stopped);
            }
            None => break,
        }
    }
    // Who waits is told last: this is nothing that the handler did.
    for id in owed.into_iter().rev() {
        deferred::settle(world, id, Settled::Died);
    }
    for open in asked.into_iter().rev() {
        sending::answer_open(world, open);
    }
}

/// Calls straight through to an actor of this host, as if it were sent a message and handled it at once: contained,
/// counted, supervised the same. It overtakes what waits in its mailbox: where order matters, ask
/// [`Table::is_free`](crate::actor::table::Table::is_free) first and send a message where it is not.
///
/// For hot paths within one host. A call into an actor that is in the middle of a message, its own caller for example,
/// is refused, so calls can form no cycle. What the called one does is its own: it stays done where the caller fails
/// afterwards.
pub fn call<A: Actor, R>(
    world: &mut A::World,
    id: ActorId,
    act: impl FnOnce(&mut A, &mut Context<'_, A>) -> R,
) -> Result<R, CallError> {
    let core = world.core();
    let created_at = core.now;
    let metadata = Metadata { id: 0, sender: None, created_at, deadline: None, priority: Priority::Control };
    let (undo_mark, later_mark) = (core.undo.len(), core.later.len());
    let occasion = Occasion { metadata, reply: None, is_message: true };
    let Entered { result, wish, .. } = enter::<A, R>(world, id, occasion, |actor, cx| Ok(act(actor, cx)));
    let core = world.core();
    core.undo.truncate(undo_mark);
    match &result {
        Ok(_) if wish == Wish::GoOn && core.later.len() == later_mark => {}
        Ok(_) => aside(world, later_mark, |world| granted::<A>(world, id, wish)),
        Err(CallError::Died) => {
            let cause = failing::last_panic(world);
            aside(world, later_mark, |world| failing::failed::<A>(world, id, cause));
        }
        Err(CallError::NoSuchActor | CallError::Busy) => {}
    }
    result
}

/// Does what a called actor asked for, and then this, as if no other were in the middle of a message.
fn aside<W: World>(world: &mut W, later_mark: usize, then: impl FnOnce(&mut W)) {
    let core = world.core();
    let own = core.later.split_off(later_mark);
    let callers = (mem::replace(&mut core.later, own), mem::take(&mut core.undo), mem::take(&mut core.nesting));
    run_later(world);
    then(world);
    run_later(world);
    let core = world.core();
    (core.later, core.undo, core.nesting) = callers;
}

pub(crate) fn describe(cause: &(dyn Any + Send)) -> String {
    cause
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
