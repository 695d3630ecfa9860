//! A room that outgrows a core: its members live on all shards, and hear the same notes in the same order.
//!
//! With as many as are asked for: `CONCERT_MEMBERS=5000 cargo test --release --test end_to_end concert -- --nocapture`.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::{
    config::Config,
    domain::bucket::Rate,
    protocol::{
        close::CloseCode,
        codec::Format,
        wire::{RoomJoinedResponse, client_message::Message},
    },
};

use crate::support::{
    music::{number, numbered},
    say,
    server::{TestServer, patient, room_on, unlimited_quotas},
    socket::{Got, Socket},
};

/// Threads that read for the members.
const READERS: usize = 2;
/// How long anything may take; the machine may have fewer cores than the server has shards.
const PATIENCE: Duration = Duration::from_secs(300);
/// The answer to a join stays below this.
const ANSWER_MAX: usize = 32 * 1024;

/// One in the audience, or a player: what it hears is checked as it comes.
struct Member {
    socket: Socket,
    is_player: bool,
    /// Of each player, the sequence number that is to come.
    next: HashMap<u32, u32>,
    heard: usize,
    wanted: usize,
    /// Members it was told of, from its join on.
    told_of: usize,
}

/// How far all of them are.
#[derive(Default)]
struct Progress {
    joined: AtomicUsize,
    finished: AtomicUsize,
}

impl Member {
    fn take(&mut self, message: &Message, progress: &Progress) {
        match message {
            Message::RoomJoinedResponse(response) => {
                assert!(response.success, "{response:?}");
                assert!(length(response) <= ANSWER_MAX, "{} bytes", length(response));
                self.told_of = response.room_info.as_ref().unwrap().user_count as usize;
                progress.joined.fetch_add(1, Ordering::SeqCst);
            }
            Message::UserJoinedRoom(_) => self.told_of += 1,
            Message::MembersChanged(changed) => self.told_of = changed.count as usize,
            Message::MidiMessage(midi) => {
                let next = self.next.entry(midi.participant).or_insert(1);
                assert_eq!(midi.sequence, *next, "of participant {}", midi.participant);
                assert_eq!(number(midi), Some(*next as usize), "what was played first comes first");
                *next += 1;
                self.heard += 1;
                if self.heard == self.wanted {
                    progress.finished.fetch_add(1, Ordering::SeqCst);
                }
                assert!(self.heard <= self.wanted, "a note too many");
            }
            Message::Gap(_) | Message::ErrorMessage(_) => panic!("{message:?}"),
            _ => {}
        }
    }

    /// Takes in what has come, so that nobody is too slow.
    fn listen(&mut self, progress: &Progress) {
        while let Some(got) = self.socket.try_read() {
            match got {
                Got::Message(message) => self.take(message.message.as_ref().unwrap(), progress),
                Got::Ping(_) | Got::Pong(_) => {}
                Got::End(ending) => panic!("a member was closed: {ending:?}"),
            }
        }
    }
}

fn length(response: &RoomJoinedResponse) -> usize {
    use pianorhythm_server::protocol::{codec, wire::ClientMessage};
    let mut out = Vec::new();
    let message = ClientMessage::answer(None, Message::RoomJoinedResponse(response.clone()));
    codec::encode_client(Format::Json, &message, &mut out);
    out.len()
}

/// Reads for its share of the members until there is nobody to come and all is over.
fn read(come: &Receiver<Member>, progress: &Progress) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    loop {
        loop {
            match come.try_recv() {
                Ok(member) => members.push(member),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return members,
            }
        }
        members.iter_mut().for_each(|member| member.listen(progress));
        thread::sleep(Duration::from_millis(1));
    }
}

fn wait(what: &str, counter: &AtomicUsize, wanted: usize, readers: &[thread::JoinHandle<Vec<Member>>]) {
    let give_up = Instant::now() + PATIENCE;
    while counter.load(Ordering::SeqCst) < wanted {
        assert!(readers.iter().all(|reader| !reader.is_finished()), "a reader has failed");
        assert!(Instant::now() < give_up, "{what}: {} of {wanted}", counter.load(Ordering::SeqCst));
        thread::sleep(Duration::from_millis(5));
    }
}

/// How many are to listen: CONCERT_MEMBERS, or so many.
fn size_or(few: usize) -> usize {
    std::env::var("CONCERT_MEMBERS").map_or(few, |many| many.parse().expect("CONCERT_MEMBERS is a number"))
}

/// Both ends of each socket are of this process.
fn allow_descriptors(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit of ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0, "{}", io::Error::last_os_error());
    assert!(limit.rlim_max >= wanted, "{wanted} descriptors are needed, and {} allowed", limit.rlim_max);
    limit.rlim_cur = limit.rlim_cur.max(wanted);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0, "{}", io::Error::last_os_error());
}

/// What the shards tell of themselves, at one moment.
#[derive(Clone, Copy, Debug)]
struct Tally {
    turns: u64,
    outward: u64,
    inward: u64,
    deliveries: u64,
}

impl Tally {
    fn of(server: &TestServer) -> Self {
        let (_, text) = server.operator("GET", "/metrics");
        let sum = |metric: &str, label: &str| {
            let is_it = |line: &&str| line.starts_with(metric) && line.contains(label);
            text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
        };
        Self {
            // Of the room's own shard.
            turns: sum("pianorhythm_shard_turns_total{", "shard=\"1\""),
            outward: sum("pianorhythm_spill_batches_total{", "direction=\"out\""),
            inward: sum("pianorhythm_spill_batches_total{", "direction=\"in\""),
            deliveries: sum("pianorhythm_deliveries_total{", ""),
        }
    }
}

/// So many members on three shards, ten of them players: the first five, who stay at home, and the last five, who do not.
fn concert(size: usize, spill_after: usize, notes: usize) {
    const PLAYERS: usize = 10;
    allow_descriptors(2 * size as u64 + 500);
    let began = Instant::now();
    let server = TestServer::with(|config: &mut Config| {
        unlimited_quotas(config);
        // What is asked is whether all arrives, however slow the machine is.
        patient(config);
        config.stage.spill_after = spill_after;
        (config.stage.spill_pending_bytes, config.stage.spill_pending_age) = (1 << 28, Duration::from_secs(300));
        config.http.max_connections = 2 * size;
        config.http.max_connections_per_address = 2 * size;
        config.http.connect_rate_per_address = Rate::UNLIMITED;
        (config.rooms.default_room_capacity, config.rooms.max_room_capacity) = (size as u32, size as u32);
    });
    let room = room_on(1, 0);
    let progress = Arc::new(Progress::default());
    let (senders, readers): (Vec<Sender<Member>>, Vec<_>) = (0..READERS)
        .map(|_| {
            let (sender, come) = mpsc::channel();
            let progress = progress.clone();
            (sender, thread::spawn(move || read(&come, &progress)))
        })
        .unzip();
    let mut writers = Vec::new();
    for n in 0..size {
        // Not faster than the room takes them: each answer has hundreds of members in it.
        wait("joins", &progress.joined, n.saturating_sub(64), &readers);
        let format = if n % 10 == 9 { Format::Json } else { Format::Protobuf };
        let socket = server.connect(format).name(&format!("Guest {n}")).room(&room).open();
        let is_player = n < PLAYERS / 2 || n + PLAYERS / 2 >= size;
        if is_player {
            writers.push((format, socket.writer()));
        }
        socket.stream().set_nonblocking(true).unwrap();
        let wanted = if is_player { (PLAYERS - 1) * notes } else { PLAYERS * notes };
        let member = Member { socket, is_player, next: HashMap::new(), heard: 0, wanted, told_of: 0 };
        senders[n % READERS].send(member).unwrap();
    }
    wait("joins", &progress.joined, size, &readers);
    server.await_figure("pianorhythm_branch_members", (size - spill_after) as u64);
    server.await_figure("pianorhythm_members_away", (size - spill_after) as u64);
    let joined = began.elapsed();
    let (began, before) = (Instant::now(), Tally::of(&server));
    for n in 1..=notes {
        for (format, writer) in &writers {
            let frame = crate::support::socket::frame_of(
                *format,
                &pianorhythm_server::protocol::wire::ServerMessage::event(say::notes(&numbered(n))),
            );
            writer.write(&frame).unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    }
    wait("notes", &progress.finished, size, &readers);
    let (after, played) = (Tally::of(&server), began.elapsed());
    drop(senders);
    let members: Vec<Member> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    assert_eq!(members.len(), size);
    for member in &members {
        assert_eq!(member.heard, member.wanted);
        assert!(member.next.values().all(|next| *next == notes as u32 + 1));
        assert_eq!(member.next.len(), if member.is_player { PLAYERS - 1 } else { PLAYERS });
        assert_eq!(member.told_of, size, "gathered or one by one, the number of members is known");
    }
    assert_eq!(server.figure("pianorhythm_dropped_total"), 0);
    assert_eq!(server.figure("pianorhythm_closed_total"), 0);
    let turns = after.turns - before.turns;
    let (outward, inward) = (after.outward - before.outward, after.inward - before.inward);
    let deliveries = after.deliveries - before.deliveries;
    assert!(outward <= 2 * turns, "one message a shard a turn: {outward} in {turns} turns");
    // And far less than one a note and listener, or a note and shard where several come in a turn.
    assert!(outward <= 2 * (PLAYERS * notes) as u64 + turns / 8, "{outward}");
    assert!(deliveries >= (size * PLAYERS * notes - PLAYERS * notes) as u64);
    println!(
        "{size} members: all there after {joined:.1?}; {} notes, {deliveries} deliveries in {played:.1?}; {outward} messages to the two other \
         shards in {turns} turns, {inward} from them",
        PLAYERS * notes,
    );
    if size <= 1000 {
        all_are_told_when_to_come_back(server, members);
    }
}

/// A shutdown with members elsewhere closes each of them once, with the code that has them come back.
fn all_are_told_when_to_come_back(server: TestServer, members: Vec<Member>) {
    let stopping = thread::spawn(move || server.stop());
    for mut member in members {
        member.socket.stream().set_nonblocking(false).unwrap();
        let ending = loop {
            if let Got::End(ending) = member.socket.read() {
                break ending;
            }
        };
        assert_eq!(ending.code(), CloseCode::Restarting.code());
    }
    stopping.join().unwrap();
}

#[test]
fn members_on_three_shards_hear_ten_players_note_for_note() {
    let size = size_or(300);
    concert(size, if size >= 1000 { 200 } else { 20 }, 50);
}
