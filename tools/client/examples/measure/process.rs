//! What a process takes, from `/proc`: processor time by thread, memory, descriptors.

use std::{collections::BTreeMap, fmt, fs, io, time::Instant};

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
            // A thread may end between the two calls.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/task/{number}/stat")) else { continue };
            if let Some((name, busy)) = thread(&stat) {
                threads.insert(number, (name, busy as f64 / ticks));
            }
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self { at, threads, resident: bytes("VmRSS:"), resident_peak: bytes("VmHWM:"), descriptors })
    }

    /// What it took from an earlier look to this one.
    pub fn since(&self, earlier: &Self) -> Use {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64().max(f64::EPSILON);
        let mut by_name: BTreeMap<&str, f64> = BTreeMap::new();
        for (number, (name, busy)) in &self.threads {
            let before = earlier.threads.get(number).map_or(0.0, |(_, busy)| *busy);
            *by_name.entry(name).or_default() += (busy - before) / seconds;
        }
        let threads = by_name.into_iter().map(|(name, share)| (name.to_owned(), share)).collect();
        Use { threads }
    }
}

/// How much of a core a process used.
#[derive(Clone, Debug)]
pub struct Use {
    /// By name of thread: 1 is a whole core.
    threads: Vec<(String, f64)>,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: f64 = self.threads.iter().map(|(_, share)| share).sum();
        write!(f, "{:.1} % of a core", all * 100.0)?;
        let busy = self.threads.iter().filter(|(_, share)| *share >= 0.001);
        let busy: Vec<String> = busy.map(|(name, share)| format!("{name} {:.1} %", share * 100.0)).collect();
        if busy.len() > 1 { write!(f, " ({})", busy.join(", ")) } else { Ok(()) }
    }
}

/// Bytes as people read them.
pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

/// Name and processor time, in ticks, of a line of `/proc/PID/task/TID/stat`.
fn thread(stat: &str) -> Option<(String, u64)> {
    // The name stands in parentheses and may hold any byte, parentheses too.
    let (head, rest) = stat.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    let mut times = rest.split(' ').skip(11).map(|field| field.parse::<u64>());
    Some((name, times.next()?.ok()? + times.next()?.ok()?))
}
