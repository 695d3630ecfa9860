//! Connections that do nothing: what each costs in memory, and all together in processor time.

use std::{
    io,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};

use crate::{
    common::Common,
    ear::{Ear, Phase},
    hall::Hall,
    outcome::{FORM, Outcome, PhaseOutcome, Second},
    process::raise_descriptor_limit,
    progress::Progress,
    run::judged,
    scenario::watched,
    score::Score,
    seating::{room_names, seat_band, seat_roomless},
    target::Target,
    watch::{Look, Taken, Watch, nearest, shards, used},
};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Connections
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Put them into rooms of so many each, rather than into none
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..=10_000))]
    pub members: Option<u32>,
    /// Fail where it takes longer until all are there, in their rooms where they have some
    #[arg(long, value_name = "SECONDS", value_parser = crate::common::some_time)]
    pub within: Option<f64>,
    /// What all scenarios have.
    #[command(flatten)]
    pub common: Common,
}

impl Idle {
    /// Runs it.
    pub fn run(&self) -> io::Result<Outcome> {
        raise_descriptor_limit();
        let common = &self.common;
        let target = Target::at(&common.url, common.per_address)?;
        let connections = self.connections as usize;
        let members = self.members.map_or(0, |members| members as usize);
        // The last room may be fuller by some than asked for: all are alike.
        let rooms = if members == 0 { 0 } else { connections.div_ceil(members) };
        let score = Score { rooms, players: 0, listeners: members, rate: 1.0, notes: 0 };
        let phase = Phase { name: "idle".into(), from: Duration::ZERO, until: Duration::from_secs_f64(common.seconds) };
        let mut hall = Hall::new(target.clone(), score, Ear::new([phase.clone()]))?;
        let mut progress = Progress::new(common.quiet);

        // What a server opens at its first connection, ours to look at it, belongs to what it had before.
        let before = Watch::begin(watched(common), Instant::now(), &[])?.end();
        let seating = if members == 0 {
            seat_roomless(&mut hall, &target, connections, &mut progress)?
        } else {
            seat_band(&mut hall, &target, &score, &room_names(&target, rooms), 0, &mut progress)?
        };
        let held = hall.connected();
        let began = Instant::now();
        let watch = Watch::begin(watched(common), began, std::slice::from_ref(&phase))?;
        let mut second = Duration::from_secs(1);
        while let Some(left) = phase.until.checked_sub(began.elapsed()) {
            // Pings are answered.
            hall.turn(left.min(Duration::from_millis(100)))?;
            if began.elapsed() >= second {
                progress.playing(began.elapsed(), phase.until, &phase.name, &hall.ear.take_second(), &hall.tally);
                second += Duration::from_secs(1);
            }
        }
        let looks = watch.end();
        let mut outcome = Outcome {
            form: FORM,
            scenario: "idle".into(),
            url: common.url.clone(),
            is_relay: target.is_relay,
            seating_seconds: seating.as_secs_f64(),
            connections: held as u64,
            notes: hall.tally.clone(),
            timeline: timeline(&looks),
            ..Outcome::default()
        };
        let (first, last) = (nearest(&looks, phase.from), nearest(&looks, phase.until));
        if let (Some(first), Some(last)) = (first, last) {
            let server = first.server.as_ref().zip(last.server.as_ref());
            outcome.phases.push(PhaseOutcome {
                name: phase.name,
                seconds: common.seconds,
                server: server.map(|(first, last)| Taken::between(first, last)),
                load: Taken::between(&first.load, &last.load),
                ..PhaseOutcome::default()
            });
            let before = before.first().and_then(|look| look.server.as_ref());
            if let (Some(before), Some(with)) = (before, last.server.as_ref()) {
                let each = with.resident.saturating_sub(before.resident) as f64 / held.max(1) as f64;
                outcome.figures.insert("server memory a connection, KiB".into(), each / 1024.0);
                outcome.figures.insert("server memory before, MiB".into(), before.resident as f64 / 1024.0 / 1024.0);
            }
        }
        outcome.figures.insert("seconds until all were there".into(), outcome.seating_seconds);
        if let Some(within) = self.within.filter(|within| outcome.seating_seconds > *within) {
            let took = outcome.seating_seconds;
            outcome.failures.push(format!("it took {took:.2} s until all were there; {within} s are allowed"));
        }
        Ok(judged(outcome))
    }
}

fn timeline(looks: &[Look]) -> Vec<Second> {
    let second = |pair: &[Look]| {
        let (server, load) = used(&pair[0], &pair[1]);
        Second {
            at: pair[1].at.as_secs_f64(),
            server: server.map(|server| server.threads).unwrap_or_default(),
            resident: pair[1].server.as_ref().map_or(0, |server| server.resident),
            load: load.cores(),
            shards: shards(&pair[0], &pair[1]),
            ..Second::default()
        }
    };
    let is_whole = |pair: &&[Look]| pair[1].at.saturating_sub(pair[0].at) > Duration::from_millis(250);
    looks.windows(2).filter(is_whole).map(second).collect()
}
