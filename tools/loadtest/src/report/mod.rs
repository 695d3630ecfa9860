//! A result as one HTML page with plots: it needs no network and no other file.

use std::{collections::BTreeSet, fmt::Write as _};

use crate::{
    hall::Tally,
    outcome::{Outcome, PhaseOutcome, Second},
    report::{
        plot::{Axis, Band, Line, Plot},
        text::{escaped, number},
    },
};

mod plot;
mod text;

const STYLE: &str = include_str!("page.css");

const MIB: f64 = 1024.0 * 1024.0;

/// Threads that take less of a core than this all the time have no line of their own.
const IDLE_THREAD: f64 = 0.01;

/// A figure of each second, and its name.
type Figure = (&'static str, fn(&Second) -> f64);

/// The page.
pub fn page(outcome: &Outcome) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{0}: load test</title>\n<style>\n{STYLE}</style>\n<h1>{0}</h1>\n",
        escaped(outcome.title())
    );
    let settings: Vec<_> = outcome.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let _ = writeln!(page, "<p class=\"dim\">{}; {}</p>", escaped(&outcome.url), escaped(&settings.join(", ")));
    verdict(outcome, &mut page);
    phases(outcome, &mut page);
    beside(outcome, &mut page);
    page.push_str(
        "<h2>Latency</h2>\n<p class=\"dim\">From the moment a note was due to its arrival at each listener.</p>\n",
    );
    page.push_str(&percentiles(outcome).html());
    let lines = |lines: &[Figure]| lines.iter().map(|(name, of)| line(outcome, name, of)).collect();
    let latency = lines(&[("p50", |s| s.p50_ms), ("p99", |s| s.p99_ms), ("max", |s| s.max_ms)]);
    page.push_str(&over_time(outcome, "Latency over time", "ms", latency).html());
    page.push_str("<h2>Throughput</h2>\n");
    let deliveries = lines(&[("notes", |s| s.deliveries)]);
    page.push_str(&over_time(outcome, "Notes delivered", "a second", deliveries).html());
    let shards = by_shard(outcome, |shard| shard.deliveries);
    page.push_str(&over_time(outcome, "Frames queued, by shard", "a second", shards).html());
    page.push_str("<h2>Server and load</h2>\n");
    page.push_str(&over_time(outcome, "Processor time", "% of a core", processors(outcome)).html());
    let shards = by_shard(outcome, |shard| shard.usage * 100.0);
    page.push_str(&over_time(outcome, "Use of each shard's core, as the server tells it", "%", shards).html());
    if outcome.timeline.iter().any(|second| second.resident > 0) {
        let memory = lines(&[("server", |s| s.resident as f64 / MIB)]);
        page.push_str(&over_time(outcome, "Memory of the server", "MiB", memory).html());
    }
    let connections = by_shard(outcome, |shard| shard.connections);
    page.push_str(&over_time(outcome, "Connections, by shard", "", connections).html());
    page.push_str("</html>\n");
    page
}

fn verdict(outcome: &Outcome, page: &mut String) {
    let (class, word) = if outcome.passed() { ("passed", "passed") } else { ("failed", "failed") };
    let Tally { expected, arrived, lost, doubled, reordered, .. } = &outcome.notes;
    let _ = write!(page, "<p><span class=\"verdict {class}\">{word}</span>");
    if *expected > 0 {
        let (arrived, expected) = (number(*arrived as f64), number(*expected as f64));
        let _ = write!(
            page,
            ": {arrived} of {expected} notes arrived; lost {lost}, doubled {doubled}, reordered {reordered}"
        );
    }
    let _ = writeln!(page, ". {} connections.</p>", number(outcome.connections as f64));
    if outcome.is_relay {
        page.push_str(
            "<p>Against a plain relay: notes carried the band's own numbers, which it passes on as they are.</p>\n",
        );
    }
    if !outcome.failures.is_empty() {
        let items: String = outcome.failures.iter().map(|failure| format!("<li>{}</li>", escaped(failure))).collect();
        let _ = writeln!(page, "<ul class=\"wrong\">{items}</ul>");
    }
    for (name, value) in &outcome.figures {
        let _ = writeln!(page, "<p>{}: {}</p>", escaped(name), number(*value));
    }
}

fn phases(outcome: &Outcome, page: &mut String) {
    let quiet = outcome.phases.first().map_or(0.0, |phase| phase.latency.p99_ms);
    let row = |phase: &PhaseOutcome| {
        let latency = &phase.latency;
        let ratio = if quiet > 0.0 { number(latency.p99_ms / quiet) } else { "–".into() };
        let server = phase.server.as_ref();
        let mut cells = vec![number(phase.rate())];
        cells.extend(
            [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms, phase.lateness.p99_ms]
                .map(number),
        );
        cells.push(ratio);
        cells.push(server.map_or("–".into(), |server| number(server.cores * 100.0)));
        cells.push(phase.us_per_delivery().map_or("–".into(), number));
        cells.push(server.map_or("–".into(), |server| number(server.resident as f64 / MIB)));
        cells.push(number(phase.load.cores * 100.0));
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr><td>{}</td>{cells}</tr>\n", escaped(&phase.name))
    };
    let heads = [
        "part",
        "notes/s",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "max",
        "own p99",
        "p99 ÷ first",
        "server %",
        "µs a delivery",
        "MiB",
        "load %",
    ];
    let heads: String = heads.map(|head| format!("<th>{head}</th>")).concat();
    let rows: String = outcome.phases.iter().map(row).collect();
    let _ = writeln!(page, "<div class=\"wide\"><table><tr>{heads}</tr>\n{rows}</table></div>");
}

fn beside(outcome: &Outcome, page: &mut String) {
    let besides: Vec<_> = outcome.phases.iter().filter_map(|phase| Some((phase, phase.beside.as_ref()?))).collect();
    if besides.is_empty() {
        return;
    }
    page.push_str("<h2>Beside the band</h2>\n<div class=\"wide\"><table><tr><th>part</th><th></th><th>p50 ms</th><th>p99</th></tr>\n");
    for (phase, beside) in besides {
        let took = |ms| if beside.latency.count > 0 { number(ms) } else { "–".into() };
        let counts: Vec<_> =
            beside.counts.iter().map(|(what, count)| format!("{what} × {}", number(*count as f64))).collect();
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"words\">{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&phase.name),
            escaped(&counts.join(", ")),
            took(beside.latency.p50_ms),
            took(beside.latency.p99_ms)
        );
    }
    page.push_str("</table></div>\n");
}

fn percentiles(outcome: &Outcome) -> Plot {
    let lines = outcome.phases.iter().filter(|phase| !phase.latency.curve.is_empty());
    let lines = lines.map(|phase| Line { name: phase.name.clone(), points: phase.latency.curve.clone() });
    Plot {
        title: "Latency by share of the notes".into(),
        across: "share of the notes that arrived at or before",
        up: "ms",
        axis: Axis::Nines,
        bands: Vec::new(),
        lines: lines.collect(),
    }
}

fn over_time(outcome: &Outcome, title: &str, up: &'static str, lines: Vec<Line>) -> Plot {
    let band =
        |phase: &PhaseOutcome| Band { name: phase.name.clone(), from: phase.from, until: phase.from + phase.seconds };
    let bands = outcome.phases.iter().map(band).collect();
    Plot { title: title.into(), across: "seconds since the piece began", up, axis: Axis::Even, bands, lines }
}

fn line(outcome: &Outcome, name: &str, of: impl Fn(&Second) -> f64) -> Line {
    Line { name: name.into(), points: outcome.timeline.iter().map(|second| (second.at, of(second))).collect() }
}

fn processors(outcome: &Outcome) -> Vec<Line> {
    let threads: BTreeSet<&String> = outcome
        .timeline
        .iter()
        .flat_map(|second| second.server.iter().filter(|(_, share)| **share >= IDLE_THREAD).map(|(name, _)| name))
        .collect();
    let mut lines = Vec::new();
    if !threads.is_empty() {
        lines.push(line(outcome, "server, all", |second| second.server.values().sum::<f64>() * 100.0));
    }
    if threads.len() > 1 {
        lines.extend(
            threads
                .into_iter()
                .map(|name| line(outcome, name, |second| second.server.get(name).copied().unwrap_or(0.0) * 100.0)),
        );
    }
    lines.push(line(outcome, "load", |second| second.load * 100.0));
    lines
}

fn by_shard(outcome: &Outcome, of: fn(&crate::watch::ShardLook) -> f64) -> Vec<Line> {
    let shards = outcome.timeline.iter().map(|second| second.shards.len()).max().unwrap_or(0);
    let shard =
        |shard: usize| line(outcome, &format!("shard {shard}"), |second| second.shards.get(shard).map_or(0.0, of));
    (0..shards).map(shard).collect()
}

#[cfg(test)]
mod tests;
