use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use tokio::sync::Semaphore;

use super::*;
use crate::{
    actor::{
        actor::KindSettings,
        actor::Recovery,
        house::{House, HousePlan},
    },
    collections_contract, people_contract,
    store::{
        EmbeddedDocuments, EmbeddedDocumentsSettings,
        contract::people::{id, user},
        document,
        people::Users as _,
    },
};

/// The back office with its clerks, and nobody else.
struct Office {
    house: Option<House>,
    _folder: tempfile::TempDir,
}

impl Drop for Office {
    fn drop(&mut self) {
        let Some(house) = self.house.take() else { return };
        // Ending waits for threads, which a runtime's own may not.
        let _ = std::thread::spawn(move || drop(house.stop(Vec::new(), Duration::from_secs(5)))).join();
    }
}

fn office(store: Arc<dyn Collections>, settings: ClerkSettings, folder: tempfile::TempDir) -> (Arc<ClerkPool>, Office) {
    let parts = ClerkParts::new(store, settings);
    let clerks = parts.clone();
    let mut plan = HousePlan::new();
    let host = plan.tokio("back-office", None, move |seat| {
        let mut world = seat.system();
        let settings = KindSettings { idle_time: None, recovery: Recovery::InPlace, ..KindSettings::default() };
        world.add::<Clerk>(settings);
        clerks.start(&mut world);
        world
    });
    plan.place::<Clerk>([host]);
    let house = plan.start().unwrap();
    let remote = house.remote().clone();
    let clock = remote.clock().clone();
    (Arc::new(ClerkPool::new(&parts, remote, clock)), Office { house: Some(house), _folder: folder })
}

fn embedded() -> (Arc<EmbeddedDocuments>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedDocumentsSettings { timeout: Duration::from_secs(60), ..Default::default() };
    (EmbeddedDocuments::open(&folder.path().join("documents.redb"), settings).unwrap(), folder)
}

fn patient() -> ClerkSettings {
    ClerkSettings { timeout: Duration::from_secs(60), ..ClerkSettings::default() }
}

async fn clerks() -> (Arc<ClerkPool>, Office) {
    let (store, folder) = embedded();
    office(store, patient(), folder)
}

collections_contract!(clerks);
people_contract!(clerks);

/// A store that lets calls through one by one, or fails them.
struct Gate {
    store: Arc<EmbeddedDocuments>,
    leave: Semaphore,
    is_failing: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Collections for Gate {
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(id.to_owned());
            if self.is_failing.load(SeqCst) {
                return Err(StoreError::Unavailable("it is away".into()));
            }
            self.leave.acquire().await.unwrap().forget();
            self.store.get(collection, id).await
        })
    }

    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64> {
        self.store.write(collection, draft, expected)
    }

    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool> {
        self.store.delete(collection, id, revision)
    }

    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found> {
        self.store.list(collection, query)
    }
}

fn gated(settings: ClerkSettings) -> (Arc<ClerkPool>, Arc<Gate>, Office) {
    let (store, folder) = embedded();
    let (leave, asked) = (Semaphore::new(0), Mutex::default());
    let gate = Arc::new(Gate { store, leave, is_failing: AtomicBool::new(false), asked });
    let (pool, office) = office(gate.clone(), settings, folder);
    (pool, gate, office)
}

fn ask(pool: &Arc<ClerkPool>, name: &str) -> tokio::task::JoinHandle<Result<bool, StoreError>> {
    let (pool, name) = (pool.clone(), id(name));
    tokio::spawn(async move { pool.user(&name).await.map(|kept| kept.is_some()) })
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn as_many_calls_run_as_there_are_clerks_and_what_waits_is_bounded() {
    let (pool, gate, _office) = gated(ClerkSettings { clerks: 2, queue: 4, ..patient() });
    document::insert(&*pool, &user("clara")).await.unwrap();
    let asked: Vec<_> = (0..6).map(|_| ask(&pool, "clara")).collect();
    until(|| pool.depth() == 6 && gate.asked.lock().unwrap().len() == 2).await;
    assert_eq!(pool.user(&id("clara")).await, Err(StoreError::Busy));
    assert_eq!((pool.figures().refused.get(), gate.asked.lock().unwrap().len()), (1, 2));
    gate.leave.add_permits(6);
    for answer in asked {
        assert_eq!(answer.await.unwrap(), Ok(true));
    }
    assert_eq!(pool.depth(), 0);
    let mut text = String::new();
    pool.render(&mut text);
    assert!(text.contains("pianorhythm_documents_requests_total{outcome=\"refused\"} 1\n"), "{text}");
}

#[tokio::test]
async fn a_request_that_waited_past_its_deadline_is_dropped_unhandled_and_counted() {
    let (pool, gate, _office) = gated(ClerkSettings { clerks: 1, queue: 9, timeout: Duration::ZERO });
    let first = ask(&pool, "first");
    until(|| gate.asked.lock().unwrap().len() == 1).await;
    let late: Vec<_> = (0..3).map(|n| ask(&pool, &format!("late {n}"))).collect();
    assert_eq!(first.await.unwrap(), Err(StoreError::TimedOut));
    for answer in late {
        assert_eq!(answer.await.unwrap(), Err(StoreError::TimedOut));
    }
    gate.leave.add_permits(9);
    until(|| pool.depth() == 0).await;
    assert_eq!(pool.figures().expired.get(), 3);
    assert_eq!(*gate.asked.lock().unwrap(), ["first"]);
}

#[tokio::test]
async fn while_the_store_fails_the_breaker_answers_and_when_it_is_back_so_are_its_answers() {
    let (pool, gate, _office) = gated(ClerkSettings { clerks: 2, ..patient() });
    gate.leave.add_permits(1000);
    gate.is_failing.store(true, SeqCst);
    until_open(&pool).await;
    let asked = gate.asked.lock().unwrap().len();
    let refused = pool.user(&id("clara")).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("failed before")), "{refused:?}");
    assert_eq!((gate.asked.lock().unwrap().len(), pool.depth()), (asked, 0));
    assert!(pool.figures().unasked.get() > 0);
    gate.is_failing.store(false, SeqCst);
    while pool.breaker() != BreakerState::Closed {
        let _ = pool.user(&id("clara")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pool.user(&id("clara")).await, Ok(None));
}

async fn until_open(pool: &Arc<ClerkPool>) {
    while pool.breaker() != BreakerState::Open {
        let _ = pool.user(&id("clara")).await;
    }
}

#[tokio::test]
async fn what_the_store_refuses_for_good_reason_does_not_open_the_breaker() {
    let (pool, _gate, _office) = gated(patient());
    document::insert(&*pool, &user("clara")).await.unwrap();
    for n in 0..100 {
        let other = crate::store::people::User { id: id(&format!("u{n}")), ..user("clara") };
        assert_eq!(document::insert(&*pool, &other).await, Err(StoreError::Taken { what: "by_name" }));
    }
    assert_eq!(pool.breaker(), BreakerState::Closed);
}
