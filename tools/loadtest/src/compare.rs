//! Two results beside each other: what became better or worse, and by how much.

use std::{fmt, io, path::PathBuf};

use clap::Args;

use crate::outcome::{Outcome, PhaseOutcome};

/// Times that differ by less than this, in milliseconds, differ by chance.
const NOISE_MS: f64 = 0.05;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// The result of `--json` to compare with
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// The result to judge
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// How much worse, as a ratio, is a regression: the exit code is 1 then
    #[arg(long, value_name = "RATIO", default_value_t = 1.2, value_parser = ratio)]
    pub fail_over: f64,
}

/// A ratio of at least 1.
fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "a number such as 1.2".to_owned())?;
    if ratio.is_finite() && ratio >= 1.0 { Ok(ratio) } else { Err("at least 1".into()) }
}

impl Compare {
    /// Reads both and compares.
    pub fn run(&self) -> io::Result<Comparison> {
        Ok(compare(&Outcome::read(&self.before)?, &Outcome::read(&self.after)?, self.fail_over))
    }
}

/// One figure of both.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which: its part and name.
    pub name: String,
    /// Before and after; less is better.
    pub values: (f64, f64),
    /// After by before; `None` where before is 0.
    pub ratio: Option<f64>,
    /// Whether it is worse by more than was allowed.
    pub is_regression: bool,
}

/// Two results beside each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// All figures that both have.
    pub rows: Vec<Row>,
    /// What makes them hard to compare, or is worse without being a ratio.
    pub remarks: Vec<String>,
    /// Whether the second failed where the first passed.
    pub newly_failed: bool,
}

impl Comparison {
    /// Whether nothing became worse by more than was allowed.
    pub fn is_good(&self) -> bool {
        !self.newly_failed && !self.rows.iter().any(|row| row.is_regression)
    }
}

/// Compares two results.
pub fn compare(before: &Outcome, after: &Outcome, fail_over: f64) -> Comparison {
    let mut comparison = Comparison { newly_failed: before.passed() && !after.passed(), ..Comparison::default() };
    let remarks = &mut comparison.remarks;
    if before.scenario != after.scenario {
        remarks.push(format!("different scenarios: {} and {}", before.scenario, after.scenario));
    }
    let names = before.settings.keys().chain(after.settings.keys().filter(|name| !before.settings.contains_key(*name)));
    for name in names {
        let of = |outcome: &Outcome| outcome.settings.get(name).cloned().unwrap_or_else(|| "nothing".into());
        if of(before) != of(after) {
            remarks.push(format!("different settings: {name} is {} and {}", of(before), of(after)));
        }
    }
    remarks.extend(after.failures.iter().map(|failure| format!("the second: {failure}")));
    let mut add = |name: String, values: (f64, f64), noise: f64| {
        let ratio = (values.0 > 0.0).then(|| values.1 / values.0);
        let is_regression = values.1 - values.0 > noise && ratio.is_none_or(|ratio| ratio > fail_over);
        comparison.rows.push(Row { name, values, ratio, is_regression });
    };
    for (first, second) in pairs(&before.phases, &after.phases) {
        let name = |what: &str| format!("{}: {what}", first.name);
        let latencies = (&first.latency, &second.latency);
        if latencies.0.count > 0 && latencies.1.count > 0 {
            let (a, b) = latencies;
            for (what, values) in [
                ("p50 ms", (a.p50_ms, b.p50_ms)),
                ("p90 ms", (a.p90_ms, b.p90_ms)),
                ("p99 ms", (a.p99_ms, b.p99_ms)),
                ("p99.9 ms", (a.p999_ms, b.p999_ms)),
            ] {
                add(name(what), values, NOISE_MS);
            }
        }
        if let Some(values) = first.us_per_delivery().zip(second.us_per_delivery()) {
            add(name("server µs a delivery"), values, 0.0);
        } else if let Some((a, b)) = first.server.as_ref().zip(second.server.as_ref()) {
            // An idle server takes next to nothing, and twice that is next to nothing too.
            add(name("server % of a core"), (a.cores * 100.0, b.cores * 100.0), 0.5);
        }
        if let Some((a, b)) = first.server.as_ref().zip(second.server.as_ref()) {
            let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
            add(name("server memory at most, MiB"), (mib(a.resident_peak), mib(b.resident_peak)), 4.0);
        }
        if let Some((a, b)) = first.beside.as_ref().zip(second.beside.as_ref())
            && a.latency.count > 0
            && b.latency.count > 0
        {
            add(name("beside, p50 ms"), (a.latency.p50_ms, b.latency.p50_ms), NOISE_MS);
            add(name("beside, p99 ms"), (a.latency.p99_ms, b.latency.p99_ms), NOISE_MS);
        }
    }
    for (name, value) in &before.figures {
        if let Some(other) = after.figures.get(name) {
            add(name.clone(), (*value, *other), 0.0);
        }
    }
    comparison
}

/// Parts of the same name.
fn pairs<'a>(
    before: &'a [PhaseOutcome],
    after: &'a [PhaseOutcome],
) -> impl Iterator<Item = (&'a PhaseOutcome, &'a PhaseOutcome)> {
    before.iter().filter_map(|first| Some((first, after.iter().find(|second| second.name == first.name)?)))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(6);
        writeln!(f, "{:width$} {:>12} {:>12} {:>8}", "figure", "before", "after", "ratio")?;
        for Row { name, values, ratio, is_regression } in &self.rows {
            let ratio = ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"));
            let mark = if *is_regression { "  WORSE" } else { "" };
            writeln!(f, "{name:width$} {:>12.3} {:>12.3} {ratio:>8}{mark}", values.0, values.1)?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))?;
        let worse = self.rows.iter().filter(|row| row.is_regression).count();
        match (worse, self.newly_failed) {
            (0, false) => writeln!(f, "nothing is worse"),
            (0, true) => writeln!(f, "the second run failed, the first passed"),
            (worse, _) => writeln!(f, "{worse} of {} figures are worse", self.rows.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::percentiles::Percentiles;

    fn outcome(p99_ms: f64) -> Outcome {
        let latency =
            Percentiles { count: 10, p50_ms: 0.1, p90_ms: 0.5, p99_ms, p999_ms: 9.0, ..Percentiles::default() };
        let phase = PhaseOutcome { name: "band".into(), seconds: 1.0, latency, ..PhaseOutcome::default() };
        Outcome { phases: vec![phase], ..Outcome::default() }
    }

    fn worse(comparison: &Comparison) -> Vec<&str> {
        comparison.rows.iter().filter(|row| row.is_regression).map(|row| &row.name[..]).collect()
    }

    #[test]
    fn what_is_worse_by_more_than_allowed_is_a_regression() {
        assert_eq!(worse(&compare(&outcome(2.0), &outcome(3.0), 1.2)), ["band: p99 ms"]);
        assert!(compare(&outcome(2.0), &outcome(3.0), 1.5).is_good());
        assert!(compare(&outcome(3.0), &outcome(2.0), 1.0).is_good());
    }

    #[test]
    fn what_differs_by_chance_is_none() {
        assert!(compare(&outcome(0.02), &outcome(0.06), 1.2).is_good(), "forty microseconds");
    }

    #[test]
    fn what_was_nothing_and_is_something_is_a_regression() {
        let comparison = compare(&outcome(0.0), &outcome(3.0), 100.0);
        assert_eq!(worse(&comparison), ["band: p99 ms"]);
        assert!(comparison.to_string().contains("WORSE"));
    }

    #[test]
    fn a_failed_run_is_no_good_whatever_its_figures() {
        let failed = Outcome { failures: vec!["notes lost: 3".into()], ..outcome(2.0) };
        let comparison = compare(&outcome(2.0), &failed, 1.2);
        assert!(!comparison.is_good() && comparison.to_string().contains("notes lost: 3"), "{comparison}");
        assert!(compare(&failed, &failed, 1.2).is_good(), "it failed before");
    }

    #[test]
    fn different_settings_and_single_figures_are_told() {
        let with = |rooms: &str, each: f64| Outcome {
            settings: BTreeMap::from([("rooms".into(), rooms.into())]),
            figures: BTreeMap::from([("memory each, KiB".into(), each)]),
            ..outcome(2.0)
        };
        let comparison = compare(&with("5", 2.0), &with("50", 3.0), 1.2);
        assert_eq!(comparison.remarks, ["different settings: rooms is 5 and 50"]);
        assert_eq!(worse(&comparison), ["memory each, KiB"]);
    }
}
