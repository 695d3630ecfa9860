//! Failing: how an actor goes on, what is not performed, and who notices.

mod beside;
mod calls;
mod going_on;
mod stashing;
mod undoing;

use std::{cell::Cell, rc::Rc};

use super::kit::*;
use crate::actor::{
    actor::{Activation, Failure, Intercepted, KindSettings, Recovery},
    context::SendOptions,
    envelope::AskError,
    handling::{self, CallError},
    kind_figures::DeadReason,
    life,
    monitor::Ended,
    supervision::{BackOff, Intensity},
    table::Phase,
    world::{Hosts, World as _},
};

/// Rests of 10, 20, 40 ms and so on, without chance.
const SURE: BackOff = BackOff { first: ms(10), longest: std::time::Duration::from_secs(5), factor: 2.0, jitter: 0.0 };

fn in_place() -> KindSettings {
    KindSettings { recovery: Recovery::InPlace, back_off: SURE, ..calm() }
}

fn fresh() -> KindSettings {
    KindSettings { recovery: Recovery::Fresh, back_off: SURE, ..calm() }
}

/// A handler's end in failure: by a panic, or by its own word.
fn fatal<const N: usize>(text: &str) -> Line<N> {
    attempt(text, |_, _| Err(Failure::Fatal("it can not go on".into())))
}
