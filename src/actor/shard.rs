//! One shard: a pinned thread, a glommio executor on it, and the loop that turns its worker.
//!
//! The inbox is drained in every turn; only with nothing else to do does the shard sleep: until its readiness set has something, its
//! bell rings, or the heartbeat is due.
//!
//! It sleeps in one `ppoll` of its own, and its task never gives the executor back. The executor must not be the one that sleeps:
//! `run_task_queues` returns at once, as if there were nothing to run, where the preempt timer has run out before its first look; then
//! it parks with the task runnable, and what had woken that, its timer among it, is spent. A thread that was off its core for 100 ms at
//! that moment never woke again, but by chance: after 42 minutes of soak on a busy machine a shard stood still for 21.9 s, until a
//! signal came; with a preempt timer of 1 ms the ping-pong of `tests/actor_hosts.rs` hangs within a minute. One `ppoll` also costs less
//! than what the executor does around a sleep: arming and cancelling two timers and linking its rings.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use glommio::{ExecutorJoinHandle, GlommioError, LocalExecutorBuilder, Placement};

use crate::actor::{
    handling::describe,
    mesh::Inbox,
    nap::Napper,
    worker::{Work, Worker},
};

/// The longest rest: a shard is seen to be alive so often, and looks at its worker's timers.
pub const HEARTBEAT: Duration = Duration::from_millis(10);

/// Messages taken from the inbox in one turn, so that a flood of them does not starve the sockets.
pub(crate) const INBOX_BATCH: usize = 512;

/// A shard's thread. Dropping it lets the shard run on.
pub struct ShardThread(ExecutorJoinHandle<()>);

impl ShardThread {
    /// Waits for the shard's end.
    pub fn join(self) -> Result<(), GlommioError<()>> {
        self.0.join()
    }
}

/// Starts a shard on a core. `make` runs on the shard's own thread.
pub fn spawn<W, F>(
    number: usize,
    core: usize,
    inbox: Inbox<W::Message>,
    make: F,
) -> Result<ShardThread, GlommioError<()>>
where
    W: Worker,
    F: FnOnce() -> W + Send + 'static,
{
    LocalExecutorBuilder::new(Placement::Fixed(core))
        .name(&format!("shard-{number}"))
        // The default registers 10 MiB a shard for files; sockets do not need them.
        .io_memory(64 * 1024)
        .ring_depth(128)
        .spawn(move || async move { run(make(), &inbox) })
        .map(ShardThread)
}

fn run<W: Worker>(mut worker: W, inbox: &Inbox<W::Message>) {
    let napper = Napper::new(inbox.bell()).expect("there is a descriptor for the bell");
    loop {
        let mut taken = 0;
        while taken < INBOX_BATCH
            && let Some(message) = inbox.try_next()
        {
            taken += 1;
            contain(&mut worker, |worker| worker.handle(message));
        }
        let work = contain(&mut worker, Worker::turn).unwrap_or(Work::More);
        // What was sent before its end is handled still: a hand-off holds a socket that wants its good-bye.
        if worker.is_finished() && inbox.is_empty() {
            return;
        }
        if let Work::Rest(rest) = work
            && taken < INBOX_BATCH
        {
            if inbox.fall_asleep() {
                napper.nap(worker.readiness(), rest.min(HEARTBEAT)).expect("two descriptors can be waited for");
            }
            inbox.wake_up();
        }
    }
}

/// Runs one call; a panic in it is reported and goes no further.
pub(crate) fn contain<W: Worker, T>(worker: &mut W, call: impl FnOnce(&mut W) -> T) -> Option<T> {
    // The worker's own state is meant to be seen after a panic: it decides first and commits last.
    match catch_unwind(AssertUnwindSafe(|| call(worker))) {
        Ok(result) => Some(result),
        Err(cause) => {
            worker.panicked(&describe(&*cause));
            None
        }
    }
}
