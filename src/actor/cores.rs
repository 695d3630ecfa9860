//! Which core each shard and the front desk run on.

use std::num::NonZeroUsize;

/// Who runs where. Core numbers are the operating system's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorePlan {
    /// The core of each shard, by shard number.
    pub shards: Vec<usize>,
    /// The core of the front desk; shared with shards where there are not enough.
    pub front_desk: usize,
}

impl CorePlan {
    /// Plans for the cores this process may use.
    ///
    /// `cores` is what affinity allows and `quota` what the scheduler grants (affinity does not see CPU
    /// quotas). Without a wish there is a shard on each core but the last, which is the front desk's; on
    /// one core both share it. More shards than cores are allowed and take turns on them.
    ///
    /// # Panics
    /// Where `cores` is empty: a process runs somewhere.
    pub fn new(cores: &[usize], quota: NonZeroUsize, wish: Option<NonZeroUsize>) -> Self {
        let usable = &cores[..cores.len().min(quota.get())];
        let front_desk = *usable.last().expect("a process has a core to run on");
        let count = wish.map_or_else(|| usable.len().saturating_sub(1).max(1), NonZeroUsize::get);
        let stage = if count < usable.len() { &usable[..usable.len() - 1] } else { usable };
        Self { shards: stage.iter().copied().cycle().take(count).collect(), front_desk }
    }

    /// The front desk has no core for itself.
    pub fn front_desk_shares(&self) -> bool {
        self.shards.contains(&self.front_desk)
    }

    /// Plans for this process as the operating system runs it.
    pub fn of_this_process(wish: Option<NonZeroUsize>) -> Self {
        let quota = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let cores: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
        if cores.is_empty() { Self::new(&[0], quota, wish) } else { Self::new(&cores, quota, wish) }
    }
}

/// Pins the calling thread; false where the system refuses.
pub fn pin_current_thread(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// The nice value of who gives way: about a third of the weight of who does not.
const GIVES_WAY: libc::c_int = 5;

/// Has the calling thread give way to threads of normal weight where they share its core: one of them that wakes goes before
/// it, and while both have work this one gets about a quarter of the core. False where the system refuses.
pub fn give_way() -> bool {
    // SAFETY: it takes numbers alone. On Linux 0 is the calling thread, not its process.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, GIVES_WAY) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cores: &[usize], quota: usize, wish: usize) -> CorePlan {
        CorePlan::new(cores, NonZeroUsize::new(quota).unwrap(), NonZeroUsize::new(wish))
    }

    #[test]
    fn the_front_desk_has_the_last_core_for_itself() {
        assert_eq!(plan(&[0, 1, 2, 3], 4, 0), CorePlan { shards: vec![0, 1, 2], front_desk: 3 });
    }

    #[test]
    fn a_thread_is_pinned_to_a_core_that_there_is() {
        let core = CorePlan::of_this_process(None).front_desk;
        let pinned = std::thread::spawn(move || [core, 1023].map(pin_current_thread)).join().unwrap();
        assert_eq!(pinned, [true, false]);
    }

    #[test]
    fn on_one_core_both_share_it() {
        assert_eq!(plan(&[5], 8, 0), CorePlan { shards: vec![5], front_desk: 5 });
        assert!(plan(&[5], 8, 0).front_desk_shares());
        assert!(!plan(&[0, 1], 2, 0).front_desk_shares());
    }

    #[test]
    fn a_thread_that_gives_way_weighs_less_and_no_other_does() {
        // SAFETY: it takes numbers alone.
        let weight = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = weight();
        let (gave, less) = std::thread::spawn(move || (give_way(), weight())).join().unwrap();
        // A process that weighs less already can not be made to weigh more.
        assert_eq!((gave, less), if before <= GIVES_WAY { (true, GIVES_WAY) } else { (false, before) });
        assert_eq!(weight(), before);
    }

    #[test]
    fn a_quota_below_the_mask_counts() {
        assert_eq!(plan(&[0, 1, 2, 3], 2, 0), CorePlan { shards: vec![0], front_desk: 1 });
    }

    #[test]
    fn more_shards_than_cores_take_turns() {
        assert_eq!(plan(&[0, 1], 2, 3), CorePlan { shards: vec![0, 1, 0], front_desk: 1 });
    }

    #[test]
    fn fewer_shards_than_cores_leave_the_front_desk_alone() {
        assert_eq!(plan(&[0, 1, 2], 3, 2), CorePlan { shards: vec![0, 1], front_desk: 2 });
    }
}
