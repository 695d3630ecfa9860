//! Refresh tokens: the name of a log-in, and a secret that is good for one use. The server keeps its hash alone.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest as _, Sha256};

/// Bytes of a log-in's id and of a token's secret.
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// A refresh token as a client has it.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    session: String,
    secret: [u8; SECRET_BYTES],
}

impl RefreshToken {
    /// A token of a log-in, with this secret from the system's randomness.
    pub fn new(session: &str, secret: [u8; SECRET_BYTES]) -> Self {
        Self { session: session.to_owned(), secret }
    }

    /// A log-in's id, from the system's randomness.
    pub fn session_id(chance: [u8; ID_BYTES]) -> String {
        BASE64.encode(chance)
    }

    /// Reads one; none for what this server has never made.
    pub fn parse(text: &str) -> Option<Self> {
        let (session, secret) = text.split_once('.')?;
        let has_length = |text: &str, bytes: usize| text.len() == (bytes * 4).div_ceil(3);
        if !has_length(session, ID_BYTES) || !has_length(secret, SECRET_BYTES) {
            return None;
        }
        BASE64.decode(session).ok()?;
        Some(Self { session: session.to_owned(), secret: BASE64.decode(secret).ok()?.try_into().ok()? })
    }

    /// Which log-in it is of.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// What is kept of it. A secret of 256 bits cannot be guessed, so that a fast hash does.
    pub fn hash(&self) -> String {
        BASE64.encode(Sha256::digest(self.secret))
    }

    /// The token as it travels.
    pub fn text(&self) -> String {
        format!("{}.{}", self.session, BASE64.encode(self.secret))
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken").field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> RefreshToken {
        RefreshToken::new(&RefreshToken::session_id([1; 16]), [2; 32])
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_its_secret_is_neither_kept_nor_shown() {
        let secret = BASE64.encode([2; 32]);
        assert_eq!(RefreshToken::parse(&token().text()), Some(token()));
        assert!(token().text().ends_with(&secret));
        assert!(!format!("{:?}", token()).contains(&secret) && !token().hash().contains(&secret));
        assert_ne!(RefreshToken::new(token().session(), [3; 32]).hash(), token().hash());
    }

    #[test]
    fn what_is_not_whole_is_no_token() {
        let text = token().text();
        for wrong in ["", ".", "a.b", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &text.replace('A', "$")]
        {
            assert_eq!(RefreshToken::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}") {
            RefreshToken::parse(&text);
        }
    }
}
