//! Accounts in virtual time, over the embedded store.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    domain::identity::Role,
    http::{
        accounts::{
            AccountSettings, Accounts, ClientInfo, Grant, LogIn, LoggedIn, NotConfirmed, NotRenewed, RefreshToken,
            Registration,
            fixture::{PlainPasswords, Watched},
        },
        auth::{Claims, Kind, SigningKey, TokenError, Tokens, token::LEEWAY},
    },
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
    store::{
        EmbeddedState, EmbeddedStateSettings,
        document::{self, PageWish},
        people::{Audit as _, Credential, Credentials as _, Proof, Sessions as _, Users as _},
    },
};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const PASSWORD: &str = "opus twenty-one";

struct World {
    accounts: Accounts,
    documents: Arc<Watched>,
    passwords: Arc<PlainPasswords>,
    tokens: Tokens,
}

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn client() -> ClientInfo {
    ClientInfo::new([203, 0, 113, 7].into(), "a browser")
}

fn wish(name: &str) -> Registration {
    Registration {
        username: name.into(),
        email: Some(format!("{name}@example.org")),
        password: PASSWORD.into(),
        roles: vec![Role::Member],
    }
}

fn guest(id: &str) -> Claims {
    Claims { colour: Some("#123456".into()), ..Claims::new(Kind::Guest, id, "t", NOW, Duration::from_secs(9)) }
}

impl World {
    fn new() -> Self {
        Self::with(AccountSettings::default())
    }

    fn with(settings: AccountSettings) -> Self {
        let (documents, passwords) = (Watched::new(), Arc::<PlainPasswords>::default());
        let tokens = Tokens::new(SigningKey::generate().unwrap());
        let state = EmbeddedState::start(EmbeddedStateSettings::default());
        let accounts = Accounts::new(documents.clone(), state, passwords.clone(), tokens.clone(), settings);
        Self { accounts, documents, passwords, tokens }
    }

    async fn registered(&self, name: &str) -> LoggedIn {
        self.accounts.register(wish(name), None, &client(), NOW).await.unwrap()
    }

    async fn log_in(&self, name: &str, password: &str, remember: bool) -> Result<LoggedIn, Rejection> {
        let wish = LogIn { username: name.into(), password: password.into(), remember };
        self.accounts.log_in(wish, &client(), NOW).await
    }

    async fn renew(&self, token: &RefreshToken, now: Timestamp) -> Result<LoggedIn, NotRenewed> {
        self.accounts.renew(&token.text(), now).await
    }

    fn claims(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        self.tokens.verify(token, &[Kind::Access], now)
    }

    /// What a call costs: calls to the store, and passwords.
    async fn cost<T>(&self, call: impl Future<Output = T>) -> (usize, usize) {
        let count = || (self.documents.calls.load(Relaxed), self.passwords.asked.load(Relaxed));
        let before = count();
        call.await;
        (count().0 - before.0, count().1 - before.1)
    }
}

#[tokio::test]
async fn who_registers_is_logged_in_and_the_token_says_who_it_is() {
    let world = World::new();
    let logged_in = world.registered("Clara").await;
    let user = &logged_in.user;
    assert!(user.id.as_str().starts_with("user-"), "{}", user.id);
    assert_eq!((user.username.as_str(), user.roles.as_slice()), ("Clara", &[Role::Member][..]));
    assert_eq!((user.usertag.len(), user.email.as_deref()), (4, Some("Clara@example.org")));
    let claims = world.claims(&logged_in.access_token, NOW).unwrap();
    assert_eq!((claims.sub.as_str(), claims.username.as_str()), (user.id.as_str(), "Clara"));
    assert_eq!((claims.roles, claims.exp - claims.iat), (vec!["member".to_owned()], 900));
    assert_eq!(claims.sid.as_deref(), Some(logged_in.session.id.as_str()));
    let kept = world.documents.session(&logged_in.session.id).await.unwrap().unwrap().document;
    assert_eq!((kept.address, kept.client.as_str()), (Some([203, 0, 113, 7].into()), "a browser"));
    let text = serde_json::to_string(&kept).unwrap();
    let secret = logged_in.refresh_token.text();
    assert!(!text.contains(secret.split_once('.').unwrap().1), "a token is kept as its hash alone");
    assert!(kept.token == logged_in.refresh_token.hash());
}

#[tokio::test]
async fn a_name_and_an_address_are_one_accounts_and_what_is_wrong_is_named() {
    let world = World::new();
    world.registered("Clara").await;
    let refused = async |wish: Registration| {
        let error = world.accounts.register(wish, None, &client(), NOW).await.unwrap_err();
        let field = error.details.iter().find(|(name, _)| *name == "field").map(|(_, field)| field.clone());
        (error.code, field.unwrap_or_default())
    };
    let of = |code, field: &str| (code, field.to_owned());
    let with = |username: &str, email: &str, password: &str| Registration {
        username: username.into(),
        email: Some(email.into()),
        password: password.into(),
        roles: vec![Role::Member],
    };
    let [taken_name, taken_email] = [ErrorCode::UsernameTaken, ErrorCode::EmailTaken];
    assert_eq!(refused(with("ＣＬＡＲＡ", "x@y.org", PASSWORD)).await, of(taken_name, "username"));
    assert_eq!(refused(with("Robert", "CLARA@example.org", PASSWORD)).await, of(taken_email, "email"));
    let invalid = ErrorCode::Validation;
    assert_eq!(refused(with("a@b", "x@y.org", PASSWORD)).await, of(invalid, "username"));
    assert_eq!(refused(with("Robert", "nowhere", PASSWORD)).await, of(invalid, "email"));
    assert_eq!(refused(with("Robert", "x@y.org", "short")).await, of(invalid, "password"));
    let cost = world.cost(refused(with("clara", "x@y.org", PASSWORD))).await;
    assert_eq!(cost, (1, 0), "nothing is hashed for a name that is taken");
}

#[tokio::test]
async fn of_many_who_register_one_name_at_once_one_has_it_and_the_others_are_told() {
    let world = World::new();
    let register = |n: usize| {
        let wish = Registration { email: Some(format!("{n}@example.org")), ..wish("Clara") };
        async { world.accounts.register(wish, None, &client(), NOW).await }
    };
    let outcomes = join_all((0..5).map(register)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code, ErrorCode::UsernameTaken);
    }
}

#[tokio::test]
async fn the_right_password_logs_in_however_name_and_password_are_composed() {
    let world = World::new();
    let wish = Registration { password: "Träumerei 7".into(), ..wish("Clara") };
    let registered = world.accounts.register(wish, None, &client(), NOW).await.unwrap();
    for (name, password) in [("Clara", "Träumerei 7"), (" CLARA ", "Tra\u{308}umerei 7")] {
        let logged_in = world.log_in(name, password, false).await.unwrap();
        assert_eq!(logged_in.user.id, registered.user.id);
        assert_ne!(logged_in.session.id, registered.session.id);
    }
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_cost_the_same_and_are_answered_the_same() {
    let world = World::new();
    world.registered("Clara").await;
    // Who came by a provider has no password.
    let mut other = world.registered("Robert").await.user;
    other.id = "user-x".into();
    (other.username, other.email) = ("Johannes".into(), None);
    document::insert(&*world.documents, &other).await.unwrap();
    let mut answers = Vec::new();
    let tries = [("Clara", "wrong password"), ("Nobody", PASSWORD), ("Johannes", PASSWORD), ("Clara", "bad\0password")];
    for (name, password) in tries {
        let cost = world
            .cost(async {
                answers.push(world.log_in(name, password, false).await.unwrap_err());
            })
            .await;
        assert_eq!(cost, (2, 1), "{name}");
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].code, ErrorCode::Authentication);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_a_spent_one_ends_the_log_in() {
    let world = World::new();
    let first = world.registered("Clara").await;
    let second = world.renew(&first.refresh_token, after(60)).await.unwrap();
    assert_eq!((&second.session.id, second.user.id.as_str()), (&first.session.id, first.user.id.as_str()));
    assert_ne!(second.refresh_token, first.refresh_token);
    let third = world.renew(&second.refresh_token, after(120)).await.unwrap();
    assert!(world.accounts.confirm(&world.claims(&third.access_token, after(120)).unwrap(), after(120)).await.is_ok());

    let reused = world.renew(&first.refresh_token, after(130)).await;
    assert_eq!(reused, Err(NotRenewed::Reused { user: first.user.id.clone(), session: first.session.id.clone() }));
    assert_eq!(world.renew(&third.refresh_token, after(140)).await, Err(NotRenewed::Unknown), "the good one, too");
    let claims = world.claims(&third.access_token, after(140)).unwrap();
    assert_eq!(world.accounts.confirm(&claims, after(140)).await, Err(NotConfirmed::Ended));
    // Another log-in of the same user goes on.
    let other = world.log_in("clara", PASSWORD, false).await.unwrap();
    world.renew(&other.refresh_token, after(150)).await.unwrap();
}

#[tokio::test]
async fn of_many_who_use_one_refresh_token_at_once_no_two_are_given_a_next_one() {
    let world = World::new();
    let first = world.registered("Clara").await;
    let outcomes = join_all((0..5).map(|_| world.renew(&first.refresh_token, after(1)))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(NotRenewed::Reused { .. }))), "{outcomes:?}");
}

#[tokio::test]
async fn a_rotation_whose_answer_gets_lost_in_the_store_is_done_once_and_answered() {
    let world = World::new();
    let first = world.registered("Clara").await;
    world.documents.loses_an_answer.store(true, Relaxed);
    let second = world.renew(&first.refresh_token, after(1)).await.unwrap();
    world.renew(&second.refresh_token, after(2)).await.unwrap();
}

#[tokio::test]
async fn a_forged_refresh_token_ends_nothing() {
    let world = World::new();
    let first = world.registered("Clara").await;
    let forged = RefreshToken::new(&first.session.id, [7; 32]);
    assert_eq!(world.renew(&forged, after(1)).await, Err(NotRenewed::Unknown));
    assert_eq!(world.accounts.session_of(&forged.text()).await, Ok(None));
    for text in ["", "rubbish", "$ne", &format!("{}.", first.session.id)] {
        assert_eq!(world.accounts.renew(text, after(1)).await, Err(NotRenewed::Unknown), "{text}");
    }
    world.renew(&first.refresh_token, after(2)).await.unwrap();
}

#[tokio::test]
async fn a_log_in_ends_when_it_is_not_refreshed_and_at_the_latest_when_the_longest_time_is_over() {
    const HOUR: u64 = 3600;
    let settings = AccountSettings { longest_login: Duration::from_secs(40 * 24 * HOUR), ..Default::default() };
    let world = World::with(settings);
    world.registered("Clara").await;
    let short = world.log_in("clara", PASSWORD, false).await.unwrap();
    let kept = world.log_in("clara", PASSWORD, true).await.unwrap();
    assert_eq!((short.session.until, kept.session.until), (after(12 * HOUR), after(30 * 24 * HOUR)));

    let short = world.renew(&short.refresh_token, after(11 * HOUR)).await.unwrap();
    assert_eq!(short.session.until, after(23 * HOUR));
    assert_eq!(world.renew(&short.refresh_token, after(23 * HOUR)).await, Err(NotRenewed::Unknown));

    let kept = world.renew(&kept.refresh_token, after(29 * 24 * HOUR)).await.unwrap();
    assert_eq!(kept.session.until, after(40 * 24 * HOUR), "since its password was given");
    let last = world.renew(&kept.refresh_token, after(40 * 24 * HOUR - 60)).await.unwrap();
    assert_eq!(last.expires_in, Duration::from_secs(60), "an access token lasts no longer than its log-in");
    assert!(world.claims(&last.access_token, after(40 * 24 * HOUR) + LEEWAY).is_err());
    assert_eq!(world.renew(&last.refresh_token, after(40 * 24 * HOUR)).await, Err(NotRenewed::Unknown));
}

#[tokio::test]
async fn an_access_token_ends_by_its_time_and_with_its_log_in() {
    let world = World::new();
    let logged_in = world.registered("Clara").await;
    let claims = world.claims(&logged_in.access_token, after(899)).unwrap();
    let late = after(900) + LEEWAY;
    assert_eq!(world.claims(&logged_in.access_token, late), Err(TokenError::Expired));

    let user = world.accounts.confirm(&claims, after(10)).await.unwrap().unwrap();
    assert_eq!(user.id, logged_in.user.id);
    let found = world.accounts.session_of(&logged_in.refresh_token.text()).await.unwrap();
    assert_eq!(found, Some((logged_in.session.id.clone(), user.id)));
    assert_eq!(world.accounts.end_session(&logged_in.session.id, "logout", after(20)).await, Ok(true));
    assert_eq!(world.accounts.end_session(&logged_in.session.id, "logout", after(20)).await, Ok(false));
    assert_eq!(world.accounts.confirm(&claims, after(20)).await, Err(NotConfirmed::Ended));
    assert_eq!(world.renew(&logged_in.refresh_token, after(20)).await, Err(NotRenewed::Unknown));
}

#[tokio::test]
async fn while_the_documents_are_away_nothing_is_confirmed_but_what_has_ended_is_known() {
    let world = World::new();
    let (one, other) = (world.registered("Clara").await, world.registered("Robert").await);
    world.accounts.end_session(&one.session.id, "logout", NOW).await.unwrap();
    world.documents.is_away.store(true, Relaxed);
    let confirm = async |token: &str| world.accounts.confirm(&world.claims(token, NOW).unwrap(), NOW).await;
    assert_eq!(confirm(&one.access_token).await, Err(NotConfirmed::Ended));
    let Err(NotConfirmed::Away(rejection)) = confirm(&other.access_token).await else { panic!("nobody can be asked") };
    assert_eq!(rejection.code, ErrorCode::StoreUnavailable);
    for refused in [
        world.log_in("clara", PASSWORD, false).await.unwrap_err(),
        world.accounts.register(wish("Johannes"), None, &client(), NOW).await.unwrap_err(),
    ] {
        assert_eq!(refused.code, ErrorCode::StoreUnavailable);
        assert!(refused.details.iter().any(|(name, _)| *name == "retry_after_ms"));
    }
    let Err(NotRenewed::Refused(refused)) = world.renew(&other.refresh_token, NOW).await else { panic!("away") };
    assert_eq!(refused.code, ErrorCode::StoreUnavailable);
    // Nothing was spent.
    world.documents.is_away.store(false, Relaxed);
    world.renew(&other.refresh_token, NOW).await.unwrap();
}

#[tokio::test]
async fn a_guest_who_registers_goes_on_under_its_id_and_once() {
    let world = World::new();
    let id = "guest-aaaaaaaaaaaaaaaa";
    assert!(!world.accounts.has_registered(id).await);
    let register = async |name: &str| world.accounts.register(wish(name), Some(&guest(id)), &client(), NOW).await;
    let user = register("Clara").await.unwrap().user;
    assert_eq!((user.id.as_str(), user.colour.as_str(), user.roles.as_slice()), (id, "#123456", &[Role::Member][..]));
    assert!(world.accounts.has_registered(id).await);
    assert_eq!(register("Clarissa").await.unwrap_err().code, ErrorCode::AlreadyRegistered);
    assert!(world.log_in("clara", PASSWORD, false).await.is_ok(), "the first one's password holds");
}

#[tokio::test]
async fn of_several_registrations_of_one_guest_at_once_one_is_whole() {
    let world = World::new();
    let id = "guest-bbbbbbbbbbbbbbbb";
    let register = |n: usize| {
        let wish = Registration { password: format!("password of {n}"), ..wish(&format!("clara {n}")) };
        let wish = Registration { email: Some(format!("c{n}@example.org")), ..wish };
        let world = &world;
        async move { world.accounts.register(wish, Some(&guest(id)), &client(), NOW).await }
    };
    let outcomes = join_all((0..6).map(register)).await;
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let logged_in = world.log_in(&format!("clara {winner}"), &format!("password of {winner}"), false).await.unwrap();
    assert_eq!(logged_in.user.id, id.into());
}

#[tokio::test]
async fn a_guest_whose_registration_was_cut_off_in_the_middle_can_register_again() {
    let world = World::new();
    let id = UserId::from("guest-cccccccccccccccc");
    let proof = Proof::Password { hash: "left".into() };
    let left = Credential { user_id: id.clone(), proof, since: NOW };
    document::insert(&*world.documents, &left).await.unwrap();
    let wish = wish("Clara");
    world.accounts.register(wish, Some(&guest(id.as_str())), &client(), NOW).await.unwrap();
    assert_eq!(world.log_in("clara", PASSWORD, false).await.unwrap().user.id, id);
    assert_ne!(world.documents.password(&id).await.unwrap().unwrap().document.proof, left.proof);
}

#[tokio::test]
async fn roles_are_given_and_taken_by_name_or_id_and_stand_in_the_audit_log() {
    let world = World::new();
    let user = world.registered("Clara").await.user;
    let grant = async |name: &str, grant| world.accounts.grant(name, grant, NOW).await.map(|user| user.roles);
    assert_eq!(grant("CLARA", Grant::Give(Role::Moderator)).await, Ok(vec![Role::Member, Role::Moderator]));
    let given = grant(user.id.as_str(), Grant::Give(Role::Pro)).await;
    assert_eq!(given, Ok(vec![Role::Member, Role::Pro, Role::Moderator]));
    assert_eq!(grant("clara", Grant::Take(Role::Moderator)).await, Ok(vec![Role::Member, Role::Pro]));
    assert_eq!(grant("nobody", Grant::Give(Role::Admin)).await.unwrap_err().code, ErrorCode::UserNotFound);
    for wrong in [Grant::Give(Role::Guest), Grant::Take(Role::Guest), Grant::Take(Role::Member)] {
        assert_eq!(grant("clara", wrong).await.unwrap_err().code, ErrorCode::Validation);
    }
    let log = world.documents.audit_of(user.id.as_str(), PageWish::first(10)).await.unwrap().documents;
    let mut told: Vec<_> = log.iter().map(|entry| (entry.action.as_str(), entry.details["role"].as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, [("role.grant", "moderator"), ("role.grant", "pro"), ("role.revoke", "moderator")]);
    // The next token says so, and the account of one that was made before.
    let renewed = world.log_in("clara", PASSWORD, false).await.unwrap();
    assert_eq!(world.claims(&renewed.access_token, NOW).unwrap().roles, ["member", "pro"]);
}

#[tokio::test]
async fn an_operator_makes_accounts_with_roles_and_without_an_address() {
    let world = World::new();
    let wish = Registration { email: None, roles: vec![Role::Admin], ..wish("Ops") };
    let user = world.accounts.create(wish, NOW).await.unwrap();
    assert_eq!(user.roles, [Role::Member, Role::Admin]);
    assert_eq!(world.documents.user_by_name("ops").await.unwrap().unwrap().document, user);
    assert!(world.log_in("ops", PASSWORD, true).await.is_ok());
}

#[tokio::test]
async fn when_somebody_was_last_here_is_noted_to_a_day() {
    let world = World::new();
    let logged_in = world.registered("Clara").await;
    let seen = async || world.documents.user(&logged_in.user.id).await.unwrap().unwrap().document.last_seen;
    let next = world.renew(&logged_in.refresh_token, after(3600)).await.unwrap();
    assert_eq!(seen().await, NOW);
    let wish = LogIn { username: "clara".into(), password: PASSWORD.into(), remember: false };
    world.accounts.log_in(wish, &client(), after(100_000)).await.unwrap();
    assert_eq!(seen().await, after(100_000));
    drop(next);
}

#[test]
fn of_what_a_client_calls_itself_the_beginning_is_kept() {
    let name = "ü".repeat(500);
    let kept = ClientInfo::new([127, 0, 0, 1].into(), &name).name;
    assert!(kept.len() <= 200 && name.starts_with(&kept) && !kept.is_empty());
}
