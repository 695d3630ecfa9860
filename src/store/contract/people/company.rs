//! Friends and private messages.

use std::sync::Arc;

use crate::store::{
    StoreError,
    collection::Collections,
    contract::{
        documents::NOW,
        people::{CLARA, ROBERT, after, all, id},
    },
    people::{FriendError, FriendStep, Friendships as _, PrivateMessage, PrivateMessages as _, Relation},
};

pub(super) async fn step<S: Collections>(
    store: &Arc<S>,
    one: &str,
    other: &str,
    step: FriendStep,
) -> Result<Option<Relation>, FriendError> {
    let taken = store.take_step(&id(one), &id(other), step, NOW).await.unwrap();
    taken.map(|(friendship, _)| friendship.relation(&id(one)))
}

async fn related<S: Collections>(store: &Arc<S>, user: &str, relation: Relation, page: usize) -> Vec<String> {
    let user = &id(user);
    let found = all(page, |wish| store.related(user, relation, wish)).await;
    found.iter().map(|friendship| friendship.other(user).to_string()).collect()
}

pub async fn friends_ask_accept_decline_and_remove<S: Collections>(store: &Arc<S>) {
    use FriendStep::{Accept, Ask, Decline, Remove};
    assert_eq!(step(store, "clara", "clara", Ask).await, Err(FriendError::Oneself));
    for (nothing, other) in [(Accept, "robert"), (Decline, "robert"), (Remove, "robert")] {
        assert_eq!(step(store, "clara", other, nothing).await, Err(FriendError::Nothing));
    }
    assert_eq!(store.friendship(&CLARA, &ROBERT).await, Ok(None));
    for _ in 0..2 {
        assert_eq!(step(store, "clara", "robert", Ask).await, Ok(Some(Relation::Asked)));
    }
    assert_eq!(step(store, "clara", "robert", Accept).await, Err(FriendError::Nothing), "not by who has asked");
    assert_eq!(related(store, "robert", Relation::Asking, 5).await, ["clara"]);
    assert_eq!(related(store, "clara", Relation::Asked, 5).await, ["robert"]);
    assert_eq!(step(store, "robert", "clara", Decline).await, Ok(None));
    assert_eq!(related(store, "robert", Relation::Asking, 5).await, [] as [&str; 0]);
    step(store, "clara", "robert", Ask).await.unwrap();
    assert_eq!(step(store, "clara", "robert", Remove).await, Ok(None), "taken back");
    step(store, "clara", "robert", Ask).await.unwrap();
    for _ in 0..2 {
        assert_eq!(step(store, "robert", "clara", Accept).await, Ok(Some(Relation::Friend)));
    }
    assert_eq!(related(store, "clara", Relation::Friend, 5).await, ["robert"]);
    assert_eq!(related(store, "robert", Relation::Friend, 5).await, ["clara"]);
    assert_eq!(step(store, "clara", "robert", Remove).await, Ok(None));
    assert_eq!(related(store, "robert", Relation::Friend, 5).await, [] as [&str; 0]);
}

pub async fn requests_that_cross_make_a_friendship<S: Collections>(store: &Arc<S>) {
    let (a, b) = futures_util::join!(
        step(store, "clara", "robert", FriendStep::Ask),
        step(store, "robert", "clara", FriendStep::Ask)
    );
    assert!(a.is_ok() && b.is_ok());
    let friendship = store.friendship(&ROBERT, &CLARA).await.unwrap().unwrap();
    assert_eq!(
        (friendship.relation(&CLARA), friendship.relation(&ROBERT)),
        (Some(Relation::Friend), Some(Relation::Friend))
    );
}

pub async fn a_block_ends_everything_and_keeps_the_other_from_asking<S: Collections>(store: &Arc<S>) {
    use FriendStep::{Accept, Ask, Block, Unblock};
    step(store, "clara", "robert", Ask).await.unwrap();
    step(store, "robert", "clara", Accept).await.unwrap();
    assert_eq!(step(store, "clara", "robert", Block).await, Ok(Some(Relation::Blocked)));
    assert_eq!(related(store, "robert", Relation::Friend, 5).await, [] as [&str; 0]);
    assert_eq!(related(store, "clara", Relation::Blocked, 5).await, ["robert"]);
    assert_eq!(related(store, "robert", Relation::Blocked, 5).await, [] as [&str; 0]);
    assert_eq!(step(store, "robert", "clara", Ask).await, Err(FriendError::Blocked));
    assert_eq!(step(store, "clara", "robert", Ask).await, Err(FriendError::Blocked));
    assert_eq!(step(store, "robert", "clara", Block).await, Ok(Some(Relation::Blocked)));
    assert_eq!(step(store, "clara", "robert", Unblock).await, Ok(None));
    assert_eq!(step(store, "clara", "robert", Unblock).await, Err(FriendError::Nothing));
    assert_eq!(step(store, "clara", "robert", Ask).await, Err(FriendError::Blocked), "the other's stands");
    step(store, "robert", "clara", Unblock).await.unwrap();
    assert_eq!(step(store, "clara", "robert", Ask).await, Ok(Some(Relation::Asked)));
}

pub async fn friends_are_listed_in_pages_from_both_sides<S: Collections>(store: &Arc<S>) {
    let others: Vec<_> = (0..9).map(|n| format!("{}{n}", if n % 2 == 0 { "a" } else { "z" })).collect();
    for other in &others {
        step(store, other, "m", FriendStep::Ask).await.unwrap();
        step(store, "m", other, FriendStep::Accept).await.unwrap();
    }
    step(store, "m", "b", FriendStep::Ask).await.unwrap();
    let mut sorted = others.clone();
    sorted.sort();
    for page in [1, 2, 4, 9, 20] {
        assert_eq!(related(store, "m", Relation::Friend, page).await, sorted);
    }
    assert_eq!(related(store, "z1", Relation::Friend, 2).await, ["m"]);
}

pub(super) fn message(n: u64, from: &str, to: &str) -> PrivateMessage {
    PrivateMessage {
        id: format!("m{n}"),
        from: id(from),
        from_name: from.to_uppercase(),
        to: id(to),
        text: format!("{n}: {{\"$gt\": \"\"}} 🎹"),
        sent: after(n),
        delivered: None,
    }
}

pub async fn private_messages_wait_in_order_until_they_are_delivered<S: Collections>(store: &Arc<S>) {
    for n in [3, 1, 2, 0] {
        store.keep_message(&message(n, "clara", "robert")).await.unwrap();
    }
    store.keep_message(&message(9, "robert", "clara")).await.unwrap();
    store.keep_message(&message(2, "clara", "robert")).await.expect("a repetition");
    let waiting = || async {
        let found = all(3, |wish| store.waiting_messages(&ROBERT, wish)).await;
        found.into_iter().map(|message| message.id).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, ["m0", "m1", "m2", "m3"]);
    assert_eq!(store.delivered("m1", after(10)).await, Ok(true));
    assert_eq!(store.delivered("m1", after(11)).await, Ok(false));
    assert_eq!(store.delivered("none", after(11)).await, Ok(false));
    assert_eq!(waiting().await, ["m0", "m2", "m3"]);
    store.keep_message(&message(1, "clara", "robert")).await.expect("a repetition after it was delivered");
    assert_eq!(waiting().await, ["m0", "m2", "m3"]);
    let other = PrivateMessage { text: "another".into(), ..message(1, "clara", "robert") };
    assert_eq!(store.keep_message(&other).await, Err(StoreError::Taken { what: "id" }));
}

pub async fn a_conversation_is_told_newest_first_to_both<S: Collections>(store: &Arc<S>) {
    for (n, from, to) in [
        (0, "clara", "robert"),
        (1, "robert", "clara"),
        (2, "clara", "felix"),
        (3, "clara", "robert"),
        (4, "r", "clara"),
    ] {
        store.keep_message(&message(n, from, to)).await.unwrap();
    }
    for (a, b) in [(&CLARA, &ROBERT), (&ROBERT, &CLARA)] {
        let found = all(2, |wish| store.conversation(a, b, wish)).await;
        assert_eq!(
            found,
            [message(3, "clara", "robert"), message(1, "robert", "clara"), message(0, "clara", "robert")]
        );
    }
}
