//! The body of a request: JSON of a known shape.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;

use crate::{
    http::envelope,
    protocol::error::{ErrorCode, Rejection},
};

/// A body that is to be there.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

/// A body that may be left out.
#[derive(Clone, Copy, Debug)]
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (headers, bytes) = read(request, state).await?;
        parse(&headers, &bytes).map(Self).map_err(answer)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (headers, bytes) = read(request, state).await?;
        if bytes.is_empty() { Ok(Self(T::default())) } else { parse(&headers, &bytes).map(Self).map_err(answer) }
    }
}

/// Its length is bounded by the router.
async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<(HeaderMap, Bytes), Response> {
    let headers = request.headers().clone();
    let bytes = Bytes::from_request(request, state).await.map_err(BytesRejection::into_response)?;
    Ok((headers, bytes))
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, (StatusCode, Rejection)> {
    let refused = |message: String| Rejection::new(ErrorCode::Validation, message);
    // A form of another site's cannot send this type without asking first.
    if !is_json(headers) {
        let rejection = refused("the body is to be JSON, with `Content-Type: application/json`".into());
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, rejection));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // What it says of values may be a password's, and goes nowhere but to whoever sent it.
        let rejection = refused(format!("the body is not what is asked for: {error}"));
        (StatusCode::BAD_REQUEST, rejection.with("field", "body"))
    })
}

fn answer((status, rejection): (StatusCode, Rejection)) -> Response {
    envelope::failure(status, rejection)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        name: String,
    }

    async fn body(kind: Option<&'static str>, text: &'static str) -> Result<Asked, StatusCode> {
        let mut request = Request::new(axum::body::Body::from(text));
        if let Some(kind) = kind {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Body::from_request(request, &()).await.map(|Body(asked)| asked).map_err(|response| response.status())
    }

    #[tokio::test]
    async fn json_of_the_shape_asked_for_is_taken_and_nothing_else() {
        let json = Some("application/json; charset=utf-8");
        assert_eq!(body(json, r#"{"name":"Clara"}"#).await, Ok(Asked { name: "Clara".into() }));
        for wrong in ["", "{}", "[]", r#"{"name":1}"#, r#"{"name":"a","$ne":""}"#, r#"{"name":"a"} {}"#, "name=a"] {
            assert_eq!(body(json, wrong).await, Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
        for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let refused = body(kind, r#"{"name":"Clara"}"#).await;
            assert_eq!(refused, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_taken_where_it_is_there() {
        let absent = OptionalBody::<Asked>::from_request(Request::default(), &()).await.unwrap();
        assert_eq!(absent.0, Asked::default());
        let request = Request::new(axum::body::Body::from("{"));
        assert!(OptionalBody::<Asked>::from_request(request, &()).await.is_err());
    }
}
