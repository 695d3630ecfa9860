//! Many connections that do the same bad thing, one after the other on some threads, at a pace.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::{
    codec::Format,
    wire::{ClientMessage, client_message::Message},
};

use crate::{
    ground::{Ground, source},
    support::{
        DEADLINE,
        socket::{Connect, Got, Socket},
    },
};

/// Threads that attack, each from an address of its own.
pub const LANES: usize = 4;
/// Frames a second, of all together.
const PACE: f64 = 1000.0;

/// What came of all connections of an attack.
#[derive(Debug, Default)]
pub struct Aftermath {
    /// How they were closed; 1006 where without a close.
    pub closed: BTreeMap<u16, u64>,
    /// Messages of the server's, by what they say: the code of an error, or `answered` for anything else that answers a request.
    pub said: BTreeMap<String, u64>,
    pub pongs: u64,
}

impl Aftermath {
    pub fn said(&self, what: &str) -> u64 {
        self.said.get(what).copied().unwrap_or(0)
    }

    /// Takes in all that a connection is told until it ends.
    pub fn hear_to_the_end(&mut self, socket: &mut Socket) {
        let give_up = Instant::now() + DEADLINE;
        loop {
            // The server's own pings come as long as it is there.
            assert!(Instant::now() < give_up, "not closed: {self:?}");
            match socket.read() {
                Got::Message(message) => self.hear(&message),
                Got::Ping(_) => {}
                Got::Pong(_) => self.pongs += 1,
                Got::End(ending) => {
                    // A close that is followed by more, or by a second one, is none in order.
                    let is_closed = ending.close.is_some();
                    assert!(!is_closed || ending.error.is_none(), "{ending:?}");
                    *self.closed.entry(ending.close.map_or(1006, |(code, _)| code)).or_default() += 1;
                    return;
                }
            }
        }
    }

    /// Takes one message in.
    pub fn hear(&mut self, message: &ClientMessage) {
        let what = match message.message.as_ref().unwrap() {
            Message::ErrorMessage(error) => error.error_code.clone(),
            Message::QuotaExceeded(quota) => {
                *self.said.entry("events refused".into()).or_default() += u64::from(quota.refused);
                return;
            }
            _ if message.request_id.is_some() => "answered".into(),
            _ => return,
        };
        *self.said.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: Self) {
        other.closed.into_iter().for_each(|(code, many)| *self.closed.entry(code).or_default() += many);
        other.said.into_iter().for_each(|(what, many)| *self.said.entry(what).or_default() += many);
        self.pongs += other.pongs;
    }
}

/// One hostile connection's turn.
pub struct Turn {
    /// The server.
    pub address: SocketAddr,
    /// Its lane, and its number among all.
    pub lane: usize,
    pub number: usize,
    /// Half of them speak one format, half the other.
    pub format: Format,
    pub heard: Aftermath,
}

impl Turn {
    /// A connection in no room, which has been welcomed.
    pub fn connect(&mut self) -> Socket {
        let mut socket = self.attacker().open();
        assert!(matches!(socket.message().message, Some(Message::Welcome(_))));
        socket
    }

    /// A connection in a room.
    pub fn connect_in(&mut self, room: &str) -> Socket {
        let mut socket = self.attacker().room(room).open();
        while !matches!(socket.message().message, Some(Message::RoomJoinedResponse(_))) {}
        socket
    }

    fn attacker(&self) -> Connect {
        Connect::to(self.address, self.format).from(source(self.lane as u8)).name("Hostile")
    }

    /// Sends this and hears what it is told to the end.
    pub fn provoke(&mut self, socket: &mut Socket, bytes: &[u8]) {
        // Closed in the middle of it, which is what it is for, it takes no more.
        let _ = socket.writer().write(bytes);
        self.heard.hear_to_the_end(socket);
    }
}

/// Does the same on so many connections, with so many frames each, a thousand frames a second where the machine allows it.
pub fn attack(ground: &Ground, connections: usize, frames: usize, act: impl Fn(&mut Turn) + Sync) -> Aftermath {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Aftermath::default()));
    let (begun, address) = (Instant::now(), ground.server.server.address);
    thread::scope(|scope| {
        for lane in 0..LANES {
            let (next, all, act) = (&next, &all, &act);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= connections {
                        return;
                    }
                    let due = begun + Duration::from_secs_f64((number * frames) as f64 / PACE);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let format = if number.is_multiple_of(2) { Format::Protobuf } else { Format::Json };
                    let mut turn = Turn { address, lane, number, format, heard: Aftermath::default() };
                    act(&mut turn);
                    all.lock().unwrap().add(turn.heard);
                }
            });
        }
    });
    let rate = (connections * frames) as f64 / begun.elapsed().as_secs_f64();
    println!("{connections} connections, {} frames, {rate:.0} a second", connections * frames);
    all.into_inner().unwrap()
}
