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

/// A flood of connections of one kind, all from one address.
pub struct Flood {
    /// What.
    pub kind: Kind,
    /// From where.
    pub source: Ipv4Addr,
    /// How many at a time.
    pub count: usize,
}

impl Act for Flood {
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut crowd = Crowd::new(&scene.target)?;
        let mut beside = Beside::default();
        let request = scene.target.request("?name=flood");
        let first = match self.kind {
            Kind::SlowHandshakes => &request[..1],
            Kind::HalfOpen => "",
            _ => &request[..],
        };
        let begun = Instant::now();
        for _ in 0..self.count {
            match scene.target.connect_from(Some(self.source)).and_then(|stream| crowd.request(stream, first)) {
                Ok(_) => beside.count("connections"),
                Err(_) => beside.count("connections refused by the system"),
            }
            if Instant::now() >= until {
                break;
            }
        }
        let opened = beside.counts.get("connections").map_or(0, |count| *count as usize);
        let mut said = 1;
        while Instant::now() < until {
            let next = begun + BYTE_EVERY * said as u32;
            if self.kind == Kind::SlowHandshakes && Instant::now() >= next && said + 1 < request.len() {
                for member in 0..opened {
                    crowd.write(member, &request.as_bytes()[said..=said]);
                }
                said += 1;
            }
            for (_, said) in crowd.turn(until.min(next.max(Instant::now() + Duration::from_millis(50))))? {
                match said {
                    Said::Upgraded => beside.count("let in"),
                    Said::Answered(status) => beside.count(format!("HTTP {status}")),
                    Said::Closed(code) => beside.count(format!("closed: {code}")),
                    Said::Ended => beside.count("ended by the server"),
                    _ => {}
                }
            }
        }
        let there = (0..opened).filter(|member| crowd.is_there(*member)).count();
        beside.add("still open at the end", there as u64);
        let is_unfinished = self.kind != Kind::ConnectionFlood;
        if is_unfinished && there > 0 && begun.elapsed() > PATIENCE {
            beside.failures.push(format!("{there} handshakes that were never finished are still open"));
        }
        Ok(beside)
    }
}
