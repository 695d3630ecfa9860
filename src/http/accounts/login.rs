//! Log-ins: a name and a password for an access and a refresh token.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use tracing::{debug, info};

use crate::{
    domain::password,
    http::{
        accounts::{Accounts, ClientInfo, RefreshToken, chance, store_rejection},
        auth::{Claims, Kind},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::{
        document::Verdict,
        people::{Credentials as _, LoginSession, Proof, Sessions as _, User, Users as _},
    },
};

/// A user's id that nobody has: its password is looked for where the name is nobody's.
const NOBODY: &str = "nobody";
/// How old the day may be when an account was last here.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What somebody logs in with, as typed.
#[derive(Clone, PartialEq, Eq)]
pub struct LogIn {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// Whether the log-in is to outlast the browser.
    pub remember: bool,
}

/// A log-in, new or renewed, with what its client is given.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedIn {
    /// The account.
    pub user: User,
    /// The log-in.
    pub session: LoginSession,
    /// A signed access token.
    pub access_token: String,
    /// How long that lasts.
    pub expires_in: Duration,
    /// What the next access token is got with.
    pub refresh_token: RefreshToken,
}

impl Accounts {
    /// Logs somebody in.
    ///
    /// Whether the name is nobody's, the account has no password, or the password is another: the same is looked up, one
    /// hash is computed, and the answer is the same.
    pub async fn log_in(&self, wish: LogIn, client: &ClientInfo, now: Timestamp) -> Result<LoggedIn, Rejection> {
        let found = self.people.user_by_name(&wish.username).await.map_err(store_rejection)?;
        let user = found.map(|kept| kept.document);
        let id = user.as_ref().map_or_else(|| UserId::from(NOBODY), |user| user.id.clone());
        let credential = self.people.password(&id).await.map_err(store_rejection)?;
        let hash = credential.and_then(|kept| match kept.document.proof {
            Proof::Password { hash } => Some(hash),
            Proof::Provider { .. } => None,
        });
        let (password, hash) = match password::normalised(&wish.password) {
            Some(password) => (password, hash),
            // Nobody's password.
            None => (String::new(), None),
        };
        let is_right = self.passwords.check(password, hash).await?;
        match user {
            Some(user) if is_right => self.open_session(user, wish.remember, client, now).await,
            user => {
                info!(address = %client.address, is_known = user.is_some(), "log-in refused");
                Err(Rejection::new(ErrorCode::Authentication, "the name or the password is wrong"))
            }
        }
    }

    /// Begins a log-in of somebody who has proven who it is, by whatever way.
    pub async fn open_session(
        &self,
        user: User,
        remember: bool,
        client: &ClientInfo,
        now: Timestamp,
    ) -> Result<LoggedIn, Rejection> {
        let refresh_token = RefreshToken::new(&RefreshToken::session_id(chance()?), chance()?);
        let session = LoginSession {
            id: refresh_token.session().to_owned(),
            user_id: user.id.clone(),
            token: refresh_token.hash(),
            spent: Vec::new(),
            since: now,
            refreshed: now,
            until: self.ends(remember, now, now),
            remember,
            client: client.name.clone(),
            address: Some(client.address),
            revoked: None,
        };
        self.people.log_in(&session).await.map_err(store_rejection)?;
        info!(user = %user.id, address = %client.address, "logged in");
        self.note_seen(&user, now).await;
        self.logged_in(user, session, refresh_token, now)
    }

    /// When a log-in ends that is refreshed now.
    pub(super) fn ends(&self, remember: bool, since: Timestamp, now: Timestamp) -> Timestamp {
        let settings = &self.settings;
        let life = if remember { settings.remembered_login_life } else { settings.login_life };
        (now + life).min(since + settings.longest_login)
    }

    /// What the client of a log-in is given.
    pub(super) fn logged_in(
        &self,
        user: User,
        session: LoginSession,
        refresh_token: RefreshToken,
        now: Timestamp,
    ) -> Result<LoggedIn, Rejection> {
        // It ends with its log-in at the latest.
        let expires_in = self.settings.access_token_life.min(session.until.since(now));
        let id = BASE64.encode(chance::<16>()?);
        let claims = Claims {
            username: user.username.clone(),
            usertag: user.usertag.clone(),
            roles: user.roles_at(now).iter().map(|role| role.as_str().to_owned()).collect(),
            colour: Some(user.colour.clone()),
            sid: Some(session.id.clone()),
            ..Claims::new(Kind::Access, user.id.as_str(), id, now, expires_in)
        };
        let access_token = self.tokens.sign_access(&claims);
        Ok(LoggedIn { user, session, access_token, expires_in, refresh_token })
    }

    /// Notes that an account was here. Where that fails nothing is lost but a day.
    pub(super) async fn note_seen(&self, user: &User, now: Timestamp) {
        if now.since(user.last_seen) < DAY {
            return;
        }
        let noted = self.people.change_user(&user.id, |user| {
            user.last_seen = user.last_seen.max(now);
            Verdict::Keep(())
        });
        if let Err(error) = noted.await {
            debug!(user = %user.id, %error, "when an account was last here is not noted");
        }
    }
}
