//! Waiting for a time, on whichever executor a future runs.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::future::{Either, select};

use crate::actor::moment::{ActorClock, Moment};

/// A sleep of a host's thread: when it is over, and its number among all.
type SleepId = (Moment, u64);

thread_local! {
    /// This thread is a host's, which looks after its sleepers every turn.
    static IS_HOST: Cell<bool> = const { Cell::new(false) };
    /// Who sleeps on this thread. As many as there are futures that wait: one that is dropped before its time is taken out.
    static SLEEPERS: RefCell<BTreeMap<SleepId, Waker>> = const { RefCell::new(BTreeMap::new()) };
}

/// Says that this thread is a host's.
pub(crate) fn enter_host() {
    IS_HOST.set(true);
}

/// Wakes those whose time has come.
pub(crate) fn wake_due(now: Moment) {
    let due = SLEEPERS.with_borrow_mut(|sleepers| {
        let later = sleepers.split_off(&(now + Duration::from_nanos(1), 0));
        std::mem::replace(sleepers, later)
    });
    due.into_values().for_each(Waker::wake);
}

/// When the next one is to be woken.
pub(crate) fn next() -> Option<Moment> {
    SLEEPERS.with_borrow(|sleepers| sleepers.first_key_value().map(|((until, _), _)| *until))
}

/// Resolves when it is time. Made by [`sleep`].
struct Sleep {
    clock: ActorClock,
    id: SleepId,
    tokio: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (until, now) = (self.id.0, self.clock.now());
        if !IS_HOST.get() {
            // Made here: the future may have been made outside of what it is awaited in.
            let tokio = self.tokio.get_or_insert_with(|| Box::pin(tokio::time::sleep(until.since(now))));
            return tokio.as_mut().poll(cx);
        }
        if now >= until {
            return Poll::Ready(());
        }
        // What it replaces is dropped when the list is free again: that may be the end of other futures.
        let _before = SLEEPERS.with_borrow_mut(|sleepers| sleepers.insert(self.id, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.tokio.is_none() {
            // A thread that ends has no list any more. One that it does not sleep on has nothing of it.
            let _waker = SLEEPERS.try_with(|sleepers| sleepers.borrow_mut().remove(&self.id));
        }
    }
}

/// Resolves after a time by the hosts' clock: on a host by its own turns, elsewhere by tokio.
///
/// # Panics
/// When awaited on a thread that is neither a host's nor within tokio.
pub fn sleep(clock: &ActorClock, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = (clock.now() + duration, NEXT.fetch_add(1, Ordering::Relaxed));
    Sleep { clock: clock.clone(), id, tokio: None }
}

/// What a future gives within a time, or none.
pub async fn timeout<F: Future>(clock: &ActorClock, duration: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(sleep(clock, duration))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicUsize},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, woken: &Arc<Woken>) -> Poll<T> {
        future.poll(&mut Context::from_waker(&Waker::from(woken.clone())))
    }

    fn host() -> (ActorClock, Arc<Woken>) {
        enter_host();
        (ActorClock::manual(), Arc::default())
    }

    #[test]
    fn on_a_host_it_is_woken_by_the_turn_at_its_time() {
        let (clock, woken) = host();
        let mut sleep = pin!(sleep(&clock, Duration::from_millis(5)));
        assert!(poll(sleep.as_mut(), &woken).is_pending());
        assert!(poll(sleep.as_mut(), &woken).is_pending());
        assert_eq!(next(), Some(Moment::from_ms(5)));
        wake_due(Moment::from_ns(4_999_999));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        clock.advance(Duration::from_millis(5));
        wake_due(clock.now());
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(poll(sleep.as_mut(), &woken).is_ready());
        assert_eq!(next(), None);
    }

    #[test]
    fn elsewhere_it_may_be_made_before_there_is_anything_to_await_it_in() {
        let clock = ActorClock::start();
        let sleep = sleep(&clock, Duration::from_millis(2));
        let begun = clock.now();
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(sleep);
        assert!(clock.now().since(begun) >= Duration::from_millis(1));
    }

    #[test]
    fn one_that_is_given_up_leaves_nothing() {
        let (clock, woken) = host();
        for _ in 0..100 {
            let mut waits = pin!(timeout(&clock, Duration::from_secs(30), async {
                let mut is_first = true;
                std::future::poll_fn(|_| if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(7) })
                    .await
            }));
            assert!(poll(waits.as_mut(), &woken).is_pending());
            assert!(next().is_some());
            assert_eq!(poll(waits.as_mut(), &woken), Poll::Ready(Some(7)));
        }
        assert_eq!(next(), None);
        assert_eq!(SLEEPERS.with_borrow(BTreeMap::len), 0);
    }
}
