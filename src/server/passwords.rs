//! Password hashing: argon2id on threads of its own, a bounded number at a time, at the lowest scheduling class.
//!
//! A hash takes 19 MiB and tens of milliseconds of a core (OWASP's parameters, which are the library's default). Nobody who
//! plays is to notice that somebody logs in: the threads run on the front desk's core, and only while nothing else wants it.
//! What rooms ask for goes before what accounts ask for: a storm of log-ins keeps nobody out of a room. Whoever does not
//! wait any more for a hash does not get it made.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::oneshot;

use crate::{
    actor::cores,
    http::{accounts::PasswordHashing, stage::BoxFuture},
    protocol::error::{ErrorCode, Rejection},
};

/// What a password is checked against that nobody has: of the parameters of all others, so that it takes as long.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$YmxhY2sgYW5kIHdoaXRlIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How much may be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    /// Hashes under way at once, each on a thread of its own.
    pub at_once: usize,
    /// How many may wait, for rooms and for accounts each; past it they are refused as busy.
    pub waiting: usize,
    /// The core that the threads run on; none: on any.
    pub core: Option<usize>,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self { at_once: 2, waiting: 256, core: None }
    }
}

/// Who asks: the first goes before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Rooms,
    Accounts,
}

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and checks passwords. Cheap to clone. The threads begin with the first password, and end with the last clone.
#[derive(Clone)]
pub struct Passwords {
    lane: Lane,
    desk: Arc<Desk>,
}

struct Desk {
    settings: PasswordSettings,
    threads: OnceLock<Option<Threads>>,
    hashed: AtomicU64,
    refused: AtomicU64,
}

/// The ways to the threads. For each job there is a ticket, sent behind it, so that whoever has one finds a job.
struct Threads {
    rooms: flume::Sender<Job>,
    accounts: flume::Sender<Job>,
    tickets: flume::Sender<()>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new(PasswordSettings::default())
    }
}

impl Passwords {
    /// For rooms; see [`Passwords::of_accounts`].
    pub fn new(settings: PasswordSettings) -> Self {
        let desk = Desk { settings, threads: OnceLock::new(), hashed: AtomicU64::new(0), refused: AtomicU64::new(0) };
        Self { lane: Lane::Rooms, desk: Arc::new(desk) }
    }

    /// The same threads, for accounts: what rooms ask for goes before.
    pub fn of_accounts(&self) -> Self {
        Self { lane: Lane::Accounts, ..self.clone() }
    }

    /// Hashes a password, with a fresh salt, to a PHC string.
    pub async fn hash(&self, password: String) -> Result<String, Rejection> {
        self.run(move || hasher().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| failed()))
            .await
    }

    /// Whether a password fits a hash. Without one it fits nothing, which takes as long to find out.
    pub async fn check(&self, password: String, hash: Option<String>) -> Result<bool, Rejection> {
        self.run(move || {
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(DECOY)).map_err(|_| failed())?;
            let fits = hasher().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(fits && hash.is_some())
        })
        .await
    }

    /// Appends its figures in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        use std::fmt::Write as _;
        const TOTAL: &str = "pianorhythm_passwords_total";
        let _ = write!(
            out,
            "# HELP {TOTAL} Passwords hashed or checked, by what became of them.\n# TYPE {TOTAL} counter\n"
        );
        for (outcome, count) in [("hashed", &self.desk.hashed), ("refused", &self.desk.refused)] {
            let _ = writeln!(out, "{TOTAL}{{outcome=\"{outcome}\"}} {}", count.load(Relaxed));
        }
        const WAITING: &str = "pianorhythm_passwords_waiting";
        let _ = write!(out, "# HELP {WAITING} Passwords that wait to be hashed or checked.\n# TYPE {WAITING} gauge\n");
        let threads = self.desk.threads.get().and_then(Option::as_ref);
        for (asker, waiting) in [
            ("rooms", threads.map_or(0, |threads| threads.rooms.len())),
            ("accounts", threads.map_or(0, |threads| threads.accounts.len())),
        ] {
            let _ = writeln!(out, "{WAITING}{{for=\"{asker}\"}} {waiting}");
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Rejection> {
        #[cfg(feature = "simulation")]
        if crate::server::simulated::processor_time().is_some() {
            return work();
        }
        let (answer, answered) = oneshot::channel();
        let desk = self.desk.clone();
        self.enqueue(Box::new(move || {
            if !answer.is_closed() {
                desk.hashed.fetch_add(1, Relaxed);
                let _ = answer.send(work());
            }
        }))?;
        answered.await.unwrap_or_else(|_| Err(failed()))
    }

    fn enqueue(&self, job: Job) -> Result<(), Rejection> {
        let threads = self.desk.threads.get_or_init(|| {
            let started = Threads::start(self.desk.settings);
            started.inspect_err(|error| tracing::error!(%error, "no threads for passwords")).ok()
        });
        let Some(threads) = threads else { return Err(failed()) };
        let lane = match self.lane {
            Lane::Rooms => &threads.rooms,
            Lane::Accounts => &threads.accounts,
        };
        if lane.try_send(job).is_err() {
            self.desk.refused.fetch_add(1, Relaxed);
            let message = "too many passwords wait to be checked: try again in a moment";
            return Err(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 2000));
        }
        threads.tickets.send(()).map_err(|_| failed())
    }
}

impl PasswordHashing for Passwords {
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, Rejection>> {
        Box::pin(self.hash(password))
    }

    fn check(&self, password: String, hash: Option<String>) -> BoxFuture<'_, Result<bool, Rejection>> {
        Box::pin(self.check(password, hash))
    }
}

impl Threads {
    fn start(settings: PasswordSettings) -> io::Result<Self> {
        let (rooms, of_rooms) = flume::bounded::<Job>(settings.waiting.max(1));
        let (accounts, of_accounts) = flume::bounded::<Job>(settings.waiting.max(1));
        // As many as there are jobs, which are bounded.
        let (tickets, of_tickets) = flume::unbounded();
        for number in 0..settings.at_once.max(1) {
            let (rooms, accounts, tickets) = (of_rooms.clone(), of_accounts.clone(), of_tickets.clone());
            thread::Builder::new().name(format!("passwords-{number}")).spawn(move || {
                step_back(settings.core);
                while tickets.recv().is_ok() {
                    let Ok(job) = rooms.try_recv().or_else(|_| accounts.try_recv()) else { continue };
                    // Whoever waits for it is told when its answer is dropped.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { rooms, accounts, tickets })
    }
}

/// Puts the calling thread on a core, behind everything else that wants it.
fn step_back(core: Option<usize>) {
    if let Some(core) = core
        && !cores::pin_current_thread(core)
    {
        tracing::warn!(core, "a thread for passwords could not be pinned");
    }
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: plain system calls for the calling thread; `parameters` is valid for the call.
    let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) != 0 };
    if refused {
        tracing::warn!(error = %io::Error::last_os_error(), "passwords are hashed at the least niceness instead of idly");
        // SAFETY: as above. On Linux a niceness is a thread's own.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    }
}

fn hasher() -> Argon2<'static> {
    #[cfg(feature = "simulation")]
    if crate::server::simulated::processor_time().is_some() {
        return argon2::Params::new(8, 1, 1, None).map(Argon2::from).unwrap_or_default();
    }
    Argon2::default()
}

fn failed() -> Rejection {
    Rejection::new(ErrorCode::Server, "the password could not be checked; this is a defect of the server")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn one_thread() -> Passwords {
        Passwords::new(PasswordSettings { at_once: 1, waiting: 2, core: None })
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("fugue".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.check("fugue".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.check("Fugue".into(), Some(hash)).await.unwrap());
        assert!(passwords.check("fugue".into(), Some("nonsense".into())).await.is_err());
        assert!(!passwords.check("fugue".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_hash_takes_as_long_to_check_as_anybodys() {
        let hash = Passwords::default().hash("fugue".into()).await.unwrap();
        let (real, decoy) = (PasswordHash::new(&hash).unwrap(), PasswordHash::new(DECOY).unwrap());
        assert_eq!((real.algorithm, real.version, &real.params), (decoy.algorithm, decoy.version, &decoy.params));
        let lengths = |hash: &PasswordHash| (hash.salt.unwrap().as_ref().len(), hash.hash.unwrap().as_ref().len());
        assert_eq!(lengths(&real), lengths(&decoy));
    }

    #[tokio::test]
    async fn hashing_is_done_at_the_lowest_scheduling_class() {
        // SAFETY: a plain system call for the calling thread.
        let class = one_thread().run(|| Ok(unsafe { libc::sched_getscheduler(0) })).await.unwrap();
        assert_eq!(class, libc::SCHED_IDLE);
    }

    #[tokio::test]
    async fn rooms_go_before_accounts_and_too_many_are_refused() {
        let rooms = one_thread();
        let accounts = rooms.of_accounts();
        let (begin, may_begin) = mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        let (done, order) = mpsc::channel();
        let first = rooms.enqueue(Box::new(move || {
            let _ = began.send(());
            let _ = may_begin.recv();
        }));
        first.unwrap();
        has_begun.await.unwrap();
        for (passwords, name) in [(&accounts, "account"), (&accounts, "account"), (&rooms, "room"), (&rooms, "room")] {
            let done = done.clone();
            passwords.enqueue(Box::new(move || done.send(name).unwrap())).unwrap();
        }
        for passwords in [&accounts, &rooms] {
            let refused = passwords.enqueue(Box::new(|| ())).unwrap_err();
            assert_eq!(refused.code, ErrorCode::ServerBusy);
        }
        begin.send(()).unwrap();
        let order: Vec<_> = (0..4).map(|_| order.recv().unwrap()).collect();
        assert_eq!(order, ["room", "room", "account", "account"]);
        let mut text = String::new();
        rooms.render(&mut text);
        assert!(text.contains("pianorhythm_passwords_total{outcome=\"refused\"} 2"), "{text}");
    }

    #[tokio::test]
    async fn a_job_that_panics_and_one_that_nobody_waits_for_harm_nobody_else() {
        let passwords = one_thread();
        let panicked = passwords.run::<()>(|| panic!("on purpose")).await;
        assert_eq!(panicked.unwrap_err().code, ErrorCode::Server);
        let (begin, may_begin) = mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        let first = passwords.enqueue(Box::new(move || {
            let _ = began.send(());
            let _ = may_begin.recv();
        }));
        first.unwrap();
        has_begun.await.unwrap();
        let mut given_up = Box::pin(passwords.hash("fugue".into()));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        drop(given_up);
        begin.send(()).unwrap();
        assert!(!passwords.check("fugue".into(), None).await.unwrap());
        // The panic's and the last one's: not the one that was given up.
        assert_eq!(passwords.desk.hashed.load(Relaxed), 2);
    }
}
