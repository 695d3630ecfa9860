use std::collections::BTreeMap;

use super::*;
use crate::{
    outcome::Beside,
    percentiles::Percentiles,
    watch::{ShardLook, Taken},
};

fn outcome() -> Outcome {
    let latency = |p99_ms| Percentiles {
        count: 1000,
        p50_ms: 0.4,
        p99_ms,
        curve: vec![(0.0, 0.1), (0.5, 0.4), (0.99, p99_ms), (1.0, 9.0)],
        ..Percentiles::default()
    };
    let server = Taken {
        cores: 0.5,
        threads: BTreeMap::from([("shard-0".into(), 0.5)]),
        resident: 64 << 20,
        ..Taken::default()
    };
    let phase = |name: &str, from, p99_ms| PhaseOutcome {
        name: name.into(),
        from,
        seconds: 2.0,
        latency: latency(p99_ms),
        server: Some(server.clone()),
        ..PhaseOutcome::default()
    };
    let storm = Beside { counts: BTreeMap::from([("closed <1002>".into(), 1234)]), ..Beside::default() };
    let second = |at: f64| Second {
        at,
        deliveries: 500.0,
        p99_ms: at,
        server: BTreeMap::from([("shard-0".into(), 0.5), ("front desk".into(), 0.1)]),
        resident: 64 << 20,
        shards: vec![ShardLook { usage: 0.5, ..ShardLook::default() }, ShardLook::default()],
        ..Second::default()
    };
    Outcome {
        scenario: "hostile & co".into(),
        phases: vec![phase("quiet", 1.0, 2.0), PhaseOutcome { beside: Some(storm), ..phase("storm", 4.0, 3.0) }],
        timeline: (1..7).map(|at| second(f64::from(at))).collect(),
        ..Outcome::default()
    }
}

#[test]
fn the_page_shows_what_was_found_and_needs_nothing_else() {
    let page = page(&outcome());
    for word in [
        "hostile &amp; co",
        "passed",
        "1.5",
        "closed &lt;1002&gt; × 1\u{202f}234",
        "shard 1",
        "front desk",
        "Latency over time",
    ] {
        assert!(page.contains(word), "{word} is missing");
    }
    for word in ["http://", "https://", "<script", "src="] {
        assert!(!page.contains(word), "{word} is in it");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert_eq!(page.matches("<svg").count(), 8);
}

#[test]
fn what_failed_is_said_first() {
    let failed = Outcome { failures: vec!["notes lost: 3".into()], ..outcome() };
    let page = page(&failed);
    assert!(page.find("notes lost: 3").unwrap() < page.find("<table").unwrap());
    assert!(page.contains("verdict failed"));
}

#[test]
fn a_result_without_figures_is_a_page_without_plots() {
    let page = page(&Outcome::default());
    assert!(!page.contains("<svg"), "{page}");
}
