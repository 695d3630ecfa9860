//! The page: files embedded in the binary, served with the policy that nothing else may run or be reached.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

/// Only our own files run and style; `'self'` covers the WebSocket of this origin too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; \
    base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
/// The page plays and listens to keyboards, and needs nothing else of the device.
const PERMISSIONS: &str = "midi=(self), autoplay=(self), camera=(), microphone=(), geolocation=(), payment=(), usb=()";

/// A file of the page.
struct Asset {
    /// Its name in `page/assets/`.
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal)*) => {
        &[$(Asset { name: $name, bytes: include_bytes!(concat!("page/assets/", $name)) },)*]
    };
}

/// Every file of `page/assets/`; a test compares.
const ASSETS: &[Asset] = assets! {
    "app.js" "chat.js" "clock.js" "colours.js" "connection.js" "dom.js" "favicon.svg" "hands.js" "index.html"
    "keyboard.js" "keys.js" "lobby.js" "menu.js" "midi-input.js" "notices.js" "outgoing.js" "people.js"
    "performer.js" "playout.js" "presence.js" "profile.js" "protocol.js" "reconnect.js" "room.js" "session.js"
    "settings.js" "sound.js" "stage.js" "style.css" "synth-worker.js" "text.js" "typing.js"
};

/// Each file under its own name, and the page at `/`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let path = if asset.name == "index.html" { "/".to_owned() } else { format!("/{}", asset.name) };
        let tag = tag_of(asset.bytes);
        router.route(&path, get(move |headers: HeaderMap| async move { serve(asset, &tag, &headers) }))
    })
}

/// The file, or word that the browser has it already.
fn serve(asset: &'static Asset, tag: &HeaderValue, request: &HeaderMap) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::ETAG, tag.clone()),
        // Asked for each time, so that page and server are of one version; the tag makes the answer short.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    if is_known(request, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.name)))];
    (headers, content_type, asset.bytes).into_response()
}

fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

/// The same in every process of one build, which is as long as the bytes stay the same.
fn tag_of(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal in quotes")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_with_a_known_type() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page/assets");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut embedded: Vec<_> = ASSETS.iter().map(|asset| asset.name).collect();
        embedded.sort();
        assert_eq!(embedded, names);
        for name in embedded {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let asset = &ASSETS[0];
        let tag = tag_of(asset.bytes);
        let fresh = serve(asset, &tag, &HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        for known in [tag.to_str().unwrap().to_owned(), format!("\"x\", W/{}", tag.to_str().unwrap()), "*".into()] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::try_from(known).unwrap())]);
            assert_eq!(serve(asset, &fresh.headers()[header::ETAG], &headers).status(), StatusCode::NOT_MODIFIED);
        }
        let other = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]);
        assert_eq!(serve(asset, &tag, &other).status(), StatusCode::OK);
    }
}
