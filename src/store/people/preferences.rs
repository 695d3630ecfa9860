//! A user's settings of its clients: names and values that the server keeps and does not read.

use std::{collections::BTreeMap, future::Future};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections},
        document::{self, Document, Verdict},
        state::check_length,
    },
};

/// The most bytes that a user's settings take, as JSON.
pub const MAX_PREFERENCES_BYTES: usize = 64 * 1024;

pub(super) static COLLECTION: Collection = Collection { name: "preferences", indexes: &[] };

/// A user's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// Whose.
    pub user_id: UserId,
    /// By names that clients choose: they may be any text.
    pub values: BTreeMap<String, Value>,
    /// When they were last changed.
    pub changed: Timestamp,
}

impl Document for Preferences {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.user_id.as_str().into()
    }

    fn keys(&self) -> Vec<Option<String>> {
        Vec::new()
    }
}

/// What is done with users' settings.
pub trait PreferenceStore: Collections {
    /// A user's settings; none where it never set any.
    fn preferences(&self, user: &UserId) -> impl Future<Output = Result<Option<Preferences>, StoreError>> + Send {
        async move { Ok(document::get(self, user.as_str()).await?.map(|kept| kept.document)) }
    }

    /// Sets some of a user's settings, and takes out those that are null; the last write wins. Gives them all back.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] where they would take more than [`MAX_PREFERENCES_BYTES`].
    fn set_preferences(
        &self,
        user: &UserId,
        values: &BTreeMap<String, Value>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Preferences, StoreError>> + Send {
        async move {
            let make = || Preferences { user_id: user.clone(), values: BTreeMap::new(), changed: now };
            document::change_or_insert(self, user.as_str(), make, |preferences: &mut Preferences| {
                for (name, value) in values {
                    match value {
                        Value::Null => drop(preferences.values.remove(name)),
                        value => drop(preferences.values.insert(name.clone(), value.clone())),
                    }
                }
                preferences.changed = now;
                let bytes = serde_json::to_vec(&preferences.values).map_or(usize::MAX, |json| json.len());
                match check_length("set of preferences", bytes, MAX_PREFERENCES_BYTES) {
                    Ok(()) => Verdict::Keep(Ok(preferences.clone())),
                    Err(error) => Verdict::Leave(Err(error)),
                }
            })
            .await?
        }
    }
}

impl<S: Collections + ?Sized> PreferenceStore for S {}
