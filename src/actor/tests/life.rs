//! How actors come and go, and what becomes of their messages meanwhile.

mod beside;
mod coming;
mod going;
mod idle;
mod stopping;

use std::{cell::Cell, rc::Rc, time::Duration};

use super::kit::*;
use crate::actor::{
    actor::{Activation, Farewell, Intercepted, KindSettings, Recovery},
    context::{Context, SendOptions},
    director::{Directed, Director, DirectorMessage},
    envelope::{ActorId, AskError},
    handling,
    key::Place,
    kind_figures::DeadReason,
    life::{self, SpawnError},
    monitor::Ended,
    supervision::BackOff,
    system::System,
    table::Phase,
    world::{Hosts, World as _},
};

/// Puppets of a kind take their time to end: until they are told to, or to another's answer.
fn linger<const N: usize>() {
    hook::<N>(|hooks| {
        hooks.ending = Rc::new(|me, _| {
            note(format!("{} ending", me.name));
            Farewell::Later
        });
    });
}

fn control<const N: usize>(house: &mut House, key: &str, line: Line<N>) {
    house.remote.tell_with::<Puppet<N>>(&k(key), line, SendOptions::CONTROL).unwrap();
    house.settle();
}
