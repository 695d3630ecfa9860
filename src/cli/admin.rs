//! `admin`: accounts made, and roles given and taken, by who runs the server.
//!
//! The documents are written where they are; where a server has their file open, that server is asked on its operators' port.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    os::fd::AsRawFd as _,
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    cli::{AdminCommand, CreateUserArgs, Failure, opened::Opened, operators},
    config::Loaded,
    domain::identity::Role,
    http::{
        accounts::{Accounts, Grant, Registration},
        auth::{SigningKey, Tokens},
    },
    protocol::error::Rejection,
    server::{clock::Clock, passwords::Passwords},
    store::{EmbeddedState, data_dir::DataDirError, people::User},
};

/// The longest line that is read as a password, in bytes.
const MAX_LINE_BYTES: u64 = 4096;
/// How long the server may take, hashing included.
const WITHIN: Duration = Duration::from_secs(60);

/// Does it; what to tell about it.
pub fn run(loaded: &Loaded, command: &AdminCommand) -> Result<String, Failure> {
    let wish = match command {
        AdminCommand::CreateUser(args) => Wish::Create(registration(args)?),
        AdminCommand::Grant(args) => Wish::Roles(&args.user, Grant::Give(args.role)),
        AdminCommand::Revoke(args) => Wish::Roles(&args.user, Grant::Take(args.role)),
    };
    match Opened::new(loaded) {
        Ok(opened) => {
            let user = opened.runtime.block_on(wish.in_documents(&opened, loaded))?;
            opened.close()?;
            let roles = user.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
            Ok(format!("{} ({}): {roles}\n", user.username, user.id))
        }
        Err(error) if matches!(error.downcast_ref(), Some(DataDirError::InUse { .. })) => wish.by_server(loaded),
        Err(error) => Err(error),
    }
}

enum Wish<'a> {
    Create(Registration),
    Roles(&'a str, Grant),
}

impl Wish<'_> {
    async fn in_documents(self, opened: &Opened, loaded: &Loaded) -> Result<User, Failure> {
        let config = &loaded.config;
        // No token is signed with this key: nobody is logged in.
        let tokens = Tokens::new(SigningKey::generate()?);
        let state = EmbeddedState::start(config.embedded_state());
        let passwords = Arc::new(Passwords::new(config.passwords()));
        let accounts = Accounts::new(opened.store.clone(), state, passwords, tokens, config.account_settings());
        let now = Clock::start().now();
        let done = match self {
            Self::Create(wish) => accounts.create(wish, now).await,
            Self::Roles(user, grant) => accounts.grant(user, grant, now).await,
        };
        done.map_err(told)
    }

    fn by_server(self, loaded: &Loaded) -> Result<String, Failure> {
        let Some(address) = loaded.config.http.admin_bind else {
            return Err("a server has the documents open, and no operators' port (admin_bind) to be asked on".into());
        };
        let (path, body) = match &self {
            Self::Create(wish) => {
                let roles: Vec<_> = wish.roles.iter().filter(|role| **role != Role::Member).collect();
                let Registration { username, email, password, .. } = wish;
                let body = json!({ "username": username, "email": email, "password": password, "roles": roles });
                ("/accounts".to_owned(), body)
            }
            Self::Roles(user, grant) => {
                let body = match grant {
                    Grant::Give(role) => json!({ "give": role }),
                    Grant::Take(role) => json!({ "take": role }),
                };
                (format!("/accounts/{}/roles", operators::escaped(user)), body)
            }
        };
        let (status, answer) = operators::post(address, &path, &body, WITHIN)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if status >= 300 {
            return Err(text(&answer["error"]["message"]).into());
        }
        let user = &answer["data"];
        let roles: Vec<_> = user["roles"].as_array().into_iter().flatten().map(text).collect();
        Ok(format!("{} ({}): {}\n", text(&user["username"]), text(&user["user_id"]), roles.join(", ")))
    }
}

fn registration(args: &CreateUserArgs) -> Result<Registration, Failure> {
    let roles = args.roles.iter().copied().chain([Role::Member]).collect();
    Ok(Registration { username: args.name.clone(), email: args.email.clone(), password: read_password()?, roles })
}

fn told(rejection: Rejection) -> Failure {
    rejection.message.into()
}

/// The first line of the standard input. A terminal is asked for it, and does not show it.
fn read_password() -> Result<String, Failure> {
    let input = io::stdin().lock();
    let _silence = input.is_terminal().then(|| {
        eprint!("Password: ");
        let _ = io::stderr().flush();
        Silence::begin(input.as_raw_fd())
    });
    let mut line = String::new();
    io::Read::take(input, MAX_LINE_BYTES).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence {
    terminal: libc::c_int,
    before: Option<libc::termios>,
}

impl Silence {
    fn begin(terminal: libc::c_int) -> Self {
        // SAFETY: all zeros are a value of this plain struct, which the call fills in.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `settings` is valid for both calls, and `terminal` is open for as long as the standard input is.
        let before = unsafe {
            (libc::tcgetattr(terminal, &raw mut settings) == 0).then(|| {
                let before = settings;
                settings.c_lflag &= !libc::ECHO;
                libc::tcsetattr(terminal, libc::TCSAFLUSH, &raw const settings);
                before
            })
        };
        Self { terminal, before }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: as above.
            unsafe { libc::tcsetattr(self.terminal, libc::TCSAFLUSH, before) };
            eprintln!();
        }
    }
}
