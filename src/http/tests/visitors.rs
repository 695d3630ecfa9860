//! Who is let in, as whom.

use super::*;
use crate::domain::identity::Role;

/// The guest token of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> &str {
    let cookie = &answer.headers["set-cookie"];
    cookie.strip_prefix("guest_token=").unwrap().split(';').next().unwrap()
}

#[tokio::test]
async fn a_guest_keeps_its_identity_from_one_connection_to_the_next() {
    let mut house = House::open();
    let (_client, answer) = house.knock("?name=Robert&colour=%23123456", "").await;
    assert_eq!(answer.status, 101);
    let first = house.admitted().await;
    assert!(first.session.profile.user_id.as_str().starts_with("guest-"));
    assert_eq!(first.session.profile.roles, [Role::Guest]);
    assert_eq!(first.guest_token.as_deref(), Some(cookie_of(&answer)));
    let cookie = &answer.headers["set-cookie"];
    assert!(cookie.ends_with("; Path=/; Max-Age=15552000; HttpOnly; SameSite=Strict"), "{cookie}");

    let token = first.guest_token.unwrap();
    for (query, header) in [
        (String::new(), format!("Cookie: guest_token={token}\r\n")),
        (String::new(), format!("Authorization: Bearer {token}\r\n")),
        (format!("?guest_token={token}"), String::new()),
    ] {
        let (_client, answer) = house.knock(&query, &header).await;
        assert_eq!(answer.status, 101);
        assert_eq!(house.admitted().await.session.profile, first.session.profile);
    }
}

#[tokio::test]
async fn cookies_are_for_https_alone_where_that_is_set() {
    let house = House::with(|settings| settings.secure_cookies = true);
    let (_client, answer) = house.knock("", "").await;
    assert!(answer.headers["set-cookie"].ends_with("; Secure"));
}

#[tokio::test]
async fn a_user_comes_by_access_token_and_is_given_no_guests() {
    let mut house = House::with(|settings| settings.allow_guests = false);
    let token = house.access_token(|claims| claims.roles.push("pro".into()));
    for header in [format!("Authorization: Bearer {token}\r\n"), format!("Cookie: a=b; access_token={token}\r\n")] {
        let (_client, answer) = house.knock("?name=Robert", &header).await;
        assert_eq!(answer.status, 101);
        assert!(!answer.headers.contains_key("set-cookie"));
        let admission = house.admitted().await;
        assert_eq!(admission.session.profile.user_id.as_str(), "user-1");
        assert_eq!(admission.session.profile.username, "Clara");
        assert_eq!(admission.session.profile.roles, [Role::Member, Role::Pro]);
        assert_eq!((admission.session.session_id.as_str(), admission.guest_token), ("login-1", None));
    }
}

#[tokio::test]
async fn a_bad_or_expired_token_is_401_and_never_a_guest() {
    let mut house = House::open();
    let expired = house.access_token(|claims| claims.exp = claims.iat - 60);
    let forged = House::open().access_token(|_| {});
    for token in [expired.as_str(), &forged, "rubbish"] {
        for header in [format!("Authorization: Bearer {token}\r\n"), format!("Cookie: access_token={token}\r\n")] {
            let (_client, answer) = house.knock("", &header).await;
            assert_eq!((answer.status, answer.error().as_str()), (401, "AUTHENTICATION_ERROR"));
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    assert!(house.admissions.try_recv().is_err());
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"unauthenticated\"}").await, 6);
}

#[tokio::test]
async fn a_guest_cookie_of_a_lost_key_is_replaced_and_counted() {
    let mut house = House::open();
    let (_client, _) = house.knock("", "Cookie: guest_token=rubbish\r\n").await;
    house.admitted().await;
    assert_eq!(house.figure("pianorhythm_front_desk_stale_guests_total").await, 1);
    let (_client, answer) = house.knock("?guest_token=rubbish", "").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn without_guests_one_needs_a_token() {
    let house = House::with(|settings| settings.allow_guests = false);
    let (_client, answer) = house.knock("", "").await;
    assert_eq!((answer.status, answer.error().as_str()), (401, "AUTHENTICATION_ERROR"));
}

#[tokio::test]
async fn a_foreign_page_cannot_use_a_users_cookies() {
    let mut house = House::open();
    let token = house.access_token(|_| {});
    let foreign = "Origin: https://evil.example\r\n";
    let (_client, answer) = house.knock("", &format!("{foreign}Cookie: access_token={token}\r\n")).await;
    assert_eq!((answer.status, answer.error().as_str()), (403, "AUTHORIZATION_ERROR"));
    assert_eq!(house.figure("pianorhythm_front_desk_handshakes_total{result=\"origin\"}").await, 1);

    let own = "Origin: http://piano.example\r\n";
    let (_client, answer) = house.knock("", &format!("{own}Cookie: access_token={token}\r\n")).await;
    assert_eq!(answer.status, 101);
    assert_eq!(house.admitted().await.session.profile.user_id.as_str(), "user-1");

    let (_client, answer) = house.knock("", foreign).await;
    assert_eq!(answer.status, 101, "without cookies it is a guest like another");
    assert!(!answer.headers.contains_key("set-cookie"), "whose identity is not left in the browser");
    let (_client, answer) = house.knock("", &format!("{foreign}Authorization: Bearer {token}\r\n")).await;
    assert_eq!(answer.status, 101, "a page that holds the token needs no cookie");
}

#[tokio::test]
async fn origins_can_be_listed() {
    let house = House::with(|settings| settings.allowed_origins = vec!["https://app.example".into()]);
    let token = house.access_token(|_| {});
    let knock = async |origin: &str| {
        let headers = format!("Origin: {origin}\r\nCookie: access_token={token}\r\n");
        house.knock("", &headers).await.1.status
    };
    assert_eq!(knock("https://app.example").await, 101);
    assert_eq!(knock("http://piano.example").await, 101, "the server's own pages need no listing");
    assert_eq!(knock("https://evil.example").await, 403);
}
