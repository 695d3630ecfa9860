//! Everything in a store as JSON lines, and back: how documents move from one kind of store to another.
//!
//! ```text
//! {"pianorhythm_export":1}
//! {"collection":"users","document":{…}}
//! {"room":{…},"chat":[{…},…]}
//! {"meta":"motd","base64":"…"}
//! {"end":3}
//! ```
//!
//! Documents are read page by page, each once: a store that changes meanwhile is not told of as it was at one moment. An
//! import may be repeated, after an interruption too: what is there already, and is the same, is passed over. The last
//! line tells a file that is whole from one that was cut off.

use std::io::{self, BufRead, Read as _, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::{
    domain::{
        chat::ChatLine,
        room::{RoomChange, RoomRecord},
    },
    store::{
        Store, StoreError,
        collection::{Collection, Expected, Query},
        documents::{MAX_DOCUMENT_BYTES, SavedRoom},
        people,
    },
};

/// The version of the lines. One that older servers would misread is one more.
const FORMAT: u64 = 1;
/// Documents of a page; fewer of those that are large.
const PAGE: usize = 200;
const LARGE_PAGE: usize = 10;
/// The longest line: a room with its chat, or a document, with what goes around it.
const MAX_LINE_BYTES: u64 = 4 * MAX_DOCUMENT_BYTES as u64;

/// Why a transfer ended before its end.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A line is not one of an export.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// The file ends before its end.
    #[error("the file ends after {line} lines and before its end: it was cut off; what was read of it is there")]
    CutOff {
        /// How many there are.
        line: u64,
    },
}

/// What a transfer has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Documents that were written; to a file or to a store.
    pub written: u64,
    /// Documents that the store had already.
    pub same: u64,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Begin { pianorhythm_export: u64 },
    Document { collection: String, document: Value },
    Room { room: Box<RoomRecord>, chat: Vec<ChatLine> },
    Meta { meta: String, base64: String },
    End { end: u64 },
}

/// Writes everything in a store.
///
/// # Errors
/// Also for a document that does not decode: an export leaves nothing out.
pub async fn export(store: &dyn Store, out: &mut impl Write) -> Result<Transferred, TransferError> {
    let mut done = Transferred::default();
    let mut put = |line: &Line| -> Result<(), TransferError> {
        serde_json::to_writer(&mut *out, line).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(())
    };
    put(&Line::Begin { pianorhythm_export: FORMAT })?;
    for collection in people::COLLECTIONS {
        let mut after = None;
        let limit = if collection.name == "avatars" { LARGE_PAGE } else { PAGE };
        loop {
            let found = store.list(collection, Query { after, limit, ..Query::default() }).await?;
            for (id, record) in &found {
                let document = serde_json::from_slice(&record.document).map_err(|error| StoreError::Corrupt {
                    key: format!("{}/{id}", collection.name),
                    detail: error.to_string(),
                })?;
                put(&Line::Document { collection: collection.name.to_owned(), document })?;
                done.written += 1;
            }
            match found.last() {
                Some((id, _)) => after = Some(id.clone()),
                None => break,
            }
        }
    }
    let mut after = None;
    loop {
        let page = store.list_rooms(after.as_ref(), PAGE).await?;
        for room in page.rooms {
            // It may have been deleted since it was listed.
            let Some(SavedRoom { record, chat }) = store.load_room(&room.key).await? else { continue };
            put(&Line::Room { room: Box::new(record), chat })?;
            done.written += 1;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut after = None;
    loop {
        let keys = store.list_meta(after.as_deref(), PAGE).await?;
        for key in &keys {
            let Some(document) = store.load_meta(key).await? else { continue };
            put(&Line::Meta { meta: key.clone(), base64: STANDARD.encode(document) })?;
            done.written += 1;
        }
        match keys.last() {
            Some(key) => after = Some(key.clone()),
            None => break,
        }
    }
    put(&Line::End { end: done.written })?;
    out.flush()?;
    Ok(done)
}

/// Reads an export into a store. What is there under the same id and is another is left, and ends the import, except where
/// it is to be overwritten.
pub async fn import(
    store: &dyn Store,
    input: &mut impl BufRead,
    overwrite: bool,
) -> Result<Transferred, TransferError> {
    let (mut done, mut number, mut is_begun) = (Transferred::default(), 0, false);
    loop {
        let mut text = String::new();
        if input.take(MAX_LINE_BYTES).read_line(&mut text)? == 0 {
            return Err(TransferError::CutOff { line: number });
        }
        number += 1;
        let wrong = |reason: String| TransferError::Line { line: number, reason };
        let line = serde_json::from_str(&text).map_err(|error| match text.ends_with('\n') {
            true => wrong(format!("it is not one of an export: {error}")),
            false => TransferError::CutOff { line: number - 1 },
        })?;
        if !is_begun && !matches!(line, Line::Begin { .. }) {
            return Err(wrong("the file is no export: it does not begin as one".to_owned()));
        }
        let is_new = match line {
            Line::Begin { pianorhythm_export: FORMAT } => {
                is_begun = true;
                continue;
            }
            Line::Begin { pianorhythm_export } => {
                return Err(wrong(format!(
                    "the export has format {pianorhythm_export}, and this server knows {FORMAT}"
                )));
            }
            Line::End { end } if end == done.written + done.same => return Ok(done),
            Line::End { end } => {
                return Err(wrong(format!("{end} documents were exported, and {} are here", done.written + done.same)));
            }
            Line::Document { collection, document } => {
                import_document(store, &collection, &document, overwrite).await.map_err(|error| error.at(number))?
            }
            Line::Room { room, chat } => {
                import_room(store, room, chat, overwrite).await.map_err(|error| error.at(number))?
            }
            Line::Meta { meta, base64 } => {
                let document = STANDARD.decode(base64).map_err(|error| wrong(error.to_string()))?;
                let there = store.load_meta(&meta).await?;
                if there.as_deref() == Some(&*document) {
                    false
                } else if there.is_some() && !overwrite {
                    return Err(wrong(differs("the meta document", &meta)));
                } else {
                    store.save_meta(&meta, document.into()).await?;
                    true
                }
            }
        };
        if is_new {
            done.written += 1;
        } else {
            done.same += 1;
        }
    }
}

/// What is wrong with a document, before it is known where it stands.
enum Refusal {
    Store(StoreError),
    Reason(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Refusal {
    fn at(self, line: u64) -> TransferError {
        match self {
            Self::Store(error) => error.into(),
            Self::Reason(reason) => TransferError::Line { line, reason },
        }
    }
}

fn differs(what: &str, id: &str) -> String {
    format!("{what} {id:?} is in the store already, and is another; --overwrite takes the file's")
}

/// Tells whether it was new.
async fn import_document(store: &dyn Store, name: &str, document: &Value, overwrite: bool) -> Result<bool, Refusal> {
    let collection: Option<&'static Collection> = people::COLLECTIONS.iter().copied().find(|there| there.name == name);
    let Some(collection) = collection else { return Err(Refusal::Reason(format!("no collection is named {name:?}"))) };
    let json = serde_json::to_vec(document).map_err(|error| Refusal::Reason(error.to_string()))?;
    let draft = people::redraft(collection, json.into())
        .map_err(|error| Refusal::Reason(format!("it is none of the {name}: {error}")))?;
    let expected = match store.get(collection, &draft.id).await? {
        None => Expected::Absent,
        Some(there) if serde_json::from_slice::<Value>(&there.document).ok().as_ref() == Some(document) => {
            return Ok(false);
        }
        Some(there) if overwrite => Expected::Revision(there.revision),
        Some(_) => return Err(Refusal::Reason(differs("of the ", name) + &format!(" ({:?})", draft.id))),
    };
    match store.write(collection, draft, expected).await {
        Ok(_) => Ok(true),
        Err(StoreError::Taken { what }) => {
            Err(Refusal::Reason(format!("another document of the {name} in the store has the same {what}")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn import_room(
    store: &dyn Store,
    room: Box<RoomRecord>,
    chat: Vec<ChatLine>,
    overwrite: bool,
) -> Result<bool, Refusal> {
    let there = store.load_room(&room.key).await?;
    let key = room.key.clone();
    if let Some(there) = &there {
        if there.record == *room && there.chat == chat {
            return Ok(false);
        }
        // Its lines may be missing yet, after an interruption: those are no difference.
        let is_part = there.record == *room && chat.starts_with(&there.chat);
        if !is_part && !overwrite {
            return Err(Refusal::Reason(differs("the room", key.as_str())));
        }
        if !is_part {
            store.save(RoomChange::Delete(key.clone())).await?;
        }
    }
    store.save(RoomChange::Save(room)).await?;
    for line in chat {
        store.save(RoomChange::Chat { key: key.clone(), line }).await?;
    }
    Ok(true)
}
