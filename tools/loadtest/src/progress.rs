//! Progress on standard error: a live bar on a terminal, a plain line now and then elsewhere.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{ear::SecondHeard, hall::Tally};

/// Where there is no terminal, a line each time so much has passed.
const PLAIN_STEP: Duration = Duration::from_secs(10);

/// Shows how a run goes.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    next_line: Duration,
    is_quiet: bool,
}

impl Progress {
    /// On a terminal a bar, else lines; with `quiet` neither.
    pub fn new(quiet: bool) -> Self {
        let style = ProgressStyle::with_template("{prefix:>8} {bar:32} {msg}").expect("the template is well formed");
        let bar = (stderr().is_terminal() && !quiet).then(|| ProgressBar::new(0).with_style(style));
        Self { bar, next_line: PLAIN_STEP, is_quiet: quiet }
    }

    /// So many connections are going to be seated.
    pub fn seating(&mut self, seats: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(seats as u64);
            bar.set_prefix("seating");
        }
    }

    /// So many are.
    pub fn seated(&mut self, seats: usize) {
        // Each is told; the bar itself is drawn twenty times a second at most.
        if let Some(bar) = &self.bar {
            bar.set_position(seats as u64);
            bar.set_message(format!("{seats} connections"));
        }
    }

    /// So far into the run.
    pub fn playing(&mut self, at: Duration, of: Duration, part: &str, heard: &SecondHeard, tally: &Tally) {
        let faults =
            tally.doubled + tally.reordered + tally.wrong + tally.shed + tally.refused + tally.ended + tally.strange;
        // Between two parts there is none.
        let comma = if part.is_empty() { "" } else { ", " };
        let words = format!(
            "{} of {} s{comma}{part}: {} notes/s, p99 {:.2} ms, {faults} faults",
            at.as_secs(),
            of.as_secs(),
            heard.deliveries,
            heard.p99_ms
        );
        match &self.bar {
            Some(bar) => {
                bar.set_prefix("playing");
                bar.set_length(of.as_millis() as u64);
                bar.set_position(at.min(of).as_millis() as u64);
                bar.set_message(words);
            }
            None if at >= self.next_line && !self.is_quiet => {
                self.next_line = at + PLAIN_STEP;
                eprintln!("{words}");
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
