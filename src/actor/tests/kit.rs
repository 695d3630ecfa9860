//! Hosts that are turned by hand, their clock, and puppets to try things on.
//!
//! A [`Puppet`] does what the message at hand says, in whose closure a test writes what it is about. What happens is written
//! into one diary, in order. A [`House`] holds at every rest that the gauge of waiting messages is right, and at its end
//! that nothing is left behind.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use crate::actor::{
    actor::{Activation, Actor, Farewell, Handled, Intercepted, KindSettings, Undelivered},
    context::{Activating, Context},
    core,
    deferred::Owed,
    envelope::{ActorId, Answer, Envelope, Metadata, Priority, ReplyTo},
    handling::{self, CallError},
    kind_figures::{DeadReason, KindFigures},
    life,
    mesh::{Capacity, Inbox, Mesh},
    moment::{ActorClock, Moment},
    monitor::Cause,
    parcel::{Parcel, Post, Posted, PostedTo, Registry},
    remote::Remote,
    sending, sleep,
    system::System,
    table::{Phase, Table},
    topic::Topic,
    world::{Hosts, World as _},
};

/// Turns that a house comes to rest in.
const PATIENCE: usize = 100_000;

thread_local! {
    static DIARY: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static HOOKS: RefCell<HashMap<usize, Rc<dyn Any>>> = RefCell::default();
}

/// Writes down what happened.
pub fn note(what: impl Into<String>) {
    DIARY.with_borrow_mut(|diary| diary.push(what.into()));
}

/// What was written since this was last asked.
pub fn diary() -> Vec<String> {
    DIARY.take()
}

/// What a puppet of a kind does besides handling messages.
#[derive(Clone)]
pub struct Hooks<const N: usize> {
    pub activate: Rc<dyn Fn(&mut Activating<'_, Puppet<N>>) -> Activation<Puppet<N>>>,
    pub started: Rc<dyn Fn(&mut Puppet<N>, &mut Context<'_, Puppet<N>>)>,
    pub recovered: Rc<dyn Fn(&mut Puppet<N>, &mut Context<'_, Puppet<N>>)>,
    pub ending: Rc<dyn Fn(&mut Puppet<N>, &mut Context<'_, Puppet<N>>) -> Farewell>,
    pub may_retire: Rc<dyn Fn(&Puppet<N>) -> bool>,
    pub intercept: Rc<dyn Fn(&mut System, &String, Envelope<Puppet<N>>) -> Intercepted<Puppet<N>>>,
    pub undelivered: Rc<dyn Fn(&Line<N>)>,
    pub lost: Rc<dyn Fn(&mut System, &str, &Cause)>,
    pub dropped: Rc<dyn Fn(&Puppet<N>)>,
}

impl<const N: usize> Default for Hooks<N> {
    fn default() -> Self {
        Self {
            activate: Rc::new(|cx| Activation::Ready(Puppet::new(cx.key))),
            started: Rc::new(|_, _| {}),
            recovered: Rc::new(|_, _| {}),
            ending: Rc::new(|_, _| Farewell::Done),
            may_retire: Rc::new(|_| true),
            intercept: Rc::new(|_, _, envelope| Intercepted::Pass(envelope)),
            undelivered: Rc::new(|_| {}),
            lost: Rc::new(|_, _, _| {}),
            dropped: Rc::new(|_| {}),
        }
    }
}

impl<const N: usize> Hooks<N> {
    fn get() -> Rc<Self> {
        let known = HOOKS.with_borrow(|hooks| hooks.get(&N).cloned());
        known.and_then(|hooks| hooks.downcast().ok()).unwrap_or_default()
    }
}

/// Changes what puppets of a kind do besides handling messages.
pub fn hook<const N: usize>(change: impl FnOnce(&mut Hooks<N>)) {
    let mut hooks = (*Hooks::<N>::get()).clone();
    change(&mut hooks);
    HOOKS.with_borrow_mut(|all| all.insert(N, Rc::new(hooks)));
}

/// Has the beginnings and ends of a kind written down.
pub fn note_life<const N: usize>() {
    hook::<N>(|hooks| {
        hooks.started = Rc::new(|me, _| note(format!("{} started", me.name)));
        hooks.recovered = Rc::new(|me, _| note(format!("{} recovered", me.name)));
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Done
        });
        hooks.lost = Rc::new(|_, key, cause| note(format!("{key} lost: {cause}")));
        hooks.dropped = Rc::new(|me| note(format!("{} dropped", me.name)));
    });
}

/// An actor that does what it is told.
pub struct Puppet<const N: usize> {
    pub name: String,
    pub count: u64,
    pub owed: Vec<Owed>,
}

pub const ADA: usize = 0;
pub const BOB: usize = 1;
pub const CYD: usize = 2;
pub type Ada = Puppet<ADA>;
pub type Bob = Puppet<BOB>;
pub type Cyd = Puppet<CYD>;

/// A key.
pub fn k(name: &str) -> String {
    name.to_owned()
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl<const N: usize> Puppet<N> {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), count: 0, owed: Vec::new() }
    }
}

impl<const N: usize> Drop for Puppet<N> {
    fn drop(&mut self) {
        (Hooks::<N>::get().dropped)(self);
    }
}

type Act<const N: usize> = dyn FnOnce(&mut Puppet<N>, &mut Context<'_, Puppet<N>>) -> Handled<String> + Send;

/// What a puppet is told: it is written down, and done.
pub struct Line<const N: usize> {
    pub text: String,
    act: Option<Box<Act<N>>>,
}

impl<const N: usize> fmt::Debug for Line<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<const N: usize> PartialEq for Line<N> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A message that is only written down; it is answered with itself.
pub fn say<const N: usize>(text: impl Into<String>) -> Line<N> {
    let text = text.into();
    let reply = text.clone();
    act(text, move |_, cx| cx.reply(reply))
}

/// A message that has something done.
pub fn act<const N: usize>(
    text: impl Into<String>,
    act: impl FnOnce(&mut Puppet<N>, &mut Context<'_, Puppet<N>>) + Send + 'static,
) -> Line<N> {
    attempt(text, move |me, cx| {
        act(me, cx);
        Ok(())
    })
}

/// A message that has something done that may fail.
pub fn attempt<const N: usize>(
    text: impl Into<String>,
    act: impl FnOnce(&mut Puppet<N>, &mut Context<'_, Puppet<N>>) -> Handled<String> + Send + 'static,
) -> Line<N> {
    Line { text: text.into(), act: Some(Box::new(act)) }
}

/// A message at which an actor panics.
pub fn fail<const N: usize>(text: impl Into<String>) -> Line<N> {
    act(text, |_, _| panic!("as told"))
}

/// A message that ends an actor.
pub fn end<const N: usize>() -> Line<N> {
    act("end", |_, cx| cx.end())
}

/// A message whose reply is given later.
pub fn owe<const N: usize>() -> Line<N> {
    act("owe", |me, cx| me.owed.extend(cx.owe()))
}

/// What an ask came to, as text.
pub fn told(answer: &Answer<String, String>) -> String {
    match answer {
        Ok(reply) => reply.clone(),
        Err(error) => format!("{error:?}"),
    }
}

impl<const N: usize> Actor for Puppet<N> {
    const KIND: &'static str = ["ada", "bob", "cyd", "dan"][N];

    type World = System;
    type Key = String;
    type Message = Line<N>;
    type Reply = String;
    type Error = String;

    fn handle(&mut self, message: Line<N>, cx: &mut Context<'_, Self>) -> Handled<String> {
        note(format!("{}: {}", self.name, message.text));
        self.count += 1;
        match message.act {
            Some(act) => act(self, cx),
            None => Ok(()),
        }
    }

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        (Hooks::<N>::get().activate)(cx)
    }

    fn started(&mut self, cx: &mut Context<'_, Self>) {
        (Hooks::<N>::get().started)(self, cx);
    }

    fn recovered(&mut self, cx: &mut Context<'_, Self>) {
        (Hooks::<N>::get().recovered)(self, cx);
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        (Hooks::<N>::get().ending)(self, cx)
    }

    fn may_retire(&self) -> bool {
        (Hooks::<N>::get().may_retire)(self)
    }

    fn intercept(world: &mut System, key: &String, envelope: Envelope<Self>) -> Intercepted<Self> {
        (Hooks::<N>::get().intercept)(world, key, envelope)
    }

    fn undelivered(_: &mut System, _: Option<&String>, message: Line<N>, why: &Undelivered<Self>) {
        match why {
            Undelivered::For(reason) => note(format!("dead: {message:?}, {}", reason.as_str())),
            Undelivered::LoadFailed(error) => note(format!("dead: {message:?}, not loaded: {error}")),
        }
        (Hooks::<N>::get().undelivered)(&message);
    }

    fn lost(world: &mut System, key: Option<&String>, value: Option<Box<Self>>, cause: &Cause) {
        let name = key.cloned().or(value.map(|value| value.name.clone()));
        (Hooks::<N>::get().lost)(world, &name.unwrap_or_default(), cause);
    }
}

/// A topic.
pub struct News;

impl Topic for News {
    type Event = String;
}

/// What happened, in order, for actors to write down.
#[derive(Clone, Debug, Default)]
pub struct Diary(Rc<RefCell<Vec<String>>>);

impl Diary {
    pub fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// What was written since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

/// Some hosts on one thread.
pub struct House {
    pub hosts: Vec<System>,
    pub inboxes: Vec<Inbox<Parcel>>,
    pub clock: ActorClock,
    pub remote: Remote,
    asked: Cell<u64>,
}

/// Settings under which nothing happens by itself.
pub fn calm() -> KindSettings {
    KindSettings { idle_time: None, ..KindSettings::default() }
}

impl House {
    /// Hosts by this plan: `place` says which kinds live where, `add` adds them to a host.
    pub fn new(count: usize, place: impl FnOnce(&mut Registry), add: impl Fn(&mut System, usize)) -> Self {
        Self::with_inboxes(count, Capacity { control: 4096, data: 4096, handoffs: 16 }, place, add)
    }

    /// The same, with inboxes of this size.
    pub fn with_inboxes(
        count: usize,
        capacity: Capacity,
        place: impl FnOnce(&mut Registry),
        add: impl Fn(&mut System, usize),
    ) -> Self {
        DIARY.take();
        HOOKS.take();
        // Who sleeps on this thread does so by the house's clock.
        sleep::enter_host();
        let mut registry = Registry::new();
        for host in 0..count {
            registry.host(format!("host-{host}"), "hand");
        }
        place(&mut registry);
        let (mesh, inboxes) = Mesh::new(count, capacity);
        let post = Post { mesh, registry: Arc::new(registry) };
        let clock = ActorClock::manual();
        let hosts = (0..count).map(|host| {
            let mut system = System::new(host, post.clone(), clock.clone(), host as u64 + 1);
            add(&mut system, host);
            system
        });
        let hosts = hosts.collect();
        let remote = Remote::new(post, clock.clone());
        Self { hosts, inboxes, clock, remote, asked: Cell::new(0) }
    }

    /// One host with these kinds.
    pub fn one(add: impl Fn(&mut System)) -> Self {
        Self::new(1, |_| {}, |system, _| add(system))
    }

    /// Puppets of three kinds on as many hosts, all by the same settings.
    pub fn of(count: usize, settings: KindSettings) -> Self {
        Self::each(count, [settings; 3])
    }

    /// Puppets of three kinds on as many hosts, each by its own settings.
    pub fn each(count: usize, [ada, bob, cyd]: [KindSettings; 3]) -> Self {
        let place = |registry: &mut Registry| {
            registry.place::<Ada>(0..count).place::<Bob>(0..count).place::<Cyd>(0..count);
        };
        Self::new(count, place, move |system, _| {
            system.add::<Ada>(ada).add::<Bob>(bob).add::<Cyd>(cyd);
        })
    }

    /// Turns all hosts until nothing is left to do at this moment.
    pub fn settle(&mut self) {
        for _ in 0..PATIENCE {
            let mut is_idle = true;
            for host in 0..self.hosts.len() {
                is_idle &= !self.take_in(host, usize::MAX);
                is_idle &= !self.turn(host);
            }
            is_idle &= self.inboxes.iter().all(Inbox::is_empty);
            is_idle &= !self.hosts.iter_mut().any(|host| host.core().outbox.has_kept());
            if is_idle {
                return self.check();
            }
        }
        panic!("the house does not come to rest");
    }

    /// Has a host take in parcels. False where there were none.
    pub fn take_in(&mut self, host: usize, most: usize) -> bool {
        let mut taken = 0;
        while taken < most
            && let Some(parcel) = self.inboxes[host].try_next()
        {
            taken += 1;
            core::take(&mut self.hosts[host], parcel);
        }
        taken > 0
    }

    /// One turn of a host. False where it has nothing more to do.
    pub fn turn(&mut self, host: usize) -> bool {
        core::turn(&mut self.hosts[host]);
        !self.hosts[host].core().is_idle()
    }

    /// Every kind's gauge of waiting messages is right.
    pub fn check(&mut self) {
        for host in &mut self.hosts {
            for kind in 0..host.core().kinds.len() {
                let (ops, name) = (host.core().kinds[kind].ops, host.core().kinds[kind].name);
                let waiting = ops.waiting(host) as u64;
                let figures = &host.core().kinds[kind].figures;
                assert_eq!(figures.pending.get(), waiting, "messages that wait for {name}");
            }
            assert_eq!(host.core().nesting, 0);
            assert!(host.core().undo.is_empty(), "nothing is left to undo");
        }
    }

    /// Lets time pass, in steps of a millisecond.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.leap(1);
        }
    }

    /// Lets time pass, in one step.
    pub fn leap(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        self.settle();
    }

    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The first host.
    pub fn host(&mut self) -> &mut System {
        self.at(0)
    }

    pub fn at(&mut self, host: usize) -> &mut System {
        self.hosts[host].core().tell_time();
        &mut self.hosts[host]
    }

    /// A key that begins like this and lives on this host.
    pub fn key_on(&self, host: usize, name: &str) -> String {
        let mut keys = std::iter::once(name.to_owned()).chain((0..1000).map(|n| format!("{name}{n}")));
        keys.find(|key| self.home(key) == host).unwrap()
    }

    /// Where a puppet lives.
    pub fn home(&self, key: &str) -> usize {
        self.remote.post().registry.home::<Ada>(&key.to_owned()).unwrap_or(0)
    }

    pub fn table<const N: usize>(&mut self, host: usize) -> &mut Table<Puppet<N>> {
        Hosts::<Puppet<N>>::table(&mut self.hosts[host])
    }

    /// Makes a puppet where its key lives.
    pub fn spawn<const N: usize>(&mut self, key: &str) -> ActorId {
        let host = self.home(key);
        let id = life::spawn::<Puppet<N>>(self.at(host), key.to_owned(), Puppet::new(key)).unwrap();
        self.settle();
        id
    }

    /// The id of the puppet of a key.
    pub fn find<const N: usize>(&mut self, key: &str) -> Option<ActorId> {
        let host = self.home(key);
        self.table::<N>(host).find(&key.to_owned())
    }

    pub fn phase<const N: usize>(&mut self, key: &str) -> Option<Phase> {
        let id = self.find::<N>(key)?;
        Some(self.table::<N>(usize::from(id.host)).phase(id)?.0)
    }

    pub fn figures<const N: usize>(&mut self, host: usize) -> Arc<KindFigures> {
        self.table::<N>(host).figures().clone()
    }

    /// How many dead letters a host has counted of a kind for a reason.
    pub fn dead<const N: usize>(&mut self, host: usize, reason: DeadReason) -> u64 {
        self.figures::<N>(host).dead_letters(reason).get()
    }

    /// Tells a puppet something, from outside; it arrives with the next turn.
    pub fn tell<const N: usize>(&self, key: &str, line: Line<N>) {
        self.remote.tell::<Puppet<N>>(&key.to_owned(), line).unwrap();
    }

    /// The same, and lets it be handled.
    pub fn play<const N: usize>(&mut self, key: &str, line: Line<N>) {
        self.tell(key, line);
        self.settle();
    }

    /// Has something done with a puppet's value, at once.
    pub fn call<const N: usize, R>(
        &mut self,
        key: &str,
        act: impl FnOnce(&mut Puppet<N>, &mut Context<'_, Puppet<N>>) -> R,
    ) -> Result<R, CallError> {
        let id = self.find::<N>(key).ok_or(CallError::NoSuchActor)?;
        handling::call::<Puppet<N>, R>(self.at(usize::from(id.host)), id, act)
    }

    /// Asks a puppet something, from outside and by the house's clock, with a minute's time; it arrives with the next turn.
    pub fn ask<const N: usize>(&self, key: &str, line: Line<N>) -> Asked {
        self.ask_within(key, line, 60_000)
    }

    pub fn ask_within<const N: usize>(&self, key: &str, line: Line<N>, ms: u64) -> Asked {
        let (reply, answer) = flume::bounded(1);
        self.asked.set(self.asked.get() + 1);
        let metadata = Metadata {
            id: (0xFFFE << 48) + self.asked.get(),
            sender: None,
            created_at: self.now(),
            deadline: Some(self.now() + Duration::from_millis(ms)),
            priority: Priority::Data,
        };
        let reply = Some(ReplyTo::Outside(reply));
        let posted = Posted::<Puppet<N>> { to: PostedTo::Key(key.to_owned()), message: line, metadata, reply };
        let parcel = Parcel::new::<System>(move |world| sending::arrive::<Puppet<N>>(world, posted));
        self.remote.post().try_send(self.home(key), crate::actor::mesh::Lane::Data, parcel).unwrap();
        Asked(answer)
    }

    /// Asks, and gives the answer that has come when all has settled.
    pub fn answer<const N: usize>(&mut self, key: &str, line: Line<N>) -> Answer<String, String> {
        let asked = self.ask(key, line);
        self.settle();
        asked.answer().expect("no answer has come")
    }

    /// Turns the house until a future is done, and lets time pass where nothing else does.
    pub fn run<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        for _ in 0..PATIENCE {
            // As often as it may ask one host after the other at one moment.
            for _ in 0..8 {
                if let Poll::Ready(output) = future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
                    return output;
                }
                self.settle();
            }
            self.leap(1);
        }
        panic!("the future is never done");
    }

    /// What is left behind when all actors are ended and all asks are over.
    fn leave(&mut self) {
        self.settle();
        for _ in 0..100 {
            if self.hosts.iter_mut().all(|host| {
                (0..host.core().kinds.len()).all(|kind| {
                    let ops = host.core().kinds[kind].ops;
                    ops.len(host) == 0
                })
            }) {
                break;
            }
            for host in 0..self.hosts.len() {
                let world = self.at(host);
                for kind in 0..world.core().kinds.len() {
                    let ops = world.core().kinds[kind].ops;
                    ops.close(world);
                    for id in ops.ids(world) {
                        ops.kill(world, id, Cause::Forced);
                    }
                }
            }
            self.settle();
        }
        self.leap(100 * 24 * 3_600_000);
        for (number, host) in self.hosts.iter_mut().enumerate() {
            for kind in 0..host.core().kinds.len() {
                let (ops, name) = (host.core().kinds[kind].ops, host.core().kinds[kind].name);
                assert_eq!(ops.len(host), 0, "{name} on {number} is left");
                let figures = &host.core().kinds[kind].figures;
                let left = (figures.pending.get(), figures.actors.get(), figures.loading.get());
                assert_eq!(left, (0, 0, 0), "{name} on {number}: pending, actors and loading");
            }
            let core = host.core();
            assert_eq!(core.asks.len(), 0, "asks are left on {number}");
            assert_eq!(core.deferred.len(), 0, "owed replies are left on {number}");
            assert_eq!(core.watches.len(), 0, "watches are left on {number}");
            assert_eq!(core.topics.len(), 0, "subscriptions are left on {number}");
            assert_eq!(core.timers.len(), 0, "timers are left on {number}");
            assert_eq!(core.tasks(), 0, "futures are left on {number}");
            assert_eq!(core.later.len(), 0, "something is left to be done on {number}");
            assert!(core.outbox.is_at_rest(), "something waits to be sent on {number}");
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            HOOKS.take();
            self.leave();
        }
    }
}

/// An ask from outside.
pub struct Asked(flume::Receiver<Answer<String, String>>);

impl Asked {
    /// The answer, where it has come.
    pub fn answer(&self) -> Option<Answer<String, String>> {
        self.0.try_recv().ok()
    }

    /// Nobody will answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.is_disconnected() && self.0.is_empty()
    }
}

/// Polls a future once.
pub fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T>>>) -> Option<T> {
    match future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Has the puppets of a kind load until as many signals have come as there are of them; dropped, they fail to load.
pub fn hold<const N: usize>() -> flume::Sender<()> {
    let (done, loaded) = flume::unbounded::<()>();
    hook::<N>(|hooks| {
        hooks.activate = Rc::new(move |cx| {
            let (name, loaded) = (cx.key.clone(), loaded.clone());
            Activation::Loading(Box::pin(async move {
                match loaded.recv_async().await {
                    Ok(()) => Ok(Puppet::new(name)),
                    Err(_) => Err("its state is gone".to_owned()),
                }
            }))
        });
    });
    done
}

/// Has nobody activated by being named.
pub fn nobody<const N: usize>() {
    hook::<N>(|hooks| hooks.activate = Rc::new(|_| Activation::Absent));
}

/// A message that tells others something.
pub fn tell<const N: usize, const M: usize>(key: &str, texts: impl IntoIterator<Item = impl Into<String>>) -> Line<N> {
    let (key, texts): (_, Vec<String>) = (key.to_owned(), texts.into_iter().map(Into::into).collect());
    act(format!("tells {}", texts.join(", ")), move |_, cx| {
        for text in texts {
            if let Err(error) = cx.tell::<Puppet<M>>(&key, say(text)) {
                let kind = format!("{error:?}");
                note(format!("{kind}: {:?}", error.into_message()));
            }
        }
    })
}
