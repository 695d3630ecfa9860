//! The database's version.

use futures_util::future::join_all;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use pianorhythm_server::store::{Documents as _, StoreError, contract::people::user, document, people::Users as _};

use crate::Kept;

async fn version(kept: &Kept) -> i64 {
    let schema = kept.database().await.collection::<Document>("schema");
    assert_eq!(schema.count_documents(doc! {}).await.unwrap(), 1);
    schema.find_one(doc! {}).await.unwrap().unwrap().get_i64("version").unwrap()
}

#[tokio::test]
async fn a_database_is_made_ready_once_also_by_servers_that_start_at_once() {
    let Some(kept) = Kept::new() else { return };
    let stores = join_all((0..4).map(|_| kept.connect())).await;
    // One that meets another at it may fail, and is told so; then it is made ready by the next call.
    join_all(stores.iter().map(|store| store.check())).await;
    for store in &stores {
        store.check().await.unwrap();
    }
    assert_eq!(version(&kept).await, 1);
    let names = kept.database().await.collection::<Document>("users").list_index_names().await.unwrap();
    assert!(["by_name", "by_email"].iter().all(|name| names.iter().any(|there| there == name)), "{names:?}");
}

#[tokio::test]
async fn a_database_that_was_left_half_made_is_made_whole() {
    let Some(kept) = Kept::new() else { return };
    // Some of the first version's indexes, and no version yet.
    let users = kept.database().await.collection::<Document>("users");
    let options = IndexOptions::builder().name("by_name".to_owned()).unique(true).build();
    users.create_index(IndexModel::builder().keys(doc! { "by_name": 1 }).options(options).build()).await.unwrap();
    let store = kept.connect().await;
    document::insert(&*store, &user("clara")).await.unwrap();
    assert_eq!(version(&kept).await, 1);
    assert!(users.list_index_names().await.unwrap().iter().any(|name| name == "by_email"));
}

#[tokio::test]
async fn a_database_of_a_newer_server_is_refused_and_left_as_it_is() {
    let Some(kept) = Kept::new() else { return };
    let schema = kept.database().await.collection::<Document>("schema");
    schema.insert_one(doc! { "_id": "version", "version": 99_i64 }).await.unwrap();
    let store = kept.connect().await;
    let refused = StoreError::Incompatible { found: 99, supported: 1 };
    assert_eq!(store.check().await, Err(refused.clone()));
    assert_eq!(store.user(&"clara".into()).await, Err(refused.clone()));
    assert_eq!(document::insert(&*store, &user("clara")).await, Err(refused));
    assert_eq!(version(&kept).await, 99);
    assert_eq!(kept.database().await.list_collection_names().await.unwrap(), ["schema"]);
}
