//! Plays parts into a room, one connection a part.

use std::{
    future::Future,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pianorhythm_client::{
    Client, Clock, Closed, Events, RequestError, SendError,
    protocol::{
        time::Timestamp,
        wire::{ErrorMessage, GetRoomInfo, NoteQuota, RoomInfo, RoomType, client_message::Message, server_message},
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{interval, sleep},
};

use crate::{
    part::Part,
    percentiles::Percentiles,
    place::{EnterError, Entered, Place, leave},
    schedule::{Batch, DENSE_QUOTA, LOBBY_QUOTA, Quota, ROOM_QUOTA, due_ms, schedule},
};

/// From the last one's entry to the first note: time to learn the server's clock well.
const LEAD: Duration = Duration::from_secs(1);
/// Timers wake up to a millisecond and a bit after their time, so they are set that much before it.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
/// The server takes timestamps up to so old as they are, and moves older ones: what is later is heard, but out of its place.
const MAX_LATENESS: Duration = Duration::from_secs(2);
/// How often progress is told.
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);
/// The server tells of refused notes at most once a second.
const REFUSALS_PAUSE: Duration = Duration::from_millis(1200);

/// What is to be played: each part by a client of its own, named after it, all from the same beginning.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The parts, in the order in which their players enter.
    pub parts: Vec<Part>,
    /// Above 0; 2 is twice as fast.
    pub speed: f64,
}

impl Piece {
    /// How long it is at its speed.
    pub fn duration(&self) -> Duration {
        let end_us = self.parts.iter().map(Part::end_us).max().unwrap_or(0);
        Duration::from_millis(due_ms(end_us, self.speed))
    }
}

/// What is told while playing.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A player is in the room.
    Entered {
        /// Its name.
        name: String,
        /// Its number there.
        participant: u32,
    },
    /// The room's quota will not do, going by a server's defaults: notes are going to be refused.
    TooDense,
    /// So far the piece has been played.
    Playing {
        /// Time since the beginning; zero before it.
        at: Duration,
        /// How long the piece is at its speed.
        of: Duration,
        /// Keys pressed so far.
        note_ons: usize,
    },
}

/// What has been played.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// How many players there were.
    pub players: usize,
    /// Messages sent.
    pub messages: usize,
    /// Keys pressed.
    pub note_ons: usize,
    /// Messages that were later than the server takes as they are: heard, but moved in time.
    pub misplaced: usize,
    /// Note events that the server refused because a quota was spent: nobody heard them.
    pub refused: u32,
    /// How long after its timestamp each message had been handed to the operating system; below 0: before. All 0
    /// where it was interrupted.
    pub lateness: Percentiles,
    /// Whether it ended early because that was asked for.
    pub interrupted: bool,
}

/// Why a piece was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// A player did not get into the room.
    #[error("{name}: {source}")]
    Enter {
        /// The player.
        name: String,
        /// Why not.
        source: EnterError,
    },
    /// A player's connection ended.
    #[error("{name}: {closed}")]
    Closed {
        /// The player.
        name: String,
        /// How it ended.
        closed: Closed,
    },
    /// The room did not take what a player sent.
    #[error("{name} was not heard: {} ({})", .error.error_message, .error.error_code)]
    Refused {
        /// The player.
        name: String,
        /// What the server said.
        error: ErrorMessage,
    },
    /// The server did not say that it had everything.
    #[error("{name}: the end of the piece was not confirmed: {source}")]
    Unconfirmed {
        /// The player.
        name: String,
        /// Why not.
        source: RequestError,
    },
}

/// Plays the piece and leaves. Ends early, and politely, once `stop` is ready.
///
/// All players go by one clock, that of the first: what they play together is stamped together.
pub async fn play(
    piece: &Piece,
    place: &Place,
    stop: impl Future<Output = ()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Played, PlayError> {
    let mut performance = Performance::new(piece, place);
    let outcome = tokio::select! {
        outcome = performance.run(progress) => outcome.map(|()| false),
        () = stop => Ok(true),
    };
    for performer in &performance.performers {
        leave(&performer.client).await;
    }
    let interrupted = outcome?;
    let Performance { performers, counters, lateness_us, .. } = performance;
    Ok(Played {
        players: performers.len(),
        messages: counters.messages.load(Ordering::Relaxed),
        note_ons: counters.note_ons.load(Ordering::Relaxed),
        misplaced: counters.misplaced.load(Ordering::Relaxed),
        refused: counters.refused.load(Ordering::Relaxed),
        lateness: Percentiles::of_us(lateness_us),
        interrupted,
    })
}

struct Performance {
    place: Place,
    duration: Duration,
    /// The players' names and what they are to play, in the order of their entry.
    scores: Vec<(String, Arc<[Batch]>)>,
    performers: Vec<Performer>,
    counters: Arc<Counters>,
    /// The first thing that went wrong with any of the players.
    trouble: mpsc::Receiver<PlayError>,
    report: mpsc::Sender<PlayError>,
    lateness_us: Vec<i64>,
}

/// A player in the room.
struct Performer {
    name: String,
    client: Client,
    batches: Arc<[Batch]>,
}

/// What the tasks of one performance count together.
#[derive(Default)]
struct Counters {
    messages: AtomicUsize,
    note_ons: AtomicUsize,
    misplaced: AtomicUsize,
    refused: AtomicU32,
}

impl Performance {
    fn new(piece: &Piece, place: &Place) -> Self {
        let scores = piece.parts.iter().map(|part| (part.name.clone(), schedule(part, piece.speed).into()));
        let (report, trouble) = mpsc::channel(1);
        let mut performance = Self {
            place: place.clone(),
            duration: piece.duration(),
            scores: scores.collect(),
            performers: Vec::new(),
            counters: Arc::default(),
            trouble,
            report,
            lateness_us: Vec::new(),
        };
        performance.place.dense |= !performance.fits(ROOM_QUOTA);
        performance
    }

    /// Whether nothing is refused under this quota. Guests have a bucket each, an account has one.
    fn fits(&self, quota: Quota) -> bool {
        let batches: Vec<_> = self.scores.iter().map(|(_, batches)| batches).collect();
        if self.place.access_token.is_some() { quota.allows_together(&batches) } else { quota.allows_each(&batches) }
    }

    async fn run(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), PlayError> {
        self.enter(progress).await?;
        let Some(first) = self.performers.first() else { return Ok(()) };
        let clock = first.client.clock().clone();
        // Whole milliseconds, as everything that is stamped.
        let start = Timestamp::from_ms((clock.now() + LEAD).as_ms() as u64);
        self.perform(&clock, start, progress).await?;
        // Nobody leaves while the last notes sound.
        sleep(clock.until(start + self.duration)).await;
        self.confirm().await?;
        progress(self.progress(&clock, start));
        Ok(())
    }

    /// One after the other, so that their numbers in the room are in the order of the parts.
    async fn enter(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), PlayError> {
        for (name, batches) in self.scores.clone() {
            let entered = self.place.enter(&name).await;
            let entered = entered.map_err(|source| PlayError::Enter { name: name.clone(), source })?;
            let Entered { client, events, joined } = entered;
            progress(Progress::Entered { name: name.clone(), participant: joined.participant });
            if self.performers.is_empty() && !self.fits(quota_of(joined.room_info.as_ref())) {
                progress(Progress::TooDense);
            }
            tokio::spawn(watch(name.clone(), events, Arc::clone(&self.counters), self.report.clone()));
            self.performers.push(Performer { name, client, batches });
        }
        Ok(())
    }

    /// Sends everything when it is due.
    async fn perform(
        &mut self,
        clock: &Clock,
        start: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), PlayError> {
        let mut playing = JoinSet::new();
        for performer in &self.performers {
            let Performer { name, client, batches } = performer;
            let (name, client, batches) = (name.clone(), client.clone(), Arc::clone(batches));
            playing.spawn(perform(name, client, batches, clock.clone(), start, Arc::clone(&self.counters)));
        }
        let mut ticks = interval(PROGRESS_PAUSE);
        loop {
            tokio::select! {
                Some(trouble) = self.trouble.recv() => return Err(trouble),
                done = playing.join_next() => match done {
                    None => return Ok(()),
                    Some(Ok(lateness_us)) => self.lateness_us.extend(lateness_us?),
                    Some(Err(error)) => resume_unwind(error.into_panic()),
                },
                _ = ticks.tick() => progress(self.progress(clock, start)),
            }
        }
    }

    fn progress(&self, clock: &Clock, start: Timestamp) -> Progress {
        let note_ons = self.counters.note_ons.load(Ordering::Relaxed);
        Progress::Playing { at: clock.now().since(start).min(self.duration), of: self.duration, note_ons }
    }

    /// Messages are handled in order: an answer to a last request says that the server has had all before it.
    async fn confirm(&mut self) -> Result<(), PlayError> {
        for performer in &self.performers {
            let last = server_message::Message::GetRoomInfo(GetRoomInfo::default());
            let answer = performer.client.request(last).await;
            answer.map_err(|source| PlayError::Unconfirmed { name: performer.name.clone(), source })?;
        }
        if self.counters.refused.load(Ordering::Relaxed) > 0 {
            sleep(REFUSALS_PAUSE).await;
        }
        match self.trouble.try_recv() {
            Ok(trouble) => Err(trouble),
            Err(_) => Ok(()),
        }
    }
}

/// What a room allows, going by a server's defaults.
fn quota_of(room: Option<&RoomInfo>) -> Quota {
    let dense = room.and_then(|room| room.settings.as_ref()).is_some_and(|s| s.note_quota() == NoteQuota::Dense);
    match room {
        _ if dense => DENSE_QUOTA,
        Some(room) if room.room_type() == RoomType::Lobby => LOBBY_QUOTA,
        _ => ROOM_QUOTA,
    }
}

/// Sends one player's messages, each when it is due, and returns how late each was. Never waits for an answer: a
/// delay of one message moves no other.
async fn perform(
    name: String,
    client: Client,
    batches: Arc<[Batch]>,
    clock: Clock,
    start: Timestamp,
    counters: Arc<Counters>,
) -> Result<Vec<i64>, PlayError> {
    let mut lateness_us = Vec::with_capacity(batches.len());
    for batch in batches.iter() {
        let due = start + Duration::from_millis(batch.due_ms);
        let wait = clock.until(due - TIMER_GRAIN);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        if clock.now().since(due) > MAX_LATENESS {
            // The machine was suspended, or the network stood still. What is late is still better heard than not.
            counters.misplaced.fetch_add(1, Ordering::Relaxed);
        }
        match client.play(due, batch.midi_data.clone()).await {
            Ok(()) => {}
            Err(SendError::Closed(closed)) => return Err(PlayError::Closed { name, closed }),
            Err(SendError::TooLong(_)) => unreachable!("a schedule's messages keep within the protocol's limits"),
        }
        lateness_us.push(clock.now().as_us() as i64 - due.as_us() as i64);
        counters.messages.fetch_add(1, Ordering::Relaxed);
        counters.note_ons.fetch_add(batch.note_ons, Ordering::Relaxed);
    }
    Ok(lateness_us)
}

/// Takes what the server tells a player, and reports what means that it is not heard.
async fn watch(name: String, mut events: Events, counters: Arc<Counters>, report: mpsc::Sender<PlayError>) {
    loop {
        let trouble = match events.next().await {
            Ok(event) => match event.message {
                Message::QuotaExceeded(quota) => {
                    counters.refused.fetch_add(quota.refused, Ordering::Relaxed);
                    continue;
                }
                Message::ErrorMessage(error) => PlayError::Refused { name: name.clone(), error },
                _ => continue,
            },
            Err(closed) if closed.is_normal() => return,
            Err(closed) => {
                // Full: somebody else's trouble ends the piece already.
                let _ = report.try_send(PlayError::Closed { name, closed });
                return;
            }
        };
        let _ = report.try_send(trouble);
    }
}
