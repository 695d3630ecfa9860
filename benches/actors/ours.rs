//! The work in a world of ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::Criterion;
use pianorhythm_server::actor::{
    actor::{Activation, Actor, Handled, KindSettings},
    context::{Activating, Context},
    core,
    envelope::{ActorId, Answer},
    handling, life,
    mesh::{Capacity, Inbox, Mesh},
    moment::ActorClock,
    parcel::{Parcel, Post, Registry},
    tokio_host,
    world::{Hosts, World as _},
};

use super::{This, this};
use crate::{AT_ONCE, IN_FLIGHT, OnDrop, WAVE, keys, measure::Rows};

/// Whom a [`Player`] plays with.
pub enum Other {
    Id(ActorId),
    Key(String),
}

/// Tells another, or asks it, and so does that.
pub struct Player {
    other: Option<Other>,
    handled: u64,
}

pub enum Play {
    /// To and fro, so many times more.
    Ball(u64),
    /// Ask so many times.
    Ask(u64),
    /// An answer has come.
    Answered(u64, Answer<u64, String>),
    /// What is asked.
    Question,
}

impl Actor for Player {
    const KIND: &'static str = "player";

    type World = This;
    type Key = String;
    type Message = Play;
    type Reply = u64;
    type Error = String;

    fn handle(&mut self, message: Play, cx: &mut Context<'_, Self>) -> Handled<String> {
        self.handled += 1;
        let left = match message {
            Play::Ball(left) => {
                let Some(left) = left.checked_sub(1) else { return Ok(()) };
                match &self.other {
                    Some(Other::Id(id)) => cx.tell_id::<Self>(*id, Play::Ball(left)).expect("it lives"),
                    Some(Other::Key(key)) => cx.tell::<Self>(key, Play::Ball(left)).expect("it lives"),
                    None => unreachable!("it has another"),
                }
                return Ok(());
            }
            Play::Question => {
                cx.reply(self.handled);
                return Ok(());
            }
            Play::Ask(left) => left,
            Play::Answered(left, answer) => {
                answer.expect("it answers");
                left
            }
        };
        let Some(left) = left.checked_sub(1) else { return Ok(()) };
        let Some(Other::Id(id)) = self.other else { unreachable!("it has another") };
        cx.ask_id::<Self>(id, Play::Question, None, move |answer| Play::Answered(left, answer));
        Ok(())
    }
}

/// Counts what it is told.
pub struct Sink {
    counted: u64,
    /// Where it tells how many, a batch at a time.
    told: Option<Arc<AtomicU64>>,
}

impl Actor for Sink {
    const KIND: &'static str = "sink";

    type World = This;
    type Key = String;
    type Message = u64;
    type Reply = ();
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self { counted: 0, told: None })
    }

    fn handle(&mut self, message: u64, _: &mut Context<'_, Self>) -> Handled<String> {
        self.counted += message;
        if self.counted.is_multiple_of(AT_ONCE)
            && let Some(told) = &self.told
        {
            told.store(self.counted, Ordering::Release);
        }
        Ok(())
    }
}

/// Tells sinks many things at once.
pub struct Driver {
    keys: Vec<String>,
}

pub enum Drive {
    /// To this one, in so many batches.
    To(ActorId, u64),
    /// To those of all keys from this one on.
    Each(usize),
    /// One batch to whoever has the first key.
    Afar,
}

impl Actor for Driver {
    const KIND: &'static str = "driver";

    type World = This;
    type Key = u64;
    type Message = Drive;
    type Reply = ();
    type Error = String;

    fn handle(&mut self, message: Drive, cx: &mut Context<'_, Self>) -> Handled<String> {
        match message {
            Drive::To(sink, batches) => {
                for _ in 0..AT_ONCE {
                    cx.tell_id::<Sink>(sink, 1).expect("it has room");
                }
                if batches > 1 {
                    cx.tell_self(Drive::To(sink, batches - 1)).expect("it has room");
                }
            }
            Drive::Each(from) => {
                let to = (from + AT_ONCE as usize).min(self.keys.len());
                for key in &self.keys[from..to] {
                    cx.tell::<Sink>(key, 1).expect("it has room");
                }
                if to < self.keys.len() {
                    cx.tell_self(Drive::Each(to)).expect("it has room");
                }
            }
            Drive::Afar => {
                for _ in 0..AT_ONCE {
                    cx.tell::<Sink>(&self.keys[0], 1).expect("the outbox has room");
                }
            }
        }
        Ok(())
    }
}

/// Hosts, and their inboxes; the sinks live on the last.
fn hosts(count: usize) -> (Post, Vec<Inbox<Parcel>>) {
    let mut registry = Registry::new();
    for host in 0..count {
        registry.host(format!("host-{host}"), "bench");
    }
    registry.place::<Player>([0]).place::<Driver>([0]).place::<Sink>([count - 1]);
    let (mesh, inboxes) = Mesh::new(count, Capacity::default());
    (Post { mesh, registry: Arc::new(registry) }, inboxes)
}

/// A host. The settings are those of production, but that the sinks' mailbox holds all that is on its way, and that they handle
/// more in a row than they are told at once: what the end of a turn has left is caught up with.
fn host(number: usize, post: &Post, clock: &ActorClock) -> This {
    let settings = KindSettings { mailbox: IN_FLIGHT as usize, batch: 2 * AT_ONCE as usize, ..KindSettings::default() };
    // Its own messages wait until what it has sent is handled.
    let driver = KindSettings { batch: 1, ..KindSettings::default() };
    this(number, post.clone(), clock.clone(), settings, driver)
}

fn alone() -> This {
    let (post, _) = hosts(1);
    host(0, &post, &ActorClock::start())
}

fn timed(world: &mut This, begin: impl FnOnce(&mut This)) -> Duration {
    let started = Instant::now();
    world.core().tell_time();
    begin(world);
    core::settle(world);
    started.elapsed()
}

/// Two players.
fn pair(world: &mut This, by_key: bool) -> [ActorId; 2] {
    let keys = keys(2);
    let ids = [0, 1].map(|n| {
        life::spawn::<Player>(world, keys[n].clone(), Player { other: None, handled: 0 }).expect("there is none")
    });
    for n in [0, 1] {
        let other = if by_key { Other::Key(keys[1 - n].clone()) } else { Other::Id(ids[1 - n]) };
        Hosts::<Player>::table(world).get_mut(ids[n]).expect("it is there").other = Some(other);
    }
    ids
}

fn by_turns(by_key: bool) -> impl FnMut(u64) -> Duration {
    let mut world = alone();
    let [one, other] = pair(&mut world, by_key);
    move |count| {
        let handled = |world: &mut This| {
            let table = Hosts::<Player>::table(world);
            [one, other].map(|id| table.get(id).expect("it is there").handled).iter().sum::<u64>()
        };
        let before = handled(&mut world);
        let took = timed(&mut world, |world| {
            handling::call::<Player, _>(world, one, |_, cx| cx.tell_id::<Player>(other, Play::Ball(count - 1)))
                .expect("it is there")
                .expect("it has room");
        });
        assert_eq!(handled(&mut world) - before, count);
        took
    }
}

fn ask() -> impl FnMut(u64) -> Duration {
    let mut world = alone();
    let [one, other] = pair(&mut world, false);
    move |count| {
        let handled = |world: &mut This| Hosts::<Player>::table(world).get(other).expect("it is there").handled;
        let before = handled(&mut world);
        let took = timed(&mut world, |world| {
            handling::call::<Player, _>(world, one, |_, cx| cx.tell_self(Play::Ask(count)))
                .expect("it is there")
                .expect("it has room");
        });
        assert_eq!(handled(&mut world) - before, count);
        took
    }
}

fn drive(world: &mut This, keys: Vec<String>) -> ActorId {
    life::spawn::<Driver>(world, 0, Driver { keys }).expect("there is none")
}

fn order(world: &mut This, driver: ActorId, message: Drive) {
    handling::call::<Driver, _>(world, driver, |_, cx| cx.tell_self(message))
        .expect("it is there")
        .expect("it has room");
}

/// The time of so many out of the time of whole batches.
fn share(took: Duration, count: u64, batches: u64) -> Duration {
    took.mul_f64(count as f64 / (batches * AT_ONCE) as f64)
}

fn at_once() -> impl FnMut(u64) -> Duration {
    let mut world = alone();
    let driver = drive(&mut world, Vec::new());
    let sink = Sink { counted: 0, told: None };
    let sink = life::spawn::<Sink>(&mut world, "sink".to_owned(), sink).expect("there is none");
    move |count| {
        let batches = count.div_ceil(AT_ONCE);
        let counted = |world: &mut This| Hosts::<Sink>::table(world).get(sink).expect("it is there").counted;
        let before = counted(&mut world);
        let took = timed(&mut world, |world| order(world, driver, Drive::To(sink, batches)));
        assert_eq!(counted(&mut world) - before, batches * AT_ONCE);
        share(took, count, batches)
    }
}

fn activation() -> impl FnMut(u64) -> Duration {
    let mut world = alone();
    let driver = drive(&mut world, Vec::new());
    move |count| {
        let mut took = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let wave = left.min(WAVE);
            left -= wave;
            Hosts::<Driver>::table(&mut world).get_mut(driver).expect("it is there").keys = keys(wave);
            took += timed(&mut world, |world| order(world, driver, Drive::Each(0)));
            let ids: Vec<_> = Hosts::<Sink>::table(&mut world).ids().collect();
            assert_eq!(ids.len() as u64, wave);
            for id in ids {
                assert_eq!(Hosts::<Sink>::table(&mut world).get(id).expect("it was made").counted, 1);
                assert!(life::retire::<Sink>(&mut world, id));
            }
        }
        took
    }
}

/// A producer's host on this thread, turned by hand a batch at a time.
fn producer(post: &Post, clock: &ActorClock) -> (This, ActorId) {
    let mut world = host(0, post, clock);
    let driver = drive(&mut world, vec!["sink".to_owned()]);
    (world, driver)
}

/// One turn of a producer: one batch, one parcel.
fn produce(world: &mut This, driver: ActorId) {
    order(world, driver, Drive::Afar);
    core::turn(world);
}

fn over_threads() -> impl FnMut(u64) -> Duration {
    let ((post, mut inboxes), clock) = (hosts(2), ActorClock::start());
    let told = Arc::new(AtomicU64::new(0));
    let inbox = inboxes.pop().expect("there are two");
    let (theirs, their_clock, counter) = (post.clone(), clock.clone(), told.clone());
    let thread = tokio_host::spawn("receiver", None, inbox, move || {
        let mut world = host(1, &theirs, &their_clock);
        let sink = Sink { counted: 0, told: Some(counter) };
        life::spawn::<Sink>(&mut world, "sink".to_owned(), sink).expect("there is none");
        world
    });
    let mut thread = Some(thread.expect("a thread can be had"));
    let (mut world, driver) = producer(&post, &clock);
    let mut sent = 0;
    let mut work = move |count: u64| {
        let batches = count.div_ceil(AT_ONCE);
        let started = Instant::now();
        for _ in 0..batches {
            while sent + AT_ONCE - told.load(Ordering::Acquire) > IN_FLIGHT {
                std::hint::spin_loop();
            }
            produce(&mut world, driver);
            sent += AT_ONCE;
        }
        while told.load(Ordering::Acquire) < sent {
            std::hint::spin_loop();
        }
        share(started.elapsed(), count, batches)
    };
    let end = OnDrop(move || {
        let parcel = Parcel::new::<This>(This::end);
        post.mesh.shard(1).try_send(pianorhythm_server::actor::mesh::Lane::Control, parcel).expect("it has room");
        thread.take().map(std::thread::JoinHandle::join);
    });
    move |count| {
        let _end = &end;
        work(count)
    }
}

fn over_hosts() -> impl FnMut(u64) -> Duration {
    let ((post, inboxes), clock) = (hosts(2), ActorClock::start());
    let (mut world, driver) = producer(&post, &clock);
    let mut receiver = host(1, &post, &clock);
    let sink = Sink { counted: 0, told: None };
    let sink = life::spawn::<Sink>(&mut receiver, "sink".to_owned(), sink).expect("there is none");
    move |count| {
        let batches = count.div_ceil(AT_ONCE);
        let counted = |world: &mut This| Hosts::<Sink>::table(world).get(sink).expect("it is there").counted;
        let before = counted(&mut receiver);
        let started = Instant::now();
        for _ in 0..batches {
            produce(&mut world, driver);
            while let Some(parcel) = inboxes[1].try_next() {
                core::take(&mut receiver, parcel);
            }
            core::turn(&mut receiver);
        }
        let took = started.elapsed();
        assert_eq!(counted(&mut receiver) - before, batches * AT_ONCE);
        share(took, count, batches)
    }
}

/// All of it.
pub fn measure(criterion: &mut Criterion, rows: &mut Rows, name: &'static str) {
    rows.measure(criterion, "tell, by turns", name, by_turns(false));
    rows.measure(criterion, "tell, by key", name, by_turns(true));
    rows.measure(criterion, "tell, 64 at once", name, at_once());
    rows.measure(criterion, "ask", name, ask());
    rows.measure(criterion, "over threads", name, over_threads());
    rows.measure(criterion, "over hosts, one thread", name, over_hosts());
    rows.measure(criterion, "activation", name, activation());
}
