//! One accepted connection: its requests over HTTP/1.1, and after a 101 its way to a shard.

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, pin, sync::watch};
use tower::Service as _;

use crate::http::{
    desk_metrics::HttpEnd,
    hand_off::HandingOff,
    listener::Phase,
    place::{NoPlace, Place},
};

/// The longest request head, in bytes; also the most that can be left over after an upgrade.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most header lines of a request.
const MAX_HEADERS: usize = 64;

/// Whom a request came from: an extension of each request of its connection.
pub(crate) struct Peer {
    /// The other end: the client, or a trusted proxy that forwards requests for it.
    pub(crate) address: IpAddr,
    /// How far its listener is from its end: what goes on by itself ends when draining begins.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Its place, until a WebSocket takes it along.
    place: Mutex<Option<Place>>,
    /// What is to become of the socket after the 101.
    handing_off: Mutex<Option<HandingOff>>,
}

impl Peer {
    pub(crate) fn new(address: IpAddr, place: Place, phase: watch::Receiver<Phase>) -> Self {
        Self { address, phase, place: Mutex::new(Some(place)), handing_off: Mutex::default() }
    }

    /// The connection's place for a WebSocket, where `permit` lets it go; else it stays.
    pub(crate) fn take_place(&self, permit: impl FnOnce(&mut Place) -> Result<(), NoPlace>) -> Result<Place, NoPlace> {
        let mut held = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        // None: an upgrade of this connection has taken it along, and there is no second.
        let mut place = held.take().ok_or(NoPlace::Address)?;
        match permit(&mut place) {
            Ok(()) => Ok(place),
            Err(error) => {
                *held = Some(place);
                Err(error)
            }
        }
    }

    /// Puts down what is to become of the socket when the 101 is out.
    pub(crate) fn hand_off(&self, handing_off: HandingOff) {
        *self.handing_off.lock().unwrap_or_else(PoisonError::into_inner) = Some(handing_off);
    }

    fn take_handing_off(&self) -> Option<HandingOff> {
        self.handing_off.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Serves requests until either side has enough; in the end hands the socket to a shard where it was upgraded.
///
/// All of it is one task, which owns the socket throughout: whenever that task ends, the socket is closed or a
/// shard's. When draining begins, the request in progress is finished and no other is begun.
pub(crate) async fn serve(stream: TcpStream, peer: Arc<Peer>, router: Router, header_timeout: Duration) -> HttpEnd {
    let mut phase = peer.phase.clone();
    let extension = Arc::clone(&peer);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&extension));
        router.clone().call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs from the first read to the end of the head, also between requests: it bounds idleness too.
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = Phase::Draining.reached(&mut phase) => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    match (result, peer.take_handing_off()) {
        (Ok(()), Some(handing_off)) => {
            handing_off.run().await;
            HttpEnd::Upgraded
        }
        (Ok(()), None) => HttpEnd::Closed,
        (Err(error), handing_off) => {
            if let Some(handing_off) = handing_off {
                handing_off.lose();
            }
            end_of(&error)
        }
    }
}

fn end_of(error: &hyper::Error) -> HttpEnd {
    if error.is_timeout() {
        HttpEnd::HeaderTimeout
    } else if error.is_parse() {
        HttpEnd::Malformed
    } else {
        HttpEnd::Network
    }
}

/// The socket as it goes to a shard, and what was read of it already.
pub(crate) fn reclaim(upgraded: hyper::upgrade::Upgraded) -> io::Result<(std::net::TcpStream, bytes::Bytes)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| io::Error::other("not the socket we served"))?;
    let socket = parts.io.into_inner().into_std()?;
    socket.set_nonblocking(true)?;
    Ok((socket, parts.read_buf))
}
