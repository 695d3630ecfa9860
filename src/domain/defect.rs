//! Defects on purpose, for the simulation: places where the server misbehaves when it is told to. They show that the simulation
//! finds what it is for.
//!
//! Only with the feature `simulation`, which nothing that is shipped has: without it there is nothing of them in what is built.

#[cfg(feature = "simulation")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Defect>> = const { std::cell::Cell::new(None) };
}

macro_rules! defects {
    ($($(#[doc = $what:literal])* $name:ident;)*) => {
        /// What the server does wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Defect { $($(#[doc = $what])* $name,)* }

        impl Defect {
            /// Every defect there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What goes wrong.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($what),*),)* }
            }
        }
    };
}

defects! {
    /// Who leaves a room of its own will goes on holding its notes.
    ForgetHeldAtLeaving;
    /// The messages in which a room lets go of notes do not count in their sender's sequence.
    SilenceOutOfSequence;
    /// A connection that moves loses what of its input waits.
    DropInputAtMove;
    /// A connection that moves loses what it was to be sent.
    DropOutboxAtMove;
    /// What finds that its connection has gone to another shard is not sent after it.
    LoseForwarded;
    /// Who asks for a change is answered before it is kept.
    AnswerBeforeCommit;
    /// The number of who leaves last is given again.
    ReuseParticipant;
    /// The crown of an owner who stays away is not passed on.
    KeepCrown;
    /// A hand-off that found no place is answered twice.
    AnswerHandOffTwice;
    /// A room that fails at notes does not let go of those that end.
    LoseReleasesAtPanic;
    /// Who falls behind is not told what it has missed.
    TellNoGap;
    /// What a connection has missed is not counted when it moves.
    CountNoShedAtMove;
    /// A member that a room calls back from a branch loses what it has said last.
    LoseSaidAtRecall;
    /// The members of a branch are not told what they have missed.
    TellNoGapAway;
    /// What a room keeps for a member on its way back is lost.
    LoseKeptAtReturn;
}

/// Has this thread's server do something wrong, or nothing.
#[cfg(feature = "simulation")]
pub fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

/// Whether this thread's server does that wrong.
#[cfg(feature = "simulation")]
pub fn is_planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Nothing is done wrong on purpose.
#[cfg(not(feature = "simulation"))]
#[inline(always)]
pub const fn is_planted(_: Defect) -> bool {
    false
}
