//! The cases of OTP's `supervisor_SUITE`, in time that tests move, and what is ours besides.

use std::time::Duration;

use super::*;
use crate::actor::moment::Moment;

mod added;
mod ends;
mod limits;
mod nested;
mod property;
mod strategies;

type Id = &'static str;

/// A draw that leaves delays as they are.
const MIDDLE: f64 = 0.5;
const READY: Effect<Id> = Effect::Ready;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(ms: u64) -> Moment {
    Moment::from_ms(ms)
}

fn start(id: Id) -> Effect<Id> {
    Effect::Start(id)
}

/// Of a child with the usual limit.
fn stop(child: Id) -> Effect<Id> {
    Effect::Stop { child, limit: StopLimit::Within(ms(1000)) }
}

fn kill(id: Id) -> Effect<Id> {
    Effect::Kill(id)
}

fn finished(cause: &str) -> Effect<Id> {
    Effect::Finished(Ended::Failed(cause.to_owned()))
}

const SHUT_DOWN: Effect<Id> = Effect::Finished(Ended::Shutdown);

/// Permanent, stops within a second, starts within two.
fn child(id: Id) -> ChildSpec<Id> {
    ChildSpec { id, restart: Restart::Permanent, stop: StopLimit::Within(ms(1000)), start_limit: ms(2000) }
}

fn of_kind(id: Id, restart: Restart) -> ChildSpec<Id> {
    ChildSpec { restart, ..child(id) }
}

fn stopping(id: Id, stop: StopLimit) -> ChildSpec<Id> {
    ChildSpec { stop, ..child(id) }
}

/// Two restarts in an hour, without back-off.
fn spec(strategy: Strategy) -> SupervisorSpec {
    let intensity = Intensity { restarts: 2, within: Duration::from_secs(3600) };
    SupervisorSpec { strategy, intensity, back_off: BackOff::NONE }
}

/// A supervisor and the time; each call answers with the effects it had.
struct Bench {
    supervisor: Supervisor<Id>,
    now: Moment,
}

impl Bench {
    fn new(spec: SupervisorSpec, children: impl IntoIterator<Item = ChildSpec<Id>>) -> Self {
        let mut bench = Self { supervisor: Supervisor::new(spec), now: at(0) };
        for child in children {
            assert_eq!(bench.add(child), []);
        }
        bench
    }

    /// Started, and all of its children up.
    fn running(spec: SupervisorSpec, children: impl IntoIterator<Item = ChildSpec<Id>>) -> Self {
        let mut bench = Self::new(spec, children);
        let mut effects = bench.start();
        while let [Effect::Start(id)] = effects[..] {
            effects = bench.up(id);
        }
        assert_eq!(effects, [READY]);
        bench
    }

    /// The usual three.
    fn of_three(strategy: Strategy) -> Self {
        Self::running(spec(strategy), ["a", "b", "c"].map(child))
    }

    fn add(&mut self, child: ChildSpec<Id>) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.add_child(child, self.now, &mut out).unwrap();
        out
    }

    fn start(&mut self) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.start(self.now, &mut out);
        out
    }

    fn up(&mut self, id: Id) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.started(&id, Ok(()), self.now, MIDDLE, &mut out);
        out
    }

    /// Its start failed.
    fn refused(&mut self, id: Id) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.started(&id, Err("no luck".into()), self.now, MIDDLE, &mut out);
        out
    }

    fn end(&mut self, id: Id, how: Ended) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.ended(&id, how, self.now, MIDDLE, &mut out);
        out
    }

    fn fail(&mut self, id: Id) -> Vec<Effect<Id>> {
        self.end(id, Ended::Failed("boom".into()))
    }

    /// It ended because it was told to.
    fn stopped(&mut self, id: Id) -> Vec<Effect<Id>> {
        self.end(id, Ended::Shutdown)
    }

    fn stop(&mut self) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.supervisor.stop(self.now, &mut out);
        out
    }

    /// So long later.
    fn after(&mut self, passed: Duration) -> Vec<Effect<Id>> {
        let mut out = Vec::new();
        self.now = self.now + passed;
        self.supervisor.tick(self.now, MIDDLE, &mut out);
        out
    }

    /// Each of these is answered by the next: what OTP does in one go when everybody obeys.
    fn obey(&mut self, mut effects: Vec<Effect<Id>>) -> Vec<Effect<Id>> {
        let mut seen = Vec::new();
        while !effects.is_empty() {
            seen.append(&mut effects.clone());
            effects = effects
                .into_iter()
                .flat_map(|effect| match effect {
                    Effect::Start(id) => self.up(id),
                    Effect::Stop { child, .. } => self.stopped(child),
                    Effect::Kill(id) => self.fail(id),
                    Effect::Ready | Effect::Finished(_) => Vec::new(),
                })
                .collect();
        }
        seen
    }

    fn states(&self) -> Vec<(Id, ChildState)> {
        self.supervisor.children().map(|child| (*child.id, child.state)).collect()
    }

    fn next(&self) -> Option<Moment> {
        self.supervisor.next_deadline()
    }
}
