//! The one form of every JSON answer: `{success, data, message}` or `{success, error: {code, message, details}}`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::protocol::error::{ErrorCode, Rejection};

/// An answer that carries data.
#[derive(Clone, Debug, Serialize)]
pub struct Success<T> {
    success: bool,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl<T> Success<T> {
    /// The data alone.
    pub fn of(data: T) -> Self {
        Self { success: true, data, message: None }
    }

    /// The data and a sentence for people.
    pub fn with_message(data: T, message: impl Into<String>) -> Self {
        Self { success: true, data, message: Some(message.into()) }
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        failure(status_of(self.code), self)
    }
}

/// A failure with a status of its own; [`Rejection`]'s `into_response` takes that of its code.
pub fn failure(status: StatusCode, rejection: Rejection) -> Response {
    let retry_after = retry_after_seconds(&rejection);
    let mut response = (status, Json(body(rejection))).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Puts a failure into the envelope that was answered without one: by the router, an extractor, a limit. Its headers
/// stay, as `Allow` does.
pub(crate) async fn cover(response: Response) -> Response {
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    let is_json = HeaderValue::from_static("application/json");
    if !is_failure || response.headers().get(header::CONTENT_TYPE) == Some(&is_json) {
        return response;
    }
    let (code, message) = match status {
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => (ErrorCode::Validation, "this address does not take this method"),
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorCode::Validation, "the request's body is too large"),
        StatusCode::SERVICE_UNAVAILABLE => (ErrorCode::ServerBusy, "the answer took too long, try again"),
        status if status.is_client_error() => (ErrorCode::Validation, "the request is malformed"),
        _ => (ErrorCode::Server, "the server failed"),
    };
    let mut covered = failure(status, Rejection::new(code, message));
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            covered.headers_mut().insert(name, value.clone());
        }
    }
    covered
}

/// The envelope of a failure.
pub fn body(rejection: Rejection) -> Value {
    let details: Map<_, _> = rejection.details.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    json!({
        "success": false,
        "error": { "code": rejection.code.as_str(), "message": rejection.message, "details": details },
    })
}

/// The HTTP status of each error of the table.
pub const fn status_of(code: ErrorCode) -> StatusCode {
    use ErrorCode as E;
    match code {
        E::Validation | E::UnknownMessage | E::UnknownCommand => StatusCode::BAD_REQUEST,
        E::NotSupported => StatusCode::NOT_IMPLEMENTED,
        E::Authentication => StatusCode::UNAUTHORIZED,
        E::Authorization
        | E::NotOwner
        | E::PasswordRequired
        | E::WrongPassword
        | E::Banned
        | E::GuestsNotAllowed
        | E::Muted
        | E::OnlyOwnerPlays
        | E::OnlyOwnerChats
        | E::ChatDisabled => StatusCode::FORBIDDEN,
        E::NotFound | E::RoomNotFound | E::UserNotFound => StatusCode::NOT_FOUND,
        E::RoomExists | E::RoomNameReserved | E::RoomFull | E::NotInRoom | E::AlreadyInRoom => StatusCode::CONFLICT,
        E::RateLimit => StatusCode::TOO_MANY_REQUESTS,
        E::ServerBusy | E::StoreUnavailable | E::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        E::Server => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// When to come back, for failures that pass: what the details say, rounded up, or a second.
pub(crate) fn retry_after_seconds(rejection: &Rejection) -> Option<u64> {
    let passes = matches!(status_of(rejection.code), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let told = rejection.details.iter().find(|(name, _)| *name == "retry_after_ms");
    let told = told.and_then(|(_, value)| value.parse::<u64>().ok());
    passes.then(|| told.unwrap_or(1000).div_ceil(1000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_code_and_details() {
        let rejection = Rejection::new(ErrorCode::Validation, "no such colour").with("field", "colour");
        assert_eq!(
            body(rejection),
            json!({"success": false, "error":
                {"code": "VALIDATION_ERROR", "message": "no such colour", "details": {"field": "colour"}}})
        );
    }

    #[test]
    fn what_passes_says_when_to_come_back() {
        let limited = Rejection::new(ErrorCode::RateLimit, "slow down").with("retry_after_ms", 1200);
        let response = limited.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let busy = Rejection::new(ErrorCode::ServerBusy, "try again").into_response();
        assert_eq!(busy.headers()[header::RETRY_AFTER], "1");
        let missing = Rejection::new(ErrorCode::NotFound, "nothing here").into_response();
        assert!(!missing.headers().contains_key(header::RETRY_AFTER));
    }

    #[test]
    fn every_code_has_a_status_that_says_failure() {
        for code in ErrorCode::ALL {
            let status = status_of(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
        }
    }

    #[test]
    fn data_stands_beside_success() {
        let plain = serde_json::to_value(Success::of(json!({"rooms": 3}))).unwrap();
        assert_eq!(plain, json!({"success": true, "data": {"rooms": 3}}));
        let worded = serde_json::to_value(Success::with_message(1, "done")).unwrap();
        assert_eq!(worded, json!({"success": true, "data": 1, "message": "done"}));
    }
}
