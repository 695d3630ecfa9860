//! What a handler is given: the world, its own address, what is known of the message, and what it may have done.
//!
//! Whatever a handler sends, schedules, answers or asks for through its context takes place when it returns, and not at all
//! where it panics.

use std::{any::TypeId, future::Future, thread, time::Duration};

use futures_util::{Stream, StreamExt as _};

use crate::actor::{
    actor::{Actor, KindSettings},
    core::{Later, Timed, Undo},
    deferred::{self, Owed, Settled},
    envelope::{ActorId, Answer, Envelope, Metadata, Priority, ReplyOf, TellError},
    failing,
    handle::Handle,
    handling,
    life::{self, SpawnError},
    mesh::Lane,
    moment::Moment,
    monitor::{self, Cause, Ended, WatchId},
    parcel::Parcel,
    pool::Route,
    remote::Remote,
    sending::{self, To},
    table::Phase,
    task,
    timers::TimerId,
    topic::{self, Topic},
    world::{Hosts, World},
};

/// How a message is sent, where not as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// Its lane.
    pub priority: Priority,
    /// After it the message is dropped unhandled.
    pub deadline: Option<Moment>,
}

impl SendOptions {
    /// A control message: it overtakes data.
    pub const CONTROL: Self = Self { priority: Priority::Control, deadline: None };
}

/// What an actor wishes for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    #[default]
    GoOn,
    End,
    Retire,
}

/// What is left of a context when its handler has returned, or panicked.
pub(crate) struct Parts<A: Actor> {
    pub reply: Option<ReplyOf<A>>,
    pub forwarded: Option<ReplyOf<A>>,
    pub stashed: Option<A::Message>,
    pub wish: Wish,
}

/// What a handler is given.
pub struct Context<'a, A: Actor> {
    /// All that lives on this thread, the actor itself taken out.
    pub world: &'a mut A::World,
    id: ActorId,
    metadata: Metadata,
    reply: Option<ReplyOf<A>>,
    /// Where the reply to what it has forwarded goes.
    forwarded: Option<ReplyOf<A>>,
    answer: Option<Answer<A::Reply, A::Error>>,
    stashed: Option<A::Message>,
    wish: Wish,
}

impl<'a, A: Actor> Context<'a, A> {
    pub(crate) fn new(world: &'a mut A::World, id: ActorId, metadata: Metadata, reply: Option<ReplyOf<A>>) -> Self {
        Self { world, id, metadata, reply, forwarded: None, answer: None, stashed: None, wish: Wish::GoOn }
    }

    pub(crate) fn into_parts(self) -> Parts<A> {
        let Self { reply, forwarded, stashed, wish, .. } = self;
        Parts { reply, forwarded, stashed, wish }
    }

    pub(crate) fn take_answer(&mut self) -> Option<Answer<A::Reply, A::Error>> {
        self.answer.take()
    }

    /// The actor's own id.
    pub fn id(&self) -> ActorId {
        self.id
    }

    /// The actor's own key; none for an anonymous one.
    pub fn key(&mut self) -> Option<A::Key> {
        let id = self.id;
        Hosts::<A>::table(self.world).key(id).cloned()
    }

    /// What is known of the message at hand.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Who sent it.
    pub fn sender(&self) -> Option<ActorId> {
        self.metadata.sender
    }

    /// Whether somebody waits for a reply.
    pub fn is_asked(&self) -> bool {
        self.reply.is_some()
    }

    /// Whether the actor is in its clean-up.
    pub fn is_ending(&mut self) -> bool {
        let id = self.id;
        Hosts::<A>::table(self.world).phase(id).is_some_and(|(phase, _)| matches!(phase, Phase::Ending { .. }))
    }

    /// The moment at which handling it began.
    pub fn now(&mut self) -> Moment {
        self.world.core().now
    }

    /// A number between 0 and 1, by chance.
    pub fn draw(&mut self) -> f64 {
        self.world.core().rng.draw()
    }

    /// How to reach the hosts from a future.
    pub fn remote(&mut self) -> Remote {
        self.world.core().remote()
    }

    fn fresh(&mut self, options: SendOptions) -> Metadata {
        let core = self.world.core();
        let (id, created_at) = (core.fresh_id(), core.now);
        let SendOptions { priority, deadline } = options;
        Metadata { id, sender: Some(self.id), created_at, deadline, priority }
    }

    /// Sends a message and forgets it. What the mailbox refuses comes back.
    pub fn tell<B: Actor>(&mut self, key: &B::Key, message: B::Message) -> Result<(), TellError<B::Message>> {
        self.tell_with::<B>(key, message, SendOptions::default())
    }

    /// The same, with options.
    pub fn tell_with<B: Actor>(
        &mut self,
        key: &B::Key,
        message: B::Message,
        options: SendOptions,
    ) -> Result<(), TellError<B::Message>> {
        let metadata = self.fresh(options);
        sending::send::<B, _>(self.world, To::Key(key), message, metadata, None).map_err(|(error, _)| error)
    }

    /// Sends to one actor while it lives, by its id: [`sender`](Self::sender)'s, or a handle's.
    pub fn tell_id<B: Actor>(&mut self, id: ActorId, message: B::Message) -> Result<(), TellError<B::Message>> {
        let metadata = self.fresh(SendOptions::default());
        sending::send::<B, _>(self.world, To::Id(id), message, metadata, None).map_err(|(error, _)| error)
    }

    /// Sends to a member of a pool.
    pub fn tell_pool<B: Actor>(&mut self, route: Route, message: B::Message) -> Result<(), TellError<B::Message>> {
        let metadata = self.fresh(SendOptions::default());
        sending::send::<B, _>(self.world, To::Pool(route), message, metadata, None).map_err(|(error, _)| error)
    }

    /// Sends itself a message, behind what waits.
    pub fn tell_self(&mut self, message: A::Message) -> Result<(), TellError<A::Message>> {
        self.tell_id::<A>(self.id, message)
    }

    /// Asks, and is given the answer as a message: exactly one, an error where none comes in time.
    ///
    /// No timeout means that of the asked kind on this host, or the default's 30 s; a timeout of zero fails at once. Returns the message's id.
    pub fn ask<B: Actor>(
        &mut self,
        key: &B::Key,
        message: B::Message,
        timeout: impl Into<Option<Duration>>,
        map: impl FnOnce(Answer<B::Reply, B::Error>) -> A::Message + 'static,
    ) -> u64 {
        self.ask_to::<B>(To::Key(key), message, timeout.into(), map)
    }

    /// Asks one actor while it lives, by its id.
    pub fn ask_id<B: Actor>(
        &mut self,
        id: ActorId,
        message: B::Message,
        timeout: impl Into<Option<Duration>>,
        map: impl FnOnce(Answer<B::Reply, B::Error>) -> A::Message + 'static,
    ) -> u64 {
        self.ask_to::<B>(To::Id(id), message, timeout.into(), map)
    }

    /// Asks a member of a pool.
    pub fn ask_pool<B: Actor>(
        &mut self,
        route: Route,
        message: B::Message,
        timeout: impl Into<Option<Duration>>,
        map: impl FnOnce(Answer<B::Reply, B::Error>) -> A::Message + 'static,
    ) -> u64 {
        self.ask_to::<B>(To::Pool(route), message, timeout.into(), map)
    }

    /// Asks by a moment instead of for a time; a moment that has passed fails at once.
    pub fn ask_by<B: Actor>(
        &mut self,
        key: &B::Key,
        message: B::Message,
        deadline: Moment,
        map: impl FnOnce(Answer<B::Reply, B::Error>) -> A::Message + 'static,
    ) -> u64 {
        let metadata = self.fresh(SendOptions { deadline: Some(deadline), ..SendOptions::default() });
        sending::ask::<B, A>(self.world, self.id, To::Key(key), message, metadata, deadline, map)
    }

    fn ask_to<B: Actor>(
        &mut self,
        to: To<'_, B>,
        message: B::Message,
        timeout: Option<Duration>,
        map: impl FnOnce(Answer<B::Reply, B::Error>) -> A::Message + 'static,
    ) -> u64 {
        let timeout = timeout.unwrap_or_else(|| {
            let asked = self.world.core().kinds.iter().find(|kind| kind.of == TypeId::of::<B>());
            asked.map_or(KindSettings::default().ask_timeout, |kind| kind.ask_timeout)
        });
        let deadline = self.now() + timeout;
        let metadata = self.fresh(SendOptions { deadline: Some(deadline), ..SendOptions::default() });
        sending::ask::<B, A>(self.world, self.id, to, message, metadata, deadline, map)
    }

    /// Answers the message at hand; the last answer counts.
    pub fn reply(&mut self, reply: A::Reply) {
        self.answer = Some(Ok(reply));
    }

    /// Keeps the place of reply of the message at hand, to answer later; none where nobody waits. It is kept for
    /// a minute after the ask's deadline, though what is answered by then comes too late.
    pub fn owe(&mut self) -> Option<Owed> {
        let reply = self.reply.take()?;
        let owed = deferred::keep(self.world, self.id, reply, self.metadata.deadline);
        self.world.core().undo.push(Undo::Deferred(owed.0));
        Some(owed)
    }

    /// Gives a reply that was owed.
    pub fn answer(&mut self, owed: Owed, answer: Result<A::Reply, A::Error>) {
        let mut answer: Option<Answer<A::Reply, A::Error>> =
            Some(answer.map_err(crate::actor::envelope::AskError::Handler));
        // Where the handler fails, its reply is not given; who waits for it is told that.
        self.world.core().undo.push(Undo::Deferred(owed.0));
        self.later(move |world| deferred::settle(world, owed.0, Settled::Answer(&mut answer)));
    }

    /// Hands a message on, with the sender, the deadline and the place of reply of the one at hand.
    pub fn forward<B>(&mut self, key: &B::Key, message: B::Message) -> Result<(), TellError<B::Message>>
    where
        B: Actor<Reply = A::Reply, Error = A::Error>,
    {
        let (metadata, reply) = (self.metadata, self.reply.take());
        let forwarded = reply.clone();
        match sending::send::<B, _>(self.world, To::Key(key), message, metadata, reply) {
            Ok(()) => {
                self.forwarded = self.forwarded.take().or(forwarded);
                Ok(())
            }
            Err((error, reply)) => {
                self.reply = reply;
                Err(error)
            }
        }
    }

    /// Does something with the world when the handler has succeeded.
    pub fn later(&mut self, act: impl FnOnce(&mut A::World) + 'static) {
        self.world.core().later.push(Box::new(act));
    }

    /// Sends itself a message after a time. Ends with the actor.
    pub fn schedule(&mut self, after: Duration, message: A::Message) -> TimerId {
        let id = self.id;
        let at = self.now() + after;
        self.set(at, Box::new(move |world| push_own::<A>(world, id, message)))
    }

    /// Sends itself a message at an interval of a millisecond at least, first after one. A host that was held up sends it once
    /// for what it missed.
    pub fn schedule_every(&mut self, interval: Duration, make: impl FnMut() -> A::Message + 'static) {
        let id = self.id;
        let interval = interval.max(SHORTEST_INTERVAL);
        let at = self.now() + interval;
        self.later(move |world| every::<A>(world, id, at, interval, Box::new(make)));
    }

    /// Takes a scheduled message back, where it has not been sent yet.
    pub fn cancel(&mut self, timer: TimerId) {
        self.later(move |world| {
            world.core().timers.cancel(timer);
        });
    }

    fn set(&mut self, at: Moment, act: Later<A::World>) -> TimerId {
        let core = self.world.core();
        let timer = core.timers.set(at, Timed::Act(act));
        core.undo.push(Undo::Set(timer));
        let id = self.id;
        self.later(move |world| note_timer::<A>(world, id, timer));
        timer
    }

    /// Runs a future beside the actor, and sends it what comes of it. It ends with the actor's value: where that fails and is not
    /// to go on, or ends, the future is dropped. Where it panics, or making a message of what comes of it does, the actor has
    /// failed.
    pub fn spawn<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
        map: impl FnOnce(T) -> A::Message + 'static,
    ) {
        let id = self.id;
        self.later(move |world| {
            task::run::<A, T>(world, id, future, move |world, output| {
                let metadata = own_metadata(world, id);
                push_made::<A, _>(world, id, metadata, output, map);
            });
        });
    }

    /// Attaches a stream: each item comes as a message. It is not read while the mailbox is full. It ends with the actor's value,
    /// as [`spawn`](Self::spawn)'s do.
    pub fn attach<S: Stream + Unpin + 'static>(&mut self, stream: S, map: impl FnMut(S::Item) -> A::Message + 'static) {
        let id = self.id;
        self.later(move |world| next_item::<A, S>(world, id, stream, Box::new(map)));
    }

    /// Watches an actor: exactly one notice of its end comes as a message, also where it has ended already.
    pub fn watch(&mut self, target: ActorId, map: impl FnOnce(Ended) -> A::Message + 'static) -> WatchId {
        let (me, watch) = (self.id, self.world.core().fresh_id());
        self.later(move |world| {
            let notify = move |world: &mut A::World, ended: Ended| {
                if let Some(cell) = Hosts::<A>::table(world).cell_mut(me) {
                    cell.extras().watching.remove(&watch);
                }
                // Under the watch's own number, to be found where it is given up.
                let metadata = Metadata { id: watch, ..own_metadata(world, me) };
                push_made::<A, _>(world, me, metadata, Ok(ended), map);
            };
            let Some(cell) = Hosts::<A>::table(world).cell_mut(me) else { return };
            cell.extras().watching.insert(watch);
            let core = world.core();
            core.watches.insert(watch, (target, Box::new(notify)));
            let watcher = (core.host, watch);
            if target.host != core.host {
                return core.send_parcel(target.host, Lane::Control, Parcel::Watch { target, watcher, is_on: true });
            }
            let ops = core.kinds.get(usize::from(target.kind)).map(|kind| kind.ops);
            if !ops.is_some_and(|ops| ops.watch(world, target, watcher)) {
                let ended = Ended { actor: Some(target), cause: Cause::NoSuchActor };
                monitor::noticed(world, watch, ended);
            }
        });
        WatchId(watch)
    }

    /// Gives a watch up: no notice comes any more, also where the actor has ended and the notice is on its way.
    pub fn unwatch(&mut self, watch: WatchId) {
        let me = self.id;
        self.later(move |world| {
            let table = Hosts::<A>::table(world);
            let Some(cell) = table.cell_mut(me) else { return };
            if cell.extras().watching.remove(&watch.0) {
                return monitor::unwatch(world, watch.0);
            }
            // Its notice may wait to be handled.
            let is_notice = |envelope: &Envelope<A>| envelope.is_own && envelope.metadata.id == watch.0;
            cell.extras().stash.retain(|envelope| !is_notice(envelope));
            let dropped = cell.mailbox.remove(is_notice);
            table.figures.pending.sub(dropped as u64);
        });
    }

    /// Subscribes to a topic; each event comes as a message, in place of an earlier subscription to it. An event that a full mailbox
    /// refuses is a dead letter. It ends with the actor's value, as [`spawn`](Self::spawn)'s do.
    pub fn subscribe<T: Topic>(&mut self, map: impl FnMut(&T::Event) -> A::Message + 'static) {
        let id = self.id;
        self.later(move |world| topic::subscribe::<T, A>(world, id, map));
    }

    /// Ends a subscription.
    pub fn unsubscribe<T: Topic>(&mut self) {
        let id = self.id;
        self.later(move |world| topic::unsubscribe::<T, A>(world, id));
    }

    /// Publishes an event to whoever has subscribed, on every host.
    pub fn publish<T: Topic>(&mut self, event: T::Event) {
        self.later(move |world| topic::publish::<T, A::World>(world, event));
    }

    /// Makes an actor of this host under a key.
    pub fn spawn_actor<B: Actor<World = A::World>>(&mut self, key: B::Key, actor: B) -> Result<ActorId, SpawnError>
    where
        A::World: Hosts<B>,
    {
        life::spawn::<B>(self.world, key, actor)
    }

    /// Makes an actor of this host without a key: it lives as long as somebody has a handle of it.
    pub fn spawn_anonymous<B: Actor<World = A::World>>(&mut self, actor: B) -> Handle<B>
    where
        A::World: Hosts<B>,
    {
        life::spawn_anonymous::<B>(self.world, actor)
    }

    /// Stops an actor of this host when the handler has returned.
    pub fn stop_actor(&mut self, target: ActorId) {
        self.later(move |world| {
            let ops = world.core().kinds.get(usize::from(target.kind)).map(|kind| kind.ops);
            if let Some(ops) = ops.filter(|_| target.host == world.core().host) {
                ops.stop(world, target, None);
            }
        });
    }

    /// Calls straight through to another actor of this host; see [`handling::call`].
    pub fn call<B: Actor<World = A::World>, R>(
        &mut self,
        id: ActorId,
        act: impl FnOnce(&mut B, &mut Context<'_, B>) -> R,
    ) -> Result<R, handling::CallError>
    where
        A::World: Hosts<B>,
    {
        handling::call::<B, R>(self.world, id, act)
    }

    /// Puts the message at hand aside, with its place of reply, until [`unstash_all`](Self::unstash_all). As many as a
    /// mailbox holds; one more is answered as full.
    pub fn stash(&mut self, message: A::Message) {
        self.stashed = Some(message);
    }

    /// Puts back what was stashed, in order, before what waits.
    pub fn unstash_all(&mut self) {
        let id = self.id;
        self.later(move |world| {
            let table = Hosts::<A>::table(world);
            let Some(cell) = table.cell_mut(id) else { return };
            let stash = std::mem::take(&mut cell.extras().stash);
            table.figures.pending.add(stash.len() as u64);
            if let Some(cell) = table.cell_mut(id) {
                cell.mailbox.put_back(stash.into_iter());
            }
            sending::enqueue::<A>(world, id.slot);
        });
    }

    /// Ends the actor when the handler has returned, with its clean-up; in [`ending`](Actor::ending), says that that is done.
    pub fn end(&mut self) {
        self.wish = Wish::End;
    }

    /// Has the actor retire as if it had been idle, where nothing waits for it.
    pub fn retire(&mut self) {
        self.wish = Wish::Retire;
    }
}

/// A timer that goes off at once and again would leave no time for anything else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// How long a stream waits for its actor to take what it has given.
const STREAM_REST: Duration = Duration::from_millis(1);

fn own_metadata<W: World>(world: &mut W, id: ActorId) -> Metadata {
    let core = world.core();
    Metadata { id: core.fresh_id(), sender: Some(id), created_at: core.now, deadline: None, priority: Priority::Data }
}

/// Gives an actor what it has asked for itself.
pub(crate) fn push_own<A: Actor>(world: &mut A::World, id: ActorId, message: A::Message) {
    if Hosts::<A>::table(world).cell(id).is_some() {
        let metadata = own_metadata(world, id);
        sending::push_promised::<A>(world, id, message, metadata);
    }
}

/// Gives an actor the message that it makes of something, where that came to be and making it does not panic.
fn push_made<A: Actor, T>(
    world: &mut A::World,
    id: ActorId,
    metadata: Metadata,
    of: thread::Result<T>,
    make: impl FnOnce(T) -> A::Message,
) {
    if Hosts::<A>::table(world).cell(id).is_none() {
        return;
    }
    let of = of.map_err(|cause| handling::describe(&*cause));
    match of.and_then(|of| failing::contained(|| make(of))) {
        Ok(message) => sending::push_promised::<A>(world, id, message, metadata),
        Err(cause) => failing::failed_beside::<A>(world, id, cause),
    }
}

/// Keeps a timer with its actor, to end with it.
fn note_timer<A: Actor>(world: &mut A::World, id: ActorId, timer: TimerId) {
    let Some(cell) = Hosts::<A>::table(world).cell_mut(id) else {
        world.core().timers.cancel(timer);
        return;
    };
    cell.extras().timers.push(timer);
    let count = cell.extras().timers.len();
    if count >= 16 && count.is_power_of_two() {
        // Those that have gone off need not be kept.
        let mut timers = std::mem::take(&mut cell.extras().timers);
        timers.retain(|timer| world.core().timers.contains(*timer));
        if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
            cell.extras().timers = timers;
        }
    }
}

fn every<A: Actor>(
    world: &mut A::World,
    id: ActorId,
    at: Moment,
    interval: Duration,
    mut make: Box<dyn FnMut() -> A::Message>,
) {
    if Hosts::<A>::table(world).cell(id).is_none() {
        return;
    }
    let act = move |world: &mut A::World| {
        match failing::contained(&mut make) {
            Ok(message) => push_own::<A>(world, id, message),
            Err(cause) => return failing::failed_beside::<A>(world, id, cause),
        }
        let now = world.core().now;
        // What was missed is not made up for.
        let next = if at + interval > now { at + interval } else { now + interval };
        every::<A>(world, id, next, interval, make);
    };
    let timer = world.core().timers.set(at, Timed::Act(Box::new(act)));
    note_timer::<A>(world, id, timer);
}

fn next_item<A: Actor, S: Stream + Unpin + 'static>(
    world: &mut A::World,
    id: ActorId,
    stream: S,
    mut map: Box<dyn FnMut(S::Item) -> A::Message>,
) {
    let table = Hosts::<A>::table(world);
    let Some(depth) = table.depth(id) else { return };
    if depth >= table.settings.mailbox {
        let core = world.core();
        let again = Timed::Act(Box::new(move |world: &mut A::World| next_item::<A, S>(world, id, stream, map)));
        let timer = core.timers.set(core.now + STREAM_REST, again);
        return note_timer::<A>(world, id, timer);
    }
    task::run::<A, _>(world, id, stream.into_future(), move |world, next| match next {
        Ok((Some(item), stream)) => match failing::contained(|| map(item)) {
            Ok(message) => {
                push_own::<A>(world, id, message);
                next_item::<A, S>(world, id, stream, map);
            }
            Err(cause) => failing::failed_beside::<A>(world, id, cause),
        },
        Ok((None, _)) => {}
        Err(cause) => failing::failed_beside::<A>(world, id, handling::describe(&*cause)),
    });
}

/// What [`Actor::activate`] is given.
pub struct Activating<'a, A: Actor> {
    /// All that lives on this thread.
    pub world: &'a mut A::World,
    /// The key that was named.
    pub key: &'a A::Key,
    /// The id that the actor will have.
    pub id: ActorId,
    /// The message that has come first, where one waits.
    pub first: Option<&'a A::Message>,
}

impl<A: Actor> Activating<'_, A> {
    /// How to reach the hosts, from a future that loads.
    pub fn remote(&mut self) -> Remote {
        self.world.core().remote()
    }
}
