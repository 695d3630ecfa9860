//! One stage turned by hand, with real sockets; the time between turns is the test's.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use tungstenite::{Error, WebSocket, protocol::Role as Side};

use super::*;
use crate::{
    actor::{
        actor::Actor as _,
        mesh::{Capacity, Inbox, Mesh},
        moment::ActorClock,
        parcel::Registry,
        sending,
        table::Phase,
    },
    domain::{
        bucket::Rate,
        identity::{Profile, Role, Session, Status},
        lobby::lobby_key,
    },
    http::{place::Places, stage::Admission},
    protocol::{
        close::CloseCode,
        codec::{self, Format},
        error::{ErrorCode, Rejection},
        ids::RoomKey,
        wire::{
            ClientMessage, JoinRoomByName, LeaveRoom, MidiMessage, ServerMessage, SetProfile, TimeSync,
            client_message::Message as Told, server_message::Message,
        },
    },
    server::message::{Asker, ConnectionMessage, PasswordOutcome, RoomMessage, SeatAnswer, SeatAsk, Waiting, Wish},
};

#[cfg(feature = "faults")]
use crate::{
    domain::room::{NewRoom, Room},
    protocol::wire::CreateRoomCommand,
};

/// Turns after which what has not come does not come.
const ENOUGH: usize = 5_000;

/// Shard 0 of two, what it sends to the other one, and a back office that is never turned: it answers nothing.
struct Bench {
    stage: Stage,
    other: Inbox<Parcel>,
    _office: Inbox<Parcel>,
    clock: ActorClock,
    places: Places,
    next: u64,
}

struct Client {
    id: ConnectionId,
    socket: WebSocket<TcpStream>,
}

impl Bench {
    fn new() -> Self {
        let mut registry = Registry::new();
        tree::place(&mut registry, 2);
        let (mesh, mut inboxes) = Mesh::new(3, Capacity::default());
        let clock = ActorClock::manual();
        let (give_up, _) = flume::unbounded();
        let mut settings = StageSettings::default();
        // Acknowledgements come by the kernel's time.
        settings.socket.watches_kernel = false;
        let parts = StageParts {
            number: 0,
            shards: 2,
            post: Post { mesh, registry: Arc::new(registry) },
            clock: Clock::over(clock.clone()),
            settings: Arc::new(settings),
            figures: Arc::default(),
            chance: Chance::from_seed(1),
            give_up,
        };
        let places = Places::new(100, 100, Rate::UNLIMITED);
        let (_office, other) = (inboxes.pop().unwrap(), inboxes.pop().unwrap());
        Self { stage: Stage::new(parts), other, _office, clock, places, next: 0 }
    }

    /// A room's name whose home is this shard.
    fn name_at(&self, shard: usize) -> String {
        (0..).map(|n| format!("room {n}")).find(|name| self.stage.home_of(name) == shard).unwrap()
    }

    /// The number of a lobby whose home is this shard.
    fn lobby_here(&self) -> u32 {
        (1..).find(|&number| self.stage.home_of(lobby_key(number).as_str()) == 0).unwrap()
    }

    /// A guest whose actor is on this shard.
    fn connect(&mut self) -> Client {
        self.next += 1;
        let id = ConnectionId(self.next);
        let user = (0..).map(|n| format!("user {id} {n}")).find(|user| self.stage.home_of(user) == 0).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (socket, _) = listener.accept().unwrap();
        let session = Session {
            connection: id,
            profile: Profile {
                user_id: user.as_str().into(),
                username: "Clara".into(),
                usertag: String::new(),
                roles: vec![Role::Guest],
                colour: "#aabbcc".into(),
                status: Status::Online,
            },
            session_id: String::new(),
            address: Ipv4Addr::LOCALHOST.into(),
            format: Format::Protobuf,
        };
        self.stage.handle(Parcel::Handed(Box::new(Admission {
            socket,
            leftover: bytes::Bytes::new(),
            session,
            room: None,
            guest_token: None,
            session_token: String::new(),
            place: self.places.take().unwrap(),
        })));
        Client { id, socket: WebSocket::from_raw_socket(client, Side::Client, None) }
    }

    /// As [`connect`](Self::connect), and in a lobby of this shard.
    fn connect_to_lobby(&mut self) -> Client {
        let mut client = self.connect();
        let room_name = format!("lobby{}", self.lobby_here());
        let room_name = if room_name == "lobby1" { "lobby".into() } else { room_name };
        client.say(Message::JoinRoomByName(JoinRoomByName { room_name, password: String::new() }));
        self.hear(&mut client, |told| matches!(told, Told::RoomJoinedResponse(_)));
        client
    }

    /// A turn, a millisecond after the last.
    fn turn(&mut self) {
        self.clock.advance(Duration::from_millis(1));
        self.stage.turn();
    }

    /// Turns for so long.
    fn pass(&mut self, time: Duration) {
        let until = self.clock.now() + time;
        while self.clock.now() < until {
            self.clock.advance(Duration::from_millis(100));
            self.turn();
        }
    }

    /// Turns until the client is told something of this kind.
    fn hear(&mut self, client: &mut Client, wanted: impl Fn(&Told) -> bool) -> Told {
        self.hear_all(client, wanted).pop().unwrap()
    }

    /// Everything the client is told, up to something of this kind.
    fn hear_all(&mut self, client: &mut Client, wanted: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut heard = Vec::new();
        for _ in 0..ENOUGH {
            self.turn();
            while let Some(message) = client.told() {
                heard.push(message);
                if wanted(heard.last().unwrap()) {
                    return heard;
                }
            }
        }
        panic!("it did not come; what came was {heard:?}");
    }

    /// Turns until the client's connection is closed; the code.
    fn closed(&mut self, client: &mut Client) -> u16 {
        for _ in 0..ENOUGH {
            self.turn();
            match client.socket.read() {
                Ok(tungstenite::Message::Close(Some(frame))) => return frame.code.into(),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("it ended without a close frame: {error}"),
            }
        }
        panic!("it was not closed");
    }

    fn key(&self, client: &Client) -> usize {
        self.stage.ids[&client.id]
    }

    /// Somebody of another shard who wants a seat.
    fn ask(&self, room: &RoomKey, wish: Wish) -> Box<SeatAsk> {
        Box::new(SeatAsk {
            asker: Asker { room: room.clone(), connection: ConnectionId(77), ticket: 1, shard: 1 },
            profile: Profile {
                user_id: "u77".into(),
                username: "Robert".into(),
                usertag: String::new(),
                roles: vec![Role::Member],
                colour: "#aabbcc".into(),
                status: Status::Online,
            },
            address: Ipv4Addr::LOCALHOST.into(),
            wish,
        })
    }

    /// Asks a room of this shard for a seat, as the other shard does.
    fn ask_for_a_seat(&mut self, room: &RoomKey, wish: Wish) {
        let ask = self.ask(room, wish);
        sending::tell::<RoomActor, _>(&mut self.stage, room, RoomMessage::Seat(ask)).unwrap();
        self.turn();
    }

    /// The phase of a room's actor.
    fn phase(&self, room: &RoomKey) -> Option<Phase> {
        Some(self.stage.rooms.phase(self.stage.rooms.find(room)?)?.0)
    }

    /// How much the other shard was sent since this was last asked.
    fn sent(&self) -> usize {
        std::iter::from_fn(|| self.other.try_next()).count()
    }

    /// The room's answer to a connection that has asked for a seat.
    fn answer_seat(&mut self, client: &Client, ticket: u64, room: &RoomKey) {
        let answer = SeatAnswer { ticket, room: room.clone(), result: Ok(()) };
        let message = ConnectionMessage::Seat(Box::new(answer));
        sending::tell_at::<Connection, _>(&mut self.stage, 0, &client.id, message).unwrap();
        self.turn();
    }
}

impl Client {
    fn say(&mut self, message: Message) {
        self.say_as(None, message);
    }

    fn say_as(&mut self, request_id: Option<u32>, message: Message) {
        let mut out = Vec::new();
        codec::encode_server(Format::Protobuf, &ServerMessage::request(request_id, message), &mut out);
        self.socket.send(tungstenite::Message::binary(out)).unwrap();
    }

    fn told(&mut self) -> Option<Told> {
        loop {
            match self.socket.read() {
                Ok(tungstenite::Message::Binary(payload)) => {
                    let ClientMessage { message, .. } = codec::decode_client(Format::Protobuf, &payload).unwrap();
                    return message;
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn note() -> Message {
    Message::MidiMessage(MidiMessage { midi_data: vec![0, 0x90, 60, 100].into(), ..Default::default() })
}

fn midi_of(message: Message) -> MidiMessage {
    if let Message::MidiMessage(midi) = message { midi } else { panic!("{message:?}") }
}

/// The number of a note that is heard.
fn sequence(told: &Told) -> Option<u32> {
    if let Told::MidiMessage(midi) = told { Some(midi.sequence) } else { None }
}

fn join(room_name: &str) -> Message {
    Message::JoinRoomByName(JoinRoomByName { room_name: room_name.into(), password: String::new() })
}

#[test]
fn who_leaves_without_a_request_id_is_still_sent_what_waited_for_its_room() {
    let mut bench = Bench::new();
    let (mut player, mut listener) = (bench.connect_to_lobby(), bench.connect_to_lobby());
    bench.turn();
    // Both in one turn, the note first.
    player.say(note());
    listener.say(Message::LeaveRoom(LeaveRoom {}));
    bench.hear(&mut listener, |told| matches!(told, Told::MidiMessage(_)));
}

#[test]
fn a_panic_in_a_handler_ends_its_connection_and_no_other() {
    let mut bench = Bench::new();
    let (mut unlucky, mut other) = (bench.connect_to_lobby(), bench.connect_to_lobby());
    let key = bench.key(&unlucky);
    bench.stage.guarded(key, |stage| {
        let _taken_out = (std::mem::take(&mut stage.buffer), std::mem::take(&mut stage.effects));
        panic!("a defect");
    });
    other.say(Message::TimeSync(TimeSync::default()));
    bench.hear(&mut other, |told| matches!(told, Told::TimeSync(_)));
    assert_eq!(bench.closed(&mut unlucky), CloseCode::Internal.code());
}

#[test]
fn a_turn_that_panics_half_way_forgets_nobody() {
    let mut bench = Bench::new();
    let mut client = bench.connect_to_lobby();
    client.say(Message::TimeSync(TimeSync::default()));
    bench.stage.poll_sockets();
    // The lists are lost on the way; what they said of each connection is not.
    bench.stage.to_read.clear();
    bench.stage.dirty.clear();
    bench.stage.panicked("a defect");
    bench.hear(&mut client, |told| matches!(told, Told::TimeSync(_)));
}

#[test]
fn who_is_too_slow_to_be_greeted_is_announced_before_it_is_gone() {
    let mut bench = Bench::new();
    let mut witness = bench.connect_to_lobby();
    // `Welcome` fits, and the answer to the join behind it does not.
    let mut slow = bench.connect();
    let key = bench.key(&slow);
    Arc::make_mut(&mut bench.stage.settings).outbox.close_bytes = bench.stage.peers[key].wire.outbox().bytes() + 40;
    let lobby = bench.lobby_here();
    let name = crate::domain::lobby::lobby_name(lobby);
    bench.stage.begin_join_by_name(key, None, &name.replace(' ', ""), String::new()).unwrap();
    let heard = bench.hear_all(&mut witness, |told| matches!(told, Told::UserLeftRoom(_)));
    assert!(heard.iter().any(|told| matches!(told, Told::UserJoinedRoom(_))), "no ghost stays: {heard:?}");
    assert_eq!(bench.closed(&mut slow), CloseCode::TooSlow.code());
}

#[test]
fn a_change_of_name_right_before_a_join_is_seen_in_the_room() {
    let mut bench = Bench::new();
    let mut witness = bench.connect_to_lobby();
    let mut client = bench.connect();
    client.say(Message::SetProfile(SetProfile { name: Some("Fanny".into()), colour: None }));
    let name = crate::domain::lobby::lobby_name(bench.lobby_here()).replace(' ', "");
    client.say(join(&name));
    bench.hear(&mut client, |told| matches!(told, Told::RoomJoinedResponse(_)));
    let name_of = |member: &Option<crate::protocol::wire::Member>| {
        member.as_ref().and_then(|member| member.user.as_ref()).map(|user| user.username.clone())
    };
    bench.hear(&mut witness, |told| match told {
        Told::UserJoinedRoom(joined) => name_of(&joined.member).as_deref() == Some("Fanny"),
        Told::UserUpdated(updated) => name_of(&updated.member).as_deref() == Some("Fanny"),
        _ => false,
    });
}

#[test]
fn a_room_does_not_go_while_somebody_is_on_the_way_to_it() {
    let mut bench = Bench::new();
    let number = bench.lobby_here();
    let room = lobby_key(number);
    bench.ask_for_a_seat(&room, Wish::Lobby(number));
    let id = bench.stage.rooms.find(&room).unwrap();
    // It was to go, and waited for a commit.
    bench.stage.rooms.get_mut(id).unwrap().cell_mut().unwrap().is_retiring = true;
    (0..100).for_each(|_| bench.turn());
    assert!(bench.stage.rooms.find(&room).is_some());
    bench.pass(Duration::from_secs(6));
    assert!(bench.stage.rooms.find(&room).is_none(), "nobody came");
}

#[test]
fn a_room_whose_answer_from_the_store_is_lost_can_be_joined_again() {
    let mut bench = Bench::new();
    let name = bench.name_at(0);
    let room = RoomKey::from_normalised(&name);
    let mut client = bench.connect();
    for _ in 0..2 {
        client.say_as(Some(1), join(&name));
        assert!((0..ENOUGH).any(|_| {
            bench.turn();
            bench.phase(&room) == Some(Phase::Loading)
        }));
        bench.clock.advance(bench.stage.settings.join_timeout);
        let told = bench.hear(&mut client, |told| matches!(told, Told::ErrorMessage(_)));
        assert!(matches!(told, Told::ErrorMessage(error) if error.error_code != ErrorCode::Validation.as_str()));
        assert!((0..ENOUGH).any(|_| {
            bench.turn();
            bench.phase(&room).is_none()
        }));
    }
}

#[test]
fn a_password_that_could_not_be_checked_makes_no_room_in_place_of_a_saved_one() {
    let mut bench = Bench::new();
    let name = bench.name_at(0);
    let room = RoomKey::from_normalised(&name);
    let wish = || Wish::Join { name: name.clone(), password: None };
    bench.ask_for_a_seat(&room, wish());
    // Another had asked before the room retired, and its password is refused only now.
    let waiting = Waiting::Seat(bench.ask(&room, wish()));
    let outcome = PasswordOutcome::Failed(Rejection::new(ErrorCode::ServerBusy, "too many"));
    sending::tell::<RoomActor, _>(&mut bench.stage, &room, RoomMessage::Password { waiting, outcome }).unwrap();
    bench.turn();
    assert_eq!(bench.phase(&room), Some(Phase::Loading), "it is still being loaded");
}

#[test]
fn a_late_answer_to_an_earlier_join_does_not_give_up_the_seat_of_the_next() {
    let mut bench = Bench::new();
    let name = bench.name_at(1);
    let room = RoomKey::from_normalised(&name);
    let mut client = bench.connect();
    client.say(join(&name));
    let turn_until_asked = |bench: &mut Bench| {
        assert!((0..ENOUGH).any(|_| {
            bench.turn();
            bench.sent() > 0
        }));
    };
    turn_until_asked(&mut bench);
    let key = bench.key(&client);
    let ticket = bench.stage.peers[key].state.joining.as_ref().unwrap().ticket;
    bench.clock.advance(bench.stage.settings.join_timeout);
    bench.hear(&mut client, |told| matches!(told, Told::ErrorMessage(_)));
    client.say(join(&name));
    turn_until_asked(&mut bench);
    bench.answer_seat(&client, ticket, &room);
    (0..100).for_each(|_| bench.turn());
    assert_eq!(bench.sent(), 0, "no seat is released");
}

#[test]
fn who_left_its_room_for_one_that_does_not_take_it_is_told_that_it_is_in_none() {
    let mut bench = Bench::new();
    let mut client = bench.connect_to_lobby();
    let name = bench.name_at(0);
    let room = RoomKey::from_normalised(&name);
    client.say(join(&name));
    let key = bench.key(&client);
    assert!((0..ENOUGH).any(|_| {
        bench.turn();
        bench.stage.peers[key].state.joining.is_some()
    }));
    // A seat in a room that is not there any more when it sits down.
    let ticket = bench.stage.peers[key].state.joining.as_ref().unwrap().ticket;
    bench.answer_seat(&client, ticket, &room);
    let told = bench.hear(&mut client, |told| matches!(told, Told::ErrorMessage(_)));
    assert!(matches!(&told, Told::ErrorMessage(error) if error.error_details.contains_key("left_room")), "{told:?}");
    assert!(bench.stage.peers[key].seat.is_none());
}

#[test]
fn a_draining_stage_tells_who_still_comes_when_to_come_back() {
    let mut bench = Bench::new();
    bench.stage.drain();
    let mut late = bench.connect();
    assert_eq!(bench.closed(&mut late), CloseCode::Restarting.code());
}

#[test]
fn a_connection_whose_next_shard_has_ended_is_told_when_to_come_back() {
    let mut bench = Bench::new();
    let name = bench.name_at(1);
    let room = RoomKey::from_normalised(&name);
    let mut client = bench.connect();
    client.say(join(&name));
    let key = bench.key(&client);
    assert!((0..ENOUGH).any(|_| {
        bench.turn();
        bench.stage.peers[key].state.joining.is_some()
    }));
    let ticket = bench.stage.peers[key].state.joining.as_ref().unwrap().ticket;
    drop(std::mem::replace(&mut bench.other, crate::actor::mesh::inbox(Capacity::default()).1));
    bench.answer_seat(&client, ticket, &room);
    assert_eq!(bench.closed(&mut client), CloseCode::Restarting.code());
}

#[test]
fn a_shard_that_stood_still_blames_nobody_for_it() {
    let mut bench = Bench::new();
    let (mut player, mut listener) = (bench.connect_to_lobby(), bench.connect_to_lobby());
    player.say(note());
    bench.hear(&mut listener, |told| matches!(told, Told::MidiMessage(_)));
    listener.say(note());
    bench.hear(&mut player, |told| matches!(told, Told::MidiMessage(_)));
    // Something waits to be written to the listener when it begins.
    let key = bench.key(&listener);
    let seat = bench.stage.peers[bench.key(&player)].seat.unwrap();
    // Played where nothing is flushed after it.
    let play = |stage: &mut Stage| {
        stage.tell_time();
        stage.enter_room(seat.room, |cell, now, effects| {
            cell.room.play(seat.participant, midi_of(note()), now, effects).map(drop).unwrap();
        });
    };
    play(&mut bench.stage);
    assert!(!bench.stage.peers[key].wire.outbox().is_empty());
    // Longer than what is held is held for in silence, and than what waits may wait.
    bench.clock.advance(Duration::from_secs(8));
    play(&mut bench.stage);
    (0..100).for_each(|_| bench.turn());
    assert_eq!((bench.stage.figures.stalls.get(), bench.stage.figures.stalled_ms.get() / 1000), (1, 7));
    let heard: Vec<_> = std::iter::from_fn(|| listener.told()).collect();
    let sequences: Vec<u32> = heard.iter().filter_map(sequence).collect();
    assert_eq!(sequences, [2, 3], "{heard:?}");
    assert!(
        heard.iter().all(|told| matches!(told, Told::MidiMessage(midi) if midi.midi_data == midi_of(note()).midi_data))
    );
    let heard: Vec<_> = std::iter::from_fn(|| player.told()).collect();
    assert!(heard.iter().filter_map(sequence).next().is_none(), "what it holds still sounds: {heard:?}");
    // From here on silence counts again.
    let heard = {
        bench.pass(Duration::from_secs(6));
        std::iter::from_fn(|| listener.told()).collect::<Vec<_>>()
    };
    assert!(heard.iter().any(|told| matches!(told, Told::MidiMessage(_))), "what it holds is let go of: {heard:?}");
}

#[test]
fn a_room_that_panics_goes_on_from_its_value_and_the_one_who_asked_is_told() {
    let mut bench = Bench::new();
    let (mut player, mut listener) = (bench.connect_to_lobby(), bench.connect_to_lobby());
    player.say(note());
    bench.hear(&mut listener, |told| matches!(told, Told::MidiMessage(_)));
    let key = bench.key(&player);
    let seat = bench.stage.peers[key].seat.unwrap();
    let members = bench.stage.room_of(seat).unwrap().members.clone();
    let failed: Option<()> = bench.stage.in_room(seat, |room, now, effects| {
        room.leave(seat.participant, crate::protocol::wire::user_left_room::Reason::Left, now, effects);
        panic!("a defect, half way");
    });
    assert!(failed.is_none());
    assert_eq!(bench.stage.room_of(seat).unwrap().members, members, "everybody is still there");
    assert_eq!(bench.stage.rooms.counts(seat.room).unwrap().restarts, 1);
    // What it holds is known: when it goes, it is let go of.
    player.socket.close(None).unwrap();
    let heard = bench.hear_all(&mut listener, |told| matches!(told, Told::UserLeftRoom(_)));
    assert!(heard.iter().any(|told| matches!(told, Told::MidiMessage(_))), "the note ends: {heard:?}");
}

#[test]
#[cfg(feature = "faults")]
fn who_asks_a_room_for_a_seat_that_fails_at_it_is_told_at_once_and_may_ask_again() {
    let mut bench = Bench::new();
    let mut seated = Vec::new();
    // At each point of the way: when a seat is held, before and after, and when it is taken.
    for point in 1..=4 {
        let mut client = bench.connect();
        let name = format!("lobby{}", bench.lobby_here());
        let name = if name == "lobby1" { "lobby" } else { &name };
        crate::domain::fault::at(point);
        client.say_as(Some(1), join(name));
        let begun = bench.clock.now();
        let told = bench.hear(&mut client, |told| matches!(told, Told::ErrorMessage(_)));
        assert!(matches!(told, Told::ErrorMessage(error) if error.error_code == ErrorCode::Server.as_str()));
        assert!(bench.clock.now().since(begun) < Duration::from_millis(50), "the fault at {point} was told of at once");
        client.say_as(Some(2), join(name));
        bench.hear(&mut client, |told| matches!(told, Told::RoomJoinedResponse(_)));
        seated.push(client);
        // Its failures are forgotten.
        bench.clock.advance(Duration::from_secs(10));
    }
}

#[test]
#[cfg(feature = "faults")]
fn who_has_made_a_room_and_could_not_sit_down_asks_for_it_again_and_is_seated() {
    let mut bench = Bench::new();
    let name = bench.name_at(0);
    let room = RoomKey::from_normalised(&name);
    let create = || Wish::Create(Box::new(CreateRoomCommand { room_name: name.clone(), ..Default::default() }));
    let mut ask = bench.ask(&room, create());
    let mut maker = bench.connect();
    // It waits for a room; which does not matter.
    maker.say_as(Some(1), join(&format!("{name} x")));
    assert!((0..ENOUGH).any(|_| {
        bench.turn();
        bench.stage.peers[bench.key(&maker)].state.joining.is_some()
    }));
    let ticket = bench.stage.peers[bench.key(&maker)].state.joining.as_ref().unwrap().ticket;
    ask.asker = Asker { connection: maker.id, ticket, shard: 0, ..ask.asker };
    let limits = bench.stage.settings.rooms.clone();
    let new = NewRoom::by_command(&CreateRoomCommand { room_name: name.clone(), ..Default::default() }, &limits);
    let made = Room::create(new.unwrap(), Some(&ask.profile), limits, bench.stage.now);
    let making = RoomActor::making(made, ask);
    let id = crate::actor::life::spawn_here::<RoomActor>(&mut bench.stage, room.clone(), making).unwrap();
    // Somebody else asks meanwhile, and waits.
    bench.ask_for_a_seat(&room, Wish::Join { name: name.clone(), password: None });
    bench.sent();
    crate::domain::fault::at(1);
    sending::tell::<RoomActor, _>(&mut bench.stage, &room, RoomMessage::Made(Ok(()))).unwrap();
    let told = bench.hear(&mut maker, |told| matches!(told, Told::ErrorMessage(_)));
    assert!(matches!(told, Told::ErrorMessage(error) if error.error_code == ErrorCode::Server.as_str()));
    assert_eq!(bench.sent(), 1, "the other has its answer");
    assert!(bench.stage.rooms.get(id).unwrap().cell().is_some(), "it is there");
    let now = bench.stage.now;
    bench.stage.rooms.get_mut(id).unwrap().cell_mut().unwrap().held_until = now;
    bench.ask_for_a_seat(&room, create());
    assert_eq!(bench.sent(), 1);
    assert!(bench.stage.rooms.get(id).unwrap().cell().unwrap().held_until > now, "a seat is held");
}

#[test]
fn a_room_that_rests_after_failures_keeps_its_members_messages_in_order() {
    let mut bench = Bench::new();
    let (mut player, mut listener) = (bench.connect_to_lobby(), bench.connect_to_lobby());
    let key = bench.key(&player);
    let seat = bench.stage.peers[key].seat.unwrap();
    for _ in 0..2 {
        let failed: Option<()> = bench.stage.in_room(seat, |_, _, _| panic!("a defect"));
        assert!(failed.is_none());
    }
    assert_eq!(bench.stage.rooms.phase(seat.room).unwrap().0, Phase::BackingOff);
    player.say(note());
    player.say(Message::RoomChatMessage(crate::protocol::wire::RoomChatMessage {
        message: "after it".into(),
        ..Default::default()
    }));
    for _ in 0..5 {
        bench.turn();
        assert!(listener.told().is_none(), "it rests");
    }
    let heard = bench.hear_all(&mut listener, |told| matches!(told, Told::RoomChatMessage(_)));
    assert!(matches!(heard[0], Told::MidiMessage(_)), "{heard:?}");
}

#[test]
fn a_room_that_fails_too_often_ends_with_its_members_and_no_other_does() {
    let mut bench = Bench::new();
    let (mut unlucky, mut other) = (bench.connect_to_lobby(), bench.connect());
    let key = bench.key(&unlucky);
    let seat = bench.stage.peers[key].seat.unwrap();
    for _ in 0..11 {
        let failed: Option<()> = bench.stage.in_room(seat, |_, _, _| panic!("a defect"));
        assert!(failed.is_none());
    }
    assert!(bench.stage.rooms.get(seat.room).is_none());
    assert_eq!(bench.closed(&mut unlucky), CloseCode::Internal.code());
    other.say(Message::TimeSync(TimeSync::default()));
    bench.hear(&mut other, |told| matches!(told, Told::TimeSync(_)));
}

#[test]
fn who_waits_for_a_commit_of_a_room_that_ends_by_its_failures_is_answered() {
    let mut bench = Bench::new();
    let (unlucky, mut gone) = (bench.connect_to_lobby(), bench.connect());
    let seat = bench.stage.peers[bench.key(&unlucky)].seat.unwrap();
    // It asked as a member, and has moved on.
    let reply = bench.stage.reply_to(bench.key(&gone), Some(7));
    let commit = crate::server::room_actor::Commit {
        then: Vec::new(),
        request: Some((crate::protocol::ids::Participant(99), reply)),
    };
    bench.stage.rooms.get_mut(seat.room).unwrap().cell_mut().unwrap().commits.insert(1, commit);
    for _ in 0..11 {
        let _: Option<()> = bench.stage.in_room(seat, |_, _, _| panic!("a defect"));
    }
    bench.hear(&mut gone, |told| matches!(told, Told::ErrorMessage(_)));
}

#[test]
fn an_answer_of_the_back_office_goes_after_a_connection_that_has_moved() {
    let mut bench = Bench::new();
    let mut client = bench.connect();
    bench.turn();
    let key = bench.key(&client);
    let reply = bench.stage.reply_to(key, Some(7));
    let asker = bench.stage.connection_actor(key).unwrap();
    // As if it had left for another shard and come back as another actor while it was asked.
    crate::actor::life::depart::<Connection>(&mut bench.stage, asker);
    crate::actor::life::spawn_here::<Connection>(&mut bench.stage, client.id, Connection { key }).unwrap();
    let message = Box::new(ClientMessage::answer(Some(7), Told::RoomList(Default::default())));
    let why = crate::actor::actor::Undelivered::For(crate::actor::kind_figures::DeadReason::Stopped);
    Connection::undelivered(&mut bench.stage, None, ConnectionMessage::Answered { reply, message }, &why);
    bench.hear(&mut client, |told| matches!(told, Told::RoomList(_)));
}
