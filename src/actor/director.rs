//! Making and ending actors by message, for tools and for actors that govern others.

use crate::actor::{
    actor::{Actor, Handled},
    context::{Context, push_own},
    core::Later,
    deferred::Owed,
    envelope::ActorId,
    life::{self, SpawnError},
    system::System,
    world::{Hosts, World},
};

/// One on each host that has the kind; its key is the host's place among them.
pub struct Director<W>(std::marker::PhantomData<fn(W)>);

impl<W> Default for Director<W> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

type Spawn<W> = Box<dyn FnOnce(&mut W) -> Result<ActorId, SpawnError> + Send>;
type Retire<W> = Box<dyn FnOnce(&mut W) -> bool + Send>;
type Stop<W> = Box<dyn FnOnce(&mut W, Later<W>) + Send>;

/// What a director is asked.
pub enum DirectorMessage<W> {
    /// Make an actor.
    Spawn(Spawn<W>),
    /// Have one retire, where nothing waits for it.
    Retire(Retire<W>),
    /// Stop one, and answer when it has ended.
    Stop(Stop<W>),
    /// One that was to be stopped has ended.
    Stopped(Owed),
}

impl<W: World> DirectorMessage<W> {
    /// Asks for an actor under a key, made by this factory on its host. One that is there already stays.
    pub fn spawn<A: Actor<World = W>>(key: A::Key, make: impl FnOnce() -> A + Send + 'static) -> Self
    where
        W: Hosts<A>,
    {
        Self::Spawn(Box::new(move |world| match Hosts::<A>::table(world).find(&key) {
            Some(id) => Err(SpawnError::Exists(id)),
            None => life::spawn_here::<A>(world, key, make()),
        }))
    }

    /// Asks that an actor retire.
    pub fn retire<A: Actor<World = W>>(key: A::Key) -> Self
    where
        W: Hosts<A>,
    {
        Self::Retire(Box::new(move |world| {
            let id = Hosts::<A>::table(world).find(&key);
            id.is_some_and(|id| life::retire::<A>(world, id))
        }))
    }

    /// Asks that an actor stop.
    pub fn stop<A: Actor<World = W>>(key: A::Key) -> Self
    where
        W: Hosts<A>,
    {
        Self::Stop(Box::new(move |world, done| match Hosts::<A>::table(world).find(&key) {
            Some(id) => life::stop::<A>(world, id, Some(done)),
            None => done(world),
        }))
    }
}

/// What a director answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directed {
    /// It was made.
    Spawned(ActorId),
    /// It retired, or had something to do, or was not there.
    Retired(bool),
    /// It has ended.
    Stopped,
}

/// Makes a world's director an actor of that world: `directs!(World)`. A world has one where it has a table for it.
#[macro_export]
macro_rules! directs {
    ($world:ty) => {
        impl $crate::actor::actor::Actor for $crate::actor::director::Director<$world> {
            const KIND: &'static str = "director";

            type World = $world;
            type Key = $crate::actor::key::Place;
            type Message = $crate::actor::director::DirectorMessage<$world>;
            type Reply = $crate::actor::director::Directed;
            type Error = $crate::actor::life::SpawnError;

            fn handle(
                &mut self,
                message: Self::Message,
                cx: &mut $crate::actor::context::Context<'_, Self>,
            ) -> $crate::actor::actor::Handled<Self::Error> {
                $crate::actor::director::direct(message, cx)
            }

            fn may_retire(&self) -> bool {
                false
            }
        }
    };
}

directs!(System);

/// What a director does with a message; [`directs!`](crate::directs) has it called.
pub fn direct<W>(message: DirectorMessage<W>, cx: &mut Context<'_, Director<W>>) -> Handled<SpawnError>
where
    Director<W>: Actor<World = W, Message = DirectorMessage<W>, Reply = Directed, Error = SpawnError>,
    W: World + Hosts<Director<W>>,
{
    match message {
        DirectorMessage::Spawn(spawn) => {
            let id = spawn(cx.world)?;
            cx.reply(Directed::Spawned(id));
        }
        DirectorMessage::Retire(retire) => {
            let retired = retire(cx.world);
            cx.reply(Directed::Retired(retired));
        }
        DirectorMessage::Stop(stop) => {
            let (me, owed) = (cx.id(), cx.owe());
            let done = Box::new(move |world: &mut W| {
                if let Some(owed) = owed {
                    push_own::<Director<W>>(world, me, DirectorMessage::Stopped(owed));
                }
            });
            cx.later(move |world| stop(world, done));
        }
        DirectorMessage::Stopped(owed) => cx.answer(owed, Ok(Directed::Stopped)),
    }
    Ok(())
}
