//! The supervision tree over real actors: who is started, stopped and started again, and what becomes of their messages.
//!
//! The decisions themselves are tried on the pure machine, in `supervision/tests`.

mod ending;
mod many;
mod restarts;
mod starting;

use std::{cell::Cell, rc::Rc};

use super::kit::*;
use crate::actor::{
    actor::{Farewell, KindSettings, Recovery},
    context::SendOptions,
    core,
    envelope::{ActorId, AskError},
    handling::CallError,
    kind_figures::DeadReason,
    life,
    monitor::Ended as Notice,
    named::{Named as _, OfKind},
    supervision::{BackOff, Ended, Intensity, Restart, StopLimit, Strategy},
    system::System,
    table::Phase,
    tree::{self, SupervisorPlan},
    world::{Hosts, World as _},
};

/// Restarts at once, then after 10, 20, 40 ms.
const SURE: BackOff = BackOff { first: ms(10), longest: ms(5000), factor: 2.0, jitter: 0.0 };

/// A house whose supervised kinds make nobody by being named.
fn house(recovery: Recovery) -> House {
    let house = House::of(1, KindSettings { recovery, stop_deadline: ms(100_000), ..calm() });
    nobody::<ADA>();
    nobody::<BOB>();
    nobody::<CYD>();
    house
}

/// Writes the lives of all kinds down.
fn note_lives() {
    fn note<const N: usize>() {
        note_life::<N>();
    }
    note::<ADA>();
    note::<BOB>();
    note::<CYD>();
}

fn plan(name: &'static str, strategy: Strategy) -> SupervisorPlan<System> {
    SupervisorPlan::new(name, strategy).back_off(BackOff::NONE)
}

/// Adds a puppet under a key that is its name.
fn child<const N: usize>(plan: SupervisorPlan<System>, key: &'static str, restart: Restart) -> SupervisorPlan<System> {
    plan.actor::<Puppet<N>>(k(key), restart, StopLimit::Within(ms(50)), move |_| Ok(Puppet::new(key)))
}

/// An `a`, a `b` and a `c`, of a kind each.
fn three(strategy: Strategy, restart: Restart) -> SupervisorPlan<System> {
    let plan = child::<BOB>(child::<ADA>(plan("root", strategy), "a", restart), "b", restart);
    child::<CYD>(plan, "c", restart)
}

fn start(house: &mut House, plan: SupervisorPlan<System>) {
    tree::start(house.host(), plan);
    house.settle();
}

fn outcome(house: &mut House) -> Option<Ended> {
    tree::outcome(house.host())
}

fn running(house: &mut House) -> [bool; 3] {
    [
        house.phase::<ADA>("a") == Some(Phase::Running),
        house.phase::<BOB>("b") == Some(Phase::Running),
        house.phase::<CYD>("c") == Some(Phase::Running),
    ]
}
