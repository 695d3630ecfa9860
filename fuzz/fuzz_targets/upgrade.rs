//! libFuzzer on `pianorhythm_fuzz::upgrade`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::upgrade::run(data));
