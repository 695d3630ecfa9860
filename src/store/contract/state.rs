//! The contract of [`State`]. Each case works on keys of its own names in an empty store.

// The cases' names are their sentences.
#![allow(missing_docs)]

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::store::{
    StoreError,
    state::{Cursor, Delivery, MAX_KEY_BYTES, MAX_VALUE_BYTES, State, Subscription},
};

/// Makes one test of each case of the contract of `State`, on stores from the function of this path.
#[macro_export]
macro_rules! state_contract {
    ($factory:path) => {
        $crate::state_contract! { @cases $factory:
            a_value_is_there_once_set_and_gone_once_deleted
            a_key_is_gone_when_its_time_is_up
            setting_again_replaces_the_value_and_its_time
            of_many_that_set_if_absent_exactly_one_does
            a_taken_key_is_free_again_when_its_time_is_up
            a_new_time_to_live_counts_from_now
            a_count_sums_what_many_add_and_starts_anew_after_its_window
            a_set_holds_each_member_once
            a_set_expires_whole
            a_key_of_another_kind_is_refused_and_stays_as_it_was
            a_scan_pages_through_all_keys_of_its_prefix_and_no_others
            a_scan_leaves_out_what_is_expired
            every_subscriber_gets_what_is_published_after_it_came_in_order
            a_slow_subscriber_is_told_what_it_lost
            what_is_too_long_is_refused
            a_working_store_says_so
        }
    };
    (@cases $factory:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            let (store, _kept) = $factory().await;
            $crate::store::contract::state::$case(&*store).await;
        })*
    };
}

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);
/// How long something that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Asks until the answer is yes.
async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let give_up = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < give_up, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

async fn next(subscription: &mut Subscription) -> Delivery {
    let delivery = timeout(PATIENCE, subscription.recv()).await;
    delivery.expect("a delivery comes").expect("the store lives")
}

pub async fn a_value_is_there_once_set_and_gone_once_deleted(store: &dyn State) {
    assert_eq!(store.get("k").await, Ok(None));
    store.set("k", text("v"), None).await.unwrap();
    assert_eq!(store.get("k").await, Ok(Some(text("v"))));
    assert_eq!(store.delete("k").await, Ok(true));
    assert_eq!(store.delete("k").await, Ok(false));
    assert_eq!(store.get("k").await, Ok(None));
    let not_text = Bytes::from_static(&[0, 255, 10, 0]);
    store.set("", not_text.clone(), None).await.unwrap();
    assert_eq!(store.get("").await, Ok(Some(not_text)));
}

pub async fn a_key_is_gone_when_its_time_is_up(store: &dyn State) {
    store.set("stays", text("v"), Some(LONG)).await.unwrap();
    store.set("goes", text("v"), Some(SHORT)).await.unwrap();
    until("expiry", || async { store.get("goes").await == Ok(None) }).await;
    assert_eq!(store.delete("goes").await, Ok(false));
    assert_eq!(store.get("stays").await, Ok(Some(text("v"))));
}

pub async fn setting_again_replaces_the_value_and_its_time(store: &dyn State) {
    store.set("k", text("long"), Some(LONG)).await.unwrap();
    store.set("k", text("short"), Some(SHORT)).await.unwrap();
    until("expiry", || async { store.get("k").await == Ok(None) }).await;
    store.add_member("k", "m").await.unwrap();
    store.set("k", text("of another kind"), None).await.unwrap();
    assert_eq!(store.get("k").await, Ok(Some(text("of another kind"))));
}

pub async fn of_many_that_set_if_absent_exactly_one_does(store: &dyn State) {
    let tries = (0..20).map(|i| async move { store.set_if_absent("k", text(&i.to_string()), Some(LONG)).await });
    let did = all(tries).await;
    let winners: Vec<_> = (0..20).filter(|&i| did[i] == Ok(true)).collect();
    assert_eq!(winners.len(), 1, "{did:?}");
    assert_eq!(store.get("k").await, Ok(Some(text(&winners[0].to_string()))));
}

pub async fn a_taken_key_is_free_again_when_its_time_is_up(store: &dyn State) {
    assert_eq!(store.set_if_absent("k", text("a"), Some(SHORT)).await, Ok(true));
    until("the key to come free", || async { store.set_if_absent("k", text("b"), None).await == Ok(true) }).await;
    assert_eq!(store.get("k").await, Ok(Some(text("b"))));
}

pub async fn a_new_time_to_live_counts_from_now(store: &dyn State) {
    assert_eq!(store.expire("k", LONG).await, Ok(false));
    store.set("k", text("v"), None).await.unwrap();
    assert_eq!(store.expire("k", SHORT).await, Ok(true));
    until("expiry", || async { store.get("k").await == Ok(None) }).await;
    assert_eq!(store.expire("k", LONG).await, Ok(false));
}

pub async fn a_count_sums_what_many_add_and_starts_anew_after_its_window(store: &dyn State) {
    let counts = all((0..20).map(|_| store.increment("k", 2, LONG))).await;
    let mut values: Vec<_> = counts.into_iter().map(|count| count.unwrap().value).collect();
    values.sort_unstable();
    assert_eq!(values, (1..=20).map(|i| i * 2).collect::<Vec<_>>());
    let count = store.increment("k", 1, SHORT).await.unwrap();
    assert_eq!(count.value, 41);
    assert!(count.resets_in > SHORT && count.resets_in <= LONG, "an addition leaves the window: {count:?}");

    store.increment("window", 7, SHORT).await.unwrap();
    until("a new window", || async { store.increment("window", 1, SHORT).await.unwrap().value == 1 }).await;
}

pub async fn a_set_holds_each_member_once(store: &dyn State) {
    assert_eq!(store.members("s").await, Ok(vec![]));
    assert_eq!(store.add_member("s", "a").await, Ok(true));
    assert_eq!(store.add_member("s", "b").await, Ok(true));
    assert_eq!(store.add_member("s", "a").await, Ok(false));
    let mut members = store.members("s").await.unwrap();
    members.sort();
    assert_eq!(members, ["a", "b"]);
    assert_eq!(store.remove_member("s", "a").await, Ok(true));
    assert_eq!(store.remove_member("s", "a").await, Ok(false));
    assert_eq!(store.remove_member("no such set", "a").await, Ok(false));
    assert_eq!(store.members("s").await, Ok(vec!["b".into()]));
    assert_eq!(store.remove_member("s", "b").await, Ok(true));
    assert_eq!(store.delete("s").await, Ok(false), "a set without members is gone");
}

pub async fn a_set_expires_whole(store: &dyn State) {
    for member in ["a", "b"] {
        store.add_member("s", member).await.unwrap();
    }
    assert_eq!(store.expire("s", SHORT).await, Ok(true));
    until("expiry", || async { store.members("s").await == Ok(vec![]) }).await;
}

pub async fn a_key_of_another_kind_is_refused_and_stays_as_it_was(store: &dyn State) {
    store.set("value", text("v"), None).await.unwrap();
    store.add_member("set", "m").await.unwrap();
    store.increment("count", 1, LONG).await.unwrap();
    let wrong = |key: &str| StoreError::WrongKind(key.into());
    assert_eq!(store.add_member("value", "m").await, Err(wrong("value")));
    assert_eq!(store.increment("set", 1, LONG).await, Err(wrong("set")));
    assert_eq!(store.get("set").await, Err(wrong("set")));
    assert_eq!(store.members("count").await, Err(wrong("count")));
    assert_eq!(store.set_if_absent("set", text("v"), None).await, Ok(false));
    assert_eq!(store.get("value").await, Ok(Some(text("v"))));
    assert_eq!(store.members("set").await, Ok(vec!["m".into()]));
    for key in ["value", "set", "count"] {
        assert_eq!(store.delete(key).await, Ok(true));
    }
}

pub async fn a_scan_pages_through_all_keys_of_its_prefix_and_no_others(store: &dyn State) {
    let keys: Vec<String> = (0..25).map(|i| format!("room:{i}")).collect();
    for key in &keys {
        store.set(key, text(key), None).await.unwrap();
    }
    for other in ["room", "roon:", "r", "rooma", "ROOM:1"] {
        store.set(other, text("other"), None).await.unwrap();
    }
    store.add_member("room:set", "m").await.unwrap();
    store.increment("room:count", 1, LONG).await.unwrap();
    let found = scan_all(store, "room:", 4).await;
    let mut wanted: Vec<_> = keys.iter().map(|key| (key.clone(), text(key))).collect();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(scan_all(store, "nothing:", 4).await, []);
    // A prefix is taken as it is, not as a pattern.
    assert_eq!(scan_all(store, "room*", 4).await, []);
}

pub async fn a_scan_leaves_out_what_is_expired(store: &dyn State) {
    store.set("p:goes", text("v"), Some(SHORT)).await.unwrap();
    store.set("p:stays", text("v"), Some(LONG)).await.unwrap();
    until("expiry", || async { scan_all(store, "p:", 10).await == [("p:stays".into(), text("v"))] }).await;
}

/// Everything a scan gives, in order and each once.
async fn scan_all(store: &dyn State, prefix: &str, limit: usize) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = store.scan(prefix, cursor, limit).await.unwrap();
        found.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            found.sort();
            found.dedup();
            return found;
        }
    }
}

pub async fn every_subscriber_gets_what_is_published_after_it_came_in_order(store: &dyn State) {
    store.publish("c", text("before")).await.unwrap();
    let mut first = store.subscribe("c").await.unwrap();
    store.publish("c", text("1")).await.unwrap();
    let mut second = store.subscribe("c").await.unwrap();
    let mut other = store.subscribe("other").await.unwrap();
    store.publish("c", text("2")).await.unwrap();
    store.publish("c", text("3")).await.unwrap();
    store.publish("other", text("4")).await.unwrap();
    for wanted in ["1", "2", "3"] {
        assert_eq!(next(&mut first).await, Delivery::Message(text(wanted)));
    }
    drop(first);
    for wanted in ["2", "3"] {
        assert_eq!(next(&mut second).await, Delivery::Message(text(wanted)));
    }
    assert_eq!(next(&mut other).await, Delivery::Message(text("4")));
    drop((second, other));
    store.publish("c", text("to nobody")).await.unwrap();
}

pub async fn a_slow_subscriber_is_told_what_it_lost(store: &dyn State) {
    const SENT: u64 = 5000;
    let mut subscription = store.subscribe("c").await.unwrap();
    for i in 0..SENT {
        store.publish("c", text(&i.to_string())).await.unwrap();
    }
    store.publish("c", text("end")).await.unwrap();
    let mut accounted = 0;
    loop {
        match next(&mut subscription).await {
            Delivery::Lagged { lost } => accounted += lost.expect("nothing interrupted the store"),
            Delivery::Message(message) if message == "end" => break,
            Delivery::Message(message) => {
                assert_eq!(message, text(&accounted.to_string()), "what is left stays in order");
                accounted += 1;
            }
        }
    }
    assert_eq!(accounted, SENT);
}

pub async fn what_is_too_long_is_refused(store: &dyn State) {
    let too_large = |error: Result<(), StoreError>| matches!(error, Err(StoreError::TooLarge { .. }));
    let long_key = "k".repeat(MAX_KEY_BYTES + 1);
    let long_value = Bytes::from(vec![0; MAX_VALUE_BYTES + 1]);
    assert!(too_large(store.set(&long_key, text("v"), None).await));
    assert!(too_large(store.set("k", long_value.clone(), None).await));
    assert!(too_large(store.publish("c", long_value.clone()).await));
    assert!(too_large(store.set_if_absent("k", long_value, None).await.map(drop)));
    assert!(too_large(store.increment(&long_key, 1, LONG).await.map(drop)));
    assert!(too_large(store.add_member("s", &long_key).await.map(drop)));
    assert!(too_large(store.subscribe(&long_key).await.map(drop)));
    assert_eq!(store.get(&long_key).await, Ok(None));
    assert_eq!(store.get("k").await, Ok(None));
    let (longest_key, longest_value) = (&long_key[1..], Bytes::from(vec![7; MAX_VALUE_BYTES]));
    store.set(longest_key, longest_value.clone(), None).await.unwrap();
    assert_eq!(store.get(longest_key).await, Ok(Some(longest_value)));
}

pub async fn a_working_store_says_so(store: &dyn State) {
    assert_eq!(store.check().await, Ok(()));
}

/// Awaits all at once; the answers in their order.
async fn all<T, F: Future<Output = T>>(futures: impl IntoIterator<Item = F>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut complete = true;
        for (future, answer) in &mut pending {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *answer = Some(value),
                    std::task::Poll::Pending => complete = false,
                }
            }
        }
        if complete { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, answer)| answer.expect("all are complete")).collect()
}
