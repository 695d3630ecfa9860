//! A server in a process of its own, as people run it: settings by environment, ended by signals.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pianorhythm_server::protocol::codec::Format;

use super::{DEADLINE, client::Client, socket::Connect};

/// Limits that a test of many clients at once lifts.
pub const LIFTED: &[(&str, &str)] = &[
    ("RATE_CHAT", "unlimited"),
    ("RATE_COMMAND", "unlimited"),
    ("RATE_ROOM_REQUEST", "unlimited"),
    ("RATE_QUERY", "unlimited"),
    ("RATE_MODERATION", "unlimited"),
    ("RATE_HEARTBEAT", "unlimited"),
];

/// A running server. Dropped, it is killed.
pub struct ServerProcess {
    child: Child,
    pub address: SocketAddr,
    pub data_dir: PathBuf,
}

/// How to start one on this data folder, with these settings besides.
pub fn command(data_dir: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"));
    command
        .env_clear()
        .envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("ADMIN_BIND", "127.0.0.1:0"), ("SHARDS", "3"), ("LOG", "warn")])
        .envs(settings.iter().copied())
        .env("DATA_DIR", data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl ServerProcess {
    /// Starts one and waits until it listens.
    pub fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        Self::listening(command(data_dir, settings).spawn().unwrap(), data_dir)
    }

    /// Waits until one that was started listens.
    pub fn listening(mut child: Child, data_dir: &Path) -> Self {
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the server ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        Self { child, address, data_dir: data_dir.to_owned() }
    }

    pub fn connect(&self, format: Format) -> Connect {
        Connect::to(self.address, format)
    }

    pub fn guest(&self, format: Format, name: &str) -> Client {
        self.connect(format).name(name).client()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) {
        send_signal(&self.child, signal);
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running server whose log is read, by which its operators' port is known.
pub struct WatchedServer {
    pub server: ServerProcess,
    pub admin: SocketAddr,
    log: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl WatchedServer {
    /// Starts what [`command`] made.
    pub fn start(mut command: Command, data_dir: &Path) -> Self {
        command.env("LOG", "info").env("LOG_FORMAT", "json").stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (stderr, lines) = (child.stderr.take().unwrap(), log.clone());
        // Ends with the process.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(event) => lines.lock().unwrap().push(event),
                    Err(_) => eprintln!("{line}"),
                }
            }
        });
        let server = ServerProcess::listening(child, data_dir);
        let mut watched = Self { server, admin: ([127, 0, 0, 1], 0).into(), log };
        let mut admin = None;
        super::eventually("the operators' port is told", || {
            admin = watched.log().iter().find_map(|event| {
                let told = event["fields"]["admin_addr"].as_str().or(event["admin_addr"].as_str())?;
                told.trim_start_matches("Some(").trim_end_matches(')').parse().ok()
            });
            admin.is_some()
        });
        watched.admin = admin.unwrap();
        watched
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<serde_json::Value> {
        self.log.lock().unwrap().clone()
    }

    /// What it has logged in these words.
    pub fn logged(&self, message: &str) -> Vec<serde_json::Value> {
        let is_that = |event: &serde_json::Value| {
            [&event["fields"]["message"], &event["message"]].iter().any(|said| said.as_str() == Some(message))
        };
        self.log().into_iter().filter(is_that).collect()
    }

    /// The operators' report of its health.
    pub fn health(&self) -> serde_json::Value {
        let (_, body) = super::http::request(self.admin, "GET", "/health/detailed", &[]);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

/// Sends a signal to a process that the test has started.
pub fn send_signal(child: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call. The child has not been waited for, so that its id is still its own.
    let result = unsafe { libc::kill(child.id() as libc::pid_t, signal) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Waits for a process's end, but not for ever.
pub fn wait(child: &mut Child) -> ExitStatus {
    let give_up = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < give_up, "the process did not end within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
