//! Members of the band's rooms who do not read: they fall behind, and nobody else is to notice.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};
use pianorhythm_server::protocol::wire::{ClientMessage, client_message::Message};
use prost::Message as _;

use crate::{
    act::{Act, Part, Scene},
    common::Common,
    frame::{self, Kind},
    outcome::{Beside, Outcome},
    run,
    scenario::{Rounds, SmallBand, plan},
    target::Answer,
};

/// What the kernel keeps for a reader: the least that Linux gives, so that the server notices soon.
const RECEIVE_BUFFER: usize = 2048;
/// What one of them is told at the end is waited for so long: who has had no room for long is asked by its server's kernel now and then
/// only whether there is some.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often it finds nothing, for a fifth of a second each time, before it asks.
const SILENCES: u32 = 15;
/// Closed, and given up by its server's kernel since, with what it had not taken.
const RESET: &str = "reset";

/// One of them has fallen behind by then, or the band plays too little for what the kernels hold: 64 KiB on our side, as much on the
/// server's, and the five seconds that a server allows by default.
const LAGS_BY: Duration = Duration::from_secs(15);

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct SlowReaders {
    /// Those who do not read
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    pub slow: u32,
    /// The band.
    #[command(flatten)]
    pub band: SmallBand,
    /// How often.
    #[command(flatten)]
    pub rounds: Rounds,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl SlowReaders {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let seconds = self.common.seconds;
        let slow = self.slow as usize;
        let parts = self.rounds.parts(seconds, 1, |_| Part::beside("slow readers", seconds, Slow(slow)));
        let mut plan = plan("slow-readers", &self.common, self.band.score(), parts);
        // Those of a round have gone before the next comes.
        plan.spare = 2 * (self.slow as usize).div_ceil(self.band.rooms as usize);
        run::run(self.band.judge(plan))
    }
}

/// So many of them.
struct Slow(usize);

impl Act for Slow {
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let begun = Instant::now();
        let mut beside = Beside::default();
        let mut streams = Vec::new();
        for number in 0..self.0 {
            let room = &scene.rooms[number % scene.rooms.len()];
            let mut stream = scene.target.connect()?;
            socket2::SockRef::from(&stream).set_recv_buffer_size(RECEIVE_BUFFER)?;
            stream.write_all(scene.target.request(&format!("?name=slow&room={room}")).as_bytes())?;
            streams.push(stream);
        }
        beside.add("did not read", streams.len() as u64);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        // All at once: each may take its time.
        let heard: Vec<io::Result<LastWords>> = std::thread::scope(|threads| {
            let readers: Vec<_> = streams.into_iter().map(|stream| threads.spawn(|| last_words(stream))).collect();
            readers.into_iter().map(|reader| reader.join().expect("it does not panic")).collect()
        });
        for heard in heard {
            let LastWords { gaps, ended } = heard?;
            if gaps > 0 {
                beside.add("gaps told", gaps);
            }
            beside.count(ended);
        }
        let is_slow =
            beside.counts.keys().any(|what| what == "gaps told" || what == RESET || what.starts_with("closed: "));
        if !is_slow && until.saturating_duration_since(begun) > LAGS_BY {
            // The kernels have taken it all in: this has measured nothing.
            beside.failures.push("nobody fell behind: more notes, or longer parts, are needed".into());
        }
        Ok(beside)
    }
}

/// What one of them finds when it reads at last.
struct LastWords {
    gaps: u64,
    ended: String,
}

/// Reads all that was kept back, and tells how it ends. Where nothing comes it gives a sign of life: the kernel of a server that has
/// given it up long ago tells that only who asks.
fn last_words(mut stream: TcpStream) -> io::Result<LastWords> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    let deadline = Instant::now() + LAST_WORDS;
    let (mut ended, mut silences) = (None, 0);
    while Instant::now() < deadline && ended.is_none() {
        match stream.read(&mut chunk) {
            Ok(0) => ended = Some("ended"),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                silences += 1;
                if silences == SILENCES && stream.write_all(&frame::pong(&[])).is_err() {
                    ended = Some(RESET);
                }
            }
            Err(_) => ended = Some(RESET),
        }
    }
    let mut words = LastWords { gaps: 0, ended: ended.unwrap_or("still connected").into() };
    let Some((answer, mut at)) = Answer::read(&bytes) else {
        words.ended = "never answered".into();
        return Ok(words);
    };
    if !answer.is_upgrade() {
        words.ended = format!("HTTP {}", answer.status);
        return Ok(words);
    }
    while let Some((kind, payload, end)) = frame::first(&bytes[at..]) {
        let payload = &bytes[at + payload.start..at + payload.end];
        match kind {
            Kind::Close => {
                words.ended = format!("closed: {}", frame::close_code(payload));
                return Ok(words);
            }
            Kind::Binary => {
                let message = ClientMessage::decode(payload).ok().and_then(|message| message.message);
                if let Some(Message::Gap(_)) = message {
                    words.gaps += 1;
                }
            }
            _ => {}
        }
        at += end;
    }
    Ok(words)
}
