//! Tokens: compact JSON Web Signatures (RFC 7515, RFC 7519) with Ed25519 (`EdDSA`, RFC 8037), and nothing else.
//!
//! The algorithm is not negotiable: the header's `alg` must be `EdDSA`, so neither `none` nor a key taken for an
//! HMAC secret exists here. Written out rather than taken from a general JWT library, whose cryptography would be
//! a process-wide provider that panics where it was not installed.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{
    http::auth::keys::{RetiredKey, SigningKey},
    protocol::time::Timestamp,
};

/// The longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 4096;
/// How far the clocks of who signs and who verifies may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// What a token is for. One kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A user's access to the server.
    Access,
    /// A guest's identity, presented again at its next connection.
    Guest,
    /// One connection's session, for a resume.
    Session,
}

/// What a token says.
///
/// Unknown claims are ignored. `kind`, `sub`, `exp`, `iat` and `jti` are required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// What the token is for.
    pub kind: Kind,
    /// The user's id.
    pub sub: String,
    /// The name others see.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// What tells users of the same name apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub usertag: String,
    /// The roles by name: `guest`, `member`, `pro`, `moderator`, `admin`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The colour others see the user in, `#rrggbb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// The log-in that an access token came from. Without one it was made by an operator, and stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The connection that a session token belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: u64,
    /// When it was signed, in seconds since the Unix epoch.
    pub iat: u64,
    /// The token's own id.
    pub jti: String,
}

impl Claims {
    /// The claims every token has, valid from `now` on for `life`; the others empty.
    pub fn new(kind: Kind, sub: impl Into<String>, jti: impl Into<String>, now: Timestamp, life: Duration) -> Self {
        let iat = now.as_us() / 1_000_000;
        Self {
            kind,
            sub: sub.into(),
            username: String::new(),
            usertag: String::new(),
            roles: Vec::new(),
            colour: None,
            sid: None,
            connection: None,
            exp: iat.saturating_add(life.as_secs()),
            iat,
            jti: jti.into(),
        }
    }
}

/// A token that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url with JSON in them, or over [`MAX_TOKEN_BYTES`].
    #[error("not a token")]
    Malformed,
    /// Signed in a way, or with extensions, that this server does not take.
    #[error("the token's algorithm is not EdDSA")]
    Algorithm,
    /// Signed with a key this server does not know.
    #[error("the token was signed with an unknown key")]
    UnknownKey,
    /// The signature is not that of these claims.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is missing or of the wrong type.
    #[error("the token's claims are incomplete")]
    Claims,
    /// Genuine, but made for another purpose.
    #[error("the token is for another purpose")]
    Kind,
    /// Genuine, but its time is over.
    #[error("the token has expired")]
    Expired,
    /// Genuine, but signed in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// Genuine, but its log-in has ended.
    #[error("the token's log-in has ended")]
    Ended,
    /// Genuine, but its guest has an account now.
    #[error("this guest has an account now")]
    Registered,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11): we understand none.
    crit: Option<serde::de::IgnoredAny>,
}

/// Signs and verifies tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    key: SigningKey,
    /// Keys that signed before.
    retired: Vec<RetiredKey>,
    /// The encoded header, the same for each token.
    header: String,
}

impl Tokens {
    /// Signs with this key and accepts what it signed.
    pub fn new(key: SigningKey) -> Self {
        Self::with_retired(key, Vec::new())
    }

    /// Signs with this key and accepts what it signed, or one of those that were in its place before.
    pub fn with_retired(key: SigningKey, retired: Vec<RetiredKey>) -> Self {
        let header = serde_json::json!({ "alg": "EdDSA", "typ": "JWT", "kid": key.kid() });
        Self { header: BASE64.encode(header.to_string()), key, retired }
    }

    /// A user's access token. `claims.kind` is set.
    pub fn sign_access(&self, claims: &Claims) -> String {
        self.sign(&Claims { kind: Kind::Access, ..claims.clone() })
    }

    /// A token of the kind the claims say.
    pub fn sign(&self, claims: &Claims) -> String {
        let claims = serde_json::to_vec(claims).expect("claims are strings and numbers");
        let mut token = format!("{}.{}", self.header, BASE64.encode(claims));
        let signature = self.key.inner().sign(token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature.to_bytes(), &mut token);
        token
    }

    /// The claims of a token of one of these kinds that is genuine and valid at `now`, give or take [`LEEWAY`].
    pub fn verify(&self, token: &str, kinds: &[Kind], now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;

        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        if header.alg != "EdDSA" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let key = self.key_of(header.kid.as_deref())?;
        let signature = Signature::from_slice(&decode(signature)?).map_err(|_| TokenError::Signature)?;
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)?;

        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Claims)?;
        if !kinds.contains(&claims.kind) {
            return Err(TokenError::Kind);
        }
        let (now, leeway) = (now.as_us() / 1_000_000, LEEWAY.as_secs());
        if claims.exp.saturating_add(leeway) <= now {
            return Err(TokenError::Expired);
        }
        if claims.iat > now.saturating_add(leeway) {
            return Err(TokenError::NotYet);
        }
        Ok(claims)
    }

    /// The key a token names; ours where it names none.
    fn key_of(&self, kid: Option<&str>) -> Result<VerifyingKey, TokenError> {
        match kid {
            Some(kid) if kid != self.key.kid() => {
                let retired = self.retired.iter().find(|key| key.kid() == kid);
                retired.map(|key| *key.inner()).ok_or(TokenError::UnknownKey)
            }
            _ => Ok(self.key.inner().verifying_key()),
        }
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
    const NOW_S: u64 = 1_800_000_000;
    const ALL: &[Kind] = &[Kind::Access, Kind::Guest, Kind::Session];

    fn tokens() -> Tokens {
        Tokens::new(SigningKey::generate().unwrap())
    }

    fn claims() -> Claims {
        Claims {
            username: "Clara".into(),
            usertag: "0001".into(),
            roles: vec!["member".into()],
            ..Claims::new(Kind::Access, "user-1", "login-1", NOW, Duration::from_secs(60))
        }
    }

    /// Signs any header and claims, as an attacker with no key would have it, or a test with one.
    fn token_of(tokens: &Tokens, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = tokens.key.inner().sign(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
    }

    #[test]
    fn what_was_signed_is_verified() {
        let tokens = tokens();
        let token = tokens.sign_access(&claims());
        assert_eq!(tokens.verify(&token, &[Kind::Access], NOW), Ok(claims()));
        assert_eq!(token.split('.').count(), 3);
    }

    #[test]
    fn a_kind_is_never_taken_for_another() {
        let tokens = tokens();
        for signed in ALL {
            let token = tokens.sign(&Claims { kind: *signed, ..claims() });
            for asked in ALL {
                let verified = tokens.verify(&token, &[*asked], NOW);
                assert_eq!(verified.is_ok(), signed == asked, "{signed:?} for {asked:?}");
            }
        }
        let no_kind = serde_json::json!({ "sub": "user-1", "exp": NOW_S + 60, "iat": NOW_S, "jti": "x" });
        let token = token_of(&tokens, r#"{"alg":"EdDSA"}"#, &no_kind.to_string());
        assert_eq!(tokens.verify(&token, ALL, NOW), Err(TokenError::Claims));
    }

    #[test]
    fn no_algorithm_but_eddsa_is_accepted() {
        let tokens = tokens();
        let body = serde_json::to_string(&claims()).unwrap();
        for alg in ["none", "None", "HS256", "RS256", "ES256", "Ed25519", "eddsa", ""] {
            let token = token_of(&tokens, &format!(r#"{{"alg":"{alg}"}}"#), &body);
            assert_eq!(tokens.verify(&token, ALL, NOW), Err(TokenError::Algorithm), "{alg}");
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert!(tokens.verify(&format!("{unsigned}."), ALL, NOW).is_err());
        }
        let extended = token_of(&tokens, r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#, &body);
        assert_eq!(tokens.verify(&extended, ALL, NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn a_token_of_another_key_is_refused_with_and_without_its_name() {
        let (ours, theirs) = (tokens(), tokens());
        assert_eq!(ours.verify(&theirs.sign_access(&claims()), ALL, NOW), Err(TokenError::UnknownKey));
        let body = serde_json::to_string(&claims()).unwrap();
        let nameless = token_of(&theirs, r#"{"alg":"EdDSA"}"#, &body);
        assert_eq!(ours.verify(&nameless, ALL, NOW), Err(TokenError::Signature));
        let pretended = token_of(&theirs, &format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, ours.key.kid()), &body);
        assert_eq!(ours.verify(&pretended, ALL, NOW), Err(TokenError::Signature));
    }

    #[test]
    fn a_retired_key_verifies_its_own_tokens_and_signs_none() {
        let before = tokens();
        let token = before.sign_access(&claims());
        let retired = RetiredKey::list(&before.key.to_public_pem()).unwrap();
        let now = Tokens::with_retired(SigningKey::generate().unwrap(), retired);
        assert_eq!(now.verify(&token, ALL, NOW), Ok(claims()));
        assert_eq!(before.verify(&now.sign_access(&claims()), ALL, NOW), Err(TokenError::UnknownKey));
        // A token of neither, that says it is of the retired one.
        let body = serde_json::to_string(&claims()).unwrap();
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, before.key.kid());
        assert_eq!(now.verify(&token_of(&tokens(), &header, &body), ALL, NOW), Err(TokenError::Signature));
        assert_eq!(now.verify(&token_of(&now, &header, &body), ALL, NOW), Err(TokenError::Signature));
    }

    #[test]
    fn time_is_judged_with_the_stated_leeway() {
        let tokens = tokens();
        let leeway = LEEWAY.as_secs();
        let at = |exp, iat| {
            let token = tokens.sign_access(&Claims { exp, iat, ..claims() });
            tokens.verify(&token, ALL, NOW).map(|_| ())
        };
        assert_eq!(at(NOW_S - leeway + 1, 0), Ok(()));
        assert_eq!(at(NOW_S - leeway, 0), Err(TokenError::Expired));
        assert_eq!(at(0, 0), Err(TokenError::Expired));
        assert_eq!(at(u64::MAX, NOW_S + leeway), Ok(()));
        assert_eq!(at(u64::MAX, NOW_S + leeway + 1), Err(TokenError::NotYet));
        let endless = serde_json::json!({ "kind": "access", "sub": "user-1", "iat": NOW_S, "jti": "x" });
        let endless = token_of(&tokens, r#"{"alg":"EdDSA"}"#, &endless.to_string());
        assert_eq!(tokens.verify(&endless, ALL, NOW), Err(TokenError::Claims));
    }

    #[test]
    fn an_oversized_token_is_not_looked_at() {
        let tokens = tokens();
        let token = tokens.sign_access(&Claims { username: "x".repeat(MAX_TOKEN_BYTES), ..claims() });
        assert_eq!(tokens.verify(&token, ALL, NOW), Err(TokenError::Malformed));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_a_panic(token in ".{0,200}") {
            prop_assert!(tokens().verify(&token, ALL, NOW).is_err());
        }

        #[test]
        fn a_changed_byte_makes_a_token_invalid(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let tokens = tokens();
            let token = tokens.sign_access(&claims());
            let mut changed = token.clone().into_bytes();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let changed = String::from_utf8_lossy(&changed).into_owned();
            prop_assert!(tokens.verify(&changed, ALL, NOW).is_err());
        }
    }
}
