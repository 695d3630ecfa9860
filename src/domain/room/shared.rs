//! What a room and its snapshots share until one of them changes it.

use std::{
    ops::{Deref, DerefMut},
    rc::Rc,
};

/// A value that is copied when it is changed while a snapshot has it, too, and not before. Reading it is reading it; a snapshot of a
/// room of thousands counts references instead of copying names, and a decision copies the one member that it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared<T>(Rc<T>);

impl<T> Shared<T> {
    /// A value that nobody shares yet.
    pub fn new(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_keeps_what_it_had_and_shares_what_nobody_changes() {
        let mut members = vec![Shared::new(String::from("Clara")), Shared::new(String::from("Robert"))];
        let snapshot = members.clone();
        members[0].push_str(" Wieck");
        assert_eq!((members[0].as_str(), snapshot[0].as_str()), ("Clara Wieck", "Clara"));
        assert!(std::ptr::eq(&*members[1], &*snapshot[1]));
    }
}
