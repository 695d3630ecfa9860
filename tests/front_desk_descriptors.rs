//! The front desk's descriptors, counted: in a process of its own, for the count is the process's.

#![cfg(feature = "server")]

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use pianorhythm_server::{
    domain::bucket::Rate,
    http::{
        auth::{SigningKey, Tokens},
        desk::{FrontDesk, FrontDeskHandle},
        settings::FrontDeskSettings,
        stage::{Admission, BoxFuture, Health, Refused, RefusedReason, Stage},
    },
    protocol::{close::CloseCode, ids::UserId, time::Timestamp},
};

/// Treats hand-offs in every way there is, one after the other.
#[derive(Default)]
struct Fickle(AtomicUsize);

impl Stage for Fickle {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>> {
        let turn = self.0.fetch_add(1, Relaxed);
        Box::pin(async move {
            match turn % 4 {
                0 => drop(admission),
                1 => return Err(Refused { admission: Box::new(admission), reason: RefusedReason::Busy }),
                2 => {
                    // The front desk gives up waiting.
                    let _held = admission;
                    std::future::pending::<()>().await;
                }
                // It comes to a shard and is dropped there.
                _ => drop(std::thread::spawn(move || drop(admission))),
            }
            Ok(())
        })
    }

    fn health(&self) -> Health {
        Health::default()
    }

    fn debug(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    fn actors(&self) -> BoxFuture<'_, serde_json::Value> {
        Box::pin(std::future::ready(serde_json::Value::Null))
    }

    fn actor(&self, _kind: &str, _key: &str) -> BoxFuture<'_, Option<serde_json::Value>> {
        Box::pin(std::future::ready(None))
    }

    fn metrics(&self, _out: &mut String) {}

    fn close_user(&self, _user: &UserId, _code: CloseCode) -> BoxFuture<'_, usize> {
        Box::pin(std::future::ready(0))
    }
}

/// One test at a time: each counts the descriptors of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn start(runtime: &tokio::runtime::Runtime) -> FrontDeskHandle {
    let settings = FrontDeskSettings {
        port: 0,
        admin_bind: Some(([127, 0, 0, 1], 0).into()),
        upgrade_timeout: Duration::from_millis(50),
        max_connections_by_address: 1000,
        pace_by_address: Rate::UNLIMITED,
        ..FrontDeskSettings::default()
    };
    let tokens = Tokens::new(SigningKey::generate().unwrap());
    let clock = Arc::new(|| Timestamp::from_ms(1_800_000_000_000));
    FrontDesk::start(runtime.handle(), settings, tokens, Arc::<Fickle>::default(), clock).unwrap()
}

const HANDSHAKE: &[u8] = b"GET /api/websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nfirst frames";

fn metrics(admin: &mut TcpStream) -> String {
    admin.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4096];
        let read = admin.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return body.to_owned();
        }
    }
}

fn figure(admin: &mut TcpStream, name: &str) -> u64 {
    let text = metrics(admin);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn a_thousand_hand_offs_that_fail_leave_no_descriptor_behind() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let desk = start(&runtime);
    let (public, admin) = (desk.local_addr(), desk.admin_addr().unwrap());
    let mut admin = TcpStream::connect(admin).unwrap();
    figure(&mut admin, "pianorhythm_front_desk_accepted_total");
    let before = open_descriptors();

    let knock = |at: usize, public: SocketAddr| {
        let mut client = TcpStream::connect(public).unwrap();
        client.write_all(HANDSHAKE).unwrap();
        // Every fifth vanishes without waiting for its answer; the others see the end of it.
        if !at.is_multiple_of(5) {
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            assert!(answer.starts_with(b"HTTP/1.1 101"), "{:?}", String::from_utf8_lossy(&answer));
        }
    };
    std::thread::scope(|scope| {
        for lane in 0..10 {
            scope.spawn(move || (0..100).for_each(|at| knock(lane + at, public)));
        }
    });
    while figure(&mut admin, "pianorhythm_front_desk_connections") > 0 {}
    assert_eq!(figure(&mut admin, "pianorhythm_front_desk_handshakes_total{result=\"accepted\"}"), 1000);
    // A thread that drops an admission gives its place back before its descriptor's number is free.
    while open_descriptors() > before {
        std::thread::yield_now();
    }

    runtime.block_on(desk.shutdown(Duration::from_secs(10)));
}

#[test]
fn a_process_out_of_descriptors_pauses_and_then_accepts_again() {
    let _alone = alone();
    let limit = socket_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let desk = start(&runtime);
    let mut admin = TcpStream::connect(desk.admin_addr().unwrap()).unwrap();
    assert_eq!(figure(&mut admin, "pianorhythm_front_desk_accept_errors_total{reason=\"exhausted\"}"), 0);

    // One descriptor is kept for the client, which the kernel connects without the server's doing anything.
    let mut hoard = Vec::new();
    let error = loop {
        match File::open("/dev/null") {
            Ok(file) => hoard.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    hoard.pop();
    let mut client = TcpStream::connect(desk.local_addr()).unwrap();
    while figure(&mut admin, "pianorhythm_front_desk_accept_errors_total{reason=\"exhausted\"}") == 0 {}

    hoard.clear();
    client.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    runtime.block_on(desk.shutdown(Duration::from_secs(10)));
    limit.restore();
}

/// The limit of open files, lowered so that it is reached soon.
struct Limit(libc::rlimit);

fn socket_limit() -> Limit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit of ours.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0, "{}", io::Error::last_os_error());
    let low = libc::rlimit { rlim_cur: limit.rlim_max.min(256), ..limit };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &low) }, 0, "{}", io::Error::last_os_error());
    Limit(limit)
}

impl Limit {
    fn restore(self) {
        // SAFETY: the pointer is to a live rlimit of ours.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.0) }, 0, "{}", io::Error::last_os_error());
    }
}
