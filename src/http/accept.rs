//! What a request's `Accept` prefers (RFC 9110, section 12.5.1), where there is a page and the same as JSON.

use axum::http::{HeaderMap, header};

/// Whether a page is wanted rather than JSON: browsers say so; command-line tools, which take anything, do not.
pub fn prefers_html(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<_> = values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
    quality(&ranges, "text", "html") > quality(&ranges, "application", "json")
}

/// One of the kinds of answer that are taken, and how much it is liked.
struct Range<'a> {
    class: &'a str,
    kind: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    /// `None`: it is none.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (class, kind) = parts.next()?.split_once('/')?;
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality = weight.map_or(Some(1.0), |(_, value)| value.parse().ok())?;
        (0.0..=1.0).contains(&quality).then_some(Self { class, kind, quality })
    }

    /// How closely it names this kind of answer; `None`: not at all.
    fn closeness(&self, class: &str, kind: &str) -> Option<u8> {
        match (self.class, self.kind) {
            ("*", "*") => Some(0),
            (c, "*") if c.eq_ignore_ascii_case(class) => Some(1),
            (c, k) if c.eq_ignore_ascii_case(class) && k.eq_ignore_ascii_case(kind) => Some(2),
            _ => None,
        }
    }
}

/// How much the closest range likes this kind of answer.
fn quality(ranges: &[Range<'_>], class: &str, kind: &str) -> f32 {
    let fitting = ranges.iter().filter_map(|range| Some((range.closeness(class, kind)?, range.quality)));
    fitting.max_by_key(|(closeness, _)| *closeness).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn browsers_get_the_page() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "text/html",
            "Text/HTML",
            "text/*, */*;q=0.1",
            "application/json;q=0.5, text/html;q=0.6",
            "text/html;level=1",
            "application/json; q=0, */*",
        ] {
            assert!(prefers_html(&with(accept)), "{accept}");
        }
    }

    #[test]
    fn programs_get_json() {
        assert!(!prefers_html(&HeaderMap::new()));
        for accept in [
            "*/*",
            "application/json",
            "application/json, text/html;q=0.9",
            "text/html, application/json",
            "text/html;q=0, */*;q=0.1",
            "text/html;q=2",
            "text/html;q=x",
            "text/event-stream",
            "html",
            "",
        ] {
            assert!(!prefers_html(&with(accept)), "{accept}");
        }
    }

    #[test]
    fn several_header_lines_count_as_one() {
        let mut headers = with("application/json;q=0.5");
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        assert!(prefers_html(&headers));
    }

    proptest! {
        #[test]
        fn any_header_is_read(accept in "[ -~]{0,60}") {
            prefers_html(&with(&accept));
        }
    }
}
