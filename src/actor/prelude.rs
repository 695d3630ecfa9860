//! What nearly every file with an actor in it needs: `use …::actor::prelude::*`.

pub use crate::actor::{
    actor::{Activation, Actor, Failure, Farewell, Handled, KindSettings, Recovery},
    context::{Activating, Context, SendOptions},
    cores::CorePlan,
    envelope::{ActorId, Answer, AskError, Priority, TellError},
    handle::Handle,
    house::{House, HousePlan, Seat},
    key::{Key, Place},
    life,
    mailbox::Overflow,
    moment::Moment,
    monitor::{Cause, Ended},
    pool::{self, Route},
    remote::Remote,
    shutdown::ShutdownStage,
    sleep::sleep,
    system::System,
    topic::{self, Topic},
    world::{Hosts, World},
};
