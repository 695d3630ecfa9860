//! Bad frames on connections that were opened as they should be.

use std::{
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use crate::{
    act::{Act, Scene},
    chance::Chance,
    crowd::{Crowd, Said},
    outcome::Beside,
    scenario::hostile::kind::{Fate, Kind},
};

/// What was sent last has so long to be answered.
const LAST_ANSWER: Duration = Duration::from_secs(3);
/// An end without a code may overtake the code on its way (TCP's reset drops what is not read yet); so many in a hundred are
/// put down to that.
const ENDED_PERCENT: u64 = 2;

/// How those are answered who come too often.
const HELD_BACK: [&str; 2] = ["HTTP 429", "HTTP 503"];

/// A flood of frames of one kind.
pub struct Flood {
    /// What.
    pub kind: Kind,
    /// From where.
    pub source: Ipv4Addr,
    /// On how many connections.
    pub attackers: usize,
    /// How many frames a second.
    pub rate: f64,
}

/// One connection.
#[derive(Clone, Copy)]
struct Attacker {
    member: usize,
    /// It can send.
    is_ready: bool,
    /// It has sent what is to end it.
    is_doomed: bool,
    /// It was not let in. It comes again when its next frame is due, so that such a flood keeps its rate.
    is_turned_away: bool,
}

impl Act for Flood {
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut crowd = Crowd::new(&scene.target)?;
        let mut chance = Chance::new(scene.seed ^ self.kind as u64);
        let mut beside = Beside::default();
        let mut attackers = Vec::new();
        for number in 0..self.attackers {
            attackers.push(self.open(scene, &mut crowd, number)?);
        }
        let begun = Instant::now();
        let mut due = 0;
        loop {
            let now = Instant::now();
            let next = begun + Duration::from_secs_f64(due as f64 / self.rate);
            let is_over = now >= until;
            if is_over && (now >= until + LAST_ANSWER || !attackers.iter().any(|attacker| attacker.is_doomed)) {
                break;
            }
            if !is_over && now >= next {
                let number = due as usize % self.attackers;
                due += 1;
                if attackers[number].is_turned_away {
                    attackers[number] = self.open(scene, &mut crowd, number)?;
                }
                if attackers[number].is_ready {
                    self.send(&mut attackers[number], number, due, scene, &mut crowd, &mut chance, &mut beside)?;
                } else {
                    beside.count("frames held back while a connection was made anew");
                }
                continue;
            }
            for (member, said) in crowd.turn(if is_over { until + LAST_ANSWER } else { next })? {
                let Some(number) = attackers.iter().position(|attacker| attacker.member == member) else { continue };
                let is_end = matches!(said, Said::Closed(_) | Said::Ended);
                self.hear(&mut attackers[number], said, &mut beside);
                if is_end && !is_over {
                    attackers[number] = self.open(scene, &mut crowd, number)?;
                }
            }
        }
        self.judge(&attackers, &mut beside);
        Ok(beside)
    }
}

impl Flood {
    fn open(&self, scene: &Scene, crowd: &mut Crowd, number: usize) -> io::Result<Attacker> {
        let room = match self.kind.is_in_room() {
            true => format!("&room={}", scene.rooms[number % scene.rooms.len()]),
            false => String::new(),
        };
        let request = scene.target.request(&format!("?name=hostile{room}"));
        let member = crowd.request(scene.target.connect_from(Some(self.source))?, &request)?;
        Ok(Attacker { member, is_ready: false, is_doomed: false, is_turned_away: false })
    }

    #[allow(clippy::too_many_arguments, reason = "all of them are the loop's own")]
    fn send(
        &self,
        attacker: &mut Attacker,
        number: usize,
        frame: u64,
        scene: &Scene,
        crowd: &mut Crowd,
        chance: &mut Chance,
        beside: &mut Beside,
    ) -> io::Result<()> {
        if !crowd.write(attacker.member, &self.kind.bytes(frame, chance)) {
            // A server that reads no faster: its end is heard, or its time comes.
            beside.count("frames not taken");
            return Ok(());
        }
        beside.count("frames sent");
        match self.kind.fate() {
            Fate::Closed(_) => (attacker.is_ready, attacker.is_doomed) = (false, true),
            Fate::ClosedInTime(_) => attacker.is_doomed = true,
            Fate::Cut => {
                crowd.cut(attacker.member);
                *attacker = self.open(scene, crowd, number)?;
            }
            Fate::Answered(_) => {}
        }
        Ok(())
    }

    fn hear(&self, attacker: &mut Attacker, said: Said, beside: &mut Beside) {
        match said {
            Said::Welcome(_) => attacker.is_ready |= !self.kind.is_in_room(),
            Said::Joined => attacker.is_ready = true,
            Said::Error(code) => beside.count(format!("answered: {code}")),
            Said::Pong => beside.count("answered: pong"),
            Said::Closed(code) => {
                attacker.is_doomed = false;
                beside.count(format!("closed: {code}"));
            }
            Said::Ended => {
                attacker.is_doomed = false;
                beside.count("ended without a code");
            }
            Said::Answered(status) => {
                attacker.is_turned_away = true;
                beside.count(format!("HTTP {status}"));
            }
            _ => {}
        }
    }

    fn judge(&self, attackers: &[Attacker], beside: &mut Beside) {
        let doomed = attackers.iter().filter(|attacker| attacker.is_doomed).count();
        // Random bytes may claim that more follows, and wait for it.
        if doomed > 0 && matches!(self.kind.fate(), Fate::Closed(_)) {
            beside.failures.push(format!("{doomed} connections were neither answered nor closed"));
        }
        let allowed = match self.kind.fate() {
            Fate::Closed(codes) | Fate::ClosedInTime(codes) | Fate::Answered(codes) => codes,
            Fate::Cut => &[],
        };
        let mut closed = 0;
        for (what, count) in &beside.counts {
            let Some(code) = what.strip_prefix("closed: ") else { continue };
            closed += count;
            if !allowed.iter().any(|allowed| allowed.to_string() == code) {
                beside.failures.push(format!("closed with {code}, {count} times: that is not what the table says"));
            }
        }
        let ended = beside.counts.get("ended without a code").copied().unwrap_or(0);
        if ended * 100 > (ended + closed) * ENDED_PERCENT && self.kind.fate() != Fate::Cut {
            beside.failures.push(format!("{ended} connections ended without a code, {closed} with one"));
        }
        // An address that comes too often, or is there too often, is told to wait: that is an answer.
        let other =
            beside.counts.keys().filter(|what| what.starts_with("HTTP ") && !HELD_BACK.contains(&what.as_str()));
        for what in other.cloned().collect::<Vec<_>>() {
            beside.failures.push(format!("a handshake as it should be was answered with {what}"));
        }
        if !beside.counts.contains_key("frames sent") {
            beside.failures.push("nothing was sent: no connection was let in".into());
        }
    }
}
