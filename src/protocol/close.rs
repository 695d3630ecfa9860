//! The table of WebSocket close codes: what each means, and whether to come back.
//!
//! 3000 to 3499 say come back, 3500 to 3999 say do not. The close frame's reason is
//! `{"retry_after_ms":n}` where a client may come back, and empty where not.

use std::time::Duration;

macro_rules! close_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $meaning:literal, $retry:expr;)*) => {
        /// Why a connection ends.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum CloseCode { $($(#[$doc])* $variant,)* }

        impl CloseCode {
            /// Every code there is, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The meaning, in words for logs and people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// Whether the client may come back, and after what delay where it may.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

/// What a closed client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Do not come back by itself.
    Never,
    /// Come back after this long.
    After(Duration),
    /// Come back at a moment drawn from this span, so that not all come back at once.
    Spread(Duration, Duration),
}

close_codes! {
    /// The client said good-bye.
    Normal = 1000, "normal closure", Retry::Never;
    /// The other side goes away.
    GoingAway = 1001, "going away", Retry::After(Duration::from_secs(1));
    /// A violation of RFC 6455.
    Protocol = 1002, "protocol error", Retry::Never;
    /// Text where binary is due, or the reverse.
    Unsupported = 1003, "unsupported data", Retry::Never;
    /// Text that is not UTF-8.
    InvalidUtf8 = 1007, "invalid UTF-8", Retry::Never;
    /// A message over the size limit.
    TooBig = 1009, "message too big", Retry::Never;
    /// The server restarts or has no room for one more just now.
    Restarting = 3001, "server restarting", Retry::Spread(Duration::from_millis(500), Duration::from_secs(5));
    /// No message of the client's for too long while in no room.
    Idle = 3002, "idle without a room", Retry::After(Duration::from_secs(1));
    /// The connection's own handler failed; the session can be made anew.
    Internal = 3003, "server error", Retry::After(Duration::from_secs(1));
    /// Who it is has changed: a guest has made an account, and is to come back as that.
    IdentityChanged = 3004, "identity changed", Retry::After(Duration::from_secs(1));
    /// The client reads too slowly to keep up.
    TooSlow = 3008, "too slow", Retry::After(Duration::from_secs(2));
    /// Kicked by the room's owner or a moderator.
    Kicked = 3501, "kicked", Retry::Never;
    /// Banned.
    Banned = 3502, "banned", Retry::Never;
    /// Logged out, or its authorisation was taken away.
    Unauthorised = 3503, "unauthorised", Retry::Never;
    /// A payload that does not decode.
    Undecodable = 3504, "payload does not decode", Retry::Never;
    /// Its session was resumed by another connection.
    ResumedElsewhere = 3505, "session resumed elsewhere", Retry::Never;
    /// Too much for too long.
    RateLimit = 3506, "rate limit", Retry::Never;
}

impl CloseCode {
    /// The close frame's reason. `chance`, from 0 to `u64::MAX`, picks a moment within a spread.
    pub fn reason(self, chance: u64) -> String {
        let delay = match self.retry() {
            Retry::Never => return String::new(),
            Retry::After(delay) => delay,
            Retry::Spread(from, to) => {
                let span = to.saturating_sub(from).as_millis();
                from + Duration::from_millis((span * u128::from(chance) / u128::from(u64::MAX)) as u64)
            }
        };
        format!("{{\"retry_after_ms\":{}}}", delay.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_code_says_whether_to_come_back() {
        for code in CloseCode::ALL {
            match code.code() {
                3000..=3499 => assert_ne!(code.retry(), Retry::Never, "{code:?}"),
                3500..=3999 => assert_eq!(code.retry(), Retry::Never, "{code:?}"),
                _ => {}
            }
        }
    }

    #[test]
    fn a_spread_covers_its_span_and_no_more() {
        assert_eq!(CloseCode::Restarting.reason(0), r#"{"retry_after_ms":500}"#);
        assert_eq!(CloseCode::Restarting.reason(u64::MAX), r#"{"retry_after_ms":5000}"#);
        assert_eq!(CloseCode::Kicked.reason(7), "");
    }
}
