//! The store of the settings, opened by a command.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::Failure,
    config::{Config, Loaded},
    store::{DOCUMENTS_FILE, DataDir, EmbeddedDocuments, MongoDocuments, Store},
};

/// The store of the settings, and what it stands on.
pub(super) struct Opened {
    /// The store.
    pub(super) store: Arc<dyn Store>,
    /// Where its calls are awaited.
    pub(super) runtime: Runtime,
    /// Where the documents are in it: no server has them open meanwhile.
    _data_dir: Option<DataDir>,
}

impl Opened {
    /// Opens it, and tells the settings' warnings.
    pub(super) fn new(loaded: &Loaded) -> Result<Self, Failure> {
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        let config: &Config = &loaded.config;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (store, data_dir): (Arc<dyn Store>, _) = match config.mongodb() {
            Some(settings) => (runtime.block_on(MongoDocuments::connect(settings))?, None),
            None => {
                let data_dir = DataDir::open(&config.server.data_dir)?;
                (EmbeddedDocuments::open(&data_dir.file(DOCUMENTS_FILE), config.embedded_documents())?, Some(data_dir))
            }
        };
        Ok(Self { store, runtime, _data_dir: data_dir })
    }

    /// Closes it, when all that was asked of it is done.
    pub(super) fn close(self) -> Result<(), Failure> {
        Ok(self.runtime.block_on(self.store.close())?)
    }
}
