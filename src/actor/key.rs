//! What tells the actors of one kind apart.

use std::{borrow::Cow, fmt::Debug, hash::Hash, sync::Arc};

use crate::actor::placement::shard_of;

/// The key of an actor within its kind: `()` for singletons, a name or a number for the rest.
pub trait Key: Clone + Eq + Hash + Debug + Send + 'static {
    /// The key as people read it, in logs and addresses. Two keys of a kind have two texts.
    fn text(&self) -> Cow<'_, str>;

    /// The key of this text; none where there can be no such key.
    fn parse(text: &str) -> Option<Self>;

    /// Which of `hosts` places it lives on, from 0. The same in every process.
    fn home(&self, hosts: usize) -> usize {
        shard_of(&self.text(), hosts)
    }
}

impl Key for () {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn parse(text: &str) -> Option<Self> {
        text.is_empty().then_some(())
    }
}

impl Key for u64 {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Key for String {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Key for Arc<str> {
    fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// The key of an actor of which each host of its kind has one: the host's place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(pub usize);

impl Key for Place {
    fn text(&self) -> Cow<'_, str> {
        Cow::Owned(self.0.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    /// A place past the last is the last.
    fn home(&self, hosts: usize) -> usize {
        self.0.min(hosts.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<K: Key>(key: K) {
        assert_eq!(K::parse(&key.text()), Some(key));
    }

    #[test]
    fn a_key_comes_back_from_its_text() {
        comes_back(());
        comes_back(17u64);
        comes_back("jazz".to_owned());
        comes_back(Place(3));
        assert_eq!(Place::parse("x"), None);
        comes_back::<Arc<str>>("jazz".into());
        assert_eq!(<()>::parse("x"), None);
        assert_eq!(u64::parse("x"), None);
    }

    #[test]
    fn a_key_lives_where_its_text_does() {
        for n in 0..50u64 {
            assert_eq!(n.home(3), n.to_string().home(3));
        }
        assert!((0..50u64).any(|n| n.home(3) == 2));
        assert_eq!([0, 1, 2, 9].map(|n| Place(n).home(3)), [0, 1, 2, 2]);
    }
}
