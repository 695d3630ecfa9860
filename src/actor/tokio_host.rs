//! A host on tokio, for actors whose work is network I/O: a thread with a runtime of its own, on which their futures run.

use std::{io, time::Duration};

use crate::actor::{
    cores,
    mesh::Inbox,
    shard::{INBOX_BATCH, contain},
    worker::{Work, Worker},
};

/// The longest rest. Bells and timers are heard without it.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Starts a host on a thread of its own, pinned where a core is given. `make` runs on that thread. It ends when its worker is
/// finished.
pub fn spawn<W, F>(
    name: &str,
    core: Option<usize>,
    inbox: Inbox<W::Message>,
    make: F,
) -> io::Result<std::thread::JoinHandle<()>>
where
    W: Worker,
    F: FnOnce() -> W + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if let Some(core) = core
            && !cores::pin_current_thread(core)
        {
            tracing::warn!(core, "a tokio host could not be pinned");
        }
        // What they spawn on the thread ends with it.
        let tasks = tokio::task::LocalSet::new();
        runtime.block_on(tasks.run_until(run(make(), inbox)));
    })
}

async fn run<W: Worker>(mut worker: W, inbox: Inbox<W::Message>) {
    loop {
        let mut taken = 0;
        while taken < INBOX_BATCH
            && let Some(message) = inbox.try_next()
        {
            taken += 1;
            contain(&mut worker, |worker| worker.handle(message));
        }
        let work = contain(&mut worker, Worker::turn).unwrap_or(Work::More);
        if worker.is_finished() && inbox.is_empty() {
            return;
        }
        match work {
            Work::Rest(rest) if taken < INBOX_BATCH => {
                if inbox.fall_asleep() {
                    let _ = tokio::time::timeout(rest.min(LONGEST_REST), inbox.bell().rung()).await;
                }
                inbox.wake_up();
            }
            _ => tokio::task::yield_now().await,
        }
    }
}
