//! Whose address counts when a proxy stands between.

use super::*;
use crate::{
    domain::bucket::Rate,
    http::proxy_protocol::tests::{header, tcp4},
};

fn trust(network: &str) -> impl FnOnce(&mut FrontDeskSettings) {
    let network = network.parse().unwrap();
    move |settings| settings.trusted_proxies = vec![network]
}

const FORWARDED: &str = "X-Forwarded-For: 192.0.2.66, 198.51.100.7\r\n";

#[tokio::test]
async fn a_trusted_proxys_word_about_its_client_is_taken() {
    let mut house = House::with(trust("127.0.0.0/8"));
    let (_client, _) = house.knock("", FORWARDED).await;
    assert_eq!(house.admitted().await.session.address.to_string(), "198.51.100.7");
    let (_client, _) = house.knock("", "").await;
    assert_eq!(house.admitted().await.session.address.to_string(), "127.0.0.1");
}

#[tokio::test]
async fn a_strangers_word_about_its_address_is_not() {
    let mut house = House::with(trust("10.0.0.0/8"));
    let (_client, _) = house.knock("", FORWARDED).await;
    assert_eq!(house.admitted().await.session.address.to_string(), "127.0.0.1");
}

#[tokio::test]
async fn clients_behind_a_proxy_have_their_own_shares() {
    let mut house = House::with(|settings| {
        trust("127.0.0.0/8")(settings);
        settings.max_connections_by_address = 1;
    });
    let (_first, answer) = house.knock("", FORWARDED).await;
    assert_eq!(answer.status, 101);
    let first = house.admitted().await;
    let (mut again, answer) = house.knock("", FORWARDED).await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "SERVER_BUSY"));
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"address_cap\"}").await, 1);
    let (_other, answer) = house.knock("", "X-Forwarded-For: 198.51.100.8\r\n").await;
    assert_eq!(answer.status, 101);
    drop(first);
    again.send(handshake("", FORWARDED)).await;
    assert_eq!(again.answer().await.status, 101, "the same connection, once there is room");
}

#[tokio::test]
async fn clients_behind_a_proxy_have_their_own_paces_and_its_connection_stays() {
    let house = House::with(|settings| {
        trust("127.0.0.0/8")(settings);
        settings.pace_by_address = Rate::per_second(1, 2);
    });
    let from = |client: u8| format!("X-Forwarded-For: 198.51.100.{client}\r\n");
    let mut proxy = house.visit().await;
    let forward = async |proxy: &mut Client, headers: &str| {
        proxy.send(handshake("", headers)).await;
        proxy.answer().await
    };
    // Attempts that come to nothing count: each costs a look at what it brings.
    let wrong = format!("{}Authorization: Bearer wrong\r\n", from(7));
    assert_eq!(forward(&mut proxy, &wrong).await.status, 401);
    assert_eq!(forward(&mut proxy, &wrong).await.status, 401);
    for _ in 0..3 {
        let answer = forward(&mut proxy, &wrong).await;
        assert_eq!((answer.status, answer.error().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"address_pace\"}").await, 3);
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_pace\"}").await, 0);
    // Other requests go through, and others' handshakes.
    proxy.send(format!("GET /health HTTP/1.1\r\nHost: a\r\n{}\r\n", from(7))).await;
    assert_eq!(proxy.answer().await.status, 200);
    assert_eq!(forward(&mut proxy, &from(8)).await.status, 101);
    house.pass(1000);
    let (_again, answer) = house.knock("", &from(7)).await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn clients_that_a_proxy_header_names_have_their_own_paces() {
    let house = House::with(|settings| {
        proxy_protocol("127.0.0.0/8")(settings);
        (settings.max_connections_by_address, settings.pace_by_address) = (10, Rate::per_second(1, 1));
    });
    let come = async |client: u8| {
        let mut socket = house.visit().await;
        socket.send([tcp4([198, 51, 100, client]), handshake("", "").into_bytes()].concat()).await;
        let answer = socket.answer().await;
        (socket, answer.status)
    };
    let (_first, status) = come(7).await;
    assert_eq!(status, 101);
    assert_eq!(come(7).await.1, 429);
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_pace\"}").await, 1);
    let (_other, status) = come(8).await;
    assert_eq!(status, 101);
    house.pass(1000);
    assert_eq!(come(7).await.1, 101);
}

fn proxy_protocol(network: &str) -> impl FnOnce(&mut FrontDeskSettings) {
    let trust = trust(network);
    move |settings| {
        trust(settings);
        settings.proxy_protocol = true;
        settings.max_connections_by_address = 1;
    }
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client() {
    let mut house = House::with(proxy_protocol("127.0.0.0/8"));
    let mut client = house.visit().await;
    // In two pieces, and what the client itself writes of its address is not believed.
    let bytes = [tcp4([198, 51, 100, 7]), handshake("", FORWARDED).into_bytes()].concat();
    client.send(&bytes[..9]).await;
    client.send(&bytes[9..]).await;
    assert_eq!(client.answer().await.status, 101);
    let first = house.admitted().await;
    assert_eq!(first.session.address.to_string(), "198.51.100.7");

    let mut again = house.visit().await;
    again.send(tcp4([198, 51, 100, 7])).await;
    assert_eq!(again.answer().await.status, 503, "it has its share");
    assert_eq!(house.figure("pianorhythm_front_desk_refused_total{reason=\"address_cap\"}").await, 1);
}

#[tokio::test]
async fn a_proxy_may_check_our_health_itself() {
    let house = House::with(proxy_protocol("127.0.0.0/8"));
    let mut client = house.visit().await;
    let request = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    client.send([header(0x20, 0, b""), request].concat()).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_that_sends_no_header_is_closed() {
    let house = House::with(|settings| {
        proxy_protocol("127.0.0.0/8")(settings);
        settings.header_timeout = Duration::from_millis(50);
    });
    let mut bare = house.visit().await;
    bare.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(bare.rest().await, b"");
    let mut silent = house.visit().await;
    assert_eq!(silent.rest().await, b"");
    house.await_figure("pianorhythm_front_desk_refused_total{reason=\"proxy_header\"}", 2).await;
}

#[tokio::test]
async fn a_proxy_header_from_elsewhere_is_refused() {
    let mut house = House::with(proxy_protocol("10.0.0.0/8"));
    let mut client = house.visit().await;
    client.send([tcp4([198, 51, 100, 7]), handshake("", "").into_bytes()].concat()).await;
    assert_eq!(client.answer().await.status, 400);
    client.rest().await;
    house.await_figure("pianorhythm_front_desk_http_ends_total{reason=\"malformed\"}", 1).await;
    assert!(house.admissions.try_recv().is_err());
}
