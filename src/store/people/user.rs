//! Accounts.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        identity::{Role, Status},
        name,
    },
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index},
        document::{self, Document, DocumentPage, Kept, PageWish, Verdict},
        key,
        people::credential::Credential,
    },
};

const BY_NAME: &str = "by_name";
const BY_EMAIL: &str = "by_email";

pub(super) static COLLECTION: Collection = Collection {
    name: "users",
    indexes: &[Index { name: BY_NAME, is_unique: true }, Index { name: BY_EMAIL, is_unique: true }],
};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who; never changes.
    pub id: UserId,
    /// The name shown; its [key](name::username_key) is unique.
    pub username: String,
    /// What tells users of one name apart where names are shown; may be empty.
    #[serde(default)]
    pub usertag: String,
    /// As it was given; its [key](name::email_key) is unique. None for who came by a provider that told none.
    #[serde(default)]
    pub email: Option<String>,
    /// Whether somebody has shown to read what is sent there.
    #[serde(default)]
    pub email_verified: bool,
    /// What it is entitled to, [`Role::Pro`] only while `pro_until` says so.
    pub roles: Vec<Role>,
    /// When its membership ends; none: it does not end while the role is there.
    #[serde(default)]
    pub pro_until: Option<Timestamp>,
    /// `#rrggbb`.
    pub colour: String,
    /// What it says of itself.
    #[serde(default)]
    pub about: String,
    /// The [entity tag](super::Avatar::etag) of its avatar; none without one.
    #[serde(default)]
    pub avatar: Option<String>,
    /// How it wants to be seen.
    #[serde(default)]
    pub status: Status,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last here, to a day.
    pub last_seen: Timestamp,
}

impl User {
    /// Its roles at a moment: without what has ended.
    pub fn roles_at(&self, now: Timestamp) -> Vec<Role> {
        let has_ended = self.pro_until.is_some_and(|until| until <= now);
        self.roles.iter().copied().filter(|role| *role != Role::Pro || !has_ended).collect()
    }
}

impl Document for User {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.as_str().into()
    }

    fn keys(&self) -> Vec<Option<String>> {
        // What has no key was not taken from a user: it stands for itself.
        let name = name::username_key(&self.username).unwrap_or_else(|_| self.username.clone());
        let email = self.email.as_ref().map(|email| name::email_key(email).unwrap_or_else(|_| email.clone()));
        vec![Some(key::key(&[&name])), email.map(|email| key::key(&[&email]))]
    }
}

/// An account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// The user, with an id that nobody has had.
    pub user: User,
    /// How it proves who it is.
    pub credential: Credential,
}

/// What is done with accounts.
pub trait Users: Collections {
    /// The user of this id.
    fn user(&self, id: &UserId) -> impl Future<Output = Result<Option<Kept<User>>, StoreError>> + Send {
        document::get(self, id.as_str())
    }

    /// The user of this name, however it is spelt; none for what cannot be a name.
    fn user_by_name(&self, username: &str) -> impl Future<Output = Result<Option<Kept<User>>, StoreError>> + Send {
        async move {
            let Ok(name) = name::username_key(username) else { return Ok(None) };
            document::find(self, BY_NAME, &[&name]).await
        }
    }

    /// The user of this e-mail address, however it is spelt; none for what cannot be one.
    fn user_by_email(&self, email: &str) -> impl Future<Output = Result<Option<Kept<User>>, StoreError>> + Send {
        async move {
            let Ok(email) = name::email_key(email) else { return Ok(None) };
            document::find(self, BY_EMAIL, &[&email]).await
        }
    }

    /// Makes an account: its credential first, then the user, which is what claims the name. Repeated with the same, it
    /// is done. A server that ends in between leaves a credential of nobody's: a password's is in nobody's way, and whoever
    /// comes again with an identity at a provider whose user is not there is registered under the id that it names.
    ///
    /// # Errors
    /// [`StoreError::Taken`]: `by_name`, `by_email`, or `id` where the credential is another user's.
    fn register(&self, account: &NewAccount) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            document::insert(self, &account.credential).await?;
            match document::insert(self, &account.user).await {
                Err(error @ StoreError::Taken { .. }) => {
                    // An identity that a provider vouches for is to be free for another try with another name. Where the user
                    // is there, it was made before and has changed since, and the credential is its own.
                    if self.user(&account.user.id).await?.is_none() {
                        self.delete(Credential::COLLECTION, &account.credential.id(), None).await?;
                    }
                    Err(error)
                }
                written => written.map(drop),
            }
        }
    }

    /// Changes an account, as [`document::change`] does.
    fn change_user<R: Send>(
        &self,
        id: &UserId,
        change: impl FnMut(&mut User) -> Verdict<R> + Send,
    ) -> impl Future<Output = Result<Option<R>, StoreError>> + Send {
        document::change(self, id.as_str(), change)
    }

    /// Accounts whose names begin so, in order of their names; all without a beginning.
    fn users_named(
        &self,
        beginning: &str,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<User>, StoreError>> + Send {
        async move {
            use crate::store::collection::Query;
            let from = name::username_key(beginning).unwrap_or_default();
            // No name holds the last character that there is.
            let until = if from.is_empty() { String::new() } else { format!("{from}\u{10FFFF}") };
            document::page_between(self, Query { index: Some(BY_NAME), from, until, ..Query::default() }, wish).await
        }
    }
}

impl<S: Collections + ?Sized> Users for S {}
