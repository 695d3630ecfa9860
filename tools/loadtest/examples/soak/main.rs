//! A long, unruly evening: players come, play at random, change rooms, talk and go, politely or not, while a listener in
//! each room checks what it hears and the server's process is watched. `tools/soak` starts a server and runs this on it.
//!
//! Ends with 1 where a note was lost, repeated, out of order or left sounding; where somebody was refused or disconnected
//! without a reason; where a handler panicked; where memory or descriptors grew; or where the server, with nobody there any
//! more, still has connections, users, rooms, actors or what waits for them.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod audience;
mod chance;
mod ear;
mod player;
mod report;
mod server;

use std::{
    collections::BTreeMap,
    error::Error,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use clap::Parser;
use pianorhythm_client::Client;
use pianorhythm_loadtest::{
    metrics::{metrics, sum},
    process::Sample,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{audience::Listener, player::Plan, report::Report, server::Trend};

/// How long the rooms may take to be empty and silent after the last player was cut off, and the server to be as it was: it knows
/// users without connections for up to 70 s.
const SETTLES_WITHIN: Duration = Duration::from_secs(90);
/// What a server has of those who are there, and nothing of once they are gone.
const GAUGES: [&str; 8] = [
    "pianorhythm_connections",
    "pianorhythm_front_desk_connections",
    "pianorhythm_users",
    "pianorhythm_rooms",
    "pianorhythm_actors",
    "pianorhythm_actor_pending",
    "pianorhythm_actor_loading",
    "pianorhythm_actor_stuck",
];

/// Plays at random on a server, and checks all that is heard.
#[derive(Parser, Debug)]
struct Args {
    /// The server, as ws://HOST:PORT.
    #[arg(long)]
    url: String,
    /// Where its operators look, as HOST:PORT.
    #[arg(long)]
    admin: String,
    /// Its process.
    #[arg(long)]
    pid: u32,
    /// How long to play.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
    /// Players who come and go.
    #[arg(long, default_value_t = 40)]
    players: u64,
    /// Rooms they meet in, beside the lobbies.
    #[arg(long, default_value_t = 6)]
    rooms: usize,
    /// Chance begins here; told at the start of each run. None: another one each time.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<bool, Box<dyn Error>> {
    let seed = args.seed.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::from(since.subsec_nanos()) ^ since.as_secs()
    });
    println!("{} players in {} rooms for {} s, seed {seed}", args.players, args.rooms, args.seconds);
    let rooms = (1..=args.rooms.max(1)).map(|number| format!("soak {number}")).collect();
    let plan = Arc::new(Plan { url: args.url.clone(), rooms, report: Report::default() });

    // What a server opens at its first connection belongs to what it had before, as the lobby does. Its gauges lag behind by a
    // heartbeat: where they tell of nobody there it must be known that somebody was.
    let (first, _) = Client::builder(&args.url).connect().await?;
    counted(&args).await?;
    first.close().await;
    settled(&args, None).await?;
    let before = House::of(&args)?;

    let mut audience = Vec::new();
    for room in &plan.rooms {
        audience.push(Listener::arrive(Arc::clone(&plan), room.clone()).await?);
    }
    let (stop, stopped) = watch::channel(false);
    let mut players = JoinSet::new();
    for number in 0..args.players {
        players.spawn(player::live(number, seed, Arc::clone(&plan), stopped.clone()));
    }
    let trend = watch_server(&args).await?;
    stop.send_replace(true);
    while let Some(ended) = players.join_next().await {
        ended?;
    }

    let report = &plan.report;
    for (listener, room) in audience.iter_mut().zip(&plan.rooms) {
        if timeout(SETTLES_WITHIN, listener.company.wait_for(|company| *company == 0)).await.is_err() {
            let left = *listener.company.borrow();
            report.fault(room, format!("{left} players who are gone are still members"));
        }
    }
    for listener in audience {
        listener.leave().await;
    }
    for left in settled(&args, Some(&before)).await? {
        report.fault("the server", format!("with nobody there, {left}"));
    }
    let (told, grown) = trend.verdict();
    grown.into_iter().for_each(|what| report.fault("the server", what));
    check_metrics(&args, report)?;
    println!("server   {told}");
    Ok(tell(report))
}

/// What a server has of those who are there: descriptors, and its gauges.
struct House(BTreeMap<&'static str, f64>);

impl House {
    fn of(args: &Args) -> Result<Self, Box<dyn Error>> {
        let figures = metrics(&args.admin)?;
        let mut has: BTreeMap<_, _> = GAUGES.iter().map(|name| (*name, sum(&figures, name, ""))).collect();
        has.insert("descriptors", Sample::of(args.pid)?.descriptors as f64);
        Ok(Self(has))
    }
}

/// Waits until the server tells of a connection.
async fn counted(args: &Args) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + SETTLES_WITHIN;
    while House::of(args)?.0[GAUGES[0]] == 0.0 {
        if Instant::now() > deadline {
            return Err("the server does not count a connection that it has welcomed".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits until the server has no connection, and no more of anything than before; what it still has where that takes too
/// long.
async fn settled(args: &Args, before: Option<&House>) -> Result<Vec<String>, Box<dyn Error>> {
    let deadline = Instant::now() + SETTLES_WITHIN;
    loop {
        let now = House::of(args)?;
        let allowed = |name: &str| match before {
            Some(before) => before.0[name],
            None if name == GAUGES[0] => 0.0,
            None => f64::INFINITY,
        };
        let more = now.0.iter().filter(|(name, has)| **has > allowed(name));
        let left: Vec<String> = more.map(|(name, has)| format!("{name}: {has}, {} before", allowed(name))).collect();
        if left.is_empty() || Instant::now() > deadline {
            return Ok(left);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Looks at the server's process until the evening is over.
async fn watch_server(args: &Args) -> Result<Trend, Box<dyn Error>> {
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let pause = Duration::from_secs_f64((args.seconds / 120.0).clamp(0.1, 5.0));
    let mut trend = Trend::default();
    while Instant::now() < until {
        trend.add(Sample::of(args.pid)?);
        sleep(pause).await;
    }
    Ok(trend)
}

/// Tells what the server has counted, and finds fault with what must not be.
fn check_metrics(args: &Args, report: &Report) -> Result<(), Box<dyn Error>> {
    let metrics = metrics(&args.admin)?;
    let total = |name: &str, label: &str| sum(&metrics, name, label);
    for (name, label) in
        [("pianorhythm_panics_total", ""), ("pianorhythm_front_desk_http_ends_total", "reason=\"panicked\"")]
    {
        if total(name, label) != 0.0 {
            report.fault("the server", format!("{name} is {}", total(name, label)));
        }
    }
    let moves = |direction| total("pianorhythm_moves_total", direction);
    let (out, taken) = (moves("direction=\"out\""), moves("direction=\"in\""));
    if out != taken {
        report.fault("the server", format!("{out} connections left for another shard, {taken} came"));
    }
    let of = |name| total(name, "");
    println!(
        "counted  {} messages in, {} relayed, {} deliveries, {} joins, {out} moves between shards",
        of("pianorhythm_messages_in_total"),
        of("pianorhythm_midi_relayed_total"),
        of("pianorhythm_deliveries_total"),
        of("pianorhythm_joins_total"),
    );
    for (series, value) in metrics.iter().filter(|(series, value)| series.contains("_dropped_total") && **value > 0.0) {
        println!("         {series} {value}");
    }
    Ok(())
}

/// Tells what was done and what was wrong; whether all was well.
fn tell(report: &Report) -> bool {
    let figure = |figure: &std::sync::atomic::AtomicU64| figure.load(Relaxed);
    println!(
        "players  {} connections, {} cut off in mid-play; {} rooms entered; {} notes played, {} heard; {} lines; {} gaps",
        figure(&report.connections),
        figure(&report.cuts),
        figure(&report.joins),
        figure(&report.played),
        figure(&report.heard),
        figure(&report.lines),
        figure(&report.gaps),
    );
    let refusals: Vec<String> = report.refusals().iter().map(|(code, count)| format!("{code} {count}")).collect();
    println!("refused  {}", if refusals.is_empty() { "nothing".into() } else { refusals.join(", ") });
    println!("faults   {}", report.faults());
    report.faults() == 0
}
