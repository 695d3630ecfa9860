//! The keys of the server's actors: what a room, a user and a connection are addressed by.

use std::borrow::Cow;

use crate::{
    actor::key::Key,
    protocol::ids::{ConnectionId, RoomKey, UserId},
};

impl Key for RoomKey {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self::from_normalised(text))
    }
}

impl Key for UserId {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.as_str())
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// A connection lives on its room's shard, not on that of its key: who sends to one says on which shard.
impl Key for ConnectionId {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_what_operators_read() {
        assert_eq!(ConnectionId::parse(&ConnectionId(0xABC).text()), Some(ConnectionId(0xABC)));
        assert_eq!(ConnectionId::parse("room"), None);
        assert_eq!(UserId::parse("u1"), Some("u1".into()));
        assert_eq!(RoomKey::parse("jazz club"), Some(RoomKey::from_normalised("jazz club")));
    }
}
