//! Whether a page may act with a user's cookies: the `Origin` of a handshake against the origins allowed.

use axum::http::{HeaderMap, Uri, header, uri::Scheme};

/// Whether the request comes from an allowed page, or from no page at all.
///
/// Browsers always send `Origin` with a WebSocket handshake; what sends none is no browser, and no foreign page can
/// make it use cookies. The server's own pages are allowed, those of the host that the request names, and the list's.
pub fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.is_some_and(|host| is_same(origin, host))
        || allowed.iter().any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

/// Whether the origin's host and port are those of `Host`, which leaves out its scheme's own port.
fn is_same(origin: &str, host: &str) -> bool {
    let Ok(origin) = origin.parse::<Uri>() else { return false };
    let own_port = match origin.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        _ => return false,
    };
    let Ok(host) = host.parse::<axum::http::uri::Authority>() else { return false };
    origin.authority().is_some_and(|origin| {
        origin.host().eq_ignore_ascii_case(host.host())
            && origin.port_u16().unwrap_or(own_port) == host.port_u16().unwrap_or(own_port)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn allowed(origin: &str, host: &str, list: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        is_allowed(&headers, &list.iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_list_a_page_of_this_host_is_allowed() {
        assert!(allowed("http://localhost:8080", "localhost:8080", &[]));
        assert!(allowed("https://piano.example", "piano.example", &[]));
        assert!(allowed("https://Piano.example", "piano.example:443", &[]));
        assert!(allowed("http://[::1]:8080", "[::1]:8080", &[]));
    }

    #[test]
    fn a_foreign_page_is_not() {
        assert!(!allowed("http://localhost:8081", "localhost:8080", &[]));
        assert!(!allowed("https://evil.example", "piano.example", &[]));
        assert!(!allowed("https://piano.example.evil.example", "piano.example", &[]));
        assert!(!allowed("http://piano.example", "piano.example:443", &[]));
        assert!(!allowed("null", "piano.example", &[]));
        assert!(!allowed("file://", "piano.example", &[]));
    }

    #[test]
    fn a_list_allows_others_beside_the_own_host() {
        let list = ["https://piano.example/", "http://localhost:3000"];
        assert!(allowed("https://piano.example", "backend:8080", &list));
        assert!(allowed("http://localhost:3000", "localhost:8080", &list));
        assert!(allowed("http://localhost:8080", "localhost:8080", &list));
        assert!(!allowed("http://localhost:8081", "localhost:8080", &list));
        assert!(!allowed("null", "localhost:8080", &list));
    }

    #[test]
    fn what_is_no_browser_sends_no_origin() {
        assert!(is_allowed(&HeaderMap::new(), &["https://piano.example".into()]));
    }

    proptest! {
        #[test]
        fn any_origin_and_host_are_judged(origin in "[ -~]{0,40}", host in "[ -~]{0,40}") {
            allowed(&origin, &host, &[]);
        }
    }
}
