//! How users prove who they are.

use std::{fmt, future::Future};

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index},
        document::{self, Document, DocumentPage, Kept, PageWish, Verdict},
        key,
    },
};

pub(super) const BY_USER: &str = "by_user";

pub(super) static COLLECTION: Collection =
    Collection { name: "credentials", indexes: &[Index { name: BY_USER, is_unique: false }] };

/// One way in which a user proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Whose.
    pub user_id: UserId,
    /// What.
    pub proof: Proof,
    /// Since when it is this.
    pub since: Timestamp,
}

/// What proves it. One password a user; one user for an identity at a provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A password, as a PHC string.
    Password {
        /// Never shown.
        hash: String,
    },
    /// What a provider says who it is.
    Provider {
        /// The provider's name in the settings.
        provider: String,
        /// Who it is there; never changes, unlike names and addresses.
        subject: String,
    },
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { .. } => f.write_str("Password(…)"),
            Self::Provider { provider, subject } => write!(f, "Provider({provider:?}, {subject:?})"),
        }
    }
}

impl Credential {
    fn id_of_password(user: &UserId) -> String {
        key::key(&["password", user.as_str()])
    }

    fn id_at_provider(provider: &str, subject: &str) -> String {
        key::key(&["provider", provider, subject])
    }
}

impl Document for Credential {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        match &self.proof {
            Proof::Password { .. } => Self::id_of_password(&self.user_id),
            Proof::Provider { provider, subject } => Self::id_at_provider(provider, subject),
        }
    }

    fn keys(&self) -> Vec<Option<String>> {
        vec![Some(key::key(&[self.user_id.as_str()]))]
    }
}

/// What is done with credentials.
pub trait Credentials: Collections {
    /// A user's password.
    fn password(&self, user: &UserId) -> impl Future<Output = Result<Option<Kept<Credential>>, StoreError>> + Send {
        async move { document::get(self, &Credential::id_of_password(user)).await }
    }

    /// Whose an identity at a provider is.
    fn identity(
        &self,
        provider: &str,
        subject: &str,
    ) -> impl Future<Output = Result<Option<Kept<Credential>>, StoreError>> + Send {
        async move { document::get(self, &Credential::id_at_provider(provider, subject)).await }
    }

    /// All of a user's.
    fn credentials_of(
        &self,
        user: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<Credential>, StoreError>> + Send {
        async move { document::page(self, Some(BY_USER), &[user.as_str()], wish, false).await }
    }

    /// Sets a user's password, in the place of the one before, where `replaces` is that one's hash; none: where there
    /// was none. Tells whether it did: of two who change it at once, one does.
    fn set_password(
        &self,
        user: &UserId,
        replaces: Option<&str>,
        hash: String,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            let new = Credential { user_id: user.clone(), proof: Proof::Password { hash }, since: now };
            let Some(replaces) = replaces else {
                return match document::insert(self, &new).await {
                    Ok(_) => Ok(true),
                    Err(StoreError::Taken { .. }) => Ok(false),
                    Err(error) => Err(error),
                };
            };
            let id = new.id();
            let set = document::change(self, &id, |credential: &mut Credential| match &credential.proof {
                Proof::Password { hash } if hash == replaces => {
                    *credential = new.clone();
                    Verdict::Keep(true)
                }
                // A repetition, after an answer that got lost.
                _ => Verdict::Leave(credential.proof == new.proof),
            });
            Ok(set.await?.unwrap_or(false))
        }
    }

    /// Adds an identity at a provider to a user.
    ///
    /// # Errors
    /// [`StoreError::Taken`] where it is another user's.
    fn link(&self, credential: &Credential) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { document::insert(self, credential).await.map(drop) }
    }

    /// Takes a credential from its user; tells whether it was there.
    fn unlink(&self, credential: &Credential) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move { self.delete(&COLLECTION, &credential.id(), None).await }
    }
}

impl<S: Collections + ?Sized> Credentials for S {}
