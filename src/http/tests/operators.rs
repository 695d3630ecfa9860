//! Operators' port.

use super::*;

#[tokio::test]
async fn readiness_tells_of_each_shard_and_is_503_where_nobody_can_play() {
    let house = House::open();
    let answer = house.ask("GET /health/detailed").await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(json["status"], "ok");
    assert_eq!(
        json["shards"],
        json!([{"shard": 0, "alive": true, "heartbeat_age_ms": 5, "connections": 1, "rooms": 1}])
    );

    house.stage.health.lock().unwrap().draining = true;
    let answer = house.ask("GET /health/detailed").await;
    assert_eq!((answer.status, answer.json()["status"].clone()), (503, json!("down")));
}

#[tokio::test]
async fn figures_are_those_of_the_desk_and_the_stage() {
    let house = House::open();
    let (_client, _) = house.knock("", "").await;
    let answer = house.ask("GET /metrics").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# TYPE pianorhythm_front_desk_accepted_total counter",
        "pianorhythm_front_desk_accepted_total 1",
        "pianorhythm_front_desk_connections 1",
        "pianorhythm_front_desk_handshakes_total{result=\"accepted\"} 1",
        "pianorhythm_front_desk_responses_total{class=\"1xx\"} 1",
        "shard_rooms 3",
    ] {
        assert!(answer.body.lines().any(|told| told == line), "{line} in {}", answer.body);
    }
    assert_eq!(house.ask("GET /debug").await.json()["stage"], json!({"rooms": ["lobby"]}));
}

#[tokio::test]
async fn a_users_connections_can_be_closed_but_not_by_a_page() {
    let house = House::open();
    let answer = house.ask("POST /debug/users/guest-1/close?code=banned").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"success": true, "data": {"closed": 2}})));
    assert_eq!(*house.stage.closed.lock().unwrap(), [(UserId::from("guest-1"), CloseCode::Banned)]);

    let answer = house.ask("POST /debug/users/guest-1/close?code=tickled").await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "VALIDATION_ERROR"));
    let answer = house.ask("GET /debug/users/guest-1/close").await;
    assert_eq!(answer.status, 405);

    let mut page = Client::of(house.admin).await;
    page.send("POST /debug/users/guest-1/close HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n").await;
    assert_eq!(page.answer().await.status, 403);
    assert_eq!(house.stage.closed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn operators_addresses_are_not_on_the_public_port() {
    let house = House::open();
    let mut client = house.visit().await;
    for path in
        ["/metrics", "/debug", "/debug/actors", "/debug/actors/events", "/debug/page/actors.js", "/health/detailed"]
    {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.answer().await.status, 404);
    }
}
