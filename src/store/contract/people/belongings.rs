//! What is a user's: preferences, a picture, and all of it together.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde_json::json;

use crate::{
    protocol::ids::UserId,
    store::{
        StoreError,
        collection::Collections,
        contract::{
            collections::HOSTILE,
            documents::NOW,
            people::{
                CLARA, ROBERT, account, after,
                company::{message, step},
                id, identity,
                order::report,
                session,
            },
        },
        people::{
            Avatar, Avatars as _, Credentials as _, FriendStep, MAX_AVATAR_BYTES, MAX_PREFERENCES_BYTES,
            PreferenceStore as _, PrivateMessages as _, Reports as _, Sessions as _, Users as _,
            holdings::{Holdings as _, HoldingsCursor},
        },
    },
};

pub async fn preferences_of_any_name_come_back_and_the_last_write_wins<S: Collections>(store: &Arc<S>) {
    assert_eq!(store.preferences(&CLARA).await, Ok(None));
    let mut values: BTreeMap<String, serde_json::Value> =
        HOSTILE.iter().map(|name| ((*name).to_owned(), json!({ *name: [1, null, "x"] }))).collect();
    values.insert("\0é.$".into(), json!("\0"));
    let set = store.set_preferences(&CLARA, &values, NOW).await.unwrap();
    assert_eq!((&set.values, set.changed), (&values, NOW));
    assert_eq!(store.preferences(&CLARA).await, Ok(Some(set)));
    let change = BTreeMap::from([("$ne".to_owned(), json!(null)), ("a.b".to_owned(), json!(2))]);
    store.set_preferences(&CLARA, &change, after(1)).await.unwrap();
    values.remove("$ne");
    values.insert("a.b".into(), json!(2));
    let kept = store.preferences(&CLARA).await.unwrap().unwrap();
    assert_eq!((&kept.values, kept.changed), (&values, after(1)));
    let long = BTreeMap::from([("long".to_owned(), json!("x".repeat(MAX_PREFERENCES_BYTES)))]);
    assert!(matches!(store.set_preferences(&CLARA, &long, NOW).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.preferences(&CLARA).await.unwrap().unwrap().values, values);
    assert_eq!(store.preferences(&ROBERT).await, Ok(None));
}

pub async fn a_picture_comes_back_and_goes<S: Collections>(store: &Arc<S>) {
    let picture = |bytes: Vec<u8>| Avatar {
        user_id: CLARA.clone(),
        media_type: "image/webp".into(),
        etag: format!("{}", bytes.len()),
        bytes: Bytes::from(bytes),
        since: NOW,
    };
    let large = picture((0..MAX_AVATAR_BYTES).map(|n| n as u8).collect());
    for picture in [picture(vec![0, 255, 10]), large.clone()] {
        store.set_avatar(&picture).await.unwrap();
        assert_eq!(store.avatar(&CLARA).await, Ok(Some(picture)));
    }
    let too_large = picture(vec![0; MAX_AVATAR_BYTES + 1]);
    assert!(matches!(store.set_avatar(&too_large).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.avatar(&CLARA).await, Ok(Some(large)));
    assert_eq!(store.remove_avatar(&CLARA).await, Ok(true));
    assert_eq!(store.remove_avatar(&CLARA).await, Ok(false));
    assert_eq!(store.avatar(&CLARA).await, Ok(None));
}

/// Everything that can be about two users.
async fn two_lives<S: Collections>(store: &Arc<S>) {
    for name in ["clara", "robert"] {
        store.register(&account(name)).await.unwrap();
        store.log_in(&session(&format!("s of {name}"), name, after(100))).await.unwrap();
        let values = BTreeMap::from([("token".to_owned(), json!(name))]);
        store.set_preferences(&id(name), &values, NOW).await.unwrap();
        let avatar = Avatar {
            user_id: id(name),
            media_type: "image/webp".into(),
            etag: "e".into(),
            bytes: Bytes::from_static(b"picture"),
            since: NOW,
        };
        store.set_avatar(&avatar).await.unwrap();
    }
    store.link(&identity("clara", "1234")).await.unwrap();
    for other in ["a", "robert", "z"] {
        step(store, "clara", other, FriendStep::Ask).await.unwrap();
    }
    step(store, "robert", "z", FriendStep::Ask).await.unwrap();
    for n in 0..120 {
        store.keep_message(&message(n, "clara", "robert")).await.unwrap();
    }
    store.keep_message(&message(500, "robert", "felix")).await.unwrap();
    store.file_report(&report(1)).await.unwrap();
}

async fn holdings<S: Collections>(store: &Arc<S>, user: &UserId) -> BTreeMap<&'static str, Vec<serde_json::Value>> {
    let (mut found, mut cursor) = (BTreeMap::<_, Vec<_>>::new(), Some(HoldingsCursor::default()));
    while let Some(from) = cursor {
        let (holdings, next) = store.holdings(user, from).await.unwrap();
        for holding in holdings {
            found.entry(holding.collection).or_default().push(holding.document);
        }
        cursor = next;
    }
    found
}

pub async fn what_is_a_users_can_be_given_to_it_without_what_proves_who_it_is<S: Collections>(store: &Arc<S>) {
    two_lives(store).await;
    let found = holdings(store, &CLARA).await;
    let counts: Vec<_> = found.iter().map(|(collection, documents)| (*collection, documents.len())).collect();
    assert_eq!(
        counts,
        [
            ("avatars", 1),
            ("credentials", 2),
            ("friendships", 3),
            ("preferences", 1),
            ("private_messages", 120),
            ("reports", 1),
            ("sessions", 1),
            ("users", 1),
        ]
    );
    assert_eq!(found["preferences"][0]["values"]["token"], "clara", "what a user named itself is no secret");
    let text = format!("{:?}{:?}", found["credentials"], found["sessions"]);
    assert!(text.contains("1234") && !text.contains("hash") && !text.contains("s of clara 0"), "{text}");
    assert_eq!(holdings(store, &id("nobody")).await, BTreeMap::new());
}

pub async fn an_account_is_erased_with_what_is_its_own_and_nothing_else<S: Collections>(store: &Arc<S>) {
    two_lives(store).await;
    for _ in 0..2 {
        store.erase(&CLARA).await.unwrap();
        let left = holdings(store, &CLARA).await;
        assert_eq!(left.keys().copied().collect::<Vec<_>>(), ["reports"]);
    }
    let left = holdings(store, &ROBERT).await;
    let counts: Vec<_> = left.iter().map(|(collection, documents)| (*collection, documents.len())).collect();
    assert_eq!(
        counts,
        [
            ("avatars", 1),
            ("credentials", 1),
            ("friendships", 1),
            ("preferences", 1),
            ("private_messages", 1),
            ("sessions", 1),
            ("users", 1),
        ]
    );
    assert_eq!(store.identity("discord", "1234").await, Ok(None));
    store.register(&account("clara")).await.expect("the name is free");
}
