//! The handshake: from an address and a name to a welcomed connection.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{self, ClientRequestBuilder, http::Uri, protocol::WebSocketConfig},
};

use crate::{
    client::Client,
    connection,
    error::ConnectError,
    events::Events,
    protocol::{SUBPROTOCOL_JSON, SUBPROTOCOL_PROTOBUF, codec::Format},
};

/// Where the socket is, for addresses that name none.
const PATH: &str = "/api/websocket";
/// The longest message taken from a server. Well above what one sends, JSON's base64 included.
const MAX_RECEIVED_BYTES: usize = 1024 * 1024;
/// Enough for one turn of a busy room; a client with many connections pays for it with each.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// How to connect. Made by [`Client::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing happens until `connect` is awaited"]
pub struct Builder {
    url: String,
    query: Vec<(&'static str, String)>,
    pub(crate) format: Format,
    token: Option<String>,
    connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            query: Vec::new(),
            format: Format::Protobuf,
            token: None,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// The name that others see, for guests. Without one the server makes one up.
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with("name", name.into())
    }

    /// The colour that others see, for guests: `#rrggbb`.
    pub fn colour(self, colour: impl Into<String>) -> Self {
        self.with("colour", colour.into())
    }

    /// The room to start in: [`Builder::connect`] then returns within it. For a room with a password,
    /// call [`Client::join`] instead.
    pub fn room(self, room: impl Into<String>) -> Self {
        self.with("room", room.into())
    }

    /// What is spoken on the wire; protobuf where this is not called. To the caller both are the same.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Connects as a user with an account. Of this and [`Builder::guest_token`], the last call holds.
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Connects as the guest that an earlier connection's welcome gave this token to.
    pub fn guest_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// How long [`Builder::connect`] may take altogether; 10 s where this is not called.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an answer may take; 10 s where this is not called.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Connects, waits for the welcome and for a first look at the server's clock, and, where a room was named, for
    /// its `RoomJoinedResponse`, which is then the first event.
    pub async fn connect(self) -> Result<(Client, Events), ConnectError> {
        let within = self.connect_timeout;
        timeout(within, self.handshake()).await.map_err(|_| ConnectError::TimedOut(within))?
    }

    async fn handshake(self) -> Result<(Client, Events), ConnectError> {
        let uri = self.uri()?;
        let mut request = ClientRequestBuilder::new(uri).with_sub_protocol(match self.format {
            Format::Protobuf => SUBPROTOCOL_PROTOBUF,
            Format::Json => SUBPROTOCOL_JSON,
        });
        // Both kinds travel in the header, which nobody logs.
        if let Some(token) = &self.token {
            request = request.with_header("Authorization", format!("Bearer {token}"));
        }
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_RECEIVED_BYTES))
            .max_frame_size(Some(MAX_RECEIVED_BYTES));
        // `true`: TCP_NODELAY, or each note waits for the acknowledgement of the one before.
        let connected = connect_async_with_config(request, Some(limits), true).await;
        let (socket, _) = connected.map_err(|error| self.explain(error))?;
        let joins = self.query.iter().any(|(name, _)| *name == "room");
        connection::start(socket, &self, joins).await
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self.query.push((name, value));
        self
    }

    fn uri(&self) -> Result<Uri, ConnectError> {
        let invalid =
            |why: String| ConnectError::Url(format!("\"{}\" {why}, for example ws://127.0.0.1:8080", self.url));
        let base: Uri = self.url.parse().map_err(|error| invalid(format!("is not an address ({error}): give one")))?;
        if base.scheme_str() != Some("ws") {
            return Err(invalid("is not an address that begins with ws://: give one".into()));
        }
        if base.host().is_none_or(str::is_empty) {
            return Err(invalid("names no host: give one".into()));
        }
        let authority = base.authority().map_or("", |authority| authority.as_str());
        let path = if matches!(base.path(), "" | "/") { PATH } else { base.path() };
        let mut text = format!("ws://{authority}{path}");
        let mut separator = '?';
        if let Some(query) = base.query() {
            text.push(separator);
            text.push_str(query);
            separator = '&';
        }
        for (name, value) in &self.query {
            text.push(separator);
            text.push_str(&format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            separator = '&';
        }
        text.parse().map_err(|error| invalid(format!("does not make an address ({error}): give one")))
    }

    fn explain(&self, error: tungstenite::Error) -> ConnectError {
        let url = self.url.clone();
        match error {
            tungstenite::Error::Io(source) => ConnectError::Unreachable { url, source },
            tungstenite::Error::Http(response) => {
                let status = response.status();
                let body = response.body().as_deref().unwrap_or_default();
                let message = message_of(body).unwrap_or_else(|| status.canonical_reason().unwrap_or("").to_owned());
                ConnectError::Http { status: status.as_u16(), message }
            }
            tungstenite::Error::Url(error) => ConnectError::Url(format!("\"{url}\": {error}")),
            error => ConnectError::Handshake { url, reason: error.to_string() },
        }
    }
}

/// The sentence in the error envelope of the HTTP API.
fn message_of(body: &[u8]) -> Option<String> {
    let envelope: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(envelope.pointer("/error/message")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_the_sockets_and_values_are_escaped() {
        let builder = Client::builder("ws://host:8080").name("Ann & Bo").colour("#aa00cc").name("Cé");
        assert_eq!(builder.uri().unwrap(), "ws://host:8080/api/websocket?colour=%23aa00cc&name=C%C3%A9");
        let builder = Client::builder("ws://[::1]:1/behind/proxy?x=1").room("a/b");
        assert_eq!(builder.uri().unwrap(), "ws://[::1]:1/behind/proxy?x=1&room=a%2Fb");
    }

    #[test]
    fn addresses_of_other_kinds_are_refused_with_an_example() {
        for url in ["http://host/", "host", "", "ws://", "wss://host/"] {
            let error = Client::builder(url).uri().unwrap_err().to_string();
            assert!(error.contains("ws://127.0.0.1:8080"), "{url}: {error}");
        }
    }

    #[test]
    fn the_servers_sentence_is_taken_from_the_envelope() {
        let body = br#"{"success":false,"error":{"code":"AUTHENTICATION_ERROR","message":"the token has expired"}}"#;
        assert_eq!(message_of(body).as_deref(), Some("the token has expired"));
        assert_eq!(message_of(b"<html>"), None);
    }
}
