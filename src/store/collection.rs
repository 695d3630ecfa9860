//! Collections: documents by id, with indexes, in which each write is one document. What people's documents are kept in.
//!
//! [`Collections`] is what a store has to be able to do, and it is little: everything that is known about people is
//! built on it in [`people`](crate::store::people), once for all stores. A store sees ids, keys and JSON; it never sees
//! what in them came from a user, and what it compares is always a whole text, never a pattern or an operator.

use bytes::Bytes;

use crate::store::{
    StoreError,
    documents::MAX_DOCUMENT_BYTES,
    state::{StoreFuture, check_length},
};

/// The longest id and the longest key of an index, in bytes.
pub const MAX_INDEX_KEY_BYTES: usize = 2048;
/// How deep a document may be nested: MongoDB takes 100, and lists in lists take twice as many there.
pub const MAX_DEPTH: usize = 32;
/// The most documents that one call lists.
pub const MAX_PAGE: usize = 1000;

/// A kind of documents and how they are found.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its name in the store: never changed, like those of its indexes.
    pub name: &'static str,
    /// Its indexes.
    pub indexes: &'static [Index],
}

/// A way to find documents, besides their ids.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// Its name, unique in the collection; not `_id`, `rev` or `doc`.
    pub name: &'static str,
    /// Whether no two documents may have the same key. The keys of the others end in the document's id, so that all
    /// keys of an index differ: a key is the place of one document.
    pub is_unique: bool,
}

impl Collection {
    /// The index of this name.
    pub fn index(&self, name: &str) -> Option<&'static Index> {
        self.indexes.iter().find(|index| index.name == name)
    }
}

/// A document as a store takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its id.
    pub id: String,
    /// Its key in each index of its collection, in their order; none where it is not to be found there.
    pub keys: Vec<Option<String>>,
    /// JSON, an object.
    pub document: Bytes,
}

impl Draft {
    /// Refuses what is longer or deeper than a store takes.
    pub(in crate::store) fn check(&self) -> Result<(), StoreError> {
        check_length("id", self.id.len(), MAX_INDEX_KEY_BYTES)?;
        for key in self.keys.iter().flatten() {
            check_length("key", key.len(), MAX_INDEX_KEY_BYTES)?;
        }
        check_length("document", self.document.len(), MAX_DOCUMENT_BYTES)?;
        let depth = depth(&self.document);
        if depth > MAX_DEPTH { Err(StoreError::TooDeep { depth, limit: MAX_DEPTH }) } else { Ok(()) }
    }
}

/// How deep objects and lists of a JSON text are nested.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A document as a store gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// 1 when it is new, and one more with each change.
    pub revision: u64,
    /// JSON; the same value as was given, if perhaps not the same bytes.
    pub document: Bytes,
}

/// What a write relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// There is no document of this id.
    Absent,
    /// There is one, of this revision.
    Revision(u64),
}

/// Which documents to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// By which index; none: by their ids.
    pub index: Option<&'static str>,
    /// The least key that counts.
    pub from: String,
    /// The least key that does not; empty: all count.
    pub until: String,
    /// The key to go on from: in the direction of the list, what comes after it counts.
    pub after: Option<String>,
    /// From the greatest to the least.
    pub descending: bool,
    /// How many at most; no more than [`MAX_PAGE`], whatever it says.
    pub limit: usize,
}

/// Documents of a list, each with the key that it was found by.
pub type Found = Vec<(String, Record)>;

/// Collections in a store. A write is acknowledged once it is durable: whatever happens then, it is there.
///
/// Writes are made to be repeated: one that finds what it was to bring about is done. So a caller whose answer got lost
/// writes the same again, and of several who write the very same at once each has done it.
pub trait Collections: Send + Sync {
    /// The document of this id.
    fn get<'a>(&'a self, collection: &'static Collection, id: &'a str) -> StoreFuture<'a, Option<Record>>;

    /// Writes a document with its keys, and tells its revision. Of many writers that expect the same, one succeeds.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where its id or a unique key is another's, [`StoreError::Conflict`] where it does not have
    /// the expected revision or is gone, [`StoreError::TooLarge`].
    fn write<'a>(&'a self, collection: &'static Collection, draft: Draft, expected: Expected) -> StoreFuture<'a, u64>;

    /// Deletes a document, where it has this revision, or whatever it has; tells whether it was there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where it has another revision.
    fn delete<'a>(
        &'a self,
        collection: &'static Collection,
        id: &'a str,
        revision: Option<u64>,
    ) -> StoreFuture<'a, bool>;

    /// Lists documents in the order of their keys, which is that of their bytes.
    fn list<'a>(&'a self, collection: &'static Collection, query: Query) -> StoreFuture<'a, Found>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_objects_and_lists_and_not_of_what_texts_hold() {
        for (json, expected) in
            [("1", 0), ("{}", 1), (r#"{"a":[{"b":1}],"c":[]}"#, 3), (r#"{"[[[{":"]]\"[[[["}"#, 1), (r#"["\\",[1]]"#, 2)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }
}
