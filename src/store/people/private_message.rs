//! Private messages, and which of them wait for their recipients.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections, Index},
        document::{self, Document, DocumentPage, PageWish, Verdict},
        key,
    },
};

const WAITING: &str = "waiting";
const CONVERSATION: &str = "conversation";
pub(super) const BY_SENDER: &str = "by_sender";
pub(super) const BY_RECIPIENT: &str = "by_recipient";

pub(super) static COLLECTION: Collection = Collection {
    name: "private_messages",
    indexes: &[
        Index { name: WAITING, is_unique: false },
        Index { name: CONVERSATION, is_unique: false },
        Index { name: BY_SENDER, is_unique: false },
        Index { name: BY_RECIPIENT, is_unique: false },
    ],
};

/// A private message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateMessage {
    /// Its id, by chance.
    pub id: String,
    /// Who says it.
    pub from: UserId,
    /// The sender's name at the time.
    pub from_name: String,
    /// To whom.
    pub to: UserId,
    /// What; normalised as chat is.
    pub text: String,
    /// When it was sent.
    pub sent: Timestamp,
    /// When a connection of the recipient's had it. Until then it waits: for one who is away, or not to be disturbed.
    #[serde(default)]
    pub delivered: Option<Timestamp>,
}

impl Document for PrivateMessage {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        let (from, to, sent) = (self.from.as_str(), self.to.as_str(), key::time(self.sent));
        let (first, second) = if from <= to { (from, to) } else { (to, from) };
        vec![
            self.delivered.is_none().then(|| key::key(&[to, &sent])),
            Some(key::key(&[first, second, &sent])),
            Some(key::key(&[from, &sent])),
            Some(key::key(&[to, &sent])),
        ]
    }
}

/// What is done with private messages.
pub trait PrivateMessages: Collections {
    /// Keeps a message; repeated with the same, it is done.
    fn keep_message(&self, message: &PrivateMessage) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            match document::insert(self, message).await {
                // A repetition that was delivered in the meantime.
                Err(StoreError::Taken { what: "id" }) => {
                    let kept = document::get::<PrivateMessage>(self, &message.id).await?;
                    let is_same = kept.is_some_and(|kept| {
                        PrivateMessage { delivered: message.delivered, ..kept.document } == *message
                    });
                    if is_same { Ok(()) } else { Err(StoreError::Taken { what: "id" }) }
                }
                written => written.map(drop),
            }
        }
    }

    /// What waits for a user, oldest first.
    fn waiting_messages(
        &self,
        to: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<PrivateMessage>, StoreError>> + Send {
        async move { document::page(self, Some(WAITING), &[to.as_str()], wish, false).await }
    }

    /// Notes that its recipient has had a message; tells whether it waited until now.
    fn delivered(&self, id: &str, now: Timestamp) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move {
            let noted = document::change(self, id, |message: &mut PrivateMessage| {
                if message.delivered.is_some() {
                    return Verdict::Leave(false);
                }
                message.delivered = Some(now);
                Verdict::Keep(true)
            });
            Ok(noted.await?.unwrap_or(false))
        }
    }

    /// What two users have said to each other, newest first.
    fn conversation(
        &self,
        a: &UserId,
        b: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<PrivateMessage>, StoreError>> + Send {
        async move {
            let (first, second) = if a <= b { (a, b) } else { (b, a) };
            document::page(self, Some(CONVERSATION), &[first.as_str(), second.as_str()], wish, true).await
        }
    }
}

impl<S: Collections + ?Sized> PrivateMessages for S {}
