//! What can go wrong, split by what the caller can do about it.

use std::{fmt, io, time::Duration};

use crate::{
    closed::Closed,
    protocol::{error::ErrorCode, wire::ErrorMessage},
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not one of a WebSocket that this build speaks.
    #[error("{0}")]
    Url(String),
    /// Nobody answers there.
    #[error("cannot reach {url}: {source}")]
    Unreachable {
        /// The address tried.
        url: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server answered with an HTTP error instead of the upgrade.
    #[error("the server refused the connection with HTTP {status}: {message}")]
    Http {
        /// The HTTP status: 401 for bad or expired credentials, 429 or 503 where coming back later helps.
        status: u16,
        /// What the server says about it.
        message: String,
    },
    /// What answers there does not speak this protocol.
    #[error("{url} does not speak this protocol: {reason}")]
    Handshake {
        /// The address tried.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// No welcome within the time allowed.
    #[error("the server did not welcome us within {0:?}")]
    TimedOut(Duration),
    /// The connection ended before the welcome.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The room asked for at the handshake could not be joined.
    #[error("cannot join the room: {0}")]
    Room(Refusal),
}

/// The server refused a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Which error of the protocol's table; `None` for one that this build does not know.
    pub code: Option<ErrorCode>,
    /// The message as it came: code, sentence, details.
    pub message: ErrorMessage,
}

impl Refusal {
    /// How long to wait before trying again, where the server says.
    pub fn retry_after(&self) -> Option<Duration> {
        self.message.error_details.get("retry_after_ms")?.parse().ok().map(Duration::from_millis)
    }
}

impl From<ErrorMessage> for Refusal {
    fn from(message: ErrorMessage) -> Self {
        let code = ErrorCode::ALL.iter().copied().find(|code| code.as_str() == message.error_code);
        Self { code, message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message.error_message, self.message.error_code)
    }
}

impl std::error::Error for Refusal {}

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server said no.
    #[error(transparent)]
    Refused(Refusal),
    /// No answer in time; the request may have been carried out.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer is not of the kind that this request asks for.
    #[error("the server answered with another kind of message")]
    Unexpected,
    /// Too many requests wait for answers already.
    #[error("too many requests are waiting for their answers")]
    TooMany,
    /// It was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl RequestError {
    /// The error's code, where the server refused and this build knows the code.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => refusal.code,
            _ => None,
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The message is longer than the protocol allows: so many bytes.
    #[error("a message of {0} bytes is longer than the protocol allows")]
    TooLong(usize),
}
