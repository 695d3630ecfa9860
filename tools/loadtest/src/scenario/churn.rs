//! A crowd that comes, goes, and changes rooms beside a playing band, across shards.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};
use hdrhistogram::Histogram;
use pianorhythm_server::protocol::wire::{JoinRoomByName, LeaveRoom, server_message::Message};

use crate::{
    act::{Act, Part, Scene},
    chance::Chance,
    common::Common,
    crowd::{Crowd, Said},
    frame,
    outcome::{Beside, Outcome},
    percentiles::{Percentiles, new_histogram, record},
    run,
    scenario::{SmallBand, plan},
    sequence::{Arrival, Sequence},
};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Churn {
    /// Those who come and go
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub churners: u32,
    /// Changes a second of all of them together: of rooms mostly, else a connection ends and another comes
    #[arg(long, value_name = "CHANGES/S", default_value_t = 50.0, value_parser = crate::common::rate)]
    pub changes: f64,
    /// The band.
    #[command(flatten)]
    pub band: SmallBand,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl Churn {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        let seconds = self.common.seconds;
        let act = Changes { count: self.churners as usize, rate: self.changes };
        let parts = vec![Part::quiet("quiet", seconds), Part::beside("churn", seconds, act)];
        let mut plan = plan("churn", &self.common, self.band.score(), parts);
        // All of them may meet in one room.
        plan.spare = self.churners as usize;
        run::run(self.band.judge(plan))
    }
}

/// What they do.
struct Changes {
    count: usize,
    rate: f64,
}

/// One of them.
struct Churner {
    member: usize,
    /// What it waits for an answer to, by when it was due.
    waits: Option<Instant>,
    /// Changes that were due while it waited.
    due: VecDeque<Instant>,
    /// By participant of the room it is in.
    heard: BTreeMap<u32, Sequence>,
}

impl Act for Changes {
    fn run(self: Box<Self>, scene: &Scene, until: Instant) -> io::Result<Beside> {
        let mut chance = Chance::new(scene.seed);
        let mut crowd = Crowd::new(&scene.target)?;
        let mut beside = Beside::default();
        let mut latency = new_histogram::<u64>();
        let begun = Instant::now();
        let mut churners: Vec<Churner> = Vec::new();
        let mut by_member = Vec::new();
        let mut changes = 0;
        loop {
            let next = begun + Duration::from_secs_f64(changes as f64 / self.rate);
            let now = Instant::now();
            if now >= until {
                break;
            }
            if now >= next {
                // Each comes when it is first its turn, so that not all come at once.
                let who = changes % self.count;
                changes += 1;
                if who == churners.len() {
                    let room = &scene.rooms[chance.below(scene.rooms.len())];
                    let member = crowd.open(&format!("?name=churner&room={room}"))?;
                    by_member.resize(member + 1, who);
                    churners.push(Churner { member, waits: Some(next), due: VecDeque::new(), heard: BTreeMap::new() });
                    beside.count("came");
                } else if churners[who].waits.is_some() {
                    churners[who].due.push_back(next);
                } else {
                    change(&mut churners[who], who, next, scene, &mut crowd, &mut by_member, &mut chance, &mut beside)?;
                }
                continue;
            }
            for (member, said) in crowd.turn(next.min(until))? {
                let who = by_member[member];
                // Of a connection that it has left behind.
                if churners[who].member != member {
                    continue;
                }
                let churner = &mut churners[who];
                let answered = matches!(said, Said::Joined | Said::Error(_));
                take(churner, said, &mut beside);
                if answered && let Some(due) = churner.waits.take() {
                    record(&mut latency, due.elapsed());
                    if let Some(next) = churner.due.pop_front() {
                        change(churner, who, next, scene, &mut crowd, &mut by_member, &mut chance, &mut beside)?;
                    }
                }
            }
        }
        finish(&churners, latency, beside)
    }
}

#[allow(clippy::too_many_arguments, reason = "all of them are the loop's own")]
fn change(
    churner: &mut Churner,
    who: usize,
    due: Instant,
    scene: &Scene,
    crowd: &mut Crowd,
    by_member: &mut Vec<usize>,
    chance: &mut Chance,
    beside: &mut Beside,
) -> io::Result<()> {
    churner.waits = Some(due);
    let room = &scene.rooms[chance.below(scene.rooms.len())];
    let join =
        || frame::message(Message::JoinRoomByName(JoinRoomByName { room_name: room.clone(), ..Default::default() }));
    match chance.below(8) {
        0 => {
            // Half of them say good-bye.
            if chance.below(2) == 0 {
                crowd.write(churner.member, &frame::close(1000));
            }
            crowd.cut(churner.member);
            churner.heard.clear();
            churner.member = crowd.open(&format!("?name=churner&room={room}"))?;
            by_member.resize(churner.member + 1, who);
            beside.count("connections made anew");
        }
        1 => {
            crowd.write(churner.member, &frame::message(Message::LeaveRoom(LeaveRoom {})));
            crowd.write(churner.member, &join());
            beside.count("rooms left and entered");
        }
        _ => {
            crowd.write(churner.member, &join());
            beside.count("rooms changed");
        }
    }
    Ok(())
}

fn take(churner: &mut Churner, said: Said, beside: &mut Beside) {
    match said {
        Said::Joined => churner.heard.clear(),
        Said::Note(participant, number) => {
            let heard = churner.heard.entry(participant).or_insert_with(|| Sequence::after(number.wrapping_sub(1)));
            match heard.take(number) {
                Arrival::InOrder => beside.count("notes heard"),
                Arrival::Ahead(missing) => beside.add("notes lost", missing.into()),
                Arrival::Reordered => beside.count("notes reordered"),
                Arrival::Doubled => beside.count("notes doubled"),
            }
        }
        Said::Gap(participant, next) => {
            if let Some(heard) = churner.heard.get_mut(&participant) {
                beside.add("notes shed", heard.skip_to(next).into());
            }
        }
        // It is in that room already.
        Said::Error(code) if code == "ALREADY_IN_ROOM" => beside.count("was there already"),
        Said::Error(code) => beside.count(format!("refused: {code}")),
        Said::Closed(code) => beside.count(format!("closed: {code}")),
        Said::Answered(status) => beside.count(format!("HTTP {status}")),
        Said::Ended => beside.count("ended"),
        Said::Upgraded | Said::Welcome(_) | Said::Pong | Said::Other => {}
    }
}

fn finish(churners: &[Churner], latency: Histogram<u64>, mut beside: Beside) -> io::Result<Beside> {
    for (what, count) in &beside.counts {
        let is_wrong = ["notes lost", "notes reordered", "notes doubled", "ended"].contains(&&what[..])
            || ["refused", "closed", "HTTP"].iter().any(|word| what.starts_with(word));
        if is_wrong {
            beside.failures.push(format!("{what}: {count}"));
        }
    }
    // The last may be on their way; what has waited for seconds is stuck.
    let is_stuck = |churner: &&Churner| churner.waits.is_some_and(|due| due.elapsed() > Duration::from_secs(5));
    let stuck = churners.iter().filter(is_stuck).count();
    if stuck > 0 {
        beside.failures.push(format!("changes that were not answered within 5 s: {stuck}"));
    }
    beside.latency = Percentiles::of(&latency);
    Ok(beside)
}
