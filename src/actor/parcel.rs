//! What travels between hosts, and where it goes.

use std::{
    any::{Any, TypeId},
    sync::{Arc, atomic::AtomicU64},
};

use crate::actor::{
    actor::Actor,
    envelope::{ActorId, Envelope, Metadata, ReplyOf},
    hashing::NumberMap,
    kind_figures::KindFigures,
    mesh::Mesh,
    monitor::Ended,
    running::Running,
};

/// Something to do in a world, which is given as what it is.
type Act = Box<dyn FnOnce(&mut dyn Any) + Send>;

/// What a host's inbox carries. Built for the host's world by its sender, who knows the type of it.
pub enum Parcel {
    /// Something to do in the receiving world, which is given as what it is.
    Do(Act),
    /// Something that owns what must not be lost, for the host's world itself. Sent in a reserved
    /// [`Slot`](crate::actor::mesh::Slot); it comes back whole where the host is gone.
    Handed(Box<dyn Any + Send>),
    /// The answer to an ask of this host: an `Option<Answer<_, _>>`.
    Answer {
        /// The kind that asked.
        kind: u16,
        /// The ask.
        id: u64,
        /// The answer.
        answer: Box<dyn Any + Send>,
    },
    /// Something was published: an `Arc<Topic::Event>`.
    Published {
        /// The topic.
        topic: TypeId,
        /// The event.
        event: Arc<dyn Any + Send + Sync>,
    },
    /// An actor of this host is watched from another, or no more.
    Watch {
        /// Who is watched.
        target: ActorId,
        /// The host that watches, and its number for it.
        watcher: (u16, u64),
        /// It begins.
        is_on: bool,
    },
    /// A watched actor has ended.
    Ended {
        /// The watch.
        watch: u64,
        /// Who, and why.
        ended: Ended,
    },
    /// Somebody wants to see what the host looks like.
    Report(flume::Sender<serde_json::Value>),
    /// Somebody wants to see one actor.
    One {
        /// Its kind's name.
        kind: String,
        /// The text of its key.
        key: String,
        /// Where to tell.
        tell: flume::Sender<Option<serde_json::Value>>,
    },
    /// All actors of these kinds are to end, and no new ones to be.
    EndKinds {
        /// The kinds' names.
        kinds: Vec<&'static str>,
        /// Without their clean-up.
        by_force: bool,
        /// Told when none is left; by force, how many there were.
        tell: flume::Sender<usize>,
    },
    /// An actor of this host has messages before a full mailbox elsewhere: it rests, or goes on.
    Rest {
        /// Which.
        actor: ActorId,
        /// So many more, or fewer.
        change: i32,
    },
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Do(_) => "Do",
            Self::Handed(_) => "Handed",
            Self::Answer { .. } => "Answer",
            Self::Published { .. } => "Published",
            Self::Watch { .. } => "Watch",
            Self::Ended { .. } => "Ended",
            Self::Report(_) => "Report",
            Self::One { .. } => "One",
            Self::EndKinds { .. } => "EndKinds",
            Self::Rest { .. } => "Rest",
        })
    }
}

impl Parcel {
    /// Something to do in a world of this type.
    pub fn new<W: 'static>(act: impl FnOnce(&mut W) + Send + 'static) -> Self {
        Self::Do(Box::new(move |world| match world.downcast_mut::<W>() {
            Some(world) => act(world),
            None => tracing::error!("a parcel reached a host of another world; it is dropped"),
        }))
    }
}

/// One message on its way to another host.
pub(crate) struct Posted<A: Actor> {
    pub to: PostedTo<A>,
    pub message: A::Message,
    pub metadata: Metadata,
    pub reply: Option<ReplyOf<A>>,
}

/// Whom it is for.
pub(crate) enum PostedTo<A: Actor> {
    Key(A::Key),
    /// On that host, wherever the key's home is.
    At(A::Key),
    Id(ActorId),
    Pool(crate::actor::pool::Route),
}

impl<A: Actor> Posted<A> {
    pub fn into_envelope(self) -> (PostedTo<A>, Envelope<A>) {
        let Self { to, message, metadata, reply } = self;
        (to, Envelope::new(message, metadata, reply))
    }
}

/// Which hosts a kind lives on.
#[derive(Clone, Debug)]
struct Placed {
    kind: &'static str,
    hosts: Arc<[usize]>,
}

/// What everybody knows of the hosts: their names, what they show of themselves, and where each kind lives. Made once, before
/// the first host starts.
#[derive(Clone, Debug)]
pub struct Registry {
    placed: NumberMap<TypeId, Placed>,
    hosts: Vec<HostEntry>,
    /// The ids of messages from outside.
    pub(crate) outside: Arc<AtomicU64>,
}

/// What a message from outside has for its sender's host in its id.
const OUTSIDE: u64 = 0xFFFF << 48;

impl Default for Registry {
    fn default() -> Self {
        let outside = Arc::new(AtomicU64::new(OUTSIDE));
        Self { placed: NumberMap::default(), hosts: Vec::new(), outside }
    }
}

/// What is known of a host without asking it.
#[derive(Clone, Debug)]
pub struct HostEntry {
    /// Its name: `shard-0`.
    pub name: Arc<str>,
    /// What drives it: `glommio` or `tokio`.
    pub executor: &'static str,
    /// What it handles just now.
    pub running: Arc<Running>,
    /// When it last had a turn, in nanoseconds of the actors' clock.
    pub heartbeat: Arc<AtomicU64>,
    /// Anonymous actors of it of which the last handle is gone. Bounded by how many there are.
    pub(crate) released: (flume::Sender<ActorId>, flume::Receiver<ActorId>),
    /// What its kinds count, by name, in the order in which they were placed.
    pub kinds: Vec<(&'static str, Arc<KindFigures>)>,
}

impl Registry {
    /// A registry without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host. Returns its number, from 0.
    pub fn host(&mut self, name: impl Into<Arc<str>>, executor: &'static str) -> usize {
        self.hosts.push(HostEntry {
            name: name.into(),
            executor,
            running: Arc::default(),
            heartbeat: Arc::default(),
            released: flume::unbounded(),
            kinds: Vec::new(),
        });
        self.hosts.len() - 1
    }

    /// Says that a kind lives on these hosts; a key of it on the one that [`Key::home`](crate::actor::key::Key::home) says.
    ///
    /// # Panics
    /// Where there are none, or one is not known.
    pub fn place<A: Actor>(&mut self, hosts: impl IntoIterator<Item = usize>) -> &mut Self {
        let hosts: Arc<[usize]> = hosts.into_iter().collect();
        assert!(!hosts.is_empty(), "{} lives on no host", A::KIND);
        for &host in &*hosts {
            self.hosts[host].kinds.push((A::KIND, Arc::default()));
        }
        self.placed.insert(TypeId::of::<A>(), Placed { kind: A::KIND, hosts });
        self
    }

    /// The hosts, by number.
    pub fn hosts(&self) -> &[HostEntry] {
        &self.hosts
    }

    /// The hosts of a kind; none where it lives nowhere.
    pub fn hosts_of<A: Actor>(&self) -> &[usize] {
        self.placed.get(&TypeId::of::<A>()).map_or(&[], |placed| &placed.hosts)
    }

    /// The names of all kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.placed.values().map(|placed| placed.kind)
    }

    /// The host of a key.
    pub fn home<A: Actor>(&self, key: &A::Key) -> Option<usize> {
        use crate::actor::key::Key as _;
        match self.hosts_of::<A>() {
            [] => None,
            [only] => Some(*only),
            hosts => Some(hosts[key.home(hosts.len())]),
        }
    }
}

/// How hosts reach each other.
#[derive(Clone, Debug)]
pub struct Post {
    /// Every host's inbox.
    pub mesh: Mesh<Parcel>,
    /// What everybody knows.
    pub registry: Arc<Registry>,
}
