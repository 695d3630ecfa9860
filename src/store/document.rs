//! Documents with a type, over [`Collections`]: reading, writing, changing and listing them.

use serde::{Serialize, de::DeserializeOwned};
use tracing::warn;

use crate::store::{
    StoreError,
    collection::{Collection, Collections, Draft, Expected, Query, Record},
    key,
};

/// How often a change is tried again where others change the same document; past it, [`StoreError::Busy`].
const MAX_TRIES: usize = 32;

/// A document of a collection. A field that a later server adds has a default, so that older documents decode.
pub trait Document: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Where it is kept.
    const COLLECTION: &'static Collection;

    /// Its id there.
    fn id(&self) -> String;

    /// The keys by which the collection's indexes find it, in the order of the indexes.
    fn keys(&self) -> Vec<Option<String>>;
}

/// A document as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept<T> {
    /// For a write that relies on what was read.
    pub revision: u64,
    /// What was read.
    pub document: T,
}

/// Where a list goes on: the last key of the page before. Whoever gives one to a client signs or encodes it; what a
/// client makes up leads to another place of the same list, never out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageCursor(pub String);

/// Some documents of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPage<T> {
    /// In the list's order.
    pub documents: Vec<T>,
    /// Where to go on; none when the list is complete.
    pub next: Option<PageCursor>,
}

impl<T> Default for DocumentPage<T> {
    fn default() -> Self {
        Self { documents: Vec::new(), next: None }
    }
}

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageWish {
    /// Where to go on; none: at the beginning.
    pub after: Option<PageCursor>,
    /// How many at most.
    pub limit: usize,
}

impl PageWish {
    /// The first page, of this many.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// What a change comes to.
#[derive(Debug)]
pub enum Verdict<R> {
    /// The document is to be kept as it is now.
    Keep(R),
    /// Nothing is to be written.
    Leave(R),
}

/// A document as a store takes it.
pub fn draft<T: Document>(document: &T) -> Result<Draft, StoreError> {
    let id = document.id();
    let json = serde_json::to_vec(document).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let mut keys = document.keys();
    debug_assert_eq!(keys.len(), T::COLLECTION.indexes.len());
    for (found_by, index) in keys.iter_mut().zip(T::COLLECTION.indexes) {
        if let (Some(found_by), false) = (found_by, index.is_unique) {
            found_by.push_str(&key::key(&[&id]));
        }
    }
    let draft = Draft { id, keys, document: json.into() };
    draft.check()?;
    Ok(draft)
}

/// A record as its type.
pub fn decoded<T: Document>(record: &Record) -> Result<Kept<T>, StoreError> {
    let document = serde_json::from_slice(&record.document).map_err(|error| StoreError::Corrupt {
        key: format!("{}/{}", T::COLLECTION.name, record.id),
        detail: error.to_string(),
    })?;
    Ok(Kept { revision: record.revision, document })
}

/// The document of this id.
pub async fn get<T: Document>(store: &(impl Collections + ?Sized), id: &str) -> Result<Option<Kept<T>>, StoreError> {
    store.get(T::COLLECTION, id).await?.as_ref().map(decoded).transpose()
}

/// The document whose key in a unique index is made of these parts.
pub async fn find<T: Document>(
    store: &(impl Collections + ?Sized),
    index: &'static str,
    parts: &[&str],
) -> Result<Option<Kept<T>>, StoreError> {
    let (from, until) = key::range(parts);
    let query = Query { index: Some(index), from, until, limit: 1, ..Query::default() };
    let found = store.list(T::COLLECTION, query).await?;
    found.first().map(|(_, record)| decoded(record)).transpose()
}

/// Writes a new document; repeated with the same, it is done.
pub async fn insert<T: Document>(store: &(impl Collections + ?Sized), document: &T) -> Result<u64, StoreError> {
    store.write(T::COLLECTION, draft(document)?, Expected::Absent).await
}

/// Changes a document: reads it, lets `change` have it, and writes it where nobody has meanwhile; else from the start.
/// None where there is none.
///
/// `change` may so be called several times, each time with what is there then.
pub async fn change<T: Document, R: Send>(
    store: &(impl Collections + ?Sized),
    id: &str,
    mut change: impl FnMut(&mut T) -> Verdict<R> + Send,
) -> Result<Option<R>, StoreError> {
    for _ in 0..MAX_TRIES {
        let Some(mut kept) = get::<T>(store, id).await? else { return Ok(None) };
        match change(&mut kept.document) {
            Verdict::Leave(result) => return Ok(Some(result)),
            Verdict::Keep(result) => {
                let draft = draft(&kept.document)?;
                match store.write(T::COLLECTION, draft, Expected::Revision(kept.revision)).await {
                    Ok(_) => return Ok(Some(result)),
                    Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Err(StoreError::Busy)
}

/// Changes a document, or makes it from nothing.
pub async fn change_or_insert<T: Document, R: Send>(
    store: &(impl Collections + ?Sized),
    id: &str,
    mut make: impl FnMut() -> T + Send,
    mut change: impl FnMut(&mut T) -> Verdict<R> + Send,
) -> Result<R, StoreError> {
    for _ in 0..MAX_TRIES {
        let (mut document, expected) = match get::<T>(store, id).await? {
            Some(kept) => (kept.document, Expected::Revision(kept.revision)),
            None => (make(), Expected::Absent),
        };
        match change(&mut document) {
            Verdict::Leave(result) => return Ok(result),
            Verdict::Keep(result) => match store.write(T::COLLECTION, draft(&document)?, expected).await {
                Ok(_) => return Ok(result),
                Err(StoreError::Conflict | StoreError::Taken { what: "id" }) => {}
                Err(error) => return Err(error),
            },
        }
    }
    Err(StoreError::Busy)
}

/// A page of the documents whose keys in an index begin with these parts. One that does not decode is left out, and
/// logged: the others are to be seen all the same.
pub async fn page<T: Document>(
    store: &(impl Collections + ?Sized),
    index: Option<&'static str>,
    begins_with: &[&str],
    wish: PageWish,
    descending: bool,
) -> Result<DocumentPage<T>, StoreError> {
    let (from, until) = key::range(begins_with);
    page_between(store, Query { index, from, until, descending, ..Query::default() }, wish).await
}

/// A page of the documents of a query, whose cursor and limit the wish gives.
pub async fn page_between<T: Document>(
    store: &(impl Collections + ?Sized),
    query: Query,
    wish: PageWish,
) -> Result<DocumentPage<T>, StoreError> {
    let limit = wish.limit.clamp(1, crate::store::collection::MAX_PAGE - 1);
    let query = Query { after: wish.after.map(|cursor| cursor.0), limit: limit + 1, ..query };
    let mut found = store.list(T::COLLECTION, query).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(key, _)| PageCursor(key.clone()));
    let mut documents = Vec::with_capacity(found.len());
    for (_, record) in &found {
        match decoded(record) {
            Ok(kept) => documents.push(kept.document),
            Err(error) => warn!(%error, "document does not decode"),
        }
    }
    Ok(DocumentPage { documents, next })
}
