//! The supervision tree of a host: the [machines](crate::actor::supervision) and what they supervise.

use std::{any::TypeId, time::Duration};

use serde_json::{Value, json};

use crate::actor::{
    actor::Actor,
    core::KindOps,
    envelope::ActorId,
    key::Key as _,
    life,
    moment::Moment,
    monitor::Cause,
    supervision::{
        BackOff, ChildSpec, ChildState, Effect, Ended, Intensity, Restart, StopLimit, Strategy, Supervisor,
        SupervisorSpec,
    },
    table::Phase,
    world::{Hosts, World},
};

/// A start is a factory's call, done at once; this bounds what the machine waits for its report.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How an actor that is a child by name is started: under its key, with a fresh value, or its own where it has it still.
type Start<W> = Box<dyn FnMut(&mut W) -> Result<ActorId, String>>;

/// What is done when the root has ended.
type OnOutcome = Box<dyn FnOnce(&Ended)>;

/// What a child is.
enum What<W> {
    /// A supervisor of its own children.
    Supervisor(usize),
    /// One actor.
    Actor { kind: &'static str, of: TypeId, key: String, start: Start<W>, id: Option<ActorId> },
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
    /// How the root has ended.
    ended: Option<Ended>,
    /// Told of it.
    on_outcome: Option<OnOutcome>,
    pub last_panic: String,
}

impl<W> Default for Tree<W> {
    fn default() -> Self {
        Self { nodes: Vec::new(), children: Vec::new(), ended: None, on_outcome: None, last_panic: String::new() }
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
    Actor { kind: &'static str, of: TypeId, key: String, start: Start<W> },
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

    /// Adds an actor, started under its key by this factory, now and at each restart.
    #[must_use]
    pub fn actor<A: Actor<World = W>>(
        mut self,
        key: A::Key,
        restart: Restart,
        stop: StopLimit,
        mut make: impl FnMut(&mut W) -> Result<A, String> + 'static,
    ) -> Self
    where
        W: Hosts<A>,
    {
        let text = key.text().into_owned();
        let start = move |world: &mut W| {
            let found = Hosts::<A>::table(world).find(&key);
            let phase = found.and_then(|id| Some((id, Hosts::<A>::table(world).phase(id)?.0)));
            match phase {
                Some((id, Phase::Down)) if Hosts::<A>::table(world).get(id).is_some() => Ok(id),
                Some((id, Phase::Down | Phase::New)) => {
                    let actor = make(world)?;
                    life::begin::<A>(world, id, Box::new(actor));
                    Ok(id)
                }
                Some((_, phase)) => Err(format!("there is one already, and it is {}", phase.as_str())),
                None => {
                    let actor = make(world)?;
                    life::spawn_here::<A>(world, key.clone(), actor).map_err(|error| error.to_string())
                }
            }
        };
        self.children.push((
            Planned::Actor { kind: A::KIND, of: TypeId::of::<A>(), key: text, start: Box::new(start) },
            restart,
            stop,
        ));
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
    let now = world.core().now;
    let mut effects = Vec::new();
    world.core().tree.nodes[root].machine.start(now, &mut effects);
    perform(world, root, effects);
}

/// Stops the tree, right to left. [`outcome`] says when that is done.
pub fn stop<W: World>(world: &mut W) {
    let now = world.core().now;
    let mut effects = Vec::new();
    if let Some(root) = world.core().tree.nodes.first_mut() {
        root.machine.stop(now, &mut effects);
        perform(world, 0, effects);
    }
}

/// How the root has ended: by [`stop`], or because too much has failed; none while it has not.
pub fn outcome<W: World>(world: &mut W) -> Option<Ended> {
    world.core().tree.ended.clone()
}

/// Ends the children of a kind, for good.
pub(crate) fn dismiss<W: World>(world: &mut W, kind: TypeId) {
    for child in 0..world.core().tree.children.len() {
        let Child { node, what, .. } = &world.core().tree.children[child];
        if let What::Actor { of, .. } = what
            && *of == kind
        {
            let node = *node;
            tell(world, node, |machine, now, _, out| {
                machine.terminate_child(&child, now, out);
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
            Planned::Actor { kind, of, key, start } => What::Actor { kind, of, key, start, id: None },
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

fn perform<W: World>(world: &mut W, node: usize, effects: Vec<Effect<usize>>) {
    for effect in effects {
        match effect {
            Effect::Start(child) => start_child(world, node, child),
            Effect::Stop { child, .. } => stop_child(world, child),
            Effect::Kill(child) => kill_child(world, child),
            Effect::Ready => ready(world, node),
            Effect::Finished(ended) => finished(world, node, ended),
        }
    }
}

/// Tells a machine something, and does what it says.
fn tell<W: World>(
    world: &mut W,
    node: usize,
    what: impl FnOnce(&mut Supervisor<usize>, Moment, f64, &mut Vec<Effect<usize>>),
) {
    let core = world.core();
    let (now, draw) = (core.now, core.rng.draw());
    let mut effects = Vec::new();
    what(&mut core.tree.nodes[node].machine, now, draw, &mut effects);
    perform(world, node, effects);
}

fn start_child<W: World>(world: &mut W, node: usize, child: usize) {
    let result = match &mut world.core().tree.children[child].what {
        What::Supervisor(below) => {
            let below = *below;
            arm(world, below);
            // It says itself when its children are up, or that they will not be.
            return tell(world, below, |machine, now, _, out| machine.start(now, out));
        }
        What::Many { is_stopping, .. } => {
            *is_stopping = false;
            Ok(())
        }
        What::Actor { start, .. } => {
            let mut start = std::mem::replace(start, Box::new(|_| Err("it is being started".to_owned())));
            let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| start(world)));
            let result = started.unwrap_or_else(|cause| Err(crate::actor::handling::describe(&*cause)));
            if let What::Actor { start: place, id, .. } = &mut world.core().tree.children[child].what {
                *place = start;
                *id = result.as_ref().ok().copied();
            }
            result.and_then(|id| adopted(world, id, child))
        }
    };
    tell(world, node, |machine, now, draw, out| machine.started(&child, result, now, draw, out));
}

/// A supervisor's children are up for the first time: so is it.
fn ready<W: World>(world: &mut W, node: usize) {
    let Some(child) = world.core().tree.nodes[node].child else { return };
    let above = world.core().tree.children[child].node;
    tell(world, above, |machine, now, draw, out| machine.started(&child, Ok(()), now, draw, out));
}

/// An actor that was just started is its supervisor's from now on.
fn adopted<W: World>(world: &mut W, id: ActorId, child: usize) -> Result<(), String> {
    let ops = world.core().kinds[usize::from(id.kind)].ops;
    if ops.adopt(world, id, child) { Ok(()) } else { Err("it failed as it started".to_owned()) }
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
            for child in world.core().tree.nodes[below].children.clone() {
                kill_child(world, child);
            }
            finished(world, below, Ended::Failed("killed".into()));
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
    if std::mem::replace(&mut world.core().tree.nodes[node].is_over, true) {
        return;
    }
    if let Ended::Failed(cause) = &ended {
        let name = world.core().tree.nodes[node].name;
        tracing::error!(supervisor = name, cause, "a supervisor gives up");
    }
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
        ops.decided(world, id, false);
    }
}

/// A child has failed and stands still: its supervisor starts it again, perhaps later, or it ends.
pub(crate) fn child_failed<W: World>(world: &mut W, child: usize, cause: String) {
    let node = world.core().tree.children[child].node;
    tell(world, node, |machine, now, draw, out| machine.ended(&child, Ended::Failed(cause), now, draw, out));
    if !is_to_run(world, child) {
        bury(world, child);
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
    let node = world.core().tree.children[child].node;
    tell(world, node, |machine, now, draw, out| machine.ended(&child, ended, now, draw, out));
}

fn is_to_run<W: World>(world: &mut W, child: usize) -> bool {
    let tree = &world.core().tree;
    let node = &tree.nodes[tree.children[child].node];
    let state = node.machine.children().find(|report| *report.id == child).map(|report| report.state);
    !node.is_over && state.is_some_and(|state| state != ChildState::Down)
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
