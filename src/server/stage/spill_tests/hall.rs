//! Stages turned by hand, and guests with real sockets.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use tungstenite::{Error, WebSocket, protocol::Role as Side};

use crate::{
    actor::{
        life,
        mesh::{Capacity, Inbox, Mesh},
        moment::ActorClock,
        parcel::Registry,
    },
    domain::{
        bucket::Rate,
        identity::{Profile, Role, Session, Status},
        room::{NewRoom, Room},
    },
    http::{place::Places, stage::Admission},
    protocol::{
        codec::{self, Format},
        ids::{Participant, RoomKey},
        wire::{ClientMessage, ServerMessage, client_message::Message as Told, server_message::Message},
    },
    server::stage::{spill_tests::join, *},
};

/// Rounds after which what has not come does not come.
pub(super) const ENOUGH: usize = 2_000;
/// The key that `note_on` and `note_off` are about.
pub(super) const KEY: u8 = 60;

/// Some stages, what is on its way between them, and a back office that is never turned.
pub(super) struct Hall {
    pub(super) stages: Vec<Stage>,
    pub(super) inboxes: Vec<Inbox<Parcel>>,
    _office: Inbox<Parcel>,
    pub(super) clock: ActorClock,
    pub(super) places: Places,
    pub(super) next: u64,
}

/// Somebody with a socket, and all it was told.
pub(super) struct Guest {
    pub(super) id: ConnectionId,
    pub(super) user: String,
    pub(super) format: Format,
    pub(super) socket: WebSocket<TcpStream>,
    pub(super) heard: Vec<Told>,
    /// By request id.
    pub(super) answers: HashMap<u32, Told>,
    pub(super) closed: Option<u16>,
}

impl Hall {
    pub(super) fn new(shards: usize, change: impl FnOnce(&mut StageSettings)) -> Self {
        let mut settings = StageSettings::default();
        // Acknowledgements come by the kernel's time.
        settings.socket.watches_kernel = false;
        Arc::make_mut(&mut settings.rooms).max_capacity = 1000;
        Arc::make_mut(&mut settings.rooms).default_capacity = 1000;
        change(&mut settings);
        let settings = Arc::new(settings);
        let mut registry = Registry::new();
        tree::place(&mut registry, shards);
        let (mesh, mut inboxes) = Mesh::new(shards + 1, Capacity::default());
        let post = Post { mesh, registry: Arc::new(registry) };
        let clock = ActorClock::manual();
        let shared_clock = Clock::over(clock.clone());
        let (give_up, _) = flume::unbounded();
        let stages = (0..shards).map(|number| {
            Stage::new(StageParts {
                number,
                shards,
                post: post.clone(),
                clock: shared_clock.clone(),
                settings: settings.clone(),
                figures: Arc::default(),
                give_up: give_up.clone(),
                chance: Chance::from_seed(number as u64),
            })
        });
        let stages = stages.collect();
        let _office = inboxes.pop().unwrap();
        Self { stages, inboxes, _office, clock, places: Places::new(1000, 1000, Rate::UNLIMITED), next: 0 }
    }

    /// Opens a room on shard 0, or another, and returns its name. Its first member will own it.
    pub(super) fn open_room(&mut self, shard: usize) -> String {
        let is_there = |name: &String| self.stages[shard].home_of(name) == shard;
        let taken = |name: &String| self.stages[shard].rooms.find(&RoomKey::from_normalised(name)).is_some();
        let name = (0..).map(|n| format!("concert {n}")).find(|name| is_there(name) && !taken(name)).unwrap();
        let stage = &mut self.stages[shard];
        let limits = stage.settings.rooms.clone();
        let room = Room::create(NewRoom::by_joining(&name, &limits).unwrap(), None, limits, stage.now);
        let actor = RoomActor::open(room, stage.now);
        life::spawn_here::<RoomActor>(stage, RoomKey::from_normalised(&name), actor).unwrap();
        name
    }

    pub(super) fn connect(&mut self, shard: usize, format: Format) -> Guest {
        self.connect_over(shard, format, false)
    }

    /// The same, over a socket that may be one that takes little.
    pub(super) fn connect_over(&mut self, shard: usize, format: Format, is_narrow: bool) -> Guest {
        self.next += 1;
        let id = ConnectionId(self.next);
        let user = format!("user {id}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        // Else the second of two small messages waits for real time to pass.
        client.set_nodelay(true).unwrap();
        let (socket, _) = listener.accept().unwrap();
        if is_narrow {
            // What the kernel keeps for who does not read is soon full.
            socket2::SockRef::from(&client).set_recv_buffer_size(4096).unwrap();
            socket2::SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
        }
        let session = Session {
            connection: id,
            profile: Profile {
                user_id: user.as_str().into(),
                username: format!("Guest {}", id.0),
                usertag: String::new(),
                roles: vec![Role::Guest],
                colour: "#aabbcc".into(),
                status: Status::Online,
            },
            session_id: String::new(),
            address: Ipv4Addr::LOCALHOST.into(),
            format,
        };
        self.stages[shard].handle(Parcel::Handed(Box::new(Admission {
            socket,
            leftover: bytes::Bytes::new(),
            session,
            room: None,
            guest_token: None,
            session_token: String::new(),
            place: self.places.take().unwrap(),
        })));
        let socket = WebSocket::from_raw_socket(client, Side::Client, None);
        Guest { id, user, format, socket, heard: Vec::new(), answers: HashMap::new(), closed: None }
    }

    /// Guests that have joined a room, one after the other; every third speaks JSON.
    pub(super) fn audience(&mut self, room: &str, size: usize) -> Vec<Guest> {
        let mut guests: Vec<Guest> = Vec::new();
        for n in 0..size {
            let format = if n % 3 == 2 { Format::Json } else { Format::Protobuf };
            let mut guest = self.connect(n % self.stages.len(), format);
            guest.say(join(room));
            guests.push(guest);
            let joined = |guests: &[Guest]| guests[n].participant().is_some();
            self.until(&mut guests, joined);
        }
        self.settle(&mut guests);
        guests
    }

    /// Delivers what a stage was sent, and turns it.
    pub(super) fn turn(&mut self, shard: usize) {
        while let Some(parcel) = self.inboxes[shard].try_next() {
            self.stages[shard].handle(parcel);
        }
        self.stages[shard].turn();
    }

    /// A turn of each stage, a millisecond after the last.
    pub(super) fn round(&mut self) {
        self.clock.advance(Duration::from_millis(1));
        (0..self.stages.len()).for_each(|shard| self.turn(shard));
    }

    pub(super) fn until(&mut self, guests: &mut [Guest], wanted: impl Fn(&[Guest]) -> bool) {
        for _ in 0..ENOUGH {
            self.round();
            guests.iter_mut().for_each(Guest::listen);
            if wanted(guests) {
                return;
            }
        }
        let told: Vec<_> = guests.iter().map(|guest| (guest.id, guest.closed, guest.heard.last())).collect();
        panic!("it did not come; last was heard {told:?}");
    }

    /// Turns until whatever is under way is over.
    pub(super) fn settle(&mut self, guests: &mut [Guest]) {
        for _ in 0..60 {
            self.round();
            guests.iter_mut().for_each(Guest::listen);
        }
    }

    /// Lets time pass in which nothing else happens.
    pub(super) fn rest(&mut self, guests: &mut [Guest], time: Duration) {
        // Not so long that it would be a stall.
        let beat = Duration::from_millis(100);
        for _ in 0..time.as_millis() / beat.as_millis() {
            self.clock.advance(beat);
            self.round();
            guests.iter_mut().for_each(Guest::listen);
        }
    }

    /// The same, while a shard stands still.
    pub(super) fn rest_without(&mut self, still: usize, guests: &mut [Guest], time: Duration) {
        let beat = Duration::from_millis(100);
        for _ in 0..time.as_millis() / beat.as_millis() {
            self.clock.advance(beat);
            (0..self.stages.len()).filter(|shard| *shard != still).for_each(|shard| self.turn(shard));
            guests.iter_mut().for_each(Guest::listen);
        }
    }

    /// The shard of a connection, where it is on one.
    pub(super) fn shard_of(&self, guest: &Guest) -> Option<usize> {
        self.stages.iter().position(|stage| stage.ids.contains_key(&guest.id))
    }

    /// How many members each shard has, by its sockets.
    pub(super) fn spread(&self) -> Vec<usize> {
        self.stages.iter().map(|stage| stage.peers.len()).collect()
    }

    /// The members of a room of shard 0, as it knows them: here and away.
    pub(super) fn members(&self, room: &str) -> (usize, usize) {
        let id = self.stages[0].rooms.find(&RoomKey::from_normalised(room)).unwrap();
        let cell = self.stages[0].rooms.get(id).unwrap().cell().unwrap();
        assert_eq!(cell.room.len(), cell.members.len() + cell.away.len(), "each member is somewhere, once");
        (cell.members.len(), cell.away.len())
    }
}

impl Guest {
    pub(super) fn say(&mut self, message: Message) {
        self.say_as(None, message);
    }

    pub(super) fn say_as(&mut self, request_id: Option<u32>, message: Message) {
        let mut out = Vec::new();
        codec::encode_server(self.format, &ServerMessage::request(request_id, message), &mut out);
        let frame = match self.format {
            Format::Protobuf => tungstenite::Message::binary(out),
            Format::Json => tungstenite::Message::text(String::from_utf8(out).unwrap()),
        };
        self.socket.send(frame).unwrap();
    }

    pub(super) fn listen(&mut self) {
        while self.closed.is_none() {
            match self.socket.read() {
                Ok(tungstenite::Message::Binary(payload)) => self.hear(&payload),
                Ok(tungstenite::Message::Text(text)) => self.hear(text.as_bytes()),
                Ok(tungstenite::Message::Close(Some(frame))) => self.closed = Some(frame.code.into()),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => panic!("{} ended without a close frame: {error}", self.id),
            }
        }
    }

    pub(super) fn hear(&mut self, payload: &[u8]) {
        let ClientMessage { message, request_id, .. } = codec::decode_client(self.format, payload).unwrap();
        let Some(message) = message else { return };
        if let Some(request_id) = request_id {
            assert!(self.answers.insert(request_id, message.clone()).is_none(), "answered twice");
        }
        self.heard.push(message);
    }

    /// Its number in the room that it has joined last.
    pub(super) fn participant(&self) -> Option<Participant> {
        self.heard.iter().rev().find_map(|told| match told {
            Told::RoomJoinedResponse(response) if response.success => Some(Participant(response.participant)),
            _ => None,
        })
    }

    /// The sequence numbers of what it has heard of somebody, since it has joined last.
    pub(super) fn sequence_of(&self, player: Participant) -> Vec<u32> {
        let joined = self.heard.iter().rposition(|told| matches!(told, Told::RoomJoinedResponse(_))).unwrap_or(0);
        let midi = self.heard[joined..].iter().filter_map(|told| match told {
            Told::MidiMessage(midi) if midi.participant == player.0 => Some(midi.sequence),
            _ => None,
        });
        midi.collect()
    }

    pub(super) fn told(&self, wanted: impl Fn(&Told) -> bool) -> usize {
        self.heard.iter().filter(|told| wanted(told)).count()
    }
}
