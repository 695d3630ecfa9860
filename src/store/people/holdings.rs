//! Everything that is one user's, in all collections: to be given to it, or erased.

use std::future::Future;

use serde_json::Value;

use crate::{
    domain::{chat::ChatLine, room::RoomRecord},
    protocol::ids::{RoomKey, UserId},
    store::{
        StoreError,
        collection::{Collection, Collections, MAX_PAGE, Query, Record},
        documents::{Documents, SavedRoom},
        key,
        people::{audit, avatar, credential, friendship, preferences, private_message, report, session, user},
    },
};

/// What of credentials and sessions is not told to anybody, the user included: proofs, not facts.
const SECRETS: &[&str] = &["hash", "token", "spent"];
/// Documents of a page.
const PAGE: usize = 100;

/// Where a user's documents stand in a collection.
struct Place {
    collection: &'static Collection,
    found: FoundBy,
    /// Whether it goes with its user. What others rely on (reports, what moderators did) stays.
    is_erased: bool,
}

enum FoundBy {
    /// The document's id is the user's.
    Id,
    /// Keys of this index begin with the user.
    Index(&'static str),
}

/// In the order in which they are erased: what leads to the others goes last, so that an erasure that was interrupted
/// can be repeated.
static PLACES: &[Place] = &[
    Place { collection: &session::COLLECTION, found: FoundBy::Index(session::BY_USER), is_erased: true },
    Place { collection: &credential::COLLECTION, found: FoundBy::Index(credential::BY_USER), is_erased: true },
    Place { collection: &friendship::COLLECTION, found: FoundBy::Index(friendship::BY_FIRST), is_erased: true },
    Place { collection: &friendship::COLLECTION, found: FoundBy::Index(friendship::BY_SECOND), is_erased: true },
    Place {
        collection: &private_message::COLLECTION,
        found: FoundBy::Index(private_message::BY_SENDER),
        is_erased: true,
    },
    Place {
        collection: &private_message::COLLECTION,
        found: FoundBy::Index(private_message::BY_RECIPIENT),
        is_erased: true,
    },
    Place { collection: &report::COLLECTION, found: FoundBy::Index(report::BY_REPORTER), is_erased: false },
    Place { collection: &audit::COLLECTION, found: FoundBy::Index(audit::BY_ACTOR), is_erased: false },
    Place { collection: &preferences::COLLECTION, found: FoundBy::Id, is_erased: true },
    Place { collection: &avatar::COLLECTION, found: FoundBy::Id, is_erased: true },
    Place { collection: &user::COLLECTION, found: FoundBy::Id, is_erased: true },
];

/// One document of a user's.
#[derive(Clone, Debug, PartialEq)]
pub struct Holding {
    /// Its collection.
    pub collection: &'static str,
    /// What it says, without what proves who the user is.
    pub document: Value,
}

/// Where an export goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldingsCursor {
    place: usize,
    after: Option<String>,
}

/// What a user has in rooms: those that it owns, and what it said that they remember.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InRooms {
    /// Its own.
    pub rooms: Vec<RoomRecord>,
    /// Its lines, oldest first in each room.
    pub lines: Vec<(RoomKey, ChatLine)>,
}

/// Some of what a user has in saved rooms, and where to go on; none when that was all. Each call looks through `limit`
/// rooms, whosever they are: rooms are not indexed by who speaks in them.
pub async fn in_rooms(
    store: &(impl Documents + ?Sized),
    user: &UserId,
    after: Option<&RoomKey>,
    limit: usize,
) -> Result<(InRooms, Option<RoomKey>), StoreError> {
    let page = store.list_rooms(after, limit).await?;
    let mut found = InRooms::default();
    for room in page.rooms {
        // It may have been deleted since it was listed.
        let Some(SavedRoom { record, chat }) = store.load_room(&room.key).await? else { continue };
        let lines = chat.into_iter().filter(|line| line.user_id == *user);
        found.lines.extend(lines.map(|line| (room.key.clone(), line)));
        if record.owner.as_ref() == Some(user) {
            found.rooms.push(record);
        }
    }
    Ok((found, page.next))
}

/// What is done with all that is a user's.
pub trait Holdings: Collections {
    /// Some of a user's documents, and where to go on; none when that was all.
    fn holdings(
        &self,
        user: &UserId,
        cursor: HoldingsCursor,
    ) -> impl Future<Output = Result<(Vec<Holding>, Option<HoldingsCursor>), StoreError>> + Send {
        async move {
            let Some(place) = PLACES.get(cursor.place) else { return Ok((Vec::new(), None)) };
            let found = find(self, place, user, cursor.after).await?;
            let next = match found.last() {
                Some((key, _)) if found.len() == PAGE => {
                    HoldingsCursor { place: cursor.place, after: Some(key.clone()) }
                }
                _ => HoldingsCursor { place: cursor.place + 1, after: None },
            };
            let holdings = found.iter().map(|(_, record)| {
                let mut document = serde_json::from_slice(&record.document).unwrap_or(Value::Null);
                if matches!(place.collection.name, "credentials" | "sessions") {
                    withhold(&mut document);
                }
                Holding { collection: place.collection.name, document }
            });
            Ok((holdings.collect(), (next.place < PLACES.len()).then_some(next)))
        }
    }

    /// Erases a user with all that is its own. Many writes: where it fails half way, it may be repeated until it is whole,
    /// for the account itself goes last.
    fn erase(&self, user: &UserId) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            for place in PLACES.iter().filter(|place| place.is_erased) {
                loop {
                    let found = find(self, place, user, None).await?;
                    for (_, record) in &found {
                        self.delete(place.collection, &record.id, None).await?;
                    }
                    if found.len() < PAGE {
                        break;
                    }
                }
            }
            Ok(())
        }
    }
}

impl<S: Collections + ?Sized> Holdings for S {}

async fn find(
    store: &(impl Collections + ?Sized),
    place: &Place,
    user: &UserId,
    after: Option<String>,
) -> Result<Vec<(String, Record)>, StoreError> {
    const { assert!(PAGE < MAX_PAGE) };
    match place.found {
        FoundBy::Id => {
            let record = store.get(place.collection, user.as_str()).await?;
            Ok(record.into_iter().map(|record| (record.id.clone(), record)).collect())
        }
        FoundBy::Index(index) => {
            let (from, until) = key::range(&[user.as_str()]);
            let query = Query { index: Some(index), from, until, after, descending: false, limit: PAGE };
            store.list(place.collection, query).await
        }
    }
}

/// Takes secrets out.
fn withhold(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            fields.retain(|name, _| !SECRETS.contains(&name.as_str()));
            fields.values_mut().for_each(withhold);
        }
        Value::Array(values) => values.iter_mut().for_each(withhold),
        _ => {}
    }
}
