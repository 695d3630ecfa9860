//! Faults on purpose, in builds made to try them: a share of what rooms handle panics.
//!
//! Only with the feature `faults`, which nothing that is shipped has.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
};

static ONE_IN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static NEXT: Cell<u32> = const { Cell::new(0) };
    static NEXT_SELDOM: Cell<u32> = const { Cell::new(0) };
    static STATE: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) };
    /// What this thread was told for itself.
    static HERE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// How much more seldom what costs a connection fails.
const SELDOM: u32 = 24;

/// What panics on purpose say.
pub const CAUSE: &str = "a fault on purpose";

/// From now on one in so many points that are passed panics, on any thread; 0 switches faults off.
pub fn inject(one_in: u32) {
    ONE_IN.store(one_in, Ordering::Relaxed);
}

/// The same for this thread alone, whatever the others are told; which points these are follows from the seed.
pub fn inject_here(one_in: u32, seed: u64) {
    HERE.set(Some(one_in));
    STATE.set(seed);
}

/// The point that this thread passes as the `nth` from now on panics, by whatever others do; 0 for none.
pub fn at(nth: u32) {
    NEXT.set(nth);
}

/// The same for the points that fail [seldom](seldom).
pub fn at_seldom(nth: u32) {
    NEXT_SELDOM.set(nth);
}

/// A point where something may fail.
///
/// # Panics
/// One time in as many as were [asked for](inject), and [where](at) it was asked for.
pub fn point() {
    let next = NEXT.get();
    NEXT.set(next.saturating_sub(1));
    assert!(next != 1, "{CAUSE}");
    draw(1);
}

/// The same where a failure costs a connection: one time in [`SELDOM`] as many, and only where this thread was told for itself.
///
/// # Panics
/// As that.
pub fn seldom() {
    let next = NEXT_SELDOM.get();
    NEXT_SELDOM.set(next.saturating_sub(1));
    assert!(next != 1, "{CAUSE}");
    if HERE.get().is_some() {
        draw(SELDOM);
    }
}

fn draw(seldom: u32) {
    let one_in = HERE.get().unwrap_or_else(|| ONE_IN.load(Ordering::Relaxed)).saturating_mul(seldom);
    if one_in == 0 {
        return;
    }
    let drawn = STATE.with(|state| {
        // Any spread will do: a linear congruential step and its high bits.
        state.set(state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (state.get() >> 33) as u32
    });
    assert!(!drawn.is_multiple_of(one_in), "{CAUSE}");
}
