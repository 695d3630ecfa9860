//! Collections in the file: all documents in one table, and all keys of their indexes in another.
//!
//! A document stands with the keys that it was given, so that those go with it in the same transaction.

use std::ops::Bound::{self, Excluded, Included};

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::store::{
    StoreError,
    collection::{Collection, Draft, Expected, Found, MAX_PAGE, Query, Record},
    embedded_documents::{file::StoreFailure, tables::Outcome},
};

/// Documents by the collection's name and their id.
const DOCUMENTS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("documents");
/// Ids by the index (`collection.index`) and the document's key there.
const KEYS: TableDefinition<(&str, &str), &str> = TableDefinition::new("document_keys");

/// The tables of a write transaction.
pub struct Shelves<'t> {
    documents: Table<'t, (&'static str, &'static str), &'static [u8]>,
    keys: Table<'t, (&'static str, &'static str), &'static str>,
}

impl<'t> Shelves<'t> {
    /// Opens them, made where there are none.
    pub fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreFailure> {
        Ok(Self { documents: transaction.open_table(DOCUMENTS)?, keys: transaction.open_table(KEYS)? })
    }

    /// See [`Collections::write`](crate::store::Collections::write).
    pub fn write(
        &mut self,
        collection: &'static Collection,
        draft: &Draft,
        expected: Expected,
    ) -> Result<Outcome, StoreFailure> {
        let there = match self.stored(collection, &draft.id) {
            Ok(there) => there,
            Err(failure) => return refused(failure),
        };
        let revision = match (expected, &there) {
            (Expected::Absent, None) => 1,
            (Expected::Revision(expected), Some(there)) if there.revision == expected => expected + 1,
            // A repetition, after an answer that got lost.
            (Expected::Absent, Some(there)) if there.document == draft.document => {
                return Ok(Outcome::Written(there.revision));
            }
            (Expected::Revision(expected), Some(there))
                if there.revision == expected + 1 && there.document == draft.document =>
            {
                return Ok(Outcome::Written(there.revision));
            }
            (Expected::Absent, Some(_)) => return Ok(Outcome::Refused(StoreError::Taken { what: "id" })),
            (Expected::Revision(_), _) => return Ok(Outcome::Refused(StoreError::Conflict)),
        };
        // First look, then change: a refusal changes nothing, and the others of the commit are not concerned.
        for (index, key) in collection.indexes.iter().zip(&draft.keys) {
            let Some(key) = key else { continue };
            let holder = self.keys.get((path(collection, index.name).as_str(), key.as_str()))?;
            if holder.is_some_and(|holder| holder.value() != draft.id) {
                return Ok(Outcome::Refused(StoreError::Taken { what: index.name }));
            }
        }
        if let Some(there) = there {
            self.remove_keys(collection, &there.keys)?;
        }
        for (index, key) in collection.indexes.iter().zip(&draft.keys) {
            if let Some(key) = key {
                self.keys.insert((path(collection, index.name).as_str(), key.as_str()), draft.id.as_str())?;
            }
        }
        let stored = Stored { revision, keys: draft.keys.clone(), document: draft.document.clone() };
        self.documents.insert((collection.name, draft.id.as_str()), &*stored.encoded())?;
        Ok(Outcome::Written(revision))
    }

    /// See [`Collections::delete`](crate::store::Collections::delete).
    pub fn remove(
        &mut self,
        collection: &'static Collection,
        id: &str,
        revision: Option<u64>,
    ) -> Result<Outcome, StoreFailure> {
        let there = match self.stored(collection, id) {
            Ok(Some(there)) => there,
            Ok(None) => return Ok(Outcome::Removed(false)),
            Err(failure) => return refused(failure),
        };
        if revision.is_some_and(|revision| revision != there.revision) {
            return Ok(Outcome::Refused(StoreError::Conflict));
        }
        self.remove_keys(collection, &there.keys)?;
        self.documents.remove((collection.name, id))?;
        Ok(Outcome::Removed(true))
    }

    fn stored(&self, collection: &'static Collection, id: &str) -> Result<Option<Stored>, StoreFailure> {
        self.documents
            .get((collection.name, id))?
            .map(|found| Stored::decoded(found.value(), collection, id))
            .transpose()
    }

    fn remove_keys(&mut self, collection: &'static Collection, keys: &[Option<String>]) -> Result<(), StoreFailure> {
        for (index, key) in collection.indexes.iter().zip(keys) {
            if let Some(key) = key {
                self.keys.remove((path(collection, index.name).as_str(), key.as_str()))?;
            }
        }
        Ok(())
    }
}

/// One document that does not decode is its writer's trouble, and not that of the others in the commit.
fn refused(failure: StoreFailure) -> Result<Outcome, StoreFailure> {
    match failure.error {
        error @ StoreError::Corrupt { .. } => Ok(Outcome::Refused(error)),
        error => Err(StoreFailure { error }),
    }
}

/// See [`Collections::get`](crate::store::Collections::get).
pub fn get(
    snapshot: &ReadTransaction,
    collection: &'static Collection,
    id: &str,
) -> Result<Option<Record>, StoreFailure> {
    let found = snapshot.open_table(DOCUMENTS)?.get((collection.name, id))?;
    found.map(|found| Stored::decoded(found.value(), collection, id)?.record(id)).transpose()
}

/// See [`Collections::list`](crate::store::Collections::list).
pub fn list(snapshot: &ReadTransaction, collection: &'static Collection, query: &Query) -> Result<Found, StoreFailure> {
    let documents = snapshot.open_table(DOCUMENTS)?;
    let limit = query.limit.min(MAX_PAGE);
    let first = query.index.map_or_else(|| collection.name.to_owned(), |index| path(collection, index));
    // The next first part there can be.
    let beyond = format!("{first}\0");
    let Some(range) = range_of(&first, &beyond, query) else { return Ok(Found::new()) };
    let mut keys: Vec<(String, String)> = Vec::new();
    match query.index {
        None => {
            let mut range = documents.range::<(&str, &str)>(range)?;
            while let Some(entry) = take(&mut range, query.descending, limit - keys.len()) {
                let id = entry?.0.value().1.to_owned();
                keys.push((id.clone(), id));
            }
        }
        Some(_) => {
            let table = snapshot.open_table(KEYS)?;
            let mut range = table.range::<(&str, &str)>(range)?;
            while let Some(entry) = take(&mut range, query.descending, limit - keys.len()) {
                let (place, id) = entry?;
                keys.push((place.value().1.to_owned(), id.value().to_owned()));
            }
        }
    }
    let mut found = Found::with_capacity(keys.len());
    for (key, id) in keys {
        // In one snapshot, a key has its document.
        if let Some(stored) = documents.get((collection.name, id.as_str()))? {
            found.push((key, Stored::decoded(stored.value(), collection, &id)?.record(&id)?));
        }
    }
    Ok(found)
}

/// The next of a list, where there is room for it.
fn take<T>(entries: &mut impl DoubleEndedIterator<Item = T>, descending: bool, room: usize) -> Option<T> {
    match (room, descending) {
        (0, _) => None,
        (_, true) => entries.next_back(),
        (_, false) => entries.next(),
    }
}

type KeyRange<'a> = (Bound<(&'a str, &'a str)>, Bound<(&'a str, &'a str)>);

/// The range of a query in a table whose first part is this, which `beyond` follows; none where nothing can be in it.
fn range_of<'a>(first: &'a str, beyond: &'a str, query: &'a Query) -> Option<KeyRange<'a>> {
    let mut from = Included((first, query.from.as_str()));
    let mut until = match query.until.as_str() {
        "" => (beyond, ""),
        until => (first, until),
    };
    // A cursor that somebody made up does not lead out of the list.
    match query.after.as_deref() {
        Some(after) if query.descending => until = until.min((first, after)),
        Some(after) if after >= query.from.as_str() => from = Excluded((first, after)),
        _ => {}
    }
    // redb panics where a range ends before it begins.
    let (Included(least) | Excluded(least)) = from else { return None };
    (least < until).then_some((from, Excluded(until)))
}

fn path(collection: &'static Collection, index: &str) -> String {
    format!("{}.{index}", collection.name)
}

/// A document as it stands in the table: revision, length of the keys, keys as JSON, document.
struct Stored {
    revision: u64,
    keys: Vec<Option<String>>,
    document: Bytes,
}

impl Stored {
    fn encoded(&self) -> Vec<u8> {
        let keys = serde_json::to_vec(&self.keys).unwrap_or_default();
        let mut bytes = Vec::with_capacity(12 + keys.len() + self.document.len());
        bytes.extend(self.revision.to_le_bytes());
        bytes.extend((keys.len() as u32).to_le_bytes());
        bytes.extend(keys);
        bytes.extend(&*self.document);
        bytes
    }

    fn decoded(bytes: &[u8], collection: &'static Collection, id: &str) -> Result<Self, StoreFailure> {
        let corrupt = |detail: &str| {
            let key = format!("{}/{id}", collection.name);
            StoreFailure { error: StoreError::Corrupt { key, detail: detail.to_owned() } }
        };
        let (revision, rest) = bytes.split_first_chunk().ok_or_else(|| corrupt("it is too short"))?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(|| corrupt("it is too short"))?;
        let (keys, document) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| corrupt("it is too short"))?;
        let keys = serde_json::from_slice(keys).map_err(|error| corrupt(&error.to_string()))?;
        Ok(Self { revision: u64::from_le_bytes(*revision), keys, document: Bytes::copy_from_slice(document) })
    }

    fn record(self, id: &str) -> Result<Record, StoreFailure> {
        Ok(Record { id: id.to_owned(), revision: self.revision, document: self.document })
    }
}
