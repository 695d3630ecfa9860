//! What a run found: what `--json` writes, the report shows and `compare` reads. Its form has a number of its own.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    hall::Tally,
    percentiles::Percentiles,
    watch::{ShardLook, Taken},
};

/// The form of a result file that this tool writes and reads.
pub const FORM: u32 = 1;

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`FORM`].
    pub form: u32,
    /// Its name.
    pub scenario: String,
    /// The run's name in its file, where it was one of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its arguments were set to, those that nobody set too.
    pub settings: BTreeMap<String, String>,
    /// The server.
    pub url: String,
    /// Whether it was a plain relay, which has no welcome and stamps nothing: notes carried the band's own numbers.
    pub is_relay: bool,
    /// How long it took to seat everybody, in seconds.
    pub seating_seconds: f64,
    /// Connections that were held.
    pub connections: u64,
    /// What became of the notes.
    pub notes: Tally,
    /// Single figures of this scenario, by name and unit: less is better.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
    /// The parts of the run.
    pub phases: Vec<PhaseOutcome>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// What was wrong; empty where the run passed.
    pub failures: Vec<String>,
}

/// A part of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// When it began, in seconds since the piece did.
    pub from: f64,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// From the moment a note was due to its arrival.
    pub latency: Percentiles,
    /// From the moment a note was due to the moment it was sent: our own share of that.
    pub lateness: Percentiles,
    /// What the server took, where its process was watched.
    pub server: Option<Taken>,
    /// What the load took.
    pub load: Taken,
    /// What happened beside the band.
    pub beside: Option<Beside>,
}

impl PhaseOutcome {
    /// Notes that arrived, a second.
    pub fn rate(&self) -> f64 {
        self.latency.count as f64 / self.seconds.max(f64::EPSILON)
    }

    /// The server's processor time a delivery, in microseconds.
    pub fn us_per_delivery(&self) -> Option<f64> {
        let server = self.server.as_ref()?;
        (self.latency.count > 0).then(|| server.cores * 1e6 / self.rate())
    }
}

/// What happened beside the band.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// How often what happened: what was tried, and what the server made of it.
    pub counts: BTreeMap<String, u64>,
    /// How long what was tried took, from when it was due.
    pub latency: Percentiles,
    /// What should not have happened.
    pub failures: Vec<String>,
}

impl Beside {
    /// Counts one.
    pub fn count(&mut self, what: impl Into<String>) {
        self.add(what, 1);
    }

    /// Counts many.
    pub fn add(&mut self, what: impl Into<String>, many: u64) {
        *self.counts.entry(what.into()).or_default() += many;
    }
}

/// A second of a run, or about one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// When it ended, in seconds since the piece began.
    pub at: f64,
    /// Notes that arrived.
    pub deliveries: f64,
    /// Their latency, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 lie at or below.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// What the server took, in cores, by thread; empty where its process was not watched.
    pub server: BTreeMap<String, f64>,
    /// Its memory, in bytes.
    pub resident: u64,
    /// What the load took, in cores.
    pub load: f64,
    /// What the shards said, where the operators' port was asked.
    pub shards: Vec<ShardLook>,
}

impl Outcome {
    /// What it is called: as its file does, or else by its scenario.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.scenario)
    }

    /// Whether nothing was wrong.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(path, json)
    }

    /// Reads what [`Outcome::write`] wrote.
    pub fn read(path: &Path) -> io::Result<Self> {
        let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let outcome: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if outcome.form != FORM {
            return Err(wrong(format!("a result file of form {}; this tool reads form {FORM}", outcome.form)));
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_another_form_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let phase = PhaseOutcome { name: "quiet".into(), seconds: 2.5, ..PhaseOutcome::default() };
        let outcome = Outcome { form: FORM, phases: vec![phase], ..Outcome::default() };
        outcome.write(&path).unwrap();
        assert_eq!(Outcome::read(&path).unwrap(), outcome);
        Outcome { form: 99, ..outcome }.write(&path).unwrap();
        assert!(Outcome::read(&path).unwrap_err().to_string().contains("form 99"));
    }
}
