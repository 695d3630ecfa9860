//! How much later notes come beside something than without it: by name, over all windows of a run.
//!
//! The p99 of a window in which something happens is put beside that of the quiet windows right before and after it, so that a
//! machine that is slow for a while is slow for both. Of several such ratios the median counts.

use std::collections::BTreeMap;

use crate::outcome::PhaseOutcome;

/// What the figures are called, before the name of what happened.
const FIGURE: &str = "p99 ratio, ";
/// All windows together.
const ALL: &str = "all of it";

/// The median ratio by the name of what happened, and of all windows where there are several kinds; empty where nothing happened.
pub fn figures(phases: &[PhaseOutcome]) -> BTreeMap<String, f64> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (at, phase) in phases.iter().enumerate().filter(|(_, phase)| phase.beside.is_some()) {
        if let Some(quiet) = quiet_around(phases, at) {
            by_name.entry(&phase.name).or_default().push(phase.latency.p99_ms / quiet);
        }
    }
    let all: Vec<f64> = by_name.values().flatten().copied().collect();
    let mut figures = BTreeMap::new();
    if by_name.len() > 1 {
        figures.insert(format!("{FIGURE}{ALL}"), median(all));
    }
    figures.extend(by_name.into_iter().map(|(name, ratios)| (format!("{FIGURE}{name}"), median(ratios))));
    figures
}

/// In words, what was slowed by more than was allowed.
pub fn slowed(figures: &BTreeMap<String, f64>, max: Option<f64>) -> Vec<String> {
    let Some(max) = max else { return Vec::new() };
    let ratios = figures.iter().filter_map(|(figure, ratio)| Some((figure.strip_prefix(FIGURE)?, *ratio)));
    let slowed = ratios.filter(|(_, ratio)| *ratio > max);
    slowed
        .map(|(name, ratio)| format!("{name}: p99 is {ratio:.2} times what it is in quiet; {max} is allowed"))
        .collect()
}

/// The mean p99 of the quiet windows next to one, where notes arrived in them.
fn quiet_around(phases: &[PhaseOutcome], at: usize) -> Option<f64> {
    let is_quiet = |phase: &&PhaseOutcome| phase.beside.is_none() && phase.latency.p99_ms > 0.0;
    let before = phases[..at].iter().rev().find(is_quiet);
    let after = phases[at + 1..].iter().find(is_quiet);
    let around: Vec<f64> = [before, after].into_iter().flatten().map(|phase| phase.latency.p99_ms).collect();
    (!around.is_empty()).then(|| around.iter().sum::<f64>() / around.len() as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outcome::Beside, percentiles::Percentiles};

    fn phase(name: &str, p99_ms: f64) -> PhaseOutcome {
        let beside = (name != "quiet").then(Beside::default);
        let latency = Percentiles { p99_ms, count: 1000, ..Percentiles::default() };
        PhaseOutcome { name: name.into(), latency, beside, ..PhaseOutcome::default() }
    }

    #[test]
    fn each_window_is_put_beside_its_neighbours_and_the_median_counts() {
        let phases = [
            phase("quiet", 1.0),
            phase("pings", 2.0),
            phase("quiet", 3.0),
            // The machine is slow for a while: for both.
            phase("pings", 12.0),
            phase("quiet", 9.0),
            phase("chat", 9.0),
            phase("pings", 90.0),
        ];
        let figures = figures(&phases);
        assert_eq!(figures["p99 ratio, pings"], 2.0, "of 1, 2 and 10");
        assert_eq!(figures["p99 ratio, chat"], 1.0);
        assert_eq!(figures["p99 ratio, all of it"], 1.5, "of 1, 1, 2 and 10");
        let slowed = slowed(&figures, Some(1.5));
        assert_eq!(slowed, ["pings: p99 is 2.00 times what it is in quiet; 1.5 is allowed"]);
    }

    #[test]
    fn where_nothing_happens_there_is_no_ratio() {
        assert!(figures(&[phase("quiet", 1.0)]).is_empty());
        assert!(slowed(&BTreeMap::new(), Some(1.5)).is_empty());
    }
}
