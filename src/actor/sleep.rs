//! Waiting for a time, on whichever executor a future runs.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::future::{Either, select};

use crate::actor::moment::{ActorClock, Moment};

thread_local! {
    /// This thread is a host's, which looks after its sleepers every turn.
    static IS_HOST: Cell<bool> = const { Cell::new(false) };
    /// Who sleeps on this thread. As many as there are futures that wait.
    static SLEEPERS: RefCell<Vec<(Moment, Waker)>> = const { RefCell::new(Vec::new()) };
}

/// Says that this thread is a host's.
pub(crate) fn enter_host() {
    IS_HOST.set(true);
}

/// Wakes those whose time has come.
pub(crate) fn wake_due(now: Moment) {
    let due: Vec<Waker> = SLEEPERS.with_borrow_mut(|sleepers| {
        sleepers.extract_if(.., |(until, _)| *until <= now).map(|(_, waker)| waker).collect()
    });
    due.into_iter().for_each(Waker::wake);
}

/// When the next one is to be woken.
pub(crate) fn next() -> Option<Moment> {
    SLEEPERS.with_borrow(|sleepers| sleepers.iter().map(|(until, _)| *until).min())
}

/// Resolves when it is time. Made by [`sleep`].
struct Sleep {
    clock: ActorClock,
    until: Moment,
    tokio: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(tokio) = &mut self.tokio {
            return tokio.as_mut().poll(cx);
        }
        if self.clock.now() >= self.until {
            return Poll::Ready(());
        }
        let until = self.until;
        SLEEPERS.with_borrow_mut(|sleepers| {
            if !sleepers.iter().any(|(known, waker)| *known == until && waker.will_wake(cx.waker())) {
                sleepers.push((until, cx.waker().clone()));
            }
        });
        Poll::Pending
    }
}

/// Resolves after a time by the hosts' clock: on a host by its own turns, elsewhere by tokio.
///
/// # Panics
/// When polled on a thread that is neither a host's nor within tokio.
pub fn sleep(clock: &ActorClock, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
    let tokio = (!IS_HOST.get()).then(|| Box::pin(tokio::time::sleep(duration)));
    Sleep { until: clock.now() + duration, clock: clock.clone(), tokio }
}

/// What a future gives within a time, or none.
pub async fn timeout<F: Future>(clock: &ActorClock, duration: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(sleep(clock, duration))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
