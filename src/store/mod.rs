//! Layer 3: stores. What the server keeps, behind traits: state with an embedded implementation, documents with two.
//!
//! - [`state`]: live state, which may be lost. [`EmbeddedState`] is an actor around the pure [`expiring_map`].
//! - Documents are the truth: [`EmbeddedDocuments`] is one redb file and the thread that writes it, [`MongoDocuments`]
//!   a MongoDB. Both are
//!   - [`documents`]: saved rooms and their chat, and
//!   - [`collection`]: documents by id and index, on which [`people`] builds all that is kept about people, by way of
//!     [`document`] (their types) and [`key`] (their order).
//! - [`transfer`]: everything in a store of documents as JSON lines, and back.
//! - [`DataDir`]: the folder that one server at a time owns, and the secrets in it.
//! - `contract` (in tests, or with the feature of that name): what every implementation of a trait must do, as tests.
//!
//! Everything here runs on the tokio side; shards reach it by messages. A store that is away or overloaded
//! answers with a [`StoreError`] within its time: it never blocks whom it serves.

pub mod collection;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod data_dir;
pub mod document;
pub mod documents;
pub mod embedded_documents;
mod embedded_state;
mod error;
pub mod expiring_map;
pub mod key;
pub mod mongo;
pub mod people;
pub mod state;
pub mod transfer;

pub use crate::store::{
    collection::{Collection, Collections},
    data_dir::DataDir,
    documents::{Documents, RoomsPage, SavedRoom},
    embedded_documents::{DOCUMENTS_FILE, DocumentsCounts, EmbeddedDocuments, EmbeddedDocumentsSettings},
    embedded_state::{EmbeddedState, EmbeddedStateSettings},
    error::StoreError,
    mongo::{MongoCounts, MongoDocuments, MongoSettings},
    state::State,
};

/// All documents: of rooms and of people.
pub trait Store: Documents + Collections {}

impl<S: Documents + Collections> Store for S {}

#[cfg(any(test, feature = "contract"))]
pub use crate::{collections_contract, documents_contract, people_contract, state_contract};
