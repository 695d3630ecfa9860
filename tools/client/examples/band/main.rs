//! A band: many rooms of players who all play in time, whether the server keeps up or not, and who check and time every
//! note they hear. What it prints is the time from the moment a note was *due* to its arrival at each listener, so that a
//! stall of server or band shows in every note that waited for it.
//!
//! The clocks of players and listeners are one, so the figures are exact; the band's own share stands beside them. Start the
//! server with `--config config/load.toml`, which lifts the limits that keep one address from taking so much.
//!
//! Ends with 1 where a note was lost, came twice, out of order or changed.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod connection;
mod hall;
mod players;
#[path = "../measure/process.rs"]
mod process;
mod score;

use std::{
    error::Error,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use hdrhistogram::Histogram;
use pianorhythm_client::protocol::wire::{
    CreateRoomCommand, JoinRoomByName, NoteQuota, RoomSettings, server_message::Message,
};

use crate::{
    hall::Hall,
    process::{Sample, mib},
    score::Score,
};

/// After the last note, how long silence must last before missing notes count as lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// How often a seat is asked for.
const SEATING_TRIES: usize = 5;

/// Many rooms of players who check and time every note they hear.
#[derive(Parser, Debug)]
struct Args {
    /// The server, as ws://HOST:PORT.
    #[arg(long, default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// Rooms.
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Players in each room.
    #[arg(long, default_value_t = 20)]
    players: usize,
    /// Notes a second of each player: presses and releases by turns.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// How long to play, or to hold idle connections.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// How long to play before that: checked, but not timed.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// The server's process: its processor time and memory are told.
    #[arg(long)]
    pid: Option<u32>,
    /// Only hold so many connections that do nothing.
    #[arg(long)]
    idle: Option<usize>,
    /// With --idle: in rooms of --players each, rather than in none.
    #[arg(long)]
    seated: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.idle {
        Some(count) => idle(&args, count),
        None => play(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The address in a URL; the rest of it is always the same.
fn address(url: &str) -> Result<&str, String> {
    let rest = url.strip_prefix("ws://").ok_or_else(|| format!("`{url}` does not begin with ws://"))?;
    Ok(rest.split('/').next().unwrap_or(rest))
}

/// Fills the rooms; the first of each makes it, as large as it has to be.
fn seat_all(hall: &mut Hall, score: &Score, address: &str) -> Result<(), Box<dyn Error>> {
    // So that no other run's rooms are met, nor those a run before has left.
    let run = format!("band-{}", std::process::id());
    for room in 0..score.rooms {
        let name = format!("{run}-{room}");
        for player in 0..score.players {
            let quota = if score.rate > 100.0 { NoteQuota::Dense } else { NoteQuota::Standard };
            let settings = RoomSettings {
                max_users: Some(u32::try_from(score.players)?),
                note_quota: Some(quota.into()),
                ..RoomSettings::default()
            };
            let create =
                CreateRoomCommand { room_name: name.clone(), settings: Some(settings), ..CreateRoomCommand::default() };
            let join = JoinRoomByName { room_name: name.clone(), ..JoinRoomByName::default() };
            let (query, say) = if player == 0 {
                (String::new(), Message::CreateRoomCommand(create))
            } else {
                (format!("&room={name}"), Message::JoinRoomByName(join))
            };
            let say = connection::message(say);
            let first = (player == 0).then_some(&say[..]);
            let seat = hall.admit(address, &format!("?name=player-{room}-{player}{query}"), room, first)?;
            let mut tries = 1;
            while let Err(error) = hall.wait_seated(seat) {
                // A server with faults on purpose: it asks for another try.
                if tries == SEATING_TRIES || !hall.forgive("SERVER_ERROR") {
                    return Err(error.into());
                }
                tries += 1;
                hall.say_to(seat, &say)?;
            }
        }
    }
    Ok(())
}

fn play(args: &Args) -> Result<bool, Box<dyn Error>> {
    let timed_from = Duration::from_secs_f64(args.warm_up);
    let notes = ((args.warm_up + args.seconds) * args.rate).round() as usize;
    let score = Score { rooms: args.rooms, players: args.players, rate: args.rate, notes };
    raise_descriptor_limit();
    let mut hall = Hall::new(score, timed_from)?;
    let connecting = Instant::now();
    seat_all(&mut hall, &score, address(&args.url)?)?;
    println!(
        "{} rooms × {} players × {} notes/s for {} s; connected in {:.1} s",
        score.rooms,
        score.players,
        score.rate,
        args.seconds,
        connecting.elapsed().as_secs_f64()
    );

    let streams = hall.streams();
    let by_room: Vec<Vec<_>> = streams.chunks(score.players).map(<[_]>::to_vec).collect();
    let began = Instant::now() + Duration::from_millis(100);
    hall.begin(began);
    let (epoch, server_us) = (hall.epoch, hall.server_time_us);
    let server_time =
        move |at: Instant| server_us + i64::try_from(at.saturating_duration_since(epoch).as_micros()).unwrap_or(0);
    let mut watch: Vec<u32> = vec![std::process::id()];
    watch.extend(args.pid);
    let players = thread::Builder::new()
        .name("players".into())
        .spawn(move || players::play(score, &by_room, began, timed_from, &watch, server_time))?;
    let mut last_arrival = Instant::now();
    let mut arrived = 0;
    while hall.arrived < score.deliveries() {
        hall.turn(Duration::from_millis(100))?;
        if hall.arrived > arrived || !players.is_finished() {
            (arrived, last_arrival) = (hall.arrived, Instant::now());
        } else if last_arrival.elapsed() > LOST_AFTER {
            break;
        }
    }
    let played = players.join().expect("playing does not panic")?;

    let timed = hall.latency.len();
    let faults = &hall.faults;
    println!(
        "notes    {} of {} arrived, {:.0} a second; lost {}, repeated {}, wrong {}, gaps {}, refused {}, unsent {}, ended {}",
        hall.arrived,
        score.deliveries(),
        timed as f64 / args.seconds,
        score.deliveries() - hall.arrived,
        faults.repeated,
        faults.wrong,
        faults.gaps,
        faults.refused,
        played.unsent,
        faults.ended,
    );
    println!("latency  {}", percentiles(&hall.latency));
    println!("of that  {} passed before the band had sent", percentiles(&played.lateness));
    let names = ["band", "server"];
    for (name, (first, last)) in names.iter().zip(&played.watched) {
        println!("{name:<8} {}; resident {}, {} descriptors", last.since(first), mib(last.resident), last.descriptors);
    }
    if let Some(word) = &faults.first_word {
        println!("the first complaint: {word}");
    }
    // Connections end here, all at once.
    drop(streams);
    Ok(hall.arrived == score.deliveries() && *faults == Default::default() && played.unsent == 0)
}

fn idle(args: &Args, count: usize) -> Result<bool, Box<dyn Error>> {
    raise_descriptor_limit();
    let players = args.players.max(1);
    let rooms = if args.seated { count.div_ceil(players) } else { 0 };
    let score = Score { rooms, players, rate: 1.0, notes: 0 };
    let mut hall = Hall::new(score, Duration::ZERO)?;
    let address = address(&args.url)?;
    let look = || args.pid.map(Sample::of).transpose();
    let before = look()?;
    if args.seated {
        seat_all(&mut hall, &score, address)?;
    } else {
        for _ in 0..count {
            hall.admit(address, "", 0, None)?;
        }
    }
    let held = hall.connected();
    println!("{held} idle connections, {}", if args.seated { "in rooms" } else { "in no room" });
    let until = Instant::now() + Duration::from_secs_f64(args.seconds);
    let start = look()?;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        // Pings are answered.
        hall.turn(left.min(Duration::from_millis(100)))?;
    }
    if let (Some(before), Some(start), Some(end)) = (before, start, look()?) {
        let each = end.resident.saturating_sub(before.resident) as f64 / held.max(1) as f64;
        println!(
            "server   {}; resident {} before, {} with them, at most {}: {:.1} KiB each",
            end.since(&start),
            mib(before.resident),
            mib(end.resident),
            mib(end.resident_peak),
            each / 1024.0
        );
    }
    if let Some(word) = &hall.faults.first_word {
        println!("the first complaint: {word}");
    }
    Ok(hall.connected() == held && hall.faults == Default::default())
}

fn percentiles(histogram: &Histogram<u64>) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    let at = |quantile| ms(histogram.value_at_quantile(quantile));
    format!(
        "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        ms(histogram.max())
    )
}

/// Thousands of sockets need more descriptors than a shell's soft limit gives.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files stays at {:?}: {error}", limit.current);
    }
}
