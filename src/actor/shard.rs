//! One shard: a pinned thread, a glommio executor on it, and the loop that turns its worker.
//!
//! The inbox is drained in every turn; only with nothing else to do does the shard wait, for its readiness set, for the
//! bell of its inbox, or for the heartbeat. Reasons: a busy receiver that relies on a foreign waker alone notices
//! it at the preempt boundary, and glommio can park with runnable tasks; the heartbeat bounds what either costs.

use std::{
    future::{Future, poll_fn},
    os::fd::{AsRawFd, RawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use glommio::{
    ExecutorJoinHandle, GlommioError, LocalExecutorBuilder, Placement,
    io::{PollState, PollableFd},
    timer::Timer,
};

use crate::actor::{
    handling::describe,
    mesh::Inbox,
    worker::{Work, Worker},
};

/// The longest rest: it bounds the damage of a lost wake-up, and drives the worker's timers.
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
        .spawn(move || run(make(), inbox))
        .map(ShardThread)
}

/// A borrowed descriptor: the worker owns it and outlives the watch.
struct Watched(RawFd);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

async fn run<W: Worker>(mut worker: W, inbox: Inbox<W::Message>) {
    let readiness = worker.readiness().map(|set| PollableFd::new(Watched(set)).expect("the executor runs this"));
    let mut watch = PollState::new();
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
        match work {
            Work::Rest(rest) if taken < INBOX_BATCH => {
                if inbox.fall_asleep() {
                    wait(&inbox, readiness.as_ref(), &mut watch, rest.min(HEARTBEAT)).await;
                }
                inbox.wake_up();
            }
            _ => glommio::executor().yield_if_needed().await,
        }
    }
}

/// Waits for readiness, the bell, or the time, whichever is first.
async fn wait<M>(inbox: &Inbox<M>, readiness: Option<&PollableFd<Watched>>, watch: &mut PollState, rest: Duration) {
    let mut bell = pin!(inbox.rung());
    let mut timer = Timer::new(rest);
    poll_fn(|cx| {
        let is_readable = readiness.is_some_and(|set| set.poll_readable(cx, watch).is_ready());
        if is_readable || bell.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        pin!(&mut timer).poll(cx).map(|_| ())
    })
    .await;
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
