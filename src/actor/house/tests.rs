use std::{cell::Cell, convert::Infallible, rc::Rc, sync::atomic::AtomicBool};

use super::*;
use crate::actor::{
    actor::{Activation, Farewell, Handled, KindSettings},
    context::{Activating, Context},
    core,
    envelope::TellError,
    mesh::{self, Lane},
    table::Table,
    worker::Work,
    world::Hosts,
};

const SOON: Duration = Duration::from_secs(10);

/// Says where it lives, and when it goes.
struct Guest<W>(std::marker::PhantomData<W>);

macro_rules! guest {
    ($world:ty, $kind:literal) => {
        impl Actor for Guest<$world> {
            const KIND: &'static str = $kind;

            type World = $world;
            type Key = u64;
            type Message = flume::Sender<String>;
            type Reply = usize;
            type Error = Infallible;

            fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
                Activation::Ready(Self(std::marker::PhantomData))
            }

            fn handle(&mut self, left: flume::Sender<String>, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
                LEFT.with_borrow_mut(|all| all.push(left));
                let host = cx.world.core().host();
                cx.reply(host);
                Ok(())
            }

            fn ending(&mut self, _: &mut Context<'_, Self>) -> Farewell {
                LEFT.with_borrow_mut(|all| all.pop()).map(|left| left.send($kind.to_owned()));
                Farewell::Done
            }
        }
    };
}

thread_local! {
    static LEFT: std::cell::RefCell<Vec<flume::Sender<String>>> = const { std::cell::RefCell::new(Vec::new()) };
}

guest!(System, "lodger");
guest!(Annex, "visitor");

/// A world of one's own.
struct Annex {
    core: Core<Self>,
    guests: Table<Guest<Self>>,
    /// It takes no notice of its end.
    is_deaf: bool,
}

impl Annex {
    fn new(seat: Seat, is_deaf: bool) -> Self {
        let mut core = seat.core();
        let mut guests = Table::default();
        core.register(&mut guests, KindSettings::default());
        Self { core, guests, is_deaf }
    }
}

impl World for Annex {
    fn core(&mut self) -> &mut Core<Self> {
        &mut self.core
    }
}

impl Hosts<Guest<Self>> for Annex {
    fn table(&mut self) -> &mut Table<Guest<Self>> {
        &mut self.guests
    }
}

impl Worker for Annex {
    type Message = Parcel;

    fn handle(&mut self, parcel: Parcel) {
        core::take(self, parcel);
    }

    fn turn(&mut self) -> Work {
        core::turn(self);
        core::work(&self.core)
    }

    fn panicked(&mut self, cause: &str) {
        panic!("{cause}");
    }

    fn is_finished(&self) -> bool {
        self.core.is_over() && !self.is_deaf
    }
}

fn lodgers(seat: Seat) -> System {
    let mut system = seat.system();
    system.add::<Guest<System>>(KindSettings::default());
    system
}

fn stage(name: &'static str, kind: &'static str) -> ShutdownStage {
    ShutdownStage { name, kinds: vec![kind], deadline: SOON }
}

#[test]
fn hosts_of_both_executors_and_of_several_worlds_live_in_one_house_and_end_in_order() {
    let mut plan = HousePlan::new().seed(7);
    let glommio = plan.glommio("shard-0", 0, lodgers);
    let tokio = plan.tokio("office", None, lodgers);
    let annex = plan.tokio("annex", None, |seat| Annex::new(seat, false));
    assert_eq!([glommio, tokio, annex], [0, 1, 2]);
    plan.place::<Guest<System>>([glommio, tokio]).place::<Guest<Annex>>([annex]);
    let house = plan.start().unwrap();
    let names: Vec<_> =
        house.remote().post().registry.hosts().iter().map(|host| (&*host.name, host.executor)).collect();
    assert_eq!(names, [("shard-0", "glommio"), ("office", "tokio"), ("annex", "tokio")]);

    let (left, leaving) = flume::unbounded();
    let mut seen = Vec::new();
    for key in 0..8u64 {
        seen.push(house.block_on(house.remote().ask::<Guest<System>>(&key, left.clone(), SOON)).unwrap());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [glommio, tokio]);
    assert_eq!(house.remote().ask_blocking::<Guest<Annex>>(&1, left.clone(), SOON), Ok(annex));

    let remote = house.remote().clone();
    let outcome = house.stop(vec![stage("first", "visitor"), stage("second", "lodger")], SOON);
    assert!(outcome.is_clean(), "{outcome:?}");
    assert_eq!(outcome.stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["first", "second"]);
    let order: Vec<String> = leaving.drain().collect();
    assert_eq!(order[0], "visitor");
    assert_eq!(order[1..], vec!["lodger"; 8]);
    let told = remote.tell::<Guest<System>>(&1, left.clone());
    assert!(matches!(told, Err(TellError::Stopped(_))), "{told:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let told = runtime.block_on(remote.tell_patiently::<Guest<System>>(&1, left, SOON));
    assert!(matches!(told, Err(TellError::Stopped(_))), "nothing to be patient for: {told:?}");
}

#[test]
fn a_host_that_does_not_end_is_abandoned_by_name_and_keeps_no_other_from_ending() {
    let mut plan = HousePlan::default().capacity(Capacity { control: 8, data: 8, handoffs: 1 });
    plan.tokio("first", None, lodgers);
    plan.tokio("deaf", None, |seat| Annex::new(seat, true));
    plan.tokio("last", None, lodgers);
    let outcome = plan.start().unwrap().stop(Vec::new(), Duration::from_millis(300));
    assert!(!outcome.is_clean());
    assert_eq!(outcome.abandoned_hosts, ["deaf".into()]);
}

#[test]
fn a_host_whose_world_can_not_be_made_is_abandoned() {
    let mut plan = HousePlan::new();
    plan.tokio::<System, _>("bad", None, |_| panic!("as told"));
    plan.glommio("good", 0, lodgers);
    plan.glommio::<System, _>("worse", 0, |_| panic!("as told"));
    let house = plan.start().unwrap();
    assert_eq!(house.stop(Vec::new(), SOON).abandoned_hosts, ["bad".into(), "worse".into()]);
}

/// Tells with each turn how much it has handled, and whether a task had its turn that it has begun with the first message. It
/// ends after so much.
struct Count {
    handled: usize,
    until: usize,
    turns: flume::Sender<(usize, bool)>,
    is_tokio: bool,
    beside: Rc<Cell<bool>>,
}

impl Worker for Count {
    type Message = ();

    fn handle(&mut self, (): ()) {
        self.handled += 1;
        if self.handled == 1 && self.is_tokio {
            let beside = self.beside.clone();
            tokio::task::spawn_local(async move { beside.set(true) });
        }
    }

    fn turn(&mut self) -> Work {
        self.turns.send((self.handled, self.beside.get())).unwrap();
        Work::Rest(Duration::MAX)
    }

    fn panicked(&mut self, cause: &str) {
        panic!("{cause}");
    }

    fn is_finished(&self) -> bool {
        self.handled == self.until
    }
}

/// Starts a host with so many messages in its inbox, and ends it with as many more. How much it had handled by each turn.
fn turns(is_tokio: bool, before: usize, after: usize) -> Vec<(usize, bool)> {
    let (address, inbox) = mesh::inbox(Capacity { control: 1, data: 2000, handoffs: 1 });
    let (turns, told) = flume::unbounded();
    let send = |count| (0..count).for_each(|_| address.try_send(Lane::Data, ()).unwrap());
    send(before);
    let until = before + after;
    let make = move || Count { handled: 0, until, turns, is_tokio, beside: Rc::default() };
    let thread = match is_tokio {
        true => HostThread::Tokio(tokio_host::spawn("count", None, inbox, make).unwrap()),
        false => HostThread::Glommio(shard::spawn(0, 0, inbox, make).unwrap()),
    };
    if after > 0 {
        thread::sleep(Duration::from_millis(100));
        send(after);
    }
    assert!(thread.join());
    told.drain().collect()
}

#[test]
fn a_host_with_nothing_to_do_rests() {
    for is_tokio in [false, true] {
        let turns = turns(is_tokio, 0, 1);
        assert!(turns.len() < 100, "{} turns", turns.len());
    }
}

#[test]
fn a_flood_is_taken_in_with_turns_between() {
    for is_tokio in [false, true] {
        let turns = turns(is_tokio, 1200, 0);
        assert_eq!(turns.iter().map(|(handled, _)| *handled).collect::<Vec<_>>(), [512, 1024, 1200]);
        if is_tokio {
            assert_eq!(turns.iter().map(|(_, beside)| *beside).collect::<Vec<_>>(), [false, true, true]);
        }
    }
}

#[test]
fn where_a_host_can_not_be_started_those_before_it_end() {
    static IS_GONE: AtomicBool = AtomicBool::new(false);
    struct Gone;
    impl Drop for Gone {
        fn drop(&mut self) {
            IS_GONE.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }
    thread_local!(static GONE: Gone = const { Gone });
    let mut plan = HousePlan::new();
    plan.tokio("first", None, |seat| {
        GONE.with(|_| {});
        lodgers(seat)
    });
    // No machine has so many cores.
    plan.glommio("nowhere", 1 << 20, lodgers);
    match plan.start() {
        Err(HouseError::Host { name, .. }) => assert_eq!(&*name, "nowhere"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was started"),
    }
    assert!(IS_GONE.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn a_house_is_clean_where_nothing_was_abandoned() {
    let stage = |abandoned, silent_hosts| StageOutcome { name: "stage", abandoned, silent_hosts };
    let outcome = |stage, hosts: &[&str]| HouseOutcome {
        stages: vec![stage],
        abandoned_hosts: hosts.iter().map(|name| (*name).into()).collect(),
    };
    assert!(outcome(stage(0, 0), &[]).is_clean());
    for unclean in [outcome(stage(1, 0), &[]), outcome(stage(0, 1), &[]), outcome(stage(0, 0), &["deaf"])] {
        assert!(!unclean.is_clean(), "{unclean:?}");
    }
}

#[test]
fn what_is_placed_in_the_registry_of_a_plan_lives_there() {
    let mut plan = HousePlan::new();
    let hosts = ["one", "other"].map(|name| plan.tokio(name, None, lodgers));
    plan.registry().place::<Guest<System>>([hosts[1]]);
    let house = plan.start().unwrap();
    assert_eq!(house.remote().post().registry.hosts_of::<Guest<System>>(), [hosts[1]]);
    assert!(house.stop(Vec::new(), SOON).is_clean());
}

#[test]
fn a_house_has_inboxes_of_the_size_that_it_is_given() {
    let mut plan = HousePlan::new().capacity(Capacity { control: 8, data: 8, handoffs: 2 });
    plan.tokio("only", None, lodgers);
    let house = plan.start().unwrap();
    let shard = house.remote().post().mesh.shard(0).clone();
    let slots = [shard.try_reserve(), shard.try_reserve(), shard.try_reserve()];
    assert_eq!(slots.each_ref().map(Option::is_some), [true, true, false]);
    assert!(house.stop(Vec::new(), SOON).is_clean());
}

#[test]
fn a_house_has_the_clock_and_the_seeds_that_it_is_given() {
    let clock = ActorClock::manual();
    clock.advance(Duration::from_secs(5));
    let (tell, told) = flume::unbounded();
    let mut plan = HousePlan::new().clock(clock.clone()).seed(41);
    for name in ["one", "other"] {
        let tell = tell.clone();
        plan.tokio(name, None, move |seat| {
            tell.send((seat.number, seat.seed, seat.clock.now())).unwrap();
            lodgers(seat)
        });
    }
    let house = plan.start().unwrap();
    let mut seats = [told.recv().unwrap(), told.recv().unwrap()];
    seats.sort_unstable();
    assert_eq!(seats, [(0, 41, clock.now()), (1, 42, clock.now())]);
    assert_eq!(house.remote().clock().now(), clock.now());
    assert!(house.stop(Vec::new(), SOON).is_clean());
}
