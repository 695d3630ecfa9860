//! Layer 2: the runtime. Actors, the hosts that they live on, and what lies between those.
//!
//! Nothing here knows of pianos: no note, no room, no wire type.
//!
//! # What an actor is
//!
//! A plain struct that handles one message after the other and that nobody else touches: no lock, no `await` within a
//! message, no half-changed state to be seen. Each is of a *kind* (its type) and lives on one *host*, which is a thread
//! with an executor, in a table of what the actors of that thread share, their *world*. It is reached by its kind and
//! key (a room's name; `()` where there is only one), by its [id](envelope::ActorId) for one life, or as a member of a
//! [pool]. Keys have their home host by a hash that is the same everywhere, so that a sender need not know where an
//! actor lives, nor whether it does: a *virtual* actor comes to life by the first message for its key, and goes when it
//! has been idle.
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use pianorhythm_server::actor::prelude::*;
//!
//! // Define: what it is, what it is told, what it does.
//! struct Tally(u64);
//!
//! enum ToTally {
//!     Add(u64),
//!     Get,
//! }
//!
//! impl Actor for Tally {
//!     const KIND: &'static str = "tally";
//!
//!     type World = System;
//!     type Key = String;
//!     type Message = ToTally;
//!     type Reply = u64;
//!     type Error = Infallible;
//!
//!     // The first message for a key makes it. Without this there are only those that somebody spawns.
//!     fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
//!         Activation::Ready(Self(0))
//!     }
//!
//!     fn handle(&mut self, message: ToTally, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
//!         match message {
//!             ToTally::Add(n) => self.0 += n,
//!             ToTally::Get => cx.reply(self.0),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! // Host: two threads, one on each executor; both have the kind.
//! let world = |seat: Seat| {
//!     let mut system = seat.system();
//!     system.add::<Tally>(KindSettings::default());
//!     system
//! };
//! let mut plan = HousePlan::new();
//! let hosts = [plan.glommio("shard-0", 0, world), plan.tokio("io", None, world)];
//! plan.place::<Tally>(hosts);
//! let house = plan.start()?;
//!
//! // Tell and ask, from any thread. Actors have `cx.tell` and `cx.ask`.
//! let apples = "apples".to_owned();
//! house.remote().tell::<Tally>(&apples, ToTally::Add(3))?;
//! house.remote().tell::<Tally>(&apples, ToTally::Add(4))?;
//! let asked = house.remote().ask::<Tally>(&apples, ToTally::Get, Duration::from_secs(5));
//! assert_eq!(house.block_on(asked)?, 7);
//!
//! // End: kinds in stages, each with its deadline; then the hosts.
//! let tallies = ShutdownStage { name: "tallies", kinds: vec![Tally::KIND], deadline: Duration::from_secs(5) };
//! assert!(house.stop(vec![tallies], Duration::from_secs(5)).is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two more to copy from, in `examples/`: `counter_pool` (a pool) and `virtual_chat` (loading, retirement, more hosts than
//! one). [`World`](world::World) shows a world of one's own, for actors that share more than their thread.
//!
//! # Sending
//!
//! In a handler, by its [`Context`](context::Context):
//!
//! | call | what it does | what can come of it |
//! |---|---|---|
//! | `tell`, `tell_with`, `tell_id`, `tell_pool`, `tell_self` | at most once; the sender goes on | the message comes back in a [`TellError`](envelope::TellError): `Full`, `Stopped`, `NoSuchMember` |
//! | `ask`, `ask_by`, `ask_id`, `ask_pool` | the answer comes as a message of one's own | exactly one: a reply, or an [`AskError`](envelope::AskError) |
//! | `reply`; `owe` and later `answer` | answers the message at hand | a handler that returns without either answers `Unanswered` |
//! | `forward` | hands a message on with its sender, deadline and place of reply | as `tell` |
//! | `schedule`, `schedule_every`, `cancel` | tells itself at a time, or every millisecond or more | comes also where the mailbox is full |
//! | `spawn`, `attach` | runs a future or a stream beside it; each output comes as a message | a panic in it is the actor's failure; streams wait while the mailbox is full |
//! | `publish`, `subscribe` | every subscriber on every host, see [`topic`] | an event that a full mailbox, or a host that takes nothing in, has no room for is dropped and counted |
//! | `watch`, `unwatch` | the end of another actor comes as a message, see [`monitor`] | exactly one notice, also where it had ended before; a restart is no end |
//! | `stash`, `unstash_all` | puts the message at hand aside, and all of those back before what waits | as many as the mailbox holds; one more is refused its asker |
//! | `call` | straight through to an actor of the same host and back, see [`handling::call`] | a [`CallError`](handling::CallError); it overtakes what waits |
//! | `later` | changes the world when the handler has returned | |
//!
//! From outside, by a [`Remote`](remote::Remote): `tell…` (refused only by the host's inbox: what the mailbox refuses
//! is a dead letter there), `tell_patiently` (waits for room in the mailbox), `ask…` (`ask_blocking` from threads),
//! `broadcast` to all of a kind, `spawn`, `retire`, `stop` (returns when the clean-up is over), and `on`, which does
//! anything in a host's world. World's own code has [`sending`].
//!
//! - *Order.* What one sends to another arrives in the order in which it was sent, priority by priority: control
//!   (`SendOptions::CONTROL`) overtakes data. A restart, a retirement and a growing pool keep that order.
//! - *Delivery* is at most once. Within a host, `Ok` says that the message waits in the mailbox; to another host, that
//!   it is on its way. A message that reaches nobody is a *dead letter*: counted by kind and reason, shown to
//!   [`undelivered`](actor::Actor::undelivered), and answered where somebody waits for it.
//! - *Deadlines.* An ask's message that is not handled by its deadline is dropped, and so is one told with
//!   [`SendOptions::deadline`](context::SendOptions). An answer that comes too late is counted, and never answers
//!   another ask.
//! - *Full mailboxes* do what their kind says ([`Overflow`](mailbox::Overflow)): refuse (the default), drop the oldest
//!   or the newest, or have the sender rest. One that rests handles control messages and answers only; kinds that have
//!   each other rest in a circle stand still. What an actor has asked for itself (answers, times, futures, notices)
//!   comes over the bound, for it was bounded when it was asked.
//!
//! An ask ends with `MailboxFull` (or the way there was), `Stopped` (there is no such actor, or it ended), `Died` (it
//! failed at this message), `Handler(error)` (its own error), `Unanswered` (it handled it and said nothing), or
//! `TimedOut` (no answer came in time: it may have handled it all the same). A timeout of zero fails at once.
//!
//! # First decide, then change
//!
//! What a handler sends, asks, schedules, publishes or spawns through its context takes effect when it returns. Where
//! it panics, or says that it can not go on ([`Failure::Fatal`](actor::Failure::Fatal)), none of that has been:
//! messages are taken back, and who asked hears `Died`. An ordinary error goes to who asked, or into the log, and what
//! the handler has done stands.
//!
//! Its own value is not undone: no copy of it is made, for that would cost every message what only failures need. So a
//! handler looks and computes first, which may panic, and changes its fields last, which can not. Of a kind whose
//! handlers keep that rule the value is whole after any panic, and the kind may go on with it
//! ([`Recovery::InPlace`](actor::Recovery::InPlace)). Others go on with a fresh value.
//!
//! # Life
//!
//! | [phase](table::Phase) | it | what comes meanwhile |
//! |---|---|---|
//! | new | was named by a message; `activate` is next | waits |
//! | loading | has its state loaded | waits |
//! | running | handles messages | is handled |
//! | backing off | has failed, and rests before it goes on | waits |
//! | down | has failed, and its supervisor decides | waits |
//! | ending, retiring | cleans up: it was told to, or was idle | control messages and its answers are handled; the rest waits for the next life of its key |
//!
//! - *Coming.* [`activate`](actor::Actor::activate) makes it at once, or gives a future that loads it, for
//!   [`load_limit`](actor::KindSettings::load_limit) at most; messages wait in order meanwhile. If loading fails each
//!   is answered with that failure. Where nobody is made [`intercept`](actor::Actor::intercept) sees each message, and
//!   may make the recipient. Actors are also made by hand ([`life::spawn`], `cx.spawn_actor`), without a key for as
//!   long as a [`Handle`](handle::Handle) of them exists, or by message to a [`Director`](director::Director). Then
//!   [`started`](actor::Actor::started) subscribes and schedules.
//! - *Going.* When its idle time is over and nothing waits ([`may_retire`](actor::Actor::may_retire) is asked), by
//!   `cx.end`, `cx.retire`, a stop, or with the last handle. [`ending`](actor::Actor::ending) cleans up, at once or
//!   over several messages. What comes meanwhile waits for the next life of the key: none is lost and none handled
//!   twice. What waited when it was *stopped* is dead, and so is what it had asked for itself.
//! - *What ends with it:* its schedules, futures, streams, watches and subscriptions, also where it goes on with a
//!   fresh value. Messages that wait, and those that are put aside, are then for the fresh one.
//!
//! # Supervision
//!
//! A panic, or a fatal error, of one actor is noticed by nobody else on the host. How it goes on is its supervision's
//! to say:
//!
//! - *One of many alike* (rooms, users) counts its own failures: up to [`intensity`](actor::KindSettings::intensity) it
//!   is restarted, the first time at once and then after a growing [`back_off`](actor::KindSettings::back_off); past
//!   that it ends, and only it. With [`Recovery::Fresh`](actor::Recovery::Fresh) (the default) the key is activated
//!   anew, from its store; with `InPlace` it goes on from its own value, after [`recovered`](actor::Actor::recovered).
//!   [`lost`](actor::Actor::lost) tells the kind of one that ended without its clean-up.
//! - *Named ones* stand in a tree of supervisors ([`tree::SupervisorPlan`], [`tree::start`]) as in OTP: one for one,
//!   one for all, rest for one; permanent, transient, temporary; stopped right to left, each with its limit. More
//!   restarts than the intensity allows end the supervisor, which its own supervisor handles; the root's end is told by
//!   [`tree::on_outcome`]. The rules are the pure machines of [`supervision`].
//!
//! # Pools, topics, monitors, breakers
//!
//! - A [pool] is many of a kind without keys, on the kind's first host. [`Route`](pool::Route) says which gets a
//!   message: by key (always the same for a key), least loaded, in turn, or a given one. It [grows](pool::grow) and
//!   [shrinks](pool::shrink) at work; what waits moves along, in order.
//! - A [topic](topic::Topic) is a type with an event type. Events come in the order in which one host published them.
//! - A watch gives one notice of an actor's end with its [cause](monitor::Cause): stopped, retired, failed, forced, not
//!   there.
//! - A [`Breaker`](breaker::Breaker) is a part for actors that call what may be down: it refuses at once while that
//!   keeps failing.
//!
//! # Hosts
//!
//! A host is a thread with an inbox: [glommio](shard) for actors that compute or own sockets, [tokio](tokio_host) for
//! actors whose futures are tokio's. Both turn the same worlds in the same way, and are addressed alike: who sends sees
//! only keys and ids. A [`HousePlan`](house::HousePlan) names hosts, [places](parcel::Registry::place) kinds on them,
//! starts and ends them. A key of a kind with several hosts lives on that which [`Key::home`](key::Key::home) says;
//! [`Place`](key::Place) is the key of kinds that have one actor on each.
//!
//! A turn takes in the inbox (512 parcels), runs due timers, ready futures, and actors by turns, each for a batch of
//! messages, for 2 ms; then it sends what has gathered for other hosts, many messages in a parcel. Only with nothing to
//! do does the thread sleep, on glommio for 10 ms and on tokio for 500 ms at most.
//!
//! # To be seen
//!
//! | what | where |
//! |---|---|
//! | by kind and host: messages handled, waiting, refused, expired; errors, panics, restarts; actors, activations, retirements; dead letters by reason; histograms of waiting and handling times | [`KindFigures`](kind_figures::KindFigures), as JSON and for Prometheus |
//! | by host: heartbeat, what runs just now, its inbox, its tree, deepest mailboxes, who loads or ends for long | [`Remote::report`](remote::Remote::report) |
//! | one actor: state, depth, messages, errors, restarts, time used, watchers | [`report::of_one`] |
//! | actors that handle one message for longer than they may, also where their host hangs | [`report::stuck`] |
//! | failures (error), stops by force (warn), dead letters (debug, one a second) | the log |
//!
//! # Defaults
//!
//! | setting | default | |
//! |---|---|---|
//! | [`mailbox`](actor::KindSettings::mailbox), `overflow` | 1000 a lane, refuse | |
//! | `ask_timeout` | 30 s | of asks of the kind that say nothing else |
//! | `load_limit`, `stop_deadline` | 30 s, 5 s | |
//! | `idle_time` | 60 s | none: it stays. Looked at every 100 ms |
//! | `handling_limit` | 1 s | longer counts as slow, and is told as stuck |
//! | `batch` | 64 | messages of one actor before the next has its turn |
//! | `recovery` | fresh | |
//! | [`Intensity`](supervision::Intensity) | 3 restarts in 5 s | |
//! | [`BackOff`](supervision::BackOff) | at once, then 10 ms doubled up to 5 s, ± 20 % | |
//! | [`StopLimit`](supervision::StopLimit) in a tree | 5 s | |
//! | inbox ([`Capacity`](mesh::Capacity)) | 16 384 control, 16 384 data, 1024 hand-offs | parcels |
//! | what waits for a host whose inbox is full | 65 536 messages | then tells are refused and events dropped |
//!
//! # Invariants
//!
//! - Nothing that runs on a host blocks, and nothing sent to a host waits: a full inbox gives the message back.
//! - A panic in a handler stays in that handler, and one beside a handler with its actor: the host goes on with the
//!   next message.
//! - A handler that fails has sent nothing.
//! - A message is handled once, or given back, or a dead letter that is counted. An ask has one answer, a watch one
//!   notice.
//! - What carries a descriptor travels in a slot reserved before, so that it can not be refused on its way.
//! - Every queue has a bound, or that of what it is about: answers by asks, notices by watches, owed replies by their
//!   askers' patience.
//! - A turn ends: no actor, timer, stream or idle crowd keeps a host from its inbox for more than a message's time and
//!   2 ms.
//! - Time is read once a turn and once a message. Tests move it.
//!
//! # The map
//!
//! | to read | file | what |
//! |---|---|---|
//! | to write an actor | [`actor`] | the trait, and what binds a kind |
//! | | [`context`] | what a handler may do |
//! | | [`key`], [`envelope`] | addresses; messages and their metadata, errors |
//! | | [`house`], [`prelude`] | hosts started and ended; what to import |
//! | | [`remote`], [`sending`] | reaching actors from outside, and from a world's own code |
//! | | [`pool`], [`topic`], [`monitor`], [`handle`], [`deferred`], [`director`], [`breaker`] | a noun each |
//! | worlds | [`world`], [`system`], [`table`], [`worker`] | what the actors of a thread share; the ready-made one; a kind's actors; what a host turns |
//! | how it works | [`core`] | a turn, and what a parcel does |
//! | | [`handling`], `failing`, [`life`], `task` | a message handled; what follows a failure; coming and going; an actor's futures |
//! | | [`mailbox`], [`timers`], [`sleep`] | queues; what is to happen at a moment; waiting in futures |
//! | | [`mesh`], [`parcel`], `outbox` | inboxes; what travels between hosts, and who lives where; what is gathered for others |
//! | | [`placement`], `hashing` | keys to hosts; hashing of numbers |
//! | supervision | [`supervision`], [`tree`], [`shutdown`] | the pure machines; the tree that drives them; ending by stages |
//! | hosts | [`shard`], [`tokio_host`], [`cores`], [`startup`] | the two executors; who runs where; what the system must allow |
//! | figures | [`kind_figures`], [`figure`], [`histogram`], [`dead_letters`], [`running`], [`report`] | what is counted, logged and told |
//! | time, chance | [`moment`], [`rng`] | the hosts' clock; seeds |
//!
//! `tests/` turns hosts by hand in virtual time.

#[allow(clippy::module_inception, reason = "one noun a file, and the runtime's first noun is the actor")]
pub mod actor;
pub mod bell;
pub mod breaker;
pub mod context;
pub mod core;
pub mod cores;
pub mod dead_letters;
pub mod deferred;
pub mod director;
pub mod envelope;
mod failing;
pub mod figure;
pub mod handle;
pub mod handling;
mod hashing;
pub mod histogram;
pub mod house;
pub mod key;
pub mod kind_figures;
pub mod life;
pub mod mailbox;
pub mod mesh;
pub mod moment;
pub mod monitor;
mod named;
mod nap;
mod outbox;
pub mod parcel;
pub mod placement;
pub mod pool;
pub mod prelude;
pub mod remote;
pub mod report;
pub mod rng;
pub mod running;
pub mod sending;
pub mod shard;
pub mod shutdown;
pub mod sleep;
pub mod startup;
pub mod supervision;
pub mod system;
pub mod table;
mod task;
#[cfg(test)]
mod tests;
pub mod timers;
pub mod tokio_host;
pub mod topic;
pub mod tree;
pub mod worker;
pub mod world;
