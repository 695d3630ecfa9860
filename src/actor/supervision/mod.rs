//! Supervision as OTP does it, without a runtime: who is started and stopped, in which order, how often, and when it is
//! given up.
//!
//! A [`Supervisor`] is told what happened to its children and answers with [`Effect`]s. It owns the order of its children,
//! their states and the count of restarts. It leaves to its driver what a child is, how one is started, stopped or killed,
//! the clock and chance: the moment and a `draw` are arguments.
//!
//! # What a driver owes
//!
//! - It performs the effects in order.
//! - It reports each instance's end exactly once, by [`Supervisor::ended`] or, where the start failed, by
//!   [`Supervisor::started`] with the cause. An instance that was killed ends as well, and is reported like any other. No
//!   second instance of a child is ever asked for before the first one's end was reported.
//! - It calls [`Supervisor::tick`] when [`Supervisor::next_deadline`] has come.
//!
//! # A supervisor as a child
//!
//! Its [`Effect::Ready`] is reported to the outer one as started, its [`Effect::Finished`] as the end it carries. It is best
//! stopped without a limit, because its children have theirs; its start limit has to last for all of them. Killing it
//! means killing whatever it has started.
//!
//! # Where this differs from OTP
//!
//! Starting and stopping are not waited for: between an effect and its report other reports come in. What OTP would find
//! in its mailbox after a restart is handled at once instead: a child that fails while others are being started again has
//! that attempt broken off, counted, and repeated. A start has a limit, and a restart may wait for a [`BackOff`]. There is
//! no `simple_one_for_one`: many children alike count by child, each with a [`RestartLog`] of its own.

mod back_off;
mod child;
mod intensity;
mod strategy;
mod supervisor;
#[cfg(test)]
mod tests;

pub use back_off::BackOff;
pub use child::{ChildReport, ChildSpec, ChildState};
pub use intensity::{Intensity, RestartLog, Verdict};
pub use strategy::{Ended, Restart, StopLimit, Strategy};
pub use supervisor::{AddError, Effect, Supervisor, SupervisorSpec};
