//! Accounts, credentials and log-ins.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use crate::store::{
    StoreError,
    collection::Collections,
    contract::{
        collections::HOSTILE,
        documents::NOW,
        people::{CLARA, account, after, all, id, identity, password, session, user},
    },
    document::{self, Verdict},
    people::{
        Credentials as _, Friendships as _, MAX_SPENT_TOKENS, NewAccount, Rotation, Sessions as _, User, Users as _,
    },
};

pub async fn an_account_is_found_by_id_name_and_address_however_they_are_spelt<S: Collections>(store: &Arc<S>) {
    let straße = User { id: id("u1"), username: "Straße".into(), email: Some("Me@Example.ORG".into()), ..user("x") };
    assert_eq!(store.user(&id("u1")).await, Ok(None));
    let wish = NewAccount { user: straße.clone(), credential: password("u1", "hash") };
    for _ in 0..2 {
        store.register(&wish).await.expect("also when it is repeated");
    }
    let found = |kept: Result<Option<document::Kept<User>>, StoreError>| kept.unwrap().unwrap().document;
    assert_eq!(found(store.user(&id("u1")).await), straße);
    for name in ["Straße", "STRASSE", " strasse "] {
        assert_eq!(found(store.user_by_name(name).await), straße);
    }
    assert_eq!(found(store.user_by_email("me@example.org").await), straße);
    for stranger in ["strass", "strasse2", "", "u1", "me@example.org"] {
        assert_eq!(store.user_by_name(stranger).await, Ok(None), "{stranger}");
    }
    assert_eq!(store.user_by_email("me@example.or").await, Ok(None));
    assert_eq!(store.password(&id("u1")).await.unwrap().unwrap().document, wish.credential);
}

pub async fn two_accounts_have_neither_a_name_nor_an_address_in_common<S: Collections>(store: &Arc<S>) {
    store.register(&account("clara")).await.unwrap();
    let register = |name: &'static str, email: Option<&'static str>| async move {
        let user = User { username: name.into(), email: email.map(str::to_owned), ..user("other") };
        store.register(&NewAccount { user, credential: password("other", "hash") }).await
    };
    let taken = |what| Err(StoreError::Taken { what });
    assert_eq!(register("ＣＬＡＲＡ", Some("o@x.org")).await, taken("by_name"));
    assert_eq!(register("other", Some("CLARA@example.ORG")).await, taken("by_email"));
    assert_eq!(store.user(&id("other")).await, Ok(None));
    register("other", None).await.unwrap();
    let third = User { email: None, ..user("third") };
    store.register(&NewAccount { user: third, credential: password("third", "hash") }).await.unwrap();
    let other = id("other");
    let renamed = store.change_user(&other, |user| {
        user.username = "Clara".into();
        Verdict::Keep(())
    });
    assert_eq!(renamed.await, Err(StoreError::Taken { what: "by_name" }));
}

pub async fn of_many_who_register_one_name_at_once_one_has_it<S: Collections>(store: &Arc<S>) {
    let register = |n: usize| async move {
        let name = format!("u{n}");
        let user = User { username: "Clara".into(), ..user(&name) };
        store.register(&NewAccount { user, credential: password(&name, "hash") }).await
    };
    let outcomes = join_all((0..6).map(register)).await;
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert_eq!(store.user_by_name("clara").await.unwrap().unwrap().document.id, id(&format!("u{winner}")));
    for n in (0..6).filter(|n| *n != winner) {
        assert_eq!(outcomes[n], Err(StoreError::Taken { what: "by_name" }));
        assert_eq!(store.password(&id(&format!("u{n}"))).await, Ok(None), "the losers leave nothing");
    }
}

pub async fn a_registration_that_was_refused_leaves_the_identity_free<S: Collections>(store: &Arc<S>) {
    store.register(&account("clara")).await.unwrap();
    let wish = |name: &str| NewAccount {
        user: User { username: name.into(), email: None, ..user("u2") },
        credential: identity("u2", "1234"),
    };
    assert_eq!(store.register(&wish("clara")).await, Err(StoreError::Taken { what: "by_name" }));
    assert_eq!(store.identity("discord", "1234").await, Ok(None));
    store.register(&wish("robert")).await.unwrap();
    assert_eq!(store.identity("discord", "1234").await.unwrap().unwrap().document.user_id, id("u2"));
    // Repeated when the account has changed since: it keeps what it has.
    let robert = id("u2");
    let changed = store.change_user(&robert, |user| {
        user.about = "changed".into();
        Verdict::Keep(())
    });
    changed.await.unwrap().unwrap();
    assert_eq!(store.register(&wish("robert")).await, Err(StoreError::Taken { what: "id" }));
    assert!(store.identity("discord", "1234").await.unwrap().is_some());
}

pub async fn changes_of_one_account_at_once_are_all_kept<S: Collections>(store: &Arc<S>) {
    store.register(&account("clara")).await.unwrap();
    let change = |n: usize| async move {
        store
            .change_user(&id("clara"), |user| {
                user.about.push_str(&format!(" <{n}>"));
                Verdict::Keep(user.about.len())
            })
            .await
    };
    for outcome in join_all((0..6).map(change)).await {
        assert!(outcome.unwrap().is_some());
    }
    let kept = store.user(&id("clara")).await.unwrap().unwrap();
    assert_eq!(kept.revision, 7);
    assert!((0..6).all(|n| kept.document.about.contains(&format!("<{n}>"))), "{}", kept.document.about);
    let left = store.change_user(&id("clara"), |_| Verdict::Leave("nothing")).await;
    assert_eq!((left, store.user(&id("clara")).await.unwrap().unwrap().revision), (Ok(Some("nothing")), 7));
    assert_eq!(store.change_user(&id("nobody"), |_| Verdict::Keep(())).await, Ok(None));
}

pub async fn accounts_are_listed_by_the_beginnings_of_their_names<S: Collections>(store: &Arc<S>) {
    for name in ["clara", "clarissa", "cla", "robert", "óscar"] {
        store.register(&account(name)).await.unwrap();
    }
    for (beginning, expected) in [
        ("CLA", &["cla", "clara", "clarissa"][..]),
        ("clari", &["clarissa"]),
        ("ÓS", &["óscar"]),
        ("x", &[]),
        ("", &["cla", "clara", "clarissa", "robert", "óscar"]),
        (".*", &[]),
    ] {
        let found = all(2, |wish| store.users_named(beginning, wish)).await;
        assert_eq!(found.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), expected, "{beginning}");
    }
}

pub async fn a_name_that_reads_like_an_operator_finds_nobody_else<S: Collections>(store: &Arc<S>) {
    store.register(&account("clara")).await.unwrap();
    for text in HOSTILE {
        assert_eq!(store.user_by_name(text).await, Ok(None), "{text}");
        assert_eq!(store.user_by_email(&format!("{text}@x.org")).await, Ok(None), "{text}");
        assert_eq!(store.user(&id(text)).await, Ok(None), "{text}");
        assert_eq!(store.password(&id(text)).await, Ok(None), "{text}");
        assert_eq!(store.session(text).await, Ok(None), "{text}");
        assert_eq!(store.friendship(&id(text), &id("clara")).await, Ok(None), "{text}");
    }
    for (n, text) in HOSTILE.iter().enumerate() {
        let email = Some(format!("{n}@x.org"));
        let user = User { id: id(text), username: (*text).into(), email, ..user("x") };
        store.register(&NewAccount { user, credential: password(text, text) }).await.unwrap();
    }
    for text in HOSTILE {
        assert_eq!(store.user_by_name(text).await.unwrap().unwrap().document.id, id(text));
        let user = id(text);
        assert_eq!(all(5, |wish| store.credentials_of(&user, wish)).await, [password(text, text)]);
    }
}

pub async fn a_password_is_changed_by_who_knows_the_one_before<S: Collections>(store: &Arc<S>) {
    let clara = id("clara");
    let set = |replaces: Option<&'static str>, hash: &'static str| {
        let clara = clara.clone();
        async move { store.set_password(&clara, replaces, hash.into(), NOW).await }
    };
    assert_eq!(set(Some("a"), "b").await, Ok(false), "there is none");
    assert_eq!(set(None, "a").await, Ok(true));
    assert_eq!(set(None, "b").await, Ok(false), "there is one");
    assert_eq!(set(Some("a"), "b").await, Ok(true));
    assert_eq!(set(Some("a"), "c").await, Ok(false));
    assert_eq!(set(Some("a"), "b").await, Ok(true), "a repetition");
    let outcomes = join_all(["x", "y", "z"].map(|hash| set(Some("b"), hash))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(true)).count(), 1, "{outcomes:?}");
}

pub async fn an_identity_at_a_provider_is_one_users<S: Collections>(store: &Arc<S>) {
    store.register(&account("clara")).await.unwrap();
    for _ in 0..2 {
        store.link(&identity("clara", "$1.2")).await.unwrap();
    }
    store.link(&identity("clara", "other")).await.unwrap();
    assert_eq!(store.link(&identity("robert", "$1.2")).await, Err(StoreError::Taken { what: "id" }));
    assert_eq!(store.identity("discord", "$1.2").await.unwrap().unwrap().document.user_id, id("clara"));
    assert_eq!(store.identity("discord", "$1").await, Ok(None));
    assert_eq!(all(1, |wish| store.credentials_of(&CLARA, wish)).await.len(), 3);
    assert_eq!(store.unlink(&identity("clara", "$1.2")).await, Ok(true));
    assert_eq!(store.unlink(&identity("clara", "$1.2")).await, Ok(false));
    assert_eq!(all(9, |wish| store.credentials_of(&CLARA, wish)).await.len(), 2);
}

pub async fn a_refresh_token_is_good_once_and_a_spent_one_ends_the_log_in<S: Collections>(store: &Arc<S>) {
    store.log_in(&session("s1", "clara", after(100))).await.unwrap();
    let rotate = |token: usize, next: usize, now| async move {
        store.rotate("s1", &format!("s1 {token}"), &format!("s1 {next}"), now, after(200)).await.unwrap()
    };
    let Rotation::Rotated(rotated) = rotate(0, 1, after(1)).await else { panic!("it is good") };
    assert_eq!((rotated.refreshed, rotated.until, rotated.token.as_str()), (after(1), after(200), "s1 1"));
    let Rotation::Rotated(again) = rotate(0, 1, after(2)).await else { panic!("this very rotation, repeated") };
    assert_eq!(again, rotated);
    assert_eq!(rotate(99, 100, after(2)).await, Rotation::Unknown);
    assert_eq!(store.rotate("s2", "s1 1", "x", after(2), after(3)).await, Ok(Rotation::Unknown));
    for n in 1..MAX_SPENT_TOKENS + 10 {
        assert!(matches!(rotate(n, n + 1, after(3)).await, Rotation::Rotated(_)));
    }
    assert_eq!(rotate(5, 6, after(4)).await, Rotation::Unknown, "it is too old to be known");
    let spent = store.session("s1").await.unwrap().unwrap().document.spent;
    assert_eq!(spent.len(), MAX_SPENT_TOKENS);
    let Rotation::Reused(ended) = rotate(20, 7, after(5)).await else { panic!("it was spent") };
    assert_eq!(ended.revoked.unwrap().reason, "reuse");
    let last = MAX_SPENT_TOKENS + 10;
    assert_eq!(rotate(last, last + 1, after(6)).await, Rotation::Ended, "the good one is good no more");
}

pub async fn of_many_who_use_a_refresh_token_at_once_one_is_given_the_next<S: Collections>(store: &Arc<S>) {
    store.log_in(&session("s1", "clara", after(100))).await.unwrap();
    let rotate =
        |n: usize| async move { store.rotate("s1", "s1 0", &format!("next {n}"), NOW, after(100)).await.unwrap() };
    let outcomes = join_all((0..6).map(rotate)).await;
    let count = |which: fn(&Rotation) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count();
    assert_eq!(count(|outcome| matches!(outcome, Rotation::Rotated(_))), 1, "{outcomes:?}");
    // Those that found it spent at once write the same end, and each has brought it about.
    assert!(count(|outcome| matches!(outcome, Rotation::Reused(_))) >= 1, "{outcomes:?}");
    assert_eq!(count(|outcome| matches!(outcome, Rotation::Unknown)), 0, "{outcomes:?}");
}

pub async fn a_log_in_ends_by_logout_by_its_time_and_with_all_others_of_its_user<S: Collections>(store: &Arc<S>) {
    for (name, of) in [("s1", "clara"), ("s2", "clara"), ("s3", "clara"), ("s4", "robert")] {
        store.log_in(&session(name, of, after(100))).await.unwrap();
    }
    assert!(store.session("s1").await.unwrap().unwrap().document.is_good(after(99)));
    assert!(!store.session("s1").await.unwrap().unwrap().document.is_good(after(100)));
    assert_eq!(store.rotate("s1", "s1 0", "x", after(100), after(300)).await, Ok(Rotation::Ended));
    assert_eq!(store.revoke("s1", "logout", NOW).await.unwrap().unwrap().revoked.unwrap().reason, "logout");
    assert_eq!(store.revoke("s1", "logout", NOW).await, Ok(None));
    assert_eq!(store.revoke("none", "logout", NOW).await, Ok(None));
    assert_eq!(store.rotate("s1", "s1 0", "x", NOW, after(300)).await, Ok(Rotation::Ended));
    assert_eq!(store.revoke_all(&CLARA, Some("s2"), "password", NOW).await, Ok(vec!["s3".into()]));
    assert_eq!(store.revoke_all(&CLARA, None, "ban", NOW).await, Ok(vec!["s2".into()]));
    assert_eq!(store.revoke_all(&CLARA, None, "ban", NOW).await, Ok(vec![]));
    assert!(store.session("s4").await.unwrap().unwrap().document.is_good(NOW));
    assert_eq!(all(2, |wish| store.sessions_of(&CLARA, wish)).await.len(), 3);
}

pub async fn log_ins_whose_time_is_over_are_forgotten<S: Collections>(store: &Arc<S>) {
    for n in 0..5 {
        store.log_in(&session(&format!("s{n}"), "clara", after(n))).await.unwrap();
    }
    store.rotate("s0", "s0 0", "x", NOW - Duration::from_secs(1), after(50)).await.unwrap();
    assert_eq!(store.forget_sessions(after(3), 1).await, Ok(1));
    assert_eq!(store.forget_sessions(after(3), 10).await, Ok(1));
    assert_eq!(store.forget_sessions(after(3), 10).await, Ok(0));
    let left: Vec<_> = all(9, |wish| store.sessions_of(&CLARA, wish)).await.into_iter().map(|s| s.id).collect();
    assert_eq!(left, ["s0", "s3", "s4"]);
}
