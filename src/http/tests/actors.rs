//! `/debug/actors`: the report, the page, the stream, and one actor by its address.

use super::*;
use crate::http::actors::MAX_STREAMS;

/// Keys as strangers type them, with their addresses as they are asked for.
const ODD: [(&str, &str); 9] = [
    ("room/jazz", "room/jazz"),
    ("statistics/", "statistics/"),
    ("room/a b&c=d?e#f", "room/a%20b%26c%3Dd%3Fe%23f"),
    ("room/one/two//three/", "room/one/two//three/"),
    ("room//slash", "room//slash"),
    ("room/one/two", "room%2Fone%2Ftwo"),
    ("room/..", "room%2F.."),
    ("room/Größe 🎹", "room/Gr%C3%B6%C3%9Fe%20%F0%9F%8E%B9"),
    ("room/<img src=x onerror=alert(1)>", "room/%3Cimg%20src=x%20onerror=alert(1)%3E"),
];

/// One host with an actor of each odd address.
pub(super) fn report() -> Value {
    let deepest: Vec<_> = ODD
        .iter()
        .enumerate()
        .map(|(depth, (actor, _))| json!({"actor": actor, "depth": depth, "state": "running"}))
        .collect();
    json!({
        "at_ms": NOW.as_ms(),
        "hosts": [{
            "host": 0, "name": "shard-0", "executor": "glommio", "answers": true, "heartbeat_age_ms": 3, "inbox": 0,
            "running": {"actor": "room/jazz", "for_ms": 12, "stuck": false},
            "kinds": [{"kind": "room", "actors": 8, "pending": 3, "processed": 1000}],
            "deepest": deepest,
        }],
    })
}

impl House {
    /// A stream of events, its head read.
    async fn stream(&self, query: &str) -> (Client, Answer) {
        let mut client = Client::of(self.admin).await;
        client.send(format!("GET /debug/actors/events{query} HTTP/1.1\r\nHost: admin\r\n\r\n")).await;
        let answer = client.answer().await;
        (client, answer)
    }
}

impl Client {
    /// The next event of a stream: its name and its data. Each comes in a chunk of its own.
    async fn event(&mut self) -> (String, Value) {
        let chunk = String::from_utf8(self.chunk().await).unwrap();
        assert!(chunk.ends_with("\n\n"), "{chunk:?}");
        let field = |name: &str| {
            let mut lines = chunk.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_else(|| panic!("{chunk:?}"))
        };
        (field("event").to_owned(), serde_json::from_str(field("data")).unwrap())
    }

    /// The next chunk of a body; the last is empty.
    async fn chunk(&mut self) -> Vec<u8> {
        let mut length = Vec::new();
        while !length.ends_with(b"\r\n") {
            length.extend(self.take(1).await);
        }
        let length = usize::from_str_radix(std::str::from_utf8(&length).unwrap().trim_end(), 16).unwrap();
        let mut chunk = self.take(length + 2).await;
        chunk.truncate(length);
        chunk
    }
}

async fn ask_for(house: &House, path: &str, accept: &str) -> Answer {
    let mut client = Client::of(house.admin).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nAccept: {accept}\r\n\r\n")).await;
    client.answer().await
}

#[tokio::test]
async fn programs_get_json_and_browsers_the_page() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
    let house = House::open();
    for (path, accept) in
        [("/debug/actors", "*/*"), ("/debug/actors", "application/json"), ("/debug/actors?format=json", BROWSER)]
    {
        let answer = ask_for(&house, path, accept).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/json"));
        assert_eq!((answer.headers["vary"].as_str(), answer.headers["cache-control"].as_str()), ("accept", "no-store"));
        assert_eq!(answer.json(), report());
    }
    assert_eq!(house.stage.reports.load(Relaxed), 3);
    for (path, accept) in [("/debug/actors", BROWSER), ("/debug/actors?format=html", "*/*")] {
        let answer = ask_for(&house, path, accept).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
        assert_eq!(answer.headers["vary"], "accept");
        assert!(answer.body.contains("<title>Actors"), "{answer:?}");
    }
    assert_eq!(house.stage.reports.load(Relaxed), 3, "the page asks for itself");
    let answer = house.ask("GET /debug/actors?format=xml").await;
    assert_eq!((answer.status, answer.error().as_str()), (400, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn the_page_has_all_its_parts_here_and_may_reach_nothing_else() {
    let house = House::open();
    let page = house.ask("GET /debug/actors?format=html").await;
    let policy = &page.headers["content-security-policy"];
    for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let parts: Vec<_> = page.body.split('"').filter(|text| text.starts_with("page/")).collect();
    assert_eq!(parts, ["page/actors.css", "page/actors.js"]);
    for part in parts {
        let answer = house.ask(&format!("GET /debug/{part}")).await;
        assert_eq!((answer.status, &answer.headers["content-security-policy"]), (200, policy));
        for import in answer.body.lines().filter_map(|line| line.split_once(" from \"./")) {
            let name = import.1.trim_end_matches("\";");
            assert_eq!(house.ask(&format!("GET /debug/page/{name}")).await.status, 200, "{name}");
        }
    }
    for markup in ["<style", "<script>", " style=", " onclick", "http://", "https://"] {
        assert!(!page.body.contains(markup), "{markup}");
    }
}

#[tokio::test]
async fn one_actor_is_found_by_its_address_however_odd_its_key() {
    let house = House::open();
    for (depth, (actor, path)) in ODD.iter().enumerate() {
        let answer = house.ask(&format!("GET /debug/actors/{path}")).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, json!({"actor": actor, "depth": depth, "state": "running"})),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_address_of_nobody_is_told_what_an_address_is() {
    let house = House::open();
    for path in ["room/blues", "room/", "statistics/x", "room", "room/%00", "events/", "%2F"] {
        let answer = house.ask(&format!("GET /debug/actors/{path}")).await;
        assert_eq!((answer.status, answer.error().as_str()), (404, "RESOURCE_NOT_FOUND"), "{path}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("ask /debug/actors for those there are"), "{message}");
    }
    let details = house.ask("GET /debug/actors/room/a%2Fb").await.json()["error"]["details"].clone();
    assert_eq!(details, json!({"kind": "room", "key": "a/b"}));
    assert_eq!(house.ask("GET /debug/actors/room/%FF").await.status, 400, "not UTF-8");
    assert_eq!(house.ask("POST /debug/actors/room/jazz").await.status, 405);
}

#[tokio::test]
async fn a_stream_tells_at_once_and_goes_on_past_the_timeouts_of_requests() {
    let house = House::with(|settings| {
        settings.request_timeout = Duration::from_millis(100);
        settings.header_timeout = Duration::from_millis(100);
    });
    let (mut client, answer) = house.stream("?every_ms=200").await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "text/event-stream"));
    assert_eq!(answer.headers["cache-control"], "no-cache");
    for _ in 0..4 {
        assert_eq!(client.event().await, ("actors".to_owned(), report()));
    }
    *house.stage.report.lock().unwrap() = json!({"hosts": []});
    while client.event().await.1 != json!({"hosts": []}) {}
}

#[tokio::test]
async fn the_first_event_does_not_wait_for_the_second() {
    let house = House::open();
    let (mut client, _) = house.stream("?every_ms=10000").await;
    let event = tokio::time::timeout(Duration::from_secs(5), client.event()).await;
    assert_eq!(event.expect("it comes at once").1, report());
}

#[tokio::test]
async fn a_pace_out_of_bounds_is_refused_and_takes_no_place() {
    let house = House::open();
    for pace in ["199", "10001", "0", "-1", "fast", ""] {
        let (_, answer) = house.stream(&format!("?every_ms={pace}")).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "VALIDATION_ERROR"), "{pace}");
        assert_eq!(answer.json()["error"]["details"]["field"], "every_ms");
    }
    assert_eq!(house.figure("pianorhythm_front_desk_streams_total{result=\"opened\"}").await, 0);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let house = House::open();
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        let (mut client, answer) = house.stream("").await;
        assert_eq!(answer.status, 200);
        client.event().await;
        streams.push(client);
    }
    assert_eq!(house.figure("pianorhythm_front_desk_open_streams").await, 16);
    let (_, answer) = house.stream("").await;
    assert_eq!((answer.status, answer.error().as_str()), (503, "SERVER_BUSY"));
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(answer.body.contains("all 16 streams are taken: close one"), "{answer:?}");
    assert_eq!(house.ask("GET /debug/actors").await.status, 200, "the rest of the port is not taken");

    // A client that goes gives its place back.
    streams.pop();
    house.await_figure("pianorhythm_front_desk_open_streams", 15).await;
    let (mut client, answer) = house.stream("").await;
    assert_eq!(answer.status, 200);
    client.event().await;
    assert_eq!(house.figure("pianorhythm_front_desk_streams_total{result=\"opened\"}").await, 17);
    assert_eq!(house.figure("pianorhythm_front_desk_streams_total{result=\"refused\"}").await, 1);
}

#[tokio::test]
async fn streams_end_with_the_server_whole_even_where_no_report_comes() {
    let mut house = House::open();
    let (mut told, _) = house.stream("?every_ms=10000").await;
    told.event().await;
    *house.stage.report.lock().unwrap() = Value::Null;
    let (mut untold, answer) = house.stream("").await;
    assert_eq!(answer.status, 200);
    house.desk.take().unwrap().shutdown(Duration::from_secs(60)).await;
    for client in [&mut told, &mut untold] {
        assert_eq!(client.chunk().await, b"", "an end, not a break");
        assert_eq!(client.rest().await, b"");
    }
}
