//! The contracts, and how what they keep looks to the database's operators.

use std::{collections::BTreeMap, sync::Arc};

use mongodb::bson::{Bson, Document, doc};
use pianorhythm_server::{
    collections_contract, documents_contract,
    domain::room::{RoomChange, RoomRecord},
    people_contract,
    store::{
        Documents as _, MongoDocuments,
        contract::{
            collections::HOSTILE,
            documents::{key, line, record},
        },
        people::PreferenceStore as _,
    },
};

use crate::Kept;

async fn mongodb() -> Option<(Arc<MongoDocuments>, Kept)> {
    let kept = Kept::new()?;
    Some((kept.connect().await, kept))
}

collections_contract!(mongodb);
documents_contract!(mongodb);
people_contract!(mongodb);

fn names(value: &Bson, seen: &mut Vec<String>) {
    match value {
        Bson::Document(document) => {
            for (name, value) in document {
                seen.push(name.clone());
                names(value, seen);
            }
        }
        Bson::Array(values) => values.iter().for_each(|value| names(value, seen)),
        _ => {}
    }
}

#[tokio::test]
async fn no_name_that_a_user_chose_stands_in_the_database_as_an_operator_or_a_path() {
    let Some((store, kept)) = mongodb().await else { return };
    let values: BTreeMap<_, _> =
        HOSTILE.iter().map(|name| ((*name).to_owned(), serde_json::json!({ *name: { *name: name } }))).collect();
    store.set_preferences(&"$clara.x".into(), &values, Default::default()).await.unwrap();
    let raw = kept.database().await.collection::<Document>("preferences");
    let found = raw.find_one(doc! { "_id": "$clara.x" }).await.unwrap().expect("it is there");
    let mut seen = Vec::new();
    names(&Bson::Document(found), &mut seen);
    assert!(seen.len() > 3 * HOSTILE.len(), "{seen:?}");
    for name in seen {
        assert!(!name.contains(['$', '.', '\0']), "{name}");
    }
}

#[tokio::test]
async fn documents_stand_in_the_database_as_what_they_are() {
    let Some((store, kept)) = mongodb().await else { return };
    let room = RoomRecord { by_guest: true, ..record("jazz") };
    store.save(RoomChange::Save(Box::new(room.clone()))).await.unwrap();
    store.save(RoomChange::Chat { key: key("jazz"), line: line("hello") }).await.unwrap();
    let database = kept.database().await;
    let rooms = database.collection::<Document>("rooms");
    let found = rooms.find_one(doc! { "doc.display_name": "JAZZ" }).await.unwrap().expect("operators can ask for it");
    assert_eq!(found.get_str("_id").unwrap(), "jazz");
    assert_eq!(found.get_document("doc").unwrap().get_i64("last_used").unwrap(), room.last_used.as_us() as i64);
    let chat = database.collection::<Document>("chat");
    assert_eq!(chat.count_documents(doc! { "doc.line.text": "hello" }).await.unwrap(), 1);
}

#[tokio::test]
async fn lines_that_a_room_does_not_remember_do_not_stay_in_the_database() {
    let Some((store, kept)) = mongodb().await else { return };
    store.save(RoomChange::Save(Box::new(record("jazz")))).await.unwrap();
    let said: Vec<_> =
        (0..200).map(|n| store.save(RoomChange::Chat { key: key("jazz"), line: line(&n.to_string()) })).collect();
    for line in said {
        line.await.unwrap();
    }
    let chat = kept.database().await.collection::<Document>("chat");
    assert!(chat.count_documents(doc! {}).await.unwrap() < 140);
    assert_eq!(store.load_room(&key("jazz")).await.unwrap().unwrap().chat.len(), 100);
    store.save(RoomChange::Delete(key("jazz"))).await.unwrap();
    assert_eq!(chat.count_documents(doc! {}).await.unwrap(), 0);
}

#[tokio::test]
async fn two_servers_on_one_database_keep_what_both_write() {
    let Some(kept) = Kept::new() else { return };
    let (one, other) = (kept.connect().await, kept.connect().await);
    one.save(RoomChange::Save(Box::new(record("jazz")))).await.unwrap();
    let say = |store: &Arc<MongoDocuments>, n: usize| {
        store.save(RoomChange::Chat { key: key("jazz"), line: line(&n.to_string()) })
    };
    let said: Vec<_> = (0..20).map(|n| say(if n % 2 == 0 { &one } else { &other }, n)).collect();
    for line in said {
        line.await.unwrap();
    }
    let mut chat: Vec<usize> = one
        .load_room(&key("jazz"))
        .await
        .unwrap()
        .unwrap()
        .chat
        .iter()
        .map(|line| line.text.parse().unwrap())
        .collect();
    // Each server's in its order; both in some.
    let of = |parity| chat.iter().copied().filter(|n| n % 2 == parity).collect::<Vec<_>>();
    assert!(of(0).is_sorted() && of(1).is_sorted(), "{chat:?}");
    chat.sort_unstable();
    assert_eq!(chat, (0..20).collect::<Vec<_>>());
}
