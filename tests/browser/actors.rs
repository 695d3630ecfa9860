//! The operators' page of actors, on a front desk whose stage tells what a test wants to be seen.

use std::{
    future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use pianorhythm_server::{
    domain::identity::Role,
    http::{
        desk::{FrontDesk, FrontDeskHandle},
        settings::FrontDeskSettings,
        stage::{Admission, BoxFuture, Health, Refused, RefusedReason, Stage},
    },
    protocol::{close::CloseCode, ids::UserId},
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    desk,
    hall::Hall,
    player::{Player, Screen},
};

/// What somebody may well name a room.
const MARKUP: &str = "room/<img src=x onerror=\"document.title='owned'\"><b>bold</b>";

/// Two hosts: one in trouble, one that does not answer. A second passes and ten messages go with each report.
#[derive(Default)]
struct Scene {
    reports: AtomicU64,
}

impl Stage for Scene {
    fn admit(&self, admission: Admission) -> BoxFuture<'_, Result<(), Refused>> {
        let refused = Refused { admission: Box::new(admission), reason: RefusedReason::Busy };
        Box::pin(future::ready(Err(refused)))
    }

    fn health(&self) -> Health {
        Health::default()
    }

    fn debug(&self) -> Value {
        Value::Null
    }

    fn actors(&self) -> BoxFuture<'_, Value> {
        let turn = self.reports.fetch_add(1, Relaxed);
        let mut deepest =
            [json!({ "actor": MARKUP, "depth": 12, "state": "running" }), json!({ "actor": "room/jazz", "depth": 13 })];
        // Each report in another order, and with a key that was not there before: what it makes is not drawn over yet.
        deepest.rotate_left((turn % 2) as usize);
        let fresh = json!({ "actor": format!("{MARKUP} {turn}"), "depth": 1 });
        let deepest: Vec<_> = deepest.into_iter().chain([fresh]).collect();
        let report = json!({ "at_ms": 1000 * turn, "hosts": [
            {
                "host": 0, "name": "shard-0", "executor": "glommio", "answers": true, "heartbeat_age_ms": 3, "inbox": 2,
                "running": { "actor": MARKUP, "for_ms": 6000, "stuck": true },
                "kinds": [{
                    "kind": "room", "actors": 12, "loading": 1, "pending": 3, "processed": 10 * turn, "rejected": 0,
                    "errors": 0, "panics": 1, "restarts": 1, "dead_letters": { "no_such_actor": 4 },
                    "wait_us": { "p99": 9.0 }, "handling_us": { "p99": 1500.0 },
                }],
                "tree": { "supervisor": "shard", "strategy": "one_for_one", "restarts": 0, "state": "running",
                    "intensity": { "restarts": 3, "within_ms": 5000 }, "children": [
                        { "supervisor": "trackers", "strategy": "rest_for_one", "state": "running", "children": [
                            { "actor": "statistics/", "restart": "permanent", "state": "running", "restarts": 0 },
                        ] },
                        { "many": MARKUP, "restart": "transient", "count": 12, "restarts": 1 },
                    ] },
                "deepest": deepest,
                "stuck": [{ "actor": "room/..", "what": "loading", "for_ms": 6000 }],
            },
            { "host": 1, "name": MARKUP, "answers": false },
        ] });
        Box::pin(future::ready(report))
    }

    fn actor(&self, kind: &str, key: &str) -> BoxFuture<'_, Option<Value>> {
        let known = [MARKUP, "room/..", "statistics/"].contains(&format!("{kind}/{key}").as_str());
        Box::pin(future::ready(known.then(|| json!({ "kind": kind, "key": key }))))
    }

    fn metrics(&self, _out: &mut String) {}

    fn close_user(&self, _user: &UserId, _code: CloseCode) -> BoxFuture<'_, usize> {
        Box::pin(future::ready(0))
    }

    fn close_session(&self, _user: &UserId, _session: &str, _code: CloseCode) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    fn promote(&self, _user: &UserId) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }

    fn set_roles(&self, _user: &UserId, _roles: Vec<Role>) -> BoxFuture<'_, ()> {
        Box::pin(future::ready(()))
    }
}

fn open(admin: SocketAddr) -> FrontDeskHandle {
    let settings = FrontDeskSettings { port: 0, admin_bind: Some(admin), ..FrontDeskSettings::default() };
    FrontDesk::start(&Handle::current(), settings, desk::parts(Arc::new(Scene::default()))).unwrap()
}

/// A condition: the page says that it is live, or whatever else.
fn says(state: &str) -> String {
    format!("document.querySelector('#state').textContent === '{state}'")
}

/// A condition: this is shown as the one actor.
fn shows(kind: &str, key: &str) -> String {
    let (kind, key) = (json!(kind), json!(key));
    format!(
        "!document.querySelector('#one').hidden && \
         JSON.stringify(JSON.parse(document.querySelector('#one-json').textContent)) === \
         JSON.stringify({{ key: {key}, kind: {kind} }})"
    )
}

#[tokio::test]
async fn operators_see_the_actors_live_and_keys_stay_text() {
    let Some(hall) = Hall::open("operators_see_the_actors_live_and_keys_stay_text").await else { return };
    let desk = open(([127, 0, 0, 1], 0).into());
    let admin = desk.admin_addr().unwrap();
    let operator = Player::browse(&hall, Screen::Desk, &format!("http://{admin}/debug/actors")).await;
    operator.until("a report", &says("Live")).await;
    // Rates need two reports.
    operator
        .until("ten a second", "document.querySelector('.kinds tbody td:nth-of-type(3)').textContent === '10'")
        .await;

    let main = "document.querySelector('main').textContent";
    for told in
        ["stuck in ", "2 stuck", "rest for one", "12 +1 loading", "1.5 ms", "4 no such actor", "does not answer"]
    {
        assert_eq!(operator.value(&format!("{main}.includes('{told}')")).await, json!(true), "{told}");
    }
    let markup = json!(MARKUP);
    let as_text = format!(
        "[...document.querySelectorAll('bdi, h2, .name')].filter((e) => e.textContent.includes({markup})).length"
    );
    // The running one, that among the stuck, two of the deepest, the many of the tree, and a host's name.
    assert_eq!(operator.value(&as_text).await, json!(6));
    let as_elements = "document.querySelectorAll('img, main b').length";
    assert_eq!(operator.value(as_elements).await, json!(0));

    // What the person does outlives the next reports, though its row moves.
    operator.click(".supervision summary").await;
    operator.value("document.querySelector(`.deepest [data-actor='room/jazz']`).focus()").await;
    operator.value("void (window.first = document.querySelector('.deepest td').textContent)").await;
    for _ in 0..2 {
        let moved = "document.querySelector('.deepest td').textContent !== window.first && \
            (window.first = document.querySelector('.deepest td').textContent)";
        operator.until("another report", moved).await;
    }
    assert_eq!(operator.value("document.activeElement.dataset.actor").await, json!("room/jazz"));
    assert_eq!(operator.value("document.querySelector('.supervision').open").await, json!(false));

    // One actor: by a press, and by its address.
    operator.click(".deepest [data-actor$='</b>']").await;
    operator.until("it whole", &shows("room", MARKUP.strip_prefix("room/").unwrap())).await;
    operator.value("document.querySelector('#address').value = ''").await;
    operator.enter("#address", "room/..").await;
    operator.until("a key of dots", &shows("room", "..")).await;
    operator.value("document.querySelector('#address').value = ''").await;
    operator.enter("#address", "statistics").await;
    operator.until("a singleton", &shows("statistics", "")).await;
    operator.value("document.querySelector('#address').value = ''").await;
    operator.enter("#address", "room/nobody").await;
    let refused = "document.querySelector('#one-refusal').textContent.startsWith('no actor has this address now') && \
        document.querySelector('#one-json').hidden";
    operator.until("why not", refused).await;
    assert_eq!(operator.value(as_elements).await, json!(0));
    assert_eq!(operator.value("document.title.startsWith('Actors')").await, json!(true));

    // It stops when told to, and finds the server again after it was away.
    operator.click("#pause").await;
    operator.until("a pause", &says("Paused")).await;
    operator.click("#pause").await;
    operator.until("its end", &says("Live")).await;
    desk.shutdown(Duration::from_secs(1)).await;
    operator.until("word of it", &says("Reconnecting")).await;
    let desk = open(admin);
    operator.until("the server to be back", &says("Live")).await;
    operator.leave().await;

    let phone = Player::browse(&hall, Screen::Phone, &format!("http://{admin}/debug/actors")).await;
    phone.until("a report", &says("Live")).await;
    assert_eq!(phone.value("document.documentElement.scrollWidth <= innerWidth").await, json!(true));
    phone.leave().await;
    drop(desk);
    hall.close();
}
