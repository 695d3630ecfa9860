//! Those who do not read fast enough: they miss something, are told so, and in the end are closed. Nobody else notices.

use std::{collections::HashMap, time::Duration};

use pianorhythm_server::{
    config::Config,
    protocol::{
        codec::Format,
        midi::ChannelMessage,
        wire::{AvatarCommand, Gap, client_message::Message, server_message::Message as Ask, user_left_room::Reason},
    },
};

use crate::support::{
    client::Client,
    eventually,
    music::{number, numbered, on},
    other, say,
    server::{TestServer, room_on, unlimited_quotas},
    socket::{Got, Socket},
};

in_both_formats![
    who_reads_again_is_told_of_each_gap_and_nobody_else_misses_anything,
    a_gap_is_told_when_one_reads_again_though_nobody_plays_any_more,
    cursors_go_first_and_are_missed_by_nobody,
    chat_is_not_shed,
    past_the_bound_of_bytes_one_is_closed_and_the_others_are_told,
    past_the_bound_of_age_one_is_closed_though_nothing_more_is_sent,
    a_gap_is_told_in_the_room_it_was_in,
];

/// Small buffers, so that little is enough; and bytes alone decide.
fn small(config: &mut Config) {
    unlimited_quotas(config);
    let stage = &mut config.stage;
    stage.socket_send_buffer = 4096;
    (stage.outbox_shed_bytes, stage.outbox_close_bytes) = (32 * 1024, 1 << 20);
    (stage.outbox_shed_age, stage.outbox_close_age) = (Duration::from_secs(300), Duration::from_secs(300));
    // A close frame waits for its reader.
    stage.close_timeout = Duration::from_secs(30);
}

/// A member that reads nothing until it is asked to.
fn sleeper(server: &TestServer, format: Format, room: &str, witness: &mut Client) -> Socket {
    let socket = server.connect(format).name("Sleeper").receive_buffer(4096).room(room).open();
    witness.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    socket
}

/// Plays so many messages, and waits until the server has relayed them.
fn play(player: &mut Client, from: usize, count: usize) {
    for n in from..from + count {
        player.send(say::notes(&numbered(n)));
    }
    player.ask(say::heartbeat());
}

/// Follows the sequence numbers of participants: each goes on where it was, or where a gap has said.
#[derive(Default)]
pub struct Follower {
    pub next: HashMap<u32, u32>,
    pub heard: HashMap<u32, Vec<usize>>,
    pub gaps: usize,
}

impl Follower {
    pub fn take(&mut self, message: &Message) {
        match message {
            Message::MidiMessage(midi) => {
                let next = self.next.entry(midi.participant).or_insert(1);
                assert_eq!(midi.sequence, *next, "a jump that no gap has told of");
                *next += 1;
                self.heard.entry(midi.participant).or_default().push(number(midi).unwrap());
            }
            Message::Gap(Gap { participant, next_sequence }) => {
                let next = self.next.entry(*participant).or_insert(1);
                assert!(*next_sequence > *next, "a gap of nothing");
                *next = *next_sequence;
                self.gaps += 1;
            }
            _ => {}
        }
    }

    /// What was missed of somebody who has played so many.
    pub fn missed(&self, participant: u32, of: usize) -> usize {
        of - self.heard.get(&participant).map_or(0, Vec::len)
    }
}

/// Reads until a line of chat says so.
fn read_until(socket: &mut Socket, line: &str, mut take: impl FnMut(&Message)) {
    loop {
        let message = socket.message().message.unwrap();
        take(&message);
        if matches!(&message, Message::RoomChatMessage(said) if said.message == line) {
            return;
        }
    }
}

fn who_reads_again_is_told_of_each_gap_and_nobody_else_misses_anything(format: Format) {
    const MESSAGES: usize = 2000;
    let server = TestServer::with(small);
    let mut players = [server.player(format, "Ann", "jam"), server.player(other(format), "Bo", "jam")];
    let mut listener = server.player(other(format), "Cy", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut listener);
    let (mut fast, mut slow) = (Follower::default(), Follower::default());
    for round in 0..3 {
        for part in 0..MESSAGES / 20 {
            for player in &mut players {
                // In small parts, so that who reads keeps up.
                play(player, round * MESSAGES + part * 20, 20);
            }
            listener.events().iter().for_each(|event| fast.take(event));
        }
        let done = format!("round {round}");
        players[0].ask(say::chat(&done));
        read_until(&mut sleeper, &done, |message| slow.take(message));
    }
    // Where it keeps up it hears everything again, once the last gaps are told.
    let mut before = 0;
    for part in 0..20 {
        if part == 1 {
            before = slow.gaps;
        }
        for player in &mut players {
            play(player, 3 * MESSAGES + part, 1);
        }
        let done = format!("part {part}");
        players[0].ask(say::chat(&done));
        read_until(&mut sleeper, &done, |message| slow.take(message));
        listener.events().iter().for_each(|event| fast.take(event));
    }
    assert_eq!(slow.gaps, before);
    let all = 3 * MESSAGES + 20;
    for participant in [1, 2] {
        assert_eq!((fast.missed(participant, all), fast.gaps), (0, 0));
        assert!(slow.missed(participant, all) > MESSAGES, "it slept through most");
        assert_eq!(slow.next[&participant] as usize, all + 1, "and knows where everybody is");
    }
    eventually("it is counted", || server.figure("pianorhythm_dropped_total") > MESSAGES as u64);
}

fn a_gap_is_told_when_one_reads_again_though_nobody_plays_any_more(format: Format) {
    let server = TestServer::with(small);
    let mut player = server.player(other(format), "Ann", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut player);
    play(&mut player, 0, 2000);
    // What it missed may have been the note-off of what it sounds.
    let mut follower = Follower::default();
    while follower.next.get(&1) != Some(&2001) {
        follower.take(&sleeper.message().message.unwrap());
    }
    assert!(follower.gaps > 0);
}

fn cursors_go_first_and_are_missed_by_nobody(format: Format) {
    let server = TestServer::with(small);
    let mut player = server.player(other(format), "Ann", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut player);
    // More than enough to lag, and most of it cursors.
    for n in 0..600 {
        let avatar = AvatarCommand { avatar_data: vec![7; 200].into(), ..Default::default() };
        player.send(Ask::AvatarCommand(avatar));
        if n % 10 == 0 {
            player.send(say::notes(&numbered(n)));
        }
    }
    player.ask(say::chat("done"));
    let (mut follower, mut cursors) = (Follower::default(), 0);
    read_until(&mut sleeper, "done", |message| {
        follower.take(message);
        cursors += usize::from(matches!(message, Message::AvatarCommand(_)));
    });
    assert_eq!((follower.missed(1, 60), follower.gaps), (0, 0), "all the notes are there");
    assert!(cursors < 600, "{cursors}");
}

fn chat_is_not_shed(format: Format) {
    let server = TestServer::with(small);
    let mut player = server.player(other(format), "Ann", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut player);
    let line = |n: usize| format!("{n} {}", "x".repeat(400));
    for n in 0..400 {
        player.ask(say::chat(&line(n)));
    }
    let mut lines = Vec::new();
    read_until(&mut sleeper, &line(399), |message| {
        if let Message::RoomChatMessage(line) = message {
            lines.push(line.message.clone());
        }
    });
    assert_eq!(lines, (0..400).map(line).collect::<Vec<_>>());
}

/// How many have left, and why.
fn left_for(client: &mut Client) -> Reason {
    client.until(|message| match message {
        Message::UserLeftRoom(left) => Some(left.reason()),
        _ => None,
    })
}

fn past_the_bound_of_bytes_one_is_closed_and_the_others_are_told(format: Format) {
    let server = TestServer::with(|config| {
        small(config);
        config.stage.outbox_close_bytes = 64 * 1024;
    });
    let mut player = server.player(other(format), "Ann", "jam");
    let mut listener = server.player(format, "Bo", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut listener);
    sleeper.send(say::notes(&[on(60)]));
    listener.midi();
    let mut told = 0;
    while told < 1000 {
        player.ask(say::chat(&"x".repeat(500)));
        told += 1;
        if listener.events().iter().any(|event| matches!(event, Message::UserLeftRoom(_))) {
            break;
        }
    }
    assert!((50..400).contains(&told), "{told}");
    assert_eq!(left_for(&mut player), Reason::TooSlow);
    let ending = sleeper.ending();
    assert_eq!(ending.close, Some((3008, r#"{"retry_after_ms":2000}"#.into())), "{ending:?}");
    assert_eq!(ending.error, None);
    drop(sleeper);
    server.await_figure("pianorhythm_connections", 2);
}

fn past_the_bound_of_age_one_is_closed_though_nothing_more_is_sent(format: Format) {
    let server = TestServer::with(|config| {
        small(config);
        config.stage.outbox_close_bytes = 1 << 26;
        config.stage.outbox_shed_bytes = 1 << 25;
        config.stage.outbox_shed_age = Duration::from_millis(100);
        config.stage.outbox_close_age = Duration::from_millis(300);
    });
    let mut player = server.player(other(format), "Ann", "jam");
    let mut sleeper = sleeper(&server, format, "jam", &mut player);
    // As much as the buffers hold, and a little more.
    let chord: Vec<_> = (0..120).map(|key| ChannelMessage::note_on(0, key, 1)).collect();
    (0..100).for_each(|_| player.send(say::notes(&chord)));
    assert_eq!(left_for(&mut player), Reason::TooSlow);
    assert_eq!(sleeper.ending().code(), 3008);
}

fn a_gap_is_told_in_the_room_it_was_in(format: Format) {
    let server = TestServer::with(small);
    let (first, second) = (room_on(0, 0), room_on(1, 0));
    let mut player = server.player(other(format), "Ann", &first);
    let mut elsewhere = server.player(other(format), "Bo", &second);
    let mut sleeper = sleeper(&server, format, &first, &mut player);
    play(&mut player, 0, 2000);
    // It changes rooms while it lags. Numbers mean others there.
    sleeper.ask(1, say::join(&second));
    elsewhere.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    play(&mut elsewhere, 5, 1);
    elsewhere.ask(say::chat("here"));
    let (mut follower, mut is_there) = (Follower::default(), false);
    loop {
        let Got::Message(message) = sleeper.read() else { continue };
        match message.message.unwrap() {
            Message::RoomJoinedResponse(joined) if joined.room_info.as_ref().unwrap().room_id == second => {
                is_there = true;
                follower = Follower::default();
            }
            Message::Gap(gap) if is_there => panic!("{gap:?} is of the room before"),
            Message::RoomChatMessage(line) if is_there && line.message == "here" => break,
            message => follower.take(&message),
        }
    }
    assert_eq!(follower.heard[&1], [5]);
}
