//! The directory of rooms, in the state store: what is listed, and which lobby has room.
//!
//! Each room's shard writes its entry when it changes, and again before it expires; a room whose server has vanished is
//! gone from the list with it. The directory may lag by some hundred milliseconds: nobody relies on it for more than a hint.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{
    actor::moment::Moment,
    domain::{lobby, room::RoomSummary, room_settings::RoomKind},
    protocol::{
        ids::RoomKey,
        wire::{RoomInfo, RoomList},
    },
    store::{State, StoreError},
};

const PREFIX: &str = "room:";
/// How long an entry stands without being written again.
const ENTRY_TTL: Duration = Duration::from_secs(60);
/// Entries read at once.
const SCAN: usize = 500;
/// Rooms that one list looks at: past it the list is cut, and the rooms are many anyway.
const SCAN_MAX: usize = 20_000;

#[derive(Serialize, Deserialize)]
struct Entry {
    kind: RoomKind,
    is_listed: bool,
    free_seats: u32,
    info: RoomInfo,
}

/// How old a list may be that is given again: many ask for it at once, and each scan reads all of it.
const LIST_AGE: Duration = Duration::from_millis(200);

/// The directory.
pub struct Directory {
    state: Arc<dyn State>,
    /// The listed rooms, sorted, and when they were read.
    list: Mutex<Option<(Moment, Arc<[Entry]>)>>,
}

impl Directory {
    /// A directory in this store.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, list: Mutex::new(None) }
    }

    /// Writes a room's entry. A store that is away costs the list this entry, nobody a note.
    pub async fn write(&self, summary: RoomSummary) -> Result<(), StoreError> {
        let RoomSummary { key, kind, is_listed, free_seats, info } = summary;
        let entry = Entry { kind, is_listed, free_seats, info };
        let json = serde_json::to_vec(&entry).expect("an entry has names for its keys");
        let written = self.state.set(&entry_key(&key), json.into(), Some(ENTRY_TTL)).await;
        written.inspect_err(|error| tracing::debug!(room = %key, %error, "a directory entry was not written"))
    }

    /// Takes a room's entry out.
    pub async fn erase(&self, room: &RoomKey) -> Result<(), StoreError> {
        let erased = self.state.delete(&entry_key(room)).await.map(drop);
        erased.inspect_err(|error| tracing::debug!(%room, %error, "a directory entry was not erased; it expires"))
    }

    /// The lowest lobby with room, as far as is known.
    pub async fn pick_lobby(&self) -> Result<u32, StoreError> {
        let entries = self.entries("room:lobby").await?;
        let known = entries.into_iter().filter(|entry| entry.kind == RoomKind::Lobby).filter_map(|entry| {
            let number = lobby::lobby_number(&RoomKey::from_normalised(&entry.info.room_id))?;
            Some((number, entry.free_seats))
        });
        Ok(lobby::choose_lobby(known))
    }

    /// A page of the listed rooms: lobbies first, by number, then the fullest. `now` is when it is asked for.
    pub async fn page(
        &self,
        page: u32,
        limit: u32,
        kind: Option<RoomKind>,
        now: Moment,
    ) -> Result<RoomList, StoreError> {
        let list = self.listed(now).await?;
        let of_kind = || list.iter().filter(|entry| kind.is_none_or(|kind| entry.kind == kind));
        let skip = (page.saturating_sub(1) as usize).saturating_mul(limit as usize);
        let rooms = of_kind().skip(skip).take(limit as usize).map(|entry| entry.info.clone()).collect();
        Ok(RoomList { rooms, page, limit, total: of_kind().count() as u32 })
    }

    /// The listed rooms in their order, at most [`LIST_AGE`] old. Who comes while they are read waits for that reading.
    async fn listed(&self, now: Moment) -> Result<Arc<[Entry]>, StoreError> {
        let mut list = self.list.lock().await;
        if let Some((read_at, entries)) = &*list
            && now.since(*read_at) < LIST_AGE
        {
            return Ok(entries.clone());
        }
        let mut entries = self.entries(PREFIX).await?;
        entries.retain(|entry| entry.is_listed);
        entries.sort_by_cached_key(|entry| {
            let number = lobby::lobby_number(&RoomKey::from_normalised(&entry.info.room_id));
            let rank = number.map_or(u64::MAX, u64::from);
            (rank, std::cmp::Reverse(entry.info.user_count), entry.info.room_id.clone())
        });
        let entries: Arc<[Entry]> = entries.into();
        *list = Some((now, entries.clone()));
        Ok(entries)
    }

    async fn entries(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.state.scan(prefix, cursor, SCAN).await?;
            // What an older server wrote may not decode; it expires.
            entries.extend(page.entries.iter().filter_map(|(_, json)| serde_json::from_slice::<Entry>(json).ok()));
            cursor = page.next;
            if cursor.is_none() || entries.len() >= SCAN_MAX {
                return Ok(entries);
            }
        }
    }
}

fn entry_key(room: &RoomKey) -> String {
    format!("{PREFIX}{room}")
}
