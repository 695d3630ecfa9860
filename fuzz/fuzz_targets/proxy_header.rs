//! libFuzzer on `pianorhythm_fuzz::proxy_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::proxy_header::run(data));
