//! A pool of counters on one thread: each message goes to one of them, by its key, to the least loaded or to the next in turn,
//! and the pool grows and shrinks while it works. `cargo run --example counter_pool`

use std::{convert::Infallible, error::Error, time::Duration};

use pianorhythm_server::actor::prelude::*;

const SOON: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counter(u64);

enum Count {
    Add(u64),
    Get,
}

impl Actor for Counter {
    const KIND: &'static str = "counter";

    type World = System;
    type Key = ();
    type Message = Count;
    type Reply = u64;
    type Error = Infallible;

    fn handle(&mut self, message: Count, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
        match message {
            Count::Add(n) => self.0 += n,
            Count::Get => cx.reply(self.0),
        }
        Ok(())
    }

    /// The pool lets go of it: the first member goes on with what it has counted.
    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        let _nobody_left = cx.tell_pool::<Self>(Route::Member(0), Count::Add(self.0));
        Farewell::Done
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut plan = HousePlan::new();
    let host = plan.glommio("counters", CorePlan::of_this_process(None).shards[0], |seat| {
        let mut system = seat.system();
        system.add::<Counter>(KindSettings::default());
        for _ in 0..3 {
            pool::grow(&mut system, Counter::default());
        }
        system
    });
    plan.place::<Counter>([host]);
    let house = plan.start()?;
    let remote = house.remote();
    let add = |route, n| remote.tell_pool::<Counter>(route, Count::Add(n)).expect("the inbox has room");
    let counts = |members: usize| -> Vec<u64> {
        let ask = |member| house.block_on(remote.ask_pool::<Counter>(Route::Member(member), Count::Get, SOON));
        (0..members).map(|member| ask(member).expect("there is such a member")).collect()
    };

    (0..9).for_each(|_| add(Route::RoundRobin, 1));
    println!("in turn: {:?}", counts(3));
    (0..9).for_each(|_| add(Route::by_key(&"ann".to_owned()), 10));
    println!("by key: {:?}", counts(3));
    house.block_on(remote.on(host, |world: &mut System| pool::grow(world, Counter::default())));
    (0..8).for_each(|_| add(Route::LeastLoaded, 100));
    println!("least loaded of four: {:?}", counts(4));
    for _ in 0..3 {
        house.block_on(remote.on(host, |world: &mut System| pool::shrink::<Counter>(world, None)));
    }
    println!("one is left, with all that was counted: {:?}", counts(1));
    println!("ended in time: {}", house.stop(Vec::new(), SOON).is_clean());
    Ok(())
}
