//! Log-ins, and the rotation of their refresh tokens.
//!
//! A log-in is one document, the family of all refresh tokens that it ever has. Each is good for one use, which gives the
//! next; only their hashes are kept. A spent one that comes again was stolen, or is the thief's: the log-in ends.

use std::{future::Future, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index, Query},
        document::{self, Document, DocumentPage, Kept, PageWish, Verdict},
        key,
    },
};

/// How many spent tokens of a log-in are known for such. What is older is only refused.
pub const MAX_SPENT_TOKENS: usize = 256;

pub(super) const BY_USER: &str = "by_user";
const BY_END: &str = "by_end";

pub(super) static COLLECTION: Collection = Collection {
    name: "sessions",
    indexes: &[Index { name: BY_USER, is_unique: false }, Index { name: BY_END, is_unique: false }],
};

/// One log-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginSession {
    /// Its id, by chance; access tokens carry it.
    pub id: String,
    /// Whose.
    pub user_id: UserId,
    /// The hash of the refresh token that is good.
    pub token: String,
    /// The hashes of those that were, oldest first; [`MAX_SPENT_TOKENS`] at most.
    #[serde(default)]
    pub spent: Vec<String>,
    /// When the user logged in.
    pub since: Timestamp,
    /// When a token was last refreshed.
    pub refreshed: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Whether it is to outlast the browser.
    #[serde(default)]
    pub remember: bool,
    /// What the client called itself; shown to its user.
    #[serde(default)]
    pub client: String,
    /// Where it came from.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Its end, where that came before its time. It stays until its time is over, to be known for what it was.
    #[serde(default)]
    pub revoked: Option<Revocation>,
}

/// An end before the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why: `logout`, `reuse`, `ban`, …
    pub reason: String,
}

impl LoginSession {
    /// Whether it is good at a moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.until
    }

    /// Uses a token: the next takes its place.
    fn rotate(&mut self, token: &str, next: &str, now: Timestamp, until: Timestamp) -> Verdict<Rotation> {
        if !self.is_good(now) {
            return Verdict::Leave(Rotation::Ended);
        }
        if self.token == token {
            self.spent.push(std::mem::replace(&mut self.token, next.to_owned()));
            let over = self.spent.len().saturating_sub(MAX_SPENT_TOKENS);
            self.spent.drain(..over);
            self.refreshed = now;
            self.until = until;
            return Verdict::Keep(Rotation::Rotated(Box::new(self.clone())));
        }
        if self.token == next && self.spent.last().is_some_and(|last| last == token) {
            // This very rotation, whose answer got lost between the server and its store.
            return Verdict::Leave(Rotation::Rotated(Box::new(self.clone())));
        }
        if self.spent.iter().any(|spent| spent == token) {
            self.revoked = Some(Revocation { at: now, reason: "reuse".into() });
            return Verdict::Keep(Rotation::Reused(Box::new(self.clone())));
        }
        Verdict::Leave(Rotation::Unknown)
    }
}

impl Document for LoginSession {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        vec![Some(key::key(&[self.user_id.as_str()])), Some(key::key(&[&key::time(self.until)]))]
    }
}

/// What comes of using a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The next token is good from now on.
    Rotated(Box<LoginSession>),
    /// It was spent before: the log-in has ended with this.
    Reused(Box<LoginSession>),
    /// The log-in is over.
    Ended,
    /// No such log-in, or it never had this token.
    Unknown,
}

/// What is done with log-ins.
pub trait Sessions: Collections {
    /// The log-in of this id.
    fn session(&self, id: &str) -> impl Future<Output = Result<Option<Kept<LoginSession>>, StoreError>> + Send {
        document::get(self, id)
    }

    /// Keeps a new log-in.
    fn log_in(&self, session: &LoginSession) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { document::insert(self, session).await.map(drop) }
    }

    /// Uses a refresh token, by the hashes of it and of the next. Of many that use one at once, one is given the next, and
    /// the others have used it a second time.
    fn rotate(
        &self,
        id: &str,
        token: &str,
        next: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Rotation, StoreError>> + Send {
        async move {
            let rotated =
                document::change(self, id, |session: &mut LoginSession| session.rotate(token, next, now, until));
            Ok(rotated.await?.unwrap_or(Rotation::Unknown))
        }
    }

    /// Ends a log-in before its time; gives it back where it was good until now.
    fn revoke(
        &self,
        id: &str,
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<LoginSession>, StoreError>> + Send {
        async move {
            let revoked = document::change(self, id, |session: &mut LoginSession| {
                if !session.is_good(now) {
                    return Verdict::Leave(None);
                }
                session.revoked = Some(Revocation { at: now, reason: reason.to_owned() });
                Verdict::Keep(Some(session.clone()))
            });
            Ok(revoked.await?.flatten())
        }
    }

    /// Ends all of a user's log-ins but one, and tells which it ended. One after the other: where it fails half way, it may
    /// be repeated.
    fn revoke_all(
        &self,
        user: &UserId,
        except: Option<&str>,
        reason: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send {
        async move {
            let (mut ended, mut wish) = (Vec::new(), PageWish::first(100));
            loop {
                let page = self.sessions_of(user, wish).await?;
                for session in page.documents.iter().filter(|session| Some(session.id.as_str()) != except) {
                    if self.revoke(&session.id, reason, now).await?.is_some() {
                        ended.push(session.id.clone());
                    }
                }
                if page.next.is_none() {
                    return Ok(ended);
                }
                wish = PageWish { after: page.next, limit: 100 };
            }
        }
    }

    /// All of a user's log-ins, those that are over too.
    fn sessions_of(
        &self,
        user: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<LoginSession>, StoreError>> + Send {
        async move { document::page(self, Some(BY_USER), &[user.as_str()], wish, false).await }
    }

    /// Deletes log-ins whose time was over before this, so many at most; tells how many they were.
    fn forget_sessions(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send {
        async move {
            let query = Query { index: Some(BY_END), until: key::time(before), limit, ..Query::default() };
            let found = self.list(&COLLECTION, query).await?;
            let mut forgotten = 0;
            for (_, record) in &found {
                // One that was refreshed meanwhile stays.
                match self.delete(&COLLECTION, &record.id, Some(record.revision)).await {
                    Ok(was_there) => forgotten += usize::from(was_there),
                    Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(forgotten)
        }
    }
}

impl<S: Collections + ?Sized> Sessions for S {}
