//! The documents in a MongoDB: the contracts that every store keeps, on a real server, and what becomes of calls when that
//! server is away, stands still, or ends in the middle.

#![allow(clippy::disallowed_methods, reason = "these tests wait for a real process in real time")]

#[path = "../support/mod.rs"]
mod support;

mod contract;
mod migrations;
mod outages;
mod server;
mod transfer;

use std::{sync::Arc, time::Duration};

use pianorhythm_server::store::{MongoDocuments, MongoSettings};
use support::ferretdb::{database_name, shared_url};

/// A busy machine may keep a call waiting for seconds.
fn patient(url: String) -> MongoSettings {
    MongoSettings { url, database: database_name(), pool: 8, queue: 4096, timeout: Duration::from_secs(60) }
}

/// A store over a database of its own, dropped with this.
struct Kept {
    settings: MongoSettings,
}

impl Kept {
    fn new() -> Option<Self> {
        Some(Self { settings: patient(shared_url()?) })
    }

    async fn connect(&self) -> Arc<MongoDocuments> {
        MongoDocuments::connect(self.settings.clone()).await.unwrap()
    }

    /// The database as its operators see it.
    async fn database(&self) -> mongodb::Database {
        mongodb::Client::with_uri_str(&self.settings.url).await.unwrap().database(&self.settings.database)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let (url, database) = (self.settings.url.clone(), self.settings.database.clone());
        // The test's own runtime may be ending.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = mongodb::Client::with_uri_str(url).await.unwrap();
                let _ = client.database(&database).drop().await;
            });
        });
        let _ = dropping.join();
    }
}
