//! Compiles `proto/` to Rust types with prost, and their JSON mapping with pbjson, without a system `protoc`.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = ["chat", "client_message", "midi", "room", "server_message", "user"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let files = FILES.map(|name| format!("proto/{name}.proto"));
    println!("cargo:rerun-if-changed=proto");

    let descriptors = protox::compile(files, ["proto"]).unwrap_or_else(|error| panic!("{error:?}"));
    let encoded = descriptors.encode_to_vec();
    // The schema test reads names and numbers from here.
    fs::write(out.join("descriptors.bin"), &encoded).expect("OUT_DIR is writable");

    // `bytes` fields share the buffer they were read from: a note is not copied to be relayed.
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors).expect("the files compile to Rust");
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)
        .expect("the descriptors were just written")
        .ignore_unknown_fields()
        .build(&[".pianorhythm.v1"])
        .expect("the JSON mapping is generated");
}
