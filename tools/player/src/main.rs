//! The `player` command. `--help` teaches it; the work is in the library.

use std::{
    fs,
    future::Future,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use pianorhythm_player::{
    compare::compare,
    listen::{ListenError, Style, listen},
    part::{Part, display_name},
    play::{Piece, Played, play},
    record::{Ended, Recorded, Take, record},
    recording::Summary,
    smf,
};

use crate::{
    cli::{Cli, Command, CompareArgs, ListenArgs, PlayArgs, RecordArgs},
    show::{PlayShow, RecordShow, clock},
};

mod cli;
mod show;

const INTERRUPTED: u8 = 130;

/// What goes wrong is told to a person and ends the command, so that its words are all there is to it.
type Outcome = Result<ExitCode, String>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Play(args) => play_file(args).await,
        Command::Record(args) => record_room(args).await,
        Command::Listen(args) => listen_to_room(args).await,
        Command::Compare(args) => compare_files(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

async fn play_file(args: PlayArgs) -> Outcome {
    let tracks = read_parts(&args.file)?;
    let parts = if args.each_track {
        tracks.into_iter().filter(|part| part.note_ons() > 0).collect()
    } else {
        let title = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        vec![Part::merged(display_name(&args.name.unwrap_or(title)), &tracks)]
    };
    let note_ons: usize = parts.iter().map(Part::note_ons).sum();
    if note_ons == 0 {
        return Err(format!("{} has no notes to play", args.file.display()));
    }
    let piece = Piece { parts, speed: args.speed };
    let players = count(piece.parts.len(), "player");
    eprintln!("{players}, {}, {} at speed {}", count(note_ons, "note"), clock(piece.duration()), piece.speed);

    let stop = asked_to_stop()?;
    let mut show = PlayShow::new();
    let played = play(&piece, &args.place.place(), stop, &mut |progress| show.show(progress)).await;
    drop(show);
    let played = played.map_err(|error| error.to_string())?;
    conclude(&played)
}

fn conclude(played: &Played) -> Outcome {
    let Played { messages, note_ons, misplaced, lateness, .. } = played;
    println!("played {} in {}", count(*note_ons, "note"), count(*messages, "message"));
    if !played.interrupted {
        println!("sent after their time: {lateness}");
    }
    if *misplaced > 0 {
        eprintln!(
            "warning: {} came too late for their place and sound where they arrived: this machine or the network stood \
             still",
            count(*misplaced, "message")
        );
    }
    if played.refused > 0 {
        return Err(format!(
            "{} refused because the room's note quota was spent: nobody heard them. Play slower (--speed), or into a \
             room that allows dense playing (--dense, where the room does not exist yet)",
            count(played.refused as usize, "note event")
        ));
    }
    Ok(if played.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

async fn record_room(args: RecordArgs) -> Outcome {
    let take = Take { name: display_name(&args.name), out: args.out, idle: args.idle };
    let stop = asked_to_stop()?;
    let mut show = RecordShow::new();
    let recorded = record(&take, &args.place.place(), stop, &mut |progress| show.show(progress)).await;
    drop(show);
    let Recorded { summary, ended } = recorded.map_err(|error| error.to_string())?;
    print_summary(&summary);
    println!("written to {}", take.out.display());
    if let Some(path) = &args.stats {
        let json = serde_json::to_vec_pretty(&summary).expect("figures have a JSON form");
        fs::write(path, json).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    match ended {
        Ended::Stopped | Ended::Idle => Ok(ExitCode::SUCCESS),
        Ended::Full => Err("the recording is as long as one can be; what was played up to here is in the file".into()),
        Ended::Closed(closed) => Err(format!("{closed}; what was played up to then is in the file")),
    }
}

fn print_summary(summary: &Summary) {
    if summary.participants.is_empty() {
        println!("nobody played: the file has no notes");
        return;
    }
    for player in &summary.participants {
        let name = format!("{} ({})", player.name, player.participant);
        println!("{name}: {} on, {} off, {} other events", player.note_ons, player.note_offs, player.others);
    }
    println!("{} in {}", count(summary.note_ons as usize, "note"), count(summary.messages as usize, "message"));
    println!("arrival after the message's timestamp: {}", summary.arrival_after_timestamp);
    println!("arrival after the event was due: {}", summary.arrival_after_due);
    let Summary { gaps, sequence_errors, turned_back, unreadable, still_sounding, .. } = summary;
    println!(
        "gaps {gaps}, sequence errors {sequence_errors}, turned back {turned_back}, unreadable {unreadable}, \
         still sounding at the end {still_sounding}"
    );
}

async fn listen_to_room(args: ListenArgs) -> Outcome {
    let style = if args.json { Style::Json } else { Style::Text };
    let stop = asked_to_stop()?;
    let mut out = io::BufWriter::new(io::stdout());
    match listen(&display_name(&args.name), &args.place.place(), style, stop, &mut out).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever read along has had enough.
        Err(ListenError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.to_string()),
    }
}

fn compare_files(args: CompareArgs) -> Outcome {
    let mut piece = read_parts(&args.file)?;
    let recorded = read_parts(&args.recorded)?;
    if args.merged {
        // Played by one player, whatever its name was.
        let name = recorded.iter().find(|part| part.notes().next().is_some()).map_or("", |part| &part.name);
        piece = vec![Part::merged(name, &piece)];
    }
    let comparison = compare(&piece, &recorded, args.speed);
    if args.json {
        let json = serde_json::to_string_pretty(&comparison).expect("a comparison has a JSON form");
        writeln!(io::stdout(), "{json}").map_err(|error| error.to_string())?;
    } else {
        println!("{comparison}");
    }
    Ok(if comparison.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_parts(path: &Path) -> Result<Vec<Part>, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    smf::read(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Ready at the first ctrl-c or SIGTERM. Both are caught from this call on.
fn asked_to_stop() -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let catch = |kind| signal(kind).map_err(|error| format!("cannot catch signals: {error}"));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
