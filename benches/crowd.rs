//! What a room's decisions cost by how many are in it: each beside the snapshot that the server takes in case it fails half way.
//!
//! `benches/README.md` tells how to run it.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use pianorhythm_server::{
    domain::{
        identity::{Profile, Role, Status},
        quota::CarriedQuota,
        room::{Effect, NewRoom, PasswordProof, Room, RoomLimits, SeatRequest},
    },
    protocol::{
        ids::{ConnectionId, Participant},
        time::Timestamp,
        wire::user_left_room::Reason,
    },
};

const SIZES: [u64; 3] = [50, 1000, 5000];
const START: Timestamp = Timestamp::from_ms(1_700_000_000_000);

/// A room, and what has happened in it.
struct Hall {
    room: Room,
    now: Timestamp,
    last: u64,
    effects: Vec<Effect>,
}

impl Hall {
    fn of(members: u64) -> Self {
        let limits = RoomLimits { default_capacity: 10_000, max_capacity: 10_000, ..RoomLimits::default() };
        let limits = Arc::new(limits);
        let new = NewRoom::by_joining("bench", &limits).expect("the name is free");
        let room = Room::create(new, None, limits, START);
        let mut hall = Self { room, now: START, last: 0, effects: Vec::new() };
        for _ in 0..members {
            hall.join();
        }
        hall
    }

    /// Decides as the server does, with a snapshot.
    fn attempt<T>(&mut self, decide: impl FnOnce(&mut Room, Timestamp, &mut Vec<Effect>) -> T) -> T {
        self.now = self.now + Duration::from_millis(1);
        let before = self.room.clone();
        let decided = decide(&mut self.room, self.now, &mut self.effects);
        drop(black_box(before));
        self.effects.clear();
        decided
    }

    fn join(&mut self) -> Participant {
        self.last += 1;
        let connection = ConnectionId(self.last);
        let profile = Profile {
            user_id: format!("guest-{}", self.last).as_str().into(),
            username: format!("Guest {}", self.last),
            usertag: String::new(),
            roles: vec![Role::Guest],
            colour: "#aabbcc".into(),
            status: Status::Online,
        };
        let address = [127, 0, 0, 1].into();
        let request = SeatRequest { connection, profile: &profile, address, proof: PasswordProof::Absent };
        self.attempt(|room, now, _| room.reserve(request, now)).expect("there is room");
        let seated =
            self.attempt(|room, now, effects| room.take_seat(connection, None, CarriedQuota::default(), now, effects));
        seated.expect("the seat is held")
    }
}

fn crowd(criterion: &mut Criterion) {
    for size in SIZES {
        let mut group = criterion.benchmark_group(format!("a room of {size}"));
        group.bench_function("a snapshot", |bencher| {
            let hall = Hall::of(size);
            bencher.iter(|| hall.room.clone());
        });
        group.bench_function("a line of chat", |bencher| {
            let mut hall = Hall::of(size);
            let middle = Participant(size as u32 / 2);
            bencher.iter(|| {
                hall.attempt(|room, now, effects| room.chat((middle, None), "bravo", String::new(), now, effects))
            });
        });
        group.bench_function("one joins and another leaves", |bencher| {
            let mut hall = Hall::of(size);
            let mut oldest = 1;
            bencher.iter(|| {
                oldest += 1;
                hall.attempt(|room, now, effects| room.leave(Participant(oldest), Reason::Left, now, effects))
                    .expect("it is in");
                let joined = hall.join();
                // What a crowd's members are told together, twice a second.
                if joined.0.is_multiple_of(64) {
                    hall.attempt(|room, now, effects| room.tick(now + Duration::from_secs(1), effects));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, crowd);
criterion_main!(benches);
