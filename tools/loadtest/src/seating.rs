//! Fills the rooms, many connections on their way at a time.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::wire::{
    CreateRoomCommand, JoinRoomByName, NoteQuota, RoomSettings, server_message::Message,
};

use crate::{
    frame,
    hall::{Hall, Ticket},
    progress::Progress,
    score::Score,
    target::{PATIENCE, Target},
};

/// Connections that are on their way at once: enough to keep a server busy, few enough for any backlog of a listener.
const AT_ONCE: usize = 64;

/// Names for a run's rooms: no other run's are met, nor those a run before has left.
pub fn room_names(target: &Target, rooms: usize) -> Vec<String> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Relaxed);
    // The least of relays knows rooms by number.
    let name = |room| {
        if target.is_relay { format!("r{room}") } else { format!("load-{}-{run}-{room}", std::process::id()) }
    };
    (0..rooms).map(name).collect()
}

/// Makes the rooms, each by its first member and as large as it has to be, and fills them. `spare` is room for others than the
/// band in each. Returns how long it took.
pub fn seat_band(
    hall: &mut Hall,
    target: &Target,
    score: &Score,
    rooms: &[String],
    spare: usize,
    progress: &mut Progress,
) -> io::Result<Duration> {
    let begun = Instant::now();
    progress.seating(score.seats());
    for member in 0..score.members() {
        for (room, name) in rooms.iter().enumerate() {
            let player = (member < score.players).then_some(member);
            let create = member == 0;
            let say = if create {
                let quota = if score.rate > 100.0 { NoteQuota::Dense } else { NoteQuota::Standard };
                let settings = RoomSettings {
                    max_users: Some(u32::try_from(score.members() + spare).unwrap_or(u32::MAX)),
                    note_quota: Some(quota.into()),
                    ..RoomSettings::default()
                };
                let room_name = name.clone();
                Message::CreateRoomCommand(CreateRoomCommand {
                    room_name,
                    settings: Some(settings),
                    ..CreateRoomCommand::default()
                })
            } else {
                Message::JoinRoomByName(JoinRoomByName { room_name: name.clone(), ..JoinRoomByName::default() })
            };
            let way = if create && !target.is_relay { String::new() } else { format!("&room={name}") };
            let query = format!("?name=band-{room}-{member}{way}");
            let say = frame::message(say);
            hall.admit(Ticket { query, room: Some(room), player, say, says_it: create })?;
            wait(hall, AT_ONCE - 1, progress)?;
        }
        if member == 0 {
            // The rooms have to be there before others look for them.
            wait(hall, 0, progress)?;
        }
    }
    wait(hall, 0, progress)?;
    Ok(begun.elapsed())
}

/// Opens connections that stay in no room. Returns how long it took.
pub fn seat_roomless(hall: &mut Hall, target: &Target, count: usize, progress: &mut Progress) -> io::Result<Duration> {
    let begun = Instant::now();
    progress.seating(count);
    for number in 0..count {
        let query = if target.is_relay { format!("?room=r{}", number % 65_535) } else { String::new() };
        hall.admit(Ticket { query, ..Ticket::default() })?;
        wait(hall, AT_ONCE - 1, progress)?;
    }
    wait(hall, 0, progress)?;
    Ok(begun.elapsed())
}

/// Waits until no more than so many are on their way.
fn wait(hall: &mut Hall, coming: usize, progress: &mut Progress) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        progress.seated(hall.connected() - hall.coming());
        let tally = &hall.tally;
        let word = tally.first_word.as_deref();
        if tally.ended > 0 || tally.refused > 0 {
            return Err(io::Error::other(word.unwrap_or("a connection ended").to_owned()));
        }
        if hall.coming() <= coming {
            return Ok(());
        }
        if Instant::now() > deadline {
            let told = format!("{} connections wait for their seats, and nothing comes", hall.coming());
            return Err(io::Error::new(io::ErrorKind::TimedOut, told));
        }
        hall.turn(Duration::from_millis(10))?;
    }
}
