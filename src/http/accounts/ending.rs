//! Log-ins that end before their time.
//!
//! An end is a document's, and stands in the live state too for as long as an access token may still say otherwise: where
//! the documents are away, that is what keeps it out.

use bytes::Bytes;
use tracing::{info, warn};

use crate::{
    http::{
        accounts::{Accounts, RefreshToken, store_rejection},
        auth::token::LEEWAY,
    },
    protocol::{error::Rejection, ids::UserId, time::Timestamp},
    store::people::Sessions as _,
};

impl Accounts {
    /// Ends a log-in. Whether it was one until now. Where that fails it has not ended, as far as is known: to be tried again.
    pub async fn end_session(&self, session: &str, reason: &str, now: Timestamp) -> Result<bool, Rejection> {
        let ended = self.people.revoke(session, reason, now).await.map_err(store_rejection)?;
        self.remember_ended(session).await;
        if let Some(ended) = &ended {
            info!(user = %ended.user_id, reason, "log-in ended");
        }
        Ok(ended.is_some())
    }

    /// The log-in that a refresh token is of, and whose it is; none for a token that it never had.
    pub async fn session_of(&self, token: &str) -> Result<Option<(String, UserId)>, Rejection> {
        let Some(token) = RefreshToken::parse(token) else { return Ok(None) };
        let session = self.people.session(token.session()).await.map_err(store_rejection)?;
        let hash = token.hash();
        // Who has had a token of it may end it.
        let session =
            session.map(|kept| kept.document).filter(|session| session.token == hash || session.spent.contains(&hash));
        Ok(session.map(|session| (session.id, session.user_id)))
    }

    pub(super) async fn remember_ended(&self, session: &str) {
        let life = self.settings.access_token_life + LEEWAY;
        if let Err(error) = self.state.set(&ended_key(session), Bytes::new(), Some(life)).await {
            warn!(%error, "a log-in's end stands in the documents alone");
        }
    }

    /// Whether a log-in is known to have ended, without the documents. Live state that is away knows of none.
    pub(super) async fn is_known_to_have_ended(&self, session: &str) -> bool {
        matches!(self.state.get(&ended_key(session)).await, Ok(Some(_)))
    }
}

fn ended_key(session: &str) -> String {
    // Ours are short; another's would be refused by the state.
    format!("ended-login:{session}")
}
