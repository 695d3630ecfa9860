//! The server away, frozen, overrun, and ended in the middle. Each test has a server of its own.

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use pianorhythm_server::{
    domain::room::RoomChange,
    store::{
        Collections as _, Documents, MongoDocuments, MongoSettings, StoreError,
        collection::Expected,
        contract::{
            documents::{key, line, record},
            people::user,
        },
        document::{self, Document as _},
        people::{User, Users as _},
    },
};

use crate::support::{self, ferretdb::FerretDb};

/// The time of a call here, and what a busy machine may add to it.
const TIMEOUT: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(20);

fn hasty(url: String) -> MongoSettings {
    MongoSettings { url, database: "outages".into(), pool: 4, timeout: TIMEOUT, ..Default::default() }
}

async fn connect(server: &FerretDb) -> Arc<MongoDocuments> {
    let store = MongoDocuments::connect(hasty(server.url())).await.unwrap();
    until_well(&store).await;
    store
}

/// Asks until the server answers.
async fn until_well(store: &MongoDocuments) {
    let give_up = Instant::now() + support::DEADLINE;
    while let Err(error) = store.check().await {
        assert!(Instant::now() < give_up, "{error}");
    }
}

/// What a call comes to where the server does not do its part, in time.
async fn failure<T: std::fmt::Debug>(call: impl Future<Output = Result<T, StoreError>>) -> StoreError {
    let start = Instant::now();
    let error = call.await.expect_err("the server cannot have done it");
    assert!(start.elapsed() < TIMEOUT + SLACK, "{:?}", start.elapsed());
    error
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_within_the_time_of_a_call() {
    // A port that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = MongoDocuments::connect(hasty(format!("mongodb://{address}/"))).await.unwrap();
    let away = |error| assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    away(failure(store.check()).await);
    away(failure(document::insert(&*store, &user("clara"))).await);
    away(failure(store.save(RoomChange::Save(Box::new(record("jazz"))))).await);
    assert!(store.counts().failed >= 3);
}

#[tokio::test]
async fn a_url_that_is_none_is_told_at_once_without_the_password_in_it() {
    for url in ["", "http://clara:secret@localhost/", "mongodb://clara:secret@localhost:port/"] {
        let error = MongoDocuments::connect(hasty(url.into())).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(_)) && !error.to_string().contains("secret"), "{error}");
    }
    assert!(!format!("{:?}", hasty("mongodb://clara:secret@localhost/".into())).contains("secret"));
}

#[tokio::test]
async fn a_frozen_server_is_told_in_time_and_when_it_goes_on_so_does_the_store() {
    let Some(server) = FerretDb::start() else { return };
    let store = connect(&server).await;
    document::insert(&*store, &user("before")).await.unwrap();
    store.save(RoomChange::Save(Box::new(record("jazz")))).await.unwrap();

    server.freeze();
    let late = |error| assert!(matches!(error, StoreError::TimedOut | StoreError::Unavailable(_)), "{error:?}");
    late(failure(store.user(&"before".into())).await);
    let (during, said) = (user("during"), RoomChange::Chat { key: key("jazz"), line: line("during") });
    let after = line("after");
    let (insert, save) = futures_util::join!(failure(document::insert(&*store, &during)), failure(store.save(said)));
    late(insert);
    late(save);

    server.thaw();
    until_well(&store).await;
    assert!(store.user(&"before".into()).await.unwrap().is_some());
    // Whether it was done is not known; to do it again is to have done it.
    document::insert(&*store, &during).await.unwrap();
    assert_eq!(store.user(&"during".into()).await.unwrap().unwrap().document, during);
    let chat = RoomChange::Chat { key: key("jazz"), line: after };
    store.save(chat).await.unwrap();
    let said = store.load_room(&key("jazz")).await.unwrap().unwrap().chat;
    assert_eq!(said.last().unwrap().text, "after");
}

#[tokio::test]
async fn past_its_bound_calls_are_refused_at_once_and_those_that_wait_too_long_are_dropped_unhandled() {
    let Some(server) = FerretDb::start() else { return };
    let settings = MongoSettings { pool: 1, queue: 3, ..hasty(server.url()) };
    let store = MongoDocuments::connect(settings).await.unwrap();
    until_well(&store).await;
    let before = store.counts();
    server.freeze();
    let write = |n: usize| {
        let draft = document::draft(&user(&format!("u{n}"))).unwrap();
        store.write(User::COLLECTION, draft, Expected::Absent)
    };
    // They take their places when they are made: one will run, three will wait.
    let calls: Vec<_> = (0..4).map(write).collect();
    assert_eq!(write(4).await, Err(StoreError::Busy));
    assert_eq!(store.counts().refused, before.refused + 1);
    let outcomes = join_all(calls).await;
    let counts = store.counts();
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    let expired = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Busy)).count() as u64;
    assert!(expired >= 1, "{outcomes:?}");
    assert_eq!(counts.expired - before.expired, expired, "{outcomes:?} {counts:?}");
    server.thaw();
    until_well(&store).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        if *outcome == Err(StoreError::Busy) {
            assert_eq!(store.user(&format!("u{n}").as_str().into()).await, Ok(None), "it was dropped unhandled");
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_server_was_killed_under_load_and_came_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = FerretDb::start_in(folder.path(), None) else { return };
    let store = connect(&server).await;
    let mut acknowledged = Vec::new();
    for round in 0..2 {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut done = Vec::new();
                    for n in 0.. {
                        let user = user(&format!("u{round}-{writer}-{n}"));
                        match document::insert(&*store, &user).await {
                            Ok(_) => done.push(user.id),
                            Err(_) => break,
                        }
                    }
                    done
                })
            })
            .collect();
        // Under load means: some have been written, and the writers go on.
        let give_up = Instant::now() + support::DEADLINE;
        while store.user(&format!("u{round}-0-3").as_str().into()).await.unwrap().is_none() {
            assert!(Instant::now() < give_up);
        }
        let address = server.address.clone();
        drop(server);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        server = FerretDb::start_in(folder.path(), Some(&address)).unwrap();
        until_well(&store).await;
    }
    assert!(acknowledged.len() >= 8);
    for id in &acknowledged {
        assert!(store.user(id).await.unwrap().is_some(), "{id} of {}", acknowledged.len());
    }
}
