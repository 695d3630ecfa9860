//! The numbers of one player's notes as one listener hears them: what is missing, came twice, or came late.

/// How many holes are kept open for notes that may come yet; beyond it the oldest counts as lost for good.
const MAX_HOLES: usize = 64;

/// What a note's number says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing is missing before it.
    InOrder,
    /// Some before it have not come: so many.
    Ahead(u32),
    /// It was missing, and comes after a later one.
    Reordered,
    /// It has come before.
    Doubled,
}

/// What has come so far. Numbers go from 1 upwards.
#[derive(Clone, Debug, Default)]
pub struct Sequence {
    /// The highest number heard, or excused.
    last: u32,
    /// Numbers below it that have not come. Nearly always none, so that it costs a pointer.
    holes: Option<Box<Holes>>,
}

/// Numbers that have not come, as ranges, oldest first.
#[derive(Clone, Debug, Default)]
struct Holes(Vec<(u32, u32)>);

impl Sequence {
    /// Begins behind this number: for those who come in the middle.
    pub fn after(last: u32) -> Self {
        Self { last, holes: None }
    }

    /// Takes a number.
    pub fn take(&mut self, number: u32) -> Arrival {
        if number == self.last.wrapping_add(1) {
            self.last = number;
            return Arrival::InOrder;
        }
        if number > self.last {
            let missing = number - self.last - 1;
            let Holes(holes) = &mut **self.holes.get_or_insert_default();
            if holes.len() == MAX_HOLES {
                holes.remove(0);
            }
            holes.push((self.last + 1, number));
            self.last = number;
            return Arrival::Ahead(missing);
        }
        if self.fill(number) { Arrival::Reordered } else { Arrival::Doubled }
    }

    /// The server says that it shed all up to this number, which comes next. Returns how many those are.
    pub fn skip_to(&mut self, next: u32) -> u32 {
        let shed = next.saturating_sub(1).saturating_sub(self.last);
        self.last += shed;
        shed
    }

    /// The highest number so far.
    pub fn last(&self) -> u32 {
        self.last
    }

    fn fill(&mut self, number: u32) -> bool {
        let Some(Holes(holes)) = self.holes.as_deref_mut() else { return false };
        let Some(at) = holes.iter().position(|(from, to)| (*from..*to).contains(&number)) else { return false };
        let (from, to) = holes.remove(at);
        for part in [(number + 1, to), (from, number)] {
            if part.0 < part.1 {
                holes.insert(at, part);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(numbers: &[u32]) -> Vec<Arrival> {
        let mut sequence = Sequence::default();
        numbers.iter().map(|number| sequence.take(*number)).collect()
    }

    #[test]
    fn in_order_is_nothing_special() {
        assert_eq!(taken(&[1, 2, 3]), [Arrival::InOrder; 3]);
        assert_eq!(Sequence::after(7).take(8), Arrival::InOrder);
    }

    #[test]
    fn a_doubled_note_is_told_from_one_that_comes_late() {
        use Arrival::{Ahead, Doubled, InOrder, Reordered};
        assert_eq!(taken(&[1, 1]), [InOrder, Doubled]);
        assert_eq!(
            taken(&[1, 5, 3, 3, 2, 4, 4, 5, 6]),
            [InOrder, Ahead(3), Reordered, Doubled, Reordered, Reordered, Doubled, Doubled, InOrder]
        );
    }

    #[test]
    fn what_the_server_says_it_shed_is_excused() {
        let mut sequence = Sequence::after(4);
        assert_eq!(sequence.skip_to(9), 4);
        assert_eq!(sequence.take(9), Arrival::InOrder);
        assert_eq!(sequence.skip_to(3), 0);
        assert_eq!(sequence.last(), 9);
    }

    proptest! {
        #[test]
        fn every_note_that_comes_counts_once_whatever_the_order(order in Just((1..=40u32).collect::<Vec<_>>()).prop_shuffle()) {
            let mut sequence = Sequence::default();
            let arrivals: Vec<_> = order.iter().map(|number| sequence.take(*number)).collect();
            prop_assert!(!arrivals.contains(&Arrival::Doubled));
            let missing: u32 = arrivals.iter().map(|arrival| match arrival { Arrival::Ahead(missing) => *missing, _ => 0 }).sum();
            let late = arrivals.iter().filter(|arrival| **arrival == Arrival::Reordered).count();
            prop_assert_eq!(missing as usize, late);
            prop_assert!(order.iter().all(|number| sequence.take(*number) == Arrival::Doubled));
        }
    }
}
