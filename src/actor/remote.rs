//! Reaching actors from anywhere: from other threads, from the front desk, from futures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::actor::{
    actor::Actor,
    context::SendOptions,
    envelope::{ActorId, Answer, AskError, Envelope, Metadata, Priority, ReplyTo, TellError},
    life::{self, SpawnError},
    mesh::{Lane, SendError},
    moment::ActorClock,
    parcel::{Parcel, Post, Posted, PostedTo},
    pool::Route,
    report, sending,
    sleep::timeout,
    world::{Hosts, World},
};

/// Where an answer comes.
type Awaited<A> = flume::Receiver<Answer<<A as Actor>::Reply, <A as Actor>::Error>>;

/// Reaches every host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remote {
    post: Post,
    clock: ActorClock,
    next_id: Arc<AtomicU64>,
}

/// Whom to reach.
enum Whom<'a, A: Actor> {
    Key(&'a A::Key),
    Id(ActorId),
    Pool(Route),
}

impl Remote {
    /// Over this post, with the hosts' clock.
    pub fn new(post: Post, clock: ActorClock) -> Self {
        let next_id = post.registry.outside.clone();
        Self { post, clock, next_id }
    }

    /// How hosts reach each other, and what everybody knows of them.
    pub fn post(&self) -> &Post {
        &self.post
    }

    /// The hosts' clock.
    pub fn clock(&self) -> &ActorClock {
        &self.clock
    }

    /// Sends a message to an actor's host. What its inbox has no room for comes back; what the mailbox has no room for is a
    /// dead letter there.
    pub fn tell<A: Actor>(&self, key: &A::Key, message: A::Message) -> Result<(), TellError<A::Message>> {
        self.send::<A>(Whom::Key(key), message, SendOptions::default(), None)
    }

    /// The same, with options.
    pub fn tell_with<A: Actor>(
        &self,
        key: &A::Key,
        message: A::Message,
        options: SendOptions,
    ) -> Result<(), TellError<A::Message>> {
        self.send::<A>(Whom::Key(key), message, options, None)
    }

    /// Sends to one actor while it lives.
    pub fn tell_id<A: Actor>(&self, id: ActorId, message: A::Message) -> Result<(), TellError<A::Message>> {
        self.send::<A>(Whom::Id(id), message, SendOptions::default(), None)
    }

    /// Sends to a member of a pool.
    pub fn tell_pool<A: Actor>(&self, route: Route, message: A::Message) -> Result<(), TellError<A::Message>> {
        self.send::<A>(Whom::Pool(route), message, SendOptions::default(), None)
    }

    /// Sends, waiting for room in the mailbox itself, for as long as `patience`: back-pressure for those who have no mailbox.
    ///
    /// Where the host ends in the middle of it the message is lost, and this is `Ok`, as it is for what had reached a mailbox there.
    pub async fn tell_patiently<A: Actor>(
        &self,
        key: &A::Key,
        message: A::Message,
        patience: Duration,
    ) -> Result<(), TellError<A::Message>> {
        let deadline = self.clock.now() + patience;
        let mut message = message;
        loop {
            let (taken, told) = flume::bounded(1);
            match self.offer::<A>(key, message, taken) {
                Err(TellError::Full(back)) => message = back,
                Err(error) => return Err(error),
                Ok(()) => match told.recv_async().await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(TellError::Full(back))) => message = back,
                    Ok(Err(error)) => return Err(error),
                    // The host is gone, and the message with it.
                    Err(_) => return Ok(()),
                },
            }
            if self.clock.now() >= deadline {
                return Err(TellError::Full(message));
            }
            crate::actor::sleep::sleep(&self.clock, Duration::from_millis(2)).await;
        }
    }

    /// Asks, and waits for the reply for so long. A timeout of zero fails at once.
    pub async fn ask<A: Actor>(
        &self,
        key: &A::Key,
        message: A::Message,
        within: Duration,
    ) -> Answer<A::Reply, A::Error> {
        let answer = self.begin_ask::<A>(Whom::Key(key), message, within)?;
        match timeout(&self.clock, within, answer.recv_async()).await {
            Some(answer) => answer.unwrap_or(Err(AskError::Stopped)),
            None => Err(AskError::TimedOut),
        }
    }

    /// Asks one actor while it lives.
    pub async fn ask_id<A: Actor>(
        &self,
        id: ActorId,
        message: A::Message,
        within: Duration,
    ) -> Answer<A::Reply, A::Error> {
        let answer = self.begin_ask::<A>(Whom::Id(id), message, within)?;
        match timeout(&self.clock, within, answer.recv_async()).await {
            Some(answer) => answer.unwrap_or(Err(AskError::Stopped)),
            None => Err(AskError::TimedOut),
        }
    }

    /// Asks a member of a pool.
    pub async fn ask_pool<A: Actor>(
        &self,
        route: Route,
        message: A::Message,
        within: Duration,
    ) -> Answer<A::Reply, A::Error> {
        let answer = self.begin_ask::<A>(Whom::Pool(route), message, within)?;
        match timeout(&self.clock, within, answer.recv_async()).await {
            Some(answer) => answer.unwrap_or(Err(AskError::Stopped)),
            None => Err(AskError::TimedOut),
        }
    }

    /// Asks from a thread that may block.
    pub fn ask_blocking<A: Actor>(
        &self,
        key: &A::Key,
        message: A::Message,
        within: Duration,
    ) -> Answer<A::Reply, A::Error> {
        let answer = self.begin_ask::<A>(Whom::Key(key), message, within)?;
        match answer.recv_timeout(within) {
            Ok(answer) => answer,
            Err(flume::RecvTimeoutError::Timeout) => Err(AskError::TimedOut),
            Err(flume::RecvTimeoutError::Disconnected) => Err(AskError::Stopped),
        }
    }

    /// Asks every actor of a kind. The replies are in the order of the hosts, and on each in that of the actors' places.
    ///
    /// `make` makes each one's message. A host that does not answer in time is left out.
    pub async fn broadcast<A: Actor>(
        &self,
        make: impl Fn(&A::Key) -> A::Message + Clone + Send + 'static,
        within: Duration,
    ) -> Vec<(A::Key, Answer<A::Reply, A::Error>)> {
        let deadline = self.clock.now() + within;
        let mut hosts = Vec::new();
        for &host in self.post.registry.hosts_of::<A>() {
            let (tell, told) = flume::bounded(1);
            let (make, next_id) = (make.clone(), self.next_id.clone());
            let parcel = Parcel::new::<A::World>(move |world| {
                let keys: Vec<A::Key> = Hosts::<A>::table(world).keys.keys().cloned().collect();
                let mut places: Vec<_> =
                    keys.into_iter().filter_map(|key| Some((Hosts::<A>::table(world).find(&key)?.slot, key))).collect();
                places.sort_by_key(|(slot, _)| *slot);
                let mut waiting = Vec::new();
                for (slot, key) in places {
                    let (reply, answer) = flume::bounded(1);
                    let id = next_id.fetch_add(1, Ordering::Relaxed);
                    let now = world.core().now;
                    let metadata = Metadata {
                        id,
                        sender: None,
                        created_at: now,
                        deadline: Some(deadline),
                        priority: Priority::Data,
                    };
                    let envelope = Envelope::new(make(&key), metadata, Some(ReplyTo::Outside(reply)));
                    if let Err((_, Some(ReplyTo::Outside(reply)))) = sending::push::<A>(world, slot, envelope) {
                        let _ = reply.try_send(Err(AskError::MailboxFull));
                    }
                    waiting.push((key, answer));
                }
                let _ = tell.try_send(waiting);
            });
            if self.post.try_send(host, Lane::Data, parcel).is_ok() {
                hosts.push(told);
            }
        }
        let mut answers = Vec::new();
        for host in hosts {
            let left = deadline.since(self.clock.now());
            let Some(Ok(waiting)) = timeout(&self.clock, left, host.recv_async()).await else { continue };
            for (key, answer) in waiting {
                let left = deadline.since(self.clock.now());
                let answer = match timeout(&self.clock, left, answer.recv_async()).await {
                    Some(answer) => answer.unwrap_or(Err(AskError::Stopped)),
                    None => Err(AskError::TimedOut),
                };
                answers.push((key, answer));
            }
        }
        answers
    }

    /// Makes an actor under a key, by a factory that runs on its host. This, and what follows, overtakes messages that were told
    /// before and have not arrived; each waits as long as the host's inbox is full.
    pub async fn spawn<A: Actor>(
        &self,
        key: A::Key,
        make: impl FnOnce() -> A + Send + 'static,
    ) -> Result<ActorId, SpawnError> {
        let Some(host) = self.post.registry.home::<A>(&key) else { return Err(SpawnError::NotHere) };
        let spawn = move |world: &mut A::World| life::spawn::<A>(world, key, make());
        self.on::<A::World, _>(host, spawn).await.unwrap_or(Err(SpawnError::NotHere))
    }

    /// Has an actor retire as if it had been idle. False where it is not there, or has something to do.
    pub async fn retire<A: Actor>(&self, key: A::Key) -> bool {
        let Some(host) = self.post.registry.home::<A>(&key) else { return false };
        let retire = move |world: &mut A::World| {
            let id = Hosts::<A>::table(world).find(&key);
            id.is_some_and(|id| life::retire::<A>(world, id))
        };
        self.on::<A::World, _>(host, retire).await.unwrap_or(false)
    }

    /// Stops an actor. Returns when its clean-up is over; false where there was none.
    pub async fn stop<A: Actor>(&self, key: A::Key) -> bool {
        let Some(host) = self.post.registry.home::<A>(&key) else { return false };
        let (tell, told) = flume::bounded::<bool>(1);
        let parcel = Parcel::new::<A::World>(move |world| match Hosts::<A>::table(world).find(&key) {
            Some(id) => {
                let waiter = Box::new(move |_: &mut A::World| {
                    let _ = tell.try_send(true);
                });
                life::stop::<A>(world, id, Some(waiter));
            }
            None => {
                let _ = tell.try_send(false);
            }
        });
        if self.send_patiently(host, parcel).await.is_err() {
            return false;
        }
        told.recv_async().await.unwrap_or(false)
    }

    /// Does something in the world of a host, and returns what came of it; none where the host is gone.
    pub async fn on<W: World, T: Send + 'static>(
        &self,
        host: usize,
        act: impl FnOnce(&mut W) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = flume::bounded(1);
        let parcel = Parcel::new::<W>(move |world| {
            let result = act(world);
            let _ = tell.try_send(result);
        });
        self.send_patiently(host, parcel).await.ok()?;
        told.recv_async().await.ok()
    }

    /// Every host's report; of one that does not answer in time, what is known without it.
    pub async fn report(&self, within: Duration) -> Value {
        report::of_all(self, within).await
    }

    pub(crate) async fn send_patiently(&self, host: usize, parcel: Parcel) -> Result<(), ()> {
        let mut parcel = parcel;
        loop {
            match self.post.try_send(host, Lane::Control, parcel) {
                Ok(()) => return Ok(()),
                Err(SendError::Stopped(_)) => return Err(()),
                Err(SendError::Full(back)) => parcel = back,
            }
            crate::actor::sleep::sleep(&self.clock, Duration::from_millis(2)).await;
        }
    }

    fn metadata(&self, options: SendOptions) -> Metadata {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let SendOptions { priority, deadline } = options;
        Metadata { id, sender: None, created_at: self.clock.now(), deadline, priority }
    }

    fn begin_ask<A: Actor>(
        &self,
        whom: Whom<'_, A>,
        message: A::Message,
        within: Duration,
    ) -> Result<Awaited<A>, AskError<A::Error>> {
        if within.is_zero() {
            return Err(AskError::TimedOut);
        }
        let (reply, answer) = flume::bounded(1);
        let options = SendOptions { deadline: Some(self.clock.now() + within), ..SendOptions::default() };
        match self.send::<A>(whom, message, options, Some(reply)) {
            Ok(()) => Ok(answer),
            Err(TellError::Full(_)) => Err(AskError::MailboxFull),
            Err(TellError::Stopped(_) | TellError::NoSuchMember { .. }) => Err(AskError::Stopped),
        }
    }

    fn send<A: Actor>(
        &self,
        whom: Whom<'_, A>,
        message: A::Message,
        options: SendOptions,
        reply: Option<flume::Sender<Answer<A::Reply, A::Error>>>,
    ) -> Result<(), TellError<A::Message>> {
        let (host, to) = match whom {
            Whom::Key(key) => (self.post.registry.home::<A>(key), PostedTo::<A>::Key(key.clone())),
            Whom::Id(id) => (Some(usize::from(id.host)), PostedTo::Id(id)),
            Whom::Pool(route) => (self.post.registry.hosts_of::<A>().first().copied(), PostedTo::Pool(route)),
        };
        let Some(host) = host else { return Err(TellError::Stopped(message)) };
        let metadata = self.metadata(options);
        let lane = if options.priority == Priority::Control { Lane::Control } else { Lane::Data };
        let posted = Posted { to, message, metadata, reply: reply.map(ReplyTo::Outside) };
        self.post_one(host, lane, posted).map_err(|(gone, posted)| match gone {
            true => TellError::Stopped(posted.message),
            false => TellError::Full(posted.message),
        })
    }

    /// Sends one message. It comes back where the inbox is full, or the host gone.
    fn post_one<A: Actor>(&self, host: usize, lane: Lane, posted: Posted<A>) -> Result<(), (bool, Posted<A>)> {
        // Handed over beside the parcel, out of which nothing could be taken again.
        let (hand, taken) = flume::bounded(1);
        let _ = hand.try_send(posted);
        let theirs = taken.clone();
        let parcel = Parcel::new::<A::World>(move |world| {
            if let Ok(posted) = theirs.try_recv() {
                sending::arrive::<A>(world, posted);
            }
        });
        let Err(error) = self.post.try_send(host, lane, parcel) else { return Ok(()) };
        let is_gone = matches!(error, SendError::Stopped(_));
        match taken.try_recv() {
            Ok(posted) => Err((is_gone, posted)),
            Err(_) => Ok(()),
        }
    }

    /// Offers a message to a mailbox, and has it told whether it was taken.
    fn offer<A: Actor>(
        &self,
        key: &A::Key,
        message: A::Message,
        taken: flume::Sender<Result<(), TellError<A::Message>>>,
    ) -> Result<(), TellError<A::Message>> {
        let Some(host) = self.post.registry.home::<A>(key) else { return Err(TellError::Stopped(message)) };
        let (metadata, key) = (self.metadata(SendOptions::default()), key.clone());
        let (hand, given) = flume::bounded(1);
        let _ = hand.try_send(message);
        let theirs = given.clone();
        let parcel = Parcel::new::<A::World>(move |world| {
            let Ok(message) = theirs.try_recv() else { return };
            let sent = sending::send::<A, _>(world, sending::To::Key(&key), message, metadata, None);
            let _ = taken.try_send(sent.map_err(|(error, _)| error));
        });
        let Err(error) = self.post.try_send(host, Lane::Data, parcel) else { return Ok(()) };
        match given.try_recv() {
            Ok(message) if matches!(error, SendError::Stopped(_)) => Err(TellError::Stopped(message)),
            Ok(message) => Err(TellError::Full(message)),
            Err(_) => Ok(()),
        }
    }
}
