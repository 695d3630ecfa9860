//! Those who stop reading, or read too little, where nothing is played fast: all of it fits into the kernel's buffers, and what the
//! kernel has held for too long counts as what the server has. What they read last, and when they are closed; and who comes back in time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pianorhythm_server::{
    config::Config,
    protocol::{
        codec::Format,
        wire::{ServerMessage, client_message::Message, user_left_room::Reason},
    },
};

use crate::{
    slow_consumers::Follower,
    support::{
        client::Client,
        eventually,
        music::numbered,
        other, say,
        server::{TestServer, unlimited_quotas},
        socket::{Got, Socket, frame_of},
    },
};

in_both_formats![
    who_freezes_is_closed_in_time_though_the_kernel_takes_it_all,
    who_freezes_with_everything_full_finds_the_close_when_it_wakes,
    who_freezes_for_a_while_is_told_of_its_gap_and_goes_on,
    who_reads_too_little_misses_notes_and_is_not_closed,
];

const SHED_AGE: Duration = Duration::from_millis(500);
const CLOSE_AGE: Duration = Duration::from_secs(2);
/// How much later than that a machine that does something else as well may be. The kernel itself gives a peer up after 20 s.
const SLACK: Duration = Duration::from_secs(8);
/// Each connection is looked at so often.
const LOOK: Duration = Duration::from_millis(250);

/// Buffers as by default: tens of thousands of bytes. What is played here fills them in minutes.
fn ages(config: &mut Config) {
    unlimited_quotas(config);
    (config.stage.outbox_shed_age, config.stage.outbox_close_age) = (SHED_AGE, CLOSE_AGE);
}

/// A member that reads when it is asked to.
fn sleeper(server: &TestServer, format: Format, witness: &mut Client) -> Socket {
    let socket = server.connect(format).name("Sleeper").receive_buffer(4096).room("jam").open();
    witness.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    socket
}

/// Somebody who plays on, note by note.
struct Playing {
    is_over: Arc<AtomicBool>,
    /// Ends with how many messages it has played.
    thread: JoinHandle<usize>,
}

impl Playing {
    fn begin(player: &Client, pause: Duration) -> Self {
        let (writer, format, is_over) = (player.writer(), player.format, Arc::new(AtomicBool::new(false)));
        let ends = is_over.clone();
        let thread = thread::spawn(move || {
            let mut played = 0;
            while !ends.load(Ordering::Relaxed) {
                writer.write(&frame_of(format, &ServerMessage::event(say::notes(&numbered(played))))).unwrap();
                played += 1;
                thread::sleep(pause);
            }
            played
        });
        Self { is_over, thread }
    }

    fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Says more than the sleeper's kernel takes in, and less than the server's: 16 KB, of what is not shed.
fn fill(player: &mut Client) {
    for _ in 0..40 {
        player.ask(say::chat(&"x".repeat(400)));
    }
}

/// Reads notes until so many have come.
fn read_notes(socket: &mut Socket, follower: &mut Follower, many: usize) {
    while follower.heard.get(&1).map_or(0, Vec::len) < many {
        follower.take(&socket.message().message.unwrap());
    }
}

/// The server's time, in ms.
fn server_ms(client: &mut Client) -> i64 {
    let Message::TimeSync(sync) = client.ask(say::time_sync(0)) else { panic!("a time") };
    sync.server_send_time_us / 1000
}

/// The listener has heard every note, and no gap.
fn heard_all(listener: &mut Client, mut follower: Follower, played: usize) {
    eventually("the listener has heard every note", || {
        listener.events().iter().for_each(|event| follower.take(event));
        follower.missed(1, played) == 0
    });
    assert_eq!(follower.gaps, 0);
}

fn who_freezes_is_closed_in_time_though_the_kernel_takes_it_all(format: Format) {
    let server = TestServer::with(ages);
    let mut player = server.player(other(format), "Ann", "jam");
    let mut listener = server.player(format, "Bo", "jam");
    let mut sleeper = sleeper(&server, format, &mut listener);
    let playing = Playing::begin(&player, Duration::from_millis(20));
    let mut follower = Follower::default();
    read_notes(&mut sleeper, &mut follower, 20);

    let last_read = Instant::now();
    fill(&mut player);
    let mut fast = Follower::default();
    let reason = listener.until(|message| {
        fast.take(message);
        if let Message::UserLeftRoom(left) = message { Some(left.reason()) } else { None }
    });
    let closed_after = last_read.elapsed();
    let closed_ms = server_ms(&mut listener);
    assert_eq!(reason, Reason::TooSlow);
    assert!(closed_after >= CLOSE_AGE, "{closed_after:?} since the last note it has read");
    assert!(closed_after < CLOSE_AGE + SLACK, "{closed_after:?} since the last note it has read");
    heard_all(&mut listener, fast, playing.end());

    // What it reads when it wakes up: what the kernels held, in order, and then the close.
    let mut last_ms = 0;
    let ending = loop {
        match sleeper.read() {
            Got::Message(message) => {
                let message = message.message.unwrap();
                if let Message::MidiMessage(midi) = &message {
                    last_ms = midi.timestamp;
                }
                follower.take(&message);
            }
            Got::End(ending) => break ending,
            _ => {}
        }
    };
    assert_eq!(ending.close, Some((3008, r#"{"retry_after_ms":2000}"#.into())), "{ending:?}");
    // The last note that was delivered to it is from before notes were shed for it.
    let between = Duration::from_millis((closed_ms - last_ms) as u64);
    println!("{closed_after:?} from the last note read to the close, {between:?} from the last one delivered");
    assert!(between >= CLOSE_AGE - SHED_AGE - 3 * LOOK, "{between:?} from the last note delivered to the close");
    assert!(between < CLOSE_AGE + SLACK, "{between:?} from the last note delivered to the close");
}

fn who_freezes_with_everything_full_finds_the_close_when_it_wakes(format: Format) {
    let server = TestServer::with(|config| {
        unlimited_quotas(config);
        config.stage.socket_send_buffer = 4096;
        config.stage.outbox_close_bytes = 64 * 1024;
        config.stage.close_timeout = Duration::from_millis(200);
    });
    let mut player = server.player(other(format), "Ann", "jam");
    let mut listener = server.player(format, "Bo", "jam");
    let mut sleeper = sleeper(&server, format, &mut listener);
    while !listener.events().iter().any(|event| matches!(event, Message::UserLeftRoom(_))) {
        player.ask(say::chat(&"x".repeat(500)));
    }
    // The server has waited for its good-bye, and has let go of it.
    server.await_figure("pianorhythm_connections", 2);
    let ending = sleeper.ending();
    assert_eq!(ending.close, Some((3008, r#"{"retry_after_ms":2000}"#.into())), "{ending:?}");
}

fn who_freezes_for_a_while_is_told_of_its_gap_and_goes_on(format: Format) {
    let server = TestServer::with(|config| {
        ages(config);
        config.stage.outbox_close_age = Duration::from_secs(120);
    });
    let mut player = server.player(other(format), "Ann", "jam");
    let mut listener = server.player(format, "Bo", "jam");
    let mut sleeper = sleeper(&server, format, &mut listener);
    let playing = Playing::begin(&player, Duration::from_millis(20));
    let mut follower = Follower::default();
    read_notes(&mut sleeper, &mut follower, 20);
    fill(&mut player);
    // It is counted by who has missed it, as it looks at each now and then.
    eventually("notes are shed for it", || server.figure("pianorhythm_dropped_total") > 10);
    while follower.gaps == 0 {
        follower.take(&sleeper.message().message.unwrap());
    }
    // It is as good as anybody from here on.
    let (heard, gaps) = (follower.heard[&1].len(), follower.gaps);
    read_notes(&mut sleeper, &mut follower, heard + 50);
    assert_eq!(follower.gaps, gaps);
    let played = playing.end();
    while follower.next[&1] as usize <= played {
        follower.take(&sleeper.message().message.unwrap());
    }
    let missed = follower.missed(1, played) as u64;
    assert!(missed > 10);
    server.await_figure("pianorhythm_dropped_total", missed);
    heard_all(&mut listener, Follower::default(), played);
}

fn who_reads_too_little_misses_notes_and_is_not_closed(format: Format) {
    let server = TestServer::with(|config| {
        ages(config);
        config.stage.outbox_close_age = Duration::from_secs(60);
    });
    let player = server.player(other(format), "Ann", "jam");
    let mut listener = server.player(format, "Bo", "jam");
    let mut slow = sleeper(&server, format, &mut listener);
    let playing = Playing::begin(&player, Duration::from_millis(2));
    let mut follower = Follower::default();
    while follower.gaps < 2 {
        follower.take(&slow.message().message.unwrap());
        thread::sleep(Duration::from_millis(8));
    }
    let played = playing.end();
    while follower.next[&1] as usize <= played {
        follower.take(&slow.message().message.unwrap());
    }
    server.await_figure("pianorhythm_dropped_total", follower.missed(1, played) as u64);
    heard_all(&mut listener, Follower::default(), played);
}
