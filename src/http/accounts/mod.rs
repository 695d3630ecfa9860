//! Accounts and log-ins: decided here, from documents, passwords and tokens; the routes only carry it to and fro.
//!
//! [`registration`] new accounts · [`login`] a password for a log-in · [`renewal`] a refresh token for the next ·
//! [`ending`] log-ins that end · [`standing`] whether what a token says still holds · [`refresh_token`] what a client keeps ·
//! [`roles`] what operators give.
//!
//! A log-in is a document, and the family of all its refresh tokens. Access tokens are signed, short-lived and name their
//! log-in; whoever is let in by one has the log-in looked up, and goes by the account as it is then. Where the documents are
//! away a socket is let in by its token alone, for as long as that lasts, unless the log-in is known to have ended.
//!
//! Time is an argument. What a client is told never depends on whether a name is anybody's, but where somebody registers.

pub mod ending;
#[cfg(test)]
pub(crate) mod fixture;
pub mod login;
pub mod refresh_token;
pub mod registration;
pub mod renewal;
pub mod roles;
pub mod standing;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tracing::error;

pub use crate::http::accounts::{
    login::{LogIn, LoggedIn},
    refresh_token::RefreshToken,
    registration::Registration,
    renewal::NotRenewed,
    roles::Grant,
    standing::NotConfirmed,
};
use crate::{
    http::{auth::Tokens, stage::BoxFuture},
    protocol::error::{ErrorCode, Rejection},
    store::{Collections, State, StoreError},
};

/// The most bytes that are kept of what a client calls itself.
const MAX_CLIENT_BYTES: usize = 200;
/// How many registrations of guests may be written at once; those of one guest are always one after the other.
const REGISTERING: usize = 16;

/// Hashes and checks passwords, off the async threads, a bounded number at a time.
pub trait PasswordHashing: Send + Sync {
    /// Hashes a password, with a fresh salt, to a PHC string.
    fn hash(&self, password: String) -> BoxFuture<'_, Result<String, Rejection>>;

    /// Whether a password fits a hash. Without one it fits nothing, which takes as long to find out.
    fn check(&self, password: String, hash: Option<String>) -> BoxFuture<'_, Result<bool, Rejection>>;
}

/// How long log-ins last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// An access token. Default 15 minutes.
    pub access_token_life: Duration,
    /// A log-in that is not to be remembered, since it was last refreshed. Default 12 hours.
    pub login_life: Duration,
    /// One that is. Default 30 days.
    pub remembered_login_life: Duration,
    /// Any, since its password was given. Default 180 days.
    pub longest_login: Duration,
}

impl Default for AccountSettings {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            access_token_life: HOUR / 4,
            login_life: 12 * HOUR,
            remembered_login_life: 30 * 24 * HOUR,
            longest_login: 180 * 24 * HOUR,
        }
    }
}

/// Accounts, as the front desk deals with them.
pub struct Accounts {
    people: Arc<dyn Collections>,
    state: Arc<dyn State>,
    passwords: Arc<dyn PasswordHashing>,
    tokens: Tokens,
    settings: AccountSettings,
    /// So that of several registrations of one guest the first is whole before the second begins.
    registering: [tokio::sync::Mutex<()>; REGISTERING],
}

/// Where somebody comes from, as a log-in remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Proxies taken into account.
    pub address: IpAddr,
    /// What it calls itself.
    pub name: String,
}

impl ClientInfo {
    /// A client; of a long name the beginning.
    pub fn new(address: IpAddr, name: &str) -> Self {
        let end = name.floor_char_boundary(MAX_CLIENT_BYTES);
        Self { address, name: name[..end].to_owned() }
    }
}

impl Accounts {
    /// Over these documents, live state and password threads.
    pub fn new(
        people: Arc<dyn Collections>,
        state: Arc<dyn State>,
        passwords: Arc<dyn PasswordHashing>,
        tokens: Tokens,
        settings: AccountSettings,
    ) -> Self {
        Self { people, state, passwords, tokens, settings, registering: Default::default() }
    }
}

/// What a client is told where the store did not do its part.
pub fn store_rejection(error: StoreError) -> Rejection {
    let taken = |code, field, message| Rejection::new(code, message).with("field", field);
    match error {
        StoreError::Busy => {
            Rejection::new(ErrorCode::ServerBusy, "too many wait for the accounts: try again in a moment")
                .with("retry_after_ms", 1000)
        }
        StoreError::TimedOut | StoreError::Unavailable(_) | StoreError::Full { .. } => {
            tracing::debug!(%error, "accounts are away");
            Rejection::new(ErrorCode::StoreUnavailable, "accounts are out of reach just now: try again in a moment")
                .with("retry_after_ms", 5000)
        }
        StoreError::Taken { what: "by_name" } => {
            taken(ErrorCode::UsernameTaken, "username", "somebody has that name: choose another")
        }
        StoreError::Taken { what: "by_email" } => {
            taken(ErrorCode::EmailTaken, "email", "there is an account with that address: log in instead")
        }
        error => {
            error!(%error, "a document of an account could not be used");
            Rejection::new(ErrorCode::Server, "the account could not be used; this is a defect of the server")
        }
    }
}

/// Randomness of the system.
fn chance<const N: usize>() -> Result<[u8; N], Rejection> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        error!(%error, "no randomness for an account");
        Rejection::new(ErrorCode::Server, "no randomness")
    })?;
    Ok(bytes)
}
