//! The public port's addresses: the table of the API's routes, and what has no gate before it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodRouter, get, post},
};
use serde_json::json;
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    limit::RequestBodyLimitLayer,
    set_header::SetResponseHeaderLayer,
    timeout::{RequestBodyDeadlineLayer, TimeoutLayer},
};

use crate::{
    domain::permission::Permission,
    http::{
        auth_routes,
        desk::Desk,
        desk_metrics::{DeskMetrics, StatusClass},
        envelope,
        gate::{self, Route},
        limits::LimitClass,
        page, websocket,
    },
};

/// For answers that are no page: nothing in them is to be run or framed.
const NO_CONTENT: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// How long a browser may go by what it was told of other origins.
const CORS_MAX_AGE: Duration = Duration::from_secs(600);

/// The table of the API's routes. Each says what one needs to be allowed and what it is counted as; the gate goes by it.
fn api() -> Vec<(Route, MethodRouter<Arc<Desk>>)> {
    use LimitClass as L;
    use Permission as P;
    let of = |method, path, permission, limit, handler| (Route { method, path, permission, limit }, handler);
    vec![
        of(Method::POST, "/api/auth/register", P::Register, L::Registration, post(auth_routes::register)),
        of(Method::POST, "/api/auth/login", P::LogIn, L::LogIn, post(auth_routes::log_in)),
        of(Method::POST, "/api/auth/refresh", P::LogIn, L::General, post(auth_routes::refresh)),
        of(Method::POST, "/api/auth/logout", P::LogIn, L::General, post(auth_routes::log_out)),
        of(Method::GET, "/api/auth/validate-token", P::SeeOwnAccount, L::General, get(auth_routes::validate_token)),
    ]
}

/// The API's routes, without their handlers.
pub fn table() -> Vec<Route> {
    api().into_iter().map(|(route, _)| route).collect()
}

/// Pages, the API and the public health check.
pub(crate) fn router(desk: Arc<Desk>) -> Router {
    let metrics = Arc::clone(&desk.metrics);
    let api = api().into_iter().fold(Router::new(), |router, (route, handler)| {
        let path = route.path;
        let gate = middleware::from_fn_with_state((Arc::clone(&desk), Arc::new(route)), gate::pass);
        router.route(path, handler.route_layer(gate))
    });
    let router = Router::new()
        .route("/health", get(alive))
        // A handshake judges who comes by itself.
        .route("/api/websocket", get(websocket::open))
        .merge(api.layer(cors(&desk.settings.allowed_origins)))
        .merge(page::router());
    bounded(router, desk.settings.max_body_bytes, desk.settings.request_timeout)
        .layer(middleware::from_fn_with_state(metrics, count))
        .with_state(desk)
}

/// Lets pages of these origins use the API with a user's cookies, and no others.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin.trim_end_matches('/')).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([
            header::RETRY_AFTER,
            HeaderName::from_static("x-ratelimit-limit"),
            HeaderName::from_static("x-ratelimit-remaining"),
            HeaderName::from_static("x-ratelimit-reset"),
        ])
        .max_age(CORS_MAX_AGE)
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
