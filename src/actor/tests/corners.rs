//! Where several things happen at once: each of these was wrong once.

mod bounds;
mod hosts;
mod lives;
mod panics;
mod pressure;
mod undoing;

use std::time::Duration;

use super::kit::{Diary, House};
use crate::actor::{
    actor::{Activation, Actor, Farewell, Handled, Intercepted, KindSettings, Undelivered},
    context::{Activating, Context},
    core,
    envelope::{ActorId, Envelope},
    life,
    parcel::Registry,
    supervision::BackOff,
    system::System,
    world::{Hosts, World as _},
};

thread_local! {
    /// What the actors of a test, which all live on its thread, have noted.
    static DIARY: Diary = Diary::default();
}

fn note(what: impl Into<String>) {
    DIARY.with(|diary| diary.note(what));
}

fn noted() -> Vec<String> {
    DIARY.with(Diary::take)
}

/// An actor that does what it is told, of one kind of several.
struct Probe<const N: usize>;

/// What it is told.
enum Say<const N: usize> {
    /// Note this, and answer with it.
    Note(&'static str),
    /// Do this.
    Do(Act<N>),
    /// Nothing; where it is not delivered, that panics.
    Bomb,
}

type Act<const N: usize> = Box<dyn FnOnce(&mut Context<'_, Probe<N>>) -> Handled<String> + Send>;

fn does<const N: usize>(act: impl FnOnce(&mut Context<'_, Probe<N>>) + Send + 'static) -> Say<N> {
    Say::Do(Box::new(|cx| {
        act(cx);
        Ok(())
    }))
}

impl<const N: usize> Actor for Probe<N> {
    const KIND: &'static str = ["zero", "one", "two"][N];

    type World = System;
    type Key = String;
    type Message = Say<N>;
    type Reply = &'static str;
    type Error = String;

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        match cx.key.as_str() {
            key if key.starts_with("loading") => Activation::Loading(Box::pin(std::future::pending())),
            key if key.starts_with("absent") => Activation::Absent,
            _ => Activation::Ready(Self),
        }
    }

    fn handle(&mut self, message: Say<N>, cx: &mut Context<'_, Self>) -> Handled<String> {
        match message {
            Say::Note(what) => {
                note(format!("{}: {what}", name(cx)));
                cx.reply(what);
                Ok(())
            }
            Say::Do(act) => act(cx),
            Say::Bomb => Ok(()),
        }
    }

    fn started(&mut self, cx: &mut Context<'_, Self>) {
        let name = name(cx);
        if name.starts_with("telling") {
            note(format!("{name}: started"));
        }
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        let name = name(cx);
        if name.starts_with("telling") {
            note(format!("{name}: ends"));
        }
        if name.starts_with("slow") {
            cx.world.core().clock.advance(ms(1));
        }
        Farewell::Done
    }

    fn intercept(_: &mut System, key: &String, envelope: Envelope<Self>) -> Intercepted<Self> {
        assert!(key != "absent: panics", "as told");
        Intercepted::Pass(envelope)
    }

    fn undelivered(_: &mut System, _: Option<&String>, message: Say<N>, _: &Undelivered<Self>) {
        match message {
            Say::Note(what) => note(format!("lost: {what}")),
            Say::Bomb => panic!("as told, in undelivered"),
            Say::Do(_) => {}
        }
    }
}

fn name<const N: usize>(cx: &mut Context<'_, Probe<N>>) -> String {
    cx.key().unwrap_or_else(|| "telling anonymous".to_owned())
}

/// Settings without back-off, that never give up.
fn lasting() -> KindSettings {
    let intensity = crate::actor::supervision::Intensity::UNLIMITED;
    KindSettings { intensity, back_off: BackOff::NONE, ..KindSettings::default() }
}

/// One host with three kinds of probes of these settings.
fn house(settings: [KindSettings; 3]) -> House {
    House::one(|system| add(system, settings))
}

fn add(system: &mut System, [zero, one, two]: [KindSettings; 3]) {
    system.add::<Probe<0>>(zero).add::<Probe<1>>(one).add::<Probe<2>>(two);
}

/// As many hosts, all with all kinds.
fn houses(count: usize, settings: KindSettings) -> House {
    let place = |registry: &mut Registry| {
        registry.place::<Probe<0>>(0..count).place::<Probe<1>>(0..count).place::<Probe<2>>(0..count);
    };
    House::new(count, place, |system, _| add(system, [settings; 3]))
}

/// Makes an actor on the first host.
fn spawn<const N: usize>(house: &mut House, key: &str) -> ActorId {
    life::spawn_here::<Probe<N>>(house.host(), key.to_owned(), Probe).unwrap()
}

/// Has an actor of the first host do something in its handler, and what comes of it.
fn has<const N: usize>(house: &mut House, id: ActorId, act: impl FnOnce(&mut Context<'_, Probe<N>>) + Send + 'static) {
    tell(house, id, does(act));
    house.settle();
}

fn tell<const N: usize>(house: &mut House, id: ActorId, message: Say<N>) {
    let system = house.host();
    let now = system.core().now();
    let metadata = crate::actor::envelope::Metadata {
        id: system.core().fresh_id(),
        sender: None,
        created_at: now,
        deadline: None,
        priority: crate::actor::envelope::Priority::Data,
    };
    let to = crate::actor::sending::To::<Probe<N>>::Id(id);
    assert!(crate::actor::sending::send(system, to, message, metadata, None).is_ok());
}

fn lives<const N: usize>(house: &mut House, id: ActorId) -> bool {
    Hosts::<Probe<N>>::table(house.host()).phase(id).is_some()
}

/// One turn, without what comes after it.
fn turn(house: &mut House) {
    core::turn(house.host());
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
