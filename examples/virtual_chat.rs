//! Chat rooms that nobody has to make: the first message for a room's name calls it to life on the host that the name belongs to,
//! it loads what was said last, and retires when all is quiet. `cargo run --example virtual_chat`

use std::{collections::BTreeMap, convert::Infallible, error::Error, num::NonZero, sync::Mutex, time::Duration};

use pianorhythm_server::actor::prelude::*;

const SOON: Duration = Duration::from_secs(5);

/// A store: each room's last line.
static STORE: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());

/// A room, with its last line.
struct Room(&'static str);

enum ToRoom {
    Say(&'static str),
    GetLast,
}

impl Actor for Room {
    const KIND: &'static str = "room";

    type World = System;
    type Key = String;
    type Message = ToRoom;
    type Reply = &'static str;
    type Error = Infallible;

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        println!("{} is called to life on host {}", cx.key, cx.id.host);
        let (room, remote) = (cx.key.clone(), cx.remote());
        Activation::Loading(Box::pin(async move {
            // A store takes its time. What is said meanwhile waits, in order.
            sleep(remote.clock(), Duration::from_millis(20)).await;
            Ok(Self(STORE.lock().unwrap().get(&room).copied().unwrap_or("nothing")))
        }))
    }

    fn handle(&mut self, message: ToRoom, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
        match message {
            ToRoom::Say(line) => {
                println!("{}: {line}", cx.key().unwrap());
                self.0 = line;
            }
            ToRoom::GetLast => cx.reply(self.0),
        }
        Ok(())
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        println!("{} is quiet", cx.key().unwrap());
        STORE.lock().unwrap().insert(cx.key().unwrap(), self.0);
        Farewell::Done
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut plan = HousePlan::new();
    for (number, core) in CorePlan::of_this_process(NonZero::new(3)).shards.into_iter().enumerate() {
        plan.glommio(format!("shard-{number}"), core, |seat| {
            let mut system = seat.system();
            system.add::<Room>(KindSettings { idle_time: Some(SOON / 10), ..KindSettings::default() });
            system
        });
    }
    plan.place::<Room>(0..3);
    let house = plan.start()?;
    let remote = house.remote();

    for (room, line) in [("lobby", "hello"), ("jazz", "one, two"), ("blues", "woke up"), ("lobby", "who plays?")] {
        remote.tell::<Room>(&room.to_owned(), ToRoom::Say(line))?;
    }
    for (room, last) in house.block_on(remote.broadcast::<Room>(|_| ToRoom::GetLast, SOON)) {
        println!("asked of all, {room} says: {}", last?);
    }
    while STORE.lock().unwrap().len() < 3 {
        house.block_on(sleep(remote.clock(), SOON / 100));
    }
    let last = house.block_on(remote.ask::<Room>(&"lobby".to_owned(), ToRoom::GetLast, SOON))?;
    println!("lobby remembers: {last}");
    let rooms = ShutdownStage { name: "rooms", kinds: vec![Room::KIND], deadline: SOON };
    println!("ended in time: {}", house.stop(vec![rooms], SOON).is_clean());
    Ok(())
}
