//! Progress on standard error: a live line on a terminal, plain lines now and then elsewhere.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use pianorhythm_player::{play, record};

/// Where there is no terminal, a line each time this much of the piece has been played.
const PLAIN_STEP: Duration = Duration::from_secs(10);

/// Shows how playing goes.
pub struct PlayShow {
    bar: Option<ProgressBar>,
    next_line: Duration,
}

impl PlayShow {
    pub fn new() -> Self {
        let style = ProgressStyle::with_template("{bar:40} {msg}").expect("the template is well formed");
        let bar = stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style));
        Self { bar, next_line: PLAIN_STEP }
    }

    pub fn show(&mut self, progress: play::Progress) {
        match progress {
            play::Progress::Entered { name, participant } => self.line(&format!("{name} is participant {participant}")),
            play::Progress::TooDense => self.line(
                "this room allows fewer notes than the piece has: some are going to be refused. Play slower (--speed), \
                 one player a track (--each-track), or into a room that does not exist yet",
            ),
            play::Progress::Playing { at, of, note_ons } => {
                let words = format!("{} of {}, {note_ons} notes", clock(at), clock(of));
                match &self.bar {
                    Some(bar) => {
                        bar.set_length(of.as_millis() as u64);
                        bar.set_position(at.as_millis() as u64);
                        bar.set_message(words);
                    }
                    None if at >= self.next_line => {
                        self.next_line = at + PLAIN_STEP;
                        eprintln!("{words}");
                    }
                    None => {}
                }
            }
        }
    }

    fn line(&self, words: &str) {
        match &self.bar {
            Some(bar) => bar.println(words),
            None => eprintln!("{words}"),
        }
    }
}

impl Drop for PlayShow {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows how recording goes.
pub struct RecordShow {
    spinner: Option<ProgressBar>,
}

impl RecordShow {
    pub fn new() -> Self {
        Self { spinner: stderr().is_terminal().then(ProgressBar::new_spinner) }
    }

    pub fn show(&mut self, progress: record::Progress) {
        match progress {
            record::Progress::Entered { participant, others } => {
                let words = format!("recording as participant {participant}, with {others} others in the room");
                match &self.spinner {
                    Some(spinner) => spinner.println(words),
                    None => eprintln!("{words}"),
                }
            }
            record::Progress::Heard { note_ons } => {
                if let Some(spinner) = &self.spinner {
                    spinner.set_message(format!("{note_ons} notes"));
                    spinner.tick();
                }
            }
        }
    }
}

impl Drop for RecordShow {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Minutes and seconds.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
