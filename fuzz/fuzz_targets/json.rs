//! libFuzzer on `pianorhythm_fuzz::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::json::run(data));
