//! The public port's addresses.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use serde_json::json;
use tower_http::{
    limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
};

use crate::http::{
    desk::Desk,
    desk_metrics::{DeskMetrics, StatusClass},
    envelope, page, websocket,
};

/// For answers that are no page: nothing in them is to be run or framed.
const NO_CONTENT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Pages, the API and the public health check.
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let metrics = Arc::clone(&desk.metrics);
    let router =
        Router::new().route("/health", get(alive)).route("/api/websocket", get(websocket::open)).merge(page::router());
    bounded(router, desk.settings.max_body_bytes, desk.settings.request_timeout)
        .layer(middleware::from_fn_with_state(metrics, count))
        .with_state(desk)
}

/// Puts bounds on what a request may bring and take, failures into the envelope, and on every answer the headers that
/// all have.
pub(crate) fn bounded<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    max_body_bytes: usize,
    timeout: Duration,
) -> Router<S> {
    let default = |name: HeaderName, value| SetResponseHeaderLayer::if_not_present(name, value);
    router
        .layer(RequestBodyDeadlineLayer::new(timeout))
        .layer(RequestBodyLimitLayer::new(max_body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(middleware::map_response(envelope::cover))
        .layer(default(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(default(header::CONTENT_SECURITY_POLICY, NO_CONTENT))
        .layer(default(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        .layer(default(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")))
}

/// The process lives and answers; nothing is said of shards and stores.
pub(crate) async fn alive() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

async fn count(State(metrics): State<Arc<DeskMetrics>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    metrics.responses.increment(match response.status().as_u16() {
        ..200 => StatusClass::Informational,
        200..300 => StatusClass::Success,
        300..400 => StatusClass::Redirection,
        400..500 => StatusClass::ClientError,
        500.. => StatusClass::ServerError,
    });
    response
}
