//! Actors on real threads: shards on glommio and a host on tokio, as the server has them.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "these tests wait for true threads, and no longer than a deadline")]

use std::{
    env,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use pianorhythm_server::actor::{
    actor::{Activation, Actor, Handled, KindSettings, Recovery},
    context::{Activating, Context},
    envelope::AskError,
    key::Place,
    mesh::{Capacity, Mesh},
    moment::ActorClock,
    parcel::{Parcel, Post, Registry},
    remote::Remote,
    report,
    shard::{self, ShardThread},
    startup,
    system::System,
    tokio_host,
    world::World as _,
};

/// Longer than anything here takes on the slowest machine; what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the process where a test hangs: a thread that hangs can not be ended otherwise.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn new(name: &'static str) -> Self {
        Self::patient(name, PATIENCE)
    }

    fn patient(name: &'static str, patience: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        std::thread::spawn(move || {
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if over.load(Ordering::Acquire) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            eprintln!("{name} hangs");
            std::process::exit(101);
        });
        Self(is_over)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Three shards on glommio, and a host on tokio that has the number after theirs.
struct Town {
    remote: Remote,
    shards: Vec<ShardThread>,
    tokio: Option<JoinHandle<()>>,
}

const SHARDS: usize = 3;
const TOKIO: usize = SHARDS;

impl Town {
    /// Places kinds, and adds them to the hosts that have them.
    fn new(place: impl FnOnce(&mut Registry), add: impl Fn(&mut System, usize) + Clone + Send + 'static) -> Self {
        startup::check().unwrap();
        let mut registry = Registry::new();
        for shard in 0..SHARDS {
            registry.host(format!("shard-{shard}"), "glommio");
        }
        registry.host("desk", "tokio");
        place(&mut registry);
        let (mesh, inboxes) = Mesh::<Parcel>::new(SHARDS + 1, Capacity::default());
        let post = Post { mesh, registry: Arc::new(registry) };
        let clock = ActorClock::start();
        let remote = Remote::new(post.clone(), clock.clone());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut inboxes = inboxes.into_iter();
        let world = |number: usize| {
            let (post, clock, add) = (post.clone(), clock.clone(), add.clone());
            move || {
                let mut system = System::new(number, post, clock, number as u64);
                add(&mut system, number);
                system
            }
        };
        let shards = (0..SHARDS)
            .map(|shard| shard::spawn(shard, shard % cores, inboxes.next().unwrap(), world(shard)).unwrap())
            .collect();
        let tokio = tokio_host::spawn("desk", None, inboxes.next().unwrap(), world(TOKIO)).unwrap();
        Self { remote, shards, tokio: Some(tokio) }
    }

    /// Asks, and waits for the answer as long as it takes.
    fn ask<A: Actor>(&self, key: &A::Key, message: A::Message) -> Result<A::Reply, AskError<A::Error>> {
        self.remote.ask_blocking::<A>(key, message, PATIENCE)
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for host in 0..=TOKIO {
            let end = Parcel::new::<System>(|system| system.core().end());
            let _ = self.remote.post().mesh.shard(host).try_send(pianorhythm_server::actor::mesh::Lane::Control, end);
        }
        for shard in self.shards.drain(..) {
            shard.join().unwrap();
        }
        self.tokio.take().map(JoinHandle::join).unwrap().unwrap();
    }
}

/// Passes a question on from host to host, and the answer back.
struct Relay {
    asked: Vec<pianorhythm_server::actor::deferred::Owed>,
}

enum ToRelay {
    /// Ask the relays of these hosts, one through the other, and say who was asked.
    Through(Vec<usize>),
    Answered(Result<String, AskError<String>>),
    Fail,
}

impl Actor for Relay {
    const KIND: &'static str = "relay";

    type World = System;
    type Key = Place;
    type Message = ToRelay;
    type Reply = String;
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self { asked: Vec::new() })
    }

    fn handle(&mut self, message: ToRelay, cx: &mut Context<'_, Self>) -> Handled<String> {
        let me = cx.world.core().host();
        match message {
            ToRelay::Through(mut hosts) => match hosts.pop() {
                Some(next) => {
                    self.asked.extend(cx.owe());
                    cx.ask::<Self>(&Place(next), ToRelay::Through(hosts), PATIENCE, ToRelay::Answered);
                }
                None => cx.reply(format!("{me}")),
            },
            ToRelay::Answered(answer) => {
                let answer = answer.map_or_else(|error| Err(error.to_string()), |way| Ok(format!("{me} {way}")));
                if let Some(owed) = self.asked.pop() {
                    cx.answer(owed, answer);
                }
            }
            ToRelay::Fail => panic!("as told"),
        }
        Ok(())
    }
}

fn relays(recovery: Recovery) -> Town {
    Town::new(
        |registry| {
            registry.place::<Relay>(0..=TOKIO);
        },
        move |system, _| {
            system.add::<Relay>(KindSettings { recovery, idle_time: None, ..KindSettings::default() });
        },
    )
}

#[test]
fn asks_go_between_shards_and_a_tokio_host_both_ways() {
    let _watchdog = Watchdog::new("asking");
    let town = relays(Recovery::Fresh);
    // From outside to each, and from each to each other and itself.
    for from in 0..=TOKIO {
        for to in 0..=TOKIO {
            let answer = town.ask::<Relay>(&Place(from), ToRelay::Through(vec![to]));
            assert_eq!(answer, Ok(format!("{from} {to}")));
        }
    }
    // There and back over all of them.
    let way = vec![0, TOKIO, 1, TOKIO, 2];
    assert_eq!(town.ask::<Relay>(&Place(0), ToRelay::Through(way)), Ok("0 2 3 1 3 0".to_owned()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(town.remote.ask::<Relay>(&Place(TOKIO), ToRelay::Through(vec![1]), PATIENCE));
    assert_eq!(answer, Ok("3 1".to_owned()));
}

#[test]
fn a_panic_in_one_actor_leaves_its_host_and_all_others_alive() {
    let _watchdog = Watchdog::new("failing");
    for recovery in [Recovery::Fresh, Recovery::InPlace] {
        let town = relays(recovery);
        for host in [1, TOKIO] {
            for _ in 0..2 {
                assert_eq!(town.ask::<Relay>(&Place(host), ToRelay::Fail), Err(AskError::Died));
            }
            for other in 0..=TOKIO {
                assert_eq!(town.ask::<Relay>(&Place(other), ToRelay::Through(vec![])), Ok(other.to_string()));
                assert_eq!(
                    town.ask::<Relay>(&Place(other), ToRelay::Through(vec![host])),
                    Ok(format!("{other} {host}"))
                );
            }
            let figures = &town.remote.post().registry.hosts()[host].kinds[0].1;
            assert_eq!((figures.panics.get(), figures.restarts.get()), (2, 2));
        }
    }
}

/// Hits each ball on to the next shard until it has made its rounds.
struct Player;

struct Ball {
    rounds: u64,
    done: flume::Sender<()>,
    hits: Arc<AtomicU64>,
}

impl Actor for Player {
    const KIND: &'static str = "player";

    type World = System;
    type Key = Place;
    type Message = Ball;
    type Reply = ();
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self)
    }

    fn handle(&mut self, mut ball: Ball, cx: &mut Context<'_, Self>) -> Handled<String> {
        let me = cx.world.core().host();
        ball.hits.fetch_add(1, Ordering::Relaxed);
        if me == 0 {
            ball.rounds -= 1;
            if ball.rounds == 0 {
                let _ = ball.done.send(());
                return Ok(());
            }
        }
        cx.tell::<Self>(&Place((me + 1) % SHARDS), ball).map_err(|_| "a ball was lost".to_owned())?;
        Ok(())
    }
}

/// Processes that want all of the processors' time; they end when this one has ended, however it has.
struct Hogs(Vec<Child>);

impl Hogs {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hog = || Command::new("sh").args(["-c", "while kill -0 $PPID; do :; done"]).spawn().unwrap();
        Self((0..cores).map(|_| hog()).collect())
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for hog in &mut self.0 {
            assert_eq!(hog.try_wait().unwrap(), None, "it has hogged all the while");
            hog.kill().unwrap();
            hog.wait().unwrap();
        }
    }
}

/// `PING_PONG_SECONDS` has it go on for so long.
#[test]
fn ping_pong_over_three_shards_does_not_hang_with_the_processors_hogged() {
    let seconds = env::var("PING_PONG_SECONDS").map_or(0, |seconds| seconds.parse().expect("a number of seconds"));
    let lasts = Duration::from_secs(seconds);
    let _watchdog = Watchdog::patient("ping-pong", lasts + PATIENCE);
    let town = Town::new(
        |registry| {
            registry.place::<Player>(0..SHARDS);
        },
        |system, host| {
            if host != TOKIO {
                system.add::<Player>(KindSettings { mailbox: 10_000, ..KindSettings::default() });
            }
        },
    );
    let _hogs = Hogs::new();
    let begun = Instant::now();
    let mut all = 0;
    loop {
        // All at once, so that the shards are busy, and then one alone, for which each of them has to be woken.
        for (balls, rounds) in [(500, 100), (1, 200)] {
            let (done, finished) = flume::unbounded();
            let hits = Arc::new(AtomicU64::new(0));
            for _ in 0..balls {
                let ball = Ball { rounds, done: done.clone(), hits: hits.clone() };
                town.remote.tell::<Player>(&Place(0), ball).unwrap();
            }
            for ball in 0..balls {
                finished.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("ball {ball} does not come back"));
            }
            let made = hits.load(Ordering::Relaxed);
            assert_eq!(made, balls * ((rounds - 1) * SHARDS as u64 + 1), "no hit more, and none less");
            all += made;
        }
        if begun.elapsed() >= lasts {
            break;
        }
    }
    println!("{all} hits in {:.1} s", begun.elapsed().as_secs_f64());
}

/// Stands still in the middle of a message.
struct Sleeper;

impl Actor for Sleeper {
    const KIND: &'static str = "sleeper";

    type World = System;
    type Key = String;
    /// Stand still until this is dropped.
    type Message = flume::Receiver<()>;
    type Reply = ();
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self)
    }

    fn handle(&mut self, until: flume::Receiver<()>, cx: &mut Context<'_, Self>) -> Handled<String> {
        std::thread::sleep(Duration::from_millis(300));
        let _ = until.recv_timeout(PATIENCE);
        cx.reply(());
        Ok(())
    }
}

#[test]
fn an_actor_that_is_stuck_is_seen_from_outside_with_its_address_while_it_is_stuck() {
    let _watchdog = Watchdog::new("a stuck actor");
    let town = Town::new(
        |registry| {
            registry.place::<Sleeper>([1]).place::<Relay>(0..=TOKIO);
        },
        |system, host| {
            system.add::<Relay>(KindSettings::default());
            if host == 1 {
                let settings = KindSettings { handling_limit: Duration::from_millis(20), ..KindSettings::default() };
                system.add::<Sleeper>(settings);
            }
        },
    );
    assert_eq!(report::stuck(&town.remote), [] as [String; 0]);
    let (release, until) = flume::bounded(1);
    let remote = town.remote.clone();
    let asking = std::thread::spawn(move || remote.ask_blocking::<Sleeper>(&"beauty".to_owned(), until, PATIENCE));
    let begun = Instant::now();
    let seen = loop {
        if let Some(seen) = report::stuck(&town.remote).pop() {
            break seen;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is seen to be stuck");
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(seen.starts_with("sleeper/beauty on shard-1 for "), "{seen}");
    assert!(!asking.is_finished(), "while it is stuck");
    // The report of all hosts says the same, without waiting for the one that can not answer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(town.remote.report(Duration::from_millis(200)));
    assert_eq!(report["hosts"][1]["answers"], false);
    assert_eq!(report["hosts"][1]["running"]["actor"], "sleeper/beauty");
    assert_eq!(report["hosts"][1]["running"]["stuck"], true);
    // The others notice nothing.
    for host in [0, 2, TOKIO] {
        assert_eq!(town.ask::<Relay>(&Place(host), ToRelay::Through(vec![])), Ok(host.to_string()));
    }
    drop(release);
    assert_eq!(asking.join().unwrap(), Ok(()));
    assert_eq!(town.ask::<Relay>(&Place(1), ToRelay::Through(vec![])), Ok("1".to_owned()), "it goes on");
    let figures = &town.remote.post().registry.hosts()[1].kinds[0];
    assert_eq!((figures.0, figures.1.slow.get()), ("sleeper", 1));
    // Seen from outside, as long as the turn lasts in which it was.
    while !report::stuck(&town.remote).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "it is seen as stuck for ever");
        std::thread::sleep(Duration::from_millis(1));
    }
}
