//! What a front desk stands on that a test starts by itself.

use std::sync::Arc;

use pianorhythm_server::{
    http::{
        auth::{SigningKey, Tokens},
        desk::FrontDeskParts,
        stage::Stage,
    },
    protocol::time::Timestamp,
    server::passwords::Passwords,
    store::{EmbeddedDocuments, EmbeddedDocumentsSettings, EmbeddedState, EmbeddedStateSettings},
};

/// Over this stage, and stores of its own that nothing outlives. To be called on a tokio runtime.
pub fn parts(stage: Arc<dyn Stage>) -> FrontDeskParts {
    // The file is open when its folder goes, and goes with the last who has it open.
    let folder = tempfile::tempdir().unwrap();
    let people =
        EmbeddedDocuments::open(&folder.path().join("documents"), EmbeddedDocumentsSettings::default()).unwrap();
    FrontDeskParts {
        tokens: Tokens::new(SigningKey::generate().unwrap()),
        stage,
        clock: Arc::new(|| Timestamp::from_ms(1_800_000_000_000)),
        people,
        state: EmbeddedState::start(EmbeddedStateSettings::default()),
        passwords: Arc::new(Passwords::default()),
    }
}
