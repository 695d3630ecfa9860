//! What a note costs a shard, counted and not timed: allocations, and instructions. Both are the same on a machine that does much
//! else as well.
//!
//! The shard is the real one, turned by hand, with real sockets ([`shards`]): what is counted begins with the read of a note and
//! ends with its last write.

#[path = "support/shards.rs"]
mod shards;

use std::{
    alloc::{GlobalAlloc, Layout, System as Heap},
    cell::Cell,
    collections::BTreeMap,
    env, fmt, fs,
    hint::black_box,
    process::Command,
};

use pianorhythm_server::protocol::codec::Format;
use serde::{Deserialize, Serialize};

use crate::shards::Shards;

thread_local! {
    /// How often this thread has asked for memory, or for more of it.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with an eye on each thread.
struct Counting;

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as promised to us.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised to us.
        unsafe { Heap.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as promised to us.
        unsafe { Heap.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Notes that are counted, presses and releases by turns.
const NOTES: usize = 200;
/// Notes before them: queues and tables have grown to their size by then.
const BEFORE: usize = 200;

/// A room, by what its members speak, how many they are, and how many of them its own shard has.
#[derive(Clone, Copy, Debug)]
struct Case {
    format: Format,
    members: usize,
    at_home: usize,
}

impl Case {
    const fn new(format: Format, members: usize) -> Self {
        Self { format, members, at_home: members }
    }

    /// A room that has outgrown its shard, with the rest of its members on another.
    const fn spilled(members: usize, at_home: usize) -> Self {
        Self { format: Format::Protobuf, members, at_home }
    }

    fn room(self) -> Shards {
        let shards = if self.at_home < self.members { 2 } else { 1 };
        let mut room = Shards::new(shards, self.members, self.at_home, self.format);
        for _ in 0..BEFORE {
            self.note(&mut room, Shards::turn);
        }
        room
    }

    /// One plays, and all others hear it in the same turn.
    fn note(self, room: &mut Shards, turn: impl FnOnce(&mut Shards)) {
        room.play(0);
        turn(room);
        assert_eq!(room.hear(), self.members - 1, "all but who plays");
    }
}

/// What instructions are counted in, by its name.
#[inline(never)]
fn counted_turn(room: &mut Shards) {
    room.turn();
    // So that it returns here, and not to its caller.
    black_box(room);
}

/// How often a note's way asks for memory, over all notes.
fn allocations(case: Case) -> usize {
    let mut room = case.room();
    let mut sum = 0;
    for _ in 0..NOTES {
        case.note(&mut room, |room| {
            let before = ASKED.get();
            room.turn();
            sum += ASKED.get() - before;
        });
    }
    println!("{case}: {sum} allocations for {NOTES} notes");
    sum
}

#[test]
fn a_note_to_two_hundred_allocates_as_often_as_a_note_to_twenty() {
    for format in [Format::Protobuf, Format::Json] {
        let few = allocations(Case::new(format, 20));
        let many = allocations(Case::new(format, 200));
        assert!(few > 0, "nothing is counted");
        assert_eq!(many, few, "{format:?}: recipients are allocated for");
    }
}

#[test]
fn a_note_to_another_shard_allocates_as_often_for_many_there_as_for_few() {
    let few = allocations(Case::spilled(40, 20));
    let many = allocations(Case::spilled(200, 20));
    assert_eq!(many, few, "recipients on another shard are allocated for");
}

/// What was recorded, and with what.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    /// What `rustc --version` says.
    compiler: String,
    /// Of each note, by the case.
    instructions: BTreeMap<String, u64>,
}

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const RECORDED_HEAD: &str = "\
# Instructions of a note on its way through a shard, from its read to its last write, as callgrind counts them; see README.md.
# Written by NOTE_COST_RECORD=1 cargo test --release --test note_cost
";
/// How many times what was recorded with this very compiler a note may take.
const BOUND: f64 = 1.10;
/// The same where it was recorded with another.
const BOUND_BETWEEN_COMPILERS: f64 = 1.25;

/// Says which case a process under callgrind is to play.
const CHILD: &str = "NOTE_COST_CASE";
/// The test that plays it there.
const COUNTING: &str = "a_note_takes_no_more_instructions_than_were_recorded";
/// Says that what is counted is to be recorded.
const RECORD: &str = "NOTE_COST_RECORD";

fn cases() -> [Case; 4] {
    let (protobuf, json) = (Format::Protobuf, Format::Json);
    [Case::new(protobuf, 20), Case::new(json, 20), Case::new(protobuf, 100), Case::spilled(100, 20)]
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, members, at_home } = self;
        write!(f, "{format:?}, {members} members, {at_home} of them at home")
    }
}

/// Counts the instructions of a note, in a process of its own.
fn instructions(number: usize) -> u64 {
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_turn*"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", COUNTING, "--test-threads=1"])
        .env(CHILD, number.to_string())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{told}\n{}", String::from_utf8_lossy(&child.stdout));
    let sum = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    sum.unwrap_or_else(|| panic!("callgrind tells no sum:\n{told}")) / NOTES as u64
}

/// Why they are not counted here.
fn obstacle() -> Option<&'static str> {
    if cfg!(debug_assertions) {
        return Some("a debug build's instructions say nothing: they are counted with --release");
    }
    if !cfg!(target_arch = "x86_64") {
        return Some("what was recorded is of x86_64");
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        let missing = "valgrind is missing: apt-get install valgrind";
        assert!(env::var("REQUIRE_SERVICES").as_deref() != Ok("1"), "{missing}");
        return Some(missing);
    }
    None
}

fn compiler() -> String {
    let told = Command::new("rustc").arg("--version").output().expect("who runs tests has a compiler");
    String::from_utf8(told.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_note_takes_no_more_instructions_than_were_recorded() {
    if let Ok(number) = env::var(CHILD) {
        let case = cases()[number.parse::<usize>().unwrap()];
        let mut room = case.room();
        for _ in 0..NOTES {
            case.note(&mut room, counted_turn);
        }
        return;
    }
    if let Some(obstacle) = obstacle() {
        println!("not counted: {obstacle}");
        return;
    }
    let counted = cases().into_iter().enumerate().map(|(number, case)| (case.to_string(), instructions(number)));
    let counted = Recorded { compiler: compiler(), instructions: counted.collect() };
    if env::var_os(RECORD).is_some() {
        fs::write(RECORDED, format!("{RECORDED_HEAD}{}", toml::to_string(&counted).unwrap())).unwrap();
    }
    let recorded: Recorded = toml::from_str(&fs::read_to_string(RECORDED).unwrap()).unwrap();
    let bound = if recorded.compiler == counted.compiler { BOUND } else { BOUND_BETWEEN_COMPILERS };
    let mut above = Vec::new();
    for (case, count) in &counted.instructions {
        let before = recorded.instructions.get(case).unwrap_or_else(|| panic!("nothing is recorded of: {case}"));
        let ratio = *count as f64 / *before as f64;
        println!("{case}: {count} instructions a note; {before} were recorded, × {ratio:.3}");
        if ratio > bound {
            above.push(format!("{case}: {count} instructions a note, {before} were recorded"));
        }
    }
    assert!(
        above.is_empty(),
        "more than {bound} times what was recorded with {}: {above:#?}\nWhere it is worth that, {RECORD}=1 records it.",
        recorded.compiler
    );
}
