//! Notes: who hears them, how they are stamped, what lets go of them, and what is refused.

use std::time::Duration;

use pianorhythm_server::protocol::{
    codec::Format,
    midi::{ALL_NOTES_OFF, ChannelMessage, Events, MAX_EVENTS, MidiWriter, SUSTAIN},
    wire::{
        MidiMessage, QuotaExceeded, client_message::Message, room_moderation::Action, server_message::Message as Ask,
        user_left_room::Reason,
    },
};

use crate::support::{
    client::Client,
    eventually,
    music::{events, number, numbered, off, on, run},
    other, say,
    server::{TestServer, patient, unlimited_quotas},
};

in_both_formats![
    notes_reach_everyone_but_the_connection_that_played_them,
    what_one_plays_arrives_whole_and_in_order,
    sequence_numbers_go_up_by_one_whatever_the_sender_says,
    timestamps_are_kept_within_what_the_servers_time_allows,
    what_is_not_a_run_of_channel_messages_is_refused_whole_with_its_offset,
    too_many_events_or_too_long_a_time_is_refused,
    notes_over_the_quota_are_refused_and_what_lets_go_always_passes,
    refused_notes_are_told_at_most_once_a_second_and_all_counted,
    a_spent_quota_is_not_filled_up_by_changing_rooms,
    two_tabs_share_one_quota,
    over_the_rate_of_messages_what_lets_go_still_passes,
    leaving_lets_go_of_what_is_held,
    a_lost_connection_lets_go_of_what_is_held,
    a_kick_lets_go_of_what_is_held,
    a_ban_lets_go_of_what_is_held,
    changing_rooms_lets_go_of_what_is_held,
    a_mute_lets_go_of_what_is_held,
    losing_the_right_to_play_lets_go_of_what_is_held,
    what_is_not_held_any_more_is_not_let_go_of_again,
    who_holds_and_answers_pings_goes_on_holding,
    who_holds_and_is_not_heard_of_lets_go_and_stays,
    members_know_the_instruments_of_the_others,
];

fn notes_reach_everyone_but_the_connection_that_played_them(format: Format) {
    let server = TestServer::start();
    let mut player = server.player(format, "Ann", "jam");
    let mut own_tab = server.connect(other(format)).bearer(&player.welcome.guest_token).client();
    own_tab.join("jam");
    let mut listeners = [own_tab, server.player(format, "Bo", "jam"), server.player(other(format), "Cy", "jam")];
    let mut elsewhere = server.player(format, "Di", "elsewhere");
    player.heard();
    let mut writer = MidiWriter::new();
    for (delta, event) in [
        (0, ChannelMessage::program(3, 19)),
        (5, ChannelMessage::note_on(3, 60, 1)),
        (300, ChannelMessage::poly_pressure(3, 60, 99)),
        (0, ChannelMessage::channel_pressure(3, 64)),
        (1, ChannelMessage::pitch_bend(3, 0x2001)),
        (2, ChannelMessage::control(3, 7, 100)),
        (150, ChannelMessage::note_off(3, 60, 33)),
    ] {
        writer.push(delta, event).unwrap();
    }
    let data = writer.into_bytes();
    player.ask(say::midi(data.clone()));
    for listener in &mut listeners {
        let MidiMessage { midi_data, user_id, participant, sequence, .. } = listener.midi();
        assert_eq!((midi_data, user_id.as_str(), participant, sequence), (data.clone(), "", 1, 1));
        assert_eq!(listener.events(), []);
    }
    assert_eq!(player.events(), []);
    assert_eq!(elsewhere.events(), []);
}

fn what_one_plays_arrives_whole_and_in_order(format: Format) {
    const MESSAGES: usize = 3000;
    let server = TestServer::with(|config| {
        unlimited_quotas(config);
        patient(config);
    });
    let mut players = [server.player(format, "Ann", "jam"), server.player(other(format), "Bo", "jam")];
    let mut listeners = [server.player(format, "Cy", "jam"), server.player(other(format), "Di", "jam")];
    std::thread::scope(|scope| {
        for player in &mut players {
            scope.spawn(move || (0..MESSAGES).for_each(|n| player.send(say::notes(&numbered(n)))));
        }
        for listener in &mut listeners {
            scope.spawn(|| {
                let mut heard = [0, 0];
                while heard != [MESSAGES, MESSAGES] {
                    let midi = listener.midi();
                    let next = &mut heard[midi.participant as usize - 1];
                    assert_eq!((midi.sequence as usize, number(&midi)), (*next + 1, Some(*next)));
                    *next += 1;
                }
            });
        }
    });
}

fn sequence_numbers_go_up_by_one_whatever_the_sender_says(format: Format) {
    let server = TestServer::start();
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    for (sent, told) in [(0, 1), (7, 2), (u32::MAX, 3), (1, 4)] {
        let midi = MidiMessage {
            midi_data: run(&[on(60), off(60)]),
            sequence: sent,
            participant: 99,
            user_id: "somebody".into(),
            timestamp: 0,
        };
        player.ask(Ask::MidiMessage(midi));
        let heard = listener.midi();
        assert_eq!((heard.participant, heard.sequence, heard.user_id.as_str()), (1, told, ""));
        // What is refused uses none.
        player.refusal(say::midi(vec![0]));
    }
}

fn server_time(client: &mut Client) -> i64 {
    let Message::TimeSync(sync) = client.ask(say::time_sync(0)) else { panic!("a time") };
    sync.server_send_time_us / 1000
}

fn timestamps_are_kept_within_what_the_servers_time_allows(format: Format) {
    let server = TestServer::start();
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    let mut stamped = |timestamp: &dyn Fn(i64) -> i64| {
        let before = server_time(&mut player);
        let midi =
            MidiMessage { midi_data: run(&[on(60), off(60)]), timestamp: timestamp(before), ..Default::default() };
        player.ask(Ask::MidiMessage(midi));
        let after = server_time(&mut player);
        (before, listener.midi().timestamp, after)
    };
    let (before, stamp, after) = stamped(&|_| 0);
    assert!(before <= stamp && stamp <= after, "none is now: {before} {stamp} {after}");
    let (before, stamp, _) = stamped(&|now| now - 500);
    assert_eq!(stamp, before - 500, "a sensible one is kept");
    let (before, stamp, _) = stamped(&|now| now + 500);
    assert_eq!(stamp, before + 500);
    for past in [1, -5, i64::MIN] {
        let (before, stamp, after) = stamped(&|_| past);
        assert!(before - 2000 <= stamp && stamp <= after - 2000, "{past}: {before} {stamp} {after}");
    }
    for future in [i64::MAX, 1 << 60] {
        let (before, stamp, after) = stamped(&|_| future);
        assert!(before + 1000 <= stamp && stamp <= after + 1000, "{future}: {before} {stamp} {after}");
    }
    server.await_figure("pianorhythm_timestamps_clamped_total", 5);
}

fn what_is_not_a_run_of_channel_messages_is_refused_whole_with_its_offset(format: Format) {
    let server = TestServer::start();
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    player.ask(say::notes(&[on(50)]));
    listener.midi();
    let good = run(&[on(60)]);
    for (bytes, offset) in [
        (&[0xF0, 0x7E, 0xF7][..], 5),
        (&[0xFF, 0x2F, 0x00], 5),
        (&[60, 90], 5),
        (&[0x90, 60], 5),
        (&[0x90, 128, 1], 6),
        (&[0x90, 60, 200], 7),
    ] {
        let mut data = good.to_vec();
        data.push(0);
        data.extend_from_slice(bytes);
        let error = player.refused(say::midi(data.clone()));
        assert_eq!(error.error_code, "VALIDATION_ERROR");
        let told: usize = error.error_details["offset"].parse().unwrap();
        assert!((offset..=data.len()).contains(&told), "{bytes:?}: {error:?}");
    }
    for data in [vec![], vec![0], vec![0x81], vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x90, 60, 1]] {
        assert_eq!(player.refusal(say::midi(data)), "VALIDATION_ERROR");
    }
    assert_eq!(listener.events(), [], "not even the good half");
    // It still holds what it held.
    player.ask(say::notes(&[off(50)]));
    assert_eq!(listener.midi().sequence, 2);
}

fn too_many_events_or_too_long_a_time_is_refused(format: Format) {
    let server = TestServer::with(unlimited_quotas);
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    // By hand: the writer knows the limits.
    let many = |count: usize| [0, 0x90, 60, 90].repeat(count);
    player.ask(say::midi(many(MAX_EVENTS)));
    assert_eq!(events(&listener.midi()).len(), MAX_EVENTS);
    assert_eq!(player.refusal(say::midi(many(MAX_EVENTS + 1))), "VALIDATION_ERROR");
    let long = |last: u8| vec![0x87, 0x40, 0x90, 60, 90, last, 0x80, 60, 0];
    player.ask(say::midi(long(40)));
    let span = Events::parse(&listener.midi().midi_data).unwrap().span_ms();
    assert_eq!(span, 1000);
    assert_eq!(player.refusal(say::midi(long(41))), "VALIDATION_ERROR");
}

/// A room's quota of so many notes at once, and next to none in the long run.
fn quota(burst: u32) -> TestServer {
    TestServer::with(|config| {
        (config.quota.room_burst, config.quota.room_notes) = (burst, 1);
        config.quota.window = Duration::from_secs(60);
    })
}

#[track_caller]
fn exceeded(client: &mut Client) -> QuotaExceeded {
    client.until(|message| match message {
        Message::QuotaExceeded(exceeded) => Some(*exceeded),
        _ => None,
    })
}

fn notes_over_the_quota_are_refused_and_what_lets_go_always_passes(format: Format) {
    let server = quota(3);
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    let mut writer = MidiWriter::new();
    for (delta, event) in [
        (0, on(60)),
        (10, on(61)),
        (20, ChannelMessage::control(0, SUSTAIN, 127)),
        // A note-off of a key not held costs a token, too: the last.
        (1, off(99)),
        (2, on(62)),
        (3, off(98)),
        (30, off(60)),
        (5, ChannelMessage::note_on(0, 61, 0)),
        (4, on(63)),
        (6, ChannelMessage::control(0, SUSTAIN, 0)),
        (7, ChannelMessage::control(0, ALL_NOTES_OFF, 0)),
        (8, on(64)),
    ] {
        writer.push(delta, event).unwrap();
    }
    player.ask(say::midi(writer.into_bytes()));
    let heard = listener.midi();
    let heard: Vec<_> = Events::parse(&heard.midi_data).unwrap().map(|event| (event.delta_ms, event.message)).collect();
    // A refused event's delta is added to the next accepted one.
    let expected = [
        (0, on(60)),
        (10, on(61)),
        (20, ChannelMessage::control(0, SUSTAIN, 127)),
        (1, off(99)),
        (35, off(60)),
        (5, ChannelMessage::note_on(0, 61, 0)),
        (10, ChannelMessage::control(0, SUSTAIN, 0)),
        (7, ChannelMessage::control(0, ALL_NOTES_OFF, 0)),
    ];
    assert_eq!(heard, expected);
    let QuotaExceeded { refused, retry_after_ms } = exceeded(&mut player);
    assert_eq!(refused, 4);
    assert!((1..=60_000).contains(&retry_after_ms), "{retry_after_ms}");
    // Where all is refused nothing is relayed.
    player.ask(say::notes(&[on(70), on(71)]));
    player.ask(say::chat("done"));
    let next = listener.events();
    assert!(matches!(&next[..], [Message::RoomChatMessage(_)]), "{next:?}");
}

fn refused_notes_are_told_at_most_once_a_second_and_all_counted(format: Format) {
    let server = quota(1);
    let mut player = server.player(format, "Ann", "jam");
    for n in 0..50 {
        player.send(say::notes(&[on(n)]));
    }
    let (mut told, mut refused) = (0, 0);
    while refused < 49 {
        refused += exceeded(&mut player).refused;
        told += 1;
    }
    assert_eq!(refused, 49);
    // As many as there are seconds in which they were sent: more than two only on a machine that stands still.
    assert!((2..10).contains(&told), "{told}");
}

fn a_spent_quota_is_not_filled_up_by_changing_rooms(format: Format) {
    let server = quota(4);
    let mut player = server.player(format, "Ann", "first");
    player.ask(say::notes(&[on(1), on(2), on(3), on(4), on(5)]));
    assert_eq!(exceeded(&mut player).refused, 1);
    for room in ["second", "third", "first"] {
        player.join(room);
        player.ask(say::notes(&[on(60), on(61)]));
        assert_eq!(exceeded(&mut player).refused, 2);
    }
}

fn two_tabs_share_one_quota(format: Format) {
    let server = quota(4);
    let mut one = server.player(format, "Ann", "jam");
    let mut two = server.connect(other(format)).bearer(&one.welcome.guest_token).client();
    two.join("jam");
    one.ask(say::notes(&[on(1), on(2), on(3)]));
    two.ask(say::notes(&[on(1), on(2), on(3)]));
    assert_eq!(exceeded(&mut two).refused, 2);
}

fn over_the_rate_of_messages_what_lets_go_still_passes(format: Format) {
    let server = TestServer::with(|config| {
        config.rates.midi.guest =
            pianorhythm_server::domain::bucket::Rate { capacity: 2, refill: 1, period_ms: 60_000 };
    });
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    player.ask(say::notes(&[on(60), on(61)]));
    player.ask(say::notes(&[on(62)]));
    assert_eq!(player.refusal(say::notes(&[off(60), on(63), off(61)])), "RATE_LIMIT_EXCEEDED");
    assert_eq!(events(&listener.midi()), [on(60), on(61)]);
    assert_eq!(events(&listener.midi()), [on(62)]);
    assert_eq!(events(&listener.midi()), [off(60), off(61)]);
}

/// Two in a room, one of them holding two keys on one channel and a pedal on another; an owner besides.
struct Holding {
    owner: Client,
    listener: Client,
    player: Client,
    server: TestServer,
}

impl Holding {
    fn new(format: Format) -> Self {
        let server = TestServer::start();
        let mut owner = server.guest(other(format), "Ann");
        owner.enter(say::create("jam"));
        let mut player = server.player(format, "Bo", "jam");
        let mut listener = server.player(other(format), "Cy", "jam");
        player.ask(say::notes(&[on(60), on(64), on(67), off(67)]));
        player.ask(say::notes(&[ChannelMessage::control(1, SUSTAIN, 127)]));
        for client in [&mut owner, &mut listener] {
            client.midi();
            client.midi();
        }
        Self { server, owner, listener, player }
    }

    /// The owner and the listener hear the silence, and behind it what `then` says.
    #[track_caller]
    fn expect_silence(&mut self, then: impl Fn(&Message) -> bool) {
        let expected = [
            off(60),
            off(64),
            ChannelMessage::control(1, SUSTAIN, 0),
            ChannelMessage::control(0, ALL_NOTES_OFF, 0),
            ChannelMessage::control(1, ALL_NOTES_OFF, 0),
        ];
        for client in [&mut self.owner, &mut self.listener] {
            let silence = loop {
                match client.next().message.unwrap() {
                    Message::MidiMessage(midi) => break midi,
                    message => assert!(!then(&message), "the silence comes first"),
                }
            };
            assert_eq!((silence.participant, silence.sequence), (2, 3));
            assert_eq!(events(&silence), expected);
            client.until(|message| {
                assert!(!matches!(message, Message::MidiMessage(_)), "{message:?}");
                then(message).then_some(())
            });
        }
    }
}

fn has_left(reason: Reason) -> impl Fn(&Message) -> bool {
    move |message| matches!(message, Message::UserLeftRoom(left) if left.participant == 2 && left.reason() == reason)
}

fn leaving_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    holding.player.ask(say::leave());
    holding.expect_silence(has_left(Reason::Left));
}

fn a_lost_connection_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    holding.player = holding.server.guest(format, "Di");
    holding.expect_silence(has_left(Reason::Disconnected));
}

fn a_kick_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    holding.owner.ask(say::moderate(Action::Kick, &holding.player.user_id()));
    holding.expect_silence(has_left(Reason::Kicked));
    assert_eq!(holding.player.ending().code(), 3501);
}

fn a_ban_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    holding.owner.ask(say::moderate(Action::Ban, &holding.player.user_id()));
    holding.expect_silence(has_left(Reason::Banned));
    assert_eq!(holding.player.ending().code(), 3502);
}

fn changing_rooms_lets_go_of_what_is_held(format: Format) {
    for shard in 0..crate::support::server::SHARDS {
        let mut holding = Holding::new(format);
        holding.player.join(&crate::support::server::room_on(shard, 0));
        holding.expect_silence(has_left(Reason::Left));
    }
}

fn a_mute_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    let mute = say::moderate_with(Action::Mute, &holding.player.user_id(), |mute| mute.notes = true);
    holding.owner.ask(mute);
    holding.expect_silence(
        |message| matches!(message, Message::UserUpdated(update) if update.member.as_ref().unwrap().notes_muted),
    );
    assert_eq!(holding.player.refusal(say::notes(&[on(60)])), "MUTED");
    holding.player.ask(say::chat("I see"));
}

fn losing_the_right_to_play_lets_go_of_what_is_held(format: Format) {
    let mut holding = Holding::new(format);
    holding.owner.ask(say::update(say::settings(|settings| settings.only_owner_plays = Some(true))));
    holding.expect_silence(|message| matches!(message, Message::RoomUpdated(_)));
    assert_eq!(holding.player.refusal(say::notes(&[on(60)])), "ONLY_OWNER_PLAYS");
}

fn what_is_not_held_any_more_is_not_let_go_of_again(format: Format) {
    let mut holding = Holding::new(format);
    let pedal = ChannelMessage::control(1, SUSTAIN, 0);
    let all = ChannelMessage::control(0, ALL_NOTES_OFF, 0);
    holding.player.ask(say::notes(&[pedal, all, on(50)]));
    holding.player.ask(say::leave());
    holding.listener.midi();
    let silence = events(&holding.listener.midi());
    let expected =
        [off(50), ChannelMessage::control(0, ALL_NOTES_OFF, 0), ChannelMessage::control(1, ALL_NOTES_OFF, 0)];
    assert_eq!(silence, expected);
}

/// A server that asks early, and releases soon.
fn impatient() -> TestServer {
    TestServer::with(|config| {
        config.rooms.ping_after = Duration::from_millis(150);
        config.rooms.release_after = Duration::from_millis(600);
    })
}

fn who_holds_and_answers_pings_goes_on_holding(format: Format) {
    let server = impatient();
    let mut player = server.player(format, "Ann", "jam");
    let mut listener = server.player(other(format), "Bo", "jam");
    player.ask(say::notes(&[on(60)]));
    listener.midi();
    // Longer than it would take to be given up.
    eventually("eight pings, which the reading thread answers", || {
        assert!(!player.has_ended());
        player.pings >= 8
    });
    assert_eq!(listener.events(), []);
    player.ask(say::notes(&[off(60)]));
    assert_eq!(events(&listener.midi()), [off(60)]);
}

fn who_holds_and_is_not_heard_of_lets_go_and_stays(format: Format) {
    let server = impatient();
    let mut listener = server.player(other(format), "Bo", "jam");
    // It reads nothing, and so answers no ping.
    let mut player = server.connect(format).name("Ann").room("jam").open();
    listener.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    player.send(say::notes(&[on(60)]));
    assert_eq!(events(&listener.midi()), [on(60)]);
    let silence = listener.midi();
    assert_eq!(events(&silence), [off(60), ChannelMessage::control(0, ALL_NOTES_OFF, 0)]);
    assert_eq!(silence.sequence, 2);
    // Its later notes play.
    player.send(say::notes(&[on(62)]));
    let later = listener.midi();
    assert_eq!((events(&later), later.sequence), (vec![on(62)], 3));
    player.ask(5, say::leave());
    while player.message().request_id != Some(5) {}
}

fn members_know_the_instruments_of_the_others(format: Format) {
    let server = TestServer::start();
    let mut player = server.player(format, "Ann", "jam");
    player.ask(say::notes(&[
        ChannelMessage::program(0, 19),
        ChannelMessage::program(9, 3),
        ChannelMessage::program(0, 40),
    ]));
    let mut joiner = server.guest(other(format), "Bo");
    let joined = joiner.join("jam");
    let mut instrument: Vec<_> =
        joined.current_users[0].instrument.iter().map(|channel| (channel.channel, channel.program)).collect();
    instrument.sort_unstable();
    assert_eq!(instrument, [(0, 40), (9, 3)]);
}
