use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use super::*;
use crate::net::{readiness::ReadinessSet, socket::SocketSettings};

const NOW: Timestamp = Timestamp::from_ms(1_000_000);

/// A client and the server's wire to it.
fn connected() -> (TcpStream, Wire) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let socket = Socket::new(server, &SocketSettings::default()).unwrap();
    (client, Wire::new(socket, Format::Protobuf, &[]))
}

#[test]
fn an_end_that_is_reported_with_the_last_bytes_is_read() {
    let (mut client, mut wire) = connected();
    client.write_all(b"the last note").unwrap();
    drop(client);
    let mut set = ReadinessSet::new(8).unwrap();
    // Registered when both are there: one event reports them.
    set.add(&wire, 3).unwrap();
    let mut ready = Vec::new();
    while !ready.iter().any(|ready: &crate::net::readiness::Ready| ready.ended) {
        set.poll(&mut ready).unwrap();
    }
    wire.note_ready(true, true);
    wire.note_ended();
    let mut buffer = [0; 64];
    assert_eq!(wire.read(&mut buffer), ReadOutcome::Bytes(13));
    assert!(wire.is_readable(), "a short read does not empty a socket that has ended");
    assert_eq!(wire.read(&mut buffer), ReadOutcome::Ended);
}

#[test]
fn only_a_socket_that_was_full_is_unblocked() {
    let (_client, mut wire) = connected();
    assert!(!wire.note_ready(false, true), "it took bytes all along");
    while wire.flush(NOW, &Bounds::default()) == WriteOutcome::Drained {
        wire.push(vec![0; 16 * 1024].into(), Class::Essential, NOW, &Bounds::default());
    }
    assert!(wire.note_ready(false, true));
}
