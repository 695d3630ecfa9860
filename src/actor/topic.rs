//! Publishing changes of state to whoever has subscribed, on every host.

use std::{
    any::{Any, TypeId},
    sync::Arc,
};

use crate::actor::{
    actor::Actor,
    envelope::{ActorId, Metadata, Priority, TellError},
    failing,
    mesh::Lane,
    parcel::Parcel,
    sending::{self, To},
    world::{Hosts, World},
};

/// A topic: a type that names it, and the events published under it.
pub trait Topic: 'static {
    /// What is published.
    type Event: Send + Sync + 'static;
}

/// An actor that has subscribed.
pub(crate) struct Subscription<W> {
    actor: ActorId,
    /// Gives it an event; false where it is no more.
    notify: Box<dyn FnMut(&mut W, &dyn Any) -> bool>,
}

/// Subscribes an actor; a second subscription replaces its first.
pub(crate) fn subscribe<T: Topic, A: Actor>(
    world: &mut A::World,
    actor: ActorId,
    mut map: impl FnMut(&T::Event) -> A::Message + 'static,
) {
    let topic = TypeId::of::<T>();
    let Some(cell) = Hosts::<A>::table(world).cell_mut(actor) else { return };
    cell.extras().topics.retain(|known| *known != topic);
    cell.extras().topics.push(topic);
    unsubscribe(world, topic, actor);
    let notify = Box::new(move |world: &mut A::World, event: &dyn Any| {
        if Hosts::<A>::table(world).cell(actor).is_none() {
            return false;
        }
        let event = event.downcast_ref::<T::Event>();
        if let Some(message) = event.and_then(|event| failing::guarded::<A, _>(world, actor, |_| map(event))) {
            let core = world.core();
            let metadata = Metadata {
                id: core.fresh_id(),
                sender: None,
                created_at: core.now,
                deadline: None,
                priority: Priority::Data,
            };
            let told = sending::send::<A, _>(world, To::Id(actor), message, metadata, None);
            if let Err((TellError::Full(message), reply)) = told {
                let envelope = crate::actor::envelope::Envelope::new(message, metadata, reply);
                let why = crate::actor::actor::Undelivered::For(crate::actor::kind_figures::DeadReason::MailboxFull);
                sending::bury::<A>(world, None, envelope, &why);
            }
        }
        true
    });
    world.core().topics.entry(topic).or_default().push(Subscription { actor, notify });
}

/// Ends an actor's subscription.
pub(crate) fn unsubscribe<W: World>(world: &mut W, topic: TypeId, actor: ActorId) {
    let topics = &mut world.core().topics;
    if let Some(subscriptions) = topics.get_mut(&topic) {
        subscriptions.retain(|subscription| subscription.actor != actor);
        if subscriptions.is_empty() {
            topics.remove(&topic);
        }
    }
}

/// Publishes an event: here at once, elsewhere with the end of the turn.
pub fn publish<T: Topic, W: World>(world: &mut W, event: T::Event) {
    let event: Arc<dyn Any + Send + Sync> = Arc::new(event);
    let core = world.core();
    let (me, hosts) = (core.host, core.post.mesh.len() as u16);
    for host in (0..hosts).filter(|host| *host != me) {
        let parcel = Parcel::Published { topic: TypeId::of::<T>(), event: event.clone() };
        core.send_parcel(host, Lane::Data, parcel);
    }
    published(world, TypeId::of::<T>(), &*event);
}

/// Gives an event to who has subscribed here.
pub(crate) fn published<W: World>(world: &mut W, topic: TypeId, event: &dyn Any) {
    let Some(mut subscriptions) = world.core().topics.remove(&topic) else { return };
    subscriptions.retain_mut(|subscription| (subscription.notify)(world, event));
    if !subscriptions.is_empty() {
        world.core().topics.insert(topic, subscriptions);
    }
}
