//! The supervisor: reports in, effects out.

use std::{fmt::Debug, mem};

use crate::actor::{
    moment::Moment,
    supervision::{
        back_off::BackOff,
        child::{Child, ChildReport, ChildSpec, Debut, State, Then},
        intensity::{Intensity, RestartLog, Verdict},
        strategy::{Ended, StopLimit, Strategy},
    },
};

/// Keeps its children as agreed. `C` names a child.
///
/// Each call looks at every child: it is made for tens of them, not for thousands. Calls after [`Effect::Finished`] change
/// nothing, and reports about a child that has no instance are ignored.
#[derive(Debug)]
pub struct Supervisor<C> {
    spec: SupervisorSpec,
    phase: Phase,
    /// In the order of their starts, left to right.
    children: Vec<Child<C>>,
    log: RestartLog,
    restarts: u64,
    ready: bool,
}

/// What a supervisor is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SupervisorSpec {
    /// Who is restarted with whom.
    pub strategy: Strategy,
    /// How often, all children together.
    pub intensity: Intensity,
    /// How long a restart waits; it is counted from the failure.
    pub back_off: BackOff,
}

/// What a supervisor wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<C> {
    /// Start this child, and report how that went.
    Start(C),
    /// Tell this child to stop, also if it is still starting. Its end is to be reported; the limit is watched here.
    Stop {
        /// Whom.
        child: C,
        /// How long it may take.
        limit: StopLimit,
    },
    /// End this child by force, and report its end.
    Kill(C),
    /// All children were told to start and have; this comes once, and not if it never came so far.
    Ready,
    /// The supervisor itself has ended, and so have all its children; nothing comes after this.
    Finished(Ended),
}

/// Why a child was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is one with this id.
    #[error("there is a child with this id")]
    Taken,
    /// The supervisor ends, or has ended.
    #[error("the supervisor is stopping")]
    Stopping,
}

/// What the supervisor as a whole is at.
#[derive(Debug)]
enum Phase {
    /// Not started.
    New,
    /// Queued children are started one by one, not before this moment, and after those that are to be stopped have ended.
    Round { due: Moment },
    /// Nothing that concerns more than one child.
    Running,
    /// Children are stopped one by one; then this is reported.
    Ending(Ended),
    /// Over.
    Finished,
}

impl<C: Clone + Eq + Debug> Supervisor<C> {
    /// A supervisor without children, not started.
    pub fn new(spec: SupervisorSpec) -> Self {
        Self { spec, phase: Phase::New, children: Vec::new(), log: RestartLog::default(), restarts: 0, ready: false }
    }

    /// Adds a child at the right end. Before [`start`](Self::start) that is all; later it is started at once, except that
    /// it waits for its turn where children are being started one after the other. Then its first start is no founding
    /// one: if it fails, the child is forgotten.
    pub fn add_child(&mut self, spec: ChildSpec<C>, now: Moment, out: &mut Vec<Effect<C>>) -> Result<(), AddError> {
        if self.is_ending() {
            return Err(AddError::Stopping);
        }
        if self.find(&spec.id).is_some() {
            return Err(AddError::Taken);
        }
        let debut = if matches!(self.phase, Phase::New) { Debut::Founding } else { Debut::Added };
        self.children.push(Child::new(spec, debut));
        self.enlist(self.children.len() - 1, now, out);
        Ok(())
    }

    /// Starts the children, left to right, each when the one before has started. If one's first start fails, those that
    /// were started are stopped and the supervisor ends as failed.
    pub fn start(&mut self, now: Moment, out: &mut Vec<Effect<C>>) {
        if matches!(self.phase, Phase::New) {
            self.phase = Phase::Round { due: now };
            self.advance(now, out);
        }
    }

    /// A child that was told to start has, or could not and is gone.
    pub fn started(&mut self, id: &C, result: Result<(), String>, now: Moment, draw: f64, out: &mut Vec<Effect<C>>) {
        let Some(i) = self.find(id) else { return };
        let child = &mut self.children[i];
        match (child.state, result) {
            (State::Starting { .. }, Ok(())) => {
                child.state = State::Running;
                child.debut = Debut::Past;
                self.advance(now, out);
            }
            // One that was told to stop before it had started never came up.
            (State::Starting { .. } | State::Stopping { .. }, Err(cause)) => {
                self.ended(id, Ended::Failed(cause), now, draw, out);
            }
            _ => {}
        }
    }

    /// A child has ended. One that ends before it was reported as started has failed to start if it failed, and otherwise
    /// has started and ended.
    pub fn ended(&mut self, id: &C, how: Ended, now: Moment, draw: f64, out: &mut Vec<Effect<C>>) {
        let Some(i) = self.find(id).filter(|i| self.children[*i].is_alive()) else { return };
        self.judge(i, &how, now, draw);
        self.settle(i);
        self.advance(now, out);
    }

    /// Stops a child and forgets it. False if there is none, or the supervisor ends anyway.
    pub fn remove_child(&mut self, id: &C, now: Moment, out: &mut Vec<Effect<C>>) -> bool {
        self.dismiss(id, Then::Forget, now, out)
    }

    /// Stops a child; it stays down until [`restart_child`](Self::restart_child), or until a sibling's failure restarts it
    /// as well. A temporary one is forgotten. False if there is none, or the supervisor ends anyway.
    pub fn terminate_child(&mut self, id: &C, now: Moment, out: &mut Vec<Effect<C>>) -> bool {
        self.dismiss(id, Then::Rest, now, out)
    }

    /// Starts a child that is down; this counts as no restart, and if it can not start it stays down. False if there is no
    /// such child, or it is not down, or the supervisor ends.
    pub fn restart_child(&mut self, id: &C, now: Moment, out: &mut Vec<Effect<C>>) -> bool {
        let Some(i) = self.find(id).filter(|i| self.children[*i].state == State::Down && !self.is_ending()) else {
            return false;
        };
        self.children[i].debut = Debut::Revived;
        self.enlist(i, now, out);
        true
    }

    /// Stops all children, right to left, each when the one at its right has ended; then the supervisor has ended.
    pub fn stop(&mut self, now: Moment, out: &mut Vec<Effect<C>>) {
        if !self.is_ending() {
            self.end(Ended::Shutdown);
            self.advance(now, out);
        }
    }

    /// Time has passed: starts whose turn has come, and ends the patience with those that are over their limits. What is
    /// due exactly now is due.
    pub fn tick(&mut self, now: Moment, draw: f64, out: &mut Vec<Effect<C>>) {
        for i in 0..self.children.len() {
            let child = &self.children[i];
            match child.state {
                State::Starting { until } if now >= until => {
                    let cause = format!("not started within {:?}", child.spec.start_limit);
                    self.judge(i, &Ended::Failed(cause), now, draw);
                    self.kill(i, out);
                }
                State::Stopping { until: Some(until) } if now >= until => self.kill(i, out),
                _ => {}
            }
        }
        self.advance(now, out);
    }

    /// When [`tick`](Self::tick) is to be called, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let turn = match self.phase {
            Phase::Round { due } if !self.children.iter().any(|child| child.is_planned() || child.is_starting()) => {
                Some(due)
            }
            _ => None,
        };
        self.children.iter().filter_map(Child::deadline).chain(turn).min()
    }

    /// The children, left to right.
    pub fn children(&self) -> impl Iterator<Item = ChildReport<'_, C>> {
        self.children.iter().map(Child::report)
    }

    /// How many restarts there were so far: one a failure, however many children were restarted for it.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending(_) | Phase::Finished)
    }

    fn find(&self, id: &C) -> Option<usize> {
        self.children.iter().position(|child| child.spec.id == *id)
    }

    /// Puts a child that is not alive among those to be started.
    fn enlist(&mut self, i: usize, now: Moment, out: &mut Vec<Effect<C>>) {
        self.children[i].state = State::Queued;
        if matches!(self.phase, Phase::Running) {
            match self.spec.strategy {
                Strategy::OneForOne => self.children[i].state = State::Waiting { due: now },
                // Here the order matters: children that are added together start one after the other.
                Strategy::OneForAll | Strategy::RestForOne => self.phase = Phase::Round { due: now },
            }
        }
        self.advance(now, out);
    }

    /// Ends a child by the wish of whoever governs the supervisor.
    fn dismiss(&mut self, id: &C, then: Then, now: Moment, out: &mut Vec<Effect<C>>) -> bool {
        let Some(i) = self.find(id).filter(|_| !self.is_ending()) else { return false };
        self.children[i].plan(then);
        if self.children[i].is_alive() {
            self.tell(i, now, out);
        } else {
            self.settle(i);
        }
        self.advance(now, out);
        true
    }

    /// Decides what follows the end of a child, unless that was arranged before. The child still counts as alive.
    fn judge(&mut self, i: usize, how: &Ended, now: Moment, draw: f64) {
        let child = &mut self.children[i];
        if child.is_planned() {
            return;
        }
        if let Ended::Failed(cause) = how {
            match child.debut {
                Debut::Founding => {
                    let cause = format!("{:?} did not start: {cause}", child.spec.id);
                    return self.end(Ended::Failed(cause));
                }
                Debut::Added => return child.plan(Then::Forget),
                Debut::Revived => return child.plan(Then::Rest),
                Debut::Past => {}
            }
        }
        if !child.spec.restart.follows(how) {
            return;
        }
        let intensity = &self.spec.intensity;
        match self.log.note(intensity, now) {
            Verdict::Allowed { nth } => {
                self.restarts += 1;
                let due = now + self.spec.back_off.delay(nth, draw);
                match self.spec.strategy {
                    Strategy::OneForOne => child.plan(Then::Wait(due)),
                    Strategy::OneForAll => self.begin_round(0, due),
                    Strategy::RestForOne => self.begin_round(i, due),
                }
            }
            Verdict::Exceeded => {
                let (id, Intensity { restarts, within }) = (&child.spec.id, intensity);
                let cause = format!("more than {restarts} restarts within {within:?}: {id:?} {how}");
                self.end(Ended::Failed(cause));
            }
        }
    }

    /// Has the children from `first` on stopped, and then started again.
    fn begin_round(&mut self, first: usize, due: Moment) {
        self.phase = Phase::Round { due };
        for child in &mut self.children[first..] {
            if child.is_alive() {
                child.plan(Then::Queue);
            } else {
                child.state = State::Queued;
            }
        }
    }

    /// Has all children stopped, and then ends like this.
    fn end(&mut self, how: Ended) {
        self.phase = Phase::Ending(how);
        for child in &mut self.children {
            if child.is_alive() {
                child.plan(Then::Rest);
            } else {
                child.state = State::Down;
            }
        }
    }

    /// A child has no instance any more.
    fn settle(&mut self, i: usize) {
        if !self.children[i].settle() {
            self.children.remove(i);
        }
    }

    /// Does what can be done now: first what concerns one child, then the next step of what concerns several.
    fn advance(&mut self, now: Moment, out: &mut Vec<Effect<C>>) {
        for i in 0..self.children.len() {
            if matches!(self.children[i].state, State::Waiting { due } if now >= due) {
                self.launch(i, now, out);
            }
        }
        // Those to be stopped go first, right to left, each when the one at its right has ended.
        if let Some(i) = self.children.iter().rposition(Child::is_planned) {
            return self.tell(i, now, out);
        }
        match &self.phase {
            Phase::Round { due } if !self.children.iter().any(Child::is_starting) => {
                match self.children.iter().position(|child| child.state == State::Queued) {
                    Some(i) if now >= *due => self.launch(i, now, out),
                    Some(_) => {}
                    None => {
                        self.phase = Phase::Running;
                        if !mem::replace(&mut self.ready, true) {
                            out.push(Effect::Ready);
                        }
                    }
                }
            }
            Phase::Ending(how) => {
                out.push(Effect::Finished(how.clone()));
                self.phase = Phase::Finished;
            }
            _ => {}
        }
    }

    fn launch(&mut self, i: usize, now: Moment, out: &mut Vec<Effect<C>>) {
        let child = &mut self.children[i];
        child.starts += 1;
        child.state = State::Starting { until: now + child.spec.start_limit };
        out.push(Effect::Start(child.spec.id.clone()));
    }

    /// Tells a child to stop, unless it was told.
    fn tell(&mut self, i: usize, now: Moment, out: &mut Vec<Effect<C>>) {
        let child = &mut self.children[i];
        if matches!(child.state, State::Stopping { .. }) {
            return;
        }
        let until = match child.spec.stop {
            StopLimit::Brutal => return self.kill(i, out),
            StopLimit::Within(limit) => Some(now + limit),
            StopLimit::Unlimited => None,
        };
        child.state = State::Stopping { until };
        out.push(Effect::Stop { child: child.spec.id.clone(), limit: child.spec.stop });
    }

    fn kill(&mut self, i: usize, out: &mut Vec<Effect<C>>) {
        let child = &mut self.children[i];
        child.state = State::Stopping { until: None };
        out.push(Effect::Kill(child.spec.id.clone()));
    }
}
