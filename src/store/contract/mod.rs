//! What every implementation of a store must do, as tests that a new one only has to call.
//!
//! [`state_contract!`](crate::store::state_contract), [`documents_contract!`](crate::store::documents_contract),
//! [`collections_contract!`](crate::store::collections_contract) and
//! [`people_contract!`](crate::store::people_contract) make one `#[tokio::test]` a case. They take the path
//! of an async function that makes a fresh, empty store: a pair of the store (behind a pointer) and whatever must
//! outlive it, or none where what it needs is missing, which is then for that function to say. Compiled for tests, and with the feature `contract` for other crates.

pub mod collections;
pub mod documents;
pub mod people;
pub mod state;

/// What a contract's function gives: a store and what must outlive it.
pub trait Given {
    /// The store, behind a pointer.
    type Store;
    /// What must outlive it.
    type Kept;

    /// Both, where there is one.
    fn given(self) -> Option<(Self::Store, Self::Kept)>;
}

impl<S, K> Given for (S, K) {
    type Store = S;
    type Kept = K;

    fn given(self) -> Option<(S, K)> {
        Some(self)
    }
}

impl<S, K> Given for Option<(S, K)> {
    type Store = S;
    type Kept = K;

    fn given(self) -> Option<(S, K)> {
        self
    }
}
