//! The world of a run: a server, its stores and its clients, on one thread, over a clock that is moved by hand and sockets within
//! the process. Who is turned when, what is read and written, follows from the step at hand.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::{Ipv4Addr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pianorhythm_server::{
    actor::{moment::ActorClock, placement::shard_of, rng::Rng},
    domain::{
        chat::MAX_LINES,
        fault,
        identity::{Profile, Role, Session, Status},
        name,
    },
    http::stage::Admission,
    protocol::{
        close::CloseCode,
        codec::Format,
        ids::{ConnectionId, RoomKey, UserId},
        wire::client_message::Message,
    },
    server::{
        figures::Figures,
        message::UserMessage,
        simulated::{self, RoomView},
        spill::{branch::INWARD_MAX, line::WINDOW},
        stage::Stage,
        user::User,
    },
};

use crate::{
    checks::{self, Checks},
    client::{Client, Heard},
    plan::{CLIENTS, Mood, ROOMS, Setup},
    register::Register,
    server::{Ask, Server},
    stores::{Shelf, Slate},
};

/// What a longest turn of waiting lets pass.
const QUANTUM: Duration = Duration::from_millis(10);
/// How long nothing must move for the world to be at rest.
const REST_QUANTA: u32 = 35;
/// By when it must be.
const PATIENCE_QUANTA: u32 = 1500;

thread_local! {
    /// What panicked on this thread, though it was not told to.
    pub static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What a run is about.
pub struct World {
    setup: Setup,
    seed: u64,
    clock: ActorClock,
    server: Option<Server>,
    pub shelf: Arc<Shelf>,
    pub slate: Arc<Slate>,
    pub clients: Vec<Client>,
    /// Which client is where.
    places: [Option<usize>; CLIENTS],
    /// The first client of the server that runs: counters begin anew after a crash.
    first_of_server: usize,
    pub checks: Checks,
    next_connection: u64,
    has_panics: bool,
    pub rng: Rng,
    trace: DefaultHasher,
    is_told: bool,
    /// Messages that clients have heard.
    pub heard: u64,
    tally: Tally,
}

/// How often what happened: the servers' counters, errors by their codes, closes by theirs.
pub type Tally = BTreeMap<String, u64>;

/// The id of a user.
pub fn user_id(user: usize) -> String {
    format!("user{user}")
}

impl World {
    pub fn new(setup: &Setup, seed: u64, is_told: bool) -> Self {
        // Whatever is on this thread from before.
        simulated::set_processor_time(Some(Duration::ZERO));
        simulated::take_seated();
        fault::inject_here(0, 0);
        PANICS.take();
        let mut rng = Rng::new(seed);
        let clock = ActorClock::manual();
        let (shelf, slate) = (Shelf::new(clock.clone(), rng.next_u64()), Slate::new(clock.clone(), rng.next_u64()));
        let server = Server::start(setup, &clock, shelf.clone(), slate.clone(), &mut rng);
        Self {
            setup: setup.clone(),
            seed,
            clock,
            server: Some(server),
            shelf,
            slate,
            clients: Vec::new(),
            places: [None; CLIENTS],
            first_of_server: 0,
            checks: Checks::new(setup),
            next_connection: 1,
            has_panics: false,
            rng,
            trace: DefaultHasher::new(),
            is_told,
            heard: 0,
            tally: Tally::new(),
        }
    }

    /// How often what happened, up to here.
    pub fn tally(&mut self) -> Tally {
        self.count_server();
        std::mem::take(&mut self.tally)
    }

    /// What the server at hand has counted: before it ends.
    fn count_server(&mut self) {
        let Some(server) = &self.server else { return };
        for series in Figures::ALL.iter().filter(|series| series.counter) {
            let name = format!("{}{{{}}}", series.metric, series.labels);
            *self.tally.entry(name).or_default() += server.sum(series.read);
        }
    }

    fn count(&mut self, what: String) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("there is one at all times but in a crash")
    }

    /// What follows is drawn from this number.
    pub fn begin(&mut self, number: u64) {
        self.rng = Rng::new(self.seed ^ number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        number.hash(&mut self.trace);
    }

    /// What clients have heard and when, as a number.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            println!("{:>10.3} ms  {}", self.clock.now().as_ns() as f64 / 1e6, what());
        }
    }

    /// The client at a place, where one is there and can say something.
    pub fn client(&mut self, place: usize) -> Option<&mut Client> {
        let number = self.places[place]?;
        Some(&mut self.clients[number]).filter(|client| client.is_open())
    }

    pub fn connect(&mut self, place: usize, user: usize, format: Format, room: Option<usize>) {
        if self.client(place).is_some() {
            return;
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        // What it says waits as well where the server does not read.
        socket2::SockRef::from(&ours).set_send_buffer_size(4096).unwrap();
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let number = self.clients.len();
        self.clients.push(Client::new((number, self.checks.time), connection, user, format, ours));
        self.places[place] = Some(number);
        let roles = match user {
            0 => vec![Role::Moderator],
            1 | 2 => vec![Role::Member],
            _ => vec![Role::Guest],
        };
        let profile = Profile {
            user_id: user_id(user).as_str().into(),
            username: format!("User {user}"),
            usertag: String::new(),
            roles,
            colour: "#aabbcc".into(),
            status: Status::Online,
        };
        let address = Ipv4Addr::new(10, 0, 0, user as u8).into();
        let session = Session { connection, profile, session_id: format!("s{connection}"), address, format };
        let room = room.map(|room| ROOMS[room].to_owned());
        let key = room.as_deref().map(|room| name::room_key(room).unwrap());
        let shards = self.setup.shards;
        let shard = shard_of(key.as_ref().map_or(session.profile.user_id.as_str(), |key| key.as_str()), shards);
        let server = self.server();
        let admission = Box::new(Admission {
            socket: TcpStream::from(OwnedFd::from(theirs)),
            leftover: bytes::Bytes::new(),
            session,
            room,
            guest_token: None,
            session_token: String::new(),
            place: server.desk.take().unwrap(),
        });
        server.waiting.push((number, shard, admission));
        server.outside();
    }

    pub fn stall(&mut self, shard: usize, turns: u32) {
        if let Some(stalled) = self.server().stalled.get_mut(shard) {
            *stalled = turns;
        }
    }

    pub fn panics(&mut self, one_in: u32) {
        self.has_panics |= one_in > 0;
        let seed = self.rng.next_u64();
        fault::inject_here(one_in, seed);
    }

    /// Closes all connections of a user, as the front desk does.
    pub fn log_out(&mut self, user: usize) {
        let id = UserId::from(user_id(user).as_str());
        let server = self.server();
        let home = shard_of(id.as_str(), server.stages.len());
        let known = server.stages[home].connections_of(&id);
        let remote = server.remote.clone();
        let mut ask: Ask = Box::pin(async move {
            let close = UserMessage::Close { code: CloseCode::Unauthorised };
            let _ = remote.ask::<User>(&id, close, Duration::from_secs(10)).await;
        });
        // Where it could not even be sent, who asks tries again.
        if ask.as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Pending {
            server.asks.push(ask);
            self.checks.closing(user, known);
        }
    }

    /// The process ends, and another begins over what is durable.
    pub fn crash(&mut self) -> Result<(), String> {
        for client in self.clients.iter_mut().filter(|client| !client.is_over) {
            client.vanish();
        }
        self.count_server();
        self.count("crash".to_owned());
        self.server = None;
        self.first_of_server = self.clients.len();
        self.shelf.crash();
        self.checks.crashed();
        self.kept()?;
        simulated::take_seated();
        let mut rng = self.rng.clone();
        let slate = Slate::new(self.clock.clone(), rng.next_u64());
        self.slate = slate.clone();
        self.server = Some(Server::start(&self.setup, &self.clock, self.shelf.clone(), slate, &mut rng));
        self.rng = rng;
        Ok(())
    }

    /// What was acknowledged is kept.
    fn kept(&self) -> Result<(), String> {
        let saved = |room: &str| {
            let kept = self.shelf.kept(&RoomKey::from_normalised(room));
            kept.ok_or_else(|| format!("{room} was acknowledged as saved, and is gone"))
        };
        for room in &self.checks.saved {
            saved(room)?;
        }
        for (room, line) in &self.checks.lines {
            let chat = saved(room)?.chat;
            if chat.len() < MAX_LINES && !chat.iter().any(|kept| kept.message_id == *line) {
                return Err(format!("line {line} of {room} was acknowledged, and is gone"));
            }
        }
        for (register, room) in self.checks.kept.all().filter(|(_, room)| self.checks.saved.contains(*room)) {
            let record = saved(room)?.record;
            let is = |so: bool| if so { "so".to_owned() } else { String::new() };
            let kept = match register {
                Register::Welcome => record.settings.welcome_message,
                Register::Ban(user) => is(record.bans.iter().any(|ban| ban.user_id.as_str() == user_id(user))),
                Register::Mute(user) => is(record.mutes.iter().any(|mute| mute.user_id.as_str() == user_id(user))),
            };
            self.checks.kept.check(room, register, &kept)?;
        }
        Ok(())
    }

    /// Some things happen, in an order that is drawn.
    pub fn bustle(&mut self) -> Result<(), String> {
        for _ in 0..4 + self.rng.below(12) {
            let passed = Duration::from_micros(self.rng.below(500));
            self.clock.advance(passed);
            let shard = self.rng.below(self.setup.shards as u64) as usize;
            match self.rng.below(100) {
                0..=44 => {
                    let (parcels, load) = (self.rng.below(6) as usize, self.rng.draw());
                    self.turn(shard, parcels, load, passed * self.setup.shards as u32)?;
                }
                45..=59 => {
                    let parcels = self.rng.below(6) as usize;
                    self.turn_office(parcels)?;
                }
                60..=79 => {
                    if let Some(client) = self.some_client(|client| client.is_mute) {
                        let most = 1 + self.rng.below(300) as usize;
                        self.clients[client].write(most);
                    }
                }
                _ => {
                    if let Some(client) = self.some_client(|client| client.is_frozen) {
                        let most = 1 + self.rng.below(4000) as usize;
                        self.read(client, most)?;
                    }
                }
            }
        }
        self.look()
    }

    /// Lets time pass for all.
    pub fn wait(&mut self, time: Duration) -> Result<(), String> {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.quantum()?;
        }
        self.look()
    }

    /// A few milliseconds, in which everybody does something. True where something has moved.
    fn quantum(&mut self) -> Result<bool, String> {
        self.clock.advance(QUANTUM);
        let shards = self.setup.shards;
        let first = self.rng.below(shards as u64) as usize;
        for n in 0..shards {
            let load = self.rng.draw();
            self.turn((first + n) % shards, 512, load, QUANTUM)?;
        }
        self.turn_office(512)?;
        let mut is_moving = !self.server().is_idle();
        for client in 0..self.clients.len() {
            if self.clients[client].is_over {
                continue;
            }
            while !self.clients[client].is_mute && self.clients[client].write(4096) {
                is_moving = true;
            }
            if !self.clients[client].is_frozen {
                is_moving |= self.read(client, 32 * 1024)?;
            }
        }
        Ok(is_moving)
    }

    /// Everything is made well, and goes on until nothing moves.
    pub fn settle(&mut self) -> Result<(), String> {
        fault::inject_here(0, 0);
        self.shelf.set_mood(Mood::Well);
        self.slate.set_mood(Mood::Well);
        self.server().stalled.fill(0);
        self.clients.iter_mut().for_each(|client| (client.is_frozen, client.is_mute) = (false, false));
        let mut calm = 0;
        for _ in 0..PATIENCE_QUANTA {
            let waits = |client: &Client| {
                !client.is_over && (!client.is_open() || !client.asked.is_empty() || !client.has_said_all())
            };
            // What waits for a room that has failed is heard when that goes on.
            let is_moving = self.quantum()?
                || self.clients.iter().any(waits)
                || self.server().stages.iter().any(Stage::has_resting_rooms);
            calm = if is_moving { 0 } else { calm + 1 };
            // The end of who vanished in the middle of a join is noticed when the join is over.
            if calm >= REST_QUANTA && self.has_ghosts() {
                calm = 0;
            }
            if calm >= REST_QUANTA {
                break;
            }
        }
        self.look()?;
        let views = self.views();
        self.checks.rest(&self.clients, &views, user_id)?;
        self.counts()
    }

    /// There are connections whose clients are gone.
    fn has_ghosts(&mut self) -> bool {
        let views: Vec<_> = self.server().stages.iter().map(Stage::connections).collect();
        let mut there = views.iter().flatten();
        there.any(|there| self.clients.iter().any(|client| client.connection == there.id && client.is_over))
    }

    /// The counters add up to what clients miss.
    fn counts(&mut self) -> Result<(), String> {
        let clients = &self.clients[self.first_of_server..];
        let (missed, shared) =
            clients.iter().fold((0, 0), |(missed, shared), client| (missed + client.missed, shared + client.shared));
        let is_whole = clients.iter().all(Client::is_open);
        let server = self.server();
        let (midi, cursors) = (server.sum(|all| all.shed_midi.get()), server.sum(|all| all.shed_cursors.get()));
        let sent = server.sum(|all| all.deliveries.get());
        // What is shed on the way to a branch is none of what is delivered.
        if missed > midi + server.sum(|all| all.shed_spill_midi.get()) {
            return Err(format!("clients were told that they miss {missed} messages and {midi} were counted"));
        }
        let lost = [
            ("answers", server.sum(|all| all.answers_lost.get())),
            ("messages to full inboxes", server.sum(|all| all.inbox_full.get())),
            ("messages to the back office", server.sum(|all| all.back_office_full.get())),
        ];
        if let Some((what, count)) = lost.iter().find(|(_, count)| is_whole && *count > 0) {
            return Err(format!("everybody is there, and {count} {what} are lost"));
        }
        let known = shared + midi + cursors;
        if known > sent || (is_whole && known != sent) {
            return Err(format!(
                "of {sent} messages to rooms' members {shared} were heard and {midi} and {cursors} shed"
            ));
        }
        Ok(())
    }

    /// The rooms of all stages.
    fn views(&mut self) -> Vec<RoomView> {
        self.server().stages.iter().flat_map(Stage::rooms).collect()
    }

    pub fn silence(&self) -> Result<(), String> {
        Checks::silence(&self.clients)
    }

    pub fn owners(&mut self) -> Result<(), String> {
        let views = self.views();
        Checks::owners(&views)
    }

    /// Nobody is left: nothing is left behind.
    pub fn emptiness(&mut self) -> Result<(), String> {
        let views = self.views();
        let connections: Vec<_> = self.server().stages.iter().flat_map(Stage::connections).collect();
        if !connections.is_empty() {
            return Err(format!("nobody is there, and there are {connections:?}"));
        }
        if let Some(room) = views.iter().find(|room| !room.members.is_empty()) {
            return Err(format!("nobody is there, and in {} are {:?}", room.key, room.members));
        }
        let away: usize = self.server().stages.iter().map(|stage| stage.spills().away).sum();
        if away > 0 {
            return Err(format!("nobody is there, and {away} members are away"));
        }
        let taken = self.server().desk.taken();
        if taken > 0 {
            return Err(format!("nobody is there, and {taken} places are taken"));
        }
        self.kept()
    }

    /// What must hold after each step.
    fn look(&mut self) -> Result<(), String> {
        if let Some(cause) = PANICS.with_borrow(|panics| panics.first().cloned()) {
            return Err(format!("something panicked that was not to: {cause}"));
        }
        if let Ok(error) = self.server().gave_up.try_recv() {
            return Err(format!("{error}"));
        }
        let views: Vec<_> = self.server().stages.iter().map(Stage::connections).collect();
        let (bound, tail) = (self.setup.close_bytes + 64 * 1024, 256 * 1024);
        for view in &views {
            let over = view.iter().find(|connection| connection.outbox_bytes > bound);
            if let Some(over) = over {
                return Err(format!("more waits for {over:?} than the bound allows"));
            }
            if let Some(over) = view.iter().find(|connection| connection.input_bytes > tail) {
                return Err(format!("more is kept of the input of {over:?} than is read at once"));
            }
        }
        // What is for one turn, or for members alone, is not counted against the bounds of a branch before the turn ends.
        let pending = self.setup.spill_pending * 4 + 128 * 1024;
        let window = WINDOW as usize;
        let spills = self.server().stages.iter().map(Stage::spills);
        if let Some(over) = spills.into_iter().find(|spill| {
            spill.pending_bytes > pending
                || spill.kept_bytes > bound
                || spill.inward > INWARD_MAX + 2 * CLIENTS
                || spill.batches > window
                || spill.arrivals > window * CLIENTS * 2
        }) {
            return Err(format!("more waits than the bounds allow: {over:?}"));
        }
        if let Some(room) = self.views().iter().find(|room| !checks::has_owner(room)) {
            return Err(format!("{} has members and no owner", room.key));
        }
        let server = self.server.as_mut().expect("a server");
        let lanes = self.setup.control + self.setup.data + self.setup.handoffs;
        let hosts = 0..=self.setup.shards;
        if let Some(host) = hosts.into_iter().find(|host| server.remote.post().mesh.shard(*host).depth() > lanes) {
            return Err(format!("more than {lanes} wait in the inbox of host {host}"));
        }
        server.admitted.extend(views.iter().flatten().map(|connection| connection.id));
        let moving = server.sum(|figures| figures.moves_out.get()) - server.sum(|figures| figures.moves_in.get());
        Checks::places(&self.clients, &server.admitted, &views, moving)
    }

    /// A client that is there and does not `rest`.
    fn some_client(&mut self, rests: impl Fn(&Client) -> bool) -> Option<usize> {
        let place = self.rng.below(CLIENTS as u64) as usize;
        let number = self.places[place]?;
        let client = &self.clients[number];
        (!client.is_over && !rests(client)).then_some(number)
    }

    fn turn(&mut self, shard: usize, parcels: usize, load: f64, since_last: Duration) -> Result<(), String> {
        let server = self.server();
        server.turn(shard, parcels, load, since_last);
        server.outside();
        for seated in simulated::take_seated() {
            self.tell(|| format!("seated {seated:?}"));
            let number = self.clients.iter().position(|client| client.connection == seated.connection);
            let client = &mut self.clients[number.ok_or("nobody was seated")?];
            self.checks.seated(&seated, client.user)?;
            client.seats.push_back(seated);
        }
        Ok(())
    }

    fn turn_office(&mut self, parcels: usize) -> Result<(), String> {
        self.shelf.work(self.clock.now());
        let server = self.server();
        server.turn_office(parcels);
        server.outside();
        Ok(())
    }

    /// A client reads, and says what is due. True where something came.
    fn read(&mut self, number: usize, most: usize) -> Result<bool, String> {
        let heard = self.clients[number].read(most);
        let has_heard = !heard.is_empty();
        for heard in heard {
            number.hash(&mut self.trace);
            self.clock.now().as_ns().hash(&mut self.trace);
            self.heard += 1;
            let at = |error| format!("client {number}: {error}");
            match heard {
                Heard::Message(message, payload) => {
                    match &message.message {
                        // Its details are in no order.
                        Some(Message::ErrorMessage(error)) => {
                            let details: BTreeMap<_, _> = error.error_details.iter().collect();
                            (&error.error_code, details).hash(&mut self.trace);
                        }
                        _ => payload.hash(&mut self.trace),
                    }
                    if let Some(Message::ErrorMessage(error)) = &message.message {
                        self.count(format!("error {}", error.error_code));
                    }
                    self.tell(|| format!("client {number} hears {:?} for {:?}", message.message, message.request_id));
                    self.checks.hear(&mut self.clients[number], *message).map_err(at)?;
                }
                Heard::Ping(payload) => self.clients[number].pong(&payload),
                Heard::Pong => {}
                Heard::Close(code) => {
                    code.hash(&mut self.trace);
                    self.tell(|| format!("client {number} is closed with {code}"));
                    self.count(format!("close {code}"));
                    self.checks.close(&mut self.clients[number], code, self.has_panics).map_err(at)?;
                    // As clients do: the other side ends the socket.
                    if !self.clients[number].has_ended_itself {
                        self.clients[number].say_goodbye();
                    }
                }
                Heard::End => {
                    self.tell(|| format!("client {number} is over"));
                    Checks::end(&mut self.clients[number]).map_err(at)?;
                }
            }
        }
        Ok(has_heard)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is left on the thread is for no other run.
        self.server = None;
        fault::inject_here(0, 0);
        simulated::set_processor_time(None);
    }
}
