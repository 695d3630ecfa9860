//! A run: a band plays through all its parts, things happen beside it, and all of it is written down.

use std::{
    collections::BTreeMap,
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    act::{Act, Part, Scene},
    ear::{Ear, Phase, SecondHeard},
    hall::{Hall, Tally},
    outcome::{Beside, FORM, Outcome, PhaseOutcome, Second},
    percentiles::Percentiles,
    players::{self, Played},
    process::raise_descriptor_limit,
    progress::Progress,
    ratio,
    score::Score,
    seating::{room_names, seat_band},
    target::Target,
    watch::{Look, Taken, Watch, Watched, nearest, shards, used},
};

/// After the last note, how long silence must last before missing notes count as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// Between two parts: what one leaves behind is not to count to the next.
const SETTLE: Duration = Duration::from_secs(1);

/// What is to be played, where, and what happens beside it.
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The server.
    pub url: String,
    /// Rooms, players, listeners and rate; the number of notes follows from the parts.
    pub score: Score,
    /// Room in each room for others.
    pub spare: usize,
    /// How long to play before the first part: checked, but not timed.
    pub warm_up: f64,
    /// The parts.
    pub parts: Vec<Part>,
    /// What is looked at meanwhile.
    pub watched: Watched,
    /// Connections from each source address; `None`: as many as it has ports.
    pub per_address: Option<u32>,
    /// Where chance begins.
    pub seed: u64,
    /// Neither bar nor lines.
    pub quiet: bool,
    /// How many times the p99 in quiet that beside something may be; `None`: it is told, not judged.
    pub max_ratio: Option<f64>,
}

/// Runs it. An error: it could not be run; what the server did wrong is in the outcome.
pub fn run(plan: Plan) -> io::Result<Outcome> {
    raise_descriptor_limit();
    let target = Target::at(&plan.url, plan.per_address)?;
    let mut progress = Progress::new(plan.quiet);
    let phases = phases(plan.warm_up, &plan.parts);
    let end = phases.last().map_or(Duration::ZERO, |phase| phase.until);
    let score = Score { notes: (end.as_secs_f64() * plan.score.rate).round() as usize, ..plan.score };

    let mut hall = Hall::new(target.clone(), score, Ear::new(phases.iter().cloned()))?;
    hall.allows_guests = plan.parts.iter().any(|part| part.act.is_some());
    let rooms = room_names(&target, score.rooms);
    let seating = seat_band(&mut hall, &target, &score, &rooms, plan.spare, &mut progress)?;
    let scene = Scene { target: target.clone(), rooms, seed: plan.seed };
    let mut acts = Vec::new();
    for part in plan.parts {
        let mut act = part.act;
        if let Some(act) = &mut act {
            act.prepare(&scene)?;
        }
        acts.push(act);
    }

    let began = Instant::now() + Duration::from_millis(100);
    hall.begin(began);
    let watch = Watch::begin(plan.watched, began, &phases)?;
    let beside = {
        let phases = phases.clone();
        thread::Builder::new().name("beside".into()).spawn(move || act_all(acts, &phases, &scene, began))?
    };
    let players = {
        let (streams, lateness) = (hall.players(), Ear::new(phases.iter().cloned()));
        let (epoch, server_us) = (hall.epoch, hall.server_time_us);
        let server_time =
            move |at: Instant| server_us + i64::try_from(at.saturating_duration_since(epoch).as_micros()).unwrap_or(0);
        let play = move || players::play(score, streams, began, lateness, server_time);
        thread::Builder::new().name("players".into()).spawn(play)?
    };
    let heard = listen(&mut hall, began, &phases, &mut progress, || players.is_finished() && beside.is_finished())?;
    let played = players.join().expect("playing does not panic");
    let besides = beside.join().expect("what happens beside does not panic");
    let looks = watch.end();
    drop(progress);

    hall.tally.unsent = played.unsent;
    hall.close_books();
    let outcome = Outcome {
        form: FORM,
        scenario: plan.scenario,
        name: None,
        settings: BTreeMap::new(),
        url: plan.url,
        is_relay: target.is_relay,
        seating_seconds: seating.as_secs_f64(),
        connections: score.seats() as u64,
        notes: hall.tally.clone(),
        figures: BTreeMap::new(),
        phases: told_phases(&hall, &played, besides, &looks),
        timeline: timeline(&heard, &looks),
        failures: Vec::new(),
    };
    let mut outcome = judged(outcome);
    outcome.figures.extend(ratio::figures(&outcome.phases));
    outcome.failures.extend(ratio::slowed(&outcome.figures, plan.max_ratio));
    Ok(outcome)
}

/// Hears all that comes, until all has come, or nothing does any more. Returns what came, second by second.
fn listen(
    hall: &mut Hall,
    began: Instant,
    phases: &[Phase],
    progress: &mut Progress,
    is_over: impl Fn() -> bool,
) -> io::Result<Vec<(Duration, SecondHeard)>> {
    let end = phases.last().map_or(Duration::ZERO, |phase| phase.until);
    let mut heard = Vec::new();
    let mut second = Duration::from_secs(1);
    let (mut arrived, mut last_arrival) = (0, Instant::now());
    loop {
        hall.turn(Duration::from_millis(50))?;
        let now = Instant::now().saturating_duration_since(began);
        if now >= second {
            let this = hall.ear.take_second();
            let phase = phases.iter().find(|phase| (phase.from..phase.until).contains(&now));
            progress.playing(now, end, phase.map_or("", |phase| &phase.name), &this, &hall.tally);
            heard.push((now, this));
            // After a stall the seconds that are over are one.
            second = Duration::from_secs(now.as_secs() + 1);
        }
        let is_over = is_over();
        if is_over && hall.tally.arrived >= hall.tally.expected {
            break;
        }
        if hall.tally.arrived > arrived || !is_over {
            (arrived, last_arrival) = (hall.tally.arrived, Instant::now());
        } else if last_arrival.elapsed() > LOST_AFTER {
            break;
        }
    }
    // A second that has hardly begun says nothing of a second.
    let (now, last) = (Instant::now().saturating_duration_since(began), hall.ear.take_second());
    let since = heard.last().map_or(Duration::ZERO, |(at, _)| *at);
    if last.deliveries > 0 && now.saturating_sub(since) > Duration::from_millis(250) {
        heard.push((now, last));
    }
    Ok(heard)
}

/// Lets happen what happens beside the band, each in its part.
fn act_all(acts: Vec<Option<Box<dyn Act>>>, phases: &[Phase], scene: &Scene, began: Instant) -> Vec<Option<Beside>> {
    let run = |(act, phase): (Option<Box<dyn Act>>, &Phase)| {
        let act = act?;
        thread::sleep((began + phase.from).saturating_duration_since(Instant::now()));
        Some(act.run(scene, began + phase.until).unwrap_or_else(|error| Beside {
            failures: vec![format!("it could not go on: {error}")],
            ..Beside::default()
        }))
    };
    acts.into_iter().zip(phases).map(run).collect()
}

/// When each part is.
fn phases(warm_up: f64, parts: &[Part]) -> Vec<Phase> {
    let mut from = Duration::from_secs_f64(warm_up);
    let mut phases = Vec::new();
    for part in parts {
        let until = from + Duration::from_secs_f64(part.seconds);
        phases.push(Phase { name: part.name.clone(), from, until });
        from = until + SETTLE;
    }
    phases
}

fn told_phases(hall: &Hall, played: &Played, besides: Vec<Option<Beside>>, looks: &[Look]) -> Vec<PhaseOutcome> {
    let heard = hall.ear.phases().iter().zip(played.lateness.phases()).zip(besides);
    heard
        .map(|((heard, sent), beside)| {
            let Phase { name, from, until } = &heard.phase;
            let looks = nearest(looks, *from).zip(nearest(looks, *until));
            let server =
                looks.and_then(|(first, last)| Some(Taken::between(first.server.as_ref()?, last.server.as_ref()?)));
            PhaseOutcome {
                name: name.clone(),
                from: from.as_secs_f64(),
                seconds: (*until - *from).as_secs_f64(),
                latency: Percentiles::of(&heard.latency),
                lateness: Percentiles::of(&sent.latency),
                server,
                load: looks.map(|(first, last)| Taken::between(&first.load, &last.load)).unwrap_or_default(),
                beside,
            }
        })
        .collect()
}

fn timeline(heard: &[(Duration, SecondHeard)], looks: &[Look]) -> Vec<Second> {
    let mut before = (Duration::ZERO, nearest(looks, Duration::ZERO));
    let mut timeline = Vec::new();
    for (at, heard) in heard {
        let look = nearest(looks, *at);
        let seconds = (*at - before.0).as_secs_f64().max(f64::EPSILON);
        let mut second = Second {
            at: at.as_secs_f64(),
            deliveries: heard.deliveries as f64 / seconds,
            p50_ms: heard.p50_ms,
            p99_ms: heard.p99_ms,
            max_ms: heard.max_ms,
            ..Second::default()
        };
        if let (Some(before), Some(look)) = (before.1, look)
            && before.at < look.at
        {
            let (server, load) = used(before, look);
            second.server = server.map(|server| server.threads).unwrap_or_default();
            second.load = load.cores();
            second.resident = look.server.as_ref().map_or(0, |server| server.resident);
            second.shards = shards(before, look);
        }
        timeline.push(second);
        before = (*at, look);
    }
    timeline
}

/// With what was wrong in words.
pub fn judged(mut outcome: Outcome) -> Outcome {
    let Tally { lost, doubled, reordered, wrong, shed, refused, unsent, ended, strange, first_word, .. } =
        &outcome.notes;
    let faults = [
        ("notes lost", lost),
        ("notes doubled", doubled),
        ("notes reordered", reordered),
        ("wrong notes", wrong),
        ("notes shed", shed),
        ("refusals", refused),
        ("notes not sent", unsent),
        ("connections ended", ended),
        ("strange messages", strange),
    ];
    let faults = faults.into_iter().filter(|(_, count)| **count > 0);
    outcome.failures.extend(faults.map(|(what, count)| format!("{what}: {count}")));
    outcome.failures.extend(first_word.iter().map(|word| format!("the first complaint: {word}")));
    for phase in &outcome.phases {
        let failures = phase.beside.iter().flat_map(|beside| &beside.failures);
        outcome.failures.extend(failures.map(|failure| format!("{}: {failure}", phase.name)));
    }
    outcome
}
