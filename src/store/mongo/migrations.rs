//! What the database has to be like, and how it becomes so.
//!
//! Each migration makes a database of one version one of the next, and may be run again where it was interrupted: two
//! servers that start at once both run it, and one of them counts.

use std::pin::Pin;

use mongodb::{
    Database, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};

use crate::store::{
    StoreError,
    collection::Collection,
    mongo::{
        link::Failure,
        rooms::{CHAT, ROOMS},
    },
    people::COLLECTIONS,
};

/// Where the version stands.
const SCHEMA: &str = "schema";
const VERSION: &str = "version";

type Migration = for<'a> fn(&'a Database) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// From nothing to version 1, and so on. A change that older servers would misread is one more.
const MIGRATIONS: &[Migration] = &[|database| Box::pin(make_indexes(database))];

/// The version of what this server writes.
pub const SCHEMA_VERSION: u64 = MIGRATIONS.len() as u64;

/// Brings the database to this server's version.
///
/// # Errors
/// [`StoreError::Incompatible`] for a database that a newer server has written.
pub async fn run(database: &Database) -> Result<(), Failure> {
    let schema = database.collection::<Document>(SCHEMA);
    loop {
        let found = schema.find_one(doc! { "_id": VERSION }).await?;
        let version = found.as_ref().and_then(version_of).unwrap_or(0);
        if version > SCHEMA_VERSION {
            return Err(StoreError::Incompatible { found: version, supported: SCHEMA_VERSION }.into());
        }
        let Some(migration) = MIGRATIONS.get(version as usize) else { return Ok(()) };
        migration(database).await?;
        tracing::info!(version = version + 1, "database migrated");
        let next = doc! { "_id": VERSION, "version": (version + 1) as i64 };
        let written = match found {
            None => schema.insert_one(next).await.map(drop),
            Some(found) => schema.replace_one(found, next).await.map(drop),
        };
        match written.map_err(Failure::from) {
            // Another server was first: look again.
            Ok(()) | Err(Failure::Duplicate) => {}
            Err(failure) => return Err(failure),
        }
    }
}

fn version_of(document: &Document) -> Option<u64> {
    let version = document.get_i64(VERSION).or_else(|_| document.get_i32(VERSION).map(i64::from)).ok()?;
    u64::try_from(version).ok()
}

async fn make_indexes(database: &Database) -> Result<(), Failure> {
    for collection in COLLECTIONS.iter().copied().chain([&ROOMS, &CHAT]) {
        make_indexes_of(database, collection).await?;
    }
    Ok(())
}

async fn make_indexes_of(database: &Database, collection: &'static Collection) -> Result<(), Failure> {
    let models: Vec<_> = collection
        .indexes
        .iter()
        .map(|index| {
            let options = IndexOptions::builder().name(index.name.to_owned()).unique(index.is_unique).build();
            IndexModel::builder().keys(doc! { index.name: 1 }).options(options).build()
        })
        .collect();
    if !models.is_empty() {
        database.collection::<Document>(collection.name).create_indexes(models).await?;
    }
    Ok(())
}
