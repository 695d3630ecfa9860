//! What the system must allow before a shard can run, checked at start with the remedy.

use std::io;

/// Locked memory that io_uring's rings take on a shard's first start.
const LOCKED_MEMORY_BYTES: u64 = 512 * 1024;

/// The system does not allow what the shards need.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// Too little memory may be locked.
    #[error(
        "only {allowed} bytes of memory may be locked and io_uring wants {LOCKED_MEMORY_BYTES}: raise the limit, for example \
         `ulimit -l 512`, `LimitMEMLOCK=infinity` in a systemd unit, or `--ulimit memlock=-1` for a container"
    )]
    LockedMemory {
        /// The hard limit in bytes.
        allowed: u64,
    },
    /// The kernel has no io_uring.
    #[error("this kernel has no io_uring: Linux 5.8 or newer is needed, built with CONFIG_IO_URING")]
    NoRing,
    /// io_uring is there and forbidden.
    #[error(
        "io_uring is forbidden here: in a container allow it in the seccomp profile (Docker 25 and containerd 2 block it by \
         default), and set the kernel's io_uring_disabled to 0 (`sysctl kernel.io_uring_disabled=0`)"
    )]
    RingForbidden,
    /// A limit could not be read or set.
    #[error("a resource limit could not be read or raised: {0}")]
    Limit(#[source] io::Error),
}

/// Checks locked memory and io_uring, and raises the open-file limit to the hard limit.
///
/// Returns how many files this process may open.
pub fn check() -> Result<u64, StartupError> {
    let locked = raise(libc::RLIMIT_MEMLOCK, LOCKED_MEMORY_BYTES).map_err(StartupError::Limit)?;
    check_locked(locked)?;
    probe_ring(1)?;
    raise(libc::RLIMIT_NOFILE, u64::MAX).map_err(StartupError::Limit)
}

fn check_locked(allowed: u64) -> Result<(), StartupError> {
    if allowed < LOCKED_MEMORY_BYTES { Err(StartupError::LockedMemory { allowed }) } else { Ok(()) }
}

/// Raises a soft limit to `wanted` or the hard limit, whichever is lower; never lowers it. Returns it.
fn raise(resource: libc::__rlimit_resource_t, wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let target = wanted.min(limit.rlim_max);
    if limit.rlim_cur < target {
        limit.rlim_cur = target;
        // SAFETY: `limit` was read above and is initialised.
        if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Makes a ring of so many entries and closes it again.
fn probe_ring(entries: u32) -> Result<(), StartupError> {
    // The kernel's `struct io_uring_params`: 120 bytes, all zero asks for the defaults.
    let mut parameters = [0u64; 15];
    // SAFETY: the kernel writes within the 120 bytes given.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr()) };
    if ring < 0 {
        return Err(match io::Error::last_os_error().raw_os_error() {
            Some(libc::ENOSYS) => StartupError::NoRing,
            Some(libc::EPERM | libc::EACCES) => StartupError::RingForbidden,
            Some(libc::ENOMEM) => StartupError::LockedMemory { allowed: 0 },
            other => StartupError::Limit(io::Error::from_raw_os_error(other.unwrap_or(0))),
        });
    }
    // SAFETY: the ring was just made and is nobody else's.
    unsafe { libc::close(ring as libc::c_int) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_the_tests_allows_shards() {
        assert!(check().unwrap() >= 64);
    }

    #[test]
    fn half_a_mebibyte_has_to_be_locked() {
        assert!(check_locked(524_288).is_ok());
        let error = check_locked(524_287).unwrap_err();
        assert!(error.to_string().starts_with("only 524287 bytes of memory may be locked and io_uring wants 524288"));
    }

    #[test]
    fn a_limit_is_raised_as_far_as_it_may_be_and_never_lowered() {
        // Nothing here has message queues.
        let resource = libc::RLIMIT_MSGQUEUE;
        let limit = || {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: `limit` is a valid place for the answer.
            assert_eq!(unsafe { libc::getrlimit(resource, &raw mut limit) }, 0);
            limit
        };
        let low = libc::rlimit { rlim_cur: 1000, ..limit() };
        // SAFETY: `low` is initialised.
        assert_eq!(unsafe { libc::setrlimit(resource, &raw const low) }, 0);
        for (wanted, raised) in [(500, 1000), (2000, 2000), (u64::MAX, low.rlim_max)] {
            assert_eq!((raise(resource, wanted).unwrap(), limit().rlim_cur), (raised, raised));
        }
    }

    #[test]
    fn what_the_kernel_says_against_a_ring_is_told() {
        assert!(probe_ring(1).is_ok());
        assert!(matches!(probe_ring(0), Err(StartupError::Limit(_))), "a ring has an entry");
    }
}
