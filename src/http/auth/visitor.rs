//! Who a handshake is from: a user by access token, a guest of before by guest token, or a new guest.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    domain::{
        identity::{Profile, Role, Status},
        name,
    },
    http::{
        auth::{
            guest,
            token::{Claims, Kind, TokenError, Tokens},
        },
        cookie,
        wish::Wish,
    },
    protocol::{ids::UserId, time::Timestamp},
};

/// The bytes of chance one handshake takes: an id, a token's and a session's id, a name, a colour.
pub const CHANCE_BYTES: usize = 10 + 16 + 16 + 2 * 8;

/// The token that says who it is, and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// In the `Authorization` header: an access or a guest token.
    Bearer(&'a str),
    /// The access token's cookie.
    AccessCookie(&'a str),
    /// A guest token in the address.
    GuestQuery(&'a str),
    /// The guest token's cookie.
    GuestCookie(&'a str),
    /// Nowhere.
    None,
}

impl<'a> Credentials<'a> {
    /// Those of a request that is no handshake.
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self::find_with(headers, None)
    }

    /// The first there is, in the order above. Other schemes of `Authorization` are a proxy's business, not ours.
    pub fn find(headers: &'a HeaderMap, wish: &'a Wish) -> Self {
        Self::find_with(headers, wish.guest_token.as_deref())
    }

    fn find_with(headers: &'a HeaderMap, guest_token: Option<&'a str>) -> Self {
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        bearer
            .map(Self::Bearer)
            .or_else(|| cookie::find(headers, cookie::ACCESS_TOKEN).map(Self::AccessCookie))
            .or_else(|| guest_token.map(Self::GuestQuery))
            .or_else(|| cookie::find(headers, cookie::GUEST_TOKEN).map(Self::GuestCookie))
            .unwrap_or(Self::None)
    }

    /// Whether a browser sent them by itself, so that a foreign page could make it.
    pub const fn are_a_cookie(&self) -> bool {
        matches!(self, Self::AccessCookie(_) | Self::GuestCookie(_))
    }
}

/// One who is let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Visitor {
    /// What others see.
    pub profile: Profile,
    /// What a logout ends: the access token's log-in; for a guest one of this connection alone.
    pub session_id: String,
    /// For guests: what they come back with, signed anew.
    pub guest_token: Option<String>,
}

/// One who is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// A token came and is not accepted: never a guest instead.
    #[error("{0}: sign in again")]
    Token(#[from] TokenError),
    /// No account, and this server wants one.
    #[error("this server has no guests: sign in")]
    NoGuests,
}

/// How visitors are identified.
#[derive(Clone, Copy, Debug)]
pub struct Identification<'a> {
    /// What verifies and signs.
    pub tokens: &'a Tokens,
    /// Whether one may come without an account.
    pub allow_guests: bool,
    /// How long a guest token lasts.
    pub guest_token_life: Duration,
}

impl Identification<'_> {
    /// What a genuine token says; nothing where there is none.
    ///
    /// A token that is not accepted is an error, but for a guest's cookie: the browser sends it by itself, a page can
    /// neither see nor remove it, and chromium keeps no cookie of a handshake that failed, so that one whose key is
    /// gone would lock its owner out for half a year.
    pub fn read(&self, credentials: Credentials<'_>, now: Timestamp) -> Result<Option<Claims>, TokenError> {
        Ok(match credentials {
            Credentials::Bearer(token) => Some(self.tokens.verify(token, &[Kind::Access, Kind::Guest], now)?),
            Credentials::AccessCookie(token) => Some(self.tokens.verify(token, &[Kind::Access], now)?),
            Credentials::GuestQuery(token) => Some(self.tokens.verify(token, &[Kind::Guest], now)?),
            Credentials::GuestCookie(token) => self.tokens.verify(token, &[Kind::Guest], now).ok(),
            Credentials::None => None,
        })
    }

    /// Says who it is, by what its token says. `wish` names and colours guests.
    pub fn identify(
        &self,
        claims: Option<Claims>,
        wish: &Wish,
        now: Timestamp,
        chance: &[u8; CHANCE_BYTES],
    ) -> Result<Visitor, NotAdmitted> {
        match claims {
            Some(claims) if claims.kind == Kind::Access => Ok(user(claims)?),
            _ if !self.allow_guests => Err(NotAdmitted::NoGuests),
            claims => Ok(self.guest(claims, wish, now, chance)),
        }
    }

    /// A guest: as its token says, but for what it wishes; by chance where neither says.
    fn guest(&self, claims: Option<Claims>, wish: &Wish, now: Timestamp, chance: &[u8; CHANCE_BYTES]) -> Visitor {
        let mut chance = Chance(chance);
        let (id, token_id, session_id) = (chance.take(), chance.take::<16>(), chance.take::<16>());
        let [named, coloured] = [chance.take(), chance.take()].map(u64::from_le_bytes);
        let before = claims.unwrap_or_else(|| Claims {
            username: guest::name(named),
            ..Claims::new(Kind::Guest, guest::user_id(id).as_str(), "", now, Duration::ZERO)
        });
        let colour = wish.colour.clone().or(before.colour).unwrap_or_else(|| guest::colour(coloured));
        let token_id = BASE64_URL_SAFE_NO_PAD.encode(token_id);
        let claims = Claims {
            username: wish.name.clone().unwrap_or(before.username),
            colour: Some(colour.clone()),
            ..Claims::new(Kind::Guest, before.sub, token_id, now, self.guest_token_life)
        };
        let guest_token = Some(self.tokens.sign(&claims));
        let profile = Profile {
            user_id: UserId::from(claims.sub.as_str()),
            username: claims.username,
            usertag: String::new(),
            roles: vec![Role::Guest],
            colour,
            status: Status::Online,
        };
        Visitor { profile, session_id: BASE64_URL_SAFE_NO_PAD.encode(session_id), guest_token }
    }
}

/// A user as the access token says. Roles this server does not know give nothing.
fn user(claims: Claims) -> Result<Visitor, TokenError> {
    if claims.sub.is_empty() || claims.sub.len() > 128 {
        return Err(TokenError::Claims);
    }
    let username = name::username(&claims.username).map_err(|_| TokenError::Claims)?;
    let colour = match claims.colour {
        Some(colour) => name::colour(&colour).map_err(|_| TokenError::Claims)?,
        None => guest::colour(claims.sub.bytes().fold(0, |sum, byte| sum * 31 % 360 + u64::from(byte))),
    };
    let mut roles: Vec<Role> = claims.roles.iter().filter_map(|role| Role::parse(role)).collect();
    if roles.is_empty() {
        roles.push(Role::Member);
    }
    let profile = Profile {
        user_id: UserId::from(claims.sub.as_str()),
        username,
        usertag: claims.usertag,
        roles,
        colour,
        status: Status::Online,
    };
    let session_id = claims.sid.unwrap_or(claims.jti);
    Ok(Visitor { profile, session_id, guest_token: None })
}

/// Chance, used up from its front.
struct Chance<'a>(&'a [u8]);

impl Chance<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().expect("CHANCE_BYTES is what one handshake takes");
        self.0 = rest;
        *taken
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::http::auth::SigningKey;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
    const LIFE: Duration = Duration::from_secs(1000);

    struct Desk(Tokens);

    impl Desk {
        fn new() -> Self {
            Self(Tokens::new(SigningKey::generate().unwrap()))
        }

        fn identify(&self, credentials: Credentials<'_>, wish: &Wish, chance: u8) -> Result<Visitor, NotAdmitted> {
            self.at(NOW, true, credentials, wish, chance)
        }

        fn at(
            &self,
            now: Timestamp,
            allow_guests: bool,
            credentials: Credentials<'_>,
            wish: &Wish,
            chance: u8,
        ) -> Result<Visitor, NotAdmitted> {
            let identification = Identification { tokens: &self.0, allow_guests, guest_token_life: LIFE };
            let claims = identification.read(credentials, now)?;
            identification.identify(claims, wish, now, &[chance; CHANCE_BYTES])
        }

        fn access_token(&self, change: impl FnOnce(&mut Claims)) -> String {
            let mut claims = Claims {
                username: "Clara".into(),
                roles: vec!["moderator".into(), "astronaut".into()],
                ..Claims::new(Kind::Access, "user-1", "login-1", NOW, Duration::from_secs(60))
            };
            change(&mut claims);
            self.0.sign(&claims)
        }
    }

    fn wish(name: &str, colour: &str) -> Wish {
        Wish { name: Some(name.into()), colour: Some(colour.into()), ..Wish::default() }
    }

    #[test]
    fn a_user_is_who_the_access_token_says_whatever_the_address_wishes() {
        let desk = Desk::new();
        let token = desk.access_token(|_| {});
        for credentials in [Credentials::Bearer(&token), Credentials::AccessCookie(&token)] {
            let visitor = desk.at(NOW, false, credentials, &wish("Robert", "#123456"), 1).unwrap();
            assert_eq!(visitor.profile.user_id.as_str(), "user-1");
            assert_eq!(visitor.profile.username, "Clara");
            assert_eq!(visitor.profile.roles, [Role::Moderator], "unknown roles give nothing");
            assert_ne!(visitor.profile.colour, "#123456");
            assert_eq!(visitor.session_id, "login-1");
            let of_log_in = desk.access_token(|claims| claims.sid = Some("s1".into()));
            let visitor = desk.identify(Credentials::Bearer(&of_log_in), &Wish::default(), 1).unwrap();
            assert_eq!(visitor.session_id, "s1", "what a log-out ends");
            assert_eq!(visitor.guest_token, None);
        }
    }

    #[test]
    fn a_bad_or_expired_access_token_never_makes_a_guest() {
        let desk = Desk::new();
        let (stranger, late) = (Desk::new().access_token(|_| {}), desk.access_token(|claims| claims.exp = 1));
        let nameless = desk.access_token(|claims| claims.username.clear());
        for (token, error) in [
            (stranger.as_str(), TokenError::UnknownKey),
            (&late, TokenError::Expired),
            (&nameless, TokenError::Claims),
            ("rubbish", TokenError::Malformed),
        ] {
            for credentials in [Credentials::Bearer(token), Credentials::AccessCookie(token)] {
                assert_eq!(desk.identify(credentials, &Wish::default(), 1), Err(NotAdmitted::Token(error)));
            }
        }
    }

    #[test]
    fn a_guest_comes_back_as_the_same_one() {
        let desk = Desk::new();
        let first = desk.identify(Credentials::None, &wish("Robert", "#123456"), 1).unwrap();
        let token = first.guest_token.unwrap();
        for credentials in
            [Credentials::GuestCookie(&token), Credentials::GuestQuery(&token), Credentials::Bearer(&token)]
        {
            let again = desk.identify(credentials, &Wish::default(), 2).unwrap();
            assert_eq!(again.profile, first.profile);
            assert_ne!(again.session_id, first.session_id);
            assert_ne!(again.guest_token.as_ref(), Some(&token), "it is renewed");
        }
        let renamed = desk.identify(Credentials::GuestCookie(&token), &wish("Johannes", "#abcdef"), 3).unwrap();
        assert_eq!(renamed.profile.user_id, first.profile.user_id);
        assert_eq!(renamed.profile.username, "Johannes");
        let kept = desk.identify(Credentials::GuestCookie(&renamed.guest_token.unwrap()), &Wish::default(), 4).unwrap();
        assert_eq!((kept.profile.username.as_str(), kept.profile.colour.as_str()), ("Johannes", "#abcdef"));
    }

    #[test]
    fn a_guest_lasts_as_long_as_it_keeps_coming() {
        let desk = Desk::new();
        let mut visitor = desk.identify(Credentials::None, &Wish::default(), 1).unwrap();
        let id = visitor.profile.user_id.clone();
        for round in 1..5 {
            let token = visitor.guest_token.unwrap();
            let now = NOW + LIFE * round * 9 / 10;
            visitor = desk.at(now, true, Credentials::GuestQuery(&token), &Wish::default(), 2).unwrap();
            assert_eq!(visitor.profile.user_id, id);
        }
    }

    #[test]
    fn a_guest_token_that_does_not_verify_is_refused_where_it_was_given_and_replaced_where_the_browser_sent_it() {
        let desk = Desk::new();
        let stranger = Desk::new().identify(Credentials::None, &Wish::default(), 1).unwrap();
        let token = stranger.guest_token.unwrap();
        assert!(desk.identify(Credentials::GuestQuery(&token), &Wish::default(), 2).is_err());
        assert!(desk.identify(Credentials::Bearer(&token), &Wish::default(), 2).is_err());
        let visitor = desk.identify(Credentials::GuestCookie(&token), &Wish::default(), 2).unwrap();
        assert_ne!(visitor.profile.user_id, stranger.profile.user_id);
    }

    #[test]
    fn an_access_token_is_no_guest_token_nor_the_reverse() {
        let desk = Desk::new();
        let access = desk.access_token(|_| {});
        assert_eq!(
            desk.identify(Credentials::GuestQuery(&access), &Wish::default(), 1),
            Err(NotAdmitted::Token(TokenError::Kind))
        );
        let guest = desk.identify(Credentials::None, &Wish::default(), 1).unwrap().guest_token.unwrap();
        assert_eq!(
            desk.identify(Credentials::AccessCookie(&guest), &Wish::default(), 1),
            Err(NotAdmitted::Token(TokenError::Kind))
        );
        let session = desk.access_token(|claims| claims.kind = Kind::Session);
        assert_eq!(
            desk.identify(Credentials::Bearer(&session), &Wish::default(), 1),
            Err(NotAdmitted::Token(TokenError::Kind))
        );
    }

    #[test]
    fn where_guests_are_not_wanted_none_is_made_or_taken_back() {
        let desk = Desk::new();
        let token = desk.identify(Credentials::None, &Wish::default(), 1).unwrap().guest_token.unwrap();
        for credentials in [Credentials::None, Credentials::GuestCookie(&token), Credentials::Bearer(&token)] {
            let refused = desk.at(NOW, false, credentials, &Wish::default(), 1);
            assert_eq!(refused, Err(NotAdmitted::NoGuests));
        }
    }

    #[test]
    fn credentials_are_looked_for_in_their_order() {
        let mut headers = HeaderMap::new();
        let mut wish = Wish::default();
        assert_eq!(Credentials::find(&headers, &wish), Credentials::None);
        headers.insert(header::COOKIE, HeaderValue::from_static("guest_token=g"));
        assert_eq!(Credentials::find(&headers, &wish), Credentials::GuestCookie("g"));
        wish.guest_token = Some("q".into());
        assert_eq!(Credentials::find(&headers, &wish), Credentials::GuestQuery("q"));
        headers.insert(header::COOKIE, HeaderValue::from_static("guest_token=g; access_token=a"));
        assert_eq!(Credentials::find(&headers, &wish), Credentials::AccessCookie("a"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic dXNlcjpwYXNz"));
        assert_eq!(Credentials::find(&headers, &wish), Credentials::AccessCookie("a"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer  b"));
        assert_eq!(Credentials::find(&headers, &wish), Credentials::Bearer("b"));
    }
}
