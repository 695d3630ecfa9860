//! After the 101: the socket, what was read past the request, and the session go to a shard.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time,
};
use tracing::{debug, warn};

use crate::{
    domain::identity::Session,
    http::{
        connection,
        desk::Desk,
        desk_metrics::HandOff,
        place::Place,
        stage::{Admission, Refused},
    },
    protocol::close::CloseCode,
};

/// What a client that takes its leave may still send before it is cut off, in bytes.
const MAX_FAREWELL_BYTES: u64 = 64 * 1024;

/// All that an [`Admission`] is made of but the socket, which hyper holds until the 101 is out.
pub(crate) struct HandingOff {
    pub(crate) desk: Arc<Desk>,
    pub(crate) upgrade: OnUpgrade,
    pub(crate) session: Session,
    pub(crate) room: Option<String>,
    pub(crate) guest_token: Option<String>,
    pub(crate) session_token: String,
    pub(crate) place: Place,
}

impl HandingOff {
    /// Hands the socket to the stage; takes leave of it where the stage refuses. Both within `upgrade_timeout`.
    pub(crate) async fn run(self) {
        let desk = Arc::clone(&self.desk);
        let connection = self.session.connection;
        let limit = desk.settings.upgrade_timeout;
        let outcome = match time::timeout(limit, self.admit()).await {
            Err(_) => HandOff::TimedOut,
            Ok(Err(None)) => HandOff::Lost,
            Ok(Ok(())) => HandOff::Admitted,
            Ok(Err(Some(refused))) => {
                let outcome = refused.reason.outcome();
                // Counted before the farewell: that one is a courtesy and may take its time.
                desk.metrics.hand_offs.increment(outcome);
                debug!(%connection, ?outcome, "socket refused");
                let _ = time::timeout(limit, take_leave(refused)).await;
                return;
            }
        };
        if outcome == HandOff::TimedOut {
            warn!(%connection, "no shard admitted the socket in time");
        }
        desk.metrics.hand_offs.increment(outcome);
    }

    /// The connection ended before its 101 was out.
    pub(crate) fn lose(self) {
        self.desk.metrics.hand_offs.increment(HandOff::Lost);
    }

    /// `Err(None)`: the client was gone.
    async fn admit(self) -> Result<(), Option<Refused>> {
        let upgraded = self.upgrade.await.map_err(|_| None)?;
        let (socket, leftover) = connection::reclaim(upgraded).map_err(|_| None)?;
        let admission = Admission {
            socket,
            leftover,
            session: self.session,
            room: self.room,
            guest_token: self.guest_token,
            session_token: self.session_token,
            place: self.place,
        };
        self.desk.stage.admit(admission).await.map_err(Some)
    }
}

/// Sends a close frame, waits for the client to close, and closes.
///
/// Closing at once, with bytes of the client's unread, would reset the connection and could take the frame with it.
async fn take_leave(refused: Refused) -> std::io::Result<()> {
    let Admission { socket, place, .. } = *refused.admission;
    let mut socket = TcpStream::from_std(socket)?;
    let mut chance = [0; 8];
    // Without chance all come back at the same moment, which is no reason to stay silent.
    let _ = getrandom::fill(&mut chance);
    socket.write_all(&close_frame(refused.reason.close_code(), u64::from_ne_bytes(chance))).await?;
    socket.shutdown().await?;
    tokio::io::copy(&mut (&mut socket).take(MAX_FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    drop((socket, place));
    Ok(())
}

/// A server's close frame (RFC 6455, 5.5.1): final, unmasked, the code and the reason.
fn close_frame(code: CloseCode, chance: u64) -> Vec<u8> {
    let reason = code.reason(chance);
    let length = u8::try_from(2 + reason.len()).expect("reasons are short");
    debug_assert!(length < 126, "a control frame's payload");
    let mut frame = vec![0x88, length];
    frame.extend_from_slice(&code.code().to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_carries_the_code_and_when_to_come_back() {
        let frame = close_frame(CloseCode::Restarting, 0);
        assert_eq!(frame[..4], [0x88, 24, 0x0B, 0xB9]);
        assert_eq!(&frame[4..], br#"{"retry_after_ms":500}"#);
        assert_eq!(close_frame(CloseCode::Banned, 0), [0x88, 2, 0x0D, 0xAE]);
    }
}
