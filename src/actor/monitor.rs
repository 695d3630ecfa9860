//! Watching an actor: exactly one notice of its end, also where it had ended before.

use std::fmt;

use crate::actor::{envelope::ActorId, mesh::Lane, parcel::Parcel, world::World};

/// Why an actor is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ended by itself, or was stopped.
    Stopped,
    /// It was idle, and comes again with the next message.
    Retired,
    /// It failed more often than it may, or must not be restarted. What it failed with.
    Failed(String),
    /// It took longer than it may to end, and was ended.
    Forced,
    /// It was not there when the watch was set.
    NoSuchActor,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("it stopped"),
            Self::Retired => f.write_str("it retired"),
            Self::Failed(cause) => write!(f, "it failed: {cause}"),
            Self::Forced => f.write_str("it did not end in time and was ended"),
            Self::NoSuchActor => f.write_str("there is no such actor"),
        }
    }
}

/// An actor's end. A restart is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who; none where there was nobody.
    pub actor: Option<ActorId>,
    /// Why.
    pub cause: Cause,
}

/// Names a watch, to give it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WatchId(pub(crate) u64);

/// A watched actor has ended. A watch that was given up meanwhile hears nothing.
pub(crate) fn noticed<W: World>(world: &mut W, watch: u64, ended: Ended) {
    if let Some((_, notify)) = world.core().watches.remove(&watch) {
        notify(world, ended);
    }
}

/// Tells a watcher, wherever it is.
pub(crate) fn tell<W: World>(world: &mut W, (host, watch): (u16, u64), ended: Ended) {
    if host == world.core().host {
        noticed(world, watch, ended);
    } else {
        world.core().send_parcel(host, Lane::Control, Parcel::Ended { watch, ended });
    }
}

/// Another host watches an actor of this one, or does so no more.
pub(crate) fn watched_from_afar<W: World>(world: &mut W, target: ActorId, watcher: (u16, u64), is_on: bool) {
    let ops = world.core().kinds.get(usize::from(target.kind)).map(|kind| kind.ops);
    if is_on {
        if !ops.is_some_and(|ops| ops.watch(world, target, watcher)) {
            tell(world, watcher, Ended { actor: Some(target), cause: Cause::NoSuchActor });
        }
    } else if let Some(ops) = ops {
        ops.unwatch(world, target, watcher);
    }
}

/// Gives a watch up.
pub(crate) fn unwatch<W: World>(world: &mut W, watch: u64) {
    let core = world.core();
    let Some((target, _)) = core.watches.remove(&watch) else { return };
    let watcher = (core.host, watch);
    if target.host == core.host {
        let ops = core.kinds[usize::from(target.kind)].ops;
        ops.unwatch(world, target, watcher);
    } else {
        core.send_parcel(target.host, Lane::Control, Parcel::Watch { target, watcher, is_on: false });
    }
}
