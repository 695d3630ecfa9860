//! What each test runs in: the server's own binary on a free port, and chromedriver.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::process::Process;

/// Each test has two browsers with a sound card's worth of work: one test at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// A server and a driver of browsers.
pub struct Hall {
    server: Option<Process>,
    driver: Process,
    port: u16,
    /// Where chromedriver listens.
    pub driver_url: String,
    /// The browser's program.
    pub chromium: PathBuf,
    data: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Hall {
    /// `None` where the browser is not installed: then the test has said so, unless `REQUIRE_SERVICES=1` makes it fail.
    pub async fn open(test: &str) -> Option<Self> {
        let turn = TURN.lock().await;
        let (Some(chromium), Some(chromedriver)) = (program("chromium"), program("chromedriver")) else {
            let missing = "chromium and chromedriver are not installed";
            assert!(env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "{missing}");
            // Not by `eprintln!`, which the test harness keeps to itself when a test passes.
            let _ = writeln!(std::io::stderr(), "browser::{test} is skipped: {missing}");
            return None;
        };
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(chromedriver);
        command.arg("--port=0");
        let driver = Process::start(command);
        let driver_port: u16 = driver.said(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let driver_url = format!("http://127.0.0.1:{driver_port}");
        let (server, port) = serve(data.path(), 0);
        Some(Self { server: Some(server), driver, port, driver_url, chromium, data, _turn: turn })
    }

    /// An address on the server.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends the server as a service manager does.
    pub fn stop_server(&mut self) {
        self.server.take().expect("it runs").terminate();
    }

    /// Starts the server again, on the same port and the same data.
    pub fn start_server(&mut self) {
        let (server, port) = serve(self.data.path(), self.port);
        assert_eq!(port, self.port);
        self.server = Some(server);
    }

    /// Ends all that was started; a panic in a test does so too, only without being told of errors.
    pub fn close(mut self) {
        self.stop_server();
        drop(self.driver);
    }
}

fn serve(data: &Path, port: u16) -> (Process, u16) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pianorhythm-server"));
    // Settings of whoever runs the tests must not count.
    command.env_clear().envs([
        ("HOST", "127.0.0.1"),
        ("PORT", &port.to_string()),
        ("ADMIN_BIND", "127.0.0.1:0"),
        ("DATA_DIR", data.to_str().expect("a temporary folder's name is text")),
        ("SHARDS", "2"),
    ]);
    let server = Process::start(command);
    let port = server.said(|line| {
        let (_, address) = line.split_once("listening on http://")?;
        address.trim().rsplit_once(':')?.1.trim_end_matches('/').parse().ok()
    });
    (server, port)
}

fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}
