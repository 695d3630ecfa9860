//! A request to a running server's operators' port.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::cli::Failure;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Posts JSON, and reads the JSON that is answered: the status, and the body.
pub fn post(address: SocketAddr, path: &str, body: &Value, within: Duration) -> Result<(u16, Value), Failure> {
    // Who listens everywhere listens here.
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let address = SocketAddr::new(ip, address.port());
    let told = |error: std::io::Error| format!("the server's operators' port {address} does not answer: {error}");
    let mut stream = TcpStream::connect_timeout(&address, within).map_err(told)?;
    stream.set_read_timeout(Some(within)).map_err(told)?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).map_err(told)?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer).map_err(told)?;
    parse(&answer).ok_or_else(|| format!("what listens on {address} is no operators' port of this server").into())
}

fn parse(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// A text as one segment of a path.
pub fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_none_is_not() {
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n\r\n{\"success\":false}";
        assert_eq!(parse(answer), Some((404, serde_json::json!({ "success": false }))));
        for wrong in ["", "HTTP/1.1 200 OK\r\n\r\n<html>", "SSH-2.0-OpenSSH\r\n\r\n{}", "HTTP/1.1 2\r\n\r\n{}"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(escaped("Clara Sö/.."), "Clara%20S%C3%B6%2F%2E%2E");
    }
}
