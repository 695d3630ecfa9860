//! libFuzzer on `pianorhythm_fuzz::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::query::run(data));
