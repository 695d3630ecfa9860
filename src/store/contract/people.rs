//! The contract of what is kept about people, in an empty store each.

// The cases' names are their sentences.
#![allow(missing_docs)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    domain::identity::{Role, Status},
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::Collections,
        contract::{collections::HOSTILE, documents::NOW},
        document::{self, DocumentPage, PageWish, Verdict},
        people::{
            Accused, Audit as _, AuditEntry, Avatar, Avatars as _, Bans as _, Credential, Credentials as _,
            FriendError, FriendStep, Friendships as _, LoginSession, MAX_AVATAR_BYTES, MAX_PREFERENCES_BYTES,
            MAX_SPENT_TOKENS, NewAccount, PreferenceStore as _, PrivateMessage, PrivateMessages as _, Proof, Relation,
            Report, ReportState, ReportStep, Reports as _, Rotation, ServerBan, ServerSetting, Sessions as _,
            SettingStore as _, Subject, User, Users as _,
            holdings::{Holdings as _, HoldingsCursor},
        },
    },
};

/// Makes one test of each case of the contract of people's documents, on stores from the function of this path.
#[macro_export]
macro_rules! people_contract {
    ($factory:path) => {
        $crate::people_contract! { @cases $factory:
            an_account_is_found_by_id_name_and_address_however_they_are_spelt
            two_accounts_have_neither_a_name_nor_an_address_in_common
            of_many_who_register_one_name_at_once_one_has_it
            a_registration_that_was_refused_leaves_the_identity_free
            changes_of_one_account_at_once_are_all_kept
            accounts_are_listed_by_the_beginnings_of_their_names
            a_name_that_reads_like_an_operator_finds_nobody_else
            a_password_is_changed_by_who_knows_the_one_before
            an_identity_at_a_provider_is_one_users
            a_refresh_token_is_good_once_and_a_spent_one_ends_the_log_in
            of_many_who_use_a_refresh_token_at_once_one_is_given_the_next
            a_log_in_ends_by_logout_by_its_time_and_with_all_others_of_its_user
            log_ins_whose_time_is_over_are_forgotten
            friends_ask_accept_decline_and_remove
            requests_that_cross_make_a_friendship
            a_block_ends_everything_and_keeps_the_other_from_asking
            friends_are_listed_in_pages_from_both_sides
            private_messages_wait_in_order_until_they_are_delivered
            a_conversation_is_told_newest_first_to_both
            preferences_of_any_name_come_back_and_the_last_write_wins
            a_picture_comes_back_and_goes
            a_ban_binds_its_user_or_network_until_it_ends_or_is_lifted
            reports_go_from_state_to_state_and_are_closed_for_good
            the_audit_log_tells_newest_first_by_actor_and_target
            server_settings_are_set_listed_and_unset
            what_is_a_users_can_be_given_to_it_without_what_proves_who_it_is
            an_account_is_erased_with_what_is_its_own_and_nothing_else
        }
    };
    (@cases $factory:path: $($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            use $crate::store::contract::Given as _;
            let Some((store, _kept)) = $factory().await.given() else { return };
            $crate::store::contract::people::$case(&store).await;
        })*
    };
}

pub fn id(name: &str) -> UserId {
    name.into()
}

/// A plain account.
pub fn user(name: &str) -> User {
    User {
        id: id(name),
        username: name.to_uppercase(),
        usertag: String::new(),
        email: Some(format!("{name}@Example.org")),
        email_verified: false,
        roles: vec![Role::Member],
        pro_until: None,
        colour: "#aabbcc".into(),
        about: "plays „Träumerei“ 🎹".into(),
        avatar: None,
        status: Status::Online,
        created: NOW,
        last_seen: NOW,
    }
}

fn password(user: &str, hash: &str) -> Credential {
    Credential { user_id: id(user), proof: Proof::Password { hash: hash.into() }, since: NOW }
}

fn identity(user: &str, subject: &str) -> Credential {
    let proof = Proof::Provider { provider: "discord".into(), subject: subject.into() };
    Credential { user_id: id(user), proof, since: NOW }
}

fn account(name: &str) -> NewAccount {
    NewAccount { user: user(name), credential: password(name, "hash") }
}

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn session(name: &str, of: &str, until: Timestamp) -> LoginSession {
    LoginSession {
        id: name.into(),
        user_id: id(of),
        token: format!("{name} 0"),
        spent: Vec::new(),
        since: NOW,
        refreshed: NOW,
        until,
        remember: true,
        client: "a browser".into(),
        address: Some("2001:db8::7".parse().unwrap()),
        revoked: None,
    }
}

/// All pages of a list, of this size each.
async fn all<T, F>(size: usize, mut page: impl FnMut(PageWish) -> F) -> Vec<T>
where
    F: Future<Output = Result<DocumentPage<T>, StoreError>>,
{
    let (mut found, mut wish) = (Vec::new(), PageWish::first(size));
    loop {
        let next = page(wish).await.unwrap();
        assert!(next.documents.len() <= size);
        found.extend(next.documents);
        if next.next.is_none() {
            return found;
        }
        wish = PageWish { after: next.next, limit: size };
    }
}

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

static CLARA: std::sync::LazyLock<UserId> = std::sync::LazyLock::new(|| id("clara"));
static ROBERT: std::sync::LazyLock<UserId> = std::sync::LazyLock::new(|| id("robert"));

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

async fn step<S: Collections>(
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

fn message(n: u64, from: &str, to: &str) -> PrivateMessage {
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

fn ban(id: &str, subject: Subject, until: Option<Timestamp>) -> ServerBan {
    let reason = "noise".into();
    ServerBan {
        id: id.into(),
        subject,
        name: "Pest".into(),
        by: CLARA.clone(),
        reason,
        since: NOW,
        until,
        lifted: None,
    }
}

pub async fn a_ban_binds_its_user_or_network_until_it_ends_or_is_lifted<S: Collections>(store: &Arc<S>) {
    let of_pest = Subject::User(id("pest"));
    store.ban(&ban("b1", of_pest.clone(), Some(after(10)))).await.unwrap();
    store.ban(&ban("b2", of_pest.clone(), Some(after(20)))).await.unwrap();
    store.ban(&ban("b1", of_pest, Some(after(10)))).await.expect("a repetition");
    let network = Subject::network("192.0.2.128/25".parse().unwrap());
    store.ban(&ban("b3", network, None)).await.unwrap();
    store.ban(&ban("b4", Subject::network("2001:db8::1/128".parse().unwrap()), Some(after(5)))).await.unwrap();

    let found = |ban: Result<Option<ServerBan>, StoreError>| ban.unwrap().map(|ban| ban.id);
    assert_eq!(found(store.ban_of_user(&id("pest"), NOW).await).as_deref(), Some("b2"), "the longest");
    assert_eq!(found(store.ban_of_user(&id("pest"), after(20)).await), None);
    assert_eq!(found(store.ban_of_user(&id("pes"), NOW).await), None);
    for (address, now, expected) in [
        ("192.0.2.7", NOW, Some("b3")),
        ("::ffff:192.0.2.7", NOW, Some("b3")),
        ("192.0.3.7", NOW, None),
        ("2001:db8::1", NOW, Some("b4")),
        ("2001:db8::1", after(5), None),
        ("2001:db8::2", NOW, None),
    ] {
        assert_eq!(found(store.ban_of_address(address.parse().unwrap(), now).await).as_deref(), expected, "{address}");
    }
    assert_eq!(store.lift("b2", &ROBERT, after(1)).await.unwrap().unwrap().lifted, Some((after(1), ROBERT.clone())));
    assert_eq!(store.lift("b2", &ROBERT, after(1)).await, Ok(None));
    assert_eq!(store.lift("b4", &ROBERT, after(6)).await, Ok(None), "it is over");
    assert_eq!(found(store.ban_of_user(&id("pest"), after(1)).await).as_deref(), Some("b1"));
    assert_eq!(all(3, |wish| store.bans(wish)).await.len(), 4);
}

fn report(n: u64) -> Report {
    Report {
        id: format!("r{n}"),
        by: CLARA.clone(),
        accused: Accused {
            user_id: id("pest"),
            username: "Pest".into(),
            room: Some("jazz".into()),
            message: Some(("m1".into(), "{$where: 1}".into())),
        },
        reason: "harassment".into(),
        words: "he did\nit".into(),
        since: after(n),
        state: ReportState::Open,
    }
}

pub async fn reports_go_from_state_to_state_and_are_closed_for_good<S: Collections>(store: &Arc<S>) {
    for n in 0..4 {
        store.file_report(&report(n)).await.unwrap();
        store.file_report(&report(n)).await.expect("a repetition");
    }
    let listed = |state: &'static str| async move {
        let found = all(2, |wish| store.reports(state, wish)).await;
        found.into_iter().map(|report| report.id).collect::<Vec<_>>()
    };
    assert_eq!(listed("open").await, ["r0", "r1", "r2", "r3"]);
    let advance = |id: &'static str, step: ReportStep| async move {
        store.advance_report(id, &step, &ROBERT, after(9)).await.unwrap().map(|report| report.state)
    };
    assert_eq!(advance("r1", ReportStep::Take).await, Some(ReportState::Taken { by: ROBERT.clone() }));
    assert_eq!((listed("open").await.len(), listed("taken").await), (3, vec!["r1".to_owned()]));
    assert_eq!(advance("r1", ReportStep::Release).await, Some(ReportState::Open));
    let closed = ReportState::Closed { by: ROBERT.clone(), at: after(9), verdict: "banned".into() };
    assert_eq!(advance("r1", ReportStep::Close("banned".into())).await, Some(closed.clone()));
    assert_eq!(advance("r1", ReportStep::Take).await, None);
    assert_eq!(advance("none", ReportStep::Take).await, None);
    assert_eq!(store.report("r1").await.unwrap().unwrap().document.state, closed);
    let pest = id("pest");
    let about = all(3, |wish| store.reports_about(&pest, wish)).await;
    assert_eq!(about.iter().map(|report| report.id.as_str()).collect::<Vec<_>>(), ["r3", "r2", "r1", "r0"]);
}

pub async fn the_audit_log_tells_newest_first_by_actor_and_target<S: Collections>(store: &Arc<S>) {
    let entry = |n: u64, actor: Option<&str>, target: Option<&str>| AuditEntry {
        id: format!("a{n}"),
        time: after(n),
        actor: actor.map(id),
        actor_name: "Clara".into(),
        address: Some("192.0.2.1".parse().unwrap()),
        action: "ban".into(),
        target: target.map(str::to_owned),
        details: BTreeMap::from([("$set".into(), "a.b".into())]),
    };
    let entries = [
        entry(0, Some("clara"), Some("pest")),
        entry(1, None, Some("pest")),
        entry(2, Some("clara"), None),
        entry(3, Some("robert"), Some("jazz")),
    ];
    for entry in &entries {
        store.record_action(entry).await.unwrap();
        store.record_action(entry).await.expect("a repetition");
    }
    let ids = |entries: Vec<AuditEntry>| entries.into_iter().map(|entry| entry.id).collect::<Vec<_>>();
    let everything = all(3, |wish| store.audit(wish)).await;
    assert_eq!(everything.last(), Some(&entries[0]));
    assert_eq!(ids(everything), ["a3", "a2", "a1", "a0"]);
    assert_eq!(ids(all(1, |wish| store.audit_by(&CLARA, wish)).await), ["a2", "a0"]);
    assert_eq!(ids(all(5, |wish| store.audit_of("pest", wish)).await), ["a1", "a0"]);
    assert_eq!(store.forget_audit(after(2), 1).await, Ok(1));
    assert_eq!(store.forget_audit(after(2), 10).await, Ok(1));
    assert_eq!(ids(all(3, |wish| store.audit(wish)).await), ["a3", "a2"]);
}

pub async fn server_settings_are_set_listed_and_unset<S: Collections>(store: &Arc<S>) {
    let setting = |name: &str, value| ServerSetting { name: name.into(), value, by: Some(CLARA.clone()), changed: NOW };
    assert_eq!(store.setting("maintenance").await, Ok(None));
    let (off, on) =
        (setting("maintenance", json!(false)), setting("maintenance", json!({ "until": 5, "$x": ["a.b"] })));
    assert_eq!(store.set_setting(&off).await, Ok(None));
    assert_eq!(store.set_setting(&on).await, Ok(Some(off)));
    assert_eq!(store.setting("maintenance").await.unwrap().unwrap().document, on);
    store.set_setting(&setting("a.$words", json!(["x"]))).await.unwrap();
    let names: Vec<_> = all(1, |wish| store.settings(wish)).await.into_iter().map(|setting| setting.name).collect();
    assert_eq!(names, ["a.$words", "maintenance"]);
    assert_eq!(store.unset_setting("maintenance").await, Ok(true));
    assert_eq!(store.unset_setting("maintenance").await, Ok(false));
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
