//! Letting an actor handle a message: taken out of its table, under a catch, and counted.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::actor::{
    actor::{Actor, Failure, Undelivered},
    context::{Context, Parts, Wish},
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
    // One that is made now has its turn now, and need not be put in the queue for what waited.
    cell.is_queued = cell.phase == Phase::New;
    let (phase, id) = (cell.phase, table.id(slot));
    if phase == Phase::New {
        life::activate::<A>(world, id);
        if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
            cell.is_queued = false;
        }
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
        if world.core().is_turn_over() {
            break;
        }
    }
    sending::enqueue::<A>(world, slot);
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cell_mut(id) else { return };
    let is_idle = cell.phase == Phase::Running && cell.mailbox.is_empty();
    table.strip(slot);
    if is_idle {
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
    let is_waited_for = cell.mailbox.has_parked();
    table.figures.pending.sub(1);
    if is_waited_for {
        sending::let_in::<A>(world, id.slot);
    }
    Some(envelope)
}

/// What a handler ended with.
enum Outcome<E> {
    Handled,
    Error(E),
    Failed(String),
}

fn handle_one<A: Actor>(world: &mut A::World, id: ActorId, envelope: Envelope<A>) {
    let Envelope { message, metadata, reply, route, is_own } = envelope;
    let started = world.core().now;
    let table = Hosts::<A>::table(world);
    table.figures.wait.record(started.since(metadata.created_at).as_nanos() as u64);
    let mut given = None;
    let occasion = Occasion { metadata, reply, is_message: true, is_part: false };
    let Entered { result, reply, stashed, wish, .. } = enter::<A, _>(world, id, occasion, |actor, cx| {
        let result = actor.handle(message, cx);
        given = cx.take_answer();
        match result {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Error(error)) => Ok(Err(error)),
            Err(Failure::Fatal(cause)) => Err(cause),
        }
    });
    let outcome = match result {
        Ok(Ok(())) => Outcome::Handled,
        Ok(Err(error)) => Outcome::Error(error),
        Err(CallError::Died) => Outcome::Failed(failing::last_panic(world)),
        // Its value was there when the message was taken out.
        Err(CallError::NoSuchActor | CallError::Busy) => return,
    };
    match outcome {
        Outcome::Handled => {
            if let Some(message) = stashed {
                stash::<A>(world, id, Envelope { message, metadata, reply, route, is_own });
            } else if let Some(reply) = reply {
                sending::answer(world, reply, given.unwrap_or(Err(AskError::Unanswered)));
            }
        }
        Outcome::Error(error) => {
            if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
                cell.counts.errors += 1;
            }
            Hosts::<A>::table(world).figures.errors.add(1);
            match reply {
                Some(reply) => sending::answer(world, reply, Err(AskError::Handler(error))),
                None => {
                    let key = Hosts::<A>::table(world).key(id).map(|key| key.text().into_owned()).unwrap_or_default();
                    tracing::debug!(kind = A::KIND, key, %error, "a message could not be handled");
                }
            }
        }
        Outcome::Failed(cause) => {
            if let Some(reply) = reply {
                sending::answer(world, reply, Err(AskError::Died));
            }
            failing::failed::<A>(world, id, cause);
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
    /// It is part of what a handler does that is not over: undone with that, where that fails.
    pub is_part: bool,
}

impl<A: Actor> Occasion<A> {
    /// For something that no message asks for.
    pub fn beside(world: &mut A::World, id: ActorId) -> Self {
        let created_at = world.core().now;
        let metadata = Metadata { id: 0, sender: Some(id), created_at, deadline: None, priority: Priority::Control };
        Self { metadata, reply: None, is_message: false, is_part: false }
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
    let Occasion { metadata, reply, is_message, is_part } = occasion;
    let nothing = |result, reply| Entered { result: Err(result), reply, stashed: None, wish: Wish::GoOn };
    let table = Hosts::<A>::table(world);
    let limit_ns = table.settings.handling_limit.as_nanos() as u64;
    let Some(cell) = table.cell_mut(id) else { return nothing(CallError::NoSuchActor, reply) };
    match cell.phase {
        // One that rests with its value is whole: what can not wait may be done with it.
        Phase::Running | Phase::Ending { .. } | Phase::BackingOff => {}
        // Its supervisor may have decided against this value.
        Phase::New | Phase::Loading | Phase::Down => return nothing(CallError::NoSuchActor, reply),
    }
    let Some(mut value) = cell.value.take() else { return nothing(CallError::Busy, reply) };
    let core = world.core();
    let started = core.now;
    // Whoever is in the middle of a message goes on with it after this.
    let shown = (core.nesting > 0).then(|| core.running.save());
    let table = Hosts::<A>::table(world);
    let running = &table.running;
    running.begin(table.told_as, started, limit_ns);
    if running.is_other(id.kind, id.slot, id.generation) {
        match table.key(id) {
            Some(key) => running.name(&key.text()),
            None => running.name(&format!("#{id}")),
        }
    }
    let core = world.core();
    let mark = core.mark();
    core.nesting += 1;
    let mut cx = Context::new(world, id, metadata, reply);
    let result = catch_unwind(AssertUnwindSafe(|| act(&mut value, &mut cx)));
    let Parts { reply, forwarded, stashed, wish } = cx.into_parts();
    let core = world.core();
    core.nesting -= 1;
    if let Some(shown) = shown {
        core.running.restore(&shown);
    }
    let result = match result.unwrap_or_else(|cause| Err(describe(&*cause))) {
        Ok(result) => {
            if !is_part || core.nesting == 0 {
                core.commit(&mark);
            }
            Ok((result, reply))
        }
        Err(cause) => {
            core.tree.last_panic = cause;
            core.later.truncate(mark.later);
            undo(world, mark.undo);
            // What was forwarded has been taken back: its asker waits for this actor again.
            Err(reply.or(forwarded))
        }
    };
    let (result, reply) = match result {
        Ok((result, reply)) => (Ok(result), reply),
        Err(reply) => (Err(CallError::Died), reply),
    };
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
        // It was ended in the middle of it.
        None => life::discard(value),
    }
    Entered { result, reply, stashed, wish }
}

/// Takes back what a handler has sent before it failed, the last first; then tells those that it owed a reply.
fn undo<W: World>(world: &mut W, mark: usize) {
    let mut owed = Vec::new();
    while world.core().undo.len() > mark {
        match world.core().undo.pop() {
            Some(Undo::Told { kind, slot, message }) => {
                let ops = world.core().kinds[usize::from(kind)].ops;
                ops.take_back(world, slot, message);
            }
            Some(Undo::Posted { batch, message }) => world.core().outbox.take_back(batch, message),
            Some(Undo::Asked(id)) => sending::unask(world.core(), id),
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
    for id in owed {
        deferred::settle(world, id, Settled::Died);
    }
}

/// Calls straight through to an actor of this host, as if it were sent a message and handled it at once: contained,
/// counted, supervised the same. It overtakes what waits in its mailbox: where order matters, ask
/// [`Table::is_free`](crate::actor::table::Table::is_free) first and send a message where it is not.
///
/// For hot paths within one host. It goes through to an actor that rests after a failure, where that has kept its value, and
/// not to one that waits for its supervisor's decision. A call into an actor that is in the middle of a message, its own
/// caller for example, is refused, so calls can form no cycle.
pub fn call<A: Actor, R>(
    world: &mut A::World,
    id: ActorId,
    act: impl FnOnce(&mut A, &mut Context<'_, A>) -> R,
) -> Result<R, CallError> {
    let now = world.core().now;
    let metadata = Metadata { id: 0, sender: None, created_at: now, deadline: None, priority: Priority::Control };
    let occasion = Occasion { metadata, reply: None, is_message: true, is_part: false };
    let Entered { result, wish, .. } = enter::<A, R>(world, id, occasion, |actor, cx| Ok(act(actor, cx)));
    match &result {
        Ok(_) => {
            if wish != Wish::GoOn {
                // After what it has asked for before.
                world.core().put_off(Box::new(move |world| granted::<A>(world, id, wish)));
            }
            run_later(world);
        }
        Err(CallError::Died) => {
            let cause = failing::last_panic(world);
            failing::failed_apart::<A>(world, id, cause);
            run_later(world);
        }
        Err(CallError::NoSuchActor | CallError::Busy) => {}
    }
    result
}

pub(crate) fn describe(cause: &(dyn Any + Send)) -> String {
    cause
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
