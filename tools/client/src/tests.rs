//! The connection against a scripted peer, which can do what the real server never would.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message as Frame,
        handshake::server::{Request, Response},
        protocol::CloseFrame,
    },
};

use crate::{
    Client, ConnectError, EVENT_QUEUE, LOST, RequestError, SendError,
    builder::Builder,
    protocol::{
        close::CloseCode,
        codec::{Format, decode_server, encode_client},
        error::{ErrorCode, Rejection},
        wire::{
            Ack, ClientMessage, GetRoomInfo, OwnerChanged, RoomInfo, RoomJoinedResponse, ServerMessage, Welcome,
            client_message::Message, server_message,
        },
    },
};

struct Peer {
    socket: WebSocketStream<TcpStream>,
    format: Format,
    uri: String,
}

impl Peer {
    #[allow(clippy::result_large_err, reason = "the callback's type is the library's")]
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut format = Format::Protobuf;
        let mut uri = String::new();
        let callback = |request: &Request, mut response: Response| {
            let protocol = request.headers()["Sec-WebSocket-Protocol"].clone();
            format = if protocol == "pianorhythm.v1.json" { Format::Json } else { Format::Protobuf };
            uri = request.uri().to_string();
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, callback).await.unwrap();
        Self { socket, format, uri }
    }

    async fn welcome(&mut self) {
        self.event(Message::Welcome(Welcome { server_time_us: 1_000_000, ..Default::default() })).await;
    }

    async fn event(&mut self, message: Message) {
        self.say(ClientMessage::event(message)).await;
    }

    async fn say(&mut self, message: ClientMessage) {
        let mut payload = Vec::new();
        encode_client(self.format, &message, &mut payload);
        let frame = match self.format {
            Format::Protobuf => Frame::binary(payload),
            Format::Json => Frame::text(String::from_utf8(payload).unwrap()),
        };
        self.socket.send(frame).await.unwrap();
    }

    /// The next frame that is no `TimeSync`; those are answered.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = self.socket.next().await?.ok()?;
            if let Frame::Binary(_) | Frame::Text(_) = frame {
                let message = decode_server(self.format, &frame.clone().into_data()).unwrap();
                if let Some(server_message::Message::TimeSync(mut sync)) = message.message {
                    sync.server_receive_time_us = 2_000_000;
                    sync.server_send_time_us = 2_000_000;
                    self.say(ClientMessage::answer(message.request_id, Message::TimeSync(sync))).await;
                    continue;
                }
            }
            return Some(frame);
        }
    }

    async fn request(&mut self) -> ServerMessage {
        let frame = self.frame().await.unwrap();
        decode_server(self.format, &frame.into_data()).unwrap()
    }
}

async fn listen() -> (TcpListener, Builder) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, Client::builder(url))
}

fn room_info() -> server_message::Message {
    server_message::Message::GetRoomInfo(GetRoomInfo::default())
}

fn owner(participant: u32) -> Message {
    Message::OwnerChanged(OwnerChanged { owner_id: "ann".into(), participant })
}

#[tokio::test]
async fn an_answer_reaches_its_request_and_the_rest_are_events_in_both_formats() {
    for format in [Format::Protobuf, Format::Json] {
        let (listener, builder) = listen().await;
        let peer = tokio::spawn(async move {
            let mut peer = Peer::accept(&listener).await;
            peer.welcome().await;
            let request = peer.request().await;
            peer.event(owner(1)).await;
            peer.say(ClientMessage::answer(request.request_id, Message::RoomInfo(RoomInfo::default()))).await;
            peer.event(owner(2)).await;
            peer.frame().await
        });
        let (client, mut events) = builder.format(format).name("Ann").connect().await.unwrap();
        assert_eq!(client.request(room_info()).await.unwrap(), Message::RoomInfo(RoomInfo::default()));
        assert_eq!(events.next().await.unwrap().message, owner(1));
        assert_eq!(events.next().await.unwrap().message, owner(2));
        assert!(client.clock().now().as_us() >= 2_000_000);
        assert!(client.close().await.is_normal());
        assert!(matches!(peer.await.unwrap(), Some(Frame::Close(Some(frame))) if u16::from(frame.code) == 1000));
        assert_eq!(client.closed().await, events.next().await.unwrap_err());
    }
}

#[tokio::test]
async fn a_refusal_carries_its_code_and_its_delay() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        let request = peer.request().await;
        let rejection = Rejection::new(ErrorCode::RateLimit, "too many joins").with("retry_after_ms", 250);
        peer.say(ClientMessage::rejection(request.request_id, rejection)).await;
        peer.frame().await
    });
    let (client, _events) = builder.connect().await.unwrap();
    let RequestError::Refused(refusal) = client.join("jam", "").await.unwrap_err() else { panic!("not refused") };
    assert_eq!(refusal.code, Some(ErrorCode::RateLimit));
    assert_eq!(refusal.retry_after().unwrap().as_millis(), 250);
    assert_eq!(refusal.to_string(), "too many joins (RATE_LIMIT_EXCEEDED)");
}

#[tokio::test]
async fn the_end_of_the_connection_reaches_those_who_wait_and_those_who_come_after() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.request().await;
        let frame = CloseFrame { code: 3001.into(), reason: CloseCode::Restarting.reason(0).into() };
        peer.socket.close(Some(frame)).await.unwrap();
        while peer.socket.next().await.is_some() {}
    });
    let (client, mut events) = builder.connect().await.unwrap();
    let RequestError::Send(SendError::Closed(closed)) = client.request(room_info()).await.unwrap_err() else {
        panic!("not closed")
    };
    assert_eq!((closed.code, closed.retry_after.unwrap().as_millis()), (3001, 500));
    assert_eq!(events.next().await.unwrap_err(), closed);
    assert!(matches!(client.request(room_info()).await, Err(RequestError::Send(SendError::Closed(_)))));
    assert_eq!(client.close().await, closed);
}

#[tokio::test]
async fn a_socket_that_just_ends_is_lost() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.request().await;
    });
    let (client, _events) = builder.connect().await.unwrap();
    client.send(room_info()).await.unwrap();
    let closed = client.closed().await;
    assert_eq!(closed.code, LOST);
    assert!(closed.retry_after.is_some());
}

#[tokio::test]
async fn a_full_queue_holds_the_server_back_and_loses_nothing() {
    let count = EVENT_QUEUE as u32 * 4;
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.request().await;
        for number in 0..count {
            peer.event(owner(number)).await;
        }
        while peer.frame().await.is_some() {}
    });
    let (client, mut events) = builder.connect().await.unwrap();
    client.send(room_info()).await.unwrap();
    while client.stats().stalls == 0 {
        tokio::task::yield_now().await;
    }
    for number in 0..count {
        assert_eq!(events.next().await.unwrap().message, owner(number));
    }
}

#[tokio::test]
async fn who_drops_the_events_still_gets_answers() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        let request = peer.request().await;
        for number in 0..EVENT_QUEUE as u32 * 2 {
            peer.event(owner(number)).await;
        }
        peer.say(ClientMessage::ack(request.request_id)).await;
        while peer.frame().await.is_some() {}
    });
    let (client, events) = builder.connect().await.unwrap();
    drop(events);
    assert_eq!(client.request(room_info()).await.unwrap(), Message::Ack(Ack::default()));
    assert_eq!(client.stats().stalls, 0);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_any_more_is_an_event() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        let first = peer.request().await;
        let second = peer.request().await;
        peer.say(ClientMessage::answer(first.request_id, owner(1))).await;
        peer.say(ClientMessage::answer(second.request_id, owner(2))).await;
        while peer.frame().await.is_some() {}
    });
    let (client, mut events) = builder.connect().await.unwrap();
    // Sent by its first poll, as the socket's buffer is empty; then dropped.
    assert!(client.request(room_info()).now_or_never().is_none());
    assert_eq!(client.request(room_info()).await.unwrap(), owner(2));
    assert_eq!(events.next().await.unwrap().message, owner(1));
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_passed_over() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.socket.send(Frame::binary(vec![0xFF; 5])).await.unwrap();
        peer.say(ClientMessage::default()).await;
        peer.event(owner(7)).await;
        while peer.frame().await.is_some() {}
    });
    let (client, mut events) = builder.connect().await.unwrap();
    assert_eq!(events.next().await.unwrap().message, owner(7));
    assert_eq!(client.stats().unreadable, 2);
}

#[tokio::test]
async fn pings_are_answered_while_nothing_is_sent() {
    let (listener, builder) = listen().await;
    let peer = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.socket.send(Frame::Ping("are you there".into())).await.unwrap();
        loop {
            if let Some(Frame::Pong(payload)) = peer.frame().await {
                return payload;
            }
        }
    });
    let (_client, _events) = builder.connect().await.unwrap();
    assert_eq!(peer.await.unwrap(), "are you there");
}

#[tokio::test]
async fn the_socket_lives_as_long_as_a_client_or_its_events() {
    let (listener, builder) = listen().await;
    let peer = tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        peer.welcome().await;
        peer.request().await;
        peer.event(owner(1)).await;
        while peer.frame().await.is_some() {}
    });
    let (client, mut events) = builder.connect().await.unwrap();
    client.send(room_info()).await.unwrap();
    drop(client);
    assert_eq!(events.next().await.unwrap().message, owner(1));
    assert!(!peer.is_finished());
    drop(events);
    peer.await.unwrap();
}

#[tokio::test]
async fn a_room_named_at_the_handshake_is_joined_or_the_connection_fails() {
    let (listener, builder) = listen().await;
    let builder = builder.room("jäm");
    tokio::spawn(async move {
        let mut peer = Peer::accept(&listener).await;
        assert_eq!(peer.uri, "/api/websocket?room=j%C3%A4m");
        peer.welcome().await;
        peer.event(Message::RoomJoinedResponse(RoomJoinedResponse { participant: 3, ..Default::default() })).await;
        let refusing = async {
            let mut other = Peer::accept(&listener).await;
            other.welcome().await;
            let full = Rejection::new(ErrorCode::RoomFull, "the room is full");
            other.say(ClientMessage::rejection(None, full)).await;
            other.frame().await
        };
        tokio::join!(peer.frame(), refusing);
    });
    let (_client, mut events) = builder.clone().connect().await.unwrap();
    let first = events.next().await.unwrap().message;
    assert!(matches!(first, Message::RoomJoinedResponse(joined) if joined.participant == 3));
    let ConnectError::Room(refusal) = builder.connect().await.unwrap_err() else { panic!("not the room's") };
    assert_eq!(refusal.code, Some(ErrorCode::RoomFull));
}

#[tokio::test]
async fn an_http_error_before_the_upgrade_is_told_with_the_servers_sentence() {
    let (listener, builder) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        assert!(String::from_utf8(request).unwrap().to_lowercase().contains("authorization: bearer abc\r\n"));
        let body = r#"{"success":false,"error":{"code":"AUTHENTICATION_ERROR","message":"the token has expired"}}"#;
        let answer = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Until the client has it.
        let _ = stream.read_u8().await;
    });
    let error = builder.access_token("abc").connect().await.unwrap_err();
    let ConnectError::Http { status: 401, message } = error else { panic!("{error}") };
    assert_eq!(message, "the token has expired");
}
