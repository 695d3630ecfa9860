//! Hosts that are turned by hand, their clock, and actors to try things on.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use crate::actor::{
    core,
    mesh::{Capacity, Inbox, Mesh},
    moment::ActorClock,
    parcel::{Parcel, Post, Registry},
    remote::Remote,
    system::System,
    world::World as _,
};

/// Some hosts on one thread.
pub struct House {
    pub hosts: Vec<System>,
    pub inboxes: Vec<Inbox<Parcel>>,
    pub clock: ActorClock,
    pub remote: Remote,
}

impl House {
    /// Hosts by this plan: `place` says which kinds live where, `add` adds them to a host.
    pub fn new(count: usize, place: impl FnOnce(&mut Registry), add: impl Fn(&mut System, usize)) -> Self {
        let mut registry = Registry::new();
        for host in 0..count {
            registry.host(format!("host-{host}"), "hand");
        }
        place(&mut registry);
        let capacity = Capacity { control: 4096, data: 4096, handoffs: 16 };
        let (mesh, inboxes) = Mesh::new(count, capacity);
        let post = Post { mesh, registry: Arc::new(registry) };
        let clock = ActorClock::manual();
        let hosts = (0..count).map(|host| {
            let mut system = System::new(host, post.clone(), clock.clone(), host as u64 + 1);
            add(&mut system, host);
            system
        });
        let hosts = hosts.collect();
        let remote = Remote::new(post, clock.clone());
        Self { hosts, inboxes, clock, remote }
    }

    /// One host with these kinds.
    pub fn one(add: impl Fn(&mut System)) -> Self {
        Self::new(1, |_| {}, |system, _| add(system))
    }

    /// Turns all hosts until nothing is left to do at this moment.
    pub fn settle(&mut self) {
        loop {
            let mut is_idle = true;
            for (host, inbox) in self.hosts.iter_mut().zip(&self.inboxes) {
                while let Some(parcel) = inbox.try_next() {
                    is_idle = false;
                    core::take(host, parcel);
                }
                core::settle(host);
            }
            is_idle &= self.inboxes.iter().all(Inbox::is_empty);
            if is_idle {
                return;
            }
        }
    }

    /// Lets time pass, in steps of a millisecond.
    pub fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.clock.advance(Duration::from_millis(1));
            self.settle();
        }
    }

    /// The first host.
    pub fn host(&mut self) -> &mut System {
        self.hosts[0].core().tell_time();
        &mut self.hosts[0]
    }
}

/// What happened, in order, for actors to write down.
#[derive(Clone, Debug, Default)]
pub struct Diary(Rc<RefCell<Vec<String>>>);

impl Diary {
    pub fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// What was written since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}
