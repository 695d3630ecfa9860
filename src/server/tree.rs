//! The server's supervision tree: who watches over whom, with which strategy, and why.
//!
//! ```text
//! shard-N (one for one)                          back-office (one for one)
//! ├── connection   many                          ├── library        permanent
//! ├── room         many                          ├── directory      permanent
//! ├── user         many                          ├── password_desk  permanent
//! ├── branch       many                          ├── director       permanent
//! └── director     permanent                     └── clerk          a pool, beside the tree
//! ```
//!
//! - **One for one** everywhere: no two of these share state that a failure could leave half changed. What they know of each
//!   other goes by message and survives either's restart.
//! - **Rooms** go on *in place*: a room's handlers decide before they change anything (what is not on the note path is undone
//!   from a snapshot), so its value is whole after a panic; members stay, and what they hold stays known. 10 failures in
//!   5 s are allowed instead of 3: a room of fifty handles thousands of messages in that time, and a defect that one
//!   message in a thousand meets should cost that message, not the concert. A room past that ends with its members, and no
//!   other room notices.
//! - **Connections** go on in place, to be closed: what a connection was in the middle of is not known, so it is told
//!   `INTERNAL` and may come back. One whose closing fails as well is taken out.
//! - **Users** go on in place: what they know (where their connections are) is told them once with every move, and a fresh one
//!   would not find those that stay where they are.
//! - **Branches**, the members of a room of another shard, go on in place to be ended: who has got which frame is not known, so
//!   their members are told `INTERNAL` and may come back, and their room, which knows what they held, is told.
//! - **The back office's** actors hold no state but queues; a fresh one over the same store is as good. Three failures in five
//!   seconds of any of them end the server in order, for a supervisor outside to start again: rooms play on without
//!   their store for as long as it is merely away, which is an error here, not a failure.
//! - **Clerks** go on in place: what waits with one is asked for by others, and a call that is under way is answered.
//! - **The first restart is at once, further ones after 10 ms doubled**, the default. While a room rests its members' input waits
//!   in the kernel, in order. Connections do not rest: they are only closed.

use std::sync::Arc;

use crate::{
    actor::{
        actor::{KindSettings, Recovery},
        director::Director,
        key::Place,
        parcel::Registry,
        supervision::{BackOff, Ended, Intensity, Restart, StopLimit, Strategy},
        system::System,
        tree::{self, SupervisorPlan},
    },
    server::{
        clerk::Clerk, connection_actor::Connection, directory_keeper::DirectoryKeeper, library::Library,
        password_desk::PasswordDesk, room_actor::RoomActor, run::RunError, settings::StageSettings,
        spill::branch::BranchActor, stage::Stage, user, user::User,
    },
    store::{Documents, State},
};

crate::directs!(Stage);

/// What waits for a store at most: past it changes are refused, and who asked is told.
const BACK_OFFICE_MAILBOX: usize = 16_384;

/// What binds the kinds of a shard.
pub struct ShardKinds {
    /// Connections.
    pub connection: KindSettings,
    /// Rooms.
    pub room: KindSettings,
    /// Users.
    pub user: KindSettings,
    /// Branches.
    pub branch: KindSettings,
    /// The director.
    pub director: KindSettings,
}

impl ShardKinds {
    /// By the stage's settings.
    pub fn of(settings: &StageSettings) -> Self {
        Self {
            connection: KindSettings {
                recovery: Recovery::InPlace,
                back_off: BackOff::NONE,
                // It lives as long as its socket.
                idle_time: None,
                stop_deadline: settings.grace_time,
                ..KindSettings::default()
            },
            room: KindSettings {
                recovery: Recovery::InPlace,
                intensity: Intensity { restarts: 10, ..Intensity::default() },
                load_limit: settings.join_timeout,
                // It knows itself when it has been empty for long enough.
                idle_time: None,
                stop_deadline: settings.grace_time,
                ..KindSettings::default()
            },
            user: KindSettings {
                recovery: Recovery::InPlace,
                idle_time: Some(user::REMEMBERED),
                ..KindSettings::default()
            },
            branch: KindSettings {
                recovery: Recovery::InPlace,
                back_off: BackOff::NONE,
                stop_deadline: settings.grace_time,
                ..KindSettings::default()
            },
            director: KindSettings { idle_time: None, ..KindSettings::default() },
        }
    }
}

/// Places the kinds on their hosts: `shards` of them, and then the back office's. Returns its number.
pub fn place(registry: &mut Registry, shards: usize) -> usize {
    let hosts: Vec<usize> = (0..shards).map(|shard| registry.host(format!("shard-{shard}"), "glommio")).collect();
    // In the order in which a shard registers them.
    registry.place::<Connection>(hosts.iter().copied());
    registry.place::<RoomActor>(hosts.iter().copied());
    registry.place::<User>(hosts.iter().copied());
    registry.place::<BranchActor>(hosts.iter().copied());
    registry.place::<Director<Stage>>(hosts.iter().copied());
    let office = registry.host("back-office", "tokio");
    registry.place::<Library>([office]);
    registry.place::<DirectoryKeeper>([office]);
    registry.place::<PasswordDesk>([office]);
    registry.place::<Director<System>>([office]);
    registry.place::<Clerk>([office]);
    office
}

/// Plants a shard's tree.
pub fn start_shard(stage: &mut Stage, give_up: flume::Sender<RunError>) {
    stage.register();
    let number = stage.number;
    tree::on_outcome(stage, move |outcome| tell_failure(&give_up, format!("shard-{number}"), outcome));
    let plan = SupervisorPlan::new("shard", Strategy::OneForOne)
        .many::<Connection>(StopLimit::Unlimited)
        .many::<RoomActor>(StopLimit::Unlimited)
        .many::<User>(StopLimit::Unlimited)
        .many::<BranchActor>(StopLimit::Unlimited)
        .actor::<Director<Stage>>(Place(number), Restart::Permanent, StopLimit::default(), |_| Ok(Director::default()));
    tree::start(stage, plan);
}

/// Adds the back office's kinds to its host, and plants its tree.
pub fn start_office(
    office: &mut System,
    documents: Arc<dyn Documents>,
    state: Arc<dyn State>,
    give_up: flume::Sender<RunError>,
) {
    tree::on_outcome(office, move |outcome| tell_failure(&give_up, "back-office".to_owned(), outcome));
    let settings = KindSettings { mailbox: BACK_OFFICE_MAILBOX, idle_time: None, ..KindSettings::default() };
    office.add::<Library>(settings);
    office.add::<DirectoryKeeper>(settings);
    office.add::<PasswordDesk>(settings);
    office.add::<Director<System>>(settings);
    // What waits for them is bounded where it is asked for.
    office.add::<Clerk>(KindSettings { recovery: Recovery::InPlace, ..settings });
    let stop = StopLimit::default();
    let plan = SupervisorPlan::new("back-office", Strategy::OneForOne)
        .actor::<Library>((), Restart::Permanent, stop, move |_| Ok(Library::new(documents.clone())))
        .actor::<DirectoryKeeper>((), Restart::Permanent, stop, move |_| Ok(DirectoryKeeper::new(state.clone())))
        .actor::<PasswordDesk>((), Restart::Permanent, stop, |_| Ok(PasswordDesk::default()))
        .actor::<Director<System>>(Place(0), Restart::Permanent, stop, |_| Ok(Director::default()));
    tree::start(office, plan);
}

/// A root that has failed ends the server; one that was stopped is part of its end.
fn tell_failure(give_up: &flume::Sender<RunError>, host: String, outcome: &Ended) {
    if let Ended::Failed(reason) = outcome {
        let _ = give_up.send(RunError::GaveUp { host, reason: reason.clone() });
    }
}
