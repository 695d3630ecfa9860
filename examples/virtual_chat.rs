//! Chat rooms that nobody has to make: the first message for a room's name calls it to life on the host that the name belongs to,
//! it loads what it said last, publishes what is said in it, and retires when all is quiet. `cargo run --example virtual_chat`

use std::{
    collections::BTreeMap, convert::Infallible, error::Error, num::NonZero, sync::Mutex, sync::mpsc, time::Duration,
};

use pianorhythm_server::actor::prelude::*;

const SOON: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(300);

/// A store: each room's last line.
static STORE: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// A room, with its last line.
struct Room(String);

enum ToRoom {
    Say(&'static str),
    GetLast,
}

impl Actor for Room {
    const KIND: &'static str = "room";

    type World = System;
    type Key = String;
    type Message = ToRoom;
    type Reply = String;
    type Error = Infallible;

    fn activate(cx: &mut Activating<'_, Self>) -> Activation<Self> {
        let (room, remote) = (cx.key.clone(), cx.remote());
        Activation::Loading(Box::pin(async move {
            // A store takes its time. What is said meanwhile waits, in order.
            sleep(remote.clock(), Duration::from_millis(20)).await;
            Ok(Self(STORE.lock().unwrap().get(&room).cloned().unwrap_or_default()))
        }))
    }

    fn started(&mut self, cx: &mut Context<'_, Self>) {
        let opened = Event::Opened(cx.key().unwrap(), cx.id());
        cx.publish::<Rooms>(opened);
    }

    fn handle(&mut self, message: ToRoom, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
        match message {
            ToRoom::Say(line) => {
                let said = Event::Said(cx.key().unwrap(), line);
                cx.publish::<Rooms>(said);
                self.0 = line.to_owned();
            }
            ToRoom::GetLast => cx.reply(self.0.clone()),
        }
        Ok(())
    }

    fn ending(&mut self, cx: &mut Context<'_, Self>) -> Farewell {
        STORE.lock().unwrap().insert(cx.key().unwrap(), self.0.clone());
        Farewell::Done
    }
}

/// What happens in all rooms, whichever host they live on.
struct Rooms;

impl Topic for Rooms {
    type Event = Event;
}

#[derive(Clone)]
enum Event {
    Opened(String, ActorId),
    Said(String, &'static str),
    Ended(String, Cause),
}

/// The one that writes down what happens.
struct Monitor(mpsc::Sender<String>);

impl Actor for Monitor {
    const KIND: &'static str = "monitor";

    type World = System;
    type Key = ();
    type Message = Event;
    type Reply = ();
    type Error = Infallible;

    fn started(&mut self, cx: &mut Context<'_, Self>) {
        cx.subscribe::<Rooms>(Event::clone);
    }

    fn handle(&mut self, event: Event, cx: &mut Context<'_, Self>) -> Handled<Infallible> {
        let line = match event {
            Event::Opened(room, id) => {
                let line = format!("{room} is open, on host {}", id.host);
                cx.watch(id, |ended| Event::Ended(room, ended.cause));
                line
            }
            Event::Said(room, line) => format!("{room}: {line}"),
            Event::Ended(room, cause) => format!("{room} is closed: {cause}"),
        };
        let _nobody_reads_it = self.0.send(line);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (journal, written) = mpsc::channel();
    let mut plan = HousePlan::new();
    for (number, core) in CorePlan::of_this_process(NonZero::new(3)).shards.into_iter().enumerate() {
        let journal = journal.clone();
        plan.glommio(format!("shard-{number}"), core, move |seat| {
            let mut system = seat.system();
            system.add::<Room>(KindSettings { idle_time: Some(QUIET), ..KindSettings::default() });
            if number == 0 {
                system.add::<Monitor>(KindSettings { idle_time: None, ..KindSettings::default() });
                life::spawn(&mut system, (), Monitor(journal)).expect("it is the first");
            }
            system
        });
    }
    plan.place::<Room>(0..3).place::<Monitor>([0]);
    let house = plan.start()?;
    let remote = house.remote();

    for (room, line) in [("lobby", "hello"), ("jazz", "one, two"), ("blues", "woke up"), ("lobby", "who plays?")] {
        remote.tell::<Room>(&room.to_owned(), ToRoom::Say(line))?;
    }
    for (room, last) in house.block_on(remote.broadcast::<Room>(|_| ToRoom::GetLast, SOON)) {
        println!("asked of all, {room} says: {}", last?);
    }
    let mut open = 3;
    while open > 0 {
        let line = written.recv_timeout(SOON)?;
        open -= usize::from(line.contains("is closed"));
        println!("{line}");
    }
    let last = house.block_on(remote.ask::<Room>(&"lobby".to_owned(), ToRoom::GetLast, SOON))?;
    println!("lobby was called to life again and remembers: {last}");
    let rooms = ShutdownStage { name: "rooms", kinds: vec![Room::KIND], deadline: SOON };
    println!("ended in time: {}", house.stop(vec![rooms], SOON).is_clean());
    Ok(())
}
