//! Random histories of a supervisor in a world that knows which instances there are.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest},
};

use super::{
    BackOff, ChildSpec, ChildState, Effect, Ended, Intensity, Moment, Restart, StopLimit, Supervisor, SupervisorSpec,
    at, ms,
};
use crate::actor::supervision::Strategy as Restarts;
use ChildState::{Down, Running, Starting, Stopping, Waiting};

/// Something that happens. Indices are taken modulo what there is.
#[derive(Clone, Debug)]
enum Happening {
    Start,
    Up(usize),
    Refuse(usize),
    End(usize, u8),
    /// A report about a child without an instance.
    Stray(u8, u8),
    Pass(u64),
    ToDeadline,
    Add(ChildSpec<u8>),
    Remove(u8),
    Terminate(u8),
    Restart(u8),
    Stop,
}

fn child_spec() -> impl Strategy<Value = ChildSpec<u8>> {
    let restart = prop_oneof![
        3 => Just(Restart::Permanent),
        2 => Just(Restart::Transient),
        1 => Just(Restart::Temporary),
    ];
    let stop = prop_oneof![
        1 => Just(StopLimit::Brutal),
        4 => (0u64..100).prop_map(|limit| StopLimit::Within(ms(limit))),
        1 => Just(StopLimit::Unlimited),
    ];
    (0u8..8, restart, stop, 1u64..100).prop_map(|(id, restart, stop, limit)| ChildSpec {
        id,
        restart,
        stop,
        start_limit: ms(limit),
    })
}

fn supervisor_spec() -> impl Strategy<Value = SupervisorSpec> {
    let strategy = prop_oneof![Just(Restarts::OneForOne), Just(Restarts::OneForAll), Just(Restarts::RestForOne)];
    let intensity = prop_oneof![
        1 => Just(Intensity::UNLIMITED),
        4 => (0u32..6, 0u64..200).prop_map(|(restarts, within)| Intensity { restarts, within: ms(within) }),
    ];
    let back_off = prop_oneof![Just(BackOff::NONE), Just(BackOff::default())];
    (strategy, intensity, back_off).prop_map(|(strategy, intensity, back_off)| SupervisorSpec {
        strategy,
        intensity,
        back_off,
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => Just(Happening::Start),
        12 => any::<usize>().prop_map(Happening::Up),
        3 => any::<usize>().prop_map(Happening::Refuse),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(who, how)| Happening::End(who, how)),
        2 => (0u8..9, any::<u8>()).prop_map(|(id, how)| Happening::Stray(id, how)),
        4 => (0u64..60).prop_map(Happening::Pass),
        4 => Just(Happening::ToDeadline),
        2 => child_spec().prop_map(Happening::Add),
        1 => (0u8..8).prop_map(Happening::Remove),
        1 => (0u8..8).prop_map(Happening::Terminate),
        1 => (0u8..8).prop_map(Happening::Restart),
        1 => prop_oneof![9 => Just(Happening::ToDeadline), 1 => Just(Happening::Stop)],
    ]
}

/// An instance of a child.
#[derive(Debug)]
struct Instance {
    spec: ChildSpec<u8>,
    started: Moment,
    up: bool,
    told: Option<Moment>,
    killed: bool,
}

/// The supervisor, and what its effects have made.
struct World {
    supervisor: Supervisor<u8>,
    spec: SupervisorSpec,
    /// The latest spec of each id.
    specs: BTreeMap<u8, ChildSpec<u8>>,
    instances: BTreeMap<u8, Instance>,
    now: Moment,
    draw: f64,
    begun: bool,
    ready: bool,
    finished: bool,
    /// A child was brought back between its siblings.
    by_hand: bool,
    restarts: Vec<Moment>,
}

impl World {
    fn new(spec: SupervisorSpec, draw: f64) -> Self {
        Self {
            supervisor: Supervisor::new(spec),
            spec,
            specs: BTreeMap::new(),
            instances: BTreeMap::new(),
            now: at(0),
            draw,
            begun: false,
            ready: false,
            finished: false,
            by_hand: false,
            restarts: Vec::new(),
        }
    }

    fn happen(&mut self, happening: &Happening) {
        let (now, draw, mut out) = (self.now, self.draw, Vec::new());
        let mut dismissed = None;
        match happening {
            Happening::Start => {
                self.supervisor.start(now, &mut out);
                self.begun = true;
            }
            Happening::Up(who) => {
                let Some(id) = self.pick(*who, |instance| !instance.up) else { return };
                self.instances.get_mut(&id).unwrap().up = true;
                self.supervisor.started(&id, Ok(()), now, draw, &mut out);
            }
            Happening::Refuse(who) => {
                let Some(id) = self.pick(*who, |instance| !instance.up) else { return };
                let told = self.instances.remove(&id).unwrap().is_told();
                self.supervisor.started(&id, Err("refused".into()), now, draw, &mut out);
                assert!(!told || self.supervisor.restarts() == self.restarts.len() as u64, "a stop is no failure");
            }
            Happening::End(who, how) => {
                let Some(id) = self.pick(*who, |_| true) else { return };
                let told = self.instances.remove(&id).unwrap().is_told();
                self.supervisor.ended(&id, how_of(*how), now, draw, &mut out);
                assert!(!told || self.supervisor.restarts() == self.restarts.len() as u64, "a stop is no failure");
            }
            Happening::Stray(id, how) => {
                if self.instances.contains_key(id) {
                    return;
                }
                let before = format!("{:?}", self.supervisor);
                self.supervisor.started(id, Ok(()), now, draw, &mut out);
                self.supervisor.started(id, Err("stray".into()), now, draw, &mut out);
                self.supervisor.ended(id, how_of(*how), now, draw, &mut out);
                assert_eq!(format!("{:?}", self.supervisor), before);
            }
            Happening::Pass(passed) => {
                self.now = now + ms(*passed);
                self.supervisor.tick(self.now, draw, &mut out);
            }
            Happening::ToDeadline => {
                let Some(deadline) = self.supervisor.next_deadline() else { return };
                self.now = now.max(deadline);
                self.supervisor.tick(self.now, draw, &mut out);
            }
            Happening::Add(child) => {
                if self.supervisor.add_child(child.clone(), now, &mut out).is_ok() {
                    assert!(!self.finished);
                    self.specs.insert(child.id, child.clone());
                }
            }
            Happening::Remove(id) => {
                dismissed = Some(*id);
                self.supervisor.remove_child(id, now, &mut out);
            }
            Happening::Terminate(id) => {
                dismissed = Some(*id);
                self.supervisor.terminate_child(id, now, &mut out);
            }
            Happening::Restart(id) => self.by_hand |= self.supervisor.restart_child(id, now, &mut out),
            Happening::Stop => self.supervisor.stop(now, &mut out),
        }
        for effect in out {
            self.perform(effect, dismissed);
        }
        self.check();
        if matches!(happening, Happening::Pass(_) | Happening::ToDeadline) {
            let next = self.supervisor.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a tick does all that is due: {next:?}");
        }
    }

    fn perform(&mut self, effect: Effect<u8>, dismissed: Option<u8>) {
        assert!(!self.finished, "nothing comes after the end: {effect:?}");
        match effect {
            Effect::Start(id) => {
                let spec = self.specs[&id].clone();
                let instance = Instance { spec, started: self.now, up: false, told: None, killed: false };
                assert!(self.instances.insert(id, instance).is_none(), "two instances of {id}");
                self.check_start_order(id);
            }
            Effect::Stop { child, limit } => {
                self.check_stop_order(child, dismissed);
                let instance = self.instances.get_mut(&child).expect("who is told to stop is there");
                assert_eq!(limit, instance.spec.stop);
                assert_ne!(limit, StopLimit::Brutal);
                assert!(instance.told.replace(self.now).is_none() && !instance.killed, "{child} is told once");
            }
            Effect::Kill(id) => {
                let Instance { spec, started, up, told, killed } = &self.instances[&id];
                assert!(!killed, "{id} is killed once");
                let start_over = !up && told.is_none() && self.now >= *started + spec.start_limit;
                let brutal = told.is_none() && spec.stop == StopLimit::Brutal;
                let stop_over = match (told, spec.stop) {
                    (Some(told), StopLimit::Within(limit)) => self.now >= *told + limit,
                    _ => false,
                };
                assert!(start_over || brutal || stop_over, "{id} is killed without a reason");
                if !start_over && !stop_over {
                    self.check_stop_order(id, dismissed);
                }
                self.instances.get_mut(&id).unwrap().killed = true;
            }
            Effect::Ready => {
                assert!(!self.ready && self.begun);
                self.ready = true;
            }
            Effect::Finished(_) => {
                assert!(self.instances.is_empty(), "all children have ended");
                self.finished = true;
            }
        }
    }

    /// Left to right: those at the left are up or done, and none is there at the right.
    fn check_start_order(&self, id: u8) {
        let alone = self.spec.strategy == Restarts::OneForOne;
        if alone && self.ready {
            return;
        }
        let place = self.supervisor.children().position(|child| *child.id == id).unwrap();
        for (i, child) in self.supervisor.children().enumerate() {
            if i < place && !alone {
                assert!(matches!(child.state, Running | Down), "{id} is started before {child:?}");
            }
            if i > place && !alone && !self.by_hand {
                assert!(matches!(child.state, Waiting | Down), "{id} is started after {child:?}");
            }
        }
    }

    /// Right to left: nobody is there at the right of one that is stopped, unless that one alone was to be stopped.
    fn check_stop_order(&self, id: u8, dismissed: Option<u8>) {
        if dismissed != Some(id) {
            let after = self.supervisor.children().skip_while(|child| *child.id != id).skip(1);
            let alive: Vec<_> = after.filter(|child| self.instances.contains_key(child.id)).collect();
            assert!(alive.is_empty(), "{id} is stopped before {alive:?}");
        }
    }

    fn check(&mut self) {
        let mut alive = 0;
        for child in self.supervisor.children() {
            let state = match self.instances.get(child.id) {
                Some(instance) => {
                    alive += 1;
                    match instance {
                        instance if instance.is_told() => Stopping,
                        Instance { up: true, .. } => Running,
                        _ => Starting,
                    }
                }
                None if child.state == Waiting => Waiting,
                None => Down,
            };
            assert_eq!(child.state, state, "{child:?}");
            assert!(child.restart != Restart::Temporary || child.restarts == 0, "{child:?} came back");
        }
        assert_eq!(alive, self.instances.len(), "a child was forgotten that is there");

        let new = self.supervisor.restarts() as usize - self.restarts.len();
        self.restarts.extend(std::iter::repeat_n(self.now, new));
        let Intensity { restarts, within } = self.spec.intensity;
        if restarts < u32::MAX {
            for window in self.restarts.windows(restarts as usize + 1) {
                let (first, last) = (window[0], *window.last().unwrap());
                assert!(last.since(first) > within, "more than {restarts} restarts within {within:?}: {window:?}");
            }
        }

        let waiting = self.supervisor.children().any(|child| child.state == Waiting);
        let moving = self.instances.values().any(|instance| !instance.up || instance.is_told());
        let stuck = self.begun && waiting && !moving && self.supervisor.next_deadline().is_none();
        assert!(!stuck, "somebody waits for nothing: {:?}", self.supervisor);
    }

    /// Stops it among children that obey or do not; in the end it has stopped.
    fn finish(&mut self, obeys: u8) {
        self.happen(&Happening::Stop);
        for _ in 0..100 {
            if self.finished {
                return;
            }
            let is_ready_to_end = |id: &u8, instance: &Instance| {
                let patient = instance.spec.stop == StopLimit::Unlimited;
                instance.killed || instance.told.is_some() && (patient || obeys & 1 << (id % 8) != 0)
            };
            let ready = self.instances.iter().position(|(id, instance)| is_ready_to_end(id, instance));
            self.happen(&ready.map_or(Happening::ToDeadline, |who| Happening::End(who, obeys)));
        }
        panic!("it never stops: {:?}", self.supervisor);
    }

    fn pick(&self, who: usize, among: impl Fn(&Instance) -> bool) -> Option<u8> {
        let those: Vec<u8> = self.instances.iter().filter(|(_, instance)| among(instance)).map(|(id, _)| *id).collect();
        (!those.is_empty()).then(|| those[who % those.len()])
    }
}

impl Instance {
    fn is_told(&self) -> bool {
        self.killed || self.told.is_some()
    }
}

fn how_of(how: u8) -> Ended {
    match how % 4 {
        0 => Ended::Normal,
        1 => Ended::Shutdown,
        _ => Ended::Failed("failure".into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_happens_order_and_limits_are_kept(
        spec in supervisor_spec(),
        children in vec(child_spec(), 0..6),
        happenings in vec(happening(), 0..120),
        draw in 0.0..1.0f64,
        obeys in any::<u8>(),
    ) {
        let mut world = World::new(spec, draw);
        for child in children {
            world.happen(&Happening::Add(child));
        }
        world.happen(&Happening::Start);
        for happening in &happenings {
            world.happen(happening);
        }
        world.finish(obeys);
        for happening in &happenings {
            world.happen(happening);
        }
    }
}
