//! What actors cost in memory: an idle one, and a million that have come and gone. Counted where memory is asked for, so that
//! the figures are exact and the same on every machine.

use std::{
    alloc::{GlobalAlloc, Layout, System as Heap},
    cell::Cell,
    sync::Arc,
    time::Duration,
};

use pianorhythm_server::actor::{
    actor::{Activation, Actor, Handled, KindSettings},
    context::{Activating, Context},
    core,
    mesh::{Capacity, Mesh},
    moment::ActorClock,
    parcel::{Post, Registry},
    sending,
    system::System,
    world::{Hosts, World as _},
};

/// Bytes that an idle actor may cost besides its own state, its key and all that names and finds it included.
const LIMIT: usize = 512;

const ACTORS: usize = 100_000;

thread_local! {
    /// Bytes that this thread has asked for and not given back.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with an eye on each thread.
struct Counting;

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        // SAFETY: as promised to us.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: as promised to us.
        unsafe { Heap.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Holds eight bytes and goes when it is idle.
struct Idler(u64);

impl Actor for Idler {
    const KIND: &'static str = "idler";

    type World = System;
    type Key = String;
    type Message = u64;
    type Reply = ();
    type Error = String;

    fn activate(_: &mut Activating<'_, Self>) -> Activation<Self> {
        Activation::Ready(Self(0))
    }

    fn handle(&mut self, message: u64, _: &mut Context<'_, Self>) -> Handled<String> {
        self.0 += message;
        Ok(())
    }
}

/// A host with room for this kind, and its clock.
fn host() -> (System, ActorClock) {
    let mut registry = Registry::new();
    registry.host("host", "hand");
    registry.place::<Idler>([0]);
    let (mesh, _) = Mesh::new(1, Capacity::default());
    let clock = ActorClock::manual();
    let mut host = System::new(0, Post { mesh, registry: Arc::new(registry) }, clock.clone(), 1);
    host.add::<Idler>(KindSettings::default());
    (host, clock)
}

/// Has so many actors handle a message each, under keys of twelve bytes.
fn tell(host: &mut System, first: usize, count: usize) {
    for n in first..first + count {
        let key = format!("room-{n:07}");
        assert_eq!(key.len(), 12);
        sending::tell::<Idler, _>(host, &key, 1).expect("there is room");
    }
    core::settle(host);
}

fn len(host: &mut System) -> usize {
    Hosts::<Idler>::table(host).len()
}

#[test]
fn an_idle_actor_costs_little_besides_its_state() {
    let (mut host, _clock) = host();
    let before = HELD.get();
    tell(&mut host, 0, ACTORS);
    assert_eq!(len(&mut host), ACTORS);
    let each = (HELD.get() - before) as usize / ACTORS - size_of::<Idler>();
    println!("an idle actor costs {each} bytes besides its state");
    assert!(each <= LIMIT, "{each} bytes");
}

#[test]
fn actors_that_have_handled_a_rush_keep_no_more_than_idle_ones() {
    let (mut host, _clock) = host();
    let before = HELD.get();
    for _ in 0..100 {
        for n in 0..1000 {
            sending::tell::<Idler, _>(&mut host, &format!("room-{n:07}"), 1).expect("there is room");
        }
    }
    core::settle(&mut host);
    let each = (HELD.get() - before) as usize / 1000 - size_of::<Idler>();
    println!("one that was told a hundred things at once costs {each} bytes besides its state");
    assert!(each <= LIMIT, "{each} bytes");
}

#[test]
fn a_million_actors_that_come_and_go_in_waves_leave_nothing() {
    let (mut host, clock) = host();
    let wave = |host: &mut System, number: usize| {
        let idle_time = KindSettings::default().idle_time.expect("they go when they are idle");
        tell(host, number * ACTORS, ACTORS);
        assert!(len(host) >= ACTORS);
        // Those that were looked at too early are looked at once more.
        for _ in 0..2 {
            clock.advance(idle_time + Duration::from_secs(1));
            core::settle(host);
        }
        assert_eq!(len(host), 0);
        assert_eq!(host.core().runnable(), 0);
        HELD.get()
    };
    let first = wave(&mut host, 0);
    for number in 1..10 {
        let held = wave(&mut host, number);
        assert!(held <= first + 4096, "{} bytes more after wave {number} than after the first", held - first);
    }
    let figures = Hosts::<Idler>::table(&mut host).figures().clone();
    assert_eq!((figures.activations.get(), figures.retirements.get()), (10 * ACTORS as u64, 10 * ACTORS as u64));
    println!("after a million actors {first} bytes are held");
    assert!(first < 64 * 1024, "{first} bytes are held with no actor left");
}
