//! What users report to the moderators.

use std::future::Future;

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

const BY_STATE: &str = "by_state";
pub(super) const BY_REPORTER: &str = "by_reporter";
const BY_ACCUSED: &str = "by_accused";

pub(super) static COLLECTION: Collection = Collection {
    name: "reports",
    indexes: &[
        Index { name: BY_STATE, is_unique: false },
        Index { name: BY_REPORTER, is_unique: false },
        Index { name: BY_ACCUSED, is_unique: false },
    ],
};

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its id, by chance.
    pub id: String,
    /// Who reports.
    pub by: UserId,
    /// What.
    pub accused: Accused,
    /// Why: a word of a list.
    pub reason: String,
    /// In the reporter's words; may be empty.
    #[serde(default)]
    pub words: String,
    /// When.
    pub since: Timestamp,
    /// How far it is.
    pub state: ReportState,
}

/// What is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accused {
    /// Whom.
    pub user_id: UserId,
    /// The name it had.
    pub username: String,
    /// Where; none where it was nowhere in particular.
    #[serde(default)]
    pub room: Option<String>,
    /// The message, where it is about one; its text as it was, for the message may be gone.
    #[serde(default)]
    pub message: Option<(String, String)>,
}

/// How far a report is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// Nobody has looked at it.
    Open,
    /// A moderator has it.
    Taken {
        /// Who.
        by: UserId,
    },
    /// It is settled.
    Closed {
        /// By whom.
        by: UserId,
        /// When.
        at: Timestamp,
        /// What came of it.
        verdict: String,
    },
}

impl ReportState {
    /// The state's word, as lists ask for it.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Taken { .. } => "taken",
            Self::Closed { .. } => "closed",
        }
    }
}

/// What a moderator does with a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportStep {
    /// Take it: also from another moderator.
    Take,
    /// Give it back.
    Release,
    /// Settle it, with what comes of it.
    Close(String),
}

impl Document for Report {
    const COLLECTION: &'static Collection = &COLLECTION;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn keys(&self) -> Vec<Option<String>> {
        let since = key::time(self.since);
        vec![
            Some(key::key(&[self.state.tag(), &since])),
            Some(key::key(&[self.by.as_str(), &since])),
            Some(key::key(&[self.accused.user_id.as_str(), &since])),
        ]
    }
}

/// What is done with reports.
pub trait Reports: Collections {
    /// Keeps a report; repeated with the same, it is done.
    fn file_report(&self, report: &Report) -> impl Future<Output = Result<(), StoreError>> + Send {
        async move { document::insert(self, report).await.map(drop) }
    }

    /// The report of this id.
    fn report(&self, id: &str) -> impl Future<Output = Result<Option<Kept<Report>>, StoreError>> + Send {
        document::get(self, id)
    }

    /// Takes a moderator's step, and gives the report as it is then; none where there is none, or it is closed, which is
    /// for good.
    fn advance_report(
        &self,
        id: &str,
        step: &ReportStep,
        by: &UserId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Report>, StoreError>> + Send {
        async move {
            let advanced = document::change(self, id, |report: &mut Report| {
                if matches!(report.state, ReportState::Closed { .. }) {
                    return Verdict::Leave(None);
                }
                report.state = match step {
                    ReportStep::Take => ReportState::Taken { by: by.clone() },
                    ReportStep::Release => ReportState::Open,
                    ReportStep::Close(verdict) => {
                        ReportState::Closed { by: by.clone(), at: now, verdict: verdict.clone() }
                    }
                };
                Verdict::Keep(Some(report.clone()))
            });
            Ok(advanced.await?.flatten())
        }
    }

    /// Reports in a state, by its word, oldest first.
    fn reports(
        &self,
        state: &str,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<Report>, StoreError>> + Send {
        async move { document::page(self, Some(BY_STATE), &[state], wish, false).await }
    }

    /// Reports about a user, newest first.
    fn reports_about(
        &self,
        user: &UserId,
        wish: PageWish,
    ) -> impl Future<Output = Result<DocumentPage<Report>, StoreError>> + Send {
        async move { document::page(self, Some(BY_ACCUSED), &[user.as_str()], wish, true).await }
    }
}

impl<S: Collections + ?Sized> Reports for S {}
