//! The one table of error codes, shared by sockets and REST, and the rejection that carries one.

use std::{borrow::Cow, fmt};

use crate::protocol::wire::{ErrorMessage, error_message::ErrorType};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $kind:ident;)*) => {
        /// What went wrong, by name. [`ErrorCode::as_str`] is what travels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// Every code there is, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it travels, in capitals.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The family it belongs to.
            pub const fn error_type(self) -> ErrorType {
                match self { $(Self::$variant => ErrorType::$kind,)* }
            }
        }
    };
}

error_codes! {
    /// The request is malformed or out of bounds.
    Validation = "VALIDATION_ERROR", Validation;
    /// A message that no handler knows: the `oneof` is empty or its field is unknown to this server.
    UnknownMessage = "UNKNOWN_MESSAGE", Validation;
    /// A chat command that does not exist.
    UnknownCommand = "UNKNOWN_COMMAND", Validation;
    /// A feature or setting that this server does not have.
    NotSupported = "NOT_SUPPORTED", Validation;
    /// No valid credentials.
    Authentication = "AUTHENTICATION_ERROR", Permission;
    /// Known, but not allowed.
    Authorization = "AUTHORIZATION_ERROR", Permission;
    /// Only the room's owner may do that.
    NotOwner = "NOT_OWNER", Permission;
    /// The room asks for a password and none came.
    PasswordRequired = "PASSWORD_REQUIRED", Permission;
    /// The password is not the room's.
    WrongPassword = "WRONG_PASSWORD", Permission;
    /// Banned from the room.
    Banned = "BANNED", Permission;
    /// The room does not take guests.
    GuestsNotAllowed = "GUESTS_NOT_ALLOWED", Permission;
    /// Muted: notes or chat are not relayed.
    Muted = "MUTED", Permission;
    /// Only the owner plays in this room.
    OnlyOwnerPlays = "ONLY_OWNER_PLAYS", Permission;
    /// Only the owner chats in this room.
    OnlyOwnerChats = "ONLY_OWNER_CHATS", Permission;
    /// The room has chat switched off.
    ChatDisabled = "CHAT_DISABLED", Permission;
    /// Something that was asked for does not exist.
    NotFound = "RESOURCE_NOT_FOUND", Resource;
    /// No such room.
    RoomNotFound = "ROOM_NOT_FOUND", Resource;
    /// No such user in this room.
    UserNotFound = "USER_NOT_FOUND", Resource;
    /// A room of that name exists.
    RoomExists = "ROOM_EXISTS", Resource;
    /// The name belongs to the server's lobbies.
    RoomNameReserved = "ROOM_NAME_RESERVED", Resource;
    /// The room is full.
    RoomFull = "ROOM_FULL", Resource;
    /// An account has that name.
    UsernameTaken = "USERNAME_TAKEN", Resource;
    /// An account has that address.
    EmailTaken = "EMAIL_TAKEN", Resource;
    /// The guest has an account already.
    AlreadyRegistered = "ALREADY_REGISTERED", Resource;
    /// The request needs a room and the sender is in none.
    NotInRoom = "NOT_IN_ROOM", Resource;
    /// The sender is in that room already.
    AlreadyInRoom = "ALREADY_IN_ROOM", Resource;
    /// Too many requests of this kind: `retry_after_ms` in the details.
    RateLimit = "RATE_LIMIT_EXCEEDED", Resource;
    /// The server is busy; the sender's state is as it was. Try again.
    ServerBusy = "SERVER_BUSY", System;
    /// A store is away; what needs it is refused. Try again later.
    StoreUnavailable = "STORE_UNAVAILABLE", System;
    /// The server is shutting down.
    ShuttingDown = "SHUTTING_DOWN", System;
    /// A defect of the server; it is logged and counted.
    Server = "SERVER_ERROR", System;
}

/// A request refused: a code for programs, a sentence for people, details for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which error of the table.
    pub code: ErrorCode,
    /// What is wrong and what to do about it; lower case, no full stop.
    pub message: Cow<'static, str>,
    /// Machine-readable particulars, for example `offset` or `retry_after_ms`.
    pub details: Vec<(&'static str, String)>,
}

impl Rejection {
    /// A rejection without details.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: Vec::new() }
    }

    /// Adds one detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((name, value.to_string()));
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Rejection {}

impl From<Rejection> for ErrorMessage {
    fn from(rejection: Rejection) -> Self {
        Self {
            error_type: rejection.code.error_type() as i32,
            error_code: rejection.code.as_str().into(),
            error_message: rejection.message.into_owned(),
            error_details: rejection.details.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        }
    }
}
