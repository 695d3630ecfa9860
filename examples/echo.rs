//! A WebSocket echo server on the shards' own code and nothing else: their loop, readiness set, decoder, frames and outboxes.
//! `cargo run --example echo -- --help`

#![allow(clippy::disallowed_methods, reason = "it is a server by itself: it reads the clock")]

use std::{
    collections::VecDeque,
    error::Error,
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    num::NonZero,
    os::fd::{AsFd as _, BorrowedFd},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use clap::Parser;
use pianorhythm_server::{
    actor::{
        cores::CorePlan,
        mesh::{Capacity, inbox},
        shard::{self, HEARTBEAT},
        worker::{Work, Worker},
    },
    http::upgrade::Opening,
    net::{
        connection::{ReadOutcome, Wire, WriteOutcome},
        decoder::{Event, Kind, Payload, Step},
        frame,
        outbox::{Bounds, Class},
        readiness::{ReadinessSet, Ready},
        socket::{Socket, SocketSettings},
    },
    protocol::{close::CloseCode, codec::Format, time::Timestamp},
};
use slab::Slab;
use tungstenite::handshake::{machine::TryParse as _, server::Request};

/// Echoes WebSocket messages as the server's shards read and write them, on one of their threads.
///
/// Every text and binary message comes back whole, however it was fragmented; pings are answered, and a close is answered
/// with its code. What RFC 6455 forbids closes with 1002, text that is not UTF-8 with 1007, as soon as it can be known,
/// and a message over the limit with 1009.
///
/// Try it: `websocat ws://127.0.0.1:9001`, or the Autobahn fuzzing client:
/// `tests/autobahn/run.sh ws://127.0.0.1:9001 /tmp/report`
#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1 to listen on; 0 picks a free one. The address is printed
    #[arg(long, default_value_t = 9001)]
    port: u16,
    /// The longest message that is echoed, in bytes
    #[arg(long, default_value_t = 16 * 1024 * 1024)]
    limit: usize,
}

/// The listener's key in the readiness set.
const LISTENER: usize = usize::MAX;
/// What one read takes at most.
const READ_BUFFER: usize = 64 * 1024;
/// The longest request head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// What the kernel may hold unsent of a connection. The server's own, a sixth of it, hides no lag of slow players, but lets
/// large messages over loopback pass at the pace of delayed acknowledgements alone: one segment of 64 kB in 40 ms.
const SEND_BUFFER: usize = 192 * 1024;
/// How long a handshake may take, and how long a closed peer may stay.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nothing is read of a connection while something waits to be written to it: its outbox holds no more than the answers to
/// one read, and needs no bounds.
const BOUNDS: Bounds =
    Bounds { shed_bytes: usize::MAX, shed_age: Duration::MAX, close_bytes: usize::MAX, close_age: Duration::MAX };

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { port, limit } = Arguments::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    println!("listening on ws://{}", listener.local_addr()?);
    let core = CorePlan::of_this_process(NonZero::new(1)).shards[0];
    // Nobody sends to this shard.
    let (_address, inbox) = inbox::<()>(Capacity::default());
    let shard = shard::spawn(0, core, inbox, move || Echo::new(listener, limit).expect("there is an epoll"));
    shard.map_err(|error| error.to_string())?.join().map_err(|error| error.to_string())?;
    Ok(())
}

/// All there is on the shard.
struct Echo {
    listener: TcpListener,
    limit: usize,
    readiness: ReadinessSet,
    ready: Vec<Ready>,
    peers: Slab<Peer>,
    /// Who may have something to read or to write.
    queue: VecDeque<usize>,
    buffer: Vec<u8>,
    started: Instant,
}

/// One connection.
struct Peer {
    wire: Wire,
    phase: Phase,
    /// When it goes, whatever it does.
    until: Option<Timestamp>,
}

enum Phase {
    /// Its request's head is coming in.
    Opening(Vec<u8>),
    Open,
    /// The last that it gets is queued; true: it has left, and our side is shut.
    Closing(bool),
}

impl Worker for Echo {
    type Message = ();

    fn handle(&mut self, (): ()) {}

    fn turn(&mut self) -> Work {
        let now = self.now();
        self.readiness.poll(&mut self.ready).expect("the epoll is ours");
        let mut ready = std::mem::take(&mut self.ready);
        for ready in ready.drain(..) {
            if ready.key == LISTENER {
                self.accept(now);
            } else if let Some(peer) = self.peers.get_mut(ready.key) {
                peer.wire.note_ready(ready.readable, ready.writable);
                if ready.ended {
                    peer.wire.note_ended();
                }
                self.queue.push_back(ready.key);
            }
        }
        self.ready = ready;
        // Each once, so that a flood on one does not starve the others.
        for _ in 0..self.queue.len() {
            let Some(key) = self.queue.pop_front() else { break };
            let Some(peer) = self.peers.get_mut(key) else { continue };
            match peer.serve(&mut self.buffer, self.limit, now) {
                Served::More => self.queue.push_back(key),
                Served::Waits => {}
                // Closed, its socket leaves the readiness set.
                Served::Over => drop(self.peers.remove(key)),
            }
        }
        self.peers.retain(|_, peer| peer.until.is_none_or(|until| now < until));
        if self.queue.is_empty() { Work::Rest(HEARTBEAT) } else { Work::More }
    }

    fn panicked(&mut self, cause: &str) {
        eprintln!("a bug: {cause}");
        std::process::exit(1);
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.readiness.as_fd())
    }

    fn is_finished(&self) -> bool {
        false
    }
}

impl Echo {
    fn new(listener: TcpListener, limit: usize) -> std::io::Result<Self> {
        let readiness = ReadinessSet::new(256)?;
        readiness.add(&listener, LISTENER)?;
        Ok(Self {
            listener,
            limit,
            readiness,
            ready: Vec::new(),
            peers: Slab::new(),
            queue: VecDeque::new(),
            buffer: vec![0; READ_BUFFER],
            started: Instant::now(),
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp::default() + self.started.elapsed()
    }

    fn accept(&mut self, now: Timestamp) {
        let settings = SocketSettings { send_buffer: SEND_BUFFER, ..SocketSettings::default() };
        while let Ok((stream, _)) = self.listener.accept() {
            // A client that has gone meanwhile.
            let Ok(socket) = Socket::new(stream, &settings) else { continue };
            let wire = Wire::new(socket, Format::Protobuf, &[]);
            let place = self.peers.vacant_entry();
            if self.readiness.add(&wire, place.key()).is_ok() {
                place.insert(Peer { wire, phase: Phase::Opening(Vec::new()), until: Some(now + PATIENCE) });
            }
        }
    }
}

/// What serving a connection once came to.
enum Served {
    More,
    /// For the kernel: the readiness set will tell.
    Waits,
    Over,
}

impl Peer {
    /// Writes what waits, and where nothing does any more, reads once.
    fn serve(&mut self, buffer: &mut [u8], limit: usize, now: Timestamp) -> Served {
        match self.wire.flush(now, &BOUNDS) {
            WriteOutcome::Broken => return Served::Over,
            WriteOutcome::Blocked => return Served::Waits,
            WriteOutcome::Drained => {}
        }
        if let Phase::Closing(finished @ false) = &mut self.phase {
            *finished = true;
            self.wire.finish();
        }
        if !self.wire.is_readable() {
            return Served::Waits;
        }
        match self.wire.read(buffer) {
            ReadOutcome::Drained => return Served::Waits,
            ReadOutcome::Ended => return Served::Over,
            ReadOutcome::Bytes(read) => self.take(&mut buffer[..read], limit, now),
        }
        Served::More
    }

    fn take(&mut self, new: &mut [u8], limit: usize, now: Timestamp) {
        match &mut self.phase {
            // Read to find the peer's end.
            Phase::Closing(_) => {}
            Phase::Open => {
                let mut tail = self.wire.decoder.take_tail();
                if tail.is_empty() {
                    let used = self.take_frames(new, limit, now);
                    tail.extend_from_slice(&new[used..]);
                } else {
                    tail.extend_from_slice(new);
                    let used = self.take_frames(&mut tail, limit, now);
                    tail.drain(..used);
                }
                self.wire.decoder.keep_tail(tail);
            }
            Phase::Opening(head) => {
                head.extend_from_slice(new);
                let mut head = std::mem::take(head);
                match open(&head) {
                    Ok(Some((used, answer))) => {
                        self.wire.push(answer, Class::Essential, now, &BOUNDS);
                        (self.phase, self.until) = (Phase::Open, None);
                        self.take(&mut head[used..], limit, now);
                    }
                    Ok(None) if head.len() <= MAX_HEAD_BYTES => self.phase = Phase::Opening(head),
                    Ok(None) => self.close(refusal(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too long"), now),
                    Err(answer) => self.close(answer, now),
                }
            }
        }
    }

    /// Answers whole frames until the bytes end or the connection does. Returns how many bytes were used up.
    fn take_frames(&mut self, input: &mut [u8], limit: usize, now: Timestamp) -> usize {
        let mut at = 0;
        while matches!(self.phase, Phase::Open) {
            match self.wire.decoder.step(&mut input[at..], limit) {
                Ok(Step::NeedMore) => break,
                Ok(Step::Fragment { used }) => at += used,
                Ok(Step::Event { used, event: Event { kind, payload } }) => {
                    match payload {
                        Payload::InPlace(range) => self.answer(kind, &input[at..][range], now),
                        Payload::Assembled(bytes) => self.answer(kind, &bytes, now),
                    }
                    at += used;
                }
                Err(error) => self.close(frame::close(error.close_code(), 0), now),
            }
        }
        at
    }

    fn answer(&mut self, kind: Kind, payload: &[u8], now: Timestamp) {
        let frame = match kind {
            Kind::Text | Kind::Binary => frame::data(kind == Kind::Text, payload),
            Kind::Ping => frame::pong(payload),
            Kind::Pong => return,
            Kind::Close => {
                let code = payload.first_chunk().map_or(CloseCode::Normal.code(), |code| u16::from_be_bytes(*code));
                return self.close(frame::close_raw(code, ""), now);
            }
        };
        self.wire.push(frame, Class::Essential, now, &BOUNDS);
    }

    /// Queues the last that it gets.
    fn close(&mut self, last: Bytes, now: Timestamp) {
        self.wire.push_last(last, now);
        (self.phase, self.until) = (Phase::Closing(false), Some(now + PATIENCE));
    }
}

/// Judges a request's head as the front desk does: its length and the answer, once it is whole; an error is the answer too.
fn open(head: &[u8]) -> Result<Option<(usize, Bytes)>, Bytes> {
    let parsed = Request::try_parse(head).map_err(|error| refusal(StatusCode::BAD_REQUEST, &error.to_string()))?;
    let Some((used, request)) = parsed else { return Ok(None) };
    let opening = Opening::of(&request.into_parts().0).map_err(|error| {
        let text = error.to_string();
        refusal(error.into_response().status(), &text)
    })?;
    let mut headers = HeaderMap::new();
    opening.write(&mut headers);
    Ok(Some((used, response(StatusCode::SWITCHING_PROTOCOLS, &headers, ""))))
}

fn refusal(status: StatusCode, text: &str) -> Bytes {
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("close")),
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        (header::CONTENT_LENGTH, HeaderValue::from(text.len())),
    ];
    response(status, &HeaderMap::from_iter(headers), text)
}

fn response(status: StatusCode, headers: &HeaderMap, body: &str) -> Bytes {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {}\r\n", value.to_str().expect("ours are ASCII")).expect("a String takes any length");
    }
    (text + "\r\n" + body).into()
}
