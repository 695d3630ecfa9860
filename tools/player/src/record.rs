//! Records a room to a file.

use std::{
    future::{Future, pending},
    io,
    path::PathBuf,
    time::Duration,
};

use pianorhythm_client::{
    Closed, Event, RequestError,
    protocol::wire::{Member, client_message::Message},
};
use tokio::time::{Instant, sleep_until};

use crate::{
    out_file::OutFile,
    place::{EnterError, Place, leave, name_of},
    recording::{Recording, Summary},
    smf,
};

/// What to record to, and until when.
#[derive(Clone, Debug)]
pub struct Take {
    /// The recorder's name in the room.
    pub name: String,
    /// The file.
    pub out: PathBuf,
    /// How long after the last note it ends by itself; `None`: it does not.
    pub idle: Option<Duration>,
}

/// What is told while recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The recorder is in the room: what is played from now on is recorded.
    Entered {
        /// The recorder's number there.
        participant: u32,
        /// How many others are there.
        others: usize,
    },
    /// More keys were pressed.
    Heard {
        /// So many so far.
        note_ons: usize,
    },
}

/// Why a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Nobody had played for as long as was given.
    Idle,
    /// It holds as much as a recording can.
    Full,
    /// The connection ended.
    Closed(Closed),
}

/// A recording that is in its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its figures.
    pub summary: Summary,
    /// Why it ended.
    pub ended: Ended,
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The recorder did not get into the room.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// It did not learn who is there.
    #[error("cannot learn who is in the room: {0}")]
    Members(#[from] RequestError),
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Records until `stop` is ready or until one of the other reasons of [`Ended`], and writes the file each time.
pub async fn record(
    take: &Take,
    place: &Place,
    stop: impl Future<Output = ()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recorded, RecordError> {
    let failed = |source| RecordError::File { path: take.out.clone(), source };
    let out = OutFile::create(&take.out).map_err(failed)?;
    let mut entered = place.enter(&take.name).await?;
    let mut tape = Tape::default();
    let members = entered.members().await?;
    tape.meet(&members);
    let participant = entered.joined.participant;
    let others = members.iter().filter(|member| member.participant != participant).count();
    progress(Progress::Entered { participant, others });

    tokio::pin!(stop);
    let mut last_note = None;
    let ended = loop {
        let idle = async {
            match take.idle.zip(last_note) {
                Some((idle, last)) => sleep_until(last + idle).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // What has been heard counts before what ends it.
            biased;
            event = entered.events.next() => match event {
                Ok(event) => {
                    let received = event.received;
                    if tape.hear(event) {
                        last_note = Some(Instant::from_std(received));
                        progress(Progress::Heard { note_ons: tape.note_ons });
                    }
                }
                Err(closed) => break Ended::Closed(closed),
            },
            () = &mut stop => break Ended::Stopped,
            () = idle => break Ended::Idle,
        }
        if tape.recording.is_full() {
            break Ended::Full;
        }
    };
    let (parts, summary) = tape.recording.finish(entered.client.clock().now());
    out.commit(&smf::write(&parts)).map_err(failed)?;
    leave(&entered.client).await;
    Ok(Recorded { summary, ended })
}

/// The recording, and how the server's messages get onto it.
#[derive(Default)]
struct Tape {
    recording: Recording,
    note_ons: usize,
}

impl Tape {
    fn meet<'a>(&mut self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            self.recording.name(member.participant, name_of(member));
        }
    }

    /// Whether a note was among it.
    fn hear(&mut self, event: Event) -> bool {
        match &event.message {
            Message::MidiMessage(midi) => {
                let heard = self.recording.hear(midi, event.received_at);
                self.note_ons += heard.note_ons;
                return heard.notes > 0;
            }
            Message::UserJoinedRoom(joined) => self.meet(&joined.member),
            Message::UserUpdated(updated) => self.meet(&updated.member),
            Message::UserLeftRoom(left) => self.recording.left(left.participant, event.received_at),
            Message::MembersChanged(changed) => {
                self.meet(&changed.joined);
                for left in &changed.left {
                    self.recording.left(left.participant, event.received_at);
                }
            }
            Message::Gap(gap) => self.recording.gap(gap, event.received_at),
            _ => {}
        }
        false
    }
}
