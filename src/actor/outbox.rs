//! What a host sends to others: gathered over a turn, so that one push into an inbox carries many messages.

use std::{
    any::{Any, TypeId},
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
    lane: Lane,
    parcel: Parcel,
    count: usize,
}

/// What is on its way out.
pub(crate) struct Outbox {
    outgoing: Vec<Outgoing>,
    /// By host.
    kept: Vec<VecDeque<Kept>>,
    waiting: Vec<usize>,
    /// Parcels that found their host gone.
    pub lost: Arc<AtomicUsize>,
}

fn lane(priority: Priority) -> Lane {
    match priority {
        Priority::Control => Lane::Control,
        Priority::Data => Lane::Data,
    }
}

impl Outbox {
    pub fn new(hosts: usize) -> Self {
        Self {
            outgoing: Vec::new(),
            kept: (0..hosts).map(|_| VecDeque::new()).collect(),
            waiting: vec![0; hosts],
            lost: Arc::default(),
        }
    }

    /// Adds a message to its batch. Returns the batch, to take the message back; the message where too many wait.
    pub fn post<A: Actor>(&mut self, host: usize, posted: Posted<A>) -> Result<usize, Posted<A>> {
        if self.waiting[host] >= WAITING_MAX {
            return Err(posted);
        }
        self.waiting[host] += 1;
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
            self.waiting[*host] -= 1;
        }
    }

    /// Sends one parcel, after everything that was posted to that host before.
    pub fn send(&mut self, host: usize, lane: Lane, parcel: Parcel) {
        self.waiting[host] += 1;
        for outgoing in &mut self.outgoing {
            if let Outgoing::Batch(batch) = outgoing {
                batch.is_closed |= batch.host == host;
            }
        }
        self.outgoing.push(Outgoing::Parcel { host, lane, parcel });
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
                    self.kept[host].push_back(Kept { lane: lane(priority), parcel: seal(posted), count });
                }
                Outgoing::Parcel { host, lane, parcel } => {
                    self.kept[host].push_back(Kept { lane, parcel, count: 1 });
                }
            }
        }
        for host in 0..self.kept.len() {
            self.flush_host(post, host);
        }
    }

    /// Something goes out at the end of this turn.
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    fn flush_host(&mut self, post: &Post, host: usize) {
        // A full lane holds up its own lane only, and that in order.
        let mut is_full = [false; 2];
        let mut at = 0;
        while at < self.kept[host].len() && is_full != [true; 2] {
            let which = usize::from(self.kept[host][at].lane == Lane::Data);
            if is_full[which] {
                at += 1;
                continue;
            }
            let Some(Kept { lane, parcel, count }) = self.kept[host].remove(at) else { break };
            match post.try_send(host, lane, parcel) {
                Ok(()) => self.waiting[host] -= count,
                Err(SendError::Full(parcel)) => {
                    self.kept[host].insert(at, Kept { lane, parcel, count });
                    is_full[which] = true;
                    at += 1;
                }
                // Hosts end only at shutdown; who asked is answered by its timeout.
                Err(SendError::Stopped(_)) => {
                    self.waiting[host] -= count;
                    self.lost.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
    }

    /// Nothing is on its way, and none is counted.
    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        !self.has_outgoing() && !self.has_kept() && self.waiting.iter().all(|waiting| *waiting == 0)
    }

    /// Something waits for a full inbox.
    pub fn has_kept(&self) -> bool {
        self.kept.iter().any(|kept| !kept.is_empty())
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
