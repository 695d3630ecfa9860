//! What a host counts of the actors of one kind, and how that is told to Prometheus and to people.
//!
//! Who writes it: the host, alone. What a dead letter's line in the log looks like, and how often there is one, is decided
//! elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::actor::{
    figure::Figure,
    histogram::{self, Histogram},
};

/// Why a message reached nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadReason {
    /// There is no such actor, and none is made for the message.
    NoSuchActor,
    /// The actor has stopped.
    Stopped,
    /// The mailbox was full and refuses.
    MailboxFull,
    /// The mailbox was full and dropped this, its oldest, for a newer one.
    DroppedOldest,
    /// The mailbox was full and dropped this, the newest.
    DroppedNewest,
    /// Its deadline passed before it was handled.
    Expired,
    /// The actor's state could not be loaded.
    LoadFailed,
    /// The actor failed, and does not come back.
    ActorFailed,
    /// The host's inbox was full.
    HostFull,
    /// The host has ended.
    HostGone,
    /// An answer came after its ask had ended.
    LateAnswer,
}

impl DeadReason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::NoSuchActor,
        Self::Stopped,
        Self::MailboxFull,
        Self::DroppedOldest,
        Self::DroppedNewest,
        Self::Expired,
        Self::LoadFailed,
        Self::ActorFailed,
        Self::HostFull,
        Self::HostGone,
        Self::LateAnswer,
    ];

    /// Its name in figures and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchActor => "no_such_actor",
            Self::Stopped => "stopped",
            Self::MailboxFull => "mailbox_full",
            Self::DroppedOldest => "dropped_oldest",
            Self::DroppedNewest => "dropped_newest",
            Self::Expired => "expired",
            Self::LoadFailed => "load_failed",
            Self::ActorFailed => "actor_failed",
            Self::HostFull => "host_full",
            Self::HostGone => "host_gone",
            Self::LateAnswer => "late_answer",
        }
    }
}

macro_rules! kind_figures {
    ($($(#[doc = $help:literal])* $name:ident: $kind:ident $metric:literal;)*) => {
        /// The figures of one kind of actor on one host.
        ///
        /// Written by that host alone, read by anyone at any time. It begins and ends with a pair of cache lines, so that
        /// hosts do not slow each other down by counting.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct KindFigures {
            $($(#[doc = $help])* pub $name: Figure,)*
            /// How long messages waited between being sent and being handled.
            pub wait: Histogram,
            /// How long messages took to be handled.
            pub handling: Histogram,
            dead_letters: [Figure; DeadReason::COUNT],
        }

        const SERIES: &[Series] = &[$(Series {
            name: stringify!($name), kind: stringify!($kind), metric: $metric, help: concat!($($help),*),
            read: |figures| figures.$name.get(),
        },)*];
    };
}

/// One single figure of the many.
struct Series {
    /// Its name here and in JSON.
    name: &'static str,
    /// Prometheus's word: `counter` or `gauge`.
    kind: &'static str,
    metric: &'static str,
    help: &'static str,
    read: fn(&KindFigures) -> u64,
}

kind_figures! {
    /// Messages handled, well or not.
    processed: counter "pianorhythm_actor_processed_total";
    /// Messages that wait in mailboxes.
    pending: gauge "pianorhythm_actor_pending";
    /// Actors that are there, loading ones included.
    actors: gauge "pianorhythm_actors";
    /// Actors whose state is loading.
    loading: gauge "pianorhythm_actor_loading";
    /// Messages refused because a mailbox was full.
    rejected: counter "pianorhythm_actor_rejected_total";
    /// Messages whose handling ended in an error.
    errors: counter "pianorhythm_actor_errors_total";
    /// Messages whose handling panicked.
    panics: counter "pianorhythm_actor_panics_total";
    /// Actors restarted after a failure.
    restarts: counter "pianorhythm_actor_restarts_total";
    /// Actors activated.
    activations: counter "pianorhythm_actor_activations_total";
    /// Actors retired for being idle.
    retirements: counter "pianorhythm_actor_retirements_total";
    /// Messages whose deadline passed before they were handled.
    expired: counter "pianorhythm_actor_expired_total";
    /// Actors that have not finished a message within its limit.
    stuck: gauge "pianorhythm_actor_stuck";
    /// Messages whose handling took longer than its limit.
    slow: counter "pianorhythm_actor_slow_total";
    /// Answers that came after their ask had ended.
    late_answers: counter "pianorhythm_actor_late_answers_total";
}

const DEAD_LETTERS: &str = "pianorhythm_actor_dead_letters_total";

impl KindFigures {
    /// The figure of the messages that reached nobody for this reason.
    pub fn dead_letters(&self, reason: DeadReason) -> &Figure {
        &self.dead_letters[reason as usize]
    }

    /// Appends figures, each with its host's and its kind's name, in the Prometheus text format 0.0.4; nothing where there
    /// are none.
    ///
    /// Names may be any text. Histograms are in seconds, and tell every second of their buckets.
    pub fn render(figures: &[(&str, &str, &Self)], out: &mut String) {
        if figures.is_empty() {
            return;
        }
        let labelled: Vec<(String, &Self)> =
            figures.iter().map(|&(host, kind, figures)| (labels(host, kind), figures)).collect();
        for series in SERIES {
            describe(series.metric, series.kind, series.help, out);
            for (labels, figures) in &labelled {
                let _ = writeln!(out, "{}{{{labels}}} {}", series.metric, (series.read)(figures));
            }
        }
        describe(DEAD_LETTERS, "counter", "Messages that reached nobody.", out);
        for (labels, figures) in &labelled {
            for reason in DeadReason::ALL {
                let (name, count) = (reason.as_str(), figures.dead_letters(reason).get());
                let _ = writeln!(out, "{DEAD_LETTERS}{{{labels},reason=\"{name}\"}} {count}");
            }
        }
        let wait = "Time from a message's sending to its handling.";
        render_histograms("pianorhythm_actor_wait_seconds", wait, &labelled, |figures| &figures.wait, out);
        let handling = "Time that a message's handling took.";
        render_histograms("pianorhythm_actor_handling_seconds", handling, &labelled, |figures| &figures.handling, out);
    }

    /// All figures as an object, for people to look at: single ones by name, dead letters by reason, and of the times how
    /// many there are, with mean, median, 99th percentile and longest in microseconds.
    pub fn to_json(&self) -> Value {
        let mut all: Map<String, Value> =
            SERIES.iter().map(|series| (series.name.into(), (series.read)(self).into())).collect();
        let dead_letters =
            DeadReason::ALL.map(|reason| (reason.as_str().into(), self.dead_letters(reason).get().into()));
        all.insert("dead_letters".into(), Value::Object(Map::from_iter(dead_letters)));
        all.insert("wait".into(), times(&self.wait));
        all.insert("handling".into(), times(&self.handling));
        Value::Object(all)
    }
}

/// What people want to know of times.
fn times(histogram: &Histogram) -> Value {
    let snapshot = histogram.snapshot();
    let micros = |ns: u64| ns as f64 / 1e3;
    json!({
        "count": snapshot.count(),
        "mean_us": snapshot.mean() / 1e3,
        "p50_us": micros(snapshot.quantile(0.5)),
        "p99_us": micros(snapshot.quantile(0.99)),
        "max_us": micros(snapshot.max),
    })
}

fn describe(metric: &str, kind: &str, help: &str, out: &mut String) {
    let _ = write!(out, "# HELP {metric} {}\n# TYPE {metric} {kind}\n", help.trim());
}

fn render_histograms(
    metric: &str,
    help: &str,
    labelled: &[(String, &KindFigures)],
    of: fn(&KindFigures) -> &Histogram,
    out: &mut String,
) {
    describe(metric, "histogram", help, out);
    for (labels, figures) in labelled {
        let snapshot = of(figures).snapshot();
        let mut reached = 0;
        for (bucket, held) in snapshot.buckets.iter().enumerate() {
            reached += held;
            if bucket % 2 == 1
                && let Some(bound) = histogram::bound(bucket)
            {
                let _ = writeln!(out, "{metric}_bucket{{{labels},le=\"{}\"}} {reached}", seconds(bound));
            }
        }
        let _ = writeln!(out, "{metric}_bucket{{{labels},le=\"+Inf\"}} {reached}");
        let _ = writeln!(out, "{metric}_sum{{{labels}}} {}", seconds(snapshot.sum));
        let _ = writeln!(out, "{metric}_count{{{labels}}} {reached}");
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn labels(host: &str, kind: &str) -> String {
    format!("host=\"{}\",kind=\"{}\"", escaped(host), escaped(kind))
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests;
