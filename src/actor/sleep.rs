//! Waiting for a time, on whichever executor a future runs.

use std::{future::Future, pin::pin, time::Duration};

use futures_util::future::{Either, select};

/// Resolves after a time: by tokio's timer within tokio, otherwise by glommio's.
///
/// # Panics
/// Where neither runs.
pub async fn sleep(duration: Duration) {
    if tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::sleep(duration).await;
    } else {
        glommio::timer::sleep(duration).await;
    }
}

/// What a future gives within a time, or none.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(sleep(duration))).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}
