//! The handshake: who one is to the server, and what it says first.

use std::time::Duration;

use pianorhythm_server::{
    http::auth::{Claims, Kind, SigningKey, Tokens},
    protocol::{
        MAX_MESSAGE_BYTES, PROTOCOL_VERSION, SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF,
        codec::Format,
        wire::{TimeSync, Welcome, client_message::Message, user::Role},
    },
};

use crate::support::{
    client::Client,
    eventually, other, say,
    server::{TestServer, now},
};

in_both_formats![
    the_welcome_tells_who_one_is_and_what_the_server_takes,
    the_address_may_name_the_room_to_begin_in,
    a_room_in_the_address_that_refuses_leaves_the_connection_without_a_room,
    frames_sent_right_behind_the_handshake_are_not_lost,
    a_guest_that_comes_back_with_its_token_is_the_same_guest,
    a_guest_of_a_browser_is_known_by_its_cookie,
    an_access_token_says_who_one_is,
    a_token_that_is_not_valid_is_refused_before_the_upgrade,
    cookies_serve_only_pages_that_may_use_them,
    server_time_goes_on_evenly_and_is_told_to_whoever_asks,
    a_silent_connection_is_asked_whether_it_is_there_and_lives_while_it_answers,
    a_connection_that_does_not_answer_any_more_is_closed,
];

fn role(client: &Client) -> Vec<i32> {
    client.welcome.user.as_ref().unwrap().roles.clone()
}

fn the_welcome_tells_who_one_is_and_what_the_server_takes(format: Format) {
    let server = TestServer::start();
    let client = server.connect(format).name("Clara Sö").query("colour", "#FF8800").client();
    let Welcome {
        socket_id,
        user,
        server_time_us,
        session_token,
        guest_token,
        resume_window_ms,
        limits,
        protocol_version,
    } = client.welcome.clone();
    let user = user.unwrap();
    assert_eq!((user.username.as_str(), user.colour.as_str()), ("Clara Sö", "#ff8800"));
    assert_eq!(user.roles, [Role::Guest as i32]);
    assert!(!user.user_id.is_empty() && !session_token.is_empty() && !guest_token.is_empty());
    assert!(server_time_us.abs_diff(now().as_us() as i64) < 60_000_000, "the wall clock's time");
    assert_eq!((resume_window_ms, protocol_version), (0, PROTOCOL_VERSION));
    let limits = limits.unwrap();
    assert_eq!(limits.max_message_bytes as usize, MAX_MESSAGE_BYTES);
    assert_eq!((limits.max_midi_events, limits.max_midi_span_ms, limits.max_chat_characters), (512, 1000, 512));
    assert_eq!((limits.max_room_capacity, limits.heartbeat_interval_ms), (100, 20_000));

    let nameless = server.connect(other(format)).client();
    let chosen = nameless.welcome.user.clone().unwrap();
    assert!(!chosen.username.is_empty() && chosen.colour.starts_with('#'), "{chosen:?}");
    assert_ne!(chosen.user_id, user.user_id);
    assert_ne!(nameless.welcome.socket_id, socket_id);
}

#[test]
fn protobuf_is_spoken_where_no_subprotocol_is_offered_and_the_first_known_one_where_some_are() {
    let server = TestServer::start();
    let chosen = |socket: &crate::support::socket::Socket| {
        socket.response.headers().get("sec-websocket-protocol").map(|name| name.to_str().unwrap().to_owned())
    };
    let mut silent = server.connect(Format::Protobuf).subprotocols(&[]).open();
    assert_eq!(chosen(&silent), None);
    assert!(matches!(silent.message().message, Some(Message::Welcome(_))));
    let offer = ["chat", SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF];
    let mut json = server.connect(Format::Json).subprotocols(&offer).open();
    assert_eq!(chosen(&json).as_deref(), Some(SUBPROTOCOL_JSON));
    assert!(matches!(json.message().message, Some(Message::Welcome(_))));
    let Err(refused) = server.connect(Format::Json).subprotocols(&["chat"]).try_open() else { panic!("refused") };
    assert_eq!((refused.status, refused.code()), (400, "VALIDATION_ERROR"));
}

#[test]
fn an_address_that_asks_for_what_cannot_be_is_refused() {
    let server = TestServer::start();
    let long = "x".repeat(100);
    for (name, value) in [("name", long.as_str()), ("colour", "red"), ("room", long.as_str()), ("name", "a\nb")] {
        let Err(refused) = server.connect(Format::Json).query(name, value).try_open() else { panic!("{name}={value}") };
        assert_eq!((refused.status, refused.code()), (400, "VALIDATION_ERROR"));
        assert_eq!(refused.body["error"]["details"]["field"], name);
    }
}

#[test]
fn a_handshake_that_announces_a_body_is_refused() {
    let server = TestServer::start();
    for (name, value) in [("Content-Length", "5"), ("Transfer-Encoding", "chunked")] {
        let refused = server.connect(Format::Json).header(name, value).try_open();
        let Err(refused) = refused else { panic!("{name}: {value}") };
        assert_eq!((refused.status, refused.code()), (400, "VALIDATION_ERROR"));
    }
}

fn the_address_may_name_the_room_to_begin_in(format: Format) {
    let server = TestServer::start();
    let mut client = server.connect(format).name("Ann").room("Café №1").client();
    let first = client.next();
    let Some(Message::RoomJoinedResponse(response)) = first.message else { panic!("{first:?}") };
    assert_eq!((first.request_id, response.success, response.participant), (None, true, 1));
    let info = response.room_info.unwrap();
    assert_eq!((info.room_id.as_str(), info.room_name.as_str()), ("café no1", "Café №1"));
    assert_eq!(info.owner_id, client.user_id());
}

fn a_room_in_the_address_that_refuses_leaves_the_connection_without_a_room(format: Format) {
    let server = TestServer::start();
    let mut owner = server.guest(other(format), "Ann");
    owner.enter(say::create_with("full house", say::settings(|settings| settings.max_users = Some(1))));
    let mut client = server.connect(format).room("full house").client();
    let error = client.until(|message| match message {
        Message::ErrorMessage(error) => Some(error.clone()),
        _ => None,
    });
    assert_eq!(error.error_code, "ROOM_FULL");
    assert_eq!(client.refusal(say::members()), "NOT_IN_ROOM");
    client.join("elsewhere");
}

fn frames_sent_right_behind_the_handshake_are_not_lost(format: Format) {
    let server = TestServer::start();
    // In the same write as the request: the front desk reads them with its head.
    let early = [say::join("early"), say::chat("first words"), say::time_sync(7)];
    let mut client = server.connect(format).early(&early).client();
    let joined = client.next();
    assert!(matches!(joined.message, Some(Message::RoomJoinedResponse(_))), "{joined:?}");
    assert_eq!(client.line(), (1, "first words".into()));
    let sync = client.until(|message| match message {
        Message::TimeSync(sync) => Some(*sync),
        _ => None,
    });
    assert_eq!(sync.client_time_us, 7);
}

fn a_guest_that_comes_back_with_its_token_is_the_same_guest(format: Format) {
    let server = TestServer::start();
    let first = server.connect(format).name("Ann").query("colour", "#123456").client();
    let (id, token) = (first.user_id(), first.welcome.guest_token.clone());
    drop(first);
    let by_header = server.connect(other(format)).bearer(&token).client();
    let user = by_header.welcome.user.clone().unwrap();
    assert_eq!((user.user_id, user.username, user.colour), (id.clone(), "Ann".into(), "#123456".into()));
    // The newest token serves as well, and a new name is a wish.
    let newest = by_header.welcome.guest_token.clone();
    let by_query = server.connect(format).query("guest_token", &newest).name("Anna").client();
    let user = by_query.welcome.user.clone().unwrap();
    assert_eq!((user.user_id, user.username), (id, "Anna".into()));
}

fn a_guest_of_a_browser_is_known_by_its_cookie(format: Format) {
    let server = TestServer::start();
    let origin = format!("http://{}", server.address);
    let mut socket = server.connect(format).header("Origin", &origin).open();
    let cookie = socket.response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("guest_token=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let Some(Message::Welcome(welcome)) = socket.message().message else { panic!("a welcome") };
    let pair = cookie.split(';').next().unwrap();
    let again = server.connect(format).header("Origin", &origin).header("Cookie", pair).client();
    assert_eq!(again.user_id(), welcome.user.unwrap().user_id);
    // A browser sends a cookie whose key is gone too, and cannot help it: a new guest.
    let stale = "guest_token=a.b.c";
    let stranger = server.connect(format).header("Origin", &origin).header("Cookie", stale).client();
    assert_ne!(stranger.user_id(), again.user_id());
}

fn an_access_token_says_who_one_is(format: Format) {
    let server = TestServer::start();
    let token = server.access_token("clara", &["member", "pro"]);
    let native = server.connect(format).bearer(&token).name("Somebody").client();
    let user = native.welcome.user.clone().unwrap();
    assert_eq!((user.user_id.as_str(), user.username.as_str()), ("clara", "clara"), "names are for guests to choose");
    assert_eq!(user.roles, [Role::Member as i32, Role::Pro as i32]);
    assert_eq!(native.welcome.guest_token, "");
    let origin = format!("http://{}", server.address);
    let cookie = format!("theme=dark; access_token={token}");
    let browser = server.connect(format).header("Origin", &origin).header("Cookie", cookie).client();
    assert_eq!(browser.user_id(), "clara");
    assert_ne!(browser.welcome.socket_id, native.welcome.socket_id);
    // Without a role of ours one is a member.
    let plain = server.connect(format).bearer(&server.access_token("bo", &["juggler"])).client();
    assert_eq!(role(&plain), [Role::Member as i32]);
}

fn a_token_that_is_not_valid_is_refused_before_the_upgrade(format: Format) {
    let server = TestServer::start();
    let tokens = server.tokens();
    let claims = |kind, life| Claims { username: "Eve".into(), ..Claims::new(kind, "eve", "j", now(), life) };
    let hour = Duration::from_secs(3600);
    let good = tokens.sign(&claims(Kind::Access, hour));
    let mut long_ago = claims(Kind::Access, hour);
    (long_ago.iat, long_ago.exp) = (1_000_000, 1_000_060);
    let bad = [
        "nonsense".to_owned(),
        String::from_iter(["x", &good]),
        good[..good.len() - 4].to_owned(),
        Tokens::new(SigningKey::generate().unwrap()).sign(&claims(Kind::Access, hour)),
        tokens.sign(&long_ago),
        tokens.sign(&claims(Kind::Session, hour)),
        tokens.sign(&Claims { username: String::new(), ..claims(Kind::Access, hour) }),
    ];
    let refusal = |connect: crate::support::socket::Connect| match connect.try_open() {
        Ok(_) => panic!("let in"),
        Err(refused) => (refused.status, refused.code().to_owned()),
    };
    let unauthenticated = (401, "AUTHENTICATION_ERROR".to_owned());
    for token in &bad {
        assert_eq!(refusal(server.connect(format).bearer(token)), unauthenticated, "{token}");
        let cookie = format!("access_token={token}");
        assert_eq!(refusal(server.connect(format).header("Cookie", cookie)), unauthenticated, "{token}");
    }
    assert_eq!(refusal(server.connect(format).query("guest_token", "nonsense")), unauthenticated);
    assert_eq!(refusal(server.connect(format).query("guest_token", &good)), unauthenticated, "of another kind");
    server.connect(format).bearer(&good).client();

    let closed = TestServer::with(|config| config.http.allow_guests = false);
    assert_eq!(refusal(closed.connect(format)), unauthenticated);
    closed.connect(format).bearer(&closed.access_token("clara", &[])).client();
}

fn cookies_serve_only_pages_that_may_use_them(format: Format) {
    let allowed = "https://piano.example";
    let server = TestServer::with(|config| {
        config.http.allowed_origins = vec![pianorhythm_server::config::Origin(allowed.into())];
    });
    let cookie = format!("access_token={}", server.access_token("clara", &[]));
    let from = |origin: &str| server.connect(format).header("Origin", origin).header("Cookie", &cookie);
    assert_eq!(from(allowed).client().user_id(), "clara");
    let Err(refused) = from("https://evil.example").try_open() else { panic!("refused") };
    assert_eq!((refused.status, refused.code()), (403, "AUTHORIZATION_ERROR"));
    // A page without cookies is anybody.
    server.connect(format).header("Origin", "https://evil.example").client();
}

fn server_time_goes_on_evenly_and_is_told_to_whoever_asks(format: Format) {
    let server = TestServer::start();
    let mut client = server.guest(format, "Ann");
    let mut last = client.welcome.server_time_us;
    for client_time_us in [0, -5, i64::MAX] {
        let Message::TimeSync(sync) = client.ask(say::time_sync(client_time_us)) else { panic!("a time") };
        let TimeSync { client_time_us: echoed, server_receive_time_us, server_send_time_us } = sync;
        assert_eq!(echoed, client_time_us);
        assert!(last <= server_receive_time_us && server_receive_time_us <= server_send_time_us, "{sync:?}");
        last = server_send_time_us;
    }
    let Message::HeartbeatMessage(beat) = client.ask(say::heartbeat()) else { panic!("a heartbeat") };
    assert!(beat.time_ms >= last / 1000);
}

fn a_silent_connection_is_asked_whether_it_is_there_and_lives_while_it_answers(format: Format) {
    let server = TestServer::with(|config| config.stage.heartbeat_interval = Duration::from_millis(400));
    let mut client = server.player(format, "Ann", "jam");
    let mut others = server.player(other(format), "Bo", "jam");
    eventually("five pings, which the reading thread answers", || {
        assert!(!client.has_ended());
        client.pings >= 5
    });
    assert!(!others.events().iter().any(|event| matches!(event, Message::UserLeftRoom(_))));
}

fn a_connection_that_does_not_answer_any_more_is_closed(format: Format) {
    let server = TestServer::with(|config| config.stage.heartbeat_interval = Duration::from_millis(500));
    let mut witness = server.player(other(format), "Bo", "jam");
    let mut socket = server.connect(format).room("jam").open();
    witness.until(|message| matches!(message, Message::UserJoinedRoom(_)).then_some(()));
    // It does not read, and so does not answer pings.
    let left = witness.until(|message| match message {
        Message::UserLeftRoom(left) => Some(*left),
        _ => None,
    });
    assert_eq!(left.participant, 2);
    assert_eq!(socket.ending().code(), 3002);
}
