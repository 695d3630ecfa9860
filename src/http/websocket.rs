//! `GET /api/websocket`: who may have a socket, and the 101.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request},
    response::{IntoResponse as _, Response},
};
use tracing::error;

use crate::{
    domain::identity::Session,
    http::{
        auth::{
            token::{Claims, Kind},
            visitor::{CHANCE_BYTES, Credentials, Identification, Visitor},
        },
        connection::Peer,
        cookie,
        desk::Desk,
        desk_metrics::Handshake,
        hand_off::HandingOff,
        origin,
        place::{NoPlace, Place},
        upgrade::{Opening, OpeningError},
        wish::Wish,
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::ConnectionId,
        time::Timestamp,
    },
};

/// Why a handshake does not end in a WebSocket.
enum Refusal {
    /// It is none that we take.
    Opening(OpeningError),
    /// It is one, but not granted; with what it is counted as.
    Denied(Handshake, Rejection),
}

impl Refusal {
    fn outcome(&self) -> Handshake {
        match self {
            Self::Opening(OpeningError::Subprotocol) => Handshake::Subprotocol,
            Self::Opening(_) => Handshake::Malformed,
            Self::Denied(outcome, _) => *outcome,
        }
    }

    fn into_response(self) -> Response {
        match self {
            Self::Opening(error) => error.into_response(),
            Self::Denied(_, rejection) => rejection.into_response(),
        }
    }
}

/// Answers a handshake. Whatever the answer, it is counted.
pub(crate) async fn open(
    State(desk): State<Arc<Desk>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let (outcome, response) = match desk.open(&peer, request) {
        Ok(response) => (Handshake::Accepted, response),
        Err(refusal) => (refusal.outcome(), refusal.into_response()),
    };
    desk.metrics.handshakes.increment(outcome);
    response
}

impl Desk {
    fn open(self: &Arc<Self>, peer: &Peer, mut request: Request) -> Result<Response, Refusal> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, _) = request.into_parts();
        let now = (self.clock)();
        // First of all: the rest is what costs.
        let address = self.address(peer, &head, now)?;
        let opening = Opening::of(&head).map_err(Refusal::Opening)?;
        let wish = Wish::of(&head.uri).map_err(|rejection| Refusal::Denied(Handshake::Query, rejection))?;

        let mut chance = [0; CHANCE_BYTES];
        getrandom::fill(&mut chance).map_err(|error| {
            error!(%error, "no randomness for a handshake");
            Refusal::Denied(Handshake::Failed, Rejection::new(ErrorCode::Server, "no randomness"))
        })?;
        let is_known_origin = origin::is_allowed(&head.headers, &self.settings.allowed_origins);
        let visitor = self.identify(&head, &wish, is_known_origin, now, &chance)?;
        let place = self.seat(peer, address, now)?;

        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        opening.write(response.headers_mut());
        if let Some(token) = &visitor.guest_token
            && is_known_origin
        {
            let settings = &self.settings;
            let cookie = cookie::set(cookie::GUEST_TOKEN, token, settings.guest_token_life, settings.secure_cookies);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        let connection = ConnectionId(self.next_connection.fetch_add(1, Relaxed));
        let session_token = self.session_token(&visitor, connection, now);
        let Visitor { profile, session_id, guest_token, .. } = visitor;
        let session = Session { connection, profile, session_id, address, format: opening.format };
        peer.hand_off(HandingOff {
            desk: Arc::clone(self),
            upgrade,
            session,
            room: wish.room,
            guest_token,
            session_token,
            place,
        });
        Ok(response)
    }

    fn identify(
        &self,
        head: &request::Parts,
        wish: &Wish,
        is_known_origin: bool,
        now: Timestamp,
        chance: &[u8; CHANCE_BYTES],
    ) -> Result<Visitor, Refusal> {
        let credentials = Credentials::find(&head.headers, wish);
        if credentials.are_a_cookie() && !is_known_origin {
            let rejection = Rejection::new(ErrorCode::Authorization, "this origin may not use a user's cookies");
            return Err(Refusal::Denied(Handshake::Origin, rejection));
        }
        let identification = Identification {
            tokens: &self.tokens,
            allow_guests: self.settings.allow_guests,
            guest_token_life: self.settings.guest_token_life,
        };
        let visitor = identification.identify(credentials, wish, now, chance).map_err(|error| {
            let rejection = Rejection::new(ErrorCode::Authentication, error.to_string());
            Refusal::Denied(Handshake::Unauthenticated, rejection)
        })?;
        if visitor.replaced {
            self.metrics.stale_guests.increment();
        }
        Ok(visitor)
    }

    /// The client's address, where it may come now.
    fn address(&self, peer: &Peer, head: &request::Parts, now: Timestamp) -> Result<IpAddr, Refusal> {
        let forwarded_for = head.headers.get_all("x-forwarded-for");
        let address = self.trusted.client(peer.address, forwarded_for.into_iter().map(HeaderValue::as_bytes));
        // A peer that speaks for itself was counted when it was accepted.
        if self.trusted.contains(peer.address) {
            self.places.come(address, now).map_err(|reason| self.no_place(reason))?;
        }
        Ok(address)
    }

    /// The connection's place, counted to the client's address.
    fn seat(&self, peer: &Peer, address: IpAddr, now: Timestamp) -> Result<Place, Refusal> {
        let place = peer.take_place(|place| {
            if self.trusted.contains(peer.address) { self.places.assign(place, address, now) } else { Ok(()) }
        });
        place.map_err(|reason| self.no_place(reason))
    }

    fn no_place(&self, reason: NoPlace) -> Refusal {
        let outcome = if reason == NoPlace::Pace { Handshake::Pace } else { Handshake::Address };
        Refusal::Denied(outcome, self.places.rejection(reason))
    }

    fn session_token(&self, visitor: &Visitor, connection: ConnectionId, now: Timestamp) -> String {
        let (user, session) = (visitor.profile.user_id.as_str(), visitor.session_id.as_str());
        let claims = Claims::new(Kind::Session, user, session, now, self.settings.session_token_life);
        self.tokens.sign(&Claims { connection: Some(connection.to_string()), ..claims })
    }
}
