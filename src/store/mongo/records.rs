//! Collections in the database. A document stands beside its id, its revision and its keys, each of which is one text.
//!
//! ```text
//! { _id: "u1", rev: 3, by_name: "clara\u{1}", by_email: …, doc: { … } }
//! ```
//!
//! Filters name only these fields, and compare them with texts and numbers alone: what a user has sent is a value in a
//! filter, or stands in `doc`, which no filter names. A document without a key of a unique index has one that is no text,
//! for not every server has indexes that leave some out: it is in nobody's way and in no list.

use mongodb::{
    Collection as Handle,
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
};

use crate::store::{
    StoreError,
    collection::{Collection, Draft, Expected, Found, MAX_PAGE, Query, Record},
    mongo::{
        link::{Failure, Link},
        translate,
    },
};

const ID: &str = "_id";
const REVISION: &str = "rev";
const DOCUMENT: &str = "doc";
/// How often a write is tried again that met a duplicate which was gone when it was looked for.
const MAX_TRIES: usize = 8;

fn handle(link: &Link, collection: &'static Collection) -> Handle<Document> {
    link.database().collection(collection.name)
}

/// See [`Collections::get`](crate::store::Collections::get).
pub async fn get(link: &Link, collection: &'static Collection, id: &str) -> Result<Option<Record>, Failure> {
    let found = handle(link, collection).find_one(doc! { ID: id }).await?;
    Ok(found.as_ref().map(|found| record(collection, found)).transpose()?)
}

/// See [`Collections::write`](crate::store::Collections::write).
pub async fn write(
    link: &Link,
    collection: &'static Collection,
    draft: &Draft,
    expected: Expected,
) -> Result<u64, Failure> {
    let handle = handle(link, collection);
    let _lock = link.lock(collection.name, &draft.id).await;
    for _ in 0..MAX_TRIES {
        let written = match expected {
            Expected::Absent => {
                let whole = whole(collection, draft, 1)?;
                handle.insert_one(whole).await.map(|_| Some(1))
            }
            Expected::Revision(revision) => {
                let whole = whole(collection, draft, revision + 1)?;
                let filter = doc! { ID: &draft.id, REVISION: revision as i64 };
                let written = handle.replace_one(filter, whole).await;
                written.map(|written| (written.matched_count > 0).then_some(revision + 1))
            }
        };
        let refused = match written.map_err(Failure::from) {
            Ok(Some(revision)) => return Ok(revision),
            Err(failure @ Failure::Store(_)) => return Err(failure),
            Err(failure @ Failure::Refused(_)) => Some(failure),
            Ok(None) | Err(Failure::Duplicate) => None,
        };
        // Why not? Which key it was the server says in words of its own, and some do not even say that it was one: it is
        // looked for.
        let wanted = match expected {
            Expected::Absent => 1,
            Expected::Revision(revision) => revision + 1,
        };
        match (get(link, collection, &draft.id).await?, expected) {
            // A repetition, after an answer that got lost.
            (Some(there), _) if there.revision == wanted && is_same(&there, draft) => return Ok(wanted),
            (Some(there), Expected::Absent) if is_same(&there, draft) => return Ok(there.revision),
            (Some(_), Expected::Absent) => return Err(StoreError::Taken { what: "id" }.into()),
            (Some(there), Expected::Revision(revision)) if there.revision == revision => {}
            (None, Expected::Absent) => {}
            (_, Expected::Revision(_)) => return Err(StoreError::Conflict.into()),
        }
        for (index, key) in collection.indexes.iter().zip(&draft.keys) {
            let Some(key) = key.as_ref().filter(|_| index.is_unique) else { continue };
            let holder = handle.find_one(doc! { index.name: key }).projection(doc! { ID: 1 }).await?;
            if holder.is_some_and(|holder| holder.get_str(ID).ok() != Some(draft.id.as_str())) {
                return Err(StoreError::Taken { what: index.name }.into());
            }
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        // What was in the way is gone.
    }
    Err(StoreError::Busy.into())
}

/// See [`Collections::delete`](crate::store::Collections::delete).
pub async fn delete(
    link: &Link,
    collection: &'static Collection,
    id: &str,
    revision: Option<u64>,
) -> Result<bool, Failure> {
    let handle = handle(link, collection);
    let _lock = link.lock(collection.name, id).await;
    let mut filter = doc! { ID: id };
    if let Some(revision) = revision {
        filter.insert(REVISION, revision as i64);
    }
    if handle.delete_one(filter).await?.deleted_count > 0 {
        return Ok(true);
    }
    match revision {
        Some(_) if get(link, collection, id).await?.is_some() => Err(StoreError::Conflict.into()),
        _ => Ok(false),
    }
}

/// See [`Collections::list`](crate::store::Collections::list).
pub async fn list(link: &Link, collection: &'static Collection, query: &Query) -> Result<Found, Failure> {
    let limit = query.limit.min(MAX_PAGE);
    // To MongoDB no limit is none.
    if limit == 0 {
        return Ok(Found::new());
    }
    let field = query.index.unwrap_or(ID);
    let direction = if query.descending { -1 } else { 1 };
    let mut cursor = handle(link, collection)
        .find(doc! { field: range(query) })
        .sort(doc! { field: direction })
        .limit(limit as i64)
        .batch_size(limit as u32)
        .await?;
    let mut found = Found::new();
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let Ok(key) = document.get_str(field) else { continue };
        found.push((key.to_owned(), record(collection, &document)?));
    }
    Ok(found)
}

/// Deletes all whose keys in an index lie in a range.
pub async fn delete_range(
    link: &Link,
    collection: &'static Collection,
    index: &'static str,
    (from, until): (String, String),
) -> Result<(), Failure> {
    let query = Query { from, until, ..Query::default() };
    handle(link, collection).delete_many(doc! { index: range(&query) }).await?;
    Ok(())
}

/// The condition on the field of a query: between two texts, which leaves out what is no text.
fn range(query: &Query) -> Document {
    let mut range = Document::new();
    match (&query.after, query.descending) {
        (Some(after), false) if *after >= query.from => range.insert("$gt", after),
        _ => range.insert("$gte", &query.from),
    };
    let until = Some(&query.until).filter(|until| !until.is_empty());
    let after = query.after.as_ref().filter(|_| query.descending);
    // A cursor that somebody made up does not lead out of the list.
    let until = match (until, after) {
        (Some(until), Some(after)) => Some(until.min(after)),
        (until, after) => until.or(after),
    };
    if let Some(until) = until {
        range.insert("$lt", until);
    }
    range
}

fn whole(collection: &'static Collection, draft: &Draft, revision: u64) -> Result<Document, Failure> {
    let fields = serde_json::from_slice(&draft.document).map_err(|error| StoreError::Corrupt {
        key: format!("{}/{}", collection.name, draft.id),
        detail: error.to_string(),
    })?;
    let mut whole = doc! { ID: &draft.id, REVISION: revision as i64 };
    for (index, key) in collection.indexes.iter().zip(&draft.keys) {
        match key {
            Some(key) => drop(whole.insert(index.name, key)),
            None if index.is_unique => {
                let bytes = draft.id.as_bytes().to_vec();
                whole.insert(index.name, Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes }));
            }
            None => {}
        }
    }
    whole.insert(DOCUMENT, translate::to_document(&fields));
    Ok(whole)
}

fn record(collection: &'static Collection, found: &Document) -> Result<Record, StoreError> {
    let id = found.get_str(ID).unwrap_or_default();
    let corrupt = |detail: String| StoreError::Corrupt { key: format!("{}/{id}", collection.name), detail };
    let revision = found.get_i64(REVISION).map_err(|error| corrupt(error.to_string()))?;
    let document = found.get_document(DOCUMENT).map_err(|error| corrupt(error.to_string()))?;
    let fields = translate::from_document(document).map_err(corrupt)?;
    let json = serde_json::to_vec(&fields).map_err(|error| corrupt(error.to_string()))?;
    Ok(Record { id: id.to_owned(), revision: revision as u64, document: json.into() })
}

fn is_same(there: &Record, draft: &Draft) -> bool {
    let value = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).ok();
    value(&there.document) == value(&draft.document)
}
