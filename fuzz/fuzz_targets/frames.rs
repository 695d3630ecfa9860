//! libFuzzer on `pianorhythm_fuzz::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::frames::run(data));
