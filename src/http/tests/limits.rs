//! What one client can take of the server.

use super::*;
use crate::domain::bucket::Rate;

#[tokio::test]
async fn a_connection_that_sends_no_whole_head_is_closed() {
    let house = House::with(|settings| settings.header_timeout = Duration::from_millis(50));
    let mut silent = house.visit().await;
    let mut slow = house.visit().await;
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    silent.rest().await;
    slow.rest().await;
    let mut idle = house.visit().await;
    idle.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(idle.answer().await.status, 200);
    assert_eq!(idle.rest().await, b"", "idle between requests is bounded too");
    house.await_figure("pianorhythm_front_desk_http_ends_total{reason=\"header_timeout\"}", 3).await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let house = House::open();
    let mut client = house.visit().await;
    let _ = client.socket.write_all(format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(100_000)).as_bytes()).await;
    assert_eq!(client.answer().await.status, 431);
    client.rest().await;
    house.await_figure("pianorhythm_front_desk_http_ends_total{reason=\"malformed\"}", 1).await;
}

#[tokio::test]
async fn a_body_too_large_is_refused() {
    let house = House::open();
    let mut client = house.visit().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.error().as_str()), (413, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn connections_over_the_total_are_told_to_come_back() {
    let mut house = House::with(|settings| settings.max_connections = 2);
    let (_first, _) = house.knock("", "").await;
    let (_second, _) = house.knock("", "").await;
    let (first, _second) = (house.admitted().await, house.admitted().await);

    let answer = house.visit().await.answer().await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "SERVER_BUSY"));
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"total_cap\"}").await, 1);

    // The place went to the shard with the socket, and comes back with its end.
    drop(first);
    let (_third, answer) = house.knock("", "").await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let mut house = House::with(|settings| settings.max_connections_by_address = 1);
    let (_first, _) = house.knock("", "").await;
    let first = house.admitted().await;
    let answer = house.visit().await.answer().await;
    assert_eq!(answer.status, 503);
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_cap\"}").await, 1);
    drop(first.place);
    let (_third, answer) = house.knock("", "").await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn an_address_that_connects_too_often_is_told_when_to_come_again_and_nobody_else_is() {
    let mut house = House::with(|settings| settings.pace_by_address = Rate::per_second(1, 3));
    // Whatever came of them, they came: one leaves, one is answered, one stays.
    drop(house.visit().await);
    assert_eq!(house.knock("?colour=none", "").await.1.status, 400);
    let (_here, answer) = house.knock("", "").await;
    assert_eq!(answer.status, 101);
    house.await_figure("pianorhythm_front_desk_accepted_total", 3).await;
    for _ in 0..10 {
        let mut again = house.visit().await;
        let answer = again.answer().await;
        assert_eq!((answer.status, answer.error().as_str()), (429, "RATE_LIMIT_EXCEEDED"), "before it has asked");
        assert_eq!(answer.headers["retry-after"], "1");
        assert_eq!(answer.json()["error"]["details"]["retry_after_ms"], "1000");
        assert_eq!(again.rest().await, b"");
    }
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_pace\"}").await, 10);
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_cap\"}").await, 0);

    let mut other = Client::from([127, 0, 0, 2], house.public).await;
    other.send(handshake("", "")).await;
    assert_eq!(other.answer().await.status, 101);
    assert_eq!(house.admitted().await.session.address.to_string(), "127.0.0.1");
    assert_eq!(house.admitted().await.session.address.to_string(), "127.0.0.2");

    house.pass(1000);
    let (_again, answer) = house.knock("", "").await;
    assert_eq!(answer.status, 101);
    assert_eq!(house.visit().await.answer().await.status, 429, "one a second");
}

#[tokio::test]
async fn requests_on_a_connection_that_is_there_are_not_paced() {
    let house = House::with(|settings| settings.pace_by_address = Rate::per_second(1, 1));
    let mut client = house.visit().await;
    for _ in 0..20 {
        client.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn operators_may_always_come() {
    let house = House::with(|settings| settings.pace_by_address = Rate::per_second(1, 1));
    for _ in 0..20 {
        assert_eq!(house.ask("GET /health/detailed").await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_was_only_http_gives_its_place_back() {
    let house = House::with(|settings| settings.max_connections = 1);
    let mut client = house.visit().await;
    client.send("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    client.rest().await;
    house.await_figure("pianorhythm_front_desk_connections", 0).await;
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let house = House::with(|settings| settings.tcp_user_timeout = Duration::from_millis(300));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(house.public).await.unwrap();
    // Asks until the answers have filled what the kernel holds, so that neither side can write.
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    while client.write_all(request.as_bytes()).await.is_ok() {}
    house.await_figure("pianorhythm_front_desk_http_ends_total{reason=\"network\"}", 1).await;
}
