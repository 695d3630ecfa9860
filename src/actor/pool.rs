//! Pools: many actors alike, of which each message goes to one.
//!
//! A pool lives on the first host of its kind, where each message is routed when it arrives: by the members' mailboxes as
//! they are, and in order. Its members have no key; they live until the pool lets go of them. One that fails and does not
//! recover in place ends, and its place with it: nobody else could make it again.

use crate::actor::{
    actor::{Actor, Undelivered},
    core::Later,
    envelope::ActorId,
    key::Key,
    kind_figures::DeadReason,
    life,
    placement::shard_of,
    sending::{self, enqueue},
    table::Table,
    world::{Hosts, World},
};

/// Which member a message goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// That of a key; see [`Route::by_key`].
    Key(u64),
    /// The one with the fewest messages waiting; the first of those.
    LeastLoaded,
    /// The next in turn.
    RoundRobin,
    /// This one, from 0.
    Member(usize),
}

impl Route {
    /// Always the same member for a key, for as long as the pool has its size.
    pub fn by_key(key: &impl Key) -> Self {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        key.text().hash(&mut hasher);
        Self::Key(hasher.finish().max(1))
    }

    /// The key's hash; 0 for other routes.
    pub(crate) fn hash(&self) -> u64 {
        if let Self::Key(hash) = self { *hash } else { 0 }
    }
}

/// There is no such member; none: there is none at all.
pub(crate) struct NoMember(pub Option<usize>);

/// The slot of a message's member.
pub(crate) fn pick<A: Actor>(table: &mut Table<A>, route: &Route) -> Result<u32, NoMember> {
    let count = table.pool.len();
    let member = match route {
        Route::Member(member) if *member >= count => return Err(NoMember(Some(*member))),
        _ if count == 0 => return Err(NoMember(None)),
        Route::Member(member) => *member,
        Route::Key(hash) => home(*hash, count),
        Route::LeastLoaded => {
            let depth = |slot: u32| table.cells.get(slot as usize).map_or(usize::MAX, |cell| cell.mailbox.len());
            (0..count).min_by_key(|member| depth(table.pool[*member])).unwrap_or(0)
        }
        Route::RoundRobin => {
            let member = table.pool_cursor % count;
            table.pool_cursor = member + 1;
            member
        }
    };
    Ok(table.pool[member])
}

/// The member of a key: with one more member only the keys that it takes over move.
fn home(hash: u64, members: usize) -> usize {
    let mut text = [0; 16];
    for (digit, at) in text.iter_mut().zip((0..16).rev()) {
        *digit = b"0123456789abcdef"[(hash >> (4 * at)) as usize & 15];
    }
    std::str::from_utf8(&text).map_or(0, |text| shard_of(text, members))
}

/// Adds a member. Keys that it takes over come with their messages, in order.
pub fn grow<A: Actor>(world: &mut A::World, actor: A) -> ActorId {
    let now = world.core().now;
    let table = Hosts::<A>::table(world);
    let id = table.insert(None, now);
    table.pool.push(id.slot);
    life::begin::<A>(world, id, Box::new(actor));
    let table = Hosts::<A>::table(world);
    let count = table.pool.len();
    let others: Vec<u32> = table.pool.iter().copied().take(count.saturating_sub(1)).collect();
    let mut moving = Vec::new();
    for slot in others {
        let mailbox = &mut Hosts::<A>::table(world).cells[slot as usize].mailbox;
        let (taken, parked) =
            mailbox.extract(|envelope| envelope.route != 0 && home(envelope.route, count) == count - 1);
        sending::go_on::<A>(world, parked.iter());
        sending::let_in::<A>(world, slot);
        moving.extend(taken.into_iter().chain(parked));
    }
    let table = Hosts::<A>::table(world);
    for envelope in moving {
        if let Some(cell) = table.cell_mut(id) {
            cell.mailbox.push_promised(envelope.metadata.priority, envelope);
        }
    }
    enqueue::<A>(world, id.slot);
    id
}

/// Lets go of the last member; what waits for it goes to the others, by key in order, except answers and what it has scheduled,
/// which are for nobody else. The waiter is told when it has ended.
///
/// False where there is none.
pub fn shrink<A: Actor>(world: &mut A::World, waiter: Option<Later<A::World>>) -> bool {
    let table = Hosts::<A>::table(world);
    let Some(slot) = table.pool.pop() else { return false };
    let id = table.id(slot);
    let (taken, parked) = table.cells[slot as usize].mailbox.extract(|envelope| !envelope.is_own);
    sending::go_on::<A>(world, parked.iter());
    for envelope in taken.into_iter().chain(parked) {
        let route = if envelope.route == 0 { Route::LeastLoaded } else { Route::Key(envelope.route) };
        let table = Hosts::<A>::table(world);
        match pick(table, &route) {
            Ok(to) => {
                table.cells[to as usize].mailbox.push_promised(envelope.metadata.priority, envelope);
                enqueue::<A>(world, to);
            }
            Err(NoMember(_)) => {
                table.figures.pending.sub(1);
                sending::bury::<A>(world, None, envelope, &Undelivered::For(DeadReason::Stopped));
            }
        }
    }
    life::stop::<A>(world, id, waiter);
    true
}
