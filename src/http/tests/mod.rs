//! The front desk end to end: real sockets on loopback, a stage that keeps what it is given.

mod actors;
mod draining;
mod hand_off;
mod handshake;
mod limits;
mod operators;
mod proxies;
mod visitors;

use std::{
    collections::HashMap,
    future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Handle,
    sync::mpsc,
};

use crate::{
    http::{
        auth::{Claims, Kind, SigningKey, Tokens},
        desk::{FrontDesk, FrontDeskHandle},
        settings::FrontDeskSettings,
        stage::{Admission, BoxFuture, Health, Refused, RefusedReason, ShardHealth, Stage},
    },
    protocol::{close::CloseCode, ids::UserId, time::Timestamp},
};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// What the stage does with what it is given.
#[derive(Clone, Copy)]
enum Verdict {
    Admit,
    Refuse(RefusedReason),
    Drop,
    Hang,
}

struct TestStage {
    verdict: Mutex<Verdict>,
    health: Mutex<Health>,
    admitted: mpsc::UnboundedSender<Admission>,
    closed: Mutex<Vec<(UserId, CloseCode)>>,
    /// What it tells of its actors; `Null`: it never gets round to it.
    report: Mutex<Value>,
    /// How often it was asked for all of them.
    reports: AtomicUsize,
}

impl Stage for TestStage {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>> {
        let verdict = *self.verdict.lock().unwrap();
        Box::pin(async move {
            match verdict {
                Verdict::Admit => self.admitted.send(admission).unwrap(),
                Verdict::Refuse(reason) => return Err(Refused { admission: Box::new(admission), reason }),
                Verdict::Drop => drop(admission),
                Verdict::Hang => {
                    let _held = admission;
                    future::pending::<()>().await;
                }
            }
            Ok(())
        })
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }

    fn debug(&self) -> Value {
        json!({ "rooms": ["lobby"] })
    }

    fn actors(&self) -> BoxFuture<'_, Value> {
        self.reports.fetch_add(1, Relaxed);
        let report = self.report.lock().unwrap().clone();
        Box::pin(async move {
            if report.is_null() {
                future::pending::<()>().await;
            }
            report
        })
    }

    fn actor(&self, kind: &str, key: &str) -> BoxFuture<'_, Option<Value>> {
        let address = format!("{kind}/{key}");
        let report = self.report.lock().unwrap();
        let mut actors = report["hosts"][0]["deepest"].as_array().into_iter().flatten();
        let actor = actors.find(|actor| actor["actor"] == address).cloned();
        Box::pin(future::ready(actor))
    }

    fn metrics(&self, out: &mut String) {
        out.push_str("# TYPE shard_rooms gauge\nshard_rooms 3\n");
    }

    fn close_user(&self, user: &UserId, code: CloseCode) -> BoxFuture<'_, usize> {
        self.closed.lock().unwrap().push((user.clone(), code));
        Box::pin(future::ready(2))
    }
}

/// A front desk that runs, and what is behind it.
struct House {
    desk: Option<FrontDeskHandle>,
    public: SocketAddr,
    admin: SocketAddr,
    stage: Arc<TestStage>,
    admissions: mpsc::UnboundedReceiver<Admission>,
    tokens: Tokens,
    /// The milliseconds that have passed since [`NOW`].
    passed: Arc<AtomicU64>,
}

impl House {
    /// Opens with the defaults, on ports of the system's choice.
    fn open() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut FrontDeskSettings)) -> Self {
        let mut settings = FrontDeskSettings {
            port: 0,
            admin_bind: Some(([127, 0, 0, 1], 0).into()),
            secure_cookies: false,
            ..FrontDeskSettings::default()
        };
        change(&mut settings);
        let (admitted, admissions) = mpsc::unbounded_channel();
        let shard = ShardHealth { shard: 0, alive: true, heartbeat_age_ms: 5, connections: 1, rooms: 1 };
        let stage = Arc::new(TestStage {
            verdict: Mutex::new(Verdict::Admit),
            health: Mutex::new(Health { shards: vec![shard], ..Health::default() }),
            admitted,
            closed: Mutex::default(),
            report: Mutex::new(actors::report()),
            reports: AtomicUsize::new(0),
        });
        let tokens = Tokens::new(SigningKey::generate().unwrap());
        let passed = Arc::new(AtomicU64::new(0));
        let clock = Arc::new({
            let passed = Arc::clone(&passed);
            move || NOW + Duration::from_millis(passed.load(Relaxed))
        });
        let staged = Arc::<TestStage>::clone(&stage);
        let desk = FrontDesk::start(&Handle::current(), settings, tokens.clone(), staged, clock).unwrap();
        let (public, admin) = (desk.local_addr(), desk.admin_addr().unwrap());
        Self { desk: Some(desk), public, admin, stage, admissions, tokens, passed }
    }

    fn decide(&self, verdict: Verdict) {
        *self.stage.verdict.lock().unwrap() = verdict;
    }

    /// Lets time pass for the front desk.
    fn pass(&self, ms: u64) {
        self.passed.fetch_add(ms, Relaxed);
    }

    async fn admitted(&mut self) -> Admission {
        self.admissions.recv().await.unwrap()
    }

    /// A connection to the public port.
    async fn visit(&self) -> Client {
        Client::of(self.public).await
    }

    /// One handshake over a connection of its own, with these further header lines.
    async fn knock(&self, query: &str, headers: &str) -> (Client, Answer) {
        let mut client = self.visit().await;
        client.send(handshake(query, headers)).await;
        let answer = client.answer().await;
        (client, answer)
    }

    /// A request to operators' port.
    async fn ask(&self, request: &str) -> Answer {
        let mut client = Client::of(self.admin).await;
        client.send(format!("{request} HTTP/1.1\r\nHost: admin\r\n\r\n")).await;
        client.answer().await
    }

    /// A figure as `/metrics` tells it.
    async fn figure(&self, name: &str) -> u64 {
        let text = self.ask("GET /metrics").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Waits for a figure, by asking again: what is counted after a socket's end has no other sign.
    async fn await_figure(&self, name: &str, value: u64) {
        let reached = async { while self.figure(name).await != value {} };
        let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
        if in_time.is_err() {
            panic!("{name} is {} and not {value}", self.figure(name).await);
        }
    }

    fn access_token(&self, change: impl FnOnce(&mut Claims)) -> String {
        let mut claims = Claims {
            username: "Clara".into(),
            roles: vec!["member".into()],
            ..Claims::new(Kind::Access, "user-1", "login-1", NOW, Duration::from_secs(60))
        };
        change(&mut claims);
        self.tokens.sign_access(&claims)
    }
}

/// The handshake of RFC 6455's example, with these further header lines (each with its line end).
fn handshake(query: &str, headers: &str) -> String {
    format!(
        "GET /api/websocket{query} HTTP/1.1\r\nHost: piano.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The raw other end.
struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

/// An HTTP answer, its body as text.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// By name in small letters.
    headers: HashMap<String, String>,
    body: String,
}

impl Client {
    async fn of(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// One that comes from another address of this machine.
    async fn from(source: [u8; 4], address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self { socket: socket.connect(address).await.unwrap(), read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one answer and keeps what follows it.
    async fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            let read = self.socket.read_buf(&mut self.read).await.unwrap();
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.take(length).await).unwrap();
        Answer { status, headers, body }
    }

    /// The next so many bytes.
    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.socket.read_buf(&mut self.read).await.unwrap() > 0, "closed early");
        }
        self.read.drain(..length).collect()
    }

    /// All there is until the other side closes, in whatever way.
    async fn rest(&mut self) -> Vec<u8> {
        while matches!(self.socket.read_buf(&mut self.read).await, Ok(1..)) {}
        std::mem::take(&mut self.read)
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The code of a failure's envelope.
    fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], false);
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}
