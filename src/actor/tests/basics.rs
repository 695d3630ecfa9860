//! Telling, asking, failing.

use std::time::Duration;

use super::kit::House;
use crate::actor::{
    actor::{Activation, Actor, Failure, Handled, KindSettings, Recovery},
    context::{Activating, Context},
    envelope::AskError,
    system::System,
};

/// Counts; fails when it is told to.
struct Counter(u64);

#[derive(Debug)]
enum Do {
    Add(u64),
    Get,
    Fail,
    Panic,
}

impl Actor for Counter {
    const KIND: &'static str = "counter";

    type World = System;
    type Key = String;
    type Message = Do;
    type Reply = u64;
    type Error = String;

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        if cx.key.starts_with('-') { Activation::Absent } else { Activation::Ready(Self(0)) }
    }

    fn handle(&mut self, message: Do, cx: &mut Context<'_, Self>) -> Handled<String> {
        match message {
            Do::Add(n) => self.0 += n,
            Do::Get => {
                cx.reply(self.0);
            }
            Do::Fail => return Err(Failure::Error("no".to_owned())),
            Do::Panic => panic!("as told"),
        }
        Ok(())
    }
}

fn house() -> House {
    House::one(|system| {
        system.add::<Counter>(KindSettings { recovery: Recovery::InPlace, ..KindSettings::default() });
    })
}

fn place(registry: &mut crate::actor::parcel::Registry) {
    registry.place::<Counter>([0, 1, 2]);
}

fn ask(house: &mut House, key: &str, message: Do) -> Result<u64, AskError<String>> {
    let remote = house.remote.clone();
    let key = key.to_owned();
    let thread = std::thread::spawn(move || remote.ask_blocking::<Counter>(&key, message, Duration::from_secs(10)));
    while !thread.is_finished() {
        house.settle();
        std::thread::yield_now();
    }
    thread.join().unwrap()
}

#[test]
fn a_virtual_actor_counts_what_it_is_told_on_whichever_host_it_lives() {
    let mut house = House::new(3, place, |system, _| {
        system.add::<Counter>(KindSettings::default());
    });
    for n in 0..100 {
        house.remote.tell::<Counter>(&format!("c{}", n % 7), Do::Add(n)).unwrap();
    }
    let sums: Vec<u64> = (0..7).map(|key| ask(&mut house, &format!("c{key}"), Do::Get).unwrap()).collect();
    let expected: Vec<u64> = (0..7).map(|key| (0..100).filter(|n| n % 7 == key).sum()).collect();
    assert_eq!(sums, expected);
}

#[test]
fn an_asks_errors_tell_apart() {
    let mut house = House::new(
        1,
        |registry| {
            registry.place::<Counter>([0]);
        },
        |system, _| {
            system.add::<Counter>(KindSettings { recovery: Recovery::InPlace, ..KindSettings::default() });
        },
    );
    assert_eq!(ask(&mut house, "a", Do::Fail), Err(AskError::Handler("no".into())));
    assert_eq!(ask(&mut house, "a", Do::Panic), Err(AskError::Died));
    assert_eq!(ask(&mut house, "a", Do::Add(1)), Err(AskError::Unanswered));
    assert_eq!(ask(&mut house, "-", Do::Get), Err(AskError::Stopped));
    assert_eq!(ask(&mut house, "a", Do::Get), Ok(1), "in place");
}

#[test]
fn an_idle_actor_retires() {
    let mut house = house();
    let host = house.host();
    crate::actor::life::spawn::<Counter>(host, "x".into(), Counter(1)).unwrap();
    use crate::actor::world::Hosts;
    house.pass(59_900);
    assert_eq!(Hosts::<Counter>::table(house.host()).len(), 1);
    house.pass(300);
    assert_eq!(Hosts::<Counter>::table(house.host()).len(), 0);
}
