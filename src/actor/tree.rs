//! The supervision tree of a host: the [machines](crate::actor::supervision) and what they supervise.

use std::{any::TypeId, collections::VecDeque, time::Duration};

use serde_json::{Value, json};

use crate::actor::{
    actor::Actor,
    core::KindOps,
    envelope::ActorId,
    failing,
    key::Key as _,
    moment::Moment,
    monitor::Cause,
    named::{Named, OfKind},
    supervision::{
        BackOff, ChildSpec, ChildState, Effect, Ended, Intensity, Restart, StopLimit, Strategy, Supervisor,
        SupervisorSpec,
    },
    world::{Hosts, World},
};

/// A start is a factory's call, done at once; this bounds what the machine waits for its report.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What is done when the root has ended.
type OnOutcome = Box<dyn FnOnce(&Ended)>;

/// What a child is.
enum What<W> {
    /// A supervisor of its own children.
    Supervisor(usize),
    /// One actor.
    Actor {
        kind: &'static str,
        of: TypeId,
        key: String,
        /// Absent while it is asked something.
        named: Option<Box<dyn Named<W>>>,
        /// It, or what keeps its key.
        id: Option<ActorId>,
    },
    /// All actors of a kind: each counts its own failures, and none is started from here.
    Many { kind: &'static str, of: TypeId, is_stopping: bool },
}

struct Child<W> {
    node: usize,
    what: What<W>,
    spec: ChildSpec<usize>,
}

struct Node {
    name: &'static str,
    spec: SupervisorSpec,
    machine: Supervisor<usize>,
    /// Its children, left to right.
    children: Vec<usize>,
    /// What it is itself to its own supervisor.
    child: Option<usize>,
    is_over: bool,
}

/// The tree of one host.
pub(crate) struct Tree<W> {
    nodes: Vec<Node>,
    children: Vec<Child<W>>,
    /// What machines have said and is not done yet.
    effects: VecDeque<(usize, Effect<usize>)>,
    is_performing: bool,
    /// The child that is just being started, and how it has ended since.
    starting: Option<(usize, Option<Ended>)>,
    /// How the root has ended.
    ended: Option<Ended>,
    /// Told of it.
    on_outcome: Option<OnOutcome>,
    pub last_panic: String,
}

impl<W> Default for Tree<W> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            children: Vec::new(),
            effects: VecDeque::new(),
            is_performing: false,
            starting: None,
            ended: None,
            on_outcome: None,
            last_panic: String::new(),
        }
    }
}

impl<W> Tree<W> {
    pub fn next_deadline(&self) -> Option<Moment> {
        self.nodes.iter().filter_map(|node| node.machine.next_deadline()).min()
    }
}

/// A child in a [`SupervisorPlan`].
enum Planned<W> {
    Supervisor(SupervisorPlan<W>),
    Actor { kind: &'static str, of: TypeId, key: String, named: Box<dyn Named<W>> },
    Many { kind: &'static str, of: TypeId },
}

/// A supervisor and its children, as they are to be.
pub struct SupervisorPlan<W> {
    name: &'static str,
    spec: SupervisorSpec,
    children: Vec<(Planned<W>, Restart, StopLimit)>,
}

impl<W: World> SupervisorPlan<W> {
    /// A supervisor without children, of the default intensity and back-off.
    pub fn new(name: &'static str, strategy: Strategy) -> Self {
        let spec = SupervisorSpec { strategy, intensity: Intensity::default(), back_off: BackOff::default() };
        Self { name, spec, children: Vec::new() }
    }

    /// How many restarts are too many.
    #[must_use]
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.spec.intensity = intensity;
        self
    }

    /// How long restarts wait.
    #[must_use]
    pub fn back_off(mut self, back_off: BackOff) -> Self {
        self.spec.back_off = back_off;
        self
    }

    /// Adds an actor, started under its key by this factory, now and at each restart. While it waits for a restart, so do
    /// messages for its key.
    #[must_use]
    pub fn actor<A: Actor<World = W>>(
        mut self,
        key: A::Key,
        restart: Restart,
        stop: StopLimit,
        make: impl FnMut(&mut W) -> Result<A, String> + 'static,
    ) -> Self
    where
        W: Hosts<A>,
    {
        let text = key.text().into_owned();
        let named = Box::new(OfKind::<A, _> { key, make });
        let planned = Planned::Actor { kind: A::KIND, of: TypeId::of::<A>(), key: text, named };
        self.children.push((planned, restart, stop));
        self
    }

    /// Adds all actors of a kind. Each counts its own failures, by its kind's settings: one that fails too often ends itself, not its
    /// neighbours.
    #[must_use]
    pub fn many<A: Actor<World = W>>(mut self, stop: StopLimit) -> Self {
        let planned = Planned::Many { kind: A::KIND, of: TypeId::of::<A>() };
        self.children.push((planned, Restart::Permanent, stop));
        self
    }

    /// Adds a supervisor with children of its own.
    #[must_use]
    pub fn supervisor(mut self, plan: SupervisorPlan<W>, restart: Restart) -> Self {
        // Its children have their own limits.
        self.children.push((Planned::Supervisor(plan), restart, StopLimit::Unlimited));
        self
    }
}

/// Starts the tree of a host.
pub fn start<W: World>(world: &mut W, plan: SupervisorPlan<W>) {
    let root = plant(world, plan, None);
    tell(world, root, |machine, now, _, out| machine.start(now, out));
}

/// Stops the tree, right to left. [`outcome`] says when that is done.
pub fn stop<W: World>(world: &mut W) {
    if !world.core().tree.nodes.is_empty() {
        tell(world, 0, |machine, now, _, out| machine.stop(now, out));
    }
}

/// How the root has ended: by [`stop`], or because too much has failed; none while it has not.
pub fn outcome<W: World>(world: &mut W) -> Option<Ended> {
    world.core().tree.ended.clone()
}

/// Ends the children of a kind, for good: they are their supervisors' no more.
pub(crate) fn dismiss<W: World>(world: &mut W, kind: TypeId) {
    for child in 0..world.core().tree.children.len() {
        let what = &world.core().tree.children[child].what;
        let (What::Actor { of, .. } | What::Many { of, .. }) = what else { continue };
        if *of == kind {
            tell_of(world, child, |machine, now, _, out| {
                machine.remove_child(&child, now, out);
            });
        }
    }
}

/// Has something done when the root ends, for whatever reason.
pub fn on_outcome<W: World>(world: &mut W, tell: impl FnOnce(&Ended) + 'static) {
    world.core().tree.on_outcome = Some(Box::new(tell));
}

fn plant<W: World>(world: &mut W, plan: SupervisorPlan<W>, child: Option<usize>) -> usize {
    let SupervisorPlan { name, spec, children } = plan;
    let tree = &mut world.core().tree;
    let node = tree.nodes.len();
    let machine = Supervisor::new(spec);
    tree.nodes.push(Node { name, spec, machine, children: Vec::new(), child, is_over: false });
    for (planned, restart, stop) in children {
        let tree = &mut world.core().tree;
        let number = tree.children.len();
        let spec = ChildSpec { id: number, restart, stop, start_limit: START_LIMIT };
        let what = match &planned {
            Planned::Supervisor(_) => What::Supervisor(usize::MAX),
            Planned::Actor { .. } | Planned::Many { .. } => {
                What::Many { kind: "", of: TypeId::of::<()>(), is_stopping: false }
            }
        };
        tree.children.push(Child { node, what, spec });
        tree.nodes[node].children.push(number);
        let what = match planned {
            Planned::Supervisor(plan) => What::Supervisor(plant(world, plan, Some(number))),
            Planned::Actor { kind, of, key, named } => What::Actor { kind, of, key, named: Some(named), id: None },
            Planned::Many { kind, of } => What::Many { kind, of, is_stopping: false },
        };
        world.core().tree.children[number].what = what;
    }
    arm(world, node);
    node
}

/// Gives a supervisor its children, before it starts and before it starts again.
fn arm<W: World>(world: &mut W, node: usize) {
    let core = world.core();
    let now = core.now;
    let tree = &mut core.tree;
    tree.nodes[node].machine = Supervisor::new(tree.nodes[node].spec);
    tree.nodes[node].is_over = false;
    for child in tree.nodes[node].children.clone() {
        let spec = tree.children[child].spec.clone();
        // Nothing is started before the machine is, and no number comes twice.
        let _ = tree.nodes[node].machine.add_child(spec, now, &mut Vec::new());
    }
}

/// Tells a machine something, and has done what it says: in order, after what machines have said before.
fn tell<W: World>(
    world: &mut W,
    node: usize,
    what: impl FnOnce(&mut Supervisor<usize>, Moment, f64, &mut Vec<Effect<usize>>),
) {
    note(world, node, what);
    perform_all(world);
}

/// The same of a child's machine; what follows for the child's key comes first.
fn tell_of<W: World>(
    world: &mut W,
    child: usize,
    what: impl FnOnce(&mut Supervisor<usize>, Moment, f64, &mut Vec<Effect<usize>>),
) {
    let node = world.core().tree.children[child].node;
    note(world, node, what);
    settle(world, child);
    perform_all(world);
}

fn note<W: World>(
    world: &mut W,
    node: usize,
    what: impl FnOnce(&mut Supervisor<usize>, Moment, f64, &mut Vec<Effect<usize>>),
) {
    let core = world.core();
    let (now, draw) = (core.now, core.rng.draw());
    let mut effects = Vec::new();
    what(&mut core.tree.nodes[node].machine, now, draw, &mut effects);
    core.tree.effects.extend(effects.into_iter().map(|effect| (node, effect)));
}

fn perform_all<W: World>(world: &mut W) {
    if std::mem::replace(&mut world.core().tree.is_performing, true) {
        // Whoever is at it comes to these.
        return;
    }
    while let Some((node, effect)) = world.core().tree.effects.pop_front() {
        if let Err(cause) = failing::contained(|| perform(world, node, effect)) {
            tracing::error!(host = world.core().host(), cause, "something of the tree panicked");
        }
    }
    world.core().tree.is_performing = false;
}

fn perform<W: World>(world: &mut W, node: usize, effect: Effect<usize>) {
    if world.core().tree.nodes[node].is_over {
        return;
    }
    match effect {
        Effect::Start(child) => start_child(world, child),
        Effect::Stop { child, .. } => stop_child(world, child),
        Effect::Kill(child) => kill_child(world, child),
        Effect::Ready => ready(world, node),
        Effect::Finished(ended) => finished(world, node, ended),
    }
}

fn start_child<W: World>(world: &mut W, child: usize) {
    let result = match &mut world.core().tree.children[child].what {
        What::Supervisor(below) => {
            let below = *below;
            arm(world, below);
            // It says itself when its children are up, or that they will not be.
            return tell(world, below, |machine, now, _, out| machine.start(now, out));
        }
        What::Many { of, is_stopping, .. } => {
            *is_stopping = false;
            let of = *of;
            if let Some(ops) = ops_of(world, of) {
                ops.pause(world, false);
            }
            Ok(())
        }
        What::Actor { named, .. } => {
            let Some(mut named) = named.take() else { return };
            world.core().tree.starting = Some((child, None));
            let started = failing::contained(|| named.start(world, child));
            if let What::Actor { named: place, .. } = &mut world.core().tree.children[child].what {
                *place = Some(named);
            }
            // What became of it since counts more than that it was made.
            match (started, world.core().tree.starting.take().and_then(|(_, ended)| ended)) {
                (_, Some(Ended::Failed(cause))) => Err(cause),
                (_, Some(ended)) => {
                    return tell_of(world, child, |machine, now, draw, out| {
                        machine.ended(&child, ended, now, draw, out)
                    });
                }
                (Ok(Ok(_)), None) => Ok(()),
                (Ok(Err(cause)) | Err(cause), None) => Err(cause),
            }
        }
    };
    tell_of(world, child, |machine, now, draw, out| machine.started(&child, result, now, draw, out));
}

/// An actor, or what keeps its key, is a child from now on.
pub(crate) fn claimed<W: World>(world: &mut W, child: usize, actor: ActorId) {
    if let What::Actor { id, .. } = &mut world.core().tree.children[child].what {
        *id = Some(actor);
    }
}

/// A supervisor's children are up for the first time: so is it.
fn ready<W: World>(world: &mut W, node: usize) {
    let Some(child) = world.core().tree.nodes[node].child else { return };
    let above = world.core().tree.children[child].node;
    tell(world, above, |machine, now, draw, out| machine.started(&child, Ok(()), now, draw, out));
}

fn stop_child<W: World>(world: &mut W, child: usize) {
    match &mut world.core().tree.children[child].what {
        What::Supervisor(below) => {
            let below = *below;
            tell(world, below, |machine, now, _, out| machine.stop(now, out));
        }
        What::Actor { id: Some(id), .. } => {
            let id = *id;
            let ops = world.core().kinds[usize::from(id.kind)].ops;
            ops.stop(world, id, None);
        }
        What::Actor { id: None, .. } => {}
        What::Many { of, is_stopping, .. } => {
            *is_stopping = true;
            let of = *of;
            if let Some(ops) = ops_of(world, of) {
                // What comes for them meanwhile makes no new ones.
                ops.pause(world, true);
                for id in ops.ids(world) {
                    ops.stop(world, id, None);
                }
            }
            check_many(world);
        }
    }
}

fn kill_child<W: World>(world: &mut W, child: usize) {
    match &world.core().tree.children[child].what {
        What::Supervisor(below) => {
            let below = *below;
            // It is not to start anybody again.
            world.core().tree.nodes[below].is_over = true;
            for child in world.core().tree.nodes[below].children.clone() {
                kill_child(world, child);
            }
            over(world, below, Ended::Failed("killed".into()));
        }
        What::Actor { id: Some(id), .. } => {
            let id = *id;
            let ops = world.core().kinds[usize::from(id.kind)].ops;
            ops.kill(world, id, Cause::Forced);
        }
        What::Actor { id: None, .. } => {}
        What::Many { of, .. } => {
            let of = *of;
            if let Some(ops) = ops_of(world, of) {
                for id in ops.ids(world) {
                    ops.kill(world, id, Cause::Forced);
                }
            }
            check_many(world);
        }
    }
}

fn ops_of<W: World>(world: &mut W, of: TypeId) -> Option<&'static dyn KindOps<W>> {
    world.core().kinds.iter().find(|kind| kind.of == of).map(|kind| kind.ops)
}

/// Kinds that are being stopped have ended when their last actor has.
fn check_many<W: World>(world: &mut W) {
    for child in 0..world.core().tree.children.len() {
        let Child { node, what: What::Many { of, is_stopping: true, .. }, .. } = &world.core().tree.children[child]
        else {
            continue;
        };
        let (node, of) = (*node, *of);
        let ops = ops_of(world, of);
        if ops.is_none_or(|ops| ops.len(world) == 0) {
            if let What::Many { is_stopping, .. } = &mut world.core().tree.children[child].what {
                *is_stopping = false;
            }
            tell(world, node, |machine, now, draw, out| machine.ended(&child, Ended::Shutdown, now, draw, out));
        }
    }
}

/// A supervisor has ended: so have those of its children that waited for its decision.
fn finished<W: World>(world: &mut W, node: usize, ended: Ended) {
    world.core().tree.nodes[node].is_over = true;
    if let Ended::Failed(cause) = &ended {
        let name = world.core().tree.nodes[node].name;
        tracing::error!(supervisor = name, cause, "a supervisor gives up");
    }
    over(world, node, ended);
}

fn over<W: World>(world: &mut W, node: usize, ended: Ended) {
    for child in world.core().tree.nodes[node].children.clone() {
        bury(world, child);
    }
    match world.core().tree.nodes[node].child {
        Some(child) => {
            let above = world.core().tree.children[child].node;
            tell(world, above, |machine, now, draw, out| machine.ended(&child, ended, now, draw, out));
        }
        None => {
            if let Some(tell) = world.core().tree.on_outcome.take() {
                tell(&ended);
            }
            world.core().tree.ended = Some(ended);
        }
    }
}

/// An actor that stands still and will not be started again ends.
fn bury<W: World>(world: &mut W, child: usize) {
    if let What::Actor { id, .. } = &mut world.core().tree.children[child].what
        && let Some(id) = id.take()
    {
        let ops = world.core().kinds[usize::from(id.kind)].ops;
        ops.given_up(world, id);
    }
}

/// A child has failed and stands still: its supervisor starts it again, perhaps later, or it ends.
pub(crate) fn child_failed<W: World>(world: &mut W, child: usize, cause: String) {
    let ended = Ended::Failed(cause);
    if let Some(ended) = while_starting(world, child, ended) {
        tell_of(world, child, |machine, now, draw, out| machine.ended(&child, ended, now, draw, out));
    }
}

/// A child has ended, by itself, by a stop or by force.
pub(crate) fn child_ended<W: World>(world: &mut W, child: usize, cause: &Cause) {
    let ended = match cause {
        Cause::Stopped | Cause::Retired | Cause::NoSuchActor => Ended::Normal,
        Cause::Forced => Ended::Failed("it was ended by force".into()),
        Cause::Failed(cause) => Ended::Failed(cause.clone()),
    };
    if let What::Actor { id, .. } = &mut world.core().tree.children[child].what {
        *id = None;
    }
    if let Some(ended) = while_starting(world, child, ended) {
        tell_of(world, child, |machine, now, draw, out| machine.ended(&child, ended, now, draw, out));
    }
}

/// Keeps the end of a child that is just being started, which is told of when that is over; gives back any other's.
fn while_starting<W: World>(world: &mut W, child: usize, ended: Ended) -> Option<Ended> {
    match &mut world.core().tree.starting {
        Some((starting, how)) if *starting == child => {
            *how = Some(ended);
            None
        }
        _ => Some(ended),
    }
}

/// What follows for a child's key from where the child stands: messages wait for its start, or nobody is to come.
fn settle<W: World>(world: &mut W, child: usize) {
    if state(world, child) == Some(ChildState::Waiting) {
        let What::Actor { named, .. } = &mut world.core().tree.children[child].what else { return };
        let Some(mut taken) = named.take() else { return };
        taken.hold(world, child);
        if let What::Actor { named, .. } = &mut world.core().tree.children[child].what {
            *named = Some(taken);
        }
    }
    // One that is not to be started any more, and has no instance, ends for good.
    if state(world, child).is_none_or(|state| state == ChildState::Down) {
        bury(world, child);
    }
}

/// Where a child stands with its supervisor; none where that has ended or forgotten it.
fn state<W: World>(world: &mut W, child: usize) -> Option<ChildState> {
    let tree = &world.core().tree;
    let node = &tree.nodes[tree.children[child].node];
    let report = node.machine.children().find(|report| *report.id == child)?;
    (!node.is_over).then_some(report.state)
}

/// Lets time pass in the machines.
pub(crate) fn tick<W: World>(world: &mut W) {
    check_many(world);
    let now = world.core().now;
    for node in 0..world.core().tree.nodes.len() {
        if world.core().tree.nodes[node].machine.next_deadline().is_some_and(|deadline| deadline <= now) {
            tell(world, node, |machine, now, draw, out| machine.tick(now, draw, out));
        }
    }
}

/// The tree as it is told.
pub(crate) fn report<W: World>(world: &mut W) -> Value {
    if world.core().tree.nodes.is_empty() { Value::Null } else { node_report(world, 0) }
}

fn node_report<W: World>(world: &mut W, node: usize) -> Value {
    let children: Vec<Value> =
        world.core().tree.nodes[node].children.clone().into_iter().map(|child| child_report(world, child)).collect();
    let node = &world.core().tree.nodes[node];
    json!({
        "supervisor": node.name,
        "strategy": strategy(node.spec.strategy),
        "intensity": intensity(&node.spec.intensity),
        "restarts": node.machine.restarts(),
        "state": if node.is_over { "down" } else { "running" },
        "children": children,
    })
}

fn child_report<W: World>(world: &mut W, child: usize) -> Value {
    let tree = &world.core().tree;
    let Child { node, what, spec } = &tree.children[child];
    let report = tree.nodes[*node].machine.children().find(|report| *report.id == child);
    let (state, restarts) = report.map_or((ChildState::Down, 0), |report| (report.state, report.restarts));
    let restart = match spec.restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    };
    match what {
        What::Supervisor(below) => {
            let below = *below;
            let mut report = node_report(world, below);
            report["restart"] = restart.into();
            report["state"] = child_state(state).into();
            report
        }
        What::Actor { kind, key, .. } => json!({
            "actor": format!("{kind}/{key}"),
            "restart": restart,
            "state": child_state(state),
            "restarts": restarts,
        }),
        What::Many { kind, of, .. } => {
            let (kind, of) = (*kind, *of);
            let found = world.core().kinds.iter().find(|known| known.of == of);
            let Some((ops, figures)) = found.map(|known| (known.ops, known.figures.clone())) else {
                return json!({ "many": kind, "state": "down" });
            };
            json!({
                "many": kind,
                "state": child_state(state),
                "intensity": intensity(&ops.intensity(world)),
                "count": ops.len(world),
                "restarts": figures.restarts.get(),
            })
        }
    }
}

fn child_state(state: ChildState) -> &'static str {
    match state {
        ChildState::Waiting => "waiting",
        ChildState::Starting => "starting",
        ChildState::Running => "running",
        ChildState::Stopping => "stopping",
        ChildState::Down => "down",
    }
}

fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
    }
}

fn intensity(intensity: &Intensity) -> Value {
    json!({ "restarts": intensity.restarts, "within_ms": intensity.within.as_millis() as u64 })
}
