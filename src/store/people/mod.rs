//! What is kept about people: one file a kind of documents, with the trait of what is done with them.
//!
//! | collection | document | trait |
//! |---|---|---|
//! | `users` | [`User`] | [`Users`]: accounts, found by name and e-mail address, both unique |
//! | `credentials` | [`Credential`] | [`Credentials`]: how a user proves who it is |
//! | `sessions` | [`LoginSession`] | [`Sessions`]: log-ins, with the rotation of their refresh tokens |
//! | `friendships` | [`Friendship`] | [`Friendships`]: pairs: requests, friends, blocks |
//! | `private_messages` | [`PrivateMessage`] | [`PrivateMessages`] |
//! | `preferences` | [`Preferences`] | [`PreferenceStore`]: a user's settings of its clients |
//! | `avatars` | [`Avatar`] | [`Avatars`] |
//! | `bans` | [`ServerBan`] | [`Bans`]: of users and networks, from the whole server |
//! | `reports` | [`Report`] | [`Reports`] |
//! | `audit` | [`AuditEntry`] | [`Audit`]: who did what |
//! | `settings` | [`ServerSetting`] | [`SettingStore`]: what an admin changes at run time |
//!
//! Every [`Collections`](crate::store::Collections) has all of these traits. Each write is one document; what takes
//! several says so, and may be repeated until it is whole. [`holdings`] knows what of all this is one user's: to be given
//! to it, or erased. Rooms and their chat are [`Documents`](crate::store::Documents).

mod audit;
mod avatar;
mod ban;
mod credential;
mod friendship;
pub mod holdings;
mod preferences;
mod private_message;
mod report;
mod server_setting;
mod session;
mod user;

use bytes::Bytes;

pub use crate::store::people::{
    audit::{Audit, AuditEntry},
    avatar::{Avatar, Avatars, MAX_AVATAR_BYTES},
    ban::{Bans, ServerBan, Subject},
    credential::{Credential, Credentials, Proof},
    friendship::{FriendError, FriendStep, Friendship, Friendships, Relation},
    preferences::{MAX_PREFERENCES_BYTES, PreferenceStore, Preferences},
    private_message::{PrivateMessage, PrivateMessages},
    report::{Accused, Report, ReportState, ReportStep, Reports},
    server_setting::{ServerSetting, SettingStore},
    session::{LoginSession, MAX_SPENT_TOKENS, Revocation, Rotation, Sessions},
    user::{NewAccount, User, Users},
};
use crate::store::{
    collection::{Collection, Draft},
    document::{self, Document},
};

/// Every collection of people's documents: what a store makes, and what an export goes through.
pub static COLLECTIONS: &[&Collection] = &[
    &user::COLLECTION,
    &credential::COLLECTION,
    &session::COLLECTION,
    &friendship::COLLECTION,
    &private_message::COLLECTION,
    &preferences::COLLECTION,
    &avatar::COLLECTION,
    &ban::COLLECTION,
    &report::COLLECTION,
    &audit::COLLECTION,
    &server_setting::COLLECTION,
];

/// A document of one of these collections as a store takes it, with the keys that it has by what it says.
///
/// # Errors
/// Where it does not decode as one of the collection's.
pub fn redraft(collection: &'static Collection, json: Bytes) -> Result<Draft, String> {
    fn of<T: Document>(json: Bytes) -> Result<Draft, String> {
        let document: T = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        // What a newer server has added stays in it.
        let draft = document::draft(&document).map_err(|error| error.to_string())?;
        Ok(Draft { document: json, ..draft })
    }
    let redraft = match collection.name {
        "users" => of::<User>,
        "credentials" => of::<Credential>,
        "sessions" => of::<LoginSession>,
        "friendships" => of::<Friendship>,
        "private_messages" => of::<PrivateMessage>,
        "preferences" => of::<Preferences>,
        "avatars" => of::<Avatar>,
        "bans" => of::<ServerBan>,
        "reports" => of::<Report>,
        "audit" => of::<AuditEntry>,
        "settings" => of::<ServerSetting>,
        other => return Err(format!("no collection is named {other}")),
    };
    redraft(json)
}
