//! What can go wrong with a store, split by what its caller can do about it.

use thiserror::Error;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was done: the queue was full, or the request waited in it past its deadline. Try again after a
    /// moment, or answer `SERVER_BUSY`.
    #[error("the store is busy")]
    Busy,
    /// No answer came in time. It may be done all the same: repeat only what may be done twice.
    #[error("the store did not answer in time")]
    TimedOut,
    /// The store is away or has failed. Go on without it, and repeat what must not be lost: a change that was under
    /// way when it failed may be there already.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store has reached its bound; what is there may still be read, replaced and deleted.
    #[error("the store is full: it holds {held} of at most {limit} {unit}")]
    Full {
        /// How many there are.
        held: usize,
        /// How many there may be.
        limit: usize,
        /// What is counted: `entries` or `bytes`.
        unit: &'static str,
    },
    /// Another document has this already, and only one may: what the name says (`id`, or an index's name). Nothing was done.
    #[error("another document has this {what} already")]
    Taken {
        /// What both would have.
        what: &'static str,
    },
    /// The document is not what the caller took it for: somebody changed or deleted it meanwhile. Nothing was done; read
    /// it again.
    #[error("the document was changed meanwhile")]
    Conflict,
    /// A key or a value is longer than the store takes. Repeating does not help.
    #[error("a {what} of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// What is too long: `key`, `value`, `member`, …
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A document is nested deeper than the store takes. Repeating does not help.
    #[error("a document nested {depth} deep is over the limit of {limit}")]
    TooDeep {
        /// How deep it is.
        depth: usize,
        /// How deep it may be.
        limit: usize,
    },
    /// The key holds another kind of value than the operation needs: a defect of the caller.
    #[error("`{0}` holds another kind of value")]
    WrongKind(String),
    /// What is stored does not decode. Repeating does not help; the rest of the store can be used.
    #[error("what is stored as `{key}` does not decode: {detail}")]
    Corrupt {
        /// Under what it is stored.
        key: String,
        /// What the decoder said.
        detail: String,
    },
    /// The store was written by a newer server than this one.
    #[error(
        "the store has schema version {found} and this server knows versions up to {supported}: run a newer server"
    )]
    Incompatible {
        /// The version in the store.
        found: u64,
        /// The newest version that this server reads.
        supported: u64,
    },
}
