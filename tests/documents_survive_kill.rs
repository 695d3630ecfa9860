//! What the embedded documents have acknowledged is there after a SIGKILL at any moment, and the file opens by itself.
//!
//! The test starts itself as a child that writes and prints what was acknowledged, kills it, and looks. Thirty times, or
//! as often as `KILL_ROUNDS` says, on the same folder.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio, exit},
    sync::Arc,
    time::Duration,
};

use pianorhythm_server::{
    domain::{
        chat::{ChatLine, LineKind, MAX_LINES},
        room::{RoomChange, RoomRecord},
        room_settings::{RoomKind, Settings},
    },
    protocol::{ids::RoomKey, time::Timestamp},
    store::{DOCUMENTS_FILE, DataDir, Documents, EmbeddedDocuments},
};

/// How often, where nothing else is asked for.
const ROUNDS: usize = 30;
const WRITERS: usize = 8;
/// Said before it opens the file.
const OPENING: &str = "opening the file";
/// The folder of the child; a process without it is no child.
const FOLDER: &str = "DOCUMENTS_SURVIVE_KILL_FOLDER";
const ROUND: &str = "DOCUMENTS_SURVIVE_KILL_ROUND";

#[test]
fn what_was_acknowledged_is_there_after_each_kill() {
    let rounds = env::var("KILL_ROUNDS").map_or(ROUNDS, |rounds| number(&rounds) as usize);
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashMap::new();
    let mut seen = 0;
    for round in 0..rounds {
        let mut child = start_child(folder.path(), round);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Now in the middle of opening, now after a few commits, now after many.
        let until = if round % 6 == 5 { 0 } else { round * 7 % 40 };
        let mut acks = 0;
        while acks < until {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            acks += usize::from(note(&line, &mut acknowledged));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had still told before the end counts as well. The last line may be half a line.
        acks += lines.map_while(Result::ok).filter(|line| note(line, &mut acknowledged)).count();
        seen += acks;
        check(folder.path(), &acknowledged, round);
    }
    assert!(seen > rounds * 5, "only {seen} changes were acknowledged in all");
}

#[test]
fn who_is_killed_while_it_makes_the_file_leaves_nothing_to_clear_up() {
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start_child(folder.path(), 0);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().expect("the child opens").unwrap().contains(OPENING) {}
        std::thread::sleep(Duration::from_micros(100 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        check(folder.path(), &HashMap::new(), round);
    }
}

/// Not a test of its own: what the child does.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let round = number(&env::var(ROUND).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        println!("{OPENING}");
        let (_folder, store) = open(Path::new(&folder));
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer, round))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

fn start_child(folder: &Path, round: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn open(folder: &Path) -> (DataDir, Arc<EmbeddedDocuments>) {
    let folder = DataDir::open(folder).expect("the killed owner has given up the folder");
    let store = EmbeddedDocuments::open(&folder.file(DOCUMENTS_FILE), Default::default());
    (folder, store.expect("the file opens without repair by hand"))
}

/// One writer's room: a line a step, and every tenth step the record with the number of the step, and a room that
/// comes and goes.
async fn write(store: Arc<EmbeddedDocuments>, writer: usize, round: u64) {
    let room = store.load_room(&key("room", writer)).await.unwrap();
    let mut step = room.and_then(|room| Some(number(&room.chat.last()?.text) + 1)).unwrap_or(0);
    loop {
        if step % 10 == 0 {
            store.save(save(key("room", writer), step)).await.unwrap();
            tell("saved", writer, step);
            // A step may come again in the next round; this number does not.
            let passing = round * 1_000_000 + step;
            store.save(save(key("passing", writer), passing)).await.unwrap();
            store.save(RoomChange::Delete(key("passing", writer))).await.unwrap();
            tell("deleted", writer, passing);
        }
        store.save(RoomChange::Chat { key: key("room", writer), line: line(step) }).await.unwrap();
        tell("said", writer, step);
        step += 1;
    }
}

fn tell(what: &str, writer: usize, step: u64) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "acknowledged {what} {writer} {step}").and_then(|()| out.flush()).is_err() {
        // Nobody reads: the parent has ended.
        exit(1);
    }
}

/// Takes down an acknowledgement; whether the line is one. The test harness may have written before it.
fn note(line: &str, acknowledged: &mut HashMap<(String, usize), u64>) -> bool {
    let Some((_, told)) = line.split_once("acknowledged ") else { return false };
    let [what, writer, step] = told.split(' ').collect::<Vec<_>>()[..] else { return false };
    acknowledged.insert((what.into(), writer.parse().unwrap()), number(step));
    true
}

fn check(folder: &Path, acknowledged: &HashMap<(String, usize), u64>, round: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, store) = open(folder);
        for writer in 0..WRITERS {
            let Some(&saved) = acknowledged.get(&("saved".to_owned(), writer)) else { continue };
            let room = store.load_room(&key("room", writer)).await.unwrap();
            let room = room.unwrap_or_else(|| panic!("round {round}: room {writer} is lost"));
            let found = number(&room.record.display_name);
            assert!(found >= saved, "round {round}: room {writer} was saved at step {saved} and is of {found}");

            if let (Some(passing), Some(&deleted)) = (
                store.load_room(&key("passing", writer)).await.unwrap(),
                acknowledged.get(&("deleted".to_owned(), writer)),
            ) {
                let found = number(&passing.record.display_name);
                assert!(found > deleted, "round {round}: room {writer} of step {found} was deleted at {deleted}");
            }

            let lines: Vec<u64> = room.chat.iter().map(|line| number(&line.text)).collect();
            assert!(lines.windows(2).all(|pair| pair[1] == pair[0] + 1), "round {round}: {lines:?}");
            let Some(&said) = acknowledged.get(&("said".to_owned(), writer)) else { continue };
            let last = *lines.last().expect("something was said");
            assert!(last >= said, "round {round}: line {said} of room {writer} was acknowledged, the last is {last}");
            assert_eq!(lines.len() as u64, (last + 1).min(MAX_LINES as u64), "round {round}: {lines:?}");
        }
        store.close().await.unwrap();
    });
}

fn key(kind: &str, writer: usize) -> RoomKey {
    RoomKey::from_normalised(&format!("{kind} {writer}"))
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number"))
}

fn save(key: RoomKey, step: u64) -> RoomChange {
    RoomChange::Save(Box::new(RoomRecord {
        key,
        display_name: step.to_string(),
        kind: RoomKind::Public,
        settings: Settings::default(),
        password_hash: None,
        owner: None,
        bans: Vec::new(),
        mutes: Vec::new(),
        by_guest: step.is_multiple_of(20),
        last_used: Timestamp::from_us(step),
    }))
}

fn line(step: u64) -> ChatLine {
    ChatLine {
        message_id: format!("m{step}"),
        kind: LineKind::User,
        user_id: "clara".into(),
        username: "Clara".into(),
        colour: "#aabbcc".into(),
        participant: 1,
        time_ms: 0,
        text: step.to_string(),
    }
}
