//! Messages on their way: telling, asking, answering, and what could not be delivered.

use std::{
    any::{Any, TypeId},
    time::Duration,
};

use crate::actor::{
    actor::{Actor, Undelivered},
    core::{Core, Timed, Undo},
    envelope::{ActorId, Answer, AskError, Envelope, Metadata, Priority, ReplyOf, ReplyTo, TellError},
    failing,
    kind_figures::DeadReason,
    life,
    mailbox::{Overflow, Pushed},
    mesh::Lane,
    moment::Moment,
    monitor::Cause,
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

/// Gives an actor the answer to its ask.
type Complete<W> = Box<dyn FnOnce(&mut W, Completion<'_>)>;

/// An ask of an actor of this host that has no answer yet.
pub(crate) struct PendingAsk<W> {
    timer: TimerId,
    complete: Complete<W>,
}

/// How an ask ends.
pub(crate) enum Completion<'a> {
    /// With an answer: an `Option<Answer<_, _>>`, to be taken.
    Answer(&'a mut dyn Any),
    Without(NoAnswer),
}

/// Why an ask has no answer, as its own host knows.
#[derive(Clone, Copy)]
pub(crate) enum NoAnswer {
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
        && Hosts::<A>::find_table(world).is_some()
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
            return push::<A>(world, slot, Envelope { route, ..Envelope::new(message, metadata, reply) });
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
    // One that should live here has no table here: it would be sent here again and again.
    let Some(host) = host.filter(|host| *host != core.host()) else { return Err((TellError::Stopped(message), reply)) };
    let to = match to {
        To::Key(key) => PostedTo::Key(key.clone()),
        To::At(_, key) => PostedTo::At(key.clone()),
        To::Id(id) => PostedTo::Id(id),
        To::Pool(route) => PostedTo::Pool(route),
    };
    match core.outbox.post::<A>(host, Posted { to, message, metadata, reply }) {
        Ok(batch) => {
            if core.nesting > 0 {
                core.undo.push(Undo::Posted { batch, message: metadata.id });
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
        let envelope = Envelope::new(error.into_message(), metadata, reply);
        let key = if let PostedTo::Key(key) | PostedTo::At(key) = &to { Some(key) } else { None };
        bury::<A>(world, key, envelope, &Undelivered::For(reason));
    }
}

/// Puts a message before an actor of this host.
#[inline]
pub(crate) fn push<A: Actor>(world: &mut A::World, slot: u32, envelope: Envelope<A>) -> Result<(), Refused<A>> {
    let table = Hosts::<A>::table(world);
    let (kind, capacity) = (table.kind, table.settings.mailbox);
    let Metadata { id: message, priority, .. } = envelope.metadata;
    let cell = table.furnish(slot);
    match cell.mailbox.room(priority, capacity) {
        Some(lane) => lane.push_back(envelope),
        None => return push_full::<A>(world, slot, envelope),
    }
    let is_woken = cell.wake();
    table.figures.pending.add(1);
    let core = world.core();
    if is_woken {
        core.ready.push_back((kind, slot));
    }
    if core.nesting > 0 {
        core.undo.push(Undo::Told { kind, slot, message });
    }
    Ok(())
}

/// Does as the kind wants with a message that its mailbox has no room for.
#[cold]
fn push_full<A: Actor>(world: &mut A::World, slot: u32, envelope: Envelope<A>) -> Result<(), Refused<A>> {
    let table = Hosts::<A>::table(world);
    let (capacity, mut overflow) = (table.settings.mailbox, table.settings.overflow);
    let (kind, priority, sender) = (table.kind, envelope.metadata.priority, envelope.metadata.sender);
    let message = envelope.metadata.id;
    let is_own = |sender: ActorId| sender.host == table.host && sender.kind == kind && sender.slot == slot;
    if overflow == Overflow::BackPressure && sender.is_none_or(is_own) {
        // Who has no mailbox can not rest before one, and who rests before its own would do so for ever.
        overflow = Overflow::Refuse;
    }
    let cell = &mut table.cells[slot as usize];
    let pushed = cell.mailbox.push(priority, envelope, capacity, overflow);
    match pushed {
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
        }
        Pushed::Taken => table.figures.pending.add(1),
        Pushed::Parked => {
            table.figures.pending.add(1);
            if let Some(sender) = sender {
                change_rest(world, sender, 1);
            }
        }
    }
    enqueue::<A>(world, slot);
    let core = world.core();
    if core.nesting > 0 {
        core.undo.push(Undo::Told { kind, slot, message });
    }
    Ok(())
}

/// Puts a message before an actor that has asked for it, by an ask, a timer or a future: its place was promised.
pub(crate) fn push_promised<A: Actor>(world: &mut A::World, id: ActorId, message: A::Message, metadata: Metadata) {
    let envelope = Envelope { is_own: true, ..Envelope::new(message, metadata, None) };
    let table = Hosts::<A>::table(world);
    if table.cell(id).is_none() {
        return bury::<A>(world, None, envelope, &Undelivered::For(DeadReason::Stopped));
    }
    let cell = table.furnish(id.slot);
    let priority = if cell.is_restricted() { Priority::Control } else { Priority::Data };
    cell.mailbox.push_own(priority, envelope);
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
pub(crate) fn take_back<A: Actor>(world: &mut A::World, slot: u32, message: u64) {
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cells.get_mut(slot as usize) else { return };
    let Some((envelope, was_beside)) = cell.mailbox.take_back(|told| told.metadata.id == message) else { return };
    table.figures.pending.sub(1);
    let id = table.id(slot);
    let cell = &table.cells[slot as usize];
    // One that has failed is to be made again, whoever names it.
    let is_nobody = cell.phase == Phase::New && cell.mailbox.is_empty() && cell.counts.restarts == 0;
    if was_beside {
        go_on::<A>(world, std::iter::once(&envelope));
    } else {
        let_in::<A>(world, slot);
    }
    if is_nobody {
        // It was named for the first time.
        life::finish::<A>(world, id, Cause::NoSuchActor);
    }
}

/// Moves what waits beside a mailbox into it, as far as there is room; its senders go on. Where messages have gone otherwise than
/// by being handled: nothing else would move it in if nothing else is left.
pub(crate) fn let_in<A: Actor>(world: &mut A::World, slot: u32) {
    loop {
        let table = Hosts::<A>::table(world);
        let capacity = table.settings.mailbox;
        let Some(parked) = table.cells.get_mut(slot as usize).and_then(|cell| cell.mailbox.unpark(capacity)) else {
            return;
        };
        if let Some(sender) = resting(parked) {
            change_rest(world, sender, -1);
        }
    }
}

/// Who rests for a message that waits beside a mailbox; nobody does for what an actor has asked for itself.
fn resting<A: Actor>(parked: &Envelope<A>) -> Option<ActorId> {
    parked.metadata.sender.filter(|_| !parked.is_own)
}

/// Takes out all that waits for an actor: what it has put aside, control, data, and what waits beside the mailbox, whose
/// senders go on.
pub(crate) fn empty<A: Actor>(world: &mut A::World, id: ActorId) -> Vec<Envelope<A>> {
    let table = Hosts::<A>::table(world);
    let Some(cell) = table.cell_mut(id) else { return Vec::new() };
    let stash = cell.extras.as_mut().map(|extras| std::mem::take(&mut extras.stash)).unwrap_or_default();
    let waiting = cell.mailbox.len();
    if stash.is_empty() && waiting == 0 {
        return Vec::new();
    }
    let resting: Vec<ActorId> = cell.mailbox.parked().filter_map(resting).collect();
    let left = stash.into_iter().chain(cell.mailbox.drain()).collect();
    table.figures.pending.sub(waiting as u64);
    for sender in resting {
        change_rest(world, sender, -1);
    }
    left
}

/// The senders of messages that were parked, and are so no more, go on.
pub(crate) fn go_on<'a, A: Actor>(world: &mut A::World, parked: impl Iterator<Item = &'a Envelope<A>>) {
    for sender in parked.filter_map(resting) {
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
        // The ask itself has the same deadline: it is over, or just about.
        Some(ReplyTo::Ask { .. }) if reason == DeadReason::Expired => {}
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
        None => {
            if let Err(cause) = failing::contained(|| A::undelivered(world, key, message, why)) {
                tracing::error!(kind = A::KIND, cause, "a kind panicked at a message that was not delivered");
            }
        }
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
        ReplyTo::Ask { host, kind, id } if host == world.core().host => {
            came(world, kind, id, &mut Some(answer));
        }
        ReplyTo::Ask { host, kind, id } => {
            let answer = Box::new(Some(answer));
            world.core().send_parcel(host, Lane::Data, Parcel::Answer { kind, id, answer });
        }
    }
}

/// An answer has come. One that comes after its ask has timed out finds nobody: it is counted with the kind that asked, and
/// never answers another.
pub(crate) fn came<W: World>(world: &mut W, kind: u16, id: u64, answer: &mut dyn Any) {
    if answered(world, id, Completion::Answer(answer)) {
        return;
    }
    let core = world.core();
    if let Some(entry) = core.kinds.get(usize::from(kind)) {
        entry.figures.late_answers.add(1);
    }
    core.count_dead(kind, DeadReason::LateAnswer);
}

/// An ask of this host has ended; false where it had before.
pub(crate) fn answered<W: World>(world: &mut W, id: u64, completion: Completion<'_>) -> bool {
    let core = world.core();
    let Some(pending) = core.asks.remove(&id) else { return false };
    core.timers.cancel(pending.timer);
    (pending.complete)(world, completion);
    true
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
            Completion::Without(NoAnswer::TimedOut) => Err(AskError::TimedOut),
            Completion::Without(NoAnswer::MailboxFull) => Err(AskError::MailboxFull),
            Completion::Without(NoAnswer::Stopped) => Err(AskError::Stopped),
        };
        let now = world.core().now;
        let metadata = Metadata { id, sender: None, created_at: now, deadline: None, priority: Priority::Data };
        match failing::contained(|| map(answer)) {
            Ok(message) => push_promised::<B>(world, asker, message, metadata),
            Err(cause) => failing::failed_beside::<B>(world, asker, cause),
        }
    });
    core.asks.insert(id, PendingAsk { timer, complete });
    if core.nesting > 0 {
        core.undo.push(Undo::Asked(id));
    }
    let (now, host) = (core.now, core.host);
    let failed = if deadline <= now {
        Some(NoAnswer::TimedOut)
    } else {
        match send::<A, _>(world, to, message, metadata, Some(ReplyTo::Ask { host, kind: asker.kind, id })) {
            Ok(()) => None,
            Err((TellError::Full(_), _)) => Some(NoAnswer::MailboxFull),
            Err((TellError::Stopped(_) | TellError::NoSuchMember { .. }, _)) => Some(NoAnswer::Stopped),
        }
    };
    // Told by a message of its own, not from within this call.
    if let Some(why) = failed {
        world.core().later.push(Box::new(move |world| {
            answered(world, id, Completion::Without(why));
        }));
    }
    id
}

/// Gives up an ask whose asker has failed before it was sent.
pub(crate) fn unask<W: World>(core: &mut Core<W>, id: u64) {
    if let Some(pending) = core.asks.remove(&id) {
        core.timers.cancel(pending.timer);
    }
}
