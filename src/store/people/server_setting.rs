//! Settings of the whole server that an admin changes while it runs.

use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    protocol::{ids::UserId, time::Timestamp},
    store::{
        StoreError,
        collection::{Collection, Collections},
        document::{self, Document, DocumentPage, Kept, PageWish, Verdict},
    },
};

pub(super) static COLLECTION: Collection = Collection { name: "settings", indexes: &[] };

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSetting {
    /// Its name.
    pub name: String,
    /// Its value; what reads it knows its form.
    pub value: Value,
    /// Who set it; none: the command line.
    #[serde(default)]
    pub by: Option<UserId>,
    /// When.
    pub changed: Timestamp,
}

impl Document for ServerSetting {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        Vec::new()
    }
}

/// What is done with settings.
pub trait SettingStore: Collections {
    /// A setting; none where nobody has set it.
    fn setting(&self, name: &str) -> impl Future<Output = Result<Option<Kept<ServerSetting>>, StoreError>> + Send {
        document::get(self, name)
    }

    /// Sets a setting; the last write wins. Gives back what it was before.
    fn set_setting(
        &self,
        setting: &ServerSetting,
    ) -> impl Future<Output = Result<Option<ServerSetting>, StoreError>> + Send {
        async move {
            let mut is_new = false;
            let make = || {
                is_new = true;
                setting.clone()
            };
            let before = document::change_or_insert(self, &setting.name, make, |kept: &mut ServerSetting| {
                Verdict::Keep(std::mem::replace(kept, setting.clone()))
            });
            let before = before.await?;
            Ok((!is_new).then_some(before))
        }
    }

    /// Sets a setting back to its default; tells whether it was set.
    fn unset_setting(&self, name: &str) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move { self.delete(&COLLECTION, name, None).await }
    }

    /// All settings that somebody has set, in order of their names.
    fn settings(&self, wish: PageWish) -> impl Future<Output = Result<DocumentPage<ServerSetting>, StoreError>> + Send {
        document::page(self, None, &[], wish, false)
    }
}

impl<S: Collections + ?Sized> SettingStore for S {}
