//! The contract of [`Collections`], in an empty store each.

// The cases' names are their sentences.
#![allow(missing_docs)]

use std::sync::Arc;

use futures_util::future::join_all;

use crate::store::{
    StoreError,
    collection::{Collection, Collections, Draft, Expected, MAX_DEPTH, MAX_INDEX_KEY_BYTES, MAX_PAGE, Query},
    documents::MAX_DOCUMENT_BYTES,
    people,
};

/// Makes one test of each case of the contract of `Collections`, on stores from the function of this path.
#[macro_export]
macro_rules! collections_contract {
    ($factory:path) => {
        $crate::collections_contract! { @cases $factory:
            a_document_comes_back_as_it_was_written
            a_document_is_written_over_where_it_is_the_one_that_was_read
            a_write_that_is_repeated_is_done
            an_id_or_a_unique_key_belongs_to_one_document
            a_unique_key_is_free_again_once_its_document_has_another_or_is_gone
            documents_without_a_unique_key_are_in_nobodys_way
            of_many_who_write_at_once_one_succeeds
            of_many_who_claim_a_unique_key_at_once_one_has_it
            documents_are_listed_in_the_order_of_the_bytes_of_their_keys
            pages_go_on_where_the_one_before_ended_in_both_directions
            a_cursor_that_was_made_up_does_not_lead_out_of_its_list
            a_document_is_listed_by_its_keys_of_now
            what_reads_like_an_operator_or_a_path_is_text
            text_of_any_kind_comes_back_as_it_was
            numbers_come_back_as_they_were
            what_is_too_long_or_too_deep_is_refused
            a_deletion_may_rely_on_a_revision_and_may_be_repeated
        }
    };
    (@cases $factory:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            use $crate::store::contract::Given as _;
            let Some((store, _kept)) = $factory().await.given() else { return };
            $crate::store::contract::collections::$case(&store).await;
        })*
    };
}

/// One with two unique indexes.
fn users() -> &'static Collection {
    people::COLLECTIONS.iter().find(|collection| collection.name == "users").unwrap()
}

/// One with indexes that are not.
fn bans() -> &'static Collection {
    people::COLLECTIONS.iter().find(|collection| collection.name == "bans").unwrap()
}

fn draft(id: &str, keys: [Option<&str>; 2], document: &str) -> Draft {
    let keys = keys.map(|key| key.map(str::to_owned)).into();
    Draft { id: id.into(), keys, document: document.to_owned().into() }
}

async fn written(store: &impl Collections, collection: &'static Collection, draft: Draft) {
    assert_eq!(store.write(collection, draft, Expected::Absent).await, Ok(1));
}

async fn json(store: &impl Collections, collection: &'static Collection, id: &str) -> Option<(u64, serde_json::Value)> {
    let record = store.get(collection, id).await.unwrap()?;
    assert_eq!(record.id, id);
    Some((record.revision, serde_json::from_slice(&record.document).unwrap()))
}

async fn listed(store: &impl Collections, collection: &'static Collection, query: Query) -> Vec<String> {
    store.list(collection, query).await.unwrap().into_iter().map(|(_, record)| record.id).collect()
}

fn by(index: &'static str) -> Query {
    Query { index: Some(index), limit: 100, ..Query::default() }
}

pub async fn a_document_comes_back_as_it_was_written<S: Collections>(store: &Arc<S>) {
    let store = &**store;
    assert_eq!(store.get(users(), "u1").await, Ok(None));
    let document = r#"{"id":"u1","n":null,"yes":true,"list":[1,"two",{"three":[]}],"empty":{},"text":"a \"b\"\n"}"#;
    written(store, users(), draft("u1", [Some("a"), Some("b")], document)).await;
    assert_eq!(json(store, users(), "u1").await, Some((1, serde_json::from_str(document).unwrap())));
    assert_eq!(store.get(bans(), "u1").await, Ok(None), "collections are apart");
    assert_eq!(listed(store, bans(), Query { limit: 10, ..Query::default() }).await, [] as [&str; 0]);
}

pub async fn a_document_is_written_over_where_it_is_the_one_that_was_read<S: Collections>(store: &Arc<S>) {
    let keys = [Some("a"), None];
    let write = |document, expected| store.write(users(), draft("u1", keys, document), expected);
    assert_eq!(write("{}", Expected::Revision(1)).await, Err(StoreError::Conflict));
    assert_eq!(write(r#"{"n":1}"#, Expected::Absent).await, Ok(1));
    assert_eq!(write(r#"{"n":2}"#, Expected::Revision(1)).await, Ok(2));
    assert_eq!(write(r#"{"n":3}"#, Expected::Revision(1)).await, Err(StoreError::Conflict));
    assert_eq!(write(r#"{"n":3}"#, Expected::Revision(3)).await, Err(StoreError::Conflict));
    assert_eq!(json(&**store, users(), "u1").await, Some((2, serde_json::json!({ "n": 2 }))));
}

pub async fn a_write_that_is_repeated_is_done<S: Collections>(store: &Arc<S>) {
    let write = |document, expected| store.write(users(), draft("u1", [Some("a"), None], document), expected);
    for _ in 0..2 {
        assert_eq!(write(r#"{"n":1}"#, Expected::Absent).await, Ok(1));
    }
    for _ in 0..2 {
        assert_eq!(write(r#"{"n":2,"m":{"k":[1]}}"#, Expected::Revision(1)).await, Ok(2));
    }
    assert_eq!(write(r#"{"n":1}"#, Expected::Absent).await, Err(StoreError::Taken { what: "id" }));
}

pub async fn an_id_or_a_unique_key_belongs_to_one_document<S: Collections>(store: &Arc<S>) {
    let write = |id, keys| store.write(users(), draft(id, keys, r#"{"n":1}"#), Expected::Absent);
    let taken = |what| Err(StoreError::Taken { what });
    assert_eq!(write("u1", [Some("clara"), Some("c@x.org")]).await, Ok(1));
    let other = store.write(users(), draft("u1", [Some("x"), None], r#"{"n":2}"#), Expected::Absent).await;
    assert_eq!(other, taken("id"));
    assert_eq!(write("u2", [Some("clara"), Some("d@x.org")]).await, taken("by_name"));
    assert_eq!(write("u2", [Some("robert"), Some("c@x.org")]).await, taken("by_email"));
    assert_eq!(store.get(users(), "u2").await, Ok(None), "what was refused is not there");
    assert_eq!(write("u2", [Some("robert"), Some("clara")]).await, Ok(1), "indexes are apart");
    let renamed = store.write(users(), draft("u2", [Some("clara"), None], "{}"), Expected::Revision(1)).await;
    assert_eq!(renamed, taken("by_name"));
    assert_eq!(listed(&**store, users(), by("by_name")).await, ["u1", "u2"]);
    assert_eq!(json(&**store, users(), "u2").await.unwrap().0, 1);
}

pub async fn a_unique_key_is_free_again_once_its_document_has_another_or_is_gone<S: Collections>(store: &Arc<S>) {
    let write = |id, key, expected| store.write(users(), draft(id, [Some(key), None], "{}"), expected);
    write("u1", "clara", Expected::Absent).await.unwrap();
    write("u1", "wieck", Expected::Revision(1)).await.unwrap();
    write("u2", "clara", Expected::Absent).await.unwrap();
    assert_eq!(store.delete(users(), "u2", None).await, Ok(true));
    write("u3", "clara", Expected::Absent).await.unwrap();
    assert_eq!(listed(&**store, users(), by("by_name")).await, ["u3", "u1"]);
}

pub async fn documents_without_a_unique_key_are_in_nobodys_way<S: Collections>(store: &Arc<S>) {
    for id in ["u1", "u2", "u3"] {
        written(&**store, users(), draft(id, [Some(id), None], "{}")).await;
    }
    assert_eq!(listed(&**store, users(), by("by_email")).await, [] as [&str; 0]);
    for (id, expected) in [("u1", 1), ("u1", 2)] {
        store.write(users(), draft(id, [Some(id), None], r#"{"n":1}"#), Expected::Revision(expected)).await.unwrap();
    }
}

pub async fn of_many_who_write_at_once_one_succeeds<S: Collections>(store: &Arc<S>) {
    written(&**store, users(), draft("u1", [None, None], r#"{"n":0}"#)).await;
    let write = |n: usize, id: &'static str, expected| async move {
        store.write(users(), draft(id, [None, None], &format!(r#"{{"by":{n}}}"#)), expected).await
    };
    let outcomes = join_all((0..8).map(|n| write(n, "u1", Expected::Revision(1)))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(2)).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(StoreError::Conflict)).count(), 7, "{outcomes:?}");
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(json(&**store, users(), "u1").await, Some((2, serde_json::json!({ "by": winner }))));

    let outcomes = join_all((0..8).map(|n| write(n, "u2", Expected::Absent))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(1)).count(), 1, "{outcomes:?}");
    let taken = Err(StoreError::Taken { what: "id" });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 7, "{outcomes:?}");
}

pub async fn of_many_who_claim_a_unique_key_at_once_one_has_it<S: Collections>(store: &Arc<S>) {
    let claim = |n: usize| async move {
        store.write(users(), draft(&format!("u{n}"), [Some("clara"), None], "{}"), Expected::Absent).await
    };
    let outcomes = join_all((0..8).map(claim)).await;
    let taken = Err(StoreError::Taken { what: "by_name" });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == taken).count(), 7, "{outcomes:?}");
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(listed(&**store, users(), Query { limit: 10, ..Query::default() }).await, [format!("u{winner}")]);
}

/// Keys whose order differs between bytes, UTF-16 and dictionaries.
const KEYS: [&str; 9] = ["", "10", "9", "B", "a", "ab", "á", "\u{ffee}", "\u{1f3b9}"];

pub async fn documents_are_listed_in_the_order_of_the_bytes_of_their_keys<S: Collections>(store: &Arc<S>) {
    for (n, key) in KEYS.iter().enumerate().rev() {
        // The ids in another order than the keys.
        written(&**store, bans(), draft(&format!("{}", 9 - n), [Some(key), None], "{}")).await;
    }
    let forth: Vec<_> = (0..9).map(|n| format!("{}", 9 - n)).collect();
    let back: Vec<_> = forth.iter().rev().cloned().collect();
    assert_eq!(listed(&**store, bans(), by("by_subject")).await, forth);
    assert_eq!(listed(&**store, bans(), Query { descending: true, ..by("by_subject") }).await, back);
    assert_eq!(listed(&**store, bans(), Query { limit: 100, ..Query::default() }).await, back, "by id");
    let some = Query { from: "9".into(), until: "á".into(), ..by("by_subject") };
    assert_eq!(listed(&**store, bans(), some.clone()).await, ["7", "6", "5", "4"]);
    assert_eq!(listed(&**store, bans(), Query { descending: true, limit: 2, ..some }).await, ["4", "5"]);
}

pub async fn pages_go_on_where_the_one_before_ended_in_both_directions<S: Collections>(store: &Arc<S>) {
    for n in 0..25 {
        written(&**store, bans(), draft(&format!("{n:02}"), [Some(&format!("k{n:02}")), None], "{}")).await;
    }
    for (index, descending, limit) in
        [(Some("by_subject"), false, 7), (Some("by_subject"), true, 5), (None, false, 25), (None, true, 1)]
    {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = Query { index, after: after.take(), descending, limit, ..Query::default() };
            let found = store.list(bans(), page).await.unwrap();
            assert!(found.len() <= limit);
            let Some((key, _)) = found.last() else { break };
            after = Some(key.clone());
            ids.extend(found.into_iter().map(|(_, record)| record.id));
        }
        if descending {
            ids.reverse();
        }
        assert_eq!(ids, (0..25).map(|n| format!("{n:02}")).collect::<Vec<_>>());
    }
    let none = Query { limit: 0, ..by("by_subject") };
    assert_eq!(listed(&**store, bans(), none).await, [] as [&str; 0]);
    assert!(store.list(bans(), Query { limit: MAX_PAGE * 10, ..by("by_subject") }).await.unwrap().len() == 25);
}

pub async fn a_cursor_that_was_made_up_does_not_lead_out_of_its_list<S: Collections>(store: &Arc<S>) {
    for key in ["a", "m1", "m2", "z"] {
        written(&**store, bans(), draft(key, [Some(key), None], "{}")).await;
    }
    let within = |after: &str, descending| Query {
        from: "m".into(),
        until: "n".into(),
        after: Some(after.into()),
        descending,
        ..by("by_subject")
    };
    for (after, descending, expected) in [
        ("", false, &["m1", "m2"][..]),
        ("a", false, &["m1", "m2"]),
        ("m1", false, &["m2"]),
        ("z", false, &[]),
        ("z", true, &["m2", "m1"]),
        ("m2", true, &["m1"]),
        ("", true, &[]),
    ] {
        assert_eq!(listed(&**store, bans(), within(after, descending)).await, expected, "{after:?} {descending}");
    }
}

pub async fn a_document_is_listed_by_its_keys_of_now<S: Collections>(store: &Arc<S>) {
    written(&**store, bans(), draft("b1", [Some("x"), Some("y")], "{}")).await;
    store.write(bans(), draft("b1", [None, Some("z")], "{}"), Expected::Revision(1)).await.unwrap();
    assert_eq!(listed(&**store, bans(), by("by_subject")).await, [] as [&str; 0]);
    let found = store.list(bans(), by("by_time")).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0.as_str(), found[0].1.revision), ("z", 2));
    store.delete(bans(), "b1", None).await.unwrap();
    assert_eq!(listed(&**store, bans(), by("by_time")).await, [] as [&str; 0]);
}

/// What would be an operator, a path or a pattern in a query, if a store took it for one.
pub const HOSTILE: [&str; 12] = [
    "$ne",
    "$where",
    "{\"$gt\":\"\"}",
    "$",
    "a.b",
    ".",
    "doc.n",
    ".*",
    "'; DROP TABLE users; --",
    "\" OR 1=1",
    "%",
    "$oid",
];

pub async fn what_reads_like_an_operator_or_a_path_is_text<S: Collections>(store: &Arc<S>) {
    for (n, text) in HOSTILE.iter().enumerate() {
        let document = serde_json::json!({ *text: { *text: [*text, { "$oid": "no", "$date": 5, "a.b": 1 }] }, "n": n });
        written(&**store, users(), draft(text, [Some(text), None], &document.to_string())).await;
    }
    for (n, text) in HOSTILE.iter().enumerate() {
        let (_, document) = json(&**store, users(), text).await.unwrap();
        let expected = serde_json::json!({ *text: { *text: [*text, { "$oid": "no", "$date": 5, "a.b": 1 }] }, "n": n });
        assert_eq!(document, expected);
        let until = format!("{text}\u{1}");
        let only = Query { from: (*text).into(), until: until.clone(), ..by("by_name") };
        assert_eq!(listed(&**store, users(), only).await, [*text]);
        let page = Query { after: Some((*text).into()), until, ..by("by_name") };
        assert!(!listed(&**store, users(), page).await.contains(&(*text).to_owned()));
    }
    assert_eq!(store.get(users(), "").await, Ok(None));
    assert_eq!(store.delete(users(), "{\"$ne\":null}", None).await, Ok(false));
    let survivors = listed(&**store, users(), by("by_name")).await;
    assert_eq!(survivors.len(), HOSTILE.len());
}

pub async fn text_of_any_kind_comes_back_as_it_was<S: Collections>(store: &Arc<S>) {
    let texts = [
        "",
        " ",
        "Größe „Ü“",
        "e\u{301}",
        "\u{1F3B9}\u{200d}",
        "\u{1}\u{2}\u{7f}\u{85}",
        "\u{feff}x",
        "\\u0000",
        "'\"`\\",
    ];
    for (n, text) in texts.iter().enumerate() {
        let document = serde_json::json!({ "text": text, *text: 1, "nested": { *text: "\0" } });
        let id = format!("{n}{text}");
        written(&**store, users(), draft(&id, [Some(&id), None], &document.to_string())).await;
        assert_eq!(json(&**store, users(), &id).await, Some((1, document)));
        let found = listed(&**store, users(), Query { from: id.clone(), limit: 1, ..by("by_name") }).await;
        assert_eq!(found, [id]);
    }
}

pub async fn numbers_come_back_as_they_were<S: Collections>(store: &Arc<S>) {
    let document = serde_json::json!({ "n": [
        0, 1, -1, i32::MAX, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN, 9_007_199_254_740_993_i64, u64::MAX,
        0.5, -0.25, 1e300, 1.0, 0.1,
    ] });
    written(&**store, users(), draft("n", [None, None], &document.to_string())).await;
    assert_eq!(json(&**store, users(), "n").await, Some((1, document)));
}

pub async fn what_is_too_long_or_too_deep_is_refused<S: Collections>(store: &Arc<S>) {
    let too_large = |result: Result<u64, StoreError>, what| {
        assert!(matches!(&result, Err(StoreError::TooLarge { what: is, .. }) if *is == what), "{result:?}");
    };
    let document = |bytes: usize| format!(r#"{{"t":"{}"}}"#, "x".repeat(bytes - 8));
    let write = |draft| store.write(users(), draft, Expected::Absent);
    too_large(write(draft("u1", [None, None], &document(MAX_DOCUMENT_BYTES + 1))).await, "document");
    let long = "x".repeat(MAX_INDEX_KEY_BYTES + 1);
    too_large(write(draft("u1", [Some(&long), None], "{}")).await, "key");
    too_large(write(draft(&long, [None, None], "{}")).await, "id");
    let nested = |depth: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    let refused = write(draft("u1", [None, None], &nested(MAX_DEPTH + 1))).await;
    assert_eq!(refused, Err(StoreError::TooDeep { depth: MAX_DEPTH + 1, limit: MAX_DEPTH }));
    assert_eq!(write(draft("deep", [None, None], &nested(MAX_DEPTH))).await, Ok(1));
    assert!(store.get(users(), "deep").await.unwrap().is_some());
    assert_eq!(store.get(users(), "u1").await, Ok(None));
    assert_eq!(write(draft("u1", [Some(&long[1..]), None], &document(MAX_DOCUMENT_BYTES))).await, Ok(1));
    let kept = store.get(users(), "u1").await.unwrap().unwrap();
    assert_eq!(kept.document.len(), MAX_DOCUMENT_BYTES);
}

pub async fn a_deletion_may_rely_on_a_revision_and_may_be_repeated<S: Collections>(store: &Arc<S>) {
    written(&**store, users(), draft("u1", [Some("a"), None], "{}")).await;
    store.write(users(), draft("u1", [Some("a"), None], r#"{"n":1}"#), Expected::Revision(1)).await.unwrap();
    assert_eq!(store.delete(users(), "u1", Some(1)).await, Err(StoreError::Conflict));
    assert_eq!(store.delete(users(), "u1", Some(2)).await, Ok(true));
    assert_eq!(store.delete(users(), "u1", Some(2)).await, Ok(false));
    assert_eq!(store.delete(users(), "u1", None).await, Ok(false));
    assert_eq!(store.get(users(), "u1").await, Ok(None));
    written(&**store, users(), draft("u1", [Some("a"), None], "{}")).await;
}
