//! What a host sends to others: gathered over a turn, so that one push into an inbox carries many messages.

use std::{
    any::{Any, TypeId},
    collections::VecDeque,
};

use crate::actor::{
    actor::Actor,
    envelope::Priority,
    mesh::{Lane, SendError},
    parcel::{Parcel, Post, Posted},
    sending,
};

/// Messages that one batch carries at most.
const BATCH_MAX: usize = 1024;
/// Messages for one host that wait for its inbox; past it the sender gets them back.
const WAITING_MAX: usize = 65_536;

/// Messages of one kind and priority for one host.
struct Batch {
    host: usize,
    of: TypeId,
    priority: Priority,
    /// A `Vec<Posted<A>>`.
    posted: Box<dyn Any>,
    count: usize,
    /// Something else went to that host after it: what follows must not overtake that.
    is_closed: bool,
    seal: fn(Box<dyn Any>) -> Parcel,
    unpost: fn(&mut Box<dyn Any>, u64) -> bool,
}

/// What goes out at the end of the turn, in order.
enum Outgoing {
    Batch(Batch),
    Parcel { host: usize, lane: Lane, parcel: Parcel },
}

/// What waits for a full inbox.
struct Kept {
    parcel: Parcel,
    count: usize,
}

/// What is on its way to one host.
#[derive(Default)]
struct Way {
    /// What its inbox had no room for, by lane: a full lane holds up its own lane only, and that in order.
    control: VecDeque<Kept>,
    data: VecDeque<Kept>,
    /// All that is on its way there.
    waiting: usize,
    /// Events for it are being dropped.
    is_dropping: bool,
}

/// What is on its way out.
pub(crate) struct Outbox {
    outgoing: Vec<Outgoing>,
    /// By host.
    ways: Vec<Way>,
    /// Messages and parcels that found their host gone.
    pub lost: usize,
    /// Events that were not sent because too much waited for their host.
    pub dropped: usize,
}

fn lane(priority: Priority) -> Lane {
    match priority {
        Priority::Control => Lane::Control,
        Priority::Data => Lane::Data,
    }
}

impl Outbox {
    pub fn new(hosts: usize) -> Self {
        Self { outgoing: Vec::new(), ways: (0..hosts).map(|_| Way::default()).collect(), lost: 0, dropped: 0 }
    }

    /// Adds a message to its batch. Returns the batch, to take the message back; the message where too many wait.
    pub fn post<A: Actor>(&mut self, host: usize, posted: Posted<A>) -> Result<usize, Posted<A>> {
        if self.ways[host].waiting >= WAITING_MAX {
            return Err(posted);
        }
        self.ways[host].waiting += 1;
        let (of, priority) = (TypeId::of::<A>(), posted.metadata.priority);
        let is_its = |outgoing: &Outgoing| match outgoing {
            Outgoing::Batch(batch) => {
                batch.host == host
                    && batch.of == of
                    && batch.priority == priority
                    && !batch.is_closed
                    && batch.count < BATCH_MAX
            }
            Outgoing::Parcel { .. } => false,
        };
        if let Some(at) = self.outgoing.iter().rposition(is_its)
            && let Outgoing::Batch(batch) = &mut self.outgoing[at]
            && let Some(messages) = batch.posted.downcast_mut::<Vec<Posted<A>>>()
        {
            messages.push(posted);
            batch.count += 1;
            return Ok(at);
        }
        let mut messages = Vec::with_capacity(16);
        messages.push(posted);
        self.outgoing.push(Outgoing::Batch(Batch {
            host,
            of,
            priority,
            posted: Box::new(messages),
            count: 1,
            is_closed: false,
            seal: seal::<A>,
            unpost: |posted, message| {
                let Some(messages) = posted.downcast_mut::<Vec<Posted<A>>>() else { return false };
                let place = messages.iter().rposition(|posted| posted.metadata.id == message);
                place.map(|place| messages.remove(place)).is_some()
            },
        }));
        Ok(self.outgoing.len() - 1)
    }

    /// Takes back a message that was posted into this batch.
    pub fn take_back(&mut self, batch: usize, message: u64) {
        if let Some(Outgoing::Batch(Batch { host, posted, count, unpost, .. })) = self.outgoing.get_mut(batch)
            && unpost(posted, message)
        {
            *count -= 1;
            self.ways[*host].waiting -= 1;
        }
    }

    /// Sends one parcel, after everything that was posted to that host before. There is no bound on these but that of what
    /// they are about: an answer for each ask, a notice for each watch.
    pub fn send(&mut self, host: usize, lane: Lane, parcel: Parcel) {
        self.ways[host].waiting += 1;
        for outgoing in &mut self.outgoing {
            if let Outgoing::Batch(batch) = outgoing {
                batch.is_closed |= batch.host == host;
            }
        }
        self.outgoing.push(Outgoing::Parcel { host, lane, parcel });
    }

    /// Sends an event, where not too much waits for that host: of events there may be any number.
    pub fn send_event(&mut self, host: usize, event: Parcel) {
        let way = &mut self.ways[host];
        if way.waiting < WAITING_MAX {
            return self.send(host, Lane::Data, event);
        }
        self.dropped += 1;
        if !std::mem::replace(&mut way.is_dropping, true) {
            tracing::warn!(host, waiting = way.waiting, "a host takes nothing in; events for it are dropped");
        }
    }

    /// Sends what has gathered.
    pub fn flush(&mut self, post: &Post) {
        if self.outgoing.is_empty() && !self.has_kept() {
            return;
        }
        for outgoing in self.outgoing.drain(..) {
            match outgoing {
                Outgoing::Batch(Batch { count: 0, .. }) => {}
                Outgoing::Batch(Batch { host, priority, posted, count, seal, .. }) => {
                    self.ways[host].keep(lane(priority), Kept { parcel: seal(posted), count });
                }
                Outgoing::Parcel { host, lane, parcel } => {
                    self.ways[host].keep(lane, Kept { parcel, count: 1 });
                }
            }
        }
        for (host, way) in self.ways.iter_mut().enumerate() {
            self.lost += way.flush(post, host);
        }
    }

    /// Something goes out at the end of this turn.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Nothing is on its way, and none is counted.
    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        !self.has_outgoing() && !self.has_kept() && self.ways.iter().all(|way| way.waiting == 0)
    }

    /// Something waits for a full inbox.
    pub fn has_kept(&self) -> bool {
        self.ways.iter().any(|way| !(way.control.is_empty() && way.data.is_empty()))
    }
}

impl Way {
    fn keep(&mut self, lane: Lane, kept: Kept) {
        match lane {
            Lane::Control => self.control.push_back(kept),
            Lane::Data => self.data.push_back(kept),
        }
    }

    /// Sends what its inbox has room for. Returns how many messages found the host gone.
    fn flush(&mut self, post: &Post, host: usize) -> usize {
        let mut lost = 0;
        for (lane, kept) in [(Lane::Control, &mut self.control), (Lane::Data, &mut self.data)] {
            while let Some(Kept { parcel, count }) = kept.pop_front() {
                match post.try_send(host, lane, parcel) {
                    Ok(()) => {}
                    Err(SendError::Full(parcel)) => {
                        kept.push_front(Kept { parcel, count });
                        break;
                    }
                    // Hosts end only at shutdown; who asked is answered by its timeout.
                    Err(SendError::Stopped(_)) => lost += count,
                }
                self.waiting -= count;
            }
        }
        self.is_dropping &= self.waiting > 0;
        lost
    }
}

fn seal<A: Actor>(posted: Box<dyn Any>) -> Parcel {
    let messages = posted.downcast::<Vec<Posted<A>>>().map(|messages| *messages).unwrap_or_default();
    Parcel::new::<A::World>(move |world| {
        for posted in messages {
            sending::arrive::<A>(world, posted);
        }
    })
}
