//! The same work on `kameo`: actors are tasks of tokio, addresses are references.
//!
//! Kindest to it: a runtime of one thread where nothing crosses, mailboxes without bound, sends that do not wait, a plain task
//! as the sender of many, an asker that asks in a loop within one handler, and a plain map as the registry of keys.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::Criterion;
use kameo::{
    Actor,
    actor::{ActorRef, Spawn as _},
    mailbox,
    message::{Context, Message},
};
use tokio::{runtime::Runtime, sync::Notify};

use crate::{AT_ONCE, IN_FLIGHT, OnDrop, WAVE, keys, measure::Rows};

struct Player {
    other: Option<ActorRef<Player>>,
    done: Arc<Notify>,
}

impl Actor for Player {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

struct Meet(ActorRef<Player>);
struct Ball(u64);
struct Ask(u64);
struct Question;

impl Message<Meet> for Player {
    type Reply = ();

    async fn handle(&mut self, Meet(other): Meet, _: &mut Context<Self, ()>) {
        self.other = Some(other);
    }
}

impl Message<Ball> for Player {
    type Reply = ();

    async fn handle(&mut self, Ball(left): Ball, _: &mut Context<Self, ()>) {
        match (left.checked_sub(1), &self.other) {
            (Some(left), Some(other)) => other.tell(Ball(left)).try_send().expect("it lives"),
            _ => self.done.notify_one(),
        }
    }
}

impl Message<Ask> for Player {
    type Reply = ();

    async fn handle(&mut self, Ask(count): Ask, _: &mut Context<Self, ()>) {
        let other = self.other.as_ref().expect("it has another");
        for _ in 0..count {
            other.ask(Question).await.expect("it answers");
        }
        self.done.notify_one();
    }
}

impl Message<Question> for Player {
    type Reply = u64;

    async fn handle(&mut self, _: Question, _: &mut Context<Self, u64>) -> u64 {
        1
    }
}

struct Sink {
    counted: u64,
    told: Arc<AtomicU64>,
    /// Told together with others.
    is_one_of_many: bool,
}

impl Actor for Sink {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(args: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(args)
    }
}

impl Message<u64> for Sink {
    type Reply = ();

    async fn handle(&mut self, message: u64, _: &mut Context<Self, ()>) {
        self.counted += message;
        if self.is_one_of_many {
            self.told.fetch_add(1, Ordering::Relaxed);
        } else if self.counted.is_multiple_of(AT_ONCE) {
            self.told.store(self.counted, Ordering::Release);
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had")
}

/// Two players on one thread, and what they say when they are done.
fn pair(runtime: &Runtime) -> (ActorRef<Player>, Arc<Notify>) {
    let done = Arc::new(Notify::new());
    let one = runtime.block_on(async {
        let player = || Player { other: None, done: done.clone() };
        let one = Player::spawn_with_mailbox(player(), mailbox::unbounded());
        let other = Player::spawn_with_mailbox(player(), mailbox::unbounded());
        one.tell(Meet(other.clone())).await.expect("it lives");
        other.tell(Meet(one.clone())).await.expect("it lives");
        one
    });
    (one, done)
}

fn by_turns() -> impl FnMut(u64) -> Duration {
    let runtime = runtime();
    let (one, done) = pair(&runtime);
    move |count| {
        runtime.block_on(async {
            let started = Instant::now();
            one.tell(Ball(count - 1)).try_send().expect("it lives");
            done.notified().await;
            started.elapsed()
        })
    }
}

fn ask() -> impl FnMut(u64) -> Duration {
    let runtime = runtime();
    let (one, done) = pair(&runtime);
    move |count| {
        runtime.block_on(async {
            let started = Instant::now();
            one.tell(Ask(count)).try_send().expect("it lives");
            done.notified().await;
            started.elapsed()
        })
    }
}

fn at_once() -> impl FnMut(u64) -> Duration {
    let runtime = runtime();
    let told = Arc::new(AtomicU64::new(0));
    let sink = Sink { counted: 0, told: told.clone(), is_one_of_many: false };
    let sink = runtime.block_on(async { Sink::spawn_with_mailbox(sink, mailbox::unbounded()) });
    let mut sent = 0;
    move |count| {
        let batches = count.div_ceil(AT_ONCE);
        runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..batches {
                for _ in 0..AT_ONCE {
                    sink.tell(1).try_send().expect("it lives");
                }
                sent += AT_ONCE;
                tokio::task::yield_now().await;
            }
            while told.load(Ordering::Acquire) < sent {
                tokio::task::yield_now().await;
            }
            started.elapsed().mul_f64(count as f64 / (batches * AT_ONCE) as f64)
        })
    }
}

fn over_threads() -> impl FnMut(u64) -> Duration {
    let told = Arc::new(AtomicU64::new(0));
    let (tell, sink) = std::sync::mpsc::channel();
    let counter = told.clone();
    let end = Arc::new(Notify::new());
    let ended = end.clone();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let sink = Sink { counted: 0, told: counter, is_one_of_many: false };
            tell.send(Sink::spawn_with_mailbox(sink, mailbox::unbounded())).expect("somebody waits");
            ended.notified().await;
        });
    });
    let sink: ActorRef<Sink> = sink.recv().expect("it starts");
    let end = OnDrop(move || end.notify_one());
    let mut sent = 0;
    move |count| {
        let _end = &end;
        let batches = count.div_ceil(AT_ONCE);
        let started = Instant::now();
        for _ in 0..batches {
            while sent + AT_ONCE - told.load(Ordering::Acquire) > IN_FLIGHT {
                std::hint::spin_loop();
            }
            for _ in 0..AT_ONCE {
                sink.tell(1).try_send().expect("it lives");
            }
            sent += AT_ONCE;
        }
        while told.load(Ordering::Acquire) < sent {
            std::hint::spin_loop();
        }
        started.elapsed().mul_f64(count as f64 / (batches * AT_ONCE) as f64)
    }
}

fn activation() -> impl FnMut(u64) -> Duration {
    let runtime = runtime();
    move |count| {
        let mut took = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let wave = left.min(WAVE);
            left -= wave;
            let keys = keys(wave);
            took += runtime.block_on(async {
                let told = Arc::new(AtomicU64::new(0));
                let mut sinks: HashMap<String, ActorRef<Sink>> = HashMap::new();
                let started = Instant::now();
                for keys in keys.chunks(AT_ONCE as usize) {
                    for key in keys {
                        let sink = sinks.entry(key.clone()).or_insert_with(|| {
                            let sink = Sink { counted: 0, told: told.clone(), is_one_of_many: true };
                            Sink::spawn_with_mailbox(sink, mailbox::unbounded())
                        });
                        sink.tell(1).try_send().expect("it lives");
                    }
                    tokio::task::yield_now().await;
                }
                while told.load(Ordering::Relaxed) < wave {
                    tokio::task::yield_now().await;
                }
                let took = started.elapsed();
                for sink in sinks.values() {
                    sink.kill();
                }
                for sink in sinks.values() {
                    sink.wait_for_shutdown().await;
                }
                took
            });
        }
        took
    }
}

/// All of it.
pub fn measure(criterion: &mut Criterion, rows: &mut Rows) {
    rows.measure(criterion, "tell, by turns", "kameo", by_turns());
    rows.measure(criterion, "tell, 64 at once", "kameo", at_once());
    rows.measure(criterion, "ask", "kameo", ask());
    rows.measure(criterion, "over threads", "kameo", over_threads());
    rows.measure(criterion, "activation", "kameo", activation());
}
