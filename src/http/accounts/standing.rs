//! Standing: whether what a genuine token says still holds.

use std::time::Duration;

use tokio::time;

use crate::{
    domain::identity::Profile,
    http::{
        accounts::{Accounts, store_rejection},
        auth::Claims,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::people::{Sessions as _, User, Users as _},
};

/// How long the documents may take to say so.
const WITHIN: Duration = Duration::from_secs(2);

/// Why what a token says is not confirmed.
#[derive(Clone, Debug, PartialEq)]
pub enum NotConfirmed {
    /// Its log-in has ended, or its account is no more.
    Ended,
    /// Nobody could be asked.
    Away(Rejection),
}

impl Accounts {
    /// The account of an access token, as it is now. None for a token that an operator has made: it belongs to no log-in, and
    /// stands for itself.
    pub async fn confirm(&self, claims: &Claims, now: Timestamp) -> Result<Option<User>, NotConfirmed> {
        let Some(sid) = claims.sid.as_deref() else { return Ok(None) };
        if self.is_known_to_have_ended(sid).await {
            return Err(NotConfirmed::Ended);
        }
        let id = UserId::from(claims.sub.as_str());
        let asked = async { tokio::try_join!(self.people.session(sid), self.people.user(&id)) };
        let (session, user) = match time::timeout(WITHIN, asked).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(NotConfirmed::Away(store_rejection(error))),
            Err(_) => return Err(NotConfirmed::Away(store_rejection(crate::store::StoreError::TimedOut))),
        };
        let is_good = session.is_some_and(|kept| kept.document.is_good(now) && kept.document.user_id == id);
        match user {
            Some(user) if is_good => Ok(Some(user.document)),
            _ => Err(NotConfirmed::Ended),
        }
    }

    /// Whether a guest has become an account, so that its guest's tokens are worth nothing. Where nobody can be asked it has
    /// not.
    pub async fn has_registered(&self, guest: &str) -> bool {
        let id = UserId::from(guest);
        matches!(time::timeout(WITHIN, self.people.user(&id)).await, Ok(Ok(Some(_))))
    }
}

impl NotConfirmed {
    /// What a client is told.
    pub fn into_rejection(self) -> Rejection {
        match self {
            Self::Ended => Rejection::new(ErrorCode::Authentication, "the log-in has ended: sign in again"),
            Self::Away(rejection) => rejection,
        }
    }
}

/// An account as others see it.
pub fn profile_of(user: &User, now: Timestamp) -> Profile {
    Profile {
        user_id: user.id.clone(),
        username: user.username.clone(),
        usertag: user.usertag.clone(),
        roles: user.roles_at(now),
        colour: user.colour.clone(),
        status: user.status,
    }
}
