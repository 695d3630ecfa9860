//! A crowd whose connections all break at once, and who all come back at once, beside a playing band.

use std::{
    io,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};

use crate::{
    act::{Act, Part, Scene},
    common::Common,
    crowd::{Crowd, Said},
    outcome::{Beside, Outcome},
    percentiles::{Percentiles, new_histogram, record},
    run,
    scenario::{SmallBand, plan},
    target::PATIENCE,
};

/// Connections opened between two looks at those that are open.
const AT_ONCE: usize = 16;
/// Members of each of the crowd's rooms: what a room holds by default.
const TOGETHER: usize = 20;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct ReconnectStorm {
    /// Those who come back
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = value_parser!(u32).range(1..=100_000))]
    pub crowd: u32,
    /// The band.
    #[command(flatten)]
    pub band: SmallBand,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl ReconnectStorm {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let seconds = self.common.seconds;
        let act = Storm { count: self.crowd as usize, crowd: None, guests: Vec::new() };
        let parts = vec![Part::quiet("quiet", seconds), Part::beside("storm", seconds, act)];
        run::run(self.band.judge(plan("reconnect-storm", &self.common, self.band.score(), parts)))
    }
}

/// The crowd.
struct Storm {
    count: usize,
    crowd: Option<Crowd>,
    /// Their tokens, by number.
    guests: Vec<String>,
}

impl Storm {
    fn query(&self, scene: &Scene, number: usize) -> String {
        let token = self.guests.get(number).map(|token| format!("&guest_token={token}")).unwrap_or_default();
        format!("?name=crowd&room={}-crowd-{}{token}", scene.rooms[0], number / TOGETHER)
    }
}

impl Act for Storm {
    fn prepare(&mut self, scene: &Scene) -> io::Result<()> {
        let mut crowd = Crowd::new(&scene.target)?;
        let mut guests = vec![String::new(); self.count];
        let (mut opened, mut seated) = (0, 0);
        let mut deadline = Instant::now() + PATIENCE;
        while seated < self.count {
            // A storm is for later.
            while opened < self.count && opened < seated + AT_ONCE {
                crowd.open(&self.query(scene, opened))?;
                opened += 1;
            }
            for (member, said) in crowd.turn(Instant::now() + Duration::from_millis(20))? {
                match said {
                    Said::Welcome(token) => guests[member] = token,
                    Said::Joined => {
                        seated += 1;
                        deadline = Instant::now() + PATIENCE;
                    }
                    Said::Error(_) | Said::Answered(_) | Said::Closed(_) | Said::Ended => {
                        return Err(io::Error::other(format!("a member of the crowd finds no seat: {said:?}")));
                    }
                    _ => {}
                }
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the crowd finds no seats"));
            }
        }
        (self.crowd, self.guests) = (Some(crowd), guests);
        Ok(())
    }

    fn run(mut self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut beside = Beside::default();
        let mut latency = new_histogram::<u64>();
        // All of them, without a word.
        drop(self.crowd.take());
        beside.add("connections broken", self.count as u64);
        let broken = Instant::now();
        let mut crowd = Crowd::new(&scene.target)?;
        let mut seated = 0;
        for number in 0..self.count {
            if Instant::now() >= until {
                break;
            }
            crowd.open(&self.query(scene, number))?;
            if number % AT_ONCE == 0 {
                seated += hear(crowd.turn(Instant::now())?, broken, &mut latency, &mut beside);
            }
        }
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            seated += hear(crowd.turn(until)?, broken, &mut latency, &mut beside);
        }
        beside.add("back in their rooms", seated as u64);
        if seated < self.count {
            beside.failures.push(format!("{} of {} did not come back in time", self.count - seated, self.count));
        }
        beside.latency = Percentiles::of(&latency);
        Ok(beside)
    }
}

/// Counts what is said, and how many are back.
fn hear(
    all: Vec<(usize, Said)>,
    broken: Instant,
    latency: &mut hdrhistogram::Histogram<u64>,
    beside: &mut Beside,
) -> usize {
    let mut seated = 0;
    for (_, said) in all {
        match said {
            Said::Joined => {
                seated += 1;
                record(latency, broken.elapsed());
            }
            Said::Error(code) => beside.count(format!("refused: {code}")),
            Said::Answered(status) => beside.count(format!("HTTP {status}")),
            Said::Closed(code) => beside.count(format!("closed: {code}")),
            Said::Ended => beside.count("ended"),
            _ => {}
        }
    }
    seated
}
