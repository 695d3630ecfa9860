//! Floods of connections: those that never finish a handshake, and those that finish too many.

use std::{
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use crate::{
    act::{Act, Scene},
    crowd::{Crowd, Said},
    outcome::Beside,
    scenario::hostile::kind::Kind,
};

/// How often those who are slow say the next byte.
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// How long a server may take to lose patience, by default 10 s, and some. Shorter runs do not see the end of it.
const PATIENCE: Duration = Duration::from_secs(14);

/// How connections with too long a head end: held back where there are too many, too; a reset for what was not read may overtake the
/// answer, and at the end some wait for theirs.
const LONG_HEADS_END: [&str; 6] =
    ["connections", "HTTP 429", "HTTP 431", "HTTP 503", "ended by the server", "still open at the end"];
/// What a server takes of a request's head, and some.
const LONG_HEAD: usize = 20_000;

/// A flood of connections of one kind, all from one address.
pub struct Flood {
    /// What.
    pub kind: Kind,
    /// From where.
    pub source: Ipv4Addr,
    /// How many a second.
    pub rate: f64,
}

impl Act for Flood {
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut crowd = Crowd::new(&scene.target)?;
        let mut beside = Beside::default();
        let request = match self.kind {
            Kind::LongHeads => {
                let request = scene.target.request("?name=flood");
                request.replace("Host:", &format!("X-Long: {}\r\nHost:", "y".repeat(LONG_HEAD)))
            }
            _ => scene.target.request("?name=flood"),
        };
        let first = match self.kind {
            Kind::SlowHandshakes => &request[..1],
            Kind::HalfOpen => "",
            _ => &request[..],
        };
        let begun = Instant::now();
        // Each with the moment of its last byte, and how many it has said.
        let mut opened: Vec<(usize, Instant, usize)> = Vec::new();
        let mut tried = 0;
        while Instant::now() < until {
            let next = begun + Duration::from_secs_f64(f64::from(tried) / self.rate);
            if Instant::now() >= next {
                tried += 1;
                match scene.target.connect_from(Some(self.source)).and_then(|stream| crowd.request(stream, first)) {
                    Ok(member) => {
                        beside.count("connections");
                        opened.push((member, Instant::now(), 1));
                    }
                    Err(_) => beside.count("connections refused by the system"),
                }
                continue;
            }
            for (_, said) in crowd.turn(until.min(next))? {
                match said {
                    Said::Upgraded => beside.count("let in"),
                    Said::Answered(status) => beside.count(format!("HTTP {status}")),
                    Said::Closed(code) => beside.count(format!("closed: {code}")),
                    Said::Ended => beside.count("ended by the server"),
                    _ => {}
                }
            }
            opened.retain(|(member, ..)| crowd.is_there(*member));
            if self.kind == Kind::SlowHandshakes {
                let now = Instant::now();
                for (member, at, said) in &mut opened {
                    if now >= *at + BYTE_EVERY && *said + 1 < request.len() {
                        crowd.write(*member, &request.as_bytes()[*said..=*said]);
                        (*at, *said) = (now, *said + 1);
                    }
                }
            }
        }
        opened.retain(|(member, ..)| crowd.is_there(*member));
        beside.add("still open at the end", opened.len() as u64);
        let is_unfinished = self.kind != Kind::ConnectionFlood;
        let old = opened.iter().filter(|(member, ..)| *member == 0).count();
        if is_unfinished && old > 0 && begun.elapsed() > PATIENCE {
            beside.failures.push("a handshake that was never finished is still open".into());
        }
        if self.kind == Kind::LongHeads && beside.counts.keys().any(|what| !LONG_HEADS_END.contains(&what.as_str())) {
            beside.failures.push(format!("a head too long was taken otherwise than it should be: {:?}", beside.counts));
        }
        Ok(beside)
    }
}
