//! What a run found, as a table for people.

use std::fmt;

use crate::{
    hall::Tally,
    outcome::{Outcome, PhaseOutcome},
    process::mib,
};

/// Shows an outcome.
pub struct Summary<'a>(pub &'a Outcome);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(outcome) = self;
        let settings: Vec<_> = outcome.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(f, "{}: {}", outcome.title(), settings.join(", "))?;
        if outcome.is_relay {
            writeln!(f, "against a plain relay: notes carried the band's own numbers, which it passes on as they are")?;
        }
        writeln!(f, "{} connections, seated in {:.1} s", outcome.connections, outcome.seating_seconds)?;
        notes(f, &outcome.notes)?;
        if outcome.phases.iter().any(|phase| phase.latency.count > 0) {
            latencies(f, &outcome.phases)?;
        }
        for phase in &outcome.phases {
            processes(f, phase)?;
        }
        for phase in &outcome.phases {
            beside(f, phase)?;
        }
        for (name, value) in &outcome.figures {
            writeln!(f, "{name}: {value:.2}")?;
        }
        match &outcome.failures[..] {
            [] => writeln!(f, "PASSED"),
            failures => {
                failures.iter().try_for_each(|failure| writeln!(f, "wrong: {failure}"))?;
                writeln!(f, "FAILED")
            }
        }
    }
}

fn notes(f: &mut fmt::Formatter<'_>, notes: &Tally) -> fmt::Result {
    if notes.expected == 0 {
        return Ok(());
    }
    let Tally { expected, arrived, lost, doubled, reordered, wrong, shed, refused, unsent, .. } = notes;
    writeln!(
        f,
        "notes: {arrived} of {expected} arrived; lost {lost}, doubled {doubled}, reordered {reordered}, wrong {wrong}, \
         shed {shed}, refused {refused}, unsent {unsent}"
    )
}

/// The parts beside each other. Where there are several, the first is what the others are compared with.
fn latencies(f: &mut fmt::Formatter<'_>, phases: &[PhaseOutcome]) -> fmt::Result {
    let width = phases.iter().map(|phase| phase.name.chars().count()).max().unwrap_or(0).max(4);
    writeln!(
        f,
        "\n{:width$} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "part", "notes/s", "p50 ms", "p90", "p99", "p99.9", "max", "own p99", "p99 ratio"
    )?;
    let quiet = phases[0].latency.p99_ms;
    for (number, phase) in phases.iter().enumerate() {
        let latency = &phase.latency;
        let ratio = if number == 0 || quiet == 0.0 { "".into() } else { format!("{:.2}", latency.p99_ms / quiet) };
        writeln!(
            f,
            "{:width$} {:>11.0} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9}",
            phase.name,
            phase.rate(),
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.p999_ms,
            latency.max_ms,
            phase.lateness.p99_ms,
            ratio
        )?;
    }
    writeln!(f)
}

fn processes(f: &mut fmt::Formatter<'_>, phase: &PhaseOutcome) -> fmt::Result {
    let name = &phase.name;
    if let Some(server) = &phase.server {
        let busy = server.threads.iter().filter(|(_, share)| **share >= 0.005);
        let busy: Vec<_> = busy.map(|(name, share)| format!("{name} {:.1} %", share * 100.0)).collect();
        let each = phase.us_per_delivery().map(|us| format!(", {us:.2} µs a delivery")).unwrap_or_default();
        writeln!(
            f,
            "{name}: server {:.1} % of a core{each} ({}), resident {}, at most {}",
            server.cores * 100.0,
            busy.join(", "),
            mib(server.resident),
            mib(server.resident_peak)
        )?;
    }
    writeln!(f, "{name}: load {:.1} % of a core, resident {}", phase.load.cores * 100.0, mib(phase.load.resident))
}

fn beside(f: &mut fmt::Formatter<'_>, phase: &PhaseOutcome) -> fmt::Result {
    let Some(beside) = &phase.beside else { return Ok(()) };
    let counts: Vec<_> = beside.counts.iter().map(|(what, count)| format!("{what} × {count}")).collect();
    writeln!(f, "{}: {}", phase.name, counts.join(", "))?;
    if beside.latency.count > 0 {
        writeln!(f, "{}: took {}", phase.name, beside.latency)?;
    }
    Ok(())
}
