//! The socket: the task that reads it, the task that keeps the clock, requests and their answers.
//!
//! The reader owns the receiving half and is the only one to say how the connection ended. Senders share the sending half
//! behind a lock and write in their own task; a frame is handed over whole, so that a cancelled sender never leaves half
//! of one. The socket library answers pings within the reader.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, Utf8Bytes, protocol::CloseFrame},
};

use crate::{
    builder::Builder,
    client::Client,
    clock::Sample,
    closed::Closed,
    error::{ConnectError, RequestError, SendError},
    events::{EVENT_QUEUE, Event, Events},
    protocol::{
        MAX_MESSAGE_BYTES,
        close::CloseCode,
        codec::{Format, decode_client, encode_server},
        wire::{ClientMessage, ServerMessage, TimeSync, Welcome, client_message, server_message},
    },
    shared_clock::Clock,
};

/// How many requests of one connection may wait for their answers; one more is refused.
pub const MAX_REQUESTS_IN_FLIGHT: usize = 256;

/// After this many round trips, the clock is looked at less often.
const QUICK_SAMPLES: u32 = 8;
const QUICK_SAMPLE_PAUSE: Duration = Duration::from_millis(40);
const SAMPLE_PAUSE: Duration = Duration::from_secs(3);
/// How long a server may take to answer a good-bye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Frame = tungstenite::Message;

/// What a connection has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages received that were neither of the protocol nor of a kind this build knows; they were passed over.
    pub unreadable: u64,
    /// How often reading stopped because nobody took the events.
    pub stalls: u64,
}

/// What keeps a connection alive: the last to drop this ends its tasks, and with them the socket.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) connection: Arc<Connection>,
    pub(crate) welcome: Welcome,
    tasks: [JoinHandle<()>; 2],
}

impl Handle {
    pub(crate) async fn close(&self, code: CloseCode) -> Closed {
        if let Some(closed) = self.connection.closed() {
            return closed;
        }
        let frame = CloseFrame { code: code.code().into(), reason: Utf8Bytes::default() };
        self.connection.good_bye.store(code.code(), Ordering::Relaxed);
        let good_bye = async {
            // An error means that the reader is about to learn the same.
            let _ = self.connection.sink.lock().await.send(Frame::Close(Some(frame))).await;
            self.connection.wait_closed().await
        };
        match timeout(CLOSE_TIMEOUT, good_bye).await {
            Ok(closed) => closed,
            Err(_) => {
                self.cut_off();
                self.connection.end(Closed::lost("the server did not answer the good-bye"))
            }
        }
    }

    fn cut_off(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cut_off();
    }
}

/// An answer, and when it was read from the socket. `None`: of a kind that this build does not know.
type Answer = (Option<client_message::Message>, Instant);

/// Requests that wait for their answers.
#[derive(Debug, Default)]
struct Pending {
    next_id: u32,
    waiting: HashMap<u32, oneshot::Sender<Answer>>,
    /// Nothing is read any more, so that nobody may begin to wait.
    over: bool,
}

/// What the tasks and the handles of one connection share.
#[derive(Debug)]
pub(crate) struct Connection {
    format: Format,
    clock: Clock,
    request_timeout: Duration,
    sink: tokio::sync::Mutex<SplitSink<Socket, Frame>>,
    pending: Mutex<Pending>,
    closed: watch::Sender<Option<Closed>>,
    /// The code of the good-bye that this side has said; 0: none.
    good_bye: AtomicU16,
    unreadable: AtomicU64,
    stalls: AtomicU64,
}

/// Takes a socket from its welcome on. `joins`: the handshake named a room, so that an answer to that is due as well.
pub(crate) async fn start(
    mut socket: Socket,
    builder: &Builder,
    joins: bool,
) -> Result<(Client, Events), ConnectError> {
    let (welcome, received) = read_welcome(&mut socket, builder.format).await?;
    let clock = Clock::new(welcome.server_time_us, received);
    let (queue, events) = mpsc::channel(EVENT_QUEUE);
    if joins {
        read_joined(&mut socket, builder.format, &clock, &queue).await?;
    }
    let (sink, stream) = socket.split();
    let connection = Arc::new(Connection {
        format: builder.format,
        clock,
        request_timeout: builder.request_timeout,
        sink: tokio::sync::Mutex::new(sink),
        pending: Mutex::default(),
        closed: watch::Sender::new(None),
        good_bye: AtomicU16::new(0),
        unreadable: AtomicU64::new(0),
        stalls: AtomicU64::new(0),
    });
    let reader = tokio::spawn(read(Arc::clone(&connection), stream, queue));
    let timekeeper = tokio::spawn(keep_time(Arc::clone(&connection)));
    // From here on, giving up ends the tasks.
    let handle = Arc::new(Handle { connection, welcome, tasks: [reader, timekeeper] });
    // The first look at the clock is part of connecting: what is stamped afterwards is right.
    match handle.connection.sample().await {
        Ok(()) | Err(RequestError::Refused(_) | RequestError::Unexpected | RequestError::TooMany) => {}
        Err(RequestError::Send(SendError::Closed(closed))) => return Err(closed.into()),
        Err(RequestError::TimedOut(within)) => return Err(ConnectError::TimedOut(within)),
        Err(RequestError::Send(SendError::TooLong(_))) => unreachable!("a time sync is short"),
    }
    Ok((Client { handle: Arc::clone(&handle) }, Events { queue: events, handle }))
}

async fn read_welcome(socket: &mut Socket, format: Format) -> Result<(Welcome, Instant), ConnectError> {
    loop {
        let (message, received) = read_one(socket, format).await?;
        match message {
            Some(client_message::Message::Welcome(welcome)) => return Ok((welcome, received)),
            Some(client_message::Message::ErrorMessage(error)) => {
                return Err(ConnectError::Handshake { url: "the server".into(), reason: error.error_message });
            }
            _ => {}
        }
    }
}

/// Reads up to the answer to the room of the handshake; everything read becomes events.
async fn read_joined(
    socket: &mut Socket,
    format: Format,
    clock: &Clock,
    queue: &mpsc::Sender<Event>,
) -> Result<(), ConnectError> {
    loop {
        let (message, received) = read_one(socket, format).await?;
        let joined = match message {
            Some(client_message::Message::ErrorMessage(error)) => return Err(ConnectError::Room(error.into())),
            Some(client_message::Message::RoomJoinedResponse(_)) => true,
            _ => false,
        };
        let Some(message) = message else { continue };
        if queue.try_send(Event { message, received, received_at: clock.at(received) }).is_err() {
            let reason = format!("{EVENT_QUEUE} messages came before the answer to the join");
            return Err(ConnectError::Handshake { url: "the server".into(), reason });
        }
        if joined {
            return Ok(());
        }
    }
}

/// The next message, while nothing else runs on the socket yet.
async fn read_one(socket: &mut Socket, format: Format) -> Result<Answer, Closed> {
    loop {
        let frame = socket.next().await.unwrap_or(Err(tungstenite::Error::ConnectionClosed));
        match frame.map_err(lost)? {
            Frame::Close(frame) => return Err(closed_by(frame)),
            frame => {
                let Some(payload) = payload_of(frame) else { continue };
                let received = Instant::now();
                let message = decode_client(format, &payload).map_err(Closed::lost)?;
                return Ok((message.message, received));
            }
        }
    }
}

/// The end that an error of the socket is.
fn lost(error: tungstenite::Error) -> Closed {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed
        | tungstenite::Error::Protocol(ResetWithoutClosingHandshake) => Closed::lost("the server cut it off"),
        tungstenite::Error::Io(error) => Closed::lost(error),
        error => Closed::lost(error),
    }
}

fn payload_of(frame: Frame) -> Option<Bytes> {
    match frame {
        Frame::Binary(payload) => Some(payload),
        Frame::Text(text) => Some(text.into()),
        _ => None,
    }
}

fn closed_by(frame: Option<CloseFrame>) -> Closed {
    match frame {
        Some(frame) => Closed::from_frame(frame.code.into(), &frame.reason),
        // 1005, "no status received": the frame was there, without a code.
        None => Closed::from_frame(1005, ""),
    }
}

impl Connection {
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats { unreadable: self.unreadable.load(Ordering::Relaxed), stalls: self.stalls.load(Ordering::Relaxed) }
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        self.closed.borrow().clone()
    }

    pub(crate) async fn wait_closed(&self) -> Closed {
        let mut watch = self.closed.subscribe();
        let closed = watch.wait_for(Option::is_some).await.expect("`self` holds the sender");
        closed.clone().expect("just waited for")
    }

    pub(crate) async fn send(&self, id: Option<u32>, message: server_message::Message) -> Result<(), SendError> {
        let message = ServerMessage::request(id, message);
        let mut payload = Vec::new();
        encode_server(self.format, &message, &mut payload);
        if payload.len() > MAX_MESSAGE_BYTES {
            return Err(SendError::TooLong(payload.len()));
        }
        let frame = match self.format {
            Format::Protobuf => Frame::Binary(payload.into()),
            Format::Json => Frame::Text(Utf8Bytes::try_from(Bytes::from(payload)).expect("JSON is UTF-8")),
        };
        let sent = self.sink.lock().await.send(frame).await;
        // Of both sides' accounts of the end, the reader's is the better one: a close frame has a code.
        sent.map_err(|error| SendError::Closed(self.closed().unwrap_or_else(|| lost(error))))
    }

    pub(crate) async fn ask(
        &self,
        message: server_message::Message,
    ) -> Result<(client_message::Message, Instant), RequestError> {
        let (id, answer) = self.expect_answer()?;
        // However this ends, nobody waits for the answer afterwards.
        let _forget = Forget { connection: self, id };
        let within = self.request_timeout;
        let exchange = async {
            self.send(Some(id), message).await?;
            match answer.await {
                Ok(answer) => Ok(answer),
                Err(_) => Err(SendError::Closed(self.wait_closed().await)),
            }
        };
        match timeout(within, exchange).await {
            Err(_) => Err(RequestError::TimedOut(within)),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok((None, _))) => Err(RequestError::Unexpected),
            Ok(Ok((Some(client_message::Message::ErrorMessage(error)), _))) => Err(RequestError::Refused(error.into())),
            Ok(Ok((Some(message), received))) => Ok((message, received)),
        }
    }

    fn expect_answer(&self) -> Result<(u32, oneshot::Receiver<Answer>), RequestError> {
        let mut pending = self.pending();
        if pending.over {
            let closed = self.closed().unwrap_or_else(|| Closed::lost("it is ending"));
            return Err(SendError::Closed(closed).into());
        }
        if pending.waiting.len() >= MAX_REQUESTS_IN_FLIGHT {
            return Err(RequestError::TooMany);
        }
        // Never 0, and never one that still waits after four billion others.
        let id = loop {
            pending.next_id = pending.next_id.wrapping_add(1);
            if pending.next_id != 0 && !pending.waiting.contains_key(&pending.next_id) {
                break pending.next_id;
            }
        };
        let (sender, receiver) = oneshot::channel();
        pending.waiting.insert(id, sender);
        Ok((id, receiver))
    }

    /// One look at the server's clock.
    async fn sample(&self) -> Result<(), RequestError> {
        // The question carries its own time, read as late as the protocol's encoding allows.
        let sent = Instant::now();
        let question = TimeSync { client_time_us: self.clock.local_us(sent), ..Default::default() };
        let (answer, received) = self.ask(server_message::Message::TimeSync(question)).await?;
        let client_message::Message::TimeSync(answer) = answer else { return Err(RequestError::Unexpected) };
        self.clock.observe(Sample {
            sent_us: question.client_time_us,
            server_receive_us: answer.server_receive_time_us,
            server_send_us: answer.server_send_time_us,
            received_us: self.clock.local_us(received),
        });
        Ok(())
    }

    /// Records how it ended; the first account holds.
    fn end(&self, closed: Closed) -> Closed {
        self.closed.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(closed);
            first
        });
        let mut pending = self.pending();
        pending.over = true;
        // Dropping the senders wakes those who wait.
        pending.waiting.clear();
        drop(pending);
        self.closed().expect("just recorded")
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a message to whom it concerns. Waits while the queue of events is full.
    async fn deliver(&self, message: ClientMessage, received: Instant, queue: &mpsc::Sender<Event>) {
        if let Some(waiting) = message.request_id.and_then(|id| self.pending().waiting.remove(&id)) {
            // Whoever gave up in this instant has no use for it.
            let _ = waiting.send((message.message, received));
            return;
        }
        let Some(message) = message.message else {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let event = Event { message, received, received_at: self.clock.at(received) };
        match queue.try_send(event) {
            // Where `Events` was dropped nobody wants them.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.stalls.fetch_add(1, Ordering::Relaxed);
                let _ = queue.send(event).await;
            }
        }
    }
}

/// Takes a request off the list of those that wait.
struct Forget<'a> {
    connection: &'a Connection,
    id: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.connection.pending().waiting.remove(&self.id);
    }
}

/// Reads until the connection ends, and then says how it did.
async fn read(connection: Arc<Connection>, mut stream: SplitStream<Socket>, queue: mpsc::Sender<Event>) {
    let mut closing = None;
    let end = loop {
        let frame = match stream.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => break lost(error),
            None => break lost(tungstenite::Error::ConnectionClosed),
        };
        let received = Instant::now();
        if let Frame::Close(frame) = frame {
            // Reading on sends our half of the good-bye and waits for the socket's end.
            closing.get_or_insert(closed_by(frame));
            continue;
        }
        let Some(payload) = payload_of(frame) else { continue };
        match decode_client(connection.format, &payload) {
            Ok(message) => connection.deliver(message, received, &queue).await,
            Err(_) => _ = connection.unreadable.fetch_add(1, Ordering::Relaxed),
        }
    };
    // After this side's good-bye, the end is what was asked for, with a close frame or without.
    let good_bye = connection.good_bye.load(Ordering::Relaxed);
    let asked = (good_bye != 0).then(|| Closed::from_frame(good_bye, ""));
    connection.end(closing.or(asked).unwrap_or(end));
}

/// Looks at the server's clock: often at first, then every few seconds.
async fn keep_time(connection: Arc<Connection>) {
    let mut samples = 1;
    loop {
        sleep(if samples < QUICK_SAMPLES { QUICK_SAMPLE_PAUSE } else { SAMPLE_PAUSE }).await;
        samples = samples.saturating_add(1);
        if let Err(RequestError::Send(_)) = connection.sample().await {
            return;
        }
    }
}
