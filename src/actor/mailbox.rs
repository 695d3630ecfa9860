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

/// A mailbox: one word while it is bare, which an empty one can be made.
#[derive(Debug)]
pub struct Mailbox<T>(Option<Box<Lanes<T>>>);

#[derive(Debug)]
struct Lanes<T> {
    control: VecDeque<T>,
    data: VecDeque<T>,
    /// Beside the mailbox, for back-pressure: bounded by the senders, who rest while they have one here.
    parked: VecDeque<T>,
}

/// What an empty mailbox was stripped of, for the next that needs it: messages come and go without asking for memory.
#[derive(Debug)]
pub struct Spare<T>(Box<Lanes<T>>);

/// A lane of a spare that is kept has memory for so many messages at most.
const SPARE_PLACES: usize = 64;

impl<T> Spare<T> {
    /// Whether it is small enough to be kept; what a rush has left is not.
    pub fn is_small(&self) -> bool {
        let Lanes { control, data, parked } = &*self.0;
        [control, data, parked].iter().all(|lane| lane.capacity() <= SPARE_PLACES)
    }
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { control: VecDeque::new(), data: VecDeque::new(), parked: VecDeque::new() }
    }
}

impl<T> Lanes<T> {
    #[inline]
    fn lane(&mut self, priority: Priority) -> &mut VecDeque<T> {
        match priority {
            Priority::Control => &mut self.control,
            Priority::Data => &mut self.data,
        }
    }

    #[inline]
    fn has_room(&self, priority: Priority, capacity: usize) -> bool {
        match priority {
            Priority::Control => self.control.len() < capacity,
            Priority::Data => self.data.len() < capacity && self.parked.is_empty(),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        self.control.len() + self.data.len() + self.parked.len()
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Mailbox<T> {
    #[inline]
    fn lanes(&mut self) -> &mut Lanes<T> {
        self.0.get_or_insert_default()
    }

    /// Adds a message, where its lane holds fewer than `capacity`.
    pub fn push(&mut self, priority: Priority, message: T, capacity: usize, overflow: Overflow) -> Pushed<T> {
        let lanes = self.lanes();
        if lanes.has_room(priority, capacity) {
            lanes.lane(priority).push_back(message);
            return Pushed::Taken;
        }
        match overflow {
            Overflow::Refuse => Pushed::Refused(message),
            Overflow::DropNewest => Pushed::DroppedNewest(message),
            Overflow::DropOldest => {
                let lane = lanes.lane(priority);
                match lane.pop_front() {
                    Some(oldest) => {
                        lane.push_back(message);
                        Pushed::DroppedOldest(oldest)
                    }
                    None => Pushed::DroppedNewest(message),
                }
            }
            // Control messages are few and must not wait behind data.
            Overflow::BackPressure if priority == Priority::Control => Pushed::Refused(message),
            Overflow::BackPressure => {
                lanes.parked.push_back(message);
                Pushed::Parked
            }
        }
    }

    /// A lane, to put a message in behind: where it holds fewer than `capacity`, and nothing waits beside it.
    #[inline]
    pub fn room(&mut self, priority: Priority, capacity: usize) -> Option<&mut VecDeque<T>> {
        let lanes = self.lanes();
        if lanes.has_room(priority, capacity) { Some(lanes.lane(priority)) } else { None }
    }

    /// Adds a message that has had its place before, in another mailbox.
    #[inline]
    pub fn push_promised(&mut self, priority: Priority, message: T) {
        self.lanes().lane(priority).push_back(message);
    }

    /// Adds a message whose place was promised when it was asked for: an answer, or what the actor sends itself by time. It
    /// overtakes nothing of its lane: an answer comes after what its sender has told before.
    pub fn push_own(&mut self, priority: Priority, message: T) {
        let lanes = self.lanes();
        if priority == Priority::Data && !lanes.parked.is_empty() {
            lanes.parked.push_back(message);
        } else {
            lanes.lane(priority).push_back(message);
        }
    }

    /// Puts a message back that was taken out first.
    pub fn put_first(&mut self, priority: Priority, message: T) {
        self.lanes().lane(priority).push_front(message);
    }

    /// Puts messages back before all others of the data lane, in their order.
    pub fn put_back(&mut self, messages: impl DoubleEndedIterator<Item = T>) {
        for message in messages.rev() {
            self.lanes().data.push_front(message);
        }
    }

    /// Takes out the message that satisfies this, the last where there are several: its sender failed, and what it sent is
    /// not to be. Says too whether it waited beside the mailbox. Looks at every message, from the back.
    pub fn take_back(&mut self, is: impl Fn(&T) -> bool) -> Option<(T, bool)> {
        let lanes = self.0.as_mut()?;
        let take = |lane: &mut VecDeque<T>| lane.iter().rposition(&is).and_then(|place| lane.remove(place));
        if let Some(message) = take(&mut lanes.parked) {
            return Some((message, true));
        }
        Some((take(&mut lanes.data).or_else(|| take(&mut lanes.control))?, false))
    }

    /// The next message: control before data.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let lanes = self.0.as_mut()?;
        if lanes.control.is_empty() { lanes.data.pop_front() } else { lanes.control.pop_front() }
    }

    /// The next control message.
    pub fn pop_control(&mut self) -> Option<T> {
        self.0.as_mut()?.control.pop_front()
    }

    /// Moves a parked message in, where there is a place. The caller lets its sender go on.
    pub fn unpark(&mut self, capacity: usize) -> Option<&T> {
        let lanes = self.0.as_mut()?;
        if lanes.data.len() >= capacity {
            return None;
        }
        let message = lanes.parked.pop_front()?;
        lanes.data.push_back(message);
        lanes.data.back()
    }

    /// What waits beside the mailbox, in order.
    #[inline]
    pub fn parked(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|lanes| &lanes.parked)
    }

    /// Something waits beside the mailbox.
    #[inline]
    pub fn has_parked(&self) -> bool {
        self.0.as_ref().is_some_and(|lanes| !lanes.parked.is_empty())
    }

    /// Takes out the data messages that satisfy this, in order: those that were taken, then those that were parked.
    pub fn extract(&mut self, is: impl Fn(&T) -> bool) -> (Vec<T>, Vec<T>) {
        let Some(lanes) = &mut self.0 else { return (Vec::new(), Vec::new()) };
        let extract = |lane: &mut VecDeque<T>| {
            let (taken, kept): (VecDeque<T>, VecDeque<T>) = std::mem::take(lane).into_iter().partition(&is);
            *lane = kept;
            taken.into()
        };
        (extract(&mut lanes.data), extract(&mut lanes.parked))
    }

    /// Moves the data messages that satisfy this among the control messages, behind those, in order. Those that wait beside the
    /// mailbox too.
    pub fn promote(&mut self, is: impl Fn(&T) -> bool) {
        let (taken, parked) = self.extract(is);
        if let Some(lanes) = &mut self.0 {
            lanes.control.extend(taken.into_iter().chain(parked));
        }
    }

    /// Drops all messages that satisfy this. Returns how many.
    pub fn remove(&mut self, is: impl Fn(&T) -> bool) -> usize {
        let Some(lanes) = &mut self.0 else { return 0 };
        let before = lanes.len();
        for lane in [&mut lanes.control, &mut lanes.data, &mut lanes.parked] {
            lane.retain(|message| !is(message));
        }
        before - lanes.len()
    }

    /// Everything, control first, parked last.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + use<T> {
        let Lanes { control, data, parked } = self.0.take().map(|lanes| *lanes).unwrap_or_default();
        control.into_iter().chain(data).chain(parked)
    }

    /// Makes an empty mailbox bare; gives what it had for messages, where it had anything.
    #[inline]
    pub fn strip(&mut self) -> Option<Spare<T>> {
        if self.is_empty() { self.0.take().map(Spare) } else { None }
    }

    /// The next message that is put in asks for memory.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.0.is_none()
    }

    /// Gives a bare mailbox what another was stripped of, where there is such a thing.
    #[inline]
    pub fn furnish(&mut self, spare: impl FnOnce() -> Option<Spare<T>>) {
        if self.is_bare()
            && let Some(Spare(lanes)) = spare()
        {
            self.0 = Some(lanes);
        }
    }

    /// How many messages wait, parked ones too.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |lanes| lanes.len())
    }

    /// Nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A control message waits.
    #[inline]
    pub fn has_control(&self) -> bool {
        self.0.as_ref().is_some_and(|lanes| !lanes.control.is_empty())
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
        assert_eq!(mailbox.parked().collect::<Vec<_>>(), [&3]);
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
    fn a_message_can_be_taken_back_from_wherever_it_waits() {
        let (mut mailbox, _) = filled(Overflow::BackPressure);
        mailbox.push(Control, 9, 1, Overflow::Refuse);
        mailbox.push_promised(Data, 5);
        assert_eq!(mailbox.take_back(|n| *n == 3), Some((3, true)));
        assert_eq!(mailbox.take_back(|n| *n == 2), Some((2, false)));
        assert_eq!(mailbox.take_back(|n| *n == 9), Some((9, false)));
        assert_eq!(mailbox.take_back(|n| *n == 9), None);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1, 5]);
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
        for n in 6..9 {
            mailbox.push(Data, n, 6, Overflow::BackPressure);
        }
        assert_eq!(mailbox.extract(|n| n % 2 == 1), (vec![1, 3, 5], vec![7]));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn own_messages_come_in_over_the_bound_and_overtake_nothing_of_their_lane() {
        let (mut mailbox, _) = filled(Overflow::Refuse);
        mailbox.push_own(Data, 3);
        assert_eq!(mailbox.parked().count(), 0);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1, 2, 3]);
        let (mut mailbox, _) = filled(Overflow::BackPressure);
        mailbox.push_own(Data, 4);
        mailbox.push_own(Control, 0);
        assert_eq!(mailbox.parked().collect::<Vec<_>>(), [&3, &4]);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_was_taken_out_first_can_be_put_back() {
        let mut mailbox = Mailbox::default();
        for (priority, n) in [(Data, 3), (Data, 4), (Control, 1), (Control, 2)] {
            mailbox.push(priority, n, 9, Overflow::Refuse);
        }
        let first = mailbox.pop().unwrap();
        mailbox.put_first(Control, first);
        assert_eq!([mailbox.pop(), mailbox.pop(), mailbox.pop()], [1, 2, 3].map(Some));
        mailbox.put_first(Data, 3);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn what_is_promoted_comes_behind_control_in_order() {
        let mut mailbox = Mailbox::default();
        for n in 0..6 {
            mailbox.push(Data, n, 5, Overflow::BackPressure);
        }
        mailbox.push(Control, 9, 9, Overflow::Refuse);
        mailbox.promote(|n| n % 2 == 1);
        assert_eq!(std::iter::from_fn(|| mailbox.pop_control()).collect::<Vec<_>>(), [9, 1, 3, 5]);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [0, 2, 4]);
    }

    #[test]
    fn what_is_removed_is_gone_from_everywhere() {
        let (mut mailbox, _) = filled(Overflow::BackPressure);
        mailbox.push(Control, 9, 9, Overflow::Refuse);
        assert_eq!(mailbox.remove(|n| *n >= 2), 3);
        assert_eq!(mailbox.remove(|n| *n >= 2), 0);
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn an_empty_mailbox_can_be_stripped_for_another() {
        let mut mailbox = Mailbox::default();
        assert!(mailbox.is_bare() && mailbox.strip().is_none());
        mailbox.push(Data, 1, 9, Overflow::Refuse);
        assert!(mailbox.strip().is_none(), "not while something waits");
        assert_eq!(mailbox.pop(), Some(1));
        let spare = mailbox.strip().unwrap();
        assert!(mailbox.is_bare() && spare.is_small());
        let mut other = Mailbox::default();
        other.furnish(|| Some(spare));
        assert!(!other.is_bare() && other.is_empty());
        assert!(other.0.as_ref().unwrap().data.capacity() > 0, "the next message asks for nothing");
        other.push(Data, 2, 9, Overflow::Refuse);
        assert_eq!(other.drain().collect::<Vec<_>>(), [2]);
        assert!(other.is_bare());
    }

    #[test]
    fn what_a_rush_has_left_is_no_small_spare() {
        let mut mailbox = Mailbox::default();
        (0..100).for_each(|n| mailbox.push_promised(Data, n));
        while mailbox.pop().is_some() {}
        assert!(!mailbox.strip().unwrap().is_small());
    }

    #[test]
    fn a_mailbox_that_has_something_is_not_furnished() {
        let (mut mailbox, _) = filled(Overflow::Refuse);
        mailbox.furnish(|| Some(Spare(Box::default())));
        assert_eq!(mailbox.drain().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_bare_mailbox_has_room_where_it_has_places() {
        let mut bare = Mailbox::<u32>::default();
        assert_eq!((bare.pop(), bare.pop_control(), bare.take_back(|_| true)), (None, None, None));
        assert_eq!((bare.remove(|_| true), bare.parked().count(), bare.extract(|_| true)), (0, 0, (vec![], vec![])));
        assert!(bare.is_bare(), "asking it changes nothing");
        assert!(bare.room(Control, 0).is_none() && bare.room(Data, 1).is_some());
    }
}
