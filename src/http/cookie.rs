//! Cookies: reading the ones we set, and setting them.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// The user's access token.
pub const ACCESS_TOKEN: &str = "access_token";
/// The user's refresh token.
pub const REFRESH_TOKEN: &str = "refresh_token";
/// A guest's identity.
pub const GUEST_TOKEN: &str = "guest_token";

/// The first cookie of that name, quotes taken off; an empty one counts as none.
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

/// A cookie that scripts and other sites' requests never see.
#[derive(Clone, Copy, Debug)]
pub struct Cookie<'a> {
    /// Its name.
    pub name: &'a str,
    /// One of our tokens, or nothing.
    pub value: &'a str,
    /// Which addresses it is sent to.
    pub path: &'a str,
    /// How long the browser keeps it; none: until it is closed. Zero takes it away.
    pub max_age: Option<Duration>,
    /// Whether it travels over TLS alone.
    pub secure: bool,
}

impl Cookie<'_> {
    /// The value of a `Set-Cookie`.
    pub fn to_header(self) -> HeaderValue {
        let Self { name, value, path, max_age, secure } = self;
        let max_age = max_age.map(|age| format!("; Max-Age={}", age.as_secs())).unwrap_or_default();
        let secure = if secure { "; Secure" } else { "" };
        let cookie = format!("{name}={value}; Path={path}{max_age}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(cookie).expect("tokens are base64url and dots")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::COOKIE, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let headers = headers(&["theme=dark; xguest_token=no;guest_token=\"a.b.c\"; guest_token=second"]);
        assert_eq!(find(&headers, GUEST_TOKEN), Some("a.b.c"));
        assert_eq!(find(&headers, ACCESS_TOKEN), None);
    }

    #[test]
    fn cookies_may_come_in_several_headers() {
        let headers = headers(&["a=1", "access_token=x.y.z=="]);
        assert_eq!(find(&headers, ACCESS_TOKEN), Some("x.y.z=="));
    }

    #[test]
    fn an_empty_cookie_is_none() {
        assert_eq!(find(&headers(&["guest_token="]), GUEST_TOKEN), None);
        assert_eq!(find(&headers(&["guest_token=\"\""]), GUEST_TOKEN), None);
    }

    #[test]
    fn a_cookie_is_set_out_of_scripts_reach() {
        let day = Duration::from_secs(86_400);
        let cookie = Cookie { name: GUEST_TOKEN, value: "a.b.c", path: "/", max_age: Some(day), secure: true };
        assert_eq!(cookie.to_header(), "guest_token=a.b.c; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict; Secure");
        let cookie = Cookie { path: "/api/auth", max_age: None, secure: false, ..cookie };
        assert_eq!(cookie.to_header(), "guest_token=a.b.c; Path=/api/auth; HttpOnly; SameSite=Strict");
    }

    proptest! {
        #[test]
        fn any_header_is_read(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
                find(&headers, GUEST_TOKEN);
            }
        }
    }
}
