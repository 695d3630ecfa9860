//! The passwords' actor, on the back office's host: hashing takes tens of milliseconds, which no shard has.

use crate::{
    actor::{
        actor::{Actor, Handled},
        context::Context,
        deferred::Owed,
        envelope::{Answer, AskError},
        system::System,
    },
    protocol::error::{ErrorCode, Rejection},
    server::{message::PasswordOutcome, passwords::Passwords},
};

/// Hashes and checks rooms' passwords.
pub struct PasswordDesk {
    passwords: Passwords,
}

impl PasswordDesk {
    /// Over these threads.
    pub fn new(passwords: Passwords) -> Self {
        Self { passwords }
    }
}

/// What it is asked.
#[derive(Debug)]
pub enum PasswordMessage {
    /// Hash a password.
    Hash(String),
    /// See whether a password fits a hash.
    Check {
        /// The password.
        password: String,
        /// The hash.
        hash: String,
    },
    /// It is done.
    Done {
        /// Whom to answer.
        owed: Option<Owed>,
        /// What came of it.
        result: Result<PasswordReply, Rejection>,
    },
}

/// What it answers.
#[derive(Debug)]
pub enum PasswordReply {
    /// The hash.
    Hashed(String),
    /// The hash that was checked against, and whether it is the one.
    Checked(String, bool),
}

/// What came of a password, from the answer of the desk.
pub fn outcome(answer: Answer<PasswordReply, Rejection>) -> PasswordOutcome {
    match answer {
        Ok(PasswordReply::Hashed(hash)) => PasswordOutcome::Hashed(hash),
        Ok(PasswordReply::Checked(hash, right)) => PasswordOutcome::Checked { hash, right },
        Err(AskError::Handler(rejection)) => PasswordOutcome::Failed(rejection),
        Err(_) => {
            let message = "passwords can not be looked at just now: try again in a moment";
            PasswordOutcome::Failed(Rejection::new(ErrorCode::ServerBusy, message).with("retry_after_ms", 2000))
        }
    }
}

impl Actor for PasswordDesk {
    const KIND: &'static str = "password_desk";

    type World = System;
    type Key = ();
    type Message = PasswordMessage;
    type Reply = PasswordReply;
    type Error = Rejection;

    fn handle(&mut self, message: PasswordMessage, cx: &mut Context<'_, Self>) -> Handled<Rejection> {
        let passwords = self.passwords.clone();
        match message {
            PasswordMessage::Hash(password) => {
                let owed = cx.owe();
                let hash = async move { passwords.hash(password).await.map(PasswordReply::Hashed) };
                cx.spawn(hash, |result| PasswordMessage::Done { owed, result });
            }
            PasswordMessage::Check { password, hash } => {
                let owed = cx.owe();
                let check = async move {
                    let right = passwords.check(password, Some(hash.clone())).await?;
                    Ok(PasswordReply::Checked(hash, right))
                };
                cx.spawn(check, |result| PasswordMessage::Done { owed, result });
            }
            PasswordMessage::Done { owed: Some(owed), result } => cx.answer(owed, result),
            PasswordMessage::Done { owed: None, .. } => {}
        }
        Ok(())
    }

    fn may_retire(&self) -> bool {
        false
    }
}
