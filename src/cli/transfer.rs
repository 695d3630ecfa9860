//! `export` and `import`: all documents as JSON lines, from the store that the settings choose, and into it.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::{ExportArgs, Failure, ImportArgs},
    config::{Config, Loaded},
    store::{DOCUMENTS_FILE, DataDir, EmbeddedDocuments, MongoDocuments, Store, transfer},
};

/// Writes all documents.
pub fn export(loaded: &Loaded, args: &ExportArgs) -> Result<(), Failure> {
    let opened = Opened::new(loaded)?;
    let mut out: Box<dyn Write> = match &args.file {
        Some(path) => Box::new(BufWriter::new(private(path)?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let done = opened.runtime.block_on(transfer::export(&*opened.store, &mut out))?;
    // On the standard error: the standard output may be the export.
    eprintln!("{} documents exported", done.written);
    opened.close()
}

/// Reads all documents.
pub fn import(loaded: &Loaded, args: &ImportArgs) -> Result<(), Failure> {
    let mut input: Box<dyn BufRead> = match &args.file {
        Some(path) => Box::new(BufReader::new(File::open(path).map_err(|error| told(path, &error))?)),
        None => Box::new(BufReader::new(io::stdin().lock())),
    };
    let opened = Opened::new(loaded)?;
    let done = opened.runtime.block_on(transfer::import(&*opened.store, &mut input, args.overwrite))?;
    eprintln!("{} documents imported, {} were there already", done.written, done.same);
    opened.close()
}

fn private(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &io::Error) -> Failure {
    format!("cannot open {}: {error}", path.display()).into()
}

/// The store of the settings, and what it stands on.
struct Opened {
    store: Arc<dyn Store>,
    runtime: Runtime,
    /// Where the documents are in it: no server has them open meanwhile.
    _data_dir: Option<DataDir>,
}

impl Opened {
    fn new(loaded: &Loaded) -> Result<Self, Failure> {
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

    fn close(self) -> Result<(), Failure> {
        Ok(self.runtime.block_on(self.store.close())?)
    }
}
