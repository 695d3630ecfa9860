//! The corpus as ordinary tests: every input that was worth keeping, and what lies near it.

use std::{fs, path::PathBuf};

use pianorhythm_fuzz::TARGETS;

/// All of it, as it is committed: small enough for every checkout.
const MAX_BYTES: usize = 300 * 1024;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// A target's inputs by name.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join(target)).unwrap_or_else(|error| panic!("{target} has no corpus: {error}"));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Runs every input of a target, its beginnings, and a few with one byte changed; what fails is named.
fn replay(target: &str) {
    let run = TARGETS.iter().find(|known| known.name == target).expect("it is in the table").run;
    let inputs = inputs(target);
    assert!(inputs.len() >= 10, "{target} has {} inputs", inputs.len());
    for (name, bytes) in &inputs {
        let named = |what: String, bytes: &[u8]| {
            if let Err(cause) = std::panic::catch_unwind(|| run(bytes)) {
                eprintln!("fuzz/corpus/{target}/{name}, {what}");
                std::panic::resume_unwind(cause);
            }
        };
        named("as it is".into(), bytes);
        // At most sixteen of each, spread over it.
        let step = bytes.len() / 16 + 1;
        for at in (0..bytes.len()).step_by(step) {
            named(format!("cut off at {at}"), &bytes[..at]);
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            named(format!("byte {at} changed"), &changed);
        }
    }
}

macro_rules! corpora {
    ($($target:ident)*) => {
        $(#[test] fn $target() { replay(stringify!($target)); })*

        #[test]
        fn every_target_is_replayed() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($target)),*]);
        }
    };
}

corpora! { frames protobuf json midi upgrade query proxy_header }

#[test]
fn the_corpus_is_small_and_has_no_strangers() {
    let mut folders: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    folders.sort();
    names.sort_unstable();
    assert_eq!(folders, names);
    let bytes: usize = TARGETS.iter().flat_map(|target| inputs(target.name)).map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= MAX_BYTES, "{bytes} bytes: ./tools/fuzz --minimise");
}
