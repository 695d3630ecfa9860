//! What a process takes, from `/proc`: processor time by thread, memory, descriptors.

use std::{collections::BTreeMap, fmt, fs, io, time::Instant};

use serde::{Deserialize, Serialize};

/// One look at a process.
#[derive(Clone, Debug)]
pub struct Sample {
    at: Instant,
    /// Processor seconds by thread: its number and name.
    threads: BTreeMap<u32, (String, f64)>,
    /// Memory that is in the machine's, in bytes.
    pub resident: u64,
    /// The most that ever was.
    pub resident_peak: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Sample {
    /// Looks at the process of this number; it must be one's own user's.
    pub fn of(pid: u32) -> io::Result<Self> {
        let at = Instant::now();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Ok(number) = entry?.file_name().to_string_lossy().parse() else { continue };
            // A thread may end between two calls.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/task/{number}/stat")) else { continue };
            let Some((name, busy)) = thread(&stat) else { continue };
            // In nanoseconds, where the kernel keeps it; else in ticks of ten milliseconds.
            let fine = fs::read_to_string(format!("/proc/{pid}/task/{number}/schedstat")).ok();
            let fine = fine.and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
            let seconds = fine.filter(|ns| *ns > 0).map_or(busy as f64 / ticks, |ns| ns as f64 / 1e9);
            threads.insert(number, (name, seconds));
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
        };
        // Linux 6.2 and newer tell it as the folder's size; counting tens of thousands takes milliseconds.
        let folder = format!("/proc/{pid}/fd");
        let descriptors = match fs::metadata(&folder)?.len() {
            0 => fs::read_dir(&folder)?.count(),
            told => told as usize,
        };
        Ok(Self { at, threads, resident: bytes("VmRSS:"), resident_peak: bytes("VmHWM:"), descriptors })
    }

    /// What it took from an earlier look to this one.
    pub fn since(&self, earlier: &Self) -> Use {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64().max(f64::EPSILON);
        let mut threads: BTreeMap<String, f64> = BTreeMap::new();
        for (number, (name, busy)) in &self.threads {
            let before = earlier.threads.get(number).map_or(0.0, |(_, busy)| *busy);
            *threads.entry(name.clone()).or_default() += (busy - before).max(0.0) / seconds;
        }
        Use { threads }
    }
}

/// How much of a core a process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Use {
    /// By name of thread: 1 is a whole core.
    pub threads: BTreeMap<String, f64>,
}

impl Use {
    /// All threads together: 1 is a whole core.
    pub fn cores(&self) -> f64 {
        self.threads.values().sum()
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} % of a core", self.cores() * 100.0)?;
        let busy = self.threads.iter().filter(|(_, share)| **share >= 0.001);
        let busy: Vec<String> = busy.map(|(name, share)| format!("{name} {:.1} %", share * 100.0)).collect();
        if busy.len() > 1 { write!(f, " ({})", busy.join(", ")) } else { Ok(()) }
    }
}

/// Bytes as people read them.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

/// Thousands of sockets need more descriptors than a shell's soft limit gives: takes what the hard one allows.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}

/// Name and processor time, in ticks, of a line of `/proc/PID/task/TID/stat`.
fn thread(stat: &str) -> Option<(String, u64)> {
    // The name stands in parentheses and may hold any byte, parentheses too.
    let (head, rest) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    let mut times = rest.split(' ').skip(11).map(|field| field.parse::<u64>());
    Some((name, times.next()?.ok()? + times.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_name_may_hold_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 64 1 2 3 4 250 50 0 0 20 0 1 0 5 6 7";
        assert_eq!(thread(stat), Some(("a (b) c".into(), 300)));
        assert_eq!(thread("7 (a"), None);
    }

    #[test]
    fn the_processor_time_of_this_very_process_is_seen() {
        let pid = std::process::id();
        let first = Sample::of(pid).unwrap();
        let busy_until = Instant::now() + std::time::Duration::from_millis(50);
        while Instant::now() < busy_until {}
        let used = Sample::of(pid).unwrap().since(&first);
        assert!(used.cores() > 0.0, "{used}");
        assert!(first.resident > 0 && first.resident_peak >= first.resident && first.descriptors > 2, "{first:?}");
    }
}
