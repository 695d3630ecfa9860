//! The opening handshake: bytes through hyper, as the front desk has it, to the 101 and what is left over behind it.
//!
//! The first byte of the input says in what pieces the rest comes. What is judged of hyper's request is judged of tungstenite's, too.

use std::{
    convert::Infallible,
    future::Future as _,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use axum::{
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use futures_util::FutureExt as _;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use pianorhythm_server::http::{
    accept, cookie, origin,
    upgrade::{Opening, OpeningError},
};
use tungstenite::handshake::{machine::TryParse as _, server};

/// As the front desk sets them.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// A socket that gives bytes in pieces, and then waits for the answer.
struct Script {
    bytes: Vec<u8>,
    at: usize,
    longest: usize,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Read for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let length = (self.bytes.len() - self.at).min(self.longest).min(buffer.remaining());
        if length == 0 {
            return Poll::Pending;
        }
        buffer.put_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// One request that came through, and what was made of it.
struct Judged {
    headers: HeaderMap,
    opening: Result<Opening, OpeningError>,
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let script = Script {
        bytes: bytes.to_vec(),
        at: 0,
        longest: [1, 7, 100, usize::MAX][usize::from(cut) % 4],
        written: Arc::default(),
    };
    let (judged, written, leftover) = serve(script);
    for Judged { headers, opening } in &judged {
        headers_are_read(headers);
        if let Ok(opening) = opening {
            granted(headers, opening);
        }
    }
    let opened = judged.iter().filter(|judged| judged.opening.is_ok()).count();
    assert!(opened <= 1 && (opened == 0 || judged.last().unwrap().opening.is_ok()), "none comes after a 101");
    if !judged.is_empty() {
        assert!(written.starts_with(b"HTTP/1."), "it was answered: {:?}", String::from_utf8_lossy(&written));
    }
    if let Some(leftover) = leftover {
        let head = bytes.strip_suffix(&leftover[..]).expect("what is left over is what was not used up");
        assert!(head.ends_with(b"\n"), "it begins right behind the head");
        assert!(written.ends_with(b"\r\n\r\n"), "nothing was written behind the 101");
    } else {
        assert_eq!(opened, 0, "a 101 gives the socket back");
    }
    let first = server::Request::try_parse(bytes);
    if let (Some(hypers), Ok(Some((_, theirs)))) = (judged.first(), first) {
        let mut headers = theirs.headers().clone();
        if headers.contains_key(header::TRANSFER_ENCODING) {
            // Of both, hyper forgets the one that does not count.
            headers.remove(header::CONTENT_LENGTH);
        }
        assert_eq!(hypers.headers, headers, "two parsers, one head");
        assert_eq!(hypers.opening, Opening::of(&theirs.into_parts().0));
    }
}

/// Serves the bytes to their end: what was asked, what was answered, and what is left over behind a 101.
fn serve(script: Script) -> (Vec<Judged>, Vec<u8>, Option<Vec<u8>>) {
    let written = Arc::clone(&script.written);
    let seen: Arc<Mutex<(Vec<Judged>, Option<OnUpgrade>)>> = Arc::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        let mut seen = seen.lock().unwrap();
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        let opening = Opening::of(&head);
        let response = match &opening {
            Ok(opening) => {
                seen.1 = Some(upgrade);
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                opening.write(response.headers_mut());
                response
            }
            Err(error) => error.into_response(),
        };
        seen.0.push(Judged { headers: head.headers, opening });
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut before = (0, 0);
    let mut connection = http1::Builder::new();
    connection.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    {
        let mut connection = pin!(connection.serve_connection(script, service).with_upgrades());
        let mut cx = Context::from_waker(Waker::noop());
        // Once more than it has something to do, since nobody wakes it.
        let mut polls = 0;
        let mut idle = 0;
        while idle < 3 && connection.as_mut().poll(&mut cx).is_pending() {
            let progress = (seen.lock().unwrap().0.len(), written.lock().unwrap().len());
            idle = if progress == before { idle + 1 } else { 0 };
            before = progress;
            polls += 1;
            assert!(polls < 100_000, "it is served for ever");
        }
    }
    let (judged, upgrade) = std::mem::take(&mut *seen.lock().unwrap());
    let leftover = upgrade.and_then(|upgrade| upgrade.now_or_never()).and_then(Result::ok).map(|upgraded| {
        let parts = upgraded.downcast::<Script>().unwrap_or_else(|_| panic!("another socket"));
        [&parts.read_buf[..], &parts.io.bytes[parts.io.at..]].concat()
    });
    let written = std::mem::take(&mut *written.lock().unwrap());
    (judged, written, leftover)
}

/// The headers that are read besides, before anybody is let in.
fn headers_are_read(headers: &HeaderMap) {
    accept::prefers_html(headers);
    let is_own = origin::is_allowed(headers, &[]);
    assert!(is_own || headers.contains_key(header::ORIGIN), "only a page can be a foreign one");
    for name in [cookie::ACCESS_TOKEN, cookie::GUEST_TOKEN] {
        if let Some(value) = cookie::find(headers, name) {
            assert!(!value.is_empty() && !value.contains(';'), "{value:?}");
        }
    }
}

/// A 101 answers the key, and names what the client has offered.
fn granted(headers: &HeaderMap, opening: &Opening) {
    let mut answer = HeaderMap::new();
    opening.write(&mut answer);
    let key = headers.get(header::SEC_WEBSOCKET_KEY).expect("it was judged");
    assert_eq!(key.len(), 24, "sixteen bytes in base64");
    if let Some(chosen) = answer.get(header::SEC_WEBSOCKET_PROTOCOL) {
        let chosen = chosen.to_str().unwrap();
        let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        assert!(
            offers.flat_map(|value| value.split(',')).any(|offer| offer.trim() == chosen),
            "{chosen} was not offered"
        );
    }
    let mut request = server::Request::new(());
    *request.headers_mut() = headers.clone();
    // The reference takes no list in `Upgrade`, and no second header; where it takes it, it answers the same.
    if let Ok(theirs) = server::create_response(&request) {
        let theirs = theirs.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        assert_eq!(answer.get(header::SEC_WEBSOCKET_ACCEPT), theirs);
    }
}
