//! Messages that are good, and too many: each is answered, by what it asks for or by an error, until it is enough; what of them was
//! let through is what others hear.

use std::collections::BTreeSet;

use pianorhythm_server::protocol::{
    codec::Format,
    midi::{ChannelMessage, MAX_EVENTS},
    wire::{AvatarCommand, ServerMessage, client_message::Message, server_message::Message as Ask},
};

use crate::{
    attack::{Aftermath, Turn, attack},
    ground::Ground,
    support::{
        client::Client,
        eventually,
        music::events,
        say,
        socket::{CONTINUATION, Got, PING, PONG, data_of, frame, frame_of, frame_with},
    },
};

/// Refusals of one connection that end it.
const STRIKES: u64 = 20;
/// What a refusal for the rate is called.
const RATE_LIMIT: &str = "RATE_LIMIT_EXCEEDED";

/// Somebody decent, in the room that is flooded.
fn witness(ground: &Ground) -> Client {
    let mut witness = ground.server.server.guest(Format::Json, "Witness");
    witness.join("den");
    witness
}

/// So many requests in their frames, with the ids 1 and so on.
fn requests(format: Format, many: u32, message: impl Fn(u32) -> Ask) -> Vec<u8> {
    (1..=many).flat_map(|id| frame_of(format, &ServerMessage::request(Some(id), message(id)))).collect()
}

/// All of a flood's connections were closed, after as many refusals as it takes, and what the server counted is what they saw.
#[track_caller]
fn refused_and_closed(ground: &Ground, aftermath: &Aftermath, connections: usize, witnesses: u64) {
    let all = connections as u64;
    assert_eq!(aftermath.closed, [(3506, all)].into(), "{aftermath:?}");
    assert_eq!(aftermath.said(RATE_LIMIT), STRIKES * all, "{aftermath:?}");
    let counted = ground.settled();
    counted.all_closed("3506", all);
    counted.all_dropped("rate_limit", STRIKES * all);
    let answers: u64 = aftermath.said.iter().filter(|(what, _)| *what != "events refused").map(|(_, many)| many).sum();
    // Each was answered; what came behind the last refusal was not looked at. A witness has asked for its room, and for the time.
    eventually("each message that came in was answered", || {
        let counted = ground.settled();
        let in_all = counted.get("pianorhythm_messages_in_total", "");
        let band = counted.get("pianorhythm_midi_relayed_total", "") - aftermath.said("relayed");
        in_all - band == answers + 2 * witnesses
    });
}

#[test]
fn chat_floods_are_refused_line_by_line_and_closed_with_3506() {
    let ground = Ground::open();
    let mut witness = witness(&ground);
    let aftermath = attack(&ground, 60, 50, |turn| {
        let mut socket = turn.connect_in("den");
        let lines = requests(turn.format, 50, |id| say::chat(&format!("buy pianos, offer {id}")));
        turn.provoke(&mut socket, &lines);
    });
    let lines = witness.events().iter().filter(|event| matches!(event, Message::RoomChatMessage(_))).count();
    assert_eq!(lines as u64, aftermath.said("answered"), "who is in the room hears what was accepted");
    witness.close();
    refused_and_closed(&ground, &aftermath, 60, 1);
    ground.close("chat");
}

#[test]
fn cursor_floods_are_refused_one_by_one_and_closed_with_3506() {
    // So that it takes no more, where the machine takes its time.
    let ground = Ground::with(&[("RATE_AVATAR", "5/s burst 60")]);
    let mut witness = witness(&ground);
    let aftermath = attack(&ground, 20, 150, |turn| {
        let mut socket = turn.connect_in("den");
        let cursors = requests(turn.format, 150, |id| {
            Ask::AvatarCommand(AvatarCommand { avatar_data: vec![id as u8; 200].into(), ..Default::default() })
        });
        turn.provoke(&mut socket, &cursors);
    });
    let cursors = witness.events().iter().filter(|event| matches!(event, Message::AvatarCommand(_))).count();
    assert_eq!(cursors as u64, aftermath.said("answered"), "who is in the room sees what was accepted");
    witness.close();
    refused_and_closed(&ground, &aftermath, 20, 1);
    ground.close("cursors");
}

/// As many note-offs as a message may hold, none of which ends anything.
fn note_offs() -> Vec<ChannelMessage> {
    (0..MAX_EVENTS).map(|n| ChannelMessage::note_off(0, (n % 128) as u8, 64)).collect()
}

#[track_caller]
fn events_heard(witness: &mut Client) -> u64 {
    let heard = witness.events();
    let notes = heard.iter().filter_map(|event| match event {
        Message::MidiMessage(midi) => Some(events(midi).len() as u64),
        Message::Gap(gap) => panic!("{gap:?}"),
        _ => None,
    });
    notes.sum()
}

#[test]
fn note_offs_over_the_quota_are_told_to_the_last_event() {
    const MESSAGES: u32 = 10;
    let ground = Ground::open();
    let mut witness = witness(&ground);
    let mut refused = 0;
    for number in 0..4 {
        let format = if number % 2 == 0 { Format::Protobuf } else { Format::Json };
        let mut turn =
            Turn { address: ground.server.server.address, lane: 0, number, format, heard: Aftermath::default() };
        let mut socket = turn.connect_in("den");
        socket.write(&requests(format, MESSAGES, |_| say::notes(&note_offs())));
        let mut next = |heard: &mut Aftermath| match socket.read() {
            Got::Message(message) => heard.hear(&message),
            got => panic!("{got:?}"),
        };
        while turn.heard.said("answered") < u64::from(MESSAGES) {
            next(&mut turn.heard);
        }
        // All are handled: what was not relayed was refused, and is told, once a second.
        let expected = u64::from(MESSAGES) * MAX_EVENTS as u64 - events_heard(&mut witness);
        while turn.heard.said("events refused") < expected {
            next(&mut turn.heard);
        }
        assert_eq!(turn.heard.said("events refused"), expected);
        refused += expected;
    }
    witness.close();
    assert_eq!(ground.settled().get("pianorhythm_note_events_refused_total", ""), refused);
    ground.close("note-offs over the quota");
}

#[test]
fn note_off_floods_are_refused_message_by_message_and_closed_with_3506() {
    // So that it takes no more, where the machine takes its time; what the band plays is an eighth of a message of the flood.
    let ground = Ground::with(&[("RATE_MIDI", "50/s burst 1000")]);
    let mut witness = witness(&ground);
    let mut aftermath = attack(&ground, 12, 250, |turn| {
        let mut socket = turn.connect_in("den");
        let flood = requests(turn.format, 250, |_| say::notes(&note_offs()));
        turn.provoke(&mut socket, &flood);
    });
    let heard = witness.events();
    let relayed: Vec<_> = heard.iter().filter(|event| matches!(event, Message::MidiMessage(_))).collect();
    aftermath.said.insert("relayed".into(), relayed.len() as u64);
    let events = relayed.iter().map(|event| match event {
        Message::MidiMessage(midi) => events(midi).len() as u64,
        _ => 0,
    });
    let events: u64 = events.sum();
    witness.close();
    let handled = aftermath.said("answered") + aftermath.said(RATE_LIMIT);
    let counted = ground.settled();
    assert_eq!(events + counted.get("pianorhythm_note_events_refused_total", ""), handled * MAX_EVENTS as u64);
    // `relayed` is no answer.
    let relayed = aftermath.said.remove("relayed").unwrap();
    assert_eq!(aftermath.closed, [(3506, 12)].into(), "{aftermath:?}");
    assert_eq!(aftermath.said(RATE_LIMIT), STRIKES * 12);
    counted.all_dropped("rate_limit", STRIKES * 12);
    println!("{relayed} of {handled} messages relayed, with {events} events");
    ground.close("note-offs");
}

#[test]
fn ping_floods_are_answered_as_fast_as_is_allowed_and_closed_with_3506() {
    let ground = Ground::open();
    let connections = 60;
    let aftermath = attack(&ground, connections, 60, |turn| {
        let mut socket = turn.connect();
        let pings: Vec<u8> = (0..60u8).flat_map(|n| frame(PING, &[n; 100])).collect();
        turn.provoke(&mut socket, &pings);
    });
    let all = connections as u64;
    assert_eq!(aftermath.closed, [(3506, all)].into(), "{aftermath:?}");
    assert!(aftermath.pongs >= 20 * all, "{aftermath:?}");
    let counted = ground.settled();
    counted.all_closed("3506", all);
    counted.all_dropped("ping_flood", STRIKES * all);
    ground.close("pings");
}

#[test]
fn frames_that_carry_nothing_are_read_slower_and_slower_and_harm_nobody() {
    // These are no more than 120 KB: what each costs is not its bytes.
    const FRAMES: usize = 20_000;
    let ground = Ground::open();
    let aftermath = attack(&ground, 4, FRAMES, |turn| {
        let mut socket = turn.connect();
        let nothing = match turn.number % 2 {
            0 => frame(PONG, b"").repeat(FRAMES),
            // One message that never ends.
            _ => {
                let begun = frame_with(data_of(turn.format), false, Some([1; 4]), b"");
                [begun, frame_with(CONTINUATION, false, Some([1; 4]), b"").repeat(FRAMES)].concat()
            }
        };
        socket.write(&nothing);
        if turn.number % 2 == 0 {
            socket.ask(1, say::heartbeat());
            while turn.heard.said("answered") == 0 {
                if let Got::Message(message) = socket.read() {
                    turn.heard.hear(&message);
                }
            }
        } else {
            // A message inside another: it has come to the end of it.
            socket.ask(1, say::heartbeat());
            turn.heard.hear_to_the_end(&mut socket);
        }
    });
    assert_eq!((aftermath.said("answered"), aftermath.closed), (2, [(1002, 2)].into()));
    assert!(ground.counted("pianorhythm_throttled_reads_total", "") > 0);
    ground.settled();
    ground.close("nothing");
}

#[test]
fn requests_for_rooms_are_each_answered_once_and_closed_with_3506() {
    let ground = Ground::open();
    let connections = 40;
    let aftermath = attack(&ground, connections, 80, |turn| {
        let mut socket = turn.connect();
        let (lane, number) = (turn.lane, turn.number);
        let wishes = requests(turn.format, 80, |id| match id % 5 {
            0 => say::join(&format!("den {lane}")),
            1 => say::create(&format!("made by {number}, as its {id}th")),
            2 => say::list_rooms(),
            3 => say::room_info(&format!("den {}", lane + 1)),
            _ => say::leave(),
        });
        let _ = socket.writer().write(&wishes);
        let mut answered = BTreeSet::new();
        loop {
            match socket.read() {
                Got::Message(message) => {
                    turn.heard.hear(&message);
                    if let Some(id) = message.request_id {
                        assert!(answered.insert(id), "{id} is answered twice: {message:?}");
                    }
                }
                Got::End(ending) => {
                    *turn.heard.closed.entry(ending.code()).or_default() += 1;
                    return;
                }
                _ => {}
            }
        }
    });
    let all = connections as u64;
    assert_eq!(aftermath.closed, [(3506, all)].into(), "{aftermath:?}");
    assert_eq!(aftermath.said(RATE_LIMIT), STRIKES * all, "{aftermath:?}");
    let counted = ground.settled();
    counted.all_closed("3506", all);
    assert_eq!(counted.get("pianorhythm_dropped_total", "rate_limit"), STRIKES * all);
    let answers: u64 = aftermath.said.values().sum();
    eventually("each request was answered, or its answer came after the close and is counted", || {
        let counted = ground.settled();
        let in_all = counted.get("pianorhythm_messages_in_total", "");
        in_all - counted.get("pianorhythm_midi_relayed_total", "")
            == answers + counted.get("pianorhythm_dropped_total", "connection_gone")
    });
    println!("{:?}", aftermath.said);
    ground.close("requests");
}
