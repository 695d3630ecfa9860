//! The routes of accounts, over real HTTP.

use std::time::Duration;

use super::*;
use crate::{domain::bucket::Rate, http::limits::LimitSettings, store::people::Sessions as _};

const PASSWORD: &str = "opus twenty-one";

/// Limits that no test meets that does not mean to.
fn without_limits(settings: &mut FrontDeskSettings) {
    settings.limits = LimitSettings {
        general: Rate::UNLIMITED,
        log_in: Rate::UNLIMITED,
        registration: Rate::UNLIMITED,
        ..LimitSettings::default()
    };
}

impl House {
    /// A request with a body of JSON, with these further header lines.
    async fn post(&self, path: &str, headers: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let head = format!("Content-Type: application/json\r\n{headers}");
        self.request("POST", path, &head, &body).await
    }

    async fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut client = self.visit().await;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: piano.example\r\nContent-Length: {length}\r\n{headers}");
        client.send(format!("{head}\r\n{body}")).await;
        client.answer().await
    }

    async fn register(&self, name: &str, headers: &str) -> Answer {
        self.post("/api/auth/register", headers, &registration(name)).await
    }

    async fn log_in(&self, name: &str, password: &str) -> Answer {
        self.post("/api/auth/login", "", &json!({ "username": name, "password": password })).await
    }
}

fn registration(name: &str) -> Value {
    let email = format!("{name}@example.org");
    json!({ "username": name, "email": email, "password": PASSWORD, "confirm_password": PASSWORD })
}

fn bearer(answer: &Answer) -> String {
    format!("Authorization: Bearer {}\r\n", text(answer, "token"))
}

fn text(answer: &Answer, field: &str) -> String {
    answer.json()["data"][field].as_str().unwrap_or_else(|| panic!("{field}: {answer:?}")).to_owned()
}

/// The cookies that an answer sets, as a browser sends them back.
fn cookies(answer: &Answer) -> String {
    let set = answer.cookies.iter().map(|cookie| cookie.split(';').next().unwrap());
    let kept: Vec<_> = set.filter(|cookie| !cookie.ends_with('=')).collect();
    format!("Cookie: {}\r\n", kept.join("; "))
}

#[tokio::test]
async fn an_account_is_made_and_its_log_in_goes_on_by_cookie_and_by_bearer() {
    let mut house = House::with(without_limits);
    let made = house.register("Clara", "").await;
    assert_eq!((made.status, made.json()["success"].clone()), (201, json!(true)));
    let data = made.json()["data"].clone();
    assert_eq!((data["expires_in"].clone(), data["user"]["username"].clone()), (json!(900), json!("Clara")));
    assert_eq!(data["user"]["roles"], json!(["member"]));
    let [access, refresh] = made.cookies.as_slice() else { panic!("{:?}", made.cookies) };
    assert!(access.starts_with("access_token=") && access.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{access}");
    assert!(refresh.starts_with("refresh_token="), "{refresh}");
    assert!(refresh.ends_with("; Path=/api/auth; HttpOnly; SameSite=Strict"), "{refresh}");
    assert_eq!(made.headers["cache-control"], "no-store");

    for credentials in [cookies(&made), bearer(&made)] {
        let valid = house.request("GET", "/api/auth/validate-token", &credentials, "").await;
        assert_eq!(valid.status, 200, "{valid:?}");
        let data = valid.json()["data"].clone();
        assert_eq!((data["valid"].clone(), data["username"].clone()), (json!(true), json!("Clara")));
        assert_eq!(data["expires_at"], "2027-01-15T08:15:00Z");
        let (_client, answer) = house.knock("?name=Robert", &credentials).await;
        assert_eq!(answer.status, 101);
        let session = house.admitted().await.session;
        assert_eq!((session.profile.username.as_str(), session.profile.roles), ("Clara", vec![Role::Member]));
    }
    let again = house.log_in(" clara ", PASSWORD).await;
    assert_eq!((again.status, again.json()["data"]["user"].clone()), (200, data["user"].clone()));
}

#[tokio::test]
async fn a_log_in_that_is_to_be_remembered_outlasts_the_browser() {
    let house = House::with(without_limits);
    house.register("Clara", "").await;
    let body = json!({ "username": "Clara", "password": PASSWORD, "remember_me": true });
    let answer = house.post("/api/auth/login", "", &body).await;
    assert!(answer.cookies.iter().all(|cookie| cookie.contains("; Max-Age=2592000;")), "{:?}", answer.cookies);
    let house = House::with(|settings| settings.secure_cookies = true);
    let answer = house.register("Clara", "").await;
    assert!(answer.cookies.iter().all(|cookie| cookie.ends_with("; Secure")), "{:?}", answer.cookies);
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_told_with_its_field() {
    let house = House::with(without_limits);
    house.register("Clara", "").await;
    let mut wrong = vec![
        (json!({ "username": "cLARA", "email": "x@y.org" }), 409, "USERNAME_TAKEN", "username"),
        (json!({ "email": "CLARA@example.org" }), 409, "EMAIL_TAKEN", "email"),
        (json!({ "username": "" }), 400, "VALIDATION_ERROR", "username"),
        (json!({ "email": "nowhere" }), 400, "VALIDATION_ERROR", "email"),
        (json!({ "confirm_password": "another one" }), 400, "VALIDATION_ERROR", "confirm_password"),
        (json!({ "password": "1234567", "confirm_password": "1234567" }), 400, "VALIDATION_ERROR", "password"),
        (json!({ "admin": true }), 400, "VALIDATION_ERROR", "body"),
        (json!({ "username": { "$ne": "" } }), 400, "VALIDATION_ERROR", "body"),
        (json!({ "password": null }), 400, "VALIDATION_ERROR", "body"),
    ];
    let long = "x".repeat(129);
    wrong.push((json!({ "password": long, "confirm_password": long }), 400, "VALIDATION_ERROR", "password"));
    for (change, status, code, field) in wrong {
        let mut body = registration("Robert");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = house.post("/api/auth/register", "", &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, code), "{change}");
        assert_eq!(answer.json()["error"]["details"]["field"], field, "{change}");
        assert!(answer.cookies.is_empty());
    }
    for (kind, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "", 400),
        ("application/json", "{", 400),
        ("application/x-www-form-urlencoded", "username=a", 415),
    ] {
        let answer = house.request("POST", "/api/auth/register", &format!("Content-Type: {kind}\r\n"), body).await;
        assert_eq!((answer.status, answer.error().as_str()), (status, "VALIDATION_ERROR"), "{kind} {body}");
    }
    let large = house.post("/api/auth/login", "", &json!({ "username": "x".repeat(70_000), "password": "" })).await;
    assert_eq!(large.status, 413);
    let get = house.request("GET", "/api/auth/login", "", "").await;
    assert_eq!(get.status, 405);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_are_answered_alike() {
    let house = House::with(without_limits);
    house.register("Clara", "").await;
    let [unknown, wrong] = [house.log_in("Nobody", PASSWORD).await, house.log_in("Clara", "wrong").await];
    assert_eq!((unknown.status, &unknown.body), (401, &wrong.body));
    let names = |answer: &Answer| {
        let mut names: Vec<_> = answer.headers.keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&unknown), names(&wrong));
    assert_eq!(house.figure("pianorhythm_front_desk_accounts_total{event=\"log_in_refused\"}").await, 2);
}

#[tokio::test]
async fn a_refresh_token_is_taken_from_the_body_or_the_cookie_and_is_good_once() {
    let house = House::with(without_limits);
    let first = house.register("Clara", "").await;
    let body = json!({ "refresh_token": text(&first, "refresh_token") });
    let second = house.post("/api/auth/refresh", "", &body).await;
    assert_eq!(second.status, 200, "{second:?}");
    let third = house.request("POST", "/api/auth/refresh", &cookies(&second), "").await;
    assert_eq!(third.status, 200, "{third:?}");

    let reused = house.post("/api/auth/refresh", "", &body).await;
    assert_eq!((reused.status, reused.error().as_str()), (401, "AUTHENTICATION_ERROR"));
    assert!(reused.cookies.iter().all(|cookie| cookie.contains("=; ") && cookie.contains("Max-Age=0")), "{reused:?}");
    let ended = house.stage.ended.lock().unwrap().clone();
    let [(user, session, code)] = ended.as_slice() else { panic!("its sockets are closed") };
    assert_eq!(
        (user.as_str(), *code),
        (first.json()["data"]["user"]["user_id"].as_str().unwrap(), CloseCode::Unauthorised)
    );
    assert!(text(&first, "refresh_token").starts_with(session.as_str()));
    for (headers, body) in [
        (cookies(&third), String::new()),
        (String::new(), String::new()),
        (String::new(), json!({ "refresh_token": "rubbish" }).to_string()),
        (String::new(), json!({ "refresh_token": null }).to_string()),
    ] {
        let headers = format!("Content-Type: application/json\r\n{headers}");
        let refused = house.request("POST", "/api/auth/refresh", &headers, &body).await;
        assert_eq!(refused.status, 401, "{headers} {body}");
    }
    let valid = house.request("GET", "/api/auth/validate-token", &bearer(&third), "").await;
    assert_eq!((valid.status, valid.error().as_str()), (401, "AUTHENTICATION_ERROR"));
    assert_eq!(house.figure("pianorhythm_front_desk_accounts_total{event=\"reused\"}").await, 1);
}

#[tokio::test]
async fn logging_out_ends_the_log_in_its_sockets_and_its_cookies() {
    let house = House::with(without_limits);
    house.register("Clara", "").await;
    let by_access = house.log_in("Clara", PASSWORD).await;
    let by_refresh = house.log_in("Clara", PASSWORD).await;
    let other = house.log_in("Clara", PASSWORD).await;
    let out = house.request("POST", "/api/auth/logout", &bearer(&by_access), "").await;
    assert_eq!(out.status, 200, "{out:?}");
    assert_eq!(out.cookies.len(), 2);
    let body = json!({ "refresh_token": text(&by_refresh, "refresh_token") });
    assert_eq!(house.post("/api/auth/logout", "", &body).await.status, 200);

    for (answer, status) in [(&by_access, 401), (&by_refresh, 401), (&other, 200)] {
        let valid = house.request("GET", "/api/auth/validate-token", &bearer(answer), "").await;
        assert_eq!(valid.status, status);
        let (_client, answer) = house.knock("", &bearer(answer)).await;
        assert_eq!(answer.status, if status == 200 { 101 } else { 401 }, "nor is a socket opened with it");
    }
    let ended: Vec<_> =
        house.stage.ended.lock().unwrap().iter().map(|(_, session, code)| (session.clone(), *code)).collect();
    let of = |answer: &Answer| text(answer, "refresh_token").split('.').next().unwrap().to_owned();
    assert_eq!(ended, [(of(&by_access), CloseCode::Unauthorised), (of(&by_refresh), CloseCode::Unauthorised)]);
    let kept = house.people.session(&of(&by_access)).await.unwrap().unwrap().document;
    assert_eq!(kept.revoked.unwrap().reason, "logout");
    let nobody = house.request("POST", "/api/auth/logout", "", "").await;
    assert_eq!((nobody.status, nobody.cookies.len()), (401, 2));
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let house = House::with(|settings| {
        without_limits(settings);
        settings.allowed_origins = vec!["https://app.example".into()];
    });
    let made = house.register("Clara", "").await;
    let with_cookie = |origin: &str| format!("Origin: {origin}\r\n{}", cookies(&made));
    let refused = house.request("POST", "/api/auth/logout", &with_cookie("https://evil.example"), "").await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "AUTHORIZATION_ERROR"));
    let refused = house.register("Mallory", "Origin: https://evil.example\r\n").await;
    assert_eq!(refused.status, 403, "nor does it log anybody in as somebody else");
    let valid = house.request("GET", "/api/auth/validate-token", &with_cookie("https://app.example"), "").await;
    assert_eq!(valid.status, 200);
    assert_eq!(valid.headers["access-control-allow-origin"], "https://app.example");
    assert_eq!(valid.headers["access-control-allow-credentials"], "true");
    let asked = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = house.request("OPTIONS", "/api/auth/login", asked, "").await;
    assert_eq!((answer.status, answer.headers["access-control-allow-origin"].as_str()), (200, "https://app.example"));
    let evil = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    let answer = house.request("OPTIONS", "/api/auth/login", evil, "").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
    // Its own, and those that are listed. What has ended may be ended again.
    for origin in ["https://app.example", "http://piano.example"] {
        assert_eq!(house.request("POST", "/api/auth/logout", &with_cookie(origin), "").await.status, 200);
    }
}

#[tokio::test]
async fn a_guest_who_registers_goes_on_as_who_it_was_and_its_tokens_are_worth_nothing() {
    let mut house = House::with(without_limits);
    let (_client, _) = house.knock("?name=Clara", "").await;
    let guest = house.admitted().await;
    let token = guest.guest_token.unwrap();
    let made = house.register("Clara", &format!("Cookie: guest_token={token}\r\n")).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["data"]["user"]["user_id"], guest.session.profile.user_id.as_str());
    assert!(made.cookies.iter().any(|cookie| cookie.starts_with("guest_token=; ") && cookie.contains("Max-Age=0")));
    let promoted = async {
        while house.stage.promoted.lock().unwrap().is_empty() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(Duration::from_secs(20), promoted).await.unwrap();
    assert_eq!(*house.stage.promoted.lock().unwrap(), std::slice::from_ref(&guest.session.profile.user_id));

    let (_client, refused) = house.knock(&format!("?guest_token={token}"), "").await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "AUTHENTICATION_ERROR"));
    let (_client, _) = house.knock("", &format!("Cookie: guest_token={token}\r\n")).await;
    let new = house.admitted().await.session.profile;
    assert_ne!(new.user_id, guest.session.profile.user_id, "another guest");
    let again = house.register("Clarissa", &format!("Authorization: Bearer {token}\r\n")).await;
    assert_eq!((again.status, again.error().as_str()), (409, "ALREADY_REGISTERED"));
}

#[tokio::test]
async fn requests_and_log_ins_are_limited_by_address_and_account_and_the_headers_say_so() {
    let house = House::with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let log_in = async |address: &str| {
        let body = json!({ "username": "Clara", "password": PASSWORD });
        house.post("/api/auth/login", &from(address), &body).await
    };
    for left in (0..10).rev() {
        let answer = log_in("198.51.100.1").await;
        assert_eq!((answer.status, answer.headers["x-ratelimit-limit"].as_str()), (401, "10"));
        assert_eq!(answer.headers["x-ratelimit-remaining"], left.to_string());
    }
    let refused = log_in("198.51.100.1").await;
    assert_eq!((refused.status, refused.error().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!((refused.headers["retry-after"].as_str(), refused.headers["x-ratelimit-reset"].as_str()), ("6", "60"));
    assert_eq!(log_in("198.51.100.2").await.status, 401, "another address");
    // All requests of an address, and all of an account whatever its address.
    let made = house.register("Clara", &from("198.51.100.3")).await;
    assert_eq!(made.status, 201);
    for left in (0..100).rev() {
        let headers = format!("{}{}", from(&format!("198.51.100.{left}")), bearer(&made));
        let answer = house.request("GET", "/api/auth/validate-token", &headers, "").await;
        assert_eq!((answer.status, answer.headers["x-ratelimit-remaining"].as_str()), (200, left.to_string().as_str()));
    }
    let refused = house.request("GET", "/api/auth/validate-token", &bearer(&made), "").await;
    assert_eq!((refused.status, refused.headers["x-ratelimit-limit"].as_str()), (429, "100"));
    assert_eq!(house.figure("pianorhythm_front_desk_limited_total").await, 2);
    let health = house.request("GET", "/health", "", "").await;
    assert!(health.status == 200 && !health.headers.contains_key("x-ratelimit-limit"));
}

#[tokio::test]
async fn operators_make_accounts_and_change_roles_and_pages_do_not() {
    let house = House::with(without_limits);
    let ask = async |path: &str, headers: &str, body: Value| {
        let (mut client, body) = (Client::of(house.admin).await, body.to_string());
        let head = format!("Host: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}", body.len());
        client.send(format!("POST {path} HTTP/1.1\r\n{head}\r\n{body}")).await;
        client.answer().await
    };
    let made = ask("/accounts", "", json!({ "username": "Ops", "password": PASSWORD, "roles": ["admin"] })).await;
    assert_eq!((made.status, made.json()["data"]["roles"].clone()), (201, json!(["member", "admin"])));
    let changed = ask("/accounts/ops/roles", "", json!({ "take": "admin" })).await;
    assert_eq!((changed.status, changed.json()["data"]["roles"].clone()), (200, json!(["member"])));
    let id = UserId::from(changed.json()["data"]["user_id"].as_str().unwrap());
    assert_eq!(*house.stage.roles.lock().unwrap(), [(id, vec![Role::Member])]);
    for (path, headers, body, status) in [
        ("/accounts/nobody/roles", "", json!({ "give": "pro" }), 404),
        ("/accounts/ops/roles", "", json!({ "give": "king" }), 400),
        ("/accounts/ops/roles", "", json!({ "give": "pro", "take": "pro" }), 400),
        ("/accounts/ops/roles", "", json!({}), 400),
        ("/accounts/ops/roles", "Origin: http://a\r\n", json!({ "give": "admin" }), 403),
        ("/accounts", "Origin: http://a\r\n", json!({ "username": "Evil", "password": PASSWORD }), 403),
        ("/accounts", "", json!({ "username": "Ops", "password": PASSWORD }), 409),
    ] {
        assert_eq!(ask(path, headers, body.clone()).await.status, status, "{path} {body}");
    }
    let public = house.post("/accounts", "", &json!({ "username": "Evil", "password": PASSWORD })).await;
    assert_eq!(public.status, 404, "not on the public port");
}
