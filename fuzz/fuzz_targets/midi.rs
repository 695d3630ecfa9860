//! libFuzzer on `pianorhythm_fuzz::midi`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::midi::run(data));
