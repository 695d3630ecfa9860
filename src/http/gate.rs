//! The gate before every route of the API: limits, who is calling, from which page, and whether it may.
//!
//! In this order, each before anything dearer: the token is verified (a signature, no store) → the limits count the account
//! or the address → what changes anything is refused to other sites' pages → where the route needs more than a guest may,
//! the log-in is looked up and the account's roles of this moment count.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    domain::{identity::Role, permission::Permission},
    http::{
        accounts::{ClientInfo, NotConfirmed},
        auth::{
            Claims, Kind, TokenError,
            visitor::{Credentials, Identification},
        },
        connection::Peer,
        desk::Desk,
        limits::{Allowance, LimitClass, Subject},
        origin,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::people::User,
};

/// A route of the API, as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, with `{…}` for what varies.
    pub path: &'static str,
    /// What one needs to be allowed.
    pub permission: Permission,
    /// What it is counted as, beside [`LimitClass::General`].
    pub limit: LimitClass,
}

/// Who calls a route.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Where it comes from and what it calls itself.
    pub(crate) client: ClientInfo,
    /// What its genuine token says.
    pub(crate) claims: Option<Claims>,
    /// Its account as it is now, where the route needs one; none too for a token that an operator has made.
    pub(crate) user: Option<User>,
    /// When it called.
    pub(crate) now: Timestamp,
}

impl Caller {
    /// What its token says, where it is an account's.
    pub(crate) fn access(&self) -> Option<&Claims> {
        self.claims.as_ref().filter(|claims| claims.kind == Kind::Access)
    }

    /// Its roles: those of its account as it is now, or what its token says where that stands for itself.
    pub(crate) fn roles(&self) -> Vec<Role> {
        match (&self.user, self.access()) {
            (Some(user), _) => user.roles_at(self.now),
            (None, Some(claims)) => claims.roles.iter().filter_map(|role| Role::parse(role)).collect(),
            (None, None) => vec![Role::Guest],
        }
    }

    /// What its token says, where it is a guest's.
    pub(crate) fn guest(&self) -> Option<&Claims> {
        self.claims.as_ref().filter(|claims| claims.kind == Kind::Guest)
    }
}

/// Lets a request through to its route, or answers it.
pub(crate) async fn pass(
    State((desk, route)): State<(Arc<Desk>, Arc<Route>)>,
    Extension(peer): Extension<Arc<Peer>>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = (desk.clock)();
    let address = desk.client_address(&peer, request.headers());
    let read = desk.claims(request.headers(), now);
    let allowance = desk.count(&route, read.as_ref().ok().and_then(Option::as_ref), address, now);
    let mut response = match desk.let_in(&route, request.headers(), allowance, address, read, now).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(rejection) => rejection.into_response(),
    };
    allowance.write(response.headers_mut());
    response
}

impl Desk {
    /// The client's address, proxies taken into account.
    pub(crate) fn client_address(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        let forwarded_for = headers.get_all("x-forwarded-for");
        self.trusted.client(peer.address, forwarded_for.into_iter().map(HeaderValue::as_bytes))
    }

    fn claims(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Claims>, TokenError> {
        self.identification().read(Credentials::of(headers), now)
    }

    pub(crate) fn identification(&self) -> Identification<'_> {
        Identification {
            tokens: &self.tokens,
            allow_guests: self.settings.allow_guests,
            guest_token_life: self.settings.guest_token_life,
        }
    }

    /// Counts a request. What has a limit of its own counts to its address, whoever it says it is.
    fn count(&self, route: &Route, claims: Option<&Claims>, address: IpAddr, now: Timestamp) -> Allowance {
        let subject = match claims {
            Some(claims) if claims.kind == Kind::Access => Subject::User(UserId::from(claims.sub.as_str())),
            _ => Subject::address(address),
        };
        let general = self.limits.take(LimitClass::General, subject, now);
        if route.limit == LimitClass::General || general.refused.is_some() {
            return general;
        }
        self.limits.take(route.limit, Subject::address(address), now)
    }

    async fn let_in(
        &self,
        route: &Route,
        headers: &HeaderMap,
        allowance: Allowance,
        address: IpAddr,
        read: Result<Option<Claims>, TokenError>,
        now: Timestamp,
    ) -> Result<Caller, Rejection> {
        allowance.check().inspect_err(|_| self.metrics.limited.increment())?;
        if !route.method.is_safe() && !origin::is_allowed(headers, &self.settings.allowed_origins) {
            return Err(Rejection::new(ErrorCode::Authorization, "not from a page of another site"));
        }
        let name = headers.get(header::USER_AGENT).map(|name| String::from_utf8_lossy(name.as_bytes()));
        let client = ClientInfo::new(address, &name.unwrap_or_default());
        let mut caller = Caller { client, claims: None, user: None, now };
        if route.permission.is_granted(&[Role::Guest]) {
            // Whoever may come without a token may come with a bad one: to get a better.
            caller.claims = read.ok().flatten();
            return Ok(caller);
        }
        let sign_in = |text: String| Rejection::new(ErrorCode::Authentication, text);
        caller.claims = read.map_err(|error| sign_in(format!("{error}: sign in again")))?;
        let Some(claims) = caller.access() else { return Err(sign_in("this needs an account: sign in".into())) };
        let user = self.accounts.confirm(claims, now).await.map_err(NotConfirmed::into_rejection)?;
        caller.user = user;
        if route.permission.is_granted(&caller.roles()) {
            return Ok(caller);
        }
        let text = format!("you may not {} with the roles that you have", route.permission.words());
        Err(Rejection::new(ErrorCode::Authorization, text))
    }
}
