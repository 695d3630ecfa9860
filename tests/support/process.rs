//! A server in a process of its own, as people run it: settings by environment, ended by signals.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
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
        let mut child = command(data_dir, settings).spawn().unwrap();
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
