//! An actor that is a supervisor's child by name: how it is started, and how its key is kept while it waits for that.

use crate::actor::{
    actor::Actor,
    envelope::ActorId,
    failing, life,
    table::Phase,
    tree,
    world::{Hosts, World},
};

/// What a supervisor does with a child by name, whatever its kind.
pub(crate) trait Named<W> {
    /// Starts it, as this child of the tree: with a fresh value, or with its own where it has that still. How that went on from
    /// there the tree is told as of any other failure or end.
    fn start(&mut self, world: &mut W, child: usize) -> Result<ActorId, String>;

    /// Has messages wait for its start, in order, instead of looking for somebody of its key.
    fn hold(&mut self, world: &mut W, child: usize);
}

/// A child of this kind.
pub(crate) struct OfKind<A: Actor, F> {
    pub key: A::Key,
    pub make: F,
}

impl<A, F> Named<A::World> for OfKind<A, F>
where
    A: Actor,
    F: FnMut(&mut A::World) -> Result<A, String>,
{
    fn start(&mut self, world: &mut A::World, child: usize) -> Result<ActorId, String> {
        let table = Hosts::<A>::table(world);
        if let Some(id) = table.find(&self.key)
            && let Some(cell) = table.cell_mut(id)
            && cell.child() == Some(child)
            && cell.phase == Phase::Down
            && cell.value.is_some()
        {
            cell.extras().cause = None;
            failing::go_on::<A>(world, id);
            return Ok(id);
        }
        if table.takes_none() {
            return Err("the kind has ended".to_owned());
        }
        if let Some(id) = self.taken_on(world, child)? {
            return Ok(id);
        }
        let actor = (self.make)(world)?;
        // Making it may have named it.
        if let Some(id) = self.taken_on(world, child)? {
            return Ok(id);
        }
        let now = world.core().now;
        let table = Hosts::<A>::table(world);
        let id = table.find(&self.key).unwrap_or_else(|| table.insert(Some(self.key.clone()), now));
        if let Some(cell) = table.cell_mut(id)
            && cell.extras().cause.take().is_some()
        {
            cell.counts.restarts += 1;
            table.figures.restarts.add(1);
        }
        claim::<A>(world, id, child);
        life::begin::<A>(world, id, Box::new(actor));
        Ok(id)
    }

    fn hold(&mut self, world: &mut A::World, child: usize) {
        let now = world.core().now;
        let table = Hosts::<A>::table(world);
        if table.takes_none() {
            return;
        }
        let id = match table.find(&self.key) {
            None => table.insert(Some(self.key.clone()), now),
            Some(id) if table.cell(id).is_some_and(|cell| cell.phase == Phase::New) => id,
            // It stands still already, or somebody has taken its place.
            Some(_) => return,
        };
        claim::<A>(world, id, child);
        life::set_phase::<A>(world, id, Phase::Down);
    }
}

impl<A: Actor, F> OfKind<A, F> {
    /// Takes on one that runs under the key and is nobody's; none where one is to be made. An error where there is one that
    /// can not be taken on.
    fn taken_on(&self, world: &mut A::World, child: usize) -> Result<Option<ActorId>, String> {
        let table = Hosts::<A>::table(world);
        let Some(id) = table.find(&self.key) else { return Ok(None) };
        let Some(cell) = table.cell(id) else { return Ok(None) };
        match (cell.phase, cell.child()) {
            (Phase::New, None) => Ok(None),
            (Phase::Down, Some(own)) if own == child => Ok(None),
            (Phase::Running, None) => {
                claim::<A>(world, id, child);
                Ok(Some(id))
            }
            (phase, _) => Err(format!("there is one already, and it is {}", phase.as_str())),
        }
    }
}

/// Makes an actor a supervisor's child.
fn claim<A: Actor>(world: &mut A::World, id: ActorId, child: usize) {
    if let Some(cell) = Hosts::<A>::table(world).cell_mut(id) {
        cell.extras().child = Some(child);
        tree::claimed(world, child, id);
    }
}
