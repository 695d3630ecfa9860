//! What the front desk counts: every connection, handshake and hand-off, and how each ended.

use crate::http::metrics::{Counter, Counters, Exposition, label};

label! {
    /// Why a connection to the front desk was turned away before it was served.
    Refusal("reason") {
        /// The server holds as many connections as it may.
        Total = "total_cap",
        /// That address holds as many connections as it may.
        Address = "address_cap",
        /// That address connects more often than it may.
        Pace = "address_pace",
        /// A trusted proxy's PROXY protocol header was missing, malformed or late.
        ProxyHeader = "proxy_header",
    }
}

label! {
    /// Why `accept` failed.
    AcceptError("reason") {
        /// The process or the system is out of descriptors or memory; accepting pauses.
        Exhausted = "exhausted",
        /// The peer was gone before it was accepted, or the like.
        Other = "other",
    }
}

label! {
    /// How the HTTP part of a connection's life ended.
    HttpEnd("reason") {
        /// Either side closed it after a whole number of requests.
        Closed = "closed",
        /// It became a WebSocket.
        Upgraded = "upgraded",
        /// No request, or no whole one, came in time.
        HeaderTimeout = "header_timeout",
        /// Not HTTP, or over a limit.
        Malformed = "malformed",
        /// Turned away by what its PROXY protocol header said or lacked.
        Refused = "refused",
        /// The network failed, or the peer vanished in mid-request.
        Network = "network",
        /// A defect: the task panicked.
        Panicked = "panicked",
        /// The server shut down and the deadline had passed.
        Aborted = "aborted",
    }
}

label! {
    /// What came of a request for a WebSocket.
    Handshake("result") {
        /// Answered 101.
        Accepted = "accepted",
        /// Not a WebSocket handshake, or not one of RFC 6455.
        Malformed = "malformed",
        /// No subprotocol in common.
        Subprotocol = "subprotocol",
        /// A query parameter that is not valid.
        Query = "query",
        /// A token that is not accepted, or none where guests are not.
        Unauthenticated = "unauthenticated",
        /// Authenticated by cookie from a foreign origin.
        Origin = "origin",
        /// The client's address holds as many connections as it may.
        Address = "address_cap",
        /// The client's address connects more often than it may.
        Pace = "address_pace",
        /// A defect of the server, for example no randomness.
        Failed = "failed",
    }
}

label! {
    /// What came of a socket after its 101.
    HandOff("result") {
        /// A shard has it.
        Admitted = "admitted",
        /// The client was gone before the socket was free.
        Lost = "lost",
        /// Neither taken nor refused in time.
        TimedOut = "timed_out",
        /// Refused: no shard had room for it in time.
        Busy = "busy",
        /// Refused: the server is shutting down.
        Draining = "draining",
        /// Refused: the user is banned.
        Banned = "banned",
    }
}

label! {
    /// What came of a request for a stream of events on operators' port.
    Streaming("result") {
        /// It was opened.
        Opened = "opened",
        /// As many as there may be are open.
        Refused = "refused",
    }
}

label! {
    /// The class of a response's status.
    StatusClass("class") {
        /// 1xx
        Informational = "1xx",
        /// 2xx
        Success = "2xx",
        /// 3xx
        Redirection = "3xx",
        /// 4xx
        ClientError = "4xx",
        /// 5xx
        ServerError = "5xx",
    }
}

/// The front desk's own figures.
#[derive(Debug, Default)]
pub struct DeskMetrics {
    /// Connections accepted from the listening socket.
    pub accepted: Counter,
    /// Failures of `accept`.
    pub accept_errors: Counters<AcceptError>,
    /// Connections turned away unserved.
    pub refused: Counters<Refusal>,
    /// Ends of connections' HTTP part.
    pub http_ends: Counters<HttpEnd>,
    /// Responses by class.
    pub responses: Counters<StatusClass>,
    /// Requests for a WebSocket.
    pub handshakes: Counters<Handshake>,
    /// Guest cookies that did not verify and were replaced by a new guest's.
    pub stale_guests: Counter,
    /// Sockets after their 101.
    pub hand_offs: Counters<HandOff>,
    /// Requests for a stream of events.
    pub streams: Counters<Streaming>,
}

impl DeskMetrics {
    /// Appends them in the text format.
    pub fn write(&self, out: &mut String) {
        let mut out = Exposition(out);
        out.counter("pianorhythm_front_desk_accepted_total", "Connections accepted.", self.accepted.get());
        out.counters("pianorhythm_front_desk_accept_errors_total", "Failures of accept.", &self.accept_errors);
        out.counters("pianorhythm_front_desk_refused_total", "Connections turned away unserved.", &self.refused);
        out.counters("pianorhythm_front_desk_http_ends_total", "Ends of connections' HTTP part.", &self.http_ends);
        out.counters("pianorhythm_front_desk_responses_total", "HTTP responses.", &self.responses);
        out.counters("pianorhythm_front_desk_handshakes_total", "Requests for a WebSocket.", &self.handshakes);
        let help = "Guest cookies that did not verify and were replaced.";
        out.counter("pianorhythm_front_desk_stale_guests_total", help, self.stale_guests.get());
        out.counters("pianorhythm_front_desk_hand_offs_total", "Sockets after their 101.", &self.hand_offs);
        out.counters("pianorhythm_front_desk_streams_total", "Requests for a stream of events.", &self.streams);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_told_once() {
        let mut out = String::new();
        DeskMetrics::default().write(&mut out);
        let names: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut unique = names.clone();
        unique.dedup();
        assert_eq!(names.len(), 9);
        assert_eq!(names, unique);
    }
}
