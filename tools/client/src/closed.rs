//! How a connection ended, and whether to come back.

use std::{fmt, time::Duration};

use crate::protocol::close::{CloseCode, Retry};

/// The code of a connection that ended without a close frame, as browsers give it; it never travels.
pub const LOST: u16 = 1006;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close frame's code, or [`LOST`] where there was none.
    pub code: u16,
    /// The close frame's reason, or what went wrong.
    pub reason: String,
    /// How long to wait before coming back; `None`: do not come back by yourself.
    pub retry_after: Option<Duration>,
}

impl Closed {
    /// From a close frame. The delay is the one that the reason gives, else the one that the table of codes gives.
    pub(crate) fn from_frame(code: u16, reason: &str) -> Self {
        let advice: Option<serde_json::Value> = serde_json::from_str(reason).ok();
        let advised = advice.and_then(|advice| advice.get("retry_after_ms")?.as_u64()).map(Duration::from_millis);
        let known = CloseCode::ALL.iter().find(|known| known.code() == code).map(|known| known.retry());
        let by_table = match known {
            Some(Retry::Never) => None,
            Some(Retry::After(delay) | Retry::Spread(delay, _)) => Some(delay),
            None => (3000..3500).contains(&code).then_some(Duration::from_secs(1)),
        };
        // A code that says never is not overruled by a reason that gives a delay.
        let retry_after = by_table.map(|delay| advised.unwrap_or(delay));
        Self { code, reason: reason.to_owned(), retry_after }
    }

    /// Without a close frame: the network, the server's process or this side's patience ended it.
    pub(crate) fn lost(reason: impl fmt::Display) -> Self {
        Self { code: LOST, reason: reason.to_string(), retry_after: Some(Duration::from_secs(1)) }
    }

    /// Whether both sides said good-bye.
    pub fn is_normal(&self) -> bool {
        self.code == CloseCode::Normal.code()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = CloseCode::ALL.iter().find(|known| known.code() == self.code);
        match known {
            Some(code) => write!(f, "the server closed the connection: {} ({})", code.meaning(), self.code)?,
            None if self.code == LOST => return write!(f, "the connection was lost: {}", self.reason),
            None => write!(f, "the server closed the connection with code {}: {}", self.code, self.reason)?,
        }
        match self.retry_after {
            Some(delay) => write!(f, "; try again after {} ms", delay.as_millis()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Closed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_gives_the_delay_where_the_code_says_come_back() {
        let closed = Closed::from_frame(3001, r#"{"retry_after_ms":1234}"#);
        assert_eq!(closed.retry_after, Some(Duration::from_millis(1234)));
        assert_eq!(Closed::from_frame(3001, "soon").retry_after, Some(Duration::from_millis(500)));
        assert_eq!(Closed::from_frame(3499, "").retry_after, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_code_that_says_never_is_not_overruled() {
        assert_eq!(Closed::from_frame(3502, r#"{"retry_after_ms":1}"#).retry_after, None);
        assert_eq!(Closed::from_frame(1000, "").retry_after, None);
        assert_eq!(Closed::from_frame(4000, "").retry_after, None);
    }
}
