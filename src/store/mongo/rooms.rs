//! Saved rooms and their chat, each a document of its own: a line that is added writes that line.
//!
//! A room's changes are carried out one after the other, by the [lane](super::lanes) of its key. A room that is made
//! finds no lines left over from one of its name before, and one that is deleted loses its lines after its record: so an
//! interruption between the two leaves nothing that could come back.

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    domain::{
        chat::{ChatLine, MAX_LINES},
        room::{RoomChange, RoomRecord},
    },
    protocol::ids::RoomKey,
    store::{
        StoreError,
        collection::{Collection, Expected, Index, Query},
        document::{Document, decoded, draft},
        documents::{RoomsPage, SavedRoom},
        key,
        mongo::{
            link::{Failure, Link},
            records,
        },
    },
};

/// The rooms of guests by when they were last used.
pub const BY_GUEST_USE: &str = "by_guest_use";
const BY_ROOM: &str = "by_room";
const BY_USER: &str = "by_user";

/// Records of rooms.
pub static ROOMS: Collection = Collection { name: "rooms", indexes: &[Index { name: BY_GUEST_USE, is_unique: false }] };

/// Lines of chat.
pub static CHAT: Collection = Collection {
    name: "chat",
    indexes: &[Index { name: BY_ROOM, is_unique: true }, Index { name: BY_USER, is_unique: false }],
};

/// With every so many lines of a room, those that it does not remember any more are deleted.
const TRIM_EVERY: u64 = 32;
/// How often a change is tried again that met another server's. Each time one of those who meet gets through; a call's time
/// is over sooner than this, as a rule.
const MAX_TRIES: usize = 64;

impl Document for RoomRecord {
    const COLLECTION: &'static Collection = &ROOMS;

    fn id(&self) -> String {
        self.key.as_str().into()
    }

    fn keys(&self) -> Vec<Option<String>> {
        vec![self.by_guest.then(|| key::key(&[&key::time(self.last_used)]))]
    }
}

/// A line with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptLine {
    room: RoomKey,
    /// From 1, in the order in which they were said.
    number: u64,
    line: ChatLine,
}

impl KeptLine {
    fn id_of(room: &RoomKey, line: &ChatLine) -> String {
        key::key(&[room.as_str(), &line.message_id])
    }
}

impl Document for KeptLine {
    const COLLECTION: &'static Collection = &CHAT;

    fn id(&self) -> String {
        Self::id_of(&self.room, &self.line)
    }

    fn keys(&self) -> Vec<Option<String>> {
        vec![
            Some(key::key(&[self.room.as_str(), &key::number(self.number)])),
            Some(key::key(&[self.line.user_id.as_str(), &format!("{:020}", self.line.time_ms.max(0))])),
        ]
    }
}

/// A saved room with its chat.
pub async fn load(link: &Link, room: &RoomKey) -> Result<Option<SavedRoom>, Failure> {
    let Some(record) = records::get(link, &ROOMS, room.as_str()).await? else { return Ok(None) };
    let record = decoded::<RoomRecord>(&record)?.document;
    let mut chat: Vec<_> = last_lines(link, room, MAX_LINES).await?.into_iter().map(|kept| kept.line).collect();
    chat.reverse();
    Ok(Some(SavedRoom { record, chat }))
}

/// Records in order of their keys.
pub async fn list(link: &Link, after: Option<RoomKey>, limit: usize) -> Result<RoomsPage, Failure> {
    let after = after.map(|key| key.as_str().to_owned());
    let mut found = records::list(link, &ROOMS, &Query { after, limit: limit + 1, ..Query::default() }).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|(key, _)| RoomKey::from_normalised(key));
    let rooms = found.iter().filter_map(|(key, record)| match decoded::<RoomRecord>(record) {
        Ok(kept) => Some(kept.document),
        Err(error) => {
            warn!(room = key, %error, "room record does not decode");
            None
        }
    });
    Ok(RoomsPage { rooms: rooms.collect(), next })
}

/// Carries a change out.
pub async fn apply(link: &Link, change: RoomChange) -> Result<(), Failure> {
    match change {
        RoomChange::Save(record) => save(link, &record).await,
        RoomChange::Chat { key, line } => add_line(link, key, line).await,
        RoomChange::Delete(room) => delete(link, &room, None).await.map(drop),
    }
}

async fn save(link: &Link, record: &RoomRecord) -> Result<(), Failure> {
    let draft = draft(record)?;
    for _ in 0..MAX_TRIES {
        let expected = match records::get(link, &ROOMS, &draft.id).await? {
            Some(there) => Expected::Revision(there.revision),
            None => {
                delete_lines(link, &record.key).await?;
                Expected::Absent
            }
        };
        match records::write(link, &ROOMS, &draft, expected).await {
            Err(Failure::Store(StoreError::Conflict | StoreError::Taken { .. })) => {}
            written => return written.map(drop),
        }
    }
    Err(StoreError::Busy.into())
}

async fn add_line(link: &Link, room: RoomKey, line: ChatLine) -> Result<(), Failure> {
    if records::get(link, &ROOMS, room.as_str()).await?.is_none() {
        return Ok(());
    }
    let mut kept = KeptLine { room, number: 0, line };
    for _ in 0..MAX_TRIES {
        // A repetition, after an answer that got lost.
        if records::get(link, &CHAT, &kept.id()).await?.is_some() {
            return Ok(());
        }
        kept.number = last_lines(link, &kept.room, 1).await?.first().map_or(0, |last| last.number) + 1;
        match records::write(link, &CHAT, &draft(&kept)?, Expected::Absent).await {
            // Another server has added one.
            Err(Failure::Store(StoreError::Taken { .. })) => {}
            Err(failure) => return Err(failure),
            Ok(_) => {
                if kept.number.is_multiple_of(TRIM_EVERY) {
                    trim(link, &kept.room, kept.number).await;
                }
                return Ok(());
            }
        }
    }
    Err(StoreError::Busy.into())
}

/// Deletes the lines that a room does not remember any more. The next time will do where it fails.
async fn trim(link: &Link, room: &RoomKey, last: u64) {
    let (from, _) = key::range(&[room.as_str()]);
    let until = key::key(&[room.as_str(), &key::number((last + 1).saturating_sub(MAX_LINES as u64))]);
    if let Err(failure) = records::delete_range(link, &CHAT, BY_ROOM, (from, until)).await {
        warn!(%room, error = %failure.into_store(), "old chat lines could not be deleted");
    }
}

/// Deletes a room with its lines, where it has this revision; tells whether it was there.
pub async fn delete(link: &Link, room: &RoomKey, revision: Option<u64>) -> Result<bool, Failure> {
    let was_there = records::delete(link, &ROOMS, room.as_str(), revision).await?;
    delete_lines(link, room).await?;
    Ok(was_there)
}

async fn delete_lines(link: &Link, room: &RoomKey) -> Result<(), Failure> {
    records::delete_range(link, &CHAT, BY_ROOM, key::range(&[room.as_str()])).await
}

/// The last lines of a room, newest first. One that does not decode is left out: a room without one of its lines is
/// better than no room.
async fn last_lines(link: &Link, room: &RoomKey, limit: usize) -> Result<Vec<KeptLine>, Failure> {
    let (from, until) = key::range(&[room.as_str()]);
    let query = Query { index: Some(BY_ROOM), from, until, descending: true, limit, ..Query::default() };
    let found = records::list(link, &CHAT, &query).await?;
    Ok(found
        .iter()
        .filter_map(|(_, record)| match decoded::<KeptLine>(record) {
            Ok(kept) => Some(kept.document),
            Err(error) => {
                warn!(%room, %error, "chat line does not decode");
                None
            }
        })
        .collect())
}
