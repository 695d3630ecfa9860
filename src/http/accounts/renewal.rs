//! Renewal: a refresh token, spent, for the next one and an access token.

use tracing::{debug, warn};

use crate::{
    http::accounts::{Accounts, LoggedIn, RefreshToken, chance, store_rejection},
    protocol::{error::Rejection, ids::UserId, time::Timestamp},
    store::{
        StoreError,
        people::{Rotation, Sessions as _, Users as _},
    },
};

/// How often a rotation is tried whose outcome is not known: the very same is done but once.
const TRIES: usize = 2;

/// Why a log-in is not renewed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotRenewed {
    /// No such token, or its log-in is over.
    Unknown,
    /// It was spent before: somebody else has it. The log-in has ended with this.
    Reused {
        /// Whose.
        user: UserId,
        /// Which log-in.
        session: String,
    },
    /// Not now.
    Refused(Rejection),
}

impl From<Rejection> for NotRenewed {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl Accounts {
    /// Spends a refresh token.
    pub async fn renew(&self, token: &str, now: Timestamp) -> Result<LoggedIn, NotRenewed> {
        let token = RefreshToken::parse(token).ok_or(NotRenewed::Unknown)?;
        let session = self.people.session(token.session()).await.map_err(store_rejection)?;
        let session = session.ok_or(NotRenewed::Unknown)?.document;
        let next = RefreshToken::new(token.session(), chance()?);
        let until = self.ends(session.remember, session.since, now);
        match self.rotate(&token, &next, now, until).await.map_err(store_rejection)? {
            Rotation::Rotated(session) => {
                let user = self.people.user(&session.user_id).await.map_err(store_rejection)?;
                // An account that was erased meanwhile.
                let user = user.ok_or(NotRenewed::Unknown)?.document;
                self.note_seen(&user, now).await;
                Ok(self.logged_in(user, *session, next, now)?)
            }
            Rotation::Reused(session) => {
                warn!(user = %session.user_id, "a spent refresh token came again: its log-in has ended");
                self.remember_ended(&session.id).await;
                Err(NotRenewed::Reused { user: session.user_id, session: session.id })
            }
            Rotation::Ended | Rotation::Unknown => Err(NotRenewed::Unknown),
        }
    }

    async fn rotate(
        &self,
        token: &RefreshToken,
        next: &RefreshToken,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Rotation, StoreError> {
        let (session, token, next) = (token.session(), token.hash(), next.hash());
        let mut tries = 0;
        loop {
            tries += 1;
            match self.people.rotate(session, &token, &next, now, until).await {
                // It may be done. The client has its old token, and would end the log-in with it.
                Err(error @ (StoreError::TimedOut | StoreError::Unavailable(_))) if tries < TRIES => {
                    debug!(%error, "a rotation is tried again");
                }
                result => return result,
            }
        }
    }
}
