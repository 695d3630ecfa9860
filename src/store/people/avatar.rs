//! Users' pictures.

use std::{fmt, future::Future};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections},
        document::{self, Document, Verdict},
        state::check_length,
    },
};

/// The most bytes of a picture.
pub const MAX_AVATAR_BYTES: usize = 512 * 1024;

pub(super) static COLLECTION: Collection = Collection { name: "avatars", indexes: &[] };

/// A user's picture, as the server has encoded it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avatar {
    /// Whose.
    pub user_id: UserId,
    /// `image/…`.
    pub media_type: String,
    /// Another for other pictures, for caches.
    pub etag: String,
    /// The picture.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub bytes: Bytes,
    /// Since when it is this.
    pub since: Timestamp,
}

impl fmt::Debug for Avatar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Avatar({} of {}, {}, {} bytes)", self.etag, self.user_id, self.media_type, self.bytes.len())
    }
}

fn to_base64<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map(Bytes::from).map_err(D::Error::custom)
}

impl Document for Avatar {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.user_id.as_str().into()
    }

    fn keys(&self) -> Vec<Option<String>> {
        Vec::new()
    }
}

/// What is done with pictures. The user's [`avatar`](super::User::avatar) says which it has: it is set after this.
pub trait Avatars: Collections {
    /// A user's picture.
    fn avatar(&self, user: &UserId) -> impl Future<Output = Result<Option<Avatar>, StoreError>> + Send {
        async move { Ok(document::get(self, user.as_str()).await?.map(|kept| kept.document)) }
    }

    /// Sets a user's picture; the last write wins.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] past [`MAX_AVATAR_BYTES`].
    fn set_avatar(&self, avatar: &Avatar) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move {
            check_length("picture", avatar.bytes.len(), MAX_AVATAR_BYTES)?;
            document::change_or_insert(
                self,
                avatar.user_id.as_str(),
                || avatar.clone(),
                |kept: &mut Avatar| {
                    *kept = avatar.clone();
                    Verdict::Keep(())
                },
            )
            .await
        }
    }

    /// Takes a user's picture away; tells whether there was one.
    fn remove_avatar(&self, user: &UserId) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move { self.delete(&COLLECTION, user.as_str(), None).await }
    }
}

impl<S: Collections + ?Sized> Avatars for S {}
