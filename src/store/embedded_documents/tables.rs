//! What stands in the file: its tables, and how changes and reads go through them.
//!
//! Documents are JSON, as the domain's types write themselves: what a later server adds has a default there.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use tracing::warn;

use crate::{
    domain::{
        chat::{ChatLine, MAX_LINES},
        room::RoomRecord,
    },
    protocol::{ids::RoomKey, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Draft, Expected},
        documents::{MAX_ROOMS_A_CALL, RoomsPage, SavedRoom},
        embedded_documents::{
            collections::{self, Shelves},
            file::StoreFailure,
        },
    },
};

/// What makes a file of each version, from 1 on, one of the next: each runs once, in one transaction with the others.
/// A change that older servers would misread is one more.
const MIGRATIONS: &[Migration] = &[
    // 2: collections of documents. Rooms stay as they were.
    |transaction| collections::Shelves::open(transaction).map(drop),
];
/// The version of what this server writes.
pub const SCHEMA_VERSION: u64 = MIGRATIONS.len() as u64 + 1;

type Migration = fn(&WriteTransaction) -> Result<(), StoreFailure>;

const SCHEMA: TableDefinition<&str, u64> = TableDefinition::new("schema");
/// Records by the room's key.
const ROOMS: TableDefinition<&str, &[u8]> = TableDefinition::new("rooms");
/// Lines by the room's key and a number that grows.
const CHAT: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("chat");
/// The rooms of guests by when they were last used, in microseconds: what is to be forgotten stands in front.
const GUEST_ROOMS: TableDefinition<(u64, &str), ()> = TableDefinition::new("guest_rooms");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// A change as the writer gets it, documents encoded.
#[derive(Debug)]
pub enum Change {
    SaveRoom {
        key: RoomKey,
        document: Bytes,
        /// When it was last used, where a guest made it.
        guest_use: Option<Timestamp>,
    },
    AddLine {
        key: RoomKey,
        document: Bytes,
    },
    DeleteRoom {
        key: RoomKey,
    },
    ForgetGuestRooms {
        unused_since: Timestamp,
    },
    SaveMeta {
        key: String,
        document: Bytes,
    },
    Write {
        collection: &'static Collection,
        draft: Draft,
        expected: Expected,
    },
    Remove {
        collection: &'static Collection,
        id: String,
        revision: Option<u64>,
    },
}

impl Change {
    /// What it holds in memory while it waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::SaveRoom { document, .. } | Self::AddLine { document, .. } | Self::SaveMeta { document, .. } => {
                document.len()
            }
            Self::Write { draft, .. } => draft.document.len(),
            Self::DeleteRoom { .. } | Self::ForgetGuestRooms { .. } | Self::Remove { .. } => 0,
        }
    }
}

/// What a change comes to, once durable.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Forgotten(Vec<RoomKey>),
    Written(u64),
    Removed(bool),
    /// Nothing was changed, for a reason that lies in what is there.
    Refused(StoreError),
}

/// Makes the tables of a new file; tells whether there is something to commit.
///
/// # Errors
/// [`StoreError::Incompatible`] for a file that a newer server has written.
pub fn prepare(transaction: &WriteTransaction) -> Result<bool, StoreFailure> {
    let mut schema = transaction.open_table(SCHEMA)?;
    let found = schema.get("version")?.map(|version| version.value());
    match found {
        Some(SCHEMA_VERSION) => return Ok(false),
        Some(found) if found > SCHEMA_VERSION => {
            return Err(StoreFailure { error: StoreError::Incompatible { found, supported: SCHEMA_VERSION } });
        }
        // Reads find every table there from the first commit on.
        _ => drop(Tables::open(transaction)?),
    }
    let done = found.map_or(0, |version| version.saturating_sub(1)) as usize;
    for migration in &MIGRATIONS[done..] {
        migration(transaction)?;
    }
    schema.insert("version", SCHEMA_VERSION)?;
    Ok(true)
}

/// The tables of a write transaction, opened once for all its changes.
pub struct Tables<'t> {
    rooms: Table<'t, &'static str, &'static [u8]>,
    chat: Table<'t, (&'static str, u64), &'static [u8]>,
    guest_rooms: Table<'t, (u64, &'static str), ()>,
    meta: Table<'t, &'static str, &'static [u8]>,
    shelves: Shelves<'t>,
}

impl<'t> Tables<'t> {
    /// Opens them, made where there are none.
    pub fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreFailure> {
        Ok(Self {
            rooms: transaction.open_table(ROOMS)?,
            chat: transaction.open_table(CHAT)?,
            guest_rooms: transaction.open_table(GUEST_ROOMS)?,
            meta: transaction.open_table(META)?,
            shelves: Shelves::open(transaction)?,
        })
    }

    /// Makes one change. An error leaves the transaction fit for nothing but to be given up.
    pub fn apply(&mut self, change: &Change) -> Result<Outcome, StoreFailure> {
        match change {
            Change::SaveRoom { key, document, guest_use } => self.save_room(key.as_str(), document, *guest_use)?,
            Change::AddLine { key, document } => self.add_line(key.as_str(), document)?,
            Change::DeleteRoom { key } => self.delete_room(key.as_str())?,
            Change::ForgetGuestRooms { unused_since } => {
                return self.forget_guest_rooms(*unused_since).map(Outcome::Forgotten);
            }
            Change::SaveMeta { key, document } => {
                self.meta.insert(key.as_str(), &**document)?;
            }
            Change::Write { collection, draft, expected } => return self.shelves.write(collection, draft, *expected),
            Change::Remove { collection, id, revision } => return self.shelves.remove(collection, id, *revision),
        }
        Ok(Outcome::Done)
    }

    fn save_room(&mut self, key: &str, document: &[u8], guest_use: Option<Timestamp>) -> Result<(), StoreFailure> {
        let before = self.rooms.insert(key, document)?.and_then(|old| guest_use_of(old.value()));
        if before != guest_use {
            if let Some(used) = before {
                self.guest_rooms.remove((used.as_us(), key))?;
            }
            if let Some(used) = guest_use {
                self.guest_rooms.insert((used.as_us(), key), ())?;
            }
        }
        Ok(())
    }

    fn add_line(&mut self, key: &str, document: &[u8]) -> Result<(), StoreFailure> {
        if self.rooms.get(key)?.is_none() {
            return Ok(());
        }
        let (mut first, mut last, mut lines) = (0, 0, 0);
        for entry in self.chat.range((key, 0)..=(key, u64::MAX))? {
            let (number, line) = entry?;
            if line.value() == document {
                // A repetition, after an answer that got lost.
                return Ok(());
            }
            last = number.value().1;
            if lines == 0 {
                first = last;
            }
            lines += 1;
        }
        // One at a time: with each line the room had at most `MAX_LINES` before.
        if lines >= MAX_LINES {
            self.chat.remove((key, first))?;
        }
        self.chat.insert((key, last + 1), document)?;
        Ok(())
    }

    fn delete_room(&mut self, key: &str) -> Result<(), StoreFailure> {
        let before = self.rooms.remove(key)?.and_then(|old| guest_use_of(old.value()));
        if let Some(used) = before {
            self.guest_rooms.remove((used.as_us(), key))?;
        }
        self.chat.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
        Ok(())
    }

    fn forget_guest_rooms(&mut self, unused_since: Timestamp) -> Result<Vec<RoomKey>, StoreFailure> {
        let mut due = Vec::new();
        for entry in self.guest_rooms.range(..(unused_since.as_us(), ""))?.take(MAX_ROOMS_A_CALL) {
            let (entry, _) = entry?;
            let (used, key) = entry.value();
            due.push((used, RoomKey::from_normalised(key)));
        }
        let mut forgotten = Vec::new();
        for (used, key) in due {
            self.guest_rooms.remove((used, key.as_str()))?;
            // The record decides. An entry outlives its record where that did not decode when it was replaced.
            let record = self.rooms.get(key.as_str())?.and_then(|record| guest_use_of(record.value()));
            if record == Some(Timestamp::from_us(used)) {
                self.delete_room(key.as_str())?;
                forgotten.push(key);
            }
        }
        Ok(forgotten)
    }
}

/// When the room of this record was last used, where a guest made it. A record that does not decode has no place
/// among the guests' rooms to be removed from.
fn guest_use_of(document: &[u8]) -> Option<Timestamp> {
    let record: RoomRecord = serde_json::from_slice(document).ok()?;
    record.by_guest.then_some(record.last_used)
}

/// See [`Documents::load_room`](crate::store::Documents::load_room).
pub fn load_room(snapshot: &ReadTransaction, key: &RoomKey) -> Result<Option<SavedRoom>, StoreFailure> {
    let Some(record) = snapshot.open_table(ROOMS)?.get(key.as_str())? else { return Ok(None) };
    let record = decoded(key.as_str(), record.value())?;
    let mut chat = Vec::new();
    for entry in snapshot.open_table(CHAT)?.range((key.as_str(), 0)..=(key.as_str(), u64::MAX))? {
        let (_, line) = entry?;
        match decoded::<ChatLine>(key.as_str(), line.value()) {
            Ok(line) => chat.push(line),
            // A room without one of its lines is better than no room.
            Err(failure) => warn!(room = %key, error = %failure.error, "chat line does not decode"),
        }
    }
    Ok(Some(SavedRoom { record, chat }))
}

/// See [`Documents::list_rooms`](crate::store::Documents::list_rooms).
pub fn list_rooms(
    snapshot: &ReadTransaction,
    after: Option<&RoomKey>,
    limit: usize,
) -> Result<RoomsPage, StoreFailure> {
    use std::ops::Bound::{Excluded, Unbounded};
    let table = snapshot.open_table(ROOMS)?;
    let from = after.map_or(Unbounded, |key| Excluded(key.as_str()));
    let mut page = RoomsPage::default();
    let mut last = None;
    for (i, entry) in table.range::<&str>((from, Unbounded))?.enumerate() {
        if i == limit {
            page.next = last;
            break;
        }
        let (key, record) = entry?;
        match decoded(key.value(), record.value()) {
            Ok(record) => page.rooms.push(record),
            // The others are to be listed all the same.
            Err(failure) => warn!(room = key.value(), error = %failure.error, "room record does not decode"),
        }
        last = Some(RoomKey::from_normalised(key.value()));
    }
    Ok(page)
}

/// See [`Documents::load_meta`](crate::store::Documents::load_meta).
pub fn load_meta(snapshot: &ReadTransaction, key: &str) -> Result<Option<Bytes>, StoreFailure> {
    let document = snapshot.open_table(META)?.get(key)?;
    Ok(document.map(|document| Bytes::copy_from_slice(document.value())))
}

/// See [`Documents::list_meta`](crate::store::Documents::list_meta).
pub fn list_meta(snapshot: &ReadTransaction, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreFailure> {
    use std::ops::Bound::{Excluded, Unbounded};
    let table = snapshot.open_table(META)?;
    let mut keys = Vec::new();
    for entry in table.range::<&str>((after.map_or(Unbounded, Excluded), Unbounded))?.take(limit) {
        keys.push(entry?.0.value().to_owned());
    }
    Ok(keys)
}

fn decoded<T: DeserializeOwned>(key: &str, document: &[u8]) -> Result<T, StoreFailure> {
    serde_json::from_slice(document).map_err(|error| StoreFailure::corrupt(key, &error))
}
