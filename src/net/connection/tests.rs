use std::{
    io::{Read as _, Write as _},
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

#[test]
fn gaps_that_wait_to_be_told_go_before_what_was_kept_elsewhere() {
    let (mut client, mut wire) = connected();
    let bounds = Bounds { shed_bytes: 100, ..Bounds::default() };
    let note = |sequence| Class::Midi { participant: 1, sequence };
    // It falls behind here: the first note goes, and the second with it.
    wire.push(vec![1; 60].into(), note(1), NOW, &bounds);
    wire.push(vec![2; 60].into(), note(2), NOW, &bounds);
    assert!(wire.outbox().has_gaps());

    let mut kept = Outbox::default();
    kept.push(Bytes::from_static(b"kept elsewhere"), note(3), NOW, &bounds);
    wire.absorb(kept, NOW, &bounds);
    assert_eq!(wire.flush(NOW, &bounds), WriteOutcome::Drained);
    wire.finish();

    let mut told = Vec::new();
    client.read_to_end(&mut told).unwrap();
    let gap = ClientMessage::event(Message::Gap(Gap { participant: 1, next_sequence: 3 }));
    let expected = [&frame::message(Format::Protobuf, &gap)[..], b"kept elsewhere"].concat();
    assert_eq!(told, expected);
}
