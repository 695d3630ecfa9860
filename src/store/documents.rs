//! Documents: the truth. Saved rooms with their settings, bans, mutes and chat, and server-wide settings.
//!
//! The trait says what every implementation does; `contract::documents` holds the tests that each must pass.

use bytes::Bytes;

use crate::{
    domain::{
        chat::ChatLine,
        room::{RoomChange, RoomRecord},
    },
    protocol::{ids::RoomKey, time::Timestamp},
    store::state::StoreFuture,
};

/// The longest document, in bytes as it is kept; a record of a room as well as a meta document.
pub const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;
/// The most rooms that one call lists or forgets.
pub const MAX_ROOMS_A_CALL: usize = 1000;

/// What is kept. A change is acknowledged once it is durable: whatever happens then, it is there.
///
/// Changes are made to be repeated: saving the same twice is as saving it once.
pub trait Documents: Send + Sync {
    /// A saved room with its chat; `None` where there is none.
    fn load_room<'a>(&'a self, key: &'a RoomKey) -> StoreFuture<'a, Option<SavedRoom>>;

    /// Makes a change; ready once it is durable.
    ///
    /// It takes its place when this is called, not when the future is awaited: changes that one caller makes one
    /// after the other happen in that order. A line of a room that is not saved is dropped, for there is nothing
    /// that it could come back with.
    fn save(&self, change: RoomChange) -> StoreFuture<'static, ()>;

    /// Saved rooms in order of their keys, from the one after `after` on; at most `limit` and [`MAX_ROOMS_A_CALL`].
    fn list_rooms<'a>(&'a self, after: Option<&'a RoomKey>, limit: usize) -> StoreFuture<'a, RoomsPage>;

    /// Deletes rooms made by guests and last used before this time, and tells which; at most
    /// [`MAX_ROOMS_A_CALL`] at a time.
    fn forget_guest_rooms(&self, unused_since: Timestamp) -> StoreFuture<'_, Vec<RoomKey>>;

    /// A document of server-wide settings.
    fn load_meta<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// The keys of such documents in their order, from the one after `after` on; at most `limit` and
    /// [`MAX_ROOMS_A_CALL`].
    fn list_meta<'a>(&'a self, after: Option<&'a str>, limit: usize) -> StoreFuture<'a, Vec<String>>;

    /// Keeps a document of server-wide settings, in the place of what was there; ready once it is durable.
    fn save_meta<'a>(&'a self, key: &'a str, document: Bytes) -> StoreFuture<'a, ()>;

    /// Whether the store takes changes now, for the health report.
    fn check(&self) -> StoreFuture<'_, ()>;

    /// Handles what was asked before, and gives up the store; what is asked later is refused as unavailable.
    fn close(&self) -> StoreFuture<'_, ()>;
}

/// A room as it comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedRoom {
    /// Everything but its chat.
    pub record: RoomRecord,
    /// Its last lines, oldest first; at most [`MAX_LINES`](crate::domain::chat::MAX_LINES).
    pub chat: Vec<ChatLine>,
}

/// Some of the saved rooms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomsPage {
    /// In order of their keys.
    pub rooms: Vec<RoomRecord>,
    /// Where to go on; none when the list is complete.
    pub next: Option<RoomKey>,
}
