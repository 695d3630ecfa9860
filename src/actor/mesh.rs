//! The inboxes through which hosts, and threads that are none, send to hosts. "Shard" is a host here, on whichever executor.
//!
//! Each shard has one inbox of three bounded lanes: *control* (drained first), *data*, and *hand-offs*. A hand-off
//! carries something that must not be refused on its way (a socket): its sender first reserves a
//! [`Slot`], and a lane never has more slots out than places, so sending in a slot can not find it full.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::actor::bell::Bell;

/// Which queue of an inbox a message takes. FIFO holds within a lane, for each sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Overtakes data: control messages, watches and their notices, what is asked of a host itself.
    Control,
    /// The rest.
    Data,
}

/// How many messages each lane of an inbox holds.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Places for control messages.
    pub control: usize,
    /// Places for data messages.
    pub data: usize,
    /// Places, and so slots, for hand-offs.
    pub handoffs: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { control: 16_384, data: 16_384, handoffs: 1024 }
    }
}

/// A message that was not taken, given back.
#[derive(Debug, thiserror::Error)]
pub enum SendError<M> {
    /// The lane is full; try again later.
    #[error("the inbox is full")]
    Full(M),
    /// The shard has ended.
    #[error("the shard has ended")]
    Stopped(M),
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Stopped(message) => message,
        }
    }
}

/// Where to send to one shard. Cheap to clone.
#[derive(Debug)]
pub struct Address<M> {
    control: flume::Sender<M>,
    data: flume::Sender<M>,
    handoffs: flume::Sender<M>,
    slots: Arc<AtomicUsize>,
    bell: Arc<Bell>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self {
            control: self.control.clone(),
            data: self.data.clone(),
            handoffs: self.handoffs.clone(),
            slots: self.slots.clone(),
            bell: self.bell.clone(),
        }
    }
}

impl<M> Address<M> {
    /// Sends without waiting. The message comes back where the lane is full or the shard has ended.
    pub fn try_send(&self, lane: Lane, message: M) -> Result<(), SendError<M>> {
        let lane = match lane {
            Lane::Control => &self.control,
            Lane::Data => &self.data,
        };
        lane.try_send(message).map_err(|error| match error {
            flume::TrySendError::Full(message) => SendError::Full(message),
            flume::TrySendError::Disconnected(message) => SendError::Stopped(message),
        })?;
        self.bell.ring();
        Ok(())
    }

    /// Reserves a place for one hand-off; none where all are taken.
    pub fn try_reserve(&self) -> Option<Slot<M>> {
        let taken = self.slots.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        taken.ok().map(|_| Slot {
            lane: self.handoffs.clone(),
            slots: Some(self.slots.clone()),
            bell: self.bell.clone(),
        })
    }

    /// Wakes the shard without a message: something else has become ready. Where it is about to sleep it takes another turn
    /// before; what has become ready must be visible by now.
    pub fn ring(&self) {
        self.bell.call();
    }

    /// Messages waiting, over all lanes.
    pub fn depth(&self) -> usize {
        self.control.len() + self.data.len() + self.handoffs.len()
    }
}

/// A reserved place in a shard's hand-off lane. Dropped unused, the place is free again.
#[derive(Debug)]
pub struct Slot<M> {
    lane: flume::Sender<M>,
    slots: Option<Arc<AtomicUsize>>,
    bell: Arc<Bell>,
}

impl<M> Slot<M> {
    /// Sends; the message comes back only where the shard has ended.
    pub fn send(mut self, message: M) -> Result<(), SendError<M>> {
        match self.lane.try_send(message) {
            Ok(()) => {
                // The receiver frees the place when it has taken the message out.
                self.slots = None;
                self.bell.ring();
                Ok(())
            }
            Err(error) => Err(SendError::Stopped(error.into_inner())),
        }
    }
}

impl<M> Drop for Slot<M> {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            slots.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The receiving end of one shard's lanes.
#[derive(Debug)]
pub struct Inbox<M> {
    control: flume::Receiver<M>,
    data: flume::Receiver<M>,
    handoffs: flume::Receiver<M>,
    slots: Arc<AtomicUsize>,
    bell: Arc<Bell>,
}

impl<M> Inbox<M> {
    /// The next message: control, then hand-offs, then data.
    pub fn try_next(&self) -> Option<M> {
        if let Ok(message) = self.control.try_recv() {
            return Some(message);
        }
        if let Ok(message) = self.handoffs.try_recv() {
            self.slots.fetch_add(1, Ordering::AcqRel);
            return Some(message);
        }
        self.data.try_recv().ok()
    }

    /// Nothing waits in any lane.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.handoffs.is_empty() && self.data.is_empty()
    }

    /// Says that the shard is about to sleep. False where a message came meanwhile, or somebody
    /// [rang](Address::ring) since it woke up: do not.
    pub fn fall_asleep(&self) -> bool {
        // A sender that saw us awake has put its message before, or has called: it is seen here.
        self.bell.listen();
        self.is_empty() && !self.bell.was_called()
    }

    /// Says that the shard is awake, before it looks for what there is to do: senders need not ring.
    pub fn wake_up(&self) {
        self.bell.mute();
    }

    /// What wakes the shard.
    pub fn bell(&self) -> &Bell {
        &self.bell
    }
}

/// Makes one inbox.
pub fn inbox<M>(capacity: Capacity) -> (Address<M>, Inbox<M>) {
    let (control, control_out) = flume::bounded(capacity.control);
    let (data, data_out) = flume::bounded(capacity.data);
    let (handoffs, handoffs_out) = flume::bounded(capacity.handoffs);
    let slots = Arc::new(AtomicUsize::new(capacity.handoffs));
    let bell = Arc::new(Bell::default());
    (
        Address { control, data, handoffs, slots: slots.clone(), bell: bell.clone() },
        Inbox { control: control_out, data: data_out, handoffs: handoffs_out, slots, bell },
    )
}

/// Every shard's address, by number. Cheap to clone.
#[derive(Debug)]
pub struct Mesh<M>(Arc<[Address<M>]>);

impl<M> Clone for Mesh<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Mesh<M> {
    /// Makes `shards` inboxes and the mesh that reaches them.
    pub fn new(shards: usize, capacity: Capacity) -> (Self, Vec<Inbox<M>>) {
        let (addresses, inboxes): (Vec<_>, Vec<_>) = (0..shards).map(|_| inbox(capacity)).unzip();
        (Self(addresses.into()), inboxes)
    }

    /// The address of a shard.
    ///
    /// # Panics
    /// Where there is no such shard.
    pub fn shard(&self, shard: usize) -> &Address<M> {
        &self.0[shard]
    }

    /// How many shards there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There are no shards; no running server's mesh is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn small() -> (Address<u32>, Inbox<u32>) {
        inbox(Capacity { control: 1, data: 1, handoffs: 1 })
    }

    #[test]
    fn control_overtakes_hand_offs_and_those_data() {
        let (address, inbox) = small();
        address.try_send(Lane::Data, 3).unwrap();
        address.try_reserve().unwrap().send(2).unwrap();
        address.try_send(Lane::Control, 1).unwrap();
        assert_eq!([inbox.try_next(), inbox.try_next(), inbox.try_next()], [Some(1), Some(2), Some(3)]);
        assert_eq!(inbox.try_next(), None);
    }

    #[test]
    fn what_waits_is_counted_over_all_lanes() {
        let (address, inbox) = small();
        assert!(inbox.is_empty());
        address.try_send(Lane::Data, 3).unwrap();
        address.try_send(Lane::Control, 1).unwrap();
        address.try_reserve().unwrap().send(2).unwrap();
        for left in (0..3).rev() {
            assert_eq!((address.depth(), inbox.is_empty()), (left + 1, false));
            inbox.try_next();
        }
        assert_eq!((address.depth(), inbox.is_empty()), (0, true));
    }

    #[test]
    fn a_mesh_reaches_each_of_its_shards() {
        let (mesh, inboxes) = Mesh::new(2, Capacity::default());
        assert_eq!((mesh.len(), mesh.is_empty()), (2, false));
        for (shard, inbox) in inboxes.iter().enumerate() {
            mesh.shard(shard).try_send(Lane::Data, shard).unwrap();
            assert_eq!(inbox.try_next(), Some(shard));
        }
        assert!(Mesh::<u32>::new(0, Capacity::default()).0.is_empty(), "one without shards");
    }

    #[test]
    fn a_full_lane_gives_the_message_back() {
        let (address, _inbox) = small();
        address.try_send(Lane::Data, 1).unwrap();
        assert!(matches!(address.try_send(Lane::Data, 2), Err(SendError::Full(2))));
    }

    #[test]
    fn an_ended_shard_gives_the_message_back() {
        let (address, inbox) = small();
        let slot = address.try_reserve().unwrap();
        drop(inbox);
        assert!(matches!(address.try_send(Lane::Control, 2), Err(SendError::Stopped(2))));
        assert!(matches!(slot.send(3), Err(SendError::Stopped(3))));
    }

    #[test]
    fn there_are_as_many_slots_as_places_until_the_receiver_takes_one_out() {
        let (address, inbox) = small();
        let slot = address.try_reserve().unwrap();
        assert!(address.try_reserve().is_none());
        drop(slot);
        address.try_reserve().unwrap().send(1).unwrap();
        assert!(address.try_reserve().is_none());
        assert_eq!(inbox.try_next(), Some(1));
        assert!(address.try_reserve().is_some());
    }

    #[test]
    fn a_message_sent_before_sleep_keeps_the_shard_awake() {
        let (address, inbox) = small();
        assert!(inbox.fall_asleep());
        inbox.wake_up();
        address.try_send(Lane::Data, 1).unwrap();
        assert!(!inbox.fall_asleep());
    }

    #[test]
    fn who_rings_before_sleep_keeps_the_shard_awake_once() {
        let (address, inbox) = small();
        address.ring();
        assert!(!inbox.fall_asleep(), "its turn was over when something else became ready");
        inbox.wake_up();
        assert!(inbox.fall_asleep());
        address.ring();
        assert_eq!(inbox.bell().rings(), 1);
        inbox.wake_up();
        assert!(inbox.fall_asleep(), "the turn after waking up has seen it");
    }

    #[test]
    fn a_message_sent_during_sleep_rings_once() {
        let (address, inbox) = small();
        assert!(inbox.fall_asleep());
        address.try_send(Lane::Data, 1).unwrap();
        address.try_send(Lane::Control, 2).unwrap();
        assert_eq!(inbox.bell().rings(), 1);
        inbox.wake_up();
        assert_eq!(inbox.bell().rings(), 0);
    }

    #[test]
    fn a_shard_that_sleeps_waits_for_the_bell() {
        let (address, inbox) = small();
        assert!(inbox.fall_asleep());
        assert_eq!(inbox.bell().rung().now_or_never(), None);
        address.try_send(Lane::Data, 1).unwrap();
        assert_eq!(inbox.bell().rung().now_or_never(), Some(()));
    }
}
