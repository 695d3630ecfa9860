//! How much memory a piece of work holds at its height: the allocator counts, for each thread by itself.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Meter;

#[global_allocator]
static METER: Meter = Meter;

thread_local! {
    /// Bytes held now, and the most since this was last set. What one thread frees of another's makes it negative.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    HELD.with(|held| {
        let (now, most) = held.get();
        let now = now + bytes;
        held.set((now, most.max(now)));
    });
}

// SAFETY: the system's allocator does the work; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Does the work, and says how many bytes it held at its height beyond what was held before.
pub(crate) fn metered<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let result = work();
    let most = HELD.with(|held| held.get().1);
    (result, (most - before) as usize)
}

#[cfg(test)]
mod tests {
    use super::metered;

    #[test]
    fn what_is_held_at_once_counts_and_what_was_freed_before_does_not() {
        let (kept, most) = metered(|| {
            drop(vec![0_u8; 1000]);
            drop(vec![0_u8; 700]);
            vec![0_u8; 10]
        });
        assert_eq!((kept.len(), most), (10, 1000));
        let (_, most) = metered(|| {
            let mut grows = vec![0_u8; 100];
            grows.resize(5000, 0);
            grows
        });
        assert!(most >= 5000, "{most}");
    }
}
