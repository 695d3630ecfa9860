//! What is agreed on with a supervisor: who is restarted with whom, after which ends, and how children are stopped.

use std::{fmt, time::Duration};

/// Who is restarted when a child has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// That child alone.
    #[default]
    OneForOne,
    /// All children: the others are stopped right to left, then all are started left to right.
    OneForAll,
    /// That child and those at its right, which were started after it.
    RestForOne,
}

/// After which ends a child is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// After any.
    #[default]
    Permanent,
    /// After failures only. As in OTP, one that has ended well is started again where a sibling's failure restarts all
    /// or the rest.
    Transient,
    /// Never, also not with its siblings: it is forgotten when it ends.
    Temporary,
}

impl Restart {
    /// Whether a child of this kind is restarted after such an end.
    pub fn follows(self, ended: &Ended) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => matches!(ended, Ended::Failed(_)),
            Self::Temporary => false,
        }
    }
}

/// How somebody has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, its work done.
    Normal,
    /// Because it was told to.
    Shutdown,
    /// By a panic, a fatal error, a start that failed or took too long, or by force; with the cause.
    Failed(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("ended normally"),
            Self::Shutdown => f.write_str("was shut down"),
            Self::Failed(cause) => write!(f, "failed: {cause}"),
        }
    }
}

/// How long a child that is told to stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopLimit {
    /// No time: it is killed without being told.
    Brutal,
    /// So long, then it is killed.
    Within(Duration),
    /// As long as it takes. Meant for supervisors, whose children have limits of their own.
    Unlimited,
}

impl Default for StopLimit {
    /// 5 seconds.
    fn default() -> Self {
        Self::Within(Duration::from_secs(5))
    }
}
