//! Layer 3: stores. What the server keeps, behind two traits, each with an embedded implementation.
//!
//! - [`state`]: live state, which may be lost. [`EmbeddedState`] is an actor around the pure [`expiring_map`].
//! - [`documents`]: the truth. [`EmbeddedDocuments`] is one redb file and the thread that writes it.
//! - [`DataDir`]: the folder that one server at a time owns, and the secrets in it.
//! - `contract` (in tests, or with the feature of that name): what every implementation of a trait must do, as tests.
//!
//! Everything here runs on the tokio side; shards reach it by messages. A store that is away or overloaded
//! answers with a [`StoreError`] within its time: it never blocks whom it serves.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod data_dir;
pub mod documents;
pub mod embedded_documents;
mod embedded_state;
mod error;
pub mod expiring_map;
pub mod state;

pub use crate::store::{
    data_dir::DataDir,
    documents::{Documents, RoomsPage, SavedRoom},
    embedded_documents::{DOCUMENTS_FILE, DocumentsCounts, EmbeddedDocuments, EmbeddedDocumentsSettings},
    embedded_state::{EmbeddedState, EmbeddedStateSettings},
    error::StoreError,
    state::State,
};
#[cfg(any(test, feature = "contract"))]
pub use crate::{documents_contract, state_contract};
