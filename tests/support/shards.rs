//! Shards turned by hand on one thread, with a room on the first and a socket for each of its members; the time between turns is the
//! caller's. All that a note passes through is the server's own, the reading and writing of sockets too.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pianorhythm_server::{
    actor::{
        mesh::{Capacity, Inbox, Mesh},
        moment::ActorClock,
        parcel::{Parcel, Post, Registry},
        placement::shard_of,
        worker::Worker as _,
    },
    domain::{
        bucket::Rate,
        identity::{Profile, Role, Session, Status},
        lobby::lobby_key,
        quota::QuotaSettings,
        rate::RateSettings,
        room::RoomLimits,
    },
    http::{place::Places, stage::Admission},
    net::{outbox::Bounds, socket::SocketSettings},
    protocol::{
        codec::{self, Format},
        ids::ConnectionId,
        midi::{ChannelMessage, MidiWriter},
        time::Timestamp,
        wire::{MidiMessage, ServerMessage, server_message},
    },
    server::{
        chance::Chance,
        clock::Clock,
        settings::StageSettings,
        simulated,
        stage::{Stage, StageParts},
        tree,
    },
};

/// When the server's time begins: the same in every run, as numbers of another length cost otherwise.
const EPOCH: Timestamp = Timestamp::from_ms(1_800_000_000_000);
/// Between two notes: so little that a thousand of them are played between two heartbeats, which look after every member.
const STEP: Duration = Duration::from_micros(10);
/// The same where the room is to come to rest: a hundred of them are longer than a crowd's joins are gathered.
const LONG_STEP: Duration = Duration::from_millis(10);
/// So many come before what all have heard of them is read, so that no socket is full.
const SEATED_AT_ONCE: u64 = 32;
/// Turns after which what has not come does not come.
const ENOUGH: usize = 2000;

/// The shards, and the members of a room on the first of them.
pub struct Shards {
    stages: Vec<Stage>,
    inboxes: Vec<Inbox<Parcel>>,
    /// Of the back office, which is never turned: nothing here is asked of it.
    _office: Inbox<Parcel>,
    clock: ActorClock,
    sockets: Vec<UnixStream>,
    buffer: Vec<u8>,
    /// A press and a release, framed and masked.
    notes: [Vec<u8>; 2],
    played: usize,
}

impl Shards {
    /// So many shards, and a room of so many members of which the first shard has at most `spill_after`.
    ///
    /// # Panics
    /// Where they do not all come to sit.
    pub fn new(shards: usize, members: usize, spill_after: usize, format: Format) -> Self {
        // They seem to use nothing of the processor: what a room has to write is not gathered.
        simulated::set_processor_time(Some(Duration::ZERO));
        let mut registry = Registry::new();
        tree::place(&mut registry, shards);
        let (mesh, mut inboxes) = Mesh::new(shards + 1, Capacity::default());
        let clock = ActorClock::manual();
        let (give_up, _) = flume::unbounded();
        let post = Post { mesh, registry: Arc::new(registry) };
        let settings = Arc::new(settings(spill_after));
        let stages = (0..shards).map(|number| {
            Stage::new(StageParts {
                number,
                shards,
                post: post.clone(),
                clock: Clock::beginning(EPOCH, clock.clone()),
                settings: settings.clone(),
                figures: Arc::default(),
                chance: Chance::from_seed(number as u64),
                give_up: give_up.clone(),
            })
        });
        let stages = stages.collect();
        let _office = inboxes.pop().expect("it has one");
        let notes = [note(true, format), note(false, format)];
        let mut shards =
            Self { stages, inboxes, _office, clock, sockets: Vec::new(), buffer: vec![0; 64 * 1024], notes, played: 0 };
        shards.seat(members, format);
        shards.settle(members, spill_after);
        shards
    }

    fn seat(&mut self, members: usize, format: Format) {
        let room = (1..).map(lobby_key).find(|key| shard_of(key.as_str(), self.stages.len()) == 0);
        let room = room.expect("some lobby is on the first shard").to_string();
        let places = Places::new(members, members, Rate::UNLIMITED);
        for number in 1..=members as u64 {
            let (ours, theirs) = UnixStream::pair().expect("there are descriptors");
            ours.set_nonblocking(true).expect("it is a socket");
            theirs.set_nonblocking(true).expect("it is a socket");
            let profile = Profile {
                user_id: format!("guest-{number}").as_str().into(),
                username: format!("Guest {number}"),
                usertag: String::new(),
                roles: vec![Role::Guest],
                colour: "#aabbcc".into(),
                status: Status::Online,
            };
            let connection = ConnectionId(number);
            let address = Ipv4Addr::LOCALHOST.into();
            let session = Session { connection, profile, session_id: String::new(), address, format };
            self.stages[0].handle(Parcel::Handed(Box::new(Admission {
                socket: TcpStream::from(OwnedFd::from(theirs)),
                leftover: Bytes::new(),
                session,
                room: Some(room.clone()),
                guest_token: None,
                session_token: String::new(),
                place: places.take().expect("there are so many"),
            })));
            self.sockets.push(ours);
            self.turn();
            if number.is_multiple_of(SEATED_AT_ONCE) {
                self.hear();
            }
        }
    }

    /// Until all sit where they are to sit, and nothing more comes.
    fn settle(&mut self, members: usize, spill_after: usize) {
        let away = if self.stages.len() > 1 { members.saturating_sub(spill_after) } else { 0 };
        let (mut silence, mut turns) = (0, 0);
        while silence < 100 {
            turns += 1;
            assert!(turns < ENOUGH, "not all come to sit: {:?}", self.stages[0].spills());
            self.clock.advance(LONG_STEP);
            self.turn();
            silence = if self.hear() == 0 && self.stages[0].spills().away == away { silence + 1 } else { 0 };
        }
        let seated = self.stages[0].rooms().iter().map(|room| room.members.len()).max();
        assert_eq!(seated, Some(members));
    }

    /// A member, the first being 0, presses a key or releases it, by turns: it waits in its socket.
    pub fn play(&mut self, member: usize) {
        self.clock.advance(STEP);
        let note = &self.notes[self.played % 2];
        self.played += 1;
        (&self.sockets[member]).write_all(note).expect("the socket has room for a note");
    }

    /// A turn of each shard, with what the others have sent it. Here the note is read, decided and written.
    #[inline(never)]
    pub fn turn(&mut self) {
        for (stage, inbox) in self.stages.iter_mut().zip(&self.inboxes) {
            while let Some(parcel) = inbox.try_next() {
                stage.handle(parcel);
            }
            stage.turn();
        }
    }

    /// How many members have got something; it is taken from their sockets.
    pub fn hear(&mut self) -> usize {
        let mut heard = 0;
        for socket in &mut self.sockets {
            match socket.read(&mut self.buffer) {
                Ok(0) => panic!("a connection was closed"),
                Ok(_) => heard += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        heard
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        simulated::set_processor_time(None);
    }
}

/// Nothing is limited, and nobody is asked whether it is there.
fn settings(spill_after: usize) -> StageSettings {
    let long = Duration::from_secs(1_000_000);
    StageSettings {
        outbox: Bounds { shed_age: long, close_age: long, ..Bounds::default() },
        socket: SocketSettings { watches_kernel: false, ..SocketSettings::default() },
        roomless_idle_timeout: long,
        heartbeat_interval: long,
        spill_after,
        rates: RateSettings::unlimited(),
        rooms: Arc::new(RoomLimits {
            lobby_capacity: 10_000,
            quotas: QuotaSettings::unlimited(),
            ping_after: long,
            release_after: long,
            ..RoomLimits::default()
        }),
        ..StageSettings::default()
    }
}

/// What one key press or release is on its way to the server: masked.
fn note(press: bool, format: Format) -> Vec<u8> {
    let mut midi = MidiWriter::new();
    let message = if press { ChannelMessage::note_on(0, 60, 90) } else { ChannelMessage::note_off(0, 60, 0) };
    midi.push(0, message).expect("one event fits");
    let midi = MidiMessage { midi_data: midi.into_bytes(), timestamp: 1_700_000_000_000, ..MidiMessage::default() };
    let mut payload = Vec::new();
    codec::encode_server(format, &ServerMessage::event(server_message::Message::MidiMessage(midi)), &mut payload);
    assert!(payload.len() < 126, "a note has the shortest header");
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![if format == Format::Json { 0x81 } else { 0x82 }, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
