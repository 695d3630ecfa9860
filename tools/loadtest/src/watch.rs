//! Looks at the server and at ourselves while a run goes on: processor, memory, the shards' own figures.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    ear::Phase,
    metrics::{by_shard, metrics},
    process::{Sample, Use},
};

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The server's process.
    pub pid: Option<u32>,
    /// Its operators' port.
    pub admin: Option<String>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct Look {
    /// When, since the piece began.
    pub at: Duration,
    /// At the server's process, if it is watched.
    pub server: Option<Sample>,
    /// At ourselves.
    pub load: Sample,
    /// The server's figures; empty where they are not asked for.
    pub figures: BTreeMap<String, f64>,
}

/// What a process took in a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Processor time by thread, in cores.
    pub threads: BTreeMap<String, f64>,
    /// All of it.
    pub cores: f64,
    /// Memory at the end, in bytes.
    pub resident: u64,
    /// The most memory it ever had up to then, in bytes.
    pub resident_peak: u64,
    /// Descriptors at the end.
    pub descriptors: u64,
}

impl Taken {
    /// From one look to a later one.
    pub fn between(first: &Sample, last: &Sample) -> Self {
        let used = last.since(first);
        Self {
            cores: used.cores(),
            threads: used.threads,
            resident: last.resident,
            resident_peak: last.resident_peak,
            descriptors: last.descriptors as u64,
        }
    }
}

/// What a shard said of itself at a look, and since the look before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardLook {
    /// Share of its core, 0 to 1.
    pub usage: f64,
    /// Frames queued for members, a second.
    pub deliveries: f64,
    /// Connections.
    pub connections: f64,
}

/// Looks once a second, and at the borders of phases, until it is ended.
pub struct Watch {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Look>>,
}

impl Watch {
    /// Begins. The first look must succeed, so that a wrong process is told at once.
    pub fn begin(watched: Watched, began: Instant, phases: &[Phase]) -> io::Result<Self> {
        look(&watched, began)?;
        let mut borders: Vec<Duration> = phases.iter().flat_map(|phase| [phase.from, phase.until]).collect();
        borders.sort();
        borders.dedup();
        borders.reverse();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("watch".into()).spawn(move || {
            let mut looks = Vec::new();
            for second in 0.. {
                let second = Duration::from_secs(second);
                while let Some(moment) = borders.pop_if(|border| *border <= second).or(Some(second)) {
                    let left = (began + moment).saturating_duration_since(Instant::now());
                    match stopped.recv_timeout(left) {
                        // A server that is too busy to tell its figures is what is looked for.
                        Err(RecvTimeoutError::Timeout) => looks.extend(look(&watched, began)),
                        _ => {
                            looks.extend(look(&watched, began));
                            return looks;
                        }
                    }
                    if moment == second {
                        break;
                    }
                }
            }
            looks
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends, with a last look.
    pub fn end(self) -> Vec<Look> {
        drop(self.stop);
        self.thread.join().expect("looking does not panic")
    }
}

/// The look nearest to a moment.
pub fn nearest(looks: &[Look], at: Duration) -> Option<&Look> {
    looks.iter().min_by_key(|look| look.at.abs_diff(at))
}

/// What the shards said at a look, with rates since the one before.
pub fn shards(before: &Look, now: &Look) -> Vec<ShardLook> {
    let seconds = (now.at.saturating_sub(before.at)).as_secs_f64().max(f64::EPSILON);
    let of = |look: &Look, name: &str| by_shard(&look.figures, name);
    let (usage, connections) = (of(now, "pianorhythm_shard_usage_permille"), of(now, "pianorhythm_connections"));
    let (earlier, later) = (of(before, "pianorhythm_deliveries_total"), of(now, "pianorhythm_deliveries_total"));
    usage
        .iter()
        .zip(&connections)
        .enumerate()
        .map(|(shard, (usage, connections))| {
            let deliveries = later.get(shard).unwrap_or(&0.0) - earlier.get(shard).unwrap_or(&0.0);
            ShardLook { usage: usage / 1000.0, connections: *connections, deliveries: deliveries / seconds }
        })
        .collect()
}

/// What the server and we ourselves used between two looks.
pub fn used(before: &Look, now: &Look) -> (Option<Use>, Use) {
    let server = now.server.as_ref().zip(before.server.as_ref()).map(|(now, before)| now.since(before));
    (server, now.load.since(&before.load))
}

/// A look at both processes, and at the server's figures, which may be slow to come: they are asked for last.
fn look(watched: &Watched, began: Instant) -> io::Result<Look> {
    let told = |what: &str, error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    let at = Instant::now().saturating_duration_since(began);
    let server = watched.pid.map(|pid| Sample::of(pid).map_err(|error| told("looking at the server's process", error)));
    let (server, load) = (server.transpose()?, Sample::of(std::process::id())?);
    let figures =
        watched.admin.as_deref().map(|admin| metrics(admin).map_err(|error| told("the operators' port", error)));
    Ok(Look { at, server, load, figures: figures.transpose()?.unwrap_or_default() })
}
