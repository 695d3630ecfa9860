//! Where to go: a server, a room, and as whom; and going there.

use std::time::Duration;

use pianorhythm_client::{
    Client, ConnectError, Events, Refusal, RequestError,
    protocol::{
        codec::Format,
        error::ErrorCode,
        wire::{
            CreateRoomCommand, GetMembers, Member, NoteQuota, RoomJoinedResponse, RoomSettings, RoomType,
            client_message, server_message,
        },
    },
};

/// How long the server may take to answer; nobody at a keyboard waits longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A room on a server, and how to get into it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server: `ws://host:port`.
    pub url: String,
    /// The room's name. It is made where there is none of it.
    pub room: String,
    /// The room's password; empty where it has none.
    pub password: String,
    /// What is spoken on the wire.
    pub format: Format,
    /// To come as a user with an account; else as a guest.
    pub access_token: Option<String>,
    /// Where the room has to be made, allow dense playing in it.
    pub dense: bool,
}

/// Why one did not get there.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// No connection.
    #[error("{0}{hint}", hint = hint_at_connect(.0))]
    Connect(#[from] ConnectError),
    /// The server is there, but the room was not entered.
    #[error("cannot enter the room \"{room}\": {source}{hint}", hint = hint_at_door(source))]
    Room {
        /// The room's name as it was asked for.
        room: String,
        /// What the server said.
        source: RequestError,
    },
}

fn hint_at_connect(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Unreachable { .. } => "; is the server running, and --url its address?",
        ConnectError::Http { status: 401, .. } => {
            "; get a new token for --access-token, or come as a guest without one"
        }
        ConnectError::Http { status: 404, .. } | ConnectError::Handshake { .. } => {
            "; --url names a server and perhaps a path, for example ws://127.0.0.1:8080/api/websocket"
        }
        ConnectError::Http { status: 429 | 503, .. } | ConnectError::TimedOut(_) => "; try again in a moment",
        _ => "",
    }
}

fn hint_at_door(error: &RequestError) -> &'static str {
    let RequestError::Refused(Refusal { code: Some(code), .. }) = error else { return "" };
    match code {
        ErrorCode::PasswordRequired | ErrorCode::WrongPassword => "; give its password with --password",
        ErrorCode::RoomFull => "; each track takes a seat with --each-track: play without it, or choose another --room",
        ErrorCode::GuestsNotAllowed | ErrorCode::Authorization => "; come with an account: --access-token",
        ErrorCode::RoomNameReserved | ErrorCode::Banned => "; choose another --room",
        ErrorCode::RateLimit | ErrorCode::ServerBusy | ErrorCode::ShuttingDown => "; try again in a moment",
        _ => "",
    }
}

/// Someone who is in the room.
#[derive(Debug)]
pub struct Entered {
    /// Its connection.
    pub client: Client,
    /// What it hears from now on.
    pub events: Events,
    /// What the room said at the door.
    pub joined: RoomJoinedResponse,
}

impl Place {
    /// Connects under this name and enters the room.
    pub async fn enter(&self, name: &str) -> Result<Entered, EnterError> {
        let mut builder = Client::builder(&self.url).name(name).format(self.format).request_timeout(ANSWER_TIMEOUT);
        if let Some(token) = &self.access_token {
            builder = builder.access_token(token);
        }
        let (client, events) = builder.connect().await?;
        match self.join(&client).await {
            Ok(joined) => Ok(Entered { client, events, joined }),
            Err(source) => {
                client.close().await;
                Err(EnterError::Room { room: self.room.clone(), source })
            }
        }
    }

    async fn join(&self, client: &Client) -> Result<RoomJoinedResponse, RequestError> {
        if self.dense {
            match client.create_room(self.dense_room()).await {
                Err(error) if error.code() == Some(ErrorCode::RoomExists) => {}
                answer => return answer,
            }
        }
        client.join(&self.room, &self.password).await
    }

    fn dense_room(&self) -> CreateRoomCommand {
        let room_type = if self.password.is_empty() { RoomType::Public } else { RoomType::Private };
        CreateRoomCommand {
            room_name: self.room.clone(),
            room_type: room_type.into(),
            password: self.password.clone(),
            settings: Some(RoomSettings { note_quota: Some(NoteQuota::Dense.into()), ..RoomSettings::default() }),
        }
    }
}

impl Entered {
    /// Everyone in the room, oneself included, in order of numbers.
    pub async fn members(&self) -> Result<Vec<Member>, RequestError> {
        let mut members = self.joined.current_users.clone();
        let mut more = self.joined.more_users;
        // At the door players come first; the pages go by number, so those begin anew.
        if more {
            members.clear();
        }
        while more {
            let after = members.last().map_or(0, |member: &Member| member.participant);
            let page = server_message::Message::GetMembers(GetMembers { after, limit: 0 });
            let client_message::Message::MemberList(page) = self.client.request(page).await? else {
                return Err(RequestError::Unexpected);
            };
            // A page without members would never end.
            more = page.more && !page.members.is_empty();
            members.extend(page.members);
        }
        Ok(members)
    }
}

/// Leaves the room and says good-bye to the server. What goes wrong on the way out does no harm.
pub async fn leave(client: &Client) {
    let _ = client.leave().await;
    client.close().await;
}

/// The name that a member shows.
pub fn name_of(member: &Member) -> &str {
    member.user.as_ref().map_or("", |user| &user.username)
}
