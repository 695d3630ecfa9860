//! Operators' port: readiness, figures, a look inside, and closing a user's connections.
//!
//! It asks for no credentials: it listens on loopback unless told otherwise. What changes anything is refused to
//! browsers, whose pages could be made to send it.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use crate::{
    http::{
        actors,
        desk::Desk,
        envelope::Success,
        metrics::{self, Exposition},
        routes,
        stage::{Health, Status},
    },
    protocol::{
        close::CloseCode,
        error::{ErrorCode, Rejection},
        ids::UserId,
    },
};

/// What an operator may close a user's connections with.
const CLOSE_CODES: [(&str, CloseCode); 5] = [
    ("kicked", CloseCode::Kicked),
    ("banned", CloseCode::Banned),
    ("unauthorised", CloseCode::Unauthorised),
    ("rate_limit", CloseCode::RateLimit),
    ("restarting", CloseCode::Restarting),
];

pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let router = Router::new()
        .route("/health", get(routes::alive))
        .route("/health/detailed", get(health))
        .route("/metrics", get(figures))
        .route("/debug", get(debug))
        .route("/debug/users/{id}/close", post(close_user))
        .merge(actors::router());
    routes::bounded(router, desk.settings.max_body_bytes, desk.settings.request_timeout).with_state(desk)
}

#[derive(Serialize)]
struct Detailed {
    status: Status,
    /// Connections that hold a place: HTTP and WebSocket.
    connections: usize,
    #[serde(flatten)]
    health: Health,
}

/// Readiness, service by service; 503 where nobody should be sent here.
async fn health(State(desk): State<Arc<Desk>>) -> Response {
    let health = desk.stage.health();
    let status = health.status();
    let code = if status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Detailed { status, connections: desk.places.taken(), health })).into_response()
}

async fn figures(State(desk): State<Arc<Desk>>) -> Response {
    let mut out = String::with_capacity(8 * 1024);
    desk.metrics.write(&mut out);
    let help = "Connections that hold a place: HTTP and WebSocket.";
    Exposition(&mut out).gauge("pianorhythm_front_desk_connections", help, desk.places.taken());
    let help = "Streams of events that are open on operators' port.";
    Exposition(&mut out).gauge("pianorhythm_front_desk_open_streams", help, actors::open_streams(&desk));
    desk.stage.metrics(&mut out);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], out).into_response()
}

async fn debug(State(desk): State<Arc<Desk>>) -> Response {
    let settings = &desk.settings;
    Json(json!({
        "front_desk": {
            "connections": desk.places.taken(),
            "max_connections": settings.max_connections,
            "max_connections_by_address": settings.max_connections_by_address,
            "pace_by_address": settings.pace_by_address,
            "trusted_proxies": settings.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "proxy_protocol": settings.proxy_protocol,
            "allow_guests": settings.allow_guests,
        },
        "stage": desk.stage.debug(),
    }))
    .into_response()
}

#[derive(Deserialize)]
struct Close {
    code: Option<String>,
}

/// Closes all connections of a user; `?code=` names the close code, "kicked" where none is named.
async fn close_user(
    State(desk): State<Arc<Desk>>,
    Path(user): Path<String>,
    Query(close): Query<Close>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    if headers.contains_key(header::ORIGIN) {
        return Err(Rejection::new(ErrorCode::Authorization, "not from a page: use a command-line client"));
    }
    let name = close.code.as_deref().unwrap_or("kicked");
    let Some((_, code)) = CLOSE_CODES.iter().find(|(known, _)| *known == name) else {
        let known = CLOSE_CODES.map(|(name, _)| name).join(", ");
        return Err(Rejection::new(ErrorCode::Validation, format!("`code` is one of {known}")).with("field", "code"));
    };
    let user = UserId::from(user.as_str());
    let closed = desk.stage.close_user(&user, *code).await;
    info!(%user, code = code.code(), closed, "an operator closed a user's connections");
    Ok(Success::of(json!({ "closed": closed })).into_response())
}
