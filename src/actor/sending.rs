//! Messages on their way: telling, asking, answering, and what could not be delivered.

use std::{
    any::{Any, TypeId},
    time::Duration,
};

use crate::actor::{
    actor::{Actor, Undelivered},
    core::{Core, Timed, Undo},
    envelope::{ActorId, Answer, AskError, Envelope, Metadata, Priority, ReplyOf, ReplyTo, TellError},
    kind_figures::DeadReason,
    mailbox::{Overflow, PlaceTaken, Pushed},
    mesh::Lane,
    moment::Moment,
    parcel::{Parcel, Posted, PostedTo},
    pool::{self, Route},
    table::Phase,
    timers::TimerId,
    world::{Hosts, World},
};

/// Whom a message is for.
pub(crate) enum To<'a, A: Actor> {
    Key(&'a A::Key),
    /// That of this host, wherever the key's home is.
    At(u16, &'a A::Key),
    Id(ActorId),
    Pool(Route),
}

/// An ask of an actor of this host that has no answer yet.
pub(crate) struct PendingAsk<W> {
    timer: TimerId,
    complete: Box<dyn FnOnce(&mut W, Completion<'_>)>,
}

/// How an ask ends.
pub(crate) enum Completion<'a> {
    /// With an answer: an `Option<Answer<_, _>>`, to be taken.
    Answer(&'a mut dyn Any),
    TimedOut,
    MailboxFull,
    Stopped,
}

/// A message that was not taken, with who waits for its answer.
type Refused<A> = (TellError<<A as Actor>::Message>, Option<ReplyOf<A>>);

/// Sends a message, to this host or another.
#[inline]
pub(crate) fn send<A: Actor, W: World>(
    world: &mut W,
    to: To<'_, A>,
    message: A::Message,
    metadata: Metadata,
    reply: Option<ReplyOf<A>>,
) -> Result<(), Refused<A>> {
    if TypeId::of::<W>() == TypeId::of::<A::World>()
        && let Some(world) = (world as &mut dyn Any).downcast_mut::<A::World>()
    {
        let (slot, route) = match &to {
            To::Key(key) => (known_or_new::<A>(world, key), 0),
            To::At(host, key) if *host == world.core().host => (Some(known_or_insert::<A>(world, key)), 0),
            To::Id(id) => {
                let table = Hosts::<A>::table(world);
                if id.host == table.host {
                    if id.kind != table.kind || table.cell(*id).is_none() {
                        return Err((TellError::Stopped(message), reply));
                    }
                    (Some(id.slot), 0)
                } else {
                    (None, 0)
                }
            }
            To::Pool(route) if pool_host::<A>(world.core()) == Some(world.core().host()) => {
                match pool::pick(Hosts::<A>::table(world), route) {
                    Ok(slot) => (Some(slot), route.hash()),
                    Err(pool::NoMember(Some(member))) => {
                        return Err((TellError::NoSuchMember { member, message }, reply));
                    }
                    Err(pool::NoMember(None)) => return Err((TellError::Stopped(message), reply)),
                }
            }
            To::At(..) | To::Pool(_) => (None, 0),
        };
        if let Some(slot) = slot {
            return push::<A>(world, slot, Envelope { message, metadata, reply, route });
        }
    }
    send_away::<A, W>(world, to, message, metadata, reply)
}

/// The place of an actor of this host, a new one where the key is at home here and not known yet; none where it lives
/// elsewhere.
#[inline]
fn known_or_new<A: Actor>(world: &mut A::World, key: &A::Key) -> Option<u32> {
    if let Some(&slot) = Hosts::<A>::table(world).keys.get(key) {
        return Some(slot);
    }
    let core = world.core();
    let is_here = core.post.registry.home::<A>(key).is_none_or(|home| home == core.host());
    is_here.then(|| insert::<A>(world, key))
}

/// The same, wherever the key's home is.
fn known_or_insert<A: Actor>(world: &mut A::World, key: &A::Key) -> u32 {
    match Hosts::<A>::table(world).keys.get(key) {
        Some(&slot) => slot,
        None => insert::<A>(world, key),
    }
}

fn insert<A: Actor>(world: &mut A::World, key: &A::Key) -> u32 {
    let now = world.core().now;
    Hosts::<A>::table(world).insert(Some(key.clone()), now).slot
}

/// Sends a message to another host.
fn send_away<A: Actor, W: World>(
    world: &mut W,
    to: To<'_, A>,
    message: A::Message,
    metadata: Metadata,
    reply: Option<ReplyOf<A>>,
) -> Result<(), Refused<A>> {
    let core = world.core();
    let host = match &to {
        To::Key(key) => core.post.registry.home::<A>(key),
        To::At(host, _) => Some(usize::from(*host)),
        To::Id(id) => Some(usize::from(id.host)),
        To::Pool(_) => pool_host::<A>(core),
    };
    let Some(host) = host else { return Err((TellError::Stopped(message), reply)) };
    let to = match to {
        To::Key(key) => PostedTo::Key(key.clone()),
        To::At(_, key) => PostedTo::At(key.clone()),
        To::Id(id) => PostedTo::Id(id),
        To::Pool(route) => PostedTo::Pool(route),
    };
    match core.outbox.post::<A>(host, Posted { to, message, metadata, reply }) {
        Ok(batch) => {
            if core.nesting > 0 {
                core.undo.push(Undo::Posted { batch });
            }
            Ok(())
        }
        Err(Posted { message, reply, .. }) => Err((TellError::Full(message), reply)),
    }
}

/// What a world sends in nobody's name: its handlers have their [context](crate::actor::context::Context) for that.
fn anonymous<W: World>(world: &mut W) -> Metadata {
    let core = world.core();
    let (id, created_at) = (core.fresh_id(), core.now);
    Metadata { id, sender: None, created_at, deadline: None, priority: Priority::Data }
}

/// Sends a message in nobody's name, from a world's own code.
pub fn tell<A: Actor, W: World>(world: &mut W, key: &A::Key, message: A::Message) -> Result<(), TellError<A::Message>> {
    let metadata = anonymous(world);
    send::<A, W>(world, To::Key(key), message, metadata, None).map_err(|(error, _)| error)
}

/// The same, to the actor that a certain host has under the key, wherever the key's home is: for kinds that live where
/// something else is.
pub fn tell_at<A: Actor, W: World>(
    world: &mut W,
    host: usize,
    key: &A::Key,
    message: A::Message,
) -> Result<(), TellError<A::Message>> {
    let metadata = anonymous(world);
    send::<A, W>(world, To::At(host as u16, key), message, metadata, None).map_err(|(error, _)| error)
}

/// Asks in the name of an actor of this host, from a world's own code. The actor is given the answer as a message.
pub fn ask_as<A: Actor, B: Actor>(
    world: &mut B::World,
    asker: ActorId,
    key: &A::Key,
    message: A::Message,
    timeout: Duration,
    map: impl FnOnce(Answer<A::Reply, A::Error>) -> B::Message + 'static,
) -> u64 {
    let deadline = world.core().now + timeout;
    let metadata = Metadata { sender: Some(asker), deadline: Some(deadline), ..anonymous(world) };
    ask::<A, B>(world, asker, To::Key(key), message, metadata, deadline, map)
}

/// A pool lives on the first host of its kind.
fn pool_host<A: Actor>(core: &Core<impl World>) -> Option<usize> {
    core.post.registry.hosts_of::<A>().first().copied()
}

/// A message from another host, or from outside.
pub(crate) fn arrive<A: Actor>(world: &mut A::World, posted: Posted<A>) {
    let metadata = posted.metadata;
    let (to, envelope) = posted.into_envelope();
    let Envelope { message, reply, .. } = envelope;
    let me = world.core().host;
    let result = match &to {
        PostedTo::At(key) => send::<A, _>(world, To::At(me, key), message, metadata, reply),
        PostedTo::Key(key) => send::<A, _>(world, To::Key(key), message, metadata, reply),
        PostedTo::Id(id) => send::<A, _>(world, To::Id(*id), message, metadata, reply),
        PostedTo::Pool(route) => send::<A, _>(world, To::Pool(route.clone()), message, metadata, reply),
    };
    if let Err((error, reply)) = result {
        let reason = match &error {
            TellError::Full(_) => DeadReason::MailboxFull,
            TellError::Stopped(_) | TellError::NoSuchMember { .. } => DeadReason::NoSuchActor,
        };
        let envelope = Envelope { message: error.into_message(), metadata, reply, route: 0 };
        let key = if let PostedTo::Key(key) | PostedTo::At(key) = &to { Some(key) } else { None };
        bury::<A>(world, key, envelope, &Undelivered::For(reason));
    }
}

/// Puts a message before an actor of this host.
#[inline]
pub(crate) fn push<A: Actor>(world: &mut A::World, slot: u32, envelope: Envelope<A>) -> Result<(), Refused<A>> {
    let table = Hosts::<A>::table(world);
    let (kind, priority, capacity) = (table.kind, envelope.metadata.priority, table.settings.mailbox);
    let cell = &mut table.cells[slot as usize];
    if !cell.mailbox.has_room(priority, capacity) {
        return push_full::<A>(world, slot, envelope);
    }
    cell.mailbox.push_promised(priority, envelope);
    let is_woken = cell.wake();
    table.figures.pending.add(1);
    let core = world.core();
    if is_woken {
        core.ready.push_back((kind, slot));
    }
    if core.nesting > 0 {
        core.undo.push(Undo::Told { kind, slot, place: PlaceTaken::Lane(priority) });
    }
    Ok(())
}

/// Does as the kind wants with a message that its mailbox has no room for.
#[cold]
fn push_full<A: Actor>(world: &mut A::World, slot: u32, envelope: Envelope<A>) -> Result<(), Refused<A>> {
    let table = Hosts::<A>::table(world);
    let (capacity, mut overflow) = (table.settings.mailbox, table.settings.overflow);
    let (kind, priority, sender) = (table.kind, envelope.metadata.priority, envelope.metadata.sender);
    if overflow == Overflow::BackPressure && sender.is_none() {
        // Who has no mailbox can not rest before one.
        overflow = Overflow::Refuse;
    }
    let cell = &mut table.cells[slot as usize];
    let pushed = cell.mailbox.push(priority, envelope, capacity, overflow);
    let place = match pushed {
        Pushed::Refused(envelope) => {
            table.figures.rejected.add(1);
            return Err((TellError::Full(envelope.message), envelope.reply));
        }
        Pushed::DroppedNewest(envelope) => {
            let key = cell.key.clone();
            bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::DroppedNewest));
            return Ok(());
        }
        Pushed::DroppedOldest(envelope) => {
            let key = cell.key.clone();
            bury::<A>(world, key.as_ref(), envelope, &Undelivered::For(DeadReason::DroppedOldest));
            PlaceTaken::Lane(priority)
        }
        Pushed::Taken => {
            table.figures.pending.add(1);
            PlaceTaken::Lane(priority)
        }
        Pushed::Parked => {
            table.figures.pending.add(1);
            if let Some(sender) = sender {
                change_rest(world, sender, 1);
            }
            PlaceTaken::Beside
        }
    };
    enqueue::<A>(world, slot);
    let core = world.core();
    if core.nesting > 0 {
        core.undo.push(Undo::Told { kind, slot, place });
    }
    Ok(())
}

/// Puts a message before an actor that has asked for it, by an ask, a timer or a future: its place was promised.
pub(crate) fn push_promised<A: Actor>(world: &mut A::World, id: ActorId, message: A::Message, metadata: Metadata) {
    let envelope = Envelope { message, metadata, reply: None, route: 0 };
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cell_mut(id) else {
        return bury::<A>(world, None, envelope, &Undelivered::For(DeadReason::Stopped));
    };
    let priority = if cell.is_restricted() { Priority::Control } else { Priority::Data };
    cell.mailbox.push_promised(priority, envelope);
    let (is_woken, kind) = (cell.wake(), table.kind);
    table.figures.pending.add(1);
    if is_woken {
        world.core().ready.push_back((kind, id.slot));
    }
}

/// Has an actor run when it can.
pub(crate) fn enqueue<A: Actor>(world: &mut A::World, slot: u32) {
    let table = Hosts::<A>::table(world);
    let kind = table.kind;
    let Some(cell) = table.cells.get_mut(slot as usize) else { return };
    if cell.wake() {
        world.core().ready.push_back((kind, slot));
    }
}

/// Takes back what a handler has told somebody before it failed.
pub(crate) fn take_back<A: Actor>(world: &mut A::World, slot: u32, place: PlaceTaken) {
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cells.get_mut(slot as usize) else { return };
    let Some(envelope) = cell.mailbox.take_back(place) else { return };
    table.figures.pending.sub(1);
    let id = table.id(slot);
    let cell = &mut table.cells[slot as usize];
    if cell.phase == Phase::New && cell.mailbox.is_empty() && cell.value.is_none() {
        // It was named for the first time.
        table.remove(id);
    }
    if place == PlaceTaken::Beside
        && let Some(sender) = envelope.metadata.sender
    {
        change_rest(world, sender, -1);
    }
}

/// Has a sender rest, or go on.
pub(crate) fn change_rest<W: World>(world: &mut W, actor: ActorId, change: i32) {
    let core = world.core();
    if actor.host == core.host {
        let ops = core.kinds[usize::from(actor.kind)].ops;
        ops.rest(world, actor, change);
    } else {
        core.send_parcel(actor.host, Lane::Control, Parcel::Rest { actor, change });
    }
}

/// An actor of this host rests, or goes on.
pub(crate) fn rest<A: Actor>(world: &mut A::World, id: ActorId, change: i32) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else { return };
    cell.rests = cell.rests.saturating_add_signed(change);
    enqueue::<A>(world, id.slot);
}

/// A message that nobody will handle: its asker is told why, or the kind is; it is counted either way.
pub(crate) fn bury<A: Actor>(world: &mut A::World, key: Option<&A::Key>, envelope: Envelope<A>, why: &Undelivered<A>) {
    let kind = Hosts::<A>::table(world).kind;
    let reason = match why {
        Undelivered::For(reason) => *reason,
        Undelivered::LoadFailed(_) => DeadReason::LoadFailed,
    };
    world.core().count_dead(kind, reason);
    let Envelope { message, reply, .. } = envelope;
    match reply {
        Some(reply) => {
            let error = match why {
                Undelivered::LoadFailed(error) => AskError::Handler(error.clone()),
                Undelivered::For(reason) => match reason {
                    DeadReason::MailboxFull
                    | DeadReason::DroppedOldest
                    | DeadReason::DroppedNewest
                    | DeadReason::HostFull => AskError::MailboxFull,
                    DeadReason::Expired => AskError::TimedOut,
                    DeadReason::ActorFailed | DeadReason::LoadFailed => AskError::Died,
                    DeadReason::NoSuchActor | DeadReason::Stopped | DeadReason::HostGone | DeadReason::LateAnswer => {
                        AskError::Stopped
                    }
                },
            };
            answer(world, reply, Err(error));
        }
        None => A::undelivered(world, key, message, why),
    }
}

/// Gives an answer to who waits for it.
pub(crate) fn answer<W: World, R, E>(world: &mut W, reply: ReplyTo<R, E>, answer: Answer<R, E>)
where
    R: Send + 'static,
    E: Send + 'static,
{
    match reply {
        // Who has given up waiting has dropped its end.
        ReplyTo::Outside(channel) => drop(channel.try_send(answer)),
        ReplyTo::Ask { host, id } if host == world.core().host => {
            answered(world, id, Completion::Answer(&mut Some(answer)));
        }
        ReplyTo::Ask { host, id } => {
            world.core().send_parcel(host, Lane::Data, Parcel::Answer { id, answer: Box::new(Some(answer)) });
        }
    }
}

/// An ask of this host has ended. An answer that comes after its ask has timed out finds nobody: it is counted, and never
/// answers another.
pub(crate) fn answered<W: World>(world: &mut W, id: u64, completion: Completion<'_>) {
    let core = world.core();
    let Some(pending) = core.asks.remove(&id) else {
        if let Some(kind) = core.kinds.first() {
            kind.figures.late_answers.add(1);
        }
        return;
    };
    core.timers.cancel(pending.timer);
    (pending.complete)(world, completion);
}

/// Asks `A` in the name of an actor `B`, which is given the answer as a message.
pub(crate) fn ask<A: Actor, B: Actor>(
    world: &mut B::World,
    asker: ActorId,
    to: To<'_, A>,
    message: A::Message,
    metadata: Metadata,
    deadline: Moment,
    map: impl FnOnce(Answer<A::Reply, A::Error>) -> B::Message + 'static,
) -> u64 {
    let core = world.core();
    let id = metadata.id;
    let timer = core.timers.set(deadline, Timed::Ask(id));
    let complete = Box::new(move |world: &mut B::World, completion: Completion<'_>| {
        let answer: Answer<A::Reply, A::Error> = match completion {
            Completion::Answer(answer) => {
                let answer = answer.downcast_mut::<Option<Answer<A::Reply, A::Error>>>().and_then(Option::take);
                answer.unwrap_or(Err(AskError::Unanswered))
            }
            Completion::TimedOut => Err(AskError::TimedOut),
            Completion::MailboxFull => Err(AskError::MailboxFull),
            Completion::Stopped => Err(AskError::Stopped),
        };
        let now = world.core().now;
        let metadata = Metadata { id, sender: None, created_at: now, deadline: None, priority: Priority::Data };
        push_promised::<B>(world, asker, map(answer), metadata);
    });
    core.asks.insert(id, PendingAsk { timer, complete });
    if core.nesting > 0 {
        core.undo.push(Undo::Asked(id));
    }
    let (now, host) = (core.now, core.host);
    let failed = if deadline <= now {
        Some(Completion::TimedOut)
    } else {
        match send::<A, _>(world, to, message, metadata, Some(ReplyTo::Ask { host, id })) {
            Ok(()) => None,
            Err((TellError::Full(_), _)) => Some(Completion::MailboxFull),
            Err((TellError::Stopped(_) | TellError::NoSuchMember { .. }, _)) => Some(Completion::Stopped),
        }
    };
    // Told by a message of its own, not from within this call.
    if let Some(completion) = failed {
        let completion = match completion {
            Completion::MailboxFull => |world: &mut B::World, id| answered(world, id, Completion::MailboxFull),
            Completion::Stopped => |world: &mut B::World, id| answered(world, id, Completion::Stopped),
            _ => |world: &mut B::World, id| answered(world, id, Completion::TimedOut),
        };
        world.core().later.push(Box::new(move |world| completion(world, id)));
    }
    id
}

/// Gives up an ask whose asker has failed before it was sent.
pub(crate) fn unask<W: World>(core: &mut Core<W>, id: u64) {
    if let Some(pending) = core.asks.remove(&id) {
        core.timers.cancel(pending.timer);
    }
}
