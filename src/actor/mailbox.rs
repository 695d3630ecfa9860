//! The queue before an actor: bounded, in two lanes. Pure.

use std::collections::VecDeque;

use crate::actor::envelope::Priority;

/// What a full mailbox does with one message more. Each lane is bounded by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Gives it back to its sender.
    #[default]
    Refuse,
    /// Drops the oldest message of the lane, and takes it.
    DropOldest,
    /// Drops it; the sender goes on as if it had been taken.
    DropNewest,
    /// Keeps it beside the mailbox, and has its sender rest until there is a place.
    BackPressure,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It waits.
    Taken,
    /// It waits, and this one had to go.
    DroppedOldest(T),
    /// It was dropped.
    DroppedNewest(T),
    /// It waits beside the mailbox.
    Parked,
    /// It comes back.
    Refused(T),
}

/// Which end a message was put at, to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceTaken {
    /// The end of a lane.
    Lane(Priority),
    /// The end of those beside the mailbox.
    Beside,
}

/// A mailbox. Empty it owns no memory but itself.
#[derive(Debug)]
pub struct Mailbox<T> {
    control: VecDeque<T>,
    data: VecDeque<T>,
    /// Beside the mailbox, for back-pressure: bounded by the senders, who rest while they have one here.
    parked: VecDeque<T>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { control: VecDeque::new(), data: VecDeque::new(), parked: VecDeque::new() }
    }
}

impl<T> Mailbox<T> {
    /// Adds a message, where its lane holds fewer than `capacity`.
    pub fn push(&mut self, priority: Priority, message: T, capacity: usize, overflow: Overflow) -> Pushed<T> {
        let has_room = self.has_room(priority, capacity);
        let lane = match priority {
            Priority::Control => &mut self.control,
            Priority::Data => &mut self.data,
        };
        if has_room {
            lane.push_back(message);
            return Pushed::Taken;
        }
        match overflow {
            Overflow::Refuse => Pushed::Refused(message),
            Overflow::DropNewest => Pushed::DroppedNewest(message),
            Overflow::DropOldest => match lane.pop_front() {
                Some(oldest) => {
                    lane.push_back(message);
                    Pushed::DroppedOldest(oldest)
                }
                None => Pushed::DroppedNewest(message),
            },
            // Control messages are few and must not wait behind data.
            Overflow::BackPressure if priority == Priority::Control => Pushed::Refused(message),
            Overflow::BackPressure => {
                self.parked.push_back(message);
                Pushed::Parked
            }
        }
    }

    /// Whether a lane that holds fewer than `capacity` takes one more, behind nothing that waits beside it.
    #[inline]
    pub fn has_room(&self, priority: Priority, capacity: usize) -> bool {
        match priority {
            Priority::Control => self.control.len() < capacity,
            Priority::Data => self.data.len() < capacity && self.parked.is_empty(),
        }
    }

    /// Adds a message whose place was promised when it was asked for: an answer, or what the actor sends itself by time.
    pub fn push_promised(&mut self, priority: Priority, message: T) {
        match priority {
            Priority::Control => self.control.push_back(message),
            Priority::Data => self.data.push_back(message),
        }
    }

    /// Puts messages back before all others of the data lane, in their order.
    pub fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = T>) {
        for message in messages.rev() {
            self.data.push_front(message);
        }
    }

    /// Takes out the message that was put in last at that place: its sender failed, and what it sent is not to be.
    pub fn take_back(&mut self, place: PlaceTaken) -> Option<T> {
        match place {
            PlaceTaken::Lane(Priority::Control) => self.control.pop_back(),
            PlaceTaken::Lane(Priority::Data) => self.data.pop_back(),
            PlaceTaken::Beside => self.parked.pop_back(),
        }
    }

    /// The next message: control before data.
    pub fn pop(&mut self) -> Option<T> {
        self.control.pop_front().or_else(|| self.data.pop_front())
    }

    /// The next control message.
    pub fn pop_control(&mut self) -> Option<T> {
        self.control.pop_front()
    }

    /// The message that [`pop`](Self::pop) would give.
    pub fn peek(&self) -> Option<&T> {
        self.control.front().or_else(|| self.data.front())
    }

    /// Moves a parked message in, where there is a place. The caller lets its sender go on.
    pub fn unpark(&mut self, capacity: usize) -> Option<&T> {
        if self.data.len() >= capacity {
            return None;
        }
        let message = self.parked.pop_front()?;
        self.data.push_back(message);
        self.data.back()
    }

    /// Whether a parked message satisfies this.
    pub fn has_parked(&self, is: impl Fn(&T) -> bool) -> bool {
        self.parked.iter().any(is)
    }

    /// Takes out the data messages that satisfy this, in order.
    pub fn extract(&mut self, is: impl Fn(&T) -> bool) -> Vec<T> {
        let (taken, kept): (VecDeque<T>, VecDeque<T>) = std::mem::take(&mut self.data).into_iter().partition(is);
        self.data = kept;
        taken.into()
    }

    /// Everything, control first, parked last.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        let (control, data) = (std::mem::take(&mut self.control), std::mem::take(&mut self.data));
        control.into_iter().chain(data).chain(std::mem::take(&mut self.parked))
    }

    /// Gives back what memory an earlier rush has left, where nothing waits.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// How many messages wait, parked ones too.
    pub fn len(&self) -> usize {
        self.control.len() + self.data.len() + self.parked.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A control message waits.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Priority::*, *};

    fn filled(overflow: Overflow) -> (Mailbox<u32>, Pushed<u32>) {
        let mut mailbox = Mailbox::default();
        assert_eq!(mailbox.push(Data, 1, 2, overflow), Pushed::Taken);
        assert_eq!(mailbox.push(Data, 2, 2, overflow), Pushed::Taken);
        let last = mailbox.push(Data, 3, 2, overflow);
        (mailbox, last)
    }

    #[test]
    fn control_overtakes_data_and_each_keeps_its_order() {
        let mut mailbox = Mailbox::default();
        for (priority, n) in [(Data, 3), (Control, 1), (Data, 4), (Control, 2)] {
            mailbox.push(priority, n, 9, Overflow::Refuse);
        }
        assert!(mailbox.has_control());
        assert_eq!(mailbox.peek(), Some(&1));
        assert_eq!(mailbox.len(), 4);
        assert_eq!(std::iter::from_fn(|| mailbox.pop()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(mailbox.is_empty() && !mailbox.has_control());
    }

    #[test]
    fn a_full_mailbox_that_refuses_gives_the_message_back() {
        let (mut mailbox, last) = filled(Overflow::Refuse);
        assert_eq!(last, Pushed::Refused(3));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_full_mailbox_that_drops_the_oldest_keeps_the_newest() {
        let (mut mailbox, last) = filled(Overflow::DropOldest);
        assert_eq!(last, Pushed::DroppedOldest(1));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_mailbox_without_places_that_drops_the_oldest_drops_the_newest() {
        assert_eq!(Mailbox::default().push(Data, 1, 0, Overflow::DropOldest), Pushed::DroppedNewest(1));
    }

    #[test]
    fn a_full_mailbox_that_drops_the_newest_keeps_the_oldest() {
        let (mut mailbox, last) = filled(Overflow::DropNewest);
        assert_eq!(last, Pushed::DroppedNewest(3));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn back_pressure_keeps_messages_beside_in_order_until_there_is_a_place() {
        let (mut mailbox, last) = filled(Overflow::BackPressure);
        assert_eq!(last, Pushed::Parked);
        assert!(mailbox.has_parked(|n| *n == 3));
        assert_eq!(mailbox.unpark(2), None, "still full");
        assert_eq!(mailbox.pop(), Some(1));
        assert_eq!(mailbox.push(Data, 4, 2, Overflow::BackPressure), Pushed::Parked, "not before 3");
        assert_eq!(mailbox.unpark(2), Some(&3));
        assert_eq!(mailbox.unpark(2), None);
        assert_eq!(mailbox.len(), 3);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn control_is_bounded_by_itself_and_never_parked() {
        let (mut mailbox, _) = filled(Overflow::BackPressure);
        assert_eq!(mailbox.push(Control, 7, 1, Overflow::BackPressure), Pushed::Taken);
        assert_eq!(mailbox.push(Control, 8, 1, Overflow::BackPressure), Pushed::Refused(8));
        assert_eq!(mailbox.pop_control(), Some(7));
        assert_eq!(mailbox.pop_control(), None);
    }

    #[test]
    fn what_was_put_in_last_can_be_taken_back() {
        let (mut mailbox, _) = filled(Overflow::BackPressure);
        mailbox.push(Control, 9, 1, Overflow::Refuse);
        assert_eq!(mailbox.take_back(PlaceTaken::Beside), Some(3));
        assert_eq!(mailbox.take_back(PlaceTaken::Lane(Data)), Some(2));
        assert_eq!(mailbox.take_back(PlaceTaken::Lane(Control)), Some(9));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn promised_messages_come_in_over_the_bound_and_stashed_ones_before_all() {
        let (mut mailbox, _) = filled(Overflow::Refuse);
        mailbox.push_promised(Data, 3);
        mailbox.push_promised(Control, 0);
        mailbox.put_back([10, 11].into_iter());
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [0, 10, 11, 1, 2, 3]);
    }

    #[test]
    fn what_moves_elsewhere_is_taken_out_in_order() {
        let mut mailbox = Mailbox::default();
        for n in 0..6 {
            mailbox.push(Data, n, 9, Overflow::Refuse);
        }
        assert_eq!(mailbox.extract(|n| n % 2 == 1), [1, 3, 5]);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [0, 2, 4]);
    }

    #[test]
    fn an_empty_mailbox_gives_its_memory_back() {
        let mut mailbox = Mailbox::default();
        mailbox.push(Data, 1, 9, Overflow::Refuse);
        mailbox.shrink();
        assert_eq!(mailbox.pop(), Some(1), "not while something waits");
        assert!(mailbox.data.capacity() > 0);
        mailbox.shrink();
        assert_eq!(mailbox.data.capacity(), 0);
    }
}
