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
    cli::Common,
    frame::{self, Kind},
    outcome::{Beside, Outcome},
    run,
    scenario::{Rounds, SmallBand, plan},
    target::Answer,
};

/// What the kernel keeps for a reader: the least that Linux gives, so that the server notices soon.
const RECEIVE_BUFFER: usize = 2048;
/// What one of them says at the end is waited for so long.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
        let own = [("slow readers", self.slow.to_string()), ("rounds", self.rounds.rounds.to_string())];
        let mut plan = plan("slow-readers", &self.common, self.band.score(), parts, &own);
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
        for stream in streams {
            let ended = last_words(stream, &mut beside)?;
            beside.count(ended);
        }
        let is_slow = beside.counts.keys().any(|what| what == "gaps told" || what.starts_with("closed: "));
        if !is_slow && until.saturating_duration_since(begun) > LAGS_BY {
            // The kernels have taken it all in: this has measured nothing.
            beside.failures.push("nobody fell behind: more notes, or longer parts, are needed".into());
        }
        Ok(beside)
    }
}

/// Reads all that was kept back, and tells how it ends.
fn last_words(mut stream: TcpStream, beside: &mut Beside) -> io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    let deadline = Instant::now() + LAST_WORDS;
    let mut ended = None;
    while Instant::now() < deadline && ended.is_none() {
        match stream.read(&mut chunk) {
            Ok(0) => ended = Some("ended"),
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(_) => ended = Some("reset"),
        }
    }
    let Some((answer, mut at)) = Answer::read(&bytes) else { return Ok("never answered".into()) };
    if !answer.is_upgrade() {
        return Ok(format!("HTTP {}", answer.status));
    }
    while let Some((kind, payload, end)) = frame::first(&bytes[at..]) {
        let payload = &bytes[at + payload.start..at + payload.end];
        match kind {
            Kind::Close => return Ok(format!("closed: {}", frame::close_code(payload))),
            Kind::Binary => {
                let message = ClientMessage::decode(payload).ok().and_then(|message| message.message);
                if let Some(Message::Gap(_)) = message {
                    beside.count("gaps told");
                }
            }
            _ => {}
        }
        at += end;
    }
    Ok(ended.unwrap_or("still connected").into())
}
