//! The same work on `ractor`: actors are tasks of tokio, their mailboxes have no bound.
//!
//! Kindest to it: as for `kameo`; its actors start at once, without their maker waiting.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::Criterion;
use ractor::{Actor, ActorProcessingErr, ActorRef, ActorRuntime, RpcReplyPort};
use tokio::{runtime::Runtime, sync::Notify};

use crate::{AT_ONCE, IN_FLIGHT, OnDrop, WAVE, keys, measure::Rows};

struct Player;

struct Playing {
    other: Option<ActorRef<Play>>,
    done: Arc<Notify>,
}

enum Play {
    Meet(ActorRef<Play>),
    Ball(u64),
    Ask(u64),
    Question(RpcReplyPort<u64>),
}

impl Actor for Player {
    type Msg = Play;
    type State = Playing;
    type Arguments = Arc<Notify>;

    async fn pre_start(&self, _: ActorRef<Play>, done: Arc<Notify>) -> Result<Playing, ActorProcessingErr> {
        Ok(Playing { other: None, done })
    }

    async fn handle(&self, _: ActorRef<Play>, message: Play, state: &mut Playing) -> Result<(), ActorProcessingErr> {
        match message {
            Play::Meet(other) => state.other = Some(other),
            Play::Ball(left) => match (left.checked_sub(1), &state.other) {
                (Some(left), Some(other)) => other.cast(Play::Ball(left))?,
                _ => state.done.notify_one(),
            },
            Play::Ask(count) => {
                let other = state.other.as_ref().expect("it has another");
                for _ in 0..count {
                    ractor::call!(other, Play::Question)?;
                }
                state.done.notify_one();
            }
            Play::Question(reply) => reply.send(1)?,
        }
        Ok(())
    }
}

struct Sink;

struct Counting {
    counted: u64,
    told: Arc<AtomicU64>,
    /// Told together with others.
    is_one_of_many: bool,
}

impl Actor for Sink {
    type Msg = u64;
    type State = Counting;
    type Arguments = Counting;

    async fn pre_start(&self, _: ActorRef<u64>, state: Counting) -> Result<Counting, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<u64>, message: u64, state: &mut Counting) -> Result<(), ActorProcessingErr> {
        state.counted += message;
        if state.is_one_of_many {
            state.told.fetch_add(1, Ordering::Relaxed);
        } else if state.counted.is_multiple_of(AT_ONCE) {
            state.told.store(state.counted, Ordering::Release);
        }
        Ok(())
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be had")
}

fn sink(told: &Arc<AtomicU64>, is_one_of_many: bool) -> ActorRef<u64> {
    let state = Counting { counted: 0, told: told.clone(), is_one_of_many };
    ActorRuntime::spawn_instant(None, Sink, state).expect("it starts").0
}

/// Two players on one thread, and what they say when they are done.
fn pair(runtime: &Runtime) -> (ActorRef<Play>, Arc<Notify>) {
    let done = Arc::new(Notify::new());
    let one = runtime.block_on(async {
        let (one, _) = Player::spawn(None, Player, done.clone()).await.expect("it starts");
        let (other, _) = Player::spawn(None, Player, done.clone()).await.expect("it starts");
        one.cast(Play::Meet(other.clone())).expect("it lives");
        other.cast(Play::Meet(one.clone())).expect("it lives");
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
            one.cast(Play::Ball(count - 1)).expect("it lives");
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
            one.cast(Play::Ask(count)).expect("it lives");
            done.notified().await;
            started.elapsed()
        })
    }
}

fn at_once() -> impl FnMut(u64) -> Duration {
    let runtime = runtime();
    let told = Arc::new(AtomicU64::new(0));
    let sink = runtime.block_on(async { sink(&told, false) });
    let mut sent = 0;
    move |count| {
        let batches = count.div_ceil(AT_ONCE);
        runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..batches {
                for _ in 0..AT_ONCE {
                    sink.cast(1).expect("it lives");
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
    let (tell, address) = std::sync::mpsc::channel();
    let counter = told.clone();
    let end = Arc::new(Notify::new());
    let ended = end.clone();
    std::thread::spawn(move || {
        runtime().block_on(async {
            tell.send(sink(&counter, false)).expect("somebody waits");
            ended.notified().await;
        });
    });
    let sink: ActorRef<u64> = address.recv().expect("it starts");
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
                sink.cast(1).expect("it lives");
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
                let mut sinks: HashMap<String, ActorRef<u64>> = HashMap::new();
                let started = Instant::now();
                for keys in keys.chunks(AT_ONCE as usize) {
                    for key in keys {
                        sinks.entry(key.clone()).or_insert_with(|| sink(&told, true)).cast(1).expect("it lives");
                    }
                    tokio::task::yield_now().await;
                }
                while told.load(Ordering::Relaxed) < wave {
                    tokio::task::yield_now().await;
                }
                let took = started.elapsed();
                for sink in sinks.values() {
                    sink.kill_and_wait(None).await.expect("it ends");
                }
                took
            });
        }
        took
    }
}

/// All of it.
pub fn measure(criterion: &mut Criterion, rows: &mut Rows) {
    rows.measure(criterion, "tell, by turns", "ractor", by_turns());
    rows.measure(criterion, "tell, 64 at once", "ractor", at_once());
    rows.measure(criterion, "ask", "ractor", ask());
    rows.measure(criterion, "over threads", "ractor", over_threads());
    rows.measure(criterion, "activation", "ractor", activation());
}
