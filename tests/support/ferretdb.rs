//! A MongoDB for tests: the FerretDB of `tests/ferretdb`, built once and started by each test program, or the server that
//! `MONGODB_URL` names.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::{DEADLINE, process::send_signal};

/// A server of its own. It ends by itself where the test's process does. Dropped, one with files of its own ends with
/// those, and one in a given folder is killed, to be started there again.
pub struct FerretDb {
    child: Child,
    is_to_be_killed: bool,
    pub address: String,
}

impl FerretDb {
    /// Starts one that forgets everything. None where it cannot be built: then the test has said so, unless
    /// `REQUIRE_SERVICES=1` makes it fail.
    pub fn start() -> Option<Self> {
        Some(Self::of(Command::new(program()?), false))
    }

    /// Starts one that keeps its files in this folder, at this address where one is given.
    pub fn start_in(folder: &Path, address: Option<&str>) -> Option<Self> {
        let mut command = Command::new(program()?);
        command.arg(folder).args(address);
        Some(Self::of(command, true))
    }

    fn of(mut command: Command, is_to_be_killed: bool) -> Self {
        // Its end is ours: the pipe closes with this process, however that ends.
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("FerretDB starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let address = url.trim().trim_start_matches("mongodb://").trim_end_matches('/').to_owned();
        assert!(!address.is_empty(), "FerretDB does not listen");
        Self { child, is_to_be_killed, address }
    }

    pub fn url(&self) -> String {
        format!("mongodb://{}/", self.address)
    }

    /// Stops it in the middle of whatever it does. It stands still when this returns.
    pub fn freeze(&self) {
        send_signal(&self.child, libc::SIGSTOP);
        // The signal is sent, which is not to say that every thread has had it.
        let tasks = format!("/proc/{}/task", self.child.id());
        let stands_still = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // A thread that has just ended has no state.
            stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with(['T', 'Z', 'X']))
        };
        super::eventually("FerretDB stands still", || {
            fs::read_dir(&tasks).unwrap().filter_map(Result::ok).all(stands_still)
        });
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        send_signal(&self.child, libc::SIGCONT);
    }
}

impl Drop for FerretDb {
    fn drop(&mut self) {
        if !self.is_to_be_killed {
            self.thaw();
            drop(self.child.stdin.take());
            let give_up = Instant::now() + DEADLINE;
            while Instant::now() < give_up && !matches!(self.child.try_wait(), Ok(Some(_))) {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server that all tests of this program share, each with a database of its own.
pub fn shared_url() -> Option<String> {
    if let Ok(url) = env::var("MONGODB_URL")
        && !url.is_empty()
    {
        return Some(url);
    }
    static SHARED: OnceLock<Option<FerretDb>> = OnceLock::new();
    SHARED.get_or_init(FerretDb::start).as_ref().map(FerretDb::url)
}

/// A name for a database that no other test has.
pub fn database_name() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("pianorhythm_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

/// The program, built where it is missing or older than its source.
fn program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build).clone()
}

fn build() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ferretdb");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("ferretdb");
    // Other test programs may be at it too.
    let lock = fs::File::create(folder.join("ferretdb.lock")).unwrap();
    lock.lock().unwrap();
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let newest = ["main.go", "go.mod", "go.sum"].iter().filter_map(|file| changed(&source.join(file))).max();
    if changed(&program).is_some_and(|built| Some(built) >= newest) {
        return Some(program);
    }
    let built =
        Command::new("go").current_dir(&source).args(["build", "-trimpath", "-o"]).arg(&program).arg(".").output();
    let missing = match built {
        Ok(output) if output.status.success() => return Some(program),
        Ok(output) => format!("FerretDB cannot be built: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("go is missing ({error}): FerretDB cannot be built; ./tools/test installs it"),
    };
    assert!(env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "{missing}");
    eprintln!("not tested: {missing}");
    None
}
