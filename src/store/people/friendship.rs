//! Pairs of users: requests, friends, blocks.
//!
//! What is between two users is one document, whoever asked whom, so that every step is one write: two requests that cross
//! make a friendship, and a block ends one.

use std::future::Future;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index, MAX_PAGE, Query},
        document::{self, Document, DocumentPage, PageCursor, PageWish, Verdict},
        key,
    },
};

pub(super) const BY_FIRST: &str = "by_first";
pub(super) const BY_SECOND: &str = "by_second";

pub(super) static COLLECTION: Collection = Collection {
    name: "friendships",
    indexes: &[Index { name: BY_FIRST, is_unique: false }, Index { name: BY_SECOND, is_unique: false }],
};

/// What is between two users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friendship {
    /// The one whose id is less.
    pub first: UserId,
    /// The other.
    pub second: UserId,
    /// Who has asked, where nobody has answered.
    #[serde(default)]
    pub asked_by: Option<UserId>,
    /// Whether they are friends.
    #[serde(default)]
    pub friends: bool,
    /// Who has blocked the other; both may.
    #[serde(default)]
    pub blocked_by: Vec<UserId>,
    /// Since when it is so.
    pub since: Timestamp,
}

/// What the other is to one of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// A friend.
    Friend,
    /// Has asked this one.
    Asking,
    /// Was asked by this one.
    Asked,
    /// Is blocked by this one.
    Blocked,
}

impl Relation {
    fn tag(self) -> &'static str {
        match self {
            Self::Friend => "friend",
            Self::Asking => "asking",
            Self::Asked => "asked",
            Self::Blocked => "blocked",
        }
    }
}

/// What one of a pair may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FriendStep {
    /// Ask the other; where the other has asked already, accept.
    Ask,
    /// Accept the other's request.
    Accept,
    /// Decline the other's request.
    Decline,
    /// End the friendship, or take the own request back.
    Remove,
    /// Block the other: nothing is between them any more, and the other cannot ask.
    Block,
    /// Lift the own block.
    Unblock,
}

/// Why a step is not to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FriendError {
    /// Nobody is friends with itself.
    #[error("that is you")]
    Oneself,
    /// There is no such request, friendship or block.
    #[error("there is nothing of that kind between you")]
    Nothing,
    /// One of both has blocked the other. Who was blocked is not to be told so.
    #[error("one of you has blocked the other")]
    Blocked,
}

impl Friendship {
    fn between(a: &UserId, b: &UserId, now: Timestamp) -> Self {
        let (first, second) = if a <= b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
        Self { first, second, asked_by: None, friends: false, blocked_by: Vec::new(), since: now }
    }

    fn id_of(a: &UserId, b: &UserId) -> String {
        let (first, second) = if a <= b { (a, b) } else { (b, a) };
        key::key(&[first.as_str(), second.as_str()])
    }

    /// The other of the pair.
    pub fn other(&self, one: &UserId) -> &UserId {
        if self.first == *one { &self.second } else { &self.first }
    }

    /// What the other is to this one.
    pub fn relation(&self, one: &UserId) -> Option<Relation> {
        if self.blocked_by.contains(one) {
            return Some(Relation::Blocked);
        }
        match &self.asked_by {
            Some(asking) if asking == one => Some(Relation::Asked),
            Some(_) => Some(Relation::Asking),
            None => self.friends.then_some(Relation::Friend),
        }
    }

    /// Takes a step of one of both; tells whether anything has changed. A step that has been taken already is no error.
    fn step(&mut self, one: &UserId, step: FriendStep, now: Timestamp) -> Result<bool, FriendError> {
        let blocked = !self.blocked_by.is_empty();
        let was = self.clone();
        match (step, self.relation(one)) {
            (FriendStep::Block, _) => {
                (self.asked_by, self.friends) = (None, false);
                if !self.blocked_by.contains(one) {
                    self.blocked_by.push(one.clone());
                }
            }
            (FriendStep::Unblock, Some(Relation::Blocked)) => self.blocked_by.retain(|who| who != one),
            (FriendStep::Ask | FriendStep::Accept, _) if blocked => return Err(FriendError::Blocked),
            (FriendStep::Ask, None) => self.asked_by = Some(one.clone()),
            (FriendStep::Ask | FriendStep::Accept, Some(Relation::Asking)) => {
                (self.asked_by, self.friends) = (None, true);
            }
            (FriendStep::Ask, Some(Relation::Asked))
            | (FriendStep::Ask | FriendStep::Accept, Some(Relation::Friend)) => {}
            (FriendStep::Decline, Some(Relation::Asking))
            | (FriendStep::Remove, Some(Relation::Friend | Relation::Asked)) => {
                (self.asked_by, self.friends) = (None, false);
            }
            _ => return Err(FriendError::Nothing),
        }
        let changed = *self != was;
        if changed {
            self.since = now;
        }
        Ok(changed)
    }
}

impl Document for Friendship {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        key::key(&[self.first.as_str(), self.second.as_str()])
    }

    fn keys(&self) -> Vec<Option<String>> {
        let side = |one: &UserId| {
            self.relation(one).map(|relation| key::key(&[one.as_str(), relation.tag(), self.other(one).as_str()]))
        };
        vec![side(&self.first), side(&self.second)]
    }
}

/// What is done with friendships.
pub trait Friendships: Collections {
    /// What is between two users; none where there never was anything.
    fn friendship(
        &self,
        a: &UserId,
        b: &UserId,
    ) -> impl Future<Output = Result<Option<Friendship>, StoreError>> + Send {
        async move { Ok(document::get(self, &Friendship::id_of(a, b)).await?.map(|kept| kept.document)) }
    }

    /// Takes a step of one towards another, and tells what is between them then and whether it has changed.
    fn take_step(
        &self,
        one: &UserId,
        other: &UserId,
        step: FriendStep,
        now: Timestamp,
    ) -> impl Future<Output = Result<Result<(Friendship, bool), FriendError>, StoreError>> + Send {
        async move {
            if one == other {
                return Ok(Err(FriendError::Oneself));
            }
            let make = || Friendship::between(one, other, now);
            document::change_or_insert(self, &Friendship::id_of(one, other), make, |friendship| {
                match friendship.step(one, step, now) {
                    Ok(true) => Verdict::Keep(Ok((friendship.clone(), true))),
                    Ok(false) => Verdict::Leave(Ok((friendship.clone(), false))),
                    Err(error) => Verdict::Leave(Err(error)),
                }
            })
            .await
        }
    }

    /// Those to whom a user stands so, in order of their ids.
    fn related(
        &self,
        user: &UserId,
        relation: Relation,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<Friendship>, StoreError>> + Send {
        async move {
            let (from, until) = key::range(&[user.as_str(), relation.tag()]);
            let limit = wish.limit.clamp(1, MAX_PAGE - 1);
            let mut found = Vec::new();
            // The user is the first of some pairs and the second of others; their keys are made alike.
            for index in [BY_FIRST, BY_SECOND] {
                let after = wish.after.as_ref().map(|cursor| cursor.0.clone());
                let (from, until) = (from.clone(), until.clone());
                let query = Query { index: Some(index), from, until, after, descending: false, limit: limit + 1 };
                found.extend(self.list(&COLLECTION, query).await?);
            }
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            let next = (found.len() > limit).then(|| PageCursor(found[limit - 1].0.clone()));
            let documents = found.iter().take(limit).filter_map(|(_, record)| {
                let decoded = document::decoded(record);
                decoded.inspect_err(|error| tracing::warn!(%error, "document does not decode")).ok()
            });
            Ok(DocumentPage { documents: documents.map(|kept| kept.document).collect(), next })
        }
    }
}

impl<S: Collections + ?Sized> Friendships for S {}
