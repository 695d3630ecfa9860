//! Publishing changes of state to whoever has subscribed, on every host.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::Arc,
};

use crate::actor::{
    actor::{Actor, Undelivered},
    core::{Core, Later},
    envelope::{ActorId, Envelope, Metadata, Priority},
    failing,
    kind_figures::DeadReason,
    parcel::Parcel,
    sending,
    world::{Hosts, World},
};

/// A topic: a type that names it, and the events published under it.
pub trait Topic: 'static {
    /// What is published.
    type Event: Send + Sync + 'static;
}

/// Who has subscribed to a topic, each with what gives it an event.
pub(crate) type Subscribers<W> = BTreeMap<ActorId, Box<dyn FnMut(&mut W, &dyn Any) -> Notified<W>>>;

/// What became of giving a subscriber an event.
pub(crate) enum Notified<W> {
    Told,
    /// It is no more.
    Gone,
    /// It panicked at making a message of it. What is to be done about that when all have been told.
    Failed(Later<W>),
}

/// Subscribes an actor; a second subscription replaces its first.
pub(crate) fn subscribe<T: Topic, A: Actor>(
    world: &mut A::World,
    actor: ActorId,
    mut map: impl FnMut(&T::Event) -> A::Message + 'static,
) {
    let topic = TypeId::of::<T>();
    let Some(cell) = Hosts::<A>::table(world).cell_mut(actor) else { return };
    if !cell.extras().topics.contains(&topic) {
        cell.extras().topics.push(topic);
    }
    let notify = Box::new(move |world: &mut A::World, event: &dyn Any| {
        if Hosts::<A>::table(world).cell(actor).is_none() {
            return Notified::Gone;
        }
        if let Some(event) = event.downcast_ref::<T::Event>() {
            let message = match failing::contained(|| map(event)) {
                Ok(message) => message,
                Err(cause) => {
                    return Notified::Failed(Box::new(move |world| failing::failed_beside::<A>(world, actor, cause)));
                }
            };
            let core = world.core();
            let metadata = Metadata {
                id: core.fresh_id(),
                sender: None,
                created_at: core.now,
                deadline: None,
                priority: Priority::Data,
            };
            // It is this subscriber's: where that ends before, it is nobody else's.
            let envelope = Envelope { is_own: true, ..Envelope::new(message, metadata, None) };
            if let Err((error, reply)) = sending::push::<A>(world, actor.slot, envelope) {
                let envelope = Envelope::new(error.into_message(), metadata, reply);
                sending::bury::<A>(world, None, envelope, &Undelivered::For(DeadReason::MailboxFull));
            }
        }
        Notified::Told
    });
    world.core().topics.entry(topic).or_default().insert(actor, Box::new(notify));
}

/// Ends an actor's subscription.
pub(crate) fn unsubscribe<T: Topic, A: Actor>(world: &mut A::World, actor: ActorId) {
    let topic = TypeId::of::<T>();
    if let Some(cell) = Hosts::<A>::table(world).cell_mut(actor) {
        cell.extras().topics.retain(|known| *known != topic);
    }
    forget(world.core(), topic, actor);
}

/// An actor's subscription is over.
pub(crate) fn forget<W: World>(core: &mut Core<W>, topic: TypeId, actor: ActorId) {
    if let Some(subscribers) = core.topics.get_mut(&topic) {
        subscribers.remove(&actor);
        if subscribers.is_empty() {
            core.topics.remove(&topic);
        }
    }
}

/// Publishes an event: here at once, elsewhere with the end of the turn. To a host that takes nothing in, and for which much
/// waits, it is not sent; that is counted.
pub fn publish<T: Topic, W: World>(world: &mut W, event: T::Event) {
    let event: Arc<dyn Any + Send + Sync> = Arc::new(event);
    let core = world.core();
    let (me, hosts) = (core.host, core.post.mesh.len() as u16);
    for host in (0..hosts).filter(|host| *host != me) {
        let parcel = Parcel::Published { topic: TypeId::of::<T>(), event: event.clone() };
        core.outbox.send_event(usize::from(host), parcel);
    }
    published(world, TypeId::of::<T>(), &*event);
}

/// Gives an event to who has subscribed here.
pub(crate) fn published<W: World>(world: &mut W, topic: TypeId, event: &dyn Any) {
    let Some(mut subscribers) = world.core().topics.remove(&topic) else { return };
    let mut failed = Vec::new();
    subscribers.retain(|_, notify| match notify(world, event) {
        Notified::Told => true,
        Notified::Gone => false,
        Notified::Failed(act) => {
            failed.push(act);
            true
        }
    });
    let topics = &mut world.core().topics;
    // Who has subscribed meanwhile has done so later.
    subscribers.extend(topics.remove(&topic).unwrap_or_default());
    if !subscribers.is_empty() {
        topics.insert(topic, subscribers);
    }
    for act in failed {
        act(world);
    }
}
