//! A list of many that snapshots share.

use std::{
    ops::{Index, IndexMut},
    rc::Rc,
};

use crate::domain::room::shared::Shared;

/// Entries that lie, and are copied, together.
const CHUNK: usize = 64;

/// A list in order whose copy costs a reference for each chunk of [`CHUNK`] entries. A change to one entry copies the references of
/// its chunk and that entry, where a snapshot has them, too; the others stay shared. So neither joining nor chatting costs a
/// crowd what all of its members weigh.
#[derive(Clone, Debug)]
pub(super) struct Roll<T> {
    chunks: Vec<Rc<Vec<Shared<T>>>>,
    /// Where each chunk ends: entries in it and before it.
    ends: Vec<usize>,
}

impl<T: Clone> Roll<T> {
    /// Nobody.
    pub fn new() -> Self {
        Self { chunks: Vec::new(), ends: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The first.
    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|entry| &**entry))
    }

    /// All from one place on, in order.
    pub fn iter_from(&self, at: usize) -> impl Iterator<Item = &T> {
        let (chunk, within) = if at < self.len() { self.locate(at) } else { (self.chunks.len(), 0) };
        self.chunks[chunk..].iter().flat_map(|chunk| chunk.iter().map(|entry| &**entry)).skip(within)
    }

    /// Where the first is of which this holds.
    pub fn position(&self, holds: impl Fn(&T) -> bool) -> Option<usize> {
        self.iter().position(holds)
    }

    /// Adds one at the end.
    pub fn push(&mut self, entry: T) {
        let end = self.len() + 1;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => {
                Rc::make_mut(chunk).push(Shared::new(entry));
                *self.ends.last_mut().expect("each chunk has an end") = end;
            }
            None => {
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 4 } else { CHUNK });
                chunk.push(Shared::new(entry));
                self.chunks.push(Rc::new(chunk));
                self.ends.push(end);
            }
        }
    }

    /// Takes one out; those after it close up.
    ///
    /// # Panics
    /// Where there is none.
    pub fn remove(&mut self, at: usize) -> Shared<T> {
        let (chunk, within) = self.locate(at);
        let entry = Rc::make_mut(&mut self.chunks[chunk]).remove(within);
        self.ends[chunk..].iter_mut().for_each(|end| *end -= 1);
        if self.chunks[chunk].is_empty() {
            self.chunks.remove(chunk);
            self.ends.remove(chunk);
            return entry;
        }
        // Else a few who stay for long would keep a chunk each.
        let is_slight = |left: &usize| {
            let right = self.chunks.get(left + 1).map_or(CHUNK, |chunk| chunk.len());
            self.chunks[*left].len() + right <= CHUNK / 2
        };
        if let Some(left) = [chunk.saturating_sub(1), chunk].into_iter().find(is_slight) {
            let right = self.chunks.remove(left + 1);
            self.ends.remove(left);
            Rc::make_mut(&mut self.chunks[left]).extend(right.iter().cloned());
        }
        entry
    }

    /// The place of the first of which this does not hold, where it holds of all before it and of none from there on.
    pub fn partition_point(&self, holds: impl Fn(&T) -> bool) -> usize {
        // A chunk is never empty.
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| holds(last)));
        let Some(entries) = self.chunks.get(chunk) else { return self.len() };
        self.ends[chunk] - entries.len() + entries.partition_point(|entry| holds(entry))
    }

    fn locate(&self, at: usize) -> (usize, usize) {
        let chunk = if self.chunks.len() == 1 { 0 } else { self.ends.partition_point(|&end| end <= at) };
        (chunk, at + self.chunks[chunk].len() - self.ends[chunk])
    }
}

impl<T: Clone> Index<usize> for Roll<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        let (chunk, within) = self.locate(at);
        &self.chunks[chunk][within]
    }
}

impl<T: Clone> IndexMut<usize> for Roll<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        let (chunk, within) = self.locate(at);
        &mut Rc::make_mut(&mut self.chunks[chunk])[within]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roll_of(numbers: impl IntoIterator<Item = u32>) -> Roll<u32> {
        let mut roll = Roll::new();
        numbers.into_iter().for_each(|number| roll.push(number));
        roll
    }

    #[test]
    fn a_snapshot_keeps_what_it_had_and_shares_what_nobody_changes() {
        let mut roll = roll_of(0..1000);
        let snapshot = roll.clone();
        roll[500] = 7;
        roll.remove(900);
        assert_eq!((roll[500], roll.len()), (7, 999));
        assert!(snapshot.iter().copied().eq(0..1000));
        let shared = |at: usize| std::ptr::eq(&raw const roll[at], &raw const snapshot[at]);
        assert!(shared(499) && shared(0) && !shared(500));
        let copied = roll.chunks.iter().zip(&snapshot.chunks).filter(|(one, other)| !Rc::ptr_eq(one, other));
        assert_eq!(copied.count(), 2);
    }

    #[test]
    fn who_stays_for_long_keeps_no_chunk_of_its_own() {
        let mut roll = roll_of(0..64 * 100);
        for at in 0..100 {
            // All of its chunk but one.
            (0..63).for_each(|_| drop(roll.remove(at)));
        }
        assert_eq!(roll.len(), 100);
        assert!(roll.chunks.len() <= 7, "{}", roll.chunks.len());
    }

    proptest! {
        #[test]
        fn it_is_a_list(steps in prop::collection::vec((0..10_u8, any::<u32>()), 0..1500)) {
            let (mut roll, mut list) = (Roll::new(), Vec::new());
            for (number, (step, at)) in steps.into_iter().enumerate() {
                let number = number as u32;
                let at = at as usize % list.len().max(1);
                match step {
                    0..=5 => {
                        roll.push(number);
                        list.push(number);
                    }
                    6 | 7 if !list.is_empty() => prop_assert_eq!(*roll.remove(at), list.remove(at)),
                    8 if !list.is_empty() => prop_assert_eq!(roll[at], list[at]),
                    _ => {
                        let point = list.partition_point(|entry| *entry < number / 2);
                        prop_assert_eq!(roll.partition_point(|entry| *entry < number / 2), point);
                        prop_assert!(roll.iter_from(point).eq(&list[point..]));
                    }
                }
                prop_assert_eq!(roll.len(), list.len());
            }
            prop_assert!(roll.iter().eq(&list));
        }
    }
}
