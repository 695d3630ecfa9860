//! One child of a supervisor: what was agreed on, where it stands, and what follows when it has ended.

use std::time::Duration;

use crate::actor::{
    moment::Moment,
    supervision::strategy::{Restart, StopLimit},
};

/// What a supervisor is told of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec<C> {
    /// Its name among its siblings.
    pub id: C,
    /// After which ends it is restarted.
    pub restart: Restart,
    /// How long it may take to stop.
    pub stop: StopLimit,
    /// How long it may take to start; one that is not up by then is killed and counts as failed.
    pub start_limit: Duration,
}

/// Where a child stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildState {
    /// To be started, when its turn comes or its back-off is over.
    Waiting,
    /// Told to start.
    Starting,
    /// Started.
    Running,
    /// Told to stop, or killed.
    Stopping,
    /// Ended, and not to be started again by itself.
    Down,
}

/// A child as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildReport<'a, C> {
    /// Its name.
    pub id: &'a C,
    /// Its kind.
    pub restart: Restart,
    /// Where it stands.
    pub state: ChildState,
    /// How often it was started after the first time, whoever's failure that was.
    pub restarts: u64,
}

/// A child as its supervisor keeps it.
#[derive(Debug)]
pub(super) struct Child<C> {
    pub(super) spec: ChildSpec<C>,
    pub(super) state: State,
    pub(super) debut: Debut,
    /// What follows its end, where that is arranged: its end is no failure then. Only of one that is alive.
    plan: Option<Then>,
    /// How often it was told to start.
    pub(super) starts: u64,
}

/// Where a child stands, with its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To be started in its turn.
    Queued,
    /// To be started then, whoever else is.
    Waiting { due: Moment },
    /// Told to start, and up by then.
    Starting { until: Moment },
    /// Up.
    Running,
    /// Told to stop, and killed then; without a limit, or killed already, at none.
    Stopping { until: Option<Moment> },
    /// Not to be started.
    Down,
}

/// What follows the end of a child that was, or will be, told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Rest,
    /// It is started again in its turn.
    Queue,
    /// It is started again then.
    Wait(Moment),
    /// It is forgotten.
    Forget,
}

/// Whose concern it is when a start fails: the first one is not the supervisor's to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Debut {
    /// The supervisor began with it, and can not begin without it.
    Founding,
    /// It was added later: it is forgotten.
    Added,
    /// It was brought back by hand: it stays down.
    Revived,
    /// It has been up: the start is repeated, and counted.
    Past,
}

impl<C> Child<C> {
    /// One that waits for its turn.
    pub(super) fn new(spec: ChildSpec<C>, debut: Debut) -> Self {
        Self { spec, state: State::Queued, debut, plan: None, starts: 0 }
    }

    /// Whether there is an instance of it.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running | State::Stopping { .. })
    }

    /// Whether it was told to start and is not up.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, State::Starting { .. })
    }

    /// Whether what follows its end is arranged.
    pub(super) fn is_planned(&self) -> bool {
        self.plan.is_some()
    }

    /// Arranges what follows its end. That it is forgotten is final.
    pub(super) fn plan(&mut self, then: Then) {
        if self.plan != Some(Then::Forget) {
            self.plan = Some(then);
        }
    }

    /// It has ended: does what was arranged. False if it is to be forgotten.
    #[must_use]
    pub(super) fn settle(&mut self) -> bool {
        self.state = match self.plan.take() {
            Some(Then::Forget) => return false,
            Some(Then::Queue) => State::Queued,
            Some(Then::Wait(due)) => State::Waiting { due },
            Some(Then::Rest) | None => State::Down,
        };
        self.spec.restart != Restart::Temporary
    }

    /// When something is due of it.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self.state {
            State::Waiting { due } => Some(due),
            State::Starting { until } => Some(until),
            State::Stopping { until } => until,
            State::Queued | State::Running | State::Down => None,
        }
    }

    pub(super) fn report(&self) -> ChildReport<'_, C> {
        let state = match self.state {
            State::Queued | State::Waiting { .. } => ChildState::Waiting,
            State::Starting { .. } => ChildState::Starting,
            State::Running => ChildState::Running,
            State::Stopping { .. } => ChildState::Stopping,
            State::Down => ChildState::Down,
        };
        ChildReport { id: &self.spec.id, restart: self.spec.restart, state, restarts: self.starts.saturating_sub(1) }
    }
}
