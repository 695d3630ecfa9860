//! Ending everything in the order in which it depends on each other, each stage with its deadline.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::actor::{parcel::Parcel, remote::Remote, sleep::timeout};

/// One stage of a shutdown: its kinds end together, on all hosts.
#[derive(Clone, Debug)]
pub struct ShutdownStage {
    /// Its name, for the log.
    pub name: &'static str,
    /// Its kinds.
    pub kinds: Vec<&'static str>,
    /// How long their clean-up may take, all together. What is left then is ended by force.
    pub deadline: Duration,
}

/// What became of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageOutcome {
    /// Its name.
    pub name: &'static str,
    /// Actors that did not end in time and were ended by force.
    pub abandoned: usize,
    /// Hosts that did not answer at all.
    pub silent_hosts: usize,
}

/// A shutdown. It runs once, however often it is asked for.
#[derive(Debug)]
pub struct Shutdown {
    stages: Vec<ShutdownStage>,
    is_begun: AtomicBool,
}

impl Shutdown {
    /// A shutdown in this order.
    pub fn new(stages: Vec<ShutdownStage>) -> Self {
        Self { stages, is_begun: AtomicBool::new(false) }
    }

    /// Runs it: each stage after the one before has ended, or its deadline has passed. None where it has begun before.
    pub async fn run(&self, remote: &Remote) -> Option<Vec<StageOutcome>> {
        if self.is_begun.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut outcomes = Vec::new();
        for stage in &self.stages {
            let outcome = run_stage(stage, remote).await;
            if outcome.abandoned > 0 || outcome.silent_hosts > 0 {
                let StageOutcome { name, abandoned, silent_hosts } = outcome;
                tracing::warn!(stage = name, abandoned, silent_hosts, "shutdown abandons what is left");
            }
            outcomes.push(outcome);
        }
        Some(outcomes)
    }
}

/// Hosts may take so long to count what they end by force.
const FORCE_WITHIN: Duration = Duration::from_secs(1);

async fn run_stage(stage: &ShutdownStage, remote: &Remote) -> StageOutcome {
    let hosts = remote.post().registry.hosts();
    let has_kind = |host: &usize| hosts[*host].kinds.iter().any(|(name, _)| stage.kinds.contains(name));
    let deadline = remote.clock().now() + stage.deadline;
    let mut waiting = Vec::new();
    for host in (0..hosts.len()).filter(has_kind) {
        let (tell, told) = flume::bounded(1);
        let parcel = Parcel::EndKinds { kinds: stage.kinds.clone(), by_force: false, tell };
        // A host that is gone has nothing left; one whose inbox stays full is ended by force below, or silent.
        let left = deadline.since(remote.clock().now());
        match timeout(remote.clock(), left, remote.send_patiently(host, parcel)).await {
            Some(Ok(())) => waiting.push((host, Some(told))),
            None => waiting.push((host, None)),
            Some(Err(())) => {}
        }
    }
    let (mut abandoned, mut silent_hosts) = (0, 0);
    for (host, told) in waiting {
        let left = deadline.since(remote.clock().now());
        // A host that has taken it in and ended tells nothing more, and has nothing left.
        if let Some(told) = told
            && timeout(remote.clock(), left, told.recv_async()).await.is_some()
        {
            continue;
        }
        let (tell, told) = flume::bounded(1);
        let parcel = Parcel::EndKinds { kinds: stage.kinds.clone(), by_force: true, tell };
        let by_force = async {
            remote.send_patiently(host, parcel).await.ok()?;
            told.recv_async().await.ok()
        };
        match timeout(remote.clock(), FORCE_WITHIN, by_force).await {
            Some(count) => abandoned += count.unwrap_or(0),
            None => silent_hosts += 1,
        }
    }
    StageOutcome { name: stage.name, abandoned, silent_hosts }
}
