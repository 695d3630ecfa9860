//! `/debug/actors` on operators' port: all actors and one by its address, as JSON, as a page, and as a stream of events.
//!
//! What there is to say comes from the [`Stage`](crate::http::stage::Stage); here it is only passed on. The page's files
//! are embedded, and served with the policy that nothing else may run or be reached: keys of actors are typed by strangers.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response, Sse, sse::Event},
    routing::get,
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{self, MissedTickBehavior},
};

use crate::{
    http::{
        accept,
        asset::{self, Asset, Policy, assets},
        connection::Peer,
        desk::Desk,
        desk_metrics::Streaming,
        listener::Phase,
    },
    protocol::error::{ErrorCode, Rejection},
};

/// Streams that may be open at once: each asks every host for its report, and holds one of the port's connections.
pub(crate) const MAX_STREAMS: usize = 16;
/// How often a stream tells, in milliseconds: the least and the most that may be asked for, and what is where nothing is.
const EVERY_MS: (u64, u64, u64) = (200, 10_000, 1_000);
/// When a stream that broke off is to be asked for again.
const RETRY: Duration = Duration::from_secs(2);
/// When one that found no place may try again, in milliseconds.
const RETRY_REFUSED_MS: u64 = 5_000;

const POLICY: Policy = Policy {
    // Trusted types: where a browser knows them, even our own script could not make elements of text.
    content: "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
        base-uri 'none'; frame-ancestors 'none'; form-action 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'",
    permissions: "camera=(), microphone=(), geolocation=(), payment=(), usb=(), midi=()",
};

/// The page itself, at `/debug/actors`.
const PAGE: &Asset = &PAGES[0];
const PAGES: &[Asset] = assets! { "actors/assets": "actors.html" };
/// What the page is made of, below `/debug/page/`; with it every file of `actors/assets/`; a test compares.
const PARTS: &[Asset] = assets! { "actors/assets":
    "actors.css" "actors.js" "cards.js" "connection.js" "dom.js" "rates.js" "words.js"
};

pub(crate) fn router() -> Router<Arc<Desk>> {
    Router::new()
        .route("/debug/actors", get(all))
        .route("/debug/actors/events", get(events))
        // One segment for kind and key: then a key that is "." or ".." can be told to a browser, with its slash encoded.
        .route("/debug/actors/{*address}", get(one))
        .merge(asset::router(PARTS, &POLICY, |name| format!("/debug/page/{name}")))
}

/// How many streams are open.
pub(crate) fn open_streams(desk: &Desk) -> usize {
    MAX_STREAMS - desk.streams.available_permits()
}

#[derive(Deserialize)]
struct Form {
    format: Option<String>,
}

/// All actors: the page for browsers, JSON for everybody else; `?format=` decides where it is given.
async fn all(
    State(desk): State<Arc<Desk>>,
    Query(form): Query<Form>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let as_page = match form.format.as_deref() {
        None => accept::prefers_html(&headers),
        Some("html") => true,
        Some("json") => false,
        Some(_) => return Err(invalid("format", "`format` is json or html")),
    };
    let mut response = if as_page {
        PAGE.serve(&PAGE.tag(), &POLICY, &headers)
    } else {
        Json(desk.stage.actors().await).into_response()
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// One actor by its address: `KIND/KEY`, the key percent-encoded, and empty for singletons.
async fn one(State(desk): State<Arc<Desk>>, Path(address): Path<String>) -> Result<Response, Rejection> {
    const HOW: &str = "ask /debug/actors for those there are; an address is KIND/KEY, percent-encoded, \
        and a singleton's ends in the slash, as in statistics/";
    let Some((kind, key)) = address.split_once('/') else {
        let message = format!("the address of an actor has a slash in it: {HOW}");
        return Err(Rejection::new(ErrorCode::NotFound, message).with("kind", address));
    };
    match desk.stage.actor(kind, key).await {
        Some(actor) => Ok(Json(actor).into_response()),
        None => {
            let message = format!("no actor has this address now: {HOW}");
            Err(Rejection::new(ErrorCode::NotFound, message).with("kind", kind).with("key", key))
        }
    }
}

#[derive(Deserialize)]
struct Pace {
    every_ms: Option<String>,
}

impl Pace {
    fn every(&self) -> Result<Duration, Rejection> {
        let (least, most, usual) = EVERY_MS;
        let asked = self.every_ms.as_deref().map_or(Some(usual), |text| text.parse().ok());
        match asked {
            Some(ms) if (least..=most).contains(&ms) => Ok(Duration::from_millis(ms)),
            _ => Err(invalid("every_ms", format!("`every_ms` is a number from {least} to {most}"))),
        }
    }
}

/// All actors at once and then every so often, until the client goes or the port is closed.
///
/// The timeout of requests is one of answers' heads, so a stream outlives it. A client that reads too slowly is told
/// less often: the next report is made when the last is out.
async fn events(
    State(desk): State<Arc<Desk>>,
    Extension(peer): Extension<Arc<Peer>>,
    Query(pace): Query<Pace>,
) -> Result<Response, Rejection> {
    let every = pace.every()?;
    let Ok(place) = Arc::clone(&desk.streams).try_acquire_owned() else {
        desk.metrics.streams.increment(Streaming::Refused);
        let message = format!("all {MAX_STREAMS} streams are taken: close one, or ask for /debug/actors now and then");
        return Err(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", RETRY_REFUSED_MS));
    };
    desk.metrics.streams.increment(Streaming::Opened);
    let mut phase = peer.phase.clone();
    let end = async move { Phase::Draining.reached(&mut phase).await };
    // A proxy that keeps answers back until they are whole would keep this one for good.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"))];
    Ok((unbuffered, Sse::new(reports(desk, every, place).take_until(Box::pin(end)))).into_response())
}

/// Reports as events; `place` is given back with the stream.
fn reports(
    desk: Arc<Desk>,
    every: Duration,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((desk, ticks, place), |(desk, mut ticks, place)| async move {
        ticks.tick().await;
        let report = desk.stage.actors().await.to_string();
        Some((Ok(Event::default().event("actors").retry(RETRY).data(report)), (desk, ticks, place)))
    })
}

fn invalid(field: &str, message: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::new(ErrorCode::Validation, message).with("field", field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_with_a_known_type() {
        let files: Vec<_> =
            PAGES.iter().chain(PARTS).map(|asset| Asset { name: asset.name, bytes: asset.bytes }).collect();
        asset::assert_whole_folder(&files, "actors/assets");
    }

    #[test]
    fn the_page_makes_no_elements_of_text() {
        for asset in PARTS {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for way in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "DOMParser"]
            {
                assert!(!text.contains(way), "{}: {way}", asset.name);
            }
        }
    }
}
