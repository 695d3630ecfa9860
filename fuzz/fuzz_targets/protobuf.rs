//! libFuzzer on `pianorhythm_fuzz::protobuf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pianorhythm_fuzz::protobuf::run(data));
