//! A listening socket and its accept loop: who is let in at all, and who is told to come back later.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time,
};
use tracing::{error, warn};

use crate::http::{
    connection::{self, Peer},
    desk::Clock,
    desk_metrics::{AcceptError, DeskMetrics, HttpEnd, Refusal},
    place::{NoPlace, Place, Places},
    proxy::TrustedProxies,
    proxy_protocol,
    turn_away::TurnAway,
};

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: i32 = 4096;
/// The pauses after an `accept` that failed, as for want of descriptors: doubled up to the second, halved down to the
/// first with each that succeeds.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How far a listener is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It accepts.
    Open,
    /// It accepts no more; connections live on.
    Closed,
    /// Connections finish the request they are in, and close.
    Draining,
    /// What is left is cut off.
    Cut,
}

impl Phase {
    /// Waits until the listener is that far, or its owner is gone.
    pub(crate) async fn reached(self, phase: &mut watch::Receiver<Self>) {
        let _ = phase.wait_for(|phase| *phase >= self).await;
    }
}

/// One listening port and what it serves.
pub(crate) struct Door {
    pub(crate) router: Router,
    pub(crate) metrics: Arc<DeskMetrics>,
    pub(crate) places: Arc<Places>,
    pub(crate) turn_away: Arc<TurnAway>,
    pub(crate) clock: Clock,
    pub(crate) trusted: Arc<TrustedProxies>,
    pub(crate) proxy_protocol: bool,
    pub(crate) header_timeout: Duration,
    pub(crate) tcp_user_timeout: Duration,
}

/// Binds and listens. The socket is non-blocking; an IPv6 one takes IPv4 too.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the kernel to forget the old connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Door {
    /// Accepts until the phase says no more, then waits for the connections to end.
    ///
    /// Dropped, it ends them all at once.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, mut phase: watch::Receiver<Phase>) {
        let mut connections = JoinSet::new();
        let mut pause = PAUSES.0;
        while *phase.borrow_and_update() == Phase::Open {
            tokio::select! {
                changed = phase.changed() => if changed.is_err() { return },
                Some(ended) = connections.join_next() => self.note_end(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        pause = PAUSES.0.max(pause / 2);
                        self.metrics.accepted.increment();
                        self.admit(stream, peer, &mut connections, &phase);
                    }
                    Err(error) if is_peers(&error) => self.metrics.accept_errors.increment(AcceptError::Other),
                    Err(error) => {
                        let kind = if is_exhausted(&error) { AcceptError::Exhausted } else { AcceptError::Other };
                        self.metrics.accept_errors.increment(kind);
                        if pause == PAUSES.0 {
                            warn!(%error, "accept failed: pausing");
                        }
                        // The connection stays in the backlog, so accept would fail again at once.
                        tokio::select! {
                            changed = phase.changed() => if changed.is_err() { return },
                            () = time::sleep(pause) => {}
                        }
                        pause = PAUSES.1.min(2 * pause);
                    }
                },
            }
        }
        drop(listener);
        while !connections.is_empty() {
            tokio::select! {
                Some(ended) = connections.join_next() => self.note_end(ended),
                () = Phase::Cut.reached(&mut phase) => break,
            }
        }
        connections.abort_all();
        while let Some(ended) = connections.join_next().await {
            self.note_end(ended);
        }
    }

    /// Gives a connection its place and its task, or turns it away.
    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        connections: &mut JoinSet<HttpEnd>,
        phase: &watch::Receiver<Phase>,
    ) {
        let place = match self.place_of(peer) {
            Ok(place) => place,
            Err(reason) => {
                self.refuse(reason, stream);
                return;
            }
        };
        let socket = SockRef::from(&stream);
        // Neither is worth losing the connection for.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_user_timeout(Some(self.tcp_user_timeout));
        connections.spawn(Arc::clone(self).serve(stream, peer, place, phase.clone()));
    }

    /// A place in all, and of the peer's address where the peer speaks for itself.
    fn place_of(&self, peer: SocketAddr) -> Result<Place, NoPlace> {
        let mut place = self.places.take()?;
        if !self.trusted.contains(peer.ip()) {
            self.seat(&mut place, peer.ip())?;
        }
        Ok(place)
    }

    /// Counts the place to a client that has come.
    fn seat(&self, place: &mut Place, client: IpAddr) -> Result<(), NoPlace> {
        let now = (self.clock)();
        self.places.come(client, now)?;
        self.places.assign(place, client, now)
    }

    fn refuse(&self, reason: NoPlace, stream: TcpStream) {
        self.metrics.refused.increment(reason.into());
        self.turn_away.say(reason, stream);
    }

    async fn serve(
        self: Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut place: Place,
        phase: watch::Receiver<Phase>,
    ) -> HttpEnd {
        let mut address = peer.ip().to_canonical();
        if self.proxy_protocol && self.trusted.contains(address) {
            let header = time::timeout(self.header_timeout, proxy_protocol::read_header(&mut stream)).await;
            let Ok(Ok(source)) = header else {
                self.metrics.refused.increment(Refusal::ProxyHeader);
                return HttpEnd::Refused;
            };
            if let Some(source) = source {
                address = source;
                if !self.trusted.contains(source)
                    && let Err(reason) = self.seat(&mut place, source)
                {
                    self.refuse(reason, stream);
                    return HttpEnd::Refused;
                }
            }
        }
        let peer = Arc::new(Peer::new(address, place, phase));
        connection::serve(stream, peer, self.router.clone(), self.header_timeout).await
    }

    fn note_end(&self, ended: Result<HttpEnd, JoinError>) {
        let end = ended.unwrap_or_else(|failure| {
            if failure.is_panic() {
                error!(%failure, "a connection's task panicked");
                HttpEnd::Panicked
            } else {
                HttpEnd::Aborted
            }
        });
        self.metrics.http_ends.increment(end);
    }
}

/// Whether `accept` failed because the peer was gone already: the next one is another's.
fn is_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Whether `accept` failed for want of something that others may give back.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

impl From<NoPlace> for Refusal {
    fn from(reason: NoPlace) -> Self {
        match reason {
            NoPlace::Total => Self::Total,
            NoPlace::Address => Self::Address,
            NoPlace::Pace => Self::Pace,
        }
    }
}
