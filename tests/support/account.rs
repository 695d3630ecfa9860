//! Accounts, as clients of the API have them.

use std::net::SocketAddr;

use pianorhythm_server::{config::Config, domain::bucket::Rate};
use serde_json::json;

use super::http::{Answer, exchange};

pub const PASSWORD: &str = "opus twenty-one";

/// Lifts the limits of requests.
pub fn unlimited_requests(config: &mut Config) {
    let accounts = &mut config.accounts;
    (accounts.general, accounts.log_in, accounts.registration) = (Rate::UNLIMITED, Rate::UNLIMITED, Rate::UNLIMITED);
}

/// Makes an account of this name, with a password of its own; `headers` may say which guest it was.
pub fn register(address: SocketAddr, name: &str, headers: &[(&str, &str)]) -> Answer {
    let email = format!("{}@example.org", name.replace(' ', "."));
    let body = json!({ "username": name, "email": email, "password": PASSWORD, "confirm_password": PASSWORD });
    exchange(address, "POST", "/api/auth/register", headers, &body.to_string())
}

/// Makes an account that nothing speaks against.
#[track_caller]
pub fn registered(address: SocketAddr, name: &str) -> Answer {
    let answer = register(address, name, &[]);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

pub fn try_log_in(address: SocketAddr, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password });
    exchange(address, "POST", "/api/auth/login", &[], &body.to_string())
}

#[track_caller]
pub fn log_in(address: SocketAddr, name: &str) -> Answer {
    let answer = try_log_in(address, name, PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

pub fn refresh(address: SocketAddr, token: &str) -> Answer {
    exchange(address, "POST", "/api/auth/refresh", &[], &json!({ "refresh_token": token }).to_string())
}

pub fn log_out(address: SocketAddr, of: &Answer) -> Answer {
    let bearer = format!("Bearer {}", of.token("token"));
    exchange(address, "POST", "/api/auth/logout", &[("Authorization", &bearer)], "")
}

pub fn validate(address: SocketAddr, token: &str) -> Answer {
    exchange(address, "GET", "/api/auth/validate-token", &[("Authorization", &format!("Bearer {token}"))], "")
}
