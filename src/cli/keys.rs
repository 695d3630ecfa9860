//! `keygen` and `token`: the server's key, and tokens signed with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::{
    cli::args::{KeygenArgs, TokenArgs},
    config::Config,
    http::auth::{
        Claims, KeyError, Kind, RetiredKey, SigningKey, Tokens,
        keys::{KEY_FILE, RETIRED_FILE},
    },
    store::{DataDir, data_dir::DataDirError},
};

/// The public half's file in the data folder, for programs that only verify.
pub const PUBLIC_KEY_FILE: &str = "signing-key.pub.pem";

/// Why there is no key or token.
#[derive(Debug, Error)]
pub enum KeysError {
    /// There is a key, and nobody asked to replace it.
    #[error(
        "{path} exists: use --rotate to retire it, which keeps what it has signed good, or --force to replace it, which \
         ends all sessions and makes guests strangers"
    )]
    Exists {
        /// The key's file.
        path: String,
    },
    /// There is no key to sign with.
    #[error(
        "there is no key {path}: run `pianorhythm-server keygen`, or start the server once, or name its data folder \
         with --data-dir"
    )]
    Absent {
        /// Where the key should be.
        path: String,
    },
    /// The key cannot be made, read or kept.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The system gives no randomness.
    #[error("no randomness for a token's id: {0}")]
    Randomness(getrandom::Error),
}

/// Makes a key pair in the data folder; what to tell about it.
///
/// # Errors
/// Also where a server runs on the folder: it would go on with the old key.
pub fn keygen(config: &Config, args: &KeygenArgs) -> Result<String, KeysError> {
    let folder = DataDir::open(&config.server.data_dir)?;
    let (private, public) = (folder.file(KEY_FILE), folder.file(PUBLIC_KEY_FILE));
    if private.exists() && !args.force && !args.rotate {
        return Err(KeysError::Exists { path: private.display().to_string() });
    }
    let retired = match (private.exists(), args.rotate) {
        (true, true) => {
            let before = RetiredKey::load(folder.path())?;
            RetiredKey::list_with(&SigningKey::load_or_create(folder.path())?, &before)
        }
        (false, true) => return Err(KeysError::Absent { path: private.display().to_string() }),
        (_, false) => String::new(),
    };
    let key = SigningKey::generate()?;
    // Before the key: whatever happens in between, what was signed is good, or the key is the one before.
    folder.write_public(RETIRED_FILE, retired.as_bytes())?;
    folder.write_secret(KEY_FILE, key.to_pem().as_bytes())?;
    folder.write_public(PUBLIC_KEY_FILE, key.to_public_pem().as_bytes())?;

    let mut told = format!(
        "private key: {} (keep it secret: whoever has it can be anyone)\npublic key:  {}\nkey id:      {}\n",
        private.display(),
        public.display(),
        key.kid()
    );
    if config.http.jwt_private_key.is_some() {
        told.push_str("note: the setting jwt_private_key is in force, and the server uses that key instead\n");
    }
    Ok(told)
}

/// Signs an access token.
pub fn token(config: &Config, args: &TokenArgs) -> Result<String, KeysError> {
    let key = match &config.http.jwt_private_key {
        Some(pem) => SigningKey::from_pem(pem.reveal())?,
        None => {
            let folder = &config.server.data_dir;
            let path = folder.join(KEY_FILE);
            // A key made here and now would sign tokens that no running server accepts.
            if !path.exists() {
                return Err(KeysError::Absent { path: path.display().to_string() });
            }
            SigningKey::load_or_create(folder)?
        }
    };
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(KeysError::Randomness)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Tokens::new(key).sign_access(&claims(args, u128::from_le_bytes(id), now)))
}

fn claims(args: &TokenArgs, id: u128, now: Duration) -> Claims {
    Claims {
        kind: Kind::Access,
        sub: args.sub.clone(),
        username: args.username.clone().unwrap_or_else(|| args.sub.clone()),
        usertag: args.usertag.clone(),
        roles: args.roles.clone(),
        colour: None,
        sid: None,
        connection: None,
        exp: (now + args.ttl).as_secs(),
        iat: now.as_secs(),
        jti: format!("{id:032x}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{self, Sources},
        protocol::time::Timestamp,
    };

    fn config_of(folder: &Path) -> Config {
        let mut config = Config::default();
        config.server.data_dir = folder.to_owned();
        config
    }

    fn token_args() -> TokenArgs {
        TokenArgs {
            sub: "clara".into(),
            username: None,
            usertag: "0001".into(),
            roles: vec!["member".into()],
            ttl: Duration::from_secs(60),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_us(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64)
    }

    #[test]
    fn a_token_is_accepted_by_a_server_on_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_of(&folder.path().join("data"));
        let told = keygen(&config, &KeygenArgs { force: false, rotate: false }).unwrap();
        let key = SigningKey::load_or_create(&config.server.data_dir).unwrap();
        assert!(told.contains(key.kid()) && told.contains(KEY_FILE), "{told}");

        let signed = token(&config, &token_args()).unwrap();
        let claims = Tokens::new(key).verify(&signed, &[Kind::Access], now()).unwrap();
        assert_eq!((claims.sub.as_str(), claims.username.as_str()), ("clara", "clara"));
        assert_eq!((claims.exp - claims.iat, claims.usertag.as_str()), (60, "0001"));
        assert_ne!(claims.jti, "");
    }

    #[test]
    fn a_key_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_of(folder.path());
        keygen(&config, &KeygenArgs { force: false, rotate: false }).unwrap();
        let before = SigningKey::load_or_create(folder.path()).unwrap();
        let error = keygen(&config, &KeygenArgs { force: false, rotate: false }).unwrap_err();
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(SigningKey::load_or_create(folder.path()).unwrap().kid(), before.kid());
        keygen(&config, &KeygenArgs { force: true, rotate: false }).unwrap();
        let after = SigningKey::load_or_create(folder.path()).unwrap();
        assert_ne!(after.kid(), before.kid());
        assert_eq!(std::fs::read_to_string(folder.path().join(PUBLIC_KEY_FILE)).unwrap(), after.to_public_pem());
    }

    #[test]
    fn a_key_that_is_retired_verifies_what_it_has_signed_until_one_is_made_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_of(folder.path());
        let rotate = KeygenArgs { force: false, rotate: true };
        assert!(matches!(keygen(&config, &rotate), Err(KeysError::Absent { .. })));
        keygen(&config, &KeygenArgs { force: false, rotate: false }).unwrap();
        let signed: Vec<_> = (0..3)
            .map(|_| {
                let signed = token(&config, &token_args()).unwrap();
                keygen(&config, &rotate).unwrap();
                signed
            })
            .collect();
        let verified =
            |signed: &str| config.keys().tokens(folder.path()).unwrap().verify(signed, &[Kind::Access], now()).is_ok();
        assert!(signed.iter().all(|signed| verified(signed)));
        assert!(verified(&token(&config, &token_args()).unwrap()));
        keygen(&config, &KeygenArgs { force: true, rotate: false }).unwrap();
        assert!(!signed.iter().any(|signed| verified(signed)));
    }

    #[test]
    fn no_key_is_made_under_a_running_server_and_none_to_sign_with() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_of(folder.path());
        assert!(matches!(token(&config, &token_args()), Err(KeysError::Absent { .. })));
        let _server = DataDir::open(folder.path()).unwrap();
        let error = keygen(&config, &KeygenArgs { force: true, rotate: false }).unwrap_err();
        assert!(matches!(error, KeysError::DataDir(DataDirError::InUse { .. })), "{error}");
    }

    #[test]
    fn a_key_given_as_a_setting_signs() {
        let key = SigningKey::generate().unwrap();
        let environment = vec![("JWT_PRIVATE_KEY".to_owned(), key.to_pem())];
        let config = config::load(&Sources { environment, ..Sources::default() }).unwrap().config;
        let signed = token(&config, &token_args()).unwrap();
        Tokens::new(key).verify(&signed, &[Kind::Access], now()).unwrap();
    }
}
