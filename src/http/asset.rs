//! Files embedded in the binary: their types, their tags, and the word that a browser has one already.
//!
//! Which files there are and what they may do stands with the pages that they belong to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

/// A file of a page.
pub(crate) struct Asset {
    /// Its name in its folder.
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
}

/// What a page may do.
pub(crate) struct Policy {
    /// Of what it is made, and whom it may reach.
    pub(crate) content: &'static str,
    /// What it may use of the device.
    pub(crate) permissions: &'static str,
}

/// The files of a folder below `src/http/`.
macro_rules! assets {
    ($folder:literal: $($name:literal)*) => {
        &[$($crate::http::asset::Asset {
            name: $name,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/", $folder, "/", $name)),
        },)*]
    };
}
pub(crate) use assets;

/// Each file at the path that it is given.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(
    assets: &'static [Asset],
    policy: &'static Policy,
    path_of: impl Fn(&str) -> String,
) -> Router<S> {
    assets.iter().fold(Router::new(), |router, asset| {
        let tag = asset.tag();
        let path = path_of(asset.name);
        router.route(&path, get(move |headers: HeaderMap| async move { asset.serve(&tag, policy, &headers) }))
    })
}

impl Asset {
    /// The file, or word that the browser has it already.
    pub(crate) fn serve(&self, tag: &HeaderValue, policy: &Policy, request: &HeaderMap) -> Response {
        let headers: [(HeaderName, HeaderValue); 5] = [
            (header::ETAG, tag.clone()),
            // Asked for each time, so that page and server are of one version; the tag makes the answer short.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy.content)),
            (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(policy.permissions)),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        ];
        if is_known(request, tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(self.name)))];
        (headers, content_type, self.bytes).into_response()
    }

    /// The same in every process of one build, which is as long as the bytes stay the same.
    pub(crate) fn tag(&self) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal in quotes")
    }
}

fn is_known(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
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

/// Fails where a folder has other files than these, or one of a type that is not known.
#[cfg(test)]
pub(crate) fn assert_whole_folder(assets: &[Asset], folder: &str) {
    let folder = format!("{}/src/http/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut embedded: Vec<_> = assets.iter().map(|asset| asset.name).collect();
    embedded.sort();
    assert_eq!(embedded, names);
    for name in embedded {
        assert_ne!(content_type(name), "application/octet-stream", "{name}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSET: Asset = Asset { name: "a.js", bytes: b"play()" };
    const POLICY: Policy = Policy { content: "default-src 'none'", permissions: "midi=()" };

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let tag = ASSET.tag();
        let fresh = ASSET.serve(&tag, &POLICY, &HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        for known in [tag.to_str().unwrap().to_owned(), format!("\"x\", W/{}", tag.to_str().unwrap()), "*".into()] {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::try_from(known).unwrap())]);
            let answer = ASSET.serve(&fresh.headers()[header::ETAG], &POLICY, &headers);
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        }
        let other = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\""))]);
        assert_eq!(ASSET.serve(&tag, &POLICY, &other).status(), StatusCode::OK);
    }
}
