use super::*;

/// Figures that are all different.
fn all_different() -> KindFigures {
    let figures = KindFigures::default();
    let single = [
        &figures.processed,
        &figures.pending,
        &figures.actors,
        &figures.loading,
        &figures.rejected,
        &figures.errors,
        &figures.panics,
        &figures.restarts,
        &figures.activations,
        &figures.retirements,
        &figures.expired,
        &figures.stuck,
        &figures.slow,
        &figures.late_answers,
    ];
    for (number, figure) in (1..).zip(single) {
        figure.set(number);
    }
    for (number, reason) in (101..).zip(DeadReason::ALL) {
        figures.dead_letters(reason).set(number);
    }
    for ns in [100, 200, 300, 1_000_000, 200_000_000_000] {
        figures.wait.record(ns);
    }
    figures.handling.record(1024);
    figures.handling.record(1025);
    figures
}

const ALL_DIFFERENT: &str = r#"# HELP pianorhythm_actor_processed_total Messages handled, well or not.
# TYPE pianorhythm_actor_processed_total counter
pianorhythm_actor_processed_total{host="shard-0",kind="room"} 1
# HELP pianorhythm_actor_pending Messages that wait in mailboxes.
# TYPE pianorhythm_actor_pending gauge
pianorhythm_actor_pending{host="shard-0",kind="room"} 2
# HELP pianorhythm_actors Actors that are there, loading ones included.
# TYPE pianorhythm_actors gauge
pianorhythm_actors{host="shard-0",kind="room"} 3
# HELP pianorhythm_actor_loading Actors whose state is loading.
# TYPE pianorhythm_actor_loading gauge
pianorhythm_actor_loading{host="shard-0",kind="room"} 4
# HELP pianorhythm_actor_rejected_total Messages refused because a mailbox was full.
# TYPE pianorhythm_actor_rejected_total counter
pianorhythm_actor_rejected_total{host="shard-0",kind="room"} 5
# HELP pianorhythm_actor_errors_total Messages whose handling ended in an error.
# TYPE pianorhythm_actor_errors_total counter
pianorhythm_actor_errors_total{host="shard-0",kind="room"} 6
# HELP pianorhythm_actor_panics_total Messages whose handling panicked.
# TYPE pianorhythm_actor_panics_total counter
pianorhythm_actor_panics_total{host="shard-0",kind="room"} 7
# HELP pianorhythm_actor_restarts_total Actors restarted after a failure.
# TYPE pianorhythm_actor_restarts_total counter
pianorhythm_actor_restarts_total{host="shard-0",kind="room"} 8
# HELP pianorhythm_actor_activations_total Actors activated.
# TYPE pianorhythm_actor_activations_total counter
pianorhythm_actor_activations_total{host="shard-0",kind="room"} 9
# HELP pianorhythm_actor_retirements_total Actors retired for being idle.
# TYPE pianorhythm_actor_retirements_total counter
pianorhythm_actor_retirements_total{host="shard-0",kind="room"} 10
# HELP pianorhythm_actor_expired_total Messages whose deadline passed before they were handled.
# TYPE pianorhythm_actor_expired_total counter
pianorhythm_actor_expired_total{host="shard-0",kind="room"} 11
# HELP pianorhythm_actor_stuck Actors that have not finished a message within its limit.
# TYPE pianorhythm_actor_stuck gauge
pianorhythm_actor_stuck{host="shard-0",kind="room"} 12
# HELP pianorhythm_actor_slow_total Messages whose handling took longer than its limit.
# TYPE pianorhythm_actor_slow_total counter
pianorhythm_actor_slow_total{host="shard-0",kind="room"} 13
# HELP pianorhythm_actor_late_answers_total Answers that came after their ask had ended.
# TYPE pianorhythm_actor_late_answers_total counter
pianorhythm_actor_late_answers_total{host="shard-0",kind="room"} 14
# HELP pianorhythm_actor_dead_letters_total Messages that reached nobody.
# TYPE pianorhythm_actor_dead_letters_total counter
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="no_such_actor"} 101
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="stopped"} 102
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="mailbox_full"} 103
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="dropped_oldest"} 104
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="dropped_newest"} 105
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="expired"} 106
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="load_failed"} 107
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="actor_failed"} 108
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="host_full"} 109
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="host_gone"} 110
pianorhythm_actor_dead_letters_total{host="shard-0",kind="room",reason="late_answer"} 111
# HELP pianorhythm_actor_wait_seconds Time from a message's sending to its handling.
# TYPE pianorhythm_actor_wait_seconds histogram
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000000256"} 2
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000001024"} 3
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000004096"} 3
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000016384"} 3
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000065536"} 3
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.000262144"} 3
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.001048576"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.004194304"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.016777216"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.067108864"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="0.268435456"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="1.073741824"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="4.294967296"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="17.179869184"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="68.719476736"} 4
pianorhythm_actor_wait_seconds_bucket{host="shard-0",kind="room",le="+Inf"} 5
pianorhythm_actor_wait_seconds_sum{host="shard-0",kind="room"} 200.0010006
pianorhythm_actor_wait_seconds_count{host="shard-0",kind="room"} 5
# HELP pianorhythm_actor_handling_seconds Time that a message's handling took.
# TYPE pianorhythm_actor_handling_seconds histogram
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000000256"} 0
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000001024"} 1
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000004096"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000016384"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000065536"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.000262144"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.001048576"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.004194304"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.016777216"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.067108864"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="0.268435456"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="1.073741824"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="4.294967296"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="17.179869184"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="68.719476736"} 2
pianorhythm_actor_handling_seconds_bucket{host="shard-0",kind="room",le="+Inf"} 2
pianorhythm_actor_handling_seconds_sum{host="shard-0",kind="room"} 0.000002049
pianorhythm_actor_handling_seconds_count{host="shard-0",kind="room"} 2
"#;

fn rendered(figures: &[(&str, &str, &KindFigures)]) -> String {
    let mut out = String::new();
    KindFigures::render(figures, &mut out);
    out
}

#[test]
fn prometheus_reads_every_figure() {
    assert_eq!(rendered(&[("shard-0", "room", &all_different())]), ALL_DIFFERENT);
}

#[test]
fn each_family_is_described_once_and_has_its_lines_together() {
    let (one, other) = (all_different(), all_different());
    let text = rendered(&[("shard-0", "room", &one), ("front-desk", "statistics", &other)]);
    // Each family of two is that of the one, then its lines again for the other.
    let mut expected = String::new();
    let mut again = String::new();
    for line in ALL_DIFFERENT.lines() {
        if line.starts_with("# HELP") {
            expected.push_str(&std::mem::take(&mut again));
        } else if !line.starts_with('#') {
            again.push_str(&line.replace("shard-0", "front-desk").replace("\"room\"", "\"statistics\""));
            again.push('\n');
        }
        expected.push_str(line);
        expected.push('\n');
    }
    assert_eq!(text, expected + &again);
}

#[test]
fn rendering_appends() {
    let mut out = String::from("before\n");
    KindFigures::render(&[("shard-0", "room", &all_different())], &mut out);
    assert_eq!(out, format!("before\n{ALL_DIFFERENT}"));
}

#[test]
fn without_figures_nothing_is_rendered() {
    assert_eq!(rendered(&[]), "");
}

#[test]
fn names_may_be_any_text() {
    let text = rendered(&[("a\\b", "say \"hi\"\nand go", &KindFigures::default())]);
    assert!(text.contains(r#"pianorhythm_actors{host="a\\b",kind="say \"hi\"\nand go"} 0"#), "{text}");
    assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("pianorhythm_actor")), "{text}");
}

#[test]
fn people_read_every_figure() {
    let times = json!({ "count": 2, "mean_us": 1.0245, "p50_us": 1.024, "p99_us": 1.025, "max_us": 1.025 });
    assert_eq!(
        all_different().to_json(),
        json!({
            "processed": 1,
            "pending": 2,
            "actors": 3,
            "loading": 4,
            "rejected": 5,
            "errors": 6,
            "panics": 7,
            "restarts": 8,
            "activations": 9,
            "retirements": 10,
            "expired": 11,
            "stuck": 12,
            "slow": 13,
            "late_answers": 14,
            "dead_letters": {
                "no_such_actor": 101,
                "stopped": 102,
                "mailbox_full": 103,
                "dropped_oldest": 104,
                "dropped_newest": 105,
                "expired": 106,
                "load_failed": 107,
                "actor_failed": 108,
                "host_full": 109,
                "host_gone": 110,
                "late_answer": 111,
            },
            "wait": {
                "count": 5,
                "mean_us": 40_000_200.12,
                "p50_us": 0.512,
                "p99_us": 200_000_000.0,
                "max_us": 200_000_000.0,
            },
            "handling": times,
        })
    );
}

#[test]
fn the_99th_percentile_is_not_the_maximum() {
    let figures = KindFigures::default();
    for _ in 0..99 {
        figures.wait.record(100_000);
    }
    figures.wait.record(1_000_000);
    let wait = &figures.to_json()["wait"];
    assert_eq!((&wait["p50_us"], &wait["p99_us"]), (&json!(131.072), &json!(131.072)));
    figures.wait.record(1_000_000);
    assert_eq!(figures.to_json()["wait"]["p99_us"], json!(1000.0));
}

#[test]
fn without_times_their_figures_are_zero() {
    let times = json!({ "count": 0, "mean_us": 0.0, "p50_us": 0.0, "p99_us": 0.0, "max_us": 0.0 });
    assert_eq!(KindFigures::default().to_json()["wait"], times);
}

#[test]
fn reasons_are_listed_by_their_numbers() {
    for (number, reason) in DeadReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, number);
    }
    assert_eq!(DeadReason::COUNT, 11);
}

#[test]
fn figures_of_two_hosts_share_no_cache_line() {
    assert_eq!(align_of::<KindFigures>(), 128);
    assert_eq!(size_of::<KindFigures>() % 128, 0);
}
