//! The audit log: who did what to whom. Written once, never changed.

use std::{collections::BTreeMap, future::Future, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index, Query},
        document::{self, Document, DocumentPage, PageWish},
        key,
    },
};

const BY_TIME: &str = "by_time";
pub(super) const BY_ACTOR: &str = "by_actor";
const BY_TARGET: &str = "by_target";

pub(super) static COLLECTION: Collection = Collection {
    name: "audit",
    indexes: &[
        Index { name: BY_TIME, is_unique: false },
        Index { name: BY_ACTOR, is_unique: false },
        Index { name: BY_TARGET, is_unique: false },
    ],
};

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its id, by chance.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// By whom; none for the server itself and its command line.
    #[serde(default)]
    pub actor: Option<UserId>,
    /// The name that the actor had.
    #[serde(default)]
    pub actor_name: String,
    /// From where.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What: `ban`, `role.grant`, …
    pub action: String,
    /// To what: a user's id, a room's key.
    #[serde(default)]
    pub target: Option<String>,
    /// The particulars.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
}

impl Document for AuditEntry {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        let time = key::time(self.time);
        vec![
            Some(key::key(&[&time])),
            self.actor.as_ref().map(|actor| key::key(&[actor.as_str(), &time])),
            self.target.as_ref().map(|target| key::key(&[target, &time])),
        ]
    }
}

/// What is done with the audit log.
pub trait Audit: Collections {
    /// Adds an entry; repeated with the same, it is done.
    fn record_action(&self, entry: &AuditEntry) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { document::insert(self, entry).await.map(drop) }
    }

    /// All entries, newest first.
    fn audit(&self, wish: PageWish) -> impl Future<Output = Result<DocumentPage<AuditEntry>, StoreError>> + Send {
        document::page(self, Some(BY_TIME), &[], wish, true)
    }

    /// What somebody did, newest first.
    fn audit_by(
        &self,
        actor: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<AuditEntry>, StoreError>> + Send {
        async move { document::page(self, Some(BY_ACTOR), &[actor.as_str()], wish, true).await }
    }

    /// What was done to something, newest first.
    fn audit_of(
        &self,
        target: &str,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<AuditEntry>, StoreError>> + Send {
        async move { document::page(self, Some(BY_TARGET), &[target], wish, true).await }
    }

    /// Deletes entries from before this, so many at most; tells how many they were.
    fn forget_audit(&self, before: Timestamp, limit: usize) -> impl Future<Output = Result<usize, StoreError>> + Send {
        async move {
            let query = Query { index: Some(BY_TIME), until: key::time(before), limit, ..Query::default() };
            let mut forgotten = 0;
            for (_, record) in self.list(&COLLECTION, query).await? {
                forgotten += usize::from(self.delete(&COLLECTION, &record.id, None).await?);
            }
            Ok(forgotten)
        }
    }
}

impl<S: Collections + ?Sized> Audit for S {}
