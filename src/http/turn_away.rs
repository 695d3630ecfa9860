//! What a connection is told that gets no place: bytes made once, said in one write, whatever it asks.
//!
//! One that comes a thousand times a second must cost as little as it can: nothing is read of it, nothing is made for it, no
//! task, no timer. What is left is what the system charges for accepting, answering and closing.

use std::io::Write as _;

use tokio::net::TcpStream;

use crate::{
    http::{
        envelope,
        place::{NoPlace, Places},
    },
    protocol::error::Rejection,
};

/// The answers, by reason.
#[derive(Debug)]
pub(crate) struct TurnAway {
    total: Box<[u8]>,
    address: Box<[u8]>,
    pace: Box<[u8]>,
}

impl TurnAway {
    /// Those of a desk with these places.
    pub(crate) fn of(places: &Places) -> Self {
        let answer = |reason| answer(places.rejection(reason)).into_bytes().into_boxed_slice();
        Self { total: answer(NoPlace::Total), address: answer(NoPlace::Address), pace: answer(NoPlace::Pace) }
    }

    /// Says so in one write that waits for nothing, and closes.
    pub(crate) fn say(&self, reason: NoPlace, stream: TcpStream) {
        if let Ok(mut stream) = stream.into_std() {
            let _ = stream.write(self.to(reason));
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn to(&self, reason: NoPlace) -> &[u8] {
        match reason {
            NoPlace::Total => &self.total,
            NoPlace::Address => &self.address,
            NoPlace::Pace => &self.pace,
        }
    }
}

/// The same answer as to a request that was read, the connection's end aside.
fn answer(rejection: Rejection) -> String {
    let status = envelope::status_of(rejection.code);
    let seconds = envelope::retry_after_seconds(&rejection).unwrap_or(1);
    let body = envelope::body(rejection);
    let body = format!("{body}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nRetry-After: {seconds}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::Rate;

    #[test]
    fn each_answer_is_whole_and_says_what_and_when() {
        let slow = Rate { capacity: 3, refill: 1, period_ms: 7000 };
        let answers = TurnAway::of(&Places::new(1, 1, slow));
        for (reason, status, code, seconds) in [
            (NoPlace::Total, "503 Service Unavailable", "SERVER_BUSY", 5),
            (NoPlace::Address, "503 Service Unavailable", "SERVER_BUSY", 5),
            (NoPlace::Pace, "429 Too Many Requests", "RATE_LIMIT_EXCEEDED", 7),
        ] {
            let text = std::str::from_utf8(answers.to(reason)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
            assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
            assert!(head.contains(&format!("\r\nRetry-After: {seconds}\r\n")), "{head}");
            assert!(head.ends_with("\r\nConnection: close"), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((body["success"].as_bool(), body["error"]["code"].as_str()), (Some(false), Some(code)));
            assert_eq!(body["error"]["message"], reason.to_string());
            assert_eq!(body["error"]["details"]["retry_after_ms"], (seconds * 1000).to_string());
        }
    }
}
