//! The documents in a MongoDB, by its official driver.
//!
//! What is asked of the server is little, so that more than one kind will do: single documents read, written, replaced
//! and deleted, unique and plain indexes of one field each, and ranges of one field in its order. No transactions, no
//! partial or expiring indexes, no aggregation. Each write is one document with write concern `majority`; the driver
//! repeats it where the server says that it can tell repetitions.
//!
//! Calls wait for a connection in a bounded queue, and end within their time, whatever the server does: away, slow, or
//! stopped in the middle. The client lives on the runtime that it was made on; calls may come from any thread.

mod lanes;
mod link;
mod migrations;
mod records;
mod rooms;
mod translate;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};

use crate::{
    domain::room::RoomChange,
    protocol::{ids::RoomKey, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Draft, Expected, Found, Query, Record},
        document,
        documents::{Documents, MAX_DOCUMENT_BYTES, MAX_ROOMS_A_CALL, RoomsPage, SavedRoom},
        key,
        mongo::{
            lanes::{Errand, Lanes},
            link::Link,
        },
        state::{MAX_KEY_BYTES, StoreFuture, check_length},
    },
};

/// Documents of settings, by their keys.
const META: &str = "meta";

/// Where the database is, and the bounds of its use.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoSettings {
    /// `mongodb://…`. Options in it count, but for what is said here.
    pub url: String,
    /// The database's name.
    pub database: String,
    /// How many connections at most, which is how many calls run at once.
    pub pool: usize,
    /// How many calls may wait for a connection; past it, [`StoreError::Busy`].
    pub queue: usize,
    /// How long a call may take. One that waits longer is dropped unhandled, and counted.
    pub timeout: Duration,
}

impl Default for MongoSettings {
    fn default() -> Self {
        Self {
            url: "mongodb://127.0.0.1:27017".into(),
            database: "pianorhythm".into(),
            pool: 16,
            queue: 1024,
            timeout: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for MongoSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, database, pool, queue, timeout } = self;
        // The URL has the password in it.
        write!(f, "MongoSettings({database}, pool {pool}, queue {queue}, timeout {timeout:?})")
    }
}

/// What has become of calls since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MongoCounts {
    /// Calls that were begun.
    pub calls: u64,
    /// Calls refused because the queue was full.
    pub refused: u64,
    /// Calls dropped unhandled because their deadline had passed.
    pub expired: u64,
    /// Calls that the server failed, or did not answer in time.
    pub failed: u64,
}

/// A handle of the database.
pub struct MongoDocuments {
    link: Arc<Link>,
    lanes: Lanes,
}

impl fmt::Debug for MongoDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoDocuments").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl MongoDocuments {
    /// Makes a handle, on the runtime that this is awaited on. It does not wait for the server: whether that is there,
    /// [`Documents::check`] says. The first call that gets through brings the database to this server's version.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the URL is none.
    pub async fn connect(settings: MongoSettings) -> Result<Arc<Self>, StoreError> {
        let link = Arc::new(Link::new(&settings).await?);
        let lanes = Lanes::new(link.clone(), settings.pool, settings.queue);
        Ok(Arc::new(Self { link, lanes }))
    }

    /// What has become of calls so far.
    pub fn counts(&self) -> MongoCounts {
        self.link.counts()
    }
}

impl Collections for MongoDocuments {
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>> {
        let id = id.to_owned();
        self.link.call(move |link| async move { records::get(&link, collection, &id).await })
    }

    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64> {
        if let Err(error) = draft.check() {
            return Box::pin(async { Err(error) });
        }
        self.link.call(move |link| async move { records::write(&link, collection, &draft, expected).await })
    }

    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool> {
        let id = id.to_owned();
        self.link.call(move |link| async move { records::delete(&link, collection, &id, revision).await })
    }

    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found> {
        self.link.call(move |link| async move { records::list(&link, collection, &query).await })
    }
}

impl Documents for MongoDocuments {
    fn load_room<'a>(&'a self, key: &'a RoomKey) -> StoreFuture<'a, Option<SavedRoom>> {
        let key = key.clone();
        self.link.call(move |link| async move { rooms::load(&link, &key).await })
    }

    fn save(&self, change: RoomChange) -> StoreFuture<'static, ()> {
        if let RoomChange::Save(record) = &change
            && let Err(error) = document::draft(&**record)
        {
            return Box::pin(async { Err(error) });
        }
        let done = self.lanes.run(Errand::Change(change));
        Box::pin(async move { done.await.map(drop) })
    }

    fn list_rooms<'a>(&'a self, after: Option<&'a RoomKey>, limit: usize) -> StoreFuture<'a, RoomsPage> {
        let (after, limit) = (after.cloned(), limit.clamp(1, MAX_ROOMS_A_CALL - 1));
        self.link.call(move |link| async move { rooms::list(&link, after, limit).await })
    }

    fn forget_guest_rooms(&self, unused_since: Timestamp) -> StoreFuture<'_, Vec<RoomKey>> {
        let query = Query {
            index: Some(rooms::BY_GUEST_USE),
            until: key::time(unused_since),
            limit: MAX_ROOMS_A_CALL,
            ..Query::default()
        };
        let found = self.list(&rooms::ROOMS, query);
        Box::pin(async move {
            let mut forgotten = Vec::new();
            for (_, record) in found.await? {
                let room = RoomKey::from_normalised(&record.id);
                if self.lanes.run(Errand::Forget { room: room.clone(), revision: record.revision }).await? {
                    forgotten.push(room);
                }
            }
            Ok(forgotten)
        })
    }

    fn load_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        self.link.call(move |link| async move {
            let found = link.database().collection::<Document>(META).find_one(doc! { "_id": &key }).await?;
            let Some(found) = found else { return Ok(None) };
            match found.get("document") {
                Some(Bson::Binary(document)) => Ok(Some(Bytes::copy_from_slice(&document.bytes))),
                _ => Err(StoreError::Corrupt { key, detail: "it has no bytes".to_owned() }.into()),
            }
        })
    }

    fn list_meta<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>> {
        let after = after.map(str::to_owned);
        let limit = limit.clamp(1, MAX_ROOMS_A_CALL);
        self.link.call(move |link| async move {
            let filter = after.map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
            let meta = link.database().collection::<Document>(META);
            let mut cursor =
                meta.find(filter).sort(doc! { "_id": 1 }).projection(doc! { "_id": 1 }).limit(limit as i64).await?;
            let mut keys = Vec::new();
            while cursor.advance().await? {
                keys.push(cursor.deserialize_current()?.get_str("_id").unwrap_or_default().to_owned());
            }
            Ok(keys)
        })
    }

    fn save_meta<'a>(&'a self, key: &'a str, document: Bytes) -> StoreFuture<'a, ()> {
        let checked = check_length("key", key.len(), MAX_KEY_BYTES)
            .and_then(|()| check_length("document", document.len(), MAX_DOCUMENT_BYTES));
        if let Err(error) = checked {
            return Box::pin(async { Err(error) });
        }
        let key = key.to_owned();
        self.link.call(move |link| async move {
            let bytes = Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: document.into() });
            let whole = doc! { "_id": &key, "document": bytes };
            let meta = link.database().collection::<Document>(META);
            meta.replace_one(doc! { "_id": &key }, whole).upsert(true).await?;
            Ok(())
        })
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.link.call(move |link| async move { link.ping().await })
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.link.refuse_calls();
            self.lanes.close().await;
            self.link.close().await;
            Ok(())
        })
    }
}
