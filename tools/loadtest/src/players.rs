//! Those who play: one thread that sends every note when it is due, whether the server keeps up or not.

use std::{
    io::{self, Write as _},
    num::NonZeroU64,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::net::TcpStream;

use crate::{ear::Ear, frame, note::Note, score::Score};

/// What waits at most for a socket that takes nothing; notes beyond it are not sent, and counted.
const MAX_BACKLOG_BYTES: usize = 1024 * 1024;

/// How it went.
pub struct Played {
    /// From the moment a note was due to the moment it was sent: the band's own share of the latency.
    pub lateness: Ear,
    /// Notes that a socket did not take.
    pub unsent: u64,
}

/// A player's socket, and what it has not taken yet.
struct Player {
    stream: Arc<TcpStream>,
    backlog: Vec<u8>,
    is_gone: bool,
}

impl Player {
    /// Sends a frame behind what waits. False: there is no room for it, or nobody to take it.
    fn send(&mut self, frame: &[u8]) -> bool {
        if self.is_gone || self.backlog.len() + frame.len() > MAX_BACKLOG_BYTES {
            return false;
        }
        if self.backlog.is_empty() {
            let taken = self.write(frame);
            self.backlog.extend_from_slice(&frame[taken..]);
        } else {
            self.backlog.extend_from_slice(frame);
            self.flush();
        }
        !self.is_gone
    }

    fn flush(&mut self) {
        let backlog = std::mem::take(&mut self.backlog);
        let taken = self.write(&backlog);
        self.backlog = backlog;
        self.backlog.drain(..taken);
    }

    /// How many bytes the socket takes.
    fn write(&mut self, bytes: &[u8]) -> usize {
        match (&*self.stream).write(bytes) {
            Ok(taken) => taken,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.is_gone = true;
                0
            }
        }
    }
}

/// Plays the whole score. `streams` are by room and player; `server_us` gives the server's time. Each note carries its player
/// and number, which a server stamps over and a plain relay passes on, so that both can be checked alike.
pub fn play(
    score: Score,
    streams: Vec<Vec<Arc<TcpStream>>>,
    began: Instant,
    mut lateness: Ear,
    server_us: impl Fn(Instant) -> i64,
) -> Played {
    // A sleep that ends 50 µs late, as it does by default, would be most of what is measured.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let player = |stream| Player { stream, backlog: Vec::new(), is_gone: false };
    let mut rooms: Vec<Vec<Player>> = streams.into_iter().map(|room| room.into_iter().map(player).collect()).collect();
    let mut unsent = 0;
    let (mut payload, mut bytes) = (Vec::new(), Vec::new());
    for note in 0..score.notes {
        let midi = Score::note(note);
        for (room, player) in score.round() {
            let due = score.due(room, player, note);
            let at = began + due;
            if let Some(left) = at.checked_duration_since(Instant::now()) {
                thread::sleep(left);
            }
            payload.clear();
            bytes.clear();
            let (participant, sequence) = (player as u32 + 1, note as u32 + 1);
            Note { midi: &midi, timestamp: server_us(at) / 1000, participant, sequence }.write(&mut payload);
            frame::append_masked(0x82, &payload, &mut bytes);
            unsent += u64::from(!rooms[room][player].send(&bytes));
            lateness.hear(due, Instant::now().saturating_duration_since(at));
        }
    }
    // What still waits has a moment to leave.
    let deadline = Instant::now() + Duration::from_secs(1);
    while rooms.iter().flatten().any(|player| !player.backlog.is_empty() && !player.is_gone)
        && Instant::now() < deadline
    {
        rooms.iter_mut().flatten().for_each(Player::flush);
        thread::sleep(Duration::from_millis(5));
    }
    Played { lateness, unsent }
}
