//! Races, tried by chance: messages against retirement, and messages against restarts, over two hosts.
//!
//! Each seed makes its own town and its own order of events: what is sent, which host has a turn, how much of its inbox it
//! takes in, when time passes, when a state has loaded, who is to retire, at which message somebody fails. Whatever the
//! order, each numbered message of a sender is handled once or reported once, and its sender's messages in their order.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use super::kit::{House, calm};
use crate::actor::{
    actor::{Activation, Actor, Farewell, Handled, KindSettings, Recovery, Undelivered},
    context::{Activating, Context, SendOptions},
    envelope::AskError,
    life,
    rng::Rng,
    supervision::{BackOff, Intensity, Restart, StopLimit, Strategy},
    system::System,
    tree::{self, SupervisorPlan},
    world::{Hosts, World as _},
};

const SEEDS: u64 = 10_000;
const SENDERS: u64 = 3;
const RECEIVERS: u64 = 2;
/// Who sends from outside.
const OUTSIDE: u64 = 99;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Handled,
    Failed,
    Dead,
    Answered,
    AnsweredDied,
    AnsweredStopped,
}

/// Who sent a message to whom, and which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Name {
    from: u64,
    to: u64,
    number: u32,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    name: Name,
    is_asked: bool,
    fails: bool,
}

/// What everybody in a town shares: it all happens on one thread.
#[derive(Default)]
struct Shared {
    fates: Vec<(Name, Fate)>,
    sent: Vec<Sent>,
    /// The next number of each sender for each receiver.
    next: HashMap<(u64, u64), u32>,
    loads: bool,
    lingers: bool,
    /// States that are loading wait for a word.
    gate: Option<flume::Receiver<()>>,
}

thread_local!(static SHARED: RefCell<Shared> = RefCell::default());

fn shared<T>(with: impl FnOnce(&mut Shared) -> T) -> T {
    SHARED.with_borrow_mut(with)
}

fn note(name: Name, fate: Fate) {
    shared(|shared| shared.fates.push((name, fate)));
}

/// Sends what it is told to send.
struct Sender;

enum ToSender {
    /// Send so many messages to this receiver, as tells or asks, and fail after that, perhaps; then none of them is sent.
    Send { to: u64, fails: Vec<bool>, asks: bool, gives_up: bool },
    /// What came of an ask.
    Answered(Name, Fate),
}

impl Actor for Sender {
    const KIND: &'static str = "sender";

    type World = System;
    type Key = u64;
    type Message = ToSender;
    type Reply = ();
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self)
    }

    fn handle(&mut self, message: ToSender, cx: &mut Context<'_, Self>) -> Handled<String> {
        match message {
            ToSender::Send { to, fails, asks, gives_up } => {
                let from = cx.key().unwrap();
                let mut sent = Vec::new();
                for fails in fails {
                    let next = shared(|shared| {
                        let next = shared.next.entry((from, to)).or_default();
                        *next += 1;
                        *next
                    });
                    let name = Name { from, to, number: next };
                    sent.push(Sent { name, is_asked: asks, fails });
                    let item = ToReceiver::Item { name, fails };
                    if asks {
                        cx.ask::<Receiver>(&to, item, Duration::from_secs(1_000_000), move |answer| {
                            let fate = match answer {
                                Ok(number) => {
                                    assert_eq!(number, name.number, "the answer of another");
                                    Fate::Answered
                                }
                                Err(AskError::Died) => Fate::AnsweredDied,
                                Err(AskError::Stopped) => Fate::AnsweredStopped,
                                Err(error) => panic!("{name:?} was answered {error:?}"),
                            };
                            ToSender::Answered(name, fate)
                        });
                    } else {
                        cx.tell::<Receiver>(&to, item).unwrap();
                    }
                }
                assert!(!gives_up, "as planned");
                shared(|shared| shared.sent.append(&mut sent));
            }
            ToSender::Answered(name, fate) => note(name, fate),
        }
        Ok(())
    }
}

/// Handles what it is sent.
struct Receiver;

enum ToReceiver {
    Item {
        name: Name,
        fails: bool,
    },
    /// Where it ends: it is done with that.
    Finish,
}

impl Actor for Receiver {
    const KIND: &'static str = "receiver";

    type World = System;
    type Key = u64;
    type Message = ToReceiver;
    type Reply = u32;
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        match shared(|shared| shared.gate.clone().filter(|_| shared.loads)) {
            None => Activation::Ready(Self),
            Some(gate) => Activation::Loading(Box::pin(async move {
                let _ = gate.recv_async().await;
                Ok(Self)
            })),
        }
    }

    fn handle(&mut self, message: ToReceiver, cx: &mut Context<'_, Self>) -> Handled<String> {
        match message {
            ToReceiver::Item { name, fails } => {
                assert!(!cx.is_ending(), "{name:?} came to one that ends");
                note(name, if fails { Fate::Failed } else { Fate::Handled });
                assert!(!fails, "as planned");
                cx.reply(name.number);
            }
            ToReceiver::Finish if cx.is_ending() => cx.end(),
            ToReceiver::Finish => {}
        }
        Ok(())
    }

    fn ending(&mut self, _: &mut Context<'_, Self>) -> Farewell {
        if shared(|shared| shared.lingers) { Farewell::Later } else { Farewell::Done }
    }

    fn undelivered(_: &mut System, _: Option<&u64>, message: ToReceiver, _: &Undelivered<Self>) {
        if let ToReceiver::Item { name, .. } = message {
            note(name, Fate::Dead);
        }
    }
}

/// How things go in a town.
#[derive(Clone, Copy, Debug)]
struct Ways {
    /// One message of so many fails; none where that is 0.
    fails: u64,
    recovery: Recovery,
    intensity: Intensity,
    is_supervised: bool,
    loads: bool,
    lingers: bool,
}

/// Two hosts, and chance.
struct Town {
    house: House,
    rng: Rng,
    gate: flume::Sender<()>,
    ways: Ways,
}

impl Town {
    fn new(seed: u64, ways: impl FnOnce(&mut Rng) -> Ways) -> Self {
        let mut rng = Rng::new(seed);
        let ways = ways(&mut rng);
        let (gate, gated) = flume::unbounded();
        SHARED.replace(Shared { loads: ways.loads, lingers: ways.lingers, gate: Some(gated), ..Shared::default() });
        let back_off = BackOff { first: Duration::from_millis(5), ..BackOff::default() };
        let receiver = KindSettings {
            idle_time: Some(Duration::from_millis(40)),
            stop_deadline: Duration::from_millis(30),
            load_limit: Duration::from_secs(1_000_000),
            batch: 1 + rng.below(4) as usize,
            recovery: ways.recovery,
            intensity: ways.intensity,
            back_off,
            ..KindSettings::default()
        };
        let sender = KindSettings {
            recovery: Recovery::InPlace,
            intensity: Intensity::UNLIMITED,
            back_off: BackOff::NONE,
            batch: 1 + rng.below(4) as usize,
            ..calm()
        };
        let place = |registry: &mut crate::actor::parcel::Registry| {
            registry.place::<Sender>(0..2).place::<Receiver>(0..2);
        };
        let mut house = House::new(2, place, |system, _| {
            system.add::<Sender>(sender).add::<Receiver>(receiver);
        });
        if ways.is_supervised {
            for host in 0..2 {
                let mut plan =
                    SupervisorPlan::new("root", Strategy::OneForOne).intensity(ways.intensity).back_off(back_off);
                for key in (0..RECEIVERS).filter(|key| home(&house, *key) == host) {
                    plan = plan.actor::<Receiver>(key, Restart::Permanent, StopLimit::default(), |_| Ok(Receiver));
                }
                tree::start(house.at(host), plan);
            }
        }
        Self { house, rng, gate, ways }
    }

    fn chance(&mut self, of: u64) -> bool {
        of > 0 && self.rng.below(of) == 0
    }

    /// Something happens.
    fn step(&mut self) {
        let host = self.rng.below(2) as usize;
        let to = self.rng.below(RECEIVERS);
        match self.rng.below(16) {
            0..=3 => {
                let sender = self.rng.below(SENDERS);
                let count = 1 + self.rng.below(3);
                let fails = (0..count).map(|_| self.chance(self.ways.fails)).collect();
                let (asks, gives_up) = (self.chance(2), self.chance(8));
                self.house.remote.tell::<Sender>(&sender, ToSender::Send { to, fails, asks, gives_up }).unwrap();
            }
            4 => {
                let fails = self.chance(self.ways.fails);
                let number = shared(|shared| {
                    let next = shared.next.entry((OUTSIDE, to)).or_default();
                    *next += 1;
                    *next
                });
                let name = Name { from: OUTSIDE, to, number };
                shared(|shared| shared.sent.push(Sent { name, is_asked: false, fails }));
                self.house.remote.tell::<Receiver>(&to, ToReceiver::Item { name, fails }).unwrap();
            }
            5 => {
                let host = home(&self.house, to);
                let world = self.house.at(host);
                if let Some(id) = Hosts::<Receiver>::table(world).find(&to) {
                    life::retire::<Receiver>(world, id);
                }
            }
            6 => self.house.remote.tell_with::<Receiver>(&to, ToReceiver::Finish, SendOptions::CONTROL).unwrap(),
            7 => self.house.clock.advance(Duration::from_millis(1 + self.rng.below(8))),
            8 => self.house.clock.advance(Duration::from_millis(20 + self.rng.below(100))),
            9 => drop(self.gate.send(())),
            10 | 11 => drop(self.house.take_in(host, 1 + self.rng.below(3) as usize)),
            _ => drop(self.house.turn(host)),
        }
    }

    /// All that is still on its way comes to its end.
    fn wind_up(&mut self) {
        shared(|shared| {
            shared.loads = false;
            shared.lingers = false;
        });
        // More than all that load ever wait for.
        (0..200).for_each(|_| drop(self.gate.send(())));
        // Who fails at what waits rests each time.
        for _ in 0..200 {
            self.house.settle();
            let waits = |system: &mut System| {
                Hosts::<Receiver>::table(system).figures().pending.get() > 0 || !system.core().asks.is_empty()
            };
            if !self.house.hosts.iter_mut().any(waits) {
                return;
            }
            self.house.clock.advance(Duration::from_secs(10));
        }
        panic!("it does not come to its end");
    }

    /// Each message has had one fate, those of each pair in their order.
    fn check(&self) {
        let (fates, sent) = shared(|shared| (std::mem::take(&mut shared.fates), std::mem::take(&mut shared.sent)));
        let mut of: HashMap<Name, Vec<Fate>> = HashMap::new();
        let mut last: HashMap<(u64, u64, u8), u32> = HashMap::new();
        for (name, fate) in &fates {
            of.entry(*name).or_default().push(*fate);
            // Handled, dead and answered are told of in different places: each in its own order.
            let place = match fate {
                Fate::Handled | Fate::Failed => 0,
                Fate::Dead => 1,
                Fate::Answered | Fate::AnsweredDied | Fate::AnsweredStopped => 2,
            };
            let last = last.entry((name.from, name.to, place)).or_default();
            assert!(*last < name.number, "{name:?} {fate:?} comes after {last}");
            *last = name.number;
        }
        for Sent { name, is_asked, fails } in sent {
            let fates = of.remove(&name).unwrap_or_default();
            let is_fine = match (is_asked, fails) {
                (false, false) => matches!(*fates, [Fate::Handled] | [Fate::Dead]),
                (false, true) => matches!(*fates, [Fate::Failed] | [Fate::Dead]),
                (true, false) => {
                    matches!(*fates, [Fate::Handled, Fate::Answered] | [Fate::AnsweredDied] | [Fate::AnsweredStopped])
                }
                (true, true) => matches!(
                    *fates,
                    [Fate::Failed, Fate::AnsweredDied] | [Fate::AnsweredDied] | [Fate::AnsweredStopped]
                ),
            };
            let is_kept = self.ways.fails > 0 || matches!(*fates, [Fate::Handled] | [Fate::Handled, Fate::Answered]);
            assert!(is_fine && is_kept, "{name:?}, asked: {is_asked}, to fail: {fails}: {fates:?}");
        }
        assert!(of.is_empty(), "never sent: {of:?}");
    }
}

fn home(house: &House, key: u64) -> usize {
    house.remote.post().registry.home::<Receiver>(&key).unwrap()
}

/// Tries seed after seed. The one that fails is told.
fn each_seed(ways: impl Fn(&mut Rng) -> Ways) {
    struct Told(u64);
    impl Drop for Told {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("with seed {}", self.0);
            }
        }
    }
    // What is planned need not be told twenty thousand times.
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some("as planned") {
                tell(panic);
            }
        }));
    });
    for seed in 0..SEEDS {
        let _told = Told(seed);
        let mut town = Town::new(seed, &ways);
        for _ in 0..60 {
            town.step();
        }
        town.wind_up();
        town.check();
    }
}

#[test]
fn whenever_actors_retire_no_message_is_lost_or_doubled() {
    each_seed(|rng| Ways {
        fails: 0,
        recovery: Recovery::Fresh,
        intensity: Intensity::default(),
        is_supervised: false,
        loads: rng.below(2) == 0,
        lingers: rng.below(2) == 0,
    });
}

#[test]
fn whenever_actors_fail_each_message_is_handled_or_answered_for_once() {
    each_seed(|rng| {
        let restarts = if rng.below(2) == 0 { u32::MAX } else { 2 };
        Ways {
            fails: 3,
            recovery: if rng.below(2) == 0 { Recovery::Fresh } else { Recovery::InPlace },
            intensity: Intensity { restarts, within: Duration::from_millis(100) },
            is_supervised: rng.below(3) == 0,
            loads: rng.below(3) == 0,
            lingers: rng.below(3) == 0,
        }
    });
}
