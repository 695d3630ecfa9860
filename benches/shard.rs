//! What a note costs a whole shard, from the read of its socket to the last write; and what the hop to another shard adds.
//!
//! The shards are the server's own, turned by hand on one thread, with a socket for each member. System calls are in it, the
//! players' and listeners' own are not. `benches/README.md` tells how to run it.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use pianorhythm_server::{
    actor::{
        mesh::{Capacity, Lane, Mesh},
        parcel::Parcel,
    },
    protocol::codec::Format,
};

#[path = "../tests/support/shards.rs"]
mod shards;

use shards::Shards;

/// What the server uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages on their way to another shard at once.
const AT_ONCE: u64 = 64;

/// The time that turns with a note in each take.
fn notes(bencher: &mut Bencher, members: usize, at_home: usize, format: Format) {
    let shards = if at_home < members { 2 } else { 1 };
    let mut room = Shards::new(shards, members, at_home, format);
    bencher.iter_custom(|count| {
        let mut took = Duration::ZERO;
        for _ in 0..count {
            room.play(0);
            let begun = Instant::now();
            room.turn();
            took += begun.elapsed();
            assert_eq!(room.hear(), members - 1, "all but who plays");
        }
        took
    });
}

fn one_shard(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a note on a shard");
    for (name, format) in [("protobuf", Format::Protobuf), ("json", Format::Json)] {
        for members in [20, 400] {
            group.throughput(Throughput::Elements(members as u64 - 1));
            group.bench_function(format!("in a room of {members}, {name}"), |bencher| {
                notes(bencher, members, members, format);
            });
        }
    }
    group.finish();
}

fn two_shards(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("the hop to another shard");
    for (members, at_home) in [(40, 20), (400, 20)] {
        group.throughput(Throughput::Elements(members as u64 - 1));
        group.bench_function(format!("a note in a room of {members}, {at_home} of them at home"), |bencher| {
            notes(bencher, members, at_home, Format::Protobuf);
        });
    }
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function(format!("{AT_ONCE} messages through an inbox"), |bencher| {
        let (mesh, inboxes) = Mesh::<Parcel>::new(1, Capacity::default());
        let mut heard = 0;
        bencher.iter(|| {
            for message in 0..AT_ONCE {
                let parcel = Parcel::new::<u64>(move |heard| *heard += black_box(message));
                assert!(mesh.shard(0).try_send(Lane::Data, parcel).is_ok(), "there is room");
            }
            while let Some(parcel) = inboxes[0].try_next() {
                let Parcel::Do(act) = parcel else { unreachable!("{parcel:?}") };
                act(&mut heard);
            }
        });
        assert!(heard > 0);
    });
    group.finish();
}

criterion_group!(benches, one_shard, two_shards);
criterion_main!(benches);
