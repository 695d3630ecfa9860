//! The PROXY protocol's header: read as its specification has it, and not a byte more than is its own.
//!
//! The first byte of the input says in what pieces the rest comes.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::FutureExt as _;
use pianorhythm_server::http::proxy_protocol::{MAX_REST_BYTES, ProxyHeaderError, read_header};
use tokio::io::{AsyncRead, ReadBuf};

use crate::meter::metered;

/// Bytes that come in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    longest: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = self.rest.len().min(self.longest).min(buffer.remaining());
        let (piece, rest) = self.rest.split_at(length);
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut stream = Pieces { rest: bytes, longest: 1 + usize::from(cut) };
    let (result, held) = metered(|| read_header(&mut stream).now_or_never().expect("it is never waited for"));
    // An error of the stream's end is a box.
    assert!(held <= 128, "{held} bytes are held");
    let taken = bytes.len() - stream.rest.len();
    assert!(taken <= 16 + MAX_REST_BYTES, "{taken} bytes were taken");
    let expected = reference(bytes);
    match (&result, expected) {
        (Ok(address), Ok((expected, length))) => {
            assert_eq!((*address, taken), (expected, length), "what follows is another's");
        }
        (Err(ProxyHeaderError::Io(error)), Err(Refusal::Short)) => {
            assert_eq!((error.kind(), taken), (io::ErrorKind::UnexpectedEof, bytes.len()));
        }
        (Err(ProxyHeaderError::Io(_)), _) | (_, Err(Refusal::Short)) | (Ok(_), _) | (_, Ok(_)) => {
            panic!("{result:?} where the specification has {expected:?}")
        }
        (Err(_), Err(Refusal::Wrong)) => {}
    }
}

#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// The bytes end within it.
    Short,
    Wrong,
}

/// The specification's section 2.2, read over the whole of the bytes: the source, and the header's length.
fn reference(bytes: &[u8]) -> Result<(Option<IpAddr>, usize), Refusal> {
    let head = bytes.get(..16).ok_or(Refusal::Short)?;
    let length = usize::from(head[14]) * 256 + usize::from(head[15]);
    if &head[..12] != b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A" || length > MAX_REST_BYTES {
        return Err(Refusal::Wrong);
    }
    let rest = bytes.get(16..16 + length).ok_or(Refusal::Short)?;
    let address = match (head[12] >> 4, head[12] & 15, head[13]) {
        (2, 0, _) | (2, 1, 0x00) => None,
        (2, 1, 0x11) if length >= 12 => Some(IpAddr::from([rest[0], rest[1], rest[2], rest[3]])),
        (2, 1, 0x21) if length >= 36 => {
            let octets: [u8; 16] = rest[..16].try_into().expect("sixteen");
            // A client of IPv4 that came over a socket of both.
            match octets {
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
                _ => Some(IpAddr::from(octets)),
            }
        }
        _ => return Err(Refusal::Wrong),
    };
    Ok((address, 16 + length))
}
