//! `/api/auth/…`: registering, logging in and out, and what keeps a log-in going.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    domain::identity::Role,
    http::{
        accounts::{LogIn, LoggedIn, NotRenewed, Registration},
        body::{Body, OptionalBody},
        cookie::{self, Cookie},
        desk::Desk,
        desk_metrics::AccountEvent,
        envelope::Success,
        gate::Caller,
    },
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::people::User,
};

/// Where the refresh token's cookie goes, and nowhere else.
const REFRESH_PATH: &str = "/api/auth";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterBody {
    username: String,
    email: String,
    password: String,
    confirm_password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInBody {
    username: String,
    password: String,
    #[serde(default)]
    remember_me: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    refresh_token: Option<String>,
}

/// What a client of a log-in is given.
#[derive(Serialize)]
struct Session {
    token: String,
    refresh_token: String,
    /// In seconds.
    expires_in: u64,
    user: OwnAccount,
}

/// An account as its own user sees it.
#[derive(Serialize)]
pub(crate) struct OwnAccount {
    user_id: String,
    username: String,
    usertag: String,
    email: Option<String>,
    email_verified: bool,
    roles: Vec<Role>,
    colour: String,
}

#[derive(Serialize)]
struct Validity {
    valid: bool,
    /// In the form of RFC 3339.
    expires_at: String,
    user_id: String,
    username: String,
    roles: Vec<Role>,
}

impl OwnAccount {
    pub(crate) fn of(user: &User, now: Timestamp) -> Self {
        Self {
            user_id: user.id.as_str().into(),
            username: user.username.clone(),
            usertag: user.usertag.clone(),
            email: user.email.clone(),
            email_verified: user.email_verified,
            roles: user.roles_at(now),
            colour: user.colour.clone(),
        }
    }
}

/// 201 with a log-in. Who was a guest goes on as who it was.
pub(crate) async fn register(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<RegisterBody>,
) -> Result<Response, Rejection> {
    if body.password != body.confirm_password {
        let rejection = Rejection::new(ErrorCode::Validation, "the two passwords differ");
        return Err(rejection.with("field", "confirm_password"));
    }
    let wish = Registration {
        username: body.username,
        email: Some(body.email),
        password: body.password,
        roles: vec![Role::Member],
    };
    let guest = caller.guest();
    let logged_in = desk.accounts.register(wish, guest, &caller.client, caller.now).await;
    desk.metrics.accounts.increment(match &logged_in {
        Ok(_) => AccountEvent::Registered,
        Err(_) => AccountEvent::RegistrationRefused,
    });
    let logged_in = logged_in?;
    let was_guest = guest.map(|_| logged_in.user.id.clone());
    let mut response = desk.session_response(StatusCode::CREATED, logged_in, caller.now);
    if let Some(user) = was_guest {
        // Its tokens are worth nothing now.
        desk.clear(response.headers_mut(), cookie::GUEST_TOKEN, "/");
        // Behind the answer, so that whoever comes back has it: the close frame gives it a second.
        tokio::spawn(async move { desk.stage.promote(&user).await });
    }
    Ok(response)
}

/// A log-in for a name and a password.
pub(crate) async fn log_in(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<LogInBody>,
) -> Result<Response, Rejection> {
    let wish = LogIn { username: body.username, password: body.password, remember: body.remember_me };
    let logged_in = desk.accounts.log_in(wish, &caller.client, caller.now).await;
    desk.metrics.accounts.increment(match &logged_in {
        Ok(_) => AccountEvent::LoggedIn,
        Err(rejection) if rejection.code == ErrorCode::Authentication => AccountEvent::LogInRefused,
        Err(_) => AccountEvent::Failed,
    });
    Ok(desk.session_response(StatusCode::OK, logged_in?, caller.now))
}

/// The next tokens for a refresh token, in the body or the cookie. One that was spent before ends the log-in.
pub(crate) async fn refresh(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<RefreshBody>,
) -> Response {
    let token = body.refresh_token.as_deref().or_else(|| cookie::find(&headers, cookie::REFRESH_TOKEN));
    let renewed = match token {
        Some(token) => desk.accounts.renew(token, caller.now).await,
        None => Err(NotRenewed::Unknown),
    };
    let refused = match renewed {
        Ok(logged_in) => {
            desk.metrics.accounts.increment(AccountEvent::Refreshed);
            return desk.session_response(StatusCode::OK, logged_in, caller.now);
        }
        Err(NotRenewed::Refused(rejection)) => {
            desk.metrics.accounts.increment(AccountEvent::Failed);
            return rejection.into_response();
        }
        Err(NotRenewed::Reused { user, session }) => {
            desk.metrics.accounts.increment(AccountEvent::Reused);
            desk.stage.close_session(&user, &session, CloseCode::Unauthorised).await;
            "that refresh token was used before, so the log-in has ended: sign in again"
        }
        Err(NotRenewed::Unknown) => {
            desk.metrics.accounts.increment(AccountEvent::RefreshRefused);
            "that refresh token is not good: sign in again"
        }
    };
    let mut response = Rejection::new(ErrorCode::Authentication, refused).into_response();
    desk.clear_session(response.headers_mut());
    response
}

/// Ends the log-in of the access token, or of the refresh token where that has expired, with its sockets.
pub(crate) async fn log_out(
    State(desk): State<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    OptionalBody(body): OptionalBody<RefreshBody>,
) -> Response {
    let mut response = match desk.end_log_in(&caller, &headers, body).await {
        Ok(()) => Success::with_message(serde_json::json!({}), "logged out").into_response(),
        Err(rejection) if rejection.code == ErrorCode::Authentication => rejection.into_response(),
        // It is still there, and is to be ended with what the browser has.
        Err(rejection) => return rejection.into_response(),
    };
    desk.clear_session(response.headers_mut());
    response
}

/// Whether the access token is good, and how long. One that is not is answered 401, as everywhere.
pub(crate) async fn validate_token(Extension(caller): Extension<Caller>) -> Result<Response, Rejection> {
    let claims = caller.access().ok_or_else(|| Rejection::new(ErrorCode::Authentication, "sign in"))?;
    let roles = caller.roles();
    let username = caller.user.as_ref().map_or(&claims.username, |user| &user.username).clone();
    let expires_at = rfc3339(claims.exp);
    Ok(Success::of(Validity { valid: true, expires_at, user_id: claims.sub.clone(), username, roles }).into_response())
}

impl Desk {
    async fn end_log_in(&self, caller: &Caller, headers: &HeaderMap, body: RefreshBody) -> Result<(), Rejection> {
        let (session, user) = self.log_in_of(caller, headers, body).await?;
        self.accounts.end_session(&session, "logout", caller.now).await?;
        // Also where it had ended before: somebody may have come in between.
        self.stage.close_session(&user, &session, CloseCode::Unauthorised).await;
        self.metrics.accounts.increment(AccountEvent::LoggedOut);
        Ok(())
    }

    /// Which log-in a client means.
    async fn log_in_of(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        body: RefreshBody,
    ) -> Result<(String, UserId), Rejection> {
        if let Some(claims) = caller.access()
            && let Some(sid) = &claims.sid
        {
            return Ok((sid.clone(), UserId::from(claims.sub.as_str())));
        }
        let token = body.refresh_token.as_deref().or_else(|| cookie::find(headers, cookie::REFRESH_TOKEN));
        let found = match token {
            Some(token) => self.accounts.session_of(token).await?,
            None => None,
        };
        found.ok_or_else(|| Rejection::new(ErrorCode::Authentication, "there is no log-in to end"))
    }

    /// An answer with a log-in's tokens, in its body and as cookies.
    fn session_response(&self, status: StatusCode, logged_in: LoggedIn, now: Timestamp) -> Response {
        let LoggedIn { user, session, access_token, expires_in, refresh_token } = logged_in;
        let refresh_token = refresh_token.text();
        // They last as long as the log-in, also the access token's: one that has expired is told 401 and refreshed, where
        // none at all would be a guest's.
        let max_age = session.remember.then(|| session.until.since(now));
        let cookies = [
            self.cookie(cookie::ACCESS_TOKEN, &access_token, "/", max_age),
            self.cookie(cookie::REFRESH_TOKEN, &refresh_token, REFRESH_PATH, max_age),
        ];
        let data = Session {
            user: OwnAccount::of(&user, now),
            expires_in: expires_in.as_secs(),
            token: access_token,
            refresh_token: refresh_token.clone(),
        };
        let mut response = (status, Success::of(data)).into_response();
        for cookie in cookies {
            response.headers_mut().append(axum::http::header::SET_COOKIE, cookie);
        }
        response
    }

    fn cookie(&self, name: &str, value: &str, path: &str, max_age: Option<Duration>) -> axum::http::HeaderValue {
        Cookie { name, value, path, max_age, secure: self.settings.secure_cookies }.to_header()
    }

    fn clear(&self, headers: &mut HeaderMap, name: &str, path: &str) {
        headers.append(axum::http::header::SET_COOKIE, self.cookie(name, "", path, Some(Duration::ZERO)));
    }

    fn clear_session(&self, headers: &mut HeaderMap) {
        self.clear(headers, cookie::ACCESS_TOKEN, "/");
        self.clear(headers, cookie::REFRESH_TOKEN, REFRESH_PATH);
    }
}

fn rfc3339(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_rfc_3339_says() {
        assert_eq!(rfc3339(1_704_067_200), "2024-01-01T00:00:00Z");
        assert_eq!(rfc3339(u64::MAX), "", "no token lasts that long");
    }
}
