//! What a handshake is answered, and what of it reaches the stage.

use tungstenite::client::IntoClientRequest as _;

use super::*;
use crate::protocol::codec::Format;

#[tokio::test]
async fn the_socket_arrives_with_the_bytes_that_were_read_past_the_request() {
    let mut house = House::open();
    let mut client = house.visit().await;
    client.send(handshake("?room=Jazz+Club", "") + "\u{1}first frames").await;
    assert_eq!(client.answer().await.status, 101);

    let admission = house.admitted().await;
    let mut socket = TcpStream::from_std(admission.socket).unwrap();
    let mut received = admission.leftover.to_vec();
    client.send(b" and later ones").await;
    while received.len() < 28 {
        assert!(socket.read_buf(&mut received).await.unwrap() > 0);
    }
    assert_eq!(received, b"\x01first frames and later ones");
    assert_eq!(admission.room.as_deref(), Some("Jazz Club"));
    assert!(socket.nodelay().unwrap());

    socket.write_all(b"welcome").await.unwrap();
    assert_eq!(client.take(7).await, b"welcome");
    assert_eq!(house.figure("pianorhythm_front_desk_hand_offs_total{result=\"admitted\"}").await, 1);
    house.await_figure("pianorhythm_front_desk_http_ends_total{reason=\"upgraded\"}", 1).await;
}

#[tokio::test]
async fn an_ordinary_client_connects_and_speaks_what_it_asked_for() {
    let mut house = House::open();
    for (offered, format) in [
        (Some("pianorhythm.v1.json"), Format::Json),
        (Some("pianorhythm.v1.protobuf"), Format::Protobuf),
        (None, Format::Protobuf),
    ] {
        let mut request = format!("ws://{}/api/websocket", house.public).into_client_request().unwrap();
        if let Some(offered) = offered {
            request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        }
        let address = house.public;
        // It fails by itself where the accept key is wrong or a subprotocol is named that was not offered.
        let connect = tokio::task::spawn_blocking(move || {
            tungstenite::client(request, std::net::TcpStream::connect(address).unwrap())
                .map_err(|error| error.to_string())
        });
        let (_client, response) = connect.await.unwrap().unwrap();
        let named = response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap());
        assert_eq!(named, offered);
        let admission = house.admitted().await;
        assert_eq!(admission.session.format, format);
        assert!(admission.session.address.is_loopback());
    }
}

#[tokio::test]
async fn connections_have_numbers_and_session_tokens_of_their_own() {
    let mut house = House::open();
    let (_first, _) = house.knock("", "").await;
    let first = house.admitted().await;
    let (_second, _) = house.knock("", "").await;
    let second = house.admitted().await;
    assert_ne!(first.session.connection, second.session.connection);
    let claims = house.tokens.verify(&first.session_token, &[Kind::Session], NOW).unwrap();
    assert_eq!(claims.connection, Some(first.session.connection.to_string()));
    assert_eq!(claims.jti, first.session.session_id);
    assert_eq!(claims.sub, first.session.profile.user_id.as_str());
}

#[tokio::test]
async fn unknown_subprotocols_are_refused_with_the_names_of_the_known() {
    let house = House::open();
    let (_client, answer) = house.knock("", "Sec-WebSocket-Protocol: chat, superchat\r\n").await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "VALIDATION_ERROR"));
    let known = answer.json()["error"]["details"]["subprotocols"].clone();
    assert_eq!(known, "pianorhythm.v1.protobuf, pianorhythm.v1.json");
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"subprotocol\"}").await, 1);
}

#[tokio::test]
async fn what_is_no_handshake_is_told_what_one_is() {
    let house = House::open();
    let mut client = house.visit().await;
    client.send("GET /api/websocket HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.headers["upgrade"], "websocket");

    let old = handshake("", "").replace("Version: 13", "Version: 8");
    let mut client = house.visit().await;
    client.send(old).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.headers["sec-websocket-version"].as_str()), (426, "13"));

    let (_client, answer) = house.knock("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n").await;
    assert_eq!(answer.status, 400, "two keys");
}

#[tokio::test]
async fn wishes_that_are_not_valid_are_refused_by_their_names() {
    let house = House::open();
    for (query, field) in
        [("?name=%00", "name"), ("?colour=red", "colour"), ("?room=%20", "room"), ("?name=a&name=b", "query")]
    {
        let (_client, answer) = house.knock(query, "").await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "VALIDATION_ERROR"), "{query}");
        assert_eq!(answer.json()["error"]["details"]["field"], field);
    }
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"query\"}").await, 4);
}

#[tokio::test]
async fn a_refused_handshake_leaves_the_connection_for_the_next_request() {
    let mut house = House::open();
    let (mut client, answer) = house.knock("?colour=red", "").await;
    assert_eq!(answer.status, 400);
    client.send(handshake("?colour=%23ff0000", "")).await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(house.admitted().await.session.profile.colour, "#ff0000");
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_answered_in_the_envelope() {
    let house = House::open();
    let mut client = house.visit().await;
    client.send("GET /api/nothing HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.error().as_str()), (404, "RESOURCE_NOT_FOUND"));
    client.send("POST /api/websocket HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.error().as_str()), (405, "VALIDATION_ERROR"));
    assert!(answer.headers["allow"].contains("GET"));
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn the_page_is_served_with_a_policy_and_a_tag() {
    let house = House::open();
    let mut client = house.visit().await;
    client.send("GET /?room=x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(answer.headers["content-security-policy"].starts_with("default-src 'none'; script-src 'self'"));
    assert!(answer.headers["permissions-policy"].contains("midi=(self)"));
    let tag = &answer.headers["etag"];
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n")).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (304, ""));
    client.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.json(), json!({"status": "ok"}));
}
